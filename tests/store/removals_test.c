/* SPDX-License-Identifier: MPL-2.0 */
/* removals_test.c - many removals within a day need the operator's word. */
#include "tests/store/node_fixture.h"

#define MEMBERS 100
#define DAY_MS (24 * 3600 * 1000ll)

static char ids[MEMBERS][UUID_TEXT_SIZE];

static void put_all(struct hq *hq)
{
    struct slice page;

    put_many(hq, MEMBERS, "2099-12-31");
    page = ask_ok(hq, "members.list", NULL, NULL, NULL, NULL);
    assert_int_equal(length_of(page, "members"), MEMBERS);
    for (size_t i = 0; i < MEMBERS; i++) {
        struct slice id;

        assert_true(mp_map_get_text(element_of(page, "members", i), "id", &id));
        assert_true(slice_copy_text(id, ids[i], sizeof ids[i]));
    }
}

/* Removes (or puts again) ids[from] to ids[to - 1] in one request: how many were done. */
static size_t change_ids(struct hq *hq, size_t from, size_t to, bool remove, bool confirm)
{
    struct mp_writer writer = { 0 };
    struct reply reply;
    size_t done = 0;

    mp_writer_init_heap(&writer, CONTROL_SIZE_MAX);
    mp_write_map(&writer, confirm ? 2 : 1);
    if (confirm)
        mp_write_key_bool(&writer, "confirm", true);
    mp_write_text(&writer, "ops");
    mp_write_array(&writer, to - from);
    for (size_t i = from; i < to; i++) {
        mp_write_map(&writer, remove ? 2 : 3);
        if (!remove) {
            mp_write_text(&writer, "fields");
            mp_write_map(&writer, 1);
            mp_write_key_text(&writer, "name", "back");
        }
        mp_write_key_text(&writer, "id", ids[i]);
        mp_write_key_text(&writer, "op", remove ? "remove" : "put");
    }
    reply = answer_to(hq, ask_raw(hq, "members.apply", mp_writer_bytes(&writer)));
    mp_writer_done(&writer);
    assert_int_equal(reply.code, OK);
    for (size_t i = 0; i < to - from; i++) {
        const struct slice ok = mp_map_get(element_of(reply.result, "results", i), "ok");

        done += ok.data[0] == 0xc3;
    }
    return done;
}

static size_t remove_ids(struct hq *hq, size_t from, size_t to)
{
    return change_ids(hq, from, to, true, false);
}

static size_t alarms(struct hq *hq)
{
    return length_of(ask_ok(hq, "status", NULL, NULL, NULL, NULL), "alarms");
}

static void test_a_tenth_may_go(void **state)
{
    struct hq *hq = *state;

    put_all(hq);
    assert_int_equal(remove_ids(hq, 0, 11), 0); /* all of a request, or none */
    assert_int_equal(alarms(hq), 1);
    assert_int_equal(remove_ids(hq, 0, 4), 4);
    assert_int_equal(remove_ids(hq, 4, 10), 6);
    assert_int_equal(remove_ids(hq, 10, 11), 0);
}

static void test_a_word_lets_more_go(void **state)
{
    struct hq *hq = *state;

    put_all(hq);
    assert_int_equal(remove_ids(hq, 0, 11), 0);
    assert_int_equal(change_ids(hq, 0, 40, true, true), 40);
    assert_int_equal(alarms(hq), 0);
    /* 60 are left, of which again a tenth may go */
    assert_int_equal(remove_ids(hq, 40, 47), 0);
    assert_int_equal(remove_ids(hq, 40, 46), 6);
    assert_int_equal(remove_ids(hq, 46, 47), 0);
}

static void test_few_always_may_go(void **state)
{
    struct hq *hq = *state;

    put_all(hq);
    assert_int_equal(change_ids(hq, 0, 92, true, true), 92);
    assert_int_equal(remove_ids(hq, 92, 98), 0);
    assert_int_equal(remove_ids(hq, 92, 97), 5);
    assert_int_equal(remove_ids(hq, 97, 98), 0);
}

static void test_what_is_put_again_did_not_go(void **state)
{
    struct hq *hq = *state;

    put_all(hq);
    assert_int_equal(remove_ids(hq, 0, 10), 10);
    assert_int_equal(change_ids(hq, 0, 3, false, false), 3);
    assert_int_equal(remove_ids(hq, 10, 13), 3);
    assert_int_equal(remove_ids(hq, 13, 14), 0);
    assert_int_equal(change_ids(hq, 20, 30, false, false), 10); /* edits bring nobody back */
    assert_int_equal(remove_ids(hq, 13, 14), 0);
}

static void test_a_restart_forgets_nothing(void **state)
{
    struct hq *hq = *state;

    put_all(hq);
    assert_int_equal(remove_ids(hq, 0, 10), 10);
    node_close(&hq->node);
    hq_start(hq);
    assert_int_equal(remove_ids(hq, 10, 11), 0);
}

static void test_a_dropped_turn_counts_nothing(void **state)
{
    struct hq *hq = *state;

    put_all(hq);
    assert_int_equal(remove_ids(hq, 0, 10), 10);
    fake_node->feeds[fake_node->own_feed]->removals.removed = 7; /* of a turn that is dropped */
    drop_turn = true;
    turns(hq, 2);
    assert_int_equal(fake_node->feeds[fake_node->own_feed]->removals.removed, 10);
    assert_int_equal(remove_ids(hq, 10, 11), 0);
}

static void test_a_day_later(void **state)
{
    struct hq *hq = *state;

    put_all(hq);
    assert_int_equal(remove_ids(hq, 0, 10), 10);
    wall_ms += DAY_MS - 1000;
    assert_int_equal(remove_ids(hq, 10, 11), 0);
    wall_ms += 1000;
    assert_int_equal(remove_ids(hq, 10, 20), 0); /* of 90 */
    assert_int_equal(remove_ids(hq, 10, 19), 9);
    wall_ms -= 2 * DAY_MS; /* a clock set right ends the window, too */
    assert_int_equal(remove_ids(hq, 19, 27), 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hq_new, hq_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_tenth_may_go),
        TEST(test_a_word_lets_more_go),
        TEST(test_few_always_may_go),
        TEST(test_what_is_put_again_did_not_go),
        TEST(test_a_restart_forgets_nothing),
        TEST(test_a_dropped_turn_counts_nothing),
        TEST(test_a_day_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
