/* SPDX-License-Identifier: MPL-2.0 */
/* turn.c - what a turn has: its transaction, what leaves after its commit, the feeds and peers
 * that it meets, and the counters that it gathers. */
#include <stdlib.h>
#include <string.h>

#include "daemon/node_internal.h"

/* --- the turn's transaction ------------------------------------------------------------- */

enum status node_turn_fails(struct node *node, enum status status)
{
    if (status != OK && !node->turn_failed) {
        node->turn_failed = true;
        node->turn_error = status;
    }
    return status;
}

struct store_txn *node_reading(struct node *node)
{
    if (node->txn.handle == NULL &&
        node_turn_fails(node, store_begin_read(node->store, &node->txn)) != OK)
        return NULL;
    return &node->txn;
}

struct store_txn *node_writing(struct node *node)
{
    if (node->txn.handle != NULL && node->txn.writing)
        return &node->txn;
    store_abort(&node->txn);
    if (node_turn_fails(node, store_begin_write(node->store, &node->txn)) != OK)
        return NULL;
    return &node->txn;
}

/* --- outgoing --------------------------------------------------------------------------- */

static struct outgoing *out_add(struct node *node, struct slice bytes)
{
    struct outgoing *out;

    /* What memory did not suffice for is no message. */
    if (bytes.data == node->writer.data && node_turn_fails(node, node->writer.status) != OK)
        return NULL;
    if (node->out_count == node->out_capacity) {
        const size_t capacity = node->out_capacity == 0 ? 64 : 2 * node->out_capacity;
        struct outgoing *grown = realloc(node->out, capacity * sizeof *grown);

        if (grown == NULL) {
            node_turn_fails(node, NO_MEMORY);
            return NULL;
        }
        node->out = grown;
        node->out_capacity = capacity;
    }
    out = &node->out[node->out_count];
    memset(out, 0, sizeof *out);
    if ((out->bytes = malloc(bytes.size == 0 ? 1 : bytes.size)) == NULL) {
        node_turn_fails(node, NO_MEMORY);
        return NULL;
    }
    memcpy(out->bytes, bytes.data, bytes.size);
    out->size = bytes.size;
    node->out_count++;
    node->out_bytes += bytes.size;
    return out;
}

void node_send(struct node *node, transport_link link, struct slice bytes)
{
    struct outgoing *out = out_add(node, bytes);

    if (out == NULL)
        return;
    out->kind = OUT_SEND;
    out->link = link;
}

void node_publish(struct node *node, const char *topic, struct slice bytes)
{
    struct outgoing *out;

    if (node->listen[0] == '\0' || (out = out_add(node, bytes)) == NULL)
        return;
    out->kind = OUT_PUBLISH;
    memcpy(out->topic, topic, strlen(topic) + 1);
}

void node_out_drop(struct node *node)
{
    for (size_t i = 0; i < node->out_count; i++)
        free(node->out[i].bytes);
    node->out_count = 0;
    node->out_bytes = 0;
}

/* Nothing here is an error: what is lost, hello and want make up for. */
void node_out_flush(struct node *node)
{
    for (size_t i = 0; i < node->out_count; i++) {
        const struct outgoing *out = &node->out[i];
        const struct slice bytes = slice_of(out->bytes, out->size);

        if (out->kind == OUT_PUBLISH)
            (void)transport_publish(node->transport, out->topic, bytes);
        else
            (void)transport_send(node->transport, out->link, bytes);
    }
    node_out_drop(node);
}

/* --- feeds and peers -------------------------------------------------------------------- */

uint32_t node_feed_index(const struct node *node, const char *origin)
{
    for (size_t i = 0; i < node->replica.feed_count; i++)
        if (strcmp(node->feeds[i]->replica.feed.origin, origin) == 0)
            return (uint32_t)i;
    return NO_PEER;
}

uint32_t node_feed_make(struct node *node, const char *origin)
{
    const uint32_t found = node_feed_index(node, origin);
    struct node_feed *feed;

    if (found != NO_PEER)
        return found;
    if (node->replica.feed_count == ORIGINS_MAX || (feed = calloc(1, sizeof *feed)) == NULL)
        return NO_PEER;
    feed_init(&feed->replica.feed, origin);
    memcpy(feed->record.origin, feed->replica.feed.origin, CODE_SIZE);
    feed->replica.own = strcmp(origin, node->code) == 0;
    feed->beat_peer = NO_PEER;
    feed->replica.followed[TIER_FEDERATION] = true;
    feed->replica.followed[TIER_HQ] = node->is_hq || feed->replica.own;
    node->feeds[node->replica.feed_count] = feed;
    node->feed_pointers[node->replica.feed_count] = &feed->replica;
    return (uint32_t)node->replica.feed_count++;
}

uint32_t node_peer_index(const struct node *node, const char *code)
{
    for (size_t i = 0; i < node->replica.peer_count; i++)
        if (strcmp(node->peers[i]->code, code) == 0)
            return (uint32_t)i;
    return NO_PEER;
}

uint32_t node_peer_make(struct node *node, const char *code)
{
    const uint32_t found = node_peer_index(node, code);
    struct replica_peer *peer;

    if (found != NO_PEER)
        return found;
    if (node->replica.peer_count == ORIGINS_MAX || (peer = calloc(1, sizeof *peer)) == NULL)
        return NO_PEER;
    memcpy(peer->code, code, strlen(code) + 1);
    node->peers[node->replica.peer_count] = peer;
    return (uint32_t)node->replica.peer_count++;
}

struct link *node_link_of_peer(struct node *node, uint32_t peer)
{
    struct link *best = NULL;

    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = &node->links[i];

        if (link->peer != peer)
            continue;
        if (link->dialled && link->up)
            return link;
        if (!link->dialled && (best == NULL || link->last_seen_ms >= best->last_seen_ms))
            best = link;
    }
    return best;
}

/* --- census: gathered over the turn ------------------------------------------------------- */

void node_census_forget(struct node *node)
{
    memset(node->census, 0, sizeof node->census);
    node->census_used = 0;
}

enum status node_census_flush(struct node *node)
{
    enum status status = OK;

    if (node->census_used == 0)
        return OK;
    for (size_t i = 0; i < CENSUS_SLOTS && status == OK; i++) {
        const struct census_slot *slot = &node->census[i];

        if (slot->used && slot->delta != 0)
            status = store_census_add(&node->txn, slot->number, slot->key, slot->delta);
    }
    node_census_forget(node);
    return status;
}

enum status node_census_add(struct node *node, uint32_t number,
                            const struct census_delta *delta)
{
    uint32_t hash = number * 2654435761u;
    enum status status;

    if (node->census_used > CENSUS_SLOTS / 2 && (status = node_census_flush(node)) != OK)
        return status;
    for (size_t i = 0; i < CENSUS_KEY_SIZE; i++)
        hash = (hash ^ delta->key[i]) * 16777619u;
    for (size_t i = hash % CENSUS_SLOTS;; i = (i + 1) % CENSUS_SLOTS) {
        struct census_slot *slot = &node->census[i];

        if (!slot->used) {
            slot->used = true;
            slot->number = number;
            memcpy(slot->key, delta->key, CENSUS_KEY_SIZE);
            node->census_used++;
        } else if (slot->number != number ||
                   memcmp(slot->key, delta->key, CENSUS_KEY_SIZE) != 0) {
            continue;
        }
        slot->delta += delta->delta;
        return OK;
    }
}
