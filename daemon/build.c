/* SPDX-License-Identifier: MPL-2.0 */
/* build.c - long answers: built under a fresh number, durably, chunk by chunk, resumed after a
 * crash; at the end judged against my rows, or flipped to. */
#include <stdlib.h>
#include <string.h>

#include "daemon/jobs.h"
#include "daemon/pull_internal.h"
#include "daemon/replication.h"
#include "daemon/rows.h"

/* --- builds ------------------------------------------------------------------------------- */

static enum status stage_one(struct node *node, struct store_build *build, const char *origin,
                             struct digest_sum sums[TIERS_PUBLISHED],
                             const struct change *change)
{
    struct census_delta deltas[CENSUS_DELTAS_MAX];
    struct row_version old = { 0 };
    struct store_row row;
    struct change gone = { 0 };
    size_t count = 0;
    enum status status = store_get_row(&node->txn, build->number, change->id, &row);

    if (status != OK && status != NOT_FOUND)
        return status;
    if (status == OK)
        row_version_of(&row, &old);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        if (!(build->tiers & (1u << tier)))
            continue;
        if (old.tiers & (1u << tier)) {
            if (old.seq[tier] >= change->seq)
                return OK; /* came again, no newer */
            gone.type = old.type;
            gone.seq = old.seq[tier];
            gone.tiers = 1u << tier;
            memcpy(gone.id, change->id, ID_SIZE);
            if (tier == TIER_HQ)
                memcpy(gone.salt, old.salt, SALT_SIZE);
            gone.value[tier] = old.value[tier];
            digest_subtract(&sums[tier], origin, (enum tier)tier, &gone);
        }
        digest_add(&sums[tier], origin, (enum tier)tier, change);
    }
    if (old.tiers == 0)
        build->rows++;
    if (build->tiers & TIERS_FEDERATION)
        count = census_deltas(old.type == RECORD_MEMBER && (old.tiers & TIERS_FEDERATION)
                                  ? old.value[TIER_FEDERATION]
                                  : SLICE_NONE,
                              change->type == RECORD_MEMBER ? change->value[TIER_FEDERATION]
                                                            : SLICE_NONE,
                              deltas);
    status = store_put_row(&node->txn, build->number, change);
    for (size_t i = 0; i < count && status == OK; i++)
        status = node_census_add(node, build->number, &deltas[i]);
    return status;
}

static enum status load_sums(struct node *node, const struct store_build *build,
                             struct digest_sum sums[TIERS_PUBLISHED])
{
    enum status status = OK;

    for (int tier = 0; tier < TIERS_PUBLISHED && status == OK; tier++)
        if (build->tiers & (1u << tier))
            status = store_get_sum(&node->txn, build->number, (enum tier)tier, &sums[tier]);
    return status;
}

static enum status save_sums(struct node *node, const struct store_build *build,
                             const struct digest_sum sums[TIERS_PUBLISHED])
{
    enum status status = OK;

    for (int tier = 0; tier < TIERS_PUBLISHED && status == OK; tier++)
        if (build->tiers & (1u << tier))
            status = store_put_sum(&node->txn, build->number, (enum tier)tier, &sums[tier]);
    return status;
}

static enum status open_build(struct node *node, uint32_t peer,
                              const struct wire_changes *answer, struct store_build *out_build)
{
    const struct link *link = node_link_of_peer(node, peer);
    enum status status = store_get_build(&node->txn, answer->origin, answer->tiers, out_build);

    if (status != NOT_FOUND || link == NULL)
        return status;
    memset(out_build, 0, sizeof *out_build);
    memcpy(out_build->origin, answer->origin, CODE_SIZE);
    out_build->tiers = answer->tiers;
    memcpy(out_build->peer, link->key, KEY_SIZE);
    out_build->epoch = answer->epoch;
    out_build->since = answer->since;
    out_build->base = answer->base;
    return store_new_number(&node->txn, &out_build->number);
}

static enum status stage_chunk(struct node *node, uint32_t peer,
                               const struct wire_changes *answer, struct store_build *out_build)
{
    struct digest_sum sums[TIERS_PUBLISHED];
    struct wire_list list = answer->changes;
    struct change change;
    enum status status;

    if ((status = open_build(node, peer, answer, out_build)) != OK ||
        (status = load_sums(node, out_build, sums)) != OK)
        return status;
    while (wire_next_change(&list, answer->tiers, &change)) {
        status = stage_one(node, out_build, answer->origin, sums, &change);
        if (status != OK)
            return status;
        out_build->reached = change.seq;
    }
    if (answer->head.size != 0 &&
        (status = signed_head_set(&out_build->head, answer->head)) != OK)
        return status;
    if ((status = save_sums(node, out_build, sums)) != OK ||
        (status = node_census_flush(node)) != OK)
        return status;
    return store_put_build(&node->txn, out_build);
}

/* --- a build as a source of changes ------------------------------------------------------- */

struct build_source {
    struct rows *rows;
    struct node *node;
    uint32_t number;
};

static bool source_next(void *context, struct change *out_change)
{
    struct build_source *source = context;

    return rows_next(source->rows, out_change);
}

static void source_rewind(void *context)
{
    struct build_source *source = context;

    rows_rewind(source->rows);
}

static bool source_has(void *context, const uint8_t id[ID_SIZE])
{
    struct build_source *source = context;
    struct store_row row;

    return store_get_row(&source->node->txn, source->number, id, &row) == OK;
}

static enum status apply_build(struct node *node, uint32_t index, unsigned tiers,
                               const struct store_build *build, const struct head *head,
                               unsigned *out_applied, unsigned *out_paused)
{
    struct rows *rows = rows_open(node, build->number, build->tiers, 0);
    struct build_source source = { rows, node, build->number };
    struct change_source list = { source_next, source_rewind, source_has, &source };
    enum status status;

    if (rows == NULL)
        return node_turn_fails(node, NO_MEMORY);
    status = apply_list(node, index, tiers, head, signed_head_bytes(&build->head), &list,
                        out_applied, out_paused);
    if (status == OK)
        status = rows_status(rows);
    rows_close(&rows);
    return node_turn_fails(node, status);
}

static unsigned build_verdict(struct node *node, const struct store_build *build,
                              const struct head *head)
{
    struct judge judge = { .tiers = build->tiers };

    if (load_sums(node, build, judge.sum) != OK)
        return 0;
    return judge_verdict(&judge, head);
}

/* Those of the tiers that verify, but are larger than the roster allows. */
static unsigned build_paused(struct node *node, uint32_t index, const struct store_build *build,
                             unsigned good)
{
    struct digest_sum sums[TIERS_PUBLISHED];

    if (good == 0 || load_sums(node, build, sums) != OK)
        return 0;
    return sync_over_bytes(node, index, good, sums);
}

/* May the list as a whole take the place of my rows of tier? */
static bool may_replace(const struct node_feed *feed, int tier, const struct head *head)
{
    const struct feed_mark *mine = &feed->replica.feed.tier[tier];

    /* The roster alone sends a feed back, to where it ended: see feed_judge. */
    return mine->seq == 0 || feed->replica.tier[tier].damaged || mine->epoch < head->epoch ||
           head->horizon > mine->seq ||
           (feed->replica.feed.replacing && tier == TIER_FEDERATION) ||
           feed_compare(head->epoch, head->seq, mine->epoch, mine->seq) < 0;
}

/* A clean copy and a list that verifies by itself, yet does not lead from one to the other.
 * Rows of the other tier's former history prove nothing. */
static void prove_divergence(struct node *node, uint32_t index, unsigned tiers,
                             const struct head *head)
{
    struct node_feed *feed = node->feeds[index];
    bool proven = false;

    if (feed->replica.own) { /* fetched back: HQ's tier hq is of another history than mine */
        pull_hq_has_no_more(node, index);
        return;
    }
    if (feed->in_the_way)
        return;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((tiers & (1u << tier)) && replica_may_prove(&feed->replica, (enum tier)tier, head))
            proven = true;
    if (!proven || !jobs_rows_clean(node, index, tiers) || node_writing(node) == NULL)
        return;
    feed->replica.feed.freeze = FREEZE_DIVERGED;
    feed->replica.feed.freeze_epoch = head->epoch;
    feed->record.hold = FEED_DIVERGED;
    feed->record.hold_epoch = head->epoch;
    (void)node_turn_fails(node, store_put_feed(&node->txn, &feed->record));
    log_event(LOG_ERROR,
              "event=diverged feed=%s seq=%llu remedy=\"the origin signed a state that does not"
              " follow from its former one: ask the chapter and HQ; its feed is frozen here\"",
              feed->record.origin, (unsigned long long)head->seq);
}

/* --- the end of a build ------------------------------------------------------------------- */

static void flip(struct node *node, uint32_t index, unsigned tiers,
                 const struct store_build *build, const struct head *head)
{
    const unsigned rest = build->tiers & ~tiers;

    if (apply_flip(node, index, tiers, build->number, head, signed_head_bytes(&build->head)) !=
        OK)
        return;
    if (rest != 0)
        (void)node_turn_fails(node,
                              store_discard(&node->txn, build->origin, build->number, rest));
    (void)node_turn_fails(node, store_delete_build(&node->txn, build->origin, build->tiers));
}

/* Merging copies whole rows: all tiers of the build must live under one number. */
static bool can_merge(struct node_feed *feed, const struct store_build *build, unsigned tiers)
{
    return tiers == build->tiers &&
           (tiers != TIERS_BOTH || feed->record.tier[0].number == feed->record.tier[1].number);
}

static void finish_build(struct node *node, uint32_t peer, uint32_t index,
                         const struct wire_changes *answer, const struct store_build *build)
{
    struct node_feed *feed = node->feeds[index];
    struct wire_changes whole = *answer;
    struct head head;
    unsigned tiers = 0;
    unsigned replacing = 0;
    unsigned applied = 0;
    unsigned paused = 0;

    whole.since = build->since;
    whole.base = build->base;
    if (!pull_head_good(node, index, &whole, &head, &tiers)) {
        pull_mismatched(node, peer, index, build->tiers);
        pull_fails(node, answer->request);
        (void)pull_drop_build(node, build);
        return;
    }
    if (tiers == 0) {
        pull_fails(node, answer->request);
        (void)pull_drop_build(node, build);
        return;
    }
    pull_ends(node, answer->request);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((tiers & (1u << tier)) && build->since == 0 && may_replace(feed, tier, &head))
            replacing |= 1u << tier;
    if (replacing != 0) {
        const unsigned good =
            BUG(FLIP_NOT_VERIFIED) ? replacing : build_verdict(node, build, &head) & replacing;

        paused = build_paused(node, index, build, good);

        if (good != replacing)
            pull_mismatched(node, peer, index, replacing & ~good);
        pull_pauses(node, index, paused);
        if ((good & ~paused) != 0)
            flip(node, index, good & ~paused, build, &head);
        else
            (void)pull_drop_build(node, build);
        sync_unpark(node, index);
        return;
    }
    if (build->rows > node->config.delta_one_turn_max && build->since != 0 &&
        can_merge(feed, build, tiers)) {
        feed->building = true; /* pull_merge_slice goes on */
        return;
    }
    if (apply_build(node, index, tiers, build, &head, &applied, &paused) != OK)
        return;
    pull_pauses(node, index, paused);
    tiers &= ~paused;
    if (applied != tiers) {
        pull_mismatched(node, peer, index, tiers & ~applied);
        if (build->since == 0 && (build_verdict(node, build, &head) & tiers & ~applied))
            prove_divergence(node, index, tiers & ~applied, &head);
    }
    (void)pull_drop_build(node, build);
    sync_unpark(node, index);
}

/* Chunks of one answer ascend across their borders, too: two records never share a seq. */
static bool goes_on(struct node *node, const struct wire_changes *answer)
{
    struct wire_list peek = answer->changes;
    struct store_build build;
    struct change change;

    return store_get_build(&node->txn, answer->origin, answer->tiers, &build) != OK ||
           !wire_next_change(&peek, answer->tiers, &change) || change.seq > build.reached;
}

/* Nobody has signed what was built so far: the roster's limits hold, with room for removals. */
static bool build_too_large(struct node *node, uint32_t index, const struct store_build *build)
{
    const struct node_feed *feed = node->feeds[index];
    const struct roster_node *place = roster_find(node, build->origin);

    if (place == NULL)
        return true;
    return (place->entry.records_max != 0 && build->rows / 4 > place->entry.records_max) ||
           (place->entry.bytes_max != 0 && feed->build_bytes / 4 > place->entry.bytes_max);
}

void pull_stage(struct node *node, uint32_t peer, uint32_t index,
                const struct wire_changes *answer, bool first)
{
    struct store_build build;
    enum status status;

    if (node_writing(node) == NULL)
        return;
    if (first && store_get_build(&node->txn, answer->origin, answer->tiers, &build) == OK &&
        answer->since != build.reached && pull_drop_build(node, &build) != OK)
        return;
    if (!goes_on(node, answer)) {
        if (store_get_build(&node->txn, answer->origin, answer->tiers, &build) == OK &&
            pull_drop_build(node, &build) != OK)
            return;
        pull_mismatched(node, peer, index, answer->tiers);
        pull_fails(node, answer->request);
        return;
    }
    if ((status = stage_chunk(node, peer, answer, &build)) != OK) {
        (void)node_turn_fails(node, status);
        return;
    }
    if (build_too_large(node, index, &build)) {
        node->feeds[index]->over_quota = true;
        (void)pull_drop_build(node, &build);
        pull_fails(node, answer->request);
        return;
    }
    if (answer->head.size != 0)
        finish_build(node, peer, index, answer, &build);
}

/* --- long deltas: my unchanged rows are copied under the build's number ------------------- */

static enum status copy_slice(struct node *node, const struct node_feed *feed,
                              struct store_build *build, uint64_t horizon, bool *out_done)
{
    struct digest_sum sums[TIERS_PUBLISHED];
    struct rows *own =
        rows_open(node, feed->record.tier[pull_leading_tier(build->tiers)].number, build->tiers,
                  build->copied_to);
    struct change change;
    size_t rows = 0;
    enum status status;

    if (own == NULL)
        return NO_MEMORY;
    status = load_sums(node, build, sums);
    while (status == OK && rows < node->config.rows_per_slice && rows_next(own, &change)) {
        rows++;
        build->copied_to = change.seq;
        /* Removals that the head's horizon passed are part of no state any more. */
        if (change.seq <= horizon &&
            value_is_removal(change.value[pull_leading_tier(build->tiers)]))
            continue;
        status = stage_one(node, build, build->origin, sums, &change);
    }
    if (status == OK)
        status = rows_status(own);
    *out_done = rows < node->config.rows_per_slice;
    rows_close(&own);
    if (status == OK)
        status = save_sums(node, build, sums);
    if (status == OK)
        status = node_census_flush(node);
    return status == OK ? store_put_build(&node->txn, build) : status;
}

static void merge_ends(struct node *node, uint32_t index, const struct store_build *build)
{
    struct node_feed *feed = node->feeds[index];
    const struct roster_node *from = roster_find_key(node, build->peer);
    const uint32_t peer = from != NULL ? node_peer_make(node, from->entry.code) : NO_PEER;
    struct head head;
    unsigned good = 0;
    unsigned paused = 0;

    feed->building = false;
    if (head_read(signed_head_bytes(&build->head), &head) == OK)
        good = build_verdict(node, build, &head);
    paused = build_paused(node, index, build, good);
    if (paused != 0) {
        pull_pauses(node, index, build->tiers);
        (void)pull_drop_build(node, build);
    } else if (good == build->tiers) {
        flip(node, index, good, build, &head);
    } else {
        if (peer != NO_PEER)
            pull_mismatched(node, peer, index, build->tiers & ~good);
        else
            for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
                feed->replica.tier[tier].retry_at_ms = node_now(node) + RETRY_MS_MAX;
        (void)pull_drop_build(node, build);
    }
    sync_unpark(node, index);
}

bool pull_merge_slice(struct node *node)
{
    bool more = false;

    for (size_t i = 0; i < node->replica.feed_count; i++) {
        struct node_feed *feed = node->feeds[i];
        struct store_build build;
        bool done = false;
        bool found = false;
        enum status status = OK;

        if (!feed->building)
            continue;
        if (node_writing(node) == NULL)
            return false;
        for (unsigned tiers = 1; tiers <= TIERS_BOTH && !found; tiers++)
            found = store_get_build(&node->txn, feed->record.origin, tiers, &build) == OK &&
                    build.head.size != 0;
        if (!found) {
            feed->building = false;
            continue;
        }
        struct head head;

        if (head_read(signed_head_bytes(&build.head), &head) == OK)
            status = copy_slice(node, feed, &build, head.horizon, &done);
        else
            status = STORE_DAMAGED;
        if (status != OK) {
            (void)node_turn_fails(node, status);
            return false;
        }
        if (done)
            merge_ends(node, (uint32_t)i, &build);
        else
            more = true;
    }
    return more;
}
