/* SPDX-License-Identifier: MPL-2.0 */
/* command_members.c - members list, show, add, edit, remove and lapse.
 * Lists come page by page and, as JSON, leave page by page. */
#include <limits.h>
#include <string.h>

#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/table.h"
#include "proto/record.h"

#define LIST_ROWS_DEFAULT 100
#define LAPSE_SECONDS_EXTRA 60
#define KEPT_HERE "it is kept at this chapter alone"

/* A name may be written from right to left: what follows it begins with a letter, so that a
 * terminal that turns text around leaves the columns where they are. */
static const struct table_column member_columns[] = {
    { "ID", "id", NULL, 0, 0 },           { "NAME", "name", NULL, COLUMN_SHRINKS, 0 },
    { "CHAPTER", "chapter", NULL, 0, 5 }, { "STATUS", "status", NULL, 0, 4 },
    { "CC", "country", NULL, 0, 6 },      { "KIND", "kind", NULL, 0, 8 },
    { "JOINED", "joined", NULL, 0, 10 },  { "EXPIRES", "expires", NULL, 0, 9 },
    { "EMAIL", "email", NULL, 0, 7 }
};

static const char *const member_order[] = { "id",      "chapter",  "kind",    "status",
                                            "name",    "email",    "country", "city",
                                            "phone",   "language", "joined",  "expires",
                                            "updated", "seq",      NULL };

/* --- list ------------------------------------------------------------------------------ */

/* Asks for one page; *cursor is the next one's, NULL at the end. */
static enum exit_code ask_page(struct session *session, json_t *args, json_int_t left,
                               json_t **out_members, bool *out_more)
{
    const json_int_t limit = left < CONTROL_PAGE_ROWS_MAX ? left : CONTROL_PAGE_ROWS_MAX;
    json_t *result = NULL;
    json_t *cursor;
    enum exit_code code;

    (void)json_object_set_new(args, "limit", json_integer(limit));
    if ((code = session_request(session, "members.list", args, &result)) != EXIT_OK)
        return code;
    *out_members = json_incref(json_object_get(result, "members"));
    cursor = json_object_get(result, "cursor");
    *out_more = cursor != NULL && !json_is_null(cursor);
    if (*out_more)
        (void)json_object_set(args, "cursor", cursor);
    json_decref(result);
    return EXIT_OK;
}

static void print_members_json(const json_t *members, size_t count, bool *first)
{
    for (size_t i = 0; i < count; i++) {
        if (!*first)
            fputc(',', stdout);
        *first = false;
        print_json(stdout, json_array_get(members, i));
    }
}

/* Up to limit members into the table or, as they come, onto stdout. */
static enum exit_code list_pages(struct session *session, json_t *args, json_int_t limit,
                                 struct table *table, bool *out_more)
{
    const bool json = session_options(session)->form == OUTPUT_JSON;
    json_int_t left = limit;
    bool first = true;
    bool more = true;

    while (more) {
        json_t *members = NULL;
        /* one more than is shown tells whether there is more */
        const enum exit_code code =
            ask_page(session, args, left == LLONG_MAX ? left : left + 1, &members, &more);
        size_t count = json_array_size(members);

        if (code != EXIT_OK)
            return code;
        if ((json_int_t)count > left) {
            count = (size_t)left;
            more = false;
            *out_more = true;
        }
        left -= (json_int_t)count;
        if (json)
            print_members_json(members, count, &first);
        for (size_t i = 0; !json && i < count; i++)
            table_row_of(table, json_array_get(members, i));
        json_decref(members);
    }
    return EXIT_OK;
}

enum exit_code command_members_list(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = {
        { "--chapter", "chapter", ARGUMENT_CODE }, { "--country", "country", ARGUMENT_TEXT },
        { "--kind", "kind", ARGUMENT_TEXT },       { "--status", "status", ARGUMENT_TEXT },
        { "--search", "search", ARGUMENT_TEXT },   { "--limit", "limit", ARGUMENT_COUNT }
    };
    const struct options *options = session_options(session);
    const bool json = options->form == OUTPUT_JSON;
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    CLEANUP(table_free) struct table *table = NULL;
    json_int_t limit = json ? LLONG_MAX : LIST_ROWS_DEFAULT;
    bool limited;
    bool more = false;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, rules, sizeof rules / sizeof rules[0], 0, 0,
                         &arguments))
        return EXIT_USAGE;
    limited = json_object_get(arguments.args, "limit") != NULL;
    if (limited)
        limit = json_count(arguments.args, "limit");
    if (json)
        fputc('[', stdout);
    else
        table = table_new(options, member_columns,
                          sizeof member_columns / sizeof member_columns[0]);
    code = list_pages(session, arguments.args, limit, table, &more);
    if (code != EXIT_OK)
        return code;
    if (json)
        fputs("]\n", stdout);
    else
        code = table_print(table);
    if (more && !limited)
        notice(options, "the first %d members; --limit N shows more, --json all of them",
               LIST_ROWS_DEFAULT);
    return code;
}

/* --- one member ------------------------------------------------------------------------ */

static enum exit_code get_member(struct session *session, const char *id, json_t **out_member)
{
    json_t *args = json_pack("{s:s}", "id", id);
    json_t *result = NULL;
    const enum exit_code code = session_request(session, "members.get", args, &result);

    if (code == EXIT_OK)
        *out_member = json_incref(json_object_get(result, "member"));
    json_decref(result);
    json_decref(args);
    return code;
}

enum exit_code command_members_show(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *member = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 1, 1, &arguments) ||
        !arguments_id(options, arguments.words[0]))
        return EXIT_USAGE;
    if ((code = get_member(session, arguments.words[0], &member)) != EXIT_OK)
        return code;
    if (options->form == OUTPUT_JSON)
        print_json(stdout, member);
    else
        code = print_object(options, member_order, member);
    json_decref(member);
    return code;
}

static const struct argument_rule confirm_rule[] = { { "--confirm", "confirm",
                                                       ARGUMENT_FLAG } };

/* Sends one operation, which is taken, and prints its result: done says what was done.  args
 * are the request's others. */
static enum exit_code apply_one(struct session *session, json_t *args, json_t *operation,
                                const char *done)
{
    const struct options *options = session_options(session);
    json_t *result = NULL;
    const json_t *line;
    enum exit_code code;

    (void)json_object_set_new(args, "ops", json_pack("[o]", operation));
    code = session_request(session, "members.apply", args, &result);
    if (code != EXIT_OK)
        return code;
    line = json_array_get(json_object_get(result, "results"), 0);
    if (!json_is_true(json_object_get(line, "ok"))) {
        const char *error = json_text(line, "error");

        report_error(options, "chapterctl help members", "nothing was changed: %s",
                     error[0] == '\0' ? "the daemon refused it" : error);
        code = EXIT_FAILED;
    } else if (options->form == OUTPUT_JSON)
        print_json(stdout, line);
    else if (options->quiet)
        print_line("%s", json_text(line, "id"));
    else
        print_line("%s %s", done, json_text(line, "id"));
    json_decref(result);
    return code;
}

static void drop_nulls(json_t *fields)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(fields, next, key, value) if (json_is_null(value))(void)
        json_object_del(fields, key);
}

enum exit_code command_members_add(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = { { "--again", "again", ARGUMENT_FLAG } };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *fields;
    json_t *operation;
    const char *id;

    if (!arguments_parse(options, argc, argv, rules, 1, 1, INT_MAX, &arguments))
        return EXIT_USAGE;
    operation = json_pack("{s:s, s:{}}", "op", "put", "fields");
    fields = json_object_get(operation, "fields");
    if (json_is_true(json_object_get(arguments.args, "again"))) {
        (void)json_object_set_new(operation, "again", json_true()); /* of the change itself */
        (void)json_object_del(arguments.args, "again");
    }
    if (!arguments_fields(options, arguments.word_count, arguments.words, fields)) {
        json_decref(operation);
        return EXIT_USAGE;
    }
    drop_nulls(fields);
    if ((id = json_string_value(json_object_get(fields, "id"))) != NULL) {
        if (!arguments_id(options, id)) {
            json_decref(operation);
            return EXIT_USAGE;
        }
        (void)json_object_set(operation, "id", json_object_get(fields, "id"));
        (void)json_object_del(fields, "id");
    }
    arguments_warn_unknown(options, fields, KEPT_HERE);
    return apply_one(session, arguments.args, operation, "added");
}

enum exit_code command_members_edit(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *operation;
    json_t *member = NULL;
    const char *id;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 2, INT_MAX, &arguments) ||
        !arguments_id(options, arguments.words[0]))
        return EXIT_USAGE;
    id = arguments.words[0];
    operation = json_pack("{s:s, s:s, s:{}}", "op", "put", "id", id, "fields");
    if (!arguments_fields(options, arguments.word_count - 1, arguments.words + 1,
                          json_object_get(operation, "fields"))) {
        json_decref(operation);
        return EXIT_USAGE;
    }
    /* A put makes an id that is not there; an edit of a mistyped one must not. */
    if ((code = get_member(session, id, &member)) != EXIT_OK) {
        json_decref(operation);
        return code;
    }
    json_decref(member);
    arguments_warn_unknown(options, json_object_get(operation, "fields"), KEPT_HERE);
    return apply_one(session, arguments.args, operation, "changed");
}

enum exit_code command_members_remove(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };

    if (!arguments_parse(options, argc, argv, confirm_rule, 1, 1, 1, &arguments) ||
        !arguments_id(options, arguments.words[0]))
        return EXIT_USAGE;
    return apply_one(session, arguments.args,
                     json_pack("{s:s, s:s}", "op", "remove", "id", arguments.words[0]),
                     "removed");
}

enum exit_code command_members_lapse(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *result = NULL;
    json_int_t due;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, confirm_rule, 1, 0, 0, &arguments))
        return EXIT_USAGE;
    session_extend_timeout(session, LAPSE_SECONDS_EXTRA);
    code = session_request(session, "members.lapse", arguments.args, &result);
    if (code != EXIT_OK)
        return code;
    due = json_count(result, "due");
    if (options->form == OUTPUT_JSON)
        print_json(stdout, result);
    else {
        print_line("%" JSON_INTEGER_FORMAT
                   " members are past their expiry, %" JSON_INTEGER_FORMAT
                   " were set to lapsed",
                   due, json_count(result, "lapsed"));
        if (due > json_count(result, "lapsed"))
            notice(options, "to set all of them: %s members lapse --confirm", options->program);
    }
    json_decref(result);
    return EXIT_OK;
}
