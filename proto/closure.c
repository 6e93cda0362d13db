/* SPDX-License-Identifier: MPL-2.0 */
/* closure.c - where HQ's own epoch was closed. */
#include "proto/closure.h"

#include <sodium.h>
#include <string.h>

#define TAG_SIZE 16
#define CLOSURE_VERSION 1
static const uint8_t closure_tag[TAG_SIZE] = "chapterd clos 1";

static size_t material_of(struct slice body,
                          uint8_t out[TAG_SIZE + 1 + SIGNED_CLOSURE_SIZE_MAX])
{
    memcpy(out, closure_tag, TAG_SIZE);
    out[TAG_SIZE] = CLOSURE_VERSION;
    memcpy(out + TAG_SIZE + 1, body.data, body.size);
    return TAG_SIZE + 1 + body.size;
}

void closure_sign(const struct closure *closure, const struct sign_key *recovery,
                  struct signed_closure *out_signed)
{
    uint8_t body[SIGNED_CLOSURE_SIZE_MAX];
    uint8_t material[TAG_SIZE + 1 + SIGNED_CLOSURE_SIZE_MAX];
    uint8_t signature[SIGNATURE_SIZE];
    struct mp_writer writer;
    struct slice bytes;

    mp_writer_init(&writer, body, sizeof body);
    mp_write_array(&writer, 5);
    mp_write_bin(&writer, closure->federation, HASH_SIZE);
    mp_write_uint(&writer, closure->epoch);
    mp_write_uint(&writer, closure->instance);
    mp_write_uint(&writer, closure->closed_seq);
    mp_write_bin(&writer, closure->closed_hash, HASH_SIZE);
    bytes = mp_writer_bytes(&writer);
    crypto_sign_detached(signature, NULL, material, material_of(bytes, material),
                         recovery->secret);
    mp_writer_init(&writer, out_signed->bytes, sizeof out_signed->bytes);
    mp_write_array(&writer, 3);
    mp_write_uint(&writer, CLOSURE_VERSION);
    mp_write_bin(&writer, bytes.data, bytes.size);
    mp_write_bin(&writer, signature, sizeof signature);
    ASSERT(writer.status == OK);
    out_signed->size = (uint16_t)writer.size;
}

static enum status open_envelope(struct slice bytes, struct slice *out_body,
                                 uint8_t out_signature[SIGNATURE_SIZE])
{
    struct mp_reader reader;

    if (bytes.size > SIGNED_CLOSURE_SIZE_MAX)
        return INVALID;
    mp_reader_init(&reader, bytes);
    mp_read_array_exact(&reader, 3);
    if (mp_read_uint(&reader, UINT64_MAX) != CLOSURE_VERSION)
        mp_fail(&reader, INVALID);
    *out_body = mp_read_bin(&reader, SIGNED_CLOSURE_SIZE_MAX);
    mp_read_bin_exact(&reader, out_signature, SIGNATURE_SIZE);
    return mp_reader_finish(&reader) == OK ? OK : INVALID;
}

enum status closure_read(struct slice bytes, struct closure *out_closure)
{
    uint8_t signature[SIGNATURE_SIZE];
    struct slice body;
    struct mp_reader reader;
    struct closure closure;
    const enum status status = open_envelope(bytes, &body, signature);

    if (status != OK)
        return status;
    memset(&closure, 0, sizeof closure);
    mp_reader_init(&reader, body);
    mp_read_array_exact(&reader, 5);
    mp_read_bin_exact(&reader, closure.federation, HASH_SIZE);
    closure.epoch = mp_read_uint(&reader, EPOCH_MAX);
    closure.instance = mp_read_uint(&reader, UINT64_MAX);
    closure.closed_seq = mp_read_uint(&reader, UINT64_MAX);
    mp_read_bin_exact(&reader, closure.closed_hash, HASH_SIZE);
    if (mp_reader_finish(&reader) != OK || closure.epoch < 2 || closure.instance == 0 ||
        (closure.closed_seq == 0) != (sodium_is_zero(closure.closed_hash, HASH_SIZE) == 1))
        return INVALID;
    *out_closure = closure;
    return OK;
}

enum status closure_verify(struct slice envelope, const uint8_t key[KEY_SIZE])
{
    uint8_t material[TAG_SIZE + 1 + SIGNED_CLOSURE_SIZE_MAX];
    uint8_t signature[SIGNATURE_SIZE];
    struct slice body;
    const enum status status = open_envelope(envelope, &body, signature);

    if (status != OK)
        return status;
    return crypto_sign_verify_detached(signature, material, material_of(body, material), key) ==
                   0
               ? OK
               : REFUSED;
}
