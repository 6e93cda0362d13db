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
#include "client/import_pages.h"
#include "client/interrupt.h"
#include "client/output.h"
#include "client/sorter.h"
#include "client/spool.h"

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
    size_t *by_name;      /* places of columns, by ascending name */
    struct slice *values; /* of one member, by column */
    uint64_t count;
    uint64_t seq;       /* the chapter's, before the first member was read */
    struct sorter *ids; /* of all that came: 0, or the place in later, from 1 */
    struct spool later; /* those that were changed since, and may have been written before */
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

/* The next field of a member's map that is a text; false after the last. */
static bool next_text(struct mp_reader *reader, size_t *left, struct slice *last,
                      struct slice *out_name, struct slice *out_text)
{
    while (*left > 0 && reader->status == OK) {
        --*left;
        *out_name = mp_read_key(reader, last);
        if (mp_peek(reader) == MP_STR) {
            *out_text = mp_read_str(reader, SIZE_MAX);
            return reader->status == OK;
        }
        (void)mp_read_raw(reader, SIZE_MAX);
    }
    return false;
}

/* --- columns ------------------------------------------------------------------------------ */

static enum exit_code note_columns(void *context, struct slice member)
{
    struct export *export = context;
    char name[FIELD_NAME_MAX + 1];
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    struct slice field;
    struct slice text;
    size_t left;

    mp_reader_init(&reader, member);
    left = mp_read_map(&reader, SIZE_MAX);
    while (next_text(&reader, &left, &last, &field, &text)) {
        if (!slice_copy_text(field, name, sizeof name))
            return pages_malformed(export->session);
        if (!is_canonical(name) && !column_is_daemons(name) &&
            json_object_set_new(export->extra, name, json_null()) != 0)
            return no_memory(export);
    }
    return EXIT_OK;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;

    return strcmp(*left, *right);
}

static int compare_columns(const void *a, const void *b, void *context)
{
    const struct export *export = context;
    const size_t *left = a;
    const size_t *right = b;

    return strcmp(export->columns[*left], export->columns[*right]);
}

static enum exit_code list_columns(struct export *export)
{
    const size_t count = import_canonical_count + json_object_size(export->extra);
    const char *name;
    json_t *value;

    export->columns = calloc(count, sizeof *export->columns);
    export->by_name = calloc(count, sizeof *export->by_name);
    export->values = calloc(count, sizeof *export->values);
    if (export->columns == NULL || export->by_name == NULL || export->values == NULL)
        return no_memory(export);
    for (size_t i = 0; i < import_canonical_count; i++)
        export->columns[export->column_count++] = import_canonical[i];
    json_object_foreach(export->extra, name, value) export->columns[export->column_count++] =
        name;
    qsort(export->columns + import_canonical_count, count - import_canonical_count,
          sizeof *export->columns, compare_names);
    for (size_t i = 0; i < count; i++)
        export->by_name[i] = i;
    qsort_r(export->by_name, count, sizeof *export->by_name, compare_columns, export);
    return EXIT_OK;
}

/* --- rows --------------------------------------------------------------------------------- */

static int compare_text(struct slice name, const char *other)
{
    const size_t size = strlen(other);
    const int order = memcmp(name.data, other, name.size < size ? name.size : size);

    return order != 0 ? order : (name.size > size) - (name.size < size);
}

/* Both the member's fields and by_name are in the order of names.  False if the member has a
 * field that is no column. */
static bool take_values(struct export *export, struct slice member)
{
    char name[FIELD_NAME_MAX + 1];
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    struct slice field;
    struct slice text;
    size_t place = 0;
    size_t left;

    for (size_t i = 0; i < export->column_count; i++)
        export->values[i] = SLICE_NONE;
    mp_reader_init(&reader, member);
    left = mp_read_map(&reader, SIZE_MAX);
    while (next_text(&reader, &left, &last, &field, &text)) {
        while (place < export->column_count &&
               compare_text(field, export->columns[export->by_name[place]]) > 0)
            place++;
        if (place < export->column_count &&
            compare_text(field, export->columns[export->by_name[place]]) == 0)
            export->values[export->by_name[place]] = text;
        else if (!slice_copy_text(field, name, sizeof name) || !column_is_daemons(name))
            return false;
    }
    return true;
}

static void write_cells(const struct export *export, FILE *stream)
{
    for (size_t i = 0; i < export->column_count; i++) {
        if (i > 0)
            (void)putc(',', stream);
        csv_write_cell(stream, ',', export->values[i]);
    }
}

static enum exit_code write_line(const struct export *export)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory;

    if (!export->terminal) {
        write_cells(export, export->stream);
        (void)putc('\n', export->stream);
        return EXIT_OK;
    }
    if ((memory = open_memstream(&text, &size)) == NULL)
        return no_memory(export);
    write_cells(export, memory);
    if (fclose(memory) != 0) {
        free(text);
        return no_memory(export);
    }
    print_escaped(export->stream, text);
    (void)putc('\n', export->stream);
    free(text);
    return EXIT_OK;
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

static enum exit_code write_json(struct export *export, struct slice member)
{
    json_t *object = json_of_mp(member);

    if (object == NULL)
        return pages_malformed(export->session);
    (void)putc(export->count == 0 ? '[' : ',', export->stream);
    print_json(export->stream, object);
    json_decref(object);
    return EXIT_OK;
}

static enum exit_code write_member(struct export *export, struct slice member)
{
    enum exit_code exit_code;

    if (export->options->form == OUTPUT_JSON) {
        exit_code = write_json(export, member);
    } else if (!take_values(export, member)) {
        report_error(export->options, "run the same command again",
                     "a member was given a new field while the list was read");
        return EXIT_FAILED;
    } else {
        exit_code = write_line(export);
    }
    export->count++;
    return exit_code == EXIT_OK ? check_stream(export) : exit_code;
}

/* --- members that are changed meanwhile --------------------------------------------------- */

static enum exit_code report_spool(const struct export *export, enum status status)
{
    if (status == NO_MEMORY)
        return no_memory(export);
    report_error(
        export->options, "name another directory, with room: TMPDIR=DIR chapterctl export",
        "working files in %s cannot be written: %s", temporary_directory(), strerror(errno));
    return EXIT_FAILED;
}

/* Kept until all that were there before are written. */
static enum status keep_for_later(struct export *export, struct slice member,
                                  uint64_t *out_place)
{
    const uint64_t size = member.size;
    enum status status;

    if (size > SPOOL_PIECE_MAX)
        return TOO_LARGE;
    *out_place = export->later.size + 1;
    if ((status = spool_add(&export->later, &size, sizeof size)) != OK)
        return status;
    return spool_add(&export->later, member.data, member.size);
}

/* Members come by ascending seq, so that one of a seq that the chapter had when the walk began
 * comes for the first time. */
static enum exit_code take_member(void *context, struct slice member)
{
    struct export *export = context;
    struct sort_record key = { 0 };
    enum status status = OK;
    uint8_t id[ID_SIZE];
    struct slice text;
    uint64_t seq;

    if (!mp_map_get_text(member, "id", &text) || !uuid_parse(text, id) ||
        !mp_map_get_uint(member, "seq", &seq))
        return pages_malformed(export->session);
    memcpy(&key.high, id, sizeof key.high);
    memcpy(&key.low, id + sizeof key.high, sizeof key.low);
    if (seq > export->seq)
        status = keep_for_later(export, member, &key.value);
    if (status == OK)
        status = sorter_add(export->ids, key);
    if (status != OK)
        return report_spool(export, status);
    return seq > export->seq ? EXIT_OK : write_member(export, member);
}

static enum exit_code write_later(struct export *export, uint64_t place)
{
    const uint8_t *bytes = NULL;
    enum status status;
    uint64_t size;

    status = spool_get(&export->later, place - 1, sizeof size, &bytes);
    if (status == OK) {
        memcpy(&size, bytes, sizeof size);
        status = spool_get(&export->later, place - 1 + sizeof size, (size_t)size, &bytes);
    }
    return status == OK ? write_member(export, slice_of(bytes, (size_t)size))
                        : report_spool(export, status);
}

/* Of those that came later, the newest version of each that was not written before. */
static enum exit_code write_rest(struct export *export)
{
    struct sort_record last = { 0 };
    struct sort_record key;
    bool written = true;
    enum exit_code exit_code = EXIT_OK;
    enum status status;

    if (export->later.size == 0)
        return EXIT_OK;
    while ((status = sorter_next(export->ids, &key)) == OK && exit_code == EXIT_OK) {
        const bool same = key.high == last.high && key.low == last.low;

        if (!same && !written)
            exit_code = write_later(export, last.value);
        written = same ? written : key.value == 0;
        last = key;
    }
    if (status != OK && status != NOT_FOUND)
        return report_spool(export, status);
    return exit_code == EXIT_OK && !written ? write_later(export, last.value) : exit_code;
}

/* --- all of it ---------------------------------------------------------------------------- */

static enum exit_code write_members(struct export *export)
{
    struct own_chapter own;
    enum exit_code exit_code;

    if ((exit_code = own_chapter(export->session, &own)) != EXIT_OK)
        return exit_code;
    export->seq = own.seq;
    exit_code = own_members(export->session, &own, "exporting", take_member, export);
    return exit_code == EXIT_OK ? write_rest(export) : exit_code;
}

static enum exit_code begin_csv(struct export *export)
{
    struct own_chapter own;
    enum exit_code exit_code;

    if ((exit_code = own_chapter(export->session, &own)) != EXIT_OK)
        return exit_code;
    exit_code = own_members(export->session, &own, "reading columns", note_columns, export);
    if (exit_code == EXIT_OK)
        exit_code = list_columns(export);
    if (exit_code != EXIT_OK)
        return exit_code;
    for (size_t i = 0; i < export->column_count; i++)
        export->values[i] = slice_of_text(export->columns[i]);
    return write_line(export);
}

static enum exit_code write_all(struct export *export)
{
    const bool json = export->options->form == OUTPUT_JSON;
    enum exit_code exit_code = json ? EXIT_OK : begin_csv(export);

    if (exit_code == EXIT_OK)
        exit_code = write_members(export);
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
    enum exit_code exit_code;
    enum status status;

    if (sorter_new(SORTER_MEMORY, &export->ids) != OK)
        return no_memory(export);
    export->stream = stdout;
    export->terminal = export->path == NULL && isatty(STDOUT_FILENO) == 1;
    if (export->path != NULL) {
        if ((status = csv_output_open(export->path, &export->output)) != OK)
            return report_output(export, status);
        export->stream = export->output.stream;
    }
    exit_code = write_all(export);
    if (exit_code == EXIT_FAILED && interrupted())
        report_error(export->options, "the same command again", "interrupted: %s",
                     export->path == NULL ? "the output is not complete"
                                          : "nothing was written");
    if (exit_code != EXIT_OK || export->path == NULL)
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
        interrupt_catch();
        exit_code = export.extra == NULL ? no_memory(&export) : run(&export);
        interrupt_release();
    }
    csv_output_abort(&export.output);
    sorter_free(&export.ids);
    spool_done(&export.later);
    free(export.columns);
    free(export.by_name);
    free(export.values);
    json_decref(export.extra);
    arguments_done(&arguments);
    return exit_code;
}
