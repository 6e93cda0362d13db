/* SPDX-License-Identifier: MPL-2.0 */
/* import_pages.c - members.list until there is no cursor any more.
 * A page is released before the next is asked for. */
#include "client/import_pages.h"

#include "client/progress.h"
#include "proto/record.h"

static enum exit_code malformed(struct session *session)
{
    report_error(session_options(session), "the chapterctl that came with this chapterd",
                 "the daemon's answer is not what this version expects");
    return EXIT_FAILED;
}

enum exit_code own_chapter(struct session *session, char out_code[CODE_SIZE])
{
    json_t *args = json_object();
    json_t *result = NULL;
    const char *code = NULL;
    enum exit_code exit_code;

    if ((exit_code = session_request(session, "status", args, &result)) == EXIT_OK) {
        code = json_string_value(json_object_get(json_object_get(result, "node"), "chapter"));
        if (code == NULL || !code_valid(slice_of_text(code)))
            exit_code = malformed(session);
        else
            (void)slice_copy_text(slice_of_text(code), out_code, CODE_SIZE);
    }
    json_decref(args);
    json_decref(result);
    return exit_code;
}

/* One page; *cursor is replaced, NULL after the last. */
static enum exit_code one_page(struct session *session, const char *code, json_t **cursor,
                               struct progress *progress, uint64_t *done, member_visit *visit,
                               void *context)
{
    json_t *result = NULL;
    json_t *member;
    json_t *args;
    enum exit_code exit_code;
    size_t at;

    args = json_pack("{s:s, s:i, s:b, s:O*}", "chapter", code, "limit", CONTROL_PAGE_ROWS_MAX,
                     "private", 1, "cursor", *cursor);
    exit_code = session_request(session, "members.list", args, &result);
    json_decref(args);
    json_decref(*cursor);
    *cursor = NULL;
    if (exit_code != EXIT_OK)
        return exit_code;
    if (!json_is_array(json_object_get(result, "members")))
        exit_code = malformed(session);
    json_array_foreach(json_object_get(result, "members"), at, member) if (exit_code == EXIT_OK)
        exit_code = visit(context, member);
    *done += json_array_size(json_object_get(result, "members"));
    progress_update(progress, *done);
    if (exit_code == EXIT_OK && json_is_string(json_object_get(result, "cursor")))
        *cursor = json_incref(json_object_get(result, "cursor"));
    json_decref(result);
    return exit_code;
}

enum exit_code own_members(struct session *session, const char *code, const char *label,
                           member_visit *visit, void *context)
{
    struct progress progress;
    enum exit_code exit_code;
    json_t *cursor = NULL;
    uint64_t done = 0;

    progress_begin(&progress, session_options(session), label, 0);
    do {
        exit_code = one_page(session, code, &cursor, &progress, &done, visit, context);
    } while (exit_code == EXIT_OK && cursor != NULL);
    progress_end(&progress);
    json_decref(cursor);
    return exit_code;
}
