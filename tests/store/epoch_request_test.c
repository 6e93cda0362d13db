/* SPDX-License-Identifier: MPL-2.0 */
/* epoch_request_test.c - HQ closes an epoch of a feed of which it holds nothing: at the head of
 * whoever asks, also where that is of an epoch before the one in force, which nobody began. */
#include "daemon/recovery.h"
#include "daemon/write.h"
#include "tests/store/node_fixture.h"

#include <sodium.h>

static void enrol_fr(struct hq *hq, const struct sign_key *key, uint64_t epoch,
                     uint64_t closed_seq)
{
    struct roster_entry entry = {
        .code = "fr", .name = "fr", .epoch = epoch, .instance = 1, .closed_seq = closed_seq
    };

    memcpy(entry.sign_key, key->public_key, KEY_SIZE);
    randombytes_buf(entry.curve_key, KEY_SIZE);
    if (closed_seq != 0)
        randombytes_buf(entry.closed_hash, HASH_SIZE);
    assert_ok(write_roster(hq->node, &entry));
    turns(hq, 1);
}

/* Its own head of (epoch, seq), and what HQ's roster says of fr after that. */
static const struct roster_entry *ask_for_epoch(struct hq *hq, const struct sign_key *key,
                                                uint64_t epoch, uint64_t seq,
                                                struct head *out_head)
{
    struct link link = { .handle = NODE_LINK, .peer = node_peer_make(hq->node, "fr") };
    struct head head = {
        .origin = "fr", .epoch = epoch, .instance = 1, .seq = seq, .prev_seq = seq - 1
    };
    struct signed_head envelope;
    uint8_t bytes[SIGNED_HEAD_SIZE_MAX + 64];
    struct wire_epoch_request request = { .instance = 4711 };
    struct mp_writer writer;

    memcpy(head.federation, hq->node->federation, HASH_SIZE);
    memset(head.prev_hash, 7, HASH_SIZE);
    head_sign(&head, key, &envelope);
    assert_ok(head_read(signed_head_bytes(&envelope), out_head));
    request.head = signed_head_bytes(&envelope);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_epoch_request(&writer, &request);
    epoch_on_request(hq->node, &link, mp_writer_bytes(&writer));
    turns(hq, 1);
    return &roster_find(hq->node, "fr")->entry;
}

static void look_at(struct hq *hq, uint64_t epoch, uint64_t closed_seq, uint64_t head_epoch,
                    uint64_t head_seq, bool closed_there)
{
    const struct roster_entry *entry;
    struct sign_key key;
    struct head head;

    identity_make_sign_key(&key);
    monotonic_ms += SIGN_WAIT_MS;
    enrol_fr(hq, &key, epoch, closed_seq);
    monotonic_ms += SIGN_WAIT_MS;
    entry = ask_for_epoch(hq, &key, head_epoch, head_seq, &head);
    assert_int_equal(entry->epoch, (head_epoch > epoch ? head_epoch : epoch) + 1);
    assert_int_equal(entry->instance, 4711);
    assert_int_equal(entry->closed_seq, closed_there ? head_seq : 0);
    if (closed_there)
        assert_memory_equal(entry->closed_hash, head.hash, HASH_SIZE);
}

static void test_beyond_a_head_that_hq_never_had(void **state)
{
    look_at(*state, 2, 5, 1, 7, true);
}

static void test_after_an_epoch_that_was_closed_at_nothing(void **state)
{
    look_at(*state, 3, 0, 1, 7, true);
}

/* What HQ does not know that it opened is not opened again, and what was written in it
 * stays. */
static void test_of_an_epoch_that_hq_forgot(void **state)
{
    look_at(*state, 1, 0, 2, 7, true);
}

/* No head is of an epoch so high but that of a liar: it raises nothing, and is no closed
 * head. */
static void ask_beyond_all(struct hq *hq, uint64_t epoch)
{
    const struct roster_entry *entry;
    struct sign_key key;
    struct head head;

    identity_make_sign_key(&key);
    monotonic_ms += SIGN_WAIT_MS;
    enrol_fr(hq, &key, 1, 0);
    monotonic_ms += SIGN_WAIT_MS;
    entry = ask_for_epoch(hq, &key, epoch, 7, &head);
    assert_int_equal(entry->epoch, 2);
    assert_int_equal(entry->instance, 4711);
    assert_int_equal(entry->closed_seq, 0);
}

static void test_of_the_last_epoch_of_all(void **state)
{
    ask_beyond_all(*state, EPOCH_MAX);
}

static void test_of_an_epoch_too_far(void **state)
{
    ask_beyond_all(*state, 2 + EPOCH_LEAP_MAX);
}

static void test_of_many_epochs_that_hq_forgot(void **state)
{
    look_at(*state, 1, 0, 1 + EPOCH_LEAP_MAX, 7, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_beyond_a_head_that_hq_never_had, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_after_an_epoch_that_was_closed_at_nothing, hq_new,
                                        hq_free),
        cmocka_unit_test_setup_teardown(test_of_an_epoch_that_hq_forgot, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_of_the_last_epoch_of_all, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_of_an_epoch_too_far, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_of_many_epochs_that_hq_forgot, hq_new, hq_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
