/* SPDX-License-Identifier: MPL-2.0 */
/* node.h - one chapterd: its store, its links, and the turns it takes.
 *
 * One turn = drain at most TURN_MESSAGES_MAX messages -> judge -> ONE commit -> publish and
 * answer.
 * Nothing is sent or acknowledged before the commit.  An error inside the turn's puts drops the
 * turn and runs the start-up path again, so that each start exercises recovery. */
#ifndef CHAPTERD_NODE_H
#define CHAPTERD_NODE_H

#include <stddef.h>

#include "chapterd/limits.h"
#include "chapterd/status.h"

struct node;

struct node_config {
    const char *dir;
    const char *listen;       /* "HOST:PORT", NULL: as stored at init or join; "" dial-only */
    const char *control_path; /* NULL: DIR/control.sock; "": none */
    uint64_t store_size;      /* bytes; 0: STORE_SIZE_DEFAULT */
    const char *sandbox;      /* what this process is limited by, for people; NULL: nothing */
    /* Below the protocol's limits, for tests of long transfers with few records; 0: those. */
    size_t chunk_changes_max;  /* EVENT_CHANGES_MAX */
    size_t delta_one_turn_max; /* DELTA_ONE_TURN_MAX */
    size_t rows_per_slice;     /* ROWS_PER_SLICE, of a merge */
};

/* Opens DIR, loads everything, binds and dials.  Errors are logged with their remedy. */
enum status node_open(const struct node_config *config, struct node **out_node) MUST_CHECK;
void node_close(struct node **node);
/* Waits for at most timeout_ms (-1: until something is due), then takes a turn.  A status other
 * than OK is fatal: the daemon must stop. */
enum status node_turn(struct node *node, int64_t timeout_ms) MUST_CHECK;

#endif
