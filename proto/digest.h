/* SPDX-License-Identifier: MPL-2.0 */
/* digest.h - the homomorphic digest of one tier of a feed (LtHash, 1,024 lanes of 16 bits).
 *
 * leaf = "chapterd leaf 1\0", tier (1 byte), origin (16 bytes, NUL-padded), type (1), id (16),
 *        seq (8, big-endian), salt (16; zeros in tier federation), length (4, big-endian),
 * value k = BLAKE2b-256(leaf); E = ChaCha20 keystream(key k, nonce 0, 2,048 bytes) as 1,024
 * little-endian lanes; S = lane-wise sum of E mod 2^16;
 * D = BLAKE2b-256("chapterd sum 1\0\0", tier (1), count (8, big-endian), S as little-endian
 * lanes).
 * A removal is summed and not counted.
 * Lewi, Kim, Maykov, Weis: Securing Update Propagation with Homomorphic Hashing, 2019. */
#ifndef CHAPTERD_PROTO_DIGEST_H
#define CHAPTERD_PROTO_DIGEST_H

#include "proto/record.h"

#define DIGEST_LANES 1024

struct digest_sum {
    uint16_t lanes[DIGEST_LANES];
    uint64_t count; /* leaves that are not removals */
    uint64_t
        bytes; /* that all leaves take, by digest_leaf_bytes: for quotas, not in the digest */
};

/* What a leaf counts for: its value, and 64 bytes for the rest. */
uint64_t digest_leaf_bytes(enum tier tier, const struct change *change);
void digest_sum_clear(struct digest_sum *sum);
/* change->tiers must hold tier. */
void digest_add(struct digest_sum *sum, const char *origin, enum tier tier,
                const struct change *change);
void digest_subtract(struct digest_sum *sum, const char *origin, enum tier tier,
                     const struct change *change);
void digest_of(const struct digest_sum *sum, enum tier tier, uint8_t out_digest[HASH_SIZE]);
/* Stored form: 2,064 bytes: lanes little-endian, count and bytes big-endian. */
#define DIGEST_SUM_STORED_SIZE (2 * DIGEST_LANES + 16)
void digest_sum_store(const struct digest_sum *sum, uint8_t out[DIGEST_SUM_STORED_SIZE]);
void digest_sum_load(const uint8_t in[DIGEST_SUM_STORED_SIZE], struct digest_sum *out_sum);

#endif
