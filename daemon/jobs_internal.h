/* SPDX-License-Identifier: MPL-2.0 */
/* jobs_internal.h - background work, a slice a turn, and the recount that two kinds of it
 * share. Private to jobs.c and jobs_*.c. */
#ifndef CHAPTERD_JOBS_INTERNAL_H
#define CHAPTERD_JOBS_INTERNAL_H

#include "daemon/node_internal.h"

#define JOBS_MAX 64
#define JOB_PAUSE_MS 10000 /* of a job that writes, after a turn that failed */

/* What a job does; it is over when a slice said so and that turn is known to be durable. */
struct job_kind {
    bool (*slice)(struct node *node, struct job *job); /* true: it was the last one */
    void (*undo)(struct node *node,
                 struct job *job); /* its last slice was dropped; may be NULL */
    void (*end)(struct node *node, struct job *job); /* may be NULL */
    void (*release)(struct job *job);                /* frees it */
};

/* The first member of every job. */
struct job {
    struct job *next;
    const struct job_kind *kind;
    int64_t resume_ms;       /* not before */
    uint64_t commits_failed; /* when its last slice began */
    bool open;               /* the turn of its last slice is not over */
    bool dropped;            /* that turn was dropped */
    bool ended;
    bool stays; /* holds a snapshot: goes on before the others */
};

/* Appends it; AGAIN if there are too many, it is the caller's then. */
enum status jobs_add(struct node *node, struct job *job) MUST_CHECK;
bool jobs_have(const struct node *node, const struct job_kind *kind);

/* --- jobs_recount.c: one feed's tiers, counted from the rows of one snapshot -------------- */
struct recount;
/* How each tier stands. */
struct recount_verdict {
    unsigned held;  /* tiers that have a head */
    unsigned wrong; /* of those */
    uint32_t number[TIERS_PUBLISHED];
    uint8_t expected[TIERS_PUBLISHED][HASH_SIZE];
    uint8_t actual[TIERS_PUBLISHED][HASH_SIZE];
    const char *reason; /* of the first wrong tier; static */
    uint64_t members;
};
enum recount_depth {
    RECOUNT_STORED, /* the stored sums against the heads */
    RECOUNT_ROWS,   /* sums from the rows, too */
    RECOUNT_ALL     /* and the index of ids and the census */
};
/* Opens a snapshot.  NOT_FOUND: no such feed.  With next, the first feed after origin. */
enum status recount_open(struct store *store, const char *origin, bool next, unsigned tiers,
                         enum recount_depth depth, struct recount **out) MUST_CHECK;
void recount_close(struct recount **recount);
const char *recount_origin(const struct recount *recount);
/* Goes on by up to max rows; *out_done when there are none left. */
enum status recount_slice(struct recount *recount, size_t max, bool *out_done) MUST_CHECK;
/* Rows that it went through so far. */
uint64_t recount_rows(const struct recount *recount);
enum status recount_judge(struct recount *recount, struct recount_verdict *out) MUST_CHECK;

/* --- jobs_lapse.c ------------------------------------------------------------------------- */
extern const struct job_kind job_lapse;
/* Today's number since 1970, UTC; false if the clock is certainly wrong. */
bool lapse_today(int32_t *out_days);

#endif
