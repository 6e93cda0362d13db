/* SPDX-License-Identifier: MPL-2.0 */
/* replica_test.c - what to fetch from whom: steps in, effects out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "daemon/core/replica.h"

#define PEERS 3
struct fixture {
    struct replica replica;
    struct replica_feed feeds[2];
    struct replica_feed *feed_pointers[2];
    struct replica_peer *peers[PEERS];
};
enum { FR = 0, HQ_FEED = 1 };
enum { PEER_FR = 0, PEER_HQ = 1, PEER_QC = 2 };

static int set_up(void **state)
{
    static const char *const codes[PEERS] = { "fr", "hq", "qc" };
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->replica.feeds = f->feed_pointers;
    f->replica.peers = f->peers;
    f->replica.feed_count = 2;
    f->replica.peer_count = PEERS;
    f->replica.random_state = 42;
    feed_init(&f->feeds[FR].feed, "fr");
    feed_init(&f->feeds[HQ_FEED].feed, "hq");
    for (int i = 0; i < 2; i++) {
        f->feed_pointers[i] = &f->feeds[i];
        f->feeds[i].followed[TIER_FEDERATION] = true;
        f->feeds[i].fetchable = true;
    }
    for (int i = 0; i < PEERS; i++) {
        f->peers[i] = calloc(1, sizeof *f->peers[i]);
        assert_non_null(f->peers[i]);
        memcpy(f->peers[i]->code, codes[i], 3);
        f->peers[i]->up = true;
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < PEERS; i++)
        free(f->peers[i]);
    free(f);
    return 0;
}

static struct replica_effects step(struct fixture *f, struct replica_input input, int64_t now)
{
    struct replica_effects effects = { 0 };

    replica_step(&f->replica, &input, now, &effects);
    return effects;
}

static struct replica_effects tick(struct fixture *f, int64_t now)
{
    return step(f, (struct replica_input){ .kind = INPUT_TICK }, now);
}

static void claim(struct fixture *f, uint32_t peer, uint64_t seq, int64_t now)
{
    step(f,
         (struct replica_input){ .kind = INPUT_CLAIM,
                                 .peer = peer,
                                 .feed = FR,
                                 .tiers = TIERS_FEDERATION,
                                 .epoch = 1,
                                 .seq = seq },
         now);
}

static void advance(struct fixture *f, uint64_t seq, int64_t now)
{
    struct head head = {
        .origin = "fr", .epoch = 1, .seq = seq, .prev_seq = f->feeds[FR].feed.tier[0].seq
    };

    head.hash[0] = (uint8_t)seq;
    memcpy(head.prev_hash, f->feeds[FR].feed.tier[0].hash, HASH_SIZE);
    feed_advance(&f->feeds[FR].feed, TIERS_FEDERATION, &head);
    step(
        f,
        (struct replica_input){ .kind = INPUT_ADVANCED, .feed = FR, .tiers = TIERS_FEDERATION },
        now);
}

static void test_an_empty_feed_is_fetched_at_once_from_its_origin(void **state)
{
    struct fixture *f = *state;
    struct replica_effects effects;

    claim(f, PEER_QC, 9, 1000);
    claim(f, PEER_FR, 9, 1000);
    effects = tick(f, 1000);
    assert_int_equal(effects.count, 1);
    assert_int_equal(effects.list[0].kind, EFFECT_WANT);
    assert_int_equal(effects.list[0].peer, PEER_FR);
    assert_int_equal(effects.list[0].since, 0);
    /* one at a time */
    effects = tick(f, 1001);
    assert_int_equal(effects.count, 0);
}

static void test_a_gap_is_given_time(void **state)
{
    struct fixture *f = *state;
    struct replica_effects effects;

    advance(f, 5, 1000);
    claim(f, PEER_HQ, 9, 2000);
    effects = tick(f, 2000);
    assert_int_equal(effects.count, 0);
    assert_in_range(effects.next_ms, 2000 + GAP_WAIT_MS, 2000 + 2 * GAP_WAIT_MS);
    effects = tick(f, effects.next_ms);
    assert_int_equal(effects.count, 1);
    assert_int_equal(effects.list[0].since, 5);
    assert_int_equal(f->feeds[FR].tier[0].behind_since_ms, 2000);
    /* the event came after all */
    advance(f, 9, 2100);
    assert_int_equal(f->feeds[FR].tier[0].behind_since_ms, 0);
}

static void test_a_silent_peer_is_left_for_another(void **state)
{
    struct fixture *f = *state;
    struct replica_effects effects;
    int64_t now = 1000;
    bool other = false;

    claim(f, PEER_FR, 9, now);
    claim(f, PEER_QC, 9, now);
    for (int i = 0; i < 40 && !other; i++) {
        effects = tick(f, now);
        for (size_t k = 0; k < effects.count; k++)
            if (effects.list[k].kind == EFFECT_WANT && effects.list[k].peer == PEER_QC)
                other = true;
        now = effects.next_ms;
    }
    assert_true(other);
}

static void test_backoff_grows_and_is_bounded(void **state)
{
    struct fixture *f = *state;
    int64_t last_pause = 0;
    int64_t now = 1000;

    claim(f, PEER_FR, 9, now);
    for (int i = 0; i < 20; i++) {
        struct replica_effects effects;

        claim(f, PEER_FR, 9, now); /* it says hello again */
        effects = tick(f, now);
        while (effects.count == 0) {
            assert_true(effects.next_ms > now);
            now = effects.next_ms;
            effects = tick(f, now);
        }
        assert_int_equal(effects.list[0].kind, EFFECT_WANT);
        step(f,
             (struct replica_input){ .kind = INPUT_FAILED, .request = effects.list[0].request },
             now);
        claim(f, PEER_FR, 9, now);
        effects = tick(f, now);
        last_pause = effects.next_ms - now;
        assert_in_range(last_pause, RETRY_MS_MIN, RETRY_MS_MAX + RETRY_MS_MAX / 2 + 1);
    }
    assert_true(last_pause >= RETRY_MS_MAX);
    assert_int_equal(f->replica.pulls, 0);
}

static void test_a_mismatch_recounts_then_asks_since_0(void **state)
{
    struct fixture *f = *state;
    struct replica_effects effects;
    struct replica_input mismatch = {
        .kind = INPUT_MISMATCH, .peer = PEER_QC, .feed = FR, .tiers = TIERS_FEDERATION
    };
    struct head head = { .epoch = 1, .seq = 9 };

    advance(f, 5, 1000);
    effects = step(f, mismatch, 2000);
    assert_int_equal(effects.count, 1);
    assert_int_equal(effects.list[0].kind, EFFECT_RECOUNT);
    assert_false(f->feeds[FR].tier[0].snapshot); /* one peer may lie */
    assert_false(replica_may_prove(&f->feeds[FR], TIER_FEDERATION, &head));
    step(f,
         (struct replica_input){
             .kind = INPUT_RECOUNTED, .feed = FR, .tiers = TIERS_FEDERATION, .clean = true },
         2001);
    assert_true(replica_may_prove(&f->feeds[FR], TIER_FEDERATION, &head));
    head.horizon = 6; /* above my seq: means a snapshot, never proof */
    assert_false(replica_may_prove(&f->feeds[FR], TIER_FEDERATION, &head));
    mismatch.peer = PEER_FR; /* the origin itself */
    step(f, mismatch, 2002);
    assert_false(
        f->feeds[FR].tier[0].snapshot); /* an event that came unasked changes no plan */
    assert_int_equal(f->feeds[FR].tier[0].retry_at_ms, 0);
    mismatch.answer = true;
    step(f, mismatch, 2003);
    assert_true(f->feeds[FR].tier[0].snapshot);
    assert_true(f->feeds[FR].tier[0].retry_at_ms > 2003);
}

static void test_damage_is_mended_at_the_same_head(void **state)
{
    struct fixture *f = *state;
    struct replica_effects effects;

    advance(f, 5, 1000);
    claim(f, PEER_QC, 5, 1000);
    assert_int_equal(tick(f, 1000).count, 0);
    step(f,
         (struct replica_input){
             .kind = INPUT_RECOUNTED, .feed = FR, .tiers = TIERS_FEDERATION, .clean = false },
         2000);
    effects = tick(f, 2000);
    assert_int_equal(effects.count, 1);
    assert_int_equal(effects.list[0].since, 0);
}

static void test_a_lost_peer_is_replaced_at_once(void **state)
{
    struct fixture *f = *state;
    struct replica_effects effects;

    claim(f, PEER_FR, 9, 1000);
    claim(f, PEER_QC, 9, 1000);
    effects = tick(f, 1000);
    assert_int_equal(effects.list[0].peer, PEER_FR);
    f->peers[PEER_FR]->up = false;
    effects = step(f, (struct replica_input){ .kind = INPUT_PEER_DOWN, .peer = PEER_FR }, 1100);
    assert_int_equal(effects.list[0].kind, EFFECT_DROPPED);
    effects = tick(f, 1100);
    assert_int_equal(effects.count, 1);
    assert_int_equal(effects.list[0].peer, PEER_QC);
}

static void test_hq_tier_comes_from_the_origin_alone(void **state)
{
    struct fixture *f = *state;
    struct replica_effects effects;
    struct replica_input input = { .kind = INPUT_CLAIM,
                                   .peer = PEER_QC,
                                   .feed = FR,
                                   .tiers = TIERS_HQ,
                                   .epoch = 1,
                                   .seq = 9 };

    f->replica.is_hq = true;
    f->feeds[FR].followed[TIER_HQ] = true;
    f->peers[PEER_FR]->up = false;
    step(f, input, 1000);
    assert_int_equal(tick(f, 1000).count, 0); /* qc may say so, it is not qc's to hand out */
    f->peers[PEER_FR]->up = true;
    input.peer = PEER_FR;
    input.tiers = TIERS_BOTH;
    step(f, input, 1000);
    effects = tick(f, 1000);
    assert_int_equal(effects.count, 1);
    assert_int_equal(effects.list[0].tiers,
                     TIERS_BOTH); /* both stand at the same, empty, head */
}

static void test_frozen_and_revoked_feeds_are_not_fetched(void **state)
{
    struct fixture *f = *state;

    claim(f, PEER_FR, 9, 1000);
    f->feeds[FR].feed.freeze = FREEZE_FORKED;
    f->feeds[FR].feed.freeze_epoch = 1;
    assert_int_equal(tick(f, 1000).count, 0);
    f->feeds[FR].feed.freeze = FREEZE_NONE;
    f->feeds[FR].fetchable = false;
    assert_int_equal(tick(f, 1000).count, 0);
    f->feeds[FR].fetchable = true;
    assert_int_equal(tick(f, 1000).count, 1);
}

static void end_at(struct fixture *f, uint64_t seq, bool revoked)
{
    const struct feed_term term = {
        .ended = true, .revoked = revoked, .until_epoch = 1, .until_seq = seq
    };

    replica_set_end(&f->replica, FR, &term);
}

static void test_an_ended_feed_is_fetched_up_to_its_end(void **state)
{
    static const struct feed_term going_on = { .epoch = 1 };
    struct hq_beats beats = { 0 };
    struct fixture *f = *state;
    struct replica_effects effects;

    advance(f, 5, 1000);
    claim(f, PEER_HQ, 9, 1000);
    claim(f, PEER_QC, 7, 1000);
    end_at(f, 7, false);
    assert_int_equal(replica_feed_state(&f->feeds[FR], &beats, false, 1000), STATE_BEHIND);
    effects = tick(f, 5000);
    assert_int_equal(effects.count, 1);
    assert_int_equal(effects.list[0].peer, PEER_QC); /* the other's copy goes too far */
    assert_int_equal(effects.list[0].since, 5);
    step(f, (struct replica_input){ .kind = INPUT_ENDED, .request = effects.list[0].request },
         5000);
    advance(f, 7, 5000);
    claim(f, PEER_HQ, 9, 5000);
    assert_int_equal(tick(f, 9000).count, 0);
    assert_int_equal(replica_feed_state(&f->feeds[FR], &beats, false, 9000), STATE_STALE);
    end_at(f, 7, true);
    assert_int_equal(replica_feed_state(&f->feeds[FR], &beats, false, 9000), STATE_REVOKED);
    /* The suspension is over: what was held back is fetched. */
    replica_set_end(&f->replica, FR, &going_on);
    assert_int_equal(tick(f, 9000).count, 1);
}

static void test_who_stands_beyond_the_end_goes_back(void **state)
{
    struct fixture *f = *state;
    struct replica_effects effects;

    advance(f, 9, 1000);
    claim(f, PEER_HQ, 9, 1000);
    claim(f, PEER_QC, 7, 1000);
    end_at(f, 7, false);
    assert_int_equal(tick(f, 5000).count, 0); /* suspended: it waits */
    end_at(f, 7, true);
    effects = tick(f, 5000);
    assert_int_equal(effects.count, 1);
    assert_int_equal(effects.list[0].peer, PEER_QC);
    assert_int_equal(effects.list[0].since, 0);
}

static void test_states(void **state)
{
    struct fixture *f = *state;
    struct replica_feed *feed = &f->feeds[FR];
    struct hq_beats beats = { 0 };

    advance(f, 5, 1000);
    assert_int_equal(replica_feed_state(feed, &beats, false, 1000), STATE_STALE);
    hq_beats_note(&beats, 1, 7, 2000);
    feed->beat = (struct beat){
        .epoch = 1, .seq = 5, .boot = 1, .counter = 1, .hq_boot = 1, .hq_counter = 7
    };
    feed->beat_at_ms = 2500;
    assert_int_equal(replica_feed_state(feed, &beats, true, 3000), STATE_CURRENT);
    assert_int_equal(replica_feed_state(feed, &beats, true, 2000 + BEAT_FRESH_MS), STATE_STALE);
    /* a beat of HQ that comes again is no younger */
    hq_beats_note(&beats, 1, 7, 80000);
    assert_int_equal(replica_feed_state(feed, &beats, true, 2000 + BEAT_FRESH_MS), STATE_STALE);
    {
        bool proven = false;

        assert_int_equal(replica_feed_fresh_ms(feed, &beats, true, 3000, &proven),
                         BEAT_FRESH_MS - 1000);
        assert_true(proven);
        assert_int_equal(
            replica_feed_fresh_ms(feed, &beats, true, 2000 + BEAT_FRESH_MS, &proven), 0);
    }
    /* HQ away: a chapter goes by arrival, HQ itself never does */
    feed->beat_at_ms = 200000;
    assert_int_equal(replica_feed_state(feed, &beats, false, 200000), STATE_CURRENT);
    assert_int_equal(replica_feed_state(feed, &beats, true, 200000), STATE_STALE);
    {
        bool proven = true;

        assert_int_equal(replica_feed_fresh_ms(feed, &beats, false, 200001, &proven),
                         BEAT_FRESH_MS - 1);
        assert_false(proven);
    }
    feed->beat.seq = 6;
    assert_int_equal(replica_feed_state(feed, &beats, false, 3000), STATE_BEHIND);
    feed->feed.freeze = FREEZE_DIVERGED;
    feed->feed.freeze_epoch = 1;
    assert_int_equal(replica_feed_state(feed, &beats, false, 3000), STATE_FORKED);
    feed->feed.freeze = FREEZE_NONE;
    feed->fetchable = false;
    assert_int_equal(replica_feed_state(feed, &beats, false, 3000), STATE_REVOKED);
}

/* A claim is no proof: it is asked after, and forgotten with the peer that made it. */
static void test_a_liar_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct hq_beats beats = { 0 };

    advance(f, 5, 1000);
    hq_beats_note(&beats, 1, 1, 1000);
    f->feeds[FR].beat = (struct beat){
        .epoch = 1, .seq = 5, .boot = 1, .counter = 1, .hq_boot = 1, .hq_counter = 1
    };
    claim(f, PEER_QC, 1ull << 60, 1000);
    assert_int_equal(replica_feed_state(&f->feeds[FR], &beats, true, 1000), STATE_CURRENT);
    assert_true(f->feeds[FR].tier[0].target.seq == 1ull << 60);
    f->peers[PEER_QC]->up = false;
    step(f, (struct replica_input){ .kind = INPUT_PEER_DOWN, .peer = PEER_QC }, 1100);
    assert_int_equal(f->feeds[FR].tier[0].target.seq, 5);
    assert_int_equal(f->feeds[FR].tier[0].behind_since_ms, 0);
    /* what was signed stays */
    step(f,
         (struct replica_input){
             .kind = INPUT_HEARD, .feed = FR, .tiers = TIERS_FEDERATION, .epoch = 1, .seq = 7 },
         1200);
    step(f, (struct replica_input){ .kind = INPUT_PEER_DOWN, .peer = PEER_QC }, 1300);
    assert_int_equal(f->feeds[FR].tier[0].target.seq, 7);
    assert_int_equal(replica_feed_state(&f->feeds[FR], &beats, true, 1300), STATE_BEHIND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
/* The own feed is fetched back only while it recovers; the closed state that replaces a newer
 * one is HQ's, whatever HQ claims, and although its list has not fitted mine. */
static void test_own_feed_is_fetched_back(void **state)
{
    struct fixture *f = *state;
    struct replica_feed *own = &f->feeds[FR];
    struct replica_effects effects;

    own->own = true;
    own->followed[TIER_HQ] = true;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        own->feed.tier[tier].epoch = 1;
        own->feed.tier[tier].seq = 9;
    }
    f->peers[PEER_FR]->up = false; /* nobody dials himself */
    claim(f, PEER_QC, 12, 1000);
    claim(f, PEER_HQ, 7, 1000);
    assert_int_equal(tick(f, 5000).count, 0);
    own->feed.recovering = true;
    effects = tick(f, 6000);
    assert_int_equal(effects.count, 1);
    assert_int_equal(effects.list[0].peer, PEER_QC); /* HQ has no more than I do */
    assert_int_equal(effects.list[0].since, 9);
    (void)step(
        f, (struct replica_input){ .kind = INPUT_ENDED, .request = effects.list[0].request },
        6001);
    own->feed.replacing = true;
    own->tier[TIER_FEDERATION].snapshot = true;
    own->tier[TIER_FEDERATION].target = (struct replica_claim){ 0, 0 };
    own->tier[TIER_FEDERATION].mismatch_peer[0] = PEER_HQ;
    own->tier[TIER_FEDERATION].mismatches = 1;
    effects = tick(f, 50000);
    assert_int_equal(effects.count, 1);
    assert_int_equal(effects.list[0].peer, PEER_HQ);
    assert_int_equal(effects.list[0].since, 0);
}

/* HQ alone holds what my tier hq lacks: however often its answer is lost, it is asked again. */
static void test_own_tier_hq_is_asked_for_until_it_comes(void **state)
{
    struct fixture *f = *state;
    struct replica_feed *own = &f->feeds[FR];
    int64_t now = 1000;

    own->own = true;
    own->feed.recovering = true;
    own->followed[TIER_HQ] = true;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        own->feed.tier[tier].epoch = 1;
        own->feed.tier[tier].seq = 9;
    }
    f->peers[PEER_FR]->up = false;
    (void)step(f,
               (struct replica_input){ .kind = INPUT_CLAIM,
                                       .peer = PEER_HQ,
                                       .feed = FR,
                                       .tiers = TIERS_HQ,
                                       .epoch = 1,
                                       .seq = 12 },
               now);
    for (int asked = 0; asked < 6;) {
        const struct replica_effects effects = tick(f, now += 60000);

        for (size_t i = 0; i < effects.count; i++)
            asked += effects.list[i].kind == EFFECT_WANT;
        assert_true(effects.count > 0);
        assert_true(f->peers[PEER_HQ]->claim[FR][TIER_HQ].seq == 12);
    }
}

/* Between two epochs one list that does not fit says enough: the whole is asked for. */
static void test_mismatch_between_epochs(void **state)
{
    struct fixture *f = *state;
    struct replica_effects effects;

    f->feeds[FR].feed.tier[TIER_FEDERATION].epoch = 1;
    f->feeds[FR].feed.tier[TIER_FEDERATION].seq = 9;
    (void)step(
        f,
        (struct replica_input){
            .kind = INPUT_HEARD, .feed = FR, .tiers = TIERS_FEDERATION, .epoch = 2, .seq = 12 },
        1000);
    (void)step(f,
               (struct replica_input){ .kind = INPUT_CLAIM,
                                       .peer = PEER_QC,
                                       .feed = FR,
                                       .tiers = TIERS_FEDERATION,
                                       .epoch = 2,
                                       .seq = 12 },
               1000);
    (void)step(f,
               (struct replica_input){ .kind = INPUT_MISMATCH,
                                       .peer = PEER_QC,
                                       .feed = FR,
                                       .tiers = TIERS_FEDERATION,
                                       .answer = true },
               2000);
    effects = tick(f, 60000);
    assert_int_equal(effects.count, 1);
    assert_int_equal(effects.list[0].since, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_own_feed_is_fetched_back),
        TEST(test_own_tier_hq_is_asked_for_until_it_comes),
        TEST(test_mismatch_between_epochs),
        TEST(test_an_empty_feed_is_fetched_at_once_from_its_origin),
        TEST(test_a_gap_is_given_time),
        TEST(test_a_silent_peer_is_left_for_another),
        TEST(test_backoff_grows_and_is_bounded),
        TEST(test_a_mismatch_recounts_then_asks_since_0),
        TEST(test_damage_is_mended_at_the_same_head),
        TEST(test_a_lost_peer_is_replaced_at_once),
        TEST(test_hq_tier_comes_from_the_origin_alone),
        TEST(test_frozen_and_revoked_feeds_are_not_fetched),
        TEST(test_a_liar_is_forgotten),
        TEST(test_an_ended_feed_is_fetched_up_to_its_end),
        TEST(test_who_stands_beyond_the_end_goes_back),
        TEST(test_states),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
