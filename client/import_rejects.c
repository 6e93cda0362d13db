/* SPDX-License-Identifier: MPL-2.0 */
/* import_rejects.c - NAME.rejects.csv beside the file: rejected rows, with line and reason.
 * Mended there, it can be imported as it is: its first two columns are not read. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>

#include "client/import_internal.h"
#include "client/output.h"

static bool is_shown(const struct import *import, size_t column)
{
    const struct import_column *known =
        column < import->columns.count ? &import->columns.column[column] : NULL;

    return known == NULL || known->role != COLUMN_IGNORED || column_is_daemons(known->folded);
}

/* What a spreadsheet can open: no NUL, valid UTF-8. */
static void write_cell(FILE *stream, char separator, struct slice cell)
{
    uint8_t *mended;
    size_t size = 0;

    if (cell.size == 0 || (u8_check(cell.data, cell.size) == NULL &&
                           memchr(cell.data, '\0', cell.size) == NULL)) {
        csv_write_cell(stream, separator, csv_restore(cell));
        return;
    }
    if ((mended = malloc((sizeof CSV_LOST - 1) * cell.size)) == NULL)
        return;
    for (size_t at = 0; at < cell.size;) {
        ucs4_t character;
        const int step = u8_mbtoucr(&character, cell.data + at, cell.size - at);
        const size_t taken = step > 0 ? (size_t)step : 1;
        const bool good = step > 0 && character != 0;

        memcpy(mended + size, good ? cell.data + at : (const uint8_t *)CSV_LOST,
               good ? taken : sizeof CSV_LOST - 1);
        size += good ? taken : sizeof CSV_LOST - 1;
        at += taken;
    }
    csv_write_cell(stream, separator, slice_of(mended, size));
    free(mended);
}

static void write_cells(const struct import *import, FILE *stream, const char *first,
                        const char *second, const struct csv_row *row)
{
    const char separator = csv_reader_separator(import->reader);

    csv_write_cell(stream, separator, slice_of_text(first));
    (void)putc(separator, stream);
    csv_write_cell(stream, separator, slice_of_text(second));
    for (size_t i = 0; i < row->count; i++) {
        if (!is_shown(import, i))
            continue;
        (void)putc(separator, stream);
        write_cell(stream, separator, row->cells[i]);
    }
    (void)putc('\n', stream);
}

/* In the file's own encoding. */
static enum exit_code write_row(const struct import *import, const char *first,
                                const char *second, const struct csv_row *row)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);

    if (memory != NULL)
        write_cells(import, memory, first, second, row);
    if (memory == NULL || fclose(memory) != 0) {
        free(text);
        return import_no_memory(import);
    }
    csv_encoding_write(import->rejects.output.stream, import->input.encoding,
                       slice_of(text, size));
    free(text);
    return EXIT_OK;
}

/* DIR/NAME.rejects.csv; dir NULL: the file's own. */
static char *name_in(const struct import *import, const char *dir)
{
    const char *slash = strrchr(import->path, '/');
    const char *base = slash == NULL ? import->path : slash + 1;
    const size_t size = strlen(base);
    const bool csv = size > 4 && strcasecmp(base + size - 4, ".csv") == 0;
    char *name = NULL;
    int printed;

    printed = asprintf(&name, "%.*s%s%s%.*s.rejects.csv",
                       dir == NULL ? (int)(base - import->path) : 0, import->path,
                       dir == NULL ? "" : dir, dir == NULL ? "" : "/",
                       (int)(csv ? size - 4 : size), base);
    return printed < 0 ? NULL : name;
}

/* Where it can be written: beside the file, here, or among the temporary files. */
static enum exit_code open_rejects(struct import *import)
{
    const char *temporary = getenv("TMPDIR");
    const char *const dirs[] = { NULL, ".", temporary == NULL ? "/tmp" : temporary };
    struct import_rejects *rejects = &import->rejects;
    int first_error = 0;

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        char *path = name_in(import, dirs[i]);

        if (path == NULL)
            return import_no_memory(import);
        if (csv_output_open(path, &rejects->output) == OK) {
            rejects->path = path;
            if (i > 0)
                (void)fprintf(stderr,
                              "chapterctl: the rejected rows cannot be written beside the"
                              " file (%s); they go to ",
                              strerror(first_error));
            if (i > 0) {
                print_escaped(stderr, path);
                (void)putc('\n', stderr);
            }
            return EXIT_OK;
        }
        if (i == 0)
            first_error = errno;
        free(path);
    }
    report_error(import->options, "run this where you may write files",
                 "the rejected rows cannot be written beside %s: %s", import->path,
                 strerror(first_error));
    return EXIT_FAILED;
}

enum exit_code import_reject(struct import *import, const struct csv_row *row,
                             const char *reason)
{
    char line[24];
    enum exit_code exit_code;

    import->counts.rejected++;
    if (import->rejects.path == NULL) {
        if ((exit_code = open_rejects(import)) != EXIT_OK)
            return exit_code;
        csv_encoding_begin(import->rejects.output.stream, import->input.encoding);
        exit_code = write_row(import, "row", "reason", csv_reader_header(import->reader));
        if (exit_code != EXIT_OK)
            return exit_code;
    }
    (void)snprintf(line, sizeof line, "%" PRIu64, row->line);
    return write_row(import, line, reason, row);
}

enum exit_code import_rejects_finish(struct import *import)
{
    if (import->rejects.path == NULL || csv_output_commit(&import->rejects.output) == OK)
        return EXIT_OK;
    report_error(import->options, "make room on that disk, then run the same command again",
                 "the rejected rows cannot be written to %s: %s", import->rejects.path,
                 strerror(errno));
    return EXIT_FAILED;
}

void import_rejects_done(struct import_rejects *rejects)
{
    csv_output_abort(&rejects->output);
    free(rejects->path);
    rejects->path = NULL;
}
