/* SPDX-License-Identifier: MPL-2.0 */
/* beat.c - "this is still my newest head": an origin's own beats, and those of others. */
#include <string.h>

#include "daemon/node_internal.h"
#include "daemon/replication.h"

#define ANSWER_HQ_AFTER_MS 5000 /* an own beat at most so often because HQ's was heard */
#define OWN_BEAT_SPACING_MS 1000
#define EPOCH_SHIFT 32 /* of boot */
#define STARTS_MAX (UINT64_C(1) << 31)

void sync_beat_soon(struct node *node, int64_t spacing_ms)
{
    const int64_t at = node->last_beat_ms + spacing_ms;
    const int64_t now = node_now(node);
    const int64_t due = at > now ? at : now;

    if (due < node->beat_at_ms)
        node->beat_at_ms = due;
}

static void send_beat_bytes(struct node *node, const char *origin, struct slice envelope)
{
    struct mp_writer *writer = node_writer(node);

    wire_write_beat(writer, envelope);
    node_publish(node, origin, mp_writer_bytes(writer));
    if (strcmp(origin, node->code) != 0)
        return;
    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = &node->links[i];

        /* who just dialled has perhaps not subscribed yet */
        if (link->dialled ? link->up : link->beat_due)
            node_send(node, link->handle, mp_writer_bytes(writer));
        link->beat_due = false;
    }
}

/* Copies of a directory count their starts alike, but begin different epochs. */
static uint64_t boot_of(uint64_t epoch, uint64_t starts)
{
    return (epoch << EPOCH_SHIFT) + starts;
}

void sync_own_beat(struct node *node)
{
    struct node_feed *own = node->feeds[node->own_feed];
    const struct feed_mark *mark = &own->replica.feed.tier[TIER_FEDERATION];
    const int64_t now = node_now(node);
    struct beat beat = { .epoch = mark->epoch, .seq = mark->seq };

    node->beat_at_ms = now + BEAT_INTERVAL_MS;
    node->last_beat_ms = now;
    if (mark->seq == 0 || node->recovering || own->replica.feed.freeze != FREEZE_NONE)
        return;
    memcpy(beat.federation, node->federation, HASH_SIZE);
    memcpy(beat.origin, node->code, CODE_SIZE);
    memcpy(beat.head_hash, mark->hash, HASH_SIZE);
    beat.boot = boot_of(mark->epoch, node->boot);
    beat.counter = ++node->beat_counter;
    if (node->is_hq) {
        node->hq_seen_boot = beat.boot;
        node->hq_seen_counter = beat.counter;
        hq_beats_note(&node->hq_beats, beat.boot, beat.counter, now);
    }
    beat.hq_boot = BUG(NO_ECHO) ? 0 : node->hq_seen_boot;
    beat.hq_counter = BUG(NO_ECHO) ? 0 : node->hq_seen_counter;
    beat_sign(&beat, &node->identity.sign, &own->beat);
    own->replica.beat = beat;
    own->replica.beat_at_ms = now;
    send_beat_bytes(node, node->code, slice_of(own->beat.bytes, own->beat.size));
}

/* A restored directory has counted fewer starts: the epoch goes first. */
static bool beat_is_newer(const struct beat *beat, const struct beat *than)
{
    if (beat->epoch != than->epoch)
        return beat->epoch > than->epoch;
    return beat->boot != than->boot ? beat->boot > than->boot : beat->counter > than->counter;
}

/* One of mine that I do not know of: this directory was set back, or another copy of it ran.
 * Peers take none of mine before they are newer than that one. */
static void count_beyond(struct node *node, const struct beat *beat)
{
    const uint64_t starts = beat->boot - boot_of(beat->epoch, 0);

    if (starts >= STARTS_MAX || node_writing(node) == NULL ||
        node_turn_fails(node, store_put_meta_uint(&node->txn, META_BOOT, starts + 1)) != OK)
        return;
    node->boot = starts + 1;
    log_event(LOG_WARNING,
              "event=beats_set_back boot=%llu remedy=\"nothing to do if this machine was set"
              " back to an earlier state; else see that no other daemon runs with these keys\"",
              (unsigned long long)node->boot);
    sync_beat_soon(node, OWN_BEAT_SPACING_MS);
}

static void note_own_beat(struct node *node, const struct beat *beat)
{
    const struct feed_mark *mine =
        &node->feeds[node->own_feed]->replica.feed.tier[TIER_FEDERATION];

    if (feed_compare(beat->epoch, beat->seq, mine->epoch, mine->seq) > 0)
        sync_own_head(node, beat->epoch, beat->seq);
    else
        count_beyond(node, beat);
}

/* Does it tell me anything of myself: a head that I lack, or a beat that I did not send? */
static bool is_news_of_me(const struct node *node, const struct beat *beat)
{
    const struct feed_mark *mine =
        &node->feeds[node->own_feed]->replica.feed.tier[TIER_FEDERATION];
    const struct beat last = { .epoch = mine->epoch,
                               .boot = boot_of(mine->epoch, node->boot),
                               .counter = node->beat_counter };

    return feed_compare(beat->epoch, beat->seq, mine->epoch, mine->seq) > 0 ||
           beat_is_newer(beat, &last);
}

static void note_hq_beat(struct node *node, const struct beat *beat)
{
    const bool restarted = beat->boot != node->hq_seen_boot;

    node->hq_seen_boot = beat->boot;
    node->hq_seen_counter = beat->counter;
    hq_beats_note(&node->hq_beats, beat->boot, beat->counter, node_now(node));
    sync_beat_soon(node, restarted ? OWN_BEAT_SPACING_MS : ANSWER_HQ_AFTER_MS);
}

void sync_note_beat(struct node *node, uint32_t peer, const struct beat *beat,
                    struct slice envelope)
{
    const uint32_t index = node_feed_index(node, beat->origin);
    struct node_feed *feed;
    struct feed_term term;

    if (index == NO_PEER || envelope.size > SIGNED_BEAT_SIZE_MAX ||
        memcmp(beat->federation, node->federation, HASH_SIZE) != 0)
        return;
    feed = node->feeds[index];
    roster_term_of(node, beat->origin, &term);
    if (feed_leaps(&feed->replica.feed.tier[TIER_FEDERATION], &term, beat->seq) ||
        feed_epoch_leaps(&feed->replica.feed.tier[TIER_FEDERATION], &term, beat->epoch))
        return;
    if (!(feed->replica.own ? is_news_of_me(node, beat)
                            : beat_is_newer(beat, &feed->replica.beat)))
        return;
    /* What a relay forged uses up nothing of its origin's. */
    if (!measure_beat(node, feed) || !measure_signature(node, peer))
        return;
    node->counters.signatures_checked++;
    if (!roster_signed(node, beat->origin, beat->epoch, beat->seq, envelope, beat_verify) &&
        !BUG(BEAT_NOT_VERIFIED)) {
        feed->refused++;
        measure_unproven(node, peer);
        return;
    }
    measure_beat_taken(node, feed);
    if (feed->replica.own) {
        note_own_beat(node, beat);
        return;
    }
    feed->replica.beat = *beat;
    feed->replica.beat_at_ms = node_now(node);
    feed->beat_peer = peer;
    memcpy(feed->beat.bytes, envelope.data, envelope.size);
    feed->beat.size = (uint16_t)envelope.size;
    node_step(node, &(struct replica_input){ .kind = INPUT_HEARD,
                                             .feed = index,
                                             .tiers = TIERS_FEDERATION,
                                             .epoch = beat->epoch,
                                             .seq = beat->seq });
    if (strcmp(beat->origin, "hq") == 0)
        note_hq_beat(node, beat);
    if (!BUG(BEAT_NOT_FLOODED))
        send_beat_bytes(node, beat->origin, envelope);
}

void sync_recheck_beat(struct node *node, uint32_t index)
{
    struct node_feed *feed = node->feeds[index];
    const struct beat *beat = &feed->replica.beat;
    struct feed_term term;

    roster_term_of(node, feed->record.origin, &term);
    if (feed->beat.size == 0 || feed->replica.own || beat->epoch <= term.epoch ||
        roster_signed(node, beat->origin, beat->epoch, beat->seq,
                      slice_of(feed->beat.bytes, feed->beat.size), beat_verify))
        return;
    feed->beat.size = 0;
    memset(&feed->replica.beat, 0, sizeof feed->replica.beat);
    feed->beat_peer = NO_PEER;
    replica_disproved(&node->replica, index);
    node->tick_due = true;
}

void sync_show_beat(struct node *node, const struct link *link, uint32_t index)
{
    const struct node_feed *feed = node->feeds[index];
    struct mp_writer *writer;

    if (feed->beat.size == 0)
        return;
    writer = node_writer(node);
    wire_write_beat(writer, slice_of(feed->beat.bytes, feed->beat.size));
    node_send(node, link->handle, mp_writer_bytes(writer));
}

/* The origin itself sends one that is older than the one I hold: it does not know of that one,
 * nor, perhaps, of the head that it names. */
static void show_newer(struct node *node, const struct link *link, uint32_t index,
                       const struct beat *beat)
{
    const struct replica_feed *feed = &node->feeds[index]->replica;

    if (!feed->own && strcmp(node->peers[link->peer]->code, beat->origin) == 0 &&
        beat_is_newer(&feed->beat, beat))
        sync_show_beat(node, link, index);
}

void sync_on_beat(struct node *node, const struct link *link, struct slice message)
{
    struct wire_beat wire;
    struct beat beat;
    const struct feed_mark *other;
    uint32_t index;

    if (wire_read_beat(message, &wire) != OK || beat_read(wire.beat, &beat) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    sync_note_beat(node, link->peer, &beat, wire.beat);
    /* It names another head where I stand: show mine, so that who holds the other sees the
     * fork. */
    index = node_feed_index(node, beat.origin);
    if (index == NO_PEER)
        return;
    show_newer(node, link, index, &beat);
    if ((other = feed_beat_conflict(&node->feeds[index]->replica.feed, &beat)) != NULL)
        sync_show_head(node, link, index, other);
}
