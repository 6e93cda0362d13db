/* SPDX-License-Identifier: MPL-2.0 */
/* commands.c - the table of commands: finding one, help, and what is not in this version.
 * See commands.h for the rows. */
#include "client/commands.h"

#include <string.h>

#include "client/output.h"
#include "client/suggest.h"

#define COMMAND_ROW(function, noun, verb, arguments, summary, flags, details)                  \
    { function, noun, verb, arguments, summary, flags, details },
static const struct command commands[] = { COMMAND_TABLE(COMMAND_ROW) };
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

/* Of the contract, but not of this version; verb "" is every one of the noun. */
static const struct {
    const char *noun;
    const char *verb;
} later[] = { { "members", "restore" }, { "import", "list" },   { "import", "undo" },
              { "offices", "" },        { "funding", "" },      { "feeds", "" },
              { "check", "" },          { "doctor", "" },       { "top", "" },
              { "config", "check" },    { "config", "reload" }, { "metrics", "" },
              { "completion", "" } };

static bool is_later(const char *noun, const char *verb)
{
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        if (strcmp(later[i].noun, noun) == 0 &&
            (later[i].verb[0] == '\0' || strcmp(later[i].verb, verb) == 0))
            return true;
    return false;
}

static bool is_noun(const char *noun)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].noun, noun) == 0)
            return true;
    return false;
}

/* A word after the noun that is a verb of it: else it is an argument. */
static bool has_verb(const char *noun, const char *verb)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (verb[0] != '\0' && strcmp(commands[i].noun, noun) == 0 &&
            strcmp(commands[i].verb, verb) == 0)
            return true;
    return false;
}

static void report_noun(const struct options *options, const char *noun)
{
    struct suggestion suggestion;

    suggestion_begin(&suggestion, noun);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        suggestion_offer(&suggestion, commands[i].noun);
    if (suggestion.best != NULL)
        report_error(options, "chapterctl help", "unknown command \"%s\"; did you mean %s?",
                     noun, suggestion.best);
    else
        report_error(options, "chapterctl help", "unknown command \"%s\"", noun);
}

static void report_verb(const struct options *options, const char *noun, const char *verb)
{
    struct suggestion suggestion;
    char remedy[64];

    suggestion_begin(&suggestion, verb);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].noun, noun) == 0)
            suggestion_offer(&suggestion, commands[i].verb);
    (void)snprintf(remedy, sizeof remedy, "chapterctl help %s", noun);
    if (verb[0] == '\0')
        report_error(options, remedy, "%s needs to know what to do", noun);
    else if (suggestion.best != NULL)
        report_error(options, remedy, "unknown command \"%s %s\"; did you mean %s %s?", noun,
                     verb, noun, suggestion.best);
    else
        report_error(options, remedy, "unknown command \"%s %s\"", noun, verb);
}

const struct command *command_find(const struct options *options, int argc, char **argv,
                                   int *out_words)
{
    const char *noun = argv[0];
    const char *verb = argc > 1 && argv[1][0] != '-' ? argv[1] : "";

    if (is_later(noun, verb)) {
        report_error(options, "chapterctl help   for what there is",
                     "%s%s%s is not in this version", noun, is_noun(noun) ? " " : "",
                     is_noun(noun) ? verb : "");
        return NULL;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = &commands[i];

        if (strcmp(command->noun, noun) == 0 &&
            (strcmp(command->verb, verb) == 0 ||
             (command->verb[0] == '\0' && !has_verb(noun, verb)))) {
            *out_words = command->verb[0] == '\0' ? 1 : 2;
            return command;
        }
    }
    if (is_noun(noun))
        report_verb(options, noun, verb);
    else
        report_noun(options, noun);
    return NULL;
}

void command_print_help(const struct command *command)
{
    printf("chapterctl [OPTIONS] %s%s%s%s%s\n%s\n", command->noun,
           command->verb[0] == '\0' ? "" : " ", command->verb,
           command->arguments[0] == '\0' ? "" : " ", command->arguments, command->summary);
    fputs(command->details, stdout);
}

static void print_all(void)
{
    fputs("chapterctl [OPTIONS] COMMAND [ARGUMENTS]   asks the local chapterd\n\ncommands:\n",
          stdout);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "%s %s", commands[i].noun, commands[i].verb);
        printf("  %-18s %s\n", name, commands[i].summary);
    }
    fputs("\noptions, before the command:\n"
          "  -s SOCKET   of the daemon; else $CHAPTERD_SOCKET, the state directory's of this "
          "user,\n"
          "              or /run/chapterd/control.sock\n"
          "  --json      one JSON value (log: one a line)       --csv   tables as CSV\n"
          "  -w[SECONDS] again and again                        -q      fewer messages\n"
          "  -t SECONDS  how long to wait for an answer         -v      more detail\n"
          "  --color=auto|always|never\n"
          "\nchapterctl help COMMAND says more; chapterctl(1) says all.\n",
          stdout);
}

enum exit_code command_help(struct session *session, int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[2] : "";
    bool found = false;
    int words;

    if (argc < 2) {
        print_all();
        return EXIT_OK;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].noun, argv[1]) == 0 &&
            (verb[0] == '\0' || commands[i].verb[0] == '\0' ||
             strcmp(commands[i].verb, verb) == 0)) {
            if (found)
                fputc('\n', stdout);
            command_print_help(&commands[i]);
            found = true;
        }
    if (found)
        return EXIT_OK;
    /* names what is meant, or what is not in this version */
    (void)command_find(session_options(session), argc - 1, argv + 1, &words);
    return EXIT_USAGE;
}
