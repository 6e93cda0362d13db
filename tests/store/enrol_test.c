/* SPDX-License-Identifier: MPL-2.0 */
/* enrol_test.c - HQ's side of joining. */
#include "daemon/replication.h"
#include "daemon/write.h"
#include "tests/store/enrol_fixture.h"

/* --- tests -------------------------------------------------------------------------------- */

static void test_what_can_be_invited(void **state)
{
    static const struct {
        const char *code, *name, *country;
        uint64_t ttl_s;
        enum status expected;
    } cases[] = {
        { "fr", NULL, NULL, 0, OK },
        { "qc", "Québec", "CA", 60, OK },
        { "a23456789012345", "x", "", 0, OK },
        { "a234567890123456", "x", "", 0, INVALID },
        { "", NULL, NULL, 0, INVALID },
        { "Fr", NULL, NULL, 0, INVALID },
        { "1a", NULL, NULL, 0, INVALID },
        { "hq", NULL, NULL, 0, INVALID },
        { "lu", "two\nlines", NULL, 0, INVALID },
        { "lu", "turned \xe2\x80\xae round", NULL, 0, INVALID },
        { "lu", "\xff", NULL, 0, INVALID },
        { "lu", NULL, "fr", 0, INVALID },
        { "lu", NULL, "ZZ", 0, INVALID },
        { "lu", NULL, NULL, 367 * 24 * HOUR_S, INVALID },
    };
    struct hq *hq = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[TOKEN_SIZE_MAX];
        const char *error = NULL;
        uint64_t expires;

        assert_status(enrol_invite(hq->node, cases[i].code, cases[i].name, cases[i].country,
                                   &(struct invite_terms){ .ttl_s = cases[i].ttl_s }, text,
                                   &expires, &error),
                      cases[i].expected);
        assert_int_equal(error == NULL, cases[i].expected == OK);
    }
    assert_ok(node_turn(hq->node, 0));
}

static void test_a_chapter_is_taken_in_once(void **state)
{
    struct hq *hq = *state;
    struct token token;
    struct asker fr;
    struct asker other;
    uint64_t seq;
    char text[TOKEN_SIZE_MAX];
    const char *error;

    assert_false(enrol_open(hq->node));
    token = invite(hq, "fr", HOUR_S);
    assert_true(enrol_open(hq->node));
    assert_string_equal(token.address[0], "hq.example:7440");
    fr = asker_new(&token);
    other = asker_new(&token);
    memcpy(fr.enrol.address, "fr.example:7440", 16);
    asker_pack(&fr);
    assert_int_equal(ask(hq, &fr), ENROL_OK);
    assert_false(enrol_open(hq->node));
    seq = roster_seq(hq);
    assert_int_equal(fake.last.roster_seq, seq);
    assert_true(seq > token.roster_seq);
    assert_non_null(roster_find(hq->node, "fr"));
    assert_string_equal(roster_find(hq->node, "fr")->entry.address, "fr.example:7440");
    assert_true(roster_admit(hq->node, PORT_XPUB, fr.link_key));
    /* a lost answer: the same keys get it again, also after the token expired */
    wall_ms += 2 * HOUR_S * 1000LL;
    assert_int_equal(ask(hq, &fr), ENROL_OK);
    assert_int_equal(roster_seq(hq), seq);
    log_set_level(LOG_ERROR);
    assert_int_equal(ask(hq, &other), ENROL_USED);
    assert_int_equal(roster_seq(hq), seq);
    assert_memory_equal(roster_find(hq->node, "fr")->entry.curve_key, fr.link_key, KEY_SIZE);
    assert_status(enrol_invite(hq->node, "fr", NULL, NULL, &(struct invite_terms){ 0 }, text,
                               &seq, &error),
                  EXISTS);
}

/* A token of keys that were replaced, or of a chapter that was shut out, opens nothing. */
static void test_a_token_is_not_replayed(void **state)
{
    struct hq *hq = *state;
    const struct token token = invite(hq, "fr", HOUR_S);
    struct asker fr = asker_new(&token);
    struct roster_entry entry;
    const char *error;
    uint64_t seq;

    assert_int_equal(ask(hq, &fr), ENROL_OK);
    entry = roster_find(hq->node, "fr")->entry;
    memset(entry.sign_key, 7, KEY_SIZE);
    assert_ok(write_roster(hq->node, &entry));
    assert_ok(node_turn(hq->node, 0));
    seq = roster_seq(hq);
    memcpy(fr.enrol.address, "thief.example:1", 16); /* must not move the chapter */
    asker_pack(&fr);
    assert_int_equal(ask(hq, &fr), ENROL_UNKNOWN);
    assert_int_equal(roster_seq(hq), seq);
    memcpy(entry.sign_key, fr.enrol.sign_key, KEY_SIZE);
    assert_ok(write_roster(hq->node, &entry));
    assert_ok(node_turn(hq->node, 0));
    assert_int_equal(ask(hq, &fr), ENROL_OK);
    assert_ok(standing_change(hq->node, "fr", CHAPTER_REVOKED, &error));
    assert_ok(node_turn(hq->node, 0));
    assert_int_equal(ask(hq, &fr), ENROL_UNKNOWN);
}

static size_t invitations(struct hq *hq)
{
    struct store_txn *txn = node_reading(hq->node);
    uint8_t hash[HASH_SIZE];
    struct slice value;
    size_t count = 0;
    enum status status = store_next_invite(txn, NULL, hash, &value);

    for (; status == OK; count++)
        status = store_next_invite(txn, hash, hash, &value);
    assert_int_equal(status, NOT_FOUND);
    return count;
}

static void test_expired_ones_are_forgotten(void **state)
{
    struct hq *hq = *state;
    const struct token token = invite(hq, "fr", HOUR_S);

    invite(hq, "lu", 60 * 24 * HOUR_S);
    assert_int_equal(invitations(hq), 2);
    wall_ms += 29 * 24 * HOUR_S * 1000LL;
    assert_ok(invitation_sweep(hq->node));
    assert_ok(node_turn(hq->node, 0));
    assert_int_equal(invitations(hq), 2);
    {
        struct asker fr = asker_new(&token);

        assert_int_equal(ask(hq, &fr), ENROL_EXPIRED);
    }
    wall_ms += 3 * 24 * HOUR_S * 1000LL;
    assert_ok(invitation_sweep(hq->node));
    assert_ok(node_turn(hq->node, 0));
    assert_int_equal(invitations(hq), 1);
}

static void test_what_is_refused(void **state)
{
    struct hq *hq = *state;
    const struct token token = invite(hq, "fr", HOUR_S);
    const uint64_t seq = roster_seq(hq);
    struct asker asker = asker_new(&token);

    asker.enrol.secret[3] ^= 1;
    asker_pack(&asker);
    assert_int_equal(ask(hq, &asker), ENROL_UNKNOWN);

    asker = asker_new(&token);
    memcpy(asker.enrol.code, "lu", 3);
    asker_pack(&asker);
    assert_int_equal(ask(hq, &asker), ENROL_UNKNOWN);

    asker = asker_new(&token); /* somebody else's key in the message */
    asker.link_key[0] ^= 1;
    assert_int_equal(ask(hq, &asker), ENROL_MALFORMED);

    asker = asker_new(&token); /* not signed by the key that it names */
    asker.enrol.sign_key[0] ^= 1;
    asker_pack(&asker);
    assert_int_equal(ask(hq, &asker), ENROL_MALFORMED);

    asker = asker_new(&token);
    memcpy(asker.enrol.address, "fr.example", 11);
    asker_pack(&asker);
    assert_int_equal(ask(hq, &asker), ENROL_MALFORMED);

    asker = asker_new(&token);
    asker.enrol.version = PROTOCOL_VERSION + 1;
    asker_pack(&asker);
    assert_int_equal(ask(hq, &asker), ENROL_MALFORMED);

    asker = asker_new(&token);
    asker.size = sizeof asker.bytes;
    assert_int_equal(ask(hq, &asker), ENROL_MALFORMED);

    asker = asker_new(&token); /* HQ's own key is HQ's */
    asker.identity = hq->node->identity;
    memcpy(asker.enrol.sign_key, asker.identity.sign.public_key, KEY_SIZE);
    asker_pack(&asker);
    assert_int_equal(ask(hq, &asker), ENROL_MALFORMED);

    asker = asker_new(&token);
    wall_ms += HOUR_S * 1000LL;
    assert_false(enrol_open(hq->node));
    assert_int_equal(ask(hq, &asker), ENROL_EXPIRED);
    assert_int_equal(roster_seq(hq), seq);
}

static void test_two_tokens_for_one_chapter(void **state)
{
    struct hq *hq = *state;
    const struct token first = invite(hq, "fr", HOUR_S);
    const struct token second = invite(hq, "fr", HOUR_S);
    struct asker fr = asker_new(&first);
    struct asker other = asker_new(&second);
    uint64_t seq;

    assert_int_equal(ask(hq, &fr), ENROL_OK);
    assert_true(enrol_open(hq->node));
    seq = roster_seq(hq);
    assert_int_equal(ask(hq, &other), ENROL_USED);
    memcpy(fr.enrol.secret, second.secret, TOKEN_SECRET_SIZE);
    asker_pack(&fr);
    assert_int_equal(ask(hq, &fr), ENROL_OK);
    assert_int_equal(roster_seq(hq), seq);
    assert_false(enrol_open(hq->node));
}

static void test_one_key_is_one_chapter(void **state)
{
    struct hq *hq = *state;
    const struct token first = invite(hq, "fr", HOUR_S);
    const struct token second = invite(hq, "lu", HOUR_S);
    struct asker asker = asker_new(&first);

    assert_int_equal(ask(hq, &asker), ENROL_OK);
    memcpy(asker.enrol.secret, second.secret, TOKEN_SECRET_SIZE);
    memcpy(asker.enrol.code, "lu", 3);
    asker_pack(&asker);
    assert_int_equal(ask(hq, &asker), ENROL_MALFORMED);
    assert_null(roster_find(hq->node, "lu"));
}

static void test_a_new_address(void **state)
{
    struct hq *hq = *state;
    const struct token token = invite(hq, "fr", HOUR_S);
    struct asker fr = asker_new(&token);
    uint64_t seq;

    assert_int_equal(ask(hq, &fr), ENROL_OK);
    seq = roster_seq(hq);
    memcpy(fr.enrol.address, "fr.example:1", 13);
    asker_pack(&fr);
    assert_int_equal(ask(hq, &fr), ENROL_OK);
    assert_int_equal(roster_seq(hq), seq + 1);
    assert_string_equal(roster_find(hq->node, "fr")->entry.address, "fr.example:1");
    assert_memory_equal(roster_find(hq->node, "fr")->entry.sign_key, fr.enrol.sign_key,
                        KEY_SIZE);
}

static void assert_limits(const struct hq *hq, const char *code, uint64_t records_max,
                          uint64_t bytes_max)
{
    const struct roster_node *place = roster_find(hq->node, code);

    assert_non_null(place);
    assert_int_equal(place->entry.records_max, records_max);
    assert_int_equal(place->entry.bytes_max, bytes_max);
}

static void test_limits_of_the_feed(void **state)
{
    const struct invite_terms terms = { .records_max = 1000000, .bytes_max = 1ull << 31 };
    struct hq *hq = *state;
    const struct token usual = invite(hq, "fr", HOUR_S);
    struct asker asker = asker_new(&usual);
    char text[TOKEN_SIZE_MAX];
    const char *reason = "";
    uint64_t expires = 0;
    struct token token;

    assert_int_equal(ask(hq, &asker), ENROL_OK);
    assert_limits(hq, "fr", FEED_RECORDS_MAX_DEFAULT, FEED_BYTES_MAX_DEFAULT);
    assert_ok(enrol_invite(hq->node, "lu", NULL, NULL, &terms, text, &expires, &reason));
    assert_ok(node_turn(hq->node, 0));
    assert_ok(token_parse(slice_of_text(text), &token, &reason));
    asker = asker_new(&token);
    assert_int_equal(ask(hq, &asker), ENROL_OK);
    assert_limits(hq, "lu", 1000000, 1ull << 31);
}

/* As the first version of invitations stood in the store: without limits. */
static void test_an_older_invitation(void **state)
{
    struct hq *hq = *state;
    const struct token token = invite(hq, "fr", HOUR_S);
    struct asker asker = asker_new(&token);
    static const uint8_t none[KEY_SIZE] = { 0 };
    uint8_t hash[HASH_SIZE];
    uint8_t bytes[512];
    struct mp_writer writer;

    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_array(&writer, 8);
    mp_write_uint(&writer, 1);
    mp_write_text(&writer, "fr");
    mp_write_text(&writer, "France");
    mp_write_text(&writer, "FR");
    mp_write_uint(&writer, token.expires);
    mp_write_bool(&writer, false);
    mp_write_bin(&writer, none, KEY_SIZE);
    mp_write_bin(&writer, none, KEY_SIZE);
    token_secret_hash(token.secret, hash);
    assert_non_null(node_writing(hq->node));
    assert_ok(store_put_invite(&hq->node->txn, hash, mp_writer_bytes(&writer)));
    assert_ok(node_turn(hq->node, 0));
    assert_int_equal(ask(hq, &asker), ENROL_OK);
    assert_string_equal(roster_find(hq->node, "fr")->entry.name, "France");
    assert_limits(hq, "fr", FEED_RECORDS_MAX_DEFAULT, FEED_BYTES_MAX_DEFAULT);
}

static void test_rate(void **state)
{
    struct hq *hq = *state;
    const struct token token = invite(hq, "fr", HOUR_S);
    struct asker asker = asker_new(&token);

    asker.enrol.secret[0] ^= 1;
    asker_pack(&asker);
    monotonic_ms += 5000;
    for (int i = 0; i < 12; i++)
        ask_without_turn(hq, &asker);
    assert_ok(node_turn(hq->node, 0));
    assert_int_equal(fake.replies, 10);
    monotonic_ms += 1000;
    assert_int_equal(ask(hq, &asker), ENROL_UNKNOWN);
}

static void test_strangers_do_not_keep_the_invited_out(void **state)
{
    struct hq *hq = *state;
    const struct token token = invite(hq, "fr", HOUR_S);
    const struct asker fr = asker_new(&token);
    struct asker stranger = asker_new(&token);

    stranger.enrol.secret[0] ^= 1;
    asker_pack(&stranger);
    monotonic_ms += 5000;
    for (int i = 0; i < 200; i++)
        ask_without_turn(hq, &stranger);
    ask_without_turn(hq, &fr);
    assert_ok(node_turn(hq->node, 0));
    assert_int_equal(fake.last.result, ENROL_OK);
    /* nor does who was invited get more than his part */
    for (int i = 0; i < 200; i++)
        ask_without_turn(hq, &fr);
    assert_ok(node_turn(hq->node, 0));
    assert_int_equal(fake.replies, 10 + 100);
}

static void test_two_in_one_turn(void **state)
{
    struct hq *hq = *state;
    const struct token first = invite(hq, "fr", HOUR_S);
    const struct token second = invite(hq, "fr", HOUR_S);
    const struct asker fr = asker_new(&first);
    const struct asker other = asker_new(&second);

    ask_without_turn(hq, &fr);
    ask_without_turn(hq, &other);
    assert_ok(node_turn(hq->node, 0));
    assert_int_equal(fake.replies, 2);
    assert_int_equal(fake.last.result, ENROL_NOT_NOW);
    assert_memory_equal(roster_find(hq->node, "fr")->entry.curve_key, fr.link_key, KEY_SIZE);
    assert_int_equal(ask(hq, &other), ENROL_USED);
}

/* A chapter that has its place says it as often as any entry is put, and no more. */
static void test_an_address_is_not_changed_again_and_again(void **state)
{
    static const char *const addresses[] = { "fr.example:7440", "fr.example:7450" };
    struct hq *hq = *state;
    const struct token token = invite(hq, "fr", HOUR_S);
    struct asker fr = asker_new(&token);
    uint64_t seq;

    assert_int_equal(ask(hq, &fr), ENROL_OK);
    seq = roster_seq(hq);
    for (int i = 0; i < 100; i++) {
        memcpy(fr.enrol.address, addresses[i % 2], 16);
        asker_pack(&fr);
        (void)ask(hq, &fr);
    }
    assert_in_range(roster_seq(hq) - seq, 8, 20);
    monotonic_ms += 60000;
    memcpy(fr.enrol.address, "fr.example:7460", 16);
    asker_pack(&fr);
    assert_int_equal(ask(hq, &fr), ENROL_OK);
    assert_string_equal(roster_find(hq->node, "fr")->entry.address, "fr.example:7460");
}

static void say_as(struct hq *hq, const struct asker *sender, struct slice message)
{
    struct transport_message said = { .kind = TRANSPORT_PEER, .link = LINK, .data = message };

    memcpy(said.key, sender->link_key, KEY_SIZE);
    sync_on_peer(hq->node, &said);
}

/* Whoever has the former keys asks for an epoch in the turn in which they are replaced. */
static void test_former_keys_in_the_same_turn(void **state)
{
    struct hq *hq = *state;
    const struct token token = invite(hq, "fr", HOUR_S);
    const struct asker thief = asker_new(&token);
    const struct wire_epoch_request request = { .instance = 4711 };
    char text[TOKEN_SIZE_MAX];
    struct token rekey;
    struct asker fresh;
    uint8_t bytes[64];
    struct mp_writer writer;
    const char *reason = "";
    uint64_t expires;

    assert_int_equal(ask(hq, &thief), ENROL_OK);
    assert_ok(enrol_invite(hq->node, "fr", NULL, NULL, &(struct invite_terms){ .rekey = true },
                           text, &expires, &reason));
    assert_ok(node_turn(hq->node, 0));
    assert_ok(token_parse(slice_of_text(text), &rekey, &reason));
    fresh = asker_new(&rekey);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_epoch_request(&writer, &request);
    monotonic_ms += SIGN_WAIT_MS;
    ask_without_turn(hq, &fresh);
    say_as(hq, &thief, mp_writer_bytes(&writer));
    assert_ok(node_turn(hq->node, 0));
    assert_memory_equal(roster_find(hq->node, "fr")->entry.curve_key, fresh.link_key, KEY_SIZE);
    assert_int_equal(roster_find(hq->node, "fr")->entry.epoch, 2);
    assert_false(roster_admit(hq->node, PORT_ROUTER, thief.link_key));
    assert_int_equal(ask(hq, &fresh), ENROL_OK);
}

/* The other way round: no epoch is opened twice. */
static void test_new_keys_after_an_epoch_in_the_same_turn(void **state)
{
    struct hq *hq = *state;
    const struct token token = invite(hq, "fr", HOUR_S);
    const struct asker thief = asker_new(&token);
    const struct wire_epoch_request request = { .instance = 4711 };
    char text[TOKEN_SIZE_MAX];
    struct token rekey;
    struct asker fresh;
    uint8_t bytes[64];
    struct mp_writer writer;
    const char *reason = "";
    uint64_t expires;

    assert_int_equal(ask(hq, &thief), ENROL_OK);
    assert_ok(enrol_invite(hq->node, "fr", NULL, NULL, &(struct invite_terms){ .rekey = true },
                           text, &expires, &reason));
    assert_ok(node_turn(hq->node, 0));
    assert_ok(token_parse(slice_of_text(text), &rekey, &reason));
    fresh = asker_new(&rekey);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_epoch_request(&writer, &request);
    monotonic_ms += SIGN_WAIT_MS;
    say_as(hq, &thief, mp_writer_bytes(&writer));
    ask_without_turn(hq, &fresh);
    assert_ok(node_turn(hq->node, 0));
    assert_memory_equal(roster_find(hq->node, "fr")->entry.curve_key, fresh.link_key, KEY_SIZE);
    assert_int_equal(roster_find(hq->node, "fr")->entry.epoch, 3);
}

/* The place is looked up for each message: a connection that is not cut yet serves nobody. */
static void test_who_lost_the_place_is_not_heard(void **state)
{
    static const enum chapter_state states[] = { CHAPTER_SUSPENDED, CHAPTER_ENROLLED,
                                                 CHAPTER_REVOKED };
    struct hq *hq = *state;
    const struct token token = invite(hq, "fr", HOUR_S);
    const struct asker fr = asker_new(&token);
    uint8_t bytes[64];
    struct mp_writer writer;
    const char *error = "";

    assert_int_equal(ask(hq, &fr), ENROL_OK);
    monotonic_ms += SIGN_WAIT_MS;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        const struct wire_epoch_request request = { .instance = 4711 + i };
        const uint64_t epoch = roster_find(hq->node, "fr")->entry.epoch;
        const uint64_t refused = hq->node->counters.peers_refused;
        const bool heard = states[i] == CHAPTER_ENROLLED;

        assert_ok(standing_change(hq->node, "fr", states[i], &error));
        mp_writer_init(&writer, bytes, sizeof bytes);
        wire_write_epoch_request(&writer, &request);
        say_as(hq, &fr, mp_writer_bytes(&writer)); /* in the same turn */
        assert_int_equal(hq->node->counters.peers_refused, refused + !heard);
        assert_ok(node_turn(hq->node, 0));
        say_as(hq, &fr, mp_writer_bytes(&writer)); /* and afterwards */
        assert_int_equal(hq->node->counters.peers_refused, refused + 2 * !heard);
        assert_ok(node_turn(hq->node, 0));
        assert_int_equal(roster_find(hq->node, "fr")->entry.epoch, epoch + heard);
    }
}

static void test_after_a_restart(void **state)
{
    struct hq *hq = *state;
    const struct token first = invite(hq, "fr", HOUR_S);
    const struct token second = invite(hq, "lu", HOUR_S);
    const struct asker fr = asker_new(&first);
    const struct asker lu = asker_new(&second);

    assert_int_equal(ask(hq, &fr), ENROL_OK);
    node_close(&hq->node);
    start(hq);
    assert_true(enrol_open(hq->node));
    assert_int_equal(ask(hq, &fr), ENROL_OK);
    /* HQ signs nothing before it heard from a peer, or waited long enough */
    assert_int_equal(ask(hq, &lu), ENROL_NOT_NOW);
    monotonic_ms += SIGN_WAIT_MS;
    assert_int_equal(ask(hq, &lu), ENROL_OK);
    assert_false(enrol_open(hq->node));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_can_be_invited, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_a_chapter_is_taken_in_once, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_what_is_refused, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_a_token_is_not_replayed, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_expired_ones_are_forgotten, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_two_tokens_for_one_chapter, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_one_key_is_one_chapter, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_a_new_address, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_limits_of_the_feed, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_an_older_invitation, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_rate, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_strangers_do_not_keep_the_invited_out, hq_new,
                                        hq_free),
        cmocka_unit_test_setup_teardown(test_two_in_one_turn, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_an_address_is_not_changed_again_and_again, hq_new,
                                        hq_free),
        cmocka_unit_test_setup_teardown(test_former_keys_in_the_same_turn, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_new_keys_after_an_epoch_in_the_same_turn, hq_new,
                                        hq_free),
        cmocka_unit_test_setup_teardown(test_who_lost_the_place_is_not_heard, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_after_a_restart, hq_new, hq_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
