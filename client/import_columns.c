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

/* Lower-cased, spaces as _: what names that mean the same have in common.  TOO_LARGE. */
static enum status fold_name(struct slice text, char out[FIELD_NAME_MAX + 1])
{
    size_t size = FIELD_NAME_MAX;
    uint8_t *lower = u8_tolower(text.data, text.size, NULL, UNINORM_NFC, NULL, &size);
    bool fits;

    if (lower == NULL && text.size > 0)
        return NO_MEMORY;
    for (size_t i = 0; i < size && lower != NULL; i++)
        if (lower[i] == ' ')
            lower[i] = '_';
    fits = slice_copy_text(slice_of(lower, text.size == 0 ? 0 : size), out, FIELD_NAME_MAX + 1);
    free(lower);
    return fits ? OK : TOO_LARGE;
}

static enum status read_name(struct slice cell, size_t at, struct import_column *column,
                             char *out_reason)
{
    const struct slice header = text_trim(csv_restore(cell));
    enum status status;

    if (has_control(header))
        return fail(out_reason, at, "holds a control character");
    if (!slice_copy_text(header, column->header, sizeof column->header))
        return fail(out_reason, at, "is longer than 64 bytes");
    memcpy(column->name, column->header, sizeof column->name);
    status = fold_name(header, column->folded);
    return status == TOO_LARGE ? fail(out_reason, at, "is longer than 64 bytes") : status;
}

/* What is known has one name; the others keep the header's spelling. */
static void give_role(struct import_column *column)
{
    const bool daemons = column_is_daemons(column->folded);

    column->rule = field_rule_of(slice_of_text(column->folded));
    if (column->folded[0] == '\0')
        column->role = COLUMN_NAMELESS;
    else if (strcmp(column->folded, "id") == 0)
        column->role = COLUMN_ID;
    else if (daemons)
        column->role = COLUMN_IGNORED;
    else
        column->role = COLUMN_FIELD;
    if (column->rule != NULL || column->role != COLUMN_FIELD)
        memcpy(column->name, column->folded, sizeof column->name);
}

static size_t find(const struct import_columns *columns, const char *name)
{
    for (size_t i = 0; i < columns->count; i++)
        if (strcmp(columns->column[i].folded, name) == 0)
            return i;
    return COLUMN_NONE;
}

static bool is_unknown(const struct import_column *column)
{
    return column->role == COLUMN_FIELD && column->rule == NULL;
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
        out_columns->any_unknown |= is_unknown(column);
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

static void keep_spelling(struct import_columns *columns, struct slice field)
{
    char folded[FIELD_NAME_MAX + 1];

    for (size_t i = 0; i < columns->count; i++) {
        struct import_column *column = &columns->column[i];

        if (is_unknown(column) && slice_is_text(field, column->header)) {
            memcpy(column->name, column->header, sizeof column->name);
            column->spelling = SPELLING_OF_BOTH;
            return;
        }
        if (column->spelling == SPELLING_OF_MEMBERS && slice_is_text(field, column->name))
            return;
    }
    if (field_rule_of(field) != NULL || fold_name(field, folded) != OK)
        return;
    for (size_t i = 0; i < columns->count; i++) {
        struct import_column *column = &columns->column[i];

        if (is_unknown(column) && column->spelling == SPELLING_OF_HEADER &&
            strcmp(column->folded, folded) == 0 &&
            slice_copy_text(field, column->name, sizeof column->name))
            column->spelling = SPELLING_OF_MEMBERS;
    }
}

void import_columns_keep(struct import_columns *columns, struct slice member)
{
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    size_t count;

    if (!columns->any_unknown)
        return;
    mp_reader_init(&reader, member);
    count = mp_read_map(&reader, SIZE_MAX);
    for (size_t i = 0; i < count && reader.status == OK; i++) {
        const struct slice field = mp_read_key(&reader, &last);

        if (mp_peek(&reader) == MP_STR)
            keep_spelling(columns, field);
        (void)mp_read_raw(&reader, SIZE_MAX);
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
        const struct import_column *column = &columns->column[i];
        const size_t first = find(columns, column->folded);

        /* Spellings of one name are a mistake, unless members have both of them. */
        if (first != i && column->role != COLUMN_NAMELESS &&
            (column->spelling != SPELLING_OF_BOTH ||
             strcmp(column->name, columns->column[first].name) == 0)) {
            (void)snprintf(out_reason, COLUMNS_REASON_SIZE, "columns %zu and %zu are both %s",
                           first + 1, i + 1, column->folded);
            return INVALID;
        }
        if (column->role == COLUMN_FIELD)
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
