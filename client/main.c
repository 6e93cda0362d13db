/* SPDX-License-Identifier: MPL-2.0 */
/* main.c - chapterctl: global options, then one command.
 * Models: chronyc, birdc, knotc; the manual page is chapterctl.1. */
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chapterd/version.h"
#include "client/arguments.h"
#include "client/commands.h"
#include "client/suggest.h"
#include "client/watch.h"

#define TIMEOUT_SECONDS_DEFAULT 10
#define TIMEOUT_SECONDS_MAX 1e6
#define WATCH_SECONDS_DEFAULT 2
#define WATCH_SECONDS_MAX 86400

enum { OPTION_JSON = 256, OPTION_CSV, OPTION_COLOR, OPTION_VERSION };

static bool color_wanted(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) == 1 && (no_color == NULL || no_color[0] == '\0') &&
           terminal != NULL && strcmp(terminal, "dumb") != 0;
}

static bool set_color(struct options *options, const char *when)
{
    if (strcmp(when, "auto") == 0)
        options->color = color_wanted();
    else if (strcmp(when, "always") == 0)
        options->color = true;
    else if (strcmp(when, "never") == 0)
        options->color = false;
    else {
        report_error(options, "--color=auto, --color=always or --color=never",
                     "--color does not know \"%s\"", when);
        return false;
    }
    return true;
}

static bool set_watch(struct options *options, const char *text)
{
    double seconds = WATCH_SECONDS_DEFAULT;

    if (text != NULL &&
        (!parse_seconds(text, &seconds) || seconds < 1 || seconds > WATCH_SECONDS_MAX)) {
        report_error(options, "-w5 for every five seconds", "-w can't take \"%s\"", text);
        return false;
    }
    options->watch_seconds = (int)seconds;
    return true;
}

static bool set_timeout(struct options *options, const char *text)
{
    double seconds;

    if (!parse_seconds(text, &seconds) || seconds <= 0 || seconds > TIMEOUT_SECONDS_MAX) {
        report_error(options, "-t 30 for thirty seconds", "-t can't take \"%s\"", text);
        return false;
    }
    options->timeout_seconds = seconds;
    return true;
}

/* --json and its like are global, yet their place after the command is easily forgotten. */
static void take_late_options(struct options *options, int *argc, char **argv)
{
    int kept = 0;

    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (i < *argc)
                argv[kept++] = argv[i++];
            break;
        }
        if (strcmp(argv[i], "--json") == 0)
            options->form = OUTPUT_JSON;
        else if (strcmp(argv[i], "--csv") == 0)
            options->form = OUTPUT_CSV;
        else if (strcmp(argv[i], "-q") == 0)
            options->quiet = true;
        else if (strcmp(argv[i], "-v") == 0)
            options->verbose = true;
        else
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    *argc = kept;
}

enum parsed { PARSED_COMMAND, PARSED_HELP, PARSED_VERSION, PARSED_WRONG };

static enum parsed parse_option(struct options *options, int option)
{
    switch (option) {
    case 's':
        options->socket_path = optarg;
        return PARSED_COMMAND;
    case 'w':
        return set_watch(options, optarg) ? PARSED_COMMAND : PARSED_WRONG;
    case 't':
        return set_timeout(options, optarg) ? PARSED_COMMAND : PARSED_WRONG;
    case 'q':
        options->quiet = true;
        return PARSED_COMMAND;
    case 'v':
        options->verbose = true;
        return PARSED_COMMAND;
    case OPTION_JSON:
        options->form = OUTPUT_JSON;
        return PARSED_COMMAND;
    case OPTION_CSV:
        options->form = OUTPUT_CSV;
        return PARSED_COMMAND;
    case OPTION_COLOR:
        return set_color(options, optarg) ? PARSED_COMMAND : PARSED_WRONG;
    case 'h':
        return PARSED_HELP;
    case OPTION_VERSION:
        return PARSED_VERSION;
    default:
        return PARSED_WRONG;
    }
}

static void report_unknown(const struct options *options, const struct option *rules,
                           const char *word)
{
    struct suggestion suggestion;
    char name[32];

    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    suggestion_begin(&suggestion, name + strspn(name, "-"));
    for (; rules->name != NULL; rules++)
        suggestion_offer(&suggestion, rules->name);
    if (suggestion.best != NULL)
        report_error(options, "chapterctl help", "unknown option %s; did you mean --%s?", word,
                     suggestion.best);
    else
        report_error(options, "chapterctl help", "unknown option %s", word);
}

/* Global options; optind is left at the command. */
static enum parsed parse_options(int argc, char **argv, struct options *options)
{
    static const struct option rules[] = { { "json", no_argument, NULL, OPTION_JSON },
                                           { "csv", no_argument, NULL, OPTION_CSV },
                                           { "color", required_argument, NULL, OPTION_COLOR },
                                           { "help", no_argument, NULL, 'h' },
                                           { "version", no_argument, NULL, OPTION_VERSION },
                                           { NULL, 0, NULL, 0 } };
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:s:w::qvt:h", rules, NULL)) != -1) {
        const enum parsed parsed = parse_option(options, option);

        if (option == ':')
            report_error(options, "chapterctl help", "%s needs a value", argv[optind - 1]);
        else if (option == '?')
            report_unknown(options, rules, argv[optind - 1]);
        if (parsed != PARSED_COMMAND)
            return parsed;
    }
    return PARSED_COMMAND;
}

static enum exit_code run_once(const struct options *options, const struct command *command,
                               int argc, char **argv)
{
    CLEANUP(session_close) struct session *session = NULL;

    switch (session_open(options, &session)) {
    case OK:
        return command->function(session, argc, argv);
    case USAGE:
        return EXIT_USAGE;
    default:
        return EXIT_FAILED;
    }
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static enum exit_code run(const struct options *options, int argc, char **argv)
{
    int words = 1;
    const struct command *command = command_find(options, argc, argv, &words);
    static char name[64];

    if (command == NULL)
        return EXIT_USAGE;
    if (asks_for_help(argc, argv)) {
        command_print_help(command);
        return EXIT_OK;
    }
    argc -= words - 1;
    argv += words - 1;
    (void)snprintf(name, sizeof name, "%s%s%s", command->noun, words == 1 ? "" : " ",
                   command->verb);
    argv[0] = name; /* for messages */
    if (options->watch_seconds == 0)
        return run_once(options, command, argc, argv);
    if ((command->flags & COMMAND_READS) == 0) {
        report_error(options, "without -w", "-w repeats commands that only read, not %s",
                     command->noun);
        return EXIT_USAGE;
    }
    return watch(options, command, argc, argv, run_once);
}

/* With -s as it is typed in a shell; it lives as long as the program. */
static void name_program(struct options *options)
{
    static char *program;
    char *word = options->socket_path == NULL ? NULL : shell_word(options->socket_path);

    if (word != NULL && asprintf(&program, "chapterctl -s %s", word) >= 0)
        options->program = program;
    free(word);
}

/* Output that could not be written is no success. */
static enum exit_code close_output(const struct options *options, enum exit_code code)
{
    const bool failed = ferror(stdout) != 0;

    if (fflush(stdout) == 0 && !failed)
        return code;
    report_error(options, "df -h   for space", "the output could not be written: %s",
                 strerror(errno));
    return code == EXIT_OK ? EXIT_FAILED : code;
}

int main(int argc, char **argv)
{
    static char help_word[] = "help";
    char *help[] = { help_word, NULL };
    struct options options = { .program = "chapterctl",
                               .timeout_seconds = TIMEOUT_SECONDS_DEFAULT };
    enum exit_code code = EXIT_USAGE;

    /* All text is UTF-8, whatever the terminal says of itself. */
    if (setlocale(LC_CTYPE, "") == NULL || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    options.color = color_wanted();
    switch (parse_options(argc, argv, &options)) {
    case PARSED_HELP:
        code = run(&options, 1, help);
        break;
    case PARSED_VERSION:
        puts("chapterctl " CHAPTERD_VERSION);
        code = EXIT_OK;
        break;
    case PARSED_WRONG:
        break;
    case PARSED_COMMAND:
        argc -= optind;
        argv += optind;
        name_program(&options);
        take_late_options(&options, &argc, argv);
        if (argc == 0)
            report_error(&options, "chapterctl help", "no command was given");
        else
            code = run(&options, argc, argv);
        break;
    }
    return (int)close_output(&options, code);
}
