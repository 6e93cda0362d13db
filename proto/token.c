/* SPDX-License-Identifier: MPL-2.0 */
/* token.c - genesis, invitations in one line, and addresses. */
#include "proto/token.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_PREFIX "chapterd1."
#define CHECKSUM_SIZE 4

/* --- genesis ------------------------------------------------------------------------------ */

void genesis_write(struct mp_writer *writer, const struct genesis *genesis)
{
    mp_write_array(writer, 6);
    mp_write_uint(writer, 1);
    mp_write_text(writer, genesis->name);
    mp_write_bin(writer, genesis->sign_key, KEY_SIZE);
    mp_write_bin(writer, genesis->recovery_key, KEY_SIZE);
    mp_write_uint(writer, genesis->created);
    mp_write_bin(writer, genesis->random, sizeof genesis->random);
}

enum status genesis_read(struct slice bytes, struct genesis *out_genesis)
{
    struct mp_reader reader;
    struct genesis genesis;

    memset(&genesis, 0, sizeof genesis);
    if (bytes.size > GENESIS_SIZE_MAX)
        return TOO_LARGE;
    mp_reader_init(&reader, bytes);
    mp_read_array_exact(&reader, 6);
    if (mp_read_uint(&reader, UINT64_MAX) != 1)
        mp_fail(&reader, INVALID);
    mp_read_text(&reader, genesis.name, sizeof genesis.name);
    mp_read_bin_exact(&reader, genesis.sign_key, KEY_SIZE);
    mp_read_bin_exact(&reader, genesis.recovery_key, KEY_SIZE);
    genesis.created = mp_read_uint(&reader, UINT64_MAX);
    mp_read_bin_exact(&reader, genesis.random, sizeof genesis.random);
    if (mp_reader_finish(&reader) == OK)
        *out_genesis = genesis;
    return mp_reader_finish(&reader);
}

void genesis_federation(struct slice bytes, uint8_t out_federation[HASH_SIZE])
{
    static const uint8_t tag[16] = "chapterd gen 1";
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    crypto_generichash_update(&state, tag, sizeof tag);
    crypto_generichash_update(&state, bytes.data, bytes.size);
    crypto_generichash_final(&state, out_federation, HASH_SIZE);
}

/* --- tokens ------------------------------------------------------------------------------- */

void token_secret_hash(const uint8_t secret[TOKEN_SECRET_SIZE], uint8_t out_hash[HASH_SIZE])
{
    static const uint8_t tag[16] = "chapterd tok 1";
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    crypto_generichash_update(&state, tag, sizeof tag);
    crypto_generichash_update(&state, secret, TOKEN_SECRET_SIZE);
    crypto_generichash_final(&state, out_hash, HASH_SIZE);
}

static void checksum(const uint8_t *bytes, size_t size, uint8_t out[CHECKSUM_SIZE])
{
    uint8_t hash[HASH_SIZE];

    crypto_generichash(hash, sizeof hash, bytes, size, NULL, 0);
    memcpy(out, hash, CHECKSUM_SIZE);
}

enum status token_format(const struct token *token, char *out_text, size_t out_size)
{
    uint8_t bytes[TOKEN_SIZE_MAX];
    const size_t prefix = strlen(TOKEN_PREFIX);
    struct mp_writer writer;

    ASSERT(token->address_count > 0 && token->address_count <= TOKEN_ADDRESSES_MAX);
    mp_writer_init(&writer, bytes, sizeof bytes - CHECKSUM_SIZE);
    mp_write_array(&writer, 10);
    mp_write_uint(&writer, 1);
    mp_write_text(&writer, token->code);
    mp_write_text(&writer, token->name);
    mp_write_array(&writer, token->address_count);
    for (size_t i = 0; i < token->address_count; i++)
        mp_write_text(&writer, token->address[i]);
    mp_write_bin(&writer, token->hq_curve_key, KEY_SIZE);
    mp_write_bin(&writer, token->genesis, token->genesis_size);
    mp_write_bin(&writer, token->secret, TOKEN_SECRET_SIZE);
    mp_write_uint(&writer, token->roster_epoch);
    mp_write_uint(&writer, token->roster_seq);
    mp_write_uint(&writer, token->expires);
    if (writer.status != OK)
        return writer.status;
    checksum(bytes, writer.size, bytes + writer.size);
    if (prefix + sodium_base64_ENCODED_LEN(writer.size + CHECKSUM_SIZE,
                                           sodium_base64_VARIANT_URLSAFE_NO_PADDING) >
        out_size)
        return TOO_LARGE;
    memcpy(out_text, TOKEN_PREFIX, prefix);
    sodium_bin2base64(out_text + prefix, out_size - prefix, bytes, writer.size + CHECKSUM_SIZE,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return OK;
}

/* libsodium 1.0.18 takes some bytes above 0x7f for characters of base64. */
static bool is_base64url(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!((text[i] >= 'A' && text[i] <= 'Z') || (text[i] >= 'a' && text[i] <= 'z') ||
              (text[i] >= '0' && text[i] <= '9') || text[i] == '-' || text[i] == '_'))
            return false;
    return true;
}

static enum status objection(const char **out_reason, const char *reason)
{
    *out_reason = reason;
    return INVALID;
}

static bool addresses_good(const struct token *token)
{
    char host[ADDRESS_SIZE];
    uint16_t port;

    for (size_t i = 0; i < token->address_count; i++)
        if (address_parse(token->address[i], host, sizeof host, &port) != OK)
            return false;
    return token->address_count > 0;
}

static bool token_read(struct slice bytes, struct token *token)
{
    struct mp_reader reader;
    struct slice genesis;

    memset(token, 0, sizeof *token);
    mp_reader_init(&reader, bytes);
    mp_read_array_exact(&reader, 10);
    if (mp_read_uint(&reader, UINT64_MAX) != 1)
        mp_fail(&reader, INVALID);
    mp_read_text(&reader, token->code, sizeof token->code);
    mp_read_text(&reader, token->name, sizeof token->name);
    token->address_count = mp_read_array(&reader, TOKEN_ADDRESSES_MAX);
    for (size_t i = 0; i < token->address_count; i++)
        mp_read_text(&reader, token->address[i], ADDRESS_SIZE);
    mp_read_bin_exact(&reader, token->hq_curve_key, KEY_SIZE);
    genesis = mp_read_bin(&reader, GENESIS_SIZE_MAX);
    mp_read_bin_exact(&reader, token->secret, TOKEN_SECRET_SIZE);
    token->roster_epoch = mp_read_uint(&reader, UINT64_MAX);
    token->roster_seq = mp_read_uint(&reader, UINT64_MAX);
    token->expires = mp_read_uint(&reader, UINT64_MAX);
    if (mp_reader_finish(&reader) != OK || !addresses_good(token) ||
        !code_valid(slice_of_text(token->code)))
        return false;
    memcpy(token->genesis, genesis.data, genesis.size);
    token->genesis_size = genesis.size;
    return true;
}

enum status token_parse(struct slice text, struct token *out_token, const char **out_reason)
{
    char packed[TOKEN_SIZE_MAX];
    uint8_t bytes[TOKEN_SIZE_MAX];
    uint8_t sum[CHECKSUM_SIZE];
    const size_t prefix = strlen(TOKEN_PREFIX);
    struct token *token;
    struct genesis genesis;
    size_t size = 0;
    enum status status = OK;

    for (size_t i = 0; i < text.size; i++) {
        const char c = (char)text.data[i];

        if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
            continue;
        if (size + 1 >= sizeof packed)
            return objection(out_reason, "it is longer than any token");
        packed[size++] = c;
    }
    packed[size] = '\0';
    if (size < 8 || memcmp(packed, "chapterd", 8) != 0)
        return objection(out_reason, "it does not begin with chapterd1.");
    if (size < prefix || memcmp(packed, TOKEN_PREFIX, prefix) != 0)
        return objection(out_reason, "it is of a newer version: install a newer chapterd");
    if (!is_base64url(packed + prefix, size - prefix) ||
        sodium_base642bin(bytes, sizeof bytes, packed + prefix, size - prefix, NULL, &size,
                          NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
        return objection(out_reason,
                         "it holds a character that no token has, or was cut short");
    if (size <= CHECKSUM_SIZE)
        return objection(out_reason, "it was cut short");
    checksum(bytes, size - CHECKSUM_SIZE, sum);
    if (memcmp(sum, bytes + size - CHECKSUM_SIZE, CHECKSUM_SIZE) != 0)
        return objection(out_reason, "its checksum is wrong: a part is missing or mistyped");
    if ((token = malloc(sizeof *token)) == NULL)
        return NO_MEMORY;
    if (!token_read(slice_of(bytes, size - CHECKSUM_SIZE), token) ||
        genesis_read(slice_of(token->genesis, token->genesis_size), &genesis) != OK)
        status = objection(out_reason, "its content is not an invitation");
    else
        *out_token = *token;
    sodium_memzero(token, sizeof *token);
    free(token);
    return status;
}

/* --- addresses ---------------------------------------------------------------------------- */

enum status address_parse(const char *text, char *out_host, size_t host_size,
                          uint16_t *out_port)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;
    size_t host_length;
    unsigned long port;
    char *end;

    if (colon == NULL || colon == text || colon[1] < '0' || colon[1] > '9')
        return INVALID;
    port = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || port == 0 || port > 65534)
        return INVALID;
    host_length = (size_t)(colon - text);
    if (text[0] == '[') {
        if (host_length < 3 || colon[-1] != ']')
            return INVALID;
        host++;
        host_length -= 2;
    } else if (memchr(text, ':', host_length) != NULL) {
        return INVALID; /* an IPv6 address needs its brackets */
    }
    if (host_length >= host_size || host_length > 253)
        return TOO_LARGE;
    memcpy(out_host, host, host_length);
    out_host[host_length] = '\0';
    *out_port = (uint16_t)port;
    return OK;
}
