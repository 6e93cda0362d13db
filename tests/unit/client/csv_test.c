/* SPDX-License-Identifier: MPL-2.0 */
/* csv_test.c - the CSV reader on good, broken and huge input, whatever the size of a read.
 * Rows are compared as text, so that a failure shows what was read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "client/csv.h"

static const char *const known[] = { "id", "name", "email", "external_id" };

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

/* Every row as "LINE:cell|cell", a broken one as "LINE!reason"; the header comes first. */
static void dump_row(FILE *out, const struct csv_row *row)
{
    if (row->broken[0] != '\0') {
        fprintf(out, "%u!%s\n", (unsigned)row->line, row->broken);
        return;
    }
    fprintf(out, "%u:", (unsigned)row->line);
    for (size_t i = 0; i < row->count; i++)
        fprintf(out, "%s%.*s", i == 0 ? "" : "|", (int)row->cells[i].size,
                (const char *)row->cells[i].data);
    putc('\n', out);
}

static enum status dump(struct memory_source *memory, bool twice, char **out_text,
                        char *out_separator)
{
    const struct csv_source source = { read_memory, memory };
    char reason[CSV_REASON_SIZE] = "";
    struct csv_reader *reader = NULL;
    const struct csv_row *row;
    uint64_t last = 0;
    enum status status;
    size_t size;
    FILE *out;

    *out_text = NULL;
    status = csv_reader_open(&source, known, sizeof known / sizeof known[0], &reader, reason);
    if (status != OK) {
        assert_null(reader);
        return status;
    }
    *out_separator = csv_reader_separator(reader);
    if (twice) {
        while ((status = csv_reader_next(reader, &row)) == OK)
            continue;
        assert_int_equal(status, NOT_FOUND);
        assert_int_equal(csv_reader_rewind(reader), OK);
    }
    out = open_memstream(out_text, &size);
    assert_non_null(out);
    dump_row(out, csv_reader_header(reader));
    while ((status = csv_reader_next(reader, &row)) == OK) {
        assert_true(row->line > last);
        last = row->line;
        dump_row(out, row);
    }
    (void)fclose(out);
    csv_reader_close(&reader);
    assert_null(reader);
    return status;
}

#define TEXT(literal) literal, sizeof(literal) - 1

static const struct {
    const char *data;
    size_t size;
    char separator;
    const char *rows;
} cases[] = {
    /* separators: the one with most known names, then with most columns */
    { TEXT("name,email\nA,a@x\n"), ',', "1:name|email\n2:A|a@x\n" },
    { TEXT("name;email\nA, B;a@x\n"), ';', "1:name|email\n2:A, B|a@x\n" },
    { TEXT("name\temail\nA\t\n"), '\t', "1:name|email\n2:A|\n" },
    { TEXT("Name;E,mail,or,phone\nA;b\n"), ';', "1:Name|E,mail,or,phone\n2:A|b\n" },
    { TEXT("External ID;NAME\n7;A\n"), ';', "1:External ID|NAME\n2:7|A\n" },
    { TEXT("\"name\";\"email\"\n\"A;\"\"B\";c\n"), ';', "1:name|email\n2:A;\"B|c\n" },
    { TEXT("name\nA\n"), ',', "1:name\n2:A\n" },
    { TEXT("a;b;c,d\n1;2;3\n"), ';', "1:a|b|c,d\n2:1|2|3\n" },
    /* marks and line ends; a last line without one */
    { TEXT("\xef\xbb\xbfname,email\nA,b"), ',', "1:name|email\n2:A|b\n" },
    { TEXT("\xef\xbb\xbf\"name\",email\r\nA,b\r\n"), ',', "1:name|email\n2:A|b\n" },
    { TEXT("name,email\rA,b\rC,d"), ',', "1:name|email\n2:A|b\n3:C|d\n" },
    { TEXT("name,email\r\n\r\n\r\nA,b\r\n"), ',', "1:name|email\n4:A|b\n" },
    { TEXT("\n \nname\n\nA\n  \n\t\nB\n"), ',', "3:name\n5:A\n8:B\n" },
    { TEXT("name,email\n,\n \t,\nA,\n"), ',', "1:name|email\n4:A|\n" },
    { TEXT("name"), ',', "1:name\n" },
    /* quotes */
    { TEXT("name,n\n\"a\nb\r\nc\",d\nE,f\n"), ',', "1:name|n\n2:a\nb\r\nc|d\n5:E|f\n" },
    { TEXT("name,n\n\" a \" , b \n"), ',', "1:name|n\n2: a |b\n" },
    { TEXT("name,n\n\"\",\"\"\"\"\n"), ',', "1:name|n\n2:|\"\n" },
    { TEXT("name,n\nA\"B,c\nD,e\n"), ',',
      "1:name|n\n2!a quote stands where none may be\n3:D|e\n" },
    { TEXT("name,n\n\"A\"B,c\nD,e\n"), ',',
      "1:name|n\n2!a quote stands where none may be\n3:D|e\n" },
    { TEXT("name,n\nA,\"b\nC,d\nE,f\n"), ',',
      "1:name|n\n2!a quote is opened and never closed\n3:C|d\n4:E|f\n" },
    { TEXT("name,n\nA,\"b"), ',', "1:name|n\n2!a quote is opened and never closed\n" },
    /* a quote that another row's quote closes: nothing of what lies between is lost, and what
     * may be the rest of the broken row is not taken for one */
    { TEXT("name,n\nA,\"b\nC,d\nrest\nE,\"f\"\nG\n"), ',',
      "1:name|n\n2!a quote stands where none may be\n3:C|d\n"
      "4!seems to belong to the broken row in line 2\n5:E|f\n6:G\n" },
    { TEXT("name,n\n\"A\"B,c\nshort\n"), ',',
      "1:name|n\n2!a quote stands where none may be\n3:short\n" },
    /* a broken row within what a broken row reached */
    { TEXT("name,n\nA,\"b\nC\"D,e\nrest\nE\",f\n\nG,\"h\"\n"), ',',
      "1:name|n\n2!a quote stands where none may be\n3!a quote stands where none may be\n"
      "4:rest\n5!a quote stands where none may be\n7:G|h\n" },
    { TEXT("name,n\n\"A,b\n\"C\"\"\n,d"), ',',
      "1:name|n\n2!a quote stands where none may be\n3!a quote is opened and never closed\n"
      "4:|d\n" },
    /* bytes that are no text */
    { TEXT("name,n\nA,b\0c\nD,e\n"), ',', "1:name|n\n2!column 2 holds a NUL byte\n3:D|e\n" },
    { TEXT("name,n\nA\xff,b\nD,e\n"), ',', "1:name|n\n2!column 1 is not UTF-8\n3:D|e\n" },
    { TEXT("name,n\nA,\"\xed\xa0\x80\"\n\0\n"), ',',
      "1:name|n\n2!column 2 is not UTF-8\n3!column 1 holds a NUL byte\n" },
    { TEXT("name,n\n1\n1,2,3\n"), ',', "1:name|n\n2:1\n3:1|2|3\n" },
};

static void test_rows(void **state)
{
    static const size_t steps[] = { SIZE_MAX, 1, 2, 3, 7 };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
            struct memory_source source = { cases[i].data, cases[i].size, steps[s] };
            char *text;
            char separator;

            assert_int_equal(dump(&source, s == 1, &text, &separator), NOT_FOUND);
            assert_string_equal(text, cases[i].rows);
            assert_int_equal(separator, cases[i].separator);
            free(text);
        }
}

/* For the operator to mend: the first line's cells, and a mark that the row is not whole. */
static void test_broken_rows_keep_their_cells(void **state)
{
    static const struct {
        const char *data;
        size_t size;
        const char *cells;
    } broken[] = {
        { TEXT("name,n\nA\"B,c\nD,e\n"), "A\"B|c|" CSV_LOST },
        { TEXT("name,n\n\"A\"B,\"c,d\"\nD,e\n"), "\"A\"B|c,d|" CSV_LOST },
        { TEXT("name,n\nA,\"b\nC,d\n"), "A|\"b|" CSV_LOST },
        { TEXT("name,n\nA,\"b"), "A|\"b|" CSV_LOST },
        { TEXT("name,n\nA\"\"B,\"c\"\"d,\"\"\" ,,\n"), "A\"\"B|c\"d,\"|||" CSV_LOST },
        { TEXT("name,n\nA,b\0\n"), NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct memory_source memory = { broken[i].data, broken[i].size, SIZE_MAX };
        const struct csv_source source = { read_memory, &memory };
        char reason[CSV_REASON_SIZE] = "";
        struct csv_reader *reader = NULL;
        const struct csv_row *row;
        struct csv_row copy;
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        assert_non_null(out);
        assert_int_equal(csv_reader_open(&source, known, 4, &reader, reason), OK);
        assert_int_equal(csv_reader_next(reader, &row), OK);
        assert_string_not_equal(row->broken, "");
        copy = *row;
        copy.broken[0] = '\0';
        dump_row(out, &copy);
        (void)fclose(out);
        if (broken[i].cells == NULL)
            assert_memory_equal(row->cells[1].data, "b\0", row->cells[1].size);
        else {
            assert_memory_equal(text, "2:", 2);
            assert_int_equal(strlen(text + 2), strlen(broken[i].cells) + 1);
            assert_memory_equal(text + 2, broken[i].cells, strlen(broken[i].cells));
        }
        free(text);
        csv_reader_close(&reader);
    }
}

static void test_headers_that_cannot_be(void **state)
{
    static const struct {
        const char *data;
        size_t size;
        enum status status;
    } bad[] = {
        { TEXT(""), NOT_FOUND },
        { TEXT("\xef\xbb\xbf"), NOT_FOUND },
        { TEXT("\n\r\n  \n"), NOT_FOUND },
        { TEXT("\xff\xfen\0a\0m\0e\0"), UNSUPPORTED },
        { TEXT("\xfe\xff\0n\0a\0m\0e"), UNSUPPORTED },
        { TEXT("n\0a\0m\0e\0\n\0"), INVALID },
        { TEXT("name,\"email\nA,b\n"), INVALID },
        { TEXT("na\"me\n"), INVALID },
        { TEXT("name,\xe9mail\n"), INVALID },
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct memory_source source = { bad[i].data, bad[i].size, SIZE_MAX };
        char *text;
        char separator;

        assert_int_equal(dump(&source, false, &text, &separator), bad[i].status);
    }
}

/* One of the lines ends around the place where the buffer does, at each distance from it. */
static void test_buffer_edges(void **state)
{
    enum { EDGE = 64 * 1024, WIDTH = 1000, ROWS = 67 };
    char *data = malloc((size_t)2 * EDGE);

    (void)state;
    assert_non_null(data);
    for (size_t shift = 0; shift < 20; shift++) {
        struct memory_source source = { data, 0, SIZE_MAX };
        char *expected = NULL;
        char *text;
        char separator;
        size_t size;
        FILE *out = open_memstream(&expected, &size);

        assert_non_null(out);
        for (unsigned line = 1; line <= ROWS; line++) {
            const size_t width = line == 1 ? 395 + shift : WIDTH;
            char *row = data + source.size;

            memset(row, 'a' + (int)(line % 26), width);
            row[1] = ',';
            row[width] = '\r';
            row[width + 1] = '\n';
            fprintf(out, "%u:%c|%.*s\n", line, row[0], (int)width - 2, row + 2);
            source.size += width + 2;
        }
        (void)fclose(out);
        assert_true(source.size > EDGE && source.size - EDGE < 1100);
        assert_int_equal(dump(&source, false, &text, &separator), NOT_FOUND);
        assert_string_equal(text, expected);
        free(expected);
        free(text);
    }
    free(data);
}

/* --- what is too large -------------------------------------------------------------------- */

/* before, then a filler repeated up to size bytes, then after */
struct huge_source {
    const char *before;
    const char *after;
    const char *filler; /* of 8 bytes */
    uint64_t size;
};

static ssize_t read_huge(void *context, void *buffer, size_t size, uint64_t offset)
{
    const struct huge_source *source = context;
    const uint64_t begin = strlen(source->before);
    const uint64_t end = begin + source->size;
    uint8_t *bytes = buffer;
    size_t got = 0;

    for (; got < size; got++, offset++) {
        if (offset < begin)
            bytes[got] = (uint8_t)source->before[offset];
        else if (offset < end)
            bytes[got] = (uint8_t)source->filler[(offset - begin) % 8];
        else if (offset < end + strlen(source->after))
            bytes[got] = (uint8_t)source->after[offset - end];
        else
            break;
    }
    return (ssize_t)got;
}

static long memory_kib(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

static void check_huge(struct huge_source *huge, const char *expected)
{
    const struct csv_source source = { read_huge, huge };
    char reason[CSV_REASON_SIZE] = "";
    struct csv_reader *reader = NULL;
    const struct csv_row *row;
    enum status status;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    assert_int_equal(csv_reader_open(&source, known, 4, &reader, reason), OK);
    while ((status = csv_reader_next(reader, &row)) == OK)
        dump_row(out, row);
    (void)fclose(out);
    assert_int_equal(status, NOT_FOUND);
    assert_string_equal(text, expected);
    free(text);
    csv_reader_close(&reader);
}

#define TOO_LARGE_TEXT "!a field is larger than 16 KiB\n"

static void test_huge_fields_take_no_memory(void **state)
{
    static struct huge_source sources[] = {
        { "name,n\nA,", "\nC,d\n", "xxxxxxxx", 16u << 20 },
        { "name,n\nA,\"", "\",\"e\"\nC,d\n", "xxxxxx\"\"", 16u << 20 },
        { "name,n\nA,\"", "\"\nC,d\n", "xxxxxxx\n", 1u << 20 },
        { "name,n\nA,", "", "xxxxxxxx", 1u << 20 },
        { "name,n\nA,\"", "", "xxxxxxxx", 1u << 20 },
        { "name,n\nA,x", ",\"y\nz\"\nC,d\n", "xxxxxx\"x", 1u << 20 },
        { "name,n\nA,\"b\"", "\nC,d\n", "        ", 1u << 20 },
        { "name,n\n", "C,d\n", "        ", 1u << 20 },
    };
    static const char *const expected[] = {
        "2" TOO_LARGE_TEXT "3:C|d\n",
        "2" TOO_LARGE_TEXT "3:C|d\n",
        "2" TOO_LARGE_TEXT "131075:C|d\n",
        "2" TOO_LARGE_TEXT,
        "2" TOO_LARGE_TEXT,
        "2!a quote stands where none may be\n3!a quote stands where none may be\n4:C|d\n",
        "2" TOO_LARGE_TEXT "3:C|d\n",
        "2:C|d\n",
    };
    const long before = memory_kib();

    (void)state;
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++)
        check_huge(&sources[i], expected[i]);
    assert_true(memory_kib() - before < 4096);
}

/* A line that is as long as the buffer, or a little more or less. */
static void test_lines_of_the_buffers_size(void **state)
{
    (void)state;
    for (uint64_t size = 64 * 1024 - 40; size < 64 * 1024 + 40; size++) {
        struct huge_source source = { "name,n\r\nA,", "\r\nC,d\r\nE,f\r\n", "xxxxxxxx", size };

        check_huge(&source, "2" TOO_LARGE_TEXT "3:C|d\n4:E|f\n");
    }
}

/* The largest cell that a member can have, and one byte more than can be read. */
static void test_limits(void **state)
{
    struct huge_source source = { "name,n\nA,", "\nC,d\n", "xxxxxxxx", RECORD_SIZE_MAX };
    const struct csv_source csv = { read_huge, &source };
    char reason[CSV_REASON_SIZE];
    struct csv_reader *reader = NULL;
    const struct csv_row *row;

    (void)state;
    assert_int_equal(csv_reader_open(&csv, known, 4, &reader, reason), OK);
    assert_int_equal(csv_reader_next(reader, &row), OK);
    assert_string_equal(row->broken, "");
    assert_int_equal(row->cells[1].size, RECORD_SIZE_MAX);
    csv_reader_close(&reader);
    source.size = CSV_CELL_SIZE_MAX + 1;
    check_huge(&source, "2" TOO_LARGE_TEXT "3:C|d\n");
    /* many columns: the row is read to its end, what does not fit is not kept */
    source = (struct huge_source){ "name,n\n", "z\nC,d\n", "a,b,c,d,", 8 * 200 };
    check_huge(&source, "2!the row has more than 512 columns\n3:C|d\n");
    source = (struct huge_source){ "name,n\n", "z\nC,d\n", "a,b,c,d,", 64u << 20 };
    check_huge(&source, "2!the row has more than 512 columns\n3:C|d\n");
}

static ssize_t read_failing(void *context, void *buffer, size_t size, uint64_t offset)
{
    (void)buffer;
    (void)size;
    if (offset >= *(const uint64_t *)context) {
        errno = EIO;
        return -1;
    }
    memset(buffer, 'a', 1);
    return 1;
}

static void test_read_errors(void **state)
{
    uint64_t good = 0;
    const struct csv_source source = { read_failing, &good };
    struct csv_reader *reader = NULL;
    char reason[CSV_REASON_SIZE];

    (void)state;
    for (; good < 3; good++) {
        errno = 0;
        assert_int_equal(csv_reader_open(&source, known, 4, &reader, reason), IO);
        assert_int_equal(errno, EIO);
        assert_null(reader);
    }
}

/* Rows without quotes take a shorter way: they must come out as they do where a quote in the
 * last cell keeps them from it. */
static void test_plain_rows(void **state)
{
    static const char alphabet[] = "ab \t,;=' \xc3";
    unsigned random = 1;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        const char separator = ",;\t"[round % 3];
        char line[40];
        char plain[128];
        char quoted[128];
        char *rows[2] = { NULL, NULL };
        size_t size = 0;

        while (size < sizeof line - 1 && (random = random * 1103515245u + 12345u) >> 27 != 0)
            line[size++] = alphabet[(random >> 16) % (sizeof alphabet - 1)];
        line[size] = '\0';
        (void)snprintf(plain, sizeof plain, "name%cx\n%s%cq%s", separator, line, separator,
                       round % 2 == 0 ? "\n" : "\r\n");
        (void)snprintf(quoted, sizeof quoted, "name%cx\n%s%c\"q\"%s", separator, line,
                       separator, round % 2 == 0 ? "\n" : "\r\n");
        for (int i = 0; i < 2; i++) {
            const char *text = i == 0 ? plain : quoted;
            struct memory_source memory = { text, strlen(text), 4096 };
            char found;

            assert_int_equal(dump(&memory, false, &rows[i], &found), NOT_FOUND);
        }
        assert_string_equal(rows[0], rows[1]);
        free(rows[0]);
        free(rows[1]);
    }
}

/* Bytes that mean something, at random: never a crash, always an end, lines only upwards. */
static void test_noise(void **state)
{
    static const char alphabet[] = "a,;\t\"\"\"\n\n\r \0\xc3\xa9\xff'=";
    static const char header[] = "name,n\n";
    unsigned seed = 1;
    char data[200];

    (void)state;
    for (int turn = 0; turn < 20000; turn++) {
        struct memory_source source = { data, 0, 1 + (size_t)turn % 64 };
        char *text;
        char separator;

        for (; header[source.size] != '\0'; source.size++)
            data[source.size] = header[source.size];
        for (; source.size < sizeof data; source.size++) {
            seed = seed * 1103515245u + 12345u;
            data[source.size] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        assert_int_equal(dump(&source, false, &text, &separator), NOT_FOUND);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_broken_rows_keep_their_cells),
        cmocka_unit_test(test_headers_that_cannot_be),
        cmocka_unit_test(test_buffer_edges),
        cmocka_unit_test(test_huge_fields_take_no_memory),
        cmocka_unit_test(test_lines_of_the_buffers_size),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_read_errors),
        cmocka_unit_test(test_plain_rows),
        cmocka_unit_test(test_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
