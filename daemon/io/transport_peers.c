/* SPDX-License-Identifier: MPL-2.0 */
/* transport_peers.c - who is behind a routing id: peers of the ROUTER, clients of the control
 * socket.  Bounded; a peer that is not heard from any more is forgotten when room is needed. */
#include "daemon/io/transport_internal.h"

#include <string.h>

#define SERIAL_SHIFT (LINK_KIND_BITS + LINK_SLOT_BITS)

enum link_kind link_kind_of(transport_link link)
{
    return (enum link_kind)(link & ((1u << LINK_KIND_BITS) - 1));
}

static size_t slot_of(transport_link link)
{
    return (link >> LINK_KIND_BITS) & (LINK_SLOTS - 1);
}

/* libzmq's own ids are a zero and a counter; a peer that chooses its id to collide slows down
 * only lookups of at most LINKS_MAX entries. */
static uint16_t *bucket_of(struct peers *peers, const uint8_t *routing_id, size_t size)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ routing_id[i]) * 16777619u;
    return &peers->bucket[(hash ^ (hash >> 16)) % PEER_BUCKETS];
}

static struct peer *longest_unused(struct peers *peers)
{
    struct peer *oldest = &peers->peer[0];

    for (size_t i = 1; i < LINKS_MAX; i++)
        if (peers->peer[i].used < oldest->used)
            oldest = &peers->peer[i];
    return oldest;
}

static struct peer *take_slot(struct peers *peers)
{
    struct peer *peer;

    if (peers->free_top == 0 && peers->high == LINKS_MAX)
        peers_forget(peers, longest_unused(peers));
    if (peers->free_top == 0)
        return &peers->peer[peers->high++];
    peer = &peers->peer[peers->free_top - 1];
    peers->free_top = peer->next;
    return peer;
}

struct peer *peers_meet(struct peers *peers, struct slice routing_id,
                        const uint8_t key[KEY_SIZE], uint64_t *serial, bool *out_new)
{
    uint16_t *bucket = bucket_of(peers, routing_id.data, routing_id.size);
    struct peer *peer;

    ASSERT(routing_id.size <= ROUTING_ID_SIZE_MAX);
    *out_new = false;
    for (uint16_t at = *bucket; at != 0; at = peer->next) {
        peer = &peers->peer[at - 1];
        if (peer->routing_id_size != routing_id.size ||
            memcmp(peer->routing_id, routing_id.data, routing_id.size) != 0)
            continue;
        if (memcmp(peer->key, key, KEY_SIZE) == 0) {
            peer->used = ++peers->used;
            return peer;
        }
        peers_forget(peers, peer);
        break;
    }
    *out_new = true;
    peer = take_slot(peers);
    peer->connection = (struct connection){ .fd = -1 };
    peer->link = ++*serial << SERIAL_SHIFT |
                 (transport_link)(peer - peers->peer) << LINK_KIND_BITS |
                 (transport_link)peers->kind;
    peer->used = ++peers->used;
    peer->routing_id_size = (uint8_t)routing_id.size;
    memcpy(peer->routing_id, routing_id.data, routing_id.size);
    memcpy(peer->key, key, KEY_SIZE);
    peer->next = *bucket;
    *bucket = (uint16_t)(peer - peers->peer + 1);
    return peer;
}

struct peer *peers_find(struct peers *peers, transport_link link)
{
    const size_t slot = slot_of(link);

    return slot < LINKS_MAX && link != 0 && peers->peer[slot].link == link ? &peers->peer[slot]
                                                                           : NULL;
}

void peers_forget(struct peers *peers, struct peer *peer)
{
    const uint16_t place = (uint16_t)(peer - peers->peer + 1);
    uint16_t *at = bucket_of(peers, peer->routing_id, peer->routing_id_size);

    while (*at != place) {
        ASSERT(*at != 0);
        at = &peers->peer[*at - 1].next;
    }
    *at = peer->next;
    peer->link = 0;
    peer->next = peers->free_top;
    peers->free_top = place;
}

void peers_end_surplus(struct transport *transport, const struct peer *newest)
{
    struct peers *peers = &transport->peers;
    struct peer *oldest = NULL;
    size_t count = 0;

    for (size_t i = 0; i < peers->high; i++) {
        struct peer *peer = &peers->peer[i];

        if (peer->link == 0 || memcmp(peer->key, newest->key, KEY_SIZE) != 0)
            continue;
        count++;
        if (oldest == NULL || peer->used < oldest->used)
            oldest = peer;
    }
    if (count <= CONNECTIONS_OF_KEY_MAX)
        return;
    connection_end(transport, &oldest->connection);
    peers_forget(peers, oldest);
}

void peers_end_key(struct transport *transport, const uint8_t key[KEY_SIZE])
{
    struct peers *peers = &transport->peers;

    for (size_t i = 0; i < peers->high; i++) {
        struct peer *peer = &peers->peer[i];

        if (peer->link == 0 || memcmp(peer->key, key, KEY_SIZE) != 0)
            continue;
        connection_end(transport, &peer->connection);
        peers_forget(peers, peer);
    }
}

void peers_forget_all(struct peers *peers)
{
    for (size_t i = 0; i < peers->high; i++)
        if (peers->peer[i].link != 0)
            peers_forget(peers, &peers->peer[i]);
}
