/* SPDX-License-Identifier: MPL-2.0 */
/* command_about.c - config show and version: how the daemon is set up, and what it is built of.
 * One answer tells both programs' versions. */
#include "chapterd/version.h"
#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/table.h"

enum exit_code command_config_show(struct session *session, int argc, char **argv)
{
    static const char *const order[] = { NULL };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    const json_t *settings;
    json_t *result = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 0, 0, &arguments))
        return EXIT_USAGE;
    if ((code = session_request(session, "config", arguments.args, &result)) != EXIT_OK)
        return code;
    settings = json_object_get(result, "settings");
    if (options->form == OUTPUT_JSON)
        print_json(stdout, settings);
    else
        code = print_object(options, order, settings);
    json_decref(result);
    return code;
}

enum exit_code command_version(struct session *session, int argc, char **argv)
{
    static const char *const order[] = { "chapterctl", "version", "protocol", "store_format",
                                         NULL };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *result = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 0, 0, &arguments))
        return EXIT_USAGE;
    code = session_request(session, "version", arguments.args, &result);
    if (code != EXIT_OK) {
        notice(options, "chapterctl %s itself", CHAPTERD_VERSION);
        return code;
    }
    (void)json_object_set_new(result, "chapterctl", json_string(CHAPTERD_VERSION));
    if (options->form == OUTPUT_JSON)
        print_json(stdout, result);
    else
        code = print_object(options, order, result);
    json_decref(result);
    return code;
}
