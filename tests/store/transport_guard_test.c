/* SPDX-License-Identifier: MPL-2.0 */
/* transport_guard_test.c - who is kept out: unknown and revoked keys, clients without CURVE,
 * whatever is too large or malformed; and the control socket, which the file system guards. */
#include "tests/store/transport_harness.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static uint64_t refused_by(const struct end *end)
{
    struct transport_counters counters;

    transport_counters(end->transport, &counters);
    return counters.refused_handshakes;
}

/* At both ports, once */
static void await_refusals(struct world *world, const struct end *end)
{
    const int64_t until = now_ms() + PATIENCE_MS;

    while (refused_by(end) < 2) {
        assert_true(now_ms() < until);
        pump(world);
    }
}

/* --- keys --------------------------------------------------------------------------------- */

static void test_an_unknown_key_is_denied_at_both_ports(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *stranger = &world->end[1];
    transport_link link;

    open_listening(hq);
    open_again(stranger);
    link = dial(stranger, hq);
    await(world, stranger, TRANSPORT_DENIED, 1);
    assert_int_equal(stranger->last[TRANSPORT_DENIED].link, link);
    assert_true(stranger->last[TRANSPORT_DENIED].dialled);
    send_text(stranger, link, "let me in");
    publish_text(hq, "fr", "secret");
    await_refusals(world, hq);
    pump_for(world, SILENCE_MS);
    assert_int_equal(hq->count[TRANSPORT_PEER], 0);
    assert_int_equal(stranger->count[TRANSPORT_PUBLISHED] + stranger->count[TRANSPORT_UP] +
                         stranger->count[TRANSPORT_DOWN],
                     0);
    /* Once it is known it comes in by itself. */
    admit_key(hq, stranger->config.curve_public);
    await(world, stranger, TRANSPORT_UP, 1);
    publish_until(world, hq, stranger, "fr", "known");
}

static void test_without_admit_everybody_is_refused(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *fr = &world->end[1];

    admit_key(hq, fr->config.curve_public);
    hq->config.admit = NULL;
    open_listening(hq);
    open_again(fr);
    dial(fr, hq);
    await(world, fr, TRANSPORT_DENIED, 1);
    pump_for(world, SILENCE_MS);
    assert_int_equal(fr->count[TRANSPORT_UP], 0);
    assert_int_equal(hq->count[TRANSPORT_PEER], 0);
}

static void test_each_port_is_asked_for(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *fr = &world->end[1];
    transport_link link;

    /* As for somebody who enrols: messages, but nothing of what is published. */
    hq->closed_port[PORT_XPUB] = true;
    link = connect_two(world);
    send_text(fr, link, "enrol me");
    await(world, hq, TRANSPORT_PEER, 1);
    publish_text(hq, "fr", "secret");
    pump_for(world, SILENCE_MS);
    assert_int_equal(fr->count[TRANSPORT_PUBLISHED], 0);
    assert_int_equal(fr->count[TRANSPORT_DENIED], 0);
    hq->closed_port[PORT_XPUB] = false;
    publish_until(world, hq, fr, "fr", "event");
    assert_int_equal(fr->count[TRANSPORT_UP], 1);
}

static void test_the_router_can_be_closed_while_xpub_is_open(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *fr = &world->end[1];

    admit_key(hq, fr->config.curve_public);
    hq->closed_port[PORT_ROUTER] = true;
    open_listening(hq);
    open_again(fr);
    dial(fr, hq);
    await(world, fr, TRANSPORT_DENIED, 1);
    pump_for(world, SILENCE_MS);
    assert_int_equal(fr->count[TRANSPORT_UP], 0);
}

static void test_cutting_all_ends_a_revoked_link(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *fr = &world->end[1];
    struct end *lu = &world->end[2];
    transport_link link;
    int count;

    /* First the one that stays, then the one that is revoked. */
    admit_key(hq, lu->config.curve_public);
    admit_key(hq, fr->config.curve_public);
    open_listening(hq);
    open_again(fr);
    open_again(lu);
    link = dial(lu, hq);
    dial(fr, hq);
    await(world, fr, TRANSPORT_UP, 1);
    await(world, lu, TRANSPORT_UP, 1);
    hq->admitted_count = 1;
    publish_until(world, hq, fr, "hq", "still live"); /* ZAP asks at the handshake only */
    publish_until(world, hq, lu, "hq", "here as well");

    assert_int_equal(transport_cut_all(hq->transport), OK);
    await(world, fr, TRANSPORT_DOWN, 1);
    await(world, fr, TRANSPORT_DENIED, 1);
    await(world, lu, TRANSPORT_UP, 2);
    send_text(lu, link, "here again");
    await(world, hq, TRANSPORT_PEER, 1);
    count = fr->count[TRANSPORT_PUBLISHED];
    publish_until(world, hq, lu, "hq", "not for fr");
    pump_for(world, SILENCE_MS);
    assert_int_equal(fr->count[TRANSPORT_PUBLISHED], count);
    assert_int_equal(fr->count[TRANSPORT_UP], 1);
    assert_int_equal(lu->count[TRANSPORT_DENIED], 0);
}

static void test_a_refused_client_does_not_storm(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *stranger = &world->end[1];

    open_listening(hq);
    open_again(stranger);
    dial(stranger, hq);
    await_refusals(world, hq);
    pump_for(world, 2500);
    /* At 0, after at least 1 s, and after 2 s more: two at each port, and not hundreds. */
    assert_in_range(refused_by(hq), 2, 4);
    assert_in_range(stranger->count[TRANSPORT_DENIED], 1, 2);
}

/* Sockets are closed just when libzmq's thread has something more to say about them. */
static void test_refusals_stall_nobody(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct end *stranger = &world->end[1];

    open_listening(hq);
    open_again(stranger);
    for (int i = 1; i <= 200; i++) {
        const transport_link link = dial(stranger, hq);

        await(world, stranger, TRANSPORT_DENIED, i);
        transport_hang_up(stranger->transport, link);
    }
    admit_key(hq, stranger->config.curve_public);
    dial(stranger, hq);
    await(world, stranger, TRANSPORT_UP, 1);
}

/* --- other programs ----------------------------------------------------------------------- */

static void test_a_client_without_curve_gets_nothing(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct stranger dealer = stranger_open(ZMQ_DEALER, NULL, NULL);
    struct stranger sub = stranger_open(ZMQ_SUB, NULL, NULL);
    char buffer[16];

    connect_two(world);
    publish_until(world, hq, &world->end[1], "fr", "event");
    assert_int_equal(zmq_setsockopt(sub.socket, ZMQ_SUBSCRIBE, "", 0), 0);
    stranger_connect(&dealer, hq->config.listen_port);
    stranger_connect(&sub, (uint16_t)(hq->config.listen_port + 1));
    assert_int_equal(zmq_send(dealer.socket, "hello", 5, 0), 5);
    pump_for(world, SILENCE_MS);
    publish_text(hq, "fr", "secret");
    await_published(world, &world->end[1], "secret");
    assert_int_equal(stranger_receive(world, &sub, buffer, sizeof buffer, SILENCE_MS), -1);
    assert_int_equal(hq->count[TRANSPORT_PEER], 0);
    stranger_close(&dealer);
    stranger_close(&sub);
}

static void test_a_server_with_another_key_is_not_believed(void **state)
{
    struct world *world = *state;
    struct end *impostor = &world->end[0];
    struct end *fr = &world->end[1];
    transport_link link;

    admit_key(impostor, fr->config.curve_public);
    open_listening(impostor);
    open_again(fr);
    assert_int_equal(transport_dial(fr->transport, world->end[2].config.curve_public, HOST,
                                    impostor->config.listen_port, &link),
                     OK);
    pump_for(world, SILENCE_MS);
    send_text(fr, link, "secret");
    publish_text(impostor, "fr", "lie");
    pump_for(world, SILENCE_MS);
    assert_int_equal(fr->count[TRANSPORT_UP] + fr->count[TRANSPORT_PUBLISHED], 0);
    assert_int_equal(impostor->count[TRANSPORT_PEER], 0);
}

static void test_a_port_that_hangs_up_is_not_stormed(void **state)
{
    struct world *world = *state;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int64_t until = now_ms() + 1500;
    transport_link link;
    int accepted = 0;

    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 64), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    open_again(&world->end[1]);
    assert_int_equal(transport_dial(world->end[1].transport, world->end[0].config.curve_public,
                                    HOST, ntohs(address.sin_port), &link),
                     OK);
    while (now_ms() < until) {
        const int fd = accept(listener, NULL, NULL);

        accepted += fd >= 0;
        if (fd >= 0)
            close(fd);
        pump(world);
    }
    close(listener);
    /* With pauses of 50, 100, 200, 400 and 800 ms. */
    assert_in_range(accepted, 2, 6);
}

static void test_oversize_and_malformed_messages_are_dropped(void **state)
{
    static uint8_t bytes[MESSAGE_SIZE_MAX + 1];
    struct world *world = *state;
    struct end *hq = &world->end[0];
    const transport_link link = connect_two(world);
    struct stranger fat;
    struct stranger odd;

    admit_key(hq, world->end[2].config.curve_public);
    fat = stranger_open(ZMQ_DEALER, &world->end[2].config, hq->config.curve_public);
    odd = stranger_open(ZMQ_DEALER, &world->end[2].config, hq->config.curve_public);
    stranger_connect(&fat, hq->config.listen_port);
    stranger_connect(&odd, hq->config.listen_port);
    assert_int_equal(zmq_send(fat.socket, bytes, sizeof bytes, 0), sizeof bytes);
    for (int frames = 2; frames < 5; frames++)
        for (int i = frames; i > 0; i--)
            assert_int_equal(zmq_send(odd.socket, "x", 1, i > 1 ? ZMQ_SNDMORE : 0), 1);
    pump_for(world, SILENCE_MS);
    assert_int_equal(hq->count[TRANSPORT_PEER], 0);
    assert_int_equal(zmq_send(odd.socket, "whole", 5, 0), 5);
    await(world, hq, TRANSPORT_PEER, 1);
    assert_true(slice_is_text(hq->last[TRANSPORT_PEER].data, "whole"));
    assert_memory_equal(hq->last[TRANSPORT_PEER].key, world->end[2].config.curve_public,
                        KEY_SIZE);
    send_text(&world->end[1], link, "undisturbed");
    await(world, hq, TRANSPORT_PEER, 2);
    stranger_close(&fat);
    stranger_close(&odd);
}

static void test_a_routing_id_proves_nothing(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct stranger first;
    struct stranger second;
    transport_link link;
    char buffer[16];
    int64_t until;
    int had;

    admit_key(hq, world->end[1].config.curve_public);
    admit_key(hq, world->end[2].config.curve_public);
    open_listening(hq);
    first = stranger_open(ZMQ_DEALER, &world->end[1].config, hq->config.curve_public);
    second = stranger_open(ZMQ_DEALER, &world->end[2].config, hq->config.curve_public);
    assert_int_equal(zmq_setsockopt(first.socket, ZMQ_ROUTING_ID, "fr", 2), 0);
    assert_int_equal(zmq_setsockopt(second.socket, ZMQ_ROUTING_ID, "fr", 2), 0);
    stranger_connect(&first, hq->config.listen_port);
    assert_int_equal(zmq_send(first.socket, "first", 5, 0), 5);
    await(world, hq, TRANSPORT_PEER, 1);
    link = hq->last[TRANSPORT_PEER].link;
    stranger_connect(&second, hq->config.listen_port);
    assert_int_equal(zmq_send(second.socket, "second", 6, 0), 6);
    pump_for(world, SILENCE_MS);
    send_text(hq, link, "reply");
    assert_int_equal(stranger_receive(world, &first, buffer, sizeof buffer, PATIENCE_MS), 5);
    assert_int_equal(stranger_receive(world, &second, buffer, sizeof buffer, SILENCE_MS), -1);
    stranger_close(&first);

    /* Free again, once hq has noticed, the id is another peer's: another link, and the old one
     * leads nowhere. */
    had = hq->count[TRANSPORT_PEER];
    for (until = now_ms() + PATIENCE_MS; hq->count[TRANSPORT_PEER] == had;) {
        assert_true(now_ms() < until);
        stranger_close(&second);
        pump_for(world, SILENCE_MS);
        second = stranger_open(ZMQ_DEALER, &world->end[2].config, hq->config.curve_public);
        assert_int_equal(zmq_setsockopt(second.socket, ZMQ_ROUTING_ID, "fr", 2), 0);
        stranger_connect(&second, hq->config.listen_port);
        assert_int_equal(zmq_send(second.socket, "third", 5, 0), 5);
        pump_for(world, SILENCE_MS);
    }
    assert_memory_equal(hq->last[TRANSPORT_PEER].key, world->end[2].config.curve_public,
                        KEY_SIZE);
    assert_int_not_equal(hq->last[TRANSPORT_PEER].link, link);
    send_text(hq, link, "secret");
    assert_int_equal(stranger_receive(world, &second, buffer, sizeof buffer, SILENCE_MS), -1);
    stranger_close(&second);
}

/* --- the control socket ------------------------------------------------------------------- */

struct control_place {
    char dir[64];
    char path[128];
};

static void control_place_make(struct control_place *place)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(place->dir, sizeof place->dir, "%s/transport_XXXXXX",
                   tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(place->dir));
    (void)snprintf(place->path, sizeof place->path, "%s/control.sock", place->dir);
}

static struct stranger control_client(int type, const char *path)
{
    struct stranger client = stranger_open(type, NULL, NULL);
    char endpoint[160];

    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
    assert_int_equal(zmq_connect(client.socket, endpoint), 0);
    return client;
}

static void test_control_round_trip(void **state)
{
    static uint8_t reply[CONTROL_SIZE_MAX];
    static char buffer[CONTROL_SIZE_MAX];
    struct world *world = *state;
    struct end *end = &world->end[0];
    const struct transport_message *got = &end->last[TRANSPORT_CONTROL];
    const mode_t mask = umask(0);
    struct control_place place;
    struct stranger client;
    struct stranger wrong;
    struct stat found;

    control_place_make(&place);
    end->config.control_path = place.path;
    open_again(end);
    assert_int_equal(umask(mask), 0); /* as it was */
    assert_int_equal(stat(place.path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0660);
    client = control_client(ZMQ_DEALER, place.path);
    wrong = control_client(ZMQ_REQ, place.path); /* its delimiter makes two frames */
    assert_int_equal(zmq_send(wrong.socket, "status", 6, 0), 6);
    assert_int_equal(zmq_send(client.socket, "status", 6, 0), 6);
    await(world, end, TRANSPORT_CONTROL, 1);
    assert_true(slice_is_text(got->data, "status"));
    assert_int_equal(got->uid, getuid());
    assert_false(got->dialled);
    memset(reply, 5, sizeof reply);
    assert_int_equal(transport_send(end->transport, got->link, slice_of(reply, sizeof reply)),
                     OK);
    assert_int_equal(stranger_receive(world, &client, buffer, sizeof buffer, PATIENCE_MS),
                     sizeof reply);
    assert_memory_equal(buffer, reply, sizeof reply);
    pump_for(world, SILENCE_MS);
    assert_int_equal(end->count[TRANSPORT_CONTROL], 1);
    stranger_close(&wrong);
    stranger_close(&client);
    pump_for(world, SILENCE_MS);
    send_text(end, got->link, "to a client that left");
    transport_close(&end->transport);
    assert_int_not_equal(stat(place.path, &found), 0);
    assert_int_equal(rmdir(place.dir), 0);
}

static void test_control_path(void **state)
{
    struct world *world = *state;
    struct end *end = &world->end[0];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char path[sizeof address.sun_path + 1];
    struct control_place place;
    struct stranger client;
    struct stat found;
    int fd;

    control_place_make(&place);
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    end->config.control_path = path;
    assert_int_equal(transport_open(&end->config, &end->transport), TOO_LARGE);
    end->config.control_path = "@abstract";
    assert_int_equal(transport_open(&end->config, &end->transport), INVALID);
    end->config.control_path = "/nowhere/control.sock";
    assert_int_equal(transport_open(&end->config, &end->transport), NOT_FOUND);
    assert_null(end->transport);

    /* A file that is no socket is somebody's: it stays. */
    end->config.control_path = place.path;
    fd = open(place.path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(transport_open(&end->config, &end->transport), EXISTS);
    assert_int_equal(stat(place.path, &found), 0);
    assert_int_equal(unlink(place.path), 0);

    /* A socket without a process behind it is replaced. */
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(address.sun_path, place.path, strlen(place.path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    open_again(end);
    client = control_client(ZMQ_DEALER, place.path);
    assert_int_equal(zmq_send(client.socket, "x", 1, 0), 1);
    await(world, end, TRANSPORT_CONTROL, 1);
    stranger_close(&client);
    transport_close(&end->transport);
    assert_int_equal(rmdir(place.dir), 0);
}

/* A flood that has arrived, and then one request: how many came before that; 100 if it has not
 * arrived by then. */
static int messages_before_a_request(struct world *world, transport_link link,
                                     struct stranger *client, long wait_ms)
{
    struct end *hq = &world->end[0];
    struct transport_message message;
    int before = 0;

    for (int i = 0; i < 100; i++)
        send_text(&world->end[1], link, "flood");
    assert_int_equal(zmq_send(client->socket, "status", 6, 0), 6);
    zmq_poll(NULL, 0, wait_ms);
    assert_int_equal(transport_wait(hq->transport, PATIENCE_MS), OK);
    while (transport_receive(hq->transport, &message) == OK)
        if (message.kind == TRANSPORT_CONTROL)
            return before;
        else
            before++;
    return 100;
}

static void test_nobody_waits_behind_a_flood(void **state)
{
    struct world *world = *state;
    struct end *hq = &world->end[0];
    struct control_place place;
    struct stranger client;
    transport_link link;
    int before = 100;

    control_place_make(&place);
    hq->config.control_path = place.path;
    link = connect_two(world);
    client = control_client(ZMQ_DEALER, place.path);
    assert_int_equal(zmq_send(client.socket, "connected", 9, 0), 9);
    await(world, hq, TRANSPORT_CONTROL, 1);
    /* The threads of libzmq may be late. */
    for (long wait_ms = SILENCE_MS; before > 2 && wait_ms < PATIENCE_MS; wait_ms *= 2) {
        pump_for(world, SILENCE_MS);
        before = messages_before_a_request(world, link, &client, wait_ms);
    }
    assert_in_range(before, 0, 2);
    stranger_close(&client);
    transport_close(&hq->transport);
    assert_int_equal(rmdir(place.dir), 0);
}

int main(void)
{
#define GUARDED(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)
    const struct CMUnitTest tests[] = {
        GUARDED(test_an_unknown_key_is_denied_at_both_ports),
        GUARDED(test_without_admit_everybody_is_refused),
        GUARDED(test_each_port_is_asked_for),
        GUARDED(test_the_router_can_be_closed_while_xpub_is_open),
        GUARDED(test_cutting_all_ends_a_revoked_link),
        GUARDED(test_a_refused_client_does_not_storm),
        GUARDED(test_refusals_stall_nobody),
        GUARDED(test_a_client_without_curve_gets_nothing),
        GUARDED(test_a_server_with_another_key_is_not_believed),
        GUARDED(test_a_port_that_hangs_up_is_not_stormed),
        GUARDED(test_oversize_and_malformed_messages_are_dropped),
        GUARDED(test_a_routing_id_proves_nothing),
        GUARDED(test_control_round_trip),
        GUARDED(test_control_path),
        GUARDED(test_nobody_waits_behind_a_flood),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
