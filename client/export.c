/* SPDX-License-Identifier: MPL-2.0 */
/* export.c - the own chapter's members as CSV that import takes back unchanged, page by page.
 * Read twice: which columns there are is known only after the last member. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/arguments.h"
#include "client/csv_file.h"
#include "client/import.h"
#include "client/import_columns.h"
#include "client/import_index.h"
#include "client/import_pages.h"
#include "client/output.h"

struct export
{
    struct session *session;
    const struct options *options;
    const char *path; /* NULL: standard output */
    struct csv_output output;
    FILE *stream;
    bool terminal;
    json_t *extra;        /* a set of names: fields that are not canonical */
    const char **columns; /* all of them, in order; the extra ones belong to extra */
    size_t column_count;
    struct import_index ids; /* of the members that were written */
    uint64_t count;
};

static enum exit_code no_memory(const struct export *export)
{
    report_error(export->options, NULL, "out of memory");
    return EXIT_FAILED;
}

static bool is_canonical(const char *name)
{
    for (size_t i = 0; i < import_canonical_count; i++)
        if (strcmp(import_canonical[i], name) == 0)
            return true;
    return false;
}

static bool is_extra(const char *name, const json_t *value)
{
    return json_is_string(value) && !is_canonical(name) && !column_is_daemons(name);
}

/* --- columns ------------------------------------------------------------------------------ */

static enum exit_code note_columns(void *context, const json_t *member)
{
    struct export *export = context;
    json_t *fields =
        json_incref((json_t *)(uintptr_t)member); /* to walk it, jansson wants it so */
    bool ok = true;
    const char *name;
    json_t *value;

    json_object_foreach(fields, name, value) if (is_extra(name, value)) ok =
        ok && json_object_set_new(export->extra, name, json_null()) == 0;
    json_decref(fields);
    return ok ? EXIT_OK : no_memory(export);
}

static int compare_names(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;

    return strcmp(*left, *right);
}

static enum exit_code list_columns(struct export *export)
{
    const size_t count = import_canonical_count + json_object_size(export->extra);
    const char *name;
    json_t *value;

    if ((export->columns = calloc(count, sizeof *export->columns)) == NULL)
        return no_memory(export);
    for (size_t i = 0; i < import_canonical_count; i++)
        export->columns[export->column_count++] = import_canonical[i];
    json_object_foreach(export->extra, name, value) export->columns[export->column_count++] =
        name;
    qsort(export->columns + import_canonical_count, count - import_canonical_count,
          sizeof *export->columns, compare_names);
    return EXIT_OK;
}

/* --- rows --------------------------------------------------------------------------------- */

/* member NULL: the header. */
static void write_cells(const struct export *export, FILE *stream, const json_t *member)
{
    for (size_t i = 0; i < export->column_count; i++) {
        const char *name = export->columns[i];
        const json_t *value = json_object_get(member, name);

        if (i > 0)
            (void)putc(',', stream);
        if (member == NULL)
            csv_write_cell(stream, ',', slice_of_text(name));
        else if (json_is_string(value))
            csv_write_cell(stream, ',',
                           slice_of(json_string_value(value), json_string_length(value)));
    }
}

static enum exit_code write_line(const struct export *export, const json_t *member)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory;

    if (!export->terminal) {
        write_cells(export, export->stream, member);
        (void)putc('\n', export->stream);
        return EXIT_OK;
    }
    if ((memory = open_memstream(&text, &size)) == NULL)
        return no_memory(export);
    write_cells(export, memory, member);
    if (fclose(memory) != 0) {
        free(text);
        return no_memory(export);
    }
    print_escaped(export->stream, text);
    (void)putc('\n', export->stream);
    free(text);
    return EXIT_OK;
}

/* A member that was changed while pages were read comes twice. */
static enum exit_code is_new(struct export *export, const json_t *member, bool *out_new)
{
    const char *id = json_string_value(json_object_get(member, "id"));
    uint8_t key[TEXT_KEY_SIZE];

    if (id == NULL) {
        report_error(export->options, "the chapterctl that came with this chapterd",
                     "the daemon's answer is not what this version expects");
        return EXIT_FAILED;
    }
    if (!text_key(TEXT_KEY_ID, slice_of_text(id), SLICE_NONE, key))
        return no_memory(export);
    *out_new = import_index_get(&export->ids, key) == 0;
    return import_index_put(&export->ids, key, 1) ? EXIT_OK : no_memory(export);
}

static bool has_all_columns(const struct export *export, const json_t *member)
{
    json_t *fields = json_incref((json_t *)(uintptr_t)member);
    const char *name;
    json_t *value;
    bool all = true;

    json_object_foreach(fields, name, value) all =
        all && (!is_extra(name, value) || json_object_get(export->extra, name) != NULL);
    json_decref(fields);
    return all;
}

static enum exit_code check_stream(const struct export *export)
{
    if (ferror(export->stream) == 0)
        return EXIT_OK;
    report_error(export->options, "make room there, then run the same command again",
                 "%s cannot be written: %s", export->path == NULL ? "the output" : export->path,
                 strerror(errno));
    return EXIT_FAILED;
}

static enum exit_code write_member(void *context, const json_t *member)
{
    struct export *export = context;
    enum exit_code exit_code;
    bool is_one = false;

    if ((exit_code = is_new(export, member, &is_one)) != EXIT_OK || !is_one)
        return exit_code;
    if (export->options->form == OUTPUT_JSON) {
        (void)putc(export->count == 0 ? '[' : ',', export->stream);
        print_json(export->stream, member);
    } else if (!has_all_columns(export, member)) {
        report_error(export->options, "run the same command again",
                     "a member was given a new field while the list was read");
        return EXIT_FAILED;
    } else if ((exit_code = write_line(export, member)) != EXIT_OK) {
        return exit_code;
    }
    export->count++;
    return check_stream(export);
}

static enum exit_code write_all(struct export *export, const char *code)
{
    const bool json = export->options->form == OUTPUT_JSON;
    enum exit_code exit_code = EXIT_OK;

    if (!json) {
        exit_code = own_members(export->session, code, "reading columns", note_columns, export);
        if (exit_code == EXIT_OK)
            exit_code = list_columns(export);
        if (exit_code == EXIT_OK)
            exit_code = write_line(export, NULL);
    }
    if (exit_code == EXIT_OK)
        exit_code = own_members(export->session, code, "exporting", write_member, export);
    if (exit_code == EXIT_OK && json)
        (void)fputs(export->count == 0 ? "[]\n" : "]\n", export->stream);
    (void)fflush(export->stream);
    return exit_code == EXIT_OK ? check_stream(export) : exit_code;
}

/* --- the command -------------------------------------------------------------------------- */

static enum exit_code report_output(const struct export *export, enum status status)
{
    const char *remedy = "name a directory where you may write, with room on its disk";

    if (status == INVALID)
        remedy =
            "name a file, or leave -o away and write to a program: chapterctl export | ...";
    report_error(export->options, remedy, "%s cannot be written: %s", export->path,
                 status == INVALID && errno != EISDIR ? "it is no regular file"
                                                      : strerror(errno));
    return EXIT_FAILED;
}

static enum exit_code run(struct export *export)
{
    char code[CODE_SIZE];
    enum exit_code exit_code;
    enum status status;

    export->stream = stdout;
    export->terminal = export->path == NULL && isatty(STDOUT_FILENO) == 1;
    if (export->path != NULL) {
        if ((status = csv_output_open(export->path, &export->output)) != OK)
            return report_output(export, status);
        export->stream = export->output.stream;
    }
    if ((exit_code = own_chapter(export->session, code)) != EXIT_OK ||
        (exit_code = write_all(export, code)) != EXIT_OK || export->path == NULL)
        return exit_code;
    if ((status = csv_output_commit(&export->output)) != OK)
        return report_output(export, status);
    notice(export->options, "%" PRIu64 " members in %s", export->count, export->path);
    return EXIT_OK;
}

static bool take_options(struct export *export, const json_t *args)
{
    static const char *const later[] = { "excel", "civicrm", "mailchimp" };
    const char *whom = json_string_value(json_object_get(args, "for"));

    export->path = json_string_value(json_object_get(args, "output"));
    if (whom == NULL || strcmp(whom, "plain") == 0)
        return true;
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        if (strcmp(later[i], whom) == 0) {
            report_error(export->options, "chapterctl export --for plain",
                         "--for %s is not in this version", whom);
            return false;
        }
    report_error(export->options, "chapterctl export --for plain",
                 "--for is one of plain, excel, civicrm, mailchimp, not \"%s\"", whom);
    return false;
}

enum exit_code command_export(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = {
        { "-o", "output", ARGUMENT_TEXT },
        { "--for", "for", ARGUMENT_TEXT },
    };
    struct export export = { .session = session, .options = session_options(session) };
    enum exit_code exit_code = EXIT_USAGE;
    struct arguments arguments;

    if (!arguments_parse(export.options, argc, argv, rules, sizeof rules / sizeof rules[0], 0,
                         0, &arguments))
        return EXIT_USAGE;
    if (take_options(&export, arguments.args)) {
        export.extra = json_object();
        exit_code = export.extra == NULL ? no_memory(&export) : run(&export);
    }
    csv_output_abort(&export.output);
    import_index_done(&export.ids);
    free(export.columns);
    json_decref(export.extra);
    arguments_done(&arguments);
    return exit_code;
}
