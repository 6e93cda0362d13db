/* SPDX-License-Identifier: MPL-2.0 */
/* disclosed_test.c - a member written by other choices of tiers goes no further than it may
 * now. */
#include "tests/store/node_fixture.h"

#include "daemon/disclosure.h"

struct pair {
    const char *name;
    const char *text;
};

static struct slice map_of(const struct pair *pairs, size_t count, uint8_t *buffer)
{
    struct mp_writer writer;

    mp_writer_init(&writer, buffer, RECORD_SIZE_MAX);
    mp_write_map(&writer, count);
    for (size_t i = 0; i < count; i++)
        mp_write_key_text(&writer, pairs[i].name, pairs[i].text);
    assert_ok(writer.status);
    return mp_writer_bytes(&writer);
}

static void assert_map(struct slice value, const struct pair *pairs, size_t count)
{
    uint8_t buffer[RECORD_SIZE_MAX];
    const struct slice expected = map_of(pairs, count, buffer);

    assert_int_equal(value.size, expected.size);
    assert_memory_equal(value.data, expected.data, value.size);
}

static void choose(struct disclosure *disclosure, const char *field, enum tier tier)
{
    struct tier_choice *choice = &disclosure->choices[disclosure->count++];

    (void)snprintf(choice->field, sizeof choice->field, "%s", field);
    choice->tier = tier;
}

static void test_fields_are_withdrawn(void **state)
{
    static const struct pair federation[] = { { "country", "FR" },
                                              { "joined", "2020-01-02" },
                                              { "kind", "individual" },
                                              { "status", "active" } };
    static const struct pair hq[] = { { "email", "a@example.org" }, { "name", "Anna" } };
    static const struct pair own[] = { { "city", "Paris" } };
    static uint8_t in[3][RECORD_SIZE_MAX];
    static uint8_t out[3][RECORD_SIZE_MAX];
    const struct slice values[] = { map_of(federation, 4, in[0]), map_of(hq, 2, in[1]),
                                    map_of(own, 1, in[2]) };
    struct disclosure disclosure = { .count = 0 };
    struct slice narrowed[3];

    (void)state;
    choose(&disclosure, "city", TIER_FEDERATION); /* goes no further than it did */
    choose(&disclosure, "country", TIER_HQ);
    choose(&disclosure, "joined", TIER_CHAPTER);
    choose(&disclosure, "kind", TIER_CHAPTER); /* everybody's, whatever is chosen */
    assert_ok(disclosure_narrow(&disclosure, values, out, narrowed));
    assert_map(narrowed[TIER_FEDERATION],
               (const struct pair[]){ { "kind", "individual" }, { "status", "active" } }, 2);
    assert_map(narrowed[TIER_HQ],
               (const struct pair[]){
                   { "country", "FR" }, { "email", "a@example.org" }, { "name", "Anna" } },
               3);
    assert_map(narrowed[TIER_CHAPTER],
               (const struct pair[]){ { "city", "Paris" }, { "joined", "2020-01-02" } }, 2);
}

/* What there is twice, and what there is not. */
static void test_the_further_one_counts(void **state)
{
    static const struct pair federation[] = { { "country", "FR" }, { "kind", "organization" } };
    static const struct pair hq[] = { { "country", "BE" } };
    static uint8_t in[2][RECORD_SIZE_MAX];
    static uint8_t out[3][RECORD_SIZE_MAX];
    const struct slice values[] = { map_of(federation, 2, in[0]), map_of(hq, 1, in[1]),
                                    SLICE_NONE };
    struct disclosure disclosure = { .count = 0 };
    struct slice narrowed[3];

    (void)state;
    choose(&disclosure, "country", TIER_HQ);
    assert_ok(disclosure_narrow(&disclosure, values, out, narrowed));
    assert_map(narrowed[TIER_FEDERATION], &federation[1], 1);
    assert_map(narrowed[TIER_HQ], &federation[0], 1);
    assert_int_equal(narrowed[TIER_CHAPTER].size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_are_withdrawn),
        cmocka_unit_test(test_the_further_one_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
