/* SPDX-License-Identifier: MPL-2.0 */
/* digest.c - LtHash over a feed's leaves (Lewi, Kim, Maykov, Weis 2019). */
#include "proto/digest.h"

#include <sodium.h>
#include <string.h>

#define EXPANDED_SIZE (2 * DIGEST_LANES)

static void put_big_endian(uint8_t *out, uint64_t number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(number >> (8 * (size - 1 - i)));
}

void digest_sum_clear(struct digest_sum *sum)
{
    memset(sum, 0, sizeof *sum);
}

/* The leaf's 1,024 lanes as bytes. */
static void expand_leaf(const char *origin, enum tier tier, const struct change *change,
                        uint8_t out_lanes[EXPANDED_SIZE])
{
    static const uint8_t tag[16] = "chapterd leaf 1";
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = { 0 };
    const struct slice value = change->value[tier];
    uint8_t lead[16 + 1 + CODE_SIZE + 1 + ID_SIZE + 8 + SALT_SIZE + 4] = { 0 };
    uint8_t *at = lead;
    uint8_t key[HASH_SIZE];
    crypto_generichash_state state;

    ASSERT(change->tiers & 1u << tier);
    memcpy(at, tag, 16);
    at += 16;
    *at++ = (uint8_t)tier;
    memcpy(at, origin, strnlen(origin, CODE_SIZE));
    at += CODE_SIZE;
    *at++ = (uint8_t)change->type;
    memcpy(at, change->id, ID_SIZE);
    at += ID_SIZE;
    put_big_endian(at, change->seq, 8);
    at += 8;
    if (tier == TIER_HQ)
        memcpy(at, change->salt, SALT_SIZE);
    at += SALT_SIZE;
    put_big_endian(at, value.size, 4);
    crypto_generichash_init(&state, NULL, 0, sizeof key);
    crypto_generichash_update(&state, lead, sizeof lead);
    crypto_generichash_update(&state, value.data, value.size);
    crypto_generichash_final(&state, key, sizeof key);
    crypto_stream_chacha20(out_lanes, EXPANDED_SIZE, nonce, key);
}

static uint16_t lane_of(const uint8_t *bytes, size_t i)
{
    return (uint16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8);
}

uint64_t digest_leaf_bytes(enum tier tier, const struct change *change)
{
    return change->value[tier].size + 64;
}

void digest_add(struct digest_sum *sum, const char *origin, enum tier tier,
                const struct change *change)
{
    uint8_t lanes[EXPANDED_SIZE];

    expand_leaf(origin, tier, change, lanes);
    for (size_t i = 0; i < DIGEST_LANES; i++)
        sum->lanes[i] = (uint16_t)(sum->lanes[i] + lane_of(lanes, i));
    sum->bytes += digest_leaf_bytes(tier, change);
    if (!value_is_removal(change->value[tier]))
        sum->count++;
}

void digest_subtract(struct digest_sum *sum, const char *origin, enum tier tier,
                     const struct change *change)
{
    uint8_t lanes[EXPANDED_SIZE];

    expand_leaf(origin, tier, change, lanes);
    for (size_t i = 0; i < DIGEST_LANES; i++)
        sum->lanes[i] = (uint16_t)(sum->lanes[i] - lane_of(lanes, i));
    sum->bytes -= digest_leaf_bytes(tier, change);
    if (!value_is_removal(change->value[tier]))
        sum->count--;
}

void digest_of(const struct digest_sum *sum, enum tier tier, uint8_t out_digest[HASH_SIZE])
{
    static const uint8_t tag[16] = "chapterd sum 1";
    uint8_t stored[DIGEST_SUM_STORED_SIZE];
    uint8_t lead[9];
    crypto_generichash_state state;

    digest_sum_store(sum, stored);
    lead[0] = (uint8_t)tier;
    put_big_endian(lead + 1, sum->count, 8);
    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    crypto_generichash_update(&state, tag, sizeof tag);
    crypto_generichash_update(&state, lead, sizeof lead);
    crypto_generichash_update(&state, stored, EXPANDED_SIZE);
    crypto_generichash_final(&state, out_digest, HASH_SIZE);
}

void digest_sum_store(const struct digest_sum *sum, uint8_t out[DIGEST_SUM_STORED_SIZE])
{
    for (size_t i = 0; i < DIGEST_LANES; i++) {
        out[2 * i] = (uint8_t)(sum->lanes[i] & 0xff);
        out[2 * i + 1] = (uint8_t)(sum->lanes[i] >> 8);
    }
    put_big_endian(out + EXPANDED_SIZE, sum->count, 8);
    put_big_endian(out + EXPANDED_SIZE + 8, sum->bytes, 8);
}

static uint64_t get_big_endian(const uint8_t *in)
{
    uint64_t value = 0;

    for (size_t i = 0; i < 8; i++)
        value = value << 8 | in[i];
    return value;
}

void digest_sum_load(const uint8_t in[DIGEST_SUM_STORED_SIZE], struct digest_sum *out_sum)
{
    for (size_t i = 0; i < DIGEST_LANES; i++)
        out_sum->lanes[i] = lane_of(in, i);
    out_sum->count = get_big_endian(in + EXPANDED_SIZE);
    out_sum->bytes = get_big_endian(in + EXPANDED_SIZE + 8);
}
