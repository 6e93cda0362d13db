/* SPDX-License-Identifier: MPL-2.0 */
/* rejoin.c - a new epoch begins at the closed head: what was fetched back, in two tiers from
 * different places, becomes one feed again.
 *
 * Tier federation is at the closed head.  Of tier hq there is what the backup had and what HQ
 * had; where neither has it at the record's own seq, nobody has it any more: the record is put
 * once more, with the last value known of tier hq, or the empty map. */
#include "daemon/disclosure.h"
#include "daemon/recovery.h"
#include "daemon/rows.h"
#include "daemon/write.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t empty_map[] = { 0x80 };
static const uint8_t nil[] = { 0xc0 };

/* What the operator must know of a recovery; META_RECOVERED holds it. */
struct story {
    uint64_t refilled; /* records whose tier hq nobody had */
    uint64_t unsure;   /* members changed since the copy: their tier chapter may be older */
    uint8_t ids[RECOVERED_IDS_MAX][ID_SIZE]; /* of the first of those */
    bool forgotten; /* somebody may have come and been erased meanwhile */
};

struct rejoin {
    struct node *node;
    struct node_feed *feed;
    uint32_t federation; /* where the tiers are; hq 0: nowhere */
    uint32_t hq;
    uint32_t fresh; /* where they are united, 0: they are already */
    bool same_line; /* tier hq is of the history that was closed */
    uint64_t known; /* up to here it is what this directory itself had */
    uint64_t closed_seq;
    struct digest_sum hq_sum;
    struct story story;
    /* those to be put once more */
    uint8_t (*ids)[ID_SIZE];
    size_t count, capacity;
};

static enum status remember(struct rejoin *rejoin, const uint8_t id[ID_SIZE])
{
    if (rejoin->count == rejoin->capacity) {
        const size_t capacity = rejoin->capacity == 0 ? 256 : 2 * rejoin->capacity;
        uint8_t(*grown)[ID_SIZE] = realloc(rejoin->ids, capacity * sizeof *grown);

        if (grown == NULL)
            return NO_MEMORY;
        rejoin->ids = grown;
        rejoin->capacity = capacity;
    }
    memcpy(rejoin->ids[rejoin->count++], id, ID_SIZE);
    return OK;
}

/* Tier hq of id, if it is held at the record's own seq, in the same history. */
static enum status find_hq(struct rejoin *rejoin, const struct change *federation,
                           struct store_row *out_row, bool *out_fits)
{
    enum status status = NOT_FOUND;

    if (rejoin->hq != 0 && rejoin->same_line)
        status = store_get_row(&rejoin->node->txn, rejoin->hq, federation->id, out_row);
    *out_fits = status == OK && (out_row->tiers & TIERS_HQ) &&
                out_row->seq[TIER_HQ] == federation->seq &&
                value_is_removal(out_row->value[TIER_HQ]) ==
                    value_is_removal(federation->value[TIER_FEDERATION]);
    return status == NOT_FOUND ? OK : status;
}

static void tell_of(struct rejoin *rejoin, const struct change *change)
{
    struct story *story = &rejoin->story;

    if (change->type != RECORD_MEMBER || value_is_removal(change->value[TIER_FEDERATION]) ||
        change->seq <= rejoin->known)
        return;
    if (story->unsure < RECOVERED_IDS_MAX)
        memcpy(story->ids[story->unsure], change->id, ID_SIZE);
    story->unsure++;
}

/* A record under the fresh number: with its tier hq, or without, and then put once more. */
static enum status take_over(struct rejoin *rejoin, const struct change *federation)
{
    struct node *node = rejoin->node;
    struct census_delta deltas[CENSUS_DELTAS_MAX];
    uint8_t value[RECORD_SIZE_MAX];
    struct change change = *federation;
    struct store_row row;
    bool fits = false;
    size_t count = 0;
    enum status status = find_hq(rejoin, federation, &row, &fits);

    if (status != OK)
        return status;
    change.tiers = fits ? TIERS_BOTH : TIERS_FEDERATION;
    if (fits) {
        memcpy(value, row.value[TIER_HQ].data, row.value[TIER_HQ].size);
        change.value[TIER_HQ] = slice_of(value, row.value[TIER_HQ].size);
        memcpy(change.salt, row.salt, SALT_SIZE);
        digest_add(&rejoin->hq_sum, rejoin->feed->record.origin, TIER_HQ, &change);
    } else if ((status = remember(rejoin, change.id)) != OK) {
        return status;
    }
    if ((status = store_put_row(&node->txn, rejoin->fresh, &change)) != OK)
        return status;
    if (change.type == RECORD_MEMBER)
        count = census_deltas(SLICE_NONE, change.value[TIER_FEDERATION], deltas);
    for (size_t i = 0; i < count && status == OK; i++)
        status = node_census_add(node, rejoin->fresh, &deltas[i]);
    return status;
}

static enum status look_at_rows(struct rejoin *rejoin)
{
    struct rows *rows = rows_open(rejoin->node, rejoin->federation, TIERS_FEDERATION, 0);
    struct change change;
    enum status status = OK;

    if (rows == NULL)
        return NO_MEMORY;
    while (status == OK && rows_next(rows, &change)) {
        tell_of(rejoin, &change);
        if (rejoin->fresh != 0)
            status = take_over(rejoin, &change);
    }
    if (status == OK)
        status = rows_status(rows);
    rows_close(&rows);
    return status;
}

/* The fresh number counts in place of the former one, whose rows go. */
static enum status leave_former(struct rejoin *rejoin)
{
    struct node *node = rejoin->node;
    const char *origin = rejoin->feed->record.origin;
    const bool shared = rejoin->hq == rejoin->federation;
    enum status status;

    node->sweep_more = true;
    if ((status = node_census_flush(node)) != OK ||
        (status = store_census_merge(&node->txn, rejoin->federation, -1)) != OK ||
        (status = store_census_merge(&node->txn, rejoin->fresh, 1)) != OK ||
        (status = store_discard(&node->txn, origin, rejoin->federation,
                                shared ? TIERS_BOTH : TIERS_FEDERATION)) != OK)
        return status;
    if (rejoin->hq != 0 && !shared)
        status = store_discard(&node->txn, origin, rejoin->hq, TIERS_HQ);
    return status;
}

/* HQ held tier hq further than tier federation, where it closed: what did not change in between
 * is the closed state's. */
static bool is_ahead(const struct feed *feed)
{
    const struct feed_mark *marks = feed->tier;

    return marks[TIER_HQ].epoch == marks[TIER_FEDERATION].epoch &&
           marks[TIER_HQ].seq > marks[TIER_FEDERATION].seq && feed->freeze == FREEZE_NONE;
}

/* Both tiers stand at the closed head under one number; tier hq is what there is of it. */
static enum status unite(struct rejoin *rejoin)
{
    struct node *node = rejoin->node;
    struct store_feed_tier *tiers = rejoin->feed->record.tier;
    struct feed *feed = &rejoin->feed->replica.feed;
    struct digest_sum sum;
    struct feed_term term;
    enum status status;

    roster_term_of(node, node->code, &term);
    rejoin->same_line = feed_on_line(feed, &feed->tier[TIER_HQ], &term) || is_ahead(feed);
    if (rejoin->hq == rejoin->federation &&
        memcmp(feed->tier[TIER_HQ].hash, feed->tier[TIER_FEDERATION].hash, HASH_SIZE) == 0)
        return look_at_rows(rejoin); /* it has both already */
    if ((status = store_new_number(&node->txn, &rejoin->fresh)) != OK ||
        (status = store_get_sum(&node->txn, rejoin->federation, TIER_FEDERATION, &sum)) != OK ||
        (status = store_put_sum(&node->txn, rejoin->fresh, TIER_FEDERATION, &sum)) != OK ||
        (status = look_at_rows(rejoin)) != OK || (status = leave_former(rejoin)) != OK)
        return status;
    tiers[TIER_FEDERATION].number = rejoin->fresh;
    tiers[TIER_HQ] = tiers[TIER_FEDERATION];
    feed->tier[TIER_HQ] = feed->tier[TIER_FEDERATION];
    return store_put_sum(&node->txn, rejoin->fresh, TIER_HQ, &rejoin->hq_sum);
}

/* The last value of tier hq that anybody here knows: at an older seq, or the empty map. */
static enum status put_once_more(struct rejoin *rejoin, const uint8_t id[ID_SIZE])
{
    uint8_t values[TIERS_PUBLISHED][RECORD_SIZE_MAX];
    struct node *node = rejoin->node;
    struct change change = { .type = RECORD_MEMBER };
    struct store_row row;
    struct store_row hq;
    struct slice last = slice_of(empty_map, sizeof empty_map);
    uint64_t seq;
    enum status status = store_get_row(&node->txn, rejoin->fresh, id, &row);

    if (status != OK)
        return status;
    if (rejoin->hq != 0 && store_get_row(&node->txn, rejoin->hq, id, &hq) == OK &&
        (hq.tiers & TIERS_HQ) && !value_is_removal(hq.value[TIER_HQ]))
        last = hq.value[TIER_HQ];
    if (value_is_removal(row.value[TIER_FEDERATION]))
        last = slice_of(nil, sizeof nil);
    memcpy(change.id, id, ID_SIZE);
    change.type = row.type;
    memcpy(values[0], row.value[TIER_FEDERATION].data, row.value[TIER_FEDERATION].size);
    memcpy(values[1], last.data, last.size);
    change.value[TIER_FEDERATION] = slice_of(values[0], row.value[TIER_FEDERATION].size);
    change.value[TIER_HQ] = slice_of(values[1], last.size);
    return write_again(node, &change, &seq);
}

/* {ids, refilled, time, unsure}: shown as alarms for a week. */
static enum status tell(struct rejoin *rejoin)
{
    uint8_t bytes[64 + RECOVERED_IDS_MAX * (ID_SIZE + 2)];
    const struct story *story = &rejoin->story;
    const size_t ids =
        story->unsure < RECOVERED_IDS_MAX ? (size_t)story->unsure : RECOVERED_IDS_MAX;
    struct mp_writer writer;

    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_map(&writer, 5);
    mp_write_key_uint(&writer, "forgotten", story->forgotten);
    mp_write_text(&writer, "ids");
    mp_write_array(&writer, ids);
    for (size_t i = 0; i < ids; i++)
        mp_write_bin(&writer, story->ids[i], ID_SIZE);
    mp_write_key_uint(&writer, "refilled", story->refilled);
    mp_write_key_uint(&writer, "time", (uint64_t)(clock_wall_ms() / 1000));
    mp_write_key_uint(&writer, "unsure", story->unsure);
    if (writer.status != OK)
        return writer.status;
    return store_put_meta(&rejoin->node->txn, META_RECOVERED, mp_writer_bytes(&writer));
}

/* What was offered in former epochs is judged anew in this one. */
static enum status forget_offered(struct node *node)
{
    bool more = true;
    enum status status = OK;

    while (status == OK && more)
        status = store_forget_offered(&node->txn, ROWS_PER_SLICE, &more);
    return status;
}

static enum status rejoin_rows(struct rejoin *rejoin)
{
    enum status status = unite(rejoin);

    for (size_t i = 0; i < rejoin->count && status == OK; i++)
        status = put_once_more(rejoin, rejoin->ids[i]);
    rejoin->story.refilled = rejoin->count;
    return status;
}

/* The epoch was closed at nothing: what HQ held of tier hq alone is part of no state. */
static enum status leave_hq(struct rejoin *rejoin)
{
    struct node *node = rejoin->node;
    struct store_feed *record = &rejoin->feed->record;

    if (rejoin->hq == 0)
        return OK;
    node->sweep_more = true;
    record->tier[TIER_HQ].number = 0;
    return store_discard(&node->txn, record->origin, rejoin->hq, TIERS_HQ);
}

/* HQ's place in its own roster says what the recovery key has said. */
static enum status put_own_entry(struct node *node)
{
    struct roster_entry entry = roster_find(node, "hq")->entry;

    entry.epoch = node->closure.epoch;
    entry.instance = node->closure.instance;
    entry.closed_seq = node->closure.closed_seq;
    memcpy(entry.closed_hash, node->closure.closed_hash, HASH_SIZE);
    return write_roster(node, &entry);
}

/* Whoever came after the copy was made, and was erased since, is in no state that is here. */
static enum status see_forgotten(struct rejoin *rejoin)
{
    const struct epoch_own *own = &rejoin->node->own_epoch;
    uint64_t horizon = 0;
    const enum status status =
        store_get_meta_uint(&rejoin->node->txn, META_RECOVERY_HORIZON, &horizon);

    rejoin->story.forgotten =
        (own->wanted != 0 || own->instance == 0) &&
        rejoin->feed->replica.feed.tier[TIER_FEDERATION].horizon > horizon;
    return status;
}

enum status rejoin_begin(struct node *node)
{
    struct rejoin rejoin = { .node = node, .feed = node->feeds[node->own_feed] };
    enum status status;

    if (node_writing(node) == NULL)
        return node->turn_error;
    rejoin.federation = rejoin.feed->record.tier[TIER_FEDERATION].number;
    rejoin.hq = rejoin.feed->record.tier[TIER_HQ].number;
    rejoin.closed_seq = rejoin.feed->replica.feed.tier[TIER_FEDERATION].seq;
    digest_sum_clear(&rejoin.hq_sum);
    if ((status = see_forgotten(&rejoin)) == OK)
        status = forget_offered(node);
    if (status == OK)
        status = surplus_known(node, rejoin.federation, &rejoin.known);
    if (status == OK)
        status = rejoin.federation != 0 ? rejoin_rows(&rejoin) : leave_hq(&rejoin);
    if (status == OK)
        status = disclosure_follow(node, rejoin.known, rejoin.closed_seq);
    if (status == OK)
        status = tell(&rejoin);
    if (status == OK && node->is_hq)
        status = put_own_entry(node);
    if (status == OK)
        status = write_epoch_head(node);
    free(rejoin.ids);
    return status;
}
