/* SPDX-License-Identifier: MPL-2.0 */
/* jobs.c - background work, one slice a turn: the list of jobs, sweeping what was discarded,
 * and what is due every day. */
#include "daemon/jobs.h"
#include "daemon/erase.h"
#include "daemon/invitation.h"
#include "daemon/jobs_internal.h"
#include "daemon/replication.h"
#include "daemon/write.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS 86400000
#define DAILY_RETRY_MS 60000   /* while nothing can be signed, or the clock is wrong */
#define DAILY_CHECK_MS 3600000 /* the wall clock may jump: look again, whatever it said */
#define PRUNE_SLICES 64        /* of ROWS_PER_SLICE entries of the history, a day */

/* --- the list ----------------------------------------------------------------------------- */

enum status jobs_add(struct node *node, struct job *job)
{
    struct job **end = &node->jobs;
    size_t count = 0;

    for (; *end != NULL; end = &(*end)->next)
        count++;
    if (count >= JOBS_MAX)
        return AGAIN;
    job->next = NULL;
    *end = job;
    return OK;
}

bool jobs_have(const struct node *node, const struct job_kind *kind)
{
    for (const struct job *job = node->jobs; job != NULL; job = job->next)
        if (job->kind == kind)
            return true;
    return false;
}

void jobs_drop_all(struct node *node)
{
    while (node->jobs != NULL) {
        struct job *job = node->jobs;

        node->jobs = job->next;
        job->kind->release(job);
    }
}

static struct job *runnable(const struct node *node)
{
    const int64_t now = node_now(node);

    for (struct job *job = node->jobs; job != NULL; job = job->next)
        if (job->resume_ms <= now)
            return job;
    return NULL;
}

static void unlink_job(struct node *node, struct job *job)
{
    struct job **at = &node->jobs;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    job->next = NULL;
}

static void to_the_end(struct node *node, struct job *job)
{
    struct job **end = &node->jobs;

    unlink_job(node, job);
    while (*end != NULL)
        end = &(*end)->next;
    *end = job;
}

static void run(struct node *node, struct job *job)
{
    if (job->dropped && job->kind->undo != NULL) {
        job->kind->undo(node, job);
        job->dropped = false;
        job->ended = false;
        job->resume_ms = node_now(node) + JOB_PAUSE_MS;
        return;
    }
    if (job->ended) {
        unlink_job(node, job);
        if (job->kind->end != NULL)
            job->kind->end(node, job);
        job->kind->release(job);
        return;
    }
    job->open = true;
    job->dropped = false;
    job->commits_failed = node->counters.commits_failed;
    job->ended = job->kind->slice(node, job);
    if (!job->stays)
        to_the_end(node, job);
}

/* --- sweeping: rows of numbers that nothing points to any more ---------------------------- */

struct sweep_context {
    struct node *node;
    uint32_t feed; /* of the row before: rows of one origin come together */
};

/* HQ: whoever was counted by that row is counted by what there is now. */
static enum status swept(void *context, const char *origin, const uint8_t id[ID_SIZE])
{
    struct sweep_context *sweep = context;
    struct node *node = sweep->node;
    struct change change = { 0 };

    memcpy(change.id, id, ID_SIZE);
    if (sweep->feed == NO_PEER ||
        strcmp(node->feeds[sweep->feed]->replica.feed.origin, origin) != 0)
        sweep->feed = node_feed_index(node, origin);
    return sweep->feed == NO_PEER ? OK : apply_person(node, sweep->feed, &change);
}

static bool sweep_slice(struct node *node, struct job *job)
{
    struct sweep_context context = { node, NO_PEER };

    (void)job;
    if (node_writing(node) == NULL)
        return false;
    node->sweep_more = false;
    (void)node_turn_fails(node,
                          store_sweep(&node->txn, ROWS_PER_SLICE, node->is_hq ? swept : NULL,
                                      &context, &node->sweep_more));
    return !node->sweep_more;
}

static void sweep_undo(struct node *node, struct job *job)
{
    (void)job;
    node->sweep_more = true;
}

static void release_plain(struct job *job)
{
    free(job);
}

static const struct job_kind job_sweep = { .slice = sweep_slice,
                                           .undo = sweep_undo,
                                           .release = release_plain };

/* --- the history's oldest entries --------------------------------------------------------- */

struct prune_job {
    struct job job;
    unsigned slices;
};

static bool prune_slice(struct node *node, struct job *job)
{
    struct prune_job *prune = (struct prune_job *)job;
    const int64_t before_s = clock_wall_ms() / 1000 - (int64_t)HISTORY_DAYS * (DAY_MS / 1000);

    if (before_s <= 0 || node_writing(node) == NULL)
        return true;
    (void)node_turn_fails(node,
                          store_prune_history(&node->txn, (uint64_t)before_s, ROWS_PER_SLICE));
    return ++prune->slices == PRUNE_SLICES;
}

/* Entries that stay a day longer do no harm. */
static void prune_undo(struct node *node, struct job *job)
{
    (void)node;
    ((struct prune_job *)job)->slices = 0;
}

static const struct job_kind job_prune = { .slice = prune_slice,
                                           .undo = prune_undo,
                                           .release = release_plain };

/* --- planning ----------------------------------------------------------------------------- */

static bool add_plain(struct node *node, const struct job_kind *kind, size_t size)
{
    struct job *job;

    if (jobs_have(node, kind))
        return true;
    if ((job = calloc(1, size)) == NULL)
        return false;
    job->kind = kind;
    if (jobs_add(node, job) == OK)
        return true;
    free(job);
    return false;
}

static bool done_today(struct node *node, int32_t today)
{
    struct store_txn *txn = node_reading(node);
    uint64_t day = 0;

    if (txn == NULL ||
        node_turn_fails(node, store_get_meta_uint(txn, META_LAPSE_DAY, &day)) != OK)
        return true;
    return day == (uint64_t)today;
}

static int64_t until_midnight_ms(void)
{
    return DAY_MS - clock_wall_ms() % DAY_MS + 1000;
}

static void plan_daily(struct node *node)
{
    const int64_t now = node_now(node);
    const char *error;
    const char *remedy;
    int64_t pause;
    int32_t today;

    if (now < node->daily_at_ms)
        return;
    node->daily_at_ms = now + DAILY_RETRY_MS;
    if (!lapse_today(&today) || write_ready(node, &error, &remedy) != OK)
        return;
    if (!done_today(node, today) && !jobs_have(node, &job_lapse)) {
        if ((node->is_hq && invitation_sweep(node) != OK) ||
            horizon_mark_day(node, today) != OK || jobs_lapse(node, false, NULL, NULL) != OK ||
            !add_plain(node, &job_prune, sizeof(struct prune_job)))
            return;
    }
    pause = until_midnight_ms();
    node->daily_at_ms = now + (pause < DAILY_CHECK_MS ? pause : DAILY_CHECK_MS);
}

static bool sweep_is_due(const struct node *node)
{
    return node->sweep_more && !jobs_have(node, &job_sweep) && !BUG(NEVER_SWEPT);
}

bool jobs_turn(struct node *node)
{
    struct job *job;

    plan_daily(node);
    if (node->turn_failed)
        return false;
    if (sweep_is_due(node))
        (void)add_plain(node, &job_sweep, sizeof(struct job));
    if ((job = runnable(node)) != NULL)
        run(node, job);
    return runnable(node) != NULL;
}

/* Asked when a turn begins: what became of the last one is known by then. */
int64_t jobs_next_ms(const struct node *node)
{
    int64_t due = node->daily_at_ms;

    for (struct job *job = node->jobs; job != NULL; job = job->next) {
        if (job->open)
            job->dropped = job->commits_failed != node->counters.commits_failed;
        job->open = false;
        if (job->resume_ms < due)
            due = job->resume_ms;
    }
    return sweep_is_due(node) ? node_now(node) : due;
}
