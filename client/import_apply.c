/* SPDX-License-Identifier: MPL-2.0 */
/* import_apply.c - the planned changes as pipelined members.apply requests.
 * A crash or a lost daemon leaves a part done; the same import again does the rest. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/import_internal.h"
#include "client/import_refusals.h"
#include "client/interrupt.h"
#include "client/output.h"

#define BATCH_OPS_MAX 1024
#define BATCH_SIZE_MAX ((size_t)512 * 1024)
#define BATCHES_UNDER_WAY 8
_Static_assert(BATCHES_UNDER_WAY <= SESSION_WINDOW, "BATCHES_UNDER_WAY");

struct operation {
    uint64_t line; /* 0 for a lapse */
    enum request_sort sort;
};

struct batch {
    size_t count;
    struct operation operations[BATCH_OPS_MAX];
};

struct application {
    struct import *import;
    /* a ring: those under way, and the one that is filled */
    struct batch batches[BATCHES_UNDER_WAY + 1];
    size_t first;
    size_t under_way;
    struct mp_writer ops; /* of the one that is filled */
    struct mp_writer args;
    uint64_t done[REQUEST_SORTS];
    uint64_t answered;
    struct import_refusals refusals;
    uint64_t lapses_refused;
    struct progress progress;
};

static struct batch *filled(struct application *application)
{
    const size_t at = application->first + application->under_way;

    return &application->batches[at % (BATCHES_UNDER_WAY + 1)];
}

/* --- answers ------------------------------------------------------------------------------ */

static enum exit_code take_refusal(struct application *application, const struct batch *batch,
                                   struct slice failed)
{
    struct slice error = slice_of_text("refused by the daemon");
    const struct operation *operation;
    enum status status;
    uint64_t at;

    if (!mp_map_get_uint(failed, "at", &at) || at >= batch->count)
        return pages_malformed(application->import->session);
    operation = &batch->operations[at];
    application->done[operation->sort]--;
    if (operation->sort == REQUEST_LAPSE) {
        application->lapses_refused++;
        return EXIT_OK;
    }
    (void)mp_map_get_text(failed, "error", &error);
    status = refusals_add(&application->refusals, operation->line, error);
    return status == OK ? EXIT_OK : import_spool_failed(application->import, status);
}

/* All of the batch were done but for those that the result lists, in their order. */
static enum exit_code take_results(struct application *application, const struct batch *batch,
                                   struct slice result)
{
    enum exit_code exit_code = EXIT_OK;
    struct mp_reader reader;
    uint64_t done = 0;
    size_t failed;

    mp_reader_init(&reader, mp_map_get(result, "failed"));
    failed = mp_read_array(&reader, batch->count);
    if (!mp_map_get_uint(result, "done", &done) || reader.status != OK ||
        done + failed != batch->count)
        return pages_malformed(application->import->session);
    for (size_t i = 0; i < batch->count; i++)
        application->done[batch->operations[i].sort]++;
    for (size_t i = 0; i < failed && exit_code == EXIT_OK; i++)
        exit_code = take_refusal(application, batch, mp_read_raw(&reader, SIZE_MAX));
    return exit_code;
}

static enum exit_code receive_batch(struct application *application)
{
    const struct batch *batch = &application->batches[application->first];
    struct slice result = SLICE_NONE;
    enum exit_code exit_code;

    exit_code = session_receive_raw(application->import->session, &result);
    if (exit_code == EXIT_OK)
        exit_code = take_results(application, batch, result);
    if (exit_code != EXIT_OK)
        return exit_code;
    application->answered += batch->count;
    application->first = (application->first + 1) % (BATCHES_UNDER_WAY + 1);
    application->under_way--;
    progress_update(&application->progress, application->answered);
    return EXIT_OK;
}

/* --- requests ----------------------------------------------------------------------------- */

static enum exit_code send_batch(struct application *application)
{
    struct batch *batch = filled(application);
    struct mp_writer *args = &application->args;
    enum exit_code exit_code;

    if (batch->count == 0)
        return EXIT_OK;
    if (application->under_way == BATCHES_UNDER_WAY &&
        (exit_code = receive_batch(application)) != EXIT_OK)
        return exit_code;
    mp_writer_reset(args);
    mp_write_map(args, 2);
    mp_write_key_bool(args, "brief", true);
    mp_write_text(args, "ops");
    mp_write_array(args, batch->count);
    mp_write_raw(args, mp_writer_bytes(&application->ops));
    if (args->status != OK || application->ops.status != OK)
        return import_no_memory(application->import);
    exit_code =
        session_send_raw(application->import->session, "members.apply", mp_writer_bytes(args));
    if (exit_code != EXIT_OK)
        return exit_code;
    application->under_way++;
    filled(application)->count = 0;
    mp_writer_reset(&application->ops);
    return EXIT_OK;
}

static enum exit_code add_request(struct application *application,
                                  const struct import_request *request)
{
    struct batch *batch = filled(application);

    mp_write_raw(&application->ops, request->op);
    batch->operations[batch->count++] = (struct operation){ request->line, request->sort };
    if (batch->count < BATCH_OPS_MAX && application->ops.size < BATCH_SIZE_MAX)
        return EXIT_OK;
    return send_batch(application);
}

static enum exit_code send_all(struct application *application)
{
    struct import *import = application->import;
    enum exit_code exit_code = EXIT_OK;
    struct import_request request;
    enum status status = OK;
    uint64_t offset = 0;

    session_finish_when_interrupted(import->session);
    while (exit_code == EXIT_OK && !interrupted() &&
           (status = requests_next(&import->requests, &offset, &request)) == OK)
        exit_code = add_request(application, &request);
    if (exit_code == EXIT_OK && status != OK && status != NOT_FOUND)
        exit_code = import_spool_failed(import, status);
    if (exit_code == EXIT_OK && !interrupted())
        exit_code = send_batch(application);
    /* What was sent is waited for, to be able to say what was done. */
    while (exit_code == EXIT_OK && application->under_way > 0)
        exit_code = receive_batch(application);
    return exit_code;
}

/* --- what the daemon refused -------------------------------------------------------------- */

struct refusal_pass {
    struct import_refusals *refusals;
    bool any;
    uint64_t line;
    char reason[REFUSAL_REASON_SIZE];
};

static enum exit_code take_next(struct import *import, struct refusal_pass *pass)
{
    const enum status status = refusals_take(pass->refusals, &pass->line, pass->reason);

    pass->any = status == OK;
    return status == OK || status == NOT_FOUND ? EXIT_OK : import_spool_failed(import, status);
}

static enum exit_code write_refusal(struct import *import, const struct csv_row *row,
                                    void *context)
{
    struct refusal_pass *pass = context;
    enum exit_code exit_code;

    if (!pass->any || pass->line != row->line)
        return EXIT_OK;
    import_show_refusal(import, row, pass->reason);
    exit_code = import_reject(import, row, pass->reason);
    return exit_code == EXIT_OK ? take_next(import, pass) : exit_code;
}

static enum exit_code write_refusals(struct application *application)
{
    struct refusal_pass pass = { .refusals = &application->refusals };
    struct import *import = application->import;
    enum exit_code exit_code;

    if (application->refusals.count == 0)
        return EXIT_OK;
    if ((exit_code = take_next(import, &pass)) != EXIT_OK)
        return exit_code;
    return import_each_row(import, "writing rejects", write_refusal, &pass);
}

/* --- all of it ---------------------------------------------------------------------------- */

static void report_part(const struct application *application, uint64_t total)
{
    const struct options *options = application->import->options;
    const uint64_t refused = application->refusals.count + application->lapses_refused;
    char more[64] = "";
    uint64_t made = 0;

    for (size_t i = 0; i < REQUEST_SORTS; i++)
        made += application->done[i];
    if (refused > 0)
        (void)snprintf(more, sizeof more, ", %" PRIu64 " were refused", refused);
    if (interrupted())
        report_error(options, "the same import again: it makes the rest",
                     "interrupted: %s%" PRIu64 " of %" PRIu64 " changes were made%s",
                     application->under_way > 0 ? "at least " : "", made, total, more);
    else
        notice(options,
               "%" PRIu64 " of %" PRIu64 " changes were made for certain%s; the same import"
               " again makes the rest",
               made, total, more);
}

static enum exit_code conclude(struct application *application, enum exit_code exit_code)
{
    struct import *import = application->import;
    const uint64_t total = requests_total(&import->requests);

    import->counts.added = application->done[REQUEST_ADD];
    import->counts.changed = application->done[REQUEST_CHANGE];
    import->counts.lapsed = application->done[REQUEST_LAPSE];
    if (exit_code != EXIT_OK || application->answered < total) {
        report_part(application, total);
        return exit_code == EXIT_OK ? EXIT_FAILED : exit_code;
    }
    exit_code = write_refusals(application);
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
    enum exit_code exit_code;

    if (application == NULL)
        return import_no_memory(import);
    application->import = import;
    mp_writer_init_heap(&application->ops, CONTROL_SIZE_MAX);
    mp_writer_init_heap(&application->args, CONTROL_SIZE_MAX);
    progress_begin(&application->progress, import->options, "importing",
                   requests_total(&import->requests));
    exit_code = send_all(application);
    progress_end(&application->progress);
    exit_code = conclude(application, exit_code);
    mp_writer_done(&application->ops);
    mp_writer_done(&application->args);
    refusals_done(&application->refusals);
    free(application);
    return exit_code;
}
