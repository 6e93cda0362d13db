/* SPDX-License-Identifier: MPL-2.0 */
/* transport.c - opens the transport, and takes and hands over messages.
 *
 * Sockets are libzmq's own here, under a context for each transport: czmq's zsock always lives
 * in one context of the process, in which two transports would share one ZAP handler, and its
 * frames resolve a foreign socket with two system calls each time.  No zsock also means that
 * czmq never takes the signals, which are the daemon's. */
#include "daemon/io/transport_internal.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SOCKETS_MAX 16384 /* six of libzmq's for each dialled link */

/* --- opening and closing -------------------------------------------------------------- */

static enum status set_up(struct transport *transport, const struct transport_config *config)
{
    enum status status;

    transport->admit = config->admit;
    transport->admit_context = config->context;
    memcpy(transport->curve_public, config->curve_public, KEY_SIZE);
    memcpy(transport->curve_secret, config->curve_secret, KEY_SIZE);
    transport->peers.kind = LINK_PEER;
    transport->clients.kind = LINK_CLIENT;
    transport->sources_old = true;
    if (zmq_has("curve") == 0)
        return UNSUPPORTED;
    if ((transport->context = zmq_ctx_new()) == NULL)
        return NO_MEMORY;
    if (zmq_ctx_set(transport->context, ZMQ_IO_THREADS, 1) != 0 ||
        zmq_ctx_set(transport->context, ZMQ_MAX_SOCKETS, SOCKETS_MAX) != 0)
        return UNSUPPORTED;
    if ((status = zap_open(transport)) != OK)
        return status;
    if (config->listen_host != NULL) {
        if (strlen(config->listen_host) >= ADDRESS_SIZE || config->listen_port == 0 ||
            config->listen_port == UINT16_MAX)
            return INVALID;
        if ((transport->listen_host = strdup(config->listen_host)) == NULL)
            return NO_MEMORY;
        transport->listen_port = config->listen_port;
        if ((status = listen_open(transport)) != OK)
            return status;
    }
    return config->control_path != NULL ? control_open(transport, config->control_path) : OK;
}

void transport_version(char out_version[TRANSPORT_VERSION_SIZE])
{
    int major;
    int minor;
    int patch;

    zmq_version(&major, &minor, &patch);
    (void)snprintf(out_version, TRANSPORT_VERSION_SIZE, "%d.%d.%d", major, minor, patch);
}

enum status transport_open(const struct transport_config *config, struct transport **out)
{
    struct transport *transport = calloc(1, sizeof *transport);
    enum status status;

    if (transport == NULL)
        return NO_MEMORY;
    zmq_msg_init(&transport->held);
    if ((status = set_up(transport, config)) != OK) {
        transport_close(&transport);
        return status;
    }
    *out = transport;
    return OK;
}

void transport_close(struct transport **transport_pointer)
{
    struct transport *transport = *transport_pointer;

    if (transport == NULL)
        return;
    while (transport->dialled_count > 0)
        dialled_close(transport, transport->dialled[0], LINGER_MS);
    listen_close(transport, LINGER_MS);
    control_close(transport);
    socket_close(&transport->zap, 0);
    zmq_msg_close(&transport->held);
    if (transport->context != NULL)
        while (zmq_ctx_term(transport->context) != 0 && errno == EINTR)
            continue;
    free(transport->shed);
    free(transport->item);
    free(transport->source);
    free(transport->listen_host);
    sodium_memzero(transport->curve_secret, sizeof transport->curve_secret);
    free(transport);
    *transport_pointer = NULL;
}

void transport_counters(const struct transport *transport, struct transport_counters *out)
{
    *out = transport->counters;
}

/* --- receiving ------------------------------------------------------------------------ */

enum taken { TAKEN, TAKEN_NOTHING, TAKEN_RUBBISH };

static enum taken receive_frame(void *socket, zmq_msg_t *frame)
{
    return zmq_msg_recv(frame, socket, ZMQ_DONTWAIT) < 0 ? TAKEN_NOTHING : TAKEN;
}

/* More frames than there should be: all go. */
static enum taken finish(struct transport *transport, void *socket, bool well_formed)
{
    while (zmq_msg_more(&transport->held) != 0) {
        well_formed = false;
        if (receive_frame(socket, &transport->held) != TAKEN)
            break;
    }
    return well_formed ? TAKEN : TAKEN_RUBBISH;
}

bool proven_key(zmq_msg_t *frame, uint8_t out_key[KEY_SIZE])
{
    const char *user = zmq_msg_gets(frame, "User-Id");

    return user != NULL && strlen(user) == 40 && zmq_z85_decode(out_key, user) != NULL;
}

/* "...:uid:gid:pid", from the kernel; -1 if this system does not tell. */
static int64_t uid_of(zmq_msg_t *frame)
{
    const char *address = zmq_msg_gets(frame, "Peer-Address");
    size_t at = address != NULL ? strlen(address) : 0;
    unsigned long uid;
    int colons = 0;
    char *end;

    while (at > 0 && colons < 3)
        colons += address[--at] == ':';
    if (colons < 3 || !isdigit((unsigned char)address[at + 1]))
        return -1;
    uid = strtoul(address + at + 1, &end, 10);
    return *end == ':' && uid <= UINT32_MAX ? (int64_t)uid : -1;
}

/* An IPv4 address as people write it, not as an IPv6 socket sees it; NULL if unknown. */
static const char *address_of(zmq_msg_t *frame)
{
    const char *address = zmq_msg_gets(frame, "Peer-Address");

    return address != NULL && strncmp(address, "::ffff:", 7) == 0 ? address + 7 : address;
}

static enum taken take_routed(struct transport *transport, void *socket, struct peers *peers,
                              struct transport_message *out)
{
    const bool local = peers == &transport->clients;
    enum taken taken;
    bool is_new;
    zmq_msg_t routing_id;

    zmq_msg_init(&routing_id);
    if ((taken = receive_frame(socket, &routing_id)) == TAKEN) {
        taken = TAKEN_RUBBISH;
        if (zmq_msg_more(&routing_id) != 0 && receive_frame(socket, &transport->held) == TAKEN)
            taken = finish(transport, socket, true);
    }
    if (taken == TAKEN && !local && !proven_key(&transport->held, out->key))
        taken = TAKEN_RUBBISH;
    if (taken == TAKEN) {
        const struct slice id = slice_of(zmq_msg_data(&routing_id), zmq_msg_size(&routing_id));

        struct peer *peer = peers_meet(peers, id, out->key, &transport->serial, &is_new);

        out->link = peer->link;
        if (is_new && !local) {
            peer->connection = connection_of(&transport->held);
            peers_end_surplus(transport, peer);
        }
        out->kind = local ? TRANSPORT_CONTROL : TRANSPORT_PEER;
        out->uid = local ? uid_of(&transport->held) : -1;
        out->from = local ? NULL : address_of(&transport->held);
    }
    zmq_msg_close(&routing_id);
    return taken;
}

static enum taken take_dialled(struct transport *transport, const struct source *source,
                               struct transport_message *out)
{
    void *socket = source->dial->socket;
    bool well_formed = true;

    if (receive_frame(socket, &transport->held) != TAKEN)
        return TAKEN_NOTHING;
    if (source->kind == SOURCE_SUB) /* the first frame is the topic */
        well_formed = zmq_msg_more(&transport->held) != 0 &&
                      receive_frame(socket, &transport->held) == TAKEN;
    out->kind = source->kind == SOURCE_SUB ? TRANSPORT_PUBLISHED : TRANSPORT_PEER;
    out->link = source->dialled->link;
    out->dialled = true;
    memcpy(out->key, source->dialled->key, KEY_SIZE);
    return finish(transport, socket, well_formed);
}

static enum taken take(struct transport *transport, const struct source *source,
                       struct transport_message *out)
{
    enum taken taken;

    memset(out, 0, sizeof *out);
    out->uid = -1;
    if (source->kind == SOURCE_ROUTER)
        taken = take_routed(transport, transport->router, &transport->peers, out);
    else if (source->kind == SOURCE_CONTROL)
        taken = take_routed(transport, transport->control, &transport->clients, out);
    else
        taken = take_dialled(transport, source, out);
    if (taken == TAKEN) {
        out->data = slice_of(zmq_msg_data(&transport->held), zmq_msg_size(&transport->held));
        transport->counters.received_messages++;
        transport->counters.received_bytes += out->data.size;
    }
    return taken;
}

/* From the next socket in turn of those that are known to have something. */
static bool take_next(struct transport *transport, struct transport_message *out)
{
    for (size_t tried = 0; tried < transport->source_count; tried++) {
        size_t i;
        enum taken taken;

        if (transport->cursor >= transport->source_count)
            transport->cursor = 0;
        i = transport->cursor++;
        if (transport->source[i].kind >= SOURCE_INNER || transport->item[i].revents == 0)
            continue;
        if ((taken = take(transport, &transport->source[i], out)) == TAKEN)
            return true;
        if (taken == TAKEN_NOTHING)
            transport->item[i].revents = 0;
    }
    return false;
}

enum status transport_receive(struct transport *transport, struct transport_message *out)
{
    struct transport_message message = { .uid = -1, .dialled = true };
    enum status status;

    zmq_msg_close(&transport->held);
    zmq_msg_init(&transport->held);
    if (transport->flood) {
        transport->flood = false;
        message.kind = TRANSPORT_FLOOD;
        memcpy(message.key, transport->flood_key, KEY_SIZE);
        *out = message;
        return OK;
    }
    if (!dialled_tell(transport, &message) &&
        (transport->sources_old || !take_next(transport, &message))) {
        if ((status = sources_poll(transport, 0)) != OK)
            return status;
        message = (struct transport_message){ .uid = -1, .dialled = true };
        if (!dialled_tell(transport, &message) &&
            (sources_list(transport) != OK || !take_next(transport, &message)))
            return AGAIN;
    }
    *out = message;
    return OK;
}

/* --- sending -------------------------------------------------------------------------- */

static int send_routed(void *socket, const struct peer *peer, struct slice data)
{
    if (zmq_send(socket, peer->routing_id, peer->routing_id_size, ZMQ_DONTWAIT | ZMQ_SNDMORE) <
        0)
        return zmq_errno();
    return zmq_send(socket, data.data, data.size, ZMQ_DONTWAIT) < 0 ? zmq_errno() : 0;
}

/* 0, or why nothing was sent; EHOSTUNREACH if the link is gone. */
static int send_to(struct transport *transport, transport_link link, struct slice data)
{
    const enum link_kind kind = link_kind_of(link);
    const bool local = kind == LINK_CLIENT;
    struct peers *peers = local ? &transport->clients : &transport->peers;
    struct dialled *dialled;
    struct peer *peer;
    int error;

    if (kind == LINK_DIALLED) {
        dialled = dialled_find(transport, link);
        if (dialled == NULL || !dialled->dealer.up)
            return EHOSTUNREACH;
        return zmq_send(dialled->dealer.socket, data.data, data.size, ZMQ_DONTWAIT) < 0
                   ? zmq_errno()
                   : 0;
    }
    if ((peer = peers_find(peers, link)) == NULL)
        return EHOSTUNREACH;
    error = send_routed(local ? transport->control : transport->router, peer, data);
    if (error == EHOSTUNREACH)
        peers_forget(peers, peer);
    return error;
}

enum status transport_send(struct transport *transport, transport_link link, struct slice data)
{
    const bool local = link_kind_of(link) == LINK_CLIENT;
    int error;

    if (data.size > (local ? CONTROL_SIZE_MAX : MESSAGE_SIZE_MAX)) {
        transport->counters.dropped_messages++;
        return TOO_LARGE;
    }
    if ((error = send_to(transport, link, data)) != 0) {
        transport->counters.dropped_messages++;
        return error == EAGAIN ? AGAIN : OK;
    }
    transport->counters.sent_messages++;
    transport->counters.sent_bytes += data.size;
    return OK;
}

enum status transport_publish(struct transport *transport, const char *topic, struct slice data)
{
    if (transport->xpub == NULL)
        return OK;
    if (data.size > MESSAGE_SIZE_MAX || strlen(topic) >= CODE_SIZE) {
        transport->counters.dropped_messages++;
        return TOO_LARGE;
    }
    /* The topic goes with its NUL, so that whoever subscribes to "f" does not get "fr". */
    if (zmq_send(transport->xpub, topic, strlen(topic) + 1, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0 ||
        zmq_send(transport->xpub, data.data, data.size, ZMQ_DONTWAIT) < 0) {
        transport->counters.dropped_messages++;
        return zmq_errno() == EAGAIN ? AGAIN : status_of_zmq(zmq_errno());
    }
    transport->counters.sent_messages++;
    transport->counters.sent_bytes += data.size;
    return OK;
}

/* --- links ---------------------------------------------------------------------------- */

enum status transport_dial(struct transport *transport, const uint8_t key[KEY_SIZE],
                           const char *host, uint16_t port, transport_link *out_link)
{
    return dialled_open(transport, key, host, port, out_link);
}

void transport_hang_up(struct transport *transport, transport_link link)
{
    struct dialled *dialled = dialled_find(transport, link);
    struct peers *peers =
        link_kind_of(link) == LINK_CLIENT ? &transport->clients : &transport->peers;
    struct peer *peer;

    if (dialled != NULL) {
        dialled_close(transport, dialled, LINGER_MS);
    } else if ((peer = peers_find(peers, link)) != NULL) {
        if (peers == &transport->peers)
            connection_end(transport, &peer->connection);
        peers_forget(peers, peer);
    }
}
