/* SPDX-License-Identifier: MPL-2.0 */
/* control_erase.c - members.erase, with what became of it. */
#include "daemon/control_internal.h"
#include "daemon/erase.h"
#include "daemon/write.h"

#include <stdlib.h>
#include <string.h>

static void write_codes(struct mp_writer *writer, const char *key, char (*codes)[CODE_SIZE],
                        size_t count)
{
    mp_write_text(writer, key);
    mp_write_array(writer, count);
    for (size_t i = 0; i < count; i++)
        mp_write_text(writer, codes[i]);
}

/* What it waits for, in the order in which it happens. */
static const char *waits_for(const struct erase_report *report)
{
    if (!report->forgotten && !report->hq_stated)
        return "HQ has not said yet that it has the removal";
    if (!report->forgotten)
        return "the removal is about to be forgotten";
    if (!report->history_purged)
        return "this node's own history is being searched";
    if (report->waiting_count != 0)
        return "some nodes have not confirmed yet";
    return NULL;
}

static void write_report(struct mp_writer *writer, const uint8_t id[ID_SIZE],
                         struct erase_report *report)
{
    const char *waiting = waits_for(report);

    mp_write_map(writer, 7);
    write_codes(writer, "confirmed", report->confirmed, report->confirmed_count);
    mp_write_key_bool(writer, "done", waiting == NULL);
    mp_write_text(writer, "id");
    control_write_uuid(writer, id);
    write_codes(writer, "missing", report->waiting, report->waiting_count);
    mp_write_key_uint(writer, "seq", report->seq);
    write_codes(writer, "shut_out", report->shut_out, report->shut_out_count);
    mp_write_text(writer, "waits_for");
    if (waiting == NULL)
        mp_write_nil(writer);
    else
        mp_write_text(writer, waiting);
}

/* NOT_FOUND: that id was not erased yet. */
static enum status answer_report(struct control_wait *request, struct mp_writer *writer,
                                 const uint8_t id[ID_SIZE], struct erase_report *report)
{
    const enum status status = erase_report(request->node, id, report);

    if (status == OK)
        write_report(writer, id, report);
    return status == OK || status == NOT_FOUND ? status : control_store_error(request, status);
}

static enum status erase_now(struct control_wait *request, struct mp_writer *writer,
                             const uint8_t id[ID_SIZE], struct erase_report *report)
{
    struct write_result result;
    char who[32];
    enum status status;

    /* A second time it only tells, whatever may be signed. */
    if ((status = answer_report(request, writer, id, report)) != NOT_FOUND)
        return status;
    if ((status = control_may_write(request)) != OK)
        return status;
    control_name_writer(request, who, sizeof who);
    request->ops = 1;
    if ((status = erase_member(request->node, id, who, &result)) != OK)
        return status;
    if (result.status != OK)
        return control_error(request, result.status, "chapterctl members list --search TEXT",
                             "%s", result.error);
    if ((status = answer_report(request, writer, id, report)) == NOT_FOUND)
        status = control_error(request, INVALID, "see the daemon's log", "it was not noted");
    return status;
}

enum status control_members_erase(struct control_wait *request, struct mp_writer *writer)
{
    /* Before anything is written: who is told of an error was not erased. */
    struct erase_report *report = calloc(1, sizeof *report);
    enum status status;

    if (report == NULL)
        return control_error(request, NO_MEMORY, "try again", "there is no memory for it");
    status = erase_now(request, writer, ARGUMENT(request, id)->id, report);
    free(report);
    return status;
}
