/* SPDX-License-Identifier: MPL-2.0 */
/* replica_bounds_test.c - the replica at its limits, and what it does with answers that nobody
 * waits for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/replica.h"

#define FEEDS (REPLICA_EFFECTS_MAX + 6)
#define PEERS (MISMATCH_PEERS_MAX + 2)

struct fixture {
    struct replica replica;
    struct replica_feed feeds[FEEDS];
    struct replica_feed *feed_pointers[FEEDS];
    struct replica_peer peers[PEERS];
    struct replica_peer *peer_pointers[PEERS];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->replica.feeds = f->feed_pointers;
    f->replica.peers = f->peer_pointers;
    f->replica.feed_count = FEEDS;
    f->replica.peer_count = PEERS;
    f->replica.random_state = 7;
    for (int i = 0; i < FEEDS; i++) {
        char origin[CODE_SIZE];

        (void)snprintf(origin, sizeof origin, "c%d", i);
        feed_init(&f->feeds[i].feed, origin);
        f->feed_pointers[i] = &f->feeds[i];
        f->feeds[i].followed[TIER_FEDERATION] = true;
        f->feeds[i].fetchable = true;
    }
    for (int i = 0; i < PEERS; i++) {
        (void)snprintf(f->peers[i].code, sizeof f->peers[i].code, "p%d", i);
        f->peer_pointers[i] = &f->peers[i];
        f->peers[i].up = true;
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static struct replica_effects step(struct fixture *f, struct replica_input input, int64_t now)
{
    struct replica_effects effects = { .next_ms = INT64_MAX };

    replica_step(&f->replica, &input, now, &effects);
    return effects;
}

static struct replica_effects tick(struct fixture *f, int64_t now)
{
    return step(f, (struct replica_input){ .kind = INPUT_TICK }, now);
}

static struct replica_effects say(struct fixture *f, enum replica_input_kind kind,
                                  uint32_t peer, uint32_t feed, uint64_t seq, int64_t now)
{
    return step(f,
                (struct replica_input){ .kind = kind,
                                        .peer = peer,
                                        .feed = feed,
                                        .tiers = TIERS_FEDERATION,
                                        .epoch = 1,
                                        .seq = seq },
                now);
}

static void stand_at(struct fixture *f, uint32_t feed, uint64_t seq)
{
    const struct head head = { .epoch = 1, .seq = seq };

    feed_advance(&f->feeds[feed].feed, TIERS_FEDERATION, &head);
}

/* Only so many wants are under way; each that ends makes room for the next. */
static void test_wants_at_once(void **state)
{
    struct fixture *f = *state;
    size_t asked = 0;

    for (uint32_t feed = 0; feed < FEEDS; feed++)
        say(f, INPUT_CLAIM, 0, feed, 5, 1000);
    while (asked < FEEDS) {
        const struct replica_effects effects = tick(f, 1000);

        assert_in_range(effects.count, 1, PULLS_MAX);
        assert_true(f->replica.pulls <= PULLS_MAX);
        for (size_t i = 0; i < effects.count; i++) {
            assert_int_equal(effects.list[i].kind, EFFECT_WANT);
            stand_at(f, effects.list[i].feed, 5);
            say(f, INPUT_ADVANCED, 0, effects.list[i].feed, 5, 1000);
            step(f,
                 (struct replica_input){ .kind = INPUT_ENDED,
                                         .request = effects.list[i].request },
                 1000);
        }
        asked += effects.count;
    }
    assert_int_equal(asked, FEEDS);
    assert_int_equal(f->replica.pulls, 0);
    assert_int_equal(tick(f, 1000).count, 0);
}

/* The caller's list is full: nothing is lost by it, the next tick asks. */
static void test_a_full_list_of_effects(void **state)
{
    struct fixture *f = *state;
    struct replica_effects effects = { .count = REPLICA_EFFECTS_MAX };

    say(f, INPUT_CLAIM, 0, 0, 5, 1000);
    replica_step(&f->replica, &(struct replica_input){ .kind = INPUT_TICK }, 1000, &effects);
    assert_int_equal(effects.count, REPLICA_EFFECTS_MAX);
    assert_int_equal(f->replica.pulls, 0);
    assert_int_equal(tick(f, 1000).count, 1);
    /* nor does what it drops overrun the list */
    effects.count = REPLICA_EFFECTS_MAX;
    replica_step(&f->replica, &(struct replica_input){ .kind = INPUT_PEER_DOWN }, 1001,
                 &effects);
    assert_int_equal(effects.count, REPLICA_EFFECTS_MAX);
    assert_int_equal(f->replica.pulls, 0);
}

/* Late answers of wants that were given up. */
static void test_unknown_requests(void **state)
{
    static const enum replica_input_kind kinds[] = { INPUT_CHUNK, INPUT_ENDED, INPUT_FAILED };
    struct fixture *f = *state;
    uint32_t feed;

    say(f, INPUT_CLAIM, 0, 0, 5, 1000);
    assert_int_equal(tick(f, 1000).count, 1);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_int_equal(
            step(f, (struct replica_input){ .kind = kinds[i], .request = 99 }, 1001).count, 0);
        assert_int_equal(f->replica.pulls, 1);
    }
    assert_null(replica_pull_of(&f->replica, 99, &feed));
    assert_int_equal(f->feeds[0].tier[TIER_FEDERATION].failures, 0);
}

static void test_a_chunk_prolongs_the_want(void **state)
{
    struct fixture *f = *state;
    uint64_t request;

    say(f, INPUT_CLAIM, 0, 0, 5, 1000);
    request = tick(f, 1000).list[0].request;
    step(f, (struct replica_input){ .kind = INPUT_CHUNK, .request = request },
         1000 + WANT_TIMEOUT_MS - 1);
    assert_int_equal(tick(f, 1000 + WANT_TIMEOUT_MS).count, 0);
    assert_int_equal(tick(f, 1000 + 2 * WANT_TIMEOUT_MS).list[0].kind, EFFECT_DROPPED);
}

/* Each peer counts once, and only so many are kept. */
static void test_peers_that_mismatched(void **state)
{
    struct fixture *f = *state;
    struct replica_tier *tier = &f->feeds[0].tier[TIER_FEDERATION];

    stand_at(f, 0, 3);
    for (uint32_t peer = 0; peer < PEERS; peer++)
        for (int again = 0; again < 2; again++) {
            const struct replica_effects effects =
                say(f, INPUT_MISMATCH, peer, 0, 5, 1000 + peer);

            assert_int_equal(effects.count, 1); /* my own rows are looked at first */
            assert_int_equal(effects.list[0].kind, EFFECT_RECOUNT);
            assert_int_equal(tier->mismatches,
                             peer < MISMATCH_PEERS_MAX ? peer + 1 : MISMATCH_PEERS_MAX);
        }
    assert_false(tier->snapshot); /* it came unasked: no reason to ask for the whole */
    step(f,
         (struct replica_input){
             .kind = INPUT_RECOUNTED, .feed = 0, .tiers = TIERS_FEDERATION, .clean = true },
         2000);
    assert_true(tier->counted);
    assert_int_equal(say(f, INPUT_MISMATCH, 0, 0, 5, 2000).count, 0);
}

/* Nobody claims more: what is asked for is the head that I stand at. */
static void test_damage_without_a_target(void **state)
{
    struct fixture *f = *state;
    const struct replica_tier *tier = &f->feeds[0].tier[TIER_FEDERATION];
    struct replica_effects effects;

    stand_at(f, 0, 3);
    step(
        f,
        (struct replica_input){ .kind = INPUT_RECOUNTED, .feed = 0, .tiers = TIERS_FEDERATION },
        1000);
    assert_true(tier->damaged && tier->snapshot);
    assert_int_equal(tier->target.epoch, 1);
    assert_int_equal(tier->target.seq, 3);
    assert_int_equal(tick(f, 1000).count, 0); /* nobody has it yet */
    say(f, INPUT_CLAIM, 1, 0, 3, 1001);
    effects = tick(f, 1001);
    assert_int_equal(effects.count, 1);
    assert_int_equal(effects.list[0].since, 0);
}

static void test_what_is_not_fetched(void **state)
{
    struct fixture *f = *state;

    for (uint32_t feed = 0; feed < 4; feed++)
        say(f, INPUT_CLAIM, 0, feed, 5, 1000);
    f->feeds[0].followed[TIER_FEDERATION] = false;
    f->feeds[1].fetchable = false;
    f->feeds[2].own = true; /* and sound: nobody knows it better */
    f->feeds[3].feed.freeze = FREEZE_DIVERGED;
    f->feeds[3].feed.freeze_epoch = 1;
    assert_int_equal(tick(f, 60000).count, 0);
    f->feeds[3].tier[TIER_FEDERATION].damaged = true; /* mended from who has the same */
    assert_int_equal(tick(f, 60000).count, 1);
}

static void test_who_may_prove(void **state)
{
    struct fixture *f = *state;
    struct replica_tier *tier = &f->feeds[0].tier[TIER_FEDERATION];
    struct head head = { .epoch = 1, .seq = 9, .horizon = 3 };

    stand_at(f, 0, 3);
    assert_false(replica_may_prove(&f->feeds[0], TIER_FEDERATION, &head));
    tier->counted = true;
    assert_true(replica_may_prove(&f->feeds[0], TIER_FEDERATION, &head));
    head.horizon = 4; /* what my rows lack may have been forgotten */
    assert_false(replica_may_prove(&f->feeds[0], TIER_FEDERATION, &head));
    head.horizon = 3;
    head.epoch = 2;
    assert_false(replica_may_prove(&f->feeds[0], TIER_FEDERATION, &head));
    head.epoch = 1;
    tier->damaged = true;
    assert_false(replica_may_prove(&f->feeds[0], TIER_FEDERATION, &head));
}

/* The roster says the same again, or something else. */
static void test_ends_that_change(void **state)
{
    struct fixture *f = *state;
    const struct replica_tier *tier = &f->feeds[0].tier[TIER_FEDERATION];
    struct feed_term term = { .ended = true, .until_epoch = 1, .until_seq = 4 };

    stand_at(f, 0, 3);
    say(f, INPUT_CLAIM, 0, 0, 9, 1000);
    assert_int_equal(tier->target.seq, 9);
    replica_set_end(&f->replica, 0, &term);
    assert_int_equal(tier->target.seq, 3); /* what is claimed is beyond */
    assert_true(replica_end_missed(&f->feeds[0], TIER_FEDERATION));
    term.until_seq = 9;
    replica_set_end(&f->replica, 0, &term);
    assert_int_equal(tier->target.seq, 9);
    term.until_epoch = 2;
    replica_set_end(&f->replica, 0, &term);
    assert_int_equal(f->feeds[0].until.epoch, 2);
    term.revoked = true;
    replica_set_end(&f->replica, 0, &term);
    assert_true(f->feeds[0].revoked);
    f->feeds[0].tier[TIER_FEDERATION].target.seq = 77;
    replica_set_end(&f->replica, 0, &term); /* nothing new: nothing is touched */
    assert_int_equal(tier->target.seq, 77);
    replica_set_end(&f->replica, 0, &(struct feed_term){ .ended = false });
    assert_false(replica_end_missed(&f->feeds[0], TIER_FEDERATION));
}

/* What a beat had proven that is not its origin's counts no more; what peers claim does. */
static void test_proofs_that_are_taken_back(void **state)
{
    struct fixture *f = *state;
    const struct replica_tier *tier = &f->feeds[0].tier[TIER_FEDERATION];

    stand_at(f, 0, 3);
    say(f, INPUT_HEARD, 0, 0, 9, 1000);
    assert_int_equal(tier->target.seq, 9);
    assert_int_equal(tier->behind_since_ms, 1000);
    replica_disproved(&f->replica, 0);
    assert_int_equal(tier->proven.seq, 0);
    assert_int_equal(tier->target.seq, 3);
    assert_int_equal(tier->behind_since_ms, 0);
    say(f, INPUT_HEARD, 0, 0, 9, 2000);
    say(f, INPUT_CLAIM, 1, 0, 7, 2000);
    replica_disproved(&f->replica, 0);
    assert_int_equal(tier->target.seq, 7);
    assert_int_equal(tier->behind_since_ms, 2000);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_wants_at_once),         TEST(test_a_full_list_of_effects),
        TEST(test_unknown_requests),      TEST(test_a_chunk_prolongs_the_want),
        TEST(test_peers_that_mismatched), TEST(test_damage_without_a_target),
        TEST(test_what_is_not_fetched),   TEST(test_who_may_prove),
        TEST(test_ends_that_change),      TEST(test_proofs_that_are_taken_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
