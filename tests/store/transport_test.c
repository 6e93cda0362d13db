/* SPDX-License-Identifier: MPL-2.0 */
/* transport_test.c - links over real sockets: up and down, messages both ways, what is
 * published, the control socket, and the limits. */
#include "tests/store/transport_harness.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "daemon/io/transport_internal.h"

/* --- links ------------------------------------------------------------------------------ */

static void test_messages_go_both_ways_with_proven_keys(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *fr = &world->end[1];
    const transport_link link = connect_two(world);
    const struct transport_message *got;
    struct transport_counters counters;

    assert_int_equal(fr->last[TRANSPORT_UP].link, link);
    assert_memory_equal(fr->last[TRANSPORT_UP].key, hq->config.curve_public, KEY_SIZE);
    send_text(fr, link, "hello");
    await(world, hq, TRANSPORT_PEER, 1);
    got = &hq->last[TRANSPORT_PEER];
    assert_true(slice_is_text(got->data, "hello"));
    assert_memory_equal(got->key, fr->config.curve_public, KEY_SIZE);
    assert_false(got->dialled);
    assert_int_equal(got->uid, -1);
    send_text(hq, got->link, "hello yourself");
    await(world, fr, TRANSPORT_PEER, 1);
    assert_true(slice_is_text(fr->last[TRANSPORT_PEER].data, "hello yourself"));
    assert_memory_equal(fr->last[TRANSPORT_PEER].key, hq->config.curve_public, KEY_SIZE);
    assert_int_equal(fr->last[TRANSPORT_PEER].link, link);
    assert_true(fr->last[TRANSPORT_PEER].dialled);

    send_text(fr, link, "");
    await(world, hq, TRANSPORT_PEER, 2);
    assert_int_equal(got->data.size, 0);
    assert_int_equal(fr->count[TRANSPORT_UP], 1);
    assert_int_equal(fr->count[TRANSPORT_DOWN] + fr->count[TRANSPORT_DENIED], 0);
    transport_counters(fr->transport, &counters);
    assert_int_equal(counters.sent_messages, 2);
    assert_int_equal(counters.sent_bytes, strlen("hello"));
    assert_int_equal(counters.received_messages, 1);
    assert_int_equal(counters.received_bytes, strlen("hello yourself"));
    assert_int_equal(counters.dropped_messages, 0);
}

static void test_all_subscribers_get_what_is_published(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    const transport_link link = connect_two(world);
    const int64_t until = now_ms() + PATIENCE_MS;
    struct stranger reader;
    char frame[64];
    int got = -1;

    publish_until(world, hq, &world->end[1], "fr", "event");
    assert_int_equal(world->end[1].last[TRANSPORT_PUBLISHED].link, link);
    assert_true(world->end[1].last[TRANSPORT_PUBLISHED].dialled);
    assert_memory_equal(world->end[1].last[TRANSPORT_PUBLISHED].key, hq->config.curve_public,
                        KEY_SIZE);
    publish_text(hq, "", "vector");
    await_published(world, &world->end[1], "vector");

    /* Somebody's own reader subscribes to the topic "f" with its NUL, and does not get "fr". */
    admit_key(hq, world->end[2].config.curve_public);
    reader = stranger_open(ZMQ_SUB, &world->end[2].config, hq->config.curve_public);
    assert_int_equal(zmq_setsockopt(reader.socket, ZMQ_SUBSCRIBE, "f", 2), 0);
    stranger_connect(&reader, (uint16_t)(hq->config.listen_port + 1));
    while (got < 0 && now_ms() < until) {
        publish_text(hq, "fr", "not for f");
        publish_text(hq, "f", "for f");
        got = stranger_receive(world, &reader, frame, sizeof frame, SILENCE_MS);
    }
    assert_int_equal(got, 2);
    assert_memory_equal(frame, "f", 2);
    assert_int_equal(zmq_recv(reader.socket, frame, sizeof frame, 0), strlen("for f"));
    assert_memory_equal(frame, "for f", strlen("for f"));
    stranger_close(&reader);
}

static void test_publishing_without_a_port_is_nothing(void **state)
{
    struct world *world = *state;
    struct transport_counters counters;

    open_again(&world->end[0]);
    publish_text(&world->end[0], "fr", "event");
    assert_int_equal(transport_cut_all(world->end[0].transport), OK);
    transport_counters(world->end[0].transport, &counters);
    assert_int_equal(counters.sent_messages, 0);
}

static void test_a_link_comes_back_after_a_restart(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *fr = &world->end[1];
    const transport_link link = connect_two(world);
    transport_link older;

    for (int round = 1; round <= 2; round++) {
        send_text(fr, link, "before");
        await(world, hq, TRANSPORT_PEER, 2 * round - 1);
        older = hq->last[TRANSPORT_PEER].link;
        transport_close(&hq->transport);
        await(world, fr, TRANSPORT_DOWN, round);
        assert_int_equal(fr->last[TRANSPORT_DOWN].link, link);
        send_text(fr, link, "lost");
        pump_for(world, SILENCE_MS);
        assert_int_equal(fr->count[TRANSPORT_UP], round);
        open_again(hq);
        send_text(hq, older, "to nobody");
        await(world, fr, TRANSPORT_UP, 1 + round);
        send_text(fr, link, "after");
        await(world, hq, TRANSPORT_PEER, 2 * round);
        publish_until(world, hq, fr, "hq", round == 1 ? "once" : "twice");
        assert_true(slice_is_text(hq->last[TRANSPORT_PEER].data, "after"));
    }
    assert_int_equal(fr->count[TRANSPORT_DENIED], 0);
}

static void test_dialling_before_the_peer_is_there(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *fr = &world->end[1];

    admit_key(hq, fr->config.curve_public);
    open_listening(hq);
    transport_close(&hq->transport);
    open_again(fr);
    dial(fr, hq);
    pump_for(world, SILENCE_MS);
    assert_int_equal(fr->count[TRANSPORT_UP] + fr->count[TRANSPORT_DOWN], 0);
    open_again(hq);
    await(world, fr, TRANSPORT_UP, 1);
}

/* A busy program finds the message and the end at once. */
static void test_the_last_before_the_end_arrives(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *fr = &world->end[1];

    (void)connect_two(world);
    publish_until(world, hq, fr, "hq", "first");
    pump_for(world, SILENCE_MS);
    publish_text(hq, "hq", "last");
    zmq_poll(NULL, 0, SILENCE_MS);
    transport_close(&hq->transport);
    zmq_poll(NULL, 0, SILENCE_MS);
    await_published(world, fr, "last");
    await(world, fr, TRANSPORT_DOWN, 1);
    open_again(hq);
    await(world, fr, TRANSPORT_UP, 2);
    publish_until(world, hq, fr, "hq", "anew");
}

/* So that little is published between the hello of a link and its subscription. */
static void test_a_link_waits_for_its_sub(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *fr = &world->end[1];
    struct stranger router = stranger_open(ZMQ_ROUTER, NULL, NULL);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int silent = socket(AF_INET, SOCK_STREAM, 0);
    const int server = 1;
    int64_t started;

    open_listening(hq); /* only to find two free ports */
    transport_close(&hq->transport);
    address.sin_port = htons((uint16_t)(hq->config.listen_port + 1));
    assert_int_equal(setsockopt(silent, SOL_SOCKET, SO_REUSEADDR, &server, sizeof server), 0);
    assert_int_equal(bind(silent, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(silent, 8), 0);
    zmq_setsockopt(router.socket, ZMQ_CURVE_SERVER, &server, sizeof server);
    zmq_setsockopt(router.socket, ZMQ_CURVE_SECRETKEY, hq->config.curve_secret, KEY_SIZE);
    stranger_bind(&router, hq->config.listen_port);
    open_again(fr);
    started = now_ms();
    dial(fr, hq);
    await(world, fr, TRANSPORT_UP, 1);
    assert_true(now_ms() - started >= 900);
    close(silent);
    stranger_close(&router);
}

static void test_a_gone_link_drops_silently_and_never_returns(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *fr = &world->end[1];
    transport_link link = connect_two(world);
    const int64_t until = now_ms() + PATIENCE_MS;
    struct transport_counters counters;
    transport_link first;

    send_text(fr, link, "one");
    await(world, hq, TRANSPORT_PEER, 1);
    first = hq->last[TRANSPORT_PEER].link;
    assert_false(transport_is_gone(hq->transport, first));
    transport_hang_up(fr->transport, link);
    send_text(fr, link, "dropped");
    transport_counters(fr->transport, &counters);
    assert_int_equal(counters.dropped_messages, 1);
    do { /* until hq has noticed */
        assert_true(now_ms() < until);
        pump_for(world, SILENCE_MS);
        send_text(hq, first, "dropped");
        transport_counters(hq->transport, &counters);
    } while (counters.dropped_messages == 0);
    assert_int_equal(hq->count[TRANSPORT_PEER], 1);
    assert_true(transport_is_gone(hq->transport, first));

    link = dial(fr, hq);
    await(world, fr, TRANSPORT_UP, 2);
    send_text(fr, link, "two");
    await(world, hq, TRANSPORT_PEER, 2);
    assert_true(transport_is_gone(hq->transport, first));
    assert_false(transport_is_gone(hq->transport, hq->last[TRANSPORT_PEER].link));
    assert_int_not_equal(hq->last[TRANSPORT_PEER].link, first);
    transport_hang_up(hq->transport, hq->last[TRANSPORT_PEER].link);
    send_text(hq, hq->last[TRANSPORT_PEER].link, "dropped");
    pump_for(world, SILENCE_MS);
    assert_int_equal(fr->count[TRANSPORT_PEER], 0);
}

static void test_a_full_queue_says_so(void **state)
{
    static uint8_t bytes[256 * 1024];
    struct world *world = *state;
    const transport_link link = connect_two(world);
    struct transport_counters counters;
    enum status status = OK;
    uint64_t sent = 0;

    /* end[0] does not receive any more. */
    for (int tries = 0; tries < 2000 && status == OK; tries++) {
        status = transport_send(world->end[1].transport, link, slice_of(bytes, sizeof bytes));
        sent += status == OK;
    }
    assert_int_equal(status, AGAIN);
    transport_counters(world->end[1].transport, &counters);
    assert_int_equal(counters.sent_messages, sent);
    assert_int_equal(counters.dropped_messages, 1);
    await(world, &world->end[0], TRANSPORT_PEER, (int)sent);
    send_text(&world->end[1], link, "again");
    await(world, &world->end[0], TRANSPORT_PEER, (int)sent + 1);
}

static void test_sizes(void **state)
{
    static uint8_t bytes[MESSAGE_SIZE_MAX + 1];
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *fr = &world->end[1];
    const transport_link link = connect_two(world);

    bytes[MESSAGE_SIZE_MAX - 1] = 7;
    assert_int_equal(transport_send(fr->transport, link, slice_of(bytes, sizeof bytes)),
                     TOO_LARGE);
    assert_int_equal(transport_publish(hq->transport, "fr", slice_of(bytes, sizeof bytes)),
                     TOO_LARGE);
    assert_int_equal(transport_publish(hq->transport, "sixteen-letters-", SLICE_NONE),
                     TOO_LARGE);
    assert_int_equal(transport_send(fr->transport, link, slice_of(bytes, MESSAGE_SIZE_MAX)),
                     OK);
    await(world, hq, TRANSPORT_PEER, 1);
    assert_int_equal(hq->last[TRANSPORT_PEER].data.size, MESSAGE_SIZE_MAX);
    assert_int_equal(hq->bytes[TRANSPORT_PEER][MESSAGE_SIZE_MAX - 1], 7);
    publish_until(world, hq, fr, "fr", "subscribed");
    publish_text(hq, "fr", "the last small one");
    await_published(world, fr, "the last small one");
    assert_int_equal(transport_publish(hq->transport, "fr", slice_of(bytes, MESSAGE_SIZE_MAX)),
                     OK);
    await(world, fr, TRANSPORT_PUBLISHED, fr->count[TRANSPORT_PUBLISHED] + 1);
    assert_int_equal(fr->last[TRANSPORT_PUBLISHED].data.size, MESSAGE_SIZE_MAX);
}

static void test_addresses_that_are_none(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
    } cases[] = { { "", 7000 },    { "*", 7000 },     { "a;b", 7000 },
                  { "a b", 7000 }, { "a/b", 7000 },   { HOST, 0 },
                  { HOST, 65535 }, { "[::1]", 7000 }, { "127.0.0.1\n", 7000 } };
    struct world *world = *state;
    char host[ADDRESS_SIZE + 1];
    transport_link link = 0;

    open_again(&world->end[0]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(transport_dial(world->end[0].transport,
                                        world->end[1].config.curve_public, cases[i].host,
                                        cases[i].port, &link),
                         INVALID);
    memset(host, 'a', ADDRESS_SIZE);
    host[ADDRESS_SIZE] = '\0';
    assert_int_equal(transport_dial(world->end[0].transport, world->end[1].config.curve_public,
                                    host, 7000, &link),
                     INVALID);
    assert_int_equal(link, 0);
}

static void test_ports_in_use(void **state)
{
    struct world *world = *state;
    struct end *first = &world->end[0];
    struct end *second = &world->end[1];

    do { /* the port below is to be nobody else's */
        transport_close(&first->transport);
        open_listening(first);
    } while (!keep_port((uint16_t)(first->config.listen_port - 2)));
    second->config.listen_host = HOST;
    second->config.listen_port = first->config.listen_port;
    assert_int_equal(transport_open(&second->config, &second->transport), ADDRESS_IN_USE);
    /* Only the second port is taken: the first must not stay bound. */
    second->config.listen_port = (uint16_t)(first->config.listen_port - 1);
    assert_int_equal(transport_open(&second->config, &second->transport), ADDRESS_IN_USE);
    assert_null(second->transport);
    transport_close(&first->transport);
    open_again(second);
}

/* --- waiting ---------------------------------------------------------------------------- */

static void on_alarm(int number)
{
    (void)number;
}

static void test_waiting_ends_in_time_or_by_a_signal(void **state)
{
    const struct sigaction action = { .sa_handler = on_alarm };
    const struct itimerval soon = { { .tv_usec = 50000 }, { .tv_usec = 50000 } };
    const struct itimerval never = { { 0, 0 }, { 0, 0 } };
    struct world *world = *state;
    struct transport_message message;
    int64_t started;

    open_again(&world->end[0]);
    started = now_ms();
    assert_int_equal(transport_wait(world->end[0].transport, 100), TIMEOUT);
    assert_in_range(now_ms() - started, 99, 5000);
    assert_int_equal(transport_wait(world->end[0].transport, 0), TIMEOUT);
    assert_int_equal(transport_receive(world->end[0].transport, &message), AGAIN);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    assert_int_equal(transport_wait(world->end[0].transport, -1), AGAIN);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
}

/* Another one than before; what else is to be done meanwhile is done. */
static void await_next(struct end *end, int had)
{
    while (end->count[TRANSPORT_PEER] == had) {
        assert_int_equal(transport_wait(end->transport, PATIENCE_MS), OK);
        receive_all(end);
    }
}

static void test_round_trip_is_measured(void **state)
{
    enum { TRIPS = 500 };
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *fr = &world->end[1];
    const transport_link link = connect_two(world);
    struct timespec from;
    struct timespec to;

    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < TRIPS; i++) {
        send_text(fr, link, "ping");
        await_next(hq, i);
        send_text(hq, hq->last[TRANSPORT_PEER].link, "pong");
        await_next(fr, i);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_int_equal(fr->count[TRANSPORT_PEER], TRIPS);
    print_message("round trip: %.0f us\n", ((double)(to.tv_sec - from.tv_sec) * 1e6 +
                                            (double)(to.tv_nsec - from.tv_nsec) / 1e3) /
                                               TRIPS);
}

/* --- routing ids ------------------------------------------------------------------------ */

static struct slice id_of(uint32_t *number)
{
    return slice_of(number, sizeof *number);
}

static void test_peers_are_bounded_and_bound_to_their_keys(void **state)
{
    const uint8_t a[KEY_SIZE] = { 1 };
    const uint8_t b[KEY_SIZE] = { 2 };
    struct peers *peers = calloc(1, sizeof *peers);
    transport_link links[2 * LINKS_MAX];
    uint64_t serial = 0;
    bool is_new;
    uint32_t number = 0;
    transport_link other;

    (void)state;
    assert_non_null(peers);
    peers->kind = LINK_PEER;
    for (; number < LINKS_MAX; number++) {
        links[number] = peers_meet(peers, id_of(&number), a, &serial, &is_new)->link;
        assert_int_equal(link_kind_of(links[number]), LINK_PEER);
    }
    for (number = 0; number < LINKS_MAX; number++)
        assert_int_equal(peers_meet(peers, id_of(&number), a, &serial, &is_new)->link,
                         links[number]);
    number = 5;
    other = peers_meet(peers, id_of(&number), b, &serial, &is_new)->link;
    assert_int_not_equal(other, links[5]);
    assert_null(peers_find(peers, links[5]));
    assert_memory_equal(peers_find(peers, other)->key, b, KEY_SIZE);
    number = 0;
    peers_meet(peers, id_of(&number), a, &serial, &is_new);
    /* Room for half as many again: the longest unused go, 0 and 5 were used last. */
    for (number = LINKS_MAX; number < LINKS_MAX + LINKS_MAX / 2; number++)
        links[number] = peers_meet(peers, id_of(&number), a, &serial, &is_new)->link;
    for (number = 0; number < LINKS_MAX + LINKS_MAX / 2; number++) {
        const bool gone = number != 0 && number <= LINKS_MAX / 2 + 1;

        assert_int_equal(peers_find(peers, links[number]) == NULL, gone);
    }
    assert_non_null(peers_find(peers, other));
    peers_forget_all(peers);
    for (number = 0; number < LINKS_MAX + LINKS_MAX / 2; number++)
        assert_null(peers_find(peers, links[number]));
    for (number = 0; number < LINKS_MAX; number++)
        assert_non_null(
            peers_find(peers, peers_meet(peers, id_of(&number), b, &serial, &is_new)->link));
    free(peers);
}

int main(void)
{
#define LINKED(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)
    const struct CMUnitTest tests[] = {
        LINKED(test_messages_go_both_ways_with_proven_keys),
        LINKED(test_all_subscribers_get_what_is_published),
        LINKED(test_publishing_without_a_port_is_nothing),
        LINKED(test_a_link_comes_back_after_a_restart),
        LINKED(test_dialling_before_the_peer_is_there),
        LINKED(test_the_last_before_the_end_arrives),
        LINKED(test_a_link_waits_for_its_sub),
        LINKED(test_a_gone_link_drops_silently_and_never_returns),
        LINKED(test_a_full_queue_says_so),
        LINKED(test_sizes),
        LINKED(test_addresses_that_are_none),
        LINKED(test_ports_in_use),
        LINKED(test_waiting_ends_in_time_or_by_a_signal),
        LINKED(test_round_trip_is_measured),
        cmocka_unit_test(test_peers_are_bounded_and_bound_to_their_keys),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
