/* SPDX-License-Identifier: MPL-2.0 */
/* import_fixture.h - rows and columns out of one line of text, for the tests of import.
 * Cells are cut at "|". */
#ifndef IMPORT_FIXTURE_H
#define IMPORT_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "client/import_columns.h"

/* The text must outlive the row. */
static inline void make_row(const char *text, uint64_t line, struct csv_row *out_row)
{
    memset(out_row, 0, sizeof *out_row);
    out_row->line = line;
    for (;;) {
        const size_t size = strcspn(text, "|");

        out_row->cells[out_row->count++] = slice_of(text, size);
        if (text[size] == '\0')
            return;
        text += size + 1;
    }
}

static inline struct import_columns *make_columns(const char *header)
{
    struct import_columns *columns = calloc(1, sizeof *columns);
    char reason[COLUMNS_REASON_SIZE];
    struct csv_row row;

    assert_non_null(columns);
    make_row(header, 1, &row);
    assert_int_equal(import_columns_read(&row, columns, reason), OK);
    assert_int_equal(import_columns_find(columns, reason), OK);
    assert_int_equal(import_columns_finish(columns, reason), OK);
    return columns;
}

#endif
