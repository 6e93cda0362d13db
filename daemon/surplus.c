/* SPDX-License-Identifier: MPL-2.0 */
/* surplus.c - states of closed epochs: kept where the next epoch does not lead on from them,
 * and offered to their origin until it has looked at them; there surplus_issue.c goes on.
 *
 * What is kept is the whole state at a signed head, so that whoever gets it proves it with the
 * head's digest like any other list: nobody can slip something in. */
#include "daemon/erase.h"
#include "daemon/recovery.h"
#include "daemon/surplus_internal.h"

#include <stdlib.h>
#include <string.h>

/* --- keeping ------------------------------------------------------------------------------ */

enum status surplus_load(struct node *node, struct store_txn *txn)
{
    struct store_kept kept;
    enum status status;

    if (node->surplus == NULL && (node->surplus = calloc(1, sizeof *node->surplus)) == NULL)
        return NO_MEMORY;
    status = store_next_kept(txn, NULL, &kept);
    node->surplus->kept = status == OK;
    node->surplus->swept = false;
    node->surplus->fetch.active = false;
    return status == NOT_FOUND ? OK : status;
}

void surplus_forget(struct node *node)
{
    free(node->surplus);
    node->surplus = NULL;
}

/* The state before a recovery tells who was erased since; one is enough. */
static enum status is_first_left(struct store_txn *txn, const char *origin, bool *out_first)
{
    struct store_kept kept;
    enum status status = store_next_kept(txn, NULL, &kept);

    *out_first = true;
    while (status == OK) {
        if (strcmp(kept.origin, origin) == 0 && !(kept.tiers & KEPT_MANUAL))
            *out_first = false;
        status = store_next_kept(txn, &kept, &kept);
    }
    return status == NOT_FOUND ? OK : status;
}

/* A copied directory signed nothing since, and what it fetched others have. */
static unsigned kept_flags(const struct node *node, const struct node_feed *feed)
{
    if (!feed->replica.own)
        return 0;
    return node->own_epoch.reason == EPOCH_COPIED && feed->replica.feed.freeze == FREEZE_NONE
               ? KEPT_OWN | KEPT_COPY
               : KEPT_OWN;
}

static bool must_keep(const struct node *node, const struct node_feed *feed, int tier,
                      const struct head *head)
{
    const struct feed_mark *mark = &feed->replica.feed.tier[tier];
    struct feed_term term;

    if (mark->seq == 0 || feed->replica.tier[tier].damaged)
        return false;
    if (feed->replica.own)
        return feed->replica.feed.replacing || node->own_epoch.wanted != 0;
    roster_term_of(node, feed->record.origin, &term);
    /* What a void key signed nobody could prove to its origin. */
    return head->epoch > mark->epoch && !feed_on_line(&feed->replica.feed, mark, &term) &&
           roster_signed(node, feed->record.origin, mark->epoch, mark->seq,
                         signed_head_bytes(&feed->record.tier[tier].head), head_verify);
}

/* Tier hq alone proves nothing and is never offered; and where tier federation goes on under
 * the number, its new rows would meet the kept ones at the same seqs. */
static bool is_alone(const struct node_feed *feed, int tier)
{
    const struct feed_mark *marks = feed->replica.feed.tier;

    return tier == TIER_HQ &&
           (feed->record.tier[TIER_FEDERATION].number != feed->record.tier[TIER_HQ].number ||
            memcmp(marks[TIER_FEDERATION].hash, marks[TIER_HQ].hash, HASH_SIZE) != 0);
}

static enum status count_kept(struct store_txn *txn, const char *origin, size_t *out_count)
{
    struct store_kept kept;
    size_t count = 0;
    enum status status = store_next_kept(txn, NULL, &kept);

    while (status == OK) {
        count += strcmp(kept.origin, origin) == 0;
        status = store_next_kept(txn, &kept, &kept);
    }
    *out_count = count;
    return status == NOT_FOUND ? OK : status;
}

enum status surplus_keep(struct node *node, uint32_t index, int tier, const struct head *head,
                         bool *out_kept)
{
    const struct node_feed *feed = node->feeds[index];
    const struct feed_mark *mark = &feed->replica.feed.tier[tier];
    const uint32_t number = feed->record.tier[tier].number;
    struct store_kept kept;
    size_t count = 0;
    enum status status;

    *out_kept = false;
    if (!must_keep(node, feed, tier, head))
        return OK;
    status = store_get_kept(&node->txn, feed->record.origin, mark->epoch, mark->hash, &kept);
    if (status == OK && kept.number != number)
        return OK;
    if (status == NOT_FOUND) {
        bool first = true;

        if (is_alone(feed, tier))
            return OK;
        if (feed->replica.own && !feed->replica.feed.replacing &&
            ((status = is_first_left(&node->txn, feed->record.origin, &first)) != OK || !first))
            return status;
        memset(&kept, 0, sizeof kept);
        memcpy(kept.origin, feed->record.origin, CODE_SIZE);
        kept.epoch = mark->epoch;
        memcpy(kept.hash, mark->hash, HASH_SIZE);
        kept.number = number;
        kept.tiers = kept_flags(node, feed);
        kept.head = feed->record.tier[tier].head;
        if ((status = count_kept(&node->txn, kept.origin, &count)) == OK &&
            count >= KEPT_STATES_MAX) {
            log_event(LOG_WARNING,
                      "event=surplus_not_kept feed=%s epoch=%llu seq=%llu remedy=\"%d states of"
                      " closed epochs wait for that chapter already: see that it can be"
                      " reached\"",
                      kept.origin, (unsigned long long)mark->epoch,
                      (unsigned long long)mark->seq, KEPT_STATES_MAX);
            return OK;
        }
    }
    if (status != OK)
        return status;
    kept.tiers |= 1u << tier;
    *out_kept = true;
    node->surplus->kept = true;
    return store_put_kept(&node->txn, &kept);
}

enum status surplus_leave_hq(struct node *node, uint32_t index, const struct head *head)
{
    struct node_feed *feed = node->feeds[index];
    struct store_feed_tier *hq = &feed->record.tier[TIER_HQ];
    bool kept = false;
    enum status status = OK;

    if (hq->number == 0)
        return OK;
    if ((status = surplus_keep(node, index, TIER_HQ, head, &kept)) == OK && !kept)
        status = store_discard(&node->txn, feed->record.origin, hq->number, TIERS_HQ);
    memset(hq, 0, sizeof *hq);
    memset(&feed->replica.feed.tier[TIER_HQ], 0, sizeof feed->replica.feed.tier[TIER_HQ]);
    feed->replica.tier[TIER_HQ].snapshot = false;
    return status;
}

enum status surplus_drop(struct node *node, const struct store_kept *kept)
{
    enum status status = store_delete_kept(&node->txn, kept);

    if (status == OK)
        status =
            store_discard(&node->txn, kept->origin, kept->number, kept->tiers & TIERS_BOTH);
    node->sweep_more = true;
    cleared_due(node);
    return status;
}

/* Does the new state, under the feed's number, lack something of the old one? */
static enum status lacks(struct node *node, const struct node_feed *feed, uint32_t number,
                         uint64_t closed_seq, bool *out_lacks)
{
    const struct store_feed_tier *now = &feed->record.tier[TIER_FEDERATION];
    struct rows *rows = rows_open(node, number, TIERS_FEDERATION, now->horizon);
    struct change old;
    enum status status = OK;

    if (rows == NULL)
        return NO_MEMORY;
    while (status == OK && !*out_lacks && rows_next(rows, &old)) {
        struct store_row row;

        status = store_get_row(&node->txn, now->number, old.id, &row);
        if (status == NOT_FOUND) {
            *out_lacks = true;
            status = OK;
        } else if (status == OK) {
            const uint64_t seq = row.seq[TIER_FEDERATION];
            const bool later = old.seq <= seq && seq <= closed_seq;
            const bool same = old.seq == seq && slice_equal(old.value[TIER_FEDERATION],
                                                            row.value[TIER_FEDERATION]);

            *out_lacks = !(row.tiers & TIERS_FEDERATION) || (!later && !same);
        }
    }
    if (status == OK)
        status = rows_status(rows);
    rows_close(&rows);
    return status;
}

enum status surplus_look(struct node *node, uint32_t index, uint32_t number,
                         const struct feed_mark *was)
{
    const struct node_feed *feed = node->feeds[index];
    struct store_kept kept;
    struct feed_term term;
    bool lacking = false;
    enum status status =
        store_get_kept(&node->txn, feed->record.origin, was->epoch, was->hash, &kept);

    if (status != OK || kept.number != number)
        return status == NOT_FOUND ? OK : status;
    roster_term_of(node, feed->record.origin, &term);
    if (!feed->replica.own)
        status = lacks(node, feed, number, term.closed_seq, &lacking);
    if (feed->replica.own) /* it is looked at when the next epoch has begun */
        return status;
    if (status != OK || lacking) {
        log_event(LOG_WARNING,
                  "event=surplus_kept feed=%s epoch=%llu seq=%llu remedy=\"nothing to do: it is"
                  " offered to that chapter, which writes again what it lacks\"",
                  feed->record.origin, (unsigned long long)was->epoch,
                  (unsigned long long)was->seq);
        return status;
    }
    return surplus_drop(node, &kept);
}

/* The last record that both have: histories that share one share all before it. */
static enum status last_shared(struct node *node, uint32_t number, const struct store_kept *was,
                               uint64_t was_seq, uint64_t *out_seq)
{
    struct rows *rows = rows_open(node, number, TIERS_FEDERATION, 0);
    struct change now;
    enum status status = OK;

    *out_seq = 0;
    if (rows == NULL)
        return NO_MEMORY;
    while (status == OK && rows_next(rows, &now) && now.seq <= was_seq) {
        struct store_row row;

        status = store_get_row(&node->txn, was->number, now.id, &row);
        if (status == OK && (row.tiers & TIERS_FEDERATION) &&
            row.seq[TIER_FEDERATION] == now.seq &&
            slice_equal(row.value[TIER_FEDERATION], now.value[TIER_FEDERATION]))
            *out_seq = now.seq;
        if (status == NOT_FOUND)
            status = OK;
    }
    if (status == OK)
        status = rows_status(rows);
    rows_close(&rows);
    return status;
}

enum status surplus_known(struct node *node, uint32_t number, uint64_t *out_seq)
{
    uint64_t known = UINT64_MAX;
    struct store_kept kept;
    enum status status = store_next_kept(&node->txn, NULL, &kept);

    for (; status == OK; status = store_next_kept(&node->txn, &kept, &kept)) {
        uint64_t seq;
        struct head head;

        if (strcmp(kept.origin, node->code) != 0 || !(kept.tiers & KEPT_OWN) ||
            !(kept.tiers & TIERS_FEDERATION) || (kept.tiers & KEPT_MANUAL))
            continue;
        if (head_read(signed_head_bytes(&kept.head), &head) != OK)
            return STORE_DAMAGED;
        if (number != 0 && (status = last_shared(node, number, &kept, head.seq, &seq)) != OK)
            return status;
        if (number != 0 && seq < known)
            known = seq;
    }
    *out_seq = known != UINT64_MAX ? known : node->own_epoch.from_seq;
    return status == NOT_FOUND ? OK : status;
}

/* --- offering ----------------------------------------------------------------------------- */

bool surplus_find(struct node *node, const char *origin, uint64_t epoch,
                  const uint8_t hash[HASH_SIZE], struct store_kept *out)
{
    const struct node_feed *own = node->feeds[node->own_feed];
    const struct feed_mark *marks = own->replica.feed.tier;
    struct store_txn *txn = node_reading(node);

    if (txn == NULL)
        return false;
    if (store_get_kept(txn, origin, epoch, hash, out) == OK)
        return true;
    /* Whoever is locked out shows where it stands. */
    if (!node->locked_out || strcmp(origin, node->code) != 0 ||
        memcmp(hash, marks[TIER_FEDERATION].hash, HASH_SIZE) != 0)
        return false;
    memset(out, 0, sizeof *out);
    memcpy(out->origin, own->record.origin, CODE_SIZE);
    out->epoch = marks[TIER_FEDERATION].epoch;
    memcpy(out->hash, hash, HASH_SIZE);
    out->number = own->record.tier[TIER_FEDERATION].number;
    out->head = own->record.tier[TIER_FEDERATION].head;
    out->tiers = TIERS_FEDERATION;
    if (memcmp(marks[TIER_HQ].hash, hash, HASH_SIZE) == 0 &&
        own->record.tier[TIER_HQ].number == out->number)
        out->tiers = TIERS_BOTH;
    return true;
}

static void offer_one(struct node *node, const struct link *link, const struct store_kept *kept)
{
    struct mp_writer *writer = node_writer(node);

    wire_write_offer(writer, kept->tiers & TIERS_BOTH, signed_head_bytes(&kept->head));
    node_send(node, link->handle, mp_writer_bytes(writer));
}

void surplus_offer(struct node *node, const struct link *link)
{
    const char *code = node->peers[link->peer]->code;
    const struct feed_mark *mine =
        &node->feeds[node->own_feed]->replica.feed.tier[TIER_FEDERATION];
    struct store_txn *txn;
    struct store_kept kept;
    enum status status;

    if (node->locked_out && strcmp(code, "hq") == 0 && mine->seq != 0 &&
        surplus_find(node, node->code, mine->epoch, mine->hash, &kept))
        offer_one(node, link, &kept);
    if (!node->surplus->kept || (txn = node_reading(node)) == NULL)
        return;
    for (status = store_next_kept(txn, NULL, &kept); status == OK;
         status = store_next_kept(txn, &kept, &kept))
        if (strcmp(kept.origin, code) == 0 && (kept.tiers & TIERS_FEDERATION))
            offer_one(node, link, &kept);
}

void surplus_settle(struct node *node, const struct link *link, const uint8_t hash[HASH_SIZE])
{
    struct mp_writer *writer = node_writer(node);

    wire_write_settled(writer, hash);
    node_send(node, link->handle, mp_writer_bytes(writer));
}

void surplus_on_settled(struct node *node, const struct link *link, struct slice message)
{
    const char *code = node->peers[link->peer]->code;
    struct wire_settled settled;
    struct store_kept kept;
    struct store_kept found = { .number = 0 };
    struct store_txn *txn;
    enum status status;

    if (wire_read_settled(message, &settled) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    if (!node->surplus->kept || (txn = node_reading(node)) == NULL)
        return;
    for (status = store_next_kept(txn, NULL, &kept); status == OK;
         status = store_next_kept(txn, &kept, &kept))
        if (strcmp(kept.origin, code) == 0 && memcmp(kept.hash, settled.hash, HASH_SIZE) == 0)
            found = kept;
    if (found.number != 0 && node_writing(node) != NULL)
        (void)node_turn_fails(node, surplus_drop(node, &found));
}

/* --- the turn ----------------------------------------------------------------------------- */

void surplus_turn(struct node *node)
{
    const int64_t now = node_now(node);

    offers_turn(node);
    if (!node->surplus->kept)
        return;
    if (node->phase == EPOCH_SIGNING && node->own_epoch.wanted == 0)
        surplus_issue_own(node);
    if (now < node->surplus->offer_at_ms)
        return;
    node->surplus->offer_at_ms = now + OFFER_INTERVAL_MS;
    for (size_t i = 0; i < node->link_count; i++)
        if (node->links[i].greeted && node->links[i].peer != NO_PEER)
            surplus_offer(node, &node->links[i]);
}
