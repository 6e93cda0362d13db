/* SPDX-License-Identifier: MPL-2.0 */
/* control_cause.h - what the questions of `explain` share.  Private to control_cause*.c. */
#ifndef CHAPTERD_CONTROL_CAUSE_H
#define CHAPTERD_CONTROL_CAUSE_H

#include "daemon/control_explain.h"

/* Whom it is about, and what is known before any question. */
struct subject {
    struct node *node;
    uint32_t index;
    const struct node_feed *feed;
    const char *code;
    const struct roster_node *place; /* NULL: not in the roster */
    const struct feed_mark *mine;    /* the federation tier's head here */
    enum feed_state state;
    int64_t now_ms;
    int64_t heard_ms; /* its newest beat came; 0: none since the start */
    struct direct_path direct;
};

/* Yes: the cause, text and remedy are in *out. */
typedef bool cause_question(const struct subject *subject, struct finding *out);

#define SPAN_SIZE 32
/* "12 s", "5 min", "3 h", "4 days" */
const char *span_text(int64_t ms, char out[SPAN_SIZE]);
/* Sets the cause and begins its text; true. */
bool cause_is(struct finding *out, enum cause cause, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void cause_adds(struct finding *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void cause_remedy(struct finding *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- control_cause_own.c ------------------------------------------------------------------ */
/* This node reaches nobody: since when, and what to look at. */
void cause_alone(const struct node *node, struct finding *out);
void cause_of_own(const struct subject *subject, struct finding *out);
cause_question by_full_disk;
cause_question by_clock;

#endif
