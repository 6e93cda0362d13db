/* SPDX-License-Identifier: MPL-2.0 */
/* csv_lines.h - a source cut into numbered lines through one fixed buffer.
 * Lines end with LF, CRLF or CR; one longer than the buffer comes in several pieces. */
#ifndef CHAPTERCTL_CSV_LINES_H
#define CHAPTERCTL_CSV_LINES_H

#include "client/csv.h"

#define CSV_BUFFER_SIZE (64 * 1024)

struct csv_lines {
    struct csv_source source;
    uint64_t offset;     /* of buffer[0] in the source */
    uint64_t line;       /* of the next byte */
    uint64_t piece_line; /* of the piece taken last */
    size_t at;
    size_t filled;
    bool end; /* nothing follows what is filled */
    uint8_t buffer[CSV_BUFFER_SIZE];
};

struct csv_piece {
    const uint8_t *data;
    size_t size;
    size_t text_size; /* without the line's end */
    bool ends_line;
};

/* Reads as much as the buffer holds.  IO with errno. */
enum status csv_lines_fill(struct csv_lines *lines) MUST_CHECK;
/* The next line, or piece of it; valid until the next call.  NOT_FOUND at the end, IO. */
enum status csv_lines_take(struct csv_lines *lines, struct csv_piece *out_piece) MUST_CHECK;
/* offset is where line begins. */
void csv_lines_seek(struct csv_lines *lines, uint64_t offset, uint64_t line);
/* Offset of the next byte in the source. */
uint64_t csv_lines_offset(const struct csv_lines *lines);

#endif
