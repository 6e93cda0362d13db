/* SPDX-License-Identifier: MPL-2.0 */
/* offers_test.c - states of closed epochs are fetched one at a time: who offers one and does
 * not deliver it keeps nobody else's from being fetched. */
#include "daemon/recovery.h"
#include "daemon/replication.h"
#include "daemon/surplus_internal.h"
#include "daemon/write.h"
#include "tests/store/peer_fixture.h"

/* Its link, over which it says that it stands where HQ stands. */
static struct link *link_of_peer(struct hq *hq, const struct enrolled_peer *offerer)
{
    struct transport_message hello = { .kind = TRANSPORT_PEER, .link = NODE_LINK };
    uint8_t bytes[64];
    struct mp_writer writer;

    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_vector(&writer, hq->node->federation);
    hello.data = mp_writer_bytes(&writer);
    memcpy(hello.key, offerer->curve_key, KEY_SIZE);
    sync_on_peer(hq->node, &hello);
    return node_link_of_peer(hq->node, node_peer_index(hq->node, offerer->code));
}

static const struct offer_fetch *fetch_of(const struct hq *hq)
{
    return &hq->node->surplus->fetch;
}

/* Is the state fetched that it offers? */
static bool offer(struct hq *hq, const struct enrolled_peer *offerer)
{
    struct head head = { .epoch = 1, .instance = 1, .seq = 9, .prev_seq = 8 };
    struct signed_head envelope;
    uint8_t bytes[SIGNED_HEAD_SIZE_MAX + 16];
    struct mp_writer writer;

    memcpy(head.origin, offerer->code, strlen(offerer->code) + 1);
    memcpy(head.federation, hq->node->federation, HASH_SIZE);
    memset(head.prev_hash, 7, HASH_SIZE);
    head_sign(&head, &offerer->key, &envelope);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_offer(&writer, TIERS_FEDERATION, signed_head_bytes(&envelope));
    surplus_on_offer(hq->node, link_of_peer(hq, offerer), mp_writer_bytes(&writer));
    fake_clear();
    turns(hq, 1);
    return fetch_of(hq)->active &&
           fetch_of(hq)->peer == node_peer_index(hq->node, offerer->code);
}

static void pass(struct hq *hq, int64_t ms)
{
    monotonic_ms += ms;
    fake_clear();
    turns(hq, 1);
}

static void test_who_stalls_waits(void **state)
{
    static const int64_t pauses_ms[] = { 60000, 120000, 120000 };
    struct hq *hq = *state;
    const struct enrolled_peer fr = enrol(hq, "fr");
    const struct enrolled_peer lu = enrol(hq, "lu");

    for (size_t i = 0; i < sizeof pauses_ms / sizeof pauses_ms[0]; i++) {
        assert_true(offer(hq, &fr));
        assert_false(offer(hq, &lu)); /* one at a time */
        pass(hq, WANT_TIMEOUT_MS);
        assert_false(fetch_of(hq)->active);
        assert_false(offer(hq, &fr));
        assert_true(offer(hq, &lu));
        surplus_on_refusal(hq->node, fetch_of(hq)->request); /* at once: that costs nobody */
        assert_true(offer(hq, &lu));
        surplus_on_refusal(hq->node, fetch_of(hq)->request);
        pass(hq, pauses_ms[i] - 1);
        assert_false(offer(hq, &fr));
        pass(hq, 1);
    }
    assert_true(offer(hq, &fr));
}

/* A chunk without a head: the fetch goes on. */
static void send_chunk(struct hq *hq, const struct enrolled_peer *offerer)
{
    const struct offer_fetch *fetch = fetch_of(hq);
    struct wire_changes chunk = { .request = fetch->request,
                                  .index = fetch->next_index,
                                  .epoch = 1,
                                  .base = 9,
                                  .tiers = TIERS_FEDERATION };
    uint8_t bytes[256];
    struct mp_writer writer;

    memcpy(chunk.origin, offerer->code, strlen(offerer->code) + 1);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_changes_begin(&writer, &chunk, 0);
    wire_write_changes_end(&writer, SLICE_NONE);
    assert_ok(wire_read_changes(mp_writer_bytes(&writer), &chunk));
    assert_true(surplus_on_changes(hq->node, link_of_peer(hq, offerer), &chunk));
    turns(hq, 1);
}

static void test_who_drips_waits(void **state)
{
    struct hq *hq = *state;
    const struct enrolled_peer fr = enrol(hq, "fr");
    int64_t held_ms = 0;

    assert_true(offer(hq, &fr));
    for (; fetch_of(hq)->active && held_ms < 600000; held_ms += WANT_TIMEOUT_MS / 2) {
        send_chunk(hq, &fr);
        pass(hq, WANT_TIMEOUT_MS / 2);
    }
    assert_in_range(held_ms, 60000, 70000);
    assert_false(offer(hq, &fr));
}

/* Its place is free at once, and it may go on when it is back. */
static void test_who_is_gone_waits_for_nothing(void **state)
{
    struct hq *hq = *state;
    const struct enrolled_peer fr = enrol(hq, "fr");
    const struct enrolled_peer lu = enrol(hq, "lu");

    assert_true(offer(hq, &fr));
    hq->node->link_count = 0; /* what remains of a peer that dialled */
    turns(hq, 1);
    assert_false(fetch_of(hq)->active);
    assert_true(offer(hq, &lu));
    surplus_on_refusal(hq->node, fetch_of(hq)->request);
    assert_true(offer(hq, &fr));
    hq->node->links[0].dialled = true;
    hq->node->links[0].up = false;
    turns(hq, 1);
    assert_false(fetch_of(hq)->active);
    hq->node->links[0].dialled = false;
    assert_true(offer(hq, &fr));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_stalls_waits, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_who_drips_waits, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_who_is_gone_waits_for_nothing, hq_new, hq_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
