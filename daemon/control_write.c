/* SPDX-License-Identifier: MPL-2.0 */
/* control_write.c - what changes something: members.apply and members.lapse.  An "ok"
 * leaves with the commit of the turn that holds the change. */
#include "daemon/control_internal.h"
#include "daemon/jobs.h"
#include "daemon/replication.h"
#include "daemon/write.h"

#include <stdio.h>
#include <string.h>

/* --- one change --------------------------------------------------------------------------- */

/* The client's change, or why it is none. */
struct op_read {
    struct write_op op;
    bool has_fields;
    bool has_op;
    const char *error;
};

/* "again": true */
static const char *read_again(struct mp_reader *reader, struct op_read *out)
{
    if (mp_peek(reader) != MP_BOOL)
        return "\"again\" must be true or false";
    out->op.again = mp_read_bool(reader);
    return NULL;
}

static const char *read_op_field(struct slice name, struct mp_reader *reader,
                                 struct op_read *out)
{
    if (slice_is_text(name, "fields")) {
        out->has_fields = true;
        if (mp_peek(reader) != MP_MAP)
            return "\"fields\" must be a map";
        out->op.fields = mp_read_raw(reader, CONTROL_SIZE_MAX);
        return NULL;
    }
    if (slice_is_text(name, "again"))
        return read_again(reader, out);
    if (mp_peek(reader) != MP_STR)
        return "\"op\" and \"id\" must be texts, and there is nothing else but \"fields\"";
    if (slice_is_text(name, "id")) {
        out->op.has_id = true;
        return uuid_parse(mp_read_str(reader, CONTROL_SIZE_MAX), out->op.id)
                   ? NULL
                   : "\"id\" is not a UUID";
    }
    if (slice_is_text(name, "op")) {
        const struct slice text = mp_read_str(reader, CONTROL_SIZE_MAX);

        out->has_op = true;
        out->op.remove = slice_is_text(text, "remove");
        return out->op.remove || slice_is_text(text, "put") ? NULL
                                                            : "\"op\" must be put or remove";
    }
    return "there is something else than \"op\", \"id\" and \"fields\"";
}

static void read_op(struct slice raw, struct op_read *out)
{
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    size_t count;

    memset(out, 0, sizeof *out);
    out->op.type = RECORD_MEMBER;
    mp_reader_init_validated(&reader, raw);
    if (mp_peek(&reader) != MP_MAP) {
        out->error = "a change must be a map";
        return;
    }
    count = mp_read_map(&reader, SIZE_MAX);
    for (size_t i = 0; i < count && out->error == NULL; i++) {
        const struct slice name = mp_read_key(&reader, &last);

        out->error = read_op_field(name, &reader, out);
    }
    if (out->error != NULL)
        return;
    if (!out->has_op)
        out->error = "\"op\" is missing: put or remove";
    else if (!out->op.remove && !out->has_fields)
        out->error = "a put needs \"fields\"";
    else if (out->op.remove && out->has_fields)
        out->error = "a removal takes no \"fields\"";
    else if (out->op.remove && !out->op.has_id)
        out->error = "a removal needs an \"id\"";
}

static void format_error(char out[CONTROL_TEXT_SIZE], const char *field, const char *error)
{
    (void)snprintf(out, CONTROL_TEXT_SIZE, "%s%s%s", field, field[0] != '\0' ? ": " : "",
                   error);
}

/* What became of one: error "" if it was done. */
struct op_outcome {
    bool has_id;
    uint8_t id[ID_SIZE];
    uint64_t seq;
    char error[CONTROL_TEXT_SIZE];
};

static enum status apply_one(struct control_wait *request, struct slice raw, const char *who,
                             struct op_outcome *out)
{
    struct node *node = request->node;
    struct write_result result;
    struct op_read read;
    enum status status;

    out->has_id = false;
    out->error[0] = '\0';
    read_op(raw, &read);
    if (read.error != NULL) {
        format_error(out->error, "", read.error);
        return OK;
    }
    if (read.op.remove && request->removals_refused) {
        node->removals_refused++;
        out->has_id = true;
        memcpy(out->id, read.op.id, ID_SIZE);
        format_error(out->error, "",
                     "more than 10 % of the members would be removed within a day; if that is"
                     " meant, say so: --confirm");
        return OK;
    }
    if ((status = write_apply(node, &read.op, who, &result)) != OK)
        return status;
    out->has_id = result.status == OK || read.op.has_id;
    memcpy(out->id, result.status == OK ? result.id : read.op.id, ID_SIZE);
    out->seq = result.seq;
    if (result.status != OK)
        format_error(out->error, result.field,
                     result.error != NULL ? result.error : status_text(result.status));
    return OK;
}

static void write_outcome(struct mp_writer *writer, const struct op_outcome *outcome)
{
    const bool ok = outcome->error[0] == '\0';

    mp_write_map(writer, 3);
    if (!ok)
        mp_write_key_text(writer, "error", outcome->error);
    mp_write_text(writer, "id");
    if (outcome->has_id)
        control_write_uuid(writer, outcome->id);
    else
        mp_write_nil(writer);
    mp_write_key_bool(writer, "ok", ok);
    if (ok)
        mp_write_key_uint(writer, "seq", outcome->seq);
}

void control_name_writer(const struct control_wait *request, char *out, size_t size)
{
    if (request->uid >= 0)
        (void)snprintf(out, size, "uid %lld", (long long)request->uid);
    else
        (void)snprintf(out, size, "uid unknown");
}

/* A result for each change. */
static enum status apply_all(struct control_wait *request, struct mp_reader *ops, size_t count,
                             const char *who, struct mp_writer *writer)
{
    struct op_outcome outcome;
    enum status status;

    mp_write_map(writer, 1);
    mp_write_text(writer, "results");
    mp_write_array(writer, count);
    for (size_t i = 0; i < count; i++) {
        status = apply_one(request, mp_read_raw(ops, CONTROL_SIZE_MAX), who, &outcome);
        if (status != OK)
            return status; /* the turn has failed: its requests are told so */
        write_outcome(writer, &outcome);
    }
    return OK;
}

/* How many were done, and those that were not. */
static enum status apply_brief(struct control_wait *request, struct mp_reader *ops,
                               size_t count, const char *who, struct mp_writer *writer)
{
    CLEANUP(mp_writer_done) struct mp_writer failed = { 0 };
    struct op_outcome outcome;
    size_t failed_count = 0;
    enum status status;

    mp_writer_init_heap(&failed, CONTROL_SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        status = apply_one(request, mp_read_raw(ops, CONTROL_SIZE_MAX), who, &outcome);
        if (status != OK)
            return status;
        if (outcome.error[0] == '\0')
            continue;
        failed_count++;
        mp_write_map(&failed, 2);
        mp_write_key_uint(&failed, "at", i);
        mp_write_key_text(&failed, "error", outcome.error);
    }
    mp_write_map(writer, 2);
    mp_write_key_uint(writer, "done", count - failed_count);
    mp_write_text(writer, "failed");
    mp_write_array(writer, failed_count);
    mp_write_raw(writer, mp_writer_bytes(&failed));
    return OK;
}

static uint64_t count_removals(struct mp_reader ops, size_t count)
{
    uint64_t removals = 0;

    for (size_t i = 0; i < count; i++) {
        const struct slice raw = mp_read_raw(&ops, CONTROL_SIZE_MAX);
        struct slice text;

        removals += mp_map_get_text(raw, "op", &text) && slice_is_text(text, "remove");
    }
    return removals;
}

enum status control_members_apply(struct control_wait *request, struct mp_writer *writer)
{
    const bool confirmed = ARGUMENT(request, confirm)->flag;
    struct mp_reader ops;
    uint64_t removals;
    char who[32];
    size_t count;
    enum status status;

    mp_reader_init_validated(&ops, ARGUMENT(request, ops)->text);
    count = mp_read_array(&ops, TURN_WRITES_MAX);
    if (ops.status != OK)
        return control_error(request, USAGE, "send them in several requests",
                             "a request holds at most %d changes", TURN_WRITES_MAX);
    if ((status = control_may_write(request)) != OK)
        return status;
    control_name_writer(request, who, sizeof who);
    request->ops = count;
    removals = count_removals(ops, count);
    request->removals_refused =
        removals != 0 && !confirmed && removals_need_word(request->node, removals);
    status = ARGUMENT(request, brief)->flag ? apply_brief(request, &ops, count, who, writer)
                                            : apply_all(request, &ops, count, who, writer);
    if (status == OK && confirmed && removals != 0)
        removals_confirmed(request->node);
    return status;
}

/* --- what the daily job asks -------------------------------------------------------------- */

static void lapse_finished(struct node *node, void *context, const struct lapse_result *result)
{
    struct control_wait *request = context;

    request->lapsed = *result;
    request->job_done = true;
    request->due_ms = node_now(node);
}

enum status control_members_lapse(struct control_wait *request, struct mp_writer *writer)
{
    const bool confirmed = ARGUMENT(request, confirm)->flag;
    enum status status;

    if (!request->job_done && request->job_asked)
        return AGAIN;
    if (!control_is_parked(request))
        return AGAIN;
    if (!request->job_asked) {
        if ((status = control_may_write(request)) != OK)
            return status;
        status = jobs_lapse(request->node, confirmed, lapse_finished, request);
        if (status == REFUSED)
            return control_error(request, REFUSED, "set the clock of this computer",
                                 "the clock says that it is before 2024");
        if (status != OK)
            return control_error(request, status, "try again in a minute",
                                 "the job cannot be started: %s", status_text(status));
        request->job_asked = true;
        request->due_ms = INT64_MAX;
        return AGAIN;
    }
    if (request->lapsed.status != OK)
        return control_error(request, request->lapsed.status, "chapterctl status",
                             "the job stopped after %llu of %llu members: nothing can be"
                             " signed now",
                             (unsigned long long)request->lapsed.lapsed,
                             (unsigned long long)request->lapsed.due);
    mp_write_map(writer, 3);
    mp_write_key_bool(writer, "confirmed", confirmed);
    mp_write_key_uint(writer, "due", request->lapsed.due);
    mp_write_key_uint(writer, "lapsed", request->lapsed.lapsed);
    return OK;
}
