/* SPDX-License-Identifier: MPL-2.0 */
/* persons.c - HQ: whose membership each record is, so that distinct persons can be counted.
 *
 * What a turn puts is stated with it.  A turn that puts very many, and a flip that replaced a
 * feed's rows, leave it for later: the table is in the order of hashes, and stating a few
 * thousand writes every page of it.  How far that came is durable, so that a crash in between
 * forgets nobody. */
#include "daemon/node_internal.h"
#include "daemon/replication.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>

/* What NFC and lower case make of a text that is ASCII, as nearly all addresses are. */
static bool lower_ascii(struct slice text, uint8_t *out, size_t capacity)
{
    if (text.size > capacity)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t byte = text.data[i];

        if (byte >= 0x80)
            return false;
        out[i] = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
    }
    return true;
}

/* NFC, trimmed, lower-cased; hashed, so that the table holds no address. */
bool persons_email_hash(struct slice email, uint8_t out_hash[PERSON_HASH_SIZE])
{
    uint8_t normal[1024];
    size_t size = sizeof normal;
    uint8_t *lower;

    while (email.size > 0 && (email.data[0] == ' ' || email.data[0] == '\t')) {
        email.data++;
        email.size--;
    }
    while (email.size > 0 &&
           (email.data[email.size - 1] == ' ' || email.data[email.size - 1] == '\t'))
        email.size--;
    if (email.size == 0)
        return false;
    if (lower_ascii(email, normal, sizeof normal)) {
        size = email.size;
    } else if ((lower = u8_tolower(email.data, email.size, NULL, UNINORM_NFC, normal, &size)) !=
               normal) {
        free(lower);
        return false; /* too long for an address, or no memory: it counts as one of its own */
    }
    crypto_generichash(out_hash, PERSON_HASH_SIZE, normal, size, NULL, 0);
    return true;
}

/* The member's value of that tier: of the change, or as it is stored; SLICE_NONE if there is
 * none. */
static enum status value_of_tier(struct node *node, const struct node_feed *feed, int tier,
                                 const struct change *change, struct slice *out_value)
{
    const uint32_t number = feed->record.tier[tier].number;
    struct slice value = change->value[tier];
    enum record_type type = change->type;
    struct store_row row;
    enum status status = NOT_FOUND;

    *out_value = SLICE_NONE;
    if (!(change->tiers & (1u << tier))) {
        if (number != 0)
            status = store_get_row(&node->txn, number, change->id, &row);
        if (status == NOT_FOUND || (status == OK && !(row.tiers & (1u << tier))))
            return OK;
        if (status != OK)
            return status;
        value = row.value[tier];
        type = row.type;
    }
    if ((type == RECORD_MEMBER || tier != TIER_FEDERATION) && !value_is_removal(value))
        *out_value = value;
    return OK;
}

/* A membership as it is to be counted. */
struct statement {
    uint8_t id[ID_SIZE];
    enum person_form form;
    uint8_t hash[PERSON_HASH_SIZE];
};

static enum status state(struct node *node, const struct node_feed *feed,
                         const struct change *change, struct statement *out)
{
    struct member_facts facts;
    struct slice value;
    struct slice email;
    enum status status;

    memset(out, 0, sizeof *out);
    memset(&facts, 0, sizeof facts);
    memcpy(out->id, change->id, ID_SIZE);
    if ((status = value_of_tier(node, feed, TIER_FEDERATION, change, &value)) != OK)
        return status;
    if (value.size != 0)
        member_facts_of(value, &facts);
    if (facts.kind == KIND_INDIVIDUAL && facts.status == MEMBER_ACTIVE) {
        /* A chapter may have chosen to tell everybody, or HQ, or nobody. */
        const bool open =
            mp_map_get_text(value, "email", &email) && persons_email_hash(email, out->hash);

        if ((status = value_of_tier(node, feed, TIER_HQ, change, &value)) != OK)
            return status;
        if (value.size != 0) {
            out->form = PERSON_ANONYMOUS;
            if (open || (mp_map_get_text(value, "email", &email) &&
                         persons_email_hash(email, out->hash)))
                out->form = PERSON_HASHED;
        }
    }
    return OK;
}

static enum status put_statement(struct node *node, const struct node_feed *feed,
                                 const struct statement *statement)
{
    return store_set_person(&node->txn, feed->replica.feed.origin, statement->id,
                            statement->form, statement->hash);
}

static bool is_removal(const struct change *change)
{
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((change->tiers & (1u << tier)) && value_is_removal(change->value[tier]))
            return true;
    return false;
}

/* The simulator makes slices small, so that they matter with few members. */
static size_t turn_max(const struct node *node)
{
    const size_t rows = node->config.rows_per_slice / 4;

    return rows < PERSONS_TURN_MAX ? rows : PERSONS_TURN_MAX;
}

static size_t slice_max(const struct node *node)
{
    const size_t rows = node->config.rows_per_slice;

    return rows < PERSONS_SLICE ? rows : PERSONS_SLICE;
}

/* Whoever goes is forgotten at once.  What is left for later is found by its seq. */
static bool is_for_later(const struct node *node, const struct node_feed *feed,
                         const struct change *change)
{
    if (change->seq == 0 || is_removal(change))
        return false;
    return feed->persons_due ? change->seq > feed->persons_reached
                             : store_rows_put(&node->txn) > turn_max(node);
}

enum status apply_person(struct node *node, uint32_t index, const struct change *change)
{
    const struct node_feed *feed = node->feeds[index];
    struct statement statement;
    enum status status;

    if (is_for_later(node, feed, change))
        return feed->persons_due ? OK : persons_mark(node, index, change->seq);
    if ((status = state(node, feed, change, &statement)) != OK)
        return status;
    return put_statement(node, feed, &statement);
}

static void meta_name(const struct node_feed *feed, char out_name[CODE_SIZE + 16])
{
    (void)snprintf(out_name, CODE_SIZE + 16, "persons/%s", feed->replica.feed.origin);
}

enum status persons_mark(struct node *node, uint32_t index, uint64_t reached_plus_one)
{
    struct node_feed *feed = node->feeds[index];
    char name[CODE_SIZE + 16];

    meta_name(feed, name);
    feed->persons_due = reached_plus_one != 0;
    feed->persons_reached = reached_plus_one == 0 ? 0 : reached_plus_one - 1;
    node->persons_due |= feed->persons_due;
    return store_put_meta_uint(&node->txn, name, reached_plus_one);
}

enum status persons_load(struct node *node, struct store_txn *txn)
{
    node->persons_due = false;
    for (size_t i = 0; i < node->replica.feed_count; i++) {
        struct node_feed *feed = node->feeds[i];
        char name[CODE_SIZE + 16];
        uint64_t reached_plus_one = 0;
        enum status status;

        meta_name(feed, name);
        if ((status = store_get_meta_uint(txn, name, &reached_plus_one)) != OK)
            return status;
        feed->persons_due = reached_plus_one != 0;
        feed->persons_reached = reached_plus_one == 0 ? 0 : reached_plus_one - 1;
        node->persons_due |= feed->persons_due;
    }
    return OK;
}

/* What the next rows of a tier are to be counted as; nothing is written meanwhile. */
static enum status gather(struct node *node, const struct node_feed *feed, int tier,
                          struct statement out[PERSONS_SLICE], size_t *out_count,
                          uint64_t *out_reached)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    struct change change;
    enum status status;

    *out_count = 0;
    *out_reached = feed->persons_reached;
    if (feed->record.tier[tier].number == 0)
        return OK;
    status = store_cursor_open(&node->txn, feed->record.tier[tier].number, 1u << tier,
                               feed->persons_reached, &cursor);
    while (status == OK && *out_count < slice_max(node) &&
           (status = store_cursor_next(&cursor, &change)) == OK) {
        *out_reached = change.seq;
        status = state(node, feed, &change, &out[(*out_count)++]);
    }
    return status == NOT_FOUND ? OK : status;
}

static int compare_statements(const void *a, const void *b)
{
    return memcmp(((const struct statement *)a)->hash, ((const struct statement *)b)->hash,
                  PERSON_HASH_SIZE);
}

/* Both tiers' rows are gone through: whichever flipped, its join with the other counts. */
static enum status refresh_slice(struct node *node, uint32_t index)
{
    struct node_feed *feed = node->feeds[index];
    struct statement statements[PERSONS_SLICE];
    uint64_t reached = 0;
    uint64_t furthest = UINT64_MAX;
    bool done = true;
    enum status status;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        size_t count = 0;

        if (tier == TIER_HQ && feed->record.tier[0].number == feed->record.tier[1].number)
            continue; /* one row holds both */
        if ((status = gather(node, feed, tier, statements, &count, &reached)) != OK)
            return status;
        qsort(statements, count, sizeof statements[0], compare_statements);
        for (size_t i = 0; i < count; i++)
            if ((status = put_statement(node, feed, &statements[i])) != OK)
                return status;
        if (count == slice_max(node)) {
            done = false;
            if (reached < furthest)
                furthest = reached;
        }
    }
    return persons_mark(node, index, done ? 0 : furthest + 1);
}

bool persons_slice(struct node *node)
{
    if (!node->persons_due)
        return false;
    if (store_rows_put(&node->txn) > turn_max(node)) /* there is more important work */
        return true;
    node->persons_due = false;
    for (size_t i = 0; i < node->replica.feed_count; i++) {
        if (!node->feeds[i]->persons_due)
            continue;
        if (node_writing(node) == NULL)
            return false;
        if (node_turn_fails(node, refresh_slice(node, (uint32_t)i)) != OK)
            return false;
        node->persons_due |= node->feeds[i]->persons_due;
    }
    return node->persons_due;
}
