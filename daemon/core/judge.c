/* SPDX-License-Identifier: MPL-2.0 */
/* judge.c - do these changes lead my rows to that head? */
#include "daemon/core/judge.h"

#include <string.h>

void judge_init(struct judge *judge, const char *origin, unsigned tiers,
                const uint64_t from[TIERS_PUBLISHED], uint64_t up_to)
{
    memset(judge, 0, sizeof *judge);
    judge->origin = origin;
    judge->tiers = tiers;
    memcpy(judge->from, from, sizeof judge->from);
    judge->up_to = up_to;
}

static void version_as_change(const struct row_version *old, enum tier tier,
                              const uint8_t id[ID_SIZE], struct change *out_change)
{
    memset(out_change, 0, sizeof *out_change);
    out_change->type = old->type;
    out_change->seq = old->seq[tier];
    out_change->tiers = 1u << tier;
    memcpy(out_change->id, id, ID_SIZE);
    if (tier == TIER_HQ)
        memcpy(out_change->salt, old->salt, SALT_SIZE);
    out_change->value[tier] = old->value[tier];
}

unsigned judge_change(struct judge *judge, const struct change *change,
                      const struct row_version *old)
{
    unsigned news = 0;

    if (change->seq > judge->up_to)
        judge->contradiction = true;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const unsigned bit = 1u << tier;
        struct change gone;

        if (!(judge->tiers & change->tiers & bit) || change->seq <= judge->from[tier])
            continue;
        if (old->tiers & bit) {
            if (old->seq[tier] >= change->seq)
                continue;
            version_as_change(old, (enum tier)tier, change->id, &gone);
            digest_subtract(&judge->sum[tier], judge->origin, (enum tier)tier, &gone);
        }
        digest_add(&judge->sum[tier], judge->origin, (enum tier)tier, change);
        news |= bit;
    }
    return news;
}

void judge_drop(struct judge *judge, unsigned tiers, const uint8_t id[ID_SIZE],
                const struct row_version *old)
{
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        struct change gone;

        if (!(tiers & old->tiers & (1u << tier)))
            continue;
        version_as_change(old, (enum tier)tier, id, &gone);
        digest_subtract(&judge->sum[tier], judge->origin, (enum tier)tier, &gone);
    }
}

unsigned judge_verdict(const struct judge *judge, const struct head *head)
{
    unsigned good = 0;

    if (judge->contradiction)
        return 0;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        uint8_t digest[HASH_SIZE];

        if (!(judge->tiers & (1u << tier)))
            continue;
        digest_of(&judge->sum[tier], (enum tier)tier, digest);
        if (judge->sum[tier].count == head->count[tier] &&
            memcmp(digest, head->digest[tier], HASH_SIZE) == 0)
            good |= 1u << tier;
    }
    return good;
}
