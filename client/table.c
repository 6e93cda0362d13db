/* SPDX-License-Identifier: MPL-2.0 */
/* table.c - tables through libsmartcols, which knows how wide characters are on a terminal.
 * The first failure stays until table_print says it. */
#include "client/table.h"

#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/output.h"

struct table {
    const struct options *options;
    const struct table_column *columns;
    size_t column_count;
    struct libscols_table *scols;
    struct libscols_line *line;
    bool failed;
};

static bool is_shown(const struct table *table, const struct table_column *column)
{
    return !column->verbose || table->options->verbose || table->options->form == OUTPUT_CSV;
}

static void add_columns(struct table *table)
{
    const bool csv = table->options->form == OUTPUT_CSV;

    for (size_t i = 0; i < table->column_count; i++) {
        const struct table_column *column = &table->columns[i];
        struct libscols_column *added;

        if (!is_shown(table, column))
            continue;
        added = scols_table_new_column(table->scols, csv ? column->key : column->title, 0,
                                       column->right ? SCOLS_FL_RIGHT : 0);
        if (added == NULL)
            table->failed = true;
        else if (table->options->color)
            (void)scols_cell_set_color(scols_column_get_header(added), "\033[1m");
    }
}

struct table *table_new(const struct options *options, const struct table_column *columns,
                        size_t count)
{
    struct table *table = calloc(1, sizeof *table);

    if (table == NULL)
        return NULL;
    table->options = options;
    table->columns = columns;
    table->column_count = count;
    if ((table->scols = scols_new_table()) == NULL) {
        free(table);
        return NULL;
    }
    (void)scols_table_enable_colors(table->scols, options->color);
    add_columns(table);
    return table;
}

void table_free(struct table **table)
{
    if (*table == NULL)
        return;
    scols_unref_table((*table)->scols);
    free(*table);
    *table = NULL;
}

void table_row(struct table *table)
{
    if (table == NULL || table->failed)
        return;
    table->line = scols_table_new_line(table->scols, NULL);
    table->failed = table->line == NULL;
}

/* Where the shown column of that key stands; -1 if it is not shown. */
static int position_of(const struct table *table, const char *key)
{
    int position = 0;

    for (size_t i = 0; i < table->column_count; i++) {
        if (!is_shown(table, &table->columns[i]))
            continue;
        if (strcmp(table->columns[i].key, key) == 0)
            return position;
        position++;
    }
    return -1;
}

void table_cell(struct table *table, const char *key, const char *text)
{
    char *shown;
    int position;

    if (table == NULL || table->failed || (position = position_of(table, key)) < 0)
        return;
    if (text != NULL && table->options->form == OUTPUT_CSV)
        shown = strdup(text); /* print_csv_field escapes where it must */
    else
        shown = text == NULL ? NULL : escape_text(text);
    if (shown == NULL || scols_line_refer_data(table->line, (size_t)position, shown) != 0) {
        free(shown);
        table->failed = true;
    }
}

void table_color(struct table *table, const char *key, enum cell_color color)
{
    static const char *const sequences[] = { NULL, "\033[32m", "\033[33m", "\033[31m" };
    int position;

    if (table == NULL || table->failed || !table->options->color || color == CELL_PLAIN ||
        (position = position_of(table, key)) < 0)
        return;
    (void)scols_cell_set_color(scols_line_get_cell(table->line, (size_t)position),
                               sequences[color]);
}

void table_row_of(struct table *table, const json_t *object)
{
    if (table == NULL)
        return;
    table_row(table);
    for (size_t i = 0; i < table->column_count; i++) {
        char *text = format_value(json_object_get(object, table->columns[i].key));

        table_cell(table, table->columns[i].key, text);
        free(text);
    }
}

static void print_csv_text(FILE *stream, const char *text)
{
    const bool formula = text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;
    const bool quoted = formula || text[strcspn(text, ",\"\r\n")] != '\0' || text[0] == ' ' ||
                        (text[0] != '\0' && text[strlen(text) - 1] == ' ');

    if (!quoted) {
        fputs(text, stream);
        return;
    }
    fputc('"', stream);
    if (formula)
        fputc('\'', stream);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

void print_csv_field(FILE *stream, const char *text)
{
    char *escaped = isatty(fileno(stream)) == 1 ? escape_text(text) : NULL;

    print_csv_text(stream, escaped == NULL ? text : escaped);
    free(escaped);
}

static void print_csv(const struct table *table)
{
    const size_t columns = scols_table_get_ncols(table->scols);
    const size_t lines = scols_table_get_nlines(table->scols);

    for (size_t i = 0; i < columns; i++) {
        struct libscols_column *column = scols_table_get_column(table->scols, i);

        if (i > 0)
            fputc(',', stdout);
        print_csv_field(stdout, scols_cell_get_data(scols_column_get_header(column)));
    }
    fputc('\n', stdout);
    for (size_t i = 0; i < lines; i++) {
        struct libscols_line *line = scols_table_get_line(table->scols, i);

        for (size_t j = 0; j < columns; j++) {
            const char *text = scols_cell_get_data(scols_line_get_cell(line, j));

            if (j > 0)
                fputc(',', stdout);
            print_csv_field(stdout, text == NULL ? "" : text);
        }
        fputc('\n', stdout);
    }
}

enum exit_code table_print(struct table *table)
{
    if (table == NULL || table->failed) {
        fputs("chapterctl: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    if (table->options->form == OUTPUT_CSV)
        print_csv(table);
    else if (scols_table_get_nlines(table->scols) > 0)
        (void)scols_print_table(table->scols);
    return EXIT_OK;
}

void table_explain(const struct table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->column_count; i++)
        if (is_shown(table, &table->columns[i]) && table->columns[i].meaning != NULL)
            printf("  %-12s %s\n", table->columns[i].title, table->columns[i].meaning);
}

enum exit_code print_objects(const struct options *options, const struct table_column *columns,
                             size_t count, const json_t *array)
{
    struct table *table = table_new(options, columns, count);
    enum exit_code code;

    for (size_t i = 0; i < json_array_size(array); i++)
        table_row_of(table, json_array_get(array, i));
    code = table_print(table);
    table_free(&table);
    return code;
}

static void print_member(struct table *table, const char *prefix, const char *key,
                         const json_t *value)
{
    char name[128];
    char *text;
    const char *inner_key;
    json_t *inner;

    (void)snprintf(name, sizeof name, "%s%s", prefix, key);
    if (json_is_object(value)) {
        (void)strncat(name, ".", sizeof name - strlen(name) - 1);
        json_object_foreach((json_t *)value, inner_key, inner)
            print_member(table, name, inner_key, inner);
        return;
    }
    text = format_value(value);
    table_row(table);
    table_cell(table, "name", name);
    table_cell(table, "value", text);
    free(text);
}

static bool is_among(const char *const *names, const char *name)
{
    for (; *names != NULL; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

enum exit_code print_object(const struct options *options, const char *const *first,
                            const json_t *object)
{
    static const struct table_column columns[] = { { "NAME", "name", NULL, false, false },
                                                   { "VALUE", "value", NULL, false, false } };
    struct table *table = table_new(options, columns, 2);
    enum exit_code code;
    const char *key;
    json_t *value;

    for (size_t i = 0; first[i] != NULL; i++)
        if ((value = json_object_get(object, first[i])) != NULL)
            print_member(table, "", first[i], value);
    json_object_foreach((json_t *)object, key, value) if (!is_among(first, key))
        print_member(table, "", key, value);
    if (table != NULL && options->form == OUTPUT_TEXT)
        (void)scols_table_enable_noheadings(table->scols, 1);
    code = table_print(table);
    table_free(&table);
    return code;
}
