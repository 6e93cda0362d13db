/* SPDX-License-Identifier: MPL-2.0 */
/* digest_test.c - the homomorphic digest: known answers, and the algebra that feeds rely on.
 * The answers come from an independent program (Python's hashlib and a ChaCha20 of its own). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/digest.h"

static const char fr[CODE_SIZE] = "fr";
/* {kind: individual, status: active} */
static const uint8_t active[] = "\x82\xa4kind\xaaindividual\xa6status\xa6"
                                "active";
static const uint8_t empty[] = { 0x80 };
static const uint8_t removal[] = { 0xc0 };

/* An id of 16 ascending bytes, the salt a0 to af in tier hq. */
static struct change change_of(uint8_t id_first, uint64_t seq, struct slice value)
{
    struct change change = { .seq = seq, .type = RECORD_MEMBER, .tiers = TIERS_BOTH };

    for (uint8_t i = 0; i < ID_SIZE; i++) {
        change.id[i] = (uint8_t)(id_first + i);
        change.salt[i] = (uint8_t)(0xa0 + i);
    }
    change.value[TIER_FEDERATION] = value;
    change.value[TIER_HQ] = value;
    return change;
}

static struct change first(void)
{
    return change_of(0, 7, slice_of(active, sizeof active - 1));
}

static struct change second(void)
{
    return change_of(16, 0x1122334455667788, slice_of(empty, sizeof empty));
}

static struct change removed(void)
{
    struct change change = change_of(0, 9, slice_of(removal, sizeof removal));

    memset(change.id, 9, ID_SIZE);
    return change;
}

static void check_digest(const struct digest_sum *sum, enum tier tier, const char *expected)
{
    uint8_t digest[HASH_SIZE];
    char text[2 * HASH_SIZE + 1];

    digest_of(sum, tier, digest);
    hex_format(digest, HASH_SIZE, text);
    assert_string_equal(text, expected);
}

static void test_known_answers(void **state)
{
    static const struct {
        enum tier tier;
        const char *none, *one, *two, *two_and_removal;
        uint16_t lane_first, lane_last; /* of one */
    } rows[] = {
        { TIER_FEDERATION, "1fedd907c0fefcca214189e2638b071a01ec2b4c13de99241c775883b5f87e44",
          "7762e9158244b02d0fd32c86bab24c7054ac8d250eb46a57e02d112f3e019a28",
          "cb585c2b0b2cdae37f670a7db7c18583cd7a12d1a44460bde1d8e1b45cc1fe0a",
          "9e577d8dc12b02aeffc9bbd555ccd376286d05f8dac3060fcaaed799981968b7", 0x3fdb, 0xa0c4 },
        { TIER_HQ, "490a34c52578b428ab539de84dbe78b2c4923b8ea261bc46d22f03df78672077",
          "d8d038696cc5e30014a67d8008ae16d8277a0f4d00c2048dda9845e2b6699dfc",
          "ba58dd2a3ad9f0be1de55dcd74246a37d3cda1af059f5942dbb0e4a10b814ee2",
          "51d4b9854f3758275307140c39868e67582d2c34b4ae39a71bca2660eb95bfe3", 0xfa38, 0xb90c },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct change one = first();
        const struct change two = second();
        const struct change gone = removed();
        struct digest_sum sum;

        memset(&sum, 0xff, sizeof sum);
        digest_sum_clear(&sum);
        check_digest(&sum, rows[i].tier, rows[i].none);
        digest_add(&sum, fr, rows[i].tier, &one);
        assert_int_equal(sum.lanes[0], rows[i].lane_first);
        assert_int_equal(sum.lanes[DIGEST_LANES - 1], rows[i].lane_last);
        check_digest(&sum, rows[i].tier, rows[i].one);
        digest_add(&sum, fr, rows[i].tier, &two);
        check_digest(&sum, rows[i].tier, rows[i].two);
        digest_add(&sum, fr, rows[i].tier, &gone);
        check_digest(&sum, rows[i].tier, rows[i].two_and_removal);
    }
}

static bool sums_equal(const struct digest_sum *a, const struct digest_sum *b)
{
    return a->count == b->count && memcmp(a->lanes, b->lanes, sizeof a->lanes) == 0;
}

static void test_removal_is_summed_not_counted(void **state)
{
    const struct change gone = removed();
    struct digest_sum sum;
    struct digest_sum clear;

    (void)state;
    digest_sum_clear(&sum);
    digest_sum_clear(&clear);
    digest_add(&sum, fr, TIER_HQ, &gone);
    assert_int_equal(sum.count, 0);
    assert_int_not_equal(memcmp(sum.lanes, clear.lanes, sizeof sum.lanes), 0);
    digest_subtract(&sum, fr, TIER_HQ, &gone);
    assert_true(sums_equal(&sum, &clear));
}

/* 40 changes added in another order, with others added and taken out again between. */
static void test_order_does_not_matter(void **state)
{
    const struct change other = second();
    struct digest_sum up;
    struct digest_sum mixed;

    (void)state;
    digest_sum_clear(&up);
    digest_sum_clear(&mixed);
    digest_subtract(&mixed, fr, TIER_FEDERATION, &other); /* before it was added: lanes wrap */
    for (uint8_t i = 0; i < 40; i++) {
        const uint8_t j = (uint8_t)(i * 27 % 40);
        const struct slice value = slice_of(active, sizeof active - 1);
        const struct change a = change_of(i, 100 + i, i % 3 ? value : slice_of(removal, 1));
        const struct change b = change_of(j, 100 + j, j % 3 ? value : slice_of(removal, 1));

        digest_add(&up, fr, TIER_FEDERATION, &a);
        digest_add(&mixed, fr, TIER_FEDERATION, &b);
        if (i == 20)
            digest_add(&mixed, fr, TIER_FEDERATION, &other);
    }
    assert_int_equal(up.count, 26);
    assert_true(sums_equal(&up, &mixed));
}

/* Whatever a leaf says about a record changes the digest, each part by itself. */
static void test_every_part_counts(void **state)
{
    static const char de[CODE_SIZE] = "de";
    static const uint8_t zero_and_one[] = { 0x81, 0xa0, 0x01 };
    const struct change base = first();
    struct digest_sum sums[9];

    (void)state;
    for (size_t i = 0; i < 9; i++) {
        struct change change = base;

        digest_sum_clear(&sums[i]);
        change.type = i == 1 ? RECORD_OFFICE : base.type;
        change.id[15] ^= i == 2;
        change.seq += i == 3 ? 1ull << 56 : 0;
        change.salt[15] ^= i == 4;
        if (i == 5)
            change.value[TIER_HQ] = slice_of(zero_and_one, sizeof zero_and_one);
        if (i == 6)
            change.value[TIER_HQ].size--;
        digest_add(&sums[i], i == 7 ? de : fr, i == 8 ? TIER_FEDERATION : TIER_HQ, &change);
        for (size_t j = 0; j < i; j++)
            assert_false(sums_equal(&sums[i], &sums[j]));
    }
}

/* The federation tier has no salt, whatever the struct holds; no tier looks at another. */
static void test_tiers_are_apart(void **state)
{
    struct change change = first();
    struct digest_sum a;
    struct digest_sum b;

    (void)state;
    digest_sum_clear(&a);
    digest_sum_clear(&b);
    digest_add(&a, fr, TIER_FEDERATION, &change);
    memset(change.salt, 0x77, SALT_SIZE);
    change.value[TIER_HQ] = SLICE_NONE;
    change.tiers = TIERS_FEDERATION;
    digest_add(&b, fr, TIER_FEDERATION, &change);
    assert_true(sums_equal(&a, &b));
}

/* Quotas count what each leaf takes; an order of additions and subtractions does not matter. */
static void test_bytes(void **state)
{
    const struct change changes[] = { first(), second(), removed() };
    struct digest_sum sum;

    (void)state;
    digest_sum_clear(&sum);
    for (size_t i = 0; i < 3; i++)
        digest_add(&sum, fr, TIER_HQ, &changes[i]);
    assert_int_equal(sum.bytes, 3 * 64 + (sizeof active - 1) + sizeof empty + sizeof removal);
    digest_subtract(&sum, fr, TIER_HQ, &changes[0]);
    digest_subtract(&sum, fr, TIER_HQ, &changes[2]);
    assert_int_equal(sum.bytes, 64 + sizeof empty);
}

static void test_stored_form(void **state)
{
    uint8_t stored[DIGEST_SUM_STORED_SIZE];
    struct digest_sum sum;
    struct digest_sum loaded;

    (void)state;
    for (size_t i = 0; i < DIGEST_LANES; i++)
        sum.lanes[i] = (uint16_t)(i * 257 + 1);
    sum.count = 0x0102030405060708;
    sum.bytes = 0x1112131415161718;
    digest_sum_store(&sum, stored);
    assert_memory_equal(stored + 2, "\x02\x01", 2); /* lane 1 is 0102 hex: little-endian */
    assert_memory_equal(stored + DIGEST_SUM_STORED_SIZE - 16,
                        "\1\2\3\4\5\6\7\10\21\22\23\24\25\26\27\30", 16);
    memset(&loaded, 0xff, sizeof loaded);
    digest_sum_load(stored, &loaded);
    assert_true(sums_equal(&sum, &loaded));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_removal_is_summed_not_counted),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_every_part_counts),
        cmocka_unit_test(test_tiers_are_apart),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_stored_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
