/* SPDX-License-Identifier: MPL-2.0 */
/* census_test.c - counters of groups, merged into the view's; and distinct persons. */
#include "store_fixture.h"

/* --- census ------------------------------------------------------------------------------ */

struct census_line {
    char text[512];
    size_t used;
    enum status answer;
};

static enum status append(void *context, const uint8_t key[CENSUS_KEY_SIZE], uint64_t count)
{
    struct census_line *line = context;

    line->used +=
        (size_t)snprintf(line->text + line->used, sizeof line->text - line->used, "%s%.6s %u",
                         line->used == 0 ? "" : ", ", (const char *)key, (unsigned)count);
    return line->answer;
}

static void add(struct place *place, uint32_t number, const char *key, int64_t delta)
{
    assert_ok(store_census_add(&place->txn, number, (const uint8_t *)key, delta));
}

static void assert_census(struct place *place, uint32_t number, const char *prefix,
                          const char *expected)
{
    struct census_line line = { .text = "", .answer = OK };

    assert_ok(store_census_scan(&place->txn, number, (const uint8_t *)prefix, strlen(prefix),
                                append, &line));
    assert_string_equal(line.text, expected);
}

static void counters_rise_and_fall(void **state)
{
    struct place *place = *state;

    add(place, 5, "c11FR0", 3);
    add(place, 5, "c11LU0", 1);
    add(place, 5, "c11FR0", -1);
    add(place, 5, "c11LU0", -1);
    add(place, 5, "c12DE0", 0);
    assert_census(place, 5, "", "c11FR0 2");
    assert_status(store_census_add(&place->txn, 5, (const uint8_t *)"c11FR0", -3),
                  STORE_DAMAGED);
    assert_status(store_census_add(&place->txn, 5, (const uint8_t *)"c11XX0", -1),
                  STORE_DAMAGED);
    assert_census(place, 5, "", "c11FR0 2");
}

static void a_scan_takes_one_prefix_of_one_number(void **state)
{
    struct place *place = *state;
    struct census_line line = { .text = "", .answer = AGAIN };

    add(place, 4, "zzzzzz", 9);
    add(place, 5, "c11FR0", 1);
    add(place, 5, "c11LU0", 2);
    add(place, 5, "c21FR0", 3);
    add(place, 5, "m11xx0", 4);
    add(place, 6, "aaaaaa", 9);
    reopen(place);
    assert_census(place, 5, "", "c11FR0 1, c11LU0 2, c21FR0 3, m11xx0 4");
    assert_census(place, 5, "c", "c11FR0 1, c11LU0 2, c21FR0 3");
    assert_census(place, 5, "c11", "c11FR0 1, c11LU0 2");
    assert_census(place, 5, "c21FR0", "c21FR0 3");
    assert_census(place, 5, "d", "");
    assert_census(place, 7, "", "");
    /* what the visitor says ends it */
    assert_status(store_census_scan(&place->txn, 5, NULL, 0, append, &line), AGAIN);
    assert_string_equal(line.text, "c11FR0 1");
}

static void a_flip_replaces_one_numbers_part_of_the_view(void **state)
{
    static const uint8_t highest[CENSUS_KEY_SIZE] = { 255, 255, 255, 255, 255, 255 };
    struct place *place = *state;

    add(place, 5, "c11FR0", 3);
    add(place, 5, "c12FR0", 1);
    add(place, 5, "c21FR0", 1);
    add(place, 0, "c11FR0", 10);
    add(place, 0, "c11LU0", 4);
    assert_ok(store_census_merge(&place->txn, 5, 1));
    assert_census(place, 0, "", "c11FR0 13, c11LU0 4, c12FR0 1, c21FR0 1");
    add(place, 6, "c11FR0", 5);
    add(place, 6, "c12FR0", 2);
    assert_ok(store_census_merge(&place->txn, 5, -1));
    assert_ok(store_census_merge(&place->txn, 6, 1));
    assert_census(place, 0, "", "c11FR0 15, c11LU0 4, c12FR0 2");
    assert_census(place, 5, "", "c11FR0 3, c12FR0 1, c21FR0 1");
    assert_ok(store_census_merge(&place->txn, 9, 1));
    assert_status(store_census_merge(&place->txn, 5, -1), STORE_DAMAGED);
    assert_ok(store_census_add(&place->txn, 8, highest, 1));
    assert_ok(store_census_merge(&place->txn, 8, 1));
}

static void a_large_census_is_merged_whole(void **state)
{
    struct place *place = *state;
    struct census_line line = { .text = "", .answer = AGAIN };

    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3000; i++) {
            const uint8_t key[CENSUS_KEY_SIZE] = {
                'c', 1, (uint8_t)(i >> 8), (uint8_t)i, 0, 0
            };

            assert_ok(store_census_add(&place->txn, (uint32_t)round + 5, key, i + 1));
        }
        assert_ok(store_census_merge(&place->txn, (uint32_t)round + 5, 1));
        reopen(place);
    }
    assert_ok(store_census_merge(&place->txn, 5, -1));
    assert_ok(store_census_merge(&place->txn, 6, -1));
    assert_ok(store_census_scan(&place->txn, 0, NULL, 0, append, &line));
    assert_string_equal(line.text, "");
}

/* --- persons ----------------------------------------------------------------------------- */

static void person(struct place *place, const char *origin, uint64_t id, enum person_form form,
                   uint8_t who, uint64_t distinct)
{
    uint8_t bytes[ID_SIZE];
    uint8_t hash[PERSON_HASH_SIZE] = { who };
    uint64_t count = 99;

    id_of(id, bytes);
    assert_ok(store_set_person(&place->txn, origin, bytes, form, hash));
    assert_ok(store_person_count(&place->txn, &count));
    assert_int_equal(count, distinct);
}

static void two_memberships_may_be_one_person(void **state)
{
    struct place *place = *state;

    person(place, "fr", 1, PERSON_NONE, 0, 0);
    person(place, "fr", 1, PERSON_HASHED, 7, 1);
    person(place, "qc", 1, PERSON_HASHED, 7, 1);
    person(place, "qc", 2, PERSON_HASHED, 8, 2);
    person(place, "qc", 3, PERSON_ANONYMOUS, 0, 3);
    person(place, "fr", 4, PERSON_ANONYMOUS, 0, 4);
    /* said again, it counts no more; a hash of zeros is one like others */
    person(place, "fr", 4, PERSON_ANONYMOUS, 9, 4);
    person(place, "fr", 1, PERSON_HASHED, 7, 4);
    person(place, "fr", 5, PERSON_HASHED, 0, 5);
    person(place, "fr", 5, PERSON_HASHED, 0, 5);
    reopen(place);
    /* moving, leaving */
    person(place, "qc", 2, PERSON_HASHED, 7, 4);
    person(place, "fr", 1, PERSON_NONE, 0, 4);
    person(place, "qc", 1, PERSON_ANONYMOUS, 0, 5);
    person(place, "qc", 2, PERSON_NONE, 0, 4);
    person(place, "qc", 2, PERSON_NONE, 0, 4);
    person(place, "qc", 1, PERSON_NONE, 0, 3);
    person(place, "qc", 3, PERSON_HASHED, 0, 2);
    person(place, "fr", 4, PERSON_NONE, 0, 1);
    person(place, "fr", 5, PERSON_NONE, 0, 1);
    person(place, "qc", 3, PERSON_NONE, 0, 0);
}

static void persons_equal_a_recount(void **state)
{
    enum { MEMBERSHIPS = 60, HASHES = 12 };
    struct place *place = *state;
    int now[MEMBERSHIPS] = { 0 }; /* 0 none, 1 anonymous, else 2 + hash */
    uint32_t seed = 12345;

    for (int step = 0; step < 4000; step++) {
        bool seen[HASHES] = { false };
        uint64_t distinct = 0;
        unsigned at;

        seed = seed * 1664525u + 1013904223u;
        at = (seed >> 8) % MEMBERSHIPS;
        now[at] = (int)((seed >> 16) % (HASHES + 2));
        for (unsigned i = 0; i < MEMBERSHIPS; i++) {
            if (now[i] == 1)
                distinct++;
            else if (now[i] > 1 && !seen[now[i] - 2]) {
                seen[now[i] - 2] = true;
                distinct++;
            }
        }
        person(place, at % 2 == 0 ? "fr" : "qc", at,
               now[at] == 0   ? PERSON_NONE
               : now[at] == 1 ? PERSON_ANONYMOUS
                              : PERSON_HASHED,
               (uint8_t)now[at], distinct);
    }
}

int main(void)
{
#define OPEN(test) cmocka_unit_test_setup_teardown(test, place_make, place_free)
    const struct CMUnitTest tests[] = {
        OPEN(counters_rise_and_fall),
        OPEN(a_scan_takes_one_prefix_of_one_number),
        OPEN(a_flip_replaces_one_numbers_part_of_the_view),
        OPEN(a_large_census_is_merged_whole),
        OPEN(two_memberships_may_be_one_person),
        OPEN(persons_equal_a_recount),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
