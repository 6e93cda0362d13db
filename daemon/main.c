/* SPDX-License-Identifier: MPL-2.0 */
/* main.c - chapterd: which command is it, and what all of them want of the process.
 * The commands are the rows of COMMAND_TABLE in command.h, each in its own file. */
#include "chapterd/version.h"
#include "daemon/command.h"
#include "daemon/words.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments;
    const char *help;
};

#define COMMAND_ROW(name, function, arguments, help)                                           \
    { name, command_##function, arguments, help },
static const struct command commands[] = { COMMAND_TABLE(COMMAND_ROW) };
#undef COMMAND_ROW
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

int command_version(int argc, char **argv)
{
    const struct command_line line = { NULL, 0, NULL };
    int code;

    if (!command_parse(&line, argc, argv, &code))
        return code;
    command_print("chapterd %s (protocol %d, store format %d)", CHAPTERD_VERSION,
                  PROTOCOL_VERSION, STORE_FORMAT);
    return command_flush() ? COMMAND_OK : COMMAND_FAILED;
}

static void print_usage(FILE *stream)
{
    fprintf(stream, "usage: chapterd COMMAND [ARGUMENTS]\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  chapterd %s%s%s\n      %s\n", commands[i].name,
                commands[i].arguments[0] != '\0' ? " " : "", commands[i].arguments,
                commands[i].help);
    fprintf(stream,
            "\nWithout --dir: /var/lib/chapterd as root, else the user's state directory."
            "  Manual: chapterd(8).\n");
}

static int unknown_command(const char *name)
{
    const char *names[COMMAND_COUNT];
    const char *nearest;

    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].name;
    nearest = words_nearest(name, names, COMMAND_COUNT);
    command_error("there is no command \"%s\"", name);
    if (nearest != NULL)
        command_remedy("did you mean chapterd %s?", nearest);
    else
        command_remedy("see them all: chapterd --help");
    return COMMAND_USAGE;
}

static int dispatch(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_usage(stdout);
        return command_flush() ? COMMAND_OK : COMMAND_FAILED;
    }
    if (name[0] == '\0') {
        print_usage(stderr);
        return COMMAND_USAGE;
    }
    if (strcmp(name, "--version") == 0)
        return command_version(1, argv);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown_command(name);
}

int main(int argc, char **argv)
{
    (void)umask(077);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sodium_init() < 0) {
        command_error("this system cannot make random numbers or ignore a signal");
        command_remedy("check that /dev/urandom or getrandom(2) works here");
        return COMMAND_FAILED;
    }
    return dispatch(argc, argv);
}
