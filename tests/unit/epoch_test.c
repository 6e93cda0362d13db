/* SPDX-License-Identifier: MPL-2.0 */
/* epoch_test.c - who may sign, what HQ answers, what is issued again: the tables of epoch.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "daemon/core/epoch.h"

/* The own feed at (epoch, seq); the hash of a head is its seq and its branch. */
static struct feed feed_at(uint64_t epoch, uint64_t seq, uint8_t branch,
                           enum feed_freeze freeze)
{
    struct feed feed;

    feed_init(&feed, "fr");
    for (int tier = 0; tier < TIERS_PUBLISHED && seq != 0; tier++) {
        feed.tier[tier].epoch = epoch;
        feed.tier[tier].seq = seq;
        feed.tier[tier].hash[0] = (uint8_t)seq;
        feed.tier[tier].hash[1] = branch;
    }
    feed.freeze = freeze;
    feed.freeze_epoch = epoch;
    return feed;
}

static struct feed_term term_of(uint64_t epoch, uint64_t instance, uint64_t closed_seq)
{
    struct feed_term term = { .epoch = epoch, .instance = instance, .closed_seq = closed_seq };

    term.closed_hash[0] = (uint8_t)closed_seq;
    return term;
}

static void test_what_shakes(void **state)
{
    static const struct {
        uint64_t instance, wanted;
        uint64_t term_epoch, term_instance, closed_seq;
        uint64_t epoch, seq;
        enum feed_freeze freeze;
        uint64_t proven_epoch, proven_seq;
        enum epoch_reason reason;
    } rows[] = {
        /* an ordinary restart needs nobody */
        { 1, 0, 1, 1, 0, 1, 5, FREEZE_NONE, 0, 0, EPOCH_SOUND },
        { 1, 0, 1, 1, 0, 1, 5, FREEZE_NONE, 1, 5, EPOCH_SOUND },
        /* somebody holds more of mine */
        { 1, 0, 1, 1, 0, 1, 5, FREEZE_NONE, 1, 6, EPOCH_BEHIND },
        { 1, 0, 1, 1, 0, 1, 5, FREEZE_NONE, 2, 1, EPOCH_BEHIND },
        { 1, 0, 1, 1, 0, 0, 0, FREEZE_NONE, 1, 6, EPOCH_BEHIND }, /* the disk was lost */
        /* forks */
        { 1, 0, 1, 1, 0, 1, 5, FREEZE_FORKED, 0, 0, EPOCH_FORKED },
        { 1, 0, 1, 1, 0, 1, 5, FREEZE_DIVERGED, 0, 0, EPOCH_DIVERGED },
        { 1, 7, 1, 1, 0, 1, 5, FREEZE_FORKED, 0, 0, EPOCH_SOUND }, /* it recovers already */
        /* the epoch that HQ opened for it: not begun yet, begun by an earlier life of it */
        { 1, 7, 2, 7, 5, 1, 5, FREEZE_NONE, 1, 6, EPOCH_SOUND },
        { 1, 7, 2, 7, 5, 1, 5, FREEZE_NONE, 2, 6, EPOCH_BEHIND },
        { 1, 7, 2, 7, 5, 2, 6, FREEZE_NONE, 0, 0, EPOCH_BEHIND },
        { 1, 7, 2, 9, 5, 1, 5, FREEZE_NONE, 2, 6, EPOCH_SOUND }, /* by another one */
        /* HQ named another one */
        { 1, 0, 2, 9, 5, 1, 5, FREEZE_NONE, 0, 0, EPOCH_SUPERSEDED },
        { 9, 0, 2, 9, 5, 2, 6, FREEZE_NONE, 0, 0, EPOCH_SOUND },
        { 9, 0, 2, 9, 5, 2, 6, FREEZE_NONE, 1, 9, EPOCH_SOUND }, /* of a closed epoch */
        /* a new disk under a new key: that others hold more is why it fetches */
        { 9, 0, 2, 9, 5, 0, 0, FREEZE_NONE, 1, 5, EPOCH_SOUND },
        { 9, 0, 2, 9, 5, 0, 0, FREEZE_NONE, 2, 6, EPOCH_BEHIND },
        { 9, 0, 2, 9, 5, 1, 4, FREEZE_NONE, 3, 1, EPOCH_BEHIND },
        /* closed at nothing by an HQ that held nothing */
        { 9, 0, 2, 9, 0, 1, 5, FREEZE_NONE, 1, 6, EPOCH_FORGOTTEN },
        { 1, 7, 2, 7, 0, 1, 5, FREEZE_NONE, 0, 0, EPOCH_COPIED },
        { 1, 7, 2, 7, 0, 0, 0, FREEZE_NONE, 1, 5, EPOCH_SOUND },
        { 1, 7, 2, 9, 0, 1, 5, FREEZE_NONE, 0, 0, EPOCH_SOUND },
        { 9, 0, 2, 9, 5, 1, 4, FREEZE_FORKED, 0, 0, EPOCH_SOUND }, /* closed since */
        /* the same, before it has signed anything: a head that it fetched is of another life */
        { 0, 0, 2, 9, 5, 0, 0, FREEZE_NONE, 1, 5, EPOCH_SOUND },
        { 0, 0, 2, 9, 5, 1, 5, FREEZE_NONE, 0, 0, EPOCH_SOUND },
        { 0, 0, 2, 9, 5, 2, 6, FREEZE_NONE, 0, 0, EPOCH_BEHIND },
        { 0, 0, 1, 1, 0, 0, 0, FREEZE_NONE, 0, 0, EPOCH_SOUND },
        /* a roster that is not here yet is no judge; one that was put back knows too little */
        { 1, 0, 0, 9, 0, 1, 5, FREEZE_NONE, 0, 0, EPOCH_SOUND },
        { 1, 0, 1, 9, 0, 2, 5, FREEZE_NONE, 0, 0, EPOCH_FORGOTTEN },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct epoch_own own = { .instance = rows[i].instance,
                                       .wanted = rows[i].wanted,
                                       .reason = EPOCH_COPIED };
        const struct feed_term term =
            term_of(rows[i].term_epoch, rows[i].term_instance, rows[i].closed_seq);
        const struct feed feed = feed_at(rows[i].epoch, rows[i].seq, 0, rows[i].freeze);

        if (epoch_shaken(&own, &term, &feed, rows[i].proven_epoch, rows[i].proven_seq) !=
            rows[i].reason)
            fail_msg("row %zu: not %s", i, epoch_reason_name(rows[i].reason));
    }
}

static void test_phases(void **state)
{
    static const struct {
        uint64_t instance, wanted;
        uint64_t term_epoch, term_instance, closed_seq;
        uint64_t epoch, seq;
        uint8_t branch;
        enum feed_freeze freeze;
        enum epoch_phase phase;
    } rows[] = {
        { 1, 0, 1, 1, 0, 1, 5, 0, FREEZE_NONE, EPOCH_SIGNING },
        { 1, 0, 1, 1, 0, 0, 0, 0, FREEZE_NONE, EPOCH_SIGNING },
        { 1, 7, 1, 1, 0, 1, 5, 0, FREEZE_NONE, EPOCH_ASKING },
        { 1, 7, 2, 9, 5, 1, 5, 0, FREEZE_NONE, EPOCH_ASKING }, /* another one was named */
        { 1, 7, 2, 7, 8, 1, 5, 0, FREEZE_NONE, EPOCH_FETCHING },
        { 1, 7, 2, 7, 5, 1, 5, 0, FREEZE_NONE, EPOCH_BEGINNING },
        { 1, 7, 2, 7, 5, 1, 5, 0, FREEZE_FORKED, EPOCH_BEGINNING },
        { 1, 7, 2, 7, 5, 1, 5, 1, FREEZE_NONE, EPOCH_REPLACING }, /* beside */
        { 1, 7, 2, 7, 5, 1, 6, 0, FREEZE_NONE, EPOCH_REPLACING }, /* beyond */
        { 1, 7, 2, 7, 8, 1, 5, 0, FREEZE_FORKED, EPOCH_REPLACING },
        { 7, 0, 2, 7, 5, 2, 6, 0, FREEZE_NONE, EPOCH_SIGNING },
        { 7, 0, 2, 7, 5, 0, 0, 0, FREEZE_NONE, EPOCH_FETCHING },
        { 7, 0, 2, 7, 0, 0, 0, 0, FREEZE_NONE, EPOCH_BEGINNING }, /* nobody ever had anything */
        { 0, 0, 2, 7, 5, 0, 0, 0, FREEZE_NONE, EPOCH_FETCHING },  /* has signed nothing yet */
        { 0, 0, 1, 1, 0, 0, 0, 0, FREEZE_NONE, EPOCH_SIGNING },
        { 7, 0, 1, 7, 0, 2, 6, 0, FREEZE_NONE, EPOCH_ASKING }, /* a roster that was put back */
        { 7, 0, 0, 7, 0, 2, 6, 0, FREEZE_NONE, EPOCH_ASKING }, /* not here yet */
        { 7, 0, 2, 7, 5, 3, 6, 0, FREEZE_NONE, EPOCH_ASKING }, /* a roster from before */
        { 1, 7, 2, 7, 5, 2, 6, 0, FREEZE_NONE, EPOCH_ASKING },
        { 1, 7, 2, 7, 5, 0, 0, 0, FREEZE_NONE, EPOCH_FETCHING },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct epoch_own own = { .instance = rows[i].instance, .wanted = rows[i].wanted };
        const struct feed_term term =
            term_of(rows[i].term_epoch, rows[i].term_instance, rows[i].closed_seq);
        const struct feed feed =
            feed_at(rows[i].epoch, rows[i].seq, rows[i].branch, rows[i].freeze);

        if (epoch_phase_of(&own, &term, &feed) != rows[i].phase)
            fail_msg("row %zu: not phase %d", i, (int)rows[i].phase);
    }
}

static void test_what_hq_answers(void **state)
{
    static const struct {
        uint64_t instance;
        uint64_t head_epoch, head_seq;
        enum epoch_others others;
        uint64_t held_seq;
        enum feed_freeze freeze;
        enum epoch_answer answer;
    } rows[] = {
        { 7, 1, 5, OTHERS_NONE, 5, FREEZE_NONE, EPOCH_GRANTED },
        { 7, 1, 3, OTHERS_NONE, 5, FREEZE_NONE, EPOCH_GRANTED },
        { 7, 0, 0, OTHERS_NONE, 5, FREEZE_NONE, EPOCH_GRANTED },
        { 7, 0, 0, OTHERS_NONE, 0, FREEZE_NONE, EPOCH_GRANTED },
        /* HQ holds the requester's head first, unless it never can */
        { 7, 1, 6, OTHERS_NONE, 5, FREEZE_NONE, EPOCH_WAITS_FOR_HEAD },
        { 7, 1, 6, OTHERS_NONE, 5, FREEZE_FORKED, EPOCH_GRANTED },
        { 7, 9, 6, OTHERS_NONE, 5, FREEZE_NONE, EPOCH_GRANTED }, /* of no epoch there is */
        /* another one goes on signing: nobody takes over from it */
        { 7, 1, 5, OTHERS_UNKNOWN, 5, FREEZE_NONE, EPOCH_LATER },
        { 7, 1, 5, OTHERS_ALIVE, 5, FREEZE_NONE, EPOCH_LOCKED_OUT },
        { 7, 1, 5, OTHERS_ALIVE, 5, FREEZE_FORKED, EPOCH_LOCKED_OUT },
        /* asked again */
        { 1, 1, 9, OTHERS_ALIVE, 5, FREEZE_NONE, EPOCH_GRANTED },
    };
    const struct feed_term term = term_of(1, 1, 0);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct feed head = feed_at(1, rows[i].head_seq, 0, FREEZE_NONE);
        const struct epoch_request request = { .instance = rows[i].instance,
                                               .head_epoch = rows[i].head_epoch,
                                               .head_seq = rows[i].head_seq,
                                               .head_hash = head.tier[0].hash,
                                               .others = rows[i].others };
        const struct feed feed = feed_at(1, rows[i].held_seq, 0, rows[i].freeze);

        if (epoch_answer(&request, &term, &feed) != rows[i].answer)
            fail_msg("row %zu: not answer %d", i, (int)rows[i].answer);
    }
}

/* The named instance was gone before it began: another one asks, with a head beyond the closed
 * one, which HQ never takes. */
static void test_hq_waits_for_no_head_of_a_closed_epoch(void **state)
{
    const struct feed_term term = term_of(2, 7, 5);
    const struct feed feed = feed_at(1, 5, 0, FREEZE_NONE);
    const struct feed behind = feed_at(1, 3, 0, FREEZE_NONE);
    const struct feed closed = feed_at(1, 5, 0, FREEZE_NONE);
    const struct feed beside = feed_at(1, 5, 1, FREEZE_NONE);
    struct epoch_request request = {
        .instance = 8, .head_epoch = 1, .head_seq = 6, .head_hash = closed.tier[0].hash
    };

    (void)state;
    assert_int_equal(epoch_answer(&request, &term, &feed), EPOCH_GRANTED);
    request.head_seq = 5; /* the closed one itself, which HQ lost */
    assert_int_equal(epoch_answer(&request, &term, &behind), EPOCH_WAITS_FOR_HEAD);
    request.head_hash = beside.tier[0].hash; /* another one of the same seq */
    assert_int_equal(epoch_answer(&request, &term, &behind), EPOCH_GRANTED);
    request.head_epoch = 2;
    request.head_seq = 6;
    assert_int_equal(epoch_answer(&request, &term, &feed), EPOCH_WAITS_FOR_HEAD);
}

/* Closed at 10, the epoch's first seq is 11. */
static void test_what_is_issued_again(void **state)
{
    static const struct {
        uint64_t seq;
        bool held;
        uint64_t held_seq;
        bool same;
        struct epoch_offered offered;
        uint64_t horizon;
        bool with_hq;
        enum epoch_verdict verdict;
    } rows[] = {
        { 12,
          false,
          0,
          false,
          { 0, 0, 0, false },
          0,
          false,
          SURPLUS_ISSUE }, /* nobody else has it */
        { 12,
          true,
          8,
          false,
          { 0, 0, 0, false },
          0,
          false,
          SURPLUS_ISSUE }, /* a later version of it */
        { 12, true, 8, true, { 0, 0, 0, false }, 0, false, SURPLUS_NOTED },
        { 7,
          true,
          8,
          false,
          { 0, 0, 0, false },
          0,
          false,
          SURPLUS_NONE }, /* what the closed epoch replaced */
        { 8,
          true,
          8,
          true,
          { 0, 0, 0, false },
          0,
          false,
          SURPLUS_NONE }, /* what the new state has */
        { 9,
          true,
          8,
          false,
          { 0, 0, 0, false },
          0,
          false,
          SURPLUS_ISSUE }, /* beside where it closed */
        { 12,
          true,
          13,
          false,
          { 0, 0, 0, false },
          0,
          false,
          SURPLUS_NONE }, /* its users changed it since */
        /* of what was offered before, only what is higher counts */
        { 12, true, 13, false, { 1, 11, 13, false }, 0, false, SURPLUS_ISSUE },
        { 12, true, 13, false, { 1, 12, 13, false }, 0, false, SURPLUS_NONE },
        { 12, true, 13, false, { 1, 15, 13, false }, 0, false, SURPLUS_NONE },
        { 12,
          true,
          13,
          false,
          { 1, 12, 13, false },
          0,
          true,
          SURPLUS_ISSUE }, /* with tier hq */
        { 12, true, 13, false, { 1, 12, 13, true }, 0, true, SURPLUS_NONE },
        { 12,
          true,
          14,
          false,
          { 1, 11, 13, false },
          0,
          false,
          SURPLUS_NONE }, /* changed after that */
        { 12, true, 8, false, { 1, 11, 0, false }, 0, false, SURPLUS_ISSUE },
        /* removals that are forgotten: absence says nothing, later nobody knows */
        { 4, false, 0, false, { 0, 0, 0, false }, 5, false, SURPLUS_NONE },
        { 12, false, 0, false, { 0, 0, 0, false }, 11, false, SURPLUS_MANUAL },
        { 12, false, 0, false, { 1, 12, 0, false }, 11, false, SURPLUS_NONE }, /* decided */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct epoch_surplus surplus = { .epoch = 1,
                                               .seq = rows[i].seq,
                                               .held = rows[i].held,
                                               .held_seq = rows[i].held_seq,
                                               .same = rows[i].same,
                                               .offered = rows[i].offered,
                                               .closed_seq = 10,
                                               .first_seq = 11,
                                               .horizon = rows[i].horizon,
                                               .with_hq = rows[i].with_hq };

        if (epoch_surplus(&surplus) != rows[i].verdict)
            fail_msg("row %zu: not verdict %d", i, (int)rows[i].verdict);
    }
}

/* What is begun to be replaced is, and not fetched on. */
static void test_replacing_goes_on(void **state)
{
    const struct epoch_own own = { .instance = 1, .wanted = 7 };
    const struct feed_term term = term_of(2, 7, 8);
    struct feed feed = feed_at(1, 5, 0, FREEZE_NONE);

    (void)state;
    feed.replacing = true;
    assert_int_equal(epoch_phase_of(&own, &term, &feed), EPOCH_REPLACING);
}

/* A head of an epoch that HQ never opened is nothing to wait for. */
static void test_hq_waits_for_no_head_of_a_later_epoch(void **state)
{
    const struct feed_term term = term_of(2, 1, 5);
    const struct feed held = feed_at(2, 6, 0, FREEZE_NONE);
    const struct feed theirs = feed_at(3, 9, 0, FREEZE_NONE);
    struct epoch_request request = {
        .instance = 7, .head_epoch = 3, .head_seq = 9, .head_hash = theirs.tier[0].hash
    };

    (void)state;
    assert_int_equal(epoch_answer(&request, &term, &held), EPOCH_GRANTED);
    request.head_epoch = 2;
    assert_int_equal(epoch_answer(&request, &term, &held), EPOCH_WAITS_FOR_HEAD);
    request.head_hash = NULL;
    assert_int_equal(epoch_answer(&request, &term, &held), EPOCH_GRANTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_shakes),
        cmocka_unit_test(test_phases),
        cmocka_unit_test(test_what_hq_answers),
        cmocka_unit_test(test_hq_waits_for_no_head_of_a_closed_epoch),
        cmocka_unit_test(test_what_is_issued_again),
        cmocka_unit_test(test_replacing_goes_on),
        cmocka_unit_test(test_hq_waits_for_no_head_of_a_later_epoch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
