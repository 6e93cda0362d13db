/* SPDX-License-Identifier: MPL-2.0 */
/* import_refusals.h - rows that the daemon refused when they were sent, with its reasons. */
#ifndef CHAPTERCTL_IMPORT_REFUSALS_H
#define CHAPTERCTL_IMPORT_REFUSALS_H

#include "client/spool.h"
#include "proto/mp.h"

#define REFUSAL_REASON_SIZE 256

/* A zeroed one is empty. */
struct import_refusals {
    struct spool spool;
    uint64_t count;
    uint64_t taken; /* bytes of the spool */
};

/* By ascending line; a longer reason is cut.  Statuses are the spool's, as the next. */
enum status refusals_add(struct import_refusals *refusals, uint64_t line,
                         struct slice reason) MUST_CHECK;
/* The next one in the order of adding; NOT_FOUND after the last. */
enum status refusals_take(struct import_refusals *refusals, uint64_t *out_line,
                          char out_reason[REFUSAL_REASON_SIZE]) MUST_CHECK;
void refusals_done(struct import_refusals *refusals);

#endif
