/* SPDX-License-Identifier: MPL-2.0 */
/* field_test.c - the fields of a member, countries, and codes, UUIDs, dates as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/country.h"
#include "proto/record.h"

/* --- fields ------------------------------------------------------------------------------- */

/* Who may see what: written out once more, so that a slip in the table shows. */
static void test_tiers(void **state)
{
    static const char *const federation = " country expires joined kind status updated ";
    static const char *const hq = " email language ";
    const struct field_rule *rules;
    size_t count;

    (void)state;
    rules = field_rules(&count);
    assert_int_equal(count, 13);
    for (size_t i = 0; i < count; i++) {
        const struct field_rule *rule = field_rule_of(slice_of_text(rules[i].name));
        char word[32] = " ";
        enum tier tier = TIER_CHAPTER;

        assert_ptr_equal(rule, &rules[i]);
        assert_true(i == 0 || strcmp(rules[i - 1].name, rules[i].name) < 0);
        memcpy(word + 1, rule->name, strlen(rule->name));
        word[1 + strlen(rule->name)] = ' ';
        if (strstr(federation, word) != NULL)
            tier = TIER_FEDERATION;
        else if (strstr(hq, word) != NULL || strcmp(rule->name, "name") == 0)
            tier = TIER_HQ;
        assert_int_equal(rule->tier, tier);
        assert_int_equal(rule->organization_tier,
                         strcmp(rule->name, "name") == 0 ? TIER_FEDERATION : tier);
    }
    assert_null(field_rule_of(slice_of_text("shoe_size")));
    assert_null(field_rule_of(slice_of_text("")));
    assert_null(field_rule_of(slice_of_text("Name")));
}

static void check_field(const char *name, struct slice text, enum status verdict)
{
    const char *reason = NULL;
    const enum status status = field_check(field_rule_of(slice_of_text(name)), text, &reason);

    if (status != verdict)
        fail_msg("%s '%.*s'", name, (int)(text.size < 80 ? text.size : 80),
                 (const char *)text.data);
    assert_int_equal(reason != NULL, verdict != OK);
}

static void test_field_texts(void **state)
{
    static const struct {
        const char *name, *text;
        enum status verdict;
    } rows[] = {
        { "name", "Zoë Dùng", OK },
        { "name", "", OK },
        { "name", "two\nlines", INVALID },
        { "name", "tab\there", INVALID },
        { "notes", "two\nlines\tand a tab", OK },
        { "notes", "carriage\r\nreturn", INVALID },
        { "notes", "escape \x1b[31m", INVALID },
        { "city", "Esch-sur-Alzette", OK },
        { "shoe_size", "42", OK }, /* a field that this version does not know */
        { "shoe_size", "4\n2", INVALID },
        { "country", "FR", OK },
        { "country", "fr", INVALID },
        { "country", "XX", INVALID },
        { "country", "FRA", INVALID },
        { "country", "", INVALID },
        { "joined", "2024-02-29", OK },
        { "joined", "2023-02-29", INVALID },
        { "expires", "2024-2-29", INVALID },
        { "expires", "tomorrow", INVALID },
        { "kind", "organization", OK },
        { "kind", "organisation", INVALID },
        { "kind", "", INVALID },
        { "status", "pending", OK },
        { "status", "Pending", INVALID },
        { "language", "fr", OK },
        { "language", "pt-BR", OK },
        { "language", "zh-Hant-TW", OK },
        { "language", "x-klingon", OK },
        { "language", "de-1996", OK },
        { "language", "", INVALID },
        { "language", "f", INVALID },
        { "language", "1996", INVALID },
        { "language", "fr-", INVALID },
        { "language", "-fr", INVALID },
        { "language", "fr--CA", INVALID },
        { "language", "fr_CA", INVALID },
        { "language", "français", INVALID },
        { "language", "de-abcdefghi", INVALID },
        { "email", "a@b", OK },
        { "email", "zoë@exämple.org", OK },
        { "email", "first.last+tag@example.org", OK },
        { "email", "", INVALID },
        { "email", "@", INVALID },
        { "email", "a@", INVALID },
        { "email", "@b", INVALID },
        { "email", "a@b@c", INVALID },
        { "email", "ab", INVALID },
        { "email", "a b@c", INVALID },
        { "email", "a@b\n", INVALID },
        { "email", "a\x7f@b", INVALID },
        { "updated", "1700000000", INVALID }, /* a number, and the daemon's */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_field(rows[i].name, slice_of_text(rows[i].text), rows[i].verdict);
    check_field("name", slice_of("a\0b", 3), INVALID);
    check_field("notes", slice_of("a\0b", 3), INVALID);
}

static void test_field_sizes(void **state)
{
    static const struct {
        const char *name;
        size_t size;
    } rows[] = {
        { "name", 256 },   { "city", 128 },        { "phone", 64 },
        { "notes", 8192 }, { "external_id", 128 }, { "shoe_size", 4096 },
    };
    static char text[8193];

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_field(rows[i].name, slice_of(text, rows[i].size), OK);
        check_field(rows[i].name, slice_of(text, rows[i].size + 1), INVALID);
    }
    text[1] = '@';
    check_field("email", slice_of(text, 254), OK);
    check_field("email", slice_of(text, 255), INVALID);
    memcpy(text, "en-aaaaaaaa-bbbbbbbb-cccccccc-ddddd1", 36);
    check_field("language", slice_of(text, 35), OK);
    check_field("language", slice_of(text, 36), INVALID);
}

static void test_countries(void **state)
{
    size_t count = 0;

    (void)state;
    for (int i = 0; i < 256 * 256; i++) {
        const char code[2] = { (char)(i >> 8), (char)(i & 0xff) };

        assert_int_equal(country_valid(slice_of(code, 2)), country_name(code) != NULL);
        count += country_name(code) != NULL;
    }
    assert_int_equal(count, 249);
    assert_string_equal(country_name("LU"), "Luxembourg");
    assert_string_equal(country_name("AD"), "Andorra");
    assert_string_equal(country_name("ZW"), "Zimbabwe");
    assert_null(country_name("UK")); /* reserved, not assigned */
    assert_null(country_name("EU"));
    assert_null(country_name("XK"));
    assert_null(country_name("lu"));
    assert_false(country_valid(SLICE_NONE));
    assert_false(country_valid(slice_of_text("L")));
    assert_false(country_valid(slice_of_text("LUX")));
}

/* --- codes, UUIDs, hex -------------------------------------------------------------------- */

static void test_codes(void **state)
{
    static const char *const good[] = {
        "a", "hq", "fr", "us-dc", "a1", "a-", "abcdefghijklmno"
    };
    static const char *const bad[] = { "",    "1a",  "-a", "FR", "f_r",
                                       "f r", "f\n", "é",  "fR", "abcdefghijklmnop" };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(code_valid(slice_of_text(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(code_valid(slice_of_text(bad[i])));
    assert_false(code_valid(slice_of("fr\0", 3)));
}

static void test_uuids(void **state)
{
    static const char text[] = "0189f7e1-2b3c-7d4e-8f50-61728394a5b6";
    static const char *const bad[] = {
        "",
        "0189f7e12b3c7d4e8f5061728394a5b6",
        "0189f7e1-2b3c-7d4e-8f50-61728394a5b",
        "0189f7e1-2b3c-7d4e-8f50-61728394a5b67",
        "0189f7e1-2b3c-7d4e-8f50-61728394a5bg",
        "0189f7e1-2b3c-7d4e-8f50-61728394a5b/",
        "0189f7e1-2b3c-7d4e-8f50-61728394a5b:",
        "0189f7e1-2b3c-7d4e-8f50-61728394a5b@",
        "0189f7e1-2b3c-7d4e-8f50-61728394a5bG",
        "0189f7e1-2b3c-7d4e-8f50-61728394a5b`",
        "0189f7e12-b3c-7d4e-8f50-61728394a5b6",
        "0189f7e1-2b3c-7d4e-8f50 61728394a5b6",
        "{189f7e1-2b3c-7d4e-8f50-61728394a5b}",
        "00000000-0000-0000-0000-000000000000",
    };
    uint8_t id[ID_SIZE];
    uint8_t upper[ID_SIZE];
    char back[UUID_TEXT_SIZE];

    (void)state;
    assert_true(uuid_parse(slice_of_text(text), id));
    assert_memory_equal(id, "\x01\x89\xf7\xe1\x2b\x3c\x7d\x4e\x8f\x50\x61\x72\x83\x94\xa5\xb6",
                        16);
    uuid_format(id, back);
    assert_string_equal(back, text);
    assert_true(uuid_parse(slice_of_text("0189F7E1-2B3C-7D4E-8F50-61728394A5B6"), upper));
    assert_memory_equal(upper, id, ID_SIZE);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(uuid_parse(slice_of_text(bad[i]), upper));
    assert_memory_equal(upper, id, ID_SIZE); /* written only on success */
}

/* The example of RFC 9562, appendix A.6. */
static void test_uuid_v7(void **state)
{
    static const uint8_t random[10] = { 0x0c, 0xc3, 0x18, 0xc4, 0xdc,
                                        0x0c, 0x0c, 0x07, 0x39, 0x8f };
    uint8_t ones[10];
    uint8_t id[ID_SIZE];
    char text[UUID_TEXT_SIZE];

    (void)state;
    uuid_make_v7(0x017f22e279b0, random, id);
    uuid_format(id, text);
    assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    memset(ones, 0xff, sizeof ones);
    uuid_make_v7(0, ones, id);
    uuid_format(id, text);
    assert_string_equal(text, "00000000-0000-7fff-bfff-ffffffffffff");
}

static void test_uuids_ascend(void **state)
{
    static const uint64_t times[] = { 5, 5, 6, 6, 4, 0, 7, 7, 7 };
    struct uuid_maker maker = { 0 };
    uint8_t last[ID_SIZE] = { 0 };
    uint8_t id[ID_SIZE];
    uint8_t random[10];

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        /* all ones as often as not: the longest steps, and a counter that runs over */
        for (size_t k = 0; k < sizeof random; k++)
            random[k] = i % 3 == 0 ? 0 : 0xff;
        uuid_make_next(&maker, i < 9 ? times[i] : 7 + i / 50000, random, id);
        assert_true(memcmp(last, id, ID_SIZE) < 0);
        assert_int_equal(id[6] >> 4, 7);
        assert_int_equal(id[8] >> 6, 2);
        memcpy(last, id, ID_SIZE);
    }
    maker = (struct uuid_maker){ .time_ms = 9 };
    memset(maker.random, 0xff, sizeof maker.random);
    uuid_make_next(&maker, 9, random, last); /* over the end: the next millisecond */
    assert_int_equal(maker.time_ms, 10);
    assert_int_equal(last[5], 10);
    uuid_make_next(&maker, 10, random, id);
    assert_true(memcmp(last, id, ID_SIZE) < 0);
}

static void test_hex(void **state)
{
    char text[9];

    (void)state;
    hex_format("\x00\x9f\xa0\xff", 4, text);
    assert_string_equal(text, "009fa0ff");
    hex_format(text, 0, text);
    assert_string_equal(text, "");
}

/* --- dates -------------------------------------------------------------------------------- */

static void test_dates(void **state)
{
    static const struct {
        const char *text;
        int32_t days;
    } good[] = {
        { "1970-01-01", 0 },     { "1969-12-31", -1 },    { "1900-01-01", -25567 },
        { "2000-02-29", 11016 }, { "2000-03-01", 11017 }, { "2024-02-29", 19782 },
        { "2038-01-19", 24855 }, { "2100-03-01", 47541 }, { "9999-12-31", 2932896 },
    };
    static const char *const bad[] = {
        "",           "1899-12-31", "0000-01-01", "2023-02-29",  "1900-02-29", "2100-02-29",
        "2024-00-01", "2024-13-01", "2024-01-00", "2024-01-32",  "2024-04-31", "2024-1-01",
        "2024-x1-01", "2024-01/01", "2024/01/01", "2024-01-01 ", "24-01-01",   "20240101",
        "2024-01-0x", "+024-01-01", "-024-01-01", "2024-01-01T", "2024- 1-01", "２024-01-1",
    };
    int32_t days;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(date_parse(slice_of_text(good[i].text), &days));
        assert_int_equal(days, good[i].days);
    }
    days = 4711;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (date_parse(slice_of_text(bad[i]), &days))
            fail_msg("%s is no date", bad[i]);
    assert_int_equal(days, 4711);
}

/* Every text YYYY-MM-DD in order: the days follow one another without a hole. */
static void test_calendar(void **state)
{
    int32_t expected = -25567;
    int32_t days;

    (void)state;
    for (int i = 19000000; i <= 99991399; i++) {
        char text[10] = { 0 };
        int rest = i;

        for (int at = 9; at >= 0; at--) {
            text[at] = at == 4 || at == 7 ? '-' : (char)('0' + rest % 10);
            rest = at == 4 || at == 7 ? rest : rest / 10;
        }
        if (i % 10000 == 1400)
            i += 10000 - 1400 - 1; /* no months beyond 13 */
        else if (date_parse(slice_of(text, sizeof text), &days) && days != expected++)
            fail_msg("%.10s is day %d", text, (int)days);
    }
    assert_int_equal(expected, 2932897);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiers),       cmocka_unit_test(test_field_texts),
        cmocka_unit_test(test_field_sizes), cmocka_unit_test(test_countries),
        cmocka_unit_test(test_codes),       cmocka_unit_test(test_uuids),
        cmocka_unit_test(test_uuid_v7),     cmocka_unit_test(test_uuids_ascend),
        cmocka_unit_test(test_hex),         cmocka_unit_test(test_dates),
        cmocka_unit_test(test_calendar),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
