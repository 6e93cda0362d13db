/* SPDX-License-Identifier: MPL-2.0 */
/* sim_network.c - transport.h over virtual time: links, streams that keep their order, faults.
 * */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define RETRY_CONNECT_MS 200
#define RETRY_DENIED_MS 1000
#define SILENCE_MS 15000 /* as the transport's heartbeat notices a cut */

struct transport {
    int owner;
    transport_admit *admit;
    void *context;
    uint8_t key[KEY_SIZE];
};

/* --- packets ------------------------------------------------------------------------------ */

static void queue_packet(struct sim_packet *packet)
{
    struct sim_packet **at = &world.queue;

    while (*at != NULL && ((*at)->at_ms < packet->at_ms ||
                           ((*at)->at_ms == packet->at_ms && (*at)->order < packet->order)))
        at = &(*at)->next;
    packet->next = *at;
    *at = packet;
}

static struct sim_packet *make_packet(int to, enum transport_kind kind, transport_link link,
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
    packet->bytes = malloc(bytes.size + 1);
    ASSERT(packet->bytes != NULL);
    if (bytes.size > 0)
        memcpy(packet->bytes, bytes.data, bytes.size);
    packet->message.data = slice_of(packet->bytes, bytes.size);
    return packet;
}

static void free_packet(struct sim_packet *packet)
{
    free(packet->bytes);
    free(packet);
}

static int64_t draw_delay(void)
{
    if ((world.faults & FAULT_DELAY) && !world.healing && sim_chance(20)) {
        world.hits[2]++;
        return (int64_t)sim_random(2000);
    }
    return 1 + (int64_t)sim_random(4);
}

/* One stream of a connection keeps its order; streams overtake one another. */
static void send_on(int index, int stream, struct sim_packet *packet)
{
    struct sim_connection *connection = &world.connections[index];

    packet->connection = index;
    packet->connection_life = connection->life;
    packet->at_ms = world.now_ms + draw_delay();
    if (packet->at_ms < connection->last_at_ms[stream])
        packet->at_ms = connection->last_at_ms[stream];
    connection->last_at_ms[stream] = packet->at_ms;
    world.messages++;
    queue_packet(packet);
}

static void corrupt(struct sim_packet *packet)
{
    const unsigned type = wire_type_of(packet->message.data);

    if (!(world.faults & FAULT_CORRUPT) || world.healing || !sim_chance(2) ||
        (type != WIRE_EVENT && type != WIRE_CHANGES && type != WIRE_BEAT) ||
        packet->message.data.size == 0)
        return;
    packet->bytes[sim_random(packet->message.data.size)] ^= (uint8_t)(1u << sim_random(8));
    world.hits[6]++;
}

/* --- transport.h -------------------------------------------------------------------------- */

enum status transport_open(const struct transport_config *config, struct transport **out)
{
    struct transport *transport = calloc(1, sizeof *transport);

    ASSERT(transport != NULL);
    transport->owner = world.active;
    transport->admit = config->admit;
    transport->context = config->context;
    memcpy(transport->key, config->curve_public, KEY_SIZE);
    world.nodes[world.active].transport = transport;
    *out = transport;
    return OK;
}

void transport_close(struct transport **transport)
{
    if (*transport == NULL)
        return;
    world.nodes[(*transport)->owner].transport = NULL;
    free(*transport);
    *transport = NULL;
}

enum status transport_wait(struct transport *transport, int64_t timeout_ms)
{
    struct sim_node *node = &world.nodes[transport->owner];

    node->wake_at_ms = world.now_ms + timeout_ms;
    return node->inbox != NULL ? OK : TIMEOUT;
}

enum status transport_receive(struct transport *transport, struct transport_message *out)
{
    struct sim_node *node = &world.nodes[transport->owner];

    if (node->current != NULL)
        free_packet(node->current);
    node->current = node->inbox;
    if (node->current == NULL)
        return AGAIN;
    node->inbox = node->current->next;
    if (node->inbox == NULL)
        node->inbox_end = &node->inbox;
    *out = node->current->message;
    return OK;
}

static void answer_control(transport_link link, struct slice data)
{
    for (size_t i = 0; i < sizeof world.requests / sizeof world.requests[0]; i++) {
        struct sim_request *request = &world.requests[i];

        if (!request->open || request->link != link)
            continue;
        request->answered = true;
        request->reply_size = data.size < sizeof request->reply ? data.size : 0;
        memcpy(request->reply, data.data, request->reply_size);
    }
}

enum status transport_send(struct transport *transport, transport_link link, struct slice data)
{
    struct sim_packet *packet;

    for (int i = 0; i < SIM_CONNECTIONS_MAX; i++) {
        struct sim_connection *connection = &world.connections[i];
        const bool dialled = connection->dial_link == link;

        if (!connection->used || !connection->up ||
            (!dialled && connection->serve_link != link))
            continue;
        packet =
            make_packet(dialled ? connection->listener : connection->dialler, TRANSPORT_PEER,
                        dialled ? connection->serve_link : connection->dial_link, data);
        packet->message.dialled = !dialled;
        memcpy(packet->message.key, transport->key, KEY_SIZE);
        corrupt(packet);
        send_on(i, dialled ? 0 : 1, packet);
        return OK;
    }
    answer_control(link, data);
    return OK;
}

enum status transport_publish(struct transport *transport, const char *topic, struct slice data)
{
    (void)topic;
    for (int i = 0; i < SIM_CONNECTIONS_MAX; i++) {
        struct sim_connection *connection = &world.connections[i];
        int copies = 1;

        if (!connection->used || !connection->up || connection->listener != transport->owner)
            continue;
        if ((world.faults & FAULT_LOSS) && !world.healing && sim_chance(15)) {
            world.hits[0]++;
            continue;
        }
        if ((world.faults & FAULT_DUPLICATE) && !world.healing && sim_chance(10)) {
            world.hits[1]++;
            copies = 2;
        }
        for (int copy = 0; copy < copies; copy++) {
            struct sim_packet *packet = make_packet(connection->dialler, TRANSPORT_PUBLISHED,
                                                    connection->dial_link, data);

            packet->message.dialled = true;
            memcpy(packet->message.key, transport->key, KEY_SIZE);
            corrupt(packet);
            send_on(i, 2, packet);
        }
    }
    return OK;
}

enum status transport_dial(struct transport *transport, const uint8_t key[KEY_SIZE],
                           const char *host, uint16_t port, transport_link *out_link)
{
    (void)key;
    for (int i = 0; i < SIM_CONNECTIONS_MAX; i++) {
        struct sim_connection *connection = &world.connections[i];

        if (connection->used)
            continue;
        memset(connection, 0, sizeof *connection);
        connection->used = true;
        connection->dialler = transport->owner;
        connection->listener = -1;
        (void)snprintf(connection->host_port, sizeof connection->host_port, "%s:%u", host,
                       (unsigned)port);
        connection->dial_link = ++world.next_link;
        connection->retry_at_ms = world.now_ms + 1 + (int64_t)sim_random(20);
        *out_link = connection->dial_link;
        return OK;
    }
    return TOO_LARGE;
}

void transport_hang_up(struct transport *transport, transport_link link)
{
    (void)transport;
    for (int i = 0; i < SIM_CONNECTIONS_MAX; i++)
        if (world.connections[i].used && world.connections[i].dial_link == link)
            world.connections[i].used = false;
}

void transport_version(char out_version[TRANSPORT_VERSION_SIZE])
{
    (void)snprintf(out_version, TRANSPORT_VERSION_SIZE, "none");
}

void transport_counters(const struct transport *transport, struct transport_counters *out)
{
    (void)transport;
    memset(out, 0, sizeof *out);
}

/* --- links -------------------------------------------------------------------------------- */

static void tell_dialler(struct sim_connection *connection, enum transport_kind kind)
{
    struct sim_packet *packet;

    if (world.nodes[connection->dialler].node == NULL)
        return;
    packet = make_packet(connection->dialler, kind, connection->dial_link, SLICE_NONE);
    packet->message.dialled = true;
    queue_packet(packet);
}

static void break_connection(struct sim_connection *connection)
{
    if (!connection->up)
        return;
    connection->up = false;
    connection->life++;
    connection->silent_since_ms = 0;
    connection->retry_at_ms = world.now_ms + RETRY_CONNECT_MS;
    tell_dialler(connection, TRANSPORT_DOWN);
}

enum status transport_cut_all(struct transport *transport)
{
    for (int i = 0; i < SIM_CONNECTIONS_MAX; i++) {
        struct sim_connection *connection = &world.connections[i];

        if (connection->used && connection->up &&
            world.nodes[connection->listener].transport == transport)
            break_connection(connection);
    }
    return OK;
}

static int listener_at(const char *host_port)
{
    for (int i = 0; i < world.node_count; i++)
        if (world.nodes[i].address[0] != '\0' && strcmp(world.nodes[i].address, host_port) == 0)
            return i;
    return -1;
}

static bool cut_between(int a, int b)
{
    return world.cut[a][b] || world.cut[b][a];
}

static void try_connect(struct sim_connection *connection)
{
    const int listener = listener_at(connection->host_port);
    const struct transport *dialler = world.nodes[connection->dialler].transport;
    const struct transport *server;

    connection->retry_at_ms = world.now_ms + RETRY_CONNECT_MS;
    if (listener < 0 || dialler == NULL || world.nodes[listener].node == NULL ||
        cut_between(connection->dialler, listener))
        return;
    server = world.nodes[listener].transport;
    if (!server->admit(server->context, PORT_ROUTER, dialler->key) ||
        !server->admit(server->context, PORT_XPUB, dialler->key)) {
        connection->retry_at_ms = world.now_ms + RETRY_DENIED_MS;
        if (!connection->denied)
            tell_dialler(connection, TRANSPORT_DENIED);
        connection->denied = true;
        return;
    }
    connection->denied = false;
    connection->listener = listener;
    connection->up = true;
    connection->life++;
    connection->serve_link = ++world.next_link;
    connection->silent_since_ms = 0;
    tell_dialler(connection, TRANSPORT_UP);
}

static void step_connection(struct sim_connection *connection)
{
    if (!connection->up) {
        if (world.now_ms >= connection->retry_at_ms)
            try_connect(connection);
        return;
    }
    if (!cut_between(connection->dialler, connection->listener)) {
        connection->silent_since_ms = 0;
        return;
    }
    if (connection->silent_since_ms == 0)
        connection->silent_since_ms = world.now_ms;
    else if (world.now_ms - connection->silent_since_ms >= SILENCE_MS)
        break_connection(connection);
}

static bool arrives(const struct sim_packet *packet)
{
    const struct sim_connection *connection;
    int from;

    if (world.nodes[packet->to].node == NULL)
        return false;
    if (packet->connection < 0)
        return true;
    connection = &world.connections[packet->connection];
    if (!connection->used || !connection->up || connection->life != packet->connection_life)
        return false;
    from = packet->to == connection->dialler ? connection->listener : connection->dialler;
    return !world.cut[from][packet->to];
}

void sim_network_step(void)
{
    for (int i = 0; i < SIM_CONNECTIONS_MAX; i++) {
        if (!world.connections[i].used)
            continue;
        step_connection(&world.connections[i]);
        if ((world.faults & FAULT_RECONNECT) && !world.healing && world.connections[i].up &&
            sim_random(4000) == 0) {
            world.hits[5]++;
            break_connection(&world.connections[i]);
        }
    }
    while (world.queue != NULL && world.queue->at_ms <= world.now_ms) {
        struct sim_packet *packet = world.queue;
        struct sim_node *node = &world.nodes[packet->to];

        world.queue = packet->next;
        if (!arrives(packet)) {
            free_packet(packet);
            continue;
        }
        packet->next = NULL;
        *node->inbox_end = packet;
        node->inbox_end = &packet->next;
        sim_trace("to %s kind %d type %u size %zu", node->code, (int)packet->message.kind,
                  wire_type_of(packet->message.data), packet->message.data.size);
    }
}

int64_t sim_network_next_ms(void)
{
    int64_t next = world.queue != NULL ? world.queue->at_ms : INT64_MAX;

    for (int i = 0; i < SIM_CONNECTIONS_MAX; i++) {
        const struct sim_connection *connection = &world.connections[i];
        int64_t due = INT64_MAX;

        if (!connection->used)
            continue;
        if (!connection->up)
            due = connection->retry_at_ms;
        else if (connection->silent_since_ms != 0)
            due = connection->silent_since_ms + SILENCE_MS;
        if (due < next)
            next = due;
    }
    return next;
}

void sim_network_node_down(int index)
{
    struct sim_node *node = &world.nodes[index];

    for (int i = 0; i < SIM_CONNECTIONS_MAX; i++) {
        struct sim_connection *connection = &world.connections[i];

        if (!connection->used)
            continue;
        if (connection->dialler == index)
            connection->used = false;
        else if (connection->listener == index)
            break_connection(connection);
    }
    while (node->inbox != NULL) {
        struct sim_packet *next = node->inbox->next;

        free_packet(node->inbox);
        node->inbox = next;
    }
    node->inbox_end = &node->inbox;
    if (node->current != NULL)
        free_packet(node->current);
    node->current = NULL;
}

void sim_network_free(void)
{
    while (world.queue != NULL) {
        struct sim_packet *next = world.queue->next;

        free_packet(world.queue);
        world.queue = next;
    }
}

void sim_deliver_control(int to, transport_link link, struct slice bytes)
{
    queue_packet(make_packet(to, TRANSPORT_CONTROL, link, bytes));
}

void sim_deliver_enrol(int to, transport_link link, const uint8_t key[KEY_SIZE],
                       struct slice bytes)
{
    struct sim_packet *packet = make_packet(to, TRANSPORT_PEER, link, bytes);

    memcpy(packet->message.key, key, KEY_SIZE);
    queue_packet(packet);
}
