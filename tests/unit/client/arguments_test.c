/* SPDX-License-Identifier: MPL-2.0 */
/* arguments_test.c - times and lengths of time as people write them, and "did you mean".
 * Forms are checked before a request leaves, so each wrong one has its row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/arguments.h"
#include "client/output.h"
#include "client/suggest.h"

static void reads_lengths_of_time(void **state)
{
    static const struct {
        const char *text;
        double seconds; /* negative: refused */
    } rows[] = { { "0", 0 },       { "60", 60 },    { "1.5", 1.5 },    { "90s", 90 },
                 { "5m", 300 },    { "2min", 120 }, { "72h", 259200 }, { "7d", 604800 },
                 { "", -1 },       { "-1", -1 },    { "h", -1 },       { "5x", -1 },
                 { "5 m", -1 },    { "inf", -1 },   { "nan", -1 },     { "1e99", -1 },
                 { "99999d", -1 }, { "+5", -1 } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double seconds = -1;

        assert_int_equal(parse_seconds(rows[i].text, &seconds), rows[i].seconds >= 0);
        assert_true(seconds == rows[i].seconds);
    }
}

static void reads_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes; /* UINT64_MAX: refused */
    } rows[] = { { "0", 0 },
                 { "4096", 4096 },
                 { "1K", 1024 },
                 { "256M", 268435456 },
                 { "2G", 2147483648 },
                 { "8191T", 9006099743113216 },
                 { "8192T", UINT64_MAX },
                 { "9007199254740992", UINT64_MAX },
                 { "99999999999999999999", UINT64_MAX },
                 { "", UINT64_MAX },
                 { "-1", UINT64_MAX },
                 { "1.5G", UINT64_MAX },
                 { "1k", UINT64_MAX },
                 { "1GB", UINT64_MAX },
                 { "G", UINT64_MAX } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t bytes = UINT64_MAX;

        assert_int_equal(parse_size(rows[i].text, &bytes), rows[i].bytes != UINT64_MAX);
        if (rows[i].bytes != UINT64_MAX)
            assert_int_equal(bytes, rows[i].bytes);
    }
}

static void reads_times(void **state)
{
    static const struct {
        const char *text;
        int64_t time; /* -1: refused */
    } rows[] = { { "1970-01-02", 86400 },
                 { "2026-01-31T12:00:00Z", 1769860800 },
                 { "2026-01-31t12:00:00z", 1769860800 },
                 { "2026-01-31 13:30:00+01:30", 1769860800 },
                 { "2026-01-31T10:00:00-02:00", 1769860800 },
                 { "24h", 1000000 - 86400 },
                 { "2026-02-30", -1 },
                 { "2026-01-31T12:00:00", -1 },
                 { "2026-01-31T25:00:00Z", -1 },
                 { "2026-01-31T12:00:00+0100", -1 },
                 { "2026-01-31T12:00:00Zx", -1 },
                 { "yesterday", -1 },
                 { "", -1 } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t moment = -1;

        assert_int_equal(parse_time(rows[i].text, 1000000, &moment), rows[i].time != -1);
        assert_int_equal(moment, rows[i].time);
    }
}

static void formats_times(void **state)
{
    static const struct {
        json_int_t seconds;
        const char *span;
    } rows[] = { { -5, "0 s" },   { 0, "0 s" },       { 119, "119 s" }, { 120, "2 min" },
                 { 7200, "2 h" }, { 172799, "47 h" }, { 172800, "2 d" } };
    char text[TIME_TEXT_SIZE];

    (void)state;
    format_time(1769860800, text);
    assert_string_equal(text, "2026-01-31T12:00:00Z");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char span[SPAN_TEXT_SIZE];

        format_span(rows[i].seconds, span);
        assert_string_equal(span, rows[i].span);
    }
}

static void suggests_the_nearest(void **state)
{
    static const struct {
        const char *word;
        const char *best;
    } rows[] = { { "tsauts", "status" }, { "statsu", "status" },  { "stat", "status" },
                 { "cuonts", "counts" }, { "member", "members" }, { "verfy", "verify" },
                 { "foo", NULL },        { "xyzzy", NULL },       { "", NULL } };
    static const char *const words[] = { "status", "counts", "members", "verify", "log" };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct suggestion suggestion;

        suggestion_begin(&suggestion, rows[i].word);
        for (size_t j = 0; j < sizeof words / sizeof words[0]; j++)
            suggestion_offer(&suggestion, words[j]);
        if (rows[i].best == NULL)
            assert_null(suggestion.best);
        else
            assert_string_equal(suggestion.best, rows[i].best);
    }
}

static void parses_options_and_words(void **state)
{
    static const struct argument_rule rules[] = { { "--chapter", "chapter", ARGUMENT_CODE },
                                                  { "--limit", "limit", ARGUMENT_COUNT },
                                                  { "-f", "follow", ARGUMENT_FLAG } };
    char name[] = "test", chapter[] = "--chapter", code[] = "fr", limit[] = "--limit=5";
    char flag[] = "-f", word[] = "a=b", end[] = "--", dashed[] = "-x";
    char *argv[] = { name, word, chapter, code, limit, flag, end, dashed, NULL };
    const struct options options = { .form = OUTPUT_TEXT };
    struct arguments arguments;
    json_t *expected = json_pack("{s:s, s:i, s:b}", "chapter", "fr", "limit", 5, "follow", 1);

    (void)state;
    assert_true(arguments_parse(&options, 8, argv, rules, 3, 0, 2, &arguments));
    assert_true(json_equal(arguments.args, expected));
    assert_int_equal(arguments.word_count, 2);
    assert_string_equal(arguments.words[0], "a=b");
    assert_string_equal(arguments.words[1], "-x");
    arguments_done(&arguments);
    json_decref(expected);
}

static void refuses_wrong_options(void **state)
{
    static const struct argument_rule rules[] = { { "--chapter", "chapter", ARGUMENT_CODE },
                                                  { "--limit", "limit", ARGUMENT_COUNT },
                                                  { "-f", "follow", ARGUMENT_FLAG },
                                                  { "--at", NULL, ARGUMENT_LATER } };
    static const char *const rows[][2] = { { "--chapter", NULL }, { "--chapter", "FR" },
                                           { "--limit", "-1" },   { "--limit", "5x" },
                                           { "--limit=", NULL },  { "--chap", "fr" },
                                           { "-fx", NULL },       { "--at", "x" },
                                           { "word", NULL } };
    const struct options options = { .form = OUTPUT_TEXT };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char words[3][32] = { "test" };
        char *argv[] = { words[0], words[1], words[2], NULL };
        const int argc = rows[i][1] == NULL ? 2 : 3;
        struct arguments arguments;

        for (int j = 1; j < argc; j++)
            (void)snprintf(words[j], sizeof words[j], "%s", rows[i][j - 1]);
        assert_false(arguments_parse(&options, argc, argv, rules, 4, 0, 0, &arguments));
    }
}

static void reads_fields(void **state)
{
    char name[] = "name=Zoé = x", phone[] = "phone=", name_again[] = "name=y", bare[] = "name";
    char *good[] = { name, phone };
    char *twice[] = { name, name_again };
    char *wrong[] = { bare };
    const struct options options = { .form = OUTPUT_TEXT };
    json_t *expected = json_pack("{s:s, s:n}", "name", "Zoé = x", "phone");
    json_t *fields = json_object();

    (void)state;
    assert_true(arguments_fields(&options, 2, good, fields));
    assert_true(json_equal(fields, expected));
    assert_int_equal(json_object_clear(fields), 0);
    assert_false(arguments_fields(&options, 2, twice, fields));
    assert_false(arguments_fields(&options, 1, wrong, fields));
    json_decref(fields);
    json_decref(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_lengths_of_time), cmocka_unit_test(reads_sizes),
        cmocka_unit_test(reads_times),           cmocka_unit_test(formats_times),
        cmocka_unit_test(suggests_the_nearest),  cmocka_unit_test(parses_options_and_words),
        cmocka_unit_test(refuses_wrong_options), cmocka_unit_test(reads_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
