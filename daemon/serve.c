/* SPDX-License-Identifier: MPL-2.0 */
/* serve.c - answers to `want`: a walk over a feed's rows upward by seq, in chunks, each
 * re-sought, ending with the head that the feed has in that very turn. */
#include "daemon/node_internal.h"
#include "daemon/recovery.h"
#include "daemon/replication.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define WALKS_PER_PEER_MAX (2 * PULLS_MAX)
#define WALK_IDLE_MS 30000 /* without credit */
#define SERVE_WAIT_MS 20   /* until those are looked at again that had enough */

struct walk {
    transport_link link;
    uint32_t peer;
    uint32_t feed;
    uint64_t request;
    unsigned tiers;
    uint32_t number[TIERS_PUBLISHED];
    uint64_t epoch;
    uint64_t since;
    uint64_t base;
    uint64_t reached;
    uint64_t index;
    uint64_t credit;
    int64_t credited_at_ms;
    bool kept; /* of a closed epoch's state, which nobody changes */
    struct store_kept state;
};

static void refuse(struct node *node, transport_link link, uint64_t request,
                   enum wire_refusal_reason reason)
{
    struct mp_writer *writer = node_writer(node);

    wire_write_refusal(writer, request, reason);
    node_send(node, link, mp_writer_bytes(writer));
}

/* How much a peer may take at all: one that asks again and again gets no more than this. */
static const struct rate_limit all_chunks = { SERVE_BURST, SERVE_PER_SECOND };

static void walk_end(struct node *node, size_t i)
{
    free(node->walks[i]);
    node->walks[i] = node->walks[--node->walk_count];
}

void serve_drop_all(struct node *node)
{
    while (node->walk_count > 0)
        walk_end(node, node->walk_count - 1);
}

/* The tier whose state stands for the asked set. */
static int leading_tier(unsigned tiers)
{
    return tiers & TIERS_FEDERATION ? TIER_FEDERATION : TIER_HQ;
}

static bool holds(const struct node_feed *feed, unsigned tiers)
{
    const struct feed_mark *marks = feed->replica.feed.tier;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((tiers & (1u << tier)) &&
            (feed->record.tier[tier].number == 0 || marks[tier].seq == 0 ||
             feed->replica.tier[tier].damaged))
            return false;
    return tiers != TIERS_BOTH || (marks[0].seq == marks[1].seq &&
                                   memcmp(marks[0].hash, marks[1].hash, HASH_SIZE) == 0 &&
                                   feed->record.tier[0].number == feed->record.tier[1].number);
}

/* Tier hq goes to HQ and to its own origin alone. */
static bool may_have(const struct node *node, const struct link *link,
                     const struct node_feed *feed, unsigned tiers)
{
    const char *asker = node->peers[link->peer]->code;

    if (!(tiers & TIERS_HQ) || BUG(HQ_TIER_SERVED_TO_ALL))
        return true;
    return strcmp(asker, "hq") == 0 || strcmp(asker, feed->replica.feed.origin) == 0;
}

static void show_contradiction(struct node *node, const struct link *link, uint32_t index,
                               const struct wire_want *want)
{
    const struct feed_mark *other;

    if (want->since == 0 || sodium_is_zero(want->hash, HASH_SIZE)) /* zeros state nothing */
        return;
    other = feed_contradicts(&node->feeds[index]->replica.feed, want->epoch, want->since,
                             want->hash);
    if (other != NULL)
        sync_show_head(node, link, index, other);
}

static void drop_walks_of(struct node *node, transport_link link, uint32_t feed, unsigned tiers)
{
    for (size_t i = 0; i < node->walk_count;)
        if (node->walks[i]->link == link && node->walks[i]->feed == feed &&
            node->walks[i]->tiers == tiers)
            walk_end(node, i);
        else
            i++;
}

static size_t walks_of_peer(const struct node *node, uint32_t peer)
{
    size_t count = 0;

    for (size_t i = 0; i < node->walk_count; i++)
        count += node->walks[i]->peer == peer;
    return count;
}

static struct walk *walk_new(struct node *node, const struct link *link, uint32_t index,
                             const struct wire_want *want)
{
    struct walk *walk;

    drop_walks_of(node, link->handle, index, want->tiers);
    if (walks_of_peer(node, link->peer) >= WALKS_PER_PEER_MAX ||
        node->walk_count == WALKS_MAX || (walk = calloc(1, sizeof *walk)) == NULL) {
        refuse(node, link->handle, want->request, REFUSAL_BUSY);
        return NULL;
    }
    walk->link = link->handle;
    walk->peer = link->peer;
    walk->feed = index;
    walk->request = want->request;
    walk->tiers = want->tiers;
    walk->credit = want->credit < WANT_CREDIT_MAX ? want->credit : WANT_CREDIT_MAX;
    walk->credited_at_ms = node_now(node);
    node->walks[node->walk_count++] = walk;
    node->counters.wants_served++;
    return walk;
}

/* The state at exactly that head of a closed epoch. */
static void walk_kept(struct node *node, const struct link *link, uint32_t index,
                      const struct wire_want *want)
{
    struct store_kept kept;
    struct head head;
    struct walk *walk;

    if (!surplus_find(node, want->origin, want->epoch, want->hash, &kept) ||
        (want->tiers & ~kept.tiers) != 0 ||
        head_read(signed_head_bytes(&kept.head), &head) != OK) {
        refuse(node, link->handle, want->request, REFUSAL_NOT_HELD);
        return;
    }
    if ((walk = walk_new(node, link, index, want)) == NULL)
        return;
    walk->kept = true;
    walk->state = kept;
    walk->number[0] = walk->number[1] = kept.number;
    walk->epoch = kept.epoch;
    walk->base = head.seq;
}

/* May a delta lead from the asker's epoch to mine?  To the next one, from before where the
 * former was closed. */
static bool leads_on(const struct node *node, const struct wire_want *want,
                     const struct feed_mark *mine)
{
    struct feed_term term;

    if (want->epoch == mine->epoch)
        return true;
    roster_term_of(node, want->origin, &term);
    return mine->epoch == term.epoch && want->epoch + 1 == term.epoch &&
           !sodium_is_zero(want->hash, HASH_SIZE) &&
           (want->since < term.closed_seq ||
            feed_is_closed_head(&term, want->epoch, want->since, want->hash));
}

static void walk_begin(struct node *node, const struct link *link, uint32_t index,
                       const struct wire_want *want)
{
    const struct node_feed *feed = node->feeds[index];
    const int tier = leading_tier(want->tiers);
    const struct feed_mark *mine = &feed->replica.feed.tier[tier];
    struct walk *walk = walk_new(node, link, index, want);

    if (walk == NULL)
        return;
    walk->number[0] = feed->record.tier[0].number;
    walk->number[1] = feed->record.tier[1].number;
    walk->epoch = mine->epoch;
    /* Behind the horizon, or from another epoch, only the whole state leads on. */
    if (want->since != 0 && leads_on(node, want, mine) && want->since >= mine->horizon)
        walk->since = want->since;
    walk->reached = walk->since;
    walk->base = mine->seq;
}

/* The feed is frozen, but HQ has closed that epoch at the head where this node stands. */
static bool stands_at_closed_head(const struct node *node, const struct node_feed *feed)
{
    const struct feed_mark *mine = &feed->replica.feed.tier[TIER_FEDERATION];
    struct feed_term term;

    roster_term_of(node, feed->record.origin, &term);
    return feed_is_closed_head(&term, mine->epoch, mine->seq, mine->hash);
}

/* Who goes on from what was staged names no hash: its last chunk was lost, and with it the
 * head. */
static bool lacks_head_alone(const struct wire_want *want)
{
    return want->since != 0 && sodium_is_zero(want->hash, HASH_SIZE);
}

void serve_on_want(struct node *node, struct link *link, struct slice message)
{
    struct wire_want want;
    uint32_t index;
    const struct node_feed *feed;
    const struct feed_mark *mine;
    int order;

    if (wire_read_want(message, &want) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    index = node_feed_index(node, want.origin);
    if (index != NO_PEER && want.since == 0 && !sodium_is_zero(want.hash, HASH_SIZE) &&
        may_have(node, link, node->feeds[index], want.tiers)) {
        walk_kept(node, link, index, &want);
        return;
    }
    if (index == NO_PEER || !holds(node->feeds[index], want.tiers) ||
        !may_have(node, link, node->feeds[index], want.tiers)) {
        refuse(node, link->handle, want.request, REFUSAL_NOT_HELD);
        return;
    }
    feed = node->feeds[index];
    show_contradiction(node, link, index, &want);
    mine = &feed->replica.feed.tier[leading_tier(want.tiers)];
    if (feed->replica.feed.freeze != FREEZE_NONE && !stands_at_closed_head(node, feed) &&
        !BUG(FROZEN_SERVED)) {
        refuse(node, link->handle, want.request, REFUSAL_NOT_HELD);
        return;
    }
    order = feed_compare(mine->epoch, mine->seq, want.epoch, want.since);
    if (order < 0 || (order == 0 && !lacks_head_alone(&want))) {
        refuse(node, link->handle, want.request, REFUSAL_NOTHING_NEWER);
        return;
    }
    walk_begin(node, link, index, &want);
}

void serve_on_credit(struct node *node, struct link *link, struct slice message)
{
    struct wire_credit credit;

    if (wire_read_credit(message, &credit) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    for (size_t i = 0; i < node->walk_count; i++) {
        struct walk *walk = node->walks[i];

        if (walk->link != link->handle || walk->request != credit.request)
            continue;
        walk->credited_at_ms = node_now(node);
        if (credit.chunks <= WANT_CREDIT_MAX && walk->credit + credit.chunks <= WANT_CREDIT_MAX)
            walk->credit += credit.chunks;
    }
}

/* --- chunks ------------------------------------------------------------------------------- */

/* Writes rows after walk->reached into writer until it is full; the count must stand before
 * them in the message, so rows are packed apart first.  *out_more: the rows did not end. */
static enum status fill_chunk(struct node *node, const struct walk *walk,
                              struct mp_writer *rows, size_t *out_count, uint64_t *out_reached,
                              bool *out_more)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    struct store_txn *txn = node_reading(node);
    struct change change;
    enum status status;
    size_t count = 0;

    if (txn == NULL)
        return node->turn_error;
    status = store_cursor_open(txn, walk->number[leading_tier(walk->tiers)], walk->tiers,
                               walk->reached, &cursor);
    if (status != OK)
        return status;
    *out_more = true;
    *out_reached = walk->reached;
    while (count < node->config.chunk_changes_max && rows->size < SERVE_FILL_SIZE) {
        if ((status = store_cursor_next(&cursor, &change)) == NOT_FOUND) {
            *out_more = false;
            break;
        }
        if (status != OK)
            return status;
        *out_reached = change.seq;
        if ((change.tiers & walk->tiers) != walk->tiers)
            continue;
        change_write(rows, &change, walk->tiers);
        count++;
    }
    *out_count = count;
    return rows->status;
}

static bool still_the_same(struct node *node, const struct node_feed *feed,
                           const struct walk *walk)
{
    const struct feed_mark *mine = &feed->replica.feed.tier[leading_tier(walk->tiers)];
    struct store_kept kept;

    if (walk->kept)
        return surplus_find(node, feed->record.origin, walk->epoch, walk->state.hash, &kept) &&
               kept.number == walk->number[0];
    return holds(feed, walk->tiers) && mine->epoch == walk->epoch &&
           (feed->replica.feed.freeze == FREEZE_NONE || stands_at_closed_head(node, feed) ||
            BUG(FROZEN_SERVED)) &&
           walk->number[0] == feed->record.tier[0].number &&
           walk->number[1] == feed->record.tier[1].number &&
           mine->horizon <= (walk->since != 0 ? walk->since : walk->base);
}

/* Sends the next chunk; false when the walk is over. */
static bool walk_step(struct node *node, struct walk *walk)
{
    CLEANUP(mp_writer_done) struct mp_writer rows = { 0 };
    const struct node_feed *feed = node->feeds[walk->feed];
    const struct signed_head *head =
        walk->kept ? &walk->state.head : &feed->record.tier[leading_tier(walk->tiers)].head;
    struct wire_changes chunk = { .request = walk->request,
                                  .index = walk->index,
                                  .epoch = walk->epoch,
                                  .since = walk->since,
                                  .base = walk->base,
                                  .tiers = walk->tiers };
    struct mp_writer *writer;
    uint64_t reached = 0;
    size_t count = 0;
    bool more = false;

    if (!still_the_same(node, feed, walk)) {
        refuse(node, walk->link, walk->request, REFUSAL_RESTARTED);
        return false;
    }
    mp_writer_init_heap(&rows, EVENT_SIZE_MAX);
    if (fill_chunk(node, walk, &rows, &count, &reached, &more) != OK) {
        refuse(node, walk->link, walk->request, REFUSAL_BUSY);
        return false;
    }
    memcpy(chunk.origin, feed->replica.feed.origin, CODE_SIZE);
    writer = node_writer(node);
    wire_write_changes_begin(writer, &chunk, count);
    mp_write_raw(writer, mp_writer_bytes(&rows));
    wire_write_changes_end(writer, more && !BUG(EVERY_CHUNK_ENDS) ? SLICE_NONE
                                                                  : signed_head_bytes(head));
    node_send(node, walk->link, mp_writer_bytes(writer));
    rate_charge(&node->taking[walk->peer].bytes, &all_chunks, writer->size, node_now(node));
    walk->reached = reached + BUG(WALK_SKIPS_A_ROW);
    walk->index++;
    walk->credit--;
    return more;
}

int64_t serve_next_ms(const struct node *node)
{
    return node->serve_at_ms != 0 ? node->serve_at_ms : INT64_MAX;
}

/* One chunk for each peer in a turn: whoever asks for much holds nobody up. */
bool serve_turn(struct node *node)
{
    const int64_t now = node_now(node);
    bool served[ORIGINS_MAX] = { false };
    bool more = false;

    node->serve_at_ms = 0;
    for (size_t i = 0; i < node->walk_count;) {
        struct walk *walk = node->walks[i];

        if (walk->credit == 0) {
            if (now - walk->credited_at_ms > WALK_IDLE_MS)
                walk_end(node, i);
            else
                i++;
            continue;
        }
        if (served[walk->peer]) {
            more = true;
            i++;
            continue;
        }
        if (!rate_has(&node->taking[walk->peer].bytes, &all_chunks, now)) {
            node->serve_at_ms = now + SERVE_WAIT_MS;
            i++;
            continue;
        }
        served[walk->peer] = true;
        if (!walk_step(node, walk)) {
            walk_end(node, i);
            continue;
        }
        more |= walk->credit > 0;
        i++;
    }
    return more;
}
