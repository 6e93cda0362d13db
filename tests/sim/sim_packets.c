/* SPDX-License-Identifier: MPL-2.0 */
/* sim_packets.c - packets under way: a heap by (at_ms, order). */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static bool earlier(const struct sim_packet *a, const struct sim_packet *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

void sim_packet_queue(struct sim_packet *packet)
{
    size_t at = world.queue_size++;

    if (world.queue_size > world.queue_capacity) {
        world.queue_capacity = world.queue_capacity == 0 ? 256 : 2 * world.queue_capacity;
        world.queue = realloc(world.queue, world.queue_capacity * sizeof *world.queue);
        ASSERT(world.queue != NULL);
    }
    for (; at > 0 && earlier(packet, world.queue[(at - 1) / 2]); at = (at - 1) / 2)
        world.queue[at] = world.queue[(at - 1) / 2];
    world.queue[at] = packet;
}

struct sim_packet *sim_packet_take(void)
{
    struct sim_packet *first = world.queue[0];
    const struct sim_packet *last = world.queue[--world.queue_size];
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child + 1 < world.queue_size && earlier(world.queue[child + 1], world.queue[child]))
            child++;
        if (child >= world.queue_size || !earlier(world.queue[child], last))
            break;
        world.queue[at] = world.queue[child];
        at = child;
    }
    world.queue[at] = (struct sim_packet *)(uintptr_t)last;
    return first;
}

void sim_packet_set(struct sim_packet *packet, struct slice bytes)
{
    uint8_t *copy = malloc(bytes.size + 1);

    ASSERT(copy != NULL);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    free(packet->bytes);
    packet->bytes = copy;
    packet->message.data = slice_of(copy, bytes.size);
}

struct sim_packet *sim_packet_make(int to, enum transport_kind kind, transport_link link,
                                   struct slice bytes)
{
    struct sim_packet *packet = calloc(1, sizeof *packet);

    ASSERT(packet != NULL);
    packet->to = to;
    packet->connection = -1;
    packet->order = ++world.order;
    packet->at_ms = world.now_ms;
    packet->message.kind = kind;
    packet->message.link = link;
    packet->message.uid = -1;
    sim_packet_set(packet, bytes);
    return packet;
}

void sim_packet_free(struct sim_packet *packet)
{
    free(packet->bytes);
    free(packet);
}
