/* SPDX-License-Identifier: MPL-2.0 */
/* feed.h - one origin's run of changes, as this node knows it: which heads it accepted, and
 * what a further head is to it.  Pure: no clock, no I/O, no allocation.  The caller owns every
 * struct. */
#ifndef CHAPTERD_FEED_H
#define CHAPTERD_FEED_H

#include "proto/head.h"

/* A head without what only the digest check needs. */
struct feed_mark {
    uint64_t epoch;
    uint64_t seq; /* 0: none yet */
    uint64_t prev_seq;
    uint64_t horizon;
    uint8_t hash[HASH_SIZE];
    uint8_t prev_hash[HASH_SIZE];
};

/* Why a feed takes nothing more in the epoch that is held. */
enum feed_freeze { FREEZE_NONE, FREEZE_FORKED, FREEZE_DIVERGED };

struct feed {
    char origin[CODE_SIZE];
    struct feed_mark tier[TIERS_PUBLISHED]; /* the head each held tier stands at */
    enum feed_freeze freeze;
    uint64_t freeze_epoch;
    struct feed_mark heads[HEADS_KEPT]; /* accepted ones, to see a fork; a ring */
    size_t head_count;
    size_t head_next;
    /* Of the own feed alone, while it is fetched back (epoch.h): */
    bool recovering; /* heads of the closed epoch are taken though the feed is frozen in it */
    bool replacing; /* the closed state takes the place of mine, which is beyond or beside it */
};

/* What the roster says of an origin: the epoch in force, who signs in it, where the last
 * closed. */
struct feed_term {
    uint64_t epoch;
    uint64_t instance;
    uint64_t closed_seq;
    uint8_t closed_hash[HASH_SIZE];
    bool ended;   /* suspended or revoked: nothing beyond (until_epoch, until_seq) is taken */
    bool revoked; /* for good: who stands beyond goes back to there */
    uint64_t until_epoch;
    uint64_t until_seq; /* 0: nothing more is taken at all */
};

/* What a peer sends is judged; it is never an error. */
enum feed_verdict {
    FEED_EXTENDS,      /* leads on from my state: recompute the digests and see */
    FEED_KNOWN,        /* not newer than what I have */
    FEED_GAP,          /* begins after my state */
    FEED_SNAPSHOT,     /* newer, but only a list from 0 can lead there */
    FEED_FORK,         /* conflicts with a head that I accepted: proof of two histories */
    FEED_FROZEN,       /* the origin's epoch is frozen here */
    FEED_LATER_EPOCH,  /* my roster does not know that epoch or instance yet */
    FEED_CLOSED_EPOCH, /* of an epoch that HQ closed, beyond or beside where it closed */
    FEED_ENDED,        /* of a chapter that HQ suspended or revoked, beyond where it ended */
    FEED_LEAPS,        /* so far beyond my state that it would use up the numbers there are */
    FEED_VERDICT_COUNT
};

void feed_init(struct feed *feed, const char *origin);
void feed_mark_of(const struct head *head, struct feed_mark *out_mark);
/* -1, 0, 1 by (epoch, seq). */
int feed_compare(uint64_t epoch_a, uint64_t seq_a, uint64_t epoch_b, uint64_t seq_b);

/* Judges a well-formed head whose signature was verified, with a list that starts at since
 * (0: from nothing).  On FEED_FORK, *out_other is the remembered head it conflicts with. */
enum feed_verdict feed_judge(const struct feed *feed, enum tier tier,
                             const struct feed_term *term, const struct head *head,
                             uint64_t since, const struct feed_mark **out_other);
/* Is seq further beyond the state at mark, or where the last epoch was closed, than an origin
 * comes between two heads?  Where nothing is known, it is not. */
bool feed_leaps(const struct feed_mark *mark, const struct feed_term *term, uint64_t seq);
/* Is epoch further beyond the roster's, and that of the state at mark, than HQ may have
 * forgotten?  Only a thief of the key says so. */
bool feed_epoch_leaps(const struct feed_mark *mark, const struct feed_term *term,
                      uint64_t epoch);
/* Is that the very head at which HQ closed the epoch before the one in force? */
bool feed_is_closed_head(const struct feed_term *term, uint64_t epoch, uint64_t seq,
                         const uint8_t hash[HASH_SIZE]);
/* Is a head beyond or beside the one at which HQ closed its epoch?  Nobody takes it then. */
bool feed_is_closed_off(const struct feed_term *term, uint64_t epoch, uint64_t seq,
                        const uint8_t hash[HASH_SIZE]);
/* Does the state at mark lead on to the epoch in force, as far as can be known?  If not, it may
 * hold what that epoch lacks. */
bool feed_on_line(const struct feed *feed, const struct feed_mark *mark,
                  const struct feed_term *term);
/* Does the feed take nothing of that epoch? */
bool feed_frozen(const struct feed *feed, uint64_t epoch);
/* True if the exact head was accepted before: for dropping duplicates unverified. */
bool feed_remembers(const struct feed *feed, const struct head *head);
/* The remembered head that head or beat conflicts with; NULL if none. */
const struct feed_mark *feed_conflict(const struct feed *feed, const struct head *head);
const struct feed_mark *feed_beat_conflict(const struct feed *feed, const struct beat *beat);
/* A remembered head that covers seq of epoch with another hash than the given: what to show a
 * peer that says it stands there.  NULL if memory does not reach. */
const struct feed_mark *feed_contradicts(const struct feed *feed, uint64_t epoch, uint64_t seq,
                                         const uint8_t hash[HASH_SIZE]);

/* The tiers of the set now stand at head, which is remembered.  A head never goes down, but
 * for one case: see feed_go_back. */
void feed_advance(struct feed *feed, unsigned tiers, const struct head *head);
/* Does a tier stand beyond the head where HQ ended the feed for good? */
bool feed_is_beyond(const struct feed_term *term, const struct feed_mark *mark);
/* Before the tiers advance to where HQ ended the feed: they stand beyond it. */
void feed_go_back(struct feed *feed, unsigned tiers);
void feed_remember(struct feed *feed, const struct feed_mark *mark);

#endif
