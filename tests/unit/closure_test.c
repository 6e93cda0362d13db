/* SPDX-License-Identifier: MPL-2.0 */
/* closure_test.c - what the recovery key signs of HQ's epochs: nothing else is taken for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sodium.h>
#include <string.h>

#include "proto/closure.h"

static struct sign_key key_of(uint8_t fill)
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    struct sign_key key;

    memset(seed, fill, sizeof seed);
    crypto_sign_seed_keypair(key.public_key, key.secret, seed);
    return key;
}

static struct closure sample(void)
{
    struct closure closure;

    memset(&closure, 0, sizeof closure);
    memset(closure.federation, 0x11, HASH_SIZE);
    closure.epoch = EPOCH_MAX;
    closure.instance = UINT64_MAX;
    closure.closed_seq = UINT64_MAX;
    memset(closure.closed_hash, 0x22, HASH_SIZE);
    return closure;
}

static struct slice bytes_of(const struct signed_closure *envelope)
{
    return slice_of(envelope->bytes, envelope->size);
}

static void test_round_trip(void **state)
{
    const struct sign_key recovery = key_of(1);
    const struct sign_key other = key_of(2);
    const struct closure closure = sample(); /* the longest there is */
    struct signed_closure envelope;
    struct closure back;

    (void)state;
    closure_sign(&closure, &recovery, &envelope);
    assert_int_equal(closure_read(bytes_of(&envelope), &back), OK);
    assert_memory_equal(&back, &closure, sizeof back);
    assert_int_equal(closure_verify(bytes_of(&envelope), recovery.public_key), OK);
    assert_int_equal(closure_verify(bytes_of(&envelope), other.public_key), REFUSED);
}

static void test_every_byte_counts(void **state)
{
    const struct sign_key recovery = key_of(1);
    const struct closure closure = sample();
    struct signed_closure envelope;
    struct closure back;

    (void)state;
    closure_sign(&closure, &recovery, &envelope);
    for (size_t i = 0; i < envelope.size; i++) {
        envelope.bytes[i] ^= 1;
        assert_true(closure_read(bytes_of(&envelope), &back) != OK ||
                    closure_verify(bytes_of(&envelope), recovery.public_key) != OK);
        envelope.bytes[i] ^= 1;
        assert_int_equal(closure_read(slice_of(envelope.bytes, i), &back), INVALID);
    }
}

static void test_what_is_none(void **state)
{
    static const struct {
        uint64_t epoch, instance, closed_seq;
        uint8_t hash;
        enum status status;
    } rows[] = {
        { 2, 1, 5, 1, OK },      { 2, 1, 0, 0, OK }, /* HQ had signed nothing */
        { 1, 1, 5, 1, INVALID }, { 2, 0, 5, 1, INVALID },
        { 2, 1, 0, 1, INVALID }, { 2, 1, 5, 0, INVALID },
    };
    const struct sign_key recovery = key_of(1);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct closure closure = sample();
        struct signed_closure envelope;

        closure.epoch = rows[i].epoch;
        closure.instance = rows[i].instance;
        closure.closed_seq = rows[i].closed_seq;
        memset(closure.closed_hash, rows[i].hash, HASH_SIZE);
        closure_sign(&closure, &recovery, &envelope);
        if (closure_read(bytes_of(&envelope), &closure) != rows[i].status)
            fail_msg("row %zu", i);
    }
}

static void test_too_long(void **state)
{
    static const uint8_t zeros[SIGNED_CLOSURE_SIZE_MAX + 1];
    const struct sign_key recovery = key_of(1);
    struct closure closure;

    (void)state;
    for (size_t size = 0; size < 3; size++) {
        const struct slice bytes = slice_of(zeros, size == 2 ? sizeof zeros : size);

        assert_int_equal(closure_read(bytes, &closure), INVALID);
        assert_int_equal(closure_verify(bytes, recovery.public_key), INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_byte_counts),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_too_long),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
