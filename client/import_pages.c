/* SPDX-License-Identifier: MPL-2.0 */
/* import_pages.c - members.list until there is no cursor any more.
 * A page is released before the next is asked for. */
#include "client/import_pages.h"

#include <string.h>

#include "client/interrupt.h"
#include "client/output.h"
#include "client/progress.h"
#include "proto/record.h"

#define CURSOR_SIZE 64

enum exit_code pages_malformed(struct session *session)
{
    report_error(session_options(session), "the chapterctl that came with this chapterd",
                 "the daemon's answer is not what this version expects");
    return EXIT_FAILED;
}

static void take_feed(const json_t *status, struct own_chapter *own)
{
    const json_t *feed;
    size_t at;

    json_array_foreach(json_object_get(status, "feeds"), at, feed)
    {
        if (strcmp(json_text(feed, "chapter"), own->code) != 0)
            continue;
        own->members = (uint64_t)json_count(feed, "members");
        own->seq = (uint64_t)json_count(feed, "seq");
    }
}

enum exit_code own_chapter(struct session *session, struct own_chapter *out_own)
{
    struct own_chapter own = { 0 };
    json_t *args = json_object();
    json_t *result = NULL;
    enum exit_code exit_code;

    exit_code = session_request(session, "status", args, &result);
    json_decref(args);
    if (exit_code != EXIT_OK)
        return exit_code;
    const json_t *node = json_object_get(result, "node");
    const struct slice code = slice_of_text(json_text(node, "chapter"));

    own.erased_unknown = json_is_true(json_object_get(node, "erased_unknown"));
    if (code_valid(code) && slice_copy_text(code, own.code, sizeof own.code)) {
        take_feed(result, &own);
        *out_own = own;
    } else
        exit_code = pages_malformed(session);
    json_decref(result);
    return exit_code;
}

/* --- pages -------------------------------------------------------------------------------- */

struct walk {
    struct session *session;
    const char *code;
    char cursor[CURSOR_SIZE]; /* "" before the first page and after the last */
    struct progress progress;
    uint64_t done;
    member_visit *visit;
    void *context;
};

static enum exit_code ask(struct walk *walk)
{
    uint8_t buffer[CODE_SIZE + CURSOR_SIZE + 64];
    struct mp_writer writer;

    mp_writer_init(&writer, buffer, sizeof buffer);
    mp_write_map(&writer, walk->cursor[0] == '\0' ? 3 : 4);
    mp_write_key_text(&writer, "chapter", walk->code);
    if (walk->cursor[0] != '\0')
        mp_write_key_text(&writer, "cursor", walk->cursor);
    mp_write_key_uint(&writer, "limit", CONTROL_PAGE_ROWS_MAX);
    mp_write_key_bool(&writer, "private", true);
    ASSERT(writer.status == OK);
    return session_send_raw(walk->session, "members.list", mp_writer_bytes(&writer));
}

static enum exit_code visit_members(struct walk *walk, struct slice members)
{
    enum exit_code exit_code = EXIT_OK;
    struct mp_reader reader;
    size_t count;

    mp_reader_init(&reader, members);
    count = mp_read_array(&reader, SIZE_MAX);
    for (size_t i = 0; i < count && exit_code == EXIT_OK; i++)
        exit_code = walk->visit(walk->context, mp_read_raw(&reader, SIZE_MAX));
    if (exit_code == EXIT_OK && reader.status != OK)
        exit_code = pages_malformed(walk->session);
    walk->done += count;
    return exit_code;
}

static enum exit_code one_page(struct walk *walk)
{
    struct slice page = SLICE_NONE;
    struct slice cursor = SLICE_NONE;
    enum exit_code exit_code;

    if ((exit_code = ask(walk)) != EXIT_OK ||
        (exit_code = session_receive_raw(walk->session, &page)) != EXIT_OK)
        return exit_code;
    (void)mp_map_get_text(page, "cursor", &cursor);
    if (!slice_copy_text(cursor, walk->cursor, sizeof walk->cursor))
        return pages_malformed(walk->session);
    exit_code = visit_members(walk, mp_map_get(page, "members"));
    progress_update(&walk->progress, walk->done);
    return exit_code;
}

enum exit_code own_members(struct session *session, const struct own_chapter *own,
                           const char *label, member_visit *visit, void *context)
{
    struct walk walk = {
        .session = session, .code = own->code, .visit = visit, .context = context
    };
    enum exit_code exit_code;

    progress_begin(&walk.progress, session_options(session), label, own->members);
    do {
        exit_code = one_page(&walk);
    } while (exit_code == EXIT_OK && walk.cursor[0] != '\0' && !interrupted());
    progress_end(&walk.progress);
    return exit_code == EXIT_OK && interrupted() ? EXIT_FAILED : exit_code;
}
