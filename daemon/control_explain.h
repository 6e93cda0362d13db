/* SPDX-License-Identifier: MPL-2.0 */
/* control_explain.h - why a chapter's feed is as it is here: what was found, in words, and what
 * to do.  Private to control_explain.c, control_cause*.c and control_path.c. */
#ifndef CHAPTERD_CONTROL_EXPLAIN_H
#define CHAPTERD_CONTROL_EXPLAIN_H

#include "daemon/control_internal.h"

/* A peer speaks every VECTOR_INTERVAL_MS, an origin every BEAT_INTERVAL_MS: who is silent for
 * longer by these may be gone. */
#define LINK_QUIET_MS (VECTOR_INTERVAL_MS + 5000)
#define BEAT_QUIET_MS (BEAT_INTERVAL_MS + 5000)
#define EXPLAIN_TEXT_SIZE 768

#define CAUSE_ENUM(name, word, meaning) CAUSE_##name,
enum cause { CAUSE_TABLE(CAUSE_ENUM) CAUSE_COUNT };
#undef CAUSE_ENUM

struct finding {
    enum cause cause;
    char text[EXPLAIN_TEXT_SIZE];
    char remedy[EXPLAIN_TEXT_SIZE];
};

/* --- control_cause.c ---------------------------------------------------------------------- */
/* The cause, its text and the remedy ("" if there is nothing to do). */
enum status cause_find(struct node *node, uint32_t index, struct finding *out) MUST_CHECK;

/* --- control_path.c ----------------------------------------------------------------------- */
/* The links between this node and that of a chapter. */
struct direct_path {
    uint32_t peer;               /* NO_PEER: there was none since the start */
    const struct link *dialled;  /* NULL: this node does not dial it */
    const struct link *incoming; /* NULL: it does not dial this one, or not any more */
    bool met;                    /* it said something since the start */
    int64_t lost_ms; /* since when nothing comes directly; 0: it does, or never did */
};
void path_direct(const struct node *node, const char *code, struct direct_path *out);
bool path_is_silent(const struct node *node, const struct link *link);
/* The list of paths; the direct ones lead. */
void path_write(struct mp_writer *writer, const struct node *node, uint32_t feed);

#endif
