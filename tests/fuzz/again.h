/* SPDX-License-Identifier: MPL-2.0 */
/* again.h - what decodes must encode to the same bytes: each form of the protocol, read with
 * the real reader and written again with the real writer.  For fuzzers and tests alike. */
#ifndef CHAPTERD_AGAIN_H
#define CHAPTERD_AGAIN_H

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/head.h"
#include "proto/token.h"
#include "proto/wire.h"

enum again {
    AGAIN_REFUSED, /* the reader did not take it */
    AGAIN_SAME,
    AGAIN_DIFFERS /* a defect: two encodings of one thing, or a reader that loses something */
};

static inline enum again again_compare(const struct mp_writer *writer, struct slice bytes)
{
    return writer->status == OK && slice_equal(mp_writer_bytes(writer), bytes) ? AGAIN_SAME
                                                                               : AGAIN_DIFFERS;
}

/* --- MessagePack -------------------------------------------------------------------------- */

static inline void again_copy_value(struct mp_reader *reader, struct mp_writer *writer);

static inline void again_copy_map(struct mp_reader *reader, struct mp_writer *writer)
{
    const size_t count = mp_read_map(reader, SIZE_MAX);
    struct slice last = SLICE_NONE;

    mp_write_map(writer, count);
    for (size_t i = 0; i < count; i++) {
        mp_write_str(writer, mp_read_key(reader, &last));
        again_copy_value(reader, writer);
    }
}

/* The value was validated: it is finite, and shallow. */
static inline void again_copy_value(struct mp_reader *reader, struct mp_writer *writer)
{
    struct slice bytes;
    size_t count;

    switch (mp_peek(reader)) {
    case MP_NIL:
        mp_read_nil(reader);
        mp_write_nil(writer);
        return;
    case MP_BOOL:
        mp_write_bool(writer, mp_read_bool(reader));
        return;
    case MP_UINT:
        mp_write_uint(writer, mp_read_uint(reader, UINT64_MAX));
        return;
    case MP_INT:
        mp_write_int(writer, mp_read_int(reader));
        return;
    case MP_STR:
        mp_write_str(writer, mp_read_str(reader, SIZE_MAX));
        return;
    case MP_BIN:
        bytes = mp_read_bin(reader, SIZE_MAX);
        mp_write_bin(writer, bytes.data, bytes.size);
        return;
    case MP_ARRAY:
        count = mp_read_array(reader, SIZE_MAX);
        mp_write_array(writer, count);
        for (size_t i = 0; i < count; i++)
            again_copy_value(reader, writer);
        return;
    case MP_MAP:
        again_copy_map(reader, writer);
        return;
    default:
        ASSERT(!"a validated value");
    }
}

static inline enum again again_mp(struct slice bytes)
{
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };
    struct mp_reader reader;

    if (!mp_valid(bytes))
        return AGAIN_REFUSED;
    mp_writer_init_heap(&writer, bytes.size);
    mp_reader_init(&reader, bytes);
    again_copy_value(&reader, &writer);
    ASSERT(mp_reader_finish(&reader) == OK);
    return again_compare(&writer, bytes);
}

/* --- what is signed: another key's signature stands in the last 64 bytes ------------------ */

static inline struct sign_key again_key(void)
{
    const uint8_t seed[crypto_sign_SEEDBYTES] = { 7 };
    struct sign_key key;

    ASSERT(crypto_sign_seed_keypair(key.public_key, key.secret, seed) == 0);
    return key;
}

static inline enum again again_but_signature(struct slice written, struct slice bytes)
{
    if (written.size != bytes.size || bytes.size < SIGNATURE_SIZE)
        return AGAIN_DIFFERS;
    return memcmp(written.data, bytes.data, bytes.size - SIGNATURE_SIZE) == 0 ? AGAIN_SAME
                                                                              : AGAIN_DIFFERS;
}

static inline enum again again_head(struct slice bytes)
{
    const struct sign_key key = again_key();
    struct signed_head written;
    struct head head;
    uint8_t hash[HASH_SIZE];

    if (head_read(bytes, &head) != OK)
        return AGAIN_REFUSED;
    memcpy(hash, head.hash, sizeof hash);
    head_sign(&head, &key, &written);
    if (memcmp(hash, head.hash, sizeof hash) != 0)
        return AGAIN_DIFFERS;
    return again_but_signature(signed_head_bytes(&written), bytes);
}

static inline enum again again_beat(struct slice bytes)
{
    const struct sign_key key = again_key();
    struct signed_beat written;
    struct beat beat;

    if (beat_read(bytes, &beat) != OK)
        return AGAIN_REFUSED;
    beat_sign(&beat, &key, &written);
    return again_but_signature(slice_of(written.bytes, written.size), bytes);
}

/* --- messages ----------------------------------------------------------------------------- */

static inline bool again_write_hello(struct slice message, struct mp_writer *writer)
{
    struct wire_hello_entry entry;
    struct wire_hello hello;

    if (wire_read_hello(message, &hello) != OK)
        return false;
    wire_write_hello_begin(writer, &hello, hello.entries.count);
    while (wire_next_entry(&hello.entries, &entry))
        wire_write_entry(writer, &entry);
    return true;
}

static inline bool again_write_event(struct slice message, struct mp_writer *writer)
{
    struct wire_event event;
    struct change change;

    if (wire_read_event(message, &event) != OK)
        return false;
    wire_write_event_begin(writer, event.tiers, event.since, event.head, event.changes.count);
    while (wire_next_change(&event.changes, event.tiers, &change))
        change_write(writer, &change, event.tiers);
    return true;
}

static inline bool again_write_changes(struct slice message, struct mp_writer *writer)
{
    struct wire_changes changes;
    struct change change;

    if (wire_read_changes(message, &changes) != OK)
        return false;
    wire_write_changes_begin(writer, &changes, changes.changes.count);
    while (wire_next_change(&changes.changes, changes.tiers, &change))
        change_write(writer, &change, changes.tiers);
    wire_write_changes_end(writer, changes.head);
    return true;
}

static inline bool again_write_cleared(struct slice message, struct mp_writer *writer)
{
    struct wire_cleared_entry entry;
    struct wire_cleared cleared;

    if (wire_read_cleared(message, &cleared) != OK)
        return false;
    wire_write_cleared_begin(writer, cleared.entries.count);
    while (wire_next_cleared(&cleared.entries, &entry))
        wire_write_cleared_entry(writer, &entry);
    return true;
}

/* False if it was refused.  An enrol is written with another key: all but its signature. */
static inline bool again_write_message(struct slice message, struct mp_writer *writer)
{
    const struct sign_key key = again_key();
    union {
        struct wire_beat beat;
        struct wire_vector vector;
        struct wire_want want;
        struct wire_credit credit;
        struct wire_evidence evidence;
        struct wire_refusal refusal;
        struct wire_enrol enrol;
        struct wire_enrolled enrolled;
        struct wire_epoch_request epoch_request;
        struct wire_epoch_reply epoch_reply;
        struct wire_offer offer;
        struct wire_settled settled;
        struct wire_closure closure;
    } as;
    struct slice succession;

    switch (wire_type_of(message)) {
    case WIRE_HELLO:
        return again_write_hello(message, writer);
    case WIRE_EVENT:
        return again_write_event(message, writer);
    case WIRE_BEAT:
        if (wire_read_beat(message, &as.beat) != OK)
            return false;
        wire_write_beat(writer, as.beat.beat);
        return true;
    case WIRE_VECTOR:
        if (wire_read_vector(message, &as.vector) != OK)
            return false;
        wire_write_vector(writer, as.vector.hash);
        return true;
    case WIRE_WANT:
        if (wire_read_want(message, &as.want) != OK)
            return false;
        wire_write_want(writer, &as.want);
        return true;
    case WIRE_CHANGES:
        return again_write_changes(message, writer);
    case WIRE_CREDIT:
        if (wire_read_credit(message, &as.credit) != OK)
            return false;
        wire_write_credit(writer, &as.credit);
        return true;
    case WIRE_EVIDENCE:
        if (wire_read_evidence(message, &as.evidence) != OK)
            return false;
        wire_write_evidence(writer, as.evidence.head[0], as.evidence.head[1]);
        return true;
    case WIRE_REFUSAL:
        if (wire_read_refusal(message, &as.refusal) != OK)
            return false;
        wire_write_refusal(writer, as.refusal.request,
                           (enum wire_refusal_reason)as.refusal.reason);
        return true;
    case WIRE_ENROL:
        if (wire_read_enrol(message, &as.enrol) != OK)
            return false;
        wire_write_enrol(writer, &as.enrol, &key);
        return true;
    case WIRE_ENROLLED:
        if (wire_read_enrolled(message, &as.enrolled) != OK)
            return false;
        wire_write_enrolled(writer, &as.enrolled);
        return true;
    case WIRE_EPOCH_REQUEST:
        if (wire_read_epoch_request(message, &as.epoch_request) != OK)
            return false;
        wire_write_epoch_request(writer, &as.epoch_request);
        return true;
    case WIRE_EPOCH_REPLY:
        if (wire_read_epoch_reply(message, &as.epoch_reply) != OK)
            return false;
        wire_write_epoch_reply(writer, &as.epoch_reply);
        return true;
    case WIRE_OFFER:
        if (wire_read_offer(message, &as.offer) != OK)
            return false;
        wire_write_offer(writer, as.offer.tiers, as.offer.head);
        return true;
    case WIRE_CLOSURE:
        if (wire_read_closure(message, &as.closure) != OK)
            return false;
        wire_write_closure(writer, as.closure.closure);
        return true;
    case WIRE_SETTLED:
        if (wire_read_settled(message, &as.settled) != OK)
            return false;
        wire_write_settled(writer, as.settled.hash);
        return true;
    case WIRE_CLEARED:
        return again_write_cleared(message, writer);
    case WIRE_KEY:
        if (wire_read_key(message, &succession) != OK)
            return false;
        wire_write_key(writer, succession);
        return true;
    default:
        return false;
    }
}

static inline enum again again_message(struct slice message)
{
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };

    mp_writer_init_heap(&writer, MESSAGE_SIZE_MAX);
    if (!again_write_message(message, &writer))
        return AGAIN_REFUSED;
    if (writer.status == OK && wire_type_of(message) == WIRE_ENROL)
        return again_but_signature(mp_writer_bytes(&writer), message);
    return again_compare(&writer, message);
}

/* --- roster entries, genesis and tokens --------------------------------------------------- */

/* Fields that this version does not know are not in the struct: what was written once stays. */
static inline enum again again_roster(struct slice value)
{
    CLEANUP(mp_writer_done) struct mp_writer first = { 0 };
    CLEANUP(mp_writer_done) struct mp_writer second = { 0 };
    struct roster_entry entry;

    if (roster_entry_read(value, &entry) != OK)
        return AGAIN_REFUSED;
    mp_writer_init_heap(&first, RECORD_SIZE_MAX);
    mp_writer_init_heap(&second, RECORD_SIZE_MAX);
    roster_entry_write(&first, &entry);
    if (first.status != OK || roster_entry_read(mp_writer_bytes(&first), &entry) != OK)
        return AGAIN_DIFFERS;
    roster_entry_write(&second, &entry);
    return again_compare(&second, mp_writer_bytes(&first));
}

static inline enum again again_genesis(struct slice bytes)
{
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };
    struct genesis genesis;

    if (genesis_read(bytes, &genesis) != OK)
        return AGAIN_REFUSED;
    mp_writer_init_heap(&writer, GENESIS_SIZE_MAX);
    genesis_write(&writer, &genesis);
    return again_compare(&writer, bytes);
}

/* White space inside a token is not part of it. */
static inline enum again again_token(struct slice text)
{
    char written[TOKEN_SIZE_MAX];
    struct token token;
    const char *reason = NULL;
    size_t length = 0;
    const enum status status = token_parse(text, &token, &reason);

    if (status != OK) {
        ASSERT(status == NO_MEMORY || (reason != NULL && reason[0] != '\0'));
        return AGAIN_REFUSED;
    }
    if (token_format(&token, written, sizeof written) != OK)
        return AGAIN_DIFFERS;
    for (size_t i = 0; i < text.size; i++)
        if (memchr(" \t\r\n", text.data[i], 4) == NULL &&
            written[length++] != (char)text.data[i])
            return AGAIN_DIFFERS;
    return written[length] == '\0' ? AGAIN_SAME : AGAIN_DIFFERS;
}

#endif
