/* SPDX-License-Identifier: MPL-2.0 */
/* table.h - rows for people (aligned columns) and, under --csv, for programs.  On a terminal a
 * table is as wide as that at most; elsewhere it is whole.
 * Every cell goes through the escaper, except into a CSV file, which holds what there is. */
#ifndef CHAPTERCTL_TABLE_H
#define CHAPTERCTL_TABLE_H

#include "client/session.h"

enum cell_color { CELL_PLAIN, CELL_GOOD, CELL_WARNING, CELL_BAD };

struct table_column {
    const char *title;   /* for people */
    const char *key;     /* of the JSON member, and the heading of CSV */
    const char *meaning; /* for -v; NULL if the title says it */
    unsigned flags;
    unsigned rank; /* on a narrow terminal the highest is left out first; 0 never */
};
#define COLUMN_RIGHT 1u   /* numbers */
#define COLUMN_VERBOSE 2u /* only with -v */
#define COLUMN_SHRINKS 4u /* may be cut short on a narrow terminal: names */

struct table;

/* columns must live as long as the table.  NULL without memory, which all functions here take
 * and table_print reports. */
struct table *table_new(const struct options *options, const struct table_column *columns,
                        size_t count);
void table_free(struct table **table);
/* Begins a row; the following cells are of it.  Columns that are not shown are ignored. */
void table_row(struct table *table);
void table_cell(struct table *table, const char *key, const char *text);
void table_color(struct table *table, const char *key, enum cell_color color);
/* A row of the members of object that are named like the columns. */
void table_row_of(struct table *table, const json_t *object);
/* Headings and rows to stdout; on stderr, what the terminal is too narrow for. */
enum exit_code table_print(struct table *table);
/* What the shown columns mean, a line each, to stdout. */
void table_explain(const struct table *table);

/* A table of the objects of an array. */
enum exit_code print_objects(const struct options *options, const struct table_column *columns,
                             size_t count, const json_t *array);
/* One object as lines of name and value; those named in first (ends with NULL) lead. */
enum exit_code print_object(const struct options *options, const char *const *first,
                            const json_t *object);

/* One field of CSV (RFC 4180), with what a spreadsheet would take for a formula defused, and
 * escaped where the stream is a terminal. */
void print_csv_field(FILE *stream, const char *text);

#endif
