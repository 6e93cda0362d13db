/* SPDX-License-Identifier: MPL-2.0 */
/* wire_write.c - messages between nodes, written. */
#include <sodium.h>
#include <string.h>

#include "proto/wire.h"

static void begin(struct mp_writer *writer, enum wire_type type, size_t count)
{
    mp_write_array(writer, count);
    mp_write_uint(writer, type);
}

static void bin_or_nil(struct mp_writer *writer, struct slice bytes)
{
    if (bytes.size == 0)
        mp_write_nil(writer);
    else
        mp_write_bin(writer, bytes.data, bytes.size);
}

void wire_write_hello_begin(struct mp_writer *writer, const struct wire_hello *hello,
                            size_t entries)
{
    begin(writer, WIRE_HELLO, 7);
    mp_write_uint(writer, hello->version);
    mp_write_uint(writer, hello->capabilities);
    mp_write_bin(writer, hello->federation, HASH_SIZE);
    mp_write_text(writer, hello->code);
    mp_write_bool(writer, hello->reply);
    mp_write_array(writer, entries);
}

void wire_write_entry(struct mp_writer *writer, const struct wire_hello_entry *entry)
{
    mp_write_array(writer, 7);
    mp_write_text(writer, entry->origin);
    mp_write_uint(writer, entry->epoch);
    mp_write_uint(writer, entry->seq);
    mp_write_bin(writer, entry->hash, HASH_SIZE);
    mp_write_uint(writer, entry->hq_epoch);
    mp_write_uint(writer, entry->hq_seq);
    bin_or_nil(writer, entry->beat);
}

void wire_write_event_begin(struct mp_writer *writer, unsigned tiers, uint64_t since,
                            struct slice head, size_t changes)
{
    begin(writer, WIRE_EVENT, 5);
    mp_write_uint(writer, tiers);
    mp_write_uint(writer, since);
    mp_write_bin(writer, head.data, head.size);
    mp_write_array(writer, changes);
}

void wire_write_beat(struct mp_writer *writer, struct slice beat)
{
    begin(writer, WIRE_BEAT, 2);
    mp_write_bin(writer, beat.data, beat.size);
}

void wire_write_vector(struct mp_writer *writer, const uint8_t hash[HASH_SIZE])
{
    begin(writer, WIRE_VECTOR, 2);
    mp_write_bin(writer, hash, HASH_SIZE);
}

void wire_write_want(struct mp_writer *writer, const struct wire_want *want)
{
    begin(writer, WIRE_WANT, 8);
    mp_write_uint(writer, want->request);
    mp_write_text(writer, want->origin);
    mp_write_uint(writer, want->epoch);
    mp_write_uint(writer, want->since);
    mp_write_bin(writer, want->hash, HASH_SIZE);
    mp_write_uint(writer, want->tiers);
    mp_write_uint(writer, want->credit);
}

void wire_write_changes_begin(struct mp_writer *writer, const struct wire_changes *changes,
                              size_t count)
{
    begin(writer, WIRE_CHANGES, 10);
    mp_write_uint(writer, changes->request);
    mp_write_uint(writer, changes->index);
    mp_write_text(writer, changes->origin);
    mp_write_uint(writer, changes->epoch);
    mp_write_uint(writer, changes->since);
    mp_write_uint(writer, changes->base);
    mp_write_uint(writer, changes->tiers);
    mp_write_array(writer, count);
}

void wire_write_changes_end(struct mp_writer *writer, struct slice head)
{
    bin_or_nil(writer, head);
}

void wire_write_credit(struct mp_writer *writer, const struct wire_credit *credit)
{
    begin(writer, WIRE_CREDIT, 3);
    mp_write_uint(writer, credit->request);
    mp_write_uint(writer, credit->chunks);
}

void wire_write_evidence(struct mp_writer *writer, struct slice a, struct slice b)
{
    begin(writer, WIRE_EVIDENCE, 3);
    mp_write_bin(writer, a.data, a.size);
    bin_or_nil(writer, b);
}

void wire_write_refusal(struct mp_writer *writer, uint64_t request,
                        enum wire_refusal_reason reason)
{
    begin(writer, WIRE_REFUSAL, 3);
    mp_write_uint(writer, request);
    mp_write_uint(writer, reason);
}

void wire_write_enrol(struct mp_writer *writer, const struct wire_enrol *enrol,
                      const struct sign_key *key)
{
    static const char tag[] = "chapterd enrol 1"; /* 16 bytes count, not the NUL */
    uint8_t material[16 + ENROL_SIZE_MAX];
    uint8_t signature[SIGNATURE_SIZE] = { 0 };
    size_t size;

    begin(writer, WIRE_ENROL, 8);
    mp_write_uint(writer, enrol->version);
    mp_write_bin(writer, enrol->secret, TOKEN_SECRET_SIZE);
    mp_write_text(writer, enrol->code);
    mp_write_bin(writer, enrol->sign_key, KEY_SIZE);
    mp_write_bin(writer, enrol->curve_key, KEY_SIZE);
    mp_write_text(writer, enrol->address);
    mp_write_bin(writer, signature, sizeof signature); /* its place; filled below */
    if (writer->status != OK)
        return;
    ASSERT(writer->size <= ENROL_SIZE_MAX);
    size = writer->size - SIGNATURE_SIZE;
    memcpy(material, tag, 16);
    memcpy(material + 16, writer->data, size);
    crypto_sign_detached(writer->data + size, NULL, material, 16 + size, key->secret);
}

void wire_write_enrolled(struct mp_writer *writer, const struct wire_enrolled *enrolled)
{
    begin(writer, WIRE_ENROLLED, 4);
    mp_write_uint(writer, enrolled->result);
    mp_write_uint(writer, enrolled->roster_epoch);
    mp_write_uint(writer, enrolled->roster_seq);
}

void wire_write_epoch_request(struct mp_writer *writer,
                              const struct wire_epoch_request *request)
{
    begin(writer, WIRE_EPOCH_REQUEST, 3);
    mp_write_uint(writer, request->instance);
    bin_or_nil(writer, request->head);
}

void wire_write_epoch_reply(struct mp_writer *writer, const struct wire_epoch_reply *reply)
{
    begin(writer, WIRE_EPOCH_REPLY, 3);
    mp_write_uint(writer, reply->instance);
    mp_write_uint(writer, reply->answer);
}

void wire_write_offer(struct mp_writer *writer, unsigned tiers, struct slice head)
{
    begin(writer, WIRE_OFFER, 3);
    mp_write_uint(writer, tiers);
    mp_write_bin(writer, head.data, head.size);
}

void wire_write_settled(struct mp_writer *writer, const uint8_t hash[HASH_SIZE])
{
    begin(writer, WIRE_SETTLED, 2);
    mp_write_bin(writer, hash, HASH_SIZE);
}

void wire_write_closure(struct mp_writer *writer, struct slice closure)
{
    begin(writer, WIRE_CLOSURE, 2);
    mp_write_bin(writer, closure.data, closure.size);
}

static void put_u64(uint8_t out[8], uint64_t number)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(number >> (8 * (7 - i)));
}

void wire_vector_hash(const struct wire_hello_entry *entries, size_t count,
                      uint8_t out_hash[HASH_SIZE])
{
    static const uint8_t tag[16] = "chapterd vec 1";
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    crypto_generichash_update(&state, tag, sizeof tag);
    for (size_t i = 0; i < count; i++) {
        uint8_t element[CODE_SIZE + 16 + HASH_SIZE];

        if (entries[i].epoch == 0)
            continue;
        memcpy(element, entries[i].origin, CODE_SIZE);
        put_u64(element + CODE_SIZE, entries[i].epoch);
        put_u64(element + CODE_SIZE + 8, entries[i].seq);
        memcpy(element + CODE_SIZE + 16, entries[i].hash, HASH_SIZE);
        crypto_generichash_update(&state, element, sizeof element);
    }
    crypto_generichash_final(&state, out_hash, HASH_SIZE);
}

void wire_write_cleared_begin(struct mp_writer *writer, size_t entries)
{
    begin(writer, WIRE_CLEARED, 2);
    mp_write_array(writer, entries);
}

void wire_write_cleared_entry(struct mp_writer *writer, const struct wire_cleared_entry *entry)
{
    mp_write_array(writer, 4);
    mp_write_text(writer, entry->node);
    mp_write_text(writer, entry->origin);
    mp_write_uint(writer, entry->epoch);
    mp_write_uint(writer, entry->seq);
}

void wire_write_key(struct mp_writer *writer, struct slice succession)
{
    begin(writer, WIRE_KEY, 2);
    mp_write_bin(writer, succession.data, succession.size);
}
