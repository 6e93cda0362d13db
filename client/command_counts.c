/* SPDX-License-Identifier: MPL-2.0 */
/* command_counts.c - how many members there are, and how current that is. */
#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/table.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The name comes last: it may be written from right to left. */
static const struct table_column count_columns[] = {
    { "KEY", "key", NULL, 0, 0 },
    { "MEMBERSHIPS", "memberships", NULL, COLUMN_RIGHT, 0 },
    { "INDIVIDUALS", "individuals", NULL, COLUMN_RIGHT, 5 },
    { "ORGANIZATIONS", "organizations", NULL, COLUMN_RIGHT, 6 },
    { "AFFILIATES", "affiliates", NULL, COLUMN_RIGHT, 7 },
    { "NAME", "name", NULL, COLUMN_SHRINKS, 8 }
};

static void print_totals(const json_t *counts)
{
    const json_t *persons = json_object_get(counts, "persons");

    print_line("%" JSON_INTEGER_FORMAT " memberships in %" JSON_INTEGER_FORMAT
               " countries: %" JSON_INTEGER_FORMAT " individuals, %" JSON_INTEGER_FORMAT
               " organizations, %" JSON_INTEGER_FORMAT " affiliates",
               json_count(counts, "memberships"), json_count(counts, "countries"),
               json_count(counts, "individuals"), json_count(counts, "organizations"),
               json_count(counts, "affiliates"));
    if (json_is_integer(persons))
        print_line("%" JSON_INTEGER_FORMAT " distinct persons", json_integer_value(persons));
    print_line("as of %s, %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
               " chapters current",
               json_text(counts, "as_of"), json_count(counts, "chapters_current"),
               json_count(counts, "chapters_total"));
}

static enum exit_code print_counts(const struct options *options, const json_t *counts)
{
    static const char *const order[] = { "as_of",       "chapters_current", "chapters_total",
                                         "memberships", "persons",          "countries",
                                         "individuals", "organizations",    "affiliates",
                                         NULL };
    const json_t *rows = json_object_get(counts, "rows");
    const bool grouped = json_array_size(rows) > 0;

    if (options->form == OUTPUT_CSV && grouped)
        return print_objects(options, count_columns, COUNT_OF(count_columns), rows);
    if (options->form == OUTPUT_CSV) {
        json_t *totals = json_copy((json_t *)counts);
        enum exit_code code;

        (void)json_object_del(totals, "rows");
        (void)json_object_del(totals, "by");
        code = print_object(options, order, totals);
        json_decref(totals);
        return code;
    }
    print_totals(counts);
    if (!grouped)
        return EXIT_OK;
    fputc('\n', stdout);
    return print_objects(options, count_columns, COUNT_OF(count_columns), rows);
}

enum exit_code command_counts(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = { { "--by", "by", ARGUMENT_TEXT },
                                                  { "--trend", NULL, ARGUMENT_LATER },
                                                  { "--at", NULL, ARGUMENT_LATER } };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *counts = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, rules, COUNT_OF(rules), 0, 0, &arguments))
        return EXIT_USAGE;
    if ((code = session_request(session, "counts", arguments.args, &counts)) != EXIT_OK)
        return code;
    if (options->form == OUTPUT_JSON)
        print_json(stdout, counts);
    else
        code = print_counts(options, counts);
    json_decref(counts);
    return code;
}
