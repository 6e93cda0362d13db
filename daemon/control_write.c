/* SPDX-License-Identifier: MPL-2.0 */
/* control_write.c - what changes something: members.apply and members.lapse.  An "ok"
 * leaves with the commit of the turn that holds the change. */
#include "daemon/control_internal.h"

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
    mp_reader_init(&reader, raw);
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

static void write_refusal(struct mp_writer *writer, const struct op_read *read,
                          const char *field, const char *error)
{
    char text[CONTROL_TEXT_SIZE];

    (void)snprintf(text, sizeof text, "%s%s%s", field, field[0] != '\0' ? ": " : "", error);
    mp_write_map(writer, 3);
    mp_write_key_text(writer, "error", text);
    mp_write_text(writer, "id");
    if (read->op.has_id && read->error == NULL)
        control_write_uuid(writer, read->op.id);
    else
        mp_write_nil(writer);
    mp_write_key_bool(writer, "ok", false);
}

static enum status apply_one(struct control_wait *request, struct slice raw, const char *who,
                             struct mp_writer *writer)
{
    struct write_result result;
    struct op_read read;
    enum status status;

    read_op(raw, &read);
    if (read.error != NULL) {
        write_refusal(writer, &read, "", read.error);
        return OK;
    }
    if ((status = write_apply(request->node, &read.op, who, &result)) != OK)
        return status;
    if (result.status != OK) {
        write_refusal(writer, &read, result.field,
                      result.error != NULL ? result.error : status_text(result.status));
        return OK;
    }
    mp_write_map(writer, 3);
    mp_write_text(writer, "id");
    control_write_uuid(writer, result.id);
    mp_write_key_bool(writer, "ok", true);
    mp_write_key_uint(writer, "seq", result.seq);
    return OK;
}

static void name_writer(const struct control_wait *request, char *out, size_t size)
{
    if (request->uid >= 0)
        (void)snprintf(out, size, "uid %lld", (long long)request->uid);
    else
        (void)snprintf(out, size, "uid unknown");
}

enum status control_members_apply(struct control_wait *request, struct mp_writer *writer)
{
    struct mp_reader reader;
    char who[32];
    size_t count;
    enum status status;

    mp_reader_init(&reader, ARGUMENT(request, ops)->text);
    count = mp_read_array(&reader, TURN_WRITES_MAX);
    if (reader.status != OK)
        return control_error(request, USAGE, "send them in several requests",
                             "a request holds at most %d changes", TURN_WRITES_MAX);
    if ((status = control_may_write(request)) != OK)
        return status;
    name_writer(request, who, sizeof who);
    request->ops = count;
    mp_write_map(writer, 1);
    mp_write_text(writer, "results");
    mp_write_array(writer, count);
    for (size_t i = 0; i < count; i++) {
        const struct slice raw = mp_read_raw(&reader, CONTROL_SIZE_MAX);

        if ((status = apply_one(request, raw, who, writer)) != OK)
            return status; /* the turn has failed: its requests are told so */
    }
    return OK;
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
