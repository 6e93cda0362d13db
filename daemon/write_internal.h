/* SPDX-License-Identifier: MPL-2.0 */
/* write_internal.h - one record being changed: the version that was, the fields that come, and
 * the three values that they make.  Private to write.c, write_batch.c, merge.c, erase.c and
 * horizon.c. */
#ifndef CHAPTERD_WRITE_INTERNAL_H
#define CHAPTERD_WRITE_INTERNAL_H

#include "daemon/node_internal.h"
#include "daemon/write.h"

#define TIERS_ALL 3

struct write_field {
    struct slice name;
    const struct field_rule *rule; /* NULL: not known to this version */
    struct slice raw;              /* its MessagePack */
    enum tier tier;
    bool dropped;
    struct slice old_raw; /* of the former version, size 0: it had none */
    enum tier old_tier;
};

struct write_scratch {
    const struct disclosure *disclosure; /* which field goes to which tier */
    bool exists;
    bool removed;
    enum record_type type;
    uint64_t old_seq;
    uint64_t old_hq_seq; /* another one only while a feed is fetched back */
    unsigned old_tiers;
    uint8_t old_salt[SALT_SIZE];
    struct slice old[TIERS_ALL]; /* in kept; size 0 if none */
    uint8_t kept[TIERS_ALL][RECORD_SIZE_MAX];
    struct write_field fields[3 * RECORD_FIELDS_MAX];
    size_t field_count;
    uint8_t values[TIERS_ALL][RECORD_SIZE_MAX];
    size_t value_size[TIERS_ALL];
};

void scratch_clear(struct write_scratch *scratch);
/* Copies a value of the former version out of the map. */
void scratch_keep(struct write_scratch *scratch, enum tier tier, struct slice value);
/* Lays fields over the old ones; false with the error in out_result if one is wrong. */
bool scratch_merge(struct write_scratch *scratch, struct slice fields,
                   struct write_result *out_result);
/* Packs the three values.  *out_any: something differs; *out_published: in a published tier,
 * which then carries updated = now_s. */
bool scratch_pack(struct write_scratch *scratch, uint64_t now_s, bool *out_published,
                  bool *out_any, struct write_result *out_result);
struct slice scratch_value(const struct write_scratch *scratch, enum tier tier);

/* The new text of a field, if it has one that it did not have before. */
bool scratch_new_text(struct write_scratch *scratch, const char *name, struct slice *out_text);

#define HISTORY_ENTRY_SIZE_MAX (TIERS_ALL * RECORD_SIZE_MAX + 1024)

/* Changes of the turn that no head covers yet. */
struct own_batch {
    bool open;
    uint64_t prev_seq;
    uint64_t seq;
    uint64_t horizon; /* of the head to be signed */
    size_t changes;
    size_t bytes;
    struct digest_sum sum[TIERS_PUBLISHED];
    struct write_scratch scratch;
    uint8_t history[HISTORY_ENTRY_SIZE_MAX]; /* one, as it is packed */
    uint8_t random[4096]; /* for salts and ids: a system call each would be dear */
    size_t random_left;
    struct uuid_maker ids;
};

static inline struct node_feed *own_feed(struct node *node)
{
    return node->feeds[node->own_feed];
}

/* --- write_batch.c --- */
enum status batch_open(struct node *node) MUST_CHECK;
/* Signs even an empty batch whose seq was raised. */
enum status sign_batch(struct node *node) MUST_CHECK;

/* --- write.c: the steps of a change; an error is one of the turn --- */
/* The former version of id into the scratch. */
enum status load_old(struct node *node, const uint8_t id[ID_SIZE]) MUST_CHECK;
/* Gives the change, whose former version is in the scratch, the next seq, and puts it. */
enum status put_own(struct node *node, struct change *change) MUST_CHECK;
bool belongs_elsewhere(struct node *node, const uint8_t id[ID_SIZE]);

#endif
