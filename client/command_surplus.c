/* SPDX-License-Identifier: MPL-2.0 */
/* command_surplus.c - what a former state of this chapter has, after a recovery: adopted, or
 * left as it is here. */
#include <string.h>

#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/table.h"

static const struct table_column columns[] = { { "ID", "id", NULL, 0, 0 },
                                               { "NAME", "name", NULL, COLUMN_SHRINKS, 0 },
                                               { "THERE", "op", NULL, 0, 0 },
                                               { "HERE", "here", NULL, 0, 0 },
                                               { "EPOCH", "epoch", NULL, COLUMN_RIGHT, 5 },
                                               { "CHANGE", "seq", NULL, COLUMN_RIGHT, 5 } };

enum exit_code command_surplus_list(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    const json_t *items;
    json_t *result = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 0, 0, &arguments))
        return EXIT_USAGE;
    if ((code = session_request(session, "surplus.list", arguments.args, &result)) != EXIT_OK)
        return code;
    items = json_object_get(result, "surplus");
    if (options->form == OUTPUT_JSON)
        print_json(stdout, items);
    else
        code = print_objects(options, columns, sizeof columns / sizeof columns[0], items);
    if (json_array_size(items) == 0)
        notice(options, "nothing waits for your decision");
    if (json_is_true(json_object_get(result, "more")))
        notice(options, "there are more: decide about these first");
    json_decref(result);
    return code;
}

static enum exit_code decide(struct session *session, int argc, char **argv,
                             const char *command, const char *done)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *result = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 1, 1, &arguments))
        return EXIT_USAGE;
    if (strcmp(arguments.words[0], "all") != 0) {
        if (!arguments_id(options, arguments.words[0]))
            return EXIT_USAGE;
        (void)json_object_set_new(arguments.args, "id", json_string(arguments.words[0]));
    }
    if ((code = session_request(session, command, arguments.args, &result)) != EXIT_OK)
        return code;
    if (options->form == OUTPUT_JSON)
        print_json(stdout, result);
    else
        print_line("%s: %" JSON_INTEGER_FORMAT ", left: %" JSON_INTEGER_FORMAT, done,
                   json_count(result, "done"), json_count(result, "left"));
    json_decref(result);
    return code;
}

enum exit_code command_surplus_adopt(struct session *session, int argc, char **argv)
{
    return decide(session, argc, argv, "surplus.adopt", "adopted");
}

enum exit_code command_surplus_discard(struct session *session, int argc, char **argv)
{
    return decide(session, argc, argv, "surplus.discard", "discarded");
}
