/* SPDX-License-Identifier: MPL-2.0 */
/* progress.h - how far long work has come: a bar with rate and time left on stderr.
 * Silent where stderr is no terminal, with -q, and for work that ends within half a second. */
#ifndef CHAPTERCTL_PROGRESS_H
#define CHAPTERCTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/session.h"

struct progress {
    const char *label;
    uint64_t total;
    uint64_t rows; /* what the rate counts, where done and total are bytes */
    bool shown;    /* a terminal, and not -q */
    bool drawn;    /* there is a bar on the line now */
    double begun;  /* monotonic seconds */
    double drawn_at;
};

/* label stays the caller's and must live until progress_end; total 0 if it is not known. */
void progress_begin(struct progress *progress, const struct options *options, const char *label,
                    uint64_t total);
/* done of total; draws at most ten times a second. */
void progress_update(struct progress *progress, uint64_t done);
/* Where done and total are bytes of rows. */
void progress_update_rows(struct progress *progress, uint64_t done, uint64_t rows);
/* Wipes the bar before a line is printed; the next update draws it again. */
void progress_hide(struct progress *progress);
/* Wipes the bar, so that what is printed next starts on a clean line.  Takes one that ended. */
void progress_end(struct progress *progress);

#endif
