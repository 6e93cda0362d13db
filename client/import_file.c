/* SPDX-License-Identifier: MPL-2.0 */
/* import_file.c - the file that is imported: opening it, passes over its rows, and what may go
 * wrong with it. */
#include <errno.h>
#include <string.h>

#include "client/import_internal.h"
#include "client/interrupt.h"

enum exit_code import_no_memory(const struct import *import)
{
    report_error(import->options, "free memory, or import the file in parts", "out of memory");
    return EXIT_FAILED;
}

enum exit_code import_spool_failed(const struct import *import, enum status status)
{
    if (status == INTERRUPTED)
        return EXIT_FAILED;
    if (status == NO_MEMORY)
        return import_no_memory(import);
    if (status == NO_SPACE)
        report_error(
            import->options,
            "free space there, or name another directory: TMPDIR=DIR chapterctl import",
            "there is no room for the import's working files in %s", temporary_directory());
    else
        report_error(import->options,
                     "name a directory where you may write: TMPDIR=DIR chapterctl import",
                     "the import's working files in %s cannot be used: %s",
                     temporary_directory(), strerror(errno));
    return EXIT_FAILED;
}

/* --- opening ------------------------------------------------------------------------------ */

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
        report_error(import->options, as_utf8, "%s is UTF-16BE, which cannot be read",
                     import->path);
        return EXIT_FAILED;
    default:
        report_error(import->options, as_utf8, "the header of %s cannot be read: %s",
                     import->path, reason);
        return EXIT_FAILED;
    }
}

enum exit_code import_report_columns(const struct import *import, const char *reason)
{
    report_error(
        import->options,
        "mend the first line: each column a name of its own; one is name, others may be"
        " id, external_id, kind, email, country, city, language, phone, joined, expires,"
        " status, notes",
        "the header of %s cannot be used: %s", import->path, reason);
    return EXIT_FAILED;
}

static enum exit_code decode_file(struct import *import)
{
    bool reading = false;
    const enum status status = csv_input_decode(&import->input, &reading);

    if (status == OK)
        return EXIT_OK;
    return reading ? report_header(import, status, "", errno)
                   : import_spool_failed(import, status);
}

enum exit_code import_open_file(struct import *import)
{
    char reason[CSV_REASON_SIZE] = "";
    char columns_reason[COLUMNS_REASON_SIZE] = "";
    enum exit_code exit_code;
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
    if ((exit_code = decode_file(import)) != EXIT_OK)
        return exit_code;
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
    return status == OK ? EXIT_OK : import_report_columns(import, columns_reason);
}

/* --- passes ------------------------------------------------------------------------------- */

static enum exit_code visit_rows(struct import *import, import_visit *visit, void *context)
{
    struct progress *const progress = &import->progress;
    enum exit_code exit_code = EXIT_OK;
    const struct csv_row *row;
    enum status status;

    status = csv_reader_rewind(import->reader);
    while (status == OK && (status = csv_reader_next(import->reader, &row)) == OK) {
        if ((exit_code = visit(import, row, context)) != EXIT_OK)
            return exit_code;
        if (interrupted())
            return EXIT_FAILED;
        progress_update_rows(progress, csv_reader_offset(import->reader), ++progress->rows);
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

enum exit_code import_each_row(struct import *import, const char *label, import_visit *visit,
                               void *context)
{
    enum exit_code exit_code;

    progress_begin(&import->progress, import->options, label, import->input.size);
    exit_code = visit_rows(import, visit, context);
    progress_end(&import->progress);
    return exit_code;
}
