/* SPDX-License-Identifier: MPL-2.0 */
/* vector_samples.h - the small federation of proto/vectors, the same on every machine: HQ, and
 * the chapter fr with two members, one of whom is removed.  Included once by each program.
 *
 * Keys come from seeds that count up: HQ's from 00, fr's from 20, the recovery key's from 40;
 * CURVE secrets from 60 and 80.  fr's feed: head 1 (empty), head 3 (Zoe put at 2, an
 * organization at 3), head 5 (Zoe changed at 4, the organization removed at 5). */
#ifndef CHAPTERD_VECTOR_SAMPLES_H
#define CHAPTERD_VECTOR_SAMPLES_H

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/digest.h"
#include "proto/head.h"
#include "proto/token.h"
#include "proto/wire.h"

#define SAMPLE_CREATED 1767225600u /* 2026-01-01T00:00:00Z */
#define SAMPLE_EXPIRES 1767484800u /* three days later */
#define SAMPLE_TIME_MS 1767261600000u

enum { ZOE_FIRST, ORGANIZATION, ZOE_CHANGED, ORGANIZATION_GONE, SAMPLE_CHANGES };

struct sample {
    struct sign_key hq;
    struct sign_key fr;
    struct sign_key recovery;
    uint8_t hq_curve[KEY_SIZE];
    uint8_t fr_curve[KEY_SIZE];
    struct genesis genesis;
    uint8_t genesis_bytes[GENESIS_SIZE_MAX];
    size_t genesis_size;
    uint8_t federation[HASH_SIZE];
    struct roster_entry entries[2];
    uint8_t entry_values[2][1024];
    struct change roster[2]; /* HQ's feed: fr's entry at 2, its own at 1 */
    uint8_t values[SAMPLE_CHANGES][TIERS_PUBLISHED][256];
    struct change changes[SAMPLE_CHANGES];
    struct head hq_head;
    struct head heads[3]; /* of fr: at 1, 3 and 5 */
    struct head forked;   /* another one at 5 */
    struct signed_head hq_envelope;
    struct signed_head envelopes[3];
    struct signed_head forked_envelope;
    struct beat hq_beat;
    struct beat fr_beat;
    struct signed_beat hq_beat_envelope;
    struct signed_beat fr_beat_envelope;
};

static inline void fill_from(uint8_t *out, size_t size, uint8_t first)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(first + i);
}

static inline struct sign_key sample_sign_key(uint8_t first)
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    struct sign_key key;

    fill_from(seed, sizeof seed, first);
    ASSERT(crypto_sign_seed_keypair(key.public_key, key.secret, seed) == 0);
    return key;
}

static inline void sample_curve_key(uint8_t first, uint8_t out_key[KEY_SIZE])
{
    uint8_t secret[crypto_scalarmult_SCALARBYTES];

    fill_from(secret, sizeof secret, first);
    ASSERT(crypto_scalarmult_base(out_key, secret) == 0);
}

static inline void make_genesis(struct sample *sample)
{
    struct mp_writer writer;

    memcpy(sample->genesis.name, "Example Society", sizeof "Example Society");
    memcpy(sample->genesis.sign_key, sample->hq.public_key, KEY_SIZE);
    memcpy(sample->genesis.recovery_key, sample->recovery.public_key, KEY_SIZE);
    sample->genesis.created = SAMPLE_CREATED;
    fill_from(sample->genesis.random, sizeof sample->genesis.random, 0xa0);
    mp_writer_init(&writer, sample->genesis_bytes, sizeof sample->genesis_bytes);
    genesis_write(&writer, &sample->genesis);
    ASSERT(writer.status == OK);
    sample->genesis_size = writer.size;
    genesis_federation(mp_writer_bytes(&writer), sample->federation);
}

static inline void sample_salt(struct change *change)
{
    fill_from(change->salt, SALT_SIZE, (uint8_t)(0xb0 + change->seq));
}

/* --- the roster --------------------------------------------------------------------------- */

static inline void make_entry(struct sample *sample, int i, const char *code, const char *name,
                              const char *address, const struct sign_key *key,
                              const uint8_t curve_key[KEY_SIZE])
{
    static const uint8_t empty_map[] = { 0x80 };
    struct roster_entry *entry = &sample->entries[i];
    struct change *change = &sample->roster[i];
    struct mp_writer writer;

    memcpy(entry->code, code, strlen(code));
    memcpy(entry->name, name, strlen(name));
    memcpy(entry->address, address, strlen(address));
    memcpy(entry->sign_key, key->public_key, KEY_SIZE);
    memcpy(entry->curve_key, curve_key, KEY_SIZE);
    entry->state = CHAPTER_ENROLLED;
    entry->epoch = 1;
    entry->instance = 1;
    entry->records_max = FEED_RECORDS_MAX_DEFAULT;
    entry->bytes_max = FEED_BYTES_MAX_DEFAULT;
    if (i == 1)
        memcpy(entry->country, "FR", 3);
    mp_writer_init(&writer, sample->entry_values[i], sizeof sample->entry_values[i]);
    roster_entry_write(&writer, entry);
    ASSERT(writer.status == OK);
    change->type = RECORD_CHAPTER;
    change->tiers = TIERS_BOTH;
    change->seq = (uint64_t)i + 1;
    roster_id_of(sample->federation, code, change->id);
    sample_salt(change);
    change->value[TIER_FEDERATION] = mp_writer_bytes(&writer);
    change->value[TIER_HQ] = slice_of(empty_map, sizeof empty_map);
}

/* --- fr's members ------------------------------------------------------------------------- */

static inline void sample_id(int n, uint8_t out_id[ID_SIZE])
{
    uint8_t random[10];

    fill_from(random, sizeof random, (uint8_t)(0x10 * (n + 1)));
    uuid_make_v7(SAMPLE_TIME_MS + (uint64_t)n, random, out_id);
}

static inline void begin_value(struct sample *sample, int i, enum tier tier,
                               struct mp_writer *writer, size_t fields)
{
    mp_writer_init(writer, sample->values[i][tier], sizeof sample->values[i][tier]);
    mp_write_map(writer, fields);
}

static inline void end_value(struct sample *sample, int i, enum tier tier,
                             const struct mp_writer *writer)
{
    ASSERT(writer->status == OK);
    sample->changes[i].value[tier] = mp_writer_bytes(writer);
}

static inline void make_zoe(struct sample *sample, int i, const char *status, uint64_t updated,
                            const char *email)
{
    struct mp_writer writer;

    begin_value(sample, i, TIER_FEDERATION, &writer, 5);
    mp_write_key_text(&writer, "country", "FR");
    mp_write_key_text(&writer, "joined", "2026-01-15");
    mp_write_key_text(&writer, "kind", "individual");
    mp_write_key_text(&writer, "status", status);
    mp_write_key_uint(&writer, "updated", updated);
    end_value(sample, i, TIER_FEDERATION, &writer);
    begin_value(sample, i, TIER_HQ, &writer, 3);
    mp_write_key_text(&writer, "email", email);
    mp_write_key_text(&writer, "language", "fr");
    mp_write_key_text(&writer, "name", "Zo\xc3\xa9 Durand");
    end_value(sample, i, TIER_HQ, &writer);
}

static inline void make_organization(struct sample *sample, int i)
{
    struct mp_writer writer;

    begin_value(sample, i, TIER_FEDERATION, &writer, 4);
    mp_write_key_text(&writer, "kind", "organization");
    mp_write_key_text(&writer, "name", "Association Exemple");
    mp_write_key_text(&writer, "status", "active");
    mp_write_key_uint(&writer, "updated", SAMPLE_CREATED + 60);
    end_value(sample, i, TIER_FEDERATION, &writer);
    begin_value(sample, i, TIER_HQ, &writer, 0);
    end_value(sample, i, TIER_HQ, &writer);
}

static inline void make_changes(struct sample *sample)
{
    static const uint8_t nil[] = { 0xc0 };

    for (int i = 0; i < SAMPLE_CHANGES; i++) {
        struct change *change = &sample->changes[i];

        change->type = RECORD_MEMBER;
        change->tiers = TIERS_BOTH;
        change->seq = (uint64_t)i + 2;
        sample_id(i % 2, change->id);
        sample_salt(change);
    }
    make_zoe(sample, ZOE_FIRST, "pending", SAMPLE_CREATED, "zoe@example.fr");
    make_organization(sample, ORGANIZATION);
    make_zoe(sample, ZOE_CHANGED, "active", SAMPLE_CREATED + 3600, "zoe@example.org");
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        sample->changes[ORGANIZATION_GONE].value[tier] = slice_of(nil, sizeof nil);
}

/* --- heads and beats ---------------------------------------------------------------------- */

static inline void sample_digests(struct head *head, const struct change *changes, size_t count)
{
    struct digest_sum sum;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        digest_sum_clear(&sum);
        for (size_t i = 0; i < count; i++)
            digest_add(&sum, head->origin, (enum tier)tier, &changes[i]);
        digest_of(&sum, (enum tier)tier, head->digest[tier]);
        head->count[tier] = sum.count;
    }
}

static inline void make_head(struct sample *sample, const char *origin,
                             const struct sign_key *key, const struct head *previous,
                             uint64_t seq, const struct change *changes, size_t count,
                             struct head *out_head, struct signed_head *out_envelope)
{
    memcpy(out_head->federation, sample->federation, HASH_SIZE);
    memcpy(out_head->origin, origin, strlen(origin));
    out_head->epoch = 1;
    out_head->instance = 1;
    out_head->seq = seq;
    if (previous != NULL) {
        out_head->prev_seq = previous->seq;
        memcpy(out_head->prev_hash, previous->hash, HASH_SIZE);
    }
    sample_digests(out_head, changes, count);
    if (key == &sample->fr) {
        out_head->roster_epoch = 1;
        out_head->roster_seq = 2;
    }
    head_sign(out_head, key, out_envelope);
}

static inline void make_beat(const struct sample *sample, const struct head *head,
                             const struct sign_key *key, uint64_t boot, uint64_t counter,
                             struct beat *out_beat, struct signed_beat *out_envelope)
{
    memcpy(out_beat->federation, sample->federation, HASH_SIZE);
    memcpy(out_beat->origin, head->origin, CODE_SIZE);
    out_beat->epoch = head->epoch;
    out_beat->seq = head->seq;
    memcpy(out_beat->head_hash, head->hash, HASH_SIZE);
    out_beat->boot = boot;
    out_beat->counter = counter;
    out_beat->hq_boot = 3;
    out_beat->hq_counter = 1200;
    beat_sign(out_beat, key, out_envelope);
}

static inline void make_heads(struct sample *sample)
{
    const struct head *heads = sample->heads;
    const struct change *changes = sample->changes;

    make_head(sample, "hq", &sample->hq, NULL, 2, sample->roster, 2, &sample->hq_head,
              &sample->hq_envelope);
    make_head(sample, "fr", &sample->fr, NULL, 1, NULL, 0, &sample->heads[0],
              &sample->envelopes[0]);
    make_head(sample, "fr", &sample->fr, &heads[0], 3, changes, 2, &sample->heads[1],
              &sample->envelopes[1]);
    make_head(sample, "fr", &sample->fr, &heads[1], 5, changes + 2, 2, &sample->heads[2],
              &sample->envelopes[2]);
    make_head(sample, "fr", &sample->fr, &heads[1], 4, changes + 1, 2, &sample->forked,
              &sample->forked_envelope);
    make_beat(sample, &sample->hq_head, &sample->hq, 3, 1200, &sample->hq_beat,
              &sample->hq_beat_envelope);
    make_beat(sample, &heads[2], &sample->fr, 7, 41, &sample->fr_beat,
              &sample->fr_beat_envelope);
}

/* Made once; NULL only without memory. */
static inline const struct sample *sample_get(void)
{
    static struct sample *sample;

    if (sample != NULL || (sample = calloc(1, sizeof *sample)) == NULL)
        return sample;
    sample->hq = sample_sign_key(0x00);
    sample->fr = sample_sign_key(0x20);
    sample->recovery = sample_sign_key(0x40);
    sample_curve_key(0x60, sample->hq_curve);
    sample_curve_key(0x80, sample->fr_curve);
    make_genesis(sample);
    make_entry(sample, 0, "hq", "Example Society", "hq.example.org:7440", &sample->hq,
               sample->hq_curve);
    make_entry(sample, 1, "fr", "Example Society France", "fr.example.org:7440", &sample->fr,
               sample->fr_curve);
    make_changes(sample);
    make_heads(sample);
    return sample;
}

static inline struct token sample_token(const struct sample *sample)
{
    struct token token;

    memset(&token, 0, sizeof token);
    memcpy(token.code, "fr", 3);
    memcpy(token.name, "Example Society France", sizeof "Example Society France");
    memcpy(token.address[0], "hq.example.org:7440", sizeof "hq.example.org:7440");
    memcpy(token.address[1], "[2001:db8::7]:7440", sizeof "[2001:db8::7]:7440");
    token.address_count = 2;
    memcpy(token.hq_curve_key, sample->hq_curve, KEY_SIZE);
    memcpy(token.genesis, sample->genesis_bytes, sample->genesis_size);
    token.genesis_size = sample->genesis_size;
    fill_from(token.secret, sizeof token.secret, 0xc0);
    token.roster_epoch = 1;
    token.roster_seq = 1;
    token.expires = SAMPLE_EXPIRES;
    return token;
}

static inline struct wire_enrol sample_enrol(const struct sample *sample)
{
    struct wire_enrol enrol;

    memset(&enrol, 0, sizeof enrol);
    enrol.version = PROTOCOL_VERSION;
    fill_from(enrol.secret, sizeof enrol.secret, 0xc0);
    memcpy(enrol.code, "fr", 3);
    memcpy(enrol.sign_key, sample->fr.public_key, KEY_SIZE);
    memcpy(enrol.curve_key, sample->fr_curve, KEY_SIZE);
    memcpy(enrol.address, "fr.example.org:7440", sizeof "fr.example.org:7440");
    return enrol;
}

/* What fr's node says that it has: its own feed in both tiers, HQ's in tier federation. */
static inline void sample_entries(const struct sample *sample,
                                  struct wire_hello_entry out_entries[2])
{
    memset(out_entries, 0, 2 * sizeof *out_entries);
    memcpy(out_entries[0].origin, "fr", 3);
    out_entries[0].epoch = 1;
    out_entries[0].seq = 5;
    memcpy(out_entries[0].hash, sample->heads[2].hash, HASH_SIZE);
    out_entries[0].hq_epoch = 1;
    out_entries[0].hq_seq = 5;
    out_entries[0].beat =
        slice_of(sample->fr_beat_envelope.bytes, sample->fr_beat_envelope.size);
    memcpy(out_entries[1].origin, "hq", 3);
    out_entries[1].epoch = 1;
    out_entries[1].seq = 2;
    memcpy(out_entries[1].hash, sample->hq_head.hash, HASH_SIZE);
    out_entries[1].beat =
        slice_of(sample->hq_beat_envelope.bytes, sample->hq_beat_envelope.size);
}

#endif
