/* SPDX-License-Identifier: MPL-2.0 */
/* succession_test.c - one signing key names the next: by whose word, and of what form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sodium.h>
#include <string.h>

#include "proto/succession.h"

static struct sign_key key_of(uint8_t fill)
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    struct sign_key key;

    memset(seed, fill, sizeof seed);
    crypto_sign_seed_keypair(key.public_key, key.secret, seed);
    return key;
}

/* The longest there is. */
static struct succession sample(void)
{
    struct succession succession = { .code = "abcdefghijklmno",
                                     .until_epoch = UINT64_MAX,
                                     .until_seq = UINT64_MAX };

    memset(succession.federation, 0x11, HASH_SIZE);
    return succession;
}

static struct slice bytes_of(const struct signed_succession *envelope)
{
    return slice_of(envelope->bytes, envelope->size);
}

static void test_round_trip(void **state)
{
    const struct sign_key old = key_of(1);
    const struct sign_key fresh = key_of(2);
    struct succession succession = sample();
    struct signed_succession envelope;
    struct succession back;

    (void)state;
    succession_sign(&succession, &old, &fresh, &envelope);
    assert_int_equal(succession_read(bytes_of(&envelope), &back), OK);
    assert_memory_equal(&back, &succession, sizeof back);
    assert_memory_equal(back.sign_key, fresh.public_key, KEY_SIZE);
    assert_int_equal(succession_verify(bytes_of(&envelope), old.public_key), OK);
    /* the new key's own word is none, nor is anybody's */
    assert_int_equal(succession_verify(bytes_of(&envelope), fresh.public_key), REFUSED);
    assert_int_equal(succession_verify(bytes_of(&envelope), key_of(3).public_key), REFUSED);
}

static void test_every_byte_counts(void **state)
{
    const struct sign_key old = key_of(1);
    struct succession succession = sample();
    const struct sign_key fresh = key_of(2);
    struct signed_succession envelope;
    struct succession back;

    (void)state;
    succession_sign(&succession, &old, &fresh, &envelope);
    for (size_t i = 0; i < envelope.size; i++) {
        envelope.bytes[i] ^= 1;
        assert_true(succession_read(bytes_of(&envelope), &back) != OK ||
                    succession_verify(bytes_of(&envelope), old.public_key) != OK);
        envelope.bytes[i] ^= 1;
        assert_int_equal(succession_read(slice_of(envelope.bytes, i), &back), INVALID);
        assert_int_equal(succession_verify(slice_of(envelope.bytes, i), old.public_key),
                         INVALID);
    }
}

/* Only who has the new key may have it named: else anybody's key could be claimed. */
static void test_proof_by_the_new_key(void **state)
{
    const struct sign_key old = key_of(1);
    struct sign_key claimed = key_of(2);
    struct succession succession = sample();
    struct signed_succession envelope;
    struct succession back;

    (void)state;
    memcpy(claimed.secret, key_of(3).secret, sizeof claimed.secret);
    succession_sign(&succession, &old, &claimed, &envelope);
    assert_int_equal(succession_verify(bytes_of(&envelope), old.public_key), OK);
    assert_int_equal(succession_read(bytes_of(&envelope), &back), REFUSED);
}

static void test_what_is_none(void **state)
{
    static const char *const codes[] = { "", "FR", "-fr", "f r" };
    static const uint8_t zeros[SUCCESSION_SIZE_MAX + 1];
    const struct sign_key old = key_of(1);
    const struct sign_key fresh = key_of(2);
    struct signed_succession envelope;
    struct succession back;

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct succession succession = sample();

        memset(succession.code, 0, sizeof succession.code);
        memcpy(succession.code, codes[i], strlen(codes[i]));
        succession_sign(&succession, &old, &fresh, &envelope);
        assert_int_equal(succession_read(bytes_of(&envelope), &back), INVALID);
    }
    assert_int_equal(succession_read(slice_of(zeros, sizeof zeros), &back), INVALID);
    assert_int_equal(succession_verify(slice_of(zeros, sizeof zeros), old.public_key), INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_byte_counts),
        cmocka_unit_test(test_proof_by_the_new_key),
        cmocka_unit_test(test_what_is_none),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
