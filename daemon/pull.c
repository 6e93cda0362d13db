/* SPDX-License-Identifier: MPL-2.0 */
/* pull.c - fetching what is missing: one want, its chunks, and what they lead to.
 *
 * A single chunk is judged and applied like an event.  Longer answers are *built* under a fresh
 * number, durably, chunk by chunk, and resumed after a crash; at the end they are judged
 * against my rows (a delta), or flipped to (a snapshot, or a delta too long for one
 * transaction, after my own unchanged rows were copied in). */
#include "daemon/pull_internal.h"
#include "daemon/recovery.h"
#include "daemon/replication.h"

#include <stdlib.h>
#include <string.h>

#define UNPROVEN_MAX 3 /* a head that came so often and cannot be proven counts as none */

int pull_leading_tier(unsigned tiers)
{
    return tiers & TIERS_FEDERATION ? TIER_FEDERATION : TIER_HQ;
}

/* --- asking ------------------------------------------------------------------------------- */

static bool build_goes_on(struct node *node, const struct store_build *build,
                          const struct replica_effect *effect, const struct link *link)
{
    const struct roster_node *peer = roster_find_key(node, build->peer);
    const bool trusted = peer != NULL && (strcmp(peer->entry.code, "hq") == 0 ||
                                          strcmp(peer->entry.code, build->origin) == 0);
    const bool whole = effect->since == 0;

    if (build->head.size != 0 || build->reached == 0)
        return false;
    if (memcmp(build->peer, link->key, KEY_SIZE) != 0 && !trusted)
        return false;
    /* A delta that began at or before my state, or a snapshot of the epoch asked for. */
    return whole ? build->since == 0
                 : build->epoch == effect->epoch && build->since <= effect->since &&
                       build->since != 0;
}

enum status pull_drop_build(struct node *node, const struct store_build *build)
{
    enum status status;

    if (node_writing(node) == NULL)
        return node->turn_error;
    status = store_discard(&node->txn, build->origin, build->number, TIERS_BOTH);
    if (status == OK)
        status = store_delete_build(&node->txn, build->origin, build->tiers);
    node->sweep_more = true;
    return node_turn_fails(node, status);
}

void pull_want(struct node *node, const struct replica_effect *effect)
{
    const struct node_feed *feed = node->feeds[effect->feed];
    const struct feed_mark *mine = &feed->replica.feed.tier[pull_leading_tier(effect->tiers)];
    struct link *link = node_link_of_peer(node, effect->peer);
    struct wire_want want = { .request = effect->request,
                              .epoch = effect->epoch,
                              .since = effect->since,
                              .tiers = effect->tiers,
                              .credit = WANT_CREDIT_MAX / 2 };
    struct store_txn *txn;
    struct mp_writer *writer;
    struct store_build build;

    if (link == NULL || feed->building || (txn = node_reading(node)) == NULL) {
        node_step(node,
                  &(struct replica_input){ .kind = INPUT_FAILED, .request = effect->request });
        return;
    }
    memcpy(want.origin, feed->replica.feed.origin, CODE_SIZE);
    if (effect->since != 0)
        memcpy(want.hash, mine->hash, HASH_SIZE);
    if (store_get_build(txn, want.origin, effect->tiers, &build) == OK) {
        if (build_goes_on(node, &build, effect, link)) {
            want.epoch = build.epoch;
            want.since = build.reached;
            memset(want.hash, 0, sizeof want.hash);
        } else if (pull_drop_build(node, &build) != OK) {
            return;
        }
    }
    writer = node_writer(node);
    wire_write_want(writer, &want);
    node_send(node, link->handle, mp_writer_bytes(writer));
    node->counters.wants_sent++;
}

void pull_dropped(struct node *node, const struct replica_effect *effect)
{
    /* What was built stays: the next want to the same peer, or after one to HQ, goes on from
     * it. */
    (void)node;
    (void)effect;
}

void pull_on_refusal(struct node *node, uint32_t peer, struct slice message)
{
    struct wire_refusal refusal;
    struct replica_pull *pull;
    struct store_txn *txn;
    struct store_build build;
    uint32_t index;
    bool staged;

    if (wire_read_refusal(message, &refusal) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    surplus_on_refusal(node, refusal.request);
    pull = replica_pull_of(&node->replica, refusal.request, &index);
    if (pull == NULL || pull->peer != peer)
        return;
    if ((txn = node_reading(node)) == NULL)
        return;
    staged = store_get_build(txn, node->feeds[index]->replica.feed.origin, pull->tiers,
                             &build) == OK &&
             build.head.size == 0;
    /* Nothing newer than what was staged says nothing of my state. */
    if (refusal.reason == REFUSAL_NOT_HELD ||
        (refusal.reason == REFUSAL_NOTHING_NEWER && !staged))
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            if (pull->tiers & (1u << tier))
                node->peers[peer]->claim[index][tier] = (struct replica_claim){ 0, 0 };
    if (refusal.reason != REFUSAL_BUSY && staged)
        (void)pull_drop_build(node, &build);
    node_step(node,
              &(struct replica_input){ .kind = INPUT_FAILED, .request = refusal.request });
}

/* --- the end of a list -------------------------------------------------------------------- */

void pull_ends(struct node *node, uint64_t request)
{
    node_step(node, &(struct replica_input){ .kind = INPUT_ENDED, .request = request });
}

void pull_fails(struct node *node, uint64_t request)
{
    node_step(node, &(struct replica_input){ .kind = INPUT_FAILED, .request = request });
}

void pull_mismatched(struct node *node, uint32_t peer, uint32_t index, unsigned tiers)
{
    node->counters.mismatches++;
    node->feeds[index]->refused++;
    node_step(node, &(struct replica_input){ .kind = INPUT_MISMATCH,
                                             .peer = peer,
                                             .feed = index,
                                             .tiers = tiers,
                                             .answer = true });
}

/* Larger than the roster allows: asked again after the longest pause, or with a new roster. */
void pull_pauses(struct node *node, uint32_t index, unsigned tiers)
{
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (tiers & (1u << tier))
            node->feeds[index]->replica.tier[tier].retry_at_ms = node_now(node) + RETRY_MS_MAX;
}

void pull_hq_has_no_more(struct node *node, uint32_t index)
{
    for (uint32_t peer = 0; peer < node->replica.peer_count; peer++)
        node->peers[peer]->claim[index][TIER_HQ] = (struct replica_claim){ 0, 0 };
}

/* True if it is no mismatch.  HQ's tier hq may be as old as keys that are worth nothing any
 * more: the same head again and again, which will never be proven. */
static bool unproven(struct node *node, uint32_t index, const struct wire_changes *answer,
                     const struct head *head)
{
    struct node_feed *feed = node->feeds[index];
    const bool again = slice_equal(signed_head_bytes(&feed->unproven), answer->head);

    if (sync_roster_is_older(node, head))
        return true;
    feed->unproven_times = again ? feed->unproven_times + 1 : 1;
    if (signed_head_set(&feed->unproven, answer->head) != OK)
        feed->unproven.size = 0;
    if (feed->replica.own && (answer->tiers & TIERS_HQ) && feed->unproven_times >= UNPROVEN_MAX)
        pull_hq_has_no_more(node, index);
    return false;
}

/* The final head of an answer: form, federation, origin, signature, epoch, freeze, limits. 
 * *out_tiers are those that it advances (or, where my rows are damaged, mends). */
bool pull_head_good(struct node *node, uint32_t index, const struct wire_changes *answer,
                    struct head *out_head, unsigned *out_tiers)
{
    const struct node_feed *feed = node->feeds[index];
    struct feed_term term;

    if (head_read(answer->head, out_head) != OK ||
        memcmp(out_head->federation, node->federation, HASH_SIZE) != 0 ||
        strcmp(out_head->origin, feed->replica.feed.origin) != 0)
        return false;
    *out_tiers = 0;
    if (!roster_head_proven(node, answer->head, out_head))
        return unproven(node, index, answer, out_head);
    if (sync_below_floor(node, out_head) || out_head->seq < answer->base ||
        (answer->since == 0 && out_head->horizon > answer->base))
        return false;
    roster_term_of(node, out_head->origin, &term);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const struct feed_mark *other = NULL;
        enum feed_verdict verdict;

        if (!(answer->tiers & (1u << tier)))
            continue;
        verdict = feed_judge(&feed->replica.feed, (enum tier)tier, &term, out_head,
                             answer->since, &other);
        if (verdict == FEED_FORK) {
            sync_on_fork(node, index, answer->head, other);
            return true;
        }
        if (verdict == FEED_EXTENDS || (verdict == FEED_SNAPSHOT && answer->since == 0) ||
            (verdict == FEED_KNOWN && answer->since == 0 && feed->replica.tier[tier].damaged &&
             memcmp(out_head->hash, feed->replica.feed.tier[tier].hash, HASH_SIZE) == 0))
            *out_tiers |= 1u << tier;
        else if (feed->replica.own && tier == TIER_HQ &&
                 (verdict == FEED_KNOWN || verdict == FEED_CLOSED_EPOCH ||
                  verdict == FEED_ENDED))
            pull_hq_has_no_more(node, index); /* that will never lead on from mine */
    }
    if (!sync_within_quota(node, index, out_head)) {
        *out_tiers = 0; /* paused, no mismatch; asked again at the longest pause */
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            node->feeds[index]->replica.tier[tier].failures = 16;
    }
    return true;
}

static void after_advance(struct node *node, uint32_t index, unsigned applied,
                          const struct wire_changes *answer)
{
    struct wire_list list = answer->changes;
    struct change change;
    struct mp_writer *writer;

    if ((applied & TIERS_FEDERATION) && answer->index == 0 && node->listen[0] != '\0') {
        writer = node_writer(node);
        wire_write_event_begin(writer, TIERS_FEDERATION, answer->since, answer->head,
                               list.count);
        while (wire_next_change(&list, answer->tiers, &change))
            change_write(writer, &change, TIERS_FEDERATION);
        node_publish(node, node->feeds[index]->replica.feed.origin, mp_writer_bytes(writer));
    }
    sync_unpark(node, index);
}

/* --- a single chunk ----------------------------------------------------------------------- */

static void finish_direct(struct node *node, uint32_t peer, uint32_t index,
                          const struct wire_changes *answer)
{
    struct head head;
    unsigned tiers = 0;
    unsigned applied = 0;
    unsigned paused = 0;
    unsigned replacing = 0;

    if (!pull_head_good(node, index, answer, &head, &tiers)) {
        pull_mismatched(node, peer, index, answer->tiers);
        pull_fails(node, answer->request);
        return;
    }
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((tiers & (1u << tier)) && answer->since == 0 &&
            node->feeds[index]->replica.feed.tier[tier].seq != 0)
            replacing |= 1u << tier;
    if (replacing != 0) {
        /* It may have to replace rows, or prove something: built like a long one. */
        pull_stage(node, peer, index, answer, true);
        return;
    }
    if (tiers == 0) {
        pull_fails(node, answer->request);
        return;
    }
    pull_ends(node, answer->request);
    if (sync_apply_wire(node, index, tiers, &head, answer->head, &answer->changes,
                        answer->tiers, &applied, &paused) != OK)
        return;
    pull_pauses(node, index, paused);
    tiers &= ~paused;
    if (applied != tiers)
        pull_mismatched(node, peer, index, tiers & ~applied);
    if (applied != 0)
        after_advance(node, index, applied, answer);
}

void pull_on_changes(struct node *node, uint32_t peer, struct link *link, struct slice message)
{
    struct wire_changes answer;
    struct store_build build;
    struct replica_pull *pull;
    struct store_txn *txn;
    uint32_t index;
    bool resumed;

    if (wire_read_changes(message, &answer) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    if (surplus_on_changes(node, link, &answer))
        return;
    pull = replica_pull_of(&node->replica, answer.request, &index);
    if (pull == NULL || pull->peer != peer || pull->tiers != answer.tiers ||
        pull->next_index != answer.index || node->feeds[index]->building ||
        strcmp(answer.origin, node->feeds[index]->replica.feed.origin) != 0)
        return;
    node->counters.chunks_received++;
    node->counters.changes_received += answer.changes.count;
    node->feeds[index]->fetched_bytes += message.size;
    node->feeds[index]->build_bytes =
        answer.index == 0 ? message.size : node->feeds[index]->build_bytes + message.size;
    node_step(node, &(struct replica_input){ .kind = INPUT_CHUNK, .request = answer.request });
    if ((txn = node_reading(node)) == NULL)
        return;
    resumed = store_get_build(txn, answer.origin, answer.tiers, &build) == OK;
    if (answer.index == 0 && answer.head.size != 0 && !resumed) {
        finish_direct(node, peer, index, &answer);
        return;
    }
    pull_stage(node, peer, index, &answer, answer.index == 0);
    if (answer.head.size == 0) {
        const struct wire_credit credit = { answer.request, 1 };
        struct mp_writer *writer = node_writer(node);

        wire_write_credit(writer, &credit);
        node_send(node, link->handle, mp_writer_bytes(writer));
    }
}
