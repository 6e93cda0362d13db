/* SPDX-License-Identifier: MPL-2.0 */
/* greet.c - links, hellos, vectors and beats: who has what, and is it still the newest? */
#include "daemon/erase.h"
#include "daemon/keys.h"
#include "daemon/node_internal.h"
#include "daemon/recovery.h"
#include "daemon/replication.h"

#include <stdlib.h>
#include <string.h>

#define IN_LINK_SILENT_MS                                                                      \
    35000 /* a peer that dialled us says something every VECTOR_INTERVAL_MS */
#define OWN_BEAT_SPACING_MS 1000

/* --- links -------------------------------------------------------------------------------- */

static struct link *link_by_handle(struct node *node, transport_link handle)
{
    for (size_t i = 0; i < node->link_count; i++)
        if (node->links[i].handle == handle)
            return &node->links[i];
    return NULL;
}

static struct link *oldest_in_link(struct node *node)
{
    struct link *oldest = NULL;

    for (size_t i = 0; i < node->link_count; i++)
        if (!node->links[i].dialled &&
            (oldest == NULL || node->links[i].last_seen_ms < oldest->last_seen_ms))
            oldest = &node->links[i];
    return oldest;
}

static void note_seen(struct node *node, struct link *link)
{
    link->last_seen_ms = node_now(node);
    node->contacts[link->peer].seen_ms = link->last_seen_ms;
}

static void peer_change(struct node *node, uint32_t peer, bool up)
{
    if (node->peers[peer]->up != up)
        node->contacts[peer].changed_ms = node_now(node);
    node->peers[peer]->up = up;
}

static struct link *link_of(struct node *node, const struct transport_message *message,
                            uint32_t peer)
{
    struct link *link = link_by_handle(node, message->link);
    uint32_t replaced = NO_PEER;

    if (link == NULL && !message->dialled) {
        link = node->link_count < LINKS_MAX ? &node->links[node->link_count++]
                                            : oldest_in_link(node);
        if (link == NULL)
            return NULL;
        if (link->handle != 0)
            replaced = link->peer;
        memset(link, 0, sizeof *link);
        link->handle = message->link;
        link->since_ms = node_now(node);
        memcpy(link->key, message->key, KEY_SIZE);
        if (message->from != NULL)
            (void)slice_copy_text(slice_of_text(message->from), link->address, ADDRESS_SIZE);
    }
    if (link != NULL) {
        link->peer = peer;
        note_seen(node, link);
        peer_change(node, peer, true);
    }
    sync_peer_maybe_down(node, replaced);
    return link;
}

void sync_peer_maybe_down(struct node *node, uint32_t peer)
{
    if (peer == NO_PEER || !node->peers[peer]->up)
        return;
    for (size_t i = 0; i < node->link_count; i++) {
        const struct link *link = &node->links[i];

        if (link->peer == peer && (!link->dialled || link->up))
            return;
    }
    peer_change(node, peer, false);
    node_step(node, &(struct replica_input){ .kind = INPUT_PEER_DOWN, .peer = peer });
}

void sync_on_link_up(struct node *node, const struct transport_message *message)
{
    struct link *link = link_by_handle(node, message->link);

    if (link == NULL)
        return;
    link->up = true;
    link->denied = false;
    link->since_ms = node_now(node);
    log_event(LOG_NOTICE, "event=link_up peer=%s address=%s",
              link->peer != NO_PEER ? node->peers[link->peer]->code : "?", link->address);
    keys_greet(node, link);
    sync_greet(node, link);
}

void sync_on_link_down(struct node *node, const struct transport_message *message)
{
    struct link *link = link_by_handle(node, message->link);

    if (link == NULL)
        return;
    if (link->up || link->denied != (message->kind == TRANSPORT_DENIED))
        link->since_ms = node_now(node);
    if (link->up || (message->kind == TRANSPORT_DENIED && !link->denied))
        log_event(LOG_NOTICE, "event=%s peer=%s address=%s",
                  message->kind == TRANSPORT_DENIED ? "link_denied" : "link_down",
                  link->peer != NO_PEER ? node->peers[link->peer]->code : "?", link->address);
    link->up = false;
    link->greeted = false;
    link->denied = message->kind == TRANSPORT_DENIED;
    sync_peer_maybe_down(node, link->peer);
}

static void expire_in_links(struct node *node, int64_t now)
{
    for (size_t i = 0; i < node->link_count;) {
        struct link *link = &node->links[i];
        const uint32_t peer = link->peer;

        if (link->dialled || (now - link->last_seen_ms < IN_LINK_SILENT_MS &&
                              !transport_is_gone(node->transport, link->handle))) {
            i++;
            continue;
        }
        *link = node->links[--node->link_count];
        sync_peer_maybe_down(node, peer);
    }
}

/* --- the vector --------------------------------------------------------------------------- */

static int compare_origins(const void *a, const void *b, void *context)
{
    const struct node *node = context;
    const uint32_t *left = a;
    const uint32_t *right = b;

    return strcmp(node->feeds[*left]->replica.feed.origin,
                  node->feeds[*right]->replica.feed.origin);
}

/* Indices of the feeds that have a head, in ascending order of origin. */
static size_t ordered_feeds(struct node *node, uint32_t out_order[ORIGINS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < node->replica.feed_count; i++)
        if (node->feeds[i]->replica.feed.tier[TIER_FEDERATION].seq != 0)
            out_order[count++] = (uint32_t)i;
    qsort_r(out_order, count, sizeof *out_order, compare_origins, node);
    return count;
}

static void entry_of(const struct node_feed *feed, struct wire_hello_entry *out_entry)
{
    const struct feed_mark *federation = &feed->replica.feed.tier[TIER_FEDERATION];
    const struct feed_mark *hq = &feed->replica.feed.tier[TIER_HQ];

    memset(out_entry, 0, sizeof *out_entry);
    memcpy(out_entry->origin, feed->replica.feed.origin, CODE_SIZE);
    out_entry->epoch = federation->epoch;
    out_entry->seq = federation->seq;
    memcpy(out_entry->hash, federation->hash, HASH_SIZE);
    out_entry->hq_epoch = hq->epoch;
    out_entry->hq_seq = hq->seq;
    out_entry->beat = slice_of(feed->beat.bytes, feed->beat.size);
    if (feed->beat.size == 0)
        out_entry->beat = SLICE_NONE;
}

static const uint8_t *vector_hash(struct node *node)
{
    if (!node->vector_known) {
        static struct wire_hello_entry entries[ORIGINS_MAX];
        uint32_t order[ORIGINS_MAX];
        const size_t count = ordered_feeds(node, order);

        for (size_t i = 0; i < count; i++)
            entry_of(node->feeds[order[i]], &entries[i]);
        wire_vector_hash(entries, count, node->vector_hash);
        node->vector_known = true;
    }
    return node->vector_hash;
}

static void send_hello(struct node *node, struct link *link, bool reply)
{
    struct mp_writer *writer = node_writer(node);
    struct wire_hello hello = { .version = PROTOCOL_VERSION, .reply = reply };
    uint32_t order[ORIGINS_MAX];
    const size_t count = ordered_feeds(node, order);

    memcpy(hello.federation, node->federation, HASH_SIZE);
    memcpy(hello.code, node->code, CODE_SIZE);
    wire_write_hello_begin(writer, &hello, count);
    for (size_t i = 0; i < count; i++) {
        struct wire_hello_entry entry;

        entry_of(node->feeds[order[i]], &entry);
        wire_write_entry(writer, &entry);
    }
    node_send(node, link->handle, mp_writer_bytes(writer));
    closure_send(node, link);
    link->hello_due_ms = 0;
    link->hello_sent_ms = node_now(node);
}

void sync_greet(struct node *node, struct link *link)
{
    send_hello(node, link, false);
}

static void send_vector(struct node *node)
{
    struct mp_writer *writer = node_writer(node);

    wire_write_vector(writer, vector_hash(node));
    node_publish(node, "", mp_writer_bytes(writer));
    for (size_t i = 0; i < node->link_count; i++)
        if (node->links[i].dialled && node->links[i].up)
            node_send(node, node->links[i].handle, mp_writer_bytes(writer));
    /* A hello or its answer was lost, and equal vectors will ask for no other. */
    for (size_t i = 0; i < node->link_count; i++)
        if (node->links[i].dialled && node->links[i].up && !node->links[i].greeted)
            sync_greet(node, &node->links[i]);
    node->vector_at_ms = node_now(node) + VECTOR_INTERVAL_MS;
}

static void on_vector(struct node *node, struct link *link, struct slice message)
{
    struct wire_vector vector;
    const int64_t now = node_now(node);

    if (wire_read_vector(message, &vector) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    memcpy(link->vector, vector.hash, HASH_SIZE);
    if (memcmp(vector.hash, vector_hash(node), HASH_SIZE) == 0) {
        for (size_t i = 0; i < node->replica.feed_count; i++) {
            const struct feed_mark *mark = &node->feeds[i]->replica.feed.tier[TIER_FEDERATION];

            node->peers[link->peer]->claim[i][TIER_FEDERATION] =
                (struct replica_claim){ mark->epoch, mark->seq };
        }
        link->hello_due_ms = 0;
    } else if (link->hello_due_ms == 0 && !BUG(VECTOR_IGNORED)) {
        link->hello_due_ms = now + GAP_WAIT_MS + (int64_t)(node->replica.random_state % 200);
        if (link->hello_due_ms < link->hello_sent_ms + HELLO_RETRY_MS)
            link->hello_due_ms = link->hello_sent_ms + HELLO_RETRY_MS;
    }
}

/* --- hello -------------------------------------------------------------------------------- */

static void on_own_entry(struct node *node, const struct link *link,
                         const struct wire_hello_entry *entry)
{
    struct node_feed *own = node->feeds[node->own_feed];
    const struct feed_mark *other =
        feed_contradicts(&own->replica.feed, entry->epoch, entry->seq, entry->hash);

    node->peers[link->peer]->claim[node->own_feed][TIER_FEDERATION] =
        (struct replica_claim){ entry->epoch, entry->seq };
    node->peers[link->peer]->claim[node->own_feed][TIER_HQ] =
        (struct replica_claim){ entry->hq_epoch, entry->hq_seq };
    if (other != NULL)
        sync_show_head(node, link, node->own_feed, other);
    if (!node->recovering)
        return;
    /* It may be fetched back from there: tier hq from HQ alone. */
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        node_step(node, &(struct replica_input){
                            .kind = INPUT_CLAIM,
                            .peer = link->peer,
                            .feed = node->own_feed,
                            .tiers = 1u << tier,
                            .epoch = tier == TIER_HQ ? entry->hq_epoch : entry->epoch,
                            .seq = tier == TIER_HQ ? entry->hq_seq : entry->seq });
}

/* A chapter that stands behind what I hold of its own feed, or know of it by a beat, lost
 * something: prove it to it, before it signs that seq again. */
static void show_its_own_head(struct node *node, const struct link *link, uint32_t index,
                              const struct wire_hello_entry *entry)
{
    const struct feed_mark *mark = &node->feeds[index]->replica.feed.tier[TIER_FEDERATION];
    const struct beat *beat = &node->feeds[index]->replica.beat;

    if (strcmp(node->peers[link->peer]->code, entry->origin) != 0)
        return;
    if (feed_compare(mark->epoch, mark->seq, entry->epoch, entry->seq) > 0)
        sync_show_head(node, link, index, mark);
    if (feed_compare(beat->epoch, beat->seq, entry->epoch, entry->seq) > 0)
        sync_show_beat(node, link, index);
}

static void on_entry(struct node *node, const struct link *link,
                     const struct wire_hello_entry *entry)
{
    const uint32_t index = node_feed_index(node, entry->origin);
    const struct feed_mark *other;
    struct replica_input claim = { .kind = INPUT_CLAIM, .peer = link->peer, .feed = index };
    struct beat beat;

    if (index == NO_PEER)
        return;
    if (entry->beat.size != 0 && beat_read(entry->beat, &beat) == OK &&
        strcmp(beat.origin, entry->origin) == 0)
        sync_note_beat(node, link->peer, &beat, entry->beat);
    if (node->feeds[index]->replica.own) {
        on_own_entry(node, link, entry);
        return;
    }
    other = feed_contradicts(&node->feeds[index]->replica.feed, entry->epoch, entry->seq,
                             entry->hash);
    if (other != NULL && entry->seq != 0)
        sync_show_head(node, link, index, other);
    show_its_own_head(node, link, index, entry);
    claim.tiers = TIERS_FEDERATION;
    claim.epoch = entry->epoch;
    claim.seq = entry->seq;
    node_step(node, &claim);
    if (node->is_hq && strcmp(node->peers[link->peer]->code, entry->origin) == 0) {
        claim.tiers = TIERS_HQ;
        claim.epoch = entry->hq_epoch;
        claim.seq = entry->hq_seq;
        node_step(node, &claim);
    }
}

/* It says that it holds a newer head of mine: wait, SIGN_WAIT_MS at most, for the proof. */
static bool claims_more_of_me(const struct node *node, const struct link *link)
{
    const struct replica_claim *claim =
        &node->peers[link->peer]->claim[node->own_feed][TIER_FEDERATION];
    const struct feed_mark *mine =
        &node->feeds[node->own_feed]->replica.feed.tier[TIER_FEDERATION];

    return feed_compare(claim->epoch, claim->seq, mine->epoch, mine->seq) > 0;
}

static void on_hello(struct node *node, struct link *link, struct slice message)
{
    struct wire_hello hello;
    struct wire_hello_entry entry;
    bool named_itself = false;
    bool first;

    if (!measure_hello(node, link->peer))
        return;
    if (wire_read_hello(message, &hello) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    if (memcmp(hello.federation, node->federation, HASH_SIZE) != 0 ||
        strcmp(hello.code, node->peers[link->peer]->code) != 0) {
        node->counters.peers_refused++;
        return;
    }
    node->counters.hellos++;
    first = !link->greeted;
    link->greeted = true;
    /* Before what they sign; and again with each later one: the first may have been lost. */
    if (!first || !link->dialled || !hello.reply)
        keys_greet(node, link);
    while (wire_next_entry(&hello.entries, &entry)) {
        named_itself |= strcmp(entry.origin, hello.code) == 0;
        on_entry(node, link, &entry);
    }
    if (!named_itself) {
        memset(&entry, 0, sizeof entry);
        memcpy(entry.origin, hello.code, CODE_SIZE);
        if (node_feed_index(node, hello.code) != NO_PEER)
            show_its_own_head(node, link, node_feed_index(node, hello.code), &entry);
    }
    if (!hello.reply || BUG(HELLO_ANSWERED_ALWAYS))
        send_hello(node, link, true);
    if (!claims_more_of_me(node, link))
        node->hello_done = true;
    sync_show_evidence(node, link);
    sync_show_void_heads(node, link);
    surplus_offer(node, link);
    if (first)
        cleared_greet(node, link);
    /* A new link wants to know that I am alive now: HQ's beat starts everybody's. */
    if (node->is_hq && !hello.reply) {
        link->beat_due = true;
        sync_beat_soon(node, OWN_BEAT_SPACING_MS);
    }
}

/* --- what comes in ------------------------------------------------------------------------ */

/* What costs a signature to check, or a place in the store, and is rare. */
static bool is_proof(unsigned type)
{
    return type == WIRE_EVIDENCE || type == WIRE_KEY || type == WIRE_CLEARED ||
           type == WIRE_EPOCH_REQUEST || type == WIRE_CLOSURE || type == WIRE_OFFER;
}

static void on_message(struct node *node, struct link *link, struct slice message)
{
    const unsigned type = wire_type_of(message);

    if (is_proof(type) && !measure_proof(node, link->peer))
        return;
    switch (type) {
    case WIRE_HELLO:
        on_hello(node, link, message);
        break;
    case WIRE_EVENT:
        sync_on_event(node, link->peer, message);
        break;
    case WIRE_BEAT:
        sync_on_beat(node, link, message);
        break;
    case WIRE_VECTOR:
        on_vector(node, link, message);
        break;
    case WIRE_WANT:
        serve_on_want(node, link, message);
        break;
    case WIRE_CHANGES:
        pull_on_changes(node, link->peer, link, message);
        break;
    case WIRE_CREDIT:
        serve_on_credit(node, link, message);
        break;
    case WIRE_EVIDENCE:
        sync_on_evidence(node, link->peer, message);
        break;
    case WIRE_KEY:
        keys_on_message(node, link, message);
        break;
    case WIRE_CLEARED:
        cleared_on_message(node, link, message);
        break;
    case WIRE_REFUSAL:
        pull_on_refusal(node, link->peer, message);
        break;
    case WIRE_EPOCH_REQUEST:
        epoch_on_request(node, link, message);
        break;
    case WIRE_EPOCH_REPLY:
        epoch_on_reply(node, link, message);
        break;
    case WIRE_CLOSURE:
        closure_on_message(node, message);
        break;
    case WIRE_OFFER:
        surplus_on_offer(node, link, message);
        break;
    case WIRE_SETTLED:
        surplus_on_settled(node, link, message);
        break;
    case 0:
        node->counters.messages_malformed++;
        break;
    default: /* of a later version */
        node->counters.messages_unknown++;
        break;
    }
}

/* The peer whom the proven key makes the sender; NO_PEER if it has no place in the roster. */
static uint32_t sender_of(struct node *node, const uint8_t key[KEY_SIZE])
{
    const struct roster_node *found = roster_find_key(node, key);

    if (found == NULL || found->entry.state != CHAPTER_ENROLLED ||
        strcmp(found->entry.code, node->code) == 0)
        return NO_PEER;
    return node_peer_make(node, found->entry.code);
}

void sync_on_peer(struct node *node, const struct transport_message *message)
{
    const uint32_t peer = sender_of(node, message->key);
    const uint64_t malformed = node->counters.messages_malformed;
    struct link *link;

    if (node->is_hq && !message->dialled && wire_type_of(message->data) == WIRE_ENROL) {
        enrol_on_message(node, message->link, message->key, message->data);
        return;
    }
    if (peer == NO_PEER || (link = link_of(node, message, peer)) == NULL) {
        node->counters.peers_refused++;
        if (!message->dialled) /* it has nothing to say here */
            transport_hang_up(node->transport, message->link);
        return;
    }
    on_message(node, link, message->data);
    if (node->counters.messages_malformed != malformed)
        measure_nonsense(node, peer, message->key);
}

void sync_on_published(struct node *node, const struct transport_message *message)
{
    struct link *link = link_by_handle(node, message->link);
    const uint64_t malformed = node->counters.messages_malformed;
    const unsigned type = wire_type_of(message->data);

    if (link == NULL || link->peer == NO_PEER)
        return;
    switch (type) {
    case WIRE_EVENT:
    case WIRE_BEAT:
    case WIRE_VECTOR:
    case WIRE_EVIDENCE:
    case WIRE_CLOSURE:
    case WIRE_KEY:
        note_seen(node, link);
        on_message(node, link, message->data);
        break;
    default:
        if (type > WIRE_TYPE_LAST) /* of a later version */
            node->counters.messages_unknown++;
        else
            node->counters.messages_malformed++;
        break;
    }
    if (node->counters.messages_malformed != malformed)
        measure_nonsense(node, link->peer, message->key);
}

void sync_forget_in_links(struct node *node, uint32_t peer)
{
    for (size_t i = 0; i < node->link_count;)
        if (!node->links[i].dialled && node->links[i].peer == peer)
            node->links[i] = node->links[--node->link_count];
        else
            i++;
    sync_peer_maybe_down(node, peer);
}

/* --- timers ------------------------------------------------------------------------------- */

void sync_feed_advanced(struct node *node, uint32_t index)
{
    const int64_t now = node_now(node);

    node->vector_known = false;
    if (node->vector_at_ms > now + VECTOR_AFTER_CHANGE_MS)
        node->vector_at_ms = now + VECTOR_AFTER_CHANGE_MS;
    if (node->feeds[index]->replica.own && node->beat_at_ms > now + BEAT_AFTER_HEAD_MS)
        node->beat_at_ms = now + BEAT_AFTER_HEAD_MS;
    node->tick_due = true;
}

void sync_timers(struct node *node)
{
    const int64_t now = node_now(node);

    if (node->cut_at_ms != 0 && now >= node->cut_at_ms)
        roster_cut(node);
    if (now >= node->beat_at_ms)
        sync_own_beat(node);
    if (now >= node->vector_at_ms) {
        send_vector(node);
        expire_in_links(node, now);
    }
    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = &node->links[i];

        if (link->hello_due_ms == 0 || now < link->hello_due_ms)
            continue;
        link->hello_due_ms = 0;
        if (memcmp(link->vector, vector_hash(node), HASH_SIZE) != 0)
            send_hello(node, link, false);
    }
}

int64_t sync_next_ms(const struct node *node)
{
    int64_t due = node->beat_at_ms < node->vector_at_ms ? node->beat_at_ms : node->vector_at_ms;

    if (node->cut_at_ms != 0 && node->cut_at_ms < due)
        due = node->cut_at_ms;
    for (size_t i = 0; i < node->link_count; i++)
        if (node->links[i].hello_due_ms != 0 && node->links[i].hello_due_ms < due)
            due = node->links[i].hello_due_ms;
    if (!node->hello_done && node->started_ms + SIGN_WAIT_MS < due &&
        node_now(node) < node->started_ms + SIGN_WAIT_MS)
        due = node->started_ms + SIGN_WAIT_MS;
    return due;
}
