/* SPDX-License-Identifier: MPL-2.0 */
/* disclosure.h - which tier each field of this chapter's members is in: the default of the
 * field, unless the chapter chose another.  A change puts the records that it concerns anew,
 * in the background. */
#ifndef CHAPTERD_DISCLOSURE_H
#define CHAPTERD_DISCLOSURE_H

#include "daemon/node_internal.h"

#define META_TIERS "tiers"                   /* {field: tier} as the chapter chose */
#define META_TIERS_FOLLOWED "tiers_followed" /* [field]: of these, a recovery chose */
#define META_TIERS_REACHED "tiers_reached" /* seq up to which records follow, plus 1; 0: all */
#define META_TIERS_LAST "tiers_last"       /* seq up to which they are looked at */
#define META_TIERS_NARROW "tiers_narrow"   /* 1: fields are being withdrawn */
#define TIER_CHOICES_MAX 64

struct tier_choice {
    char field[FIELD_NAME_MAX + 1];
    enum tier tier;
    bool followed; /* a recovery chose; the chapter has not said yet whether that is right */
};
struct disclosure {
    struct tier_choice choices[TIER_CHOICES_MAX]; /* ascending by field */
    size_t count;
    bool narrows;              /* a field goes less far than it did, and records follow */
    uint64_t reached_plus_one; /* of the records that are put anew; 0: none are */
    uint64_t last;
    uint64_t begun_at; /* reached when this process began with it */
    uint64_t changed;  /* since the start */
    uint64_t refused;
};

enum status disclosure_load(struct node *node, struct store_txn *txn) MUST_CHECK;
/* The tier that a field of a member goes to. */
enum tier disclosure_tier(const struct disclosure *disclosure, struct slice field,
                          bool organization);
/* May the chapter choose?  Not for what all must know of all. */
bool disclosure_is_fixed(struct slice field);
/* Did a recovery choose, and not the chapter since? */
bool disclosure_is_followed(const struct disclosure *disclosure, struct slice field);
/* field to tier, or (tier_given false) back to the default; *out_error for people. */
enum status disclosure_choose(struct node *node, struct slice field, bool tier_given,
                              enum tier tier, const char **out_error) MUST_CHECK;
/* The same, but it is a recovery that chooses: the operator is asked until he has chosen. */
enum status disclosure_choose_followed(struct node *node, struct slice field, enum tier tier,
                                       const char **out_error) MUST_CHECK;
/* Puts all records anew from here on. */
enum status disclosure_begin(struct node *node) MUST_CHECK;
void disclosure_plan(struct node *node);

/* --- disclosed.c: records that were written by other choices --- */
#define DISCLOSED_VALUES 3
/* Moves fields that go further in a member's values than was chosen; none goes further than it
 * did.  A value of size 0: none.  What out_values show stands in buffers or in values. */
enum status disclosure_narrow(const struct disclosure *disclosure,
                              const struct slice values[DISCLOSED_VALUES],
                              uint8_t (*buffers)[RECORD_SIZE_MAX],
                              struct slice out_values[DISCLOSED_VALUES]) MUST_CHECK;
/* The choices are those of an older copy, or none, and the own feed was fetched back up to
 * closed_seq.  If records after from_seq are new to this directory, a field goes only as far as
 * the feed shows: to tier hq alone if one of those has it there alone; nowhere if no member has
 * it in a published tier, however far it was to go.  The operator is told. */
enum status disclosure_follow(struct node *node, uint64_t from_seq,
                              uint64_t closed_seq) MUST_CHECK;

#endif
