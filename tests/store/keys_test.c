/* SPDX-License-Identifier: MPL-2.0 */
/* keys_test.c - whose word changes a signing key, and whose does not. */
#include "daemon/recovery.h"
#include "daemon/replication.h"
#include "daemon/write.h"
#include "tests/store/node_fixture.h"

#include "daemon/io/fault.h"
#include "daemon/keys.h"

#include <sodium.h>

static bool failing; /* commits */

bool fault_at(const char *point)
{
    return failing && strcmp(point, "store.commit.before") == 0;
}

static struct sign_key fresh(void)
{
    struct sign_key key;

    identity_make_sign_key(&key);
    return key;
}

static void say_of(struct hq *hq, const uint8_t federation[HASH_SIZE], const char *sender,
                   const char *code, uint64_t until, const struct sign_key *by,
                   const struct sign_key *next)
{
    struct link link = { .peer = node_peer_make(hq->node, sender) };
    struct succession succession = { .until_epoch = until != 0, .until_seq = until };
    struct signed_succession envelope;
    uint8_t bytes[SUCCESSION_SIZE_MAX + 8];
    struct mp_writer writer;

    memcpy(succession.federation, federation, HASH_SIZE);
    (void)snprintf(succession.code, sizeof succession.code, "%s", code);
    succession_sign(&succession, by, next, &envelope);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_key(&writer, slice_of(envelope.bytes, envelope.size));
    keys_on_message(hq->node, &link, mp_writer_bytes(&writer));
    assert_ok(node_turn(hq->node, 0));
}

static void say_from(struct hq *hq, const char *sender, const char *code, uint64_t until,
                     const struct sign_key *by, const struct sign_key *next)
{
    say_of(hq, hq->node->federation, sender, code, until, by, next);
}

static void assert_key_at(const struct hq *hq, uint64_t seq, const struct sign_key *expected)
{
    assert_memory_equal(keys_of_hq(hq->node, 1, seq), expected->public_key, KEY_SIZE);
}

/* As a chapter's node hears of HQ's keys. */
static void test_the_chain_of_hq(void **state)
{
    struct hq *hq = *state;
    const struct sign_key first = hq->node->identity.sign;
    const struct sign_key second = fresh();
    const struct sign_key third = fresh();
    const struct sign_key thief = fresh();
    const struct sign_key recovery = fresh();
    const struct sign_key rescued = fresh();
    struct store_txn txn;

    hq->node->is_hq = false;
    memcpy(hq->node->genesis.recovery_key, recovery.public_key, KEY_SIZE);
    say_from(hq, "fr", "hq", 10, &thief, &second); /* anybody's word is nothing */
    assert_int_equal(hq->node->keys->count, 0);
    say_from(hq, "fr", "hq", 10, &first, &second); /* whoever brings it */
    assert_int_equal(hq->node->keys->count, 1);
    say_from(hq, "lu", "hq", 10, &first, &second); /* known */
    say_from(hq, "lu", "hq", 20, &first, &thief);  /* the first key's word ended */
    say_from(hq, "lu", "hq", 10, &second, &third); /* at the same head */
    say_from(hq, "lu", "hq", 9, &second, &third);
    assert_int_equal(hq->node->keys->count, 1);
    say_from(hq, "lu", "hq", 30, &second, &third);
    assert_int_equal(hq->node->keys->count, 2);
    assert_key_at(hq, 10, &first);
    assert_key_at(hq, 11, &second);
    assert_key_at(hq, 30, &second);
    assert_key_at(hq, 31, &third);
    /* A thief had the second key, and changed it: the recovery key's word replaces his. */
    say_from(hq, "lu", "hq", 25, &recovery, &rescued);
    assert_int_equal(hq->node->keys->count, 2);
    assert_key_at(hq, 25, &second);
    assert_key_at(hq, 26, &rescued);
    say_from(hq, "lu", "hq", 20, &recovery, &thief); /* its first word stands */
    assert_key_at(hq, 26, &rescued);
    say_from(hq, "lu", "hq", 40, &third, &thief);
    say_from(hq, "lu", "hq", 40, &second, &thief);
    assert_key_at(hq, 100, &rescued);
    /* and it is what is found again */
    assert_ok(store_begin_read(hq->node->store, &txn));
    assert_ok(keys_load(hq->node, &txn));
    store_abort(&txn);
    assert_int_equal(hq->node->keys->count, 2);
    assert_key_at(hq, 26, &rescued);
    hq->node->is_hq = true;
}

/* Of another federation, or to HQ itself: even the right key's word is nothing. */
static void test_not_for_this_node(void **state)
{
    struct hq *hq = *state;
    const struct sign_key first = hq->node->identity.sign;
    const struct sign_key second = fresh();
    const uint8_t elsewhere[HASH_SIZE] = { 1 };

    say_from(hq, "fr", "hq", 10, &first, &second);
    assert_int_equal(hq->node->keys->count, 0);
    hq->node->is_hq = false;
    say_of(hq, elsewhere, "fr", "hq", 10, &first, &second);
    assert_int_equal(hq->node->keys->count, 0);
    say_from(hq, "fr", "hq", 10, &first, &second);
    assert_int_equal(hq->node->keys->count, 1);
    hq->node->is_hq = true;
}

static void test_who_may_rotate(void **state)
{
    struct hq *hq = *state;
    const struct sign_key recovery = fresh();
    const struct sign_key other = fresh();
    const char *error = "";

    put_many(hq, 1, NULL);
    memcpy(hq->node->genesis.recovery_key, recovery.public_key, KEY_SIZE);
    assert_status(keys_rotate(hq->node, &other, &error), REFUSED);
    assert_non_null(strstr(error, "not the recovery key"));
    hq->node->is_hq = false;
    assert_status(keys_rotate(hq->node, &recovery, &error), REFUSED);
    assert_non_null(strstr(error, "only HQ"));
    hq->node->is_hq = true;
    assert_int_equal(hq->node->keys->count, 0);
    assert_ok(keys_rotate(hq->node, &recovery, &error));
    assert_status(keys_rotate(hq->node, &recovery, &error), AGAIN); /* in this turn */
    assert_int_equal(hq->node->keys->count, 1);
    turns(hq, 1);
}

static void enrol_fr(struct hq *hq, const struct sign_key *key)
{
    struct roster_entry entry = { .code = "fr", .name = "fr", .epoch = 1, .instance = 1 };

    memcpy(entry.sign_key, key->public_key, KEY_SIZE);
    randombytes_buf(entry.curve_key, KEY_SIZE);
    assert_ok(write_roster(hq->node, &entry));
    turns(hq, 1);
}

static const struct roster_entry *entry_of_fr(const struct hq *hq)
{
    return &roster_find(hq->node, "fr")->entry;
}

static void test_a_chapter_at_hq(void **state)
{
    struct hq *hq = *state;
    const struct sign_key old = fresh();
    const struct sign_key next = fresh();
    const struct sign_key thief = fresh();

    monotonic_ms += SIGN_WAIT_MS;
    enrol_fr(hq, &old);
    monotonic_ms += SIGN_WAIT_MS;
    say_from(hq, "fr", "fr", 0, &thief, &thief);
    say_from(hq, "lu", "fr", 0, &old, &next);                    /* not its own link */
    say_from(hq, "fr", "fr", 0, &old, &hq->node->identity.sign); /* HQ's own key */
    assert_memory_equal(entry_of_fr(hq)->sign_key, old.public_key, KEY_SIZE);
    say_from(hq, "fr", "fr", 0, &old, &next);
    assert_memory_equal(entry_of_fr(hq)->sign_key, next.public_key, KEY_SIZE);
    assert_memory_equal(entry_of_fr(hq)->former_key, old.public_key, KEY_SIZE);
    say_from(hq, "fr", "fr", 0, &old, &thief); /* its word ended */
    assert_memory_equal(entry_of_fr(hq)->sign_key, next.public_key, KEY_SIZE);
    say_from(hq, "fr", "fr", 0, &next, &old); /* no way back */
    assert_memory_equal(entry_of_fr(hq)->sign_key, next.public_key, KEY_SIZE);
}

/* A signature of the former key counts up to the head that the roster names. */
static void test_the_former_key_ends(void **state)
{
    struct hq *hq = *state;
    const struct sign_key old = fresh();
    const struct sign_key next = fresh();
    struct head head = { .origin = "fr", .epoch = 1, .instance = 1, .seq = 5, .prev_seq = 4 };
    struct roster_entry entry;
    struct signed_head by_old;
    struct signed_head by_next;

    monotonic_ms += SIGN_WAIT_MS;
    enrol_fr(hq, &next);
    entry = *entry_of_fr(hq);
    memcpy(entry.former_key, old.public_key, KEY_SIZE);
    head_sign(&head, &old, &by_old);
    head_sign(&head, &next, &by_next);
    for (uint64_t until = 0; until < 8; until++) {
        entry.former_epoch = 1;
        entry.former_seq = until;
        roster_amend(hq->node, &entry);
        assert_true(
            roster_signed(hq->node, "fr", 1, 5, signed_head_bytes(&by_next), head_verify));
        assert_int_equal(
            roster_signed(hq->node, "fr", 1, 5, signed_head_bytes(&by_old), head_verify),
            until == 0 || until >= 5);
    }
}

/* What a closed epoch's former key has signed stays provable for one more epoch, no longer. */
static void test_the_former_key_of_a_closed_epoch(void **state)
{
    struct hq *hq = *state;
    const struct sign_key old = fresh();
    const struct sign_key next = fresh();
    struct head head = { .origin = "fr", .epoch = 1, .instance = 1, .seq = 5, .prev_seq = 4 };
    struct signed_head by_old;

    monotonic_ms += SIGN_WAIT_MS;
    enrol_fr(hq, &next);
    head_sign(&head, &old, &by_old);
    for (uint64_t until = 0; until < 8; until++) {
        struct roster_entry entry = *entry_of_fr(hq);

        entry.epoch = 1;
        memcpy(entry.former_key, old.public_key, KEY_SIZE);
        entry.former_epoch = 1;
        entry.former_seq = until;
        epoch_close(hq->node, &entry, 2);
        assert_int_equal(entry.epoch, 2);
        roster_amend(hq->node, &entry);
        assert_int_equal(
            roster_signed(hq->node, "fr", 1, 5, signed_head_bytes(&by_old), head_verify),
            until == 0 || until >= 5);
        head.epoch = 2;
        head_sign(&head, &old, &by_old);
        assert_false(
            roster_signed(hq->node, "fr", 2, 5, signed_head_bytes(&by_old), head_verify));
        head.epoch = 1;
        head_sign(&head, &old, &by_old);
        epoch_close(hq->node, &entry, 3);
        roster_amend(hq->node, &entry);
        assert_false(
            roster_signed(hq->node, "fr", 1, 5, signed_head_bytes(&by_old), head_verify));
    }
}

/* Stopped when the chain was stored and the key file was not moved yet: it is, then. */
static void test_stopped_in_between(void **state)
{
    struct hq *hq = *state;
    struct sign_key next;
    struct sign_key none;
    const char *error = "";

    put_many(hq, 1, NULL);
    assert_ok(keys_rotate(hq->node, NULL, &error));
    next = hq->node->keys->next;
    /* what the turn stores, without what it does then */
    assert_ok(store_commit_turn(&hq->node->txn));
    node_close(&hq->node);
    fake_clear();
    hq_start(hq);
    monotonic_ms += SIGN_WAIT_MS;
    turns(hq, 3);
    assert_memory_equal(hq->node->identity.sign.public_key, next.public_key, KEY_SIZE);
    assert_status(identity_load_next(hq->place->dir, &none), NOT_FOUND);
    assert_memory_equal(roster_find(hq->node, "hq")->entry.sign_key, next.public_key, KEY_SIZE);
    put_many(hq, 1, NULL);
}

/* Stopped before the chain was stored: the key that is in force was not moved away. */
static void test_stopped_before(void **state)
{
    struct hq *hq = *state;
    const struct sign_key first = hq->node->identity.sign;
    enum status status = OK;
    struct identity kept;

    put_many(hq, 1, NULL);
    ask(hq, "keys.rotate", NULL, NULL, NULL, NULL);
    failing = true;
    for (int i = 0; i < 10 && status == OK; i++)
        status = node_turn(hq->node, 0);
    failing = false;
    assert_status(status, IO);
    node_close(&hq->node);
    fake_clear();
    assert_ok(identity_load(hq->place->dir, &kept));
    assert_memory_equal(kept.sign.public_key, first.public_key, KEY_SIZE);
    identity_wipe(&kept);
    hq_start(hq);
    monotonic_ms += SIGN_WAIT_MS;
    put_many(hq, 1, NULL);
}

static void test_recovery_key_on_paper(void **state)
{
    struct sign_key key = fresh();
    struct sign_key back;
    char text[128];

    (void)state;
    identity_format_recovery(&key, text);
    assert_ok(identity_parse_recovery(text, &back));
    assert_memory_equal(back.public_key, key.public_key, KEY_SIZE);
    for (size_t i = strlen("recovery1-"); text[i] != '\0'; i++) {
        const char was = text[i];

        if (was == '-')
            continue;
        text[i] = was == '0' ? '1' : '0';
        assert_status(identity_parse_recovery(text, &back), INVALID);
        text[i] = was;
    }
    text[strlen(text) - 1] = '\0';
    assert_status(identity_parse_recovery(text, &back), INVALID);
}

/* The roster that came in this very turn is not read yet, nor are the keys that it names. */
static void test_keys_of_a_roster_that_is_not_read(void **state)
{
    struct hq *hq = *state;
    struct node *node = hq->node;
    const struct feed_mark *roster =
        &node->feeds[node_feed_index(node, "hq")]->replica.feed.tier[TIER_FEDERATION];
    const struct sign_key key = fresh();
    struct roster_entry entry = { .code = "fr", .name = "fr", .epoch = 1, .instance = 1 };
    struct head head = { .origin = "fr", .epoch = 1, .instance = 1, .seq = 1 };

    monotonic_ms += SIGN_WAIT_MS;
    memcpy(entry.sign_key, key.public_key, KEY_SIZE);
    randombytes_buf(entry.curve_key, KEY_SIZE);
    assert_ok(write_roster(node, &entry));
    assert_ok(write_seal(node));
    head.roster_epoch = roster->epoch;
    head.roster_seq = roster->seq;
    assert_null(roster_find(node, "fr"));
    assert_true(sync_roster_is_older(node, &head));
    turns(hq, 1);
    assert_non_null(roster_find(node, "fr"));
    assert_false(sync_roster_is_older(node, &head));
    head.roster_seq++;
    assert_true(sync_roster_is_older(node, &head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_chain_of_hq, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_not_for_this_node, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_who_may_rotate, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_a_chapter_at_hq, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_the_former_key_ends, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_the_former_key_of_a_closed_epoch, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_keys_of_a_roster_that_is_not_read, hq_new,
                                        hq_free),
        cmocka_unit_test_setup_teardown(test_stopped_in_between, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_stopped_before, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_recovery_key_on_paper, hq_new, hq_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
