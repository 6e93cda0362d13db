/* SPDX-License-Identifier: MPL-2.0 */
/* apply.c - the one path by which changes become rows: judge first, then put. */
#include "daemon/erase.h"
#include "daemon/node_internal.h"
#include "daemon/recovery.h"
#include "daemon/replication.h"

#include <stdlib.h>
#include <string.h>

#define HORIZON_BATCH 256 /* removals taken at once */

void row_version_of(const struct store_row *row, struct row_version *out_version)
{
    out_version->type = row->type;
    out_version->tiers = row->tiers;
    memcpy(out_version->seq, row->seq, sizeof out_version->seq);
    memcpy(out_version->salt, row->salt, SALT_SIZE);
    memcpy(out_version->value, row->value, sizeof out_version->value);
}

/* --- judging ------------------------------------------------------------------------------ */

static enum status get_version(struct store_txn *txn, uint32_t number,
                               const uint8_t id[ID_SIZE], struct row_version *out_version)
{
    struct store_row row;
    enum status status;

    memset(out_version, 0, sizeof *out_version);
    if (number == 0)
        return OK;
    status = store_get_row(txn, number, id, &row);
    if (status == NOT_FOUND)
        return OK;
    if (status == OK)
        row_version_of(&row, out_version);
    return status;
}

/* Both tiers' versions, though they may live under different numbers. */
static enum status get_versions(struct node *node, const struct node_feed *feed,
                                const uint8_t id[ID_SIZE], struct row_version *out_version)
{
    const uint32_t federation = feed->record.tier[TIER_FEDERATION].number;
    const uint32_t hq = feed->record.tier[TIER_HQ].number;
    struct row_version other;
    enum status status;

    status = get_version(&node->txn, federation != 0 ? federation : hq, id, out_version);
    if (status != OK || federation == 0 || hq == 0 || federation == hq)
        return status;
    out_version->tiers &= TIERS_FEDERATION;
    if ((status = get_version(&node->txn, hq, id, &other)) != OK)
        return status;
    if (other.tiers & TIERS_HQ) {
        if (out_version->tiers == 0)
            out_version->type = other.type;
        out_version->tiers |= TIERS_HQ;
        out_version->seq[TIER_HQ] = other.seq[TIER_HQ];
        memcpy(out_version->salt, other.salt, SALT_SIZE);
        out_version->value[TIER_HQ] = other.value[TIER_HQ];
    }
    return OK;
}

static bool list_has(struct node *node, const struct change_source *source,
                     const uint8_t id[ID_SIZE])
{
    return source->has != NULL ? source->has(source->context, id)
                               : id_set_has(node->id_set, id);
}

/* Removals that the head's horizon passes go, unless the list has a newer version of the id. */
static enum status judge_horizon(struct node *node, const struct node_feed *feed, int tier,
                                 const struct head *head, const struct change_source *source,
                                 struct judge *judge)
{
    const struct store_feed_tier *held = &feed->record.tier[tier];
    uint8_t ids[HORIZON_BATCH][ID_SIZE];
    uint64_t after = held->horizon;
    size_t count = HORIZON_BATCH;

    if (held->number == 0)
        return OK;
    while (count == HORIZON_BATCH && after < head->horizon) {
        enum status status = store_list_removals(&node->txn, held->number, 1u << tier, after,
                                                 head->horizon, ids, HORIZON_BATCH, &count);

        if (status != OK)
            return status;
        for (size_t i = 0; i < count; i++) {
            struct row_version old;

            if ((status = get_version(&node->txn, held->number, ids[i], &old)) != OK)
                return status;
            after = old.seq[tier];
            if (!list_has(node, source, ids[i]))
                judge_drop(judge, 1u << tier, ids[i], &old);
        }
    }
    return OK;
}

static bool tiers_apart(const struct node_feed *feed)
{
    return feed->record.tier[0].number != 0 &&
           feed->record.tier[0].number == feed->record.tier[1].number &&
           feed->replica.feed.tier[0].seq != feed->replica.feed.tier[1].seq;
}

/* They shared their rows until one of them was flipped: what it left is swept bit by bit. */
static bool numbers_apart(const struct node_feed *feed)
{
    return feed->record.tier[0].number != 0 && feed->record.tier[1].number != 0 &&
           feed->record.tier[0].number != feed->record.tier[1].number;
}

static enum status is_taken(struct node *node, uint32_t number, const struct change *change,
                            bool *out_taken)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    struct change there;
    enum status status =
        store_cursor_open(&node->txn, number, TIERS_BOTH, change->seq - 1, &cursor);

    if (status == OK)
        status = store_cursor_next(&cursor, &there);
    if (status != OK)
        return status == NOT_FOUND ? OK : status;
    *out_taken = there.seq == change->seq &&
                 (there.type != change->type || memcmp(there.id, change->id, ID_SIZE) != 0);
    return OK;
}

/* Both tiers share their rows: an origin that signed two records at one seq, one in each tier,
 * contradicts itself; and between epochs one tier may be of a history that the other is not
 * of. */
static enum status seq_is_taken(struct node *node, const struct node_feed *feed,
                                const struct judge *judge, const struct change *change,
                                bool *out_taken)
{
    enum status status = OK;

    for (int tier = 0; tier < TIERS_PUBLISHED && status == OK && !*out_taken; tier++)
        if ((judge->tiers & change->tiers & (1u << tier)) && change->seq > judge->from[tier] &&
            feed->record.tier[tier].number != 0)
            status = is_taken(node, feed->record.tier[tier].number, change, out_taken);
    return status;
}

static bool crosses_epochs(const struct node_feed *feed, const struct head *head)
{
    const struct feed_mark *marks = feed->replica.feed.tier;

    return (marks[0].seq != 0 && marks[0].epoch != head->epoch) ||
           (marks[1].seq != 0 && marks[1].epoch != head->epoch);
}

static enum status judge_list(struct node *node, struct node_feed *feed, unsigned tiers,
                              const struct head *head, struct change_source *source,
                              struct judge *judge)
{
    const bool two_histories = crosses_epochs(feed, head) || numbers_apart(feed);
    struct change change;
    size_t count = 0;
    bool taken = false;
    enum status status;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (tiers & (1u << tier)) {
            status = store_get_sum(&node->txn, feed->record.tier[tier].number, (enum tier)tier,
                                   &judge->sum[tier]);
            if (status != OK)
                return status;
        }
    id_set_clear(node->id_set);
    feed->in_the_way = false;
    source->rewind(source->context);
    while (source->next(source->context, &change)) {
        struct row_version old;

        /* A build's rows are unique by their index; a message's are checked here. */
        if (count++ < EVENT_CHANGES_MAX && !id_set_add(node->id_set, change.id)) {
            judge->contradiction = true;
            return OK;
        }
        if ((status = get_versions(node, feed, change.id, &old)) != OK)
            return status;
        if ((tiers_apart(feed) || two_histories) &&
            (status = seq_is_taken(node, feed, judge, &change, &taken)) != OK)
            return status;
        if (taken) {
            judge->contradiction = true;
            feed->in_the_way = two_histories;
            return OK;
        }
        judge_change(judge, &change, &old);
    }
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (tiers & (1u << tier)) {
            status = judge_horizon(node, feed, tier, head, source, judge);
            if (status != OK)
                return status;
        }
    return OK;
}

/* --- putting ------------------------------------------------------------------------------ */

/* The tiers of change that are newer than what is held. */
static unsigned news_of(const struct judge *judge, unsigned tiers, const struct change *change,
                        const struct row_version *old)
{
    unsigned news = 0;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const unsigned bit = 1u << tier;

        if ((tiers & change->tiers & bit) && change->seq > judge->from[tier] &&
            !((old->tiers & bit) && old->seq[tier] >= change->seq))
            news |= bit;
    }
    return news;
}

static enum status put_tiers(struct node *node, const struct node_feed *feed, unsigned news,
                             const struct change *change)
{
    const uint32_t federation = feed->record.tier[TIER_FEDERATION].number;
    const uint32_t hq = feed->record.tier[TIER_HQ].number;
    struct change part = *change;
    enum status status = OK;

    if (BUG(HQ_TIER_NOT_PUT))
        news &= TIERS_FEDERATION;
    if (news == TIERS_BOTH && federation == hq) {
        part.tiers = TIERS_BOTH;
        return store_put_row(&node->txn, federation, &part);
    }
    if (news & TIERS_FEDERATION) {
        part.tiers = TIERS_FEDERATION;
        status = store_put_row(&node->txn, federation, &part);
    }
    if (status == OK && (news & TIERS_HQ)) {
        part.tiers = TIERS_HQ;
        status = store_put_row(&node->txn, hq, &part);
    }
    return status;
}

/* What counts of a version: members do, whatever the record was before. */
static struct slice counted(enum record_type type, bool held, struct slice federation_value)
{
    return held && type == RECORD_MEMBER ? federation_value : SLICE_NONE;
}

/* The own feed is being fetched back: a member that was removed since the copy was made has
 * nothing here that never left the node. */
static enum status follow_removal(struct node *node, const struct node_feed *feed,
                                  unsigned news, const struct change *change)
{
    if (!feed->replica.own || !(news & TIERS_FEDERATION) ||
        !value_is_removal(change->value[TIER_FEDERATION]))
        return OK;
    return store_put_private(&node->txn, change->id, SLICE_NONE);
}

static enum status put_change(struct node *node, uint32_t index, unsigned news,
                              const struct change *change, const struct row_version *old)
{
    const struct node_feed *feed = node->feeds[index];
    struct census_delta deltas[CENSUS_DELTAS_MAX];
    struct change put = *change;
    size_t count = 0;
    enum status status;

    put.tiers = news;
    if (news & TIERS_FEDERATION)
        count = census_deltas(counted(old->type, old->tiers & TIERS_FEDERATION, old->value[0]),
                              counted(change->type, true, change->value[0]), deltas);
    if ((status = put_tiers(node, feed, news, change)) != OK)
        return status;
    for (size_t i = BUG(CENSUS_DELTA_LOST); i < count; i++) {
        status = node_census_add(node, feed->record.tier[TIER_FEDERATION].number, &deltas[i]);
        if (status == OK && !BUG(CENSUS_OF_ALL_LOST))
            status = node_census_add(node, 0, &deltas[i]);
        if (status != OK)
            return status;
    }
    node->counters.changes_applied++;
    if ((status = follow_removal(node, feed, news, change)) != OK)
        return status;
    if ((news & TIERS_FEDERATION) && (old->tiers & TIERS_FEDERATION) &&
        change->type == RECORD_MEMBER)
        removals_note(node, index,
                      value_is_removal(change->value[TIER_FEDERATION]) -
                          value_is_removal(old->value[TIER_FEDERATION]));
    return node->is_hq && !BUG(PERSON_LOST) ? apply_person(node, index, &put) : OK;
}

/* The own feed is being fetched back, and what removed that member is forgotten already. */
static enum status follow_horizon(struct node *node, const struct node_feed *feed, int tier,
                                  const uint8_t id[ID_SIZE])
{
    struct store_row row;
    enum status status;

    if (!feed->replica.own || tier != TIER_FEDERATION)
        return OK;
    status = store_get_row(&node->txn, feed->record.tier[tier].number, id, &row);
    if (status != OK || row.type != RECORD_MEMBER ||
        row.seq[TIER_FEDERATION] <= node->own_epoch.from_seq)
        return status;
    return erase_presume_id(node, id);
}

static enum status drop_behind_horizon(struct node *node, const struct node_feed *feed,
                                       unsigned tiers, const struct head *head)
{
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const struct store_feed_tier *held = &feed->record.tier[tier];
        uint8_t ids[HORIZON_BATCH][ID_SIZE];
        size_t count = HORIZON_BATCH;

        while ((tiers & (1u << tier)) && count == HORIZON_BATCH && !BUG(FORGOTTEN_KEPT)) {
            enum status status =
                store_list_removals(&node->txn, held->number, 1u << tier, held->horizon,
                                    head->horizon, ids, HORIZON_BATCH, &count);

            for (size_t i = 0; status == OK && i < count; i++)
                if ((status = follow_horizon(node, feed, tier, ids[i])) == OK)
                    status = store_drop_row(&node->txn, held->number, 1u << tier, ids[i]);
            if (status != OK)
                return status;
        }
    }
    return OK;
}

/* Tiers without a number get one; both share it when they are of one epoch. */
static enum status give_numbers(struct node *node, struct node_feed *feed, unsigned tiers,
                                const struct head *head)
{
    uint32_t number = 0;
    enum status status;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        if (!(tiers & (1u << tier)) || feed->record.tier[tier].number != 0)
            continue;
        if (number == 0 && feed->replica.feed.tier[1 - tier].epoch == head->epoch)
            number = feed->record.tier[1 - tier].number;
        if (number == 0 && (status = store_new_number(&node->txn, &number)) != OK)
            return status;
        feed->record.tier[tier].number = number;
    }
    return OK;
}

static enum status put_list(struct node *node, uint32_t index, unsigned tiers,
                            const struct head *head, struct change_source *source,
                            const struct judge *judge)
{
    struct node_feed *feed = node->feeds[index];
    struct change change;
    enum status status;

    if ((status = give_numbers(node, feed, tiers, head)) != OK)
        return status;
    source->rewind(source->context);
    while (source->next(source->context, &change)) {
        struct row_version old;
        unsigned news;

        if ((status = get_versions(node, feed, change.id, &old)) != OK)
            return status;
        if ((news = news_of(judge, tiers, &change, &old)) == 0)
            continue;
        if ((status = put_change(node, index, news, &change, &old)) != OK)
            return status;
    }
    if ((status = drop_behind_horizon(node, feed, tiers, head)) != OK)
        return status;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((tiers & (1u << tier)) && !BUG(SUM_NOT_STORED)) {
            status = store_put_sum(&node->txn, feed->record.tier[tier].number, (enum tier)tier,
                                   &judge->sum[tier]);
            if (status != OK)
                return status;
        }
    return OK;
}

enum status apply_advance(struct node *node, uint32_t index, unsigned tiers,
                          const struct head *head, struct slice envelope)
{
    struct node_feed *feed = node->feeds[index];
    enum status status;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (tiers & (1u << tier)) {
            status = signed_head_set(&feed->record.tier[tier].head, envelope);
            ASSERT(status == OK); /* head_read took it: it fits */
            if (head->horizon > feed->record.tier[tier].horizon)
                cleared_due(node);
            feed->record.tier[tier].horizon = head->horizon;
        }
    feed_advance(&feed->replica.feed, tiers, head);
    if (feed->replica.feed.freeze == FREEZE_NONE)
        feed->record.hold = FEED_OK;
    if (BUG(HEAD_NOT_STORED))
        return OK;
    if ((status = store_put_feed(&node->txn, &feed->record)) != OK ||
        (status = store_put_head(&node->txn, head, envelope)) != OK)
        return status;
    node_step(node,
              &(struct replica_input){ .kind = INPUT_ADVANCED, .feed = index, .tiers = tiers });
    if (strcmp(feed->replica.feed.origin, "hq") == 0)
        node->roster_changed = true;
    sync_feed_advanced(node, index);
    return OK;
}

enum status apply_list(struct node *node, uint32_t index, unsigned tiers,
                       const struct head *head, struct slice envelope,
                       struct change_source *source, unsigned *out_applied,
                       unsigned *out_paused)
{
    struct node_feed *feed = node->feeds[index];
    uint64_t from[TIERS_PUBLISHED];
    struct judge judge;
    unsigned good;
    enum status status;

    *out_paused = 0;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        from[tier] = feed->replica.feed.tier[tier].seq;
        if (feed->replica.tier[tier].damaged) /* only a whole list mends it: apply_flip */
            tiers &= ~(1u << tier);
    }
    if (tiers == 0) {
        *out_applied = 0;
        return OK;
    }
    if (node_writing(node) == NULL)
        return node->turn_error;
    judge_init(&judge, feed->replica.feed.origin, tiers, from, head->seq);
    if ((status = judge_list(node, feed, tiers, head, source, &judge)) != OK)
        return node_turn_fails(node, status);
    good = BUG(DIGEST_NOT_COMPARED) ? tiers : judge_verdict(&judge, head);
    if (BUG(LOWER_HEAD_TAKEN) && head->seq < from[TIER_FEDERATION])
        good = tiers;
    *out_paused = sync_over_bytes(node, index, good, judge.sum);
    good &= ~*out_paused;
    if (good != 0) {
        if ((status = put_list(node, index, good, head, source, &judge)) != OK ||
            (status = apply_advance(node, index, good, head, envelope)) != OK)
            return node_turn_fails(node, status);
    }
    *out_applied = good;
    return OK;
}

/* --- flipping ----------------------------------------------------------------------------- */

/* A list that replaces all rows does not say who went: the counts tell how many at least. */
static void note_shrinking(struct node *node, uint32_t index, const struct head *head)
{
    const struct signed_head *envelope = &node->feeds[index]->record.tier[TIER_FEDERATION].head;
    struct head was;

    if (envelope->size != 0 && head_read(signed_head_bytes(envelope), &was) == OK &&
        was.count[TIER_FEDERATION] > head->count[TIER_FEDERATION])
        removals_note(node, index,
                      (int64_t)(was.count[TIER_FEDERATION] - head->count[TIER_FEDERATION]));
}

enum status apply_flip(struct node *node, uint32_t index, unsigned tiers, uint32_t number,
                       const struct head *head, struct slice envelope)
{
    struct node_feed *feed = node->feeds[index];
    const struct feed_mark was = feed->replica.feed.tier[TIER_FEDERATION];
    const uint32_t former = feed->record.tier[TIER_FEDERATION].number;
    enum status status;

    if (node_writing(node) == NULL)
        return node->turn_error;
    if ((status = node_census_flush(node)) != OK)
        return node_turn_fails(node, status);
    for (int tier = 0; tier < TIERS_PUBLISHED && status == OK; tier++) {
        const uint32_t old = feed->record.tier[tier].number;
        bool kept = false;

        if (!(tiers & (1u << tier)))
            continue;
        if (old != 0 && tier == TIER_FEDERATION && !BUG(FLIP_COUNTS_TWICE))
            status = store_census_merge(&node->txn, old, -1);
        if (old != 0 && status == OK)
            status = surplus_keep(node, index, tier, head, &kept);
        if (old != 0 && status == OK && !kept && !BUG(FLIP_LEAVES_ROWS))
            status = store_discard(&node->txn, feed->replica.feed.origin, old, 1u << tier);
        if (status == OK && tier == TIER_FEDERATION)
            status = store_census_merge(&node->txn, number, 1);
        feed->record.tier[tier].number = number;
    }
    if (status == OK && (tiers & TIERS_FEDERATION) && former != 0)
        note_shrinking(node, index, head);
    /* Tier hq that comes before tier federation was not left yet: it is what has just come. */
    if (status == OK && feed->replica.feed.replacing && tiers == TIERS_FEDERATION)
        status = surplus_leave_hq(node, index, head);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (feed_compare(head->epoch, head->seq, feed->replica.feed.tier[tier].epoch,
                         feed->replica.feed.tier[tier].seq) < 0)
            feed_go_back(&feed->replica.feed, tiers & (1u << tier));
    if (status == OK)
        status = apply_advance(node, index, tiers, head, envelope);
    if (status == OK && (tiers & TIERS_FEDERATION) && former != 0)
        status = surplus_look(node, index, former, &was);
    if (status == OK && node->is_hq && !BUG(FLIP_FORGETS_PERSONS))
        status = persons_mark(node, index, 1);
    node->sweep_more = true;
    node->counters.snapshots_applied++;
    return node_turn_fails(node, status);
}
