/* SPDX-License-Identifier: MPL-2.0 */
/* jobs_recount.c - what the rows of one snapshot add up to, against the stored sums, the signed
 * heads, the index of ids and the census of that same snapshot. */
#include "daemon/jobs_internal.h"

#include <stdlib.h>
#include <string.h>

#define GROUPS_START 1024 /* a power of two */

/* Census groups of the rows: open addressing. */
struct group {
    uint8_t key[CENSUS_KEY_SIZE];
    uint64_t count; /* 0: free */
};

struct recount {
    struct store_txn txn;
    struct store_feed record;
    unsigned tiers;
    enum recount_depth depth;
    unsigned done;    /* tiers whose rows were gone through */
    uint64_t reached; /* in the pass under way */
    struct digest_sum sum[TIERS_PUBLISHED];
    bool index_wrong;
    struct group *groups;
    size_t group_capacity;
    size_t group_count;
    uint64_t rows; /* gone through */
};

/* --- groups ------------------------------------------------------------------------------- */

static struct group *group_at(struct group *groups, size_t capacity,
                              const uint8_t key[CENSUS_KEY_SIZE])
{
    uint64_t hash = 14695981039346656037ull;
    size_t i;

    for (size_t k = 0; k < CENSUS_KEY_SIZE; k++)
        hash = (hash ^ key[k]) * 1099511628211ull;
    for (i = hash >> 20 & (capacity - 1);
         groups[i].count != 0 && memcmp(groups[i].key, key, CENSUS_KEY_SIZE) != 0;
         i = (i + 1) & (capacity - 1))
        ;
    return &groups[i];
}

static enum status groups_grow(struct recount *recount)
{
    const size_t capacity =
        recount->group_capacity == 0 ? GROUPS_START : 2 * recount->group_capacity;
    struct group *grown = calloc(capacity, sizeof *grown);

    if (grown == NULL)
        return NO_MEMORY;
    for (size_t i = 0; i < recount->group_capacity; i++)
        if (recount->groups[i].count != 0)
            *group_at(grown, capacity, recount->groups[i].key) = recount->groups[i];
    free(recount->groups);
    recount->groups = grown;
    recount->group_capacity = capacity;
    return OK;
}

static enum status count_member(struct recount *recount, struct slice value)
{
    struct census_delta deltas[CENSUS_DELTAS_MAX];
    const size_t count = census_deltas(SLICE_NONE, value, deltas);

    for (size_t i = 0; i < count; i++) {
        struct group *group;
        enum status status;

        if (2 * recount->group_count >= recount->group_capacity &&
            (status = groups_grow(recount)) != OK)
            return status;
        group = group_at(recount->groups, recount->group_capacity, deltas[i].key);
        if (group->count == 0) {
            memcpy(group->key, deltas[i].key, CENSUS_KEY_SIZE);
            recount->group_count++;
        }
        group->count++;
    }
    return OK;
}

struct census_check {
    struct recount *recount;
    size_t groups;
    bool wrong;
};

static enum status check_group(void *context, const uint8_t key[CENSUS_KEY_SIZE],
                               uint64_t count)
{
    struct census_check *check = context;

    check->groups++;
    if (check->recount->group_capacity == 0 ||
        group_at(check->recount->groups, check->recount->group_capacity, key)->count != count)
        check->wrong = true;
    return OK;
}

static enum status census_differs(struct recount *recount, uint32_t number, bool *out_differs)
{
    static const uint8_t any[CENSUS_KEY_SIZE] = { 0 };
    struct census_check check = { recount, 0, false };
    enum status status = store_census_scan(&recount->txn, number, any, 0, check_group, &check);

    *out_differs = check.wrong || check.groups != recount->group_count;
    return status;
}

/* --- opening ------------------------------------------------------------------------------ */

enum status recount_open(struct store *store, const char *origin, bool next, unsigned tiers,
                         enum recount_depth depth, struct recount **out)
{
    struct recount *recount = calloc(1, sizeof *recount);
    enum status status;

    if (recount == NULL)
        return NO_MEMORY;
    recount->tiers = tiers;
    recount->depth = depth;
    status = store_begin_read(store, &recount->txn);
    if (status == OK)
        status = next ? store_next_feed(&recount->txn, origin, &recount->record)
                      : store_get_feed(&recount->txn, origin, &recount->record);
    if (status != OK) {
        recount_close(&recount);
        return status;
    }
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const struct store_feed_tier *held = &recount->record.tier[tier];

        digest_sum_clear(&recount->sum[tier]);
        if (held->number == 0 || held->head.size == 0)
            recount->tiers &= ~(1u << tier);
    }
    if (depth == RECOUNT_STORED)
        recount->done = recount->tiers;
    *out = recount;
    return OK;
}

void recount_close(struct recount **recount_pointer)
{
    struct recount *recount = *recount_pointer;

    if (recount == NULL)
        return;
    store_abort(&recount->txn);
    free(recount->groups);
    free(recount);
    *recount_pointer = NULL;
}

const char *recount_origin(const struct recount *recount)
{
    return recount->record.origin;
}

uint64_t recount_rows(const struct recount *recount)
{
    return recount->rows;
}

/* --- the rows ----------------------------------------------------------------------------- */

/* The tiers of the next pass: those left that share rows with the first of them. */
static unsigned next_pass(const struct recount *recount, uint32_t *out_number)
{
    const unsigned left = recount->tiers & ~recount->done;
    unsigned pass = 0;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const uint32_t number = recount->record.tier[tier].number;

        if (!(left & (1u << tier)))
            continue;
        if (pass == 0)
            *out_number = number;
        if (number == *out_number)
            pass |= 1u << tier;
    }
    return pass;
}

static enum status check_index(struct recount *recount, uint32_t number,
                               const struct change *change)
{
    struct store_row row;
    enum status status = store_get_row(&recount->txn, number, change->id, &row);

    if (status == NOT_FOUND) {
        recount->index_wrong = true;
        return OK;
    }
    for (int tier = 0; status == OK && tier < TIERS_PUBLISHED; tier++)
        if ((change->tiers & (1u << tier)) &&
            (!(row.tiers & (1u << tier)) || row.seq[tier] != change->seq))
            recount->index_wrong = true;
    return status;
}

static enum status count_row(struct recount *recount, uint32_t number,
                             const struct change *change)
{
    enum status status = OK;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (change->tiers & (1u << tier))
            digest_add(&recount->sum[tier], recount->record.origin, (enum tier)tier, change);
    if (recount->depth != RECOUNT_ALL)
        return OK;
    if ((change->tiers & TIERS_FEDERATION) && change->type == RECORD_MEMBER)
        status = count_member(recount, change->value[TIER_FEDERATION]);
    return status == OK ? check_index(recount, number, change) : status;
}

enum status recount_slice(struct recount *recount, size_t max, bool *out_done)
{
    uint32_t number = 0;
    unsigned pass;
    size_t rows = 0;

    while ((pass = next_pass(recount, &number)) != 0) {
        CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
        struct change change;
        enum status status =
            store_cursor_open(&recount->txn, number, pass, recount->reached, &cursor);

        while (status == OK && rows < max &&
               (status = store_cursor_next(&cursor, &change)) == OK) {
            recount->reached = change.seq;
            rows++;
            recount->rows++;
            status = count_row(recount, number, &change);
        }
        if (status == OK) {
            *out_done = false;
            return OK;
        }
        if (status != NOT_FOUND)
            return status;
        recount->done |= pass;
        recount->reached = 0;
    }
    *out_done = true;
    return OK;
}

/* --- the verdict -------------------------------------------------------------------------- */

static void is_wrong(struct recount_verdict *verdict, int tier, const char *reason)
{
    verdict->wrong |= 1u << tier;
    if (verdict->reason == NULL)
        verdict->reason = reason;
}

static bool sums_equal(const struct digest_sum *a, const struct digest_sum *b)
{
    return a->count == b->count && memcmp(a->lanes, b->lanes, sizeof a->lanes) == 0;
}

static enum status judge_tier(struct recount *recount, int tier,
                              struct recount_verdict *verdict)
{
    const struct store_feed_tier *held = &recount->record.tier[tier];
    struct digest_sum stored;
    const struct digest_sum *counted = &recount->sum[tier];
    struct head head;
    enum status status;

    if (head_read(signed_head_bytes(&held->head), &head) != OK)
        return STORE_DAMAGED;
    status = store_get_sum(&recount->txn, held->number, (enum tier)tier, &stored);
    if (status != OK)
        return status;
    if (recount->depth == RECOUNT_STORED)
        counted = &stored;
    verdict->number[tier] = held->number;
    memcpy(verdict->expected[tier], head.digest[tier], HASH_SIZE);
    digest_of(counted, (enum tier)tier, verdict->actual[tier]);
    if (counted->count != head.count[tier] ||
        memcmp(verdict->actual[tier], head.digest[tier], HASH_SIZE) != 0)
        is_wrong(verdict, tier,
                 recount->depth == RECOUNT_STORED
                     ? "the stored sums are not the signed head's"
                     : "the rows are not those of the signed head");
    else if (!sums_equal(counted, &stored))
        is_wrong(verdict, tier, "the stored sums are not those of the rows");
    return OK;
}

static enum status add_members(void *context, const uint8_t key[CENSUS_KEY_SIZE],
                               uint64_t count)
{
    (void)key;
    *(uint64_t *)context += count;
    return OK;
}

enum status recount_judge(struct recount *recount, struct recount_verdict *out)
{
    static const uint8_t by_country[] = { CENSUS_COUNTRY };
    const uint32_t number = recount->record.tier[TIER_FEDERATION].number;
    bool differs = false;
    enum status status = OK;

    memset(out, 0, sizeof *out);
    out->held = recount->tiers;
    for (int tier = 0; status == OK && tier < TIERS_PUBLISHED; tier++)
        if (recount->tiers & (1u << tier))
            status = judge_tier(recount, tier, out);
    if (status != OK || !(recount->tiers & TIERS_FEDERATION))
        return status;
    if (recount->index_wrong)
        is_wrong(out, TIER_FEDERATION, "the index of ids does not lead to the rows");
    if (recount->depth == RECOUNT_ALL &&
        (status = census_differs(recount, number, &differs)) != OK)
        return status;
    if (differs)
        is_wrong(out, TIER_FEDERATION, "the counters are not those of the rows");
    return store_census_scan(&recount->txn, number, by_country, sizeof by_country, add_members,
                             &out->members);
}
