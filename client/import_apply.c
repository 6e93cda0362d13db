/* SPDX-License-Identifier: MPL-2.0 */
/* import_apply.c - the third pass: planned changes as pipelined members.apply requests.
 * A crash or a lost daemon leaves a part done; the same import again does the rest. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/import_internal.h"
#include "client/output.h"

#define BATCH_OPS_MAX 256
#define BATCH_SIZE_MAX (512 * 1024)
#define BATCHES_UNDER_WAY 8
_Static_assert(BATCHES_UNDER_WAY <= SESSION_WINDOW, "BATCHES_UNDER_WAY");

enum sort { SORT_ADD, SORT_CHANGE, SORT_LAPSE, SORT_COUNT };

struct operation {
    uint64_t line; /* 0 for a lapse */
    enum sort sort;
};

struct batch {
    size_t count;
    struct operation operations[BATCH_OPS_MAX];
};

struct refusal {
    uint64_t line;
    char *reason;
};

struct application {
    struct import *import;
    struct batch
        batches[BATCHES_UNDER_WAY + 1]; /* a ring: those under way, and the one filled */
    size_t first;
    size_t under_way;
    json_t *ops; /* of the one that is filled */
    size_t size;
    uint64_t done[SORT_COUNT];
    uint64_t answered;
    struct refusal *refusals; /* by ascending line */
    size_t refusal_count;
    size_t refusal_capacity;
    size_t refusals_written;
    uint64_t lapses_refused;
    struct progress progress;
};

static struct batch *filled(struct application *application)
{
    const size_t at = application->first + application->under_way;

    return &application->batches[at % (BATCHES_UNDER_WAY + 1)];
}

/* --- answers ------------------------------------------------------------------------------ */

static enum exit_code keep_refusal(struct application *application, uint64_t line,
                                   const char *reason)
{
    struct refusal *refusal;

    if (application->refusal_count == application->refusal_capacity) {
        const size_t capacity =
            application->refusal_capacity == 0 ? 16 : 2 * application->refusal_capacity;
        struct refusal *larger = realloc(application->refusals, capacity * sizeof *larger);

        if (larger == NULL)
            return import_no_memory(application->import);
        application->refusals = larger;
        application->refusal_capacity = capacity;
    }
    refusal = &application->refusals[application->refusal_count];
    refusal->line = line;
    if ((refusal->reason = strdup(reason)) == NULL)
        return import_no_memory(application->import);
    application->refusal_count++;
    return EXIT_OK;
}

static enum exit_code take_result(struct application *application,
                                  const struct operation *operation, const json_t *result)
{
    const char *error = json_string_value(json_object_get(result, "error"));

    application->answered++;
    if (json_is_true(json_object_get(result, "ok"))) {
        application->done[operation->sort]++;
        return EXIT_OK;
    }
    if (error == NULL)
        error = "refused by the daemon";
    if (operation->sort != SORT_LAPSE)
        return keep_refusal(application, operation->line, error);
    application->lapses_refused++;
    return EXIT_OK;
}

static enum exit_code receive_batch(struct application *application)
{
    const struct batch *batch = &application->batches[application->first];
    struct import *import = application->import;
    enum exit_code exit_code;
    const json_t *results;
    json_t *reply = NULL;

    if ((exit_code = session_receive(import->session, &reply)) != EXIT_OK)
        return exit_code;
    results = json_object_get(reply, "results");
    if (json_array_size(results) != batch->count) {
        report_error(import->options, "the chapterctl that came with this chapterd",
                     "the daemon's answer is not what this version expects");
        exit_code = EXIT_FAILED;
    }
    for (size_t i = 0; i < batch->count && exit_code == EXIT_OK; i++)
        exit_code = take_result(application, &batch->operations[i], json_array_get(results, i));
    json_decref(reply);
    application->first = (application->first + 1) % (BATCHES_UNDER_WAY + 1);
    application->under_way--;
    progress_update(&application->progress, application->answered);
    return exit_code;
}

/* --- requests ----------------------------------------------------------------------------- */

static enum exit_code send_batch(struct application *application)
{
    struct import *import = application->import;
    enum exit_code exit_code = EXIT_OK;
    json_t *args;

    if (filled(application)->count == 0)
        return EXIT_OK;
    if (application->under_way == BATCHES_UNDER_WAY &&
        (exit_code = receive_batch(application)) != EXIT_OK)
        return exit_code;
    if ((args = json_pack("{s:O}", "ops", application->ops)) == NULL)
        return import_no_memory(import);
    exit_code = session_send(import->session, "members.apply", args);
    json_decref(args);
    (void)json_array_clear(application->ops);
    application->size = 0;
    if (exit_code != EXIT_OK)
        return exit_code;
    application->under_way++;
    filled(application)->count = 0;
    return EXIT_OK;
}

/* Takes fields.  id is NULL for a new member. */
static enum exit_code add_operation(struct application *application, struct operation operation,
                                    const uint8_t *id, json_t *fields, size_t size)
{
    struct batch *batch = filled(application);
    char text[UUID_TEXT_SIZE] = "";
    json_t *op;

    if (id != NULL)
        uuid_format(id, text);
    op = json_pack("{s:s, s:s*, s:o}", "op", "put", "id", id == NULL ? NULL : text, "fields",
                   fields);
    if (json_array_append_new(application->ops, op) != 0)
        return import_no_memory(application->import);
    batch->operations[batch->count++] = operation;
    application->size += size;
    if (batch->count < BATCH_OPS_MAX && application->size < BATCH_SIZE_MAX)
        return EXIT_OK;
    return send_batch(application);
}

/* NULL without memory. */
static json_t *fields_of(const struct import *import, size_t *out_size)
{
    json_t *fields = json_object();
    size_t size = 64;

    for (size_t i = 0; i < import->plan.change_count && fields != NULL; i++) {
        const struct plan_change *change = &import->plan.changes[i];
        const char *name = import->columns.column[change->column].name;
        json_t *text = json_stringn((const char *)change->text.data, change->text.size);

        size += strlen(name) + change->text.size + 8;
        if (json_object_set_new(fields, name, text) != 0) {
            json_decref(fields);
            fields = NULL;
        }
    }
    *out_size = size;
    return fields;
}

static enum exit_code send_row(struct import *import, const struct csv_row *row, void *context)
{
    struct application *application = context;
    struct import_member *member;
    enum exit_code exit_code;
    uint8_t id[ID_SIZE];
    bool has_id;
    json_t *fields;
    size_t size;
    bool add;

    if ((exit_code = import_decide(import, row, &member)) != EXIT_OK)
        return exit_code;
    add = import->plan.action == PLAN_ADD;
    if (!add && import->plan.action != PLAN_CHANGE)
        return EXIT_OK;
    if ((fields = fields_of(import, &size)) == NULL)
        return import_no_memory(import);
    has_id = member != NULL || uuid_parse(import_cell(row, import->columns.id), id);
    if (member != NULL)
        memcpy(id, member->id, ID_SIZE);
    return add_operation(application,
                         (struct operation){ row->line, add ? SORT_ADD : SORT_CHANGE },
                         has_id ? id : NULL, fields, size);
}

static enum exit_code send_lapses(struct application *application)
{
    const struct import_members *members = &application->import->members;
    enum exit_code exit_code = EXIT_OK;

    for (size_t i = 0; i < members->count && exit_code == EXIT_OK; i++)
        if (members->list[i].active && members->list[i].line == 0)
            exit_code = add_operation(
                application, (struct operation){ 0, SORT_LAPSE }, members->list[i].id,
                json_pack("{s:s}", "status", member_status_name(MEMBER_LAPSED)), 96);
    return exit_code;
}

static enum exit_code send_all(struct application *application)
{
    struct import *import = application->import;
    enum exit_code exit_code;

    members_forget_lines(&import->members);
    if ((exit_code = import_each_row(import, send_row, application)) != EXIT_OK)
        return exit_code;
    if (import->lapse && (exit_code = send_lapses(application)) != EXIT_OK)
        return exit_code;
    if ((exit_code = send_batch(application)) != EXIT_OK)
        return exit_code;
    while (exit_code == EXIT_OK && application->under_way > 0)
        exit_code = receive_batch(application);
    return exit_code;
}

/* --- what the daemon refused -------------------------------------------------------------- */

static enum exit_code write_refusal(struct import *import, const struct csv_row *row,
                                    void *context)
{
    struct application *application = context;
    const struct refusal *next = &application->refusals[application->refusals_written];

    if (application->refusals_written == application->refusal_count || next->line != row->line)
        return EXIT_OK;
    application->refusals_written++;
    if (import->options->form == OUTPUT_TEXT && !import->options->quiet)
        print_line("%-8s line %" PRIu64 ": %s", "refused", row->line, next->reason);
    return import_reject(import, row, next->reason);
}

static enum exit_code conclude(struct application *application, enum exit_code exit_code)
{
    struct import *import = application->import;
    struct import_counts *counts = &import->counts;
    const uint64_t total =
        counts->added + counts->changed + (import->lapse ? counts->absent : 0);
    const uint64_t made = application->done[SORT_ADD] + application->done[SORT_CHANGE] +
                          application->done[SORT_LAPSE];

    counts->added = application->done[SORT_ADD];
    counts->changed = application->done[SORT_CHANGE];
    counts->lapsed = application->done[SORT_LAPSE];
    if (exit_code != EXIT_OK) {
        notice(import->options,
               "%" PRIu64 " of %" PRIu64 " changes were made for certain; the same import again"
               " makes the rest",
               made, total);
        return exit_code;
    }
    if (application->refusal_count > 0)
        exit_code = import_each_row(import, write_refusal, application);
    if (exit_code == EXIT_OK && application->lapses_refused > 0) {
        report_error(import->options, "chapterctl status", "%" PRIu64 " members did not lapse",
                     application->lapses_refused);
        exit_code = EXIT_FAILED;
    }
    return exit_code;
}

enum exit_code import_apply(struct import *import)
{
    struct application *application = calloc(1, sizeof *application);
    const struct import_counts *counts = &import->counts;
    enum exit_code exit_code;

    if (application == NULL || (application->ops = json_array()) == NULL) {
        free(application);
        return import_no_memory(import);
    }
    application->import = import;
    progress_begin(&application->progress, import->options, "importing",
                   counts->added + counts->changed + (import->lapse ? counts->absent : 0));
    exit_code = send_all(application);
    progress_end(&application->progress);
    exit_code = conclude(application, exit_code);
    for (size_t i = 0; i < application->refusal_count; i++)
        free(application->refusals[i].reason);
    free(application->refusals);
    json_decref(application->ops);
    free(application);
    return exit_code;
}
