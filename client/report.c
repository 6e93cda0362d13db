/* SPDX-License-Identifier: MPL-2.0 */
/* report.c - errors and JSON values on their way out, through the escaper.
 * An error says what happened and the next command; under --json it is an object on stderr. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/terminal.h"

/* A command for this very daemon needs the socket that this one was given. */
char *remedy_here(const struct options *options, const char *remedy)
{
    static const char program[] = "chapterctl ";
    const size_t size = sizeof program - 1;
    char *text = NULL;

    if (options->socket_path == NULL || strncmp(remedy, program, size) != 0 ||
        strncmp(remedy + size, "help", 4) == 0)
        return strdup(remedy);
    return asprintf(&text, "%s%s", options->program, remedy + size - 1) < 0 ? NULL : text;
}

static void report_text(const char *remedy, const char *error)
{
    print_wrapped_error("chapterctl: ", error);
    if (remedy != NULL && remedy[0] != '\0')
        print_wrapped_error("  try: ", remedy);
}

void report_error(const struct options *options, const char *remedy, const char *format, ...)
{
    char *error = NULL;
    json_t *object = NULL;
    va_list arguments;
    char *next;

    if (options->silent)
        return;
    next = remedy == NULL ? NULL : remedy_here(options, remedy);
    va_start(arguments, format);
    if (vasprintf(&error, format, arguments) < 0)
        error = NULL;
    va_end(arguments);
    (void)fflush(stdout);
    if (options->form == OUTPUT_JSON && error != NULL)
        object = json_pack("{s:s, s:s}", "error", error, "remedy", next == NULL ? "" : next);
    if (object != NULL)
        print_json(stderr, object);
    else
        report_text(next, error == NULL ? "out of memory" : error);
    json_decref(object);
    free(error);
    free(next);
}

void report_warning(const struct options *options, const char *format, ...)
{
    char *warning = NULL;
    json_t *object;
    va_list arguments;

    if (options->quiet)
        return;
    va_start(arguments, format);
    if (vasprintf(&warning, format, arguments) < 0)
        warning = NULL;
    va_end(arguments);
    if (warning == NULL)
        return;
    (void)fflush(stdout);
    if (options->form == OUTPUT_JSON &&
        (object = json_pack("{s:s}", "warning", warning)) != NULL) {
        print_json(stderr, object);
        json_decref(object);
    } else {
        print_wrapped_error("chapterctl: warning: ", warning);
    }
    free(warning);
}

void print_json(FILE *stream, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    if (text == NULL) {
        fputs("chapterctl: out of memory\n", stderr);
        return;
    }
    print_escaped(stream, text);
    fputc('\n', stream);
    free(text);
}
