/* SPDX-License-Identifier: MPL-2.0 */
/* transport_poll.c - waits for all sockets at once, and serves those that no caller reads: ZAP,
 * the monitors, and XPUB's subscriptions. */
#include "daemon/io/transport_internal.h"

#include <czmq.h>
#include <errno.h>
#include <stdlib.h>

#define FIXED_SOURCES 4
#define SOURCES_PER_DIALLED 4

static void add_source(struct transport *transport, void *socket, struct source source)
{
    if (socket == NULL)
        return;
    ASSERT(transport->source_count < transport->source_capacity);
    transport->item[transport->source_count] =
        (zmq_pollitem_t){ .socket = socket, .events = ZMQ_POLLIN };
    transport->source[transport->source_count++] = source;
}

static void add_dial(struct transport *transport, struct dialled *dialled, struct dial *dial,
                     enum source_kind kind)
{
    add_source(transport, dial->socket, (struct source){ kind, dialled, dial });
    add_source(transport, dial->monitor, (struct source){ SOURCE_MONITOR, dialled, dial });
}

static enum status grow_sources(struct transport *transport, size_t needed)
{
    zmq_pollitem_t *item;
    struct source *source;

    if (needed <= transport->source_capacity)
        return OK;
    if ((item = realloc(transport->item, needed * sizeof *item)) == NULL)
        return NO_MEMORY;
    transport->item = item;
    if ((source = realloc(transport->source, needed * sizeof *source)) == NULL)
        return NO_MEMORY;
    transport->source = source;
    transport->source_capacity = needed;
    return OK;
}

enum status sources_list(struct transport *transport)
{
    enum status status;

    if (!transport->sources_old)
        return OK;
    status =
        grow_sources(transport, FIXED_SOURCES + transport->dialled_count * SOURCES_PER_DIALLED);
    if (status != OK)
        return status;
    transport->source_count = 0;
    add_source(transport, transport->zap, (struct source){ .kind = SOURCE_ZAP });
    add_source(transport, transport->router, (struct source){ .kind = SOURCE_ROUTER });
    add_source(transport, transport->xpub, (struct source){ .kind = SOURCE_XPUB });
    add_source(transport, transport->control, (struct source){ .kind = SOURCE_CONTROL });
    for (size_t i = 0; i < transport->dialled_count; i++) {
        struct dialled *dialled = transport->dialled[i];

        add_dial(transport, dialled, &dialled->dealer, SOURCE_DEALER);
        add_dial(transport, dialled, &dialled->sub, SOURCE_SUB);
    }
    transport->sources_old = false;
    return OK;
}

static void serve_inner(struct transport *transport)
{
    for (size_t i = 0; i < transport->source_count; i++) {
        const struct source *source = &transport->source[i];

        if (source->kind < SOURCE_INNER || transport->item[i].revents == 0)
            continue;
        transport->item[i].revents = 0;
        if (source->kind == SOURCE_ZAP)
            zap_answer(transport);
        else if (source->kind == SOURCE_XPUB)
            guard_subscriptions(transport);
        else
            dialled_watch(transport, source->dialled, source->dial);
    }
}

static bool has_messages(const struct transport *transport)
{
    for (size_t i = 0; i < transport->source_count; i++)
        if (transport->source[i].kind < SOURCE_INNER && transport->item[i].revents != 0)
            return true;
    return transport->flood || dialled_has_news(transport);
}

/* Opens again what could not be bound when everybody was cut off. */
static int64_t listen_timer(struct transport *transport, int64_t now_ms)
{
    if (transport->listen_again_ms == 0)
        return INT64_MAX;
    if (now_ms >= transport->listen_again_ms)
        transport->listen_again_ms = listen_open(transport) == OK ? 0 : now_ms + BIND_RETRY_MS;
    return transport->listen_again_ms != 0 ? transport->listen_again_ms : INT64_MAX;
}

enum status sources_poll(struct transport *transport, int64_t deadline_ms)
{
    const int64_t now_ms = zclock_mono();
    const int64_t dialled_ms = dialled_timers(transport, now_ms);
    const int64_t listen_ms = listen_timer(transport, now_ms);
    const int64_t shed_ms = shed_timer(transport, now_ms);
    int64_t until_ms = deadline_ms;
    enum status status;

    if (dialled_ms < until_ms)
        until_ms = dialled_ms;
    if (listen_ms < until_ms)
        until_ms = listen_ms;
    if (shed_ms < until_ms)
        until_ms = shed_ms;
    if ((status = sources_list(transport)) != OK)
        return status;
    if (dialled_has_news(transport) || until_ms < now_ms)
        until_ms = now_ms;
    if (zmq_poll(transport->item, (int)transport->source_count,
                 until_ms == INT64_MAX ? -1 : (long)(until_ms - now_ms)) < 0)
        return zmq_errno() == EINTR ? AGAIN : status_of_zmq(zmq_errno());
    serve_inner(transport);
    return OK;
}

enum status transport_wait(struct transport *transport, int64_t timeout_ms)
{
    const int64_t deadline_ms = timeout_ms < 0 ? INT64_MAX : zclock_mono() + timeout_ms;
    enum status status;

    for (;;) {
        if ((status = sources_poll(transport, deadline_ms)) != OK)
            return status;
        if (has_messages(transport))
            return OK;
        if (zclock_mono() >= deadline_ms)
            return TIMEOUT;
    }
}
