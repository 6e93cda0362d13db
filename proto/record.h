/* SPDX-License-Identifier: MPL-2.0 */
/* record.h - records, their tiers and fields, and changes of them.
 *
 * A value is a MessagePack map of field names (sorted) to values, or nil for a removal.  A
 * record has one value in each published tier.  Fields that this version does not know are kept
 * and forwarded byte for byte. */
#ifndef CHAPTERD_PROTO_RECORD_H
#define CHAPTERD_PROTO_RECORD_H

#include "chapterd/limits.h"
#include "proto/mp.h"

enum record_type {
    RECORD_MEMBER = 1,
    RECORD_OFFICE = 2,
    RECORD_INCOME = 3,
    RECORD_CHAPTER = 4
};

enum tier { TIER_FEDERATION = 0, TIER_HQ = 1, TIER_CHAPTER = 2 };
#define TIERS_PUBLISHED 2
/* Sets of published tiers. */
#define TIERS_FEDERATION 1u
#define TIERS_HQ 2u
#define TIERS_BOTH 3u

enum member_kind { KIND_NONE, KIND_INDIVIDUAL, KIND_ORGANIZATION, KIND_AFFILIATE, KIND_COUNT };
enum member_status {
    MEMBER_NONE,
    MEMBER_ACTIVE,
    MEMBER_PENDING,
    MEMBER_LAPSED,
    MEMBER_SUSPENDED,
    MEMBER_LEFT,
    MEMBER_STATUS_COUNT
};

/* Names as on the wire and in the interface; NULL / NONE if unknown. */
const char *member_kind_name(enum member_kind kind);
enum member_kind member_kind_of(struct slice name);
const char *member_status_name(enum member_status status);
enum member_status member_status_of(struct slice name);
const char *record_type_name(enum record_type type);
const char *tier_name(enum tier tier);

/* One version of one record at a sequence number, in the tiers that somebody holds or sends.
 * The slices belong to the message or transaction that they were read from. */
struct change {
    uint64_t seq;
    enum record_type type;
    unsigned tiers; /* set of published tiers present here */
    uint8_t id[ID_SIZE];
    uint8_t salt[SALT_SIZE]; /* of tier hq; zero if absent */
    struct slice value[TIERS_PUBLISHED];
};

bool value_is_removal(struct slice value); /* exactly nil */

/* [type, id, seq, federation value] or, for both tiers, [type, id, seq, federation, salt, hq];
 * for tier hq alone [type, id, seq, salt, hq].  `tiers` says which form. */
void change_write(struct mp_writer *writer, const struct change *change, unsigned tiers);
void change_read(struct mp_reader *reader, unsigned tiers, struct change *out_change);

/* Fields of a member, known to this version: name, default tier, and how to check a text. */
enum field_form {
    FIELD_TEXT,
    FIELD_COUNTRY,
    FIELD_DATE,
    FIELD_KIND,
    FIELD_STATUS,
    FIELD_LANGUAGE,
    FIELD_EMAIL,
    FIELD_TIME
};
struct field_rule {
    const char *name;
    size_t name_size;
    enum tier tier;              /* default; of kind and status always federation */
    enum tier organization_tier; /* the same, for organizations (their name is public) */
    enum field_form form;
    size_t size_max;
};
/* NULL for a field that this version does not know (tier chapter). */
const struct field_rule *field_rule_of(struct slice name);
const struct field_rule *field_rules(size_t *out_count);
/* OK, or INVALID with a sentence for people in out_reason (static storage). */
enum status field_check(const struct field_rule *rule, struct slice text,
                        const char **out_reason) MUST_CHECK;

/* What the census needs of a federation value; a member whose value is malformed or a removal
 * counts nowhere (kind NONE).  Countries and months that are withdrawn are zero. */
struct member_facts {
    enum member_kind kind;
    enum member_status status;
    char country[2];       /* "\0\0" if withdrawn */
    uint16_t joined_month; /* year * 12 + month - 1, 0 if withdrawn */
};
void member_facts_of(struct slice federation_value, struct member_facts *out_facts);

/* A roster entry: the federation value of a record of type chapter in HQ's feed. */
enum chapter_state { CHAPTER_ENROLLED, CHAPTER_SUSPENDED, CHAPTER_REVOKED };
struct roster_entry {
    char code[CODE_SIZE];
    char name[NAME_SIZE_MAX];
    char country[3];
    uint8_t sign_key[KEY_SIZE];
    uint8_t curve_key[KEY_SIZE];
    char address[ADDRESS_SIZE]; /* "host:port" of ROUTER, PORT + 1 is XPUB; "" if dial-only */
    enum chapter_state state;
    uint64_t epoch;      /* newest epoch that HQ opened, from 1 */
    uint64_t instance;   /* the one that may sign in it */
    uint64_t closed_seq; /* of the epoch before; 0 in the first */
    uint8_t closed_hash[HASH_SIZE];
    uint8_t former_key[KEY_SIZE]; /* the signing key before; zeros: none is good any more */
    /* The last head that it may have signed; former_epoch 0: all of the epochs before;
     * former_seq 0: all up to that epoch, until HQ holds one that sign_key signed. */
    uint64_t former_epoch;
    uint64_t former_seq;
    uint64_t records_max;
    uint64_t bytes_max;
    /* Of a chapter that is suspended or revoked: the last head that HQ takes of it; seq 0: none
     * is stated, and nothing more is taken. */
    uint64_t until_epoch;
    uint64_t until_seq;
};
void roster_entry_write(struct mp_writer *writer, const struct roster_entry *entry);
enum status roster_entry_read(struct slice federation_value,
                              struct roster_entry *out_entry) MUST_CHECK;
/* The record id of a code's entry: a UUIDv8 of BLAKE2b over federation and code. */
void roster_id_of(const uint8_t federation[HASH_SIZE], const char *code,
                  uint8_t out_id[ID_SIZE]);

/* The first 8 bytes of BLAKE2b-128 over both codes, 16 bytes each: for rendezvous hashing. */
uint64_t code_pair_hash(const char *a, const char *b);
bool code_valid(struct slice code); /* [a-z][a-z0-9-]{0,14} */
/* UUIDs as text: 36 characters and a NUL. */
#define UUID_TEXT_SIZE 37
void uuid_format(const uint8_t id[ID_SIZE], char out_text[UUID_TEXT_SIZE]);
bool uuid_parse(struct slice text, uint8_t out_id[ID_SIZE]);
/* UUIDv7 of RFC 9562 from a wall clock in milliseconds and 10 random bytes. */
void uuid_make_v7(uint64_t time_ms, const uint8_t random[10], uint8_t out_id[ID_SIZE]);
/* Ids of one maker ascend, also within a millisecond and when the clock goes back (RFC 9562,
 * 6.2, method 2): a table in their order is appended to.  All zeros at first; random is fresh
 * each time. */
struct uuid_maker {
    uint64_t time_ms;
    uint8_t random[10];
};
void uuid_make_next(struct uuid_maker *maker, uint64_t time_ms, const uint8_t random[10],
                    uint8_t out_id[ID_SIZE]);
/* Days since 1970-01-01 of an ISO date; false if it is not one of a real calendar day. */
bool date_parse(struct slice text, int32_t *out_days);
void hex_format(const void *data, size_t size, char *out_text); /* 2 * size + 1 bytes */

#endif
