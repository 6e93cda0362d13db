/* SPDX-License-Identifier: MPL-2.0 */
/* feed_test.c - what a head is to the heads that were accepted before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "daemon/core/feed.h"

static const struct feed_term first_term = { .epoch = 1, .instance = 1, .closed_seq = 0 };

/* A head whose hash says which branch it is of. */
static struct head head_of(uint64_t epoch, uint64_t prev_seq, uint64_t seq, uint8_t prev_branch,
                           uint8_t branch)
{
    struct head head = {
        .origin = "fr", .epoch = epoch, .instance = 1, .seq = seq, .prev_seq = prev_seq
    };

    memset(head.prev_hash, 0, HASH_SIZE);
    if (prev_seq != 0) {
        head.prev_hash[0] = (uint8_t)prev_seq;
        head.prev_hash[1] = prev_branch;
    }
    head.hash[0] = (uint8_t)seq;
    head.hash[1] = branch;
    return head;
}

static struct feed feed_at(uint64_t seq)
{
    struct feed feed;

    feed_init(&feed, "fr");
    for (uint64_t i = 1; i <= seq; i++) {
        const struct head head = head_of(1, i - 1, i, 0, 0);

        feed_advance(&feed, TIERS_BOTH, &head);
    }
    return feed;
}

static enum feed_verdict judge(const struct feed *feed, struct head head, uint64_t since)
{
    const struct feed_mark *other = NULL;

    return feed_judge(feed, TIER_FEDERATION, &first_term, &head, since, &other);
}

static void test_verdicts(void **state)
{
    const struct feed empty = feed_at(0);
    const struct feed feed = feed_at(5);
    static const struct {
        uint64_t prev_seq, seq;
        uint8_t prev_branch, branch;
        uint64_t since;
        enum feed_verdict verdict;
    } rows[] = {
        { 5, 6, 0, 0, 5, FEED_EXTENDS },
        { 5, 9, 0, 0, 5, FEED_EXTENDS },
        { 7, 9, 0, 0, 4, FEED_EXTENDS }, /* a delta over heads that I never saw */
        { 7, 9, 0, 0, 7, FEED_GAP },
        { 4, 5, 0, 0, 4, FEED_KNOWN },
        { 2, 3, 0, 0, 2, FEED_KNOWN },
        { 4, 5, 0, 1, 4, FEED_FORK }, /* my seq, another hash */
        { 5, 6, 1, 1, 5, FEED_FORK }, /* sits on another 5 */
        { 3, 7, 0, 1, 3, FEED_FORK }, /* its range overlaps mine */
        { 1, 2, 0, 1, 1, FEED_FORK }, /* an old one, remembered */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(judge(&feed,
                               head_of(1, rows[i].prev_seq, rows[i].seq, rows[i].prev_branch,
                                       rows[i].branch),
                               rows[i].since),
                         rows[i].verdict);
    assert_int_equal(judge(&empty, head_of(1, 0, 1, 0, 0), 0), FEED_EXTENDS);
    assert_int_equal(judge(&empty, head_of(1, 8, 9, 0, 0), 0), FEED_EXTENDS);
    assert_int_equal(judge(&empty, head_of(1, 8, 9, 0, 0), 8), FEED_GAP);
}

/* A thief of a key would use up the numbers there are: nobody could sign above them. */
static void test_leaps(void **state)
{
    const struct feed empty = feed_at(0);
    const struct feed feed = feed_at(5);
    const struct feed_term second = {
        .epoch = 2, .instance = 1, .closed_seq = 9, .closed_hash = { 9 }
    };
    const struct feed_mark *other = NULL;
    const uint64_t most = SEQ_LEAP_MAX;
    struct head head = head_of(1, 4 + most, 5 + most, 0, 0);

    (void)state;
    assert_int_equal(judge(&feed, head, 5), FEED_EXTENDS);
    head = head_of(1, 5 + most, 6 + most, 0, 0);
    assert_int_equal(judge(&feed, head, 5), FEED_LEAPS);
    assert_int_equal(judge(&feed, head, 0), FEED_LEAPS);
    assert_int_equal(judge(&feed, head, 5 + most), FEED_LEAPS);
    assert_int_equal(judge(&empty, head, 0), FEED_EXTENDS); /* whoever comes anew knows none */
    /* but where the last epoch was closed */
    head = head_of(2, 9, 9 + most, 0, 0);
    assert_int_equal(feed_judge(&empty, TIER_FEDERATION, &second, &head, 0, &other),
                     FEED_EXTENDS);
    head = head_of(2, 9, 10 + most, 0, 0);
    assert_int_equal(feed_judge(&empty, TIER_FEDERATION, &second, &head, 0, &other),
                     FEED_LEAPS);
}

/* The same of epochs: below the roster's, or my own, all are possible. */
static void test_epochs_leap(void **state)
{
    const struct feed_term term = { .epoch = 7, .instance = 1 };
    struct feed_mark mark = { .epoch = 2, .seq = 5 };

    (void)state;
    assert_false(feed_epoch_leaps(&mark, &term, 1));
    assert_false(feed_epoch_leaps(&mark, &term, 7 + EPOCH_LEAP_MAX));
    assert_true(feed_epoch_leaps(&mark, &term, 8 + EPOCH_LEAP_MAX));
    mark.epoch = 9; /* HQ was restored */
    assert_false(feed_epoch_leaps(&mark, &term, 9 + EPOCH_LEAP_MAX));
    assert_true(feed_epoch_leaps(&mark, &term, 10 + EPOCH_LEAP_MAX));
    assert_true(feed_epoch_leaps(&mark, &term, UINT64_MAX));
}

static void test_horizon_needs_a_snapshot(void **state)
{
    const struct feed feed = feed_at(5);
    struct head head = head_of(1, 8, 9, 0, 0);

    (void)state;
    head.horizon = 5;
    assert_int_equal(judge(&feed, head, 5), FEED_EXTENDS);
    head.horizon = 6;
    assert_int_equal(judge(&feed, head, 5), FEED_SNAPSHOT);
}

static void test_epochs(void **state)
{
    const struct feed feed = feed_at(5);
    const struct feed_term second = {
        .epoch = 2, .instance = 7, .closed_seq = 6, .closed_hash = { 6 }
    };
    const struct feed_mark *other = NULL;
    struct head head = head_of(2, 6, 7, 0, 0);

    (void)state;
    /* My roster knows no epoch 2: that is no fork, fetch HQ's feed first. */
    assert_int_equal(judge(&feed, head, 5), FEED_LATER_EPOCH);
    /* It knows it, but the head is not of the instance that HQ named. */
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &head, 5, &other),
                     FEED_LATER_EPOCH);
    head.instance = 7;
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &head, 5, &other),
                     FEED_EXTENDS);
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &head, 6, &other), FEED_GAP);
    /* Of the closed epoch: up to where it closed, and no further; and it freezes nothing. */
    head = head_of(1, 5, 6, 0, 0);
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &head, 5, &other),
                     FEED_EXTENDS);
    head = head_of(1, 6, 7, 0, 0);
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &head, 5, &other),
                     FEED_CLOSED_EPOCH);
    head = head_of(1, 5, 6, 0, 1); /* beside where it closed */
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &head, 5, &other),
                     FEED_CLOSED_EPOCH);
    head = head_of(1, 4, 5, 0, 9);
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &head, 4, &other), FEED_KNOWN);
}

/* From where a state stands, and what HQ closed, follows how the next epoch is reached. */
static void test_line_of_epochs(void **state)
{
    static const struct {
        uint64_t seq; /* of my head in epoch 1 */
        uint8_t branch;
        uint64_t epoch; /* that HQ opened */
        bool frozen;
        bool on_line;
    } rows[] = {
        { 4, 0, 2, false, true },                             /* on the way */
        { 5, 0, 2, false, true },                             /* where it closed */
        { 5, 0, 2, true, true },   { 5, 1, 2, false, false }, /* beside it */
        { 6, 0, 2, false, false },                            /* beyond */
        { 4, 0, 2, true, false },                             /* of which history? */
        { 4, 0, 3, false, false }, /* two epochs away: nobody knows */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct feed_term term = {
            .epoch = rows[i].epoch, .instance = 7, .closed_seq = 5, .closed_hash = { 5 }
        };
        const struct head mine = head_of(1, rows[i].seq - 1, rows[i].seq, 0, rows[i].branch);
        struct head next = head_of(rows[i].epoch, 5, 7, 0, 0);
        const struct feed_mark *other = NULL;
        struct feed feed;

        feed_init(&feed, "fr");
        feed_advance(&feed, TIERS_BOTH, &mine);
        feed.freeze = rows[i].frozen ? FREEZE_FORKED : FREEZE_NONE;
        feed.freeze_epoch = 1;
        next.instance = 7;
        assert_int_equal(feed_on_line(&feed, &feed.tier[0], &term), rows[i].on_line);
        assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &term, &next, 3, &other),
                         rows[i].on_line ? FEED_EXTENDS : FEED_SNAPSHOT);
    }
}

/* The own feed, fetched back: the closed head is taken though the feed is frozen, and where it
 * replaces what was signed, nothing else is. */
static void test_fetched_back(void **state)
{
    const struct feed_term second = {
        .epoch = 2, .instance = 7, .closed_seq = 4, .closed_hash = { 4 }
    };
    struct feed feed = feed_at(5);
    const struct feed_mark *other = NULL;
    const struct head closed = head_of(1, 3, 4, 0, 0);
    const struct head beside = head_of(1, 3, 4, 0, 1);
    const struct head before = head_of(1, 2, 3, 0, 0);

    (void)state;
    feed.freeze = FREEZE_FORKED;
    feed.freeze_epoch = 1;
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &closed, 0, &other),
                     FEED_FROZEN);
    /* Who stands at it may mend a damaged copy with it: HQ vouches for it. */
    memcpy(feed.tier[TIER_HQ].hash, closed.hash, HASH_SIZE);
    assert_int_equal(feed_judge(&feed, TIER_HQ, &second, &closed, 0, &other), FEED_KNOWN);
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &before, 0, &other),
                     FEED_FROZEN);
    feed.recovering = true;
    feed.replacing = true;
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &closed, 0, &other),
                     FEED_SNAPSHOT);
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &beside, 0, &other),
                     FEED_CLOSED_EPOCH);
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &before, 0, &other),
                     FEED_CLOSED_EPOCH);
    feed_go_back(&feed, TIERS_FEDERATION);
    feed_advance(&feed, TIERS_FEDERATION, &closed);
    assert_int_equal(feed.tier[TIER_FEDERATION].seq, 4);
    assert_false(feed.replacing);
}

/* HQ had more of tier hq than of tier federation where it closed: the origin takes it back. */
static void test_tier_hq_beyond_the_closed_head(void **state)
{
    const struct feed_term second = {
        .epoch = 2, .instance = 7, .closed_seq = 4, .closed_hash = { 4 }
    };
    struct feed feed = feed_at(4);
    const struct feed_mark *other = NULL;
    const struct head beyond = head_of(1, 5, 6, 0, 0);
    const struct head beside = head_of(1, 3, 4, 0, 1);

    (void)state;
    assert_int_equal(feed_judge(&feed, TIER_HQ, &second, &beyond, 0, &other),
                     FEED_CLOSED_EPOCH);
    feed.recovering = true;
    assert_int_equal(feed_judge(&feed, TIER_HQ, &second, &beyond, 0, &other), FEED_EXTENDS);
    feed_go_back(&feed, TIERS_HQ);
    assert_int_equal(feed_judge(&feed, TIER_HQ, &second, &beyond, 0, &other), FEED_EXTENDS);
    assert_int_equal(feed_judge(&feed, TIER_HQ, &second, &beside, 0, &other),
                     FEED_CLOSED_EPOCH);
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &beyond, 0, &other),
                     FEED_CLOSED_EPOCH);
}

static void test_frozen_until_the_next_epoch(void **state)
{
    struct feed feed = feed_at(5);
    const struct feed_term second = { .epoch = 2, .instance = 1, .closed_seq = 5 };
    const struct feed_mark *other = NULL;
    struct head head = head_of(1, 5, 6, 0, 0);

    (void)state;
    feed.freeze = FREEZE_FORKED;
    feed.freeze_epoch = 1;
    assert_int_equal(judge(&feed, head, 5), FEED_FROZEN);
    head = head_of(2, 5, 6, 0, 0);
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &head, 0, &other),
                     FEED_SNAPSHOT); /* closed at another head than mine */
    feed_advance(&feed, TIERS_FEDERATION, &head);
    assert_int_equal(feed.freeze, FREEZE_NONE);
}

/* HQ suspended or revoked the chapter: its feed ends at (1, 5). */
static void test_ended(void **state)
{
    struct feed behind = feed_at(3);
    struct feed beyond = feed_at(7);
    struct feed_term term = {
        .epoch = 1, .instance = 1, .ended = true, .until_epoch = 1, .until_seq = 5
    };
    const struct feed_mark *other = NULL;
    struct head head = head_of(1, 3, 5, 0, 0);

    (void)state;
    assert_int_equal(feed_judge(&behind, TIER_FEDERATION, &term, &head, 3, &other),
                     FEED_EXTENDS);
    head = head_of(1, 3, 6, 0, 0);
    assert_int_equal(feed_judge(&behind, TIER_FEDERATION, &term, &head, 3, &other), FEED_ENDED);
    head = head_of(1, 7, 8, 0, 0);
    assert_int_equal(feed_judge(&beyond, TIER_FEDERATION, &term, &head, 7, &other), FEED_ENDED);
    /* Suspended: whoever is beyond waits there. */
    head = head_of(1, 4, 5, 0, 0);
    assert_int_equal(feed_judge(&beyond, TIER_FEDERATION, &term, &head, 0, &other), FEED_KNOWN);
    /* Revoked: he goes back to exactly there, by a whole list. */
    term.revoked = true;
    assert_int_equal(feed_judge(&beyond, TIER_FEDERATION, &term, &head, 0, &other),
                     FEED_SNAPSHOT);
    head = head_of(1, 3, 4, 0, 0);
    assert_int_equal(feed_judge(&beyond, TIER_FEDERATION, &term, &head, 0, &other), FEED_KNOWN);
    /* Where no end is stated nothing more is taken, and nobody goes back. */
    term.until_seq = 0;
    head = head_of(1, 3, 4, 0, 0);
    assert_int_equal(feed_judge(&behind, TIER_FEDERATION, &term, &head, 3, &other), FEED_ENDED);
    assert_false(feed_is_beyond(&term, &beyond.tier[0]));
}

static void test_memory(void **state)
{
    struct feed feed = feed_at(HEADS_KEPT + 10);
    struct head head = head_of(1, 4, 5, 0, 0);
    uint8_t hash[HASH_SIZE] = { 0 };

    (void)state;
    assert_false(feed_remembers(&feed, &head)); /* longer ago than memory reaches */
    head = head_of(1, HEADS_KEPT, HEADS_KEPT + 1, 0, 0);
    assert_true(feed_remembers(&feed, &head));
    head.hash[1] = 1;
    assert_false(feed_remembers(&feed, &head));
    assert_non_null(feed_contradicts(&feed, 1, HEADS_KEPT + 1, hash));
    hash[0] = HEADS_KEPT + 1;
    assert_null(feed_contradicts(&feed, 1, HEADS_KEPT + 1, hash));
    assert_null(feed_contradicts(&feed, 2, HEADS_KEPT + 1, head.hash));
    /* Inside a head's range nobody can stand. */
    head = head_of(1, HEADS_KEPT + 10, HEADS_KEPT + 20, 0, 0);
    feed_advance(&feed, TIERS_FEDERATION, &head);
    assert_non_null(feed_contradicts(&feed, 1, HEADS_KEPT + 15, hash));
}

static void test_beats(void **state)
{
    const struct feed feed = feed_at(5);
    struct beat beat = { .origin = "fr", .epoch = 1, .seq = 5 };

    (void)state;
    beat.head_hash[0] = 5;
    assert_null(feed_beat_conflict(&feed, &beat));
    beat.head_hash[1] = 1;
    assert_non_null(feed_beat_conflict(&feed, &beat));
    beat.seq = 6; /* ahead of me: no verdict */
    assert_null(feed_beat_conflict(&feed, &beat));
}

/* Two heads that do not overlap, and yet do not lie on one line. */
static void test_heads_beside_the_line(void **state)
{
    const struct head taken = head_of(1, 4, 5, 0, 0);
    const struct feed_mark *other = NULL;
    struct feed feed;
    struct head head = head_of(1, 3, 4, 0, 1); /* the former of the one I hold is another 4 */

    (void)state;
    feed_init(&feed, "fr");
    feed_advance(&feed, TIERS_BOTH, &taken);
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &first_term, &head, 3, &other),
                     FEED_FORK);
    assert_int_equal(other->seq, 5);
    assert_int_equal(judge(&feed, head_of(1, 3, 4, 0, 0), 3), FEED_KNOWN);
    /* the same in another epoch says nothing */
    head = head_of(2, 3, 4, 0, 1);
    assert_null(feed_conflict(&feed, &head));
}

static void test_closed_heads(void **state)
{
    const struct feed_term term = { .epoch = 3, .closed_seq = 5, .closed_hash = { 5 } };
    const struct feed_term nothing = { .epoch = 2 };
    static const struct {
        uint64_t epoch, seq;
        uint8_t branch;
        bool closed, off;
    } rows[] = {
        { 2, 5, 0, true, false }, { 2, 5, 1, false, true },  { 2, 4, 0, false, false },
        { 2, 6, 0, false, true }, { 3, 5, 0, false, false }, { 3, 9, 1, false, false },
        { 1, 5, 0, true, false },
    };
    static const uint8_t zeros[HASH_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct head head = head_of(rows[i].epoch, 0, rows[i].seq, 0, rows[i].branch);

        if (feed_is_closed_head(&term, head.epoch, head.seq, head.hash) != rows[i].closed ||
            feed_is_closed_off(&term, head.epoch, head.seq, head.hash) != rows[i].off)
            fail_msg("row %zu", i);
    }
    assert_false(feed_is_closed_head(&nothing, 1, 0, zeros)); /* there was no head */
}

/* The whole is needed where a delta does not lead into the epoch in force. */
static void test_a_long_way_back(void **state)
{
    struct feed feed = feed_at(5);
    const struct feed_term third = {
        .epoch = 3, .instance = 1, .closed_seq = 9, .closed_hash = { 9 }
    };
    const struct feed_mark *other = NULL;
    struct head head = head_of(2, 5, 6, 0, 0); /* of the epoch between */

    (void)state;
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &third, &head, 5, &other),
                     FEED_SNAPSHOT);
    head = head_of(3, 9, 10, 0, 0);
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &third, &head, 5, &other),
                     FEED_SNAPSHOT);
    memset(&feed.tier[TIER_HQ], 0, sizeof feed.tier[TIER_HQ]); /* a tier without a state */
    assert_int_equal(feed_judge(&feed, TIER_HQ, &third, &head, 0, &other), FEED_EXTENDS);
    assert_true(feed_on_line(&feed, &feed.tier[TIER_HQ], &third));
}

/* What replaces the own state is of tier federation; tier hq goes on by itself. */
static void test_replacing_is_of_one_tier(void **state)
{
    struct feed feed = feed_at(5);
    const struct feed_term second = {
        .epoch = 2, .instance = 1, .closed_seq = 4, .closed_hash = { 4 }
    };
    const struct feed_mark *other = NULL;
    struct head head = head_of(1, 3, 4, 0, 0);

    (void)state;
    feed.replacing = true;
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &head, 0, &other),
                     FEED_SNAPSHOT);
    assert_int_equal(feed_judge(&feed, TIER_HQ, &second, &head, 0, &other), FEED_KNOWN);
    feed_advance(&feed, TIERS_HQ, &(struct head){ .epoch = 2, .seq = 6, .prev_seq = 5 });
    assert_true(feed.replacing);
}

static void test_what_a_frozen_feed_takes(void **state)
{
    struct feed feed = feed_at(5);
    const struct feed_term second = {
        .epoch = 2, .instance = 1, .closed_seq = 5, .closed_hash = { 5 }
    };
    const struct feed_mark *other = NULL;
    struct head head = head_of(1, 4, 5, 0, 0);

    (void)state;
    feed.freeze = FREEZE_FORKED;
    feed.freeze_epoch = 2;
    /* only the very head at which HQ closed it, which I hold */
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &head, 0, &other), FEED_KNOWN);
    head = head_of(1, 3, 4, 0, 0);
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &head, 0, &other),
                     FEED_FROZEN);
    feed.recovering = true; /* the own one is fetched back all the same */
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &head, 0, &other), FEED_KNOWN);
    head = head_of(2, 5, 6, 0, 0);
    assert_int_equal(feed_judge(&feed, TIER_FEDERATION, &second, &head, 0, &other),
                     FEED_FROZEN);
}

static void test_remembers(void **state)
{
    const struct feed feed = feed_at(3);
    struct head head = head_of(1, 2, 3, 0, 0);

    (void)state;
    assert_true(feed_remembers(&feed, &head));
    head.hash[1] = 1;
    assert_false(feed_remembers(&feed, &head));
    head = head_of(2, 2, 3, 0, 0);
    assert_false(feed_remembers(&feed, &head));
    head = head_of(1, 3, 4, 0, 0);
    assert_false(feed_remembers(&feed, &head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_leaps),
        cmocka_unit_test(test_epochs_leap),
        cmocka_unit_test(test_horizon_needs_a_snapshot),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_frozen_until_the_next_epoch),
        cmocka_unit_test(test_ended),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_beats),
        cmocka_unit_test(test_line_of_epochs),
        cmocka_unit_test(test_fetched_back),
        cmocka_unit_test(test_heads_beside_the_line),
        cmocka_unit_test(test_closed_heads),
        cmocka_unit_test(test_tier_hq_beyond_the_closed_head),
        cmocka_unit_test(test_a_long_way_back),
        cmocka_unit_test(test_replacing_is_of_one_tier),
        cmocka_unit_test(test_what_a_frozen_feed_takes),
        cmocka_unit_test(test_remembers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
