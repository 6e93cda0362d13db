/* SPDX-License-Identifier: MPL-2.0 */
/* command_erase.c - members erase, which is done when every node has said so. */
#include <time.h>

#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"

#define POLL_MS 250

static void print_codes(const json_t *report, const char *key, const char *lead)
{
    const json_t *codes = json_object_get(report, key);
    char text[1024] = "";
    size_t used = 0;

    for (size_t i = 0; i < json_array_size(codes) && used + 32 < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "" : " ",
                                 json_string_value(json_array_get(codes, i)));
    if (json_array_size(codes) != 0)
        print_line("  %-14s %s%s", lead, text, used + 32 < sizeof text ? "" : " ...");
}

static void print_report(const struct options *options, const json_t *report, const char *id)
{
    const bool done = json_is_true(json_object_get(report, "done"));

    print_line("%s %s", done ? "erased everywhere:" : "erased here:", id);
    print_codes(report, "confirmed", "confirmed");
    print_codes(report, "missing", "not yet");
    print_codes(report, "shut_out", "shut out");
    if (!done)
        print_line("  %-14s %s", "waits", json_text(report, "waits_for"));
    if (!done)
        notice(options, "to see how far it is: %s members erase %s --wait 60", options->program,
               id);
    if (json_array_size(json_object_get(report, "shut_out")) != 0)
        notice(options, "chapters that were shut out may still hold it: ask them");
    if (done)
        notice(options, "backups and exported files are yours to clear");
}

static void pause_ms(long ms)
{
    const struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };

    (void)nanosleep(&pause, NULL);
}

enum exit_code command_members_erase(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = { { "--wait", "wait", ARGUMENT_MILLISECONDS } };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *report = NULL;
    json_int_t left;
    bool done = false;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, rules, 1, 1, 1, &arguments) ||
        !arguments_id(options, arguments.words[0]))
        return EXIT_USAGE;
    left = json_count(arguments.args, "wait");
    (void)json_object_del(arguments.args, "wait");
    (void)json_object_set_new(arguments.args, "id", json_string(arguments.words[0]));
    for (;; left -= POLL_MS) {
        json_decref(report);
        report = NULL;
        code = session_request(session, "members.erase", arguments.args, &report);
        if (code != EXIT_OK)
            return code;
        done = json_is_true(json_object_get(report, "done"));
        if (done || left <= 0)
            break;
        pause_ms(POLL_MS);
    }
    if (options->form == OUTPUT_JSON)
        print_json(stdout, report);
    else
        print_report(options, report, arguments.words[0]);
    json_decref(report);
    return done ? EXIT_OK : EXIT_DIFFERENCES;
}
