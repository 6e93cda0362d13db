/* SPDX-License-Identifier: MPL-2.0 */
/* escape_test.c - what strangers write never moves a cursor or turns text around.
 * And an escaped JSON text is the same JSON value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/session.h"

static void escapes_what_is_hidden(void **state)
{
    static const struct {
        const char *text;
        const char *shown;
    } rows[] = {
        { "", "" },
        { "Zoé Durand", "Zoé Durand" },
        { "山田 太郎 محمد", "山田 太郎 محمد" },
        { "\xf0\x9f\x87\xab\xf0\x9f\x87\xb7", "\xf0\x9f\x87\xab\xf0\x9f\x87\xb7" },
        { "a\nb\tc", "a\\u000ab\\u0009c" },
        { "\x1b[2J", "\\u001b[2J" },
        { "\x7f", "\\u007f" },
        { "\xc2\x9b"
          "31m",
          "\\u009b31m" }, /* CSI as one C1 character */
        { "\xe2\x80\xae"
          "gpj.exe",
          "\\u202egpj.exe" },
        { "\xe2\x81\xa6x\xe2\x81\xa9", "\\u2066x\\u2069" },
        { "\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c", "\\u200e\\u200f\\u061c" },
        { "\xe2\x80\xa8", "\\u2028" },
        { "\xef\xbb\xbf", "\\ufeff" },
        { "\xf3\xa0\x81\x81", "\\udb40\\udc41" },                   /* a tag, beyond 16 bits */
        { "\xe2\x80\x8d\xe2\x80\x8c", "\xe2\x80\x8d\xe2\x80\x8c" }, /* joiners stay */
        { "a\xff\xc3", "a\xef\xbf\xbd\xef\xbf\xbd" },               /* no UTF-8 */
        { "\xc0\x9b", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* an overlong control */
        { "back\\slash", "back\\slash" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *shown = escape_text(rows[i].text);

        assert_non_null(shown);
        assert_string_equal(shown, rows[i].shown);
        free(shown);
    }
}

static void quotes_for_a_shell(void **state)
{
    static const struct {
        const char *text;
        const char *word;
    } rows[] = {
        { "/run/a-b_c.sock", "/run/a-b_c.sock" },
        { "", "''" },
        { "a b", "'a b'" },
        { "it's", "'it'\\''s'" },
        { "$(x)", "'$(x)'" },
        { "~", "'~'" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *word = shell_word(rows[i].text);

        assert_non_null(word);
        assert_string_equal(word, rows[i].word);
        free(word);
    }
}

/* Of every character: either it is no control, or it does not come through. */
static void lets_no_control_through(void **state)
{
    (void)state;
    for (unsigned character = 1; character < 0xa0; character++) {
        const char text[3] = { character < 0x80 ? (char)character : (char)0xc2,
                               character < 0x80 ? '\0' : (char)character, '\0' };
        char *shown = escape_text(text);
        const int printable = character >= 0x20 && character < 0x7f;

        assert_non_null(shown);
        assert_int_equal(strcmp(shown, text) == 0, printable);
        free(shown);
    }
}

static void prints_equal_json(void **state)
{
    const char *name = "\xe2\x80\xae\x1b[0m\x7f\xc2\x85\xf3\xa0\x81\x81\"\\ é";
    json_t *value = json_pack("{s:s, s:[i, n, b]}", "name", name, "list", 1, 1);
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    json_t *read;

    (void)state;
    assert_non_null(stream);
    print_json(stream, value);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(text[size - 1], '\n');
    assert_null(strstr(text, "\xe2\x80\xae"));
    assert_null(strchr(text, 0x7f));
    read = json_loads(text, 0, NULL);
    assert_true(json_equal(read, value));
    json_decref(read);
    json_decref(value);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_what_is_hidden),
        cmocka_unit_test(lets_no_control_through),
        cmocka_unit_test(quotes_for_a_shell),
        cmocka_unit_test(prints_equal_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
