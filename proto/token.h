/* SPDX-License-Identifier: MPL-2.0 */
/* token.h - the genesis of a federation, and the one-line token that invites a chapter.
 *
 * genesis = MessagePack [1, name, HQ's first signing key, recovery key, created (s), random
 * (16)]; the federation's id is BLAKE2b-256("chapterd gen 1\0\0" || genesis).
 * token = "chapterd1." + base64url without padding of MessagePack
 * [1, code, chapter's name, [HQ addresses], HQ's CURVE key, genesis, secret, roster epoch,
 * roster seq, expires (s)] || the first 4 bytes of BLAKE2b-256 of what stands before them.
 * White space around and inside a token is ignored: mail programs fold lines. */
#ifndef CHAPTERD_PROTO_TOKEN_H
#define CHAPTERD_PROTO_TOKEN_H

#include "proto/head.h"
#include "proto/wire.h"

struct genesis {
    char name[NAME_SIZE_MAX];
    uint8_t sign_key[KEY_SIZE];
    uint8_t recovery_key[KEY_SIZE];
    uint64_t created;
    uint8_t random[16];
};
void genesis_write(struct mp_writer *writer, const struct genesis *genesis);
enum status genesis_read(struct slice bytes, struct genesis *out_genesis) MUST_CHECK;
void genesis_federation(struct slice bytes, uint8_t out_federation[HASH_SIZE]);

#define TOKEN_ADDRESSES_MAX 4
struct token {
    char code[CODE_SIZE];
    char name[NAME_SIZE_MAX];
    char address[TOKEN_ADDRESSES_MAX][ADDRESS_SIZE];
    size_t address_count;
    uint8_t hq_curve_key[KEY_SIZE];
    uint8_t genesis[GENESIS_SIZE_MAX];
    size_t genesis_size;
    uint8_t secret[TOKEN_SECRET_SIZE];
    uint64_t roster_epoch; /* a roster older than this is not HQ's newest */
    uint64_t roster_seq;
    uint64_t expires; /* seconds since 1970 */
};
/* TOO_LARGE if it does not fit. */
enum status token_format(const struct token *token, char *out_text, size_t out_size) MUST_CHECK;
/* INVALID with a sentence for people: cut short, not a token, checksum, newer version. */
enum status token_parse(struct slice text, struct token *out_token,
                        const char **out_reason) MUST_CHECK;
/* What HQ keeps instead of the secret. */
void token_secret_hash(const uint8_t secret[TOKEN_SECRET_SIZE], uint8_t out_hash[HASH_SIZE]);

/* "host:port", "[v6]:port"; port 1 to 65534 (PORT + 1 is used, too). */
enum status address_parse(const char *text, char *out_host, size_t host_size,
                          uint16_t *out_port) MUST_CHECK;

#endif
