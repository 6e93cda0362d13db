/* SPDX-License-Identifier: MPL-2.0 */
/* transport_harness.h - several transports in one process, pumped in turns, each with a record
 * of what it received; and clients that are none of ours, over plain libzmq. */
#ifndef CHAPTERD_TESTS_TRANSPORT_HARNESS_H
#define CHAPTERD_TESTS_TRANSPORT_HARNESS_H

#include "daemon/io/transport.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#define HOST "127.0.0.1"
#define KINDS (TRANSPORT_FLOOD + 1)
#define ENDS_MAX 4
#define PATIENCE_MS 10000 /* what must happen; under sanitizers on a busy machine */
#define SILENCE_MS 300    /* what must not */

struct end {
    struct transport *transport;
    struct transport_config config;
    uint8_t admitted[ENDS_MAX][KEY_SIZE];
    size_t admitted_count;
    bool closed_port[2];
    int count[KINDS];
    struct transport_message last[KINDS];
    uint8_t *bytes[KINDS]; /* last's data, NUL-terminated */
};

struct world {
    struct end end[ENDS_MAX];
};

static inline int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline bool admit(void *context, enum transport_port port, const uint8_t key[KEY_SIZE])
{
    const struct end *end = context;

    if (end->closed_port[port])
        return false;
    for (size_t i = 0; i < end->admitted_count; i++)
        if (memcmp(end->admitted[i], key, KEY_SIZE) == 0)
            return true;
    return false;
}

static inline void admit_key(struct end *end, const uint8_t key[KEY_SIZE])
{
    memcpy(end->admitted[end->admitted_count++], key, KEY_SIZE);
}

static inline int world_open(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    assert_non_null(world);
    for (size_t i = 0; i < ENDS_MAX; i++) {
        struct end *end = &world->end[i];

        crypto_box_keypair(end->config.curve_public, end->config.curve_secret);
        end->config.admit = admit;
        end->config.context = end;
    }
    *state = world;
    return 0;
}

static inline int world_close(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ENDS_MAX; i++) {
        transport_close(&world->end[i].transport);
        for (size_t kind = 0; kind < KINDS; kind++)
            free(world->end[i].bytes[kind]);
    }
    free(world);
    return 0;
}

/* Keeps other tests off a pair of ports as long as this process lives, also while nobody
 * listens there: a name in the abstract socket space, as the end-to-end tests take it. */
static inline bool keep_port(uint16_t port)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    const int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1,
                                "chapterd-e2e-port-" HOST "-%u", (unsigned)port);
    const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    assert_true(fd >= 0);
    if (bind(fd, (struct sockaddr *)&name,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) == 0)
        return true;
    close(fd);
    return false;
}

/* On two free ports in a row, below those that the system gives to clients. */
static inline void open_listening(struct end *end)
{
    enum status status = ADDRESS_IN_USE;

    end->config.listen_host = HOST;
    for (int i = 0; i < 200 && status == ADDRESS_IN_USE; i++) {
        end->config.listen_port = (uint16_t)(10000 + 2 * randombytes_uniform(10000));
        if (keep_port(end->config.listen_port))
            status = transport_open(&end->config, &end->transport);
    }
    assert_int_equal(status, OK);
}

static inline void open_again(struct end *end)
{
    assert_int_equal(transport_open(&end->config, &end->transport), OK);
}

static inline void receive_all(struct end *end)
{
    struct transport_message message;

    while (transport_receive(end->transport, &message) == OK) {
        uint8_t **bytes = &end->bytes[message.kind];

        free(*bytes);
        *bytes = malloc(message.data.size + 1);
        assert_non_null(*bytes);
        if (message.data.size > 0)
            memcpy(*bytes, message.data.data, message.data.size);
        (*bytes)[message.data.size] = '\0';
        end->count[message.kind]++;
        end->last[message.kind] = message;
        end->last[message.kind].data.data = *bytes;
    }
}

static inline void pump(struct world *world)
{
    for (size_t i = 0; i < ENDS_MAX; i++) {
        struct end *end = &world->end[i];
        enum status status;

        if (end->transport == NULL)
            continue;
        status = transport_wait(end->transport, 1);
        assert_true(status == OK || status == TIMEOUT);
        receive_all(end);
    }
}

static inline void pump_for(struct world *world, int64_t ms)
{
    const int64_t until = now_ms() + ms;

    while (now_ms() < until)
        pump(world);
}

/* Until end has received so many messages of that kind. */
#define await(world, end, kind, wanted) await_at(world, end, kind, wanted, __LINE__)
static inline void await_at(struct world *world, const struct end *end,
                            enum transport_kind kind, int wanted, int line)
{
    const int64_t until = now_ms() + PATIENCE_MS;

    while (end->count[kind] < wanted && now_ms() < until)
        pump(world);
    if (end->count[kind] < wanted)
        fail_msg("line %d: waited in vain: %d of %d", line, end->count[kind], wanted);
}

static inline transport_link dial(struct end *from, const struct end *to)
{
    transport_link link = 0;

    assert_int_equal(transport_dial(from->transport, to->config.curve_public, HOST,
                                    to->config.listen_port, &link),
                     OK);
    assert_int_not_equal(link, 0);
    return link;
}

/* end[0] listens and admits end[1], which dials it. */
static inline transport_link connect_two(struct world *world)
{
    transport_link link;

    admit_key(&world->end[0], world->end[1].config.curve_public);
    open_listening(&world->end[0]);
    open_again(&world->end[1]);
    link = dial(&world->end[1], &world->end[0]);
    await(world, &world->end[1], TRANSPORT_UP, 1);
    return link;
}

static inline void send_text(struct end *end, transport_link link, const char *text)
{
    assert_int_equal(transport_send(end->transport, link, slice_of_text(text)), OK);
}

static inline void publish_text(struct end *end, const char *topic, const char *text)
{
    assert_int_equal(transport_publish(end->transport, topic, slice_of_text(text)), OK);
}

/* Until it arrives: subscriptions travel on a connection of their own, after all. */
static inline void publish_until(struct world *world, struct end *from, const struct end *to,
                                 const char *topic, const char *text)
{
    const int64_t until = now_ms() + PATIENCE_MS;

    do {
        if (now_ms() >= until)
            fail_msg("published in vain: %s", text);
        publish_text(from, topic, text);
        pump_for(world, 20);
    } while (!slice_is_text(to->last[TRANSPORT_PUBLISHED].data, text));
}

/* Until it is the last that arrived: what was published before comes before. */
static inline void await_published(struct world *world, const struct end *to, const char *text)
{
    const int64_t until = now_ms() + PATIENCE_MS;

    while (!slice_is_text(to->last[TRANSPORT_PUBLISHED].data, text)) {
        if (now_ms() >= until)
            fail_msg("not received: %s", text);
        pump(world);
    }
}

/* --- other people's programs ------------------------------------------------------------ */

struct stranger {
    void *context;
    void *socket;
};

/* own: whose keys it has; NULL for a client without CURVE. */
static inline struct stranger stranger_open(int type, const struct transport_config *own,
                                            const uint8_t *server_key)
{
    struct stranger stranger = { zmq_ctx_new(), NULL };
    const int zero = 0;

    assert_non_null(stranger.context);
    stranger.socket = zmq_socket(stranger.context, type);
    assert_non_null(stranger.socket);
    zmq_setsockopt(stranger.socket, ZMQ_LINGER, &zero, sizeof zero);
    if (own != NULL) {
        assert_int_equal(
            zmq_setsockopt(stranger.socket, ZMQ_CURVE_SERVERKEY, server_key, KEY_SIZE), 0);
        assert_int_equal(
            zmq_setsockopt(stranger.socket, ZMQ_CURVE_PUBLICKEY, own->curve_public, KEY_SIZE),
            0);
        assert_int_equal(
            zmq_setsockopt(stranger.socket, ZMQ_CURVE_SECRETKEY, own->curve_secret, KEY_SIZE),
            0);
    }
    return stranger;
}

static inline void stranger_connect(struct stranger *stranger, uint16_t port)
{
    char endpoint[64];

    (void)snprintf(endpoint, sizeof endpoint, "tcp://" HOST ":%u", (unsigned)port);
    assert_int_equal(zmq_connect(stranger->socket, endpoint), 0);
}

static inline void stranger_bind(struct stranger *stranger, uint16_t port)
{
    char endpoint[64];

    (void)snprintf(endpoint, sizeof endpoint, "tcp://" HOST ":%u", (unsigned)port);
    assert_int_equal(zmq_bind(stranger->socket, endpoint), 0);
}

static inline void stranger_close(struct stranger *stranger)
{
    zmq_close(stranger->socket);
    zmq_ctx_term(stranger->context);
}

/* Pumps the world until the stranger gets a message; its size, or -1 after wait_ms. */
static inline int stranger_receive(struct world *world, struct stranger *stranger, char *out,
                                   size_t size, int64_t wait_ms)
{
    const int64_t until = now_ms() + wait_ms;
    int got;

    while ((got = zmq_recv(stranger->socket, out, size, ZMQ_DONTWAIT)) < 0 && now_ms() < until)
        pump(world);
    return got;
}

#endif
