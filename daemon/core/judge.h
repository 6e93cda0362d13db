/* SPDX-License-Identifier: MPL-2.0 */
/* judge.h - do these changes lead my rows to that head?  Judge first, then put.
 *
 * The caller gives the sums that it holds and, for every change, the version that it has; the
 * judge recomputes S' = S - old + new per tier and compares with the head.  Nothing is written.
 *  Pure.
 * (Lewi et al. 2019: a verified transition, whoever handed it over.) */
#ifndef CHAPTERD_JUDGE_H
#define CHAPTERD_JUDGE_H

#include "proto/digest.h"
#include "proto/head.h"

/* The version that a node has of a record; tiers may stand at different seqs. */
struct row_version {
    enum record_type type;
    unsigned tiers; /* 0: none */
    uint64_t seq[TIERS_PUBLISHED];
    uint8_t salt[SALT_SIZE];
    struct slice value[TIERS_PUBLISHED];
};

struct judge {
    const char *origin;
    unsigned tiers; /* that are judged */
    uint64_t
        from[TIERS_PUBLISHED]; /* the seq each tier stands at; entries up to it are skipped */
    uint64_t up_to;            /* the head's seq: an entry beyond it is a contradiction */
    bool contradiction;
    struct digest_sum sum[TIERS_PUBLISHED];
};

/* The caller fills sum[] of the tiers before the first change. */
void judge_init(struct judge *judge, const char *origin, unsigned tiers,
                const uint64_t from[TIERS_PUBLISHED], uint64_t up_to);
/* Takes one change; returns the tiers in which it is news (to be put, if the verdict is good).
 * */
unsigned judge_change(struct judge *judge, const struct change *change,
                      const struct row_version *old);
/* A removal at or below the head's horizon goes. */
void judge_drop(struct judge *judge, unsigned tiers, const uint8_t id[ID_SIZE],
                const struct row_version *old);
/* The tiers whose digest and count equal the head's. */
unsigned judge_verdict(const struct judge *judge, const struct head *head);

#endif
