/* SPDX-License-Identifier: MPL-2.0 */
/* control_counts.c - how many members there are, by what: from the counters of the census, at
 * a cost of the number of groups. */
#include "daemon/control_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/country.h"

#define VALUE_SLOTS_MIN 256 /* a power of two; countries alone do not fill half of it */

/* Members of one group, by kind. */
struct tally {
    uint64_t kind[KIND_COUNT];
};

struct row {
    char key[CODE_SIZE];
    const char *name;
    struct tally tally;
};

struct rows {
    struct row *list;
    size_t count;
    size_t capacity;
};

enum grouping { BY_NOTHING, BY_CHAPTER, BY_COUNTRY, BY_KIND, BY_STATUS, BY_MONTH };
static const char *const grouping_names[] = { NULL,   "chapter", "country",
                                              "kind", "status",  "month" };

static uint64_t tally_sum(const struct tally *tally)
{
    uint64_t sum = 0;

    for (int kind = 0; kind < KIND_COUNT; kind++)
        sum += tally->kind[kind];
    return sum;
}

/* --- the census --------------------------------------------------------------------------- */

/* Active members of one value: of a country or a month, as it stands in a census key. */
struct value_tally {
    bool used;
    uint16_t value;
    struct tally tally;
};

/* A dimension of one number: active members by value, and by status whatever the value. */
struct dimension {
    bool by_value;              /* wanted */
    struct value_tally *values; /* open addressing */
    size_t slots;
    size_t used;
    struct tally by_status[MEMBER_STATUS_COUNT];
};

static void dimension_done(struct dimension *dimension)
{
    free(dimension->values);
}

static struct value_tally *find_value(const struct dimension *dimension, uint16_t value)
{
    size_t i = value * 40503u & (dimension->slots - 1);

    while (dimension->values[i].used && dimension->values[i].value != value)
        i = (i + 1) & (dimension->slots - 1);
    return &dimension->values[i];
}

/* Twice as many slots; they are never more than half full. */
static enum status grow_values(struct dimension *dimension)
{
    struct dimension grown = *dimension;

    grown.slots = dimension->slots == 0 ? VALUE_SLOTS_MIN : 2 * dimension->slots;
    if ((grown.values = calloc(grown.slots, sizeof *grown.values)) == NULL)
        return NO_MEMORY;
    for (size_t i = 0; i < dimension->slots; i++)
        if (dimension->values[i].used)
            *find_value(&grown, dimension->values[i].value) = dimension->values[i];
    free(dimension->values);
    *dimension = grown;
    return OK;
}

static enum status count_value(struct dimension *dimension, uint16_t value,
                               enum member_kind kind, uint64_t count)
{
    struct value_tally *found;
    enum status status;

    if (2 * dimension->used >= dimension->slots && (status = grow_values(dimension)) != OK)
        return status;
    found = find_value(dimension, value);
    if (!found->used)
        dimension->used++;
    found->used = true;
    found->value = value;
    found->tally.kind[kind] += count;
    return OK;
}

static enum status visit(void *context, const uint8_t key[CENSUS_KEY_SIZE], uint64_t count)
{
    struct dimension *dimension = context;
    struct census_group group;

    census_group_of(key, &group);
    if (group.kind <= KIND_NONE || group.kind >= KIND_COUNT || group.status <= MEMBER_NONE ||
        group.status >= MEMBER_STATUS_COUNT)
        return STORE_DAMAGED;
    dimension->by_status[group.status].kind[group.kind] += count;
    if (!dimension->by_value || group.status != MEMBER_ACTIVE)
        return OK;
    return count_value(dimension, (uint16_t)(key[3] << 8 | key[4]), group.kind, count);
}

static enum status scan(struct control_wait *request, uint32_t number, uint8_t letter,
                        struct dimension *out)
{
    const enum status status =
        store_census_scan(&request->node->txn, number, &letter, 1, visit, out);

    return status == OK || status == NO_MEMORY ? status : control_store_error(request, status);
}

/* --- rows --------------------------------------------------------------------------------- */

/* Groups without members have no row. */
static enum status add_row(struct rows *rows, const char *key, const char *name,
                           const struct tally *tally)
{
    struct row *row;

    if (tally_sum(tally) == 0)
        return OK;
    if (rows->count == rows->capacity) {
        const size_t capacity = rows->capacity == 0 ? 64 : 2 * rows->capacity;
        struct row *grown = realloc(rows->list, capacity * sizeof *grown);

        if (grown == NULL)
            return NO_MEMORY;
        rows->list = grown;
        rows->capacity = capacity;
    }
    row = &rows->list[rows->count++];
    memset(row, 0, sizeof *row);
    (void)snprintf(row->key, sizeof row->key, "%s", key);
    row->name = name;
    row->tally = *tally;
    return OK;
}

static void rows_done(struct rows *rows)
{
    free(rows->list);
}

static enum status rows_by_chapter(struct control_wait *request, struct rows *rows)
{
    const struct node *node = request->node;
    enum status status = OK;

    for (size_t i = 0; i < node->replica.feed_count && status == OK; i++) {
        const char *origin = node->feeds[i]->replica.feed.origin;
        const uint32_t number = node->feeds[i]->record.tier[TIER_FEDERATION].number;
        struct dimension dimension = { 0 };

        if (number == 0)
            continue;
        status = scan(request, number, CENSUS_COUNTRY, &dimension);
        if (status == OK)
            status = add_row(rows, origin, control_chapter_name(node, origin),
                             &dimension.by_status[MEMBER_ACTIVE]);
    }
    return status;
}

static enum status rows_by_value(const struct dimension *dimension, bool month,
                                 struct rows *rows)
{
    enum status status = OK;

    for (size_t i = 0; i < dimension->slots && status == OK; i++) {
        const struct value_tally *found = &dimension->values[i];
        const unsigned value = found->value;
        const char country[3] = { (char)(value >> 8), (char)(value & 0xff), '\0' };
        const char *name = NULL;
        char key[CODE_SIZE] = "";

        if (!found->used)
            continue;
        if (value != 0 && month)
            (void)snprintf(key, sizeof key, "%04u-%02u", value / 12, value % 12 + 1);
        else if (value != 0)
            (void)snprintf(key, sizeof key, "%s", country);
        if (!month)
            name = country_name(country);
        status = add_row(rows, key, name, &found->tally);
    }
    return status;
}

static enum status rows_by_kind(const struct dimension *dimension, struct rows *rows)
{
    enum status status = OK;

    for (int kind = 0; kind < KIND_COUNT && status == OK; kind++) {
        const char *name = member_kind_name((enum member_kind)kind);
        struct tally tally = { 0 };

        tally.kind[kind] = dimension->by_status[MEMBER_ACTIVE].kind[kind];
        if (name != NULL)
            status = add_row(rows, name, name, &tally);
    }
    return status;
}

/* The one grouping whose rows are not of active members alone. */
static enum status rows_by_status(const struct dimension *dimension, struct rows *rows)
{
    enum status status = OK;

    for (int i = 0; i < MEMBER_STATUS_COUNT && status == OK; i++) {
        const char *name = member_status_name((enum member_status)i);

        if (name != NULL)
            status = add_row(rows, name, name, &dimension->by_status[i]);
    }
    return status;
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *left = a;
    const struct row *right = b;
    const uint64_t left_sum = tally_sum(&left->tally);
    const uint64_t right_sum = tally_sum(&right->tally);

    if (left_sum != right_sum)
        return left_sum > right_sum ? -1 : 1;
    return strcmp(left->key, right->key);
}

/* --- the answer --------------------------------------------------------------------------- */

struct counts {
    enum grouping by;
    struct dimension whole; /* by country */
    struct rows rows;
    uint64_t countries;
    bool persons_known;
    uint64_t persons;
    uint64_t chapters_total;
    uint64_t chapters_current;
};

static void counts_done(struct counts *counts)
{
    dimension_done(&counts->whole);
    rows_done(&counts->rows);
}

static void count_chapters(const struct node *node, struct counts *counts)
{
    const int64_t now = node_now(node);

    for (size_t i = 0; i < node->roster_count; i++) {
        const struct roster_entry *entry = &node->roster[i]->entry;
        const uint32_t feed = node_feed_index(node, entry->code);

        if (strcmp(entry->code, "hq") == 0 || entry->state == CHAPTER_REVOKED)
            continue;
        counts->chapters_total++;
        if (feed != NO_PEER && replica_feed_state(&node->feeds[feed]->replica, &node->hq_beats,
                                                  node->is_hq, now) == STATE_CURRENT)
            counts->chapters_current++;
    }
}

/* Scans the counters of the whole view; months only if they are asked for. */
static enum status gather(struct control_wait *request, struct counts *counts)
{
    struct node *node = request->node;
    enum status status;

    counts->whole.by_value = true;
    if ((status = scan(request, 0, CENSUS_COUNTRY, &counts->whole)) != OK)
        return status;
    for (size_t i = 0; i < counts->whole.slots; i++)
        counts->countries += counts->whole.values[i].value != 0 &&
                             counts->whole.values[i].tally.kind[KIND_INDIVIDUAL] != 0;
    counts->persons_known = node->is_hq && !node->persons_due;
    if (counts->persons_known &&
        (status = store_person_count(&node->txn, &counts->persons)) != OK)
        return control_store_error(request, status);
    count_chapters(node, counts);
    return OK;
}

static enum status gather_rows(struct control_wait *request, struct counts *counts)
{
    CLEANUP(dimension_done) struct dimension months = { .by_value = true };
    enum status status = OK;

    switch (counts->by) {
    case BY_NOTHING:
        break;
    case BY_CHAPTER:
        status = rows_by_chapter(request, &counts->rows);
        break;
    case BY_COUNTRY:
        status = rows_by_value(&counts->whole, false, &counts->rows);
        break;
    case BY_KIND:
        status = rows_by_kind(&counts->whole, &counts->rows);
        break;
    case BY_STATUS:
        status = rows_by_status(&counts->whole, &counts->rows);
        break;
    case BY_MONTH:
        status = scan(request, 0, CENSUS_MONTH, &months);
        if (status == OK)
            status = rows_by_value(&months, true, &counts->rows);
        break;
    }
    if (status == OK && counts->rows.count > 0)
        qsort(counts->rows.list, counts->rows.count, sizeof counts->rows.list[0], compare_rows);
    return status;
}

static void write_row(struct mp_writer *writer, const struct row *row)
{
    mp_write_map(writer, 6);
    mp_write_key_uint(writer, "affiliates", row->tally.kind[KIND_AFFILIATE]);
    mp_write_key_uint(writer, "individuals", row->tally.kind[KIND_INDIVIDUAL]);
    mp_write_key_text(writer, "key", row->key);
    mp_write_key_uint(writer, "memberships", tally_sum(&row->tally));
    mp_write_text(writer, "name");
    if (row->name != NULL)
        mp_write_text(writer, row->name);
    else
        mp_write_nil(writer);
    mp_write_key_uint(writer, "organizations", row->tally.kind[KIND_ORGANIZATION]);
}

static void write_counts(struct mp_writer *writer, const struct counts *counts)
{
    const struct tally *active = &counts->whole.by_status[MEMBER_ACTIVE];

    mp_write_map(writer, 11);
    mp_write_key_uint(writer, "affiliates", active->kind[KIND_AFFILIATE]);
    mp_write_text(writer, "as_of");
    control_write_time(writer, (uint64_t)(clock_wall_ms() / 1000));
    mp_write_text(writer, "by");
    if (counts->by == BY_NOTHING)
        mp_write_nil(writer);
    else
        mp_write_text(writer, grouping_names[counts->by]);
    mp_write_key_uint(writer, "chapters_current", counts->chapters_current);
    mp_write_key_uint(writer, "chapters_total", counts->chapters_total);
    mp_write_key_uint(writer, "countries", counts->countries);
    mp_write_key_uint(writer, "individuals", active->kind[KIND_INDIVIDUAL]);
    mp_write_key_uint(writer, "memberships", tally_sum(active));
    mp_write_key_uint(writer, "organizations", active->kind[KIND_ORGANIZATION]);
    mp_write_text(writer, "persons");
    if (counts->persons_known)
        mp_write_uint(writer, counts->persons);
    else
        mp_write_nil(writer);
    mp_write_text(writer, "rows");
    mp_write_array(writer, counts->rows.count);
    for (size_t i = 0; i < counts->rows.count; i++)
        write_row(writer, &counts->rows.list[i]);
}

static enum status read_grouping(struct control_wait *request, enum grouping *out_by)
{
    const struct argument *by = ARGUMENT(request, by);
    char quote[CONTROL_QUOTE_SIZE];

    *out_by = BY_NOTHING;
    if (!by->given)
        return OK;
    for (size_t i = 1; i < sizeof grouping_names / sizeof grouping_names[0]; i++)
        if (slice_is_text(by->text, grouping_names[i])) {
            *out_by = (enum grouping)i;
            return OK;
        }
    return control_error(request, USAGE, "count by chapter, country, kind, status or month",
                         "nothing is counted by \"%s\"", control_quote(by->text, quote));
}

enum status control_counts(struct control_wait *request, struct mp_writer *writer)
{
    CLEANUP(counts_done) struct counts counts = { 0 };
    struct node *node = request->node;
    struct store_txn *txn;
    enum status status;

    if ((status = read_grouping(request, &counts.by)) != OK)
        return status;
    if (node->persons_due && node->full_since_ms == 0 &&
        node_now(node) < request->arrived_ms + PERSONS_WAIT_MS) {
        request->due_ms = request->arrived_ms + PERSONS_WAIT_MS;
        return AGAIN;
    }
    if ((status = control_reading(request, &txn)) != OK)
        return status;
    /* What this turn applied so far is in the rows, and gathered apart from the counters. */
    if (txn->writing && node_turn_fails(node, node_census_flush(node)) != OK)
        return node->turn_error;
    if ((status = gather(request, &counts)) != OK ||
        (status = gather_rows(request, &counts)) != OK)
        return status;
    write_counts(writer, &counts);
    return OK;
}
