/* SPDX-License-Identifier: MPL-2.0 */
/* discard_test.c - numbers that are deleted bit by bit, and tiers of numbers that live on. */
#include "store_fixture.h"

struct gone {
    char text[4096];
    size_t used;
    unsigned count;
    struct place *place;
    enum status answer;
};

static enum status note(void *context, const char *origin, const uint8_t id[ID_SIZE])
{
    struct gone *gone = context;

    gone->count++;
    if (gone->used < sizeof gone->text - 32)
        gone->used +=
            (size_t)snprintf(gone->text + gone->used, sizeof gone->text - gone->used, "%s%s/%u",
                             gone->used == 0 ? "" : ", ", origin, (unsigned)id[ID_SIZE - 1]);
    return gone->answer;
}

/* A visitor that writes, and to the tables being swept. */
static enum status note_and_write(void *context, const char *origin, const uint8_t id[ID_SIZE])
{
    struct gone *gone = context;
    struct change change = change_of(0, 1000 + gone->count, "kept", NULL);
    struct store_row row;

    assert_status(store_get_row(&gone->place->txn, 5, id, &row), NOT_FOUND);
    memcpy(change.id, id, ID_SIZE);
    assert_ok(store_put_row(&gone->place->txn, 6, &change));
    assert_ok(store_set_person(&gone->place->txn, origin, id, PERSON_ANONYMOUS, NULL));
    return note(context, origin, id);
}

static bool sweep(struct place *place, size_t max, store_sweep_visit *visit, struct gone *gone)
{
    bool more = true;

    assert_ok(store_sweep(&place->txn, max, visit, gone, &more));
    return more;
}

static enum status count_one(void *context, const uint8_t key[CENSUS_KEY_SIZE], uint64_t count)
{
    (void)key;
    *(uint64_t *)context += count;
    return OK;
}

static uint64_t census_of(struct place *place, uint32_t number)
{
    uint64_t total = 0;

    assert_ok(store_census_scan(&place->txn, number, NULL, 0, count_one, &total));
    return total;
}

static uint64_t sum_of(struct place *place, uint32_t number, enum tier tier)
{
    struct digest_sum sum;

    assert_ok(store_get_sum(&place->txn, number, tier, &sum));
    return sum.count;
}

/* Rows 1 to count in both tiers, with sums and census. */
static void fill(struct place *place, uint32_t number, uint64_t count)
{
    struct digest_sum sum;

    for (uint64_t i = 1; i <= count; i++)
        assert_ok(put(place, number, i, i, i % 3 == 0 ? NIL : "f", "h"));
    digest_sum_clear(&sum);
    sum.count = count;
    assert_ok(store_put_sum(&place->txn, number, TIER_FEDERATION, &sum));
    assert_ok(store_put_sum(&place->txn, number, TIER_HQ, &sum));
    assert_ok(store_census_add(&place->txn, number, (const uint8_t *)"c11FR0", (int64_t)count));
    assert_ok(store_census_add(&place->txn, number, (const uint8_t *)"m11FR0", (int64_t)count));
}

static void nothing_to_sweep(void **state)
{
    struct place *place = *state;

    fill(place, 5, 2);
    assert_false(sweep(place, 10, NULL, NULL));
    assert_false(sweep(place, 0, NULL, NULL));
    assert_rows(place, 5, TIERS_BOTH, 0, "1@1 fh, 2@2 fh");
}

static void a_number_goes_in_slices(void **state)
{
    struct place *place = *state;
    struct gone gone = { .answer = OK };
    uint8_t ids[8][ID_SIZE];
    size_t removals = 99;

    fill(place, 4, 3);
    fill(place, 5, 7);
    fill(place, 6, 3);
    assert_ok(store_discard(&place->txn, "fr", 5, TIERS_BOTH));
    assert_true(sweep(place, 3, note, &gone));
    assert_string_equal(gone.text, "fr/1, fr/2, fr/3");
    reopen(place);
    assert_true(sweep(place, 3, note, &gone));
    assert_rows(place, 5, TIERS_BOTH, 0, "7@7 fh");
    assert_int_equal(sum_of(place, 5, TIER_HQ), 7);
    assert_false(sweep(place, 3, note, &gone));
    assert_string_equal(gone.text, "fr/1, fr/2, fr/3, fr/4, fr/5, fr/6, fr/7");
    assert_int_equal(gone.count, 7);
    assert_rows(place, 5, TIERS_BOTH, 0, "");
    assert_int_equal(sum_of(place, 5, TIER_FEDERATION), 0);
    assert_int_equal(sum_of(place, 5, TIER_HQ), 0);
    assert_int_equal(census_of(place, 5), 0);
    assert_ok(store_list_removals(&place->txn, 5, TIERS_BOTH, 0, 99, ids, 8, &removals));
    assert_int_equal(removals, 0);
    for (uint32_t number = 4; number <= 6; number += 2) {
        assert_rows(place, number, TIERS_BOTH, 0, "1@1 fh, 2@2 fh, 3@3 fh");
        assert_int_equal(sum_of(place, number, TIER_HQ), 3);
        assert_int_equal(census_of(place, number), 6);
    }
}

static void one_tier_goes_and_the_other_lives(void **state)
{
    struct place *place = *state;
    struct gone gone = { .answer = OK };

    fill(place, 5, 4);
    assert_ok(store_discard(&place->txn, "fr", 5, TIERS_FEDERATION));
    assert_true(sweep(place, 2, note, &gone));
    assert_rows(place, 5, TIERS_BOTH, 0, "1@1 h, 2@2 h, 3@3 fh, 4@4 fh");
    /* tier hq goes on meanwhile, past and in front of the sweep */
    assert_ok(put(place, 5, 1, 5, NULL, "h"));
    assert_ok(put(place, 5, 4, 6, NULL, "h"));
    assert_rows(place, 5, TIERS_BOTH, 0, "2@2 h, 3@3 fh, 4@4 f, 1@5 h, 4@6 h");
    while (sweep(place, 2, note, &gone))
        ;
    assert_string_equal(gone.text, "fr/1, fr/2, fr/3, fr/4");
    assert_rows(place, 5, TIERS_BOTH, 0, "2@2 h, 3@3 h, 1@5 h, 4@6 h");
    assert_int_equal(sum_of(place, 5, TIER_FEDERATION), 0);
    assert_int_equal(sum_of(place, 5, TIER_HQ), 4);
    assert_int_equal(census_of(place, 5), 0);
}

static void the_census_stays_with_tier_federation(void **state)
{
    struct place *place = *state;

    fill(place, 5, 4);
    assert_ok(store_discard(&place->txn, "fr", 5, TIERS_HQ));
    assert_false(sweep(place, 100, NULL, NULL));
    assert_rows(place, 5, TIERS_BOTH, 0, "1@1 f, 2@2 f, 3@3 f, 4@4 f");
    assert_int_equal(census_of(place, 5), 8);
    assert_int_equal(sum_of(place, 5, TIER_FEDERATION), 4);
    assert_int_equal(sum_of(place, 5, TIER_HQ), 0);
}

static void a_tier_discarded_later_is_swept_from_the_start(void **state)
{
    struct place *place = *state;
    struct gone gone = { .answer = OK };

    fill(place, 5, 4);
    assert_ok(store_discard(&place->txn, "fr", 5, TIERS_FEDERATION));
    assert_true(sweep(place, 2, note, &gone));
    assert_ok(store_discard(&place->txn, "fr", 5, TIERS_FEDERATION)); /* known: no new start */
    assert_true(sweep(place, 1, note, &gone));
    assert_string_equal(gone.text, "fr/1, fr/2, fr/3");
    assert_ok(store_discard(&place->txn, "fr", 5, TIERS_HQ));
    assert_false(sweep(place, 100, note, &gone));
    assert_rows(place, 5, TIERS_BOTH, 0, "");
    assert_int_equal(census_of(place, 5), 0);
    assert_int_equal(sum_of(place, 5, TIER_HQ), 0);
}

static void several_numbers_go_one_after_the_other(void **state)
{
    struct place *place = *state;
    struct gone gone = { .answer = OK };

    fill(place, 5, 2);
    fill(place, 7, 2);
    fill(place, 300, 1);
    assert_ok(store_discard(&place->txn, "lu", 7, TIERS_BOTH));
    assert_ok(store_discard(&place->txn, "fr", 5, TIERS_BOTH));
    assert_ok(store_discard(&place->txn, "empty", 6, TIERS_BOTH));
    assert_true(sweep(place, 3, note, &gone));
    assert_string_equal(gone.text, "fr/1, fr/2, lu/1");
    assert_false(sweep(place, 100, note, &gone));
    assert_string_equal(gone.text, "fr/1, fr/2, lu/1, lu/2");
    assert_rows(place, 300, TIERS_BOTH, 0, "1@1 fh");
}

static void the_visitor_may_write_and_may_fail(void **state)
{
    struct place *place = *state;
    struct gone gone = { .answer = OK, .place = place };
    uint64_t count = 0;
    bool more = true;

    fill(place, 5, 300);
    assert_ok(store_discard(&place->txn, "fr", 5, TIERS_BOTH));
    assert_true(sweep(place, 299, note_and_write, &gone));
    assert_int_equal(gone.count, 299);
    assert_ok(store_count_rows(&place->txn, 6, 0, 1000, &count));
    assert_int_equal(count, 299);
    assert_ok(store_person_count(&place->txn, &count));
    assert_int_equal(count, 299);
    gone.answer = NO_MEMORY;
    assert_status(store_sweep(&place->txn, 10, note, &gone, &more), NO_MEMORY);
}

int main(void)
{
#define OPEN(test) cmocka_unit_test_setup_teardown(test, place_make, place_free)
    const struct CMUnitTest tests[] = {
        OPEN(nothing_to_sweep),
        OPEN(a_number_goes_in_slices),
        OPEN(one_tier_goes_and_the_other_lives),
        OPEN(the_census_stays_with_tier_federation),
        OPEN(a_tier_discarded_later_is_swept_from_the_start),
        OPEN(several_numbers_go_one_after_the_other),
        OPEN(the_visitor_may_write_and_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
