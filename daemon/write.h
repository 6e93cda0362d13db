/* SPDX-License-Identifier: MPL-2.0 */
/* write.h - the origin's own changes and heads.  Private to daemon/. */
#ifndef CHAPTERD_WRITE_H
#define CHAPTERD_WRITE_H

#include "daemon/node_internal.h"

/* --- write.c: the origin's own changes --- */
struct write_op {
    bool remove;
    bool again; /* of a put: even if it is of somebody who was erased */
    bool has_id;
    uint8_t id[ID_SIZE];
    enum record_type type;
    struct slice fields; /* MessagePack map of name -> text | uint | nil; of a put */
};
struct write_result {
    enum status status;
    uint8_t id[ID_SIZE];
    uint64_t seq;
    const char *error;              /* static text for people when status is not OK */
    char field[FIELD_NAME_MAX + 1]; /* that the error is about, "" if none */
};
/* May this node sign now?  OK, AGAIN (waits for the first hello), REFUSED with the reason and
 * remedy. */
enum status write_ready(struct node *node, const char **out_error, const char **out_remedy);
/* Takes one change into the turn's batch; its result counts once the turn is committed. who is
 * for the history ("uid 1000"). */
enum status write_apply(struct node *node, const struct write_op *op, const char *who,
                        struct write_result *out_result);
/* HQ: puts a roster entry as a change. */
enum status write_roster(struct node *node, const struct roster_entry *entry) MUST_CHECK;
bool write_is_open(const struct node *node); /* the turn took changes that are not signed yet */
/* Signs what the batch holds, makes its events; called before each commit. */
enum status write_seal(struct node *node) MUST_CHECK;
/* A record of the own feed once more, at a new seq, as change says; values are not of the map.
 * For what comes back after a recovery: nothing is merged. */
enum status write_again(struct node *node, const struct change *change,
                        uint64_t *out_seq) MUST_CHECK;
/* The first head of the epoch that the roster names, even if it holds no change. */
enum status write_epoch_head(struct node *node) MUST_CHECK;
/* A feed begins with an empty head, so that a chapter without members is seen to be current. */
void write_begin_feed(struct node *node);
void write_forget(struct node *node); /* after a failed turn */

#endif
