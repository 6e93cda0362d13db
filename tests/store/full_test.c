/* SPDX-License-Identifier: MPL-2.0 */
/* full_test.c - a store without room: writes are refused, reading and removing go on. */
#include "store_fixture.h"

#include <sys/mount.h>

#define NUMBER 5
#define MAP_SIZE_TINY (1024 * 1024)
#define VALUE_SIZE 400

static void open_tiny(struct place *place)
{
    store_abort(&place->txn);
    store_close(&place->store);
    assert_ok(store_open(place->dir, MAP_SIZE_TINY, &place->store));
}

static int make_tiny(void **state)
{
    struct place *place = place_new();

    assert_ok(store_create(place->dir));
    open_tiny(place);
    *state = place;
    return 0;
}

/* Also after a failure nothing stays mounted. */
static int free_disk(void **state)
{
    struct place *place = *state;

    store_abort(&place->txn);
    store_close(&place->store);
    (void)umount(place->dir);
    return place_free(state);
}

/* Rows from first on, so many a transaction, until there is no room; returns the last
 * durable. */
static uint64_t write_until_full(struct place *place, uint64_t first, uint64_t a_turn)
{
    char value[VALUE_SIZE + 1];
    uint64_t durable = first - 1;

    memset(value, 'x', VALUE_SIZE);
    value[VALUE_SIZE] = '\0';
    for (;;) {
        enum status status = store_begin_write(place->store, &place->txn);

        assert_ok(status);
        for (uint64_t i = 1; i <= a_turn && status == OK; i++)
            status = put(place, NUMBER, durable + i, durable + i, value, value);
        if (status == OK)
            status = store_commit_turn(&place->txn);
        if (status != OK) {
            assert_status(status, NO_SPACE);
            store_abort(&place->txn);
            return durable;
        }
        durable += a_turn;
        assert_true(durable < 100000);
    }
}

static void assert_readable(struct place *place, uint64_t first, uint64_t last)
{
    struct store_txn reader = { 0 };
    uint64_t count = 0;

    assert_ok(store_begin_read(place->store, &reader));
    assert_ok(store_count_rows(&reader, NUMBER, 0, UINT64_MAX, &count));
    assert_int_equal(count, last - first + 1);
    for (uint64_t i = first; i <= last; i++) {
        uint8_t id[ID_SIZE];
        struct store_row row;

        id_of(i, id);
        assert_ok(store_get_row(&reader, NUMBER, id, &row));
        assert_int_equal(row.seq[0], i);
        assert_int_equal(row.value[0].size, VALUE_SIZE);
        assert_int_equal(row.value[1].data[VALUE_SIZE - 1], 'x');
    }
    store_abort(&reader);
}

/* One at a time: each needs its own pages, while those it frees come back two commits later. */
static void drop_singly(struct place *place, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        uint8_t id[ID_SIZE];

        id_of(i, id);
        assert_ok(store_begin_write(place->store, &place->txn));
        assert_ok(store_drop_row(&place->txn, NUMBER, TIERS_BOTH, id));
        assert_ok(store_commit_turn(&place->txn));
    }
}

static void a_full_store_is_read_and_emptied(void **state)
{
    struct place *place = *state;

    for (uint64_t a_turn = 1; a_turn <= 16; a_turn *= 16) {
        const uint64_t last = write_until_full(place, 1, a_turn);

        assert_true(last > 400);
        assert_readable(place, 1, last);
        open_tiny(place);
        assert_readable(place, 1, last);
        drop_singly(place, 1, last);
        assert_true(store_used_bytes(place->store) < MAP_SIZE_TINY / 4);
    }
}

static void members_are_erased_in_a_full_store(void **state)
{
    struct place *place = *state;
    const uint64_t last = write_until_full(place, 1, 5);

    for (uint64_t i = 1; i <= last / 2; i++) {
        uint8_t id[ID_SIZE];

        id_of(i, id);
        assert_ok(store_begin_write(place->store, &place->txn));
        assert_ok(store_put_private(&place->txn, id, SLICE_NONE));
        assert_ok(put(place, NUMBER, i, last + i, NIL, NIL));
        assert_ok(store_append_history(&place->txn, i, slice_of_text("removed")));
        assert_ok(store_commit_turn(&place->txn));
    }
    /* and then there is room again */
    assert_ok(store_begin_write(place->store, &place->txn));
    assert_ok(put(place, NUMBER, 1, 2 * last, "back", "again"));
    assert_ok(store_commit_turn(&place->txn));
}

static void nothing_else_is_written_to_the_reserve(void **state)
{
    struct place *place = *state;
    const uint64_t last = write_until_full(place, 1, 3);
    uint8_t id[ID_SIZE];

    id_of(1, id);
    assert_ok(store_begin_write(place->store, &place->txn));
    assert_status(put(place, NUMBER, 1, last + 1, "f", NIL), NO_SPACE);
    assert_status(store_put_private(&place->txn, id, slice_of_text("map")), NO_SPACE);
    assert_ok(put(place, NUMBER, 1, last + 1, NIL, NIL));
    assert_ok(store_commit_turn(&place->txn));
    open_tiny(place);
    assert_ok(store_begin_write(place->store, &place->txn));
    assert_status(put(place, NUMBER, 2, last + 2, "f", "h"), NO_SPACE);
}

static void a_discarded_number_is_swept_from_a_full_store(void **state)
{
    struct place *place = *state;
    const uint64_t last = write_until_full(place, 1, 7);
    bool more = true;

    assert_ok(store_begin_write(place->store, &place->txn));
    assert_ok(store_discard(&place->txn, "fr", NUMBER, TIERS_BOTH));
    assert_ok(store_commit_turn(&place->txn));
    while (more) {
        assert_ok(store_begin_write(place->store, &place->txn));
        assert_ok(store_sweep(&place->txn, 4096, NULL, NULL, &more));
        assert_ok(store_commit_turn(&place->txn));
    }
    assert_int_equal(write_until_full(place, 1, 7), last);
}

/* Every row is written anew, without that tier: more pages than the reserve has. */
static void a_discarded_tier_is_swept_from_a_full_store(void **state)
{
    struct place *place = *state;
    const uint64_t last = write_until_full(place, 1, 7);
    uint64_t count = 0;
    bool more = true;

    assert_ok(store_begin_write(place->store, &place->txn));
    assert_ok(store_discard(&place->txn, "fr", NUMBER, TIERS_FEDERATION));
    assert_ok(store_commit_turn(&place->txn));
    while (more) {
        assert_ok(store_begin_write(place->store, &place->txn));
        assert_ok(store_sweep(&place->txn, 4096, NULL, NULL, &more));
        assert_ok(store_commit_turn(&place->txn));
    }
    assert_ok(store_begin_write(place->store, &place->txn));
    assert_ok(store_count_rows(&place->txn, NUMBER, 0, UINT64_MAX, &count));
    assert_int_equal(count, last);
}

static void a_larger_map_is_all_it_takes(void **state)
{
    struct place *place = *state;
    const uint64_t last = write_until_full(place, 1, 3);

    store_close(&place->store);
    assert_ok(store_open(place->dir, 2 * MAP_SIZE_TINY, &place->store));
    assert_true(write_until_full(place, last + 1, 3) > last + last / 2);
}

/* A transaction that runs into the end of the map says so whatever is asked of it
 * afterwards. */
static void one_large_transaction_is_dropped_whole(void **state)
{
    struct place *place = *state;
    struct store_row row;
    uint8_t id[ID_SIZE];

    assert_int_equal(write_until_full(place, 1, 100000), 0);
    assert_ok(store_begin_write(place->store, &place->txn));
    assert_ok(put(place, NUMBER, 1, 1, "f", "h"));
    assert_ok(store_commit_turn(&place->txn));
    assert_ok(store_begin_write(place->store, &place->txn));
    for (uint64_t i = 2;; i++) {
        const enum status status = put(place, NUMBER, i, i, "f", "h");

        if (status != OK) {
            assert_status(status, NO_SPACE);
            break;
        }
        assert_true(i < 100000);
    }
    id_of(1, id);
    assert_status(store_drop_row(&place->txn, NUMBER, TIERS_BOTH, id), NO_SPACE);
    assert_status(store_commit_turn(&place->txn), NO_SPACE);
    assert_ok(store_begin_write(place->store, &place->txn));
    assert_ok(store_get_row(&place->txn, NUMBER, id, &row));
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "1@1 fh");
}

/* A small file system of its own: root can mount one, where the system lets it. */
static void a_full_disk_is_the_same(void **state)
{
    struct place *place = *state;
    uint64_t last;

    store_close(&place->store);
    if (mount("none", place->dir, "tmpfs", 0, "size=1m") != 0)
        skip();
    assert_ok(store_create(place->dir));
    assert_ok(store_open(place->dir, MAP_SIZE_TEST, &place->store));
    last = write_until_full(place, 1, 3);
    assert_readable(place, 1, last);
}

int main(void)
{
#define TINY(test) cmocka_unit_test_setup_teardown(test, make_tiny, place_free)
    const struct CMUnitTest tests[] = {
        TINY(a_full_store_is_read_and_emptied),
        TINY(members_are_erased_in_a_full_store),
        TINY(nothing_else_is_written_to_the_reserve),
        TINY(a_discarded_number_is_swept_from_a_full_store),
        TINY(a_discarded_tier_is_swept_from_a_full_store),
        TINY(a_larger_map_is_all_it_takes),
        TINY(one_large_transaction_is_dropped_whole),
        cmocka_unit_test_setup_teardown(a_full_disk_is_the_same, make_tiny, free_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
