/* SPDX-License-Identifier: MPL-2.0 */
/* import_columns.c - header names as field names, and the rules for them.
 * Names are shortened nowhere: one that does not fit stops the import. */
#include "client/import_columns.h"

#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>

#include "client/import_text.h"

const char *const import_canonical[] = { "id",    "external_id", "kind",    "name",
                                         "email", "country",     "city",    "language",
                                         "phone", "joined",      "expires", "status",
                                         "notes" };
const size_t import_canonical_count = sizeof import_canonical / sizeof import_canonical[0];

bool column_is_daemons(const char *name)
{
    return strcmp(name, "chapter") == 0 || strcmp(name, "seq") == 0 ||
           strcmp(name, "updated") == 0;
}

static enum status fail(char *out_reason, size_t column, const char *objection)
{
    (void)snprintf(out_reason, COLUMNS_REASON_SIZE, "the name of column %zu %s", column + 1,
                   objection);
    return INVALID;
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7f)
            return true;
    return false;
}

static enum status read_name(struct slice cell, size_t at, struct import_column *column,
                             char *out_reason)
{
    const struct slice header = text_trim(csv_restore(cell));
    size_t size = FIELD_NAME_MAX;
    uint8_t *lower;
    bool fits;

    if (has_control(header))
        return fail(out_reason, at, "holds a control character");
    lower = u8_tolower(header.data, header.size, NULL, UNINORM_NFC, NULL, &size);
    if (lower == NULL && header.size > 0)
        return NO_MEMORY;
    for (size_t i = 0; i < size && lower != NULL; i++)
        if (lower[i] == ' ')
            lower[i] = '_';
    fits = slice_copy_text(header, column->header, sizeof column->header) &&
           slice_copy_text(slice_of(lower, header.size == 0 ? 0 : size), column->name,
                           sizeof column->name);
    free(lower);
    return fits ? OK : fail(out_reason, at, "is longer than 64 bytes");
}

static void give_role(struct import_column *column)
{
    column->rule = field_rule_of(slice_of_text(column->name));
    if (column->name[0] == '\0')
        column->role = COLUMN_NAMELESS;
    else if (strcmp(column->name, "id") == 0)
        column->role = COLUMN_ID;
    else if (column_is_daemons(column->name))
        column->role = COLUMN_IGNORED;
    else
        column->role = COLUMN_FIELD;
}

static size_t find(const struct import_columns *columns, const char *name)
{
    for (size_t i = 0; i < columns->count; i++)
        if (strcmp(columns->column[i].name, name) == 0)
            return i;
    return COLUMN_NONE;
}

enum status import_columns_read(const struct csv_row *header,
                                struct import_columns *out_columns,
                                char out_reason[COLUMNS_REASON_SIZE])
{
    size_t row;
    size_t reason;

    memset(out_columns, 0, sizeof *out_columns);
    out_columns->count = header->count;
    out_columns->reason = COLUMN_NONE;
    for (size_t i = 0; i < header->count; i++) {
        struct import_column *column = &out_columns->column[i];
        const enum status status = read_name(header->cells[i], i, column, out_reason);

        if (status != OK)
            return status;
        give_role(column);
    }
    /* A file of rejects has both; a list of members may have a column of one such name. */
    row = find(out_columns, "row");
    reason = find(out_columns, "reason");
    if (row != COLUMN_NONE && reason != COLUMN_NONE) {
        out_columns->column[row].role = COLUMN_IGNORED;
        out_columns->column[reason].role = COLUMN_IGNORED;
        out_columns->reason = reason;
    }
    return OK;
}

enum status import_columns_find(struct import_columns *columns,
                                char out_reason[COLUMNS_REASON_SIZE])
{
    columns->id = find(columns, "id");
    columns->external_id = find(columns, "external_id");
    columns->name = find(columns, "name");
    columns->email = find(columns, "email");
    if (columns->name != COLUMN_NONE)
        return OK;
    (void)snprintf(out_reason, COLUMNS_REASON_SIZE, "no column is called name");
    return INVALID;
}

static bool is_respelled(const struct import_column *column)
{
    return column->role == COLUMN_FIELD && column->rule == NULL &&
           strcmp(column->name, column->header) != 0;
}

void import_columns_keep(struct import_columns *columns, struct slice member)
{
    for (size_t i = 0; i < columns->count; i++) {
        struct import_column *column = &columns->column[i];

        if (is_respelled(column) && mp_map_get(member, column->header).size > 0)
            memcpy(column->name, column->header, sizeof column->name);
    }
}

static int compare_names(const void *a, const void *b, void *context)
{
    const struct import_columns *columns = context;
    const size_t *left = a;
    const size_t *right = b;

    return strcmp(columns->column[*left].name, columns->column[*right].name);
}

enum status import_columns_finish(struct import_columns *columns,
                                  char out_reason[COLUMNS_REASON_SIZE])
{
    columns->field_count = 0;
    for (size_t i = 0; i < columns->count; i++) {
        const size_t first = find(columns, columns->column[i].name);

        if (first != i && columns->column[i].role != COLUMN_NAMELESS) {
            (void)snprintf(out_reason, COLUMNS_REASON_SIZE, "columns %zu and %zu are both %s",
                           first + 1, i + 1, columns->column[i].name);
            return INVALID;
        }
        if (columns->column[i].role == COLUMN_FIELD)
            columns->by_name[columns->field_count++] = i;
    }
    qsort_r(columns->by_name, columns->field_count, sizeof columns->by_name[0], compare_names,
            columns);
    return OK;
}

struct slice import_cell(const struct csv_row *row, size_t column)
{
    if (column == COLUMN_NONE || column >= row->count)
        return SLICE_NONE;
    return text_trim(csv_restore(row->cells[column]));
}
