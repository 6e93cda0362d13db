/* SPDX-License-Identifier: MPL-2.0 */
/* transport_bind.c - the sockets that others dial: ROUTER and XPUB behind CURVE and an own ZAP
 * handler (RFC 27), and the control socket behind the file system's permissions. */
#include "daemon/io/transport_internal.h"

#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef ZMQ_ZAP_ENFORCE_DOMAIN /* some distributions' headers hide it with the draft API */
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define ZAP_DOMAIN_ROUTER "router"
#define ZAP_DOMAIN_XPUB "xpub"
#define Z85_KEY_SIZE 41

/* Queues count messages, of up to EVENT_SIZE_MAX: these are budgets of memory.  A `want` has at
 * most WANT_CREDIT_MAX chunks in flight, so ROUTER's is for bursts of small messages; heads and
 * deltas make up for what XPUB drops at a slow subscriber. */
#define ROUTER_HWM 128
#define ROUTER_RCVHWM 16 /* full: the peer waits */
#define XPUB_HWM 128
#define XPUB_RCVHWM 16
#define XPUB_SIZE_MAX 512 /* handshakes and subscriptions, nothing else comes in there */
#define ZAP_AT_ONCE 64    /* handshakes, before others have their turn */
#define BACKLOG 1024
#define REBIND_WAIT_MS 2000
#define REBIND_POLL_MS 5

/* --- ZAP ------------------------------------------------------------------------------ */

enum {
    ZAP_VERSION,
    ZAP_REQUEST,
    ZAP_DOMAIN,
    ZAP_ADDRESS,
    ZAP_IDENTITY,
    ZAP_MECHANISM,
    ZAP_KEY,
    ZAP_FRAMES
};

enum status zap_open(struct transport *transport)
{
    const struct socket_option options[] = { { ZMQ_LINGER, 0 } };

    transport->zap =
        socket_open(transport, ZMQ_REP, options, sizeof options / sizeof options[0]);
    if (transport->zap == NULL || zmq_bind(transport->zap, ZAP_ENDPOINT) != 0)
        return status_of_zmq(errno);
    return OK;
}

static struct slice frame_bytes(zmq_msg_t *frame)
{
    return slice_of(zmq_msg_data(frame), zmq_msg_size(frame));
}

static bool zap_admits(struct transport *transport, zmq_msg_t frame[ZAP_FRAMES], size_t count)
{
    enum transport_port port;

    if (count != ZAP_FRAMES || transport->admit == NULL ||
        !slice_is_text(frame_bytes(&frame[ZAP_MECHANISM]), "CURVE") ||
        zmq_msg_size(&frame[ZAP_KEY]) != KEY_SIZE)
        return false;
    if (slice_is_text(frame_bytes(&frame[ZAP_DOMAIN]), ZAP_DOMAIN_ROUTER))
        port = PORT_ROUTER;
    else if (slice_is_text(frame_bytes(&frame[ZAP_DOMAIN]), ZAP_DOMAIN_XPUB))
        port = PORT_XPUB;
    else
        return false;
    return guard_admits(transport, zmq_msg_data(&frame[ZAP_KEY])) &&
           transport->admit(transport->admit_context, port, zmq_msg_data(&frame[ZAP_KEY]));
}

static void zap_reply(struct transport *transport, zmq_msg_t frame[ZAP_FRAMES], bool admitted)
{
    char user[Z85_KEY_SIZE] = "";
    struct slice part[] = {
        slice_of_text("1.0"),
        frame_bytes(&frame[ZAP_REQUEST]),
        slice_of_text(admitted ? "200" : "400"),
        slice_of_text(admitted ? "" : "not admitted"),
        SLICE_NONE, /* User-Id */
        SLICE_NONE, /* metadata */
    };
    const size_t count = sizeof part / sizeof part[0];

    if (admitted) {
        zmq_z85_encode(user, zmq_msg_data(&frame[ZAP_KEY]), KEY_SIZE);
        part[4] = slice_of_text(user);
    }
    /* The handshake that waits for it fails by itself when its reply cannot be sent. */
    for (size_t i = 0; i < count; i++)
        if (zmq_send(transport->zap, part[i].data, part[i].size,
                     ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0)) < 0)
            return;
}

static bool zap_answer_one(struct transport *transport)
{
    zmq_msg_t frame[ZAP_FRAMES];
    size_t count = 0; /* frames that came, of which the first ZAP_FRAMES are kept */
    bool more = true;
    bool admitted;

    for (size_t i = 0; i < ZAP_FRAMES; i++)
        zmq_msg_init(&frame[i]);
    for (; more; count++) {
        zmq_msg_t *into = &frame[count < ZAP_FRAMES ? count : ZAP_FRAMES - 1];

        if (zmq_msg_recv(into, transport->zap, ZMQ_DONTWAIT) < 0)
            break;
        more = zmq_msg_more(into) != 0;
    }
    if (count > 0) {
        admitted = zap_admits(transport, frame, count);
        transport->counters.refused_handshakes += !admitted;
        zap_reply(transport, frame, admitted);
    }
    for (size_t i = 0; i < ZAP_FRAMES; i++)
        zmq_msg_close(&frame[i]);
    return count > 0;
}

void zap_answer(struct transport *transport)
{
    for (int i = 0; i < ZAP_AT_ONCE && zap_answer_one(transport); i++)
        continue;
}

/* --- ROUTER and XPUB ------------------------------------------------------------------ */

/* CURVE without a ZAP handler, or with one that is not asked, admits everybody. */
static enum status guard(const struct transport *transport, void *socket, const char *domain)
{
    const int server = 1;
    const int enforce = 1;
    int enforced = 0;
    size_t size = sizeof enforced;

    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &server, sizeof server) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, transport->curve_secret, KEY_SIZE) != 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) != 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_ENFORCE_DOMAIN, &enforce, sizeof enforce) != 0 ||
        zmq_getsockopt(socket, ZMQ_ZAP_ENFORCE_DOMAIN, &enforced, &size) != 0 || enforced != 1)
        return UNSUPPORTED;
    return OK;
}

static enum status bind_port(void *socket, const char *host, uint16_t port)
{
    char endpoint[ENDPOINT_SIZE];

    endpoint_format(endpoint, host, port);
    return zmq_bind(socket, endpoint) == 0 ? OK : status_of_zmq(errno);
}

static enum status open_router(struct transport *transport)
{
    const struct socket_option options[] = {
        TCP_OPTIONS,
        { ZMQ_BACKLOG, BACKLOG },
        { ZMQ_SNDHWM, ROUTER_HWM },
        { ZMQ_RCVHWM, ROUTER_RCVHWM },
        { ZMQ_ROUTER_MANDATORY, 1 },
        { ZMQ_ROUTER_HANDOVER, 0 },
    };
    enum status status;

    transport->router =
        socket_open(transport, ZMQ_ROUTER, options, sizeof options / sizeof options[0]);
    if (transport->router == NULL ||
        !socket_limit(transport->router, MESSAGE_SIZE_MAX + CURVE_OVERHEAD))
        return status_of_zmq(errno);
    if ((status = guard(transport, transport->router, ZAP_DOMAIN_ROUTER)) != OK)
        return status;
    return bind_port(transport->router, transport->listen_host, transport->listen_port);
}

static enum status open_xpub(struct transport *transport)
{
    const struct socket_option options[] = {
        TCP_OPTIONS,
        { ZMQ_BACKLOG, BACKLOG },
        { ZMQ_SNDHWM, XPUB_HWM },
        { ZMQ_RCVHWM, XPUB_RCVHWM },
        { ZMQ_XPUB_VERBOSE, 1 }, /* of each connection, not of each topic */
        { ZMQ_XPUB_NODROP, 0 },  /* one slow subscriber must not hold up all */
    };
    enum status status;

    transport->xpub =
        socket_open(transport, ZMQ_XPUB, options, sizeof options / sizeof options[0]);
    if (transport->xpub == NULL || !socket_limit(transport->xpub, XPUB_SIZE_MAX))
        return status_of_zmq(errno);
    if ((status = guard(transport, transport->xpub, ZAP_DOMAIN_XPUB)) != OK)
        return status;
    return bind_port(transport->xpub, transport->listen_host,
                     (uint16_t)(transport->listen_port + 1));
}

enum status listen_open(struct transport *transport)
{
    enum status status;

    transport->sources_old = true;
    if ((status = open_router(transport)) != OK || (status = open_xpub(transport)) != OK)
        listen_close(transport, 0);
    return status;
}

void listen_close(struct transport *transport, int linger_ms)
{
    socket_close(&transport->router, linger_ms);
    socket_close(&transport->xpub, linger_ms);
    peers_forget_all(&transport->peers);
    guard_forget_all(transport);
    transport->sources_old = true;
}

enum status transport_cut_all(struct transport *transport)
{
    enum status status;

    if (transport->listen_host == NULL)
        return OK;
    listen_close(transport, 0);
    /* A closed socket's port is free only after libzmq's thread has closed it, too. */
    for (int waited_ms = 0;; waited_ms += REBIND_POLL_MS) {
        if ((status = listen_open(transport)) != ADDRESS_IN_USE || waited_ms >= REBIND_WAIT_MS)
            break;
        zmq_poll(NULL, 0, REBIND_POLL_MS);
    }
    transport->listen_again_ms = status == OK ? 0 : zclock_mono() + BIND_RETRY_MS;
    return status;
}

/* --- the control socket --------------------------------------------------------------- */

/* libzmq removes whatever is at the path: let that be a socket, which a dead daemon left. */
static enum status check_path(const char *path)
{
    struct stat found;

    if (strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
        return TOO_LARGE;
    if (path[0] == '\0' || path[0] == '@' || path[0] == '*') /* libzmq's own meanings */
        return INVALID;
    if (lstat(path, &found) != 0)
        return errno == ENOENT ? OK : status_of_zmq(errno);
    return S_ISSOCK(found.st_mode) ? OK : EXISTS;
}

enum status control_open(struct transport *transport, const char *path)
{
    const struct socket_option options[] = {
        { ZMQ_LINGER, LINGER_MS },
        { ZMQ_BACKLOG, BACKLOG },
        /* A pipe hears of what was read from it only at every half of its limit. */
        { ZMQ_SNDHWM, 2 * CONTROL_REQUESTS_MAX + 1 },
        { ZMQ_RCVHWM, CONTROL_REQUESTS_MAX },
        { ZMQ_HANDSHAKE_IVL, 5000 },
        { ZMQ_ROUTER_MANDATORY, 1 },
        { ZMQ_ROUTER_HANDOVER, 0 },
    };
    char endpoint[sizeof "ipc://" + sizeof((struct sockaddr_un *)NULL)->sun_path] = "ipc://";
    enum status status;
    mode_t mask;
    int error;

    if ((status = check_path(path)) != OK)
        return status;
    memcpy(endpoint + strlen(endpoint), path, strlen(path) + 1);
    transport->control =
        socket_open(transport, ZMQ_ROUTER, options, sizeof options / sizeof options[0]);
    if (transport->control == NULL || !socket_limit(transport->control, CONTROL_SIZE_MAX))
        return status_of_zmq(errno);
    mask = umask(0117); /* 0660 from its first moment on */
    error = zmq_bind(transport->control, endpoint) == 0 ? 0 : errno;
    umask(mask);
    if (error != 0)
        return status_of_zmq(error);
    return (transport->control_path = strdup(path)) != NULL ? OK : NO_MEMORY;
}

/* libzmq leaves the file behind. */
void control_close(struct transport *transport)
{
    socket_close(&transport->control, LINGER_MS);
    if (transport->control_path != NULL)
        unlink(transport->control_path);
    free(transport->control_path);
    transport->control_path = NULL;
}
