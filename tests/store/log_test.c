/* SPDX-License-Identifier: MPL-2.0 */
/* log_test.c - lines of the log in both forms, and what strangers may write into them; names,
 * quoting and "did you mean". */
#include "tests/store/store_fixture.h"

#include "daemon/node_internal.h"
#include "daemon/words.h"

int64_t clock_wall_ms(void)
{
    return 1767323045678; /* 2026-01-02T03:04:05.678Z */
}

int64_t clock_monotonic_ms(void)
{
    return 0;
}

/* What log_event writes to stderr for a text. */
static const char *logged(enum log_form form, const char *text)
{
    static char line[8192];
    const int kept = dup(STDERR_FILENO);
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_true(kept >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    log_set_form(form);
    log_event(LOG_NOTICE, "%s", text);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    rewind(file);
    line[fread(line, 1, sizeof line - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    return line;
}

#define TIME "2026-01-02T03:04:05Z"

static void test_lines(void **state)
{
    static const struct {
        const char *text, *as_text, *as_json;
    } cases[] = {
        { "event=ready chapter=fr seq=17", TIME " notice event=ready chapter=fr seq=17\n",
          "{\"time\":\"" TIME "\",\"level\":\"notice\",\"event\":\"ready\",\"chapter\":\"fr\","
          "\"seq\":17}\n" },
        { "event=x remedy=\"free some space\"",
          TIME " notice event=x remedy=\"free some space\"\n",
          "{\"time\":\"" TIME "\",\"level\":\"notice\",\"event\":\"x\",\"remedy\":\"free some"
          " space\"}\n" },
        { "a=\"one\" b=\"\" c=007 d=\"7\"", TIME " notice a=one b=\"\" c=007 d=7\n",
          "{\"time\":\"" TIME "\",\"level\":\"notice\",\"a\":\"one\",\"b\":\"\",\"c\":\"007\","
          "\"d\":\"7\"}\n" },
        { "a=\"say \"hi\"\" b=\\", TIME " notice a=\"say \\\"hi\\\"\" b=\"\\\\\"\n",
          "{\"time\":\"" TIME
          "\",\"level\":\"notice\",\"a\":\"say \\\"hi\\\"\",\"b\":\"\\\\\"}\n" },
        { "a=x\ny b=\x1b[2J c=\xc2\x9bm d=\xe2\x80\xae e=\xff f=é",
          TIME
          " notice a=\"x\\u000ay\" b=\"\\u001b[2J\" c=\"\\u009bm\" d=\"\\u202e\" e=\xef\xbf\xbd"
          " f=é\n",
          "{\"time\":\"" TIME
          "\",\"level\":\"notice\",\"a\":\"x\\u000ay\",\"b\":\"\\u001b[2J\","
          "\"c\":\"\\u009bm\",\"d\":\"\\u202e\",\"e\":\"\xef\xbf\xbd\",\"f\":\"é\"}\n" },
        { "a=1 Loose words", TIME " notice a=1 text=\"Loose words\"\n",
          "{\"time\":\"" TIME "\",\"level\":\"notice\",\"a\":1,\"text\":\"Loose words\"}\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(logged(LOG_AS_TEXT, cases[i].text), cases[i].as_text);
        assert_string_equal(logged(LOG_AS_JSON, cases[i].text), cases[i].as_json);
    }
}

static void test_level_and_length(void **state)
{
    static char text[6000];
    const char *line;

    (void)state;
    log_set_level(LOG_WARNING);
    assert_string_equal(logged(LOG_AS_TEXT, "event=x"), "");
    log_set_level(LOG_NOTICE);
    memset(text, '\x01', sizeof text - 1);
    memcpy(text, "a=1 b=", 6);
    line = logged(LOG_AS_JSON, text); /* whole pairs only, and a line of its own */
    assert_true(strlen(line) <= 4096);
    assert_int_equal(line[strlen(line) - 1], '\n');
    assert_int_equal(line[strlen(line) - 2], '}');
    assert_non_null(strstr(line, "\"a\":1"));
}

static void test_nearest(void **state)
{
    static const char *const names[] = { "init", "join", "run", "check-config", "version" };
    static const struct {
        const char *word, *expected;
    } cases[] = {
        { "iniit", "init" },
        { "jion", "join" },
        { "rum", "run" },
        { "check", NULL },
        { "chek-config", "check-config" },
        { "frobnicate", NULL },
        { "", NULL },
        { "versoin", "version" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *nearest = words_nearest(cases[i].word, names, 5);

        if (cases[i].expected == NULL)
            assert_null(nearest);
        else
            assert_string_equal(nearest, cases[i].expected);
    }
}

static void test_names_and_quotes(void **state)
{
    char out[32];

    (void)state;
    assert_true(words_name_valid("Québec", 256));
    assert_false(words_name_valid("", 256));
    assert_false(words_name_valid(" x", 256));
    assert_false(words_name_valid("abc", 3));
    assert_false(words_name_valid("a\tb", 256));
    assert_false(words_name_valid("\xed\xa0\x80", 256)); /* a surrogate */
    assert_string_equal(words_quote(out, sizeof out, "/srv/hq"), "/srv/hq");
    assert_string_equal(words_quote(out, sizeof out, "a b"), "'a b'");
    assert_string_equal(words_quote(out, sizeof out, "*:7440"), "'*:7440'");
    assert_string_equal(words_quote(out, sizeof out, "it's"), "'it'\\''s'");
    assert_string_equal(words_quote(out, sizeof out, ""), "''");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_level_and_length),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_names_and_quotes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
