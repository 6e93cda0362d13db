/* SPDX-License-Identifier: MPL-2.0 */
/* rate.c - buckets of tokens. */
#include "daemon/core/rate.h"

#define PER_TOKEN 1000

static void fill_up(struct rate *rate, const struct rate_limit *limit, int64_t now_ms)
{
    const uint64_t passed_ms = now_ms > rate->at_ms ? (uint64_t)(now_ms - rate->at_ms) : 0;
    const uint64_t most_ms = rate->used / limit->per_second + 1; /* then all are back */
    const uint64_t back = (passed_ms < most_ms ? passed_ms : most_ms) * limit->per_second;

    rate->used -= back < rate->used ? back : rate->used;
    rate->at_ms = now_ms;
}

bool rate_has(struct rate *rate, const struct rate_limit *limit, int64_t now_ms)
{
    fill_up(rate, limit, now_ms);
    return rate->used + PER_TOKEN <= limit->burst * PER_TOKEN;
}

void rate_charge(struct rate *rate, const struct rate_limit *limit, uint64_t cost,
                 int64_t now_ms)
{
    fill_up(rate, limit, now_ms);
    rate->used += cost * PER_TOKEN;
}

bool rate_take(struct rate *rate, const struct rate_limit *limit, uint64_t cost, int64_t now_ms)
{
    if (!rate_has(rate, limit, now_ms))
        return false;
    rate->used += cost * PER_TOKEN;
    return true;
}
