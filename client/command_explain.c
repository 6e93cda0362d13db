/* SPDX-License-Identifier: MPL-2.0 */
/* command_explain.c - explain CHAPTER: why its feed is as it is here, and what to do next. */
#include <stdlib.h>
#include <string.h>

#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/table.h"
#include "client/terminal.h"

#define LINES_AROUND 10 /* of explain, besides its paths */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct table_column path_columns[] = {
    { "HEARD FROM", "chapter", "a node over which word of the chapter comes here", 0, 0 },
    { "LINK", "link", "direct: the chapter's own node; dialled from here, or dialling here", 0,
      0 },
    { "STATE", "state", "up; silent (it should have spoken); connecting; denied; down", 0, 0 },
    { "FOR", "since_seconds", "how long the link has been so", COLUMN_RIGHT, 5 },
    { "SEEN", "last_seen_seconds", "how long ago it said anything", COLUMN_RIGHT, 6 },
    { "HAS", "seq", "the newest change of the chapter that it says it has", COLUMN_RIGHT, 8 },
    { "NEWS", "news", "the newest word of the chapter came from it", 0, 9 },
    { "ADDRESS", "address", "where it is dialled, or whence it dials", 0, 7 }
};

static const struct table_column csv_columns[] = {
    { "", "chapter", NULL, 0, 0 },       { "", "state", NULL, 0, 0 },
    { "", "cause", NULL, 0, 0 },         { "", "epoch", NULL, 0, 0 },
    { "", "seq", NULL, 0, 0 },           { "", "time", NULL, 0, 0 },
    { "", "heard_seconds", NULL, 0, 0 }, { "", "text", NULL, 0, 0 },
    { "", "remedy", NULL, 0, 0 }
};

static const struct {
    const char *word;
    const char *meaning;
} causes[] = {
#define CAUSE_ROW(name, word, meaning) { word, meaning },
    CAUSE_TABLE(CAUSE_ROW)
#undef CAUSE_ROW
};

static const char *link_name(const json_t *path)
{
    const bool direct = json_is_true(json_object_get(path, "direct"));

    if (strcmp(json_text(path, "state"), "down") == 0)
        return direct ? "direct, was here" : "was here";
    if (json_is_true(json_object_get(path, "dialled")))
        return direct ? "direct, dialled" : "dialled";
    return direct ? "direct, dials us" : "dials us";
}

static enum cell_color path_color(const char *state)
{
    return strcmp(state, "up") == 0                                     ? CELL_GOOD
           : strcmp(state, "denied") == 0 || strcmp(state, "down") == 0 ? CELL_BAD
                                                                        : CELL_WARNING;
}

static void add_path(struct table *table, const json_t *path)
{
    char span[SPAN_TEXT_SIZE];

    table_row_of(table, path);
    table_cell(table, "link", link_name(path));
    table_color(table, "state", path_color(json_text(path, "state")));
    if (json_is_integer(json_object_get(path, "since_seconds"))) {
        format_span(json_count(path, "since_seconds"), span);
        table_cell(table, "since_seconds", span);
    }
    if (json_is_integer(json_object_get(path, "last_seen_seconds"))) {
        format_span(json_count(path, "last_seen_seconds"), span);
        table_cell(table, "last_seen_seconds", span);
    }
    if (json_is_true(json_object_get(path, "newest")))
        table_cell(table, "news", "newest");
}

/* On a screen that is too small for all, those are only counted. */
static bool is_calm(const json_t *path)
{
    return strcmp(json_text(path, "state"), "up") == 0 &&
           !json_is_true(json_object_get(path, "direct")) &&
           !json_is_true(json_object_get(path, "newest"));
}

static enum exit_code print_paths(const struct options *options, const json_t *paths)
{
    CLEANUP(table_free)
    struct table *table = table_new(options, path_columns, COUNT_OF(path_columns));
    const size_t height = terminal_height();
    const bool brief =
        !options->verbose && height != 0 && json_array_size(paths) + LINES_AROUND > height;
    size_t unlisted = 0;
    enum exit_code code;

    if (json_array_size(paths) == 0) {
        puts("no link, neither to it nor to a node that could pass on its word");
        return EXIT_OK;
    }
    for (size_t i = 0; i < json_array_size(paths); i++) {
        const json_t *path = json_array_get(paths, i);

        if (brief && is_calm(path))
            unlisted++;
        else
            add_path(table, path);
    }
    if ((code = table_print(table)) == EXIT_OK && options->verbose)
        table_explain(table);
    if (unlisted > 0)
        printf("%s%zu that are up are not listed: -v\n",
               unlisted == json_array_size(paths) ? "" : "and ", unlisted);
    return code;
}

static void print_head(const json_t *result)
{
    const json_t *head = json_object_get(result, "head");
    char age[SPAN_TEXT_SIZE];

    if (json_count(head, "seq") == 0) {
        puts("newest here: nothing");
        return;
    }
    if (json_is_true(json_object_get(result, "own"))) {
        print_line("newest change: %" JSON_INTEGER_FORMAT ", signed here",
                   json_count(head, "seq"));
        return;
    }
    if (!json_is_integer(json_object_get(result, "heard_seconds"))) {
        print_line("newest here: change %" JSON_INTEGER_FORMAT
                   "; not heard since this daemon's start",
                   json_count(head, "seq"));
        return;
    }
    format_span(json_count(result, "heard_seconds"), age);
    print_line("newest here: change %" JSON_INTEGER_FORMAT ", last heard %s ago (%s)",
               json_count(head, "seq"), age, json_text(head, "time"));
}

static void print_causes(void)
{
    puts("\ncauses:");
    for (size_t i = 0; i < COUNT_OF(causes); i++) {
        char first[32];

        (void)snprintf(first, sizeof first, "  %-12s ", causes[i].word);
        print_wrapped(first, causes[i].meaning);
    }
}

static enum exit_code print_explanation(const struct options *options, const json_t *result)
{
    const char *state = json_text(result, "state");
    char *remedy = remedy_here(options, json_text(result, "remedy"));
    const char *cause = json_text(result, "cause");
    const bool well = strcmp(cause, "none") == 0;
    enum exit_code code;

    print_line("%s, %s: %s%s%s%s", json_text(result, "chapter"), json_text(result, "name"),
               state, well ? "" : " (", well ? "" : cause, well ? "" : ")");
    print_head(result);
    fputc('\n', stdout);
    print_wrapped("why:  ", json_text(result, "text"));
    if (remedy != NULL && remedy[0] != '\0')
        print_wrapped("next: ", remedy);
    free(remedy);
    fputc('\n', stdout);
    code = print_paths(options, json_object_get(result, "path"));
    if (code == EXIT_OK && options->verbose)
        print_causes();
    return code;
}

/* One row; the paths are for people and JSON. */
static enum exit_code print_row(const struct options *options, json_t *result)
{
    json_t *rows = json_pack("[O]", result);
    enum exit_code code;

    (void)json_object_update_missing(result, json_object_get(result, "head"));
    code = print_objects(options, csv_columns, COUNT_OF(csv_columns), rows);
    json_decref(rows);
    return code;
}

enum exit_code command_explain(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *result = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 1, 1, &arguments) ||
        !arguments_code(options, arguments.words[0]))
        return EXIT_USAGE;
    (void)json_object_set_new(arguments.args, "chapter", json_string(arguments.words[0]));
    if ((code = session_request(session, "explain", arguments.args, &result)) != EXIT_OK)
        return code;
    if (options->form == OUTPUT_JSON)
        print_json(stdout, result);
    else if (options->form == OUTPUT_CSV)
        code = print_row(options, result);
    else
        code = print_explanation(options, result);
    json_decref(result);
    return code;
}
