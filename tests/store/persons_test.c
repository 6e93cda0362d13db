/* SPDX-License-Identifier: MPL-2.0 */
/* persons_test.c - HQ counts distinct persons: with each change, and soon after a turn of very
 * many. */
#include "tests/store/node_fixture.h"

/* One address in any case and any form of Unicode is one person's. */
static void test_persons(void **state)
{
    static const struct {
        const char *email;
        uint64_t persons;
    } rows[] = {
        { "ann@x.org", 1 },
        { "Ann@X.ORG", 1 },
        { "ann@x.com", 2 },
        { "\xc3\xa9ve@x.org", 3 },
        { "\xc3\x89VE@x.org", 3 },
        { "E\xcc\x81ve@x.org", 3 },
        { "ann\xc3\xa9@x.org", 4 },
        { NULL, 5 },
        { NULL, 6 },
    };
    struct hq *hq = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct member member = { .email = rows[i].email, .name = "Somebody" };

        put_members(hq, &member, 1);
        assert_int_equal(uint_of(ask_ok(hq, "counts", NULL, NULL, NULL, NULL), "persons"),
                         rows[i].persons);
    }
}

/* A turn of members of whom two and two have the same address; most are stated later. */
enum { MANY = 4000, PERSONS = MANY / 2 };
_Static_assert(MANY > PERSONS_TURN_MAX + PERSONS_SLICE, "two slices, and what the turn states");

static void ask_many_of_few(struct hq *hq)
{
    struct member *members = calloc(MANY, sizeof *members);
    char(*emails)[32] = calloc(MANY, sizeof *emails);

    assert_non_null(members);
    assert_non_null(emails);
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(emails[i], sizeof emails[i], "%zu@x.org", i / 2);
        members[i] = (struct member){ .email = emails[i], .name = "Somebody" };
    }
    (void)ask_put(hq, members, MANY);
    free(emails);
    free(members);
}

static void put_many_of_few(struct hq *hq)
{
    ask_many_of_few(hq);
    turns(hq, 1);
}

static void test_very_many_are_stated_later(void **state)
{
    struct hq *hq = *state;
    struct reply reply;
    uint64_t id;

    put_many_of_few(hq);
    assert_true(hq->node->persons_due);
    id = ask(hq, "counts", NULL, NULL, NULL, NULL);
    turns(hq, 1);
    assert_false(reply_to(id, &reply)); /* it waits for them */
    reply = answer_to(hq, id);
    assert_false(hq->node->persons_due);
    assert_int_equal(uint_of(reply.result, "persons"), PERSONS);
}

static void test_counts_do_not_wait_for_ever(void **state)
{
    struct hq *hq = *state;
    struct reply reply;
    uint64_t id;

    put_many_of_few(hq);
    id = ask(hq, "counts", NULL, NULL, NULL, NULL);
    turns(hq, 1);
    assert_true(hq->node->persons_due);
    monotonic_ms += PERSONS_WAIT_MS;
    reply = answer_to(hq, id);
    assert_int_equal(uint_of(reply.result, "memberships"), MANY);
    assert_int_equal(mp_map_get(reply.result, "persons").data[0], 0xc0);
}

static uint64_t stored_persons(struct hq *hq)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    uint64_t count = 0;

    assert_ok(store_begin_read(hq->node->store, &txn));
    assert_ok(store_person_count(&txn, &count));
    return count;
}

/* Nothing of a member who was removed stays until later, whatever else the turn does. */
static void test_who_goes_is_forgotten_at_once(void **state)
{
    const struct member solo = { .email = "solo@x.org", .name = "Solo" };
    struct hq *hq = *state;
    struct reply reply;
    struct mp_writer writer;
    uint8_t bytes[256];
    char id[UUID_TEXT_SIZE];
    struct slice text;

    put_many_of_few(hq);
    assert_int_equal(uint_of(ask_ok(hq, "counts", NULL, NULL, NULL, NULL), "persons"), PERSONS);
    reply = answer_to(hq, ask_put(hq, &solo, 1));
    assert_true(mp_map_get_text(element_of(reply.result, "results", 0), "id", &text));
    assert_true(slice_copy_text(text, id, sizeof id));
    assert_int_equal(stored_persons(hq), PERSONS + 1);
    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_map(&writer, 1);
    mp_write_text(&writer, "ops");
    mp_write_array(&writer, 1);
    mp_write_map(&writer, 2);
    mp_write_key_text(&writer, "id", id);
    mp_write_key_text(&writer, "op", "remove");
    ask_many_of_few(hq);
    (void)ask_raw(hq, "members.apply", mp_writer_bytes(&writer));
    turns(hq, 1);
    assert_true(hq->node->persons_due);
    assert_int_equal(stored_persons(hq), PERSONS);
}

static void test_a_crash_forgets_nobody(void **state)
{
    struct hq *hq = *state;

    for (int between = 0; between < 3; between++) {
        put_many_of_few(hq);
        turns(hq, between);
        node_close(&hq->node);
        hq_start(hq);
        monotonic_ms += SIGN_WAIT_MS;
        assert_int_equal(uint_of(ask_ok(hq, "counts", NULL, NULL, NULL, NULL), "persons"),
                         PERSONS);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hq_new, hq_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_persons),
        TEST(test_very_many_are_stated_later),
        TEST(test_counts_do_not_wait_for_ever),
        TEST(test_a_crash_forgets_nobody),
        TEST(test_who_goes_is_forgotten_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
