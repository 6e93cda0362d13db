/* SPDX-License-Identifier: MPL-2.0 */
/* transport_guard.c - ends single connections: of a key that has more than it needs, that
 * floods XPUB with subscriptions, or that the caller wants to be rid of for a while.
 *
 * libzmq has no call for that.  It tells with each message the descriptor of its connection
 * (ZMQ_SRCFD), which is shut down here; its thread then sees the end as if the peer had hung
 * up.  The peer's port is compared first, in case the descriptor is another connection's by
 * now: such a one would only have to dial again. */
#include "daemon/io/transport_internal.h"

#include <czmq.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* A SUB of the protocol subscribes to everything, once; some may want a topic for each origin.
 * Each byte of a topic costs XPUB about 60: longer ones than there are mean harm. */
#define SUBSCRIPTIONS_MAX (2 * ORIGINS_MAX)
#define SUBSCRIPTIONS_AT_ONCE 256 /* read before others have their turn */
#define FLOOD_PAUSE_MS 60000

/* --- one connection ----------------------------------------------------------------------- */

uint16_t connection_port(int fd, connection_end_name *name)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    uint16_t port = 0;

    if (name(fd, (struct sockaddr *)&address, &size) != 0)
        return 0;
    if (address.ss_family == AF_INET)
        port = ((const struct sockaddr_in *)&address)->sin_port;
    else if (address.ss_family == AF_INET6)
        port = ((const struct sockaddr_in6 *)&address)->sin6_port;
    return port;
}

struct connection connection_of(zmq_msg_t *frame)
{
    const int fd = zmq_msg_get(frame, ZMQ_SRCFD);

    return fd < 0 ? (struct connection){ .fd = -1 }
                  : (struct connection){ .fd = fd, .port = connection_port(fd, getpeername) };
}

static bool connection_is_open(const struct connection *connection)
{
    return connection_port(connection->fd, getpeername) == connection->port;
}

bool transport_is_gone(struct transport *transport, transport_link link)
{
    const struct peer *peer = peers_find(&transport->peers, link);

    return peer == NULL ||
           (peer->connection.port != 0 && !connection_is_open(&peer->connection));
}

void connection_end(struct transport *transport, const struct connection *connection)
{
    if (connection->port == 0 || !connection_is_open(connection))
        return;
    (void)shutdown(connection->fd, SHUT_RDWR);
    transport->counters.cut_connections++;
}

/* --- keys that have to wait --------------------------------------------------------------- */

static struct pause *pause_of(struct transport *transport, const uint8_t key[KEY_SIZE])
{
    for (size_t i = 0; i < PAUSES_MAX; i++)
        if (memcmp(transport->pause[i].key, key, KEY_SIZE) == 0)
            return &transport->pause[i];
    return NULL;
}

bool guard_admits(struct transport *transport, const uint8_t key[KEY_SIZE])
{
    const struct pause *pause = pause_of(transport, key);

    return pause == NULL || zclock_mono() >= pause->until_ms;
}

static void pause_key(struct transport *transport, const uint8_t key[KEY_SIZE],
                      int64_t pause_ms)
{
    struct pause *pause = pause_of(transport, key);

    for (size_t i = 0; i < PAUSES_MAX && pause == NULL; i++)
        if (transport->pause[i].until_ms <= zclock_mono())
            pause = &transport->pause[i];
    if (pause == NULL)
        pause = &transport->pause[transport->pause_next++ % PAUSES_MAX];
    memcpy(pause->key, key, KEY_SIZE);
    pause->until_ms = zclock_mono() + pause_ms;
}

/* --- subscribers -------------------------------------------------------------------------- */

static void forget(struct subscriber *subscriber)
{
    memset(subscriber, 0, sizeof *subscriber);
}

static struct subscriber *meet(struct transport *transport, const uint8_t key[KEY_SIZE],
                               const struct connection *connection)
{
    struct subscriber *free = NULL;
    struct subscriber *oldest = &transport->subscriber[0];

    for (size_t i = 0; i < LINKS_MAX; i++) {
        struct subscriber *subscriber = &transport->subscriber[i];

        if (subscriber->since != 0 && subscriber->connection.fd == connection->fd) {
            if (subscriber->connection.port == connection->port &&
                memcmp(subscriber->key, key, KEY_SIZE) == 0)
                return subscriber;
            forget(subscriber); /* its descriptor is another connection's now */
        }
        if (subscriber->since == 0 && free == NULL)
            free = subscriber;
        if (subscriber->since < oldest->since)
            oldest = subscriber;
    }
    if (free == NULL) {
        connection_end(transport, &oldest->connection);
        free = oldest;
    }
    forget(free);
    free->since = ++transport->subscribers_met;
    free->connection = *connection;
    memcpy(free->key, key, KEY_SIZE);
    return free;
}

/* The oldest of too many goes: it is probably the one that is dead. */
static void end_surplus(struct transport *transport, const uint8_t key[KEY_SIZE])
{
    struct subscriber *oldest = NULL;
    size_t count = 0;

    for (size_t i = 0; i < LINKS_MAX; i++) {
        struct subscriber *subscriber = &transport->subscriber[i];

        if (subscriber->since == 0 || memcmp(subscriber->key, key, KEY_SIZE) != 0)
            continue;
        count++;
        if (oldest == NULL || subscriber->since < oldest->since)
            oldest = subscriber;
    }
    if (count <= CONNECTIONS_OF_KEY_MAX)
        return;
    connection_end(transport, &oldest->connection);
    forget(oldest);
}

static void take_subscription(struct transport *transport, zmq_msg_t *frame)
{
    const struct connection connection = connection_of(frame);
    struct subscriber *subscriber;
    uint8_t key[KEY_SIZE];

    if (connection.fd < 0 || !proven_key(frame, key))
        return; /* a connection that ended cancels what it had */
    subscriber = meet(transport, key, &connection);
    if (subscriber->subscriptions == 0)
        end_surplus(transport, key);
    if (++subscriber->subscriptions <= SUBSCRIPTIONS_MAX &&
        zmq_msg_size(frame) <= 1 + CODE_SIZE)
        return;
    memcpy(transport->flood_key, key, KEY_SIZE);
    transport->flood = true;
    transport_cut(transport, key, FLOOD_PAUSE_MS);
}

void guard_subscriptions(struct transport *transport)
{
    zmq_msg_t frame;

    zmq_msg_init(&frame);
    for (int i = 0; i < SUBSCRIPTIONS_AT_ONCE && transport->xpub != NULL; i++) {
        if (zmq_msg_recv(&frame, transport->xpub, ZMQ_DONTWAIT) < 0)
            break;
        take_subscription(transport, &frame);
    }
    zmq_msg_close(&frame);
}

void guard_forget_all(struct transport *transport)
{
    memset(transport->subscriber, 0, sizeof transport->subscriber);
}

/* --- all of a key ------------------------------------------------------------------------- */

void transport_cut(struct transport *transport, const uint8_t key[KEY_SIZE], int64_t pause_ms)
{
    pause_key(transport, key, pause_ms);
    for (size_t i = 0; i < LINKS_MAX; i++) {
        struct subscriber *subscriber = &transport->subscriber[i];

        if (subscriber->since == 0 || memcmp(subscriber->key, key, KEY_SIZE) != 0)
            continue;
        connection_end(transport, &subscriber->connection);
        forget(subscriber);
    }
    peers_end_key(transport, key);
    dialled_pause(transport, key, pause_ms);
}
