/* SPDX-License-Identifier: MPL-2.0 */
/* jobs_lapse.c - own active members whose expires has passed become lapsed: counted first, and
 * written only if they are few enough or the operator said so. */
#include "daemon/jobs.h"
#include "daemon/jobs_internal.h"
#include "daemon/write.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS 86400000
#define DAYS_UNTIL_2024 19723 /* from 1970: before that a clock was never set */
#define LAPSES_PER_SLICE 1024

enum lapse_phase { LAPSE_COUNTING, LAPSE_WRITING };

struct lapse_job {
    struct job job;
    bool confirmed;
    enum lapse_phase phase;
    int32_t today;
    uint64_t reached; /* seq of the own feed; up to `last` */
    uint64_t last;    /* where the feed stood: what is lapsed moves behind it */
    uint64_t active;
    uint64_t kept_reached; /* as they were before the slice, should its turn be dropped */
    uint64_t kept_lapsed;
    bool asks;
    struct lapse_result result;
    lapse_done *done;
    void *context;
};

bool lapse_today(int32_t *out_days)
{
    const int64_t days = clock_wall_ms() / DAY_MS;

    if (days < DAYS_UNTIL_2024 || days > INT32_MAX)
        return false;
    *out_days = (int32_t)days;
    return true;
}

/* In whichever tier the chapter keeps it. */
static bool expires_of(struct store_txn *txn, const struct change *change,
                       struct slice *out_expires)
{
    struct slice private_map;

    return mp_map_get_text(change->value[TIER_FEDERATION], "expires", out_expires) ||
           ((change->tiers & TIERS_HQ) &&
            mp_map_get_text(change->value[TIER_HQ], "expires", out_expires)) ||
           (store_get_private(txn, change->id, &private_map) == OK &&
            mp_map_get_text(private_map, "expires", out_expires));
}

/* *out_active: counts at all; returns whether it is due. */
static bool is_due(struct store_txn *txn, const struct change *change, int32_t today,
                   bool *out_active)
{
    const struct slice value = change->value[TIER_FEDERATION];
    struct member_facts facts;
    struct slice expires;
    int32_t days;

    *out_active = false;
    if (change->type != RECORD_MEMBER || value_is_removal(value))
        return false;
    member_facts_of(value, &facts);
    *out_active = facts.status == MEMBER_ACTIVE;
    return *out_active && expires_of(txn, change, &expires) && date_parse(expires, &days) &&
           days < today;
}

/* Goes through up to ROWS_PER_SLICE own rows; ids of those due, at most LAPSES_PER_SLICE if
 * they are wanted.  *out_more: there are rows left. */
static enum status scan(struct node *node, struct lapse_job *job, uint8_t (*out_ids)[ID_SIZE],
                        size_t *out_due, bool *out_more)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    const uint32_t number = node->feeds[node->own_feed]->record.tier[TIER_FEDERATION].number;
    struct store_txn *txn = node_reading(node);
    struct change change;
    size_t due = 0;
    enum status status;

    *out_more = false;
    *out_due = 0;
    if (txn == NULL)
        return node->turn_error;
    if (number == 0)
        return OK;
    status = store_cursor_open(txn, number, TIERS_BOTH, job->reached, &cursor);
    for (size_t rows = 0; status == OK; rows++) {
        bool active;

        if (rows == ROWS_PER_SLICE || (out_ids != NULL && due == LAPSES_PER_SLICE)) {
            *out_more = true;
            break;
        }
        if ((status = store_cursor_next(&cursor, &change)) != OK || change.seq > job->last)
            break;
        job->reached = change.seq;
        if (is_due(txn, &change, job->today, &active)) {
            if (out_ids != NULL)
                memcpy(out_ids[due], change.id, ID_SIZE);
            due++;
        }
        job->active += active;
    }
    *out_due = due;
    return status == NOT_FOUND ? OK : status;
}

/* Few enough to be done without asking? */
static bool may_lapse(const struct lapse_job *job)
{
    return job->confirmed || job->result.due <= LAPSE_ALWAYS_ALLOWED ||
           job->result.due * 100 <= job->active * LAPSE_PERCENT_MAX;
}

static bool count_slice(struct node *node, struct lapse_job *job)
{
    size_t due = 0;
    bool more = false;

    if (node_turn_fails(node, scan(node, job, NULL, &due, &more)) != OK)
        return false;
    job->result.due += due;
    if (more)
        return false;
    if (!may_lapse(job)) {
        job->asks = true;
        return true;
    }
    job->phase = LAPSE_WRITING;
    job->reached = 0;
    job->kept_reached = 0;
    return false;
}

static enum status lapse_one(struct node *node, struct lapse_job *job,
                             const uint8_t id[ID_SIZE])
{
    /* {"status": "lapsed"} */
    static const uint8_t fields[] = { 0x81, 0xa6, 's', 't', 'a', 't', 'u', 's',
                                      0xa6, 'l',  'a', 'p', 's', 'e', 'd' };
    struct write_op op = { .has_id = true,
                           .type = RECORD_MEMBER,
                           .fields = slice_of(fields, sizeof fields) };
    struct write_result result;
    enum status status;

    memcpy(op.id, id, ID_SIZE);
    if ((status = write_apply(node, &op, "daily job", &result)) != OK)
        return status;
    if (result.status == OK)
        job->result.lapsed++;
    else
        log_event(LOG_WARNING, "event=lapse_refused status=%s", status_name(result.status));
    return OK;
}

/* Nothing can be signed any more: what was not lapsed yet is due the next time. */
static bool must_stop(struct node *node, struct lapse_job *job)
{
    const char *error;
    const char *remedy;

    job->result.status = write_ready(node, &error, &remedy);
    return job->result.status != OK;
}

static bool write_slice(struct node *node, struct lapse_job *job)
{
    uint8_t ids[LAPSES_PER_SLICE][ID_SIZE];
    size_t due = 0;
    bool more = false;

    if (must_stop(node, job))
        return true;
    job->kept_reached = job->reached;
    job->kept_lapsed = job->result.lapsed;
    if (node_turn_fails(node, scan(node, job, ids, &due, &more)) != OK)
        return false;
    for (size_t i = 0; i < due; i++)
        if (lapse_one(node, job, ids[i]) != OK)
            return false;
    if (more)
        return false;
    if (node_writing(node) != NULL)
        (void)node_turn_fails(
            node, store_put_meta_uint(&node->txn, META_LAPSE_DAY, (uint64_t)job->today));
    return true;
}

static bool lapse_slice(struct node *node, struct job *base)
{
    struct lapse_job *job = (struct lapse_job *)base;

    return job->phase == LAPSE_COUNTING ? count_slice(node, job) : write_slice(node, job);
}

static void lapse_undo(struct node *node, struct job *base)
{
    struct lapse_job *job = (struct lapse_job *)base;

    (void)node;
    job->reached = job->kept_reached;
    job->result.lapsed = job->kept_lapsed;
    job->asks = false;
    if (job->phase == LAPSE_COUNTING) {
        job->result.due = 0;
        job->active = 0;
    }
}

static void lapse_end(struct node *node, struct job *base)
{
    struct lapse_job *job = (struct lapse_job *)base;

    if (job->asks && node->lapse_asked != job->result.due)
        log_event(LOG_WARNING,
                  "event=lapse_asks due=%llu active=%llu remedy=\"chapterctl members lapse"
                  " --confirm\"",
                  (unsigned long long)job->result.due, (unsigned long long)job->active);
    if (job->result.status == OK)
        node->lapse_asked = job->asks ? job->result.due : 0;
    if (job->result.lapsed != 0)
        log_event(LOG_NOTICE, "event=lapsed members=%llu",
                  (unsigned long long)job->result.lapsed);
    if (job->done != NULL)
        job->done(node, job->context, &job->result);
}

static void lapse_release(struct job *base)
{
    free(base);
}

const struct job_kind job_lapse = {
    .slice = lapse_slice, .undo = lapse_undo, .end = lapse_end, .release = lapse_release
};

enum status jobs_lapse(struct node *node, bool confirmed, lapse_done *done, void *context)
{
    struct lapse_job *job;
    int32_t today;
    enum status status;

    if (!lapse_today(&today))
        return REFUSED;
    if ((job = calloc(1, sizeof *job)) == NULL)
        return NO_MEMORY;
    job->job.kind = &job_lapse;
    job->confirmed = confirmed;
    job->today = today;
    job->last = node->feeds[node->own_feed]->replica.feed.tier[TIER_FEDERATION].seq;
    job->done = done;
    job->context = context;
    if ((status = jobs_add(node, &job->job)) != OK)
        free(job);
    return status;
}
