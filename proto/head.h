/* SPDX-License-Identifier: MPL-2.0 */
/* head.h - heads and beats: what an origin signs, and the envelope it travels in.
 *
 * Envelope: MessagePack [version, body (bin), signature (bin, 64)]; Ed25519 (RFC 8032) over
 * tag (16 bytes) || version (1 byte) || body as received.  Nothing is re-encoded to be
 * verified; the envelope's bytes are stored and forwarded as they came.
 * head hash = BLAKE2b-256("chapterd head 1\0" || version || body). */
#ifndef CHAPTERD_PROTO_HEAD_H
#define CHAPTERD_PROTO_HEAD_H

#include "chapterd/limits.h"
#include "proto/mp.h"
#include "proto/record.h"

/* Body: [federation, origin, epoch, instance, seq, prev_seq, prev_hash, federation digest,
 * federation count, hq digest, hq count, horizon, roster_epoch, roster_seq].
 * Covers (prev_seq, seq].  prev_hash is zeros and prev_seq 0 in an origin's very first head. */
struct head {
    uint8_t federation[HASH_SIZE];
    char origin[CODE_SIZE];
    uint64_t epoch;
    uint64_t instance;
    uint64_t seq;
    uint64_t prev_seq;
    uint8_t prev_hash[HASH_SIZE];
    uint8_t digest[TIERS_PUBLISHED][HASH_SIZE];
    uint64_t count[TIERS_PUBLISHED];
    uint64_t horizon;
    uint64_t roster_epoch;
    uint64_t roster_seq;
    uint8_t hash[HASH_SIZE]; /* derived, not in the body */
};

struct signed_head {
    uint16_t size;
    uint8_t bytes[SIGNED_HEAD_SIZE_MAX];
};

/* Body: [federation, origin, epoch, seq, head hash, boot, counter, hq_boot, hq_counter]: "this
 * is still my newest head"; (hq_boot, hq_counter) echo the newest beat of HQ seen, 0 0 if none.
 * */
struct beat {
    uint8_t federation[HASH_SIZE];
    char origin[CODE_SIZE];
    uint64_t epoch;
    uint64_t seq;
    uint8_t head_hash[HASH_SIZE];
    uint64_t boot;
    uint64_t counter;
    uint64_t hq_boot;
    uint64_t hq_counter;
};

struct signed_beat {
    uint16_t size;
    uint8_t bytes[SIGNED_BEAT_SIZE_MAX];
};

struct sign_key {
    uint8_t secret[64]; /* libsodium's form: seed || public */
    uint8_t public_key[KEY_SIZE];
};

/* Signs; fills head->hash.  NO other field is derived. */
void head_sign(struct head *head, const struct sign_key *key, struct signed_head *out_signed);
/* Form only (and the hash): INVALID if it is not exactly one well-formed envelope and body, or
 * its fields contradict each other (prev_seq >= seq, horizon > prev_seq, epoch 0, ...). */
enum status head_read(struct slice bytes, struct head *out_head) MUST_CHECK;
/* The signature over the envelope's own bytes; REFUSED if it is not by key. */
enum status head_verify(struct slice envelope, const uint8_t key[KEY_SIZE]) MUST_CHECK;
struct slice signed_head_bytes(const struct signed_head *signed_head);
/* Copies an envelope; TOO_LARGE. */
enum status signed_head_set(struct signed_head *signed_head, struct slice envelope) MUST_CHECK;

void beat_sign(const struct beat *beat, const struct sign_key *key,
               struct signed_beat *out_signed);
enum status beat_read(struct slice bytes, struct beat *out_beat) MUST_CHECK;
enum status beat_verify(struct slice envelope, const uint8_t key[KEY_SIZE]) MUST_CHECK;

/* Two heads of one origin and epoch whose ranges overlap, or that sit on one another with the
 * wrong hash: proof that the origin signed two histories.  Equal heads are none. */
bool heads_conflict(const struct head *a, const struct head *b);
/* A beat that names another hash at the head's own (epoch, seq). */
bool beat_conflicts(const struct beat *beat, const struct head *head);

#endif
