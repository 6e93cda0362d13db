/* SPDX-License-Identifier: MPL-2.0 */
/* keys.h - signing keys give way to others.
 *
 * A chapter's: made here, signed by the old one, sent to HQ; in force once HQ's roster says so.
 * The roster names the former key, too, and from which head on it is worth nothing.  HQ's: a
 * chain of successions from the genesis on, which every node keeps and passes on. */
#ifndef CHAPTERD_KEYS_H
#define CHAPTERD_KEYS_H

#include "daemon/node_internal.h"
#include "proto/succession.h"

#define META_HQ_KEYS "hq_keys"     /* [succession, ...] */
#define META_VOID_KEYS "void_keys" /* [[epoch, seq, key], ...] that this chapter gave up */
#define VOID_KEYS_MAX 8
#define VOID_KEYS_SIZE_MAX (1 + VOID_KEYS_MAX * (1 + 9 + 9 + 2 + KEY_SIZE))
#define SUCCESSIONS_MAX 32
#define KEYS_SIZE_MAX (5 + SUCCESSIONS_MAX * (SUCCESSION_SIZE_MAX + 3)) /* of META_HQ_KEYS */

/* Good up to (epoch, seq) of the own feed; epoch 0: it is in force yet. */
struct void_key {
    uint64_t epoch, seq;
    uint8_t key[KEY_SIZE];
};

struct keys {
    struct signed_succession chain[SUCCESSIONS_MAX]; /* HQ's */
    struct succession read[SUCCESSIONS_MAX];
    bool recovered[SUCCESSIONS_MAX]; /* signed by the recovery key */
    size_t count;
    struct void_key voids[VOID_KEYS_MAX];
    size_t void_count;
    bool has_next; /* made, and not in force yet */
    struct sign_key next;
    bool changing;     /* HQ: this turn's */
    int64_t ask_at_ms; /* a chapter asks HQ again then */
    bool must_show;    /* in force, and no head was signed with it yet */
    bool open_formers; /* HQ: a former key of some chapter is still good */
};

enum status keys_load(struct node *node, struct store_txn *txn) MUST_CHECK;
/* After the roster was loaded: is the next key in force? */
enum status keys_follow(struct node *node) MUST_CHECK;
/* Does this directory have the key that the others know? */
bool keys_in_force(const struct node *node);
/* It has not yet, but will by itself: when the turn is durable, or a backup has ended. */
bool keys_wait(const struct node *node);
/* It has a former one: for people. */
void keys_explain_former(const struct node *node, const char **out_error,
                         const char **out_remedy);
void keys_turn(struct node *node);
int64_t keys_next_ms(const struct node *node);
/* The key of HQ for a head at (epoch, seq). */
const uint8_t *keys_of_hq(const struct node *node, uint64_t epoch, uint64_t seq);
/* A head of the own feed: by a key that this chapter gave up in its epoch?  *out_void: and had
 * given up by then. */
bool keys_signed_once(const struct node *node, struct slice envelope, const struct head *head,
                      bool *out_void);
/* Begins a rotation, signed by the present key or, at HQ, by the recovery key.  *out_error for
 * people. */
enum status keys_rotate(struct node *node, const struct sign_key *recovery,
                        const char **out_error) MUST_CHECK;
void keys_greet(struct node *node, const struct link *link);
void keys_on_message(struct node *node, const struct link *link, struct slice message);

#endif
