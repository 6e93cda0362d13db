/* SPDX-License-Identifier: MPL-2.0 */
/* transport_shed.c - strangers may have half of this process's descriptors and no more: beyond
 * that the oldest of their connections are ended, so that there is always room for peers, for
 * local programs, and for files.
 *
 * A stranger is whoever was accepted at one of the two ports and has said nothing yet that a
 * handshake proved: libzmq shows such a connection to nobody, but it is among the descriptors.
 *
 * libzmq gives up the whole process when a local program connects and there is no descriptor
 * left.  So that it never comes to that, its calls of accept4() are answered here: a definition
 * in the program goes before the C library's. */
#include "daemon/io/transport_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_IDLE_MS 1000
#define LOOK_BUSY_MS 100
#define HANDSHAKE_MS 1000
#define WAIT_MS 1

/* What was seen under a descriptor at the last looks. */
struct stranger {
    uint16_t port; /* the peer's; 0: none */
    int64_t since_ms;
};
struct candidate {
    struct connection connection;
    int64_t since_ms;
};
struct shed {
    bool known[DESCRIPTORS_MAX];
    struct stranger stranger[DESCRIPTORS_MAX];
    struct candidate candidate[DESCRIPTORS_MAX];
};

static int descriptors_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > DESCRIPTORS_MAX)
        return DESCRIPTORS_MAX;
    return (int)limit.rlim_cur;
}

/* All below it are in use. */
static int lowest_free(int most)
{
    const int fd = eventfd(0, EFD_CLOEXEC);

    if (fd < 0)
        return most;
    close(fd);
    return fd;
}

/* --- accepting ---------------------------------------------------------------------------- */

int transport_accept(int listener, struct sockaddr *address, socklen_t *size,
                     int flags) __asm__("accept4");

/* Strangers leave room for local programs, and those leave some for files. */
static int accepted_max(int listener, int most)
{
    int family = AF_INET;
    socklen_t size = sizeof family;

    (void)getsockopt(listener, SOL_SOCKET, SO_DOMAIN, &family, &size);
    return family == AF_UNIX ? most - most / 16 : most - most / 4;
}

/* Whoever has to wait is not refused: the kernel keeps the order, and peers have their turn. */
int transport_accept(int listener, struct sockaddr *address, socklen_t *size, int flags)
{
    const int most = descriptors_max();
    int fd;

    if (lowest_free(most) >= accepted_max(listener, most)) {
        (void)poll(NULL, 0, WAIT_MS); /* libzmq asks again at once */
        errno = EAGAIN;
        return -1;
    }
    fd = (int)syscall(SYS_accept4, listener, address, size, flags);
    if (fd < 0 && errno == EMFILE)
        errno = ENFILE; /* which libzmq takes for a passing trouble at all kinds of sockets */
    return fd;
}

/* --- ending the oldest -------------------------------------------------------------------- */

static bool is_accepted(const struct transport *transport, int fd)
{
    const uint16_t port = connection_port(fd, getsockname);

    return port == htons(transport->listen_port) ||
           port == htons((uint16_t)(transport->listen_port + 1));
}

static void note_known(struct shed *shed, const struct connection *connection)
{
    if (connection->port != 0 && connection->fd < DESCRIPTORS_MAX &&
        connection_port(connection->fd, getpeername) == connection->port)
        shed->known[connection->fd] = true;
}

static void note_all_known(struct transport *transport)
{
    struct shed *shed = transport->shed;

    memset(shed->known, 0, sizeof shed->known);
    for (size_t i = 0; i < transport->peers.high; i++)
        if (transport->peers.peer[i].link != 0)
            note_known(shed, &transport->peers.peer[i].connection);
    for (size_t i = 0; i < LINKS_MAX; i++)
        if (transport->subscriber[i].since != 0)
            note_known(shed, &transport->subscriber[i].connection);
}

static int older(const void *a, const void *b)
{
    const int64_t first = ((const struct candidate *)a)->since_ms;
    const int64_t second = ((const struct candidate *)b)->since_ms;

    return (first > second) - (first < second);
}

static size_t list_strangers(const struct transport *transport, int most, int64_t now_ms)
{
    struct shed *shed = transport->shed;
    size_t count = 0;

    for (int fd = 0; fd < most; fd++) {
        struct stranger *stranger = &shed->stranger[fd];
        const uint16_t port = shed->known[fd] || !is_accepted(transport, fd)
                                  ? 0
                                  : connection_port(fd, getpeername);

        if (port != stranger->port)
            *stranger = (struct stranger){ port, now_ms };
        if (port != 0)
            shed->candidate[count++] =
                (struct candidate){ { .fd = fd, .port = port }, stranger->since_ms };
    }
    return count;
}

/* Nobody who may be about to prove himself. */
static void end_oldest(struct transport *transport, size_t count, size_t kept, int64_t now_ms)
{
    struct candidate *candidate = transport->shed->candidate;

    qsort(candidate, count, sizeof *candidate, older);
    for (size_t i = 0; i + kept < count; i++)
        if (candidate[i].since_ms + HANDSHAKE_MS <= now_ms)
            connection_end(transport, &candidate[i].connection);
}

int64_t shed_timer(struct transport *transport, int64_t now_ms)
{
    const int most = descriptors_max();

    if (transport->router == NULL)
        return INT64_MAX;
    if (now_ms < transport->shed_at_ms)
        return transport->shed_at_ms;
    transport->shed_at_ms = now_ms + LOOK_IDLE_MS;
    if (lowest_free(most) < most / 2)
        return transport->shed_at_ms;
    if (transport->shed == NULL &&
        (transport->shed = calloc(1, sizeof *transport->shed)) == NULL)
        return transport->shed_at_ms;
    transport->shed_at_ms = now_ms + LOOK_BUSY_MS;
    note_all_known(transport);
    end_oldest(transport, list_strangers(transport, most, now_ms), (size_t)most / 2, now_ms);
    return transport->shed_at_ms;
}
