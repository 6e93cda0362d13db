/* SPDX-License-Identifier: MPL-2.0 */
/* rate.h - how much of something in a while: a bucket of tokens that fills up by itself.
 * Pure: the caller owns the bucket and tells the time. */
#ifndef CHAPTERD_RATE_H
#define CHAPTERD_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate_limit {
    uint64_t burst;      /* at once, after a while without */
    uint64_t per_second; /* in the long run */
};
/* All zeros: full. */
struct rate {
    uint64_t used; /* thousandths of tokens that are not back yet */
    int64_t at_ms;
};

/* Are there any? */
bool rate_has(struct rate *rate, const struct rate_limit *limit, int64_t now_ms);
/* Takes cost tokens, whether they are there or have to come back first. */
void rate_charge(struct rate *rate, const struct rate_limit *limit, uint64_t cost,
                 int64_t now_ms);
/* Charges cost if there are any (so that what costs more than all is possible, too); false if
 * not. */
bool rate_take(struct rate *rate, const struct rate_limit *limit, uint64_t cost,
               int64_t now_ms);

#endif
