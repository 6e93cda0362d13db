/* SPDX-License-Identifier: MPL-2.0 */
/* import.c - members out of a CSV file: options, the file, the passes over it.
 * Nothing is sent before every row has been read, matched and checked. */
#include "client/import.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/arguments.h"
#include "client/import_internal.h"
#include "client/import_pages.h"
#include "client/output.h"

enum exit_code import_no_memory(const struct import *import)
{
    report_error(import->options, "free memory, or import the file in parts", "out of memory");
    return EXIT_FAILED;
}

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

/* --- the file ----------------------------------------------------------------------------- */

static enum exit_code report_unreadable(const struct import *import, int error)
{
    const char *remedy = "check the disk that holds it";

    if (error == ENOENT || error == ENOTDIR)
        remedy = "check the name, and the directory that you are in";
    else if (error == EACCES || error == EPERM)
        remedy = "run this as a user who may read it, or allow it: chmod u+r FILE";
    report_error(import->options, remedy, "%s cannot be read: %s", import->path,
                 error == ENOENT ? "there is no such file" : strerror(error));
    return EXIT_FAILED;
}

static enum exit_code report_header(const struct import *import, enum status status,
                                    const char *reason, int error)
{
    static const char *const as_utf8 =
        "open it in a spreadsheet and save it as \"CSV UTF-8\", then import that file";

    switch (status) {
    case IO:
        return report_unreadable(import, error);
    case NO_MEMORY:
        return import_no_memory(import);
    case NOT_FOUND:
        report_error(import->options,
                     "export the list once more; its first line names the columns, one of them"
                     " name",
                     "%s is empty", import->path);
        return EXIT_FAILED;
    case UNSUPPORTED:
        report_error(import->options, as_utf8, "%s is UTF-16, which is not in this version",
                     import->path);
        return EXIT_FAILED;
    default:
        report_error(import->options, as_utf8, "the header of %s cannot be read: %s",
                     import->path, reason);
        return EXIT_FAILED;
    }
}

static enum exit_code report_columns(const struct import *import, const char *reason)
{
    report_error(
        import->options,
        "mend the first line: each column a name of its own; one is name, others may be"
        " id, external_id, kind, email, country, city, language, phone, joined, expires,"
        " status, notes",
        "the header of %s cannot be used: %s", import->path, reason);
    return EXIT_FAILED;
}

static enum exit_code open_file(struct import *import)
{
    char reason[CSV_REASON_SIZE] = "";
    char columns_reason[COLUMNS_REASON_SIZE] = "";
    enum status status;

    status = csv_input_open(import->path, &import->input);
    if (status == IO)
        return report_unreadable(import, errno);
    if (status != OK) {
        report_error(import->options,
                     "name a file; what comes through a pipe, save as one first", "%s is %s",
                     import->path,
                     S_ISDIR(import->input.state.st_mode) ? "a directory" : "no regular file");
        return EXIT_FAILED;
    }
    status = csv_reader_open(&import->input.source, import_canonical, import_canonical_count,
                             &import->reader, reason);
    if (status != OK)
        return report_header(import, status, reason, errno);
    status = import_columns_read(csv_reader_header(import->reader), &import->columns,
                                 columns_reason);
    if (status == OK)
        status = import_columns_find(&import->columns, columns_reason);
    if (status == NO_MEMORY)
        return import_no_memory(import);
    return status == OK ? EXIT_OK : report_columns(import, columns_reason);
}

/* --- the members -------------------------------------------------------------------------- */

static enum exit_code take_member(void *context, const json_t *member)
{
    struct import *import = context;
    const enum status status = members_add(&import->members, member);

    if (status == OK)
        return EXIT_OK;
    if (status == NO_MEMORY)
        return import_no_memory(import);
    report_error(import->options, "the chapterctl that came with this chapterd",
                 "a member that the daemon lists is %s", status_text(status));
    return EXIT_FAILED;
}

static enum exit_code load_members(struct import *import)
{
    char reason[COLUMNS_REASON_SIZE];
    char code[CODE_SIZE];
    enum exit_code exit_code;

    if ((exit_code = own_chapter(import->session, code)) != EXIT_OK)
        return exit_code;
    exit_code = own_members(import->session, code, "reading members", take_member, import);
    if (exit_code != EXIT_OK)
        return exit_code;
    members_keep_names(&import->members, &import->columns);
    if (import_columns_unique(&import->columns, reason) != OK)
        return report_columns(import, reason);
    return EXIT_OK;
}

/* --- passes ------------------------------------------------------------------------------- */

enum exit_code import_each_row(struct import *import, import_visit *visit, void *context)
{
    enum exit_code exit_code = EXIT_OK;
    const struct csv_row *row;
    enum status status;

    status = csv_reader_rewind(import->reader);
    while (status == OK && (status = csv_reader_next(import->reader, &row)) == OK) {
        if ((exit_code = visit(import, row, context)) != EXIT_OK)
            return exit_code;
    }
    if (status == IO)
        return report_unreadable(import, errno);
    if (status == NO_MEMORY)
        return import_no_memory(import);
    if (!csv_input_changed(&import->input))
        return EXIT_OK;
    report_error(import->options, "run the same command again",
                 "%s was changed while it was being read", import->path);
    return EXIT_FAILED;
}

static enum exit_code note_keys(struct import *import, const struct csv_row *row, void *context)
{
    struct row_keys keys;
    enum status status;

    (void)context;
    if (row->broken[0] != '\0')
        return EXIT_OK;
    status = row_keys_of(&import->columns, row, &keys);
    if (status == OK)
        status = file_keys_add(&import->keys, &keys, row->line);
    return status == NO_MEMORY ? import_no_memory(import) : EXIT_OK;
}

enum exit_code import_decide(struct import *import, const struct csv_row *row,
                             struct import_member **out_member)
{
    char reason[MATCH_REASON_SIZE] = "";
    struct import_member *member = NULL;
    enum match match = MATCH_NONE;
    bool known = false;
    struct row_keys keys;
    enum status status = OK;

    if (row->broken[0] == '\0') {
        status = row_keys_of(&import->columns, row, &keys);
        if (status == NO_MEMORY)
            return import_no_memory(import);
        if (status == OK)
            match = match_row(&import->members, &import->keys, &keys, row->line, &member,
                              reason, &known);
    }
    if (status != OK)
        plan_reject(&import->plan, "id is not a UUID");
    else if (match == MATCH_REJECT)
        plan_reject(&import->plan, reason);
    else {
        if (member != NULL)
            members_values(&import->members, member, &import->columns, import->values);
        plan_row(&import->columns, import->mode, row, member == NULL ? NULL : import->values,
                 &import->plan);
    }
    if (import->plan.action == PLAN_REJECT && member == NULL && !known)
        import->unknown_rejects++;
    *out_member = member;
    return EXIT_OK;
}

static enum exit_code plan_one(struct import *import, const struct csv_row *row, void *context)
{
    struct import_counts *const counts = &import->counts;
    struct import_member *member;
    enum exit_code exit_code;

    (void)context;
    if ((exit_code = import_decide(import, row, &member)) != EXIT_OK)
        return exit_code;
    counts->rows++;
    counts->added += import->plan.action == PLAN_ADD;
    counts->changed += import->plan.action == PLAN_CHANGE;
    counts->same += import->plan.action == PLAN_SAME;
    import_show_row(import, row, member);
    if (import->plan.action != PLAN_REJECT)
        return EXIT_OK;
    return import_reject(import, row, import->plan.reason);
}

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
                     "%llu of %zu active members are not in %s; more than 10 %% never lapse at"
                     " once by themselves, nothing was changed",
                     (unsigned long long)absent, import->members.active_count, import->path);
    else
        report_error(
            import->options,
            "mend the rejected rows in the file and import it again; or --force",
            "%llu rejected rows may mean members that would lapse, nothing was changed",
            (unsigned long long)import->unknown_rejects);
    return EXIT_FAILED;
}

static enum exit_code run_passes(struct import *import)
{
    enum exit_code exit_code;

    if ((exit_code = import_each_row(import, note_keys, NULL)) != EXIT_OK ||
        (exit_code = import_each_row(import, plan_one, NULL)) != EXIT_OK)
        return exit_code;
    for (size_t i = 0; i < import->members.count; i++)
        import->counts.absent +=
            import->members.list[i].active && import->members.list[i].line == 0;
    if ((exit_code = check_lapse(import)) == EXIT_OK && import->apply)
        exit_code = import_apply(import);
    return exit_code;
}

static enum exit_code run(struct import *import)
{
    enum exit_code exit_code;
    enum exit_code rejects_code;

    if ((exit_code = open_file(import)) != EXIT_OK ||
        (exit_code = load_members(import)) != EXIT_OK)
        return exit_code;
    import_show_columns(import);
    exit_code = run_passes(import);
    /* The rejects are there to be mended even if the daemon went away half-way. */
    rejects_code = import_rejects_finish(import);
    if (exit_code == EXIT_OK)
        exit_code = rejects_code;
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
    import->input.fd = -1;
    if (arguments_parse(import->options, argc, argv, rules, sizeof rules / sizeof rules[0], 1,
                        1, &arguments)) {
        import->path = arguments.words[0];
        if (take_options(import, arguments.args))
            exit_code = run(import);
        arguments_done(&arguments);
    }
    import_rejects_done(&import->rejects);
    csv_reader_close(&import->reader);
    csv_input_close(&import->input);
    members_done(&import->members);
    file_keys_done(&import->keys);
    free(import);
    return exit_code;
}
