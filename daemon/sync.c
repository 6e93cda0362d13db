/* SPDX-License-Identifier: MPL-2.0 */
/* sync.c - events as they come: judged, parked, applied, passed on. */
#include "daemon/node_internal.h"
#include "daemon/replication.h"

#include <stdlib.h>
#include <string.h>

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
    if (!sync_head_proven(node, event->head, out_head, out_index)) {
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
