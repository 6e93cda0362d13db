/* SPDX-License-Identifier: MPL-2.0 */
/* csv_read.c - the reader: lines go to libcsv one by one, which bounds what a row can hold and
 * gives every row the number of its line, and a broken row a place to go on from. */
#include <csv.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>

#include "client/csv_lines.h"

#define GROWTH 1024

struct csv_reader {
    char separator;
    uint64_t begin; /* after a BOM */
    uint64_t rows_at;
    uint64_t rows_line;

    struct csv_lines lines;

    struct csv_parser parser;
    bool parsing;
    struct csv_row row;
    uint8_t cells[CSV_ROW_SIZE_MAX];
    size_t cells_size;
    bool row_ended;
    uint64_t row_offset;
    uint64_t suspect_from; /* lines of a broken row that may not be rows of their own */
    uint64_t suspect_to;

    struct csv_row header;
    uint8_t header_cells[CSV_ROW_SIZE_MAX];
};

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

static enum status begin_parsing(struct csv_reader *reader)
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

/* The first reason stays. */
static void mark_broken(struct csv_row *row, const char *reason)
{
    if (row->broken[0] == '\0')
        (void)snprintf(row->broken, sizeof row->broken, "%s", reason);
}

static void mark_cell(struct csv_row *row, const char *reason)
{
    if (row->broken[0] == '\0')
        (void)snprintf(row->broken, sizeof row->broken, "column %zu %s", row->count, reason);
}

static void take_cell(struct csv_reader *reader, const void *data, size_t size)
{
    struct csv_row *row = &reader->row;

    if (row->count == CSV_COLUMNS_MAX) {
        mark_broken(row, "the row has more than 512 columns");
        return;
    }
    if (size > CSV_ROW_SIZE_MAX - reader->cells_size) {
        mark_broken(row, "the row is larger than 64 KiB");
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
    take_cell(context, data, size);
}

static void on_row(int end, void *context)
{
    struct csv_reader *reader = context;

    (void)end;
    reader->row_ended = true;
}

/* So that the row is not taken as it is when it comes back. */
static void mark_loss(struct csv_reader *reader)
{
    take_cell(reader, CSV_LOST, sizeof CSV_LOST - 1);
}

/* --- broken rows -------------------------------------------------------------------------- */

/* Where the quote stands that ends the cell which begins with one; 0 if it does not end
 * well. */
static size_t closing_quote(const uint8_t *cell, size_t size, char separator)
{
    size_t at = 1;
    size_t after;

    while (at < size && (cell[at] != '"' || (at + 1 < size && cell[at + 1] == '"')))
        at += cell[at] == '"' ? 2 : 1;
    after = at + 1;
    while (after < size && cell[after] == ' ')
        after++;
    return at < size && (after == size || cell[after] == (uint8_t)separator) ? at : 0;
}

static void undouble_quotes(struct slice *cell, uint8_t *bytes)
{
    size_t size = 0;

    for (size_t at = 0; at < cell->size; at++) {
        bytes[size++] = bytes[at];
        if (bytes[at] == '"')
            at++;
    }
    cell->size = size;
}

/* A quote that is out of place is a character like any other. */
static void salvage_cells(struct csv_reader *reader, const uint8_t *text, size_t size)
{
    for (size_t at = 0; at <= size;) {
        const uint8_t *cell = text + at;
        const size_t left = size - at;
        const bool quoted = left > 0 && cell[0] == '"';
        const size_t closing = quoted ? closing_quote(cell, left, reader->separator) : 0;
        const uint8_t *end = memchr(cell + closing, reader->separator, left - closing);
        const size_t before = reader->row.count;
        const size_t begin = reader->cells_size;

        if (end == NULL)
            end = text + size;
        if (closing == 0)
            take_cell(reader, cell, (size_t)(end - cell));
        else
            take_cell(reader, cell + 1, closing - 1);
        if (closing != 0 && reader->row.count > before)
            undouble_quotes(&reader->row.cells[before], reader->cells + begin);
        at = (size_t)(end - text) + 1;
    }
}

/* Cells for the operator to mend: of the first line alone, since what follows may be other
 * rows. */
static enum status salvage(struct csv_reader *reader)
{
    struct csv_piece piece;
    enum status status;

    csv_lines_seek(&reader->lines, reader->row_offset, reader->row.line);
    if ((status = csv_lines_take(&reader->lines, &piece)) != OK)
        return status;
    reader->row.count = 0;
    reader->cells_size = 0;
    salvage_cells(reader, piece.data, piece.text_size);
    mark_loss(reader);
    while (status == OK && !piece.ends_line)
        status = csv_lines_take(&reader->lines, &piece);
    return status == NOT_FOUND ? OK : status;
}

/* What follows the row's first line may be rows of its own: they are read as such, and
 * those that do not look like rows are not taken for any. */
static enum status resume(struct csv_reader *reader)
{
    const uint64_t reached = reader->lines.piece_line;
    enum status status;

    if (reached > reader->row.line && reached > reader->suspect_to) {
        reader->suspect_from = reader->row.line;
        reader->suspect_to = reached;
    }
    status = salvage(reader);
    return status == OK ? begin_parsing(reader) : status;
}

enum skip { SKIP_CELL_START, SKIP_PLAIN, SKIP_QUOTED, SKIP_QUOTE, SKIP_STRAY };

static enum skip skip_byte(enum skip state, uint8_t byte, char separator)
{
    const bool separates = byte == (uint8_t)separator;

    switch (state) {
    case SKIP_CELL_START:
        if (byte == '"')
            return SKIP_QUOTED;
        return separates || byte == ' ' || byte == '\t' ? SKIP_CELL_START : SKIP_PLAIN;
    case SKIP_PLAIN:
        return separates ? SKIP_CELL_START : SKIP_PLAIN;
    case SKIP_QUOTED:
        return byte == '"' ? SKIP_QUOTE : SKIP_QUOTED;
    case SKIP_QUOTE:
        if (byte == '"')
            return SKIP_QUOTED;
        if (separates)
            return SKIP_CELL_START;
        return byte == ' ' || byte == '\t' ? SKIP_QUOTE : SKIP_STRAY;
    case SKIP_STRAY:
        break;
    }
    return SKIP_STRAY;
}

/* From the row's begin to its end, keeping nothing: for a row with a cell that is too large. */
static enum status skip_row(struct csv_reader *reader)
{
    enum skip state = SKIP_CELL_START;
    struct csv_piece piece;
    enum status status;

    csv_lines_seek(&reader->lines, reader->row_offset, reader->row.line);
    while ((status = csv_lines_take(&reader->lines, &piece)) == OK) {
        for (size_t i = 0; i < piece.text_size && state != SKIP_STRAY; i++)
            state = skip_byte(state, piece.data[i], reader->separator);
        if (state == SKIP_STRAY)
            return resume(reader);
        if (piece.ends_line && state != SKIP_QUOTED)
            return begin_parsing(reader);
    }
    if (status != NOT_FOUND)
        return status;
    return state == SKIP_QUOTED ? resume(reader) : begin_parsing(reader);
}

static enum status after_error(struct csv_reader *reader)
{
    const bool full = csv_get_buffer_size(&reader->parser) == CSV_CELL_SIZE_MAX;

    if (csv_error(&reader->parser) == CSV_EPARSE) {
        mark_broken(&reader->row, "a quote stands where none may be");
        return resume(reader);
    }
    if (csv_error(&reader->parser) == CSV_ENOMEM && full) {
        mark_broken(&reader->row, "a field is larger than 16 KiB");
        mark_loss(reader);
        return skip_row(reader);
    }
    return NO_MEMORY;
}

/* --- rows --------------------------------------------------------------------------------- */

static bool piece_is_blank(const struct csv_reader *reader, const struct csv_piece *piece)
{
    for (size_t i = 0; i < piece->text_size; i++)
        if ((piece->data[i] != ' ' && piece->data[i] != '\t') ||
            piece->data[i] == (uint8_t)reader->separator)
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
        return begin_parsing(reader);
    mark_broken(&reader->row, "a quote is opened and never closed");
    return resume(reader);
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
        begun = true;
        if (csv_parse(&reader->parser, piece.data, piece.size, on_cell, on_row, reader) !=
            piece.size)
            return after_error(reader);
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
    return begin_parsing(reader);
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
    if ((status = begin_parsing(reader)) != OK)
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
