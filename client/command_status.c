/* SPDX-License-Identifier: MPL-2.0 */
/* command_status.c - status and counts: is this node in step, and how many members there are.
 * The state of sync is data here, never an exit code. */
#include <string.h>

#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/table.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define FINGERPRINT_SIZE 16 /* characters of a hash that people compare */

static const struct table_column feed_columns[] = {
    { "CHAPTER", "chapter", "the chapter (or hq) whose records these are", false, false },
    { "NAME", "name", "its name in the roster", false, false },
    { "MEMBERS", "members", "records of members in this node's copy, of any status", true,
      false },
    { "SEQ", "seq", "number of the newest change that this node has, verified", true, false },
    { "STATE", "state", "current, behind, stale (nothing fresh heard), forked or revoked",
      false, false },
    { "BEHIND", "behind_changes", "changes that are known to exist and are not here yet", true,
      false },
    { "SINCE", "behind_seconds", "for how long this node has known that it lacks them", true,
      false },
    { "HEAD", "head_time", "age of the newest head", true, false },
    { "HOLD", "hold_reason", "why nothing more is taken from it", false, false },
    { "EPOCH", "epoch", "counts restarts of the feed after a restore", true, true },
    { "DIGEST", "digest", "of the copy; equal on all nodes that are in step", false, true },
    { "HQ SEQ", "hq_seq", "how far the tier for HQ is here", true, true },
    { "FETCHED", "fetched_bytes", NULL, true, true },
    { "REFUSED", "refused", NULL, true, true }
};

static const struct table_column peer_columns[] = {
    { "PEER", "chapter", "a node that this one dials, or that dialled it", false, false },
    { "STATE", "state", "of the connection", false, false },
    { "SENT", "sent", "newest change of this node's feed that was sent to it", true, false },
    { "STORED", "stored", "newest one that it says it has stored", true, false },
    { "VERIFIED", "verified", "newest one whose digest it says it has verified", true, false },
    { "SEEN", "last_seen_seconds", "how long ago it said anything", true, false },
    { "ADDRESS", "address", "where it is dialled", false, true },
    { "DIALLED", "dialled", "yes if this node dialled it", false, true },
};

static enum cell_color color_of(const char *state)
{
    static const struct {
        const char *state;
        enum cell_color color;
    } colors[] = { { "ok", CELL_GOOD },     { "current", CELL_GOOD },
                   { "up", CELL_GOOD },     { "connected", CELL_GOOD },
                   { "forked", CELL_BAD },  { "diverged", CELL_BAD },
                   { "revoked", CELL_BAD }, { "quarantined", CELL_BAD },
                   { "refused", CELL_BAD }, { "denied", CELL_BAD } };

    for (size_t i = 0; i < COUNT_OF(colors); i++)
        if (strcmp(colors[i].state, state) == 0)
            return colors[i].color;
    return CELL_WARNING;
}

/* A hash by its beginning; whole in CSV. */
static void cell_hash(struct table *table, const struct options *options, const char *key,
                      const char *hash)
{
    char start[FINGERPRINT_SIZE + 1];

    (void)snprintf(start, sizeof start, "%s", hash);
    table_cell(table, key, options->form == OUTPUT_CSV ? hash : start);
}

static void cell_span(struct table *table, const json_t *object, const char *key)
{
    char span[SPAN_TEXT_SIZE];

    if (!json_is_integer(json_object_get(object, key)))
        return;
    format_span(json_count(object, key), span);
    table_cell(table, key, span);
}

static void add_feed(struct table *table, const struct options *options, const json_t *feed)
{
    char age[SPAN_TEXT_SIZE];

    table_row_of(table, feed);
    table_color(table, "state", color_of(json_text(feed, "state")));
    if (options->form == OUTPUT_CSV)
        return;
    cell_hash(table, options, "digest", json_text(feed, "digest"));
    if (json_count(feed, "behind_changes") == 0)
        table_cell(table, "behind_changes", "");
    if (json_count(feed, "behind_seconds") == 0)
        table_cell(table, "behind_seconds", "");
    else
        cell_span(table, feed, "behind_seconds");
    format_age(json_text(feed, "head_time"), age);
    table_cell(table, "head_time", age);
}

static enum exit_code print_feeds(const struct options *options, const json_t *feeds)
{
    CLEANUP(table_free)
    struct table *table = table_new(options, feed_columns, COUNT_OF(feed_columns));
    enum exit_code code;

    for (size_t i = 0; i < json_array_size(feeds); i++)
        add_feed(table, options, json_array_get(feeds, i));
    if ((code = table_print(table)) == EXIT_OK && options->verbose &&
        options->form == OUTPUT_TEXT)
        table_explain(table);
    return code;
}

static enum exit_code print_peers(const struct options *options, const json_t *peers)
{
    CLEANUP(table_free)
    struct table *table = table_new(options, peer_columns, COUNT_OF(peer_columns));
    enum exit_code code;

    for (size_t i = 0; i < json_array_size(peers); i++) {
        const json_t *peer = json_array_get(peers, i);

        table_row_of(table, peer);
        table_color(table, "state", color_of(json_text(peer, "state")));
        cell_span(table, peer, "last_seen_seconds");
    }
    if ((code = table_print(table)) == EXIT_OK && options->verbose)
        table_explain(table);
    return code;
}

static void print_counter(const char *name, json_int_t value)
{
    fputs("  ", stdout);
    print_escaped(stdout, name);
    printf("%*s%12" JSON_INTEGER_FORMAT "\n", strlen(name) < 20 ? (int)(20 - strlen(name)) : 1,
           "", value);
}

/* Of the node, and what was fetched and refused of all feeds. */
static void print_counters(const json_t *status)
{
    const json_t *feeds = json_object_get(status, "feeds");
    json_int_t fetched = 0;
    json_int_t refused = 0;
    const char *name;
    json_t *value;

    for (size_t i = 0; i < json_array_size(feeds); i++) {
        fetched += json_count(json_array_get(feeds, i), "fetched_bytes");
        refused += json_count(json_array_get(feeds, i), "refused");
    }
    puts("since the start:");
    json_object_foreach(json_object_get(status, "counters"), name, value)
        print_counter(name, json_integer_value(value));
    print_counter("fetched_bytes", fetched);
    print_counter("refused", refused);
}

static void print_colored(const struct options *options, enum cell_color color,
                          const char *text)
{
    static const char *const sequences[] = { "", "\033[32m", "\033[33m", "\033[31m" };

    if (options->color)
        fputs(sequences[color], stdout);
    print_escaped(stdout, text);
    if (options->color)
        fputs("\033[0m", stdout);
}

static void print_node(const struct options *options, const json_t *node)
{
    const char *state = json_text(node, "state");
    const char *name = json_text(node, "name");
    char federation[FINGERPRINT_SIZE + 1];

    (void)snprintf(federation, sizeof federation, "%s", json_text(node, "federation"));
    fputs("node ", stdout);
    print_escaped(stdout, json_text(node, "chapter"));
    if (name[0] != '\0') {
        fputs(" (", stdout);
        print_escaped(stdout, name);
        fputc(')', stdout);
    }
    fputs(strcmp(json_text(node, "role"), "hq") == 0 ? ", headquarters of " : ", chapter of ",
          stdout);
    print_escaped(stdout, options->verbose ? json_text(node, "federation") : federation);
    fputs(": ", stdout);
    print_colored(options, color_of(state), state);
    fputc('\n', stdout);
    if (options->verbose)
        print_line("chapterd %s", json_text(node, "version"));
}

static void print_alarms(const struct options *options, const json_t *alarms)
{
    for (size_t i = 0; i < json_array_size(alarms); i++) {
        const json_t *alarm = json_array_get(alarms, i);

        fputs("  ! ", stdout);
        print_colored(options, CELL_BAD, json_text(alarm, "text"));
        fputc('\n', stdout);
        if (json_text(alarm, "remedy")[0] != '\0')
            print_line("    try: %s", json_text(alarm, "remedy"));
    }
}

static enum exit_code print_status(const struct options *options, const json_t *status)
{
    const json_t *feeds = json_object_get(status, "feeds");
    const json_t *peers = json_object_get(status, "peers");
    enum exit_code code;

    if (options->form == OUTPUT_CSV)
        return print_feeds(options, feeds);
    print_node(options, json_object_get(status, "node"));
    print_alarms(options, json_object_get(status, "alarms"));
    fputc('\n', stdout);
    if ((code = print_feeds(options, feeds)) != EXIT_OK)
        return code;
    fputc('\n', stdout);
    if (json_array_size(peers) == 0)
        puts("no peers");
    else if ((code = print_peers(options, peers)) != EXIT_OK)
        return code;
    if (!options->verbose)
        return EXIT_OK;
    fputc('\n', stdout);
    print_counters(status);
    return EXIT_OK;
}

enum exit_code command_status(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *status = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 0, 1, &arguments) ||
        (arguments.word_count == 1 && !arguments_code(options, arguments.words[0])))
        return EXIT_USAGE;
    if (arguments.word_count == 1)
        (void)json_object_set_new(arguments.args, "chapter", json_string(arguments.words[0]));
    if ((code = session_request(session, "status", arguments.args, &status)) != EXIT_OK)
        return code;
    if (options->form == OUTPUT_JSON)
        print_json(stdout, status);
    else
        code = print_status(options, status);
    json_decref(status);
    return code;
}

/* --- counts ---------------------------------------------------------------------------- */

static const struct table_column count_columns[] = {
    { "KEY", "key", NULL, false, false },
    { "NAME", "name", NULL, false, false },
    { "MEMBERSHIPS", "memberships", NULL, true, false },
    { "INDIVIDUALS", "individuals", NULL, true, false },
    { "ORGANIZATIONS", "organizations", NULL, true, false },
    { "AFFILIATES", "affiliates", NULL, true, false }
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
