/* SPDX-License-Identifier: MPL-2.0 */
/* jobs_verify.c - is my copy each origin's state?  One feed for the replica, after a mismatch,
 * or all of them for the operator. */
#include "daemon/jobs.h"
#include "daemon/jobs_internal.h"

#include <stdlib.h>
#include <string.h>

#define FEEDS_PER_SLICE 32 /* when only the stored sums are looked at */

/* --- one feed, for the replica ------------------------------------------------------------ */

struct recount_job {
    struct job job;
    uint32_t feed;
    unsigned tiers;
    struct recount *recount;
};

/* What was flipped since the snapshot is another state: the result says nothing of it. */
static unsigned still_there(const struct node_feed *feed, unsigned tiers,
                            const struct recount_verdict *verdict)
{
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (feed->record.tier[tier].number != verdict->number[tier])
            tiers &= ~(1u << tier);
    return tiers;
}

static void tell_replica(struct node *node, const struct recount_job *job, unsigned tiers,
                         bool clean)
{
    const char *origin = node->feeds[job->feed]->replica.feed.origin;

    if (tiers == 0)
        return;
    if (!clean)
        log_event(LOG_ERROR,
                  "event=copy_damaged feed=%s remedy=\"it is fetched again; check the disk of"
                  " %s\"",
                  origin, node->dir);
    node_step(node,
              &(struct replica_input){
                  .kind = INPUT_RECOUNTED, .feed = job->feed, .tiers = tiers, .clean = clean });
}

static void tell_result(struct node *node, struct recount_job *job)
{
    const struct node_feed *feed = node->feeds[job->feed];
    struct recount_verdict verdict;
    const enum status status = recount_judge(job->recount, &verdict);
    unsigned tiers;

    if (status == STORE_DAMAGED) {
        tell_replica(node, job, job->tiers, false);
        return;
    }
    if (status != OK)
        return; /* the next mismatch asks again */
    tiers = still_there(feed, job->tiers & verdict.held, &verdict);
    tell_replica(node, job, tiers & ~verdict.wrong, true);
    tell_replica(node, job, tiers & verdict.wrong, false);
}

static bool recount_job_slice(struct node *node, struct job *base)
{
    struct recount_job *job = (struct recount_job *)base;
    bool done = false;
    enum status status = OK;

    if (job->recount == NULL)
        status = recount_open(node->store, node->feeds[job->feed]->replica.feed.origin, false,
                              job->tiers, RECOUNT_ROWS, &job->recount);
    if (status == OK)
        status = recount_slice(job->recount, ROWS_PER_SLICE, &done);
    if (status == OK && done)
        tell_result(node, job);
    if (status == STORE_DAMAGED)
        tell_replica(node, job, job->tiers, false);
    if (status == OK && !done) {
        job->job.stays = true;
        return false;
    }
    recount_close(&job->recount);
    return true;
}

static void recount_job_release(struct job *base)
{
    struct recount_job *job = (struct recount_job *)base;

    recount_close(&job->recount);
    free(job);
}

static const struct job_kind job_recount = { .slice = recount_job_slice,
                                             .release = recount_job_release };

bool jobs_rows_clean(struct node *node, uint32_t feed, unsigned tiers)
{
    CLEANUP(recount_close) struct recount *recount = NULL;
    struct recount_verdict verdict;
    bool done = false;
    enum status status = recount_open(node->store, node->feeds[feed]->record.origin, false,
                                      tiers, RECOUNT_ROWS, &recount);

    while (status == OK && !done)
        status = recount_slice(recount, ROWS_PER_SLICE, &done);
    if (status != OK || recount_judge(recount, &verdict) != OK)
        return false;
    if (verdict.wrong != 0)
        node_step(node, &(struct replica_input){
                            .kind = INPUT_RECOUNTED, .feed = feed, .tiers = verdict.wrong });
    return verdict.wrong == 0;
}

enum status jobs_recount(struct node *node, uint32_t feed, unsigned tiers)
{
    struct recount_job *job;
    enum status status;

    for (struct job *other = node->jobs; other != NULL; other = other->next) {
        job = (struct recount_job *)other;
        if (other->kind == &job_recount && job->feed == feed && job->recount == NULL &&
            !other->ended) {
            job->tiers |= tiers;
            return OK;
        }
    }
    if ((job = calloc(1, sizeof *job)) == NULL)
        return NO_MEMORY;
    job->job.kind = &job_recount;
    job->feed = feed;
    job->tiers = tiers;
    if ((status = jobs_add(node, &job->job)) != OK)
        free(job);
    return status;
}

/* --- all feeds, for the operator ---------------------------------------------------------- */

struct verify_job {
    struct job job;
    enum recount_depth depth;
    char origin[CODE_SIZE]; /* the feed before the next */
    struct recount *recount;
    verify_done *done;
    void *context;
    struct verify_result result;
};

static void note_difference(struct verify_job *job, const struct recount_verdict *verdict,
                            const char *reason)
{
    struct verify_result *result = &job->result;
    struct verify_difference *difference;
    const int tier = verdict->wrong & TIERS_FEDERATION ? TIER_FEDERATION : TIER_HQ;

    if (result->difference_count == ORIGINS_MAX)
        return;
    difference = &result->differences[result->difference_count++];
    memcpy(difference->origin, job->origin, CODE_SIZE);
    memcpy(difference->expected, verdict->expected[tier], HASH_SIZE);
    memcpy(difference->actual, verdict->actual[tier], HASH_SIZE);
    difference->reason = reason;
}

static void feed_unreadable(struct verify_job *job, enum status status)
{
    static const struct recount_verdict unreadable = { .wrong = TIERS_FEDERATION };

    job->result.origins++;
    note_difference(job, &unreadable, status_text(status));
}

/* What is wrong is counted once more for the replica, which then fetches it again and serves
 * it to nobody meanwhile. */
static void mend(struct node *node, const struct verify_job *job, unsigned wrong)
{
    const uint32_t feed = node_feed_index(node, job->origin);

    if (job->depth == RECOUNT_ALL && feed != NO_PEER && !node->feeds[feed]->replica.own &&
        jobs_recount(node, feed, wrong) != OK)
        log_event(LOG_WARNING, "event=recount_not_begun feed=%s remedy=\"verify --deep again\"",
                  job->origin);
}

static void feed_done(struct node *node, struct verify_job *job, enum status status)
{
    struct recount_verdict verdict = { 0 };

    if (status == OK)
        status = recount_judge(job->recount, &verdict);
    recount_close(&job->recount);
    job->job.stays = false;
    if (status != OK) {
        feed_unreadable(job, status);
        return;
    }
    if (verdict.held == 0)
        return;
    job->result.origins++;
    job->result.members += verdict.members;
    if (verdict.wrong != 0) {
        note_difference(job, &verdict, verdict.reason);
        mend(node, job, verdict.wrong);
    }
}

/* True when there is no feed left. */
static bool verify_step(struct node *node, struct verify_job *job)
{
    bool done = false;
    uint64_t rows;
    enum status status = OK;

    if (job->recount == NULL) {
        status =
            recount_open(node->store, job->origin, true, TIERS_BOTH, job->depth, &job->recount);
        if (status != OK) {
            if (status != NOT_FOUND)
                feed_unreadable(job, status);
            return true;
        }
        memcpy(job->origin, recount_origin(job->recount), CODE_SIZE);
    }
    rows = recount_rows(job->recount);
    status = recount_slice(job->recount, ROWS_PER_SLICE, &done);
    node->counters.rows_recounted += recount_rows(job->recount) - rows;
    if (status != OK || done)
        feed_done(node, job, status);
    else
        job->job.stays = true;
    return false;
}

static bool verify_slice(struct node *node, struct job *base)
{
    struct verify_job *job = (struct verify_job *)base;
    const int feeds = job->depth == RECOUNT_STORED ? FEEDS_PER_SLICE : 1;

    for (int i = 0; i < feeds; i++)
        if (verify_step(node, job))
            return true;
    return false;
}

static void verify_end(struct node *node, struct job *base)
{
    struct verify_job *job = (struct verify_job *)base;

    job->done(node, job->context, &job->result);
}

static void verify_release(struct job *base)
{
    struct verify_job *job = (struct verify_job *)base;

    recount_close(&job->recount);
    free(job);
}

static const struct job_kind job_verify = { .slice = verify_slice,
                                            .end = verify_end,
                                            .release = verify_release };

enum status jobs_verify(struct node *node, bool deep, verify_done *done, void *context)
{
    struct verify_job *job = calloc(1, sizeof *job);
    enum status status;

    if (job == NULL)
        return NO_MEMORY;
    job->job.kind = &job_verify;
    job->depth = deep ? RECOUNT_ALL : RECOUNT_STORED;
    job->done = done;
    job->context = context;
    if ((status = jobs_add(node, &job->job)) != OK)
        free(job);
    return status;
}
