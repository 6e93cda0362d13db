/* SPDX-License-Identifier: MPL-2.0 */
/* head.c - heads and beats in their signed envelopes. */
#include "proto/head.h"

#include <sodium.h>
#include <string.h>

#define TAG_SIZE 16
static const uint8_t head_tag[TAG_SIZE] = "chapterd head 1";
static const uint8_t beat_tag[TAG_SIZE] = "chapterd beat 1";
static const uint8_t envelope_version = 1;

struct envelope {
    struct slice body;
    uint8_t signature[SIGNATURE_SIZE];
};

static void signed_material(const uint8_t tag[TAG_SIZE], struct slice body,
                            uint8_t out[TAG_SIZE + 1 + SIGNED_HEAD_SIZE_MAX])
{
    memcpy(out, tag, TAG_SIZE);
    out[TAG_SIZE] = envelope_version;
    memcpy(out + TAG_SIZE + 1, body.data, body.size);
}

static size_t envelope_write(const uint8_t tag[TAG_SIZE], struct slice body,
                             const struct sign_key *key, uint8_t *out, size_t out_size)
{
    uint8_t material[TAG_SIZE + 1 + SIGNED_HEAD_SIZE_MAX];
    uint8_t signature[SIGNATURE_SIZE];
    struct mp_writer writer;

    signed_material(tag, body, material);
    crypto_sign_detached(signature, NULL, material, TAG_SIZE + 1 + body.size, key->secret);
    mp_writer_init(&writer, out, out_size);
    mp_write_array(&writer, 3);
    mp_write_uint(&writer, envelope_version);
    mp_write_bin(&writer, body.data, body.size);
    mp_write_bin(&writer, signature, sizeof signature);
    ASSERT(writer.status == OK);
    return writer.size;
}

static enum status envelope_read(struct slice bytes, size_t size_max, struct envelope *out)
{
    struct mp_reader reader;

    if (bytes.size > size_max)
        return INVALID;
    mp_reader_init(&reader, bytes);
    mp_read_array_exact(&reader, 3);
    if (mp_read_uint(&reader, UINT64_MAX) != envelope_version)
        mp_fail(&reader, INVALID);
    out->body = mp_read_bin(&reader, size_max);
    mp_read_bin_exact(&reader, out->signature, SIGNATURE_SIZE);
    return mp_reader_finish(&reader) == OK ? OK : INVALID;
}

static enum status envelope_verify(const uint8_t tag[TAG_SIZE], struct slice bytes,
                                   size_t size_max, const uint8_t key[KEY_SIZE])
{
    uint8_t material[TAG_SIZE + 1 + SIGNED_HEAD_SIZE_MAX];
    struct envelope envelope;
    const enum status status = envelope_read(bytes, size_max, &envelope);

    if (status != OK)
        return status;
    signed_material(tag, envelope.body, material);
    if (crypto_sign_verify_detached(envelope.signature, material,
                                    TAG_SIZE + 1 + envelope.body.size, key) != 0)
        return REFUSED;
    return OK;
}

static void read_code(struct mp_reader *reader, char out[CODE_SIZE])
{
    struct slice code;

    memset(out, 0, CODE_SIZE);
    code = mp_read_str(reader, CODE_SIZE - 1);
    if (reader->status == OK && !code_valid(code))
        mp_fail(reader, INVALID);
    if (reader->status == OK)
        memcpy(out, code.data, code.size);
}

/* --- heads -------------------------------------------------------------------------------- */

static void hash_body(struct slice body, uint8_t out_hash[HASH_SIZE])
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    crypto_generichash_update(&state, head_tag, sizeof head_tag);
    crypto_generichash_update(&state, &envelope_version, 1);
    crypto_generichash_update(&state, body.data, body.size);
    crypto_generichash_final(&state, out_hash, HASH_SIZE);
}

void head_sign(struct head *head, const struct sign_key *key, struct signed_head *out_signed)
{
    uint8_t body[SIGNED_HEAD_SIZE_MAX];
    struct mp_writer writer;

    mp_writer_init(&writer, body, sizeof body - SIGNATURE_SIZE - 8);
    mp_write_array(&writer, 14);
    mp_write_bin(&writer, head->federation, HASH_SIZE);
    mp_write_text(&writer, head->origin);
    mp_write_uint(&writer, head->epoch);
    mp_write_uint(&writer, head->instance);
    mp_write_uint(&writer, head->seq);
    mp_write_uint(&writer, head->prev_seq);
    mp_write_bin(&writer, head->prev_hash, HASH_SIZE);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        mp_write_bin(&writer, head->digest[tier], HASH_SIZE);
        mp_write_uint(&writer, head->count[tier]);
    }
    mp_write_uint(&writer, head->horizon);
    mp_write_uint(&writer, head->roster_epoch);
    mp_write_uint(&writer, head->roster_seq);
    ASSERT(writer.status == OK);
    hash_body(mp_writer_bytes(&writer), head->hash);
    out_signed->size = (uint16_t)envelope_write(head_tag, mp_writer_bytes(&writer), key,
                                                out_signed->bytes, sizeof out_signed->bytes);
}

static bool head_consistent(const struct head *head)
{
    const bool first = head->prev_seq == 0;

    return head->epoch > 0 && head->prev_seq < head->seq && head->horizon <= head->prev_seq &&
           first == (sodium_is_zero(head->prev_hash, HASH_SIZE) == 1);
}

enum status head_read(struct slice bytes, struct head *out_head)
{
    struct envelope envelope;
    struct mp_reader reader;
    struct head head;
    const enum status status = envelope_read(bytes, SIGNED_HEAD_SIZE_MAX, &envelope);

    if (status != OK)
        return status;
    memset(&head, 0, sizeof head);
    mp_reader_init(&reader, envelope.body);
    mp_read_array_exact(&reader, 14);
    mp_read_bin_exact(&reader, head.federation, HASH_SIZE);
    read_code(&reader, head.origin);
    head.epoch = mp_read_uint(&reader, EPOCH_MAX);
    head.instance = mp_read_uint(&reader, UINT64_MAX);
    head.seq = mp_read_uint(&reader, SEQ_MAX);
    head.prev_seq = mp_read_uint(&reader, UINT64_MAX);
    mp_read_bin_exact(&reader, head.prev_hash, HASH_SIZE);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        mp_read_bin_exact(&reader, head.digest[tier], HASH_SIZE);
        head.count[tier] = mp_read_uint(&reader, UINT64_MAX);
    }
    head.horizon = mp_read_uint(&reader, UINT64_MAX);
    head.roster_epoch = mp_read_uint(&reader, UINT64_MAX);
    head.roster_seq = mp_read_uint(&reader, UINT64_MAX);
    if (mp_reader_finish(&reader) != OK || !head_consistent(&head))
        return INVALID;
    hash_body(envelope.body, head.hash);
    *out_head = head;
    return OK;
}

enum status head_verify(struct slice envelope, const uint8_t key[KEY_SIZE])
{
    return envelope_verify(head_tag, envelope, SIGNED_HEAD_SIZE_MAX, key);
}

struct slice signed_head_bytes(const struct signed_head *signed_head)
{
    return slice_of(signed_head->bytes, signed_head->size);
}

enum status signed_head_set(struct signed_head *signed_head, struct slice envelope)
{
    if (envelope.size > sizeof signed_head->bytes)
        return TOO_LARGE;
    memset(signed_head, 0, sizeof *signed_head);
    memcpy(signed_head->bytes, envelope.data, envelope.size);
    signed_head->size = (uint16_t)envelope.size;
    return OK;
}

bool heads_conflict(const struct head *a, const struct head *b)
{
    if (strcmp(a->origin, b->origin) != 0 || a->epoch != b->epoch ||
        memcmp(a->hash, b->hash, HASH_SIZE) == 0)
        return false;
    if (a->prev_seq < b->seq && b->prev_seq < a->seq)
        return true;
    if (a->seq == b->prev_seq && memcmp(a->hash, b->prev_hash, HASH_SIZE) != 0)
        return true;
    return b->seq == a->prev_seq && memcmp(b->hash, a->prev_hash, HASH_SIZE) != 0;
}

/* --- beats -------------------------------------------------------------------------------- */

void beat_sign(const struct beat *beat, const struct sign_key *key,
               struct signed_beat *out_signed)
{
    uint8_t body[SIGNED_BEAT_SIZE_MAX];
    struct mp_writer writer;

    mp_writer_init(&writer, body, sizeof body - SIGNATURE_SIZE - 8);
    mp_write_array(&writer, 9);
    mp_write_bin(&writer, beat->federation, HASH_SIZE);
    mp_write_text(&writer, beat->origin);
    mp_write_uint(&writer, beat->epoch);
    mp_write_uint(&writer, beat->seq);
    mp_write_bin(&writer, beat->head_hash, HASH_SIZE);
    mp_write_uint(&writer, beat->boot);
    mp_write_uint(&writer, beat->counter);
    mp_write_uint(&writer, beat->hq_boot);
    mp_write_uint(&writer, beat->hq_counter);
    ASSERT(writer.status == OK);
    out_signed->size = (uint16_t)envelope_write(beat_tag, mp_writer_bytes(&writer), key,
                                                out_signed->bytes, sizeof out_signed->bytes);
}

enum status beat_read(struct slice bytes, struct beat *out_beat)
{
    struct envelope envelope;
    struct mp_reader reader;
    struct beat beat;
    const enum status status = envelope_read(bytes, SIGNED_BEAT_SIZE_MAX, &envelope);

    if (status != OK)
        return status;
    memset(&beat, 0, sizeof beat);
    mp_reader_init(&reader, envelope.body);
    mp_read_array_exact(&reader, 9);
    mp_read_bin_exact(&reader, beat.federation, HASH_SIZE);
    read_code(&reader, beat.origin);
    beat.epoch = mp_read_uint(&reader, EPOCH_MAX);
    beat.seq = mp_read_uint(&reader, SEQ_MAX);
    mp_read_bin_exact(&reader, beat.head_hash, HASH_SIZE);
    beat.boot = mp_read_uint(&reader, UINT64_MAX);
    beat.counter = mp_read_uint(&reader, UINT64_MAX);
    beat.hq_boot = mp_read_uint(&reader, UINT64_MAX);
    beat.hq_counter = mp_read_uint(&reader, UINT64_MAX);
    if (mp_reader_finish(&reader) != OK || beat.epoch == 0 || beat.seq == 0 || beat.boot == 0)
        return INVALID;
    *out_beat = beat;
    return OK;
}

enum status beat_verify(struct slice envelope, const uint8_t key[KEY_SIZE])
{
    return envelope_verify(beat_tag, envelope, SIGNED_BEAT_SIZE_MAX, key);
}

bool beat_conflicts(const struct beat *beat, const struct head *head)
{
    return strcmp(beat->origin, head->origin) == 0 && beat->epoch == head->epoch &&
           beat->seq == head->seq && memcmp(beat->head_hash, head->hash, HASH_SIZE) != 0;
}
