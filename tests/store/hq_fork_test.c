/* SPDX-License-Identifier: MPL-2.0 */
/* hq_fork_test.c - HQ's own feed is forked: the last good roster stays in force, nothing of it
 * changes any more, the others' feeds go on, and everybody is told. */
#include "daemon/pull_internal.h"
#include "daemon/replication.h"
#include "daemon/write.h"
#include "tests/store/node_fixture.h"

#include <sodium.h>

/* A second history under HQ's key: another head over what the newest one covers. */
static void fork_hq(struct hq *hq)
{
    const struct node_feed *feed = hq->node->feeds[node_feed_index(hq->node, "hq")];
    const struct slice mine = signed_head_bytes(&feed->record.tier[TIER_FEDERATION].head);
    struct signed_head other;
    struct head head;
    uint8_t bytes[2 * SIGNED_HEAD_SIZE_MAX + 16];
    struct mp_writer writer;

    assert_ok(head_read(mine, &head));
    head.count[TIER_FEDERATION]++;
    head_sign(&head, &hq->node->identity.sign, &other);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_evidence(&writer, mine, signed_head_bytes(&other));
    sync_on_evidence(hq->node, node_peer_make(hq->node, "fr"), mp_writer_bytes(&writer));
    assert_ok(node_turn(hq->node, 0));
}

static void enrol(struct hq *hq, const char *code, struct roster_entry *out_entry)
{
    struct roster_entry entry = { .epoch = 1, .instance = 1 };

    (void)snprintf(entry.code, sizeof entry.code, "%s", code);
    (void)snprintf(entry.name, sizeof entry.name, "%s", code);
    randombytes_buf(entry.sign_key, KEY_SIZE);
    randombytes_buf(entry.curve_key, KEY_SIZE);
    assert_ok(write_roster(hq->node, &entry));
    turns(hq, 1);
    *out_entry = entry;
}

static bool alarm_says(struct hq *hq, const char *part)
{
    const struct slice status = ask_ok(hq, "status", NULL, NULL, NULL, NULL);
    const size_t count = length_of(status, "alarms");

    for (size_t i = 0; i < count; i++) {
        const struct slice alarm = element_of(status, "alarms", i);

        if (memmem(alarm.data, alarm.size, part, strlen(part)) != NULL)
            return true;
    }
    return false;
}

/* The two heads, as somebody is shown them who was away: from the store. */
static void assert_evidence(struct hq *hq)
{
    const struct link link = { .handle = NODE_LINK, .peer = node_peer_make(hq->node, "lu") };
    struct wire_evidence evidence;
    struct head heads[2];

    fake_clear();
    sync_show_evidence(hq->node, &link);
    turns(hq, 1);
    assert_int_equal(fake.out_count, 1);
    assert_ok(
        wire_read_evidence(slice_of(fake.outbox[0].bytes, fake.outbox[0].size), &evidence));
    for (size_t i = 0; i < 2; i++)
        assert_ok(head_read(evidence.head[i], &heads[i]));
    assert_true(heads_conflict(&heads[0], &heads[1]));
}

static void test_at_hq(void **state)
{
    struct hq *hq = *state;
    struct roster_entry fr;
    uint64_t seq;

    monotonic_ms += SIGN_WAIT_MS;
    enrol(hq, "fr", &fr);
    monotonic_ms += SIGN_WAIT_MS;
    fork_hq(hq);
    seq = hq->node->feeds[hq->node->own_feed]->replica.feed.tier[TIER_FEDERATION].seq;
    assert_int_equal(hq->node->feeds[hq->node->own_feed]->replica.feed.freeze, FREEZE_FORKED);
    /* the roster stays, and nobody's place in it changes */
    assert_true(roster_admit(hq->node, PORT_XPUB, fr.curve_key));
    assert_int_not_equal(
        answer_to(hq, ask(hq, "chapters.revoke", "chapter", "fr", NULL, NULL)).code, OK);
    assert_int_not_equal(
        answer_to(hq, ask(hq, "chapters.edit", "chapter", "fr", "name", "x")).code, OK);
    assert_int_equal(roster_find(hq->node, "fr")->entry.state, CHAPTER_ENROLLED);
    assert_int_equal(
        hq->node->feeds[hq->node->own_feed]->replica.feed.tier[TIER_FEDERATION].seq, seq);
    assert_true(alarm_says(hq, "recover"));
    assert_evidence(hq);
    /* also after a restart */
    node_close(&hq->node);
    fake_clear();
    hq_start(hq);
    assert_true(roster_admit(hq->node, PORT_XPUB, fr.curve_key));
    assert_int_equal(hq->node->feeds[hq->node->own_feed]->replica.feed.freeze, FREEZE_FORKED);
    assert_evidence(hq);
}

/* As a chapter's node sees it. */
static void test_at_a_chapter(void **state)
{
    struct hq *hq = *state;
    struct roster_entry fr;
    struct feed_term term;

    monotonic_ms += SIGN_WAIT_MS;
    enrol(hq, "fr", &fr);
    hq->node->feeds[hq->node->own_feed]->replica.own = false;
    fork_hq(hq);
    roster_term_of(hq->node, "fr", &term);
    assert_int_equal(term.epoch, 1);
    assert_true(roster_admit(hq->node, PORT_XPUB, fr.curve_key));
    assert_true(hq->node->feeds[node_feed_index(hq->node, "fr")]->replica.fetchable);
    assert_true(alarm_says(hq, "last good roster"));
    assert_true(alarm_says(hq, "recovery key"));
}

static void say_head_of(struct hq *hq, uint64_t epoch)
{
    struct head head = {
        .origin = "hq", .epoch = epoch, .instance = 7, .seq = 1000, .prev_seq = 999
    };
    struct signed_head envelope;
    uint8_t bytes[SIGNED_HEAD_SIZE_MAX + 32];
    struct mp_writer writer;

    memcpy(head.federation, hq->node->federation, HASH_SIZE);
    memset(head.prev_hash, 7, HASH_SIZE);
    head_sign(&head, &hq->node->identity.sign, &envelope);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_event_begin(&writer, TIERS_FEDERATION, 999, signed_head_bytes(&envelope), 0);
    assert_ok(writer.status);
    sync_on_event(hq->node, node_peer_make(hq->node, "fr"), mp_writer_bytes(&writer));
    turns(hq, 2);
}

/* The next epoch must be above any that a head proves: a thief of HQ's key must not be able to
 * leave none. */
static void test_the_last_epoch_of_all(void **state)
{
    struct hq *hq = *state;
    struct roster_entry fr;

    monotonic_ms += SIGN_WAIT_MS;
    enrol(hq, "fr", &fr);
    say_head_of(hq, UINT64_MAX);
    say_head_of(hq, EPOCH_MAX);
    say_head_of(hq, EPOCH_MAX - 1);
    say_head_of(hq, 2 + EPOCH_LEAP_MAX); /* nobody has forgotten so many */
    assert_int_equal(hq->node->phase, EPOCH_SIGNING);
    assert_int_equal(hq->node->proven_kept, 0);
    say_head_of(hq, 5); /* that is another daemon with these keys */
    assert_int_equal(hq->node->phase, EPOCH_ASKING);
    assert_int_equal(hq->node->proven_kept, 5);
}

/* What a key that was stolen, and given up since, had signed of epochs that nobody opened is
 * forgotten with it: else each epoch that is opened would be taken for begun by another. */
static void test_a_former_key_proves_no_later_epoch(void **state)
{
    struct hq *hq = *state;
    struct roster_entry fr;

    monotonic_ms += SIGN_WAIT_MS;
    enrol(hq, "fr", &fr);
    say_head_of(hq, 1 + EPOCH_LEAP_MAX);
    assert_int_equal(hq->node->proven_epoch, 1 + EPOCH_LEAP_MAX);
    assert_int_equal(hq->node->recovering_seq, 1000);
    identity_make_sign_key(&hq->node->identity.sign);
    turns(hq, 1);
    assert_int_equal(hq->node->proven_epoch, 0);
    assert_int_equal(hq->node->recovering_seq, 0);
}

/* Of another's feed: its own beats would be older than a thief's for ever. */
static void test_a_beat_of_an_epoch_too_far(void **state)
{
    struct hq *hq = *state;
    struct beat beat = { .origin = "fr", .seq = 1, .boot = 1, .counter = 1 };
    struct roster_entry entry = { .code = "fr", .name = "fr", .epoch = 1, .instance = 1 };
    struct signed_beat envelope;
    struct sign_key key;
    uint32_t index;

    identity_make_sign_key(&key);
    memcpy(entry.sign_key, key.public_key, KEY_SIZE);
    randombytes_buf(entry.curve_key, KEY_SIZE);
    monotonic_ms += SIGN_WAIT_MS;
    assert_ok(write_roster(hq->node, &entry));
    turns(hq, 1);
    index = node_feed_index(hq->node, "fr");
    memcpy(beat.federation, hq->node->federation, HASH_SIZE);
    for (uint64_t epoch = 2 + EPOCH_LEAP_MAX; epoch != EPOCH_LEAP_MAX; epoch--) {
        beat.epoch = epoch;
        beat_sign(&beat, &key, &envelope);
        sync_note_beat(hq->node, node_peer_make(hq->node, "lu"), &beat,
                       slice_of(envelope.bytes, envelope.size));
        turns(hq, 1);
        assert_int_equal(hq->node->feeds[index]->replica.beat.epoch,
                         epoch > 1 + EPOCH_LEAP_MAX ? 0 : 1 + EPOCH_LEAP_MAX);
    }
}

/* A chapter that joined with a token takes no roster that is older than the token's. */
static void test_below_the_floor(void **state)
{
    struct hq *hq = *state;
    struct node_feed *feed = hq->node->feeds[hq->node->own_feed];
    const struct feed_mark mine = feed->replica.feed.tier[TIER_FEDERATION];
    struct head head = {
        .origin = "hq", .epoch = 1, .instance = 1, .seq = mine.seq + 1, .prev_seq = mine.seq
    };
    struct signed_head envelope;
    uint8_t bytes[SIGNED_HEAD_SIZE_MAX + 32];
    struct mp_writer writer;
    struct wire_changes answer = { .since = mine.seq,
                                   .base = head.seq,
                                   .tiers = TIERS_FEDERATION };
    struct head found;
    unsigned tiers;

    feed->replica.own = false;
    hq->node->floor_epoch = 1;
    memcpy(head.federation, hq->node->federation, HASH_SIZE);
    memcpy(head.prev_hash, mine.hash, HASH_SIZE);
    head_sign(&head, &hq->node->identity.sign, &envelope);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_event_begin(&writer, TIERS_FEDERATION, mine.seq, signed_head_bytes(&envelope),
                           0);
    answer.head = signed_head_bytes(&envelope);
    for (uint64_t above = 0; above < 2; above++) {
        const uint64_t refused = hq->node->counters.events_refused;

        hq->node->floor_seq = head.seq + above;
        /* as the answer to a want, and as an event that comes unasked */
        assert_int_equal(pull_head_good(hq->node, hq->node->own_feed, &answer, &found, &tiers),
                         above == 0);
        sync_on_event(hq->node, node_peer_make(hq->node, "fr"), mp_writer_bytes(&writer));
        assert_int_equal(hq->node->counters.events_refused, refused + above);
    }
    feed->replica.own = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_at_hq, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_at_a_chapter, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_the_last_epoch_of_all, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_a_former_key_proves_no_later_epoch, hq_new,
                                        hq_free),
        cmocka_unit_test_setup_teardown(test_a_beat_of_an_epoch_too_far, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_below_the_floor, hq_new, hq_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
