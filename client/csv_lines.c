/* SPDX-License-Identifier: MPL-2.0 */
/* csv_lines.c - lines out of a fixed buffer, which slides over the source.
 * A line that the buffer can hold always comes whole. */
#include "client/csv_lines.h"

#include <string.h>

void csv_lines_seek(struct csv_lines *lines, uint64_t offset, uint64_t line)
{
    if (offset >= lines->offset && offset <= lines->offset + lines->filled) {
        lines->at = (size_t)(offset - lines->offset);
    } else {
        lines->offset = offset;
        lines->at = 0;
        lines->filled = 0;
        lines->end = false;
    }
    lines->line = line;
}

uint64_t csv_lines_offset(const struct csv_lines *lines)
{
    return lines->offset + lines->at;
}

enum status csv_lines_fill(struct csv_lines *lines)
{
    memmove(lines->buffer, lines->buffer + lines->at, lines->filled - lines->at);
    lines->offset += lines->at;
    lines->filled -= lines->at;
    lines->at = 0;
    while (!lines->end && lines->filled < CSV_BUFFER_SIZE) {
        const ssize_t got = lines->source.read_at(
            lines->source.context, lines->buffer + lines->filled,
            CSV_BUFFER_SIZE - lines->filled, lines->offset + lines->filled);

        if (got < 0)
            return IO;
        lines->end = got == 0;
        lines->filled += (size_t)got;
    }
    return OK;
}

/* Bytes before the next line's end, or all that there are. */
static size_t text_size(const struct csv_lines *lines)
{
    const uint8_t *const data = lines->buffer + lines->at;
    const size_t left = lines->filled - lines->at;
    const uint8_t *feed = memchr(data, '\n', left);
    const size_t size = feed == NULL ? left : (size_t)(feed - data);
    const uint8_t *carriage = memchr(data, '\r', size);

    return carriage == NULL ? size : (size_t)(carriage - data);
}

enum status csv_lines_take(struct csv_lines *lines, struct csv_piece *out_piece)
{
    struct csv_piece piece = { 0 };
    enum status status;
    size_t left;

    piece.text_size = text_size(lines);
    /* The byte after a line's end is wanted too: a CR may be half of a CRLF. */
    if (piece.text_size + 2 > lines->filled - lines->at && !lines->end) {
        if ((status = csv_lines_fill(lines)) != OK)
            return status;
        piece.text_size = text_size(lines);
    }
    left = lines->filled - lines->at;
    if (left == 0)
        return NOT_FOUND;
    piece.data = lines->buffer + lines->at;
    piece.size = piece.text_size;
    lines->piece_line = lines->line;
    if (piece.size < left && (piece.size + 1 < left || lines->end || piece.size == 0)) {
        piece.size++;
        if (piece.data[piece.size - 1] == '\r' && piece.size < left &&
            piece.data[piece.size] == '\n')
            piece.size++;
        piece.ends_line = true;
        lines->line++;
    }
    lines->at += piece.size;
    *out_piece = piece;
    return OK;
}
