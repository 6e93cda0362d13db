/* SPDX-License-Identifier: MPL-2.0 */
/* approve_test.c - whom HQ does not take in: keys that somebody has, chapters that are there or
 * shut out, also where the operator approved. */
#include "tests/store/enrol_fixture.h"

static struct token invite_as(struct hq *hq, const char *code, struct invite_terms terms)
{
    char text[TOKEN_SIZE_MAX];
    const char *reason = "";
    uint64_t expires = 0;
    struct token token;

    terms.ttl_s = HOUR_S;
    monotonic_ms += SIGN_WAIT_MS; /* HQ may sign, whoever else there is */
    assert_ok(enrol_invite(hq->node, code, NULL, NULL, &terms, text, &expires, &reason));
    assert_ok(node_turn(hq->node, 0));
    assert_ok(token_parse(slice_of_text(text), &token, &reason));
    return token;
}

/* As `invite approve` does. */
static enum status approve(struct hq *hq, const struct token *token, const char **out_error)
{
    struct invitation invitation;
    uint8_t hash[HASH_SIZE];
    struct slice value;
    enum status status;

    token_secret_hash(token->secret, hash);
    assert_ok(store_get_invite(node_reading(hq->node), hash, &value));
    assert_ok(invitation_read(value, &invitation));
    status = enrol_approve(hq->node, hash, &invitation, out_error);
    assert_ok(node_turn(hq->node, 0));
    return status;
}

static void test_waits_for_approval(void **state)
{
    struct hq *hq = *state;
    const struct token token = invite_as(hq, "fr", (struct invite_terms){ .approve = true });
    const struct asker fr = asker_new(&token);
    const struct asker thief = asker_new(&token);
    const char *error = "";

    assert_int_equal(ask(hq, &fr), ENROL_WAITING);
    assert_int_equal(ask(hq, &thief), ENROL_USED); /* bound to the first keys */
    assert_null(roster_find(hq->node, "fr"));
    assert_ok(approve(hq, &token, &error));
    assert_memory_equal(roster_find(hq->node, "fr")->entry.sign_key, fr.enrol.sign_key,
                        KEY_SIZE);
    assert_int_equal(ask(hq, &thief), ENROL_USED);
    assert_int_equal(ask(hq, &fr), ENROL_OK);
}

/* While it waited, another chapter was taken in with one of its keys. */
static void test_its_key_was_taken_since(void **state)
{
    struct hq *hq = *state;
    const struct token token = invite_as(hq, "fr", (struct invite_terms){ .approve = true });
    const struct token other = invite_as(hq, "lu", (struct invite_terms){ .approve = false });
    const struct asker fr = asker_new(&token);
    struct asker lu = asker_new(&other);
    const char *error = "";

    assert_int_equal(ask(hq, &fr), ENROL_WAITING);
    lu.identity.sign = fr.identity.sign;
    memcpy(lu.enrol.sign_key, fr.enrol.sign_key, KEY_SIZE);
    asker_pack(&lu);
    assert_int_equal(ask(hq, &lu), ENROL_OK);
    assert_status(approve(hq, &token, &error), EXISTS);
    assert_non_null(strstr(error, "one of these keys"));
    assert_null(roster_find(hq->node, "fr"));
}

/* While it waited, its chapter was taken in by another invitation. */
static void test_its_chapter_is_there_since(void **state)
{
    struct hq *hq = *state;
    const struct token token = invite_as(hq, "fr", (struct invite_terms){ .approve = true });
    const struct token other = invite_as(hq, "fr", (struct invite_terms){ .approve = false });
    const struct asker late = asker_new(&token);
    const struct asker fr = asker_new(&other);
    const char *error = "";

    assert_int_equal(ask(hq, &late), ENROL_WAITING);
    assert_int_equal(ask(hq, &fr), ENROL_OK);
    assert_status(approve(hq, &token, &error), EXISTS);
    assert_non_null(strstr(error, "in the roster already"));
    assert_memory_equal(roster_find(hq->node, "fr")->entry.sign_key, fr.enrol.sign_key,
                        KEY_SIZE);
}

static void test_no_key_of_others(void **state)
{
    struct hq *hq = *state;
    const struct token token = invite_as(hq, "fr", (struct invite_terms){ .approve = false });
    const struct token other = invite_as(hq, "lu", (struct invite_terms){ .approve = false });
    const struct asker fr = asker_new(&token);
    struct asker lu = asker_new(&other);

    assert_int_equal(ask(hq, &fr), ENROL_OK);
    memcpy(lu.enrol.curve_key, fr.enrol.curve_key, KEY_SIZE);
    memcpy(lu.link_key, fr.enrol.curve_key, KEY_SIZE);
    asker_pack(&lu);
    assert_true(ask(hq, &lu) != ENROL_OK);
    assert_null(roster_find(hq->node, "lu"));
}

/* Invited before it was shut out: that token opens nothing. */
static void test_shut_out(void **state)
{
    struct hq *hq = *state;
    const struct token first = invite_as(hq, "fr", (struct invite_terms){ .approve = false });
    const struct asker fr = asker_new(&first);
    struct token rekey;
    struct asker again;
    const char *error;

    assert_int_equal(ask(hq, &fr), ENROL_OK);
    rekey = invite_as(hq, "fr", (struct invite_terms){ .rekey = true });
    assert_ok(standing_change(hq->node, "fr", CHAPTER_SUSPENDED, &error));
    assert_ok(node_turn(hq->node, 0));
    again = asker_new(&rekey);
    assert_true(ask(hq, &again) != ENROL_OK);
    assert_memory_equal(roster_find(hq->node, "fr")->entry.sign_key, fr.enrol.sign_key,
                        KEY_SIZE);
}

/* A new place needs two new keys: whoever had the old ones is shut out. */
static void test_both_keys_are_replaced(void **state)
{
    struct hq *hq = *state;
    const struct token first = invite_as(hq, "fr", (struct invite_terms){ .approve = false });
    const struct asker fr = asker_new(&first);
    struct token rekey;
    struct asker half;
    struct asker whole;

    assert_int_equal(ask(hq, &fr), ENROL_OK);
    rekey = invite_as(hq, "fr", (struct invite_terms){ .rekey = true });
    half = asker_new(&rekey);
    half.identity.sign = fr.identity.sign;
    memcpy(half.enrol.sign_key, fr.enrol.sign_key, KEY_SIZE);
    asker_pack(&half);
    assert_true(ask(hq, &half) != ENROL_OK);
    assert_memory_equal(roster_find(hq->node, "fr")->entry.curve_key, fr.enrol.curve_key,
                        KEY_SIZE);
    whole = asker_new(&rekey);
    assert_int_equal(ask(hq, &whole), ENROL_OK);
    assert_memory_equal(roster_find(hq->node, "fr")->entry.sign_key, whole.enrol.sign_key,
                        KEY_SIZE);
    assert_int_equal(ask(hq, &fr), ENROL_UNKNOWN);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, hq_new, hq_free)
    const struct CMUnitTest tests[] = {
        TEST(test_waits_for_approval),
        TEST(test_its_key_was_taken_since),
        TEST(test_its_chapter_is_there_since),
        TEST(test_no_key_of_others),
        TEST(test_shut_out),
        TEST(test_both_keys_are_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
