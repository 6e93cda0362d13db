/* SPDX-License-Identifier: MPL-2.0 */
/* sim_network.c - transport.h over virtual time: links, streams that keep their order, faults.
 */
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

/* --- dice --------------------------------------------------------------------------------- */

uint64_t sim_link_random(int from, int to, uint64_t below)
{
    return below == 0 ? 0 : sim_dice(&world.link_dice[from][to]) % below;
}

bool sim_link_chance(int from, int to, unsigned percent)
{
    return sim_link_random(from, to, 100) < percent;
}

static bool meets(enum sim_fault fault, int from, int to)
{
    if (!sim_has(fault) || !sim_link_chance(from, to, world.plan.rate))
        return false;
    world.hits[fault]++;
    return true;
}

/* --- what the network does to a packet ---------------------------------------------------- */

static void land(const struct sim_packet *packet)
{
    struct sim_connection *connection;

    if (packet->connection < 0)
        return;
    connection = &world.connections[packet->connection];
    if (connection->life == packet->connection_life && connection->flying[packet->stream] > 0)
        connection->flying[packet->stream]--;
}

static int64_t draw_delay(int from, int to)
{
    if (meets(FAULT_DELAY, from, to))
        return (int64_t)sim_link_random(from, to, 2000);
    return 1 + (int64_t)sim_link_random(from, to, 4);
}

/* A relay that garbles what it hands on: the link itself is authenticated. */
static void garble(int from, int to, struct sim_packet *packet)
{
    const size_t size = packet->message.data.size;

    if (size == 0)
        return;
    if (meets(FAULT_FLIP, from, to)) {
        const uint64_t bit = sim_link_random(from, to, 8);

        packet->bytes[sim_link_random(from, to, size)] ^= (uint8_t)(1u << bit);
    }
    if (meets(FAULT_TRUNCATE, from, to))
        packet->message.data.size = sim_link_random(from, to, size);
}

/* One stream of a connection keeps its order, unless publications are to overtake. */
static void send_on(int index, int stream, int from, struct sim_packet *packet)
{
    struct sim_connection *connection = &world.connections[index];

    if (sim_has(FAULT_DROP) && connection->flying[stream] >= world.plan.hwm) {
        world.hits[FAULT_DROP]++;
        sim_packet_free(packet);
        return;
    }
    connection->flying[stream]++;
    packet->connection = index;
    packet->stream = stream;
    packet->connection_life = connection->life;
    packet->at_ms = world.now_ms + draw_delay(from, packet->to);
    if (packet->at_ms < connection->last_at_ms[stream]) {
        if (stream == 2 && sim_has(FAULT_REORDER))
            world.hits[FAULT_REORDER]++;
        else
            packet->at_ms = connection->last_at_ms[stream];
    }
    if (packet->at_ms > connection->last_at_ms[stream])
        connection->last_at_ms[stream] = packet->at_ms;
    world.messages++;
    sim_packet_queue(packet);
}

static struct sim_packet *packet_on(int index, int stream, int from, struct slice bytes)
{
    const struct sim_connection *connection = &world.connections[index];
    const bool to_listener = stream == 0;
    struct sim_packet *packet =
        sim_packet_make(to_listener ? connection->listener : connection->dialler,
                        stream == 2 ? TRANSPORT_PUBLISHED : TRANSPORT_PEER,
                        to_listener ? connection->serve_link : connection->dial_link, bytes);

    packet->message.dialled = !to_listener;
    memcpy(packet->message.key, world.nodes[from].transport->key, KEY_SIZE);
    return packet;
}

void sim_send_raw(int index, int stream, int from, struct slice bytes)
{
    send_on(index, stream, from, packet_on(index, stream, from, bytes));
}

static void send_copy(int index, int stream, int from, struct slice bytes)
{
    struct sim_packet *packet = packet_on(index, stream, from, bytes);
    const int to = packet->to;

    if (sim_lies(from) && !world.healing && !sim_liar_sends(from, to, index, stream, packet)) {
        sim_packet_free(packet);
        return;
    }
    garble(from, to, packet);
    send_on(index, stream, from, packet);
}

/* What the simulator does when a node calls it is not the node's. */
static bool leave_node(void)
{
    const bool inside = world.inside_node;

    world.inside_node = false;
    return inside;
}

static void enter_node(const bool *inside)
{
    world.inside_node = *inside;
}

/* --- transport.h -------------------------------------------------------------------------- */

enum status transport_open(const struct transport_config *config, struct transport **out)
{
    CLEANUP(enter_node) __attribute__((unused)) const bool inside = leave_node();
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
        sim_packet_free(node->current);
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
    for (size_t i = 0; i < SIM_REQUESTS_MAX; i++) {
        struct sim_request *request = &world.requests[i];

        if (!request->open || request->link != link)
            continue;
        request->answered = true;
        request->reply_size = data.size < sizeof request->reply ? data.size : 0;
        memcpy(request->reply, data.data, request->reply_size);
        sim_check_reply(link, data);
    }
}

enum status transport_send(struct transport *transport, transport_link link, struct slice data)
{
    CLEANUP(enter_node) __attribute__((unused)) const bool inside = leave_node();
    for (int i = 0; i < world.connection_count; i++) {
        const struct sim_connection *connection = &world.connections[i];
        const bool dialled = connection->dial_link == link;

        if (!connection->used || !connection->up ||
            (!dialled && connection->serve_link != link))
            continue;
        sim_check_served(transport->owner,
                         dialled ? connection->listener : connection->dialler);
        sim_check_sent(transport->owner, dialled ? connection->listener : connection->dialler,
                       data);
        send_copy(i, dialled ? 0 : 1, transport->owner, data);
        return OK;
    }
    answer_control(link, data);
    return OK;
}

enum status transport_publish(struct transport *transport, const char *topic, struct slice data)
{
    CLEANUP(enter_node) __attribute__((unused)) const bool inside = leave_node();
    (void)topic;
    sim_check_sent(transport->owner, -1, data);
    for (int i = 0; i < world.connection_count; i++) {
        const struct sim_connection *connection = &world.connections[i];
        const int to = connection->dialler;

        if (!connection->used || !connection->up || connection->listener != transport->owner)
            continue;
        sim_check_served(transport->owner, to);
        if (meets(FAULT_LOSS, transport->owner, to))
            continue;
        if (meets(FAULT_DUPLICATE, transport->owner, to))
            send_copy(i, 2, transport->owner, data);
        send_copy(i, 2, transport->owner, data);
    }
    return OK;
}

enum status transport_dial(struct transport *transport, const uint8_t key[KEY_SIZE],
                           const char *host, uint16_t port, transport_link *out_link)
{
    struct sim_connection *connection = NULL;
    int index = 0;

    (void)key;
    while (index < world.connection_count && world.connections[index].used)
        index++;
    if (index == SIM_CONNECTIONS_MAX)
        return TOO_LARGE;
    if (index == world.connection_count)
        world.connection_count++;
    connection = &world.connections[index];
    *connection = (struct sim_connection){ .used = true,
                                           .life = connection->life + 1,
                                           .dialler = transport->owner,
                                           .listener = -1,
                                           .dial_link = ++world.next_link };
    (void)snprintf(connection->host_port, sizeof connection->host_port, "%s:%u", host,
                   (unsigned)port);
    connection->retry_at_ms = world.now_ms + 1 + (int64_t)(world.next_link % 20);
    *out_link = connection->dial_link;
    return OK;
}

void transport_counters(const struct transport *transport, struct transport_counters *out)
{
    (void)transport;
    memset(out, 0, sizeof *out);
}

void transport_version(char out_version[TRANSPORT_VERSION_SIZE])
{
    (void)snprintf(out_version, TRANSPORT_VERSION_SIZE, "none");
}

/* --- links -------------------------------------------------------------------------------- */

static void tell_dialler(const struct sim_connection *connection, enum transport_kind kind)
{
    struct sim_packet *packet;

    if (world.nodes[connection->dialler].node == NULL)
        return;
    packet = sim_packet_make(connection->dialler, kind, connection->dial_link, SLICE_NONE);
    packet->message.dialled = true;
    sim_packet_queue(packet);
}

static void break_connection(struct sim_connection *connection)
{
    if (!connection->up)
        return;
    connection->up = false;
    connection->life++;
    connection->silent_since_ms = 0;
    connection->retry_at_ms = world.now_ms + RETRY_CONNECT_MS;
    world.broke_at_ms[connection->dialler][connection->listener] = world.now_ms;
    world.broke_at_ms[connection->listener][connection->dialler] = world.now_ms;
    memset(connection->flying, 0, sizeof connection->flying);
    tell_dialler(connection, TRANSPORT_DOWN);
}

enum status transport_cut_all(struct transport *transport)
{
    CLEANUP(enter_node) __attribute__((unused)) const bool inside = leave_node();

    for (int i = 0; i < world.connection_count; i++) {
        struct sim_connection *connection = &world.connections[i];

        if (connection->used && connection->up &&
            world.nodes[connection->listener].transport == transport)
            break_connection(connection);
    }
    return OK;
}

void transport_hang_up(struct transport *transport, transport_link link)
{
    CLEANUP(enter_node) __attribute__((unused)) const bool inside = leave_node();

    (void)transport;
    for (int i = 0; i < world.connection_count; i++) {
        struct sim_connection *connection = &world.connections[i];

        if (connection->used && connection->dial_link == link)
            connection->used = false;
        else if (connection->used && connection->serve_link == link)
            break_connection(connection);
    }
}

bool transport_is_gone(struct transport *transport, transport_link link)
{
    (void)transport;
    for (int i = 0; i < world.connection_count; i++)
        if (world.connections[i].used && world.connections[i].up &&
            world.connections[i].serve_link == link)
            return false;
    return true;
}

/* Without the pause: here bytes turn over on their way, and their sender is not to blame. */
void transport_cut(struct transport *transport, const uint8_t key[KEY_SIZE], int64_t pause_ms)
{
    CLEANUP(enter_node) __attribute__((unused)) const bool inside = leave_node();

    (void)pause_ms;
    for (int i = 0; i < world.connection_count; i++) {
        struct sim_connection *connection = &world.connections[i];
        const struct transport *ends[] = { world.nodes[connection->dialler].transport,
                                           world.nodes[connection->listener].transport };

        for (int end = 0; end < 2; end++)
            if (connection->used && connection->up && ends[end] == transport &&
                ends[1 - end] != NULL && memcmp(ends[1 - end]->key, key, KEY_SIZE) == 0)
                break_connection(connection);
    }
}

void sim_network_break(int a, int b)
{
    for (int i = 0; i < world.connection_count; i++) {
        struct sim_connection *connection = &world.connections[i];

        if (!connection->used || !connection->up || connection->dialler != a ||
            (connection->listener != b && a != b))
            continue;
        world.hits[FAULT_RECONNECT]++;
        break_connection(connection);
    }
}

void sim_network_lose_listener(int index)
{
    for (int i = 0; i < world.connection_count; i++)
        if (world.connections[i].used && world.connections[i].listener == index)
            break_connection(&world.connections[i]);
}

static int listener_at(const char *host_port)
{
    if (world.hq_moved && strcmp(world.nodes[0].address, host_port) == 0)
        return world.plan.nodes;
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
    for (int i = 0; i < world.connection_count; i++)
        if (world.connections[i].used)
            step_connection(&world.connections[i]);
    while (world.queue_size > 0 && world.queue[0]->at_ms <= world.now_ms) {
        struct sim_packet *packet = sim_packet_take();
        struct sim_node *node = &world.nodes[packet->to];

        land(packet);
        if (!arrives(packet)) {
            sim_packet_free(packet);
            continue;
        }
        node->hello_came |= wire_type_of(packet->message.data) == WIRE_HELLO;
        packet->next = NULL;
        *node->inbox_end = packet;
        node->inbox_end = &packet->next;
        sim_trace("to %s kind %d type %u size %zu", node->code, (int)packet->message.kind,
                  wire_type_of(packet->message.data), packet->message.data.size);
    }
}

int64_t sim_network_next_ms(void)
{
    int64_t next = world.queue_size > 0 ? world.queue[0]->at_ms : INT64_MAX;

    for (int i = 0; i < world.connection_count; i++) {
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

    for (int i = 0; i < world.connection_count; i++) {
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

        sim_packet_free(node->inbox);
        node->inbox = next;
    }
    node->inbox_end = &node->inbox;
    if (node->current != NULL)
        sim_packet_free(node->current);
    node->current = NULL;
}

void sim_network_free(void)
{
    for (size_t i = 0; i < world.queue_size; i++)
        sim_packet_free(world.queue[i]);
    world.queue_size = 0;
    free(world.queue);
    world.queue = NULL;
}

/* --- local clients and strangers ---------------------------------------------------------- */

void sim_deliver_control(int to, transport_link link, struct slice bytes)
{
    sim_packet_queue(sim_packet_make(to, TRANSPORT_CONTROL, link, bytes));
}

void sim_deliver_enrol(int to, transport_link link, const uint8_t key[KEY_SIZE],
                       struct slice bytes)
{
    struct sim_packet *packet = sim_packet_make(to, TRANSPORT_PEER, link, bytes);

    memcpy(packet->message.key, key, KEY_SIZE);
    sim_packet_queue(packet);
}
