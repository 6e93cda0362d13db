/* SPDX-License-Identifier: MPL-2.0 */
/* succession.h - a signing key gives way to another: a statement that both have signed.
 *
 * body = [federation, code, new key, until_epoch, until_seq]; the envelope is [1, body,
 * signature, proof]: the signature by the key that gives way (for HQ also by the recovery key),
 * the proof by the new one, both over "chapterd key 1\0\0", version 1 (1 byte), body.  The old
 * key's word ends with the head (until_epoch, until_seq). */
#ifndef CHAPTERD_PROTO_SUCCESSION_H
#define CHAPTERD_PROTO_SUCCESSION_H

#include "proto/head.h"

#define SUCCESSION_SIZE_MAX 320

struct succession {
    uint8_t federation[HASH_SIZE];
    char code[CODE_SIZE];
    uint8_t sign_key[KEY_SIZE]; /* the new one */
    uint64_t until_epoch;       /* of a chapter both are 0: HQ says until when in the roster */
    uint64_t until_seq;
};
struct signed_succession {
    uint16_t size;
    uint8_t bytes[SUCCESSION_SIZE_MAX];
};

/* by: the old key, or HQ's recovery key.  Fills sign_key from fresh. */
void succession_sign(struct succession *succession, const struct sign_key *by,
                     const struct sign_key *fresh, struct signed_succession *out_signed);
/* Form, and the new key's proof: INVALID or REFUSED. */
enum status succession_read(struct slice bytes, struct succession *out) MUST_CHECK;
/* REFUSED if it is not signed by key. */
enum status succession_verify(struct slice bytes, const uint8_t key[KEY_SIZE]) MUST_CHECK;

#endif
