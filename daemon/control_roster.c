/* SPDX-License-Identifier: MPL-2.0 */
/* control_roster.c - what HQ's operator changes of a chapter: chapters.suspend, .resume,
 * .revoke and .edit. */
#include "daemon/control_internal.h"
#include "daemon/invitation.h"

#include <string.h>

static enum status refuse(struct control_wait *request, enum status status, const char *error)
{
    if (status == NOT_FOUND)
        return control_unknown_chapter(request, ARGUMENT(request, chapter)->code);
    return control_error(request, status,
                         request->node->is_hq ? "chapterctl chapters list"
                                              : "ask HQ's operator to run it there",
                         "%s", error != NULL ? error : status_text(status));
}

/* The chapter as it is from now on. */
static void answer(struct control_wait *request, struct mp_writer *writer, const char *code)
{
    mp_write_map(writer, 1);
    mp_write_text(writer, "chapter");
    control_write_chapter(writer, &roster_find(request->node, code)->entry);
}

static enum status change(struct control_wait *request, struct mp_writer *writer,
                          enum chapter_state state)
{
    static const char *const events[] = { "resumed", "suspended", "revoked" };
    const char *code = ARGUMENT(request, chapter)->code;
    const char *error = NULL;
    enum status status;

    if (request->node->is_hq && (status = control_may_write(request)) != OK)
        return status;
    if ((status = standing_change(request->node, code, state, &error)) != OK)
        return refuse(request, status, error);
    log_event(LOG_NOTICE, "event=%s chapter=%s uid=%lld", events[state], code,
              (long long)request->uid);
    answer(request, writer, code);
    return OK;
}

enum status control_chapters_suspend(struct control_wait *request, struct mp_writer *writer)
{
    return change(request, writer, CHAPTER_SUSPENDED);
}

enum status control_chapters_resume(struct control_wait *request, struct mp_writer *writer)
{
    return change(request, writer, CHAPTER_ENROLLED);
}

enum status control_chapters_revoke(struct control_wait *request, struct mp_writer *writer)
{
    return change(request, writer, CHAPTER_REVOKED);
}

enum status control_chapters_edit(struct control_wait *request, struct mp_writer *writer)
{
    const struct argument *name = ARGUMENT(request, name);
    const struct argument *country = ARGUMENT(request, country);
    const char *code = ARGUMENT(request, chapter)->code;
    struct standing_edit edit = {
        .has_records_max = ARGUMENT(request, records_max)->given,
        .records_max = ARGUMENT(request, records_max)->number,
        .has_bytes_max = ARGUMENT(request, bytes_max)->given,
        .bytes_max = ARGUMENT(request, bytes_max)->number,
    };
    const char *error = NULL;
    char new_name[NAME_SIZE_MAX];
    char new_country[3];
    enum status status;

    if (!name->given && !country->given && !edit.has_records_max && !edit.has_bytes_max)
        return control_error(request, USAGE, "chapterctl help chapters",
                             "nothing to change was given");
    if ((name->given && !slice_copy_text(name->text, new_name, sizeof new_name)) ||
        (country->given && !slice_copy_text(country->text, new_country, sizeof new_country)))
        return control_error(request, USAGE, "shorten the name; a country has two letters",
                             "the chapter's name or country is too long");
    edit.name = name->given ? new_name : NULL;
    edit.country = country->given ? new_country : NULL;
    if (request->node->is_hq && (status = control_may_write(request)) != OK)
        return status;
    if ((status = standing_edit(request->node, code, &edit, &error)) != OK)
        return refuse(request, status, error);
    log_event(LOG_NOTICE, "event=chapter_edited chapter=%s uid=%lld", code,
              (long long)request->uid);
    answer(request, writer, code);
    return OK;
}
