/* SPDX-License-Identifier: MPL-2.0 */
/* load.c - taking everything from the store: at a start, and after a turn that failed. */
#include <stdlib.h>
#include <string.h>

#include "daemon/disclosure.h"
#include "daemon/erase.h"
#include "daemon/keys.h"
#include "daemon/recovery.h"
#include "daemon/replication.h"

/* --- loading ------------------------------------------------------------------------------ */

void node_drop_parked(struct node_feed *feed)
{
    while (feed->parked != NULL) {
        struct parked_event *next = feed->parked->next;

        free(feed->parked);
        feed->parked = next;
    }
    feed->parked_count = 0;
    feed->parked_bytes = 0;
}

static void load_freeze(struct node_feed *feed)
{
    static const enum feed_freeze freezes[] = { FREEZE_NONE, FREEZE_FORKED, FREEZE_DIVERGED };

    if (BUG(FREEZE_FORGOTTEN))
        return;
    feed->replica.feed.freeze = freezes[feed->record.hold];
    feed->replica.feed.freeze_epoch = feed->record.hold_epoch;
}

static enum status load_heads(struct store_txn *txn, struct node_feed *feed)
{
    struct signed_head heads[HEADS_KEPT];
    size_t count = 0;
    enum status status = store_list_heads(txn, feed->record.origin, heads, HEADS_KEPT, &count);

    if (status != OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        struct feed_mark mark;
        struct head head;

        if (head_read(signed_head_bytes(&heads[i]), &head) != OK)
            return STORE_DAMAGED;
        feed_mark_of(&head, &mark);
        feed_remember(&feed->replica.feed, &mark);
    }
    return OK;
}

static enum status load_feed(struct node *node, struct store_txn *txn,
                             const struct store_feed *record)
{
    const uint32_t index = node_feed_make(node, record->origin);
    struct node_feed *feed;

    if (index == NO_PEER)
        return NO_MEMORY;
    feed = node->feeds[index];
    feed->record = *record;
    feed->building = false;
    load_freeze(feed);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        struct feed_mark *mark = &feed->replica.feed.tier[tier];
        struct head head;

        if ((record->tier[tier].number == 0) != (record->tier[tier].head.size == 0))
            return STORE_DAMAGED;
        memset(mark, 0, sizeof *mark);
        if (record->tier[tier].head.size == 0)
            continue;
        if (head_read(signed_head_bytes(&record->tier[tier].head), &head) != OK)
            return STORE_DAMAGED;
        feed_mark_of(&head, mark);
    }
    /* Tier hq has something to fetch where it is behind, though nobody says so again. */
    if (feed->replica.feed.tier[TIER_FEDERATION].seq != 0)
        node_step(node, &(struct replica_input){
                            .kind = INPUT_HEARD,
                            .feed = index,
                            .tiers = TIERS_HQ,
                            .epoch = feed->replica.feed.tier[TIER_FEDERATION].epoch,
                            .seq = feed->replica.feed.tier[TIER_FEDERATION].seq });
    return load_heads(txn, feed);
}

/* Of a feed all that the store decides. */
static void forget_feed(struct node_feed *feed)
{
    struct feed *held = &feed->replica.feed;

    node_drop_parked(feed);
    memset(held->tier, 0, sizeof held->tier);
    held->freeze = FREEZE_NONE;
    held->head_count = 0;
    held->head_next = 0;
    memset(&feed->record, 0, sizeof feed->record);
    memcpy(feed->record.origin, held->origin, CODE_SIZE);
    feed->building = false;
}

/* A turn that failed may have put marks in memory that the store does not hold, also of a feed
 * of which it holds nothing: all of them are taken from the store again. */
enum status node_load(struct node *node)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct store_feed record = { .origin = "" };
    enum status status;

    for (size_t i = 0; i < node->replica.feed_count; i++)
        forget_feed(node->feeds[i]);
    if ((status = store_begin_read(node->store, &txn)) != OK)
        return status;
    while ((status = store_next_feed(&txn, record.origin, &record)) == OK)
        if ((status = load_feed(node, &txn, &record)) != OK)
            return status;
    if (status != NOT_FOUND)
        return status;
    node->own_feed = node_feed_make(node, node->code);
    if (node->own_feed == NO_PEER || node_feed_make(node, "hq") == NO_PEER)
        return NO_MEMORY;
    if (node->is_hq && (status = persons_load(node, &txn)) != OK)
        return status;
    if ((status = keys_load(node, &txn)) != OK || (status = closure_load(node, &txn)) != OK ||
        (status = epoch_load(node, &txn)) != OK || (status = surplus_load(node, &txn)) != OK ||
        (status = erase_load(node, &txn)) != OK ||
        (status = disclosure_load(node, &txn)) != OK ||
        (status = removals_load(node, &txn)) != OK)
        return status;
    store_abort(&txn);
    if (node->is_hq && (status = enrol_load(node)) != OK)
        return status;
    if ((status = roster_load(node)) != OK)
        return status;
    return keys_follow(node);
}
