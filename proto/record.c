/* SPDX-License-Identifier: MPL-2.0 */
/* record.c - records, changes of them, and roster entries. */
#include "proto/record.h"

#include <sodium.h>
#include <string.h>

static const char *const kind_names[KIND_COUNT] = { NULL, "individual", "organization",
                                                    "affiliate" };
static const char *const status_names[MEMBER_STATUS_COUNT] = { NULL,     "active",    "pending",
                                                               "lapsed", "suspended", "left" };
static const char *const state_names[] = { "enrolled", "suspended", "revoked" };

const char *member_kind_name(enum member_kind kind)
{
    return (unsigned)kind < KIND_COUNT ? kind_names[kind] : NULL;
}

enum member_kind member_kind_of(struct slice name)
{
    for (int i = 1; i < KIND_COUNT; i++)
        if (slice_is_text(name, kind_names[i]))
            return (enum member_kind)i;
    return KIND_NONE;
}

const char *member_status_name(enum member_status status)
{
    return (unsigned)status < MEMBER_STATUS_COUNT ? status_names[status] : NULL;
}

enum member_status member_status_of(struct slice name)
{
    for (int i = 1; i < MEMBER_STATUS_COUNT; i++)
        if (slice_is_text(name, status_names[i]))
            return (enum member_status)i;
    return MEMBER_NONE;
}

const char *record_type_name(enum record_type type)
{
    static const char *const names[] = { NULL, "member", "office", "income", "chapter" };

    return (unsigned)type <= RECORD_CHAPTER ? names[type] : NULL;
}

const char *tier_name(enum tier tier)
{
    static const char *const names[] = { "federation", "hq", "chapter" };

    return (unsigned)tier <= TIER_CHAPTER ? names[tier] : NULL;
}

bool value_is_removal(struct slice value)
{
    return value.size == 1 && value.data[0] == 0xc0;
}

/* --- changes ------------------------------------------------------------------------------ */

void change_write(struct mp_writer *writer, const struct change *change, unsigned tiers)
{
    mp_write_array(writer, tiers == TIERS_FEDERATION ? 4 : tiers == TIERS_HQ ? 5 : 6);
    mp_write_uint(writer, change->type);
    mp_write_bin(writer, change->id, ID_SIZE);
    mp_write_uint(writer, change->seq);
    if (tiers & TIERS_FEDERATION)
        mp_write_raw(writer, change->value[TIER_FEDERATION]);
    if (tiers & TIERS_HQ) {
        mp_write_bin(writer, change->salt, SALT_SIZE);
        mp_write_raw(writer, change->value[TIER_HQ]);
    }
}

/* A value is a map of fields or nil. */
static struct slice read_value(struct mp_reader *reader)
{
    return mp_peek(reader) == MP_NIL
               ? mp_read_raw(reader, RECORD_SIZE_MAX)
               : mp_read_raw_map(reader, RECORD_SIZE_MAX, RECORD_FIELDS_MAX, FIELD_NAME_MAX);
}

void change_read(struct mp_reader *reader, unsigned tiers, struct change *out_change)
{
    memset(out_change, 0, sizeof *out_change);
    out_change->tiers = tiers;
    mp_read_array_exact(reader, tiers == TIERS_FEDERATION ? 4 : tiers == TIERS_HQ ? 5 : 6);
    out_change->type = (enum record_type)mp_read_uint(reader, 0xff);
    mp_read_bin_exact(reader, out_change->id, ID_SIZE);
    out_change->seq = mp_read_uint(reader, UINT64_MAX);
    if (tiers & TIERS_FEDERATION)
        out_change->value[TIER_FEDERATION] = read_value(reader);
    if (tiers & TIERS_HQ) {
        mp_read_bin_exact(reader, out_change->salt, SALT_SIZE);
        out_change->value[TIER_HQ] = read_value(reader);
    }
    if (reader->status != OK)
        return;
    /* A removal is one in every tier: the record exists in both or in none. */
    if (out_change->type == 0 || out_change->seq == 0 ||
        sodium_is_zero(out_change->id, ID_SIZE) ||
        (tiers == TIERS_BOTH && value_is_removal(out_change->value[TIER_FEDERATION]) !=
                                    value_is_removal(out_change->value[TIER_HQ])))
        mp_fail(reader, INVALID);
}

/* --- what the census needs ---------------------------------------------------------------- */

static uint16_t month_of(struct slice date)
{
    int32_t days;
    unsigned year = 0;

    if (!date_parse(date, &days))
        return 0;
    for (int i = 0; i < 4; i++)
        year = year * 10 + (unsigned)(date.data[i] - '0');
    return (uint16_t)(year * 12 + (unsigned)(date.data[5] - '0') * 10 +
                      (unsigned)(date.data[6] - '0') - 1);
}

/* Any two capitals count: a table of countries differs between versions, a census must not. */
static bool country_shaped(struct slice text)
{
    return text.size == 2 && text.data[0] >= 'A' && text.data[0] <= 'Z' &&
           text.data[1] >= 'A' && text.data[1] <= 'Z';
}

/* One pass over the map: this runs for every change of every node. */
void member_facts_of(struct slice value, struct member_facts *out_facts)
{
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    struct member_facts facts;
    size_t count;

    memset(&facts, 0, sizeof facts);
    memset(out_facts, 0, sizeof *out_facts);
    mp_reader_init(&reader, value);
    count = mp_read_map(&reader, RECORD_FIELDS_MAX);
    for (size_t i = 0; i < count && reader.status == OK; i++) {
        const struct slice key = mp_read_key(&reader, &last);
        struct slice text;

        if (mp_peek(&reader) != MP_STR) {
            (void)mp_read_raw(&reader, RECORD_SIZE_MAX);
            continue;
        }
        text = mp_read_str(&reader, RECORD_SIZE_MAX);
        if (slice_is_text(key, "kind"))
            facts.kind = member_kind_of(text);
        else if (slice_is_text(key, "status"))
            facts.status = member_status_of(text);
        else if (slice_is_text(key, "country") && country_shaped(text))
            memcpy(facts.country, text.data, 2);
        else if (slice_is_text(key, "joined"))
            facts.joined_month = month_of(text);
    }
    if (mp_reader_finish(&reader) != OK || facts.kind == KIND_NONE ||
        facts.status == MEMBER_NONE)
        return;
    *out_facts = facts;
}

/* --- roster entries ----------------------------------------------------------------------- */

void roster_entry_write(struct mp_writer *writer, const struct roster_entry *entry)
{
    const bool listens = entry->address[0] != '\0';
    const bool has_country = entry->country[0] != '\0';
    const bool closed = entry->closed_seq != 0;
    const bool ended = entry->until_seq != 0;
    const bool former = !sodium_is_zero(entry->former_key, KEY_SIZE);
    const bool rotated = former && entry->former_epoch != 0;
    const bool former_ended = rotated && entry->former_seq != 0;

    mp_write_map(writer, 9u + listens + has_country + former + rotated + former_ended +
                             (closed ? 2u : 0u) + (ended ? 2u : 0u));
    if (listens)
        mp_write_key_text(writer, "address", entry->address);
    mp_write_key_uint(writer, "bytes_max", entry->bytes_max);
    if (closed) {
        mp_write_text(writer, "closed_hash");
        mp_write_bin(writer, entry->closed_hash, HASH_SIZE);
        mp_write_key_uint(writer, "closed_seq", entry->closed_seq);
    }
    mp_write_key_text(writer, "code", entry->code);
    if (has_country)
        mp_write_key_text(writer, "country", entry->country);
    mp_write_text(writer, "curve_key");
    mp_write_bin(writer, entry->curve_key, KEY_SIZE);
    mp_write_key_uint(writer, "epoch", entry->epoch);
    if (rotated)
        mp_write_key_uint(writer, "former_epoch", entry->former_epoch);
    if (former) {
        mp_write_text(writer, "former_key");
        mp_write_bin(writer, entry->former_key, KEY_SIZE);
    }
    if (former_ended)
        mp_write_key_uint(writer, "former_seq", entry->former_seq);
    mp_write_key_uint(writer, "instance", entry->instance);
    mp_write_key_text(writer, "name", entry->name);
    mp_write_key_uint(writer, "records_max", entry->records_max);
    mp_write_text(writer, "sign_key");
    mp_write_bin(writer, entry->sign_key, KEY_SIZE);
    mp_write_key_text(writer, "state", state_names[entry->state]);
    if (!ended)
        return;
    mp_write_key_uint(writer, "until_epoch", entry->until_epoch);
    mp_write_key_uint(writer, "until_seq", entry->until_seq);
}

static void read_state(struct mp_reader *reader, struct roster_entry *entry)
{
    char name[16];

    mp_read_text(reader, name, sizeof name);
    for (int i = 0; i < 3; i++)
        if (strcmp(name, state_names[i]) == 0) {
            entry->state = (enum chapter_state)i;
            return;
        }
    mp_fail(reader, INVALID);
}

enum {
    SEEN_CODE = 1,
    SEEN_SIGN_KEY = 2,
    SEEN_CURVE_KEY = 4,
    SEEN_EPOCH = 8,
    SEEN_INSTANCE = 16,
    SEEN_STATE = 32,
    SEEN_ALL = 63
};

static unsigned read_roster_field(struct mp_reader *reader, struct slice key,
                                  struct roster_entry *entry)
{
    if (slice_is_text(key, "address"))
        mp_read_text(reader, entry->address, sizeof entry->address);
    else if (slice_is_text(key, "bytes_max"))
        entry->bytes_max = mp_read_uint(reader, UINT64_MAX);
    else if (slice_is_text(key, "closed_hash"))
        mp_read_bin_exact(reader, entry->closed_hash, HASH_SIZE);
    else if (slice_is_text(key, "closed_seq"))
        entry->closed_seq = mp_read_uint(reader, UINT64_MAX);
    else if (slice_is_text(key, "country"))
        mp_read_text(reader, entry->country, sizeof entry->country);
    else if (slice_is_text(key, "former_epoch"))
        entry->former_epoch = mp_read_uint(reader, UINT64_MAX);
    else if (slice_is_text(key, "former_key"))
        mp_read_bin_exact(reader, entry->former_key, KEY_SIZE);
    else if (slice_is_text(key, "former_seq"))
        entry->former_seq = mp_read_uint(reader, UINT64_MAX);
    else if (slice_is_text(key, "name"))
        mp_read_text(reader, entry->name, sizeof entry->name);
    else if (slice_is_text(key, "records_max"))
        entry->records_max = mp_read_uint(reader, UINT64_MAX);
    else if (slice_is_text(key, "until_epoch"))
        entry->until_epoch = mp_read_uint(reader, UINT64_MAX);
    else if (slice_is_text(key, "until_seq"))
        entry->until_seq = mp_read_uint(reader, UINT64_MAX);
    else if (slice_is_text(key, "code")) {
        mp_read_text(reader, entry->code, sizeof entry->code);
        return SEEN_CODE;
    } else if (slice_is_text(key, "sign_key")) {
        mp_read_bin_exact(reader, entry->sign_key, KEY_SIZE);
        return SEEN_SIGN_KEY;
    } else if (slice_is_text(key, "curve_key")) {
        mp_read_bin_exact(reader, entry->curve_key, KEY_SIZE);
        return SEEN_CURVE_KEY;
    } else if (slice_is_text(key, "epoch")) {
        entry->epoch = mp_read_uint(reader, UINT64_MAX);
        return SEEN_EPOCH;
    } else if (slice_is_text(key, "instance")) {
        entry->instance = mp_read_uint(reader, UINT64_MAX);
        return SEEN_INSTANCE;
    } else if (slice_is_text(key, "state")) {
        read_state(reader, entry);
        return SEEN_STATE;
    } else
        (void)mp_read_raw(reader, RECORD_SIZE_MAX);
    return 0;
}

enum status roster_entry_read(struct slice value, struct roster_entry *out_entry)
{
    struct slice last = SLICE_NONE;
    struct roster_entry entry;
    struct mp_reader reader;
    unsigned seen = 0;
    size_t count;

    memset(&entry, 0, sizeof entry);
    mp_reader_init(&reader, value);
    count = mp_read_map(&reader, RECORD_FIELDS_MAX);
    for (size_t i = 0; i < count && reader.status == OK; i++) {
        const struct slice key = mp_read_key(&reader, &last);

        seen |= read_roster_field(&reader, key, &entry);
    }
    if (mp_reader_finish(&reader) != OK)
        return mp_reader_finish(&reader);
    if (seen != SEEN_ALL || !code_valid(slice_of_text(entry.code)) || entry.epoch == 0)
        return INVALID;
    *out_entry = entry;
    return OK;
}

void roster_id_of(const uint8_t federation[HASH_SIZE], const char *code,
                  uint8_t out_id[ID_SIZE])
{
    static const uint8_t tag[16] = "chapterd rid 1";
    char padded[CODE_SIZE] = { 0 };
    crypto_generichash_state state;

    memcpy(padded, code, strnlen(code, CODE_SIZE - 1));
    crypto_generichash_init(&state, NULL, 0, ID_SIZE);
    crypto_generichash_update(&state, tag, sizeof tag);
    crypto_generichash_update(&state, federation, HASH_SIZE);
    crypto_generichash_update(&state, (const uint8_t *)padded, sizeof padded);
    crypto_generichash_final(&state, out_id, ID_SIZE);
    out_id[6] = (uint8_t)(0x80 | (out_id[6] & 0x0f));
    out_id[8] = (uint8_t)(0x80 | (out_id[8] & 0x3f));
}

uint64_t code_pair_hash(const char *a, const char *b)
{
    char padded[2][CODE_SIZE] = { { 0 }, { 0 } };
    uint8_t hash[16];
    uint64_t score = 0;

    memcpy(padded[0], a, strnlen(a, CODE_SIZE - 1));
    memcpy(padded[1], b, strnlen(b, CODE_SIZE - 1));
    crypto_generichash(hash, sizeof hash, (const uint8_t *)padded, sizeof padded, NULL, 0);
    for (size_t i = 0; i < sizeof score; i++)
        score = score << 8 | hash[i];
    return score;
}
