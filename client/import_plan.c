/* SPDX-License-Identifier: MPL-2.0 */
/* import_plan.c - cells against fields: what is written, what stays, what cannot be.
 * An empty cell never takes anything away. */
#include "client/import_plan.h"

#include <string.h>

#include "client/import_text.h"

static void reject(struct plan *plan, const char *field, const char *objection)
{
    plan->action = PLAN_REJECT;
    plan->change_count = 0;
    (void)snprintf(plan->reason, sizeof plan->reason, "%s%s%s", field,
                   field[0] == '\0' ? "" : " ", objection);
}

enum letters { LETTERS_AS_THEY_ARE, LETTERS_LOWER, LETTERS_UPPER };

static enum letters letters_of(const struct field_rule *rule)
{
    if (rule != NULL && (rule->form == FIELD_KIND || rule->form == FIELD_STATUS))
        return LETTERS_LOWER;
    return rule != NULL && rule->form == FIELD_COUNTRY ? LETTERS_UPPER : LETTERS_AS_THEY_ARE;
}

static uint8_t with_letters(uint8_t byte, enum letters letters)
{
    if (letters == LETTERS_LOWER && byte >= 'A' && byte <= 'Z')
        return (uint8_t)(byte - 'A' + 'a');
    if (letters == LETTERS_UPPER && byte >= 'a' && byte <= 'z')
        return (uint8_t)(byte - 'a' + 'A');
    return byte;
}

/* Trimmed; lines end with LF; codes in the case that they are defined in.  It never grows, so
 * that the texts of a row always fit. */
static struct slice tidy(struct plan *plan, const struct field_rule *rule, struct slice text)
{
    const enum letters letters = letters_of(rule);
    uint8_t *const begin = plan->texts + plan->texts_size;
    size_t size = 0;

    text = text_trim(text);
    ASSERT(text.size <= sizeof plan->texts - plan->texts_size);
    for (size_t i = 0; i < text.size; i++) {
        const bool newline = i + 1 < text.size && text.data[i + 1] == '\n';

        if (text.data[i] == '\r' && newline)
            continue;
        begin[size++] = with_letters(text.data[i], letters);
    }
    plan->texts_size += size;
    return slice_of(begin, size);
}

static const char *objection_to(const struct import_column *column, struct slice text)
{
    const char *objection = NULL;

    if (memchr(text.data, CSV_LOST[0], text.size) != NULL &&
        memmem(text.data, text.size, CSV_LOST, sizeof CSV_LOST - 1) != NULL)
        return "holds U+FFFD, the mark of a lost character";
    if (column->rule != NULL)
        return field_check(column->rule, text, &objection) == OK ? NULL : objection;
    return text.size > PLAN_UNKNOWN_SIZE_MAX ? "is longer than 4096 bytes" : NULL;
}

/* False if the row is rejected. */
static bool plan_cell(const struct import_columns *columns, enum plan_mode mode, size_t at,
                      struct slice cell, struct slice old, struct plan *plan)
{
    const struct import_column *column = &columns->column[at];
    const struct slice raw = csv_restore(cell);
    const char *objection;
    struct slice text;

    /* What the daemon has is the daemon's form of it, even where tidying would differ. */
    if (text_trim(raw).size == 0 || (old.size > 0 && slice_equal(raw, old)))
        return true;
    text = tidy(plan, column->rule, raw);
    if (old.size > 0 && slice_equal(text, old))
        return true;
    if ((objection = objection_to(column, text)) != NULL) {
        reject(plan, column->name, objection);
        return false;
    }
    if (mode == PLAN_LEAVE || (mode == PLAN_FILL && old.size > 0))
        return true;
    if (plan->change_count == PLAN_FIELDS_MAX) {
        reject(plan, "", "more than 120 columns are filled");
        return false;
    }
    plan->changes[plan->change_count++] = (struct plan_change){ at, old, text };
    return true;
}

/* As the daemon will pack them: a tier's value is a map of at most RECORD_SIZE_MAX bytes. */
static bool fits(const struct import_columns *columns, const struct plan *plan)
{
    size_t size = 16;

    for (size_t i = 0; i < plan->change_count; i++) {
        const struct import_column *column = &columns->column[plan->changes[i].column];

        if (column->rule == NULL || column->rule->tier == TIER_CHAPTER)
            size += strlen(column->name) + 2 + plan->changes[i].text.size + 3;
    }
    return size <= RECORD_SIZE_MAX;
}

static bool surplus_is_empty(const struct import_columns *columns, const struct csv_row *row)
{
    for (size_t i = columns->count; i < row->count; i++)
        if (text_trim(row->cells[i]).size > 0)
            return false;
    return true;
}

void plan_reject(struct plan *plan, const char *reason)
{
    reject(plan, "", reason);
}

void plan_row(const struct import_columns *columns, enum plan_mode mode,
              const struct csv_row *row, const struct slice *old, struct plan *out_plan)
{
    struct plan *const plan = out_plan;

    plan->reason[0] = '\0';
    plan->change_count = 0;
    plan->texts_size = 0;
    if (row->broken[0] != '\0') {
        reject(plan, "", row->broken);
        return;
    }
    if (!surplus_is_empty(columns, row)) {
        reject(plan, "", "the row has more cells than the header has columns");
        return;
    }
    for (size_t i = 0; i < columns->count && i < row->count; i++) {
        const struct slice value = old == NULL ? SLICE_NONE : old[i];

        if (columns->column[i].role == COLUMN_NAMELESS && import_cell(row, i).size > 0) {
            reject(plan, "", "a cell stands in a column without a name");
            return;
        }
        if (columns->column[i].role == COLUMN_FIELD &&
            !plan_cell(columns, old == NULL ? PLAN_UPDATE : mode, i, row->cells[i], value,
                       plan))
            return;
    }
    if (old == NULL && import_cell(row, columns->name).size == 0)
        reject(plan, "name", "is missing");
    else if (!fits(columns, plan))
        reject(plan, "", "the row's fields together are larger than 16 KiB");
    else if (old == NULL)
        plan->action = PLAN_ADD;
    else
        plan->action = plan->change_count == 0 ? PLAN_SAME : PLAN_CHANGE;
}
