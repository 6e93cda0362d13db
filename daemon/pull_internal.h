/* SPDX-License-Identifier: MPL-2.0 */
/* pull_internal.h - what the two halves of fetching share.  Private to pull.c and build.c. */
#ifndef CHAPTERD_PULL_INTERNAL_H
#define CHAPTERD_PULL_INTERNAL_H

#include "daemon/node_internal.h"

/* The tier whose state stands for a set of tiers. */
int pull_leading_tier(unsigned tiers);
enum status pull_drop_build(struct node *node, const struct store_build *build);
void pull_ends(struct node *node, uint64_t request);
void pull_fails(struct node *node, uint64_t request);
/* An answer of peer did not lead my rows to its head. */
void pull_mismatched(struct node *node, uint32_t peer, uint32_t index, unsigned tiers);
/* The final head of an answer: form, federation, origin, signature, epoch, freeze, limits.
 * *out_tiers are those that it advances (or, where my rows are damaged, mends). */
bool pull_head_good(struct node *node, uint32_t index, const struct wire_changes *answer,
                    struct head *out_head, unsigned *out_tiers);

/* Of my own feed, which is fetched back: what HQ has of tier hq is none that I can take. */
void pull_hq_has_no_more(struct node *node, uint32_t index);
/* What is fetched of those tiers is larger than the roster allows. */
void pull_pauses(struct node *node, uint32_t index, unsigned tiers);

#endif
