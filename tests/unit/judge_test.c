/* SPDX-License-Identifier: MPL-2.0 */
/* judge_test.c - which lists lead to which heads, per tier. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "daemon/core/judge.h"

static const uint8_t nil[] = { 0xc0 };
static const uint8_t one[] = { 0x81, 0xa1, 'a', 0x01 };
static const uint8_t two[] = { 0x81, 0xa1, 'a', 0x02 };

static struct change change_of(uint8_t id, uint64_t seq, struct slice federation,
                               struct slice hq)
{
    struct change change = { .seq = seq, .type = RECORD_MEMBER, .tiers = TIERS_BOTH };

    change.id[0] = id;
    change.salt[0] = (uint8_t)seq;
    change.value[TIER_FEDERATION] = federation;
    change.value[TIER_HQ] = hq;
    return change;
}

static struct row_version version_of(const struct change *change)
{
    struct row_version version = { .type = change->type, .tiers = change->tiers };

    version.seq[0] = version.seq[1] = change->seq;
    memcpy(version.salt, change->salt, SALT_SIZE);
    memcpy(version.value, change->value, sizeof version.value);
    return version;
}

static void sum_into(struct digest_sum sums[TIERS_PUBLISHED], const struct change *change)
{
    digest_add(&sums[0], "fr", TIER_FEDERATION, change);
    digest_add(&sums[1], "fr", TIER_HQ, change);
}

static struct head head_over(const struct digest_sum sums[TIERS_PUBLISHED], uint64_t seq)
{
    struct head head = { .origin = "fr", .epoch = 1, .seq = seq };

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        digest_of(&sums[tier], (enum tier)tier, head.digest[tier]);
        head.count[tier] = sums[tier].count;
    }
    return head;
}

static struct judge begin(const struct digest_sum sums[TIERS_PUBLISHED], uint64_t from,
                          uint64_t up_to)
{
    const uint64_t both[TIERS_PUBLISHED] = { from, from };
    struct judge judge;

    judge_init(&judge, "fr", TIERS_BOTH, both, up_to);
    memcpy(judge.sum, sums, sizeof judge.sum);
    return judge;
}

static void test_a_delta_leads_to_its_head(void **state)
{
    const struct change a1 = change_of(1, 1, slice_of(one, 4), slice_of(one, 4));
    const struct change b2 = change_of(2, 2, slice_of(one, 4), slice_of(two, 4));
    const struct change a3 = change_of(1, 3, slice_of(two, 4), slice_of(one, 4));
    const struct change b4 = change_of(2, 4, slice_of(nil, 1), slice_of(nil, 1));
    const struct row_version none = { 0 };
    const struct row_version old_a = version_of(&a1);
    const struct row_version old_b = version_of(&b2);
    struct digest_sum mine[TIERS_PUBLISHED] = { 0 };
    struct digest_sum theirs[TIERS_PUBLISHED] = { 0 };
    struct judge judge;
    struct head head;

    (void)state;
    sum_into(mine, &a1);
    sum_into(mine, &b2);
    sum_into(theirs, &a3);
    sum_into(theirs, &b4);
    head = head_over(theirs, 4);
    assert_int_equal(head.count[0], 1); /* a removal is summed, not counted */
    judge = begin(mine, 2, 4);
    assert_int_equal(judge_change(&judge, &b2, &old_b), 0); /* known: skipped */
    assert_int_equal(judge_change(&judge, &a3, &old_a), TIERS_BOTH);
    assert_int_equal(judge_verdict(&judge, &head), 0); /* one is still missing */
    assert_int_equal(judge_change(&judge, &b4, &old_b), TIERS_BOTH);
    assert_int_equal(judge_verdict(&judge, &head), TIERS_BOTH);
    /* the same as a snapshot onto nothing */
    judge = begin((struct digest_sum[2]){ { .count = 0 }, { .count = 0 } }, 0, 4);
    judge_change(&judge, &a3, &none);
    judge_change(&judge, &b4, &none);
    assert_int_equal(judge_verdict(&judge, &head), TIERS_BOTH);
}

static void test_one_tier_may_be_wrong(void **state)
{
    const struct change good = change_of(1, 1, slice_of(one, 4), slice_of(one, 4));
    struct change forged = good;
    struct digest_sum sums[TIERS_PUBLISHED] = { 0 };
    const struct row_version none = { 0 };
    struct judge judge;
    struct head head;

    (void)state;
    sum_into(sums, &good);
    head = head_over(sums, 1);
    forged.value[TIER_HQ] = slice_of(two, 4);
    judge = begin((struct digest_sum[2]){ { .count = 0 }, { .count = 0 } }, 0, 1);
    judge_change(&judge, &forged, &none);
    assert_int_equal(judge_verdict(&judge, &head), TIERS_FEDERATION);
    forged = good;
    forged.salt[5] = 1; /* the salt is part of the leaf of tier hq */
    judge = begin((struct digest_sum[2]){ { .count = 0 }, { .count = 0 } }, 0, 1);
    judge_change(&judge, &forged, &none);
    assert_int_equal(judge_verdict(&judge, &head), TIERS_FEDERATION);
}

static void test_every_part_of_a_change_is_proven(void **state)
{
    const struct change good = change_of(1, 7, slice_of(one, 4), slice_of(one, 4));
    struct digest_sum sums[TIERS_PUBLISHED] = { 0 };
    const struct row_version none = { 0 };
    struct head head;

    (void)state;
    sum_into(sums, &good);
    head = head_over(sums, 9);
    for (int what = 0; what < 4; what++) {
        struct change forged = good;
        struct judge judge =
            begin((struct digest_sum[2]){ { .count = 0 }, { .count = 0 } }, 0, 9);

        if (what == 0)
            forged.seq = 8;
        else if (what == 1)
            forged.id[15] ^= 1;
        else if (what == 2)
            forged.type = RECORD_OFFICE;
        else
            forged.value[0] = forged.value[1] = slice_of(nil, 1);
        judge_change(&judge, &forged, &none);
        assert_int_equal(judge_verdict(&judge, &head), 0);
    }
}

static void test_an_entry_beyond_the_head_is_a_contradiction(void **state)
{
    const struct change late = change_of(1, 10, slice_of(one, 4), slice_of(one, 4));
    struct digest_sum sums[TIERS_PUBLISHED] = { 0 };
    const struct row_version none = { 0 };
    struct judge judge;
    struct head head;

    (void)state;
    sum_into(sums, &late);
    head = head_over(sums, 9); /* signed over it, yet it says seq 9 */
    judge = begin((struct digest_sum[2]){ { .count = 0 }, { .count = 0 } }, 0, 9);
    judge_change(&judge, &late, &none);
    assert_int_equal(judge_verdict(&judge, &head), 0);
}

static void test_removals_behind_the_horizon_go(void **state)
{
    const struct change gone = change_of(1, 1, slice_of(nil, 1), slice_of(nil, 1));
    const struct change kept = change_of(2, 2, slice_of(one, 4), slice_of(one, 4));
    const struct row_version old = version_of(&gone);
    struct digest_sum mine[TIERS_PUBLISHED] = { 0 };
    struct digest_sum theirs[TIERS_PUBLISHED] = { 0 };
    struct judge judge;
    struct head head;

    (void)state;
    sum_into(mine, &gone);
    sum_into(mine, &kept);
    sum_into(theirs, &kept);
    head = head_over(theirs, 3);
    judge = begin(mine, 2, 3);
    assert_int_equal(judge_verdict(&judge, &head), 0);
    judge_drop(&judge, TIERS_BOTH, gone.id, &old);
    assert_int_equal(judge_verdict(&judge, &head), TIERS_BOTH);
}

/* A list of several sources has some rows that are older than mine: they are passed over. */
static void test_newer_rows_stay(void **state)
{
    const struct change older = change_of(1, 3, slice_of(one, 4), slice_of(one, 4));
    const struct change mine = change_of(1, 4, slice_of(two, 4), slice_of(two, 4));
    const struct row_version old = version_of(&mine);
    struct digest_sum sums[TIERS_PUBLISHED] = { 0 };
    struct judge judge;
    struct head head;

    (void)state;
    sum_into(sums, &mine);
    head = head_over(sums, 4);
    judge = begin(sums, 0, 4);
    assert_int_equal(judge_change(&judge, &older, &old), 0);
    assert_int_equal(judge_change(&judge, &mine, &old), 0);
    assert_int_equal(judge_verdict(&judge, &head), TIERS_BOTH);
}

/* Of a list for one tier, or a row that holds one, the other is left alone. */
static void test_one_tier_alone(void **state)
{
    const uint64_t from[TIERS_PUBLISHED] = { 0, 0 };
    struct change change = change_of(1, 1, slice_of(one, 4), slice_of(one, 4));
    struct row_version old = version_of(&change);
    struct digest_sum sums[TIERS_PUBLISHED] = { 0 };
    const struct row_version none = { 0 };
    struct judge judge;
    struct head head;

    (void)state;
    sum_into(sums, &change);
    head = head_over(sums, 1);
    judge_init(&judge, "fr", TIERS_HQ, from, 1);
    assert_int_equal(judge_change(&judge, &change, &none), TIERS_HQ);
    assert_int_equal(judge_verdict(&judge, &head), TIERS_HQ);
    judge_init(&judge, "fr", TIERS_BOTH, from, 1);
    change.tiers = TIERS_FEDERATION;
    assert_int_equal(judge_change(&judge, &change, &none), TIERS_FEDERATION);
    assert_int_equal(judge_verdict(&judge, &head), TIERS_FEDERATION);
    old.tiers = TIERS_HQ;
    judge_drop(&judge, TIERS_BOTH, change.id, &old); /* of tier federation there is none */
    assert_int_equal(judge_verdict(&judge, &head), TIERS_FEDERATION);
    judge_drop(&judge, TIERS_HQ, change.id, &(struct row_version){ .tiers = TIERS_FEDERATION });
    assert_int_equal(judge_verdict(&judge, &head), TIERS_FEDERATION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_delta_leads_to_its_head),
        cmocka_unit_test(test_one_tier_may_be_wrong),
        cmocka_unit_test(test_every_part_of_a_change_is_proven),
        cmocka_unit_test(test_an_entry_beyond_the_head_is_a_contradiction),
        cmocka_unit_test(test_removals_behind_the_horizon_go),
        cmocka_unit_test(test_newer_rows_stay),
        cmocka_unit_test(test_one_tier_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
