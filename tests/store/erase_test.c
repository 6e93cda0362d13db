/* SPDX-License-Identifier: MPL-2.0 */
/* erase_test.c - what the origin forgets: who was erased at once, the rest by age; and what a
 * node believes of what others say that they forgot. */
#include "tests/store/node_fixture.h"

#include "daemon/erase.h"
#include "daemon/surplus_internal.h"

#define DAY_MS 86400000ll

static const struct feed_mark *own(const struct hq *hq)
{
    return &hq->node->feeds[hq->node->own_feed]->replica.feed.tier[TIER_FEDERATION];
}

static uint64_t own_rows(struct hq *hq)
{
    const uint32_t number =
        hq->node->feeds[hq->node->own_feed]->record.tier[TIER_FEDERATION].number;
    struct store_txn txn;
    uint64_t count = 0;

    assert_ok(store_begin_read(hq->node->store, &txn));
    assert_ok(store_count_rows(&txn, number, 0, UINT64_MAX, &count));
    store_abort(&txn);
    return count;
}

static void ids_of(struct hq *hq, size_t count, char (*out_ids)[UUID_TEXT_SIZE])
{
    const struct slice result = ask_ok(hq, "members.list", NULL, NULL, NULL, NULL);

    for (size_t i = 0; i < count; i++) {
        struct slice id;

        assert_true(mp_map_get_text(element_of(result, "members", i), "id", &id));
        assert_true(slice_copy_text(id, out_ids[i], UUID_TEXT_SIZE));
    }
}

/* email: its new one; NULL: it is removed */
static void change_one_member(struct hq *hq, const char *id, const char *email)
{
    uint8_t buffer[256];
    struct mp_writer writer;
    struct reply reply;

    mp_writer_init(&writer, buffer, sizeof buffer);
    mp_write_map(&writer, 1);
    mp_write_text(&writer, "ops");
    mp_write_array(&writer, 1);
    mp_write_map(&writer, email != NULL ? 3 : 2);
    if (email != NULL) {
        mp_write_text(&writer, "fields");
        mp_write_map(&writer, 1);
        mp_write_key_text(&writer, "email", email);
    }
    mp_write_key_text(&writer, "id", id);
    mp_write_key_text(&writer, "op", email != NULL ? "put" : "remove");
    reply = answer_to(hq, ask_raw(hq, "members.apply", mp_writer_bytes(&writer)));
    assert_int_equal(reply.code, OK);
}

static void remove_one_member(struct hq *hq, const char *id)
{
    change_one_member(hq, id, NULL);
}

static void pass_days(struct hq *hq, int days)
{
    for (int i = 0; i < days; i++) {
        monotonic_ms += DAY_MS;
        wall_ms += DAY_MS;
        turns(hq, 6);
    }
}

static void test_removals_are_forgotten_by_age(void **state)
{
    struct hq *hq = *state;
    char ids[3][UUID_TEXT_SIZE];
    uint64_t rows;

    put_many(hq, 3, NULL);
    ids_of(hq, 3, ids);
    pass_days(hq, 1);
    remove_one_member(hq, ids[0]);
    rows = own_rows(hq);
    pass_days(hq, REMOVALS_KEPT_DAYS - 2);
    assert_int_equal(own_rows(hq), rows);
    assert_int_equal(own(hq)->horizon, 0);
    remove_one_member(hq, ids[1]); /* a younger one stays */
    pass_days(hq, 4);
    assert_true(own(hq)->horizon != 0);
    assert_int_equal(own_rows(hq), rows - 1);
    assert_int_equal(hq->node->feeds[hq->node->own_feed]->record.tier[TIER_FEDERATION].horizon,
                     own(hq)->horizon);
    assert_int_equal(answer_to(hq, ask(hq, "members.get", "id", ids[2], NULL, NULL)).code, OK);
}

static bool is_done(struct slice report)
{
    const struct slice done = mp_map_get(report, "done");

    return done.size == 1 && done.data[0] == 0xc3;
}

static enum status count_about(void *context, uint64_t number, uint64_t time_s,
                               struct slice value)
{
    struct slice *wanted = context; /* the id to be found, and behind it how often it was */
    struct mp_reader reader;
    struct slice id;

    (void)number;
    (void)time_s;
    mp_reader_init(&reader, value);
    (void)mp_read_array(&reader, 16);
    (void)mp_read_str(&reader, 64);
    (void)mp_read_str(&reader, 64);
    id = mp_read_bin(&reader, 64);
    wanted[1].size += slice_equal(id, wanted[0]);
    return OK;
}

static size_t history_about(struct hq *hq, const char *text)
{
    uint8_t id[ID_SIZE] = { 0 };
    struct slice wanted[2] = { slice_of(id, ID_SIZE), SLICE_NONE };
    struct store_txn txn;

    assert_true(uuid_parse(slice_of_text(text), id));
    assert_ok(store_begin_read(hq->node->store, &txn));
    assert_ok(store_scan_history(&txn, UINT64_MAX, count_about, wanted));
    store_abort(&txn);
    return wanted[1].size;
}

static void restart(struct hq *hq)
{
    node_close(&hq->node);
    fake_clear();
    hq_start(hq);
}

/* Stopped in the middle of the history, then between the horizon and the compaction. */
static void test_an_erasure_is_resumed_after_a_restart(void **state)
{
    struct hq *hq = *state;
    char ids[1][UUID_TEXT_SIZE];
    struct slice report;

    put_many(hq, 3000, NULL);
    put_many(hq, 1, NULL);
    {
        const struct slice all = ask_ok(hq, "members.list", "search", "N 000000", NULL, NULL);
        struct slice id;

        assert_int_equal(length_of(all, "members"), 2);
        assert_true(mp_map_get_text(element_of(all, "members", 1), "id", &id));
        assert_true(slice_copy_text(id, ids[0], UUID_TEXT_SIZE));
    }
    assert_int_equal(history_about(hq, ids[0]), 1);
    report = ask_ok(hq, "members.erase", "id", ids[0], NULL, NULL);
    assert_false(is_done(report));
    assert_int_equal(length_of(report, "missing"), 1); /* HQ itself has not compacted yet */
    assert_int_equal(history_about(hq, ids[0]), 1);
    restart(hq);
    for (int i = 0; i < 10 && own(hq)->horizon == 0; i++) {
        monotonic_ms += 50;
        turns(hq, 2);
    }
    assert_true(own(hq)->horizon != 0);
    assert_int_equal(history_about(hq, ids[0]), 0);
    assert_int_equal(hq->node->erasure->compactions, 0);
    restart(hq); /* which forgets the answers that came before */
    report = SLICE_NONE;
    for (int i = 0; i < 100 && (report.size == 0 || !is_done(report)); i++) {
        monotonic_ms += 100;
        fake_clear();
        report = ask_ok(hq, "members.erase", "id", ids[0], NULL, NULL);
    }
    assert_true(is_done(report));
    assert_int_equal(length_of(report, "confirmed"), 1);
    assert_refused(answer_to(hq, ask(hq, "members.get", "id", ids[0], NULL, NULL)), NOT_FOUND,
                   "");
}

static void erase_wholly(struct hq *hq, const char *id)
{
    struct slice report = SLICE_NONE;

    for (int i = 0; i < 100 && (report.size == 0 || !is_done(report)); i++) {
        monotonic_ms += 100;
        fake_clear();
        report = ask_ok(hq, "members.erase", "id", id, NULL, NULL);
    }
    assert_true(is_done(report));
    assert_int_equal(history_about(hq, id), 0);
}

static bool is_put(struct hq *hq, const struct member *member)
{
    const struct reply reply = answer_to(hq, ask_put(hq, member, 1));
    const struct slice ok = mp_map_get(element_of(reply.result, "results", 0), "ok");

    assert_int_equal(reply.code, OK);
    return ok.size == 1 && ok.data[0] == 0xc3;
}

/* An old spreadsheet has the address of two years ago. */
static void test_a_former_address_is_known_again(void **state)
{
    struct hq *hq = *state;
    char ids[1][UUID_TEXT_SIZE];

    put_members(hq, &(struct member){ .name = "Anna", .email = "old@example.org" }, 1);
    ids_of(hq, 1, ids);
    change_one_member(hq, ids[0], "new@example.org");
    erase_wholly(hq, ids[0]);
    fake_clear();
    assert_false(is_put(hq, &(struct member){ .name = "A", .email = "new@example.org" }));
    assert_false(is_put(hq, &(struct member){ .name = "A", .email = "OLD@example.org" }));
    assert_true(is_put(hq, &(struct member){ .name = "A", .email = "other@example.org" }));
}

/* Removed first, and erased later: before and after all nodes have forgotten the removal. */
static void test_who_was_removed_before(void **state)
{
    static const struct member people[] = {
        { .name = "Anna", .email = "anna@example.org" },
        { .name = "Bob", .email = "bob@example.org" },
        { .name = "Eve", .email = "eve@example.org" },
    };
    struct hq *hq = *state;
    char ids[3][UUID_TEXT_SIZE];
    uint64_t compactions;

    put_members(hq, people, 3);
    ids_of(hq, 3, ids);
    remove_one_member(hq, ids[0]);
    remove_one_member(hq, ids[1]);
    erase_wholly(hq, ids[1]); /* whose removal is the later one */
    assert_int_equal(history_about(hq, ids[0]), 2);
    compactions = hq->node->erasure->compactions;
    erase_wholly(hq, ids[0]);
    assert_int_equal(hq->node->erasure->compactions, compactions + 1);
    fake_clear();
    assert_false(is_put(hq, &people[0]));
    assert_false(is_put(hq, &people[1]));
    assert_refused(answer_to(hq, ask(hq, "members.erase", "id",
                                     "01900000-0000-7000-8000-000000000000", NULL, NULL)),
                   NOT_FOUND, "no member");
    assert_int_equal(answer_to(hq, ask(hq, "members.get", "id", ids[2], NULL, NULL)).code, OK);
}

/* The turn of an erasure is dropped: nothing of it happened, and it can be asked for again. */
static void test_a_dropped_turn_erases_nobody(void **state)
{
    struct hq *hq = *state;
    char ids[1][UUID_TEXT_SIZE];
    uint64_t id;

    put_many(hq, 1, NULL);
    ids_of(hq, 1, ids);
    id = ask(hq, "members.erase", "id", ids[0], NULL, NULL);
    drop_turn = true;
    assert_int_equal(answer_to(hq, id).code, NO_SPACE);
    assert_false(hq->node->erasure->any);
    monotonic_ms += 60000;
    assert_int_equal(answer_to(hq, ask(hq, "members.get", "id", ids[0], NULL, NULL)).code, OK);
    assert_int_equal(
        length_of(ask_ok(hq, "members.erase", "id", ids[0], NULL, NULL), "missing"), 1);
}

static uint64_t cleared_of(struct hq *hq, const char *node, const char *origin)
{
    struct store_cleared cleared = { .seq = 0 };
    struct store_txn txn;
    enum status status;

    assert_ok(store_begin_read(hq->node->store, &txn));
    status = store_get_cleared(&txn, node, origin, &cleared);
    store_abort(&txn);
    return status == OK ? cleared.seq : 0;
}

static void say(struct hq *hq, const char *sender, const char *node, const char *origin,
                uint64_t seq)
{
    struct link link = { .peer = node_peer_make(hq->node, sender) };
    struct wire_cleared_entry entry = { .epoch = 1, .seq = seq };
    uint8_t bytes[128];
    struct mp_writer writer;

    (void)snprintf(entry.node, sizeof entry.node, "%s", node);
    (void)snprintf(entry.origin, sizeof entry.origin, "%s", origin);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_cleared_begin(&writer, 1);
    wire_write_cleared_entry(&writer, &entry);
    cleared_on_message(hq->node, &link, mp_writer_bytes(&writer));
    turns(hq, 1);
}

/* A node speaks of its own files alone, and takes nothing back. */
static void test_what_others_may_say(void **state)
{
    struct hq *hq = *state;

    assert_true(node_feed_make(hq->node, "fr") != NO_PEER);
    say(hq, "lu", "lu", "fr", 5);
    assert_int_equal(cleared_of(hq, "lu", "fr"), 5);
    say(hq, "lu", "lu", "fr", 3);
    assert_int_equal(cleared_of(hq, "lu", "fr"), 5);
    say(hq, "lu", "qc", "fr", 5);
    assert_int_equal(cleared_of(hq, "qc", "fr"), 0);
    say(hq, "lu", "lu", "xx", 5); /* there is no such feed */
    assert_int_equal(cleared_of(hq, "lu", "xx"), 0);
    assert_int_equal(hq->node->counters.peers_refused, 2);
}

/* A state of a closed epoch that waits for the operator, with that member's row. */
static void keep_state_with(struct hq *hq, const char *text)
{
    static const uint8_t value[] = { 0x80 };
    struct store_kept kept = { .origin = "hq", .epoch = 1, .tiers = TIERS_BOTH | KEPT_MANUAL };
    struct change change = { .type = RECORD_MEMBER, .tiers = TIERS_BOTH, .seq = 1 };
    struct store_txn txn;

    assert_true(uuid_parse(slice_of_text(text), change.id));
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        change.value[tier] = slice_of(value, sizeof value);
    assert_ok(store_begin_write(hq->node->store, &txn));
    assert_ok(store_new_number(&txn, &kept.number));
    assert_ok(store_put_row(&txn, kept.number, &change));
    assert_ok(store_put_kept(&txn, &kept));
    assert_ok(store_commit_turn(&txn));
    hq->node->surplus->kept = true;
}

/* The files were copied without what was deleted, but a kept state still has the row: to say
 * that nothing is left would be a lie, until that state is gone, too. */
static void test_a_kept_state_holds_the_statement_back(void **state)
{
    struct hq *hq = *state;
    char ids[1][UUID_TEXT_SIZE];

    put_many(hq, 1, NULL);
    ids_of(hq, 1, ids);
    keep_state_with(hq, ids[0]);
    for (int i = 0; i < 100 && hq->node->erasure->compactions == 0; i++) {
        monotonic_ms += 100;
        fake_clear();
        assert_false(is_done(ask_ok(hq, "members.erase", "id", ids[0], NULL, NULL)));
    }
    assert_int_equal(hq->node->erasure->compactions, 1);
    assert_ok(hq->node->erasure->compact_status);
    assert_true(own(hq)->horizon != 0);
    assert_int_equal(cleared_of(hq, "hq", "hq"), 0);
    (void)ask_ok(hq, "surplus.discard", NULL, NULL, NULL, NULL);
    erase_wholly(hq, ids[0]);
    assert_int_equal(cleared_of(hq, "hq", "hq"), own(hq)->horizon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_removals_are_forgotten_by_age, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_an_erasure_is_resumed_after_a_restart, hq_new,
                                        hq_free),
        cmocka_unit_test_setup_teardown(test_a_former_address_is_known_again, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_who_was_removed_before, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_what_others_may_say, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_a_kept_state_holds_the_statement_back, hq_new,
                                        hq_free),
        cmocka_unit_test_setup_teardown(test_a_dropped_turn_erases_nobody, hq_new, hq_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
