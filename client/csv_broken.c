/* SPDX-License-Identifier: MPL-2.0 */
/* csv_broken.c - rows that cannot be read: what can be kept of their cells, and where reading
 * goes on. */
#include <string.h>

#include "client/csv_internal.h"

/* So that the row is not taken as it is when it comes back. */
static void mark_loss(struct csv_reader *reader)
{
    csv_take_cell(reader, CSV_LOST, sizeof CSV_LOST - 1);
}

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
            csv_take_cell(reader, cell, (size_t)(end - cell));
        else
            csv_take_cell(reader, cell + 1, closing - 1);
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
enum status csv_resume(struct csv_reader *reader)
{
    const uint64_t reached = reader->lines.piece_line;
    enum status status;

    if (reached > reader->row.line && reached > reader->suspect_to) {
        reader->suspect_from = reader->row.line;
        reader->suspect_to = reached;
    }
    status = salvage(reader);
    return status == OK ? csv_begin_parsing(reader) : status;
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
            return csv_resume(reader);
        if (piece.ends_line && state != SKIP_QUOTED)
            return csv_begin_parsing(reader);
    }
    if (status != NOT_FOUND)
        return status;
    return state == SKIP_QUOTED ? csv_resume(reader) : csv_begin_parsing(reader);
}

enum status csv_after_error(struct csv_reader *reader)
{
    const bool full = csv_get_buffer_size(&reader->parser) == CSV_CELL_SIZE_MAX;

    if (csv_error(&reader->parser) == CSV_EPARSE) {
        csv_mark_broken(&reader->row, "a quote stands where none may be");
        return csv_resume(reader);
    }
    if (csv_error(&reader->parser) == CSV_ENOMEM && full) {
        csv_mark_broken(&reader->row, "a field is larger than 16 KiB");
        mark_loss(reader);
        return skip_row(reader);
    }
    return NO_MEMORY;
}
