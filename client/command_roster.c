/* SPDX-License-Identifier: MPL-2.0 */
/* command_roster.c - invite, and the roster: who belongs, with which keys and addresses.
 * The token is data on stdout alone, to be piped; what to do with it goes to stderr. */
#include <string.h>

#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/table.h"

static const struct table_column chapter_columns[] = {
    { "CHAPTER", "chapter", NULL, 0, 0 },
    { "NAME", "name", NULL, COLUMN_SHRINKS, 0 },
    { "STATE", "state", NULL, 0, 0 },
    { "CC", "country", NULL, 0, 5 },
    { "ADDRESS", "address", NULL, 0, 6 },
    { "EPOCH", "epoch", NULL, COLUMN_RIGHT, 7 },
    { "SIGN KEY", "sign_key", NULL, COLUMN_VERBOSE, 9 },
    { "CURVE KEY", "curve_key", NULL, COLUMN_VERBOSE, 8 }
};

/* The token alone goes to stdout. */
static enum exit_code ask_token(struct session *session, const char *command,
                                struct arguments *arguments)
{
    static const char *const order[] = { "chapter", "expires", "token", NULL };
    const struct options *options = session_options(session);
    json_t *result = NULL;
    enum exit_code code;

    (void)json_object_set_new(arguments->args, "chapter", json_string(arguments->words[0]));
    if ((code = session_request(session, command, arguments->args, &result)) != EXIT_OK)
        return code;
    if (options->form == OUTPUT_JSON)
        print_json(stdout, result);
    else if (options->form == OUTPUT_CSV)
        code = print_object(options, order, result);
    else {
        print_line("%s", json_text(result, "token"));
        notice(options, "for %s, once, until %s; there: chapterd join TOKEN --dir DIR",
               json_text(result, "chapter"), json_text(result, "expires"));
    }
    json_decref(result);
    return code;
}

enum exit_code command_invite(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = { { "--name", "name", ARGUMENT_TEXT },
                                                  { "--country", "country", ARGUMENT_TEXT },
                                                  { "--ttl", "ttl_s", ARGUMENT_SECONDS },
                                                  { "--records-max", "records_max",
                                                    ARGUMENT_COUNT },
                                                  { "--bytes-max", "bytes_max", ARGUMENT_SIZE },
                                                  { "--approve", "approve", ARGUMENT_FLAG } };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };

    if (!arguments_parse(options, argc, argv, rules, sizeof rules / sizeof rules[0], 1, 1,
                         &arguments) ||
        !arguments_code(options, arguments.words[0]))
        return EXIT_USAGE;
    return ask_token(session, "invite", &arguments);
}

enum exit_code command_chapters_rekey(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = { { "--ttl", "ttl_s", ARGUMENT_SECONDS },
                                                  { "--approve", "approve", ARGUMENT_FLAG } };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };

    if (!arguments_parse(options, argc, argv, rules, sizeof rules / sizeof rules[0], 1, 1,
                         &arguments) ||
        !arguments_code(options, arguments.words[0]))
        return EXIT_USAGE;
    return ask_token(session, "chapters.rekey", &arguments);
}

static const struct table_column invitation_columns[] = {
    { "ID", "id", NULL, 0, 0 },
    { "CHAPTER", "chapter", NULL, 0, 0 },
    { "STATE", "state", NULL, 0, 0 },
    { "EXPIRES", "expires", NULL, 0, 1 },
    { "KEY", "key", NULL, COLUMN_VERBOSE, 3 },
    { "ADDRESS", "address", NULL, COLUMN_VERBOSE, 4 },
    { "NAME", "name", NULL, COLUMN_VERBOSE | COLUMN_SHRINKS, 2 }
};

/* A key that is to be compared stands on a line of its own, whole on any terminal. */
static enum exit_code print_invitations(const struct options *options,
                                        const json_t *invitations)
{
    const enum exit_code code =
        print_objects(options, invitation_columns,
                      sizeof invitation_columns / sizeof invitation_columns[0], invitations);

    for (size_t i = 0; options->form == OUTPUT_TEXT && i < json_array_size(invitations); i++) {
        const json_t *invitation = json_array_get(invitations, i);

        if (strcmp(json_text(invitation, "state"), "waiting") == 0)
            print_line("%s waits; its KEY: %s", json_text(invitation, "chapter"),
                       json_text(invitation, "key"));
    }
    return code;
}

enum exit_code command_invite_list(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *invitations;
    json_t *result = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 0, 0, &arguments))
        return EXIT_USAGE;
    if ((code = session_request(session, "invite.list", arguments.args, &result)) != EXIT_OK)
        return code;
    invitations = json_sorted(json_object_get(result, "invitations"), "chapter", "expires");
    if (options->form == OUTPUT_JSON)
        print_json(stdout, invitations);
    else
        code = print_invitations(options, invitations);
    json_decref(invitations);
    json_decref(result);
    return code;
}

static enum exit_code ask_of_invitation(struct session *session, int argc, char **argv,
                                        const char *command, const char *done)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    const json_t *invitation;
    json_t *result = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 1, 1, &arguments))
        return EXIT_USAGE;
    (void)json_object_set_new(arguments.args, "invitation", json_string(arguments.words[0]));
    if ((code = session_request(session, command, arguments.args, &result)) != EXIT_OK)
        return code;
    invitation = json_object_get(result, "invitation");
    if (options->form == OUTPUT_JSON)
        print_json(stdout, invitation);
    else
        print_line("%s %s of %s", done, arguments.words[0], json_text(invitation, "chapter"));
    json_decref(result);
    return code;
}

enum exit_code command_invite_approve(struct session *session, int argc, char **argv)
{
    return ask_of_invitation(session, argc, argv, "invite.approve", "approved");
}

enum exit_code command_invite_revoke(struct session *session, int argc, char **argv)
{
    return ask_of_invitation(session, argc, argv, "invite.revoke", "revoked");
}

enum exit_code command_chapters_list(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    const json_t *chapters;
    json_t *result = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 0, 0, &arguments))
        return EXIT_USAGE;
    if ((code = session_request(session, "chapters.list", arguments.args, &result)) != EXIT_OK)
        return code;
    chapters = json_object_get(result, "chapters");
    if (options->form == OUTPUT_JSON)
        print_json(stdout, chapters);
    else
        code = print_objects(options, chapter_columns,
                             sizeof chapter_columns / sizeof chapter_columns[0], chapters);
    json_decref(result);
    return code;
}

static const char *const chapter_order[] = { "chapter",   "name",      "country",
                                             "state",     "address",   "records_max",
                                             "bytes_max", "until_seq", NULL };

/* Sends a command about one chapter, and prints what is said of it. */
static enum exit_code ask_of_chapter(struct session *session, int argc, char **argv,
                                     const char *command, const struct argument_rule *rules,
                                     size_t rule_count, const char *done)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    const json_t *chapter;
    json_t *result = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, rules, rule_count, 1, 1, &arguments) ||
        !arguments_code(options, arguments.words[0]))
        return EXIT_USAGE;
    (void)json_object_set_new(arguments.args, "chapter", json_string(arguments.words[0]));
    if ((code = session_request(session, command, arguments.args, &result)) != EXIT_OK)
        return code;
    chapter = json_object_get(result, "chapter");
    if (options->form == OUTPUT_JSON)
        print_json(stdout, chapter);
    else if (done == NULL || options->form == OUTPUT_CSV)
        code = print_object(options, chapter_order, chapter);
    else
        print_line("%s %s", done, arguments.words[0]);
    json_decref(result);
    return code;
}

enum exit_code command_chapters_show(struct session *session, int argc, char **argv)
{
    return ask_of_chapter(session, argc, argv, "chapters.show", NULL, 0, NULL);
}

enum exit_code command_chapters_suspend(struct session *session, int argc, char **argv)
{
    return ask_of_chapter(session, argc, argv, "chapters.suspend", NULL, 0, "suspended");
}

enum exit_code command_chapters_resume(struct session *session, int argc, char **argv)
{
    return ask_of_chapter(session, argc, argv, "chapters.resume", NULL, 0, "resumed");
}

enum exit_code command_chapters_revoke(struct session *session, int argc, char **argv)
{
    return ask_of_chapter(session, argc, argv, "chapters.revoke", NULL, 0, "revoked");
}

enum exit_code command_chapters_edit(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = {
        { "--name", "name", ARGUMENT_TEXT },
        { "--country", "country", ARGUMENT_TEXT },
        { "--records-max", "records_max", ARGUMENT_COUNT },
        { "--bytes-max", "bytes_max", ARGUMENT_SIZE }
    };

    return ask_of_chapter(session, argc, argv, "chapters.edit", rules,
                          sizeof rules / sizeof rules[0], "changed");
}
