/* SPDX-License-Identifier: MPL-2.0 */
/* epoch.h - who may sign an origin's feed after a lost disk, a restored backup, a second daemon
 * with the same key.  Pure: decides, the node carries out.
 *
 * A writer that was restored to its past would use sequence numbers again, and its peers would
 * ignore what it writes for ever.  So a node signs only as the *instance* that the roster names
 * for the epoch, and whatever shakes the belief "mine is the newest state" makes it recover
 * under a fresh instance:
 *
 *   SIGNING ──(epoch_shaken: copied, behind, forked, diverged, ...)──► ASKING
 *   ASKING     signs nothing, serves reads, fetches its feed back; asks HQ for an epoch
 *              with the head it has and the fresh instance.
 *              HQ (epoch_answer) closes the old epoch at the head that HQ holds.
 *   FETCHING   the roster names my instance: the feed is fetched up to the closed head.
 *   REPLACING  the same, but my own rows are beyond or beside the closed head: the closed
 *              state is taken whole, mine is kept as surplus.
 *   BEGINNING  my feed stands at the closed head: the epoch's first head is signed, which makes
 *              the instance mine.  ──► SIGNING
 *
 * Inputs: what this directory remembers (epoch_own), what the roster says (feed_term), where
 * the feed stands.  States are derived from them anew each time, so that a crash anywhere goes
 * on from what is durable.  Only `wanted` and `instance` are remembered, and changed in the
 * transaction of what made them change. */
#ifndef CHAPTERD_EPOCH_H
#define CHAPTERD_EPOCH_H

#include "daemon/core/feed.h"

/* Why a node does not sign; the numbers are stored. */
enum epoch_reason {
    EPOCH_SOUND = 0,
    EPOCH_COPIED = 1,     /* the directory was copied or restored */
    EPOCH_BEHIND = 2,     /* somebody holds a newer head of mine than I do */
    EPOCH_FORKED = 3,     /* two daemons signed with my key */
    EPOCH_DIVERGED = 4,   /* my own feed contradicts itself */
    EPOCH_SUPERSEDED = 5, /* the roster names another instance */
    EPOCH_FORGOTTEN = 6,  /* HQ was put back: the roster is in an epoch before mine */
    EPOCH_REASON_COUNT
};
const char *epoch_reason_name(enum epoch_reason reason);

/* What a directory remembers of itself, durably. */
struct epoch_own {
    uint64_t instance; /* that it signs as; 0: it has signed nothing yet, the roster's is its */
    uint64_t wanted;   /* the fresh one that it asks HQ for; 0: none */
    enum epoch_reason reason;
    uint64_t from_seq; /* where the feed stood when it began to recover */
};

enum epoch_phase {
    EPOCH_SIGNING,
    EPOCH_ASKING,
    EPOCH_FETCHING,
    EPOCH_REPLACING,
    EPOCH_BEGINNING
};

/* Why a node that does sign must not any longer, or must recover anew; EPOCH_SOUND if it may,
 * or recovers already.
 * proven: a verified head or beat of mine names (epoch, seq); 0, 0 if none. */
enum epoch_reason epoch_shaken(const struct epoch_own *own, const struct feed_term *term,
                               const struct feed *feed, uint64_t proven_epoch,
                               uint64_t proven_seq);
enum epoch_phase epoch_phase_of(const struct epoch_own *own, const struct feed_term *term,
                                const struct feed *feed);

/* HQ: may that request close the epoch? */
enum epoch_others { OTHERS_NONE, OTHERS_UNKNOWN, OTHERS_ALIVE };
struct epoch_request {
    uint64_t instance;             /* fresh */
    uint64_t head_epoch, head_seq; /* where it stands; 0, 0: it has nothing */
    const uint8_t *head_hash;      /* HASH_SIZE bytes; NULL: it has nothing */
    enum epoch_others others;      /* is another node of that origin alive? */
};
enum epoch_answer {
    EPOCH_GRANTED = 0,        /* the roster names the instance (already, or now) */
    EPOCH_WAITS_FOR_HEAD = 1, /* HQ has not fetched the requester's head yet */
    EPOCH_LATER = 2,          /* HQ cannot say yet: ask again */
    EPOCH_LOCKED_OUT = 3,     /* the instance that the roster names is alive elsewhere */
    EPOCH_ANSWER_COUNT
};
enum epoch_answer epoch_answer(const struct epoch_request *request,
                               const struct feed_term *term, const struct feed *feed);

/* --- surplus ------------------------------------------------------------------------------ */

/* What an origin remembers of an id that a replica offered: durably. */
struct epoch_offered {
    uint64_t epoch, seq; /* the highest of the closed epochs; 0, 0: never offered */
    uint64_t put_seq;    /* where it was issued again, 0 if that changed nothing */
    bool with_hq;        /* that offer had tier hq, too */
};
/* One row that a replica held of a closed epoch, against the origin's own. */
struct epoch_surplus {
    uint64_t epoch, seq; /* of the offered row */
    bool with_hq;        /* it has tier hq, too */
    bool held;           /* the origin has a row of that id */
    uint64_t held_seq;
    bool same; /* of the same value */
    struct epoch_offered offered;
    uint64_t closed_seq; /* of the epoch in force */
    uint64_t first_seq;  /* its first seq */
    uint64_t horizon;    /* of the origin's feed */
};
enum epoch_verdict {
    SURPLUS_NONE,  /* nothing is lacking */
    SURPLUS_NOTED, /* nothing to write, but that it was offered is remembered */
    SURPLUS_ISSUE, /* to be written again */
    SURPLUS_MANUAL /* removals of this epoch are forgotten already: the operator decides */
};
enum epoch_verdict epoch_surplus(const struct epoch_surplus *surplus);

#endif
