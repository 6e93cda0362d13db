/* SPDX-License-Identifier: MPL-2.0 */
/* command_log.c - log: changes as they were applied, and with -f those that come.
 * A stream: each page leaves before the next is asked for. */
#include <stdlib.h>
#include <string.h>

#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/table.h"
#include "client/terminal.h"

#define FOLLOW_WAIT_MS 10000
#define FOLLOW_NEWEST 10
#define TIME_WIDTH 20 /* removals and entries of the roster have no time */

static void put_field(FILE *stream, const char *name, const json_t *value)
{
    char *text = format_value(value);
    const char *quote = text != NULL && strchr(text, ' ') != NULL ? "\"" : "";

    fprintf(stream, " %s=%s%s%s", name, quote, text == NULL ? "" : text, quote);
    free(text);
}

static void print_change(const json_t *change)
{
    char first[TIME_TEXT_SIZE + 2];
    char *line = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&line, &size);
    const char *name;
    json_t *value;

    if (stream == NULL)
        return;
    fprintf(stream, "%-8s %8" JSON_INTEGER_FORMAT "  %s %s %s", json_text(change, "chapter"),
            json_count(change, "seq"), json_text(change, "op"), json_text(change, "type"),
            json_text(change, "id"));
    json_object_foreach(json_object_get(change, "fields"), name, value)
        put_field(stream, name, value);
    (void)snprintf(first, sizeof first, "%-*s  ", TIME_WIDTH, json_text(change, "time"));
    if (fclose(stream) == 0)
        print_wrapped(first, line);
    free(line);
}

static void print_change_csv(const json_t *change)
{
    static const char *const columns[] = { "chapter", "epoch", "seq",  "op",
                                           "type",    "id",    "time", "fields" };

    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        char *text = format_value(json_object_get(change, columns[i]));

        if (i > 0)
            fputc(',', stdout);
        print_csv_field(stdout, text == NULL ? "" : text);
        free(text);
    }
    fputc('\n', stdout);
}

static void print_changes(const struct options *options, const json_t *changes)
{
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *change = json_array_get(changes, i);

        if (options->form == OUTPUT_JSON)
            print_json(stdout, change);
        else if (options->form == OUTPUT_CSV)
            print_change_csv(change);
        else
            print_change(change);
    }
    (void)fflush(stdout);
}

/* Page after page; ends where nothing is left, unless it follows. */
static enum exit_code stream(struct session *session, json_t *args, bool follow)
{
    const struct options *options = session_options(session);

    for (;;) {
        json_t *result = NULL;
        json_t *after;
        bool moved;
        const enum exit_code code = session_request(session, "log", args, &result);

        if (code != EXIT_OK)
            return code;
        print_changes(options, json_object_get(result, "changes"));
        after = json_object_get(result, "after");
        /* a page may be empty and yet have passed changes that were not asked for */
        moved = after != NULL && !json_equal(after, json_object_get(args, "after"));
        if (after != NULL)
            (void)json_object_set(args, "after", after);
        json_decref(result);
        if (ferror(stdout) != 0 || (!follow && !moved))
            return EXIT_OK;
        (void)json_object_del(args, "newest");
        (void)json_object_set_new(args, "limit", json_integer(CONTROL_PAGE_ROWS_MAX));
        if (follow)
            (void)json_object_set_new(args, "wait_ms", json_integer(FOLLOW_WAIT_MS));
    }
}

enum exit_code command_log(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = {
        { "--member", "member", ARGUMENT_TEXT }, { "--chapter", "chapter", ARGUMENT_CODE },
        { "--since", "since", ARGUMENT_TIME },   { "-n", "limit", ARGUMENT_COUNT },
        { "--limit", "limit", ARGUMENT_COUNT },  { "-f", "follow", ARGUMENT_FLAG },
        { "--follow", "follow", ARGUMENT_FLAG }
    };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    const char *member;
    json_t *args;
    bool follow;

    if (!arguments_parse(options, argc, argv, rules, sizeof rules / sizeof rules[0], 0, 0,
                         &arguments))
        return EXIT_USAGE;
    args = arguments.args;
    member = json_string_value(json_object_get(args, "member"));
    if (member != NULL && !arguments_id(options, member))
        return EXIT_USAGE;
    follow = json_object_get(args, "follow") != NULL;
    (void)json_object_del(args, "follow");
    if (follow && json_object_get(args, "limit") == NULL &&
        json_object_get(args, "since") == NULL)
        (void)json_object_set_new(args, "limit", json_integer(FOLLOW_NEWEST));
    if (json_object_get(args, "limit") != NULL)
        (void)json_object_set_new(args, "newest", json_true());
    if (options->form == OUTPUT_CSV)
        puts("chapter,epoch,seq,op,type,id,time,fields");
    if (follow)
        session_extend_timeout(session, FOLLOW_WAIT_MS / 1000.0);
    return stream(session, args, follow);
}
