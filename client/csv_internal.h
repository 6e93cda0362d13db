/* SPDX-License-Identifier: MPL-2.0 */
/* csv_internal.h - the reader's state.  Private to csv_read.c and csv_broken.c. */
#ifndef CHAPTERCTL_CSV_INTERNAL_H
#define CHAPTERCTL_CSV_INTERNAL_H

#include <csv.h>

#include "client/csv_lines.h"

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

/* --- csv_read.c --------------------------------------------------------------------------- */
/* Begins with a new row. */
enum status csv_begin_parsing(struct csv_reader *reader) MUST_CHECK;
/* The first reason stays. */
void csv_mark_broken(struct csv_row *row, const char *reason);
void csv_take_cell(struct csv_reader *reader, const void *data, size_t size);

/* --- csv_broken.c ------------------------------------------------------------------------- */
/* After a row that is broken where reading stands: on from the line after its first one. */
enum status csv_resume(struct csv_reader *reader) MUST_CHECK;
/* The same, where libcsv stopped; NO_MEMORY if that was why. */
enum status csv_after_error(struct csv_reader *reader) MUST_CHECK;

#endif
