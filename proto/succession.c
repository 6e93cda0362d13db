/* SPDX-License-Identifier: MPL-2.0 */
/* succession.c - a signing key gives way to another. */
#include "proto/succession.h"

#include <sodium.h>
#include <string.h>

#define MATERIAL_LEAD 17 /* tag and version */
#define BODY_SIZE_MAX (SUCCESSION_SIZE_MAX - 2 * (SIGNATURE_SIZE + 2) - 4)

static const uint8_t lead[MATERIAL_LEAD] = "chapterd key 1\0\0\x01";

struct envelope {
    struct slice body;
    uint8_t signature[SIGNATURE_SIZE];
    uint8_t proof[SIGNATURE_SIZE];
};

static size_t material_of(struct slice body, uint8_t out[MATERIAL_LEAD + BODY_SIZE_MAX])
{
    memcpy(out, lead, sizeof lead);
    memcpy(out + sizeof lead, body.data, body.size);
    return sizeof lead + body.size;
}

void succession_sign(struct succession *succession, const struct sign_key *by,
                     const struct sign_key *fresh, struct signed_succession *out_signed)
{
    uint8_t material[MATERIAL_LEAD + BODY_SIZE_MAX];
    uint8_t signature[SIGNATURE_SIZE];
    uint8_t body[BODY_SIZE_MAX];
    struct mp_writer writer;
    size_t size;

    memcpy(succession->sign_key, fresh->public_key, KEY_SIZE);
    mp_writer_init(&writer, body, sizeof body);
    mp_write_array(&writer, 5);
    mp_write_bin(&writer, succession->federation, HASH_SIZE);
    mp_write_text(&writer, succession->code);
    mp_write_bin(&writer, succession->sign_key, KEY_SIZE);
    mp_write_uint(&writer, succession->until_epoch);
    mp_write_uint(&writer, succession->until_seq);
    ASSERT(writer.status == OK);
    size = material_of(mp_writer_bytes(&writer), material);
    out_signed->size = 0;
    {
        const struct slice whole = mp_writer_bytes(&writer);
        struct mp_writer envelope;

        mp_writer_init(&envelope, out_signed->bytes, sizeof out_signed->bytes);
        mp_write_array(&envelope, 4);
        mp_write_uint(&envelope, 1);
        mp_write_bin(&envelope, whole.data, whole.size);
        crypto_sign_detached(signature, NULL, material, size, by->secret);
        mp_write_bin(&envelope, signature, sizeof signature);
        crypto_sign_detached(signature, NULL, material, size, fresh->secret);
        mp_write_bin(&envelope, signature, sizeof signature);
        ASSERT(envelope.status == OK);
        out_signed->size = (uint16_t)envelope.size;
    }
}

static enum status envelope_read(struct slice bytes, struct envelope *out)
{
    struct mp_reader reader;

    if (bytes.size > SUCCESSION_SIZE_MAX)
        return INVALID;
    mp_reader_init(&reader, bytes);
    mp_read_array_exact(&reader, 4);
    if (mp_read_uint(&reader, UINT64_MAX) != 1)
        mp_fail(&reader, INVALID);
    out->body = mp_read_bin(&reader, BODY_SIZE_MAX);
    mp_read_bin_exact(&reader, out->signature, SIGNATURE_SIZE);
    mp_read_bin_exact(&reader, out->proof, SIGNATURE_SIZE);
    return mp_reader_finish(&reader) == OK ? OK : INVALID;
}

static bool is_signed(struct slice body, const uint8_t signature[SIGNATURE_SIZE],
                      const uint8_t key[KEY_SIZE])
{
    uint8_t material[MATERIAL_LEAD + BODY_SIZE_MAX];
    const size_t size = material_of(body, material);

    return crypto_sign_verify_detached(signature, material, size, key) == 0;
}

enum status succession_read(struct slice bytes, struct succession *out)
{
    struct succession succession;
    struct envelope envelope;
    struct mp_reader reader;
    struct slice code;

    if (envelope_read(bytes, &envelope) != OK)
        return INVALID;
    memset(&succession, 0, sizeof succession);
    mp_reader_init(&reader, envelope.body);
    mp_read_array_exact(&reader, 5);
    mp_read_bin_exact(&reader, succession.federation, HASH_SIZE);
    code = mp_read_str(&reader, CODE_SIZE - 1);
    mp_read_bin_exact(&reader, succession.sign_key, KEY_SIZE);
    succession.until_epoch = mp_read_uint(&reader, UINT64_MAX);
    succession.until_seq = mp_read_uint(&reader, UINT64_MAX);
    if (mp_reader_finish(&reader) != OK || !code_valid(code))
        return INVALID;
    memcpy(succession.code, code.data, code.size);
    if (!is_signed(envelope.body, envelope.proof, succession.sign_key))
        return REFUSED;
    *out = succession;
    return OK;
}

enum status succession_verify(struct slice bytes, const uint8_t key[KEY_SIZE])
{
    struct envelope envelope;

    if (envelope_read(bytes, &envelope) != OK)
        return INVALID;
    return is_signed(envelope.body, envelope.signature, key) ? OK : REFUSED;
}
