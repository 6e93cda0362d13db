/* SPDX-License-Identifier: MPL-2.0 */
/* sync.c - events as they come: judged, parked, applied, passed on; and proofs of fork. */
#include "daemon/node_internal.h"
#include "daemon/recovery.h"
#include "daemon/replication.h"

#include <stdlib.h>
#include <string.h>

/* --- forks -------------------------------------------------------------------------------- */

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

/* A well-formed head of this federation, signed by its origin. */
static bool head_proven(struct node *node, struct slice envelope, struct head *out_head,
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

    return feed_compare(head->roster_epoch, head->roster_seq, roster->epoch, roster->seq) > 0;
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
    if (!head_proven(node, evidence.head[0], &heads[0], &index)) {
        on_unproven(node, peer, &evidence, message);
        return;
    }
    if (evidence.head[1].size == 0) {
        on_single_head(node, peer, evidence.head[0], &heads[0], index);
        return;
    }
    if (!head_proven(node, evidence.head[1], &heads[1], &other)) {
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

/* --- events ------------------------------------------------------------------------------- */

/* The changes of a message: judging and putting go through them twice. */
struct list_context {
    const struct change *changes;
    size_t count;
    size_t next;
};

static bool list_next(void *context, struct change *out_change)
{
    struct list_context *list = context;

    if (list->next == list->count)
        return false;
    *out_change = list->changes[list->next++];
    return true;
}

static void list_rewind(void *context)
{
    struct list_context *list = context;

    list->next = 0;
}

enum status sync_apply_wire(struct node *node, uint32_t index, unsigned apply_tiers,
                            const struct head *head, struct slice envelope,
                            const struct wire_list *changes, unsigned list_tiers,
                            unsigned *out_applied, unsigned *out_paused)
{
    struct list_context context = { .changes = node->changes };
    struct change_source source = { list_next, list_rewind, NULL, &context };
    struct wire_list list = *changes;

    while (wire_next_change(&list, list_tiers, &node->changes[context.count]))
        context.count++;
    return apply_list(node, index, apply_tiers, head, envelope, &source, out_applied,
                      out_paused);
}

static void park(struct node *node, uint32_t index, uint32_t peer, struct slice message,
                 const struct head *head, unsigned tiers)
{
    struct node_feed *feed = node->feeds[index];
    struct parked_event **end = &feed->parked;
    struct parked_event *parked;

    for (; *end != NULL; end = &(*end)->next)
        if ((*end)->size == message.size &&
            memcmp((*end)->bytes, message.data, message.size) == 0)
            return;
    if (feed->parked_count < PARKED_EVENTS_MAX &&
        feed->parked_bytes + message.size <= PARKED_BYTES_MAX &&
        (parked = malloc(sizeof *parked + message.size)) != NULL) {
        parked->next = NULL;
        parked->peer = peer;
        parked->size = message.size;
        memcpy(parked->bytes, message.data, message.size);
        *end = parked;
        feed->parked_count++;
        feed->parked_bytes += message.size;
        node->counters.events_parked++;
    }
    node_step(node, &(struct replica_input){ .kind = INPUT_GAP,
                                             .peer = peer,
                                             .feed = index,
                                             .tiers = tiers,
                                             .epoch = head->epoch,
                                             .seq = head->seq });
}

/* Passes an applied event on: as it came, or its federation tier alone. */
static void pass_on(struct node *node, const char *origin, const struct wire_event *event,
                    struct slice message)
{
    struct wire_list list = event->changes;
    struct mp_writer *writer;
    struct change change;

    if (node->listen[0] == '\0')
        return;
    if (event->tiers == TIERS_FEDERATION || BUG(HQ_TIER_PUBLISHED)) {
        node_publish(node, origin, message);
        return;
    }
    writer = node_writer(node);
    wire_write_event_begin(writer, TIERS_FEDERATION, event->since, event->head, list.count);
    while (wire_next_change(&list, event->tiers, &change))
        change_write(writer, &change, TIERS_FEDERATION);
    node_publish(node, origin, mp_writer_bytes(writer));
}

/* The tiers of an event that would advance this node; 0 if none, whatever the reason. */
static unsigned event_tiers(struct node *node, uint32_t index, const struct wire_event *event,
                            const struct head *head, unsigned *out_gaps,
                            const struct feed_mark **out_other)
{
    const struct node_feed *feed = node->feeds[index];
    struct feed_term term;
    unsigned tiers = 0;

    roster_term_of(node, head->origin, &term);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        if (!(event->tiers & (1u << tier)) || !feed->replica.followed[tier] ||
            feed->replica.tier[tier].damaged)
            continue;
        switch (feed_judge(&feed->replica.feed, (enum tier)tier, &term, head, event->since,
                           out_other)) {
        case FEED_EXTENDS:
            tiers |= 1u << tier;
            break;
        case FEED_GAP:
        case FEED_SNAPSHOT:
            *out_gaps |= 1u << tier;
            break;
        default:
            break;
        }
    }
    return tiers;
}

static bool within_quota(struct node *node, struct node_feed *feed, const struct head *head)
{
    const struct roster_node *place = roster_find(node, head->origin);

    feed->over_quota = place != NULL && place->entry.records_max != 0 &&
                       head->count[TIER_FEDERATION] > place->entry.records_max;
    return !feed->over_quota;
}

bool sync_within_quota(struct node *node, uint32_t index, const struct head *head)
{
    return within_quota(node, node->feeds[index], head);
}

unsigned sync_over_bytes(struct node *node, uint32_t index, unsigned tiers,
                         const struct digest_sum sums[TIERS_PUBLISHED])
{
    struct node_feed *feed = node->feeds[index];
    const struct roster_node *place = roster_find(node, feed->replica.feed.origin);
    unsigned over = 0;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((tiers & (1u << tier)) && place != NULL && place->entry.bytes_max != 0 &&
            sums[tier].bytes > place->entry.bytes_max)
            over |= 1u << tier;
    if (over != 0)
        feed->over_quota = true;
    return over;
}

/* An event comes from every peer, and again to the origin: one that was applied in every tier
 * that it has for me is told by its head, and nothing more of it is read. */
static bool event_known(const struct node *node, struct slice message)
{
    const struct node_feed *feed;
    struct wire_event event;
    struct head head;
    uint32_t index;

    if (wire_peek_event(message, &event) != OK || head_read(event.head, &head) != OK ||
        (index = node_feed_index(node, head.origin)) == NO_PEER)
        return false;
    feed = node->feeds[index];
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const struct feed_mark *mark = &feed->replica.feed.tier[tier];

        if ((event.tiers & (1u << tier)) && feed->replica.followed[tier] &&
            feed_compare(head.epoch, head.seq, mark->epoch, mark->seq) > 0)
            return false;
    }
    return feed_remembers(&feed->replica.feed, &head);
}

/* Form, place in the roster and signature; the cheap questions first. */
static bool event_proven(struct node *node, uint32_t peer, const struct wire_event *event,
                         struct head *out_head, uint32_t *out_index)
{
    if (head_read(event->head, out_head) != OK ||
        memcmp(out_head->federation, node->federation, HASH_SIZE) != 0) {
        node->counters.events_refused++;
        return false;
    }
    if ((*out_index = node_feed_index(node, out_head->origin)) == NO_PEER) {
        node->counters.events_refused++;
        return false;
    }
    if (!measure_signature(node, peer))
        return false;
    if (!head_proven(node, event->head, out_head, out_index)) {
        measure_unproven(node, peer);
        node->counters.events_refused++;
        node->feeds[*out_index]->refused++;
        return false;
    }
    return true;
}

static void note_claim(struct node *node, uint32_t peer, uint32_t index, unsigned tiers,
                       const struct head *head)
{
    struct replica_peer *holder = node->peers[peer];

    /* Whoever hands an event over has it; that it is newer than mine is not known to matter
     * yet. */
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((tiers & (1u << tier)) &&
            feed_compare(head->epoch, head->seq, holder->claim[index][tier].epoch,
                         holder->claim[index][tier].seq) > 0)
            holder->claim[index][tier] = (struct replica_claim){ head->epoch, head->seq };
}

void sync_on_event(struct node *node, uint32_t peer, struct slice message)
{
    struct wire_event event;
    struct head head;
    uint32_t index;
    const struct feed_mark *other = NULL;
    struct node_feed *feed;
    unsigned applied = 0;
    unsigned paused = 0;
    unsigned tiers;
    unsigned gaps = 0;

    if (event_known(node, message)) {
        node->counters.events_known++;
        return;
    }
    if (wire_read_event(message, &event) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    if (!event_proven(node, peer, &event, &head, &index))
        return;
    feed = node->feeds[index];
    tiers = event_tiers(node, index, &event, &head, &gaps, &other);
    if (other != NULL) {
        sync_on_fork(node, index, event.head, other);
        return;
    }
    if (feed->replica.own) {
        sync_own_head(node, head.epoch, head.seq);
        if (node->recovering)
            note_claim(node, peer, index, event.tiers, &head);
        return;
    }
    if (!feed->replica.fetchable || !within_quota(node, feed, &head))
        return;
    note_claim(node, peer, index, event.tiers, &head);
    if (feed->building || (tiers == 0 && gaps != 0)) {
        park(node, index, peer, message, &head, feed->building ? TIERS_FEDERATION : gaps);
        return;
    }
    if (gaps != 0)
        node_step(node, &(struct replica_input){ .kind = INPUT_GAP,
                                                 .peer = peer,
                                                 .feed = index,
                                                 .tiers = gaps,
                                                 .epoch = head.epoch,
                                                 .seq = head.seq });
    if (tiers == 0)
        return;
    if (sync_apply_wire(node, index, tiers, &head, event.head, &event.changes, event.tiers,
                        &applied, &paused) != OK)
        return;
    tiers &= ~paused;
    if (applied != tiers) {
        node->counters.mismatches++;
        feed->refused++;
        node_step(node, &(struct replica_input){ .kind = INPUT_HEARD,
                                                 .feed = index,
                                                 .tiers = tiers & ~applied,
                                                 .epoch = head.epoch,
                                                 .seq = head.seq });
        node_step(node, &(struct replica_input){ .kind = INPUT_MISMATCH,
                                                 .peer = peer,
                                                 .feed = index,
                                                 .tiers = tiers & ~applied });
    }
    if (applied == 0)
        return;
    node->counters.events_applied++;
    if (applied & TIERS_FEDERATION)
        pass_on(node, head.origin, &event, message);
    sync_unpark(node, index);
}

/* What was parked is handed in again: it is applied, or known by now, or parks once more. */
void sync_unpark(struct node *node, uint32_t index)
{
    struct node_feed *feed = node->feeds[index];
    struct parked_event *list = feed->parked;

    if (list == NULL || feed->unparking)
        return;
    feed->unparking = true;
    feed->parked = NULL;
    feed->parked_count = 0;
    feed->parked_bytes = 0;
    while (list != NULL) {
        struct parked_event *next = list->next;

        sync_on_event(node, list->peer, slice_of(list->bytes, list->size));
        free(list);
        list = next;
    }
    feed->unparking = false;
}
