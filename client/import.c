/* SPDX-License-Identifier: MPL-2.0 */
/* import.c - members out of a CSV file: options, and the order of the steps.
 * Nothing is sent before every row has been read, matched and checked. */
#include "client/import.h"

#include <stdlib.h>
#include <string.h>

#include "client/arguments.h"
#include "client/import_internal.h"
#include "client/interrupt.h"
#include "client/output.h"

/* --- options ------------------------------------------------------------------------------ */

static const struct argument_rule rules[] = {
    { "--apply", "apply", ARGUMENT_FLAG },   { "--force", "force", ARGUMENT_FLAG },
    { "-v", "verbose", ARGUMENT_FLAG },      { "--mode", "mode", ARGUMENT_TEXT },
    { "--absent", "absent", ARGUMENT_TEXT }, { "--map", "map", ARGUMENT_LATER },
    { "--dates", "dates", ARGUMENT_LATER },
};

/* The place of the option's value among words; the first if it is not given, -1 if it is
 * none. */
static int choose(const struct import *import, const json_t *args, const char *option,
                  const char *const *words, const char *list)
{
    const char *given = json_string_value(json_object_get(args, option));
    int at = 0;

    if (given == NULL)
        return 0;
    for (; words[at] != NULL; at++)
        if (strcmp(words[at], given) == 0)
            return at;
    report_error(import->options, "chapterctl help import", "--%s is one of %s, not \"%s\"",
                 option, list, given);
    return -1;
}

static bool take_options(struct import *import, const json_t *args)
{
    static const char *const modes[] = { "update", "fill", "skip", NULL };
    static const char *const absents[] = { "keep", "lapse", NULL };
    const int mode = choose(import, args, "mode", modes, "update, fill, skip");
    const int absent = mode < 0 ? -1 : choose(import, args, "absent", absents, "keep, lapse");

    if (absent < 0)
        return false;
    import->mode = (enum plan_mode)mode;
    import->lapse = absent == 1;
    import->apply = json_object_get(args, "apply") != NULL;
    import->force = json_object_get(args, "force") != NULL;
    import->verbose = import->options->verbose || json_object_get(args, "verbose") != NULL;
    return true;
}

/* --- the members -------------------------------------------------------------------------- */

static enum exit_code take_member(void *context, struct slice member)
{
    struct import *import = context;
    struct member_texts texts;
    uint64_t number = 0;
    enum status status = members_add(&import->members, member, &texts, &number);

    if (status == INVALID || status == TOO_LARGE)
        return pages_malformed(import->session);
    if (status == OK)
        status = match_add_member(&import->match, &texts, number);
    if (status != OK)
        return import_spool_failed(import, status);
    import_columns_keep(&import->columns, member);
    return EXIT_OK;
}

static enum exit_code load_members(struct import *import)
{
    char reason[COLUMNS_REASON_SIZE];
    struct own_chapter own;
    enum exit_code exit_code;

    if ((exit_code = own_chapter(import->session, &own)) != EXIT_OK)
        return exit_code;
    exit_code = own_members(import->session, &own, "reading members", take_member, import);
    if (exit_code != EXIT_OK)
        return exit_code;
    if (import_columns_finish(&import->columns, reason) != OK)
        return import_report_columns(import, reason);
    import->erased_unknown = own.erased_unknown;
    return EXIT_OK;
}

/* --- the steps ---------------------------------------------------------------------------- */

/* Whether those that the file lacks may lapse: a broken file must not end memberships. */
static enum exit_code check_lapse(struct import *import)
{
    const uint64_t absent = import->counts.absent;
    const bool many = absent * 100 > import->members.active_count * LAPSE_PERCENT_MAX;
    const bool unsure = absent > 0 && import->unknown_rejects > 0;

    if (!import->lapse || import->force || (!many && !unsure))
        return EXIT_OK;
    if (!import->apply) {
        notice(import->options, "--apply will be refused without --force: %s",
               many ? "more than 10 % of the active members would lapse"
                    : "rejected rows may mean members that would lapse");
        return EXIT_OK;
    }
    if (many)
        report_error(import->options,
                     "look at the file; if it is right, the same command with --force",
                     "%llu of %llu active members are not in %s; more than 10 %% never lapse at"
                     " once by themselves, nothing was changed",
                     (unsigned long long)absent,
                     (unsigned long long)import->members.active_count, import->path);
    else
        report_error(
            import->options,
            "mend the rejected rows in the file and import it again; or --force",
            "%llu rejected rows may mean members that would lapse, nothing was changed",
            (unsigned long long)import->unknown_rejects);
    return EXIT_FAILED;
}

static enum exit_code run_steps(struct import *import)
{
    enum exit_code exit_code;

    if (match_init(&import->match, SORTER_MEMORY) != OK)
        return import_no_memory(import);
    if ((exit_code = import_open_file(import)) != EXIT_OK ||
        (exit_code = load_members(import)) != EXIT_OK)
        return exit_code;
    import_show_columns(import);
    if ((exit_code = import_show_followed(import)) != EXIT_OK ||
        (exit_code = import_match_all(import)) != EXIT_OK ||
        (exit_code = import_check_all(import)) != EXIT_OK)
        return exit_code;
    import->checked = true;
    import_show_erased_unknown(import);
    if ((exit_code = check_lapse(import)) != EXIT_OK || !import->apply)
        return exit_code;
    match_done(&import->match);
    members_done(&import->members);
    return import_apply(import);
}

static enum exit_code run(struct import *import)
{
    enum exit_code exit_code = run_steps(import);

    if (!import->checked && interrupted())
        report_error(import->options, "the same command again",
                     "interrupted: nothing was changed");
    /* The rejects are there to be mended even if the daemon went away half-way. */
    if (import->checked) {
        const enum exit_code rejects_code = import_rejects_finish(import);

        if (exit_code == EXIT_OK)
            exit_code = rejects_code;
    }
    if (exit_code != EXIT_OK)
        return exit_code;
    import_show_result(import);
    return import->counts.rejected > 0 ? EXIT_DIFFERENCES : EXIT_OK;
}

enum exit_code command_import(struct session *session, int argc, char **argv)
{
    struct import *import = calloc(1, sizeof *import);
    enum exit_code exit_code = EXIT_USAGE;
    struct arguments arguments;

    if (import == NULL)
        return import_no_memory(&(struct import){ .options = session_options(session) });
    import->session = session;
    import->options = session_options(session);
    import->input = CSV_INPUT_NONE;
    if (arguments_parse(import->options, argc, argv, rules, sizeof rules / sizeof rules[0], 1,
                        1, &arguments)) {
        import->path = arguments.words[0];
        if (take_options(import, arguments.args)) {
            interrupt_catch();
            exit_code = run(import);
            interrupt_release();
        }
        arguments_done(&arguments);
    }
    import_rejects_done(&import->rejects);
    csv_reader_close(&import->reader);
    csv_input_close(&import->input);
    match_done(&import->match);
    members_done(&import->members);
    requests_done(&import->requests);
    free(import);
    return exit_code;
}
