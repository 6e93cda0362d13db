/* SPDX-License-Identifier: MPL-2.0 */
/* csv_encoding_test.c - which encoding a file is found to have, what it is read as, and that it
 * is written back as it was, whatever the size of a read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/csv_encoding.h"
#include "client/temporary.h"

struct memory_source {
    const char *data;
    size_t size;
    size_t step; /* bytes that one read gives at most */
};

static ssize_t read_memory(void *context, void *buffer, size_t size, uint64_t offset)
{
    const struct memory_source *source = context;
    size_t left = offset < source->size ? source->size - (size_t)offset : 0;

    left = left < size ? left : size;
    left = left < source->step ? left : source->step;
    memcpy(buffer, source->data + offset, left);
    return (ssize_t)left;
}

static enum status find(const char *data, size_t size, enum csv_encoding *out_encoding)
{
    struct memory_source memory = { data, size, 7 };
    const struct csv_source source = { read_memory, &memory };

    return csv_encoding_find(&source, out_encoding);
}

#define BYTES(text) text, sizeof(text) - 1

static void test_finding(void **state)
{
    static const struct {
        const char *data;
        size_t size;
        enum csv_encoding encoding;
    } cases[] = {
        { BYTES(""), CSV_UTF8 },
        { BYTES("name\nAnn\n"), CSV_UTF8 },
        { BYTES("name\nZo\xc3\xa9\n"), CSV_UTF8 },
        { BYTES("\xef\xbb\xbfname\nZo\xc3\xa9\n"), CSV_UTF8_MARKED },
        { BYTES("\xef\xbb\xbfname\nZo\xe9\n"), CSV_UTF8_MARKED },
        { BYTES("name\nZo\xe9\n"), CSV_WINDOWS_1252 },
        { BYTES("name\nZo\xe9"), CSV_WINDOWS_1252 },
        { BYTES("na\xefve,\x93x\x94\n"), CSV_WINDOWS_1252 },
        /* a fault in a file that is UTF-8 otherwise is that row's */
        { BYTES("name\nZo\xe9\nL\xc3\xa9"
                "a\n"),
          CSV_UTF8 },
        { BYTES("name\nU\xed\xa0\x80\nL\xc3\xa9"
                "a\n"),
          CSV_UTF8 },
        { BYTES("name\nZo\xe9\nS\xf8ren\nL\xc3\xa9"
                "a\n"),
          CSV_WINDOWS_1252 },
        { BYTES("\xff\xfen\0a\0"), CSV_UTF16LE },
        { BYTES("\xff\xfe"), CSV_UTF16LE },
        { BYTES("n\0a\0m\0e\0\n\0"), CSV_UTF16LE },
        { BYTES("na\0me,city\n"), CSV_UTF8 },
    };
    enum csv_encoding encoding;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(find(cases[i].data, cases[i].size, &encoding), OK);
        if (encoding != cases[i].encoding)
            print_error("case %zu\n", i);
        assert_int_equal(encoding, cases[i].encoding);
    }
    assert_int_equal(find(BYTES("\xfe\xff\0n"), &encoding), UNSUPPORTED);
}

/* What the text is read as, in reads of step bytes; heap of the caller. */
static char *decoded(const char *data, size_t size, enum csv_encoding encoding, size_t step,
                     uint64_t *out_size)
{
    struct memory_source memory = { data, size, step };
    const struct csv_source source = { read_memory, &memory };
    bool reading;
    char *text;
    int fd;

    assert_int_equal(temporary_open(&fd), OK);
    assert_int_equal(csv_encoding_decode(&source, encoding, fd, out_size, &reading), OK);
    assert_false(reading);
    text = malloc(*out_size + 1);
    assert_non_null(text);
    assert_int_equal(temporary_read(fd, text, *out_size, 0), OK);
    (void)close(fd);
    return text;
}

static void test_reading_and_writing(void **state)
{
    static const struct {
        enum csv_encoding encoding;
        const char *data;
        size_t size;
        const char *text;
        size_t text_size;
        const char *again; /* NULL: as data */
        size_t again_size;
    } cases[] = {
        { CSV_WINDOWS_1252, BYTES("Zo\xe9 \x80 \x93x\x94 \x9f\xff"),
          BYTES("Zo\xc3\xa9 \xe2\x82\xac \xe2\x80\x9cx\xe2\x80\x9d \xc5\xb8\xc3\xbf"), NULL,
          0 },
        { CSV_WINDOWS_1252,
          BYTES("a\x81\x8d"
                "b\0"),
          BYTES("a\xef\xbf\xbd\xef\xbf\xbd"
                "b\0"),
          BYTES("a\x81\x81"
                "b\0") },
        { CSV_UTF16LE, BYTES("n\0\xe9\0\xac\x20\x3d\xd8\x00\xde"),
          BYTES("n\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), NULL, 0 },
        /* halves of pairs, and half a unit */
        { CSV_UTF16LE, BYTES("\x3d\xd8n\0"), BYTES("\xef\xbf\xbdn"), BYTES("\xfd\xffn\0") },
        { CSV_UTF16LE, BYTES("\x00\xden\0"), BYTES("\xef\xbf\xbdn"), BYTES("\xfd\xffn\0") },
        { CSV_UTF16LE, BYTES("n\0\x3d\xd8"), BYTES("n\xef\xbf\xbd"), BYTES("n\0\xfd\xff") },
        { CSV_UTF16LE, BYTES("n\0x"), BYTES("n\xef\xbf\xbd"), BYTES("n\0\xfd\xff") },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t step = 1; step < 6; step++) {
            uint64_t size = 0;
            char *text = decoded(cases[i].data, cases[i].size, cases[i].encoding, step, &size);
            const char *again = cases[i].again == NULL ? cases[i].data : cases[i].again;
            size_t again_size = cases[i].again == NULL ? cases[i].size : cases[i].again_size;
            char *written = NULL;
            size_t written_size = 0;
            FILE *stream = open_memstream(&written, &written_size);

            assert_int_equal(size, cases[i].text_size);
            assert_memory_equal(text, cases[i].text, size);
            csv_encoding_write(stream, cases[i].encoding, slice_of(text, size));
            assert_int_equal(fclose(stream), 0);
            assert_int_equal(written_size, again_size);
            assert_memory_equal(written, again, again_size);
            free(written);
            free(text);
        }
    }
}

/* Characters across the borders of blocks. */
static void test_long_files(void **state)
{
    enum { COUNT = 50000 };
    char *data = malloc(4 * COUNT + 4);
    enum csv_encoding encoding;

    (void)state;
    assert_non_null(data);
    for (size_t shift = 0; shift < 4; shift++) {
        uint64_t size = 0;
        char *text;

        memset(data, 'a', shift);
        for (size_t i = 0; i < COUNT; i++)
            memcpy(data + shift + 4 * i, "\xf0\x9f\x98\x80", 4);
        assert_int_equal(find(data, shift + 4 * COUNT, &encoding), OK);
        assert_int_equal(encoding, CSV_UTF8);
        if (shift % 2 != 0)
            continue;
        for (size_t i = 0; i < COUNT; i++)
            memcpy(data + shift + 4 * i, "\x3d\xd8\x00\xde", 4);
        text = decoded(data, shift + 4 * COUNT, CSV_UTF16LE, 1000, &size);
        assert_int_equal(size, 4 * COUNT + (shift == 0 ? 0 : 3));
        for (size_t i = 0; i < COUNT; i++)
            assert_memory_equal(text + size - 4 * (i + 1), "\xf0\x9f\x98\x80", 4);
        free(text);
    }
    free(data);
}

static void test_what_windows_1252_lacks(void **state)
{
    char *written = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&written, &size);

    (void)state;
    csv_encoding_begin(stream, CSV_WINDOWS_1252);
    csv_encoding_write(stream, CSV_WINDOWS_1252, slice_of_text("\xe5\xb1\xb1x"));
    assert_int_equal(fclose(stream), 0);
    assert_string_equal(written, "?x");
    free(written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finding),
        cmocka_unit_test(test_reading_and_writing),
        cmocka_unit_test(test_long_files),
        cmocka_unit_test(test_what_windows_1252_lacks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
