/* SPDX-License-Identifier: MPL-2.0 */
/* evidence.c - heads that peers show: proofs of fork, kept and passed on; of the own feed, that
 * this copy is from the past; of keys that were given up. */
#include "daemon/recovery.h"
#include "daemon/replication.h"

#include <string.h>

static enum status find_head(struct node *node, const struct node_feed *feed,
                             const uint8_t hash[HASH_SIZE], struct signed_head *out_head)
{
    struct signed_head heads[HEADS_KEPT];
    struct store_txn *txn = node_reading(node);
    size_t count = 0;
    enum status status;

    if (txn == NULL)
        return node->turn_error;
    status = store_list_heads(txn, feed->record.origin, heads, HEADS_KEPT, &count);
    if (status != OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        struct head head;

        if (head_read(signed_head_bytes(&heads[i]), &head) == OK &&
            memcmp(head.hash, hash, HASH_SIZE) == 0) {
            *out_head = heads[i];
            return OK;
        }
    }
    return NOT_FOUND;
}

static void flood_evidence(struct node *node, const char *origin, struct slice a,
                           struct slice b)
{
    struct mp_writer *writer = node_writer(node);

    if (BUG(FORK_NOT_TOLD))
        return;
    wire_write_evidence(writer, a, b);
    node_publish(node, origin, mp_writer_bytes(writer));
    for (size_t i = 0; i < node->link_count; i++)
        if (node->links[i].up || node->links[i].greeted)
            node_send(node, node->links[i].handle, mp_writer_bytes(writer));
}

/* Two valid heads of one origin and epoch that conflict: keep both, tell all, take no more. */
static void freeze(struct node *node, uint32_t index, struct slice a, struct slice b,
                   uint64_t epoch)
{
    struct node_feed *feed = node->feeds[index];
    enum status status;

    if (node_writing(node) == NULL)
        return;
    status = store_put_evidence(&node->txn, feed->record.origin, a, b);
    if (status == EXISTS)
        status = OK;
    if (status == OK && feed->replica.feed.freeze == FREEZE_NONE) {
        feed->replica.feed.freeze = FREEZE_FORKED;
        feed->replica.feed.freeze_epoch = epoch;
        feed->record.hold = FEED_FORKED;
        feed->record.hold_epoch = epoch;
        status = store_put_feed(&node->txn, &feed->record);
        node->counters.forks++;
        log_event(
            LOG_ERROR, "event=fork feed=%s epoch=%llu remedy=\"%s\"", feed->record.origin,
            (unsigned long long)epoch,
            strcmp(feed->record.origin, "hq") == 0
                ? "two daemons sign with HQ's keys: stop one; the last good roster stays"
                  " in force until HQ's next epoch is begun with the recovery key"
                : "two daemons run with this chapter's keys: stop one, keep the other off;"
                  " HQ opens a new epoch");
        flood_evidence(node, feed->record.origin, a, b);
    }
    (void)node_turn_fails(node, status);
}

void sync_on_fork(struct node *node, uint32_t index, struct slice envelope,
                  const struct feed_mark *other)
{
    struct signed_head mine;

    if (find_head(node, node->feeds[index], other->hash, &mine) == OK)
        freeze(node, index, signed_head_bytes(&mine), envelope, other->epoch);
}

bool sync_head_proven(struct node *node, struct slice envelope, struct head *out_head,
                      uint32_t *out_feed)
{
    if (head_read(envelope, out_head) != OK ||
        memcmp(out_head->federation, node->federation, HASH_SIZE) != 0)
        return false;
    if ((*out_feed = node_feed_index(node, out_head->origin)) == NO_PEER)
        return false;
    return (roster_head_proven(node, envelope, out_head) || BUG(HEAD_NOT_VERIFIED)) &&
           !sync_below_floor(node, out_head);
}

bool sync_below_floor(const struct node *node, const struct head *head)
{
    return strcmp(head->origin, "hq") == 0 &&
           feed_compare(head->epoch, head->seq, node->floor_epoch, node->floor_seq) < 0;
}

bool sync_roster_is_older(const struct node *node, const struct head *head)
{
    const struct feed_mark *roster =
        &node->feeds[node_feed_index(node, "hq")]->replica.feed.tier[TIER_FEDERATION];

    /* What of it came in this turn is in force after its commit. */
    return node->roster_changed ||
           feed_compare(head->roster_epoch, head->roster_seq, roster->epoch, roster->seq) > 0;
}

static void on_single_head(struct node *node, uint32_t peer, struct slice envelope,
                           const struct head *head, uint32_t index)
{
    struct node_feed *feed = node->feeds[index];
    const struct feed_mark *other;
    struct feed_term term;

    roster_term_of(node, head->origin, &term);
    if (head->epoch != term.epoch)
        return;
    if ((other = feed_conflict(&feed->replica.feed, head)) != NULL)
        sync_on_fork(node, index, envelope, other);
    else if (feed->replica.own)
        sync_own_head(node, head->epoch, head->seq);
    else
        node_step(node, &(struct replica_input){ .kind = INPUT_CLAIM,
                                                 .peer = peer,
                                                 .feed = index,
                                                 .tiers = TIERS_FEDERATION,
                                                 .epoch = head->epoch,
                                                 .seq = head->seq });
}

/* It is for its origin to say what is to become of heads that nobody can prove: HQ passes them
 * on to there, in the epoch in which a key was given up. */
static void on_unproven(struct node *node, uint32_t peer, const struct wire_evidence *evidence,
                        struct slice message)
{
    const struct roster_node *place;
    struct link *link;
    struct head head;
    uint32_t origin;

    if (head_read(evidence->head[0], &head) != OK ||
        memcmp(head.federation, node->federation, HASH_SIZE) != 0 ||
        (place = roster_find(node, head.origin)) == NULL || head.epoch != place->entry.epoch)
        return;
    if (strcmp(head.origin, node->code) == 0) {
        if (measure_signature(node, peer) &&
            !epoch_on_former_heads(node, evidence->head[0], evidence->head[1]))
            measure_unproven(node, peer);
        return;
    }
    origin = node_peer_index(node, head.origin);
    if (node->is_hq && place->entry.former_seq != 0 &&
        place->entry.former_epoch == head.epoch && origin != NO_PEER &&
        (link = node_link_of_peer(node, origin)) != NULL && measure_relay(node, peer))
        node_send(node, link->handle, message);
}

void sync_on_evidence(struct node *node, uint32_t peer, struct slice message)
{
    struct wire_evidence evidence;
    struct head heads[2];
    uint32_t index;
    uint32_t other;
    struct feed_term term;

    if (wire_read_evidence(message, &evidence) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    if (!sync_head_proven(node, evidence.head[0], &heads[0], &index)) {
        on_unproven(node, peer, &evidence, message);
        return;
    }
    if (evidence.head[1].size == 0) {
        on_single_head(node, peer, evidence.head[0], &heads[0], index);
        return;
    }
    if (!sync_head_proven(node, evidence.head[1], &heads[1], &other)) {
        on_unproven(node, peer, &evidence, message);
        return;
    }
    if (other != index || !(heads_conflict(&heads[0], &heads[1]) || BUG(EVIDENCE_NOT_CHECKED)))
        return;
    roster_term_of(node, heads[0].origin, &term);
    if (heads[0].epoch == term.epoch && node->feeds[index]->replica.feed.freeze == FREEZE_NONE)
        freeze(node, index, evidence.head[0], evidence.head[1], heads[0].epoch);
}

/* Shows peer the head that I remember where it says it stands otherwise. */
void sync_show_head(struct node *node, const struct link *link, uint32_t index,
                    const struct feed_mark *mark)
{
    struct signed_head mine;
    struct mp_writer *writer;

    if (find_head(node, node->feeds[index], mark->hash, &mine) != OK)
        return;
    writer = node_writer(node);
    wire_write_evidence(writer, signed_head_bytes(&mine), SLICE_NONE);
    node_send(node, link->handle, mp_writer_bytes(writer));
}

static bool find_evidence(struct store_txn *txn, const struct node_feed *feed,
                          struct signed_head out_pair[2])
{
    struct signed_head pairs[EVIDENCE_MAX][2];
    struct head head;
    size_t count = 0;

    if (store_list_evidence(txn, feed->record.origin, pairs, EVIDENCE_MAX, &count) != OK)
        return false;
    /* Older ones are of epochs that HQ has closed since. */
    while (count > 0)
        if (head_read(signed_head_bytes(&pairs[--count][0]), &head) == OK &&
            head.epoch == feed->replica.feed.freeze_epoch) {
            memcpy(out_pair, pairs[count], sizeof pairs[count]);
            return true;
        }
    return false;
}

void sync_show_void_heads(struct node *node, const struct link *link)
{
    const char *code = node->peers[link->peer]->code;

    for (size_t i = 0; i < node->replica.feed_count; i++) {
        const struct node_feed *feed = node->feeds[i];
        const struct roster_node *place = roster_find(node, feed->record.origin);
        const struct feed_mark *mark = &feed->replica.feed.tier[TIER_FEDERATION];
        const struct signed_head *held = &feed->record.tier[TIER_FEDERATION].head;
        struct mp_writer *writer;

        if (place == NULL || feed->replica.own || place->entry.former_seq == 0 ||
            (strcmp(code, "hq") != 0 && strcmp(code, feed->record.origin) != 0) ||
            mark->epoch != place->entry.former_epoch || mark->seq == 0 ||
            roster_signed(node, feed->record.origin, mark->epoch, mark->seq,
                          signed_head_bytes(held), head_verify))
            continue;
        writer = node_writer(node);
        wire_write_evidence(writer, signed_head_bytes(held), SLICE_NONE);
        node_send(node, link->handle, mp_writer_bytes(writer));
    }
}

/* Who was away when a fork was flooded learns of it with the hello. */
void sync_show_evidence(struct node *node, const struct link *link)
{
    for (size_t i = 0; i < node->replica.feed_count; i++) {
        const struct node_feed *feed = node->feeds[i];
        struct signed_head pair[2];
        struct store_txn *txn;
        struct mp_writer *writer;

        if (feed->replica.feed.freeze != FREEZE_FORKED || BUG(FORK_NOT_TOLD) ||
            (txn = node_reading(node)) == NULL || !find_evidence(txn, feed, pair))
            continue;
        writer = node_writer(node);
        wire_write_evidence(writer, signed_head_bytes(&pair[0]), signed_head_bytes(&pair[1]));
        node_send(node, link->handle, mp_writer_bytes(writer));
    }
}

/* Somebody proves that I signed a head which I do not have: this copy of me is from the past.
 * epoch_turn draws the conclusion. */
void sync_own_head(struct node *node, uint64_t epoch, uint64_t seq)
{
    const struct feed_mark *mine =
        &node->feeds[node->own_feed]->replica.feed.tier[TIER_FEDERATION];
    struct feed_term term;

    roster_term_of(node, node->code, &term);
    if (feed_compare(epoch, seq, node->proven_epoch, node->recovering_seq) <= 0 ||
        epoch >= EPOCH_MAX || feed_epoch_leaps(mine, &term, epoch) ||
        feed_leaps(mine, &term, seq) || BUG(OWN_PAST_IGNORED))
        return;
    node->proven_epoch = epoch;
    node->recovering_seq = seq;
    memcpy(node->proven_key, node->identity.sign.public_key, KEY_SIZE);
    node->tick_due = true;
}
