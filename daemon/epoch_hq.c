/* SPDX-License-Identifier: MPL-2.0 */
/* epoch_hq.c - a directory that may not sign asks for an epoch: HQ closes the present one at
 * the head that it holds, and opens the next, unless another daemon with the same keys is
 * alive.  The rules are those of core/epoch.h. */
#include "daemon/recovery.h"
#include "daemon/replication.h"
#include "daemon/write.h"

#include <string.h>

#define PROBE_MS 3000 /* a node that is alive answers a hello by then */

/* Is there another node with the requester's key, and does it answer?  Whoever asks for an
 * epoch itself is no rival that signs. */
static enum epoch_others others_of(struct node *node, const struct link *asker,
                                   uint64_t instance)
{
    const int64_t now = node_now(node);
    int64_t *probed_at_ms = &node->probed_at_ms[asker->peer];
    const bool probing = *probed_at_ms != 0 && now < *probed_at_ms + 10 * PROBE_MS;
    bool found = false;

    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = &node->links[i];

        if (link == asker || link->peer != asker->peer ||
            (link->asks_as != 0 && link->asks_as != instance))
            continue;
        if (probing && link->last_seen_ms >= *probed_at_ms) {
            *probed_at_ms = 0; /* a near one answers at once; it may be gone by the next */
            return OTHERS_ALIVE;
        }
        found = true;
        if (!probing)
            sync_greet(node, link);
    }
    if (!found || (probing && now >= *probed_at_ms + PROBE_MS))
        return OTHERS_NONE;
    if (!probing)
        *probed_at_ms = now;
    return OTHERS_UNKNOWN;
}

bool epoch_is_moving(const struct node *node, const char *code)
{
    const uint32_t index = node_feed_index(node, code);

    return index != NO_PEER && node->feeds[index]->building;
}

void epoch_close(const struct node *node, struct roster_entry *entry, uint64_t instance)
{
    const uint32_t index = node_feed_index(node, entry->code);
    const struct feed_mark *held = &node->feeds[index]->replica.feed.tier[TIER_FEDERATION];

    /* What is offered of this epoch is proven by its former key, too: as far as that was good,
     * or in all of it, if no head of the new key was seen.  After the next it is void. */
    if (entry->former_epoch != entry->epoch) {
        memset(entry->former_key, 0, KEY_SIZE);
        entry->former_epoch = entry->former_seq = 0;
    } else if (entry->former_seq == 0) {
        entry->former_epoch = 0;
    }
    if (held->epoch > entry->epoch) /* a restored HQ may have forgotten what it opened */
        entry->epoch = held->epoch;
    entry->epoch++;
    entry->instance = instance;
    entry->closed_seq = held->seq;
    memcpy(entry->closed_hash, held->hash, HASH_SIZE);
}

/* Nobody serves me what is frozen, nor I what is damaged: a head that I hold so is lost. */
static bool cannot_be_mended(const struct node *node, const char *code)
{
    const struct replica_feed *feed = &node->feeds[node_feed_index(node, code)]->replica;

    return feed->tier[TIER_FEDERATION].damaged && feed->feed.freeze != FREEZE_NONE;
}

/* A turn closes one epoch at most. */
static enum epoch_answer close_epoch(struct node *node, const struct roster_entry *old,
                                     uint64_t instance, const struct head *head)
{
    const uint64_t turn = node->counters.turns + node->counters.commits_failed + 1;
    struct roster_entry entry = *old;
    const char *error;
    const char *remedy;

    if (epoch_is_moving(node, old->code) || node->closing_turn == turn ||
        write_ready(node, &error, &remedy) != OK ||
        !measure_entry(node, node_peer_index(node, old->code)))
        return EPOCH_LATER;
    node->closing_turn = turn;
    /* A restored HQ may have forgotten epochs that it opened. */
    if (head != NULL && head->epoch > entry.epoch &&
        head->epoch - entry.epoch <= EPOCH_LEAP_MAX)
        entry.epoch = head->epoch;
    epoch_close(node, &entry, instance);
    if (head != NULL && ((entry.closed_seq == 0 && head->epoch < entry.epoch) ||
                         (head->epoch == old->epoch && cannot_be_mended(node, old->code)))) {
        entry.closed_seq =
            head->seq; /* I hold nothing to serve: what the requester has is all */
        memcpy(entry.closed_hash, head->hash, HASH_SIZE);
    }
    if (write_roster(node, &entry) != OK || node_turn_fails(node, write_seal(node)) != OK)
        return EPOCH_LATER;
    roster_amend(node, &entry);
    log_event(LOG_NOTICE, "event=epoch_opened chapter=%s epoch=%llu closed_seq=%llu",
              entry.code, (unsigned long long)entry.epoch,
              (unsigned long long)entry.closed_seq);
    return EPOCH_GRANTED;
}

/* The head that the requester stands at: its own, signed, of this federation. */
static bool head_is_good(struct node *node, const char *code, struct slice envelope,
                         struct head *out_head)
{
    if (head_read(envelope, out_head) != OK ||
        memcmp(out_head->federation, node->federation, HASH_SIZE) != 0 ||
        strcmp(out_head->origin, code) != 0)
        return false;
    return roster_head_proven(node, envelope, out_head);
}

static enum epoch_answer judge(struct node *node, const struct link *link,
                               const struct wire_epoch_request *wire, const struct head *head)
{
    const struct roster_node *place = roster_find(node, node->peers[link->peer]->code);
    const uint32_t index = node_feed_index(node, place->entry.code);
    struct feed *feed = &node->feeds[index]->replica.feed;
    const struct feed_mark *other;
    struct epoch_request request = { .instance = wire->instance };
    struct feed_term term;
    enum epoch_answer answer;

    roster_term_of(node, place->entry.code, &term);
    if (wire->instance == term.instance)
        return EPOCH_GRANTED;
    if (head != NULL && head->epoch == term.epoch && head->instance == term.instance &&
        (other = feed_conflict(feed, head)) != NULL)
        sync_on_fork(node, index, wire->head, other);
    if (head != NULL) {
        request.head_epoch = head->epoch;
        request.head_seq = head->seq;
        request.head_hash = head->hash;
    }
    request.others = others_of(node, link, term.instance);
    answer = epoch_answer(&request, &term, feed);
    if (answer == EPOCH_GRANTED)
        answer = close_epoch(node, &place->entry, wire->instance, head);
    if (answer == EPOCH_WAITS_FOR_HEAD && head != NULL)
        node_step(node, &(struct replica_input){ .kind = INPUT_CLAIM,
                                                 .peer = link->peer,
                                                 .feed = index,
                                                 .tiers = TIERS_BOTH,
                                                 .epoch = head->epoch,
                                                 .seq = head->seq });
    return answer;
}

void epoch_on_request(struct node *node, struct link *link, struct slice message)
{
    struct wire_epoch_request request;
    struct wire_epoch_reply reply;
    struct mp_writer *writer;
    struct head head;
    const char *code = node->peers[link->peer]->code;

    if (!node->is_hq || node_feed_index(node, code) == NO_PEER)
        return;
    if (wire_read_epoch_request(message, &request) != OK ||
        (request.head.size != 0 && !head_is_good(node, code, request.head, &head))) {
        node->counters.messages_malformed++;
        return;
    }
    link->asks_as = request.instance;
    reply.instance = request.instance;
    reply.answer = judge(node, link, &request, request.head.size != 0 ? &head : NULL);
    writer = node_writer(node);
    wire_write_epoch_reply(writer, &reply);
    node_send(node, link->handle, mp_writer_bytes(writer));
}
