/* SPDX-License-Identifier: MPL-2.0 */
/* head_test.c - heads and beats: their bytes, what is refused, and what proves a fork.
 * The known answers come from an independent program (Python, Ed25519 as in RFC 8032). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "proto/head.h"

#define FILL_1 "0101010101010101010101010101010101010101010101010101010101010101"
#define FILL_2 "0202020202020202020202020202020202020202020202020202020202020202"
#define FILL_3 "0303030303030303030303030303030303030303030303030303030303030303"
#define FILL_4 "0404040404040404040404040404040404040404040404040404040404040404"
#define FILL_5 "0505050505050505050505050505050505050505050505050505050505050505"

static const char head_hex[] =
    "9301c4ac9ec420" FILL_1 "a2667202cf1122334455667788cd03e8cd0384c420" FILL_2 "c420" FILL_3
    "ce00011170c420" FILL_4 "ce00011170cd032001ccc8"
    "c440265b58705cd924929104bb177038eb13aebaa576a12c873ca0ff7061cdd4bca580699f35cbfec2215237e4"
    "e3"
    "ce498f6c648c62ae3a55e27a39bbf37c4daa9501";
static const char head_hash_hex[] =
    "13641eb3aeae119913b9dbb58e48f3c1e83da53be449379ccdec738f67826738";
static const char beat_hex[] =
    "9301c45299c420" FILL_1 "a2667202cd03e8c420" FILL_5 "034d0ccd0100"
    "c4400159146c024a68758fe8b463a122f5535fe81d4d4d24212d9589b5c7b6813e856c6bf4595945dff8b90915"
    "17"
    "e244280327f9192b9509d1232354bff4c93d3f09";

/* The key whose seed is the bytes 0 to 31, or another one. */
static struct sign_key key_of(uint8_t seed_first)
{
    struct sign_key key;
    uint8_t seed[crypto_sign_SEEDBYTES];

    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)(seed_first + i);
    assert_int_equal(crypto_sign_seed_keypair(key.public_key, key.secret, seed), 0);
    return key;
}

static struct head sample_head(void)
{
    struct head head = {
        .origin = "fr",
        .epoch = 2,
        .instance = 0x1122334455667788,
        .seq = 1000,
        .prev_seq = 900,
        .count = { 70000, 70000 },
        .horizon = 800,
        .roster_epoch = 1,
        .roster_seq = 200,
    };

    memset(head.federation, 1, HASH_SIZE);
    memset(head.prev_hash, 2, HASH_SIZE);
    memset(head.digest[TIER_FEDERATION], 3, HASH_SIZE);
    memset(head.digest[TIER_HQ], 4, HASH_SIZE);
    return head;
}

static struct beat sample_beat(void)
{
    struct beat beat = {
        .origin = "fr",
        .epoch = 2,
        .seq = 1000,
        .boot = 3,
        .counter = 77,
        .hq_boot = 12,
        .hq_counter = 256,
    };

    memset(beat.federation, 1, HASH_SIZE);
    memset(beat.head_hash, 5, HASH_SIZE);
    return beat;
}

static struct slice beat_bytes(const struct signed_beat *beat)
{
    return slice_of(beat->bytes, beat->size);
}

static void check_hex(struct slice bytes, const char *expected)
{
    char text[2 * SIGNED_HEAD_SIZE_MAX + 1];

    hex_format(bytes.data, bytes.size, text);
    assert_string_equal(text, expected);
}

static void test_known_answers(void **state)
{
    const struct sign_key key = key_of(0);
    const struct beat beat = sample_beat();
    struct head head = sample_head();
    struct signed_head signed_head;
    struct signed_beat signed_beat;

    (void)state;
    head_sign(&head, &key, &signed_head);
    check_hex(signed_head_bytes(&signed_head), head_hex);
    check_hex(slice_of(head.hash, HASH_SIZE), head_hash_hex);
    beat_sign(&beat, &key, &signed_beat);
    check_hex(beat_bytes(&signed_beat), beat_hex);
}

static void test_come_back(void **state)
{
    const struct sign_key key = key_of(0);
    const struct beat beat = sample_beat();
    struct head head = sample_head();
    struct signed_head signed_head;
    struct signed_beat signed_beat;
    struct head head_back;
    struct beat beat_back;

    (void)state;
    head_sign(&head, &key, &signed_head);
    assert_int_equal(head_read(signed_head_bytes(&signed_head), &head_back), OK);
    assert_memory_equal(&head_back, &head, sizeof head);
    assert_int_equal(head_verify(signed_head_bytes(&signed_head), key.public_key), OK);
    beat_sign(&beat, &key, &signed_beat);
    assert_int_equal(beat_read(beat_bytes(&signed_beat), &beat_back), OK);
    assert_memory_equal(&beat_back, &beat, sizeof beat);
    assert_int_equal(beat_verify(beat_bytes(&signed_beat), key.public_key), OK);
}

/* The longest code and the largest numbers still fit the limits. */
static void test_largest(void **state)
{
    const struct sign_key key = key_of(0);
    struct head head = sample_head();
    struct beat beat = sample_beat();
    struct signed_head signed_head;
    struct signed_beat signed_beat;
    struct head head_back;
    struct beat beat_back;

    (void)state;
    memcpy(head.origin, "abcdefghijklmno", CODE_SIZE);
    head.epoch = EPOCH_MAX;
    head.instance = UINT64_MAX;
    head.seq = SEQ_MAX;
    head.prev_seq = head.horizon = SEQ_MAX - 1;
    head.count[0] = head.count[1] = head.roster_epoch = head.roster_seq = UINT64_MAX;
    head_sign(&head, &key, &signed_head);
    assert_int_equal(head_read(signed_head_bytes(&signed_head), &head_back), OK);
    assert_memory_equal(&head_back, &head, sizeof head);
    memcpy(beat.origin, head.origin, CODE_SIZE);
    beat.epoch = EPOCH_MAX;
    beat.seq = SEQ_MAX;
    beat.boot = beat.counter = UINT64_MAX;
    beat.hq_boot = beat.hq_counter = UINT64_MAX;
    beat_sign(&beat, &key, &signed_beat);
    assert_int_equal(beat_read(beat_bytes(&signed_beat), &beat_back), OK);
    assert_memory_equal(&beat_back, &beat, sizeof beat);
}

/* With one more, or one epoch more, no number would be left for who comes after a thief. */
static void test_too_large(void **state)
{
    const struct sign_key key = key_of(0);
    struct signed_head signed_head;
    struct signed_beat signed_beat;
    struct head head_back;
    struct beat beat_back;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct head head = sample_head();
        struct beat beat = sample_beat();

        head.epoch = beat.epoch = i == 0 ? EPOCH_MAX + 1 : 1;
        if (i == 1)
            head.seq = beat.seq = SEQ_MAX + 1;
        head_sign(&head, &key, &signed_head);
        assert_int_equal(head_read(signed_head_bytes(&signed_head), &head_back), INVALID);
        beat_sign(&beat, &key, &signed_beat);
        assert_int_equal(beat_read(beat_bytes(&signed_beat), &beat_back), INVALID);
    }
}

/* --- what is refused ---------------------------------------------------------------------- */

static bool head_taken(struct slice envelope, const uint8_t key[KEY_SIZE])
{
    struct head head;
    const bool well_formed = head_read(envelope, &head) == OK;

    return head_verify(envelope, key) == OK && well_formed;
}

static bool beat_taken(struct slice envelope, const uint8_t key[KEY_SIZE])
{
    struct beat beat;
    const bool well_formed = beat_read(envelope, &beat) == OK;

    return beat_verify(envelope, key) == OK && well_formed;
}

/* Every bit flipped, every truncation, one byte more; in a block of exactly that size. */
static void check_damage(struct slice envelope, const uint8_t key[KEY_SIZE],
                         bool (*taken)(struct slice, const uint8_t *))
{
    uint8_t *copy = malloc(envelope.size);
    uint8_t *longer = calloc(1, envelope.size + 1);

    assert_true(copy != NULL && longer != NULL);
    memcpy(copy, envelope.data, envelope.size);
    memcpy(longer, envelope.data, envelope.size);
    assert_true(taken(slice_of(copy, envelope.size), key));
    for (size_t bit = 0; bit < 8 * envelope.size; bit++) {
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (taken(slice_of(copy, envelope.size), key))
            fail_msg("bit %zu may be flipped", bit);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_false(taken(slice_of(longer, envelope.size + 1), key));
    free(longer);
    free(copy);
    for (size_t size = 0; size < envelope.size; size++) {
        copy = malloc(size + 1);
        assert_non_null(copy);
        memcpy(copy + 1, envelope.data, size);
        if (taken(slice_of(copy + 1, size), key))
            fail_msg("cut at %zu", size);
        free(copy);
    }
}

static void test_damage(void **state)
{
    const struct sign_key key = key_of(0);
    const struct beat beat = sample_beat();
    struct head head = sample_head();
    struct signed_head signed_head;
    struct signed_beat signed_beat;

    (void)state;
    head_sign(&head, &key, &signed_head);
    check_damage(signed_head_bytes(&signed_head), key.public_key, head_taken);
    beat_sign(&beat, &key, &signed_beat);
    check_damage(beat_bytes(&signed_beat), key.public_key, beat_taken);
}

static void test_other_key_and_other_purpose(void **state)
{
    const struct sign_key key = key_of(0);
    const struct sign_key other = key_of(1);
    const struct beat beat = sample_beat();
    struct head head = sample_head();
    struct signed_head signed_head;
    struct signed_beat signed_beat;
    struct beat beat_back;

    (void)state;
    head_sign(&head, &key, &signed_head);
    beat_sign(&beat, &key, &signed_beat);
    assert_int_equal(head_verify(signed_head_bytes(&signed_head), other.public_key), REFUSED);
    assert_int_equal(beat_verify(beat_bytes(&signed_beat), other.public_key), REFUSED);
    /* The tag says what was signed: neither passes for the other. */
    assert_int_equal(head_verify(beat_bytes(&signed_beat), key.public_key), REFUSED);
    assert_int_equal(head_read(beat_bytes(&signed_beat), &head), INVALID);
    assert_int_equal(beat_read(signed_head_bytes(&signed_head), &beat_back), INVALID);
    signed_head.bytes[1] = 2;
    assert_int_equal(head_read(signed_head_bytes(&signed_head), &head), INVALID);
}

static void test_contradictions(void **state)
{
    static const struct {
        const char *origin;
        uint64_t epoch, seq, prev_seq, horizon;
        uint8_t prev_hash;
        enum status verdict;
    } rows[] = {
        { "fr", 1, 1, 0, 0, 0, OK }, /* the very first head */
        { "hq", 1, 2, 1, 1, 9, OK },
        { "fr", 2, 5, 1, 0, 9, OK },
        { "fr", 0, 2, 1, 0, 9, INVALID },
        { "fr", 1, 1, 1, 0, 9, INVALID },
        { "fr", 1, 1, 2, 0, 9, INVALID },
        { "fr", 1, 0, 0, 0, 0, INVALID },
        { "fr", 1, 3, 1, 2, 9, INVALID },
        { "fr", 1, 1, 0, 0, 9, INVALID }, /* a hash of nothing, and none of something */
        { "fr", 1, 2, 1, 0, 0, INVALID },
        { "", 1, 2, 1, 0, 9, INVALID },
        { "FR", 1, 2, 1, 0, 9, INVALID },
        { "1f", 1, 2, 1, 0, 9, INVALID },
        { "f r", 1, 2, 1, 0, 9, INVALID },
    };
    const struct sign_key key = key_of(0);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct head head = sample_head();
        struct head back = { .seq = 4711 };
        struct signed_head signed_head;

        memset(head.origin, 0, CODE_SIZE);
        memcpy(head.origin, rows[i].origin, strlen(rows[i].origin));
        head.epoch = rows[i].epoch;
        head.seq = rows[i].seq;
        head.prev_seq = rows[i].prev_seq;
        head.horizon = rows[i].horizon;
        memset(head.prev_hash, rows[i].prev_hash, HASH_SIZE);
        head_sign(&head, &key, &signed_head);
        if (head_read(signed_head_bytes(&signed_head), &back) != rows[i].verdict)
            fail_msg("row %zu", i);
        if (rows[i].verdict != OK)
            assert_int_equal(back.seq, 4711); /* written only on success */
    }
}

static void test_beat_contradictions(void **state)
{
    const struct sign_key key = key_of(0);

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct beat beat = sample_beat();
        struct beat back = { .seq = 4711 };
        struct signed_beat signed_beat;

        if (i == 0)
            beat.epoch = 0;
        if (i == 1)
            beat.seq = 0;
        if (i == 2)
            beat.boot = 0;
        if (i == 3)
            beat.origin[0] = 'F';
        beat_sign(&beat, &key, &signed_beat);
        assert_int_equal(beat_read(beat_bytes(&signed_beat), &back), INVALID);
        assert_int_equal(back.seq, 4711);
    }
}

static void test_copies(void **state)
{
    static const uint8_t zeros[SIGNED_HEAD_SIZE_MAX + 1] = { 0 };
    struct signed_head copy;
    struct head head;

    (void)state;
    assert_int_equal(signed_head_set(&copy, slice_of(zeros, sizeof zeros)), TOO_LARGE);
    assert_int_equal(head_read(slice_of(zeros, sizeof zeros), &head), INVALID);
    assert_int_equal(signed_head_set(&copy, slice_of("abc", 3)), OK);
    assert_true(slice_is_text(signed_head_bytes(&copy), "abc"));
}

/* --- forks -------------------------------------------------------------------------------- */

/* A head that covers (prev_seq, seq], called by one letter, on one called by another. */
static struct head link_of(uint64_t prev_seq, uint64_t seq, char name, char prev_name)
{
    struct head head = { .origin = "fr", .epoch = 1, .seq = seq, .prev_seq = prev_seq };

    head.hash[0] = (uint8_t)name;
    head.prev_hash[0] = (uint8_t)prev_name;
    return head;
}

static void test_heads_conflict(void **state)
{
    static const struct {
        uint64_t a_prev, a_seq;
        char a, a_on;
        uint64_t b_prev, b_seq;
        char b, b_on;
        bool conflict;
    } rows[] = {
        { 5, 8, 'a', 'x', 5, 8, 'a', 'x', false },  /* the same */
        { 5, 8, 'a', 'x', 5, 8, 'b', 'x', true },   /* two of one range */
        { 5, 8, 'a', 'x', 8, 9, 'b', 'a', false },  /* b on a */
        { 5, 8, 'a', 'x', 8, 9, 'b', 'c', true },   /* b on another at a's seq */
        { 5, 8, 'a', 'x', 9, 10, 'b', 'c', false }, /* a gap says nothing */
        { 5, 8, 'a', 'x', 7, 9, 'b', 'c', true },   /* ranges overlap in 8 */
        { 5, 8, 'a', 'x', 0, 6, 'b', 'c', true },   /* in 6 */
        { 5, 8, 'a', 'x', 0, 5, 'x', 'c', false },  /* a on b */
        { 5, 8, 'a', 'x', 0, 5, 'b', 'c', true },
        { 5, 8, 'a', 'x', 0, 20, 'b', 'c', true }, /* one within the other */
        { 5, 8, 'a', 'x', 6, 7, 'b', 'c', true },
        { 0, 1, 'a', 0, 0, 1, 'b', 0, true }, /* two beginnings */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct head a = link_of(rows[i].a_prev, rows[i].a_seq, rows[i].a, rows[i].a_on);
        struct head b = link_of(rows[i].b_prev, rows[i].b_seq, rows[i].b, rows[i].b_on);

        if (heads_conflict(&a, &b) != rows[i].conflict ||
            heads_conflict(&b, &a) != rows[i].conflict)
            fail_msg("row %zu", i);
        b.epoch = 2;
        assert_false(heads_conflict(&a, &b) || heads_conflict(&b, &a));
        b.epoch = 1;
        b.origin[1] = 'x';
        assert_false(heads_conflict(&a, &b) || heads_conflict(&b, &a));
    }
}

static void test_beat_conflicts(void **state)
{
    struct head head = sample_head();
    struct beat beat = sample_beat();

    (void)state;
    assert_true(beat_conflicts(&beat, &head));
    memcpy(head.hash, beat.head_hash, HASH_SIZE);
    assert_false(beat_conflicts(&beat, &head));
    head.hash[HASH_SIZE - 1] ^= 1;
    assert_true(beat_conflicts(&beat, &head));
    beat.seq++;
    assert_false(beat_conflicts(&beat, &head));
    beat.seq--;
    beat.epoch++;
    assert_false(beat_conflicts(&beat, &head));
    beat.epoch--;
    beat.origin[0] = 'x';
    assert_false(beat_conflicts(&beat, &head));
}

static int start_sodium(void **state)
{
    (void)state;
    return sodium_init() < 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_come_back),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_other_key_and_other_purpose),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_beat_contradictions),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_heads_conflict),
        cmocka_unit_test(test_beat_conflicts),
    };

    return cmocka_run_group_tests(tests, start_sodium, NULL);
}
