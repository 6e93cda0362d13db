/* SPDX-License-Identifier: MPL-2.0 */
/* command_backup.c - backup and compact: the daemon writes, which may take long. */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/table.h"

#define SECONDS_EXTRA 3600

/* The daemon stands in another directory. */
static bool absolute(const char *file, char out_path[2 * PATH_MAX])
{
    char here[PATH_MAX];

    if (file[0] == '/')
        return snprintf(out_path, 2 * PATH_MAX, "%s", file) < 2 * PATH_MAX;
    return getcwd(here, sizeof here) != NULL &&
           snprintf(out_path, 2 * PATH_MAX, "%s/%s", here, file) < 2 * PATH_MAX;
}

static enum exit_code ask(struct session *session, const char *command,
                          struct arguments *arguments, json_t **out_result)
{
    const struct options *options = session_options(session);
    static const char *const order[] = { "after", "before", "bytes", "file", NULL };
    enum exit_code code;

    session_extend_timeout(session, SECONDS_EXTRA);
    if ((code = session_request(session, command, arguments->args, out_result)) != EXIT_OK)
        return code;
    if (options->form == OUTPUT_JSON)
        print_json(stdout, *out_result);
    else if (options->form == OUTPUT_CSV)
        code = print_object(options, order, *out_result);
    return code;
}

enum exit_code command_backup(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    char path[2 * PATH_MAX];
    json_t *result = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 1, 1, &arguments))
        return EXIT_USAGE;
    if (!absolute(arguments.words[0], path)) {
        report_error(options, "give the whole path, from /", "that path is too long");
        return EXIT_USAGE;
    }
    (void)json_object_set_new(arguments.args, "file", json_string(path));
    code = ask(session, "backup", &arguments, &result);
    if (code == EXIT_OK && options->form == OUTPUT_TEXT) {
        print_line("%s: %" JSON_INTEGER_FORMAT " bytes", arguments.words[0],
                   json_count(result, "bytes"));
        notice(options, "it holds this node's secret keys: keep it where nobody else can read"
                        " it; back: chapterd restore FILE --dir DIR");
    }
    json_decref(result);
    return code;
}

enum exit_code command_compact(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *result = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 0, 0, &arguments))
        return EXIT_USAGE;
    code = ask(session, "compact", &arguments, &result);
    if (code == EXIT_OK && options->form == OUTPUT_TEXT)
        print_line("compacted: %" JSON_INTEGER_FORMAT " bytes before, %" JSON_INTEGER_FORMAT
                   " now",
                   json_count(result, "before"), json_count(result, "after"));
    json_decref(result);
    return code;
}
