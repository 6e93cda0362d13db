/* SPDX-License-Identifier: MPL-2.0 */
/* import_show.c - what an import would do or did: rows, field by field, and the sums.
 * Under --json and --csv the sums alone, as one value. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>

#include "client/import_internal.h"
#include "client/output.h"
#include "client/suggest.h"

#define SHOWN_MAX 20 /* of each sort, unless -v */
#define VALUE_SHOWN 60

static bool for_people(const struct import *import)
{
    return import->options->form == OUTPUT_TEXT && !import->options->quiet;
}

void import_show_columns(const struct import *import)
{
    const struct import_columns *columns = &import->columns;

    for (size_t i = 0; i < columns->count; i++) {
        const struct import_column *column = &columns->column[i];
        struct suggestion suggestion;

        if (column_is_daemons(column->folded))
            notice(import->options, "column %s is not read: the daemon sets it", column->name);
        if (column->role != COLUMN_FIELD || column->rule != NULL)
            continue;
        suggestion_begin(&suggestion, column->folded);
        for (size_t k = 0; k < import_canonical_count; k++)
            suggestion_offer(&suggestion, import_canonical[k]);
        notice(import->options, "column %s is kept as a field of this chapter alone%s%s%s",
               column->name, suggestion.best == NULL ? "" : " (or did you mean ",
               suggestion.best == NULL ? "" : suggestion.best,
               suggestion.best == NULL ? "" : "?)");
    }
}

static bool has_column(const struct import_columns *columns, const char *field)
{
    for (size_t i = 0; i < columns->count; i++)
        if (columns->column[i].role == COLUMN_FIELD &&
            strcmp(columns->column[i].name, field) == 0)
            return true;
    return false;
}

enum exit_code import_show_followed(const struct import *import)
{
    json_t *args = json_object();
    json_t *result = NULL;
    const enum exit_code exit_code =
        session_request(import->session, "tiers.list", args, &result);
    const json_t *fields = json_object_get(result, "fields");

    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *field = json_array_get(fields, i);
        const char *name = json_text(field, "field");

        if (json_is_true(json_object_get(field, "followed")) &&
            has_column(&import->columns, name))
            notice(import->options,
                   "column %s goes no further than %s since the recovery, for no member had it"
                   " further then; say how far: %s tiers set %s=TIER",
                   name, strcmp(json_text(field, "tier"), "hq") == 0 ? "HQ" : "this chapter",
                   import->options->program, name);
    }
    json_decref(result);
    json_decref(args);
    return exit_code;
}

/* A text for a line of output: cut at a character, with quotes around it. */
static const char *shorten(struct slice text, char *out, size_t out_size)
{
    size_t size = 0;

    while (size < text.size) {
        ucs4_t character;
        const int step = u8_mbtouc(&character, text.data + size, text.size - size);

        if (size + (size_t)step > VALUE_SHOWN)
            break;
        size += (size_t)step;
    }
    if (text.size == 0)
        (void)snprintf(out, out_size, "(empty)");
    else
        (void)snprintf(out, out_size, "\"%.*s%s\"", (int)size, (const char *)text.data,
                       size < text.size ? "..." : "");
    return out;
}

static void show_changes(const struct import *import)
{
    char old[VALUE_SHOWN + 8];
    char text[VALUE_SHOWN + 8];

    for (size_t i = 0; i < import->plan.change_count; i++) {
        const struct plan_change *change = &import->plan.changes[i];

        print_line("           %s: %s -> %s", import->columns.column[change->column].name,
                   shorten(change->old, old, sizeof old),
                   shorten(change->text, text, sizeof text));
    }
}

void import_show_row(struct import *import, const struct csv_row *row,
                     const struct import_member *member)
{
    static const char *const words[] = { "add", "change", "same", "reject" };
    const enum plan_action action = import->plan.action;
    struct slice name = import_cell(row, import->columns.name);
    char id[UUID_TEXT_SIZE] = "";
    char shown[VALUE_SHOWN + 8];

    if (!for_people(import) || action == PLAN_SAME)
        return;
    if (import->shown[action]++ >= SHOWN_MAX && !import->verbose)
        return;
    progress_hide(&import->progress);
    if (action == PLAN_REJECT) {
        print_line("%-8s line %" PRIu64 ": %s", words[action], row->line, import->plan.reason);
        return;
    }
    if (member != NULL)
        uuid_format(member->id, id);
    if (member != NULL && name.size == 0)
        name = import->values[import->columns.name];
    print_line("%-8s line %" PRIu64 ": %s%s%s", words[action], row->line,
               shorten(name, shown, sizeof shown), member == NULL ? "" : "  ", id);
    if (action == PLAN_CHANGE)
        show_changes(import);
}

void import_show_refusal(struct import *import, const struct csv_row *row, const char *reason)
{
    if (!for_people(import) || (import->refusals_shown++ >= SHOWN_MAX && !import->verbose))
        return;
    progress_hide(&import->progress);
    print_line("%-8s line %" PRIu64 ": %s", "refused", row->line, reason);
}

void import_show_erased_unknown(const struct import *import)
{
    if (import->erased_unknown && import->counts.added > 0)
        notice(import->options,
               "whoever joined after the restored copy was made and was erased since is not"
               " known here: are there such people among the %" PRIu64 " new ones? Take them"
               " out of the file before --apply, or erase them again: %s members erase ID",
               import->counts.added, import->options->program);
}

static const char *separator_name(char separator)
{
    return separator == '\t' ? "tabs" : separator == ';' ? "semicolons" : "commas";
}

static void show_sums(const struct import *import)
{
    const struct import_counts *counts = &import->counts;
    const bool done = import->apply;
    uint64_t hidden = 0;

    for (size_t i = 0; i <= PLAN_REJECT; i++)
        if (!import->verbose && import->shown[i] > SHOWN_MAX)
            hidden += import->shown[i] - SHOWN_MAX;
    if (!import->verbose && import->refusals_shown > SHOWN_MAX)
        hidden += import->refusals_shown - SHOWN_MAX;
    if (hidden > 0)
        print_line("... and %" PRIu64 " more; -v shows all", hidden);
    print_line("%s: %" PRIu64 " rows, %s, separated by %s", import->path, counts->rows,
               csv_encoding_name(import->input.encoding),
               separator_name(csv_reader_separator(import->reader)));
    print_line("%" PRIu64 " %s, %" PRIu64 " %s, %" PRIu64 " the same, %" PRIu64 " rejected",
               counts->added, done ? "added" : "to add", counts->changed,
               done ? "changed" : "to change", counts->same, counts->rejected);
    if (import->lapse)
        print_line("%" PRIu64 " active member%s not in the file, %" PRIu64 " %s",
                   counts->absent, counts->absent == 1 ? " is" : "s are",
                   done ? counts->lapsed : counts->absent, done ? "lapsed" : "would lapse");
    else if (counts->absent > 0)
        print_line("%" PRIu64 " active member%s", counts->absent,
                   counts->absent == 1 ? " is not in the file; it stays as it is"
                                       : "s are not in the file; they stay as they are");
    if (import->rejects.path != NULL)
        print_line("the rejected rows are in %s; mend and import them", import->rejects.path);
    if (!done)
        print_line("nothing was changed: this was a dry run; --apply does it");
}

static json_t *sums(const struct import *import)
{
    const struct import_counts *counts = &import->counts;
    const char separator[] = { csv_reader_separator(import->reader), '\0' };
    const uint64_t lapsed = import->lapse && import->apply ? counts->lapsed : 0;

    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:n, s:s?}",
                     "file", import->path, "encoding",
                     csv_encoding_name(import->input.encoding), "separator", separator, "rows",
                     (json_int_t)counts->rows, "added", (json_int_t)counts->added, "changed",
                     (json_int_t)counts->changed, "same", (json_int_t)counts->same, "rejected",
                     (json_int_t)counts->rejected, "absent", (json_int_t)counts->absent,
                     "lapsed", (json_int_t)lapsed, "applied", import->apply, "import_id",
                     "rejects_file", import->rejects.path);
}

static void print_csv(json_t *object)
{
    const char *before = "";
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        printf("%s%s", before, key);
        before = ",";
    }
    before = "\n";
    json_object_foreach(object, key, value)
    {
        char *text =
            json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

        printf("%s", before);
        if (json_is_string(value))
            csv_write_cell(stdout, ',', slice_of_text(json_string_value(value)));
        else if (text != NULL && !json_is_null(value))
            printf("%s", text);
        free(text);
        before = ",";
    }
    putchar('\n');
}

void import_show_result(struct import *import)
{
    json_t *object;

    if (import->options->form == OUTPUT_TEXT) {
        show_sums(import);
        return;
    }
    if ((object = sums(import)) == NULL) {
        report_error(import->options, "give the file a name in UTF-8",
                     "the result cannot be shown");
        return;
    }
    if (import->options->form == OUTPUT_JSON)
        print_json(stdout, object);
    else
        print_csv(object);
    json_decref(object);
}
