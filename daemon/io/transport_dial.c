/* SPDX-License-Identifier: MPL-2.0 */
/* transport_dial.c - the sockets that dial: a DEALER and a SUB for each link, and when to try
 * again.
 *
 * libzmq retries by itself while nobody listens, with growing pauses.  It stops for ever after
 * some failures (a refused key) and retries without growing pauses after others (a handshake
 * that never ends), so at the first sign of any trouble that a monitor reports the socket is
 * closed here, and dialled anew after a pause of our own. */
#include "daemon/io/transport_internal.h"

#include <ctype.h>
#include <czmq.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* Of libzmq, while nobody listens: a peer that restarts at once is found within a tenth of a
 * second; one that is away costs an attempt at a TCP connection, a packet, every 2 s. */
#define RECONNECT_IVL_MS 50
#define RECONNECT_IVL_MAX_MS 2000
#define CONNECT_TIMEOUT_MS 5000
/* Pauses double from the first to the second, plus up to a quarter at random. */
#define LOST_PAUSE_MS 50
#define FAILED_PAUSE_MS_MAX 5000
#define REFUSED_PAUSE_MS 1000
#define REFUSED_PAUSE_MS_MAX 30000
/* What a link waits for its SUB, so that little is published between its hello and that. */
#define SUB_GRACE_MS 1000

#define DEALER_HWM 256
#define SUB_HWM 512

#define TROUBLE                                                                                \
    (ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |              \
     ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED)
#define PROGRESS (ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED)

/* --- one socket ----------------------------------------------------------------------- */

static void *dial_socket(struct transport *transport, int type, const uint8_t key[KEY_SIZE])
{
    const struct socket_option options[] = {
        TCP_OPTIONS,
        { ZMQ_RECONNECT_IVL, RECONNECT_IVL_MS },
        { ZMQ_RECONNECT_IVL_MAX, RECONNECT_IVL_MAX_MS },
        { ZMQ_CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS },
        { ZMQ_SNDHWM, DEALER_HWM },
        { ZMQ_RCVHWM, type == ZMQ_SUB ? SUB_HWM : DEALER_HWM },
    };
    void *socket = socket_open(transport, type, options, sizeof options / sizeof options[0]);

    if (socket == NULL)
        return NULL;
    if (!socket_limit(socket, MESSAGE_SIZE_MAX + CURVE_OVERHEAD) ||
        zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, key, KEY_SIZE) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, transport->curve_public, KEY_SIZE) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, transport->curve_secret, KEY_SIZE) != 0 ||
        (type == ZMQ_SUB && zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0) != 0))
        socket_close(&socket, 0);
    return socket;
}

static void *dial_monitor(struct transport *transport, void *socket)
{
    /* No limit, because libzmq's thread would wait until there is room. */
    const struct socket_option options[] = { { ZMQ_LINGER, 0 }, { ZMQ_RCVHWM, 0 } };
    char endpoint[ENDPOINT_SIZE];
    void *monitor;

    (void)snprintf(endpoint, sizeof endpoint, "inproc://monitor-%llu",
                   (unsigned long long)++transport->serial);
    if (zmq_socket_monitor(socket, endpoint, TROUBLE | PROGRESS) != 0)
        return NULL;
    monitor = socket_open(transport, ZMQ_PAIR, options, sizeof options / sizeof options[0]);
    if (monitor != NULL && zmq_connect(monitor, endpoint) != 0)
        socket_close(&monitor, 0);
    return monitor;
}

static void dial_close(struct transport *transport, struct dial *dial, int linger_ms)
{
    /* First the events end: libzmq's I/O thread would wait for ever on a closed monitor. */
    if (dial->socket != NULL && dial->monitor != NULL)
        (void)zmq_socket_monitor(dial->socket, NULL, 0);
    socket_close(&dial->socket, linger_ms);
    socket_close(&dial->monitor, 0);
    dial->connected = false;
    dial->up = false;
    dial->ended = false;
    transport->sources_old = true;
}

static enum status dial_open(struct transport *transport, const struct dialled *dialled,
                             struct dial *dial)
{
    char endpoint[ENDPOINT_SIZE];
    int error;

    endpoint_format(endpoint, dialled->host, dial->port);
    transport->sources_old = true;
    dial->socket = dial_socket(transport, dial->type, dialled->key);
    if (dial->socket != NULL)
        dial->monitor = dial_monitor(transport, dial->socket);
    if (dial->monitor != NULL && zmq_connect(dial->socket, endpoint) == 0)
        return OK;
    error = zmq_errno();
    dial_close(transport, dial, 0);
    return status_of_zmq(error);
}

static void pause_for(struct dial *dial, int64_t pause_ms_min, int64_t pause_ms_max)
{
    dial->pause_ms *= 2;
    if (dial->pause_ms < pause_ms_min)
        dial->pause_ms = pause_ms_min;
    if (dial->pause_ms > pause_ms_max)
        dial->pause_ms = pause_ms_max;
    dial->redial_at_ms =
        zclock_mono() + dial->pause_ms + randombytes_uniform((uint32_t)dial->pause_ms / 4 + 1);
}

static void dial_trouble(struct transport *transport, struct dialled *dialled,
                         struct dial *dial, unsigned event)
{
    const bool refused = event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

    dial->refused = refused;
    if (refused && dial->type == ZMQ_DEALER)
        dialled->denied = true;
    dial_close(transport, dial, 0);
    if (refused)
        pause_for(dial, REFUSED_PAUSE_MS, REFUSED_PAUSE_MS_MAX);
    else
        pause_for(dial, LOST_PAUSE_MS, FAILED_PAUSE_MS_MAX);
}

static bool has_messages(void *socket)
{
    int events = 0;
    size_t size = sizeof events;

    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 &&
           (events & ZMQ_POLLIN) != 0;
}

/* What was published before the end is taken first, were this program ever so busy: whoever is
 * shut out learns of it in this way. */
static bool ends_later(struct dial *dial, unsigned event)
{
    if (dial->type != ZMQ_SUB || event != ZMQ_EVENT_DISCONNECTED || !has_messages(dial->socket))
        return false;
    dial->up = false;
    dial->ended = true;
    return true;
}

/* --- a link --------------------------------------------------------------------------- */

static void judge(struct dialled *dialled, int64_t now_ms)
{
    const bool sub_settled =
        dialled->sub.up || dialled->sub.refused || now_ms >= dialled->grace_at_ms;

    if (!dialled->dealer.up) {
        dialled->bounced |= dialled->up;
        dialled->up = false;
    } else if (sub_settled) {
        dialled->up = true;
    }
}

static bool next_event(void *monitor, unsigned *out_event)
{
    zmq_msg_t frame;
    uint16_t event = 0;

    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, monitor, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&frame);
        return false;
    }
    if (zmq_msg_size(&frame) >= sizeof event)
        memcpy(&event, zmq_msg_data(&frame), sizeof event);
    while (zmq_msg_more(&frame) != 0)
        if (zmq_msg_recv(&frame, monitor, ZMQ_DONTWAIT) < 0)
            break;
    zmq_msg_close(&frame);
    *out_event = event;
    return true;
}

static void dial_succeeded(struct transport *transport, struct dialled *dialled,
                           struct dial *dial, int64_t now_ms)
{
    struct dial *sub = &dialled->sub;

    dial->up = true;
    dial->refused = false;
    dial->pause_ms = 0;
    if (dial != &dialled->dealer)
        return;
    dialled->grace_at_ms = now_ms + SUB_GRACE_MS;
    /* The peer is there: no pause from when it was not. */
    if (!sub->connected && !sub->refused) {
        dial_close(transport, sub, 0);
        sub->redial_at_ms = now_ms;
        sub->pause_ms = 0;
    }
}

void dialled_watch(struct transport *transport, struct dialled *dialled, struct dial *dial)
{
    const int64_t now_ms = zclock_mono();
    unsigned event;

    while (dial->monitor != NULL && next_event(dial->monitor, &event)) {
        if (event == ZMQ_EVENT_CONNECTED)
            dial->connected = true;
        else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            dial_succeeded(transport, dialled, dial, now_ms);
        else if ((event & TROUBLE) != 0 && !ends_later(dial, event))
            dial_trouble(transport, dialled, dial, event);
        judge(dialled, now_ms);
    }
}

static int64_t dial_timer(struct transport *transport, struct dialled *dialled,
                          struct dial *dial, int64_t now_ms)
{
    if (dial->ended && !has_messages(dial->socket))
        dial_trouble(transport, dialled, dial, ZMQ_EVENT_DISCONNECTED);
    if (dial->socket != NULL)
        return INT64_MAX;
    if (now_ms >= dial->redial_at_ms) {
        if (dial_open(transport, dialled, dial) == OK)
            return INT64_MAX;
        pause_for(dial, REFUSED_PAUSE_MS, REFUSED_PAUSE_MS_MAX);
    }
    return dial->redial_at_ms;
}

int64_t dialled_timers(struct transport *transport, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;

    for (size_t i = 0; i < transport->dialled_count; i++) {
        struct dialled *dialled = transport->dialled[i];
        const int64_t dealer_ms = dial_timer(transport, dialled, &dialled->dealer, now_ms);
        const int64_t sub_ms = dial_timer(transport, dialled, &dialled->sub, now_ms);

        judge(dialled, now_ms);
        if (dealer_ms < next_ms)
            next_ms = dealer_ms;
        if (sub_ms < next_ms)
            next_ms = sub_ms;
        if (dialled->dealer.up && !dialled->up && dialled->grace_at_ms < next_ms)
            next_ms = dialled->grace_at_ms;
    }
    return next_ms;
}

static bool has_news(const struct dialled *dialled)
{
    return dialled->denied || dialled->up != dialled->up_told ||
           (dialled->bounced && dialled->up_told);
}

bool dialled_has_news(const struct transport *transport)
{
    for (size_t i = 0; i < transport->dialled_count; i++)
        if (has_news(transport->dialled[i]))
            return true;
    return false;
}

bool dialled_tell(struct transport *transport, struct transport_message *out)
{
    for (size_t i = 0; i < transport->dialled_count; i++) {
        struct dialled *dialled = transport->dialled[i];

        if (!has_news(dialled))
            continue;
        if (dialled->up_told && (dialled->bounced || !dialled->up)) {
            out->kind = TRANSPORT_DOWN;
            dialled->up_told = false;
        } else if (dialled->denied) {
            out->kind = TRANSPORT_DENIED;
            dialled->denied = false;
        } else {
            out->kind = TRANSPORT_UP;
            dialled->up_told = true;
        }
        dialled->bounced = false;
        out->link = dialled->link;
        memcpy(out->key, dialled->key, KEY_SIZE);
        return true;
    }
    return false;
}

/* What libzmq would take for more than a host (";", "*", interface names) never reaches it. */
static bool host_valid(const char *host)
{
    if (*host == '\0')
        return false;
    for (; *host != '\0'; host++)
        if (!isalnum((unsigned char)*host) && strchr(".-_:%", *host) == NULL)
            return false;
    return true;
}

enum status dialled_open(struct transport *transport, const uint8_t key[KEY_SIZE],
                         const char *host, uint16_t port, transport_link *out_link)
{
    struct dialled *dialled;
    enum status status;

    if (!host_valid(host) || strlen(host) >= sizeof dialled->host || port == 0 ||
        port == UINT16_MAX)
        return INVALID;
    if (transport->dialled_count == LINKS_MAX)
        return TOO_LARGE;
    if ((dialled = calloc(1, sizeof *dialled)) == NULL)
        return NO_MEMORY;
    memcpy(dialled->key, key, KEY_SIZE);
    memcpy(dialled->host, host, strlen(host) + 1);
    dialled->dealer.type = ZMQ_DEALER;
    dialled->dealer.port = port;
    dialled->sub.type = ZMQ_SUB;
    dialled->sub.port = (uint16_t)(port + 1);
    if ((status = dial_open(transport, dialled, &dialled->dealer)) != OK ||
        (status = dial_open(transport, dialled, &dialled->sub)) != OK) {
        dial_close(transport, &dialled->dealer, 0);
        free(dialled);
        return status;
    }
    dialled->link = ++transport->serial << (LINK_KIND_BITS + LINK_SLOT_BITS) | LINK_DIALLED;
    transport->dialled[transport->dialled_count++] = dialled;
    *out_link = dialled->link;
    return OK;
}

void dialled_pause(struct transport *transport, const uint8_t key[KEY_SIZE], int64_t pause_ms)
{
    const int64_t now_ms = zclock_mono();

    for (size_t i = 0; i < transport->dialled_count; i++) {
        struct dialled *dialled = transport->dialled[i];

        if (memcmp(dialled->key, key, KEY_SIZE) != 0)
            continue;
        dial_close(transport, &dialled->dealer, 0);
        dial_close(transport, &dialled->sub, 0);
        dialled->dealer.redial_at_ms = now_ms + pause_ms;
        dialled->sub.redial_at_ms = now_ms + pause_ms;
        judge(dialled, now_ms);
    }
}

struct dialled *dialled_find(struct transport *transport, transport_link link)
{
    for (size_t i = 0; i < transport->dialled_count; i++)
        if (transport->dialled[i]->link == link)
            return transport->dialled[i];
    return NULL;
}

void dialled_close(struct transport *transport, struct dialled *dialled, int linger_ms)
{
    size_t i = 0;

    while (transport->dialled[i] != dialled)
        i++;
    transport->dialled[i] = transport->dialled[--transport->dialled_count];
    dial_close(transport, &dialled->dealer, linger_ms);
    dial_close(transport, &dialled->sub, 0);
    free(dialled);
}
