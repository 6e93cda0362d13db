/* SPDX-License-Identifier: MPL-2.0 */
/* jobs.h - background work, in slices of turns.  Private to daemon/. */
#ifndef CHAPTERD_JOBS_H
#define CHAPTERD_JOBS_H

#include "daemon/node_internal.h"

/* --- jobs.c --- */
/* Runs slices of background work; true if there is more to do at once. */
bool jobs_turn(struct node *node);
int64_t jobs_next_ms(const struct node *node);
void jobs_drop_all(struct node *node);
/* A deep or shallow check of every feed, in slices; done is called once with the differences.
 * */
struct verify_difference {
    char origin[CODE_SIZE];
    uint8_t expected[HASH_SIZE]; /* in the head that the feed stands at */
    uint8_t actual[HASH_SIZE];
    const char *reason; /* static text for people */
};
struct verify_result {
    uint64_t origins;
    uint64_t members;
    size_t difference_count;
    struct verify_difference differences[ORIGINS_MAX];
};
typedef void verify_done(struct node *node, void *context, const struct verify_result *result);
enum status jobs_verify(struct node *node, bool deep, verify_done *done,
                        void *context) MUST_CHECK;
/* A recount of one feed's tiers, for the replica (INPUT_RECOUNTED). */
enum status jobs_recount(struct node *node, uint32_t feed, unsigned tiers) MUST_CHECK;
/* Do the rows, as they are stored now, make my head?  What was damaged since the last recount
 * proves nothing against the origin. */
bool jobs_rows_clean(struct node *node, uint32_t feed, unsigned tiers);
/* Own active members whose expires has passed are counted, and lapsed if they are few enough or
 * confirmed; done is called once that is durable.  REFUSED: the clock is wrong. */
struct lapse_result {
    enum status status; /* not OK: it stopped half-way, and may be asked again */
    uint64_t due;
    uint64_t lapsed;
};
typedef void lapse_done(struct node *node, void *context, const struct lapse_result *result);
enum status jobs_lapse(struct node *node, bool confirmed, lapse_done *done,
                       void *context) MUST_CHECK;

#endif
