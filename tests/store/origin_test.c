/* SPDX-License-Identifier: MPL-2.0 */
/* origin_test.c - what never leaves the node: tier chapter, the audit trail, invitations. */
#include "store_fixture.h"

struct trail {
    char text[512];
    size_t used;
    unsigned left; /* entries until the visitor has enough */
};

static enum status append(void *context, uint64_t number, uint64_t time_s, struct slice value)
{
    struct trail *trail = context;

    trail->used += (size_t)snprintf(trail->text + trail->used, sizeof trail->text - trail->used,
                                    "%s%u@%u %.*s", trail->used == 0 ? "" : ", ",
                                    (unsigned)number, (unsigned)time_s, (int)value.size,
                                    value.size == 0 ? "" : (const char *)value.data);
    return --trail->left == 0 ? AGAIN : OK;
}

static void assert_trail(struct place *place, uint64_t before, unsigned enough,
                         const char *expected)
{
    struct trail trail = { .text = "", .left = enough };

    assert_ok(store_scan_history(&place->txn, before, append, &trail));
    assert_string_equal(trail.text, expected);
}

static void private_fields_are_kept(void **state)
{
    struct place *place = *state;
    uint8_t id[ID_SIZE];
    uint8_t other[ID_SIZE];
    struct slice map;

    id_of(1, id);
    id_of(2, other);
    assert_status(store_get_private(&place->txn, id, &map), NOT_FOUND);
    assert_ok(store_put_private(&place->txn, id, slice_of_text("a map")));
    assert_ok(store_put_private(&place->txn, other, slice_of_text("another")));
    assert_ok(store_put_private(&place->txn, id, slice_of_text("a longer map")));
    reopen(place);
    assert_ok(store_get_private(&place->txn, id, &map));
    assert_slice(map, "a longer map");
    assert_ok(store_put_private(&place->txn, id, SLICE_NONE));
    assert_ok(store_put_private(&place->txn, id, SLICE_NONE));
    assert_status(store_get_private(&place->txn, id, &map), NOT_FOUND);
    assert_ok(store_get_private(&place->txn, other, &map));
    assert_slice(map, "another");
}

static void history_is_read_newest_first(void **state)
{
    struct place *place = *state;

    assert_trail(place, UINT64_MAX, 9, "");
    assert_ok(store_append_history(&place->txn, 100, slice_of_text("a")));
    assert_ok(store_append_history(&place->txn, 200, SLICE_NONE));
    reopen(place);
    assert_ok(store_append_history(&place->txn, 300, slice_of_text("ccc")));
    assert_trail(place, UINT64_MAX, 9, "3@300 ccc, 2@200 , 1@100 a");
    assert_trail(place, UINT64_MAX, 2, "3@300 ccc, 2@200 ");
    assert_trail(place, 3, 9, "2@200 , 1@100 a");
    assert_trail(place, 1, 9, "");
    assert_trail(place, 0, 9, "");
}

static void old_history_goes(void **state)
{
    struct place *place = *state;

    for (uint64_t i = 1; i <= 6; i++)
        assert_ok(store_append_history(&place->txn, 100 * i, slice_of_text("x")));
    assert_ok(store_prune_history(&place->txn, 100, 10));
    assert_trail(place, UINT64_MAX, 9, "6@600 x, 5@500 x, 4@400 x, 3@300 x, 2@200 x, 1@100 x");
    assert_ok(store_prune_history(&place->txn, 400, 2));
    assert_trail(place, UINT64_MAX, 9, "6@600 x, 5@500 x, 4@400 x, 3@300 x");
    assert_ok(store_prune_history(&place->txn, 400, 10));
    assert_trail(place, UINT64_MAX, 9, "6@600 x, 5@500 x, 4@400 x");
    assert_ok(store_prune_history(&place->txn, UINT64_MAX, 10));
    assert_trail(place, UINT64_MAX, 9, "");
    /* a number stands for one entry for ever */
    reopen(place);
    assert_ok(store_append_history(&place->txn, 700, slice_of_text("y")));
    assert_trail(place, UINT64_MAX, 9, "7@700 y");
}

static void large_values_fit(void **state)
{
    struct place *place = *state;
    uint8_t *large = malloc(100000);
    uint8_t id[ID_SIZE];
    struct slice map;

    assert_non_null(large);
    memset(large, 'x', 100000);
    id_of(1, id);
    assert_ok(store_append_history(&place->txn, 1, slice_of(large, 100000)));
    assert_ok(store_put_private(&place->txn, id, slice_of(large, 100000)));
    reopen(place);
    assert_ok(store_get_private(&place->txn, id, &map));
    assert_int_equal(map.size, 100000);
    assert_memory_equal(map.data, large, 100000);
    free(large);
}

static void invitations_are_walked_in_order(void **state)
{
    struct place *place = *state;
    uint8_t hash[HASH_SIZE] = { 0 };
    uint8_t found[HASH_SIZE];
    struct slice value;

    assert_status(store_get_invite(&place->txn, hash, &value), NOT_FOUND);
    assert_status(store_next_invite(&place->txn, NULL, found, &value), NOT_FOUND);
    assert_ok(store_put_invite(&place->txn, hash, slice_of_text("zeros")));
    hash[HASH_SIZE - 1] = 1;
    assert_ok(store_put_invite(&place->txn, hash, slice_of_text("one")));
    memset(hash, 0xff, sizeof hash);
    assert_ok(store_put_invite(&place->txn, hash, slice_of_text("ones")));
    assert_ok(store_put_invite(&place->txn, hash, slice_of_text("used")));
    reopen(place);
    assert_ok(store_get_invite(&place->txn, hash, &value));
    assert_slice(value, "used");
    assert_ok(store_next_invite(&place->txn, NULL, found, &value));
    assert_slice(value, "zeros");
    assert_ok(store_next_invite(&place->txn, found, found, &value));
    assert_slice(value, "one");
    assert_ok(store_next_invite(&place->txn, found, found, &value));
    assert_slice(value, "used");
    assert_memory_equal(found, hash, HASH_SIZE);
    assert_status(store_next_invite(&place->txn, found, found, &value), NOT_FOUND);
}

int main(void)
{
#define OPEN(test) cmocka_unit_test_setup_teardown(test, place_make, place_free)
    const struct CMUnitTest tests[] = {
        OPEN(private_fields_are_kept),
        OPEN(history_is_read_newest_first),
        OPEN(old_history_goes),
        OPEN(large_values_fit),
        OPEN(invitations_are_walked_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
