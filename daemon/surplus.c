/* SPDX-License-Identifier: MPL-2.0 */
/* surplus.c - states of closed epochs: kept where the next epoch does not lead on from them,
 * offered to their origin until it has looked at them, and at the origin issued again where
 * something is lacking.
 *
 * What is kept is the whole state at a signed head, so that whoever gets it proves it with the
 * head's digest like any other list: nobody can slip something in. */
#include "daemon/erase.h"
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
    return head->epoch > mark->epoch && !feed_on_line(&feed->replica.feed, mark, &term);
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

/* --- issuing again ------------------------------------------------------------------------ */

/* The last value of tier hq: the offered one, else the one that is held, else none. */
static struct slice hq_value(const struct change *offered, unsigned tiers,
                             const struct store_row *held)
{
    static const uint8_t empty_map[] = { 0x80 };

    if (value_is_removal(offered->value[TIER_FEDERATION]))
        return offered->value[TIER_FEDERATION];
    if (tiers & offered->tiers & TIERS_HQ)
        return offered->value[TIER_HQ];
    if (held != NULL && (held->tiers & TIERS_HQ) && !value_is_removal(held->value[TIER_HQ]))
        return held->value[TIER_HQ];
    return slice_of(empty_map, sizeof empty_map);
}

static enum status issue(struct node *node, const struct change *offered, unsigned tiers,
                         const struct store_row *held, uint64_t *out_seq)
{
    uint8_t values[TIERS_PUBLISHED][RECORD_SIZE_MAX];
    const struct slice hq = hq_value(offered, tiers, held);
    const struct slice federation = offered->value[TIER_FEDERATION];
    struct change change = { .type = offered->type };

    memcpy(change.id, offered->id, ID_SIZE);
    memcpy(values[0], federation.data, federation.size);
    memcpy(values[1], hq.data, hq.size);
    change.value[TIER_FEDERATION] = slice_of(values[0], federation.size);
    change.value[TIER_HQ] = slice_of(values[1], hq.size);
    return write_again(node, &change, out_seq);
}

static bool is_same(const struct change *offered, unsigned tiers, const struct store_row *held)
{
    return slice_equal(offered->value[TIER_FEDERATION], held->value[TIER_FEDERATION]) &&
           (!(tiers & offered->tiers & held->tiers & TIERS_HQ) ||
            slice_equal(offered->value[TIER_HQ], held->value[TIER_HQ]));
}

/* Whoever is removed or erased by now has nothing here that never left the node. */
static enum status drop_private(struct node *node, const struct change *row, enum erased erased)
{
    const struct node_feed *own = node->feeds[node->own_feed];
    struct store_row held;
    enum status status =
        store_get_row(&node->txn, own->record.tier[TIER_FEDERATION].number, row->id, &held);

    if (status != OK && status != NOT_FOUND)
        return status;
    if (erased != ERASED_HERE &&
        (status == NOT_FOUND || !value_is_removal(held.value[TIER_FEDERATION])))
        return OK;
    return store_put_private(&node->txn, row->id, SLICE_NONE);
}

/* An own former state has a row that the own feed, whose horizon is above it, has no more. */
static enum status look_at_gone(struct node *node, const struct change *row, unsigned kept,
                                bool *out_manual)
{
    if (!(kept & KEPT_OWN) || value_is_removal(row->value[TIER_FEDERATION]))
        return OK;
    if (kept & KEPT_COPY)
        return erase_presume(node, row);
    *out_manual = true; /* erased, or never told to anybody */
    return OK;
}

static enum status look_at(struct node *node, const struct change *row, unsigned kept,
                           uint64_t epoch, bool *out_manual)
{
    const struct node_feed *own = node->feeds[node->own_feed];
    const struct store_feed_tier *mine = &own->record.tier[TIER_FEDERATION];
    struct store_offered offered;
    struct store_row held;
    struct feed_term term;
    struct epoch_surplus surplus = { .epoch = epoch, .seq = row->seq };
    enum erased erased = ERASED_NOT;
    enum status status = erase_look_up(node, ERASED_ID, slice_of(row->id, ID_SIZE), &erased);

    if (status == OK && (kept & KEPT_OWN))
        status = drop_private(node, row, erased);
    /* Whoever was erased since comes back from no replica. */
    if (status != OK ||
        (erased == ERASED_HERE && !value_is_removal(row->value[TIER_FEDERATION])))
        return status;
    status = store_get_row(&node->txn, mine->number, row->id, &held);
    if (status != OK && status != NOT_FOUND)
        return status;
    surplus.held = status == OK;
    if (!surplus.held && row->seq <= mine->horizon)
        return look_at_gone(node, row, kept, out_manual);
    if (surplus.held) {
        surplus.held_seq = held.seq[TIER_FEDERATION];
        surplus.same = is_same(row, kept, &held);
    }
    if ((status = store_get_offered(&node->txn, row->id, &offered)) != OK)
        return status;
    roster_term_of(node, node->code, &term);
    surplus.offered =
        (struct epoch_offered){ offered.epoch, offered.seq, offered.put_seq, offered.with_hq };
    surplus.with_hq = kept & row->tiers & TIERS_HQ;
    surplus.closed_seq = term.closed_seq;
    surplus.first_seq = node->epoch_first;
    surplus.horizon = mine->horizon;
    switch (epoch_surplus(&surplus)) {
    case SURPLUS_NONE:
        return OK;
    case SURPLUS_MANUAL:
        *out_manual = true;
        return OK;
    case SURPLUS_NOTED:
        break;
    case SURPLUS_ISSUE:
        if (erased == ERASED_PRESUMED && !value_is_removal(row->value[TIER_FEDERATION]) &&
            (status = erase_not_presumed(node, row->id)) != OK)
            return status;
        status = issue(node, row, kept, surplus.held ? &held : NULL, &offered.put_seq);
        if (status != OK)
            return status;
        node->counters.reissued++;
        break;
    }
    offered.epoch = epoch;
    offered.seq = row->seq;
    offered.with_hq = surplus.with_hq;
    return store_put_offered(&node->txn, row->id, &offered);
}

enum status surplus_issue(struct node *node, uint32_t number, unsigned kept,
                          const struct head *head, bool *out_manual)
{
    const uint64_t before = node->counters.reissued;
    struct rows *rows;
    struct change row;
    enum status status = OK;

    *out_manual = false;
    if (node_writing(node) == NULL)
        return node->turn_error;
    if ((rows = rows_open(node, number, kept & TIERS_BOTH,
                          kept & KEPT_OWN ? 0 : head->horizon)) == NULL)
        return NO_MEMORY;
    while (status == OK && rows_next(rows, &row))
        if (row.tiers & TIERS_FEDERATION)
            status = look_at(node, &row, kept, head->epoch, out_manual);
    if (status == OK)
        status = rows_status(rows);
    rows_close(&rows);
    log_event(LOG_NOTICE, "event=surplus_seen epoch=%llu seq=%llu written_again=%llu manual=%s",
              (unsigned long long)head->epoch, (unsigned long long)head->seq,
              (unsigned long long)(node->counters.reissued - before),
              *out_manual ? "yes" : "no");
    return status;
}

/* What this directory itself held beyond or beside the closed head. */
static void issue_own(struct node *node)
{
    struct store_txn *txn = node_reading(node);
    struct store_kept kept;
    struct head head;
    bool manual = false;
    enum status status;

    if (txn == NULL)
        return;
    for (status = store_next_kept(txn, NULL, &kept); status == OK;
         status = store_next_kept(txn, &kept, &kept))
        if (strcmp(kept.origin, node->code) == 0 && !(kept.tiers & KEPT_MANUAL))
            break;
    if (status != OK)
        return;
    if (node_writing(node) == NULL)
        return;
    if ((status = head_read(signed_head_bytes(&kept.head), &head)) != OK)
        status = STORE_DAMAGED;
    if (status == OK)
        status = surplus_issue(node, kept.number, kept.tiers, &head, &manual);
    if (status == OK && manual) {
        kept.tiers |= KEPT_MANUAL;
        status = store_put_kept(&node->txn, &kept);
    } else if (status == OK) {
        status = surplus_drop(node, &kept);
    }
    (void)node_turn_fails(node, status);
}

void surplus_turn(struct node *node)
{
    const int64_t now = node_now(node);

    offers_turn(node);
    if (!node->surplus->kept)
        return;
    if (node->phase == EPOCH_SIGNING && node->own_epoch.wanted == 0)
        issue_own(node);
    if (now < node->surplus->offer_at_ms)
        return;
    node->surplus->offer_at_ms = now + OFFER_INTERVAL_MS;
    for (size_t i = 0; i < node->link_count; i++)
        if (node->links[i].greeted && node->links[i].peer != NO_PEER)
            surplus_offer(node, &node->links[i]);
}
