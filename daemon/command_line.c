/* SPDX-License-Identifier: MPL-2.0 */
/* command_line.c - options of the commands, and the messages to whoever typed them.
 * Every message passes the escaper: names in it may be a stranger's. */
#include "daemon/command.h"
#include "daemon/words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define MESSAGE_TEXT_SIZE 8192
#define OPTIONS_MAX 8

/* --- messages ----------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 0))) static void print_escaped(FILE *stream,
                                                                const char *before,
                                                                const char *format,
                                                                va_list arguments)
{
    char text[MESSAGE_TEXT_SIZE];
    char escaped[2 * MESSAGE_TEXT_SIZE];

    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        return;
    (void)words_escape(escaped, sizeof escaped, slice_of_text(text), "");
    fprintf(stream, "%s%s\n", before, escaped);
}

void command_error(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_escaped(stderr, "chapterd: ", format, arguments);
    va_end(arguments);
}

void command_remedy(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_escaped(stderr, "  ", format, arguments);
    va_end(arguments);
}

void command_note(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_escaped(stderr, "", format, arguments);
    va_end(arguments);
}

void command_print(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_escaped(stdout, "", format, arguments);
    va_end(arguments);
}

bool command_flush(void)
{
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

/* --- options ------------------------------------------------------------------------------ */

static const char *usage_of(const char *command)
{
#define COMMAND_USAGE_ROW(name, function, arguments, help)                                     \
    if (strcmp(command, name) == 0)                                                            \
        return arguments;
    COMMAND_TABLE(COMMAND_USAGE_ROW)
#undef COMMAND_USAGE_ROW
    return "";
}

static bool usage_error(const char *command, int *out_exit)
{
    command_remedy("usage: chapterd %s %s", command, usage_of(command));
    *out_exit = COMMAND_USAGE;
    return false;
}

static const struct command_option *find_option(const struct command_line *line,
                                                const char *name, size_t size)
{
    for (size_t i = 0; i < line->option_count; i++)
        if (strlen(line->options[i].name) == size &&
            memcmp(line->options[i].name, name, size) == 0)
            return &line->options[i];
    return NULL;
}

static bool unknown_option(const struct command_line *line, const char *command,
                           const char *name, int *out_exit)
{
    const char *names[OPTIONS_MAX];
    const char *nearest;

    for (size_t i = 0; i < line->option_count; i++)
        names[i] = line->options[i].name;
    nearest = words_nearest(name, names, line->option_count);
    command_error("%s has no option %s", command, name);
    if (nearest != NULL)
        command_remedy("did you mean %s?", nearest);
    return usage_error(command, out_exit);
}

static bool take_option(const struct command_line *line, int argc, char **argv, int *at,
                        int *out_exit)
{
    const char *given = argv[*at];
    const char *equals = strchr(given, '=');
    const size_t size = equals != NULL ? (size_t)(equals - given) : strlen(given);
    const struct command_option *option = find_option(line, given, size);
    char name[64];

    (void)snprintf(name, sizeof name, "%.*s", (int)(size < 63 ? size : 63), given);
    if (option == NULL)
        return unknown_option(line, argv[0], name, out_exit);
    if ((option->flag != NULL && *option->flag) ||
        (option->value != NULL && *option->value != NULL)) {
        command_error("%s is given twice", name);
        return usage_error(argv[0], out_exit);
    }
    if (option->flag != NULL && equals != NULL) {
        command_error("%s takes no value", name);
        return usage_error(argv[0], out_exit);
    }
    if (option->flag != NULL) {
        *option->flag = true;
        return true;
    }
    if (equals == NULL && *at + 1 == argc) {
        command_error("%s needs a value", name);
        return usage_error(argv[0], out_exit);
    }
    ASSERT(option->value != NULL); /* an option is a flag or has a value */
    *option->value = equals != NULL ? equals + 1 : argv[++*at];
    return true;
}

bool command_parse(const struct command_line *line, int argc, char **argv, int *out_exit)
{
    bool only_arguments = false;

    ASSERT(line->option_count <= OPTIONS_MAX);
    for (int at = 1; at < argc; at++) {
        if (!only_arguments && strcmp(argv[at], "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments &&
                   (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0)) {
            command_print("usage: chapterd %s %s", argv[0], usage_of(argv[0]));
            *out_exit = command_flush() ? COMMAND_OK : COMMAND_FAILED;
            return false;
        } else if (!only_arguments && argv[at][0] == '-' && argv[at][1] != '\0') {
            if (!take_option(line, argc, argv, &at, out_exit))
                return false;
        } else if (line->argument == NULL || *line->argument != NULL) {
            command_error("%s does not take \"%s\"", argv[0], argv[at]);
            return usage_error(argv[0], out_exit);
        } else {
            *line->argument = argv[at];
        }
    }
    return true;
}

/* --- the process -------------------------------------------------------------------------- */

void command_allow_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < DESCRIPTORS_WANTED)
        log_event(
            LOG_WARNING,
            "event=few_open_files limit=%llu remedy=\"allow %d: ulimit -Hn, or LimitNOFILE="
            " of the service; strangers could use them up\"",
            (unsigned long long)limit.rlim_cur, DESCRIPTORS_WANTED);
}

void command_harden(bool core_dumps)
{
    const struct rlimit none = { 0, 0 };

    if (core_dumps)
        return;
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) != 0)
        log_event(LOG_WARNING, "event=core_dumps_possible error=\"%s\"", strerror(errno));
}
