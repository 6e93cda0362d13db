/* SPDX-License-Identifier: MPL-2.0 */
/* watch.c - -w.  What the command prints, its errors too, is gathered in memory; then a
 * screenful of it is written at once, each line over the one before: nothing flickers and
 * nothing scrolls.  A daemon that is away is asked again. */
#include "client/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "client/terminal.h"

#define FIRST_DRAWING "\033[2J"
#define TO_THE_TOP "\033[?7l\033[H" /* lines that are too long are cut, not wrapped */
#define END_OF_LINE "\033[0m\033[K"
#define END_OF_SCREEN "\033[J\033[?7h"

struct screen {
    const struct options *options;
    const struct command *command;
    int memory; /* the output of one run */
    int out;    /* the terminal */
    int errors;
    bool drawn;
};

static void screen_done(struct screen *screen)
{
    const int descriptors[] = { screen->memory, screen->out, screen->errors };

    for (size_t i = 0; i < 3; i++)
        if (descriptors[i] >= 0)
            (void)close(descriptors[i]);
}

static bool screen_init(struct screen *screen, const struct options *options,
                        const struct command *command)
{
    screen->options = options;
    screen->command = command;
    screen->drawn = false;
    screen->memory = memfd_create("screen", MFD_CLOEXEC);
    screen->out = dup(STDOUT_FILENO);
    screen->errors = dup(STDERR_FILENO);
    if (screen->memory < 0 || screen->out < 0 || screen->errors < 0)
        return false;
    terminal_use(screen->out);
    return true;
}

static bool redirect(int out, int errors)
{
    (void)fflush(stdout);
    (void)fflush(stderr);
    return dup2(out, STDOUT_FILENO) >= 0 && dup2(errors, STDERR_FILENO) >= 0;
}

/* All that the run printed; heap of the caller, NULL without memory. */
static char *gathered(const struct screen *screen)
{
    const off_t end = lseek(screen->memory, 0, SEEK_END);
    char *text = end < 0 ? NULL : malloc((size_t)end + 1);
    ssize_t size;

    if (text == NULL)
        return NULL;
    if ((size = pread(screen->memory, text, (size_t)end, 0)) < 0)
        size = 0;
    text[size] = '\0';
    return text;
}

static void put_header(FILE *stream, const struct screen *screen)
{
    const time_t now = time(NULL);
    struct tm parts;
    char clock[16] = "";

    if (gmtime_r(&now, &parts) != NULL)
        (void)strftime(clock, sizeof clock, "%H:%M:%SZ", &parts);
    fprintf(stream, "%s%s%s, every %d s, %s" END_OF_LINE "\r\n", screen->command->noun,
            screen->command->verb[0] == '\0' ? "" : " ", screen->command->verb,
            screen->options->watch_seconds, clock);
}

static size_t count_lines(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

/* As many lines as there is room for; the last says how many there is none for. */
static void put_lines(FILE *stream, const char *text, size_t room)
{
    const size_t count = count_lines(text);
    const size_t shown = count <= room ? count : room - 1;

    for (size_t i = 0; i < shown; i++) {
        const size_t size = strcspn(text, "\n");

        fprintf(stream, "%.*s" END_OF_LINE "%s", (int)size, text, i + 1 < count ? "\r\n" : "");
        text += size + 1;
    }
    if (shown < count)
        fprintf(stream, "... %zu more lines" END_OF_LINE, count - shown);
}

static bool write_all(int out, const char *bytes, size_t size)
{
    while (size > 0) {
        const ssize_t written = write(out, bytes, size);

        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            bytes += written;
            size -= (size_t)written;
        }
    }
    return true;
}

static bool draw(struct screen *screen, const char *text)
{
    const size_t height = terminal_height();
    char *drawing = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&drawing, &size);
    bool ok;

    if (stream == NULL)
        return false;
    fputs(screen->drawn ? TO_THE_TOP : FIRST_DRAWING TO_THE_TOP, stream);
    put_header(stream, screen);
    put_lines(stream, text, height > 2 ? height - 1 : 2);
    fputs(END_OF_SCREEN, stream);
    ok = fclose(stream) == 0 && write_all(screen->out, drawing, size);
    screen->drawn = true;
    free(drawing);
    return ok;
}

/* One run, gathered and drawn.  A usage error is no screen: it is printed as it is. */
static enum exit_code run_on_screen(struct screen *screen, int argc, char **argv,
                                    watch_run *run, bool *out_goes_on)
{
    enum exit_code code = EXIT_FAILED;
    char *text;

    *out_goes_on = false;
    if (ftruncate(screen->memory, 0) != 0 || lseek(screen->memory, 0, SEEK_SET) != 0 ||
        !redirect(screen->memory, screen->memory))
        return EXIT_FAILED;
    code = run(screen->options, screen->command, argc, argv);
    if (!redirect(screen->out, screen->errors) || (text = gathered(screen)) == NULL)
        return EXIT_FAILED;
    if (code == EXIT_USAGE)
        (void)fputs(text, stderr);
    else
        *out_goes_on = draw(screen, text);
    free(text);
    return code;
}

static enum exit_code run_below(const struct options *options, const struct command *command,
                                int argc, char **argv, watch_run *run, bool *out_goes_on)
{
    const enum exit_code code = run(options, command, argc, argv);

    *out_goes_on = fflush(stdout) == 0 && ferror(stdout) == 0 && code != EXIT_USAGE;
    return code;
}

enum exit_code watch(const struct options *options, const struct command *command, int argc,
                     char **argv, watch_run *run)
{
    const bool on_screen = options->form == OUTPUT_TEXT && isatty(STDOUT_FILENO) == 1;
    CLEANUP(screen_done) struct screen screen = { .memory = -1, .out = -1, .errors = -1 };
    char **words = calloc((size_t)argc + 1, sizeof *words);
    enum exit_code code = EXIT_FAILED;
    bool goes_on = true;

    if (words == NULL || (on_screen && !screen_init(&screen, options, command))) {
        report_error(options, NULL, "out of memory");
        free(words);
        return EXIT_FAILED;
    }
    while (goes_on) {
        /* commands reorder their words */
        memcpy(words, argv, (size_t)argc * sizeof *words);
        code = on_screen ? run_on_screen(&screen, argc, words, run, &goes_on)
                         : run_below(options, command, argc, words, run, &goes_on);
        if (goes_on)
            (void)sleep((unsigned)options->watch_seconds);
    }
    free(words);
    return code;
}
