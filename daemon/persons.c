/* SPDX-License-Identifier: MPL-2.0 */
/* persons.c - HQ: after a flip replaced a feed's rows, what each membership counts as is stated
 * anew, in slices; how far that came is durable, so that a crash in between forgets nobody. */
#include "daemon/node_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>

/* NFC, trimmed, lower-cased; hashed, so that the table holds no address. */
static bool email_hash(struct slice email, uint8_t out_hash[PERSON_HASH_SIZE])
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
    lower = u8_tolower(email.data, email.size, NULL, UNINORM_NFC, normal, &size);
    if (lower != normal) {
        free(lower);
        return false; /* too long for an address, or no memory: it counts as one of its own */
    }
    crypto_generichash(out_hash, PERSON_HASH_SIZE, normal, size, NULL, 0);
    return true;
}

static enum status get_row_of_tier(struct node *node, const struct node_feed *feed, int tier,
                                   const uint8_t id[ID_SIZE], struct store_row *out_row)
{
    const uint32_t number = feed->record.tier[tier].number;
    enum status status = NOT_FOUND;

    memset(out_row, 0, sizeof *out_row);
    if (number != 0)
        status = store_get_row(&node->txn, number, id, out_row);
    if (status == NOT_FOUND || (status == OK && !(out_row->tiers & (1u << tier)))) {
        out_row->tiers = 0;
        return OK;
    }
    return status;
}

enum status apply_person(struct node *node, uint32_t index, const uint8_t id[ID_SIZE])
{
    const struct node_feed *feed = node->feeds[index];
    enum person_form form = PERSON_NONE;
    uint8_t hash[PERSON_HASH_SIZE] = { 0 };
    struct member_facts facts;
    struct store_row row;
    struct slice email;
    enum status status;

    memset(&facts, 0, sizeof facts);
    if ((status = get_row_of_tier(node, feed, TIER_FEDERATION, id, &row)) != OK)
        return status;
    if (row.tiers != 0 && row.type == RECORD_MEMBER &&
        !value_is_removal(row.value[TIER_FEDERATION]))
        member_facts_of(row.value[TIER_FEDERATION], &facts);
    if (facts.kind == KIND_INDIVIDUAL && facts.status == MEMBER_ACTIVE) {
        if ((status = get_row_of_tier(node, feed, TIER_HQ, id, &row)) != OK)
            return status;
        if (row.tiers != 0 && !value_is_removal(row.value[TIER_HQ])) {
            form = PERSON_ANONYMOUS;
            if (mp_map_get_text(row.value[TIER_HQ], "email", &email) && email_hash(email, hash))
                form = PERSON_HASHED;
        }
    }
    return store_set_person(&node->txn, feed->replica.feed.origin, id, form, hash);
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

static enum status gather(struct node *node, const struct node_feed *feed, int tier,
                          uint8_t (*out_ids)[ID_SIZE], size_t max, size_t *out_count,
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
    while (status == OK && *out_count < max &&
           (status = store_cursor_next(&cursor, &change)) == OK) {
        memcpy(out_ids[(*out_count)++], change.id, ID_SIZE);
        *out_reached = change.seq;
    }
    return status == NOT_FOUND ? OK : status;
}

/* Both tiers' rows are gone through: whichever flipped, its join with the other counts. */
static enum status refresh_slice(struct node *node, uint32_t index)
{
    enum { SLICE_ROWS = 1024 };
    struct node_feed *feed = node->feeds[index];
    uint8_t ids[SLICE_ROWS][ID_SIZE];
    uint64_t reached = 0;
    uint64_t furthest = UINT64_MAX;
    bool done = true;
    enum status status;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        size_t count = 0;

        if (tier == TIER_HQ && feed->record.tier[0].number == feed->record.tier[1].number)
            continue; /* one row holds both */
        if ((status = gather(node, feed, tier, ids, SLICE_ROWS, &count, &reached)) != OK)
            return status;
        for (size_t i = 0; i < count; i++)
            if ((status = apply_person(node, index, ids[i])) != OK)
                return status;
        if (count == SLICE_ROWS) {
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
