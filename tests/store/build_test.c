/* SPDX-License-Identifier: MPL-2.0 */
/* build_test.c - what a peer sends before any head vouches for it takes no more room than the
 * roster allows its feed, with some for removals. */
#include "tests/store/node_fixture.h"

#include <sodium.h>

#include "daemon/pull_internal.h"
#include "daemon/replication.h"
#include "daemon/write.h"

#define RECORDS_MAX 10
#define BYTES_MAX 5000

struct sender {
    uint32_t peer;
    uint32_t feed;
    uint64_t seq; /* the last one sent */
    uint64_t index;
};

static struct sender sender_new(struct hq *hq)
{
    struct roster_entry entry = { .code = "fr",
                                  .name = "fr",
                                  .epoch = 1,
                                  .instance = 1,
                                  .records_max = RECORDS_MAX,
                                  .bytes_max = BYTES_MAX };
    struct transport_message hello = { .kind = TRANSPORT_PEER, .link = NODE_LINK };
    uint8_t bytes[64];
    struct mp_writer writer;

    randombytes_buf(entry.sign_key, KEY_SIZE);
    randombytes_buf(entry.curve_key, KEY_SIZE);
    monotonic_ms += SIGN_WAIT_MS;
    assert_ok(write_roster(hq->node, &entry));
    turns(hq, 1);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_vector(&writer, hq->node->federation);
    hello.data = mp_writer_bytes(&writer);
    memcpy(hello.key, entry.curve_key, KEY_SIZE);
    sync_on_peer(hq->node, &hello);
    return (struct sender){ .peer = node_peer_index(hq->node, "fr"),
                            .feed = node_feed_index(hq->node, "fr") };
}

/* One more chunk, without a head. */
static void send_chunk(struct hq *hq, struct sender *sender, size_t count)
{
    static const uint8_t value[] = { 0x80 };
    static uint8_t bytes[EVENT_SIZE_MAX];
    struct wire_changes chunk = { .request = 1,
                                  .index = sender->index,
                                  .origin = "fr",
                                  .epoch = 1,
                                  .base = 1000000,
                                  .tiers = TIERS_FEDERATION };
    struct mp_writer writer;

    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_changes_begin(&writer, &chunk, count);
    for (size_t i = 0; i < count; i++) {
        struct change change = { .type = RECORD_MEMBER,
                                 .tiers = TIERS_FEDERATION,
                                 .seq = ++sender->seq };

        randombytes_buf(change.id, ID_SIZE);
        change.value[TIER_FEDERATION] = slice_of(value, sizeof value);
        change_write(&writer, &change, TIERS_FEDERATION);
    }
    wire_write_changes_end(&writer, SLICE_NONE);
    assert_ok(wire_read_changes(mp_writer_bytes(&writer), &chunk));
    pull_stage(hq->node, sender->peer, sender->feed, &chunk, sender->index == 0);
    sender->index++;
    turns(hq, 1);
}

static bool is_kept(struct hq *hq, uint64_t *out_rows)
{
    struct store_build build;
    struct store_txn txn;
    enum status status;

    assert_ok(store_begin_read(hq->node->store, &txn));
    status = store_get_build(&txn, "fr", TIERS_FEDERATION, &build);
    store_abort(&txn);
    *out_rows = status == OK ? build.rows : 0;
    return status == OK;
}

static void test_records(void **state)
{
    struct hq *hq = *state;
    struct sender sender = sender_new(hq);
    uint64_t rows;

    send_chunk(hq, &sender, 4 * RECORDS_MAX + 3);
    assert_true(is_kept(hq, &rows));
    assert_int_equal(rows, 4 * RECORDS_MAX + 3);
    assert_false(hq->node->feeds[sender.feed]->over_quota);
    send_chunk(hq, &sender, 1);
    assert_false(is_kept(hq, &rows));
    assert_true(hq->node->feeds[sender.feed]->over_quota);
}

static void test_bytes(void **state)
{
    struct hq *hq = *state;
    struct sender sender = sender_new(hq);
    uint64_t rows;

    hq->node->feeds[sender.feed]->build_bytes = 4 * BYTES_MAX + 3; /* as it is counted there */
    send_chunk(hq, &sender, 1);
    assert_true(is_kept(hq, &rows));
    hq->node->feeds[sender.feed]->build_bytes = 4 * BYTES_MAX + 4;
    send_chunk(hq, &sender, 1);
    assert_false(is_kept(hq, &rows));
}

/* The ids that a peer chooses are kept under a key of each node's own. */
static void test_the_key_of_ids(void **state)
{
    static const uint8_t none[ID_SET_KEY_SIZE] = { 0 };
    struct hq *first = *state;
    void *second = NULL;
    uint8_t key[ID_SET_KEY_SIZE];

    memcpy(key, first->node->id_set->key, sizeof key);
    assert_memory_not_equal(key, none, sizeof key);
    assert_int_equal(hq_new(&second), 0);
    assert_memory_not_equal(key, ((struct hq *)second)->node->id_set->key, sizeof key);
    assert_int_equal(hq_free(&second), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_records, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_bytes, hq_new, hq_free),
        cmocka_unit_test_setup_teardown(test_the_key_of_ids, hq_new, hq_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
