/* SPDX-License-Identifier: MPL-2.0 */
/* transport_cut_test.c - single connections are ended: of a key that the caller cuts, that has
 * too many, that subscribes without measure; nobody else's. */
#include "tests/store/transport_harness.h"

#define FLOOD_MS 3000 /* that it takes at the most */
#define TOO_MANY (CONNECTIONS_OF_KEY_MAX + 3)

struct trio {
    struct end *hq, *fr, *lu;
    transport_link fr_link, lu_link;
};

/* fr and lu dial hq, and both are heard there. */
static struct trio connect_three(struct world *world)
{
    struct trio trio = { &world->end[0], &world->end[1], &world->end[2], 0, 0 };

    admit_key(trio.hq, trio.lu->config.curve_public);
    trio.fr_link = connect_two(world);
    open_again(trio.lu);
    trio.lu_link = dial(trio.lu, trio.hq);
    await(world, trio.lu, TRANSPORT_UP, 1);
    send_text(trio.fr, trio.fr_link, "fr");
    send_text(trio.lu, trio.lu_link, "lu");
    await(world, trio.hq, TRANSPORT_PEER, 2);
    publish_until(world, trio.hq, trio.fr, "hq", "to fr");
    publish_until(world, trio.hq, trio.lu, "hq", "to lu");
    return trio;
}

static uint64_t connections_cut(const struct end *end)
{
    struct transport_counters counters;

    transport_counters(end->transport, &counters);
    return counters.cut_connections;
}

static void test_a_key_is_cut_for_a_while(void **state)
{
    struct world *world = *state;
    const struct trio trio = connect_three(world);
    int64_t cut_ms;

    transport_cut(trio.hq->transport, trio.fr->config.curve_public, 3000);
    cut_ms = now_ms();
    assert_int_equal(connections_cut(trio.hq), 2); /* of ROUTER and XPUB */
    await(world, trio.fr, TRANSPORT_DOWN, 1);
    await(world, trio.fr, TRANSPORT_DENIED, 1);
    publish_text(trio.hq, "hq", "not for fr");
    send_text(trio.lu, trio.lu_link, "lu goes on");
    await(world, trio.hq, TRANSPORT_PEER, 3);
    publish_until(world, trio.hq, trio.lu, "hq", "so does hq");
    assert_int_equal(trio.lu->count[TRANSPORT_DOWN], 0);
    await(world, trio.fr, TRANSPORT_UP, 2);
    assert_true(now_ms() - cut_ms >= 2900);
    publish_until(world, trio.hq, trio.fr, "hq", "fr is back");
}

static void test_who_dialled_waits_as_well(void **state)
{
    struct world *world = *state;
    const struct trio trio = connect_three(world);

    transport_cut(trio.fr->transport, trio.hq->config.curve_public, 1500);
    await(world, trio.fr, TRANSPORT_DOWN, 1);
    pump_for(world, 1000);
    assert_int_equal(trio.fr->count[TRANSPORT_UP], 1);
    await(world, trio.fr, TRANSPORT_UP, 2);
    assert_int_equal(trio.lu->count[TRANSPORT_DOWN], 0);
}

static void test_hanging_up_ends_one_connection(void **state)
{
    struct world *world = *state;
    const struct trio trio = connect_three(world);
    transport_link link;

    send_text(trio.fr, trio.fr_link, "which link is it?");
    await(world, trio.hq, TRANSPORT_PEER, 3);
    link = trio.hq->last[TRANSPORT_PEER].link;
    transport_hang_up(trio.hq->transport, link);
    await(world, trio.fr, TRANSPORT_DOWN, 1);
    await(world, trio.fr, TRANSPORT_UP, 2); /* it may come again */
    assert_int_equal(trio.lu->count[TRANSPORT_DOWN], 0);
}

/* The oldest go; those of others stay. */
static void test_a_key_has_so_many_connections(void **state)
{
    struct world *world = *state;
    const struct trio trio = connect_three(world);
    struct stranger many[2][TOO_MANY];

    for (size_t i = 0; i < TOO_MANY; i++) {
        many[0][i] = stranger_open(ZMQ_DEALER, &trio.fr->config, trio.hq->config.curve_public);
        stranger_connect(&many[0][i], trio.hq->config.listen_port);
        assert_int_equal(zmq_send(many[0][i].socket, "x", 1, 0), 1);
        many[1][i] = stranger_open(ZMQ_SUB, &trio.fr->config, trio.hq->config.curve_public);
        zmq_setsockopt(many[1][i].socket, ZMQ_SUBSCRIBE, "", 0);
        stranger_connect(&many[1][i], (uint16_t)(trio.hq->config.listen_port + 1));
        await(world, trio.hq, TRANSPORT_PEER, 3 + (int)i);
    }
    for (int64_t until = now_ms() + PATIENCE_MS; now_ms() < until; pump(world))
        if (connections_cut(trio.hq) >= 2 * (TOO_MANY + 1 - CONNECTIONS_OF_KEY_MAX))
            break;
    assert_true(connections_cut(trio.hq) >= 2 * (TOO_MANY + 1 - CONNECTIONS_OF_KEY_MAX));
    send_text(trio.lu, trio.lu_link, "lu goes on");
    publish_until(world, trio.hq, trio.lu, "hq", "so does hq");
    assert_int_equal(trio.lu->count[TRANSPORT_DOWN], 0);
    for (size_t i = 0; i < TOO_MANY; i++) {
        stranger_close(&many[0][i]);
        stranger_close(&many[1][i]);
    }
}

static void flood(struct world *world, const struct trio *trio, size_t count, size_t size)
{
    struct stranger flooder =
        stranger_open(ZMQ_XSUB, &trio->fr->config, trio->hq->config.curve_public);
    uint8_t subscription[64] = { 1 };
    const int unlimited = 0;

    zmq_setsockopt(flooder.socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
    stranger_connect(&flooder, (uint16_t)(trio->hq->config.listen_port + 1));
    for (size_t i = 0; i < count; i++) {
        memcpy(subscription + 1, &i, sizeof i);
        while (zmq_send(flooder.socket, subscription, size, ZMQ_DONTWAIT) < 0 &&
               trio->hq->count[TRANSPORT_FLOOD] == 0)
            pump(world);
    }
    for (int64_t until = now_ms() + FLOOD_MS;
         now_ms() < until && trio->hq->count[TRANSPORT_FLOOD] == 0;)
        pump(world);
    stranger_close(&flooder);
}

static void test_subscriptions_have_a_measure(void **state)
{
    struct world *world = *state;
    const struct trio trio = connect_three(world);

    flood(world, &trio, 2 * ORIGINS_MAX - 8, 9);
    assert_int_equal(trio.hq->count[TRANSPORT_FLOOD], 0);
    flood(world, &trio, 2 * ORIGINS_MAX + 8, 9);
    await(world, trio.hq, TRANSPORT_FLOOD, 1);
    assert_memory_equal(trio.hq->last[TRANSPORT_FLOOD].key, trio.fr->config.curve_public,
                        KEY_SIZE);
    await(world, trio.fr, TRANSPORT_DENIED, 1);
    publish_until(world, trio.hq, trio.lu, "hq", "lu hears");
    assert_int_equal(trio.lu->count[TRANSPORT_DOWN], 0);
}

static void test_topics_have_a_length(void **state)
{
    struct world *world = *state;
    const struct trio trio = connect_three(world);

    flood(world, &trio, 1, 1 + CODE_SIZE);
    assert_int_equal(trio.hq->count[TRANSPORT_FLOOD], 0);
    flood(world, &trio, 1, 2 + CODE_SIZE);
    await(world, trio.hq, TRANSPORT_FLOOD, 1);
}

int main(void)
{
#define CUT(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)
    const struct CMUnitTest tests[] = {
        CUT(test_a_key_is_cut_for_a_while),       CUT(test_who_dialled_waits_as_well),
        CUT(test_hanging_up_ends_one_connection), CUT(test_a_key_has_so_many_connections),
        CUT(test_subscriptions_have_a_measure),   CUT(test_topics_have_a_length),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
