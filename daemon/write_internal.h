/* SPDX-License-Identifier: MPL-2.0 */
/* write_internal.h - one record being changed: the version that was, the fields that come, and
 * the three values that they make.  Private to write.c and merge.c. */
#ifndef CHAPTERD_WRITE_INTERNAL_H
#define CHAPTERD_WRITE_INTERNAL_H

#include "daemon/node_internal.h"

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

#endif
