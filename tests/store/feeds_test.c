/* SPDX-License-Identifier: MPL-2.0 */
/* feeds_test.c - what is known of an origin: its feed, heads, proofs of fork, transfers. */
#include "store_fixture.h"

static struct signed_head envelope_of(const char *text)
{
    struct signed_head head = { 0 };

    assert_ok(signed_head_set(&head, slice_of_text(text)));
    return head;
}

static void put_head(struct place *place, const char *origin, uint64_t epoch, uint64_t seq)
{
    struct head head = { .epoch = epoch, .seq = seq };
    char text[64];

    (void)snprintf(head.origin, sizeof head.origin, "%s", origin);
    (void)snprintf(text, sizeof text, "%s %u.%u", origin, (unsigned)epoch, (unsigned)seq);
    assert_ok(store_put_head(&place->txn, &head, slice_of_text(text)));
}

static void a_feed_is_read_as_it_was_put(void **state)
{
    struct place *place = *state;
    struct store_feed feed;
    struct store_feed read;

    assert_status(store_get_feed(&place->txn, "fr", &read), NOT_FOUND);
    memset(&feed, 0, sizeof feed); /* what lies between the fields is compared, too */
    memcpy(feed.origin, "fr", 3);
    feed.hold = FEED_FORKED;
    feed.hold_epoch = 3;
    feed.tier[0].number = 4;
    feed.tier[0].horizon = UINT64_MAX;
    feed.tier[0].head = envelope_of("a head");
    feed.tier[1].number = UINT32_MAX;
    feed.tier[1].head.size = SIGNED_HEAD_SIZE_MAX;
    memset(feed.tier[1].head.bytes, 7, SIGNED_HEAD_SIZE_MAX);
    feed.beat.size = SIGNED_BEAT_SIZE_MAX;
    memset(feed.beat.bytes, 8, SIGNED_BEAT_SIZE_MAX);
    assert_ok(store_put_feed(&place->txn, &feed));
    reopen(place);
    assert_ok(store_get_feed(&place->txn, "fr", &read));
    assert_memory_equal(&read, &feed, sizeof feed);
    memset(&feed, 0, sizeof feed);
    memcpy(feed.origin, "fr", 3);
    assert_ok(store_put_feed(&place->txn, &feed));
    assert_ok(store_get_feed(&place->txn, "fr", &read));
    assert_memory_equal(&read, &feed, sizeof feed);
}

static void feeds_come_in_order_of_origin(void **state)
{
    static const char *const origins[] = {
        "lu", "hq", "fr", "fr-paris", "a", "abcdefghijklmno"
    };
    static const char *const sorted[] = {
        "a", "abcdefghijklmno", "fr", "fr-paris", "hq", "lu"
    };
    struct place *place = *state;
    struct store_feed feed = { .origin = "" };

    assert_status(store_next_feed(&place->txn, "", &feed), NOT_FOUND);
    for (size_t i = 0; i < 6; i++) {
        memset(&feed, 0, sizeof feed);
        memcpy(feed.origin, origins[i], strlen(origins[i]));
        assert_ok(store_put_feed(&place->txn, &feed));
    }
    feed.origin[0] = '\0';
    for (size_t i = 0; i < 6; i++) {
        assert_ok(store_next_feed(&place->txn, feed.origin, &feed));
        assert_string_equal(feed.origin, sorted[i]);
    }
    assert_status(store_next_feed(&place->txn, feed.origin, &feed), NOT_FOUND);
    /* the place to go on from need not be there */
    assert_ok(store_next_feed(&place->txn, "b", &feed));
    assert_string_equal(feed.origin, "fr");
}

static void the_last_heads_are_kept(void **state)
{
    struct place *place = *state;
    static struct signed_head heads[HEADS_KEPT + 1];
    char text[64];
    size_t count = 99;

    assert_ok(store_list_heads(&place->txn, "fr", heads, HEADS_KEPT + 1, &count));
    assert_int_equal(count, 0);
    put_head(place, "f", 9, 1000);
    put_head(place, "fr-paris", 1, 1);
    for (uint64_t seq = 1; seq <= 300; seq++)
        put_head(place, "fr", seq <= 280 ? 1 : 2, seq);
    put_head(place, "fr", 2, 300); /* known */
    put_head(place, "fr", 1, 7);   /* older than all that are kept */
    reopen(place);
    assert_ok(store_list_heads(&place->txn, "fr", heads, HEADS_KEPT + 1, &count));
    assert_int_equal(count, HEADS_KEPT);
    for (size_t i = 0; i < count; i++) {
        const unsigned seq = (unsigned)(300 - HEADS_KEPT + 1 + i);

        (void)snprintf(text, sizeof text, "fr %u.%u", seq <= 280 ? 1 : 2, seq);
        assert_slice(signed_head_bytes(&heads[i]), text);
    }
    assert_ok(store_list_heads(&place->txn, "fr", heads, 3, &count));
    assert_int_equal(count, 3);
    assert_ok(store_list_heads(&place->txn, "f", heads, HEADS_KEPT, &count));
    assert_int_equal(count, 1);
    assert_slice(signed_head_bytes(&heads[0]), "f 9.1000");
    assert_ok(store_list_heads(&place->txn, "fr-paris", heads, HEADS_KEPT, &count));
    assert_int_equal(count, 1);
}

static void a_head_that_is_too_large_is_refused(void **state)
{
    static const uint8_t large[SIGNED_HEAD_SIZE_MAX + 1] = { 0 };
    struct place *place = *state;
    const struct head head = { .origin = "fr", .epoch = 1, .seq = 1 };
    const struct slice envelope = slice_of(large, sizeof large);

    assert_status(store_put_head(&place->txn, &head, envelope), TOO_LARGE);
    assert_status(store_put_evidence(&place->txn, "fr", slice_of(large, 1), envelope),
                  TOO_LARGE);
}

static void evidence_is_kept_once_and_bounded(void **state)
{
    struct place *place = *state;
    static struct signed_head pairs[EVIDENCE_MAX + 1][2];
    const struct slice a = slice_of_text("first head");
    const struct slice b = slice_of_text("second");
    size_t count = 99;

    assert_ok(store_list_evidence(&place->txn, "fr", pairs, EVIDENCE_MAX + 1, &count));
    assert_int_equal(count, 0);
    assert_ok(store_put_evidence(&place->txn, "fr", a, b));
    assert_status(store_put_evidence(&place->txn, "fr", a, b), EXISTS);
    assert_status(store_put_evidence(&place->txn, "fr", b, a), EXISTS);
    assert_ok(store_put_evidence(&place->txn, "f", a, b));
    for (int i = 0; i < 2 * EVIDENCE_MAX; i++) {
        char text[32];

        (void)snprintf(text, sizeof text, "third %d", i);
        assert_status(store_put_evidence(&place->txn, "fr", a, slice_of_text(text)),
                      i < EVIDENCE_MAX - 1 ? OK : EXISTS);
    }
    reopen(place);
    assert_ok(store_list_evidence(&place->txn, "fr", pairs, EVIDENCE_MAX + 1, &count));
    assert_int_equal(count, EVIDENCE_MAX);
    assert_slice(signed_head_bytes(&pairs[0][0]), "first head");
    assert_slice(signed_head_bytes(&pairs[0][1]), "second");
    assert_slice(signed_head_bytes(&pairs[EVIDENCE_MAX - 1][1]), "third 14");
    assert_ok(store_list_evidence(&place->txn, "fr", pairs, 2, &count));
    assert_int_equal(count, 2);
    assert_ok(store_list_evidence(&place->txn, "f", pairs, EVIDENCE_MAX, &count));
    assert_int_equal(count, 1);
}

static void a_transfer_is_remembered(void **state)
{
    struct place *place = *state;
    struct store_build build;
    struct store_build read;

    memset(&build, 0, sizeof build);
    memcpy(build.origin, "fr", 3);
    build.tiers = TIERS_BOTH;
    build.number = 6;
    build.epoch = 1;
    build.since = 2;
    build.base = 3;
    build.reached = 4;
    build.rows = 5;
    build.copied_to = 6;
    memset(build.peer, 0x11, KEY_SIZE);
    assert_status(store_get_build(&place->txn, "fr", TIERS_BOTH, &read), NOT_FOUND);
    assert_ok(store_put_build(&place->txn, &build));
    assert_ok(store_get_build(&place->txn, "fr", TIERS_BOTH, &read));
    assert_memory_equal(&read, &build, sizeof build);
    build.head = envelope_of("the last head");
    build.reached = UINT64_MAX;
    assert_ok(store_put_build(&place->txn, &build));
    reopen(place);
    assert_ok(store_get_build(&place->txn, "fr", TIERS_BOTH, &read));
    assert_memory_equal(&read, &build, sizeof build);
    assert_status(store_get_build(&place->txn, "fr", TIERS_HQ, &read), NOT_FOUND);
    assert_ok(store_delete_build(&place->txn, "fr", TIERS_HQ));
    assert_ok(store_delete_build(&place->txn, "fr", TIERS_BOTH));
    assert_status(store_get_build(&place->txn, "fr", TIERS_BOTH, &read), NOT_FOUND);
}

static void transfers_come_in_order(void **state)
{
    static const struct {
        const char *origin;
        unsigned tiers;
    } sorted[] = { { "fr", 1 }, { "fr", 2 }, { "fr", 3 }, { "fr-paris", 1 }, { "hq", 3 } };
    struct place *place = *state;
    struct store_build build = { .origin = "", .tiers = 0 };

    for (size_t i = 5; i-- > 0;) {
        memset(&build, 0, sizeof build);
        memcpy(build.origin, sorted[i].origin, strlen(sorted[i].origin));
        build.tiers = sorted[i].tiers;
        build.number = (uint32_t)i + 1;
        assert_ok(store_put_build(&place->txn, &build));
    }
    memset(&build, 0, sizeof build);
    for (size_t i = 0; i < 5; i++) {
        assert_ok(store_next_build(&place->txn, build.origin, build.tiers, &build));
        assert_string_equal(build.origin, sorted[i].origin);
        assert_int_equal(build.tiers, sorted[i].tiers);
        assert_int_equal(build.number, i + 1);
    }
    assert_status(store_next_build(&place->txn, build.origin, build.tiers, &build), NOT_FOUND);
}

int main(void)
{
#define OPEN(test) cmocka_unit_test_setup_teardown(test, place_make, place_free)
    const struct CMUnitTest tests[] = {
        OPEN(a_feed_is_read_as_it_was_put),      OPEN(feeds_come_in_order_of_origin),
        OPEN(the_last_heads_are_kept),           OPEN(a_head_that_is_too_large_is_refused),
        OPEN(evidence_is_kept_once_and_bounded), OPEN(a_transfer_is_remembered),
        OPEN(transfers_come_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
