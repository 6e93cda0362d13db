/* SPDX-License-Identifier: MPL-2.0 */
/* csv_fuzz.c - any bytes as a spreadsheet: read to the end, and what was read whole is written
 * and read again as the same cells. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/csv.h"
#include "tests/fuzz/fuzz.h"

static ssize_t read_at(void *context, void *buffer, size_t size, uint64_t offset)
{
    const struct slice *bytes = context;
    const size_t left = offset < bytes->size ? bytes->size - (size_t)offset : 0;

    if (size > left)
        size = left;
    if (size > 0)
        memcpy(buffer, bytes->data + offset, size);
    return (ssize_t)size;
}

/* A file of one row, with the row as its header: cells come back as they were. */
static void again(const struct csv_row *row, char separator)
{
    static const char *const known[] = { "name" };
    char reason[CSV_REASON_SIZE];
    struct csv_reader *reader = NULL;
    struct csv_source source;
    struct slice bytes;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    ASSERT(stream != NULL);
    for (size_t i = 0; i < row->count; i++) {
        if (i > 0)
            putc(separator, stream);
        csv_write_cell(stream, separator, csv_restore(row->cells[i]));
    }
    fputs("\r\n", stream);
    ASSERT(fclose(stream) == 0);
    bytes = slice_of((const uint8_t *)text, size);
    source = (struct csv_source){ read_at, &bytes };
    if (csv_reader_open(&source, known, 1, &reader, reason) == OK &&
        csv_reader_separator(reader) == separator) {
        const struct csv_row *header = csv_reader_header(reader);

        ASSERT(header->count == row->count);
        for (size_t i = 0; i < row->count; i++)
            ASSERT(slice_equal(csv_restore(header->cells[i]), csv_restore(row->cells[i])));
    }
    csv_reader_close(&reader);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const known[] = { "name", "email", "country" };
    struct slice bytes = slice_of(data, size);
    const struct csv_source source = { read_at, &bytes };
    char reason[CSV_REASON_SIZE] = "";
    struct csv_reader *reader = NULL;
    const struct csv_row *row;
    uint64_t rows = 0;
    uint64_t line = 0;

    if (csv_reader_open(&source, known, 3, &reader, reason) != OK)
        return 0;
    while (csv_reader_next(reader, &row) == OK) {
        ASSERT(row->count <= CSV_COLUMNS_MAX && row->line > line);
        line = row->line;
        if (row->broken[0] == '\0' && row->count > 1 && rows < 16)
            again(row, csv_reader_separator(reader));
        rows++;
    }
    ASSERT(csv_reader_offset(reader) <= size);
    ASSERT(csv_reader_rewind(reader) == OK);
    while (csv_reader_next(reader, &row) == OK)
        rows--;
    ASSERT(rows == 0);
    csv_reader_close(&reader);
    return 0;
}
