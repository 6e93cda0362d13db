/* SPDX-License-Identifier: MPL-2.0 */
/* import_text.c - trimming, normalising and hashing of texts.
 * Unicode's rules are libunistring's. */
#include "client/import_text.h"

#include <sodium.h>
#include <stdlib.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

struct slice text_trim(struct slice text)
{
    ucs4_t character;

    while (text.size > 0) {
        const int size = u8_mbtouc(&character, text.data, text.size);

        if (!uc_is_property_white_space(character))
            break;
        text.data += size;
        text.size -= (size_t)size;
    }
    while (text.size > 0) {
        const uint8_t *last = u8_prev(&character, text.data + text.size, text.data);

        if (last == NULL || !uc_is_property_white_space(character))
            break;
        text.size = (size_t)(last - text.data);
    }
    return text;
}

static bool add_normalised(crypto_generichash_state *state, struct slice text)
{
    uint8_t small[512];
    size_t size = sizeof small;
    uint8_t *lower;

    text = text_trim(text);
    lower = u8_tolower(text.data, text.size, NULL, UNINORM_NFC, small, &size);
    if (lower == NULL)
        return false;
    (void)crypto_generichash_update(state, lower, size);
    if (lower != small)
        free(lower);
    return true;
}

bool text_key(enum text_key_kind kind, struct slice first, struct slice second,
              uint8_t out_key[TEXT_KEY_SIZE])
{
    static uint8_t secret[crypto_generichash_KEYBYTES];
    static bool known;
    const uint8_t domain = (uint8_t)kind;
    const uint8_t end = 0;
    crypto_generichash_state state;
    bool ok = true;

    if (!known)
        randombytes_buf(secret, sizeof secret);
    known = true;
    (void)crypto_generichash_init(&state, secret, sizeof secret, TEXT_KEY_SIZE);
    (void)crypto_generichash_update(&state, &domain, sizeof domain);
    if (kind == TEXT_KEY_EMAIL || kind == TEXT_KEY_PERSON)
        ok = add_normalised(&state, first);
    else
        (void)crypto_generichash_update(&state, first.data, first.size);
    (void)crypto_generichash_update(&state, &end, sizeof end);
    if (kind == TEXT_KEY_PERSON)
        ok = ok && add_normalised(&state, second);
    (void)crypto_generichash_final(&state, out_key, TEXT_KEY_SIZE);
    return ok;
}
