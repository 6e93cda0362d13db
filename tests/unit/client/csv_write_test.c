/* SPDX-License-Identifier: MPL-2.0 */
/* csv_write_test.c - cells as they are written, and that they come back as the same bytes.
 * Formulas are defused on the way out and restored on the way in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/csv.h"

static char *written(char separator, const char *text, size_t size)
{
    char *out = NULL;
    size_t out_size;
    FILE *stream = open_memstream(&out, &out_size);

    assert_non_null(stream);
    csv_write_cell(stream, separator, slice_of(text, size));
    (void)fclose(stream);
    return out;
}

static void test_cells_as_written(void **state)
{
    static const struct {
        const char *text;
        char separator;
        const char *written;
    } rows[] = {
        { "", ',', "" },
        { "plain", ',', "plain" },
        { "a,b", ',', "\"a,b\"" },
        { "a,b", ';', "a,b" },
        { "a;b", ';', "\"a;b\"" },
        { "say \"x\"", ',', "\"say \"\"x\"\"\"" },
        { "two\nlines", ',', "\"two\nlines\"" },
        { " a", ',', "\" a\"" },
        { "a ", ',', "\"a \"" },
        { "=1+1", ',', "'=1+1" },
        { "+33 1", ',', "'+33 1" },
        { "-5", ',', "'-5" },
        { "@cmd", ',', "'@cmd" },
        { "\tx", ',', "\"'\tx\"" },
        { "\rx", ',', "\"'\rx\"" },
        { "'=x", ',', "''=x" },
        { "'quoted'", ',', "'quoted'" },
        { "O'Neil", ',', "O'Neil" },
        { "a=b", ',', "a=b" },
        { "\xef\xbb\xbfx", ',', "\"\xef\xbb\xbfx\"" }, /* no byte order mark of the file */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *out = written(rows[i].separator, rows[i].text, strlen(rows[i].text));

        assert_string_equal(out, rows[i].written);
        free(out);
    }
}

static void test_restore(void **state)
{
    static const struct {
        const char *cell;
        const char *text;
    } rows[] = { { "'=1", "=1" }, { "'", "'" },      { "''=1", "'=1" },
                 { "'a", "'a" },  { "=1", "=1" },    { "", "" },
                 { "''", "''" },  { "'+33", "+33" }, { "'O", "'O" } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct slice text = csv_restore(slice_of_text(rows[i].cell));

        assert_int_equal(text.size, strlen(rows[i].text));
        assert_memory_equal(text.data, rows[i].text, text.size);
    }
}

static ssize_t read_memory(void *context, void *buffer, size_t size, uint64_t offset)
{
    const struct slice *memory = context;
    const size_t left = offset < memory->size ? memory->size - (size_t)offset : 0;
    const size_t got = left < size ? left : size;

    memcpy(buffer, memory->data + offset, got);
    return (ssize_t)got;
}

/* Whatever the text, what is written is read and restored as the same bytes. */
static void test_round_trip(void **state)
{
    static const char alphabet[] = "a'=+-@\t\r\n\" ,;x";
    static const char separators[] = ",;\t";
    static const char *const known[] = { "name", "email", "id" };
    unsigned seed = 7;

    (void)state;
    for (int turn = 0; turn < 20000; turn++) {
        const char separator = separators[turn % 3];
        struct slice memory = SLICE_NONE;
        const struct csv_source source = { read_memory, &memory };
        struct csv_reader *reader = NULL;
        const struct csv_row *row;
        char reason[CSV_REASON_SIZE];
        char cell[8];
        char *file = NULL;
        char *text;
        size_t size;

        for (size_t i = 0; i < sizeof cell; i++) {
            seed = seed * 1103515245u + 12345u;
            cell[i] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        size = 1 + (size_t)turn % sizeof cell;
        text = written(separator, cell, size);
        assert_true(asprintf(&file, "name%cemail%cid\nx%c%s%cy\n", separator, separator,
                             separator, text, separator) > 0);
        memory = slice_of_text(file);
        assert_int_equal(csv_reader_open(&source, known, 3, &reader, reason), OK);
        assert_int_equal(csv_reader_next(reader, &row), OK);
        assert_string_equal(row->broken, "");
        assert_int_equal(row->count, 3);
        assert_int_equal(csv_restore(row->cells[1]).size, size);
        assert_memory_equal(csv_restore(row->cells[1]).data, cell, size);
        csv_reader_close(&reader);
        free(file);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells_as_written),
        cmocka_unit_test(test_restore),
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
