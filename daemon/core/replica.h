/* SPDX-License-Identifier: MPL-2.0 */
/* replica.h - what to fetch from whom, and how far each feed is known to be.  Pure: a step
 * takes an input and the time, changes the caller's structs, and lists effects for the node to
 * carry out.
 *
 * Events travel by PUB/SUB, which may lose anything; this is what makes up for it.  Peers claim
 * (hello, parked events) to stand somewhere; where a claim is beyond my own state, one `want`
 * per (feed, tiers) goes to one peer at a time, with backoff, until the digests agree. */
#ifndef CHAPTERD_REPLICA_H
#define CHAPTERD_REPLICA_H

#include "daemon/core/feed.h"

struct replica_claim {
    uint64_t epoch;
    uint64_t seq;
};

bool replica_claim_newer(const struct replica_claim *claim, const struct feed_mark *mark);

/* A chapter's node with which there is at least one link. */
struct replica_peer {
    char code[CODE_SIZE];
    bool up;
    struct replica_claim claim[ORIGINS_MAX][TIERS_PUBLISHED];
};

#define MISMATCH_PEERS_MAX 4
struct replica_pull {
    bool active;
    unsigned tiers;
    uint32_t peer; /* index */
    uint64_t request;
    uint64_t epoch;
    uint64_t since;
    uint64_t next_index;
    uint64_t base;
    int64_t deadline_ms;
};

struct replica_tier {
    struct replica_claim target; /* the newest head that anyone claims, or that was proven */
    struct replica_claim proven; /* the newest that a verified head or beat names */
    uint32_t attempts;           /* pulls begun: whom to ask first goes round */
    int64_t behind_since_ms;     /* 0: not behind */
    int64_t retry_at_ms;
    uint32_t failures;
    bool snapshot; /* ask since 0 */
    bool damaged;  /* my own rows do not match my head: any verified list replaces them */
    bool counted;  /* recounted clean since the last advance */
    uint32_t mismatch_peer[MISMATCH_PEERS_MAX];
    uint32_t mismatches;
};

struct replica_feed {
    struct feed feed;
    bool followed[TIERS_PUBLISHED]; /* this node replicates that tier of it */
    bool fetchable;                 /* of a known chapter of which something is taken */
    bool ended;   /* HQ suspended or revoked it: nothing is taken beyond until */
    bool revoked; /* for good: who stands beyond goes back to there */
    struct replica_claim until;
    bool own;
    struct replica_tier tier[TIERS_PUBLISHED];
    struct replica_pull pull[TIERS_PUBLISHED]; /* a pull of both tiers sits in the first */
    /* freshness */
    struct beat beat; /* newest by (boot, counter); boot 0: none */
    int64_t beat_at_ms;
};

struct replica {
    bool is_hq;
    struct replica_feed **feeds; /* of the caller, any order; index = the feed's index */
    size_t feed_count;
    struct replica_peer **peers;
    size_t peer_count;
    uint64_t next_request;
    uint64_t random_state; /* for jitter; seeded by the caller */
    size_t pulls;
};

enum replica_input_kind {
    INPUT_CLAIM, /* peer says where it stands in feed/tier: epoch, seq */
    /* a verified head or beat of feed names (epoch, seq), held by nobody in particular */
    INPUT_HEARD,
    INPUT_GAP, /* an event of peer was parked: its head is claimed, and due after GAP_WAIT_MS */
    INPUT_CHUNK,     /* the pull's next chunk came */
    INPUT_ADVANCED,  /* tiers of feed reached a head: clears failures, mismatches, behind */
    INPUT_ENDED,     /* the pull of request is over: success or not */
    INPUT_FAILED,    /* the pull of request failed: refused, timed out, peer lost */
    INPUT_MISMATCH,  /* peer's list did not lead my rows to its head */
    INPUT_RECOUNTED, /* result of a recount: clean or damaged */
    INPUT_PEER_DOWN,
    INPUT_TICK
};
struct replica_input {
    enum replica_input_kind kind;
    uint32_t peer;
    uint32_t feed;
    unsigned tiers;
    uint64_t epoch;
    uint64_t seq;
    uint64_t request;
    bool clean;
    bool
        answer; /* of a mismatch: it was the answer to a want, not an event that came unasked */
};

enum replica_effect_kind {
    EFFECT_WANT,    /* send want(feed, tiers, epoch, since) to peer under request */
    EFFECT_DROPPED, /* the pull of request was given up: discard what it staged */
    EFFECT_RECOUNT  /* recount my rows of feed/tiers */
};
struct replica_effect {
    enum replica_effect_kind kind;
    uint32_t peer;
    uint32_t feed;
    unsigned tiers;
    uint64_t epoch;
    uint64_t since;
    uint64_t request;
};
#define REPLICA_EFFECTS_MAX 64
struct replica_effects {
    size_t count;
    int64_t next_ms; /* when a TICK is due at the latest; INT64_MAX if nothing waits */
    struct replica_effect list[REPLICA_EFFECTS_MAX];
};

/* Effects are appended; those that do not fit come with the next TICK. */
void replica_step(struct replica *replica, const struct replica_input *input, int64_t now_ms,
                  struct replica_effects *out_effects);

/* The active pull with that request, NULL if it is not (any more) one. */
struct replica_pull *replica_pull_of(struct replica *replica, uint64_t request,
                                     uint32_t *out_feed);
/* A beat of the feed was not its origin's, as keys are now: what it proved counts no more. */
void replica_disproved(struct replica *replica, uint32_t index);
/* What the roster says of the feed: what is beyond its end is not fetched any more, and what
 * was held back is again. */
void replica_set_end(struct replica *replica, uint32_t index, const struct feed_term *term);
/* Is there something to fetch up to where the feed ended? */
bool replica_end_missed(const struct replica_feed *feed, enum tier tier);
/* May a list since 0 that verifies by itself prove divergence?  Only after a clean recount. */
bool replica_may_prove(const struct replica_feed *feed, enum tier tier,
                       const struct head *head);

enum feed_state { STATE_CURRENT, STATE_BEHIND, STATE_STALE, STATE_FORKED, STATE_REVOKED };
const char *feed_state_name(enum feed_state state);

/* When HQ's beats were heard (or, at HQ, sent), by the monotonic clock: a ring. */
#define HQ_BEATS_KEPT 64
struct hq_beats {
    struct {
        uint64_t boot, counter;
        int64_t at_ms;
    } list[HQ_BEATS_KEPT];
    size_t count;
    size_t next;
};
void hq_beats_note(struct hq_beats *beats, uint64_t boot, uint64_t counter, int64_t now_ms);
/* Age of that beat of HQ, -1 if it is not known. */
int64_t hq_beats_age(const struct hq_beats *beats, uint64_t boot, uint64_t counter,
                     int64_t now_ms);
/* True if HQ was heard within BEAT_FRESH_MS (a node that cannot hear HQ falls back, and says
 * so). */
bool hq_beats_heard(const struct hq_beats *beats, int64_t now_ms);

/* For how long the feed of another origin is heard to be the newest, if nothing more comes; 0:
 * not any more.  *out_proven: by an echo of HQ's beats (or HQ's own), else by arrival alone. */
int64_t replica_feed_fresh_ms(const struct replica_feed *feed, const struct hq_beats *beats,
                              bool is_hq, int64_t now_ms, bool *out_proven);
enum feed_state replica_feed_state(const struct replica_feed *feed,
                                   const struct hq_beats *beats, bool is_hq, int64_t now_ms);

#endif
