/* SPDX-License-Identifier: MPL-2.0 */
/* transport_socket.c - what all sockets of the transport have in common, and libzmq's errors in
 * the project's own terms. */
#include "daemon/io/transport_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum status status_of_zmq(int error)
{
    switch (error) {
    case EADDRINUSE:
        return ADDRESS_IN_USE;
    case EACCES:
    case EPERM:
        return DENIED;
    case EINVAL:
        return INVALID;
    case ENAMETOOLONG:
        return TOO_LARGE;
    case ENOENT:
    case ENOTDIR:
        return NOT_FOUND;
    case EADDRNOTAVAIL: /* no address of this machine */
    case ENODEV:
    case ENETDOWN:
        return UNREACHABLE;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return NO_MEMORY;
    case ENOSPC:
        return NO_SPACE;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
        return UNSUPPORTED;
    default:
        return IO;
    }
}

void *socket_open(struct transport *transport, int type, const struct socket_option *options,
                  size_t count)
{
    void *socket = zmq_socket(transport->context, type);

    for (size_t i = 0; i < count && socket != NULL; i++)
        if (zmq_setsockopt(socket, options[i].name, &options[i].value,
                           sizeof options[i].value) != 0)
            socket_close(&socket, 0);
    return socket;
}

void socket_close(void **socket, int linger_ms)
{
    const int error = errno; /* of what made the caller give up */

    if (*socket == NULL)
        return;
    zmq_setsockopt(*socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_close(*socket);
    *socket = NULL;
    errno = error;
}

bool socket_limit(void *socket, int64_t size_max)
{
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max) == 0;
}

void endpoint_format(char out[ENDPOINT_SIZE], const char *host, uint16_t port)
{
    const bool v6 = strchr(host, ':') != NULL;
    const int length = snprintf(out, ENDPOINT_SIZE, "tcp://%s%s%s:%u", v6 ? "[" : "", host,
                                v6 ? "]" : "", (unsigned)port);

    ASSERT(length > 0 && length < ENDPOINT_SIZE);
}
