/* SPDX-License-Identifier: MPL-2.0 */
/* freshness_test.c - when a feed is called current: only what HQ's beats prove, while HQ is
 * heard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "daemon/core/replica.h"

#define NOW 1000000

static void test_beats_of_hq(void **state)
{
    struct hq_beats beats = { .count = 0 };

    (void)state;
    assert_false(hq_beats_heard(&beats, NOW));
    assert_int_equal(hq_beats_age(&beats, 1, 1, NOW), -1);
    hq_beats_note(&beats, 1, 1, NOW);
    assert_int_equal(hq_beats_age(&beats, 1, 1, NOW + 5), 5);
    assert_int_equal(hq_beats_age(&beats, 1, 2, NOW), -1);
    assert_int_equal(hq_beats_age(&beats, 2, 1, NOW), -1);
    /* a replay makes it no younger */
    hq_beats_note(&beats, 1, 1, NOW + 50);
    assert_int_equal(hq_beats_age(&beats, 1, 1, NOW + 50), 50);
    assert_int_equal(beats.count, 1);
    assert_true(hq_beats_heard(&beats, NOW + BEAT_FRESH_MS - 1));
    assert_false(hq_beats_heard(&beats, NOW + BEAT_FRESH_MS));
}

/* As many as a ring has, and the oldest is forgotten first. */
static void test_ring_of_beats(void **state)
{
    struct hq_beats beats = { .count = 0 };

    (void)state;
    for (uint64_t i = 1; i <= HQ_BEATS_KEPT + 3; i++)
        hq_beats_note(&beats, 1, i, NOW + (int64_t)i);
    assert_int_equal(beats.count, HQ_BEATS_KEPT);
    for (uint64_t i = 1; i <= HQ_BEATS_KEPT + 3; i++)
        assert_int_equal(hq_beats_age(&beats, 1, i, NOW + 100), i <= 3 ? -1 : 100 - (int64_t)i);
}

/* A feed at (1, 5), whose newest beat came at NOW and echoes HQ's (3, 7). */
static struct replica_feed feed_of(const char *origin)
{
    struct replica_feed feed;

    memset(&feed, 0, sizeof feed);
    feed_init(&feed.feed, origin);
    feed.feed.tier[TIER_FEDERATION].epoch = 1;
    feed.feed.tier[TIER_FEDERATION].seq = 5;
    feed.followed[TIER_FEDERATION] = true;
    feed.fetchable = true;
    feed.beat = (struct beat){
        .epoch = 1, .seq = 5, .boot = 1, .counter = 1, .hq_boot = 3, .hq_counter = 7
    };
    feed.beat_at_ms = NOW;
    return feed;
}

static void test_how_long_it_is_fresh(void **state)
{
    static const struct {
        bool hq_heard; /* its newest beat, after the one that is echoed */
        bool echo;     /* HQ's beat that the feed echoes was heard, at NOW */
        bool beat;
        bool is_hq;
        int64_t after_ms;
        int64_t fresh_ms;
        bool proven;
    } rows[] = {
        { true, true, true, false, 0, BEAT_FRESH_MS, true },
        { true, true, true, true, 0, BEAT_FRESH_MS, true },
        { true, true, true, false, BEAT_FRESH_MS - 1, 1, true },
        /* the origin repeats an old echo: a relay that withholds gains nothing by it */
        { true, true, true, false, BEAT_FRESH_MS, 0, false },
        { true, false, true, false, 0, 0, false },
        /* nobody hears HQ: chapters go by arrival, and say so; HQ itself does not */
        { false, false, true, false, 10, BEAT_FRESH_MS - 10, false },
        { false, false, true, false, BEAT_FRESH_MS, 0, false },
        { false, false, true, true, 10, 0, false },
        { false, false, false, false, 0, 0, false },
        { true, true, false, false, 0, 0, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct replica_feed feed = feed_of("fr");
        struct hq_beats beats = { .count = 0 };
        bool proven;

        if (rows[i].echo)
            hq_beats_note(&beats, 3, 7, NOW);
        if (rows[i].hq_heard)
            hq_beats_note(&beats, 3, 8, NOW + rows[i].after_ms);
        if (!rows[i].beat)
            feed.beat.boot = 0;
        if (replica_feed_fresh_ms(&feed, &beats, rows[i].is_hq, NOW + rows[i].after_ms,
                                  &proven) != rows[i].fresh_ms ||
            proven != rows[i].proven)
            fail_msg("row %zu", i);
    }
}

/* The beat that is echoed was lost on its way to me: an older one of HQ, of the same start,
 * says how old it is at most.  HQ itself has lost none. */
static void test_echo_of_a_lost_beat(void **state)
{
    static const struct {
        uint64_t boot, counter;
        bool is_hq;
        int64_t fresh_ms;
    } rows[] = {
        { 3, 6, false, BEAT_FRESH_MS - 10 },
        { 3, 8, false, 0 },
        { 2, 6, false, 0 },
        { 3, 6, true, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct replica_feed feed = feed_of("fr");
        struct hq_beats beats = { .count = 0 };
        bool proven;

        hq_beats_note(&beats, rows[i].boot, rows[i].counter, NOW);
        if (replica_feed_fresh_ms(&feed, &beats, rows[i].is_hq, NOW + 10, &proven) !=
            rows[i].fresh_ms)
            fail_msg("row %zu", i);
    }
}

/* HQ's own feed is as fresh as its own beat: it echoes nobody. */
static void test_feed_of_hq(void **state)
{
    struct replica_feed feed = feed_of("hq");
    struct hq_beats beats = { .count = 0 };
    bool proven = false;

    (void)state;
    assert_int_equal(replica_feed_fresh_ms(&feed, &beats, false, NOW + 1, &proven),
                     BEAT_FRESH_MS - 1);
    assert_true(proven);
    assert_int_equal(replica_feed_fresh_ms(&feed, &beats, false, NOW + BEAT_FRESH_MS, &proven),
                     0);
    feed.beat.boot = 0;
    assert_int_equal(replica_feed_fresh_ms(&feed, &beats, false, NOW, &proven), 0);
}

static enum feed_state state_of(const struct replica_feed *feed)
{
    struct hq_beats beats = { .count = 0 };

    hq_beats_note(&beats, 3, 7, NOW);
    return replica_feed_state(feed, &beats, false, NOW);
}

static void test_states(void **state)
{
    struct replica_feed feed = feed_of("fr");

    (void)state;
    assert_int_equal(state_of(&feed), STATE_CURRENT);
    feed.beat.seq = 6; /* it says itself that there is more */
    assert_int_equal(state_of(&feed), STATE_BEHIND);
    feed.beat.seq = 5;
    feed.beat.hq_counter = 6; /* a beat of HQ that was never heard */
    assert_int_equal(state_of(&feed), STATE_STALE);
    feed.beat.boot = 0;
    assert_int_equal(state_of(&feed), STATE_STALE);
    feed.tier[TIER_FEDERATION].target = (struct replica_claim){ 1, 9 }; /* anybody may claim */
    assert_int_equal(state_of(&feed), STATE_STALE);
    feed.tier[TIER_FEDERATION].proven = (struct replica_claim){ 1, 6 };
    assert_int_equal(state_of(&feed), STATE_BEHIND);
    feed.own = true; /* nobody knows it better */
    assert_int_equal(state_of(&feed), STATE_CURRENT);
    feed.feed.freeze = FREEZE_FORKED;
    feed.feed.freeze_epoch = 1;
    assert_int_equal(state_of(&feed), STATE_FORKED);
}

static void test_states_of_ended_feeds(void **state)
{
    struct replica_feed feed = feed_of("fr");

    (void)state;
    feed.fetchable = false; /* of nobody that the roster knows */
    assert_int_equal(state_of(&feed), STATE_REVOKED);
    feed.fetchable = true;
    feed.ended = true;
    feed.until = (struct replica_claim){ 1, 5 };
    assert_int_equal(state_of(&feed), STATE_STALE); /* suspended */
    feed.revoked = true;
    assert_int_equal(state_of(&feed), STATE_REVOKED);
    feed.until.seq = 7; /* there are two changes still to come */
    assert_int_equal(state_of(&feed), STATE_BEHIND);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(feed_state_name(STATE_CURRENT), "current");
    assert_string_equal(feed_state_name(STATE_BEHIND), "behind");
    assert_string_equal(feed_state_name(STATE_STALE), "stale");
    assert_string_equal(feed_state_name(STATE_FORKED), "forked");
    assert_string_equal(feed_state_name(STATE_REVOKED), "revoked");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beats_of_hq),
        cmocka_unit_test(test_ring_of_beats),
        cmocka_unit_test(test_how_long_it_is_fresh),
        cmocka_unit_test(test_echo_of_a_lost_beat),
        cmocka_unit_test(test_feed_of_hq),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_states_of_ended_feeds),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
