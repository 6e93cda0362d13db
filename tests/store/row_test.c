/* SPDX-License-Identifier: MPL-2.0 */
/* row_test.c - rows: put, replaced, split by tier and joined again, removed, listed, counted.
 * Rows read as "id@seq" with f and h for the tiers that stand there. */
#include "store_fixture.h"

#define NUMBER 5

static void get(struct place *place, uint64_t id, enum status expected,
                struct store_row *out_row)
{
    uint8_t bytes[ID_SIZE];

    id_of(id, bytes);
    assert_status(store_get_row(&place->txn, NUMBER, bytes, out_row), expected);
    if (expected == OK)
        assert_memory_equal(out_row->id, bytes, ID_SIZE);
}

static void drop(struct place *place, uint64_t id, unsigned tiers)
{
    uint8_t bytes[ID_SIZE];

    id_of(id, bytes);
    assert_ok(store_drop_row(&place->txn, NUMBER, tiers, bytes));
}

static void assert_removals(struct place *place, unsigned tiers, uint64_t after, uint64_t up_to,
                            size_t max, const char *expected)
{
    uint8_t ids[16][ID_SIZE];
    char line[256] = "";
    size_t used = 0;
    size_t count = 99;

    assert_ok(store_list_removals(&place->txn, NUMBER, tiers, after, up_to, ids, max, &count));
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%u", i == 0 ? "" : " ",
                                 (unsigned)ids[i][ID_SIZE - 1]);
    assert_string_equal(line, expected);
}

static void a_row_is_read_as_it_was_put(void **state)
{
    struct place *place = *state;
    uint8_t salt[SALT_SIZE];
    struct store_row row;

    get(place, 1, NOT_FOUND, &row);
    assert_ok(put(place, NUMBER, 1, 9, "federation", "hq"));
    reopen(place);
    get(place, 1, OK, &row);
    assert_int_equal(row.type, RECORD_MEMBER);
    assert_int_equal(row.tiers, TIERS_BOTH);
    assert_int_equal(row.seq[0], 9);
    assert_int_equal(row.seq[1], 9);
    memset(salt, 9, SALT_SIZE);
    assert_memory_equal(row.salt, salt, SALT_SIZE);
    assert_slice(row.value[0], "federation");
    assert_slice(row.value[1], "hq");
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "1@9 fh");
}

static void a_tier_may_be_alone(void **state)
{
    static const uint8_t zeros[SALT_SIZE] = { 0 };
    struct place *place = *state;
    struct store_row row;

    assert_ok(put(place, NUMBER, 1, 1, "f", NULL));
    assert_ok(put(place, NUMBER, 2, 2, NULL, ""));
    get(place, 1, OK, &row);
    assert_int_equal(row.tiers, TIERS_FEDERATION);
    assert_memory_equal(row.salt, zeros, SALT_SIZE);
    assert_slice(row.value[0], "f");
    get(place, 2, OK, &row);
    assert_int_equal(row.tiers, TIERS_HQ);
    assert_int_equal(row.value[1].size, 0);
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "1@1 f, 2@2 h");
    assert_rows(place, NUMBER, TIERS_HQ, 0, "2@2 h");
}

static void a_newer_version_replaces(void **state)
{
    struct place *place = *state;
    struct store_row row;

    assert_ok(put(place, NUMBER, 1, 1, "a", "b"));
    assert_ok(put(place, NUMBER, 2, 2, "c", "d"));
    assert_ok(put(place, NUMBER, 1, 3, "longer than before", "e"));
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "2@2 fh, 1@3 fh");
    get(place, 1, OK, &row);
    assert_slice(row.value[0], "longer than before");
    assert_int_equal(row.seq[1], 3);
}

static void tiers_split_and_join(void **state)
{
    struct place *place = *state;
    uint8_t salt[SALT_SIZE];
    struct store_row row;

    assert_ok(put(place, NUMBER, 1, 1, "f1", "h1"));
    assert_ok(put(place, NUMBER, 1, 2, "f2", NULL));
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "1@1 h, 1@2 f");
    get(place, 1, OK, &row);
    assert_int_equal(row.tiers, TIERS_BOTH);
    assert_int_equal(row.seq[0], 2);
    assert_int_equal(row.seq[1], 1);
    assert_slice(row.value[0], "f2");
    assert_slice(row.value[1], "h1");
    memset(salt, 1, SALT_SIZE);
    assert_memory_equal(row.salt, salt, SALT_SIZE);

    assert_ok(put(place, NUMBER, 1, 4, "f4", NULL));
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "1@1 h, 1@4 f");
    assert_ok(put(place, NUMBER, 1, 4, NULL, "h4"));
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "1@4 fh");
    get(place, 1, OK, &row);
    assert_slice(row.value[0], "f4");
    assert_slice(row.value[1], "h4");
    memset(salt, 4, SALT_SIZE);
    assert_memory_equal(row.salt, salt, SALT_SIZE);

    /* and the other way round */
    assert_ok(put(place, NUMBER, 1, 5, NULL, "h5"));
    assert_ok(put(place, NUMBER, 1, 5, "f5", NULL));
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "1@5 fh");
    get(place, 1, OK, &row);
    assert_slice(row.value[0], "f5");
    assert_slice(row.value[1], "h5");
    memset(salt, 5, SALT_SIZE);
    assert_memory_equal(row.salt, salt, SALT_SIZE);
}

static void split_tiers_move_on_together(void **state)
{
    struct place *place = *state;

    assert_ok(put(place, NUMBER, 1, 1, "f1", "h1"));
    assert_ok(put(place, NUMBER, 1, 2, "f2", NULL));
    assert_ok(put(place, NUMBER, 1, 3, "f3", "h3"));
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "1@3 fh");
}

static void the_same_again_changes_nothing(void **state)
{
    struct place *place = *state;
    struct store_row row;

    for (int i = 0; i < 2; i++) {
        assert_ok(put(place, NUMBER, 1, 1, "f", "h"));
        assert_rows(place, NUMBER, TIERS_BOTH, 0, "1@1 fh");
    }
    assert_ok(put(place, NUMBER, 1, 1, NIL, NULL));
    assert_removals(place, TIERS_BOTH, 0, 9, 9, "1");
    assert_ok(put(place, NUMBER, 1, 1, "back", NULL));
    assert_removals(place, TIERS_BOTH, 0, 9, 9, "");
    get(place, 1, OK, &row);
    assert_slice(row.value[0], "back");
    assert_slice(row.value[1], "h");
}

static void what_cannot_be_one_feeds_is_refused(void **state)
{
    struct place *place = *state;
    struct change change = change_of(1, 1, NULL, "h");
    uint8_t *large = calloc(1, RECORD_SIZE_MAX + 1);
    struct store_row row;

    assert_non_null(large);
    assert_ok(put(place, NUMBER, 1, 1, "f", NULL));
    /* another id at the same seq, and another type at the same seq */
    assert_status(put(place, NUMBER, 2, 1, "f", NULL), INVALID);
    change.type = RECORD_OFFICE;
    assert_status(store_put_row(&place->txn, NUMBER, &change), INVALID);
    get(place, 2, NOT_FOUND, &row);
    change = change_of(3, 3, "f", "h");
    change.value[TIER_HQ] = slice_of(large, RECORD_SIZE_MAX + 1);
    assert_status(store_put_row(&place->txn, NUMBER, &change), TOO_LARGE);
    change.value[TIER_HQ].size = RECORD_SIZE_MAX;
    change.value[TIER_FEDERATION] = change.value[TIER_HQ];
    assert_ok(store_put_row(&place->txn, NUMBER, &change));
    /* a refusal leaves the transaction as it was */
    reopen(place);
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "1@1 f, 3@3 fh");
    get(place, 3, OK, &row);
    assert_int_equal(row.value[0].size, RECORD_SIZE_MAX);
    assert_memory_equal(row.value[1].data, large, RECORD_SIZE_MAX);
    free(large);
}

static void values_may_come_from_the_map(void **state)
{
    struct place *place = *state;

    for (uint64_t i = 1; i <= 40; i++)
        assert_ok(put(place, NUMBER, i, i, "a value of some length to move around", "and one"));
    for (uint64_t seq = 41; seq <= 400; seq++) {
        const uint64_t id = seq % 40 + 1;
        struct change change = change_of(id, seq, "", "");
        struct store_row row;

        get(place, id, OK, &row);
        change.value[0] = row.value[0];
        change.value[1] = row.value[1];
        assert_ok(store_put_row(&place->txn, NUMBER, &change));
        assert_ok(store_put_row(&place->txn, NUMBER + 1, &change));
    }
    for (uint64_t i = 1; i <= 40; i++) {
        struct store_row row;

        get(place, i, OK, &row);
        assert_slice(row.value[0], "a value of some length to move around");
        assert_slice(row.value[1], "and one");
    }
}

static void removals_are_listed(void **state)
{
    struct place *place = *state;

    for (uint64_t i = 1; i <= 6; i++)
        assert_ok(put(place, NUMBER, i, i, "f", "h"));
    assert_ok(put(place, NUMBER, 2, 11, NIL, NIL));
    assert_ok(put(place, NUMBER, 4, 12, NIL, "h"));
    assert_ok(put(place, NUMBER, 5, 13, "f", NIL));
    assert_ok(put(place, NUMBER, 6, 14, NIL, NIL));
    assert_ok(put(place, NUMBER + 1, 7, 12, NIL, NIL));
    assert_removals(place, TIERS_BOTH, 0, UINT64_MAX, 16, "2 4 5 6");
    assert_removals(place, TIERS_FEDERATION, 0, UINT64_MAX, 16, "2 4 6");
    assert_removals(place, TIERS_HQ, 0, UINT64_MAX, 16, "2 5 6");
    assert_removals(place, TIERS_BOTH, 11, 13, 16, "4 5");
    assert_removals(place, TIERS_BOTH, 0, UINT64_MAX, 2, "2 4");
    assert_removals(place, TIERS_BOTH, 14, 14, 16, "");
    assert_removals(place, TIERS_BOTH, UINT64_MAX, UINT64_MAX, 16, "");
    /* brought back, split, dropped */
    assert_ok(put(place, NUMBER, 2, 15, "again", "h"));
    assert_ok(put(place, NUMBER, 6, 16, NIL, NULL));
    assert_removals(place, TIERS_FEDERATION, 0, 99, 16, "4 6");
    assert_removals(place, TIERS_HQ, 0, 99, 16, "5 6");
    assert_removals(place, TIERS_BOTH, 0, 99, 16, "4 5 6 6");
    drop(place, 6, TIERS_HQ);
    assert_removals(place, TIERS_HQ, 0, 99, 16, "5");
    drop(place, 4, TIERS_FEDERATION);
    assert_removals(place, TIERS_FEDERATION, 0, 99, 16, "6");
    assert_rows(place, NUMBER, TIERS_BOTH, 0,
                "1@1 fh, 3@3 fh, 4@12 h, 5@13 fh, 2@15 fh, 6@16 f");
}

static void dropping_forgets_tiers(void **state)
{
    struct place *place = *state;
    struct store_row row;

    assert_ok(put(place, NUMBER, 1, 1, "f", "h"));
    assert_ok(put(place, NUMBER, 2, 2, "f", "h"));
    assert_ok(put(place, NUMBER, 2, 3, "f", NULL));
    drop(place, 1, TIERS_FEDERATION);
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "1@1 h, 2@2 h, 2@3 f");
    drop(place, 1, TIERS_FEDERATION); /* not held: nothing to do */
    drop(place, 1, TIERS_HQ);
    drop(place, 9, TIERS_BOTH);
    get(place, 1, NOT_FOUND, &row);
    drop(place, 2, TIERS_BOTH);
    get(place, 2, NOT_FOUND, &row);
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "");
    assert_ok(put(place, NUMBER, 2, 2, "f", "h"));
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "2@2 fh");
}

static void cursors_see_one_number_and_its_tiers(void **state)
{
    struct place *place = *state;
    struct store_cursor cursor = { 0 };
    struct change row;

    for (uint64_t i = 1; i <= 4; i++) {
        assert_ok(put(place, NUMBER - 1, i, i, "f", "h"));
        assert_ok(put(place, NUMBER, i, i, "f", "h"));
        assert_ok(put(place, NUMBER + 1, i, i, "f", "h"));
    }
    assert_ok(put(place, NUMBER, 2, 5, "f", NULL));
    assert_rows(place, NUMBER, TIERS_BOTH, 0, "1@1 fh, 2@2 h, 3@3 fh, 4@4 fh, 2@5 f");
    assert_rows(place, NUMBER, TIERS_FEDERATION, 0, "1@1 f, 3@3 f, 4@4 f, 2@5 f");
    assert_rows(place, NUMBER, TIERS_HQ, 1, "2@2 h, 3@3 h, 4@4 h");
    assert_rows(place, NUMBER, TIERS_HQ, 4, "");
    assert_rows(place, NUMBER, TIERS_BOTH, UINT64_MAX, "");
    assert_rows(place, NUMBER + 2, TIERS_BOTH, 0, "");

    /* a tier that was not asked for is not shown at all */
    assert_ok(store_cursor_open(&place->txn, NUMBER, TIERS_FEDERATION, 0, &cursor));
    assert_ok(store_cursor_next(&cursor, &row));
    assert_null(row.value[TIER_HQ].data);
    assert_int_equal(row.salt[0], 0);
    assert_slice(row.value[TIER_FEDERATION], "f");
    store_cursor_close(&cursor);
    store_cursor_close(&cursor);
}

static void rows_are_counted(void **state)
{
    struct place *place = *state;
    uint64_t count = 0;

    for (uint64_t i = 1; i <= 10; i++)
        assert_ok(put(place, NUMBER, i, 2 * i, "f", "h"));
    assert_ok(put(place, NUMBER + 1, 1, 1, "f", "h"));
    assert_ok(store_count_rows(&place->txn, NUMBER, 0, 100, &count));
    assert_int_equal(count, 10);
    assert_ok(store_count_rows(&place->txn, NUMBER, 4, 100, &count));
    assert_int_equal(count, 8);
    assert_ok(store_count_rows(&place->txn, NUMBER, 4, 3, &count));
    assert_int_equal(count, 3);
    assert_ok(store_count_rows(&place->txn, NUMBER, UINT64_MAX, 3, &count));
    assert_int_equal(count, 0);
}

static void readers_see_committed_rows(void **state)
{
    struct place *place = *state;
    struct store_txn reader = { 0 };
    struct store_row row;
    uint8_t id[ID_SIZE];

    id_of(1, id);
    assert_ok(put(place, NUMBER, 1, 1, "old", "h"));
    reopen(place);
    assert_ok(store_begin_read(place->store, &reader));
    assert_ok(put(place, NUMBER, 1, 2, "new", NULL));
    assert_ok(store_commit_turn(&place->txn));
    assert_ok(store_get_row(&reader, NUMBER, id, &row));
    assert_int_equal(row.seq[0], 1);
    assert_slice(row.value[0], "old");
    store_abort(&reader);
    assert_ok(store_begin_read(place->store, &reader));
    assert_ok(store_get_row(&reader, NUMBER, id, &row));
    assert_int_equal(row.seq[0], 2);
    assert_int_equal(row.seq[1], 1);
    assert_slice(row.value[0], "new");
    store_abort(&reader);
}

static void sums_are_kept_for_each_tier(void **state)
{
    struct place *place = *state;
    struct digest_sum empty;
    struct digest_sum sum;
    struct digest_sum read;

    digest_sum_clear(&empty);
    digest_sum_clear(&sum);
    for (size_t i = 0; i < DIGEST_LANES; i++)
        sum.lanes[i] = (uint16_t)(i * 7 + 1);
    sum.count = 3;
    assert_ok(store_put_sum(&place->txn, NUMBER, TIER_HQ, &sum));
    reopen(place);
    assert_ok(store_get_sum(&place->txn, NUMBER, TIER_HQ, &read));
    assert_memory_equal(&read, &sum, sizeof sum);
    assert_ok(store_get_sum(&place->txn, NUMBER, TIER_FEDERATION, &read));
    assert_memory_equal(&read, &empty, sizeof empty);
    assert_ok(store_get_sum(&place->txn, 0, TIER_HQ, &read));
    assert_memory_equal(&read, &empty, sizeof empty);
}

int main(void)
{
#define OPEN(test) cmocka_unit_test_setup_teardown(test, place_make, place_free)
    const struct CMUnitTest tests[] = {
        OPEN(a_row_is_read_as_it_was_put),
        OPEN(a_tier_may_be_alone),
        OPEN(a_newer_version_replaces),
        OPEN(tiers_split_and_join),
        OPEN(split_tiers_move_on_together),
        OPEN(the_same_again_changes_nothing),
        OPEN(what_cannot_be_one_feeds_is_refused),
        OPEN(values_may_come_from_the_map),
        OPEN(removals_are_listed),
        OPEN(dropping_forgets_tiers),
        OPEN(cursors_see_one_number_and_its_tiers),
        OPEN(rows_are_counted),
        OPEN(readers_see_committed_rows),
        OPEN(sums_are_kept_for_each_tier),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
