/* SPDX-License-Identifier: MPL-2.0 */
/* table.c - tables through libsmartcols, which knows how wide characters are on a terminal.
 * The first failure stays until table_print says it. */
#include "client/table.h"

#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/output.h"
#include "client/terminal.h"

#define COLUMNS_MAX 32
#define SHRINK_WIDTH 20    /* names are cut to this before a column is left out, */
#define SHRINK_WIDTH_MIN 4 /* and to this where none can be */

struct table {
    const struct options *options;
    const struct table_column *columns;
    size_t column_count;
    struct libscols_table *scols;
    struct libscols_line *line;
    bool failed;
    char left_out[256]; /* titles of columns that the terminal is too narrow for */
};

static bool is_shown(const struct table *table, const struct table_column *column)
{
    return (column->flags & COLUMN_VERBOSE) == 0 || table->options->verbose ||
           table->options->form == OUTPUT_CSV;
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
                                       column->flags & COLUMN_RIGHT ? SCOLS_FL_RIGHT : 0);
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
    /* what is too wide is cut here, by what it is worth */
    (void)scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_NEVER);
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

/* --- fitting a terminal ------------------------------------------------------------------ */

/* Of the shown columns, as they are to be printed. */
struct fit {
    const struct table_column *columns[COLUMNS_MAX];
    size_t count;
    size_t widths[COLUMNS_MAX];
    bool empty[COLUMNS_MAX];
    bool hidden[COLUMNS_MAX];
};

static const char *text_at(const struct table *table, size_t line, size_t column)
{
    const char *text = scols_cell_get_data(
        scols_line_get_cell(scols_table_get_line(table->scols, line), column));

    return text == NULL ? "" : text;
}

static void measure(const struct table *table, struct fit *fit)
{
    const size_t lines = scols_table_get_nlines(table->scols);

    memset(fit, 0, sizeof *fit);
    for (size_t i = 0; i < table->column_count && fit->count < COLUMNS_MAX; i++) {
        const struct table_column *column = &table->columns[i];
        const size_t position = fit->count;
        size_t widest = 0;

        if (!is_shown(table, column))
            continue;
        for (size_t line = 0; line < lines; line++) {
            const size_t width = text_width(text_at(table, line, position));

            if (width > widest)
                widest = width;
        }
        fit->empty[position] = widest == 0;
        fit->widths[position] =
            widest > text_width(column->title) ? widest : text_width(column->title);
        fit->columns[position] = column;
        fit->count++;
    }
}

static size_t total_width(const struct fit *fit)
{
    size_t total = 0;

    for (size_t i = 0; i < fit->count; i++)
        if (!fit->hidden[i])
            total += fit->widths[i] + 1;
    return total == 0 ? 0 : total - 1;
}

/* Takes what is over from the columns that may shrink, if they can give it all. */
static bool shrink(struct fit *fit, size_t over, size_t width_min)
{
    size_t spare = 0;

    for (size_t i = 0; i < fit->count; i++)
        if (!fit->hidden[i] && (fit->columns[i]->flags & COLUMN_SHRINKS) != 0 &&
            fit->widths[i] > width_min)
            spare += fit->widths[i] - width_min;
    if (spare < over)
        return false;
    for (size_t i = 0; i < fit->count && over > 0; i++)
        if (!fit->hidden[i] && (fit->columns[i]->flags & COLUMN_SHRINKS) != 0 &&
            fit->widths[i] > width_min) {
            const size_t left = fit->widths[i] - width_min;
            const size_t taken = left < over ? left : over;

            fit->widths[i] -= taken;
            over -= taken;
        }
    return true;
}

/* Empty columns go before any other, then the highest rank; false if none may. */
static bool leave_out(struct fit *fit)
{
    size_t chosen = fit->count;

    for (size_t i = 0; i < fit->count; i++) {
        if (fit->hidden[i] || fit->columns[i]->rank == 0)
            continue;
        if (chosen == fit->count || fit->empty[i] > fit->empty[chosen] ||
            (fit->empty[i] == fit->empty[chosen] &&
             fit->columns[i]->rank > fit->columns[chosen]->rank))
            chosen = i;
    }
    if (chosen == fit->count)
        return false;
    fit->hidden[chosen] = true;
    return true;
}

static void choose(struct fit *fit, size_t width)
{
    size_t total;

    while ((total = total_width(fit)) > width) {
        if (shrink(fit, total - width, SHRINK_WIDTH) || leave_out(fit))
            continue;
        (void)shrink(fit, total - width, SHRINK_WIDTH_MIN);
        return;
    }
}

static void cut_cells(struct table *table, const struct fit *fit, size_t column)
{
    const size_t lines = scols_table_get_nlines(table->scols);

    for (size_t line = 0; line < lines; line++) {
        const char *text = text_at(table, line, column);
        char *cut;

        if (text_width(text) <= fit->widths[column])
            continue;
        cut = text_cut(text, fit->widths[column]);
        if (cut == NULL ||
            scols_line_refer_data(scols_table_get_line(table->scols, line), column, cut) != 0) {
            free(cut);
            table->failed = true;
            return;
        }
    }
}

static void note_left_out(struct table *table, const char *title)
{
    const size_t used = strlen(table->left_out);

    (void)snprintf(table->left_out + used, sizeof table->left_out - used, "%s%s",
                   used == 0 ? "" : ", ", title);
}

static void fit_terminal(struct table *table)
{
    const size_t width = terminal_width();
    struct fit fit;

    if (width == 0 || table->options->form == OUTPUT_CSV)
        return;
    measure(table, &fit);
    choose(&fit, width);
    for (size_t i = 0; i < fit.count; i++) {
        struct libscols_column *column = scols_table_get_column(table->scols, i);

        if (fit.hidden[i])
            (void)scols_column_set_flags(column,
                                         scols_column_get_flags(column) | SCOLS_FL_HIDDEN);
        else if ((fit.columns[i]->flags & COLUMN_SHRINKS) != 0)
            cut_cells(table, &fit, i);
        if (fit.hidden[i] && !fit.empty[i])
            note_left_out(table, fit.columns[i]->title);
    }
}

/* --- printing ---------------------------------------------------------------------------- */

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

static enum exit_code report_no_memory(void)
{
    fputs("chapterctl: out of memory\n", stderr);
    return EXIT_FAILED;
}

/* Without the blanks that fill up the last column. */
static void print_trimmed(const char *text)
{
    while (*text != '\0') {
        const size_t size = strcspn(text, "\n");
        size_t kept = size;

        while (kept > 0 && text[kept - 1] == ' ')
            kept--;
        printf("%.*s\n", (int)kept, text);
        text += size + (text[size] == '\n');
    }
}

enum exit_code table_print(struct table *table)
{
    char *text = NULL;

    if (table == NULL || table->failed)
        return report_no_memory();
    if (table->options->form == OUTPUT_CSV) {
        print_csv(table);
        return EXIT_OK;
    }
    if (scols_table_get_nlines(table->scols) == 0)
        return EXIT_OK;
    fit_terminal(table);
    if (table->failed)
        return report_no_memory();
    if (scols_print_table_to_string(table->scols, &text) != 0)
        return report_no_memory();
    print_trimmed(text);
    free(text);
    if (table->left_out[0] != '\0')
        notice(table->options, "(this terminal is too narrow for %s)", table->left_out);
    return EXIT_OK;
}

void table_explain(const struct table *table)
{
    size_t position = 0;

    if (table == NULL)
        return;
    for (size_t i = 0; i < table->column_count; i++) {
        const struct table_column *column = &table->columns[i];
        char first[32];

        if (!is_shown(table, column) ||
            scols_column_is_hidden(scols_table_get_column(table->scols, position++)) != 0 ||
            column->meaning == NULL)
            continue;
        (void)snprintf(first, sizeof first, "  %-12s ", column->title);
        print_wrapped(first, column->meaning);
    }
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
    static const struct table_column columns[] = { { "NAME", "name", NULL, 0, 0 },
                                                   { "VALUE", "value", NULL, 0, 0 } };
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
