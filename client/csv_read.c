/* SPDX-License-Identifier: MPL-2.0 */
/* csv_read.c - the reader: lines go to libcsv one by one, which bounds what a row can hold and
 * gives every row the number of its line, and a broken row a place to go on from. */
#include <stdlib.h>
#include <string.h>
#include <unistr.h>

#include "client/csv_internal.h"

#define GROWTH 1024
#define PLAIN_SIZE_MAX (CSV_CELL_SIZE_MAX / 2) /* so that no cell is too large */

_Static_assert(sizeof(struct csv_reader) + CSV_CELL_SIZE_MAX <= CSV_MEMORY, "CSV_MEMORY");

/* --- libcsv ------------------------------------------------------------------------------- */

static void *bounded_realloc(void *old, size_t size)
{
    return size > CSV_CELL_SIZE_MAX ? NULL : realloc(old, size);
}

static void end_parsing(struct csv_reader *reader)
{
    if (reader->parsing)
        csv_free(&reader->parser);
    reader->parsing = false;
}

enum status csv_begin_parsing(struct csv_reader *reader)
{
    end_parsing(reader);
    if (csv_init(&reader->parser, CSV_STRICT | CSV_STRICT_FINI) != 0)
        return NO_MEMORY;
    csv_set_delim(&reader->parser, (unsigned char)reader->separator);
    csv_set_realloc_func(&reader->parser, bounded_realloc);
    csv_set_blk_size(&reader->parser, GROWTH);
    reader->parsing = true;
    return OK;
}

void csv_mark_broken(struct csv_row *row, const char *reason)
{
    if (row->broken[0] == '\0')
        (void)snprintf(row->broken, sizeof row->broken, "%s", reason);
}

static void mark_cell(struct csv_row *row, const char *reason)
{
    if (row->broken[0] == '\0')
        (void)snprintf(row->broken, sizeof row->broken, "column %zu %s", row->count, reason);
}

void csv_take_cell(struct csv_reader *reader, const void *data, size_t size)
{
    struct csv_row *row = &reader->row;

    if (row->count == CSV_COLUMNS_MAX) {
        csv_mark_broken(row, "the row has more than 512 columns");
        return;
    }
    if (size > CSV_ROW_SIZE_MAX - reader->cells_size) {
        csv_mark_broken(row, "the row is larger than 64 KiB");
        return;
    }
    row->cells[row->count] = slice_of(reader->cells + reader->cells_size, size);
    if (size > 0)
        memcpy(reader->cells + reader->cells_size, data, size);
    reader->cells_size += size;
    row->count++;
    if (size > 0 && memchr(data, '\0', size) != NULL)
        mark_cell(row, "holds a NUL byte");
    else if (size > 0 && u8_check(data, size) != NULL)
        mark_cell(row, "is not UTF-8");
}

static void on_cell(void *data, size_t size, void *context)
{
    csv_take_cell(context, data, size);
}

static void on_row(int end, void *context)
{
    struct csv_reader *reader = context;

    (void)end;
    reader->row_ended = true;
}

/* --- rows --------------------------------------------------------------------------------- */

static bool is_blank(const struct csv_reader *reader, uint8_t byte)
{
    return (byte == ' ' || byte == '\t') && byte != (uint8_t)reader->separator;
}

static bool piece_is_blank(const struct csv_reader *reader, const struct csv_piece *piece)
{
    for (size_t i = 0; i < piece->text_size; i++)
        if (!is_blank(reader, piece->data[i]))
            return false;
    return piece->ends_line;
}

static void begin_row(struct csv_reader *reader)
{
    reader->row.line = reader->lines.line;
    reader->row.broken[0] = '\0';
    reader->row.count = 0;
    reader->cells_size = 0;
    reader->row_ended = false;
    reader->row_offset = csv_lines_offset(&reader->lines);
}

static enum status end_of_source(struct csv_reader *reader, bool begun)
{
    if (!begun)
        return NOT_FOUND;
    if (csv_fini(&reader->parser, on_cell, on_row, reader) == 0)
        return csv_begin_parsing(reader);
    csv_mark_broken(&reader->row, "a quote is opened and never closed");
    return csv_resume(reader);
}

/* A row on one line without any quote, as most are: what libcsv makes of it, too, at a fifth of
 * the time. */
static bool is_plain(const struct csv_piece *piece)
{
    return piece->ends_line && piece->text_size <= PLAIN_SIZE_MAX &&
           memchr(piece->data, '"', piece->text_size) == NULL;
}

static void take_plain(struct csv_reader *reader, const struct csv_piece *piece)
{
    const uint8_t *cell = piece->data;
    const uint8_t *const line_end = cell + piece->text_size;

    for (;;) {
        const uint8_t *separator = memchr(cell, reader->separator, (size_t)(line_end - cell));
        const uint8_t *end = separator == NULL ? line_end : separator;

        while (cell < end && is_blank(reader, *cell))
            cell++;
        while (end > cell && is_blank(reader, end[-1]))
            end--;
        csv_take_cell(reader, cell, (size_t)(end - cell));
        if (separator == NULL)
            return;
        cell = separator + 1;
    }
}

/* One row, blank or not; NOT_FOUND at the end. */
static enum status read_row(struct csv_reader *reader)
{
    bool begun = false;
    struct csv_piece piece;
    enum status status;

    begin_row(reader);
    for (;;) {
        status = csv_lines_take(&reader->lines, &piece);
        if (status == NOT_FOUND)
            return end_of_source(reader, begun);
        if (status != OK)
            return status;
        if (!begun && piece_is_blank(reader, &piece)) {
            begin_row(reader);
            continue;
        }
        if (!begun && is_plain(&piece)) {
            take_plain(reader, &piece);
            return OK;
        }
        begun = true;
        if (csv_parse(&reader->parser, piece.data, piece.size, on_cell, on_row, reader) !=
            piece.size)
            return csv_after_error(reader);
        if (reader->row_ended)
            return OK;
    }
}

static bool row_is_empty(const struct csv_row *row)
{
    for (size_t i = 0; i < row->count; i++)
        if (row->cells[i].size != 0)
            return false;
    return row->broken[0] == '\0';
}

enum status csv_reader_next(struct csv_reader *reader, const struct csv_row **out_row)
{
    enum status status;

    do {
        if ((status = read_row(reader)) != OK)
            return status;
    } while (row_is_empty(&reader->row));
    if (reader->row.line > reader->suspect_from && reader->row.line <= reader->suspect_to &&
        reader->row.count != reader->header.count && reader->row.broken[0] == '\0')
        (void)snprintf(reader->row.broken, sizeof reader->row.broken,
                       "seems to belong to the broken row in line %llu",
                       (unsigned long long)reader->suspect_from);
    *out_row = &reader->row;
    return OK;
}

enum status csv_reader_rewind(struct csv_reader *reader)
{
    reader->suspect_from = 0;
    reader->suspect_to = 0;
    csv_lines_seek(&reader->lines, reader->rows_at, reader->rows_line);
    return csv_begin_parsing(reader);
}

/* --- the header --------------------------------------------------------------------------- */

static bool cell_is(struct slice cell, const char *name)
{
    size_t i = 0;

    while (i < cell.size && name[i] != '\0') {
        const uint8_t byte = cell.data[i];

        if ((byte >= 'A' && byte <= 'Z' ? byte + 32 : byte == ' ' ? '_' : byte) != name[i])
            return false;
        i++;
    }
    return i == cell.size && name[i] == '\0';
}

static long score(const struct csv_row *row, const char *const *known, size_t known_count)
{
    long points = (long)row->count;

    if (row->broken[0] != '\0')
        return -1;
    for (size_t i = 0; i < row->count; i++)
        for (size_t k = 0; k < known_count; k++)
            points += cell_is(row->cells[i], known[k]) ? CSV_COLUMNS_MAX : 0;
    return points;
}

static enum status read_header(struct csv_reader *reader, char separator)
{
    enum status status;

    reader->separator = separator;
    csv_lines_seek(&reader->lines, reader->begin, 1);
    if ((status = csv_begin_parsing(reader)) != OK)
        return status;
    return read_row(reader);
}

static enum status skip_mark(struct csv_reader *reader)
{
    struct csv_lines *const lines = &reader->lines;
    enum status status;

    if ((status = csv_lines_fill(lines)) != OK)
        return status;
    if (lines->filled >= 2 && ((lines->buffer[0] == 0xff && lines->buffer[1] == 0xfe) ||
                               (lines->buffer[0] == 0xfe && lines->buffer[1] == 0xff)))
        return UNSUPPORTED;
    if (lines->filled >= 3 && memcmp(lines->buffer, "\xef\xbb\xbf", 3) == 0)
        reader->begin = 3;
    return OK;
}

static void keep_header(struct csv_reader *reader)
{
    reader->header = reader->row;
    memcpy(reader->header_cells, reader->cells, reader->cells_size);
    for (size_t i = 0; i < reader->row.count; i++)
        reader->header.cells[i].data =
            reader->header_cells + (reader->row.cells[i].data - reader->cells);
    reader->rows_at = csv_lines_offset(&reader->lines);
    reader->rows_line = reader->lines.line;
}

static enum status find_header(struct csv_reader *reader, const char *const *known,
                               size_t known_count, char *out_reason)
{
    static const char separators[] = { ',', ';', '\t' };
    long best = -1;
    char chosen = ',';
    enum status status;

    if ((status = skip_mark(reader)) != OK)
        return status;
    for (size_t i = 0; i < sizeof separators; i++) {
        long points;

        if ((status = read_header(reader, separators[i])) != OK)
            return status;
        points = score(&reader->row, known, known_count);
        if (points > best) {
            best = points;
            chosen = separators[i];
        }
    }
    if ((status = read_header(reader, chosen)) != OK)
        return status;
    if (reader->row.broken[0] != '\0') {
        (void)snprintf(out_reason, CSV_REASON_SIZE, "%s", reader->row.broken);
        return INVALID;
    }
    keep_header(reader);
    return csv_reader_rewind(reader);
}

enum status csv_reader_open(const struct csv_source *source, const char *const *known,
                            size_t known_count, struct csv_reader **out_reader,
                            char *out_reason)
{
    CLEANUP(csv_reader_close) struct csv_reader *reader = calloc(1, sizeof *reader);
    enum status status;

    if (reader == NULL)
        return NO_MEMORY;
    reader->lines.source = *source;
    if ((status = find_header(reader, known, known_count, out_reason)) != OK)
        return status;
    *out_reader = reader;
    reader = NULL;
    return OK;
}

void csv_reader_close(struct csv_reader **reader)
{
    if (*reader == NULL)
        return;
    end_parsing(*reader);
    free(*reader);
    *reader = NULL;
}

char csv_reader_separator(const struct csv_reader *reader)
{
    return reader->separator;
}

uint64_t csv_reader_offset(const struct csv_reader *reader)
{
    return csv_lines_offset(&reader->lines);
}

const struct csv_row *csv_reader_header(const struct csv_reader *reader)
{
    return &reader->header;
}
