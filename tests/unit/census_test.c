/* SPDX-License-Identifier: MPL-2.0 */
/* census_test.c - what one member counts for, before and after a change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "daemon/core/census.h"

static uint8_t buffers[4][256];

static struct slice member(int slot, const char *kind, const char *status, const char *country,
                           const char *joined)
{
    struct mp_writer writer;

    mp_writer_init(&writer, buffers[slot], sizeof buffers[slot]);
    mp_write_map(&writer, 2u + (country != NULL) + (joined != NULL));
    if (country != NULL)
        mp_write_key_text(&writer, "country", country);
    if (joined != NULL)
        mp_write_key_text(&writer, "joined", joined);
    mp_write_key_text(&writer, "kind", kind);
    mp_write_key_text(&writer, "status", status);
    return mp_writer_bytes(&writer);
}

static int total(const struct census_delta *deltas, size_t count)
{
    int sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += deltas[i].delta;
    return sum;
}

static void test_coming_changing_and_going(void **state)
{
    struct census_delta deltas[CENSUS_DELTAS_MAX];
    const struct slice french = member(0, "individual", "active", "FR", "2001-05-04");
    const struct slice moved = member(1, "individual", "active", "LU", "2001-05-04");
    const struct slice lapsed = member(2, "individual", "lapsed", "FR", "2001-05-04");
    const struct slice removal = slice_of("\xc0", 1);
    struct census_group group;

    (void)state;
    assert_int_equal(census_deltas(SLICE_NONE, french, deltas), 2);
    assert_int_equal(total(deltas, 2), 2);
    census_group_of(deltas[0].key, &group);
    assert_int_equal(group.kind, KIND_INDIVIDUAL);
    assert_int_equal(group.status, MEMBER_ACTIVE);
    assert_string_equal(group.country, "FR");
    census_group_of(deltas[1].key, &group);
    assert_int_equal(group.joined_month, 2001 * 12 + 4);
    assert_int_equal(census_deltas(french, french, deltas), 0);
    assert_int_equal(census_deltas(french, moved, deltas), 2); /* the month stays */
    assert_int_equal(total(deltas, 2), 0);
    assert_int_equal(census_deltas(french, lapsed, deltas), 4);
    assert_int_equal(census_deltas(french, removal, deltas), 2);
    assert_int_equal(total(deltas, 2), -2);
    assert_int_equal(census_deltas(removal, french, deltas), 2);
    assert_int_equal(census_deltas(removal, SLICE_NONE, deltas), 0);
}

/* A withdrawn country or month counts under the empty key, everywhere alike. */
static void test_withdrawn_fields(void **state)
{
    struct census_delta deltas[CENSUS_DELTAS_MAX];
    const struct slice bare = member(0, "affiliate", "active", NULL, NULL);
    struct census_group group;

    (void)state;
    assert_int_equal(census_deltas(SLICE_NONE, bare, deltas), 2);
    census_group_of(deltas[0].key, &group);
    assert_string_equal(group.country, "");
    census_group_of(deltas[1].key, &group);
    assert_int_equal(group.joined_month, 0);
}

/* A value that this version cannot read counts nowhere, and stops counting where it did. */
static void test_unknown_kinds_count_nowhere(void **state)
{
    struct census_delta deltas[CENSUS_DELTAS_MAX];
    const struct slice known = member(0, "organization", "active", "FR", NULL);
    const struct slice strange = member(1, "guild", "active", "FR", NULL);

    (void)state;
    assert_int_equal(census_deltas(SLICE_NONE, strange, deltas), 0);
    assert_int_equal(census_deltas(known, strange, deltas), 2);
    assert_int_equal(total(deltas, 2), -2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coming_changing_and_going),
        cmocka_unit_test(test_withdrawn_fields),
        cmocka_unit_test(test_unknown_kinds_count_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
