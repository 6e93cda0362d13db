/* SPDX-License-Identifier: MPL-2.0 */
/* import_text.c - trimming, normalising and hashing of texts.
 * Unicode's rules are libunistring's; most texts are ASCII, which needs none of them. */
#include "client/import_text.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#define SMALL_SIZE 512 /* of texts that are normalised on the stack */

static bool is_ascii_ink(uint8_t byte)
{
    return byte > ' ' && byte < 0x7f;
}

struct slice text_trim(struct slice text)
{
    ucs4_t character;

    while (text.size > 0 && !is_ascii_ink(text.data[0])) {
        const int size = u8_mbtouc(&character, text.data, text.size);

        if (!uc_is_property_white_space(character))
            break;
        text.data += size;
        text.size -= (size_t)size;
    }
    while (text.size > 0 && !is_ascii_ink(text.data[text.size - 1])) {
        const uint8_t *last = u8_prev(&character, text.data + text.size, text.data);

        if (last == NULL || !uc_is_property_white_space(character))
            break;
        text.size = (size_t)(last - text.data);
    }
    return text;
}

/* --- keys --------------------------------------------------------------------------------- */

static const uint8_t *secret(void)
{
    static uint8_t bytes[crypto_shorthash_siphashx24_KEYBYTES];
    static bool known;

    if (!known)
        randombytes_buf(bytes, sizeof bytes);
    known = true;
    return bytes;
}

struct text_key text_key_of(struct slice text)
{
    uint8_t hash[crypto_shorthash_siphashx24_BYTES];
    struct text_key key;

    _Static_assert(sizeof hash == sizeof key, "text_key");
    (void)crypto_shorthash_siphashx24(hash, text.data, text.size, secret());
    memcpy(&key, hash, sizeof key);
    return key;
}

static uint64_t hash_of(const uint8_t *data, size_t size)
{
    uint8_t hash[crypto_shorthash_siphash24_BYTES];
    uint64_t key;

    (void)crypto_shorthash_siphash24(hash, data, size, secret());
    memcpy(&key, hash, sizeof key);
    return key == 0 ? 1 : key;
}

/* False if it is not ASCII, or larger than out. */
static bool lower_ascii(struct slice text, uint8_t out[SMALL_SIZE])
{
    uint8_t all = 0;

    if (text.size > SMALL_SIZE)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t byte = text.data[i];

        all |= byte;
        out[i] = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
    }
    return all < 0x80;
}

bool text_key_normalised(struct slice text, uint64_t *out_key)
{
    uint8_t small[SMALL_SIZE];
    size_t size = sizeof small;
    uint8_t *lower;

    text = text_trim(text);
    if (lower_ascii(text, small)) {
        *out_key = hash_of(small, text.size);
        return true;
    }
    lower = u8_tolower(text.data, text.size, NULL, UNINORM_NFC, small, &size);
    if (lower == NULL)
        return false;
    *out_key = hash_of(lower, size);
    if (lower != small)
        free(lower);
    return true;
}
