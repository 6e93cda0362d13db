/* SPDX-License-Identifier: MPL-2.0 */
/* jobs_test.c - background work of a real node: proofs of its copy, members that expire, and
 * rows that were discarded. */
#include "daemon/jobs.h"
#include "tests/store/node_fixture.h"

#include "daemon/jobs_internal.h"

#define DAY_MS 86400000

/* {"deep": true} */
static struct slice verify_deep(struct hq *hq)
{
    static const uint8_t deep[] = { 0x81, 0xa4, 'd', 'e', 'e', 'p', 0xc3 };
    const struct reply reply =
        answer_to(hq, ask_raw(hq, "verify", slice_of(deep, sizeof deep)));

    assert_int_equal(reply.code, OK);
    return reply.result;
}

static struct slice verify_shallow(struct hq *hq)
{
    return ask_ok(hq, "verify", NULL, NULL, NULL, NULL);
}

static uint32_t own_number(const struct hq *hq)
{
    return hq->node->feeds[hq->node->own_feed]->record.tier[TIER_FEDERATION].number;
}

/* Damages the store behind the node's back, between two turns. */
static struct store_txn damage_begin(struct hq *hq)
{
    struct store_txn txn;

    assert_ok(store_begin_write(hq->node->store, &txn));
    return txn;
}

static void test_a_good_copy_is_proven(void **state)
{
    struct hq *hq = *state;
    struct slice result;

    put_many(hq, 3000, NULL);
    put_many(hq, 3000, NULL); /* more than a slice */
    result = verify_deep(hq);
    assert_int_equal(uint_of(result, "origins"), 1);
    assert_int_equal(uint_of(result, "ok"), 1);
    assert_int_equal(uint_of(result, "members"), 6000);
    assert_int_equal(length_of(result, "differences"), 0);
    result = verify_shallow(hq);
    assert_int_equal(uint_of(result, "ok"), 1);
    assert_int_equal(uint_of(result, "members"), 6000);
    assert_null(hq->node->jobs);
}

static void test_a_changed_row_is_found(void **state)
{
    static const uint8_t value[] = { 0x81, 0xa4, 'k', 'i', 'n', 'd', 0xa9, 'a',
                                     'f',  'f',  'i', 'l', 'i', 'a', 't',  'e' };
    struct hq *hq = *state;
    struct change change = { .type = RECORD_MEMBER, .tiers = TIERS_FEDERATION, .seq = 3 };
    struct store_txn txn;
    struct slice difference;

    put_many(hq, 10, NULL);
    txn = damage_begin(hq);
    memset(change.id, 7, ID_SIZE);
    change.value[TIER_FEDERATION] = slice_of(value, sizeof value);
    change.seq = 100000;
    assert_ok(store_put_row(&txn, own_number(hq), &change));
    assert_ok(store_commit_turn(&txn));
    assert_int_equal(uint_of(verify_shallow(hq), "ok"), 1); /* the sums are as they were */
    assert_int_equal(uint_of(verify_deep(hq), "ok"), 0);
    difference = element_of(verify_deep(hq), "differences", 0);
    assert_text(difference, "chapter", "hq");
    assert_text(difference, "reason", "the rows are not those of the signed head");
}

static void test_a_changed_sum_is_found(void **state)
{
    struct hq *hq = *state;
    struct digest_sum sum;
    struct store_txn txn;

    put_many(hq, 10, NULL);
    txn = damage_begin(hq);
    assert_ok(store_get_sum(&txn, own_number(hq), TIER_HQ, &sum));
    sum.lanes[17]++;
    assert_ok(store_put_sum(&txn, own_number(hq), TIER_HQ, &sum));
    assert_ok(store_commit_turn(&txn));
    assert_int_equal(uint_of(verify_shallow(hq), "ok"), 0);
    assert_text(element_of(verify_deep(hq), "differences", 0), "reason",
                "the stored sums are not those of the rows");
}

static void test_a_changed_counter_is_found(void **state)
{
    static const uint8_t key[CENSUS_KEY_SIZE] = { CENSUS_MONTH, KIND_INDIVIDUAL,
                                                  MEMBER_ACTIVE };
    struct hq *hq = *state;
    struct store_txn txn;

    put_many(hq, 10, NULL);
    txn = damage_begin(hq);
    assert_ok(store_census_add(&txn, own_number(hq), key, 1));
    assert_ok(store_commit_turn(&txn));
    assert_text(element_of(verify_deep(hq), "differences", 0), "reason",
                "the counters are not those of the rows");
}

static void test_the_replica_is_told(void **state)
{
    struct hq *hq = *state;
    struct replica_feed *feed = &hq->node->feeds[hq->node->own_feed]->replica;
    struct digest_sum sum;
    struct store_txn txn;

    put_many(hq, 10, NULL);
    assert_ok(jobs_recount(hq->node, hq->node->own_feed, TIERS_FEDERATION));
    assert_ok(jobs_recount(hq->node, hq->node->own_feed, TIERS_HQ)); /* joins the first */
    turns(hq, 3);
    assert_true(feed->tier[TIER_FEDERATION].counted && feed->tier[TIER_HQ].counted);
    txn = damage_begin(hq);
    assert_ok(store_get_sum(&txn, own_number(hq), TIER_HQ, &sum));
    sum.lanes[17]++;
    assert_ok(store_put_sum(&txn, own_number(hq), TIER_HQ, &sum));
    assert_ok(store_commit_turn(&txn));
    assert_ok(jobs_recount(hq->node, hq->node->own_feed, TIERS_BOTH));
    turns(hq, 3);
    assert_true(feed->tier[TIER_FEDERATION].counted && !feed->tier[TIER_FEDERATION].damaged);
    assert_true(feed->tier[TIER_HQ].damaged);
}

/* --- expiry ------------------------------------------------------------------------------- */

static size_t lapsed(struct hq *hq)
{
    size_t count = 0;
    const struct slice counts = ask_ok(hq, "counts", "by", "status", NULL, NULL);

    for (size_t i = 0; i < length_of(counts, "rows"); i++) {
        struct slice key;
        const struct slice row = element_of(counts, "rows", i);

        if (mp_map_get_text(row, "key", &key) && slice_is_text(key, "lapsed"))
            count = uint_of(row, "memberships");
    }
    return count;
}

static void test_few_lapse_by_themselves(void **state)
{
    struct hq *hq = *state;
    uint64_t day = 0;
    struct store_txn txn;

    put_many(hq, 50, NULL);
    put_many(hq, 4, "2024-01-01"); /* today: not yet */
    put_many(hq, 3, "2023-12-31");
    assert_int_equal(lapsed(hq), 0);
    monotonic_ms += 5000;
    turns(hq, 6);
    assert_int_equal(lapsed(hq), 3);
    assert_ok(store_begin_read(hq->node->store, &txn));
    assert_ok(store_get_meta_uint(&txn, META_LAPSE_DAY, &day));
    store_abort(&txn);
    assert_int_equal(day, wall_ms / DAY_MS);
    monotonic_ms += DAY_MS;
    wall_ms += DAY_MS;
    turns(hq, 100);
    assert_int_equal(lapsed(hq), 7);
}

static void test_many_need_a_word(void **state)
{
    static const uint8_t confirm[] = { 0x81, 0xa7, 'c', 'o', 'n', 'f', 'i', 'r', 'm', 0xc3 };
    struct hq *hq = *state;
    struct reply reply;
    struct slice status;

    put_many(hq, 20, NULL);
    put_many(hq, 20, "2023-12-31");
    monotonic_ms += 5000;
    turns(hq, 6);
    assert_int_equal(lapsed(hq), 0);
    assert_int_equal(hq->node->lapse_asked, 20);
    status = ask_ok(hq, "status", NULL, NULL, NULL, NULL);
    assert_text(element_of(status, "alarms", 0), "remedy",
                "chapterctl members lapse --confirm");
    reply = answer_to(hq, ask(hq, "members.lapse", NULL, NULL, NULL, NULL));
    assert_int_equal(uint_of(reply.result, "due"), 20);
    assert_int_equal(uint_of(reply.result, "lapsed"), 0);
    reply = answer_to(hq, ask_raw(hq, "members.lapse", slice_of(confirm, sizeof confirm)));
    assert_int_equal(uint_of(reply.result, "lapsed"), 20);
    assert_int_equal(lapsed(hq), 20);
    assert_int_equal(hq->node->lapse_asked, 0);
    assert_int_equal(uint_of(verify_deep(hq), "ok"), 1);
}

/* The slice whose turn was dropped is done again, and nobody is counted twice. */
static void test_a_dropped_slice_is_done_again(void **state)
{
    static const uint8_t confirm[] = { 0x81, 0xa7, 'c', 'o', 'n', 'f', 'i', 'r', 'm', 0xc3 };
    struct hq *hq = *state;
    uint64_t id;
    struct reply reply;

    put_many(hq, 1500, "2023-12-31");
    monotonic_ms += 5000;
    turns(hq, 6);
    id = ask_raw(hq, "members.lapse", slice_of(confirm, sizeof confirm));
    drop_after_wall = 700;
    turns(hq, 10);
    assert_int_equal(drop_after_wall, 0);
    assert_false(reply_to(id, &reply));
    assert_int_equal(lapsed(hq), 0);
    monotonic_ms += JOB_PAUSE_MS;
    turns(hq, 1);
    drop_turn = true; /* between two slices: the first one stands */
    turns(hq, 1);
    for (int i = 0; i < 6; i++) {
        monotonic_ms += JOB_PAUSE_MS;
        turns(hq, 2);
    }
    reply = answer_to(hq, id);
    assert_int_equal(reply.code, OK);
    assert_int_equal(uint_of(reply.result, "lapsed"), 1500);
    assert_int_equal(lapsed(hq), 1500);
}

static void test_a_clock_that_was_never_set(void **state)
{
    struct hq *hq = *state;

    put_many(hq, 1, "1970-01-01");
    wall_ms = 1000;
    monotonic_ms += 5000;
    turns(hq, 5);
    assert_int_equal(lapsed(hq), 0);
    assert_refused(answer_to(hq, ask(hq, "members.lapse", NULL, NULL, NULL, NULL)), REFUSED,
                   "before 2024");
}

/* --- sweeping, and idleness --------------------------------------------------------------- */

static void test_discarded_rows_go(void **state)
{
    static const uint8_t value[] = { 0x80 };
    struct hq *hq = *state;
    struct store_txn txn = damage_begin(hq);
    uint64_t left = 0;
    uint32_t number;

    assert_ok(store_new_number(&txn, &number));
    for (uint64_t seq = 1; seq <= 3 * ROWS_PER_SLICE; seq++) {
        struct change change = { .type = RECORD_MEMBER, .tiers = TIERS_FEDERATION, .seq = seq };

        memcpy(change.id, &seq, sizeof seq);
        change.value[TIER_FEDERATION] = slice_of(value, sizeof value);
        assert_ok(store_put_row(&txn, number, &change));
    }
    assert_ok(store_discard(&txn, "hq", number, TIERS_BOTH));
    assert_ok(store_commit_turn(&txn));
    hq->node->sweep_more = true;
    turns(hq, 1);
    assert_ok(store_begin_read(hq->node->store, &txn));
    assert_ok(store_count_rows(&txn, number, 0, UINT64_MAX, &left));
    store_abort(&txn);
    assert_int_equal(left, 2 * ROWS_PER_SLICE); /* a slice a turn */
    turns(hq, 6);
    assert_ok(store_begin_read(hq->node->store, &txn));
    assert_ok(store_count_rows(&txn, number, 0, UINT64_MAX, &left));
    store_abort(&txn);
    assert_int_equal(left, 0);
    assert_false(hq->node->sweep_more);
}

static void test_idle_means_asleep(void **state)
{
    struct hq *hq = *state;

    monotonic_ms += 5000;
    turns(hq, 100);
    assert_null(hq->node->jobs);
    assert_true(jobs_next_ms(hq->node) >= monotonic_ms + 3600000);
    assert_true(control_next_ms(hq->node) == INT64_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hq_new, hq_free)

/* {"fields": {"expires": tier}} */
static void keep_expires_in(struct hq *hq, const char *tier)
{
    uint8_t buffer[128];
    struct mp_writer writer;
    struct reply reply;

    mp_writer_init(&writer, buffer, sizeof buffer);
    mp_write_map(&writer, 1);
    mp_write_text(&writer, "fields");
    mp_write_map(&writer, 1);
    mp_write_key_text(&writer, "expires", tier);
    reply = answer_to(hq, ask_raw(hq, "tiers.set", mp_writer_bytes(&writer)));
    assert_int_equal(reply.code, OK);
    turns(hq, 10);
}

/* A date that a chapter keeps to itself is due all the same. */
static void test_expiry_is_found_in_every_tier(void **state)
{
    static const char *const tiers[] = { "chapter", "hq", "federation" };
    struct hq *hq = *state;

    for (uint64_t i = 0; i < 3; i++) {
        struct slice result;

        fake_clear();
        keep_expires_in(hq, tiers[i]);
        put_many(hq, 1, "2023-12-31");
        result = ask_ok(hq, "members.lapse", NULL, NULL, NULL, NULL);
        assert_int_equal(uint_of(result, "due"), 1);
        assert_int_equal(uint_of(result, "lapsed"), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_good_copy_is_proven),      TEST(test_a_changed_row_is_found),
        TEST(test_a_changed_sum_is_found),     TEST(test_a_changed_counter_is_found),
        TEST(test_the_replica_is_told),        TEST(test_few_lapse_by_themselves),
        TEST(test_many_need_a_word),           TEST(test_a_dropped_slice_is_done_again),
        TEST(test_a_clock_that_was_never_set), TEST(test_discarded_rows_go),
        TEST(test_idle_means_asleep),          TEST(test_expiry_is_found_in_every_tier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
