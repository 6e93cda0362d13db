/* SPDX-License-Identifier: MPL-2.0 */
/* command_keys.c - the signing key of this node, and another in its place. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/table.h"

#define POLL_MS 200
#define POLLS_MAX 50 /* 10 s */

static const char *const key_order[] = { "sign_key", "next_key", "curve_key", "changes_of_hq",
                                         NULL };

static enum exit_code print_keys(const struct options *options, const json_t *keys)
{
    if (options->form == OUTPUT_JSON) {
        print_json(stdout, keys);
        return EXIT_OK;
    }
    return print_object(options, key_order, keys);
}

enum exit_code command_keys_show(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *keys = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 0, 0, &arguments))
        return EXIT_USAGE;
    if ((code = session_request(session, "keys.show", arguments.args, &keys)) == EXIT_OK)
        code = print_keys(options, keys);
    json_decref(keys);
    return code;
}

/* From standard input: it must not stand in a command line. */
static bool read_recovery(const struct options *options, json_t *args)
{
    char line[256];

    notice(options, "the recovery key, as it was printed when the federation was made:");
    if (fgets(line, sizeof line, stdin) == NULL) {
        report_error(options, "chapterctl keys rotate --recovery < FILE",
                     "no recovery key on standard input");
        return false;
    }
    line[strcspn(line, "\r\n")] = '\0';
    (void)json_object_set_new(args, "recovery", json_string(line));
    memset(line, 0, sizeof line);
    return true;
}

/* Until the new key is in force. */
static enum exit_code follow(struct session *session, json_t **keys)
{
    const struct timespec pause = { 0, POLL_MS * 1000000l };
    json_t *args = json_object();
    enum exit_code code = EXIT_OK;

    for (int i = 0;
         i < POLLS_MAX && code == EXIT_OK && !json_is_null(json_object_get(*keys, "next_key"));
         i++) {
        (void)nanosleep(&pause, NULL);
        json_decref(*keys);
        *keys = NULL;
        code = session_request(session, "keys.show", args, keys);
    }
    json_decref(args);
    return code;
}

enum exit_code command_keys_rotate(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = { { "--recovery", "recovery", ARGUMENT_FLAG } };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *keys = NULL;
    bool recovery;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, rules, 1, 0, 0, &arguments))
        return EXIT_USAGE;
    recovery = json_is_true(json_object_get(arguments.args, "recovery"));
    (void)json_object_del(arguments.args, "recovery");
    if (recovery && !read_recovery(options, arguments.args))
        return EXIT_USAGE;
    code = session_request(session, "keys.rotate", arguments.args, &keys);
    if (code == EXIT_OK)
        code = follow(session, &keys);
    if (code == EXIT_OK && !json_is_null(json_object_get(keys, "next_key"))) {
        notice(options, "the new key is made; it comes into force when HQ can be reached");
        code = EXIT_DIFFERENCES;
    }
    if (keys != NULL && code != EXIT_FAILED && code != EXIT_UNREACHABLE)
        (void)print_keys(options, keys);
    json_decref(keys);
    return code;
}
