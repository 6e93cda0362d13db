/* SPDX-License-Identifier: MPL-2.0 */
/* sim_liar.c - a chapter that has its keys, speaks the protocol, and lies: its node is the real
 * one, and what it sends passes through here.
 *
 * It forges heads and beats of others and proofs of fork, signs two heads for one seq, replays,
 * withholds, claims what it does not have, hands on wrong lists, and asks for tier hq. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define LIST_MAX 64 /* longer lists pass as they are */
#define KEPT_MAX 32 /* messages that may be sent again */

static struct {
    size_t count;
    uint8_t *bytes[KEPT_MAX];
    size_t size[KEPT_MAX];
} kept;

/* It forks its feed once: at that seq there may be as many heads as it has peers. */
static uint64_t forked_at;

struct lie {
    int from, to;
    int connection, stream;
    struct node *node;
};

static bool tells(const struct lie *lie, enum sim_fault fault, unsigned percent)
{
    return sim_has(fault) && sim_link_chance(lie->from, lie->to, percent);
}

static uint64_t draw(const struct lie *lie, uint64_t below)
{
    return sim_link_random(lie->from, lie->to, below);
}

static uint8_t scratch[EVENT_SIZE_MAX];

static void send_besides(const struct lie *lie, const struct mp_writer *writer,
                         enum sim_fault fault)
{
    if (writer->status != OK)
        return;
    world.hits[fault]++;
    sim_send_raw(lie->connection, lie->stream, lie->from, mp_writer_bytes(writer));
}

/* --- lists -------------------------------------------------------------------------------- */

struct list {
    size_t count;
    struct change changes[LIST_MAX + 1];
};

static bool read_list(const struct wire_list *from, unsigned tiers, struct list *out_list)
{
    struct wire_list copy = *from;

    out_list->count = 0;
    while (out_list->count < LIST_MAX &&
           wire_next_change(&copy, tiers, &out_list->changes[out_list->count]))
        out_list->count++;
    return out_list->count < LIST_MAX;
}

static void write_list(struct mp_writer *writer, const struct list *list, unsigned tiers)
{
    for (size_t i = 0; i < list->count; i++)
        change_write(writer, &list->changes[i], tiers);
}

/* {"kind": "individual", "status": "active"}: somebody who never joined. */
static struct slice invented(void)
{
    static const uint8_t bytes[] = "\x82\xa4kind\xaaindividual\xa6status\xa6"
                                   "active";

    return slice_of(bytes, sizeof bytes - 1);
}

static void spoil(const struct lie *lie, struct list *list, unsigned tiers)
{
    const size_t at = draw(lie, list->count);
    struct change *change = &list->changes[at];

    switch (draw(lie, 4)) {
    case 0: /* left out */
        memmove(change, change + 1, (list->count - at - 1) * sizeof *change);
        list->count--;
        break;
    case 1: /* another value */
        change->value[tiers & TIERS_FEDERATION ? TIER_FEDERATION : TIER_HQ] = invented();
        break;
    case 2: /* another record */
        change->id[15] ^= 1;
        break;
    default: /* one more */
        change = &list->changes[list->count];
        *change = list->changes[list->count - 1];
        change->seq++;
        change->id[14] ^= 1;
        list->count++;
        break;
    }
}

static void hand_on_wrong_event(const struct lie *lie, const struct wire_event *event,
                                struct sim_packet *packet)
{
    struct list list;
    struct mp_writer writer;

    if (!read_list(&event->changes, event->tiers, &list) || list.count == 0)
        return;
    spoil(lie, &list, event->tiers);
    mp_writer_init(&writer, scratch, sizeof scratch);
    wire_write_event_begin(&writer, event->tiers, event->since, event->head, list.count);
    write_list(&writer, &list, event->tiers);
    if (writer.status != OK)
        return;
    world.hits[FAULT_WRONG_DELTA]++;
    sim_packet_set(packet, mp_writer_bytes(&writer));
}

static void serve_wrong_changes(const struct lie *lie, struct sim_packet *packet)
{
    struct wire_changes chunk;
    enum sim_fault fault;
    struct list list;
    struct mp_writer writer;

    if (wire_read_changes(packet->message.data, &chunk) != OK)
        return;
    fault = chunk.since == 0 ? FAULT_WRONG_SNAPSHOT : FAULT_WRONG_DELTA;
    if (!tells(lie, fault, 50) || !read_list(&chunk.changes, chunk.tiers, &list) ||
        list.count == 0)
        return;
    spoil(lie, &list, chunk.tiers);
    mp_writer_init(&writer, scratch, sizeof scratch);
    wire_write_changes_begin(&writer, &chunk, list.count);
    write_list(&writer, &list, chunk.tiers);
    wire_write_changes_end(&writer, chunk.head);
    if (writer.status != OK)
        return;
    world.hits[fault]++;
    sim_packet_set(packet, mp_writer_bytes(&writer));
}

/* --- heads -------------------------------------------------------------------------------- */

/* The event's head, for other rows: everything is right with it, but who signed it. */
static bool sign_other_event(const struct lie *lie, const struct wire_event *event,
                             struct head *head, struct mp_writer *writer)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct store_feed record;
    struct digest_sum sum;
    struct signed_head envelope;
    struct list list;
    size_t at;

    if (event->tiers != TIERS_FEDERATION || !read_list(&event->changes, event->tiers, &list) ||
        list.count == 0 || store_begin_read(lie->node->store, &txn) != OK ||
        store_get_feed(&txn, head->origin, &record) != OK ||
        !slice_equal(signed_head_bytes(&record.tier[0].head), event->head) ||
        store_get_sum(&txn, record.tier[0].number, TIER_FEDERATION, &sum) != OK)
        return false;
    at = draw(lie, list.count);
    digest_subtract(&sum, head->origin, TIER_FEDERATION, &list.changes[at]);
    list.changes[at].value[TIER_FEDERATION] = invented();
    list.changes[at].type = RECORD_MEMBER;
    digest_add(&sum, head->origin, TIER_FEDERATION, &list.changes[at]);
    digest_of(&sum, TIER_FEDERATION, head->digest[TIER_FEDERATION]);
    head->count[TIER_FEDERATION] = sum.count;
    head_sign(head, &lie->node->identity.sign, &envelope);
    mp_writer_init(writer, scratch, sizeof scratch);
    wire_write_event_begin(writer, event->tiers, event->since, signed_head_bytes(&envelope),
                           list.count);
    write_list(writer, &list, event->tiers);
    return writer->status == OK;
}

static void tell_event(const struct lie *lie, struct sim_packet *packet)
{
    struct wire_event event;
    struct mp_writer writer;
    struct head head;
    bool own;

    if (wire_read_event(packet->message.data, &event) != OK ||
        head_read(event.head, &head) != OK)
        return;
    own = strcmp(head.origin, lie->node->code) == 0;
    if (!own && tells(lie, FAULT_FORGE, 40) && sign_other_event(lie, &event, &head, &writer)) {
        send_besides(lie, &writer, FAULT_FORGE); /* before the true one */
        return;
    }
    if (own && (forked_at == 0 || forked_at == head.seq) && tells(lie, FAULT_EQUIVOCATE, 20) &&
        sign_other_event(lie, &event, &head, &writer)) {
        forked_at = head.seq;
        world.hits[FAULT_EQUIVOCATE]++;
        world.tainted[lie->from] = true;
        sim_packet_set(packet, mp_writer_bytes(&writer));
        return;
    }
    if (tells(lie, FAULT_WRONG_DELTA, 30))
        hand_on_wrong_event(lie, &event, packet);
}

/* --- what it sends besides ---------------------------------------------------------------- */

static const struct node_feed *some_feed(const struct lie *lie)
{
    const struct node_feed *feed = lie->node->feeds[draw(lie, lie->node->replica.feed_count)];

    return feed->replica.own || feed->replica.feed.tier[0].seq == 0 ? NULL : feed;
}

static void forge_beat(const struct lie *lie)
{
    const struct node_feed *feed = some_feed(lie);
    struct signed_beat envelope;
    struct mp_writer writer;
    struct beat beat;

    if (feed == NULL || feed->replica.beat.boot == 0)
        return;
    beat = feed->replica.beat;
    beat.boot += 1 + draw(lie, 1000);
    beat.seq += draw(lie, 2) * 1000;
    beat_sign(&beat, &lie->node->identity.sign, &envelope);
    mp_writer_init(&writer, scratch, sizeof scratch);
    wire_write_beat(&writer, slice_of(envelope.bytes, envelope.size));
    send_besides(lie, &writer, FAULT_FORGE_BEAT);
}

/* Two heads of one origin that do not conflict, or one of another origin, as a "proof". */
static void forge_evidence(const struct lie *lie)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    const struct node_feed *feed = some_feed(lie);
    struct signed_head heads[HEADS_KEPT];
    struct mp_writer writer;
    size_t count = 0;
    size_t at;

    if (feed == NULL || store_begin_read(lie->node->store, &txn) != OK ||
        store_list_heads(&txn, feed->record.origin, heads, HEADS_KEPT, &count) != OK ||
        count < 2)
        return;
    at = draw(lie, count - 1);
    mp_writer_init(&writer, scratch, sizeof scratch);
    wire_write_evidence(&writer, signed_head_bytes(&heads[at]),
                        signed_head_bytes(&heads[at + 1]));
    send_besides(lie, &writer, FAULT_FALSE_EVIDENCE);
}

static void pry(const struct lie *lie)
{
    const struct node_feed *feed = some_feed(lie);
    struct wire_want want = { .request = 1ull << 60,
                              .tiers = 2 + (unsigned)draw(lie, 2),
                              .credit = WANT_CREDIT_MAX };
    struct mp_writer writer;

    if (feed == NULL || lie->stream == 2)
        return;
    memcpy(want.origin, feed->record.origin, CODE_SIZE);
    mp_writer_init(&writer, scratch, sizeof scratch);
    wire_write_want(&writer, &want);
    send_besides(lie, &writer, FAULT_PRY);
}

static void claim_more(const struct lie *lie, struct sim_packet *packet)
{
    struct wire_hello hello;
    struct wire_hello_entry entry;
    struct mp_writer writer;

    if (wire_read_hello(packet->message.data, &hello) != OK)
        return;
    mp_writer_init(&writer, scratch, sizeof scratch);
    wire_write_hello_begin(&writer, &hello, hello.entries.count);
    while (wire_next_entry(&hello.entries, &entry)) {
        if (strcmp(entry.origin, lie->node->code) != 0 && draw(lie, 2) == 0) {
            entry.seq += 1 + draw(lie, 1000);
            entry.hq_seq = entry.seq;
            entry.hash[0] ^= 1;
        }
        wire_write_entry(&writer, &entry);
    }
    if (writer.status != OK)
        return;
    world.hits[FAULT_FALSE_CLAIM]++;
    sim_packet_set(packet, mp_writer_bytes(&writer));
}

/* --- replay ------------------------------------------------------------------------------- */

void sim_liar_forget(void)
{
    kept.count = 0;
    forked_at = 0;
}

static void keep(const struct lie *lie, struct slice message)
{
    size_t at;

    at = kept.count < KEPT_MAX ? kept.count++ : draw(lie, KEPT_MAX);
    free(kept.bytes[at]);
    kept.bytes[at] = malloc(message.size + 1);
    ASSERT(kept.bytes[at] != NULL);
    memcpy(kept.bytes[at], message.data, message.size);
    kept.size[at] = message.size;
}

static void replay(const struct lie *lie)
{
    const size_t at = draw(lie, kept.count);

    world.hits[FAULT_REPLAY]++;
    sim_send_raw(lie->connection, lie->stream, lie->from,
                 slice_of(kept.bytes[at], kept.size[at]));
}

/* --- all of it ---------------------------------------------------------------------------- */

bool sim_liar_sends(int from, int to, int connection, int stream, struct sim_packet *packet)
{
    const struct lie lie = { from, to, connection, stream, world.nodes[from].node };
    const unsigned type = wire_type_of(packet->message.data);

    if (lie.node == NULL || world.founded_ms == 0)
        return true;
    if (sim_has(FAULT_REPLAY)) {
        keep(&lie, packet->message.data);
        if (tells(&lie, FAULT_REPLAY, 20))
            replay(&lie);
    }
    if (tells(&lie, FAULT_FORGE_BEAT, 10))
        forge_beat(&lie);
    if (tells(&lie, FAULT_FALSE_EVIDENCE, 10))
        forge_evidence(&lie);
    if (tells(&lie, FAULT_PRY, 10))
        pry(&lie);
    if ((type == WIRE_EVENT || type == WIRE_CHANGES || type == WIRE_BEAT) &&
        tells(&lie, FAULT_WITHHOLD, 50)) {
        world.hits[FAULT_WITHHOLD]++;
        return false;
    }
    if (type == WIRE_EVENT)
        tell_event(&lie, packet);
    else if (type == WIRE_CHANGES)
        serve_wrong_changes(&lie, packet);
    else if (type == WIRE_HELLO && tells(&lie, FAULT_FALSE_CLAIM, 40))
        claim_more(&lie, packet);
    return true;
}
