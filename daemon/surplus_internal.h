/* SPDX-License-Identifier: MPL-2.0 */
/* surplus_internal.h - what the halves of surplus share.  Private to surplus.c,
 * surplus_issue.c and offers.c. */
#ifndef CHAPTERD_SURPLUS_INTERNAL_H
#define CHAPTERD_SURPLUS_INTERNAL_H

#include "daemon/rows.h"

#define SETTLED_KEPT 32   /* heads that were dealt with since the start */
#define KEPT_MANUAL 4u    /* in store_kept.tiers: the operator decides */
#define KEPT_OWN 8u       /* the same: this directory itself stood there */
#define KEPT_COPY 16u     /* the same: on the way to what was fetched back, for sure */
#define BUILD_OF_OFFER 4u /* in store_build.tiers */
#define OFFER_INTERVAL_MS 10000

/* The state that is being fetched from somebody who offered it. */
struct offer_fetch {
    bool active;
    transport_link link;
    uint32_t peer;
    uint32_t feed;
    unsigned tiers;
    uint64_t request;
    uint64_t next_index;
    uint64_t last_seq;
    uint64_t rows;
    uint64_t bytes;
    uint32_t number;
    int64_t begun_ms;
    int64_t deadline_ms;
    struct head head;
    struct signed_head envelope;
    struct digest_sum sum[TIERS_PUBLISHED];
};

/* A peer whose offers came to nothing: others go first. */
struct offerer {
    int64_t pause_ms;      /* the last one, 0: none since one was good */
    int64_t not_before_ms; /* then it may be asked again */
};

struct surplus {
    bool kept;  /* there may be some */
    bool swept; /* what a crash left of a fetch is gone */
    int64_t offer_at_ms;
    struct {
        uint8_t hash[HASH_SIZE];
        unsigned tiers;
    } settled[SETTLED_KEPT];
    size_t settled_count, settled_next;
    struct offer_fetch fetch;
    struct offerer offerer[ORIGINS_MAX]; /* by peer */
};

/* Lets a kept state go. */
enum status surplus_drop(struct node *node, const struct store_kept *kept) MUST_CHECK;
void surplus_settle(struct node *node, const struct link *link, const uint8_t hash[HASH_SIZE]);
/* Issues again what the rows of number, at that head of a closed epoch, have and the own feed
 * lacks; kept: the tiers, and for an own state KEPT_OWN and KEPT_COPY, which tell whether a
 * member that the own feed lacks was erased.  *out_manual: the operator must decide. */
enum status surplus_issue(struct node *node, uint32_t number, unsigned kept,
                          const struct head *head, bool *out_manual) MUST_CHECK;
/* What this directory itself held beyond or beside the closed head, or before a recovery. */
void surplus_issue_own(struct node *node);
void offers_drop(struct node *node);
void offers_turn(struct node *node);

#endif
