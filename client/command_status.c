/* SPDX-License-Identifier: MPL-2.0 */
/* command_status.c - status: is this node in step; its alarms, every feed and every peer.
 * The state of sync is data here, never an exit code. */
#include <stdlib.h>
#include <string.h>

#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/table.h"
#include "client/terminal.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define FINGERPRINT_SIZE 16 /* characters of a hash that people compare */
#define ALARMS_BRIEF 5      /* listed where the screen is small */
#define LINES_AROUND 9      /* of status, besides its rows */

static const struct table_column feed_columns[] = {
    { "CHAPTER", "chapter", "the chapter (or hq) whose records these are", 0, 0 },
    { "NAME", "name", "its name in the roster", COLUMN_SHRINKS, 8 },
    { "STATE", "state", "current, behind, stale (nothing fresh heard), forked or revoked", 0,
      0 },
    { "MEMBERS", "members", "records of members in this copy, of any status", COLUMN_RIGHT, 4 },
    { "SEQ", "seq", "number of the newest change that this node has, verified", COLUMN_RIGHT,
      5 },
    { "BEHIND", "behind_changes", "changes that are known to exist and are not here yet",
      COLUMN_RIGHT, 2 },
    { "SINCE", "behind_seconds", "for how long this node has known that it lacks them",
      COLUMN_RIGHT, 6 },
    { "HEARD", "head_time", "how long ago it last said which of its changes is the newest",
      COLUMN_RIGHT, 3 },
    { "HOLD", "hold_reason", "why nothing more is taken from it", 0, 1 },
    { "EPOCH", "epoch", "counts restarts of the feed after a restore",
      COLUMN_RIGHT | COLUMN_VERBOSE, 13 },
    { "DIGEST", "digest", "of the copy; equal on all nodes that are in step", COLUMN_VERBOSE,
      9 },
    { "HQ SEQ", "hq_seq", "how far the tier for HQ (names, e-mail) is here",
      COLUMN_RIGHT | COLUMN_VERBOSE, 10 },
    { "FETCHED", "fetched_bytes", "bytes asked for since the start, to fill gaps",
      COLUMN_RIGHT | COLUMN_VERBOSE, 11 },
    { "REFUSED", "refused",
      "messages of it refused since the start: not signed by it, or wrong",
      COLUMN_RIGHT | COLUMN_VERBOSE, 12 }
};

static const struct table_column peer_columns[] = {
    { "PEER", "chapter", "a node that this one dials, or that dialled it", 0, 0 },
    { "STATE", "state", "of the connection: up, connecting, denied (it refuses us) or down", 0,
      0 },
    { "SENT", "sent", "newest change of this node's feed that was sent to it", COLUMN_RIGHT,
      5 },
    { "STORED", "stored", "newest one that it says it has stored", COLUMN_RIGHT, 6 },
    { "VERIFIED", "verified", "newest one whose digest it says it has verified", COLUMN_RIGHT,
      4 },
    { "SEEN", "last_seen_seconds", "how long ago it said anything", COLUMN_RIGHT, 3 },
    { "ADDRESS", "address", "where it is dialled", COLUMN_VERBOSE, 7 },
    { "DIALLED", "dialled", "yes if this node dialled it", COLUMN_VERBOSE, 8 },
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

/* A hash by its beginning. */
static void cell_hash(struct table *table, const char *key, const char *hash)
{
    char start[FINGERPRINT_SIZE + 1];

    (void)snprintf(start, sizeof start, "%s", hash);
    table_cell(table, key, start);
}

static void cell_span(struct table *table, const json_t *object, const char *key)
{
    char span[SPAN_TEXT_SIZE];

    if (!json_is_integer(json_object_get(object, key)))
        return;
    format_span(json_count(object, key), span);
    table_cell(table, key, span);
}

static void add_feed(struct table *table, const json_t *feed)
{
    char age[SPAN_TEXT_SIZE];

    table_row_of(table, feed);
    table_color(table, "state", color_of(json_text(feed, "state")));
    cell_hash(table, "digest", json_text(feed, "digest"));
    if (json_count(feed, "behind_changes") == 0)
        table_cell(table, "behind_changes", "");
    if (json_count(feed, "behind_seconds") == 0)
        table_cell(table, "behind_seconds", "");
    else
        cell_span(table, feed, "behind_seconds");
    format_age(json_text(feed, "head_time"), age);
    table_cell(table, "head_time", age);
}

static void add_peer(struct table *table, const json_t *peer)
{
    table_row_of(table, peer);
    table_color(table, "state", color_of(json_text(peer, "state")));
    cell_span(table, peer, "last_seen_seconds");
    if (strcmp(json_text(peer, "state"), "up") != 0) { /* what it said went with the link */
        table_cell(table, "sent", "");
        table_cell(table, "stored", "");
        table_cell(table, "verified", "");
    }
}

/* --- rows in the order of trouble --------------------------------------------------------- */

/* Worst first; what is not among them is of another version, and leads. */
static const char *const feed_states[] = { "forked", "revoked", "behind", "stale", "current" };
static const char *const peer_states[] = { "denied", "down", "connecting", "up" };

typedef void add_row(struct table *table, const json_t *row);

/* How feeds and peers are listed. */
struct listing {
    const char *noun;
    const char *const *states;
    size_t state_count;
    const struct table_column *columns;
    size_t column_count;
    add_row *add;
};

static const struct listing feed_listing = {
    "feed", feed_states, COUNT_OF(feed_states), feed_columns, COUNT_OF(feed_columns), add_feed
};
static const struct listing peer_listing = {
    "peer", peer_states, COUNT_OF(peer_states), peer_columns, COUNT_OF(peer_columns), add_peer
};

static size_t rank_of(const struct listing *listing, const json_t *row)
{
    for (size_t i = 0; i < listing->state_count; i++)
        if (strcmp(listing->states[i], json_text(row, "state")) == 0)
            return i + 1;
    return 0;
}

/* On a screen that is too small for all, those that are well are only counted. */
static bool is_calm(const struct listing *listing, const json_t *row)
{
    return rank_of(listing, row) == listing->state_count &&
           json_count(row, "behind_changes") == 0 && json_text(row, "hold_reason")[0] == '\0';
}

/* "86 feeds: 1 forked, 85 current (83 that are well are not listed: -v)" */
static void print_tally(const struct listing *listing, const json_t *rows, size_t unlisted)
{
    const size_t count = json_array_size(rows);
    const char *separator = ": ";

    printf("%zu %s%s", count, listing->noun, count == 1 ? "" : "s");
    for (size_t rank = 0; rank <= listing->state_count; rank++) {
        size_t of_rank = 0;

        for (size_t i = 0; i < count; i++)
            of_rank += rank_of(listing, json_array_get(rows, i)) == rank;
        if (of_rank == 0)
            continue;
        printf("%s%zu %s", separator, of_rank,
               rank == 0 ? "in another state" : listing->states[rank - 1]);
        separator = ", ";
    }
    if (unlisted == count && count > 0)
        fputs(" (-v lists them)", stdout);
    else if (unlisted > 0)
        printf(" (%zu that are well are not listed: -v)", unlisted);
    fputc('\n', stdout);
}

/* All rows, or those alone that need an operator's eye. */
static enum exit_code print_listing(const struct options *options,
                                    const struct listing *listing, const json_t *rows,
                                    bool brief)
{
    CLEANUP(table_free)
    struct table *table = table_new(options, listing->columns, listing->column_count);
    size_t unlisted = 0;
    enum exit_code code;

    for (size_t rank = 0; rank <= listing->state_count; rank++)
        for (size_t i = 0; i < json_array_size(rows); i++) {
            const json_t *row = json_array_get(rows, i);

            if (rank_of(listing, row) != rank)
                continue;
            if (brief && is_calm(listing, row))
                unlisted++;
            else
                listing->add(table, row);
        }
    print_tally(listing, rows, unlisted);
    if ((code = table_print(table)) == EXIT_OK && options->verbose)
        table_explain(table);
    return code;
}

/* --- counters ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *meaning;
} counters[] = {
#define COUNTER_ROW(name, text) { #name, text },
    COUNTER_TABLE(COUNTER_ROW)
        TRAFFIC_TABLE(COUNTER_ROW){ "store_used_bytes", "bytes of the store that are in use" },
    { "fetched_bytes", "bytes asked for to fill gaps, of all feeds" },
    { "refused", "messages refused, of all feeds: not signed by their origin, or wrong" },
#undef COUNTER_ROW
};

static void print_counter(const char *name, json_int_t value)
{
    const char *meaning = "";
    char first[64];

    for (size_t i = 0; i < COUNT_OF(counters); i++)
        if (strcmp(counters[i].name, name) == 0)
            meaning = counters[i].meaning;
    (void)snprintf(first, sizeof first, "  %-20s %10" JSON_INTEGER_FORMAT "  ", name, value);
    print_wrapped(first, meaning);
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

/* --- the node ----------------------------------------------------------------------------- */

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

/* The name is cut, so that the state stays on the line. */
static void print_node(const struct options *options, const json_t *node)
{
    const char *state = json_text(node, "state");
    const size_t taken =
        strlen("node , : ") + strlen(json_text(node, "chapter")) + strlen(state);
    const size_t width = terminal_width() > taken + 1 ? terminal_width() - taken : 0;
    char *escaped = escape_text(json_text(node, "name"));
    char *name = escaped == NULL || width == 0 ? NULL : text_cut(escaped, width);
    char federation[2 * HASH_SIZE + 1];

    fputs("node ", stdout);
    print_escaped(stdout, json_text(node, "chapter"));
    fputs(", ", stdout);
    fputs(name != NULL ? name : escaped != NULL ? escaped : "", stdout);
    fputs(": ", stdout);
    print_colored(options, color_of(state), state);
    fputc('\n', stdout);
    free(name);
    free(escaped);
    (void)snprintf(federation, options->verbose ? sizeof federation : FINGERPRINT_SIZE + 1,
                   "%s", json_text(node, "federation"));
    print_line("%s of %s (%s)",
               strcmp(json_text(node, "role"), "hq") == 0 ? "headquarters" : "chapter",
               json_text(node, "federation_name"), federation);
    if (options->verbose)
        print_line("chapterd %s, sandbox: %s", json_text(node, "version"),
                   json_text(node, "sandbox"));
}

static void print_alarm(const struct options *options, const json_t *alarm)
{
    char *remedy = remedy_here(options, json_text(alarm, "remedy"));

    if (options->color)
        fputs("\033[31m", stdout);
    print_wrapped("  ! ", json_text(alarm, "text"));
    if (options->color)
        fputs("\033[0m", stdout);
    if (remedy != NULL && remedy[0] != '\0')
        print_wrapped("    try: ", remedy);
    free(remedy);
}

static void print_alarms(const struct options *options, const json_t *alarms, bool brief)
{
    const size_t count = json_array_size(alarms);
    const size_t shown = brief && count > ALARMS_BRIEF ? ALARMS_BRIEF : count;

    for (size_t i = 0; i < shown; i++)
        print_alarm(options, json_array_get(alarms, i));
    if (shown < count)
        printf("  ! and %zu more; -v lists all\n", count - shown);
}

/* On a terminal that cannot show all rows at once. */
static bool is_brief(const struct options *options, const json_t *feeds, const json_t *peers)
{
    const size_t height = terminal_height();

    return !options->verbose && height != 0 &&
           json_array_size(feeds) + json_array_size(peers) + LINES_AROUND > height;
}

static enum exit_code print_status(const struct options *options, const json_t *status)
{
    const json_t *feeds = json_object_get(status, "feeds");
    const json_t *peers = json_object_get(status, "peers");
    const bool brief = is_brief(options, feeds, peers);
    enum exit_code code;

    if (options->form == OUTPUT_CSV)
        return print_objects(options, feed_columns, COUNT_OF(feed_columns), feeds);
    print_node(options, json_object_get(status, "node"));
    print_alarms(options, json_object_get(status, "alarms"), brief);
    fputc('\n', stdout);
    if ((code = print_listing(options, &feed_listing, feeds, brief)) != EXIT_OK)
        return code;
    fputc('\n', stdout);
    if ((code = print_listing(options, &peer_listing, peers, brief)) != EXIT_OK)
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
