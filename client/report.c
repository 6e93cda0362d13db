/* SPDX-License-Identifier: MPL-2.0 */
/* report.c - errors and JSON values on their way out, through the escaper.
 * An error says what happened and the next command; under --json it is an object on stderr. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/session.h"

static void report_text(const char *remedy, const char *error)
{
    fputs("chapterctl: ", stderr);
    print_escaped(stderr, error);
    fputc('\n', stderr);
    if (remedy != NULL && remedy[0] != '\0') {
        fputs("  try: ", stderr);
        print_escaped(stderr, remedy);
        fputc('\n', stderr);
    }
}

void report_error(const struct options *options, const char *remedy, const char *format, ...)
{
    char *error = NULL;
    json_t *object = NULL;
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(&error, format, arguments) < 0)
        error = NULL;
    va_end(arguments);
    (void)fflush(stdout);
    if (options->form == OUTPUT_JSON && error != NULL)
        object =
            json_pack("{s:s, s:s}", "error", error, "remedy", remedy == NULL ? "" : remedy);
    if (object != NULL)
        print_json(stderr, object);
    else
        report_text(remedy, error == NULL ? "out of memory" : error);
    json_decref(object);
    free(error);
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
