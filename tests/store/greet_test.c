/* SPDX-License-Identifier: MPL-2.0 */
/* greet_test.c - HQ's beat reaches whoever has just dialled on the link itself, because it has
 * perhaps not subscribed yet. */
#include "daemon/replication.h"
#include "daemon/write.h"
#include "tests/store/peer_fixture.h"

static void hello(struct hq *hq, const struct enrolled_peer *peer, bool reply)
{
    struct transport_message message = { .kind = TRANSPORT_PEER, .link = NODE_LINK };
    struct wire_hello hello = { .version = PROTOCOL_VERSION, .reply = reply };
    uint8_t bytes[128];
    struct mp_writer writer;

    memcpy(hello.federation, hq->node->federation, HASH_SIZE);
    (void)snprintf(hello.code, sizeof hello.code, "%s", peer->code);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_hello_begin(&writer, &hello, 0);
    assert_ok(writer.status);
    message.data = mp_writer_bytes(&writer);
    memcpy(message.key, peer->curve_key, KEY_SIZE);
    sync_on_peer(hq->node, &message);
}

/* How many beats went to the link; the last one's counter in *out_counter. */
static size_t beats_sent(uint64_t *out_counter)
{
    size_t count = 0;

    for (size_t i = 0; i < fake.out_count; i++) {
        const struct slice bytes = slice_of(fake.outbox[i].bytes, fake.outbox[i].size);
        struct wire_beat wire;
        struct beat beat;

        if (wire_type_of(bytes) != WIRE_BEAT)
            continue;
        assert_ok(wire_read_beat(bytes, &wire));
        assert_ok(beat_read(wire.beat, &beat));
        *out_counter = beat.counter;
        count++;
    }
    fake_clear();
    return count;
}

static size_t beats_after(struct hq *hq, int64_t ms, uint64_t *out_counter)
{
    monotonic_ms += ms;
    turns(hq, 1);
    return beats_sent(out_counter);
}

static void test_a_new_link_gets_the_beat(void **state)
{
    struct hq *hq = *state;
    const struct enrolled_peer fr = enrol(hq, "fr");
    uint64_t counter = 0;
    uint64_t before;

    (void)beats_after(hq, 1000, &counter); /* of the new head of HQ */
    before = hq->node->beat_counter;
    hello(hq, &fr, false);
    hello(hq, &fr, false);
    assert_int_equal(beats_after(hq, 1000, &counter), 1);
    assert_true(counter > before && counter == hq->node->beat_counter);
    /* those that follow it hears by its subscription; a hello that answers asks for none */
    hello(hq, &fr, true);
    assert_int_equal(beats_after(hq, BEAT_INTERVAL_MS, &counter), 0);
    assert_true(hq->node->beat_counter > counter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_new_link_gets_the_beat, hq_new, hq_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
