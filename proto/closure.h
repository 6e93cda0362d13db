/* SPDX-License-Identifier: MPL-2.0 */
/* closure.h - where HQ's own epoch was closed, and who signs in the next one: signed with the
 * recovery key, because nobody stands above HQ.
 *
 * Envelope as of heads (head.h), tag "chapterd clos 1" and a NUL; body: [federation, epoch,
 * instance, closed_seq, closed_hash]; epoch is the one that begins. */
#ifndef CHAPTERD_PROTO_CLOSURE_H
#define CHAPTERD_PROTO_CLOSURE_H

#include "proto/head.h"

struct closure {
    uint8_t federation[HASH_SIZE];
    uint64_t epoch;
    uint64_t instance;
    uint64_t closed_seq; /* 0: HQ had signed nothing, closed_hash is zeros */
    uint8_t closed_hash[HASH_SIZE];
};

struct signed_closure {
    uint16_t size; /* 0: none */
    uint8_t bytes[SIGNED_CLOSURE_SIZE_MAX];
};

void closure_sign(const struct closure *closure, const struct sign_key *recovery,
                  struct signed_closure *out_signed);
/* INVALID if it is not exactly one well-formed envelope and body. */
enum status closure_read(struct slice bytes, struct closure *out_closure) MUST_CHECK;
/* REFUSED if it is not by key. */
enum status closure_verify(struct slice envelope, const uint8_t key[KEY_SIZE]) MUST_CHECK;

#endif
