/* SPDX-License-Identifier: MPL-2.0 */
/* vector_forms.h - the examples of proto/vectors: what each is for, the names of its fields,
 * and how it is made from the sample federation.  Included once by each program. */
#ifndef CHAPTERD_VECTOR_FORMS_H
#define CHAPTERD_VECTOR_FORMS_H

#include "proto/closure.h"
#include "proto/succession.h"
#include "tests/unit/vector_samples.h"
#include "tests/unit/vector_text.h"

#define REQUEST 7 /* of the wants and their answers */

/* --- names of fields, in the order in which they stand ------------------------------------ */

#define HEAD_BODY_LABELS                                                                       \
    "body", "federation", "origin", "epoch", "instance", "seq", "prev_seq", "prev_hash",       \
        "digest of tier federation", "count of tier federation", "digest of tier hq",          \
        "count of tier hq", "horizon", "roster_epoch", "roster_seq"
#define HEAD_LABELS "envelope", "version", ">body", HEAD_BODY_LABELS, "signature"
#define BEAT_LABELS                                                                            \
    "envelope", "version", ">body", "body", "federation", "origin", "epoch", "seq",            \
        "head hash", "boot", "counter", "hq_boot", "hq_counter", "signature"
#define CHANGE_LABELS "change", "type of record", "id", "seq", "value of tier federation"
#define CHANGE_BOTH_LABELS CHANGE_LABELS, "salt", "value of tier hq"
#define ENTRY_LABELS                                                                           \
    "entry", "origin", "epoch", "seq", "head hash", "hq_epoch", "hq_seq", ">beat", BEAT_LABELS
#define CHANGES_LABELS                                                                         \
    "message", "type: changes", "request", "index", "origin", "epoch", "since", "base",        \
        "tiers", "changes"
#define EVENT_LABELS "message", "type: event", "tiers", "since", ">head", HEAD_LABELS, "changes"

/* --- making ------------------------------------------------------------------------------- */

static inline void begin_bytes(struct vector *vector, struct mp_writer *writer)
{
    mp_writer_init(writer, vector->bytes, sizeof vector->bytes);
}

static inline void end_bytes(struct vector *vector, const struct mp_writer *writer)
{
    assert_int_equal(writer->status, OK);
    vector->size = writer->size;
}

static inline void set_bytes(struct vector *vector, const void *data, size_t size)
{
    assert_true(size <= sizeof vector->bytes);
    memcpy(vector->bytes, data, size);
    vector->size = size;
}

static inline void state_key(struct vector *vector, const struct sign_key *key)
{
    vector_state_hex(vector, "signing seed", key->secret, 32);
    vector_state_hex(vector, "public key", key->public_key, KEY_SIZE);
}

static inline void make_genesis_vector(struct vector *vector)
{
    const struct sample *sample = sample_get();

    set_bytes(vector, sample->genesis_bytes, sample->genesis_size);
    vector_state_hex(vector, "federation", sample->federation, HASH_SIZE);
}

static inline void make_token_vector(struct vector *vector)
{
    const struct sample *sample = sample_get();
    const struct token token = sample_token(sample);
    char text[TOKEN_SIZE_MAX];
    uint8_t hash[HASH_SIZE];
    uint8_t bytes[TOKEN_SIZE_MAX];
    size_t size = 0;

    assert_int_equal(token_format(&token, text, sizeof text), OK);
    assert_int_equal(sodium_base642bin(bytes, sizeof bytes, text + 10, strlen(text + 10), NULL,
                                       &size, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                     0);
    set_bytes(vector, bytes, size - 4);
    vector_state(vector, "token", text);
    vector_state_hex(vector, "checksum", bytes + size - 4, 4);
    token_secret_hash(token.secret, hash);
    vector_state_hex(vector, "hash of the secret", hash, sizeof hash);
}

static inline void make_roster_entry(struct vector *vector)
{
    const struct change *change = &sample_get()->roster[1];
    char id[UUID_TEXT_SIZE];

    set_bytes(vector, change->value[0].data, change->value[0].size);
    uuid_format(change->id, id);
    vector_state(vector, "record id", id);
}

static inline void make_revoked_entry(struct vector *vector)
{
    struct roster_entry entry = sample_get()->entries[1];
    struct mp_writer writer;

    entry.state = CHAPTER_REVOKED;
    entry.until_epoch = 1;
    entry.until_seq = 5;
    begin_bytes(vector, &writer);
    roster_entry_write(&writer, &entry);
    end_bytes(vector, &writer);
}

static inline void make_change(struct vector *vector, int i)
{
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    change_write(&writer, &sample_get()->changes[i], TIERS_BOTH);
    end_bytes(vector, &writer);
}

static inline void make_member(struct vector *vector)
{
    make_change(vector, ZOE_CHANGED);
}

static inline void make_removal(struct vector *vector)
{
    make_change(vector, ORGANIZATION_GONE);
}

static inline void make_head_vector(struct vector *vector, const struct signed_head *envelope,
                                    const struct head *head, const struct sign_key *key)
{
    set_bytes(vector, envelope->bytes, envelope->size);
    state_key(vector, key);
    vector_state_hex(vector, "head hash", head->hash, HASH_SIZE);
}

static inline void make_head_first(struct vector *vector)
{
    const struct sample *sample = sample_get();

    make_head_vector(vector, &sample->hq_envelope, &sample->hq_head, &sample->hq);
}

static inline void make_head_later(struct vector *vector)
{
    const struct sample *sample = sample_get();

    make_head_vector(vector, &sample->envelopes[2], &sample->heads[2], &sample->fr);
}

static inline void make_beat_vector(struct vector *vector)
{
    const struct sample *sample = sample_get();

    set_bytes(vector, sample->fr_beat_envelope.bytes, sample->fr_beat_envelope.size);
    state_key(vector, &sample->fr);
}

static inline void make_hello(struct vector *vector)
{
    const struct sample *sample = sample_get();
    struct wire_hello hello = { .version = PROTOCOL_VERSION, .code = "fr" };
    struct wire_hello_entry entries[2];
    struct mp_writer writer;

    memcpy(hello.federation, sample->federation, HASH_SIZE);
    sample_entries(sample, entries);
    begin_bytes(vector, &writer);
    wire_write_hello_begin(&writer, &hello, 2);
    wire_write_entry(&writer, &entries[0]);
    wire_write_entry(&writer, &entries[1]);
    end_bytes(vector, &writer);
}

static inline void make_event(struct vector *vector, unsigned tiers)
{
    const struct sample *sample = sample_get();
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_event_begin(&writer, tiers, 3, signed_head_bytes(&sample->envelopes[2]), 2);
    change_write(&writer, &sample->changes[ZOE_CHANGED], tiers);
    change_write(&writer, &sample->changes[ORGANIZATION_GONE], tiers);
    end_bytes(vector, &writer);
}

static inline void make_event_federation(struct vector *vector)
{
    make_event(vector, TIERS_FEDERATION);
}

static inline void make_event_both(struct vector *vector)
{
    make_event(vector, TIERS_BOTH);
}

static inline void make_beat_message(struct vector *vector)
{
    const struct signed_beat *beat = &sample_get()->fr_beat_envelope;
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_beat(&writer, slice_of(beat->bytes, beat->size));
    end_bytes(vector, &writer);
}

static inline void make_vector_message(struct vector *vector)
{
    struct wire_hello_entry entries[2];
    struct mp_writer writer;
    uint8_t hash[HASH_SIZE];

    sample_entries(sample_get(), entries);
    wire_vector_hash(entries, 2, hash);
    begin_bytes(vector, &writer);
    wire_write_vector(&writer, hash);
    end_bytes(vector, &writer);
}

static inline void make_want(struct vector *vector)
{
    struct wire_want want = { .request = REQUEST,
                              .origin = "fr",
                              .epoch = 1,
                              .since = 3,
                              .tiers = TIERS_BOTH,
                              .credit = 8 };
    struct mp_writer writer;

    memcpy(want.hash, sample_get()->heads[1].hash, HASH_SIZE);
    begin_bytes(vector, &writer);
    wire_write_want(&writer, &want);
    end_bytes(vector, &writer);
}

static inline void make_want_snapshot(struct vector *vector)
{
    const struct wire_want want = {
        .request = REQUEST, .origin = "fr", .tiers = TIERS_FEDERATION, .credit = 8
    };
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_want(&writer, &want);
    end_bytes(vector, &writer);
}

static inline void make_chunk(struct vector *vector, uint64_t index, const int *changes,
                              size_t count, struct slice head)
{
    const struct wire_changes chunk = { .request = REQUEST,
                                        .index = index,
                                        .origin = "fr",
                                        .epoch = 1,
                                        .base = 3,
                                        .tiers = TIERS_FEDERATION };
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_changes_begin(&writer, &chunk, count);
    for (size_t i = 0; i < count; i++)
        change_write(&writer, &sample_get()->changes[changes[i]], TIERS_FEDERATION);
    wire_write_changes_end(&writer, head);
    end_bytes(vector, &writer);
}

static inline void make_changes_first(struct vector *vector)
{
    const int changes[] = { ZOE_FIRST };

    make_chunk(vector, 0, changes, 1, SLICE_NONE);
}

static inline void make_changes_last(struct vector *vector)
{
    const int changes[] = { ZOE_CHANGED, ORGANIZATION_GONE };

    make_chunk(vector, 1, changes, 2, signed_head_bytes(&sample_get()->envelopes[2]));
}

static inline void make_credit(struct vector *vector)
{
    const struct wire_credit credit = { REQUEST, 1 };
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_credit(&writer, &credit);
    end_bytes(vector, &writer);
}

static inline void make_evidence(struct vector *vector)
{
    const struct sample *sample = sample_get();
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_evidence(&writer, signed_head_bytes(&sample->envelopes[2]),
                        signed_head_bytes(&sample->forked_envelope));
    end_bytes(vector, &writer);
}

static inline void make_evidence_single(struct vector *vector)
{
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_evidence(&writer, signed_head_bytes(&sample_get()->envelopes[1]), SLICE_NONE);
    end_bytes(vector, &writer);
}

static inline void make_refusal(struct vector *vector)
{
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_refusal(&writer, REQUEST, REFUSAL_RESTARTED);
    end_bytes(vector, &writer);
}

static inline void make_enrol(struct vector *vector)
{
    const struct sample *sample = sample_get();
    const struct wire_enrol enrol = sample_enrol(sample);
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_enrol(&writer, &enrol, &sample->fr);
    end_bytes(vector, &writer);
    state_key(vector, &sample->fr);
}

static inline void make_enrolled(struct vector *vector)
{
    const struct wire_enrolled enrolled = { ENROL_OK, 1, 2 };
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_enrolled(&writer, &enrolled);
    end_bytes(vector, &writer);
}

static inline void make_epoch_request(struct vector *vector)
{
    const struct wire_epoch_request request = {
        .instance = 11529215046068469760u,
        .head = signed_head_bytes(&sample_get()->envelopes[2]),
    };
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_epoch_request(&writer, &request);
    end_bytes(vector, &writer);
}

static inline void make_epoch_reply(struct vector *vector)
{
    const struct wire_epoch_reply reply = { 11529215046068469760u, 0 };
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_epoch_reply(&writer, &reply);
    end_bytes(vector, &writer);
}

static inline void make_offer(struct vector *vector)
{
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_offer(&writer, TIERS_FEDERATION, signed_head_bytes(&sample_get()->envelopes[2]));
    end_bytes(vector, &writer);
}

static inline void make_closure_message(struct vector *vector)
{
    const struct sample *sample = sample_get();
    struct closure closure = { .epoch = 2, .instance = 11529215046068469760u, .closed_seq = 2 };
    const struct sign_key *recovery = &sample->recovery;
    struct signed_closure envelope;
    struct mp_writer writer;

    memcpy(closure.federation, sample->federation, HASH_SIZE);
    memcpy(closure.closed_hash, sample->hq_head.hash, HASH_SIZE);
    closure_sign(&closure, recovery, &envelope);
    begin_bytes(vector, &writer);
    wire_write_closure(&writer, slice_of(envelope.bytes, envelope.size));
    end_bytes(vector, &writer);
    state_key(vector, recovery);
}

static inline void make_settled(struct vector *vector)
{
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_settled(&writer, sample_get()->heads[2].hash);
    end_bytes(vector, &writer);
}

static inline void make_key(struct vector *vector)
{
    const struct sample *sample = sample_get();
    const struct sign_key fresh = sample_sign_key(0x51);
    struct succession succession = { .code = "hq", .until_epoch = 1, .until_seq = 2 };
    struct signed_succession envelope;
    struct mp_writer writer;

    memcpy(succession.federation, sample->federation, HASH_SIZE);
    succession_sign(&succession, &sample->hq, &fresh, &envelope);
    begin_bytes(vector, &writer);
    wire_write_key(&writer, slice_of(envelope.bytes, envelope.size));
    end_bytes(vector, &writer);
}

static inline void make_cleared(struct vector *vector)
{
    static const struct wire_cleared_entry entries[] = { { "hq", "fr", 1, 5 },
                                                         { "lu", "fr", 1, 3 } };
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    wire_write_cleared_begin(&writer, 2);
    for (size_t i = 0; i < 2; i++)
        wire_write_cleared_entry(&writer, &entries[i]);
    end_bytes(vector, &writer);
}

/* --- the control protocol, which has no codec of its own ---------------------------------- */

static inline void begin_control(struct mp_writer *writer, uint64_t id)
{
    mp_write_array(writer, 4);
    mp_write_uint(writer, 1);
    mp_write_uint(writer, id);
}

static inline void make_control_request(struct vector *vector)
{
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    begin_control(&writer, 42);
    mp_write_text(&writer, "members.apply");
    mp_write_map(&writer, 1);
    mp_write_text(&writer, "ops");
    mp_write_array(&writer, 1);
    mp_write_map(&writer, 2);
    mp_write_text(&writer, "fields");
    mp_write_map(&writer, 2);
    mp_write_key_text(&writer, "country", "FR");
    mp_write_key_text(&writer, "name", "Zo\xc3\xa9 Durand");
    mp_write_key_text(&writer, "op", "put");
    end_bytes(vector, &writer);
}

static inline void make_control_reply(struct vector *vector)
{
    struct mp_writer writer;
    char id[UUID_TEXT_SIZE];

    uuid_format(sample_get()->changes[ZOE_FIRST].id, id);
    begin_bytes(vector, &writer);
    begin_control(&writer, 42);
    mp_write_uint(&writer, OK);
    mp_write_map(&writer, 1);
    mp_write_text(&writer, "results");
    mp_write_array(&writer, 1);
    mp_write_map(&writer, 3);
    mp_write_key_text(&writer, "id", id);
    mp_write_key_bool(&writer, "ok", true);
    mp_write_key_uint(&writer, "seq", 2);
    end_bytes(vector, &writer);
}

static inline void make_control_error(struct vector *vector)
{
    struct mp_writer writer;

    begin_bytes(vector, &writer);
    begin_control(&writer, 43);
    mp_write_uint(&writer, NOT_FOUND);
    mp_write_map(&writer, 2);
    mp_write_key_text(&writer, "error", "no member has that id");
    mp_write_key_text(&writer, "remedy", "look it up: chapterctl members list --search NAME");
    end_bytes(vector, &writer);
}

/* --- leaves: not MessagePack, so each field is told here ---------------------------------- */

static inline void add_field(struct vector *vector, const void *data, size_t size,
                             const char *comment)
{
    assert_true(vector->size + size <= sizeof vector->bytes);
    memcpy(vector->bytes + vector->size, data, size);
    vector->size += size;
    text_add_hex(vector, 0, data, size, comment);
}

static inline void add_number(struct vector *vector, uint64_t number, size_t size,
                              const char *comment)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(number >> (8 * (size - 1 - i)));
    add_field(vector, bytes, size, comment);
}

static inline void add_leaf(struct vector *vector, enum tier tier)
{
    static const uint8_t no_salt[SALT_SIZE] = { 0 };
    static const char origin[CODE_SIZE] = "fr";
    const struct change *change = &sample_get()->changes[ZOE_CHANGED];

    add_field(vector, "chapterd leaf 1", 16, "domain tag: \"chapterd leaf 1\" and a NUL");
    add_number(vector, tier, 1, tier == TIER_HQ ? "tier: hq" : "tier: federation");
    add_field(vector, origin, sizeof origin, "origin: \"fr\" and NULs");
    add_number(vector, change->type, 1, "type of record: member");
    add_field(vector, change->id, ID_SIZE, "id");
    add_number(vector, change->seq, 8, "seq: 4");
    add_field(vector, tier == TIER_HQ ? change->salt : no_salt, SALT_SIZE,
              tier == TIER_HQ ? "salt" : "salt: none in tier federation");
    add_number(vector, change->value[tier].size, 4, "length of the value");
    add_field(vector, change->value[tier].data, change->value[tier].size, "the value");
}

/* k, the beginning of E, and the digest of a feed that holds this leaf alone; by hand, not by
 * digest.c. */
static inline void state_leaf(struct vector *vector, enum tier tier)
{
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = { 0 };
    uint8_t lead[25] = "chapterd sum 1";
    uint8_t lanes[2048];
    uint8_t key[32];
    uint8_t digest[32];
    crypto_generichash_state state;

    crypto_generichash(key, sizeof key, vector->bytes, vector->size, NULL, 0);
    crypto_stream_chacha20(lanes, sizeof lanes, nonce, key);
    lead[16] = (uint8_t)tier;
    lead[24] = 1; /* the count */
    crypto_generichash_init(&state, NULL, 0, sizeof digest);
    crypto_generichash_update(&state, lead, sizeof lead);
    crypto_generichash_update(&state, lanes, sizeof lanes);
    crypto_generichash_final(&state, digest, sizeof digest);
    vector_state_hex(vector, "k", key, sizeof key);
    vector_state_hex(vector, "E begins", lanes, 32);
    vector_state_hex(vector, "digest of this leaf alone", digest, sizeof digest);
}

static inline void make_leaf_federation(struct vector *vector)
{
    add_leaf(vector, TIER_FEDERATION);
    state_leaf(vector, TIER_FEDERATION);
}

static inline void make_leaf_hq(struct vector *vector)
{
    add_leaf(vector, TIER_HQ);
    state_leaf(vector, TIER_HQ);
}

#endif
