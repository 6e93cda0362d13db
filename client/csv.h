/* SPDX-License-Identifier: MPL-2.0 */
/* csv.h - CSV read row by row in constant memory, whatever the input, and cells as CSV.
 *
 * Rows are RFC 4180 with strict quotes, in UTF-8 with or without BOM, ended by LF, CRLF or CR.
 * A row that cannot be read is handed out as broken, with its line and the reason, and reading
 * goes on at the line after the one in which it began: a quote that is never closed costs one
 * row, not the rest of the file.  No input makes the reader hold more than CSV_MEMORY bytes. */
#ifndef CHAPTERCTL_CSV_H
#define CHAPTERCTL_CSV_H

#include <stdio.h>
#include <sys/types.h>

#include "chapterd/limits.h"
#include "proto/mp.h"

#define CSV_COLUMNS_MAX 512
#define CSV_CELL_SIZE_MAX (RECORD_SIZE_MAX + 1024) /* quotes and the mark of a defused cell */
#define CSV_ROW_SIZE_MAX (64 * 1024)
#define CSV_REASON_SIZE 96
#define CSV_MEMORY (256 * 1024)

/* U+FFFD, in place of what is lost of a broken row; a cell that holds one is not imported. */
#define CSV_LOST "\xef\xbf\xbd"

/* Reads up to size bytes at offset, as pread does: 0 at the end, -1 with errno. */
struct csv_source {
    ssize_t (*read_at)(void *context, void *buffer, size_t size, uint64_t offset);
    void *context;
};

/* The cells belong to the reader and are valid until it reads on. */
struct csv_row {
    uint64_t line;                /* in which it begins, from 1 */
    char broken[CSV_REASON_SIZE]; /* "" or why it cannot be read; cells are what could be */
    size_t count;
    struct slice cells[CSV_COLUMNS_MAX];
};

struct csv_reader;

/* Reads the header and finds the separator: of , ; and tab the one under which most columns
 * have a name of `known`, then the one that makes most columns.  NOT_FOUND if there is nothing
 * to read, UNSUPPORTED for UTF-16, INVALID if the header is broken, with the reason in
 * out_reason (of CSV_REASON_SIZE bytes), IO with errno, NO_MEMORY. */
enum status csv_reader_open(const struct csv_source *source, const char *const *known,
                            size_t known_count, struct csv_reader **out_reader,
                            char *out_reason) MUST_CHECK;
void csv_reader_close(struct csv_reader **reader);
char csv_reader_separator(const struct csv_reader *reader);
/* Valid as long as the reader. */
const struct csv_row *csv_reader_header(const struct csv_reader *reader);
/* Bytes of the source that were read so far. */
uint64_t csv_reader_offset(const struct csv_reader *reader);
/* The next row that has anything in it; NOT_FOUND at the end, IO with errno, NO_MEMORY. */
enum status csv_reader_next(struct csv_reader *reader,
                            const struct csv_row **out_row) MUST_CHECK;
/* Back to the first row after the header. */
enum status csv_reader_rewind(struct csv_reader *reader) MUST_CHECK;

/* A spreadsheet takes a cell that starts with = + - @ tab or CR for a formula.  Written cells
 * of that kind get a ' in front; csv_restore takes it away again, so that restore(defused(x))
 * is x for every x, those that begin with ' included. */
struct slice csv_restore(struct slice cell);
void csv_write_cell(FILE *stream, char separator, struct slice text);

#endif
