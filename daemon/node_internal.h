/* SPDX-License-Identifier: MPL-2.0 */
/* node_internal.h - what the parts of a node share.  Private to daemon/.  What the larger parts
 * offer each other is in replication.h, write.h, recovery.h and jobs.h.
 *
 * node.c      open, close, the turn: read this first
 * turn.c      the turn's transaction, outgoing messages, counters
 * load.c      everything from the store, at a start and after a failed turn
 * roster.c    who belongs, whom to dial; standing.c: who does not any more (HQ)
 * sync.c      events; evidence.c: proofs of fork, and of what this node lost
 * greet.c     links, hello, vectors
 * beat.c      beats, own and others'
 * apply.c     judge, then put
 * pull.c      want and its answers, as the asker
 * build.c     long answers, built under a fresh number
 * serve.c     want and its answers, as the server
 * write.c     the origin's own changes and heads; merge.c: the fields of one record
 * epoch.c     recovering: the way to a new epoch; rejoin.c: its beginning
 * epoch_hq.c  HQ grants it
 * surplus.c   what a replica keeps of a closed epoch; offers.c: fetching it
 * closure.c   HQ's own epochs, closed with the recovery key
 * erase.c     taking a person out for good; horizon.c, cleared.c: how all forget him
 * erased.c    what is remembered of him
 * keys.c      signing keys give way to others
 * disclosure.c  which tier each field is in; disclosed.c: where that was otherwise before
 * persons.c   distinct persons (HQ)
 * removals.c  many removals within a day
 * enrol.c     enrolment (HQ); invitation.c: invitations in the store
 * control*.c  what local programs ask
 * jobs*.c     recount, verify, sweep, lapse, prune
 * measure.c   how much of this node a peer may take
 * log.c       the one place that writes the log */
#ifndef CHAPTERD_NODE_INTERNAL_H
#define CHAPTERD_NODE_INTERNAL_H

#include "chapterd/control.h"
#include "daemon/core/census.h"
#include "daemon/core/epoch.h"
#include "daemon/core/feed.h"
#include "daemon/core/judge.h"
#include "daemon/core/peer.h"
#include "daemon/core/rate.h"
#include "daemon/core/replica.h"
#include "daemon/io/clock.h"
#include "daemon/io/identity.h"
#include "daemon/io/store.h"
#include "daemon/io/transport.h"
#include "daemon/node.h"
#include "proto/bug.h"
#include "proto/closure.h"
#include "proto/id_set.h"
#include "proto/token.h"
#include "proto/wire.h"

/* Names in the store's meta table. */
#define META_GENESIS "genesis"             /* bytes */
#define META_CODE "code"                   /* text: this chapter */
#define META_HQ_CURVE "hq_curve"           /* 32 bytes, from the token */
#define META_HQ_ADDRESS "hq_address"       /* text host:port, from the token */
#define META_LISTEN "listen"               /* text HOST:PORT, "" dial-only */
#define META_ADVERTISE "advertise"         /* text HOST:PORT as others dial it */
#define META_BOOT "boot"                   /* number of starts */
#define META_LAPSE_DAY "lapse_day"         /* last day (since 1970) the lapse job finished */
#define META_INSTANCE "instance"           /* that this directory signs as; 0: none yet */
#define META_WANTED "wanted_instance"      /* that it asks HQ for while it recovers */
#define META_REASON "recovery_reason"      /* enum epoch_reason */
#define META_RECOVERY_FROM "recovery_from" /* where the feed stood then */
#define META_RECOVERY_HORIZON "recovery_horizon" /* the feed's, then */
#define META_EPOCH_FIRST "epoch_first"           /* first seq of the epoch in force */
#define META_PROVEN_EPOCH "proven_epoch" /* HQ: the newest of its own that a head proved */
#define META_CLOSURE "closure"           /* of HQ's own epoch: closure.h */
#define META_RECOVERED "recovered"       /* what the operator must know: rejoin.c */
#define META_FLOOR_EPOCH                                                                       \
    "floor_epoch" /* roster of the token: an older one is not HQ's newest */
#define META_FLOOR_SEQ "floor_seq"

/* See control.h. */
#define COUNTER_FIELD(name, text) uint64_t name;
struct counters {
    COUNTER_TABLE(COUNTER_FIELD)
};
#undef COUNTER_FIELD

/* A parked event, waiting for the gap before it to be filled. */
struct parked_event {
    struct parked_event *next;
    uint32_t peer;
    size_t size;
    uint8_t bytes[];
};

/* removals.c: how many members went within a day, of how many; what HQ told of it. */
struct removals {
    uint64_t began_s; /* wall clock, of the window; 0: none */
    uint64_t records;
    uint64_t removed;
    uint64_t told_s; /* 0: not */
    uint64_t told_records;
    uint64_t told_removed;
    bool dirty;
};

struct node_feed {
    struct replica_feed replica; /* replica.feed.origin is its code */
    struct store_feed record;    /* as stored (or as this turn will store it) */
    struct signed_beat beat;     /* newest, for hello */
    struct parked_event *parked;
    size_t parked_count;
    size_t parked_bytes;
    bool building; /* a long delta is being merged: nothing else is applied */
    bool unparking;
    uint64_t build_bytes;        /* of the answer that is being built */
    struct signed_head unproven; /* the last that nobody's key has signed, */
    uint32_t unproven_times;     /* and how often it came in a row */
    uint32_t looks_behind;       /* HQ: at a feed that stands before its closed head */
    bool over_quota;             /* a head beyond the roster's limits was seen */
    bool in_the_way;             /* the last list met rows of the other tier's former history */
    uint64_t fetched_bytes;      /* by want, since the start */
    uint64_t refused;            /* events and lists of it refused, since the start */
    uint32_t beat_peer;          /* who handed in the newest beat, NO_PEER: nobody */
    bool persons_due;            /* HQ: whose memberships its rows are is to be stated yet */
    uint64_t persons_reached;    /* seq up to which that is done */
    struct removals removals;    /* of the own feed, and at HQ of all */
    struct rate beats;           /* new ones */
};

struct roster_node {
    struct roster_entry entry;
    bool present; /* in HQ's feed (self and HQ may be known before) */
};

#define CONTROL_PATH_SUFFIX "/" CONTROL_SOCKET_NAME
#define NO_PEER UINT32_MAX
struct link {
    transport_link handle;
    bool dialled;
    bool up;       /* a dialled one: handshake done */
    bool denied;   /* the other side refused our key */
    bool greeted;  /* a hello came on it */
    bool beat_due; /* HQ: it was greeted since HQ's last beat */
    uint8_t key[KEY_SIZE];
    uint32_t peer;        /* index into replica.peers, NO_PEER before it is known */
    int64_t since_ms;     /* up, denied or neither since then */
    int64_t last_seen_ms; /* 0: never */
    int64_t hello_due_ms; /* 0: none planned */
    int64_t hello_sent_ms;
    uint64_t asks_as;           /* the instance that it asks an epoch for, 0: it does not */
    uint8_t vector[HASH_SIZE];  /* the newest it told */
    char address[ADDRESS_SIZE]; /* where it is dialled, or whence it came; "" if unknown */
};

/* When this node and a peer last had to do with each other, since the start; 0: never. */
struct contact {
    int64_t changed_ms; /* its first link came up, or its last one went */
    int64_t seen_ms;    /* it said something */
};

/* What goes out once the turn is durable. */
enum outgoing_kind { OUT_SEND, OUT_PUBLISH };
struct outgoing {
    enum outgoing_kind kind;
    transport_link link;
    char topic[CODE_SIZE];
    size_t size;
    uint8_t *bytes;
};

/* What a peer takes of this node, by whatever links. */
struct taking {
    struct rate bytes;     /* of chunks */
    struct rate hellos;    /* that it sent */
    struct rate proofs;    /* messages that are signed, of the rarer kinds */
    struct rate unproven;  /* events and beats that nobody signed whom this node knows */
    struct rate entries;   /* HQ: of the roster, put since it asked for that */
    struct rate malformed; /* messages */
    struct rate relays;    /* HQ: evidence, passed on to its origin */
};

struct walk;         /* serve.c */
struct own_batch;    /* write.c */
struct control_wait; /* control.c: a request that waits for something */
struct job;          /* jobs.c: background work */
struct erasure;      /* erase.h */
struct disclosure;   /* disclosure.h */
struct keys;         /* keys.h */

struct census_slot {
    uint32_t number;
    uint8_t key[CENSUS_KEY_SIZE];
    bool used;
    int64_t delta;
};
#define CENSUS_SLOTS 1024

struct node {
    char dir[4096];
    struct node_config config;
    int lock_fd;
    struct store *store;
    struct transport *transport;
    struct identity identity;

    uint8_t genesis_bytes[GENESIS_SIZE_MAX];
    size_t genesis_size;
    struct genesis genesis;
    uint8_t federation[HASH_SIZE];
    char code[CODE_SIZE];
    bool is_hq;
    char listen[ADDRESS_SIZE];
    char advertise[ADDRESS_SIZE];
    char hq_address[ADDRESS_SIZE];
    uint8_t hq_curve[KEY_SIZE];
    uint64_t
        floor_epoch; /* of HQ's feed when this chapter was invited: an older one is no news */
    uint64_t floor_seq;
    uint64_t boot;
    int64_t started_ms;

    /* the turn */
    struct store_txn txn;
    bool turn_failed; /* an error inside the puts: drop the turn, reload */
    enum status turn_error;
    bool more;           /* background work goes on at once */
    bool roster_changed; /* HQ's feed advanced: reload the roster after the commit */
    struct outgoing *out;
    size_t out_count, out_capacity;
    size_t out_bytes;
    struct mp_writer writer; /* scratch for one message */
    struct id_set *id_set;   /* scratch: ids of one list */
    struct change *changes;  /* scratch: EVENT_CHANGES_MAX, of one list */
    struct census_slot census[CENSUS_SLOTS];
    size_t census_used;

    /* what is known */
    struct roster_node **roster; /* ascending by code */
    size_t roster_count;
    struct node_feed *feeds[ORIGINS_MAX];
    struct replica_feed *feed_pointers[ORIGINS_MAX];
    struct replica_peer *peers[ORIGINS_MAX];
    struct contact contacts[ORIGINS_MAX]; /* of peers, by their index */
    struct replica replica;
    uint32_t own_feed; /* index of the own feed */
    struct hq_beats hq_beats;
    bool tick_due;
    int64_t tick_at_ms;
    int64_t cut_at_ms; /* somebody lost his place: his connections end then; 0: nobody */

    struct link links[LINKS_MAX];
    size_t link_count;

    /* beats and vectors */
    uint64_t beat_counter;
    int64_t beat_at_ms; /* next own beat */
    int64_t last_beat_ms;
    int64_t vector_at_ms; /* next vector */
    bool vector_known;    /* vector_hash is of the present state */
    uint8_t vector_hash[HASH_SIZE];
    uint64_t hq_seen_boot, hq_seen_counter; /* newest beat of HQ heard: echoed */

    /* signing */
    bool hello_done; /* a hello was completed since the start */
    struct epoch_own own_epoch;
    enum epoch_phase phase;
    bool recovering;              /* the phase is not EPOCH_SIGNING */
    uint64_t recovering_seq;      /* the highest seq of mine that somebody proved, 0: none */
    uint64_t proven_epoch;        /* that head's */
    uint8_t proven_key[KEY_SIZE]; /* mine when it was proven */
    uint64_t proven_kept;         /* the same as META_PROVEN_EPOCH */
    bool fork_seen;               /* my own feed is forked, whatever the store says of it */
    bool locked_out;         /* HQ: the instance that the roster names is alive elsewhere */
    int64_t epoch_ask_at_ms; /* the next request to HQ */
    int64_t places_at_ms;    /* HQ: the next look at its chapters' closed epochs */
    uint64_t epoch_first;    /* first seq of the epoch that this directory signs in */
    /* the same at HQ: whether another node of a requester's origin is alive */
    int64_t probed_at_ms[ORIGINS_MAX]; /* by peer; 0: not */
    uint64_t closing_turn;             /* the last turn that closed an epoch */
    struct surplus *surplus;           /* surplus.c */
    struct closure closure;            /* of HQ's own epoch; epoch 0: none */
    struct signed_closure closure_bytes;
    struct own_batch *batch;
    struct erasure *erasure;
    struct disclosure *disclosure;
    struct keys *keys;

    struct walk *walks[WALKS_MAX];
    size_t walk_count;
    struct taking taking[ORIGINS_MAX]; /* of peers, by their index */
    int64_t serve_at_ms;               /* when those go on that had enough; 0: nobody had */
    struct control_wait *waits;
    size_t wait_count;
    struct job *jobs;
    bool sweep_more;
    bool persons_due; /* some feed's are */
    int64_t daily_at_ms;
    uint64_t lapse_asked;      /* members that the daily job did not lapse by itself, 0: none */
    uint64_t removals_refused; /* because they were many and nobody said so, since the start */
    int64_t full_since_ms;     /* the store is full since, 0: not */
    struct backup_job *backup; /* control_backup.c: NULL: none is being written */
    struct counters counters;

    /* enrolment (HQ) */
    uint64_t
        invites_open_until; /* latest expiry of an unused invitation, s since 1970; 0: none */
    size_t invites_waiting; /* chapters that asked and wait to be approved */
    struct enrol_rate {
        int64_t second_ms; /* when the present second of enrol messages began */
        unsigned count;    /* of them in it */
    } enrol_rate[2];       /* of strangers, of those who know an invitation's secret */
    uint64_t enrol_turn;   /* the last turn that took a new chapter in */
};

/* --- node.c: transactions of the turn and outgoing messages --- */
/* The turn's transaction: a read one, or the write one if there is one.  NULL if it can't be
 * had (the turn has failed then). */
struct store_txn *node_reading(struct node *node);
/* Turns it into a write transaction.  Slices that were read before are dead. */
struct store_txn *node_writing(struct node *node);
/* Records the first failure inside the turn's puts; returns status. */
enum status node_turn_fails(struct node *node, enum status status);
/* Copies bytes; they leave after the commit. */
void node_send(struct node *node, transport_link link, struct slice bytes);
void node_publish(struct node *node, const char *topic, struct slice bytes);
int64_t node_now(const struct node *node);
/* The node's scratch writer, emptied; valid until the next call. */
struct mp_writer *node_writer(struct node *node);
void node_step(struct node *node, const struct replica_input *input);
/* Feed by origin's code; NO_PEER if unknown. */
uint32_t node_feed_index(const struct node *node, const char *origin);
/* Makes the feed if needed; NO_PEER when ORIGINS_MAX is reached. */
uint32_t node_feed_make(struct node *node, const char *origin);
uint32_t node_peer_index(const struct node *node, const char *code);
uint32_t node_peer_make(struct node *node, const char *code);
/* The link to send to a peer on: a dialled one that is up, else the newest other; NULL if none.
 * */
struct link *node_link_of_peer(struct node *node, uint32_t peer);
enum status node_census_add(struct node *node, uint32_t number,
                            const struct census_delta *delta) MUST_CHECK;
enum status node_census_flush(struct node *node) MUST_CHECK;
void node_census_forget(struct node *node);
void node_out_drop(struct node *node);
/* Sends and publishes what the turn gathered. */
void node_out_flush(struct node *node);
void node_drop_parked(struct node_feed *feed);
/* Loads everything from the store: at the start, and after a turn that failed. */
enum status node_load(struct node *node) MUST_CHECK;

/* --- roster.c --- */
enum status roster_load(struct node *node) MUST_CHECK;
/* NULL if unknown. */
const struct roster_node *roster_find(const struct node *node, const char *code);
const struct roster_node *roster_find_key(const struct node *node,
                                          const uint8_t curve_key[KEY_SIZE]);
void roster_term_of(const struct node *node, const char *code, struct feed_term *out_term);
/* Is a well-formed head its origin's?  Signed by the key of its epoch, or named in the roster
 * as the one at which an epoch was closed. */
bool roster_head_proven(struct node *node, struct slice envelope, const struct head *head);
/* Is the envelope of a head or beat at (epoch, seq) signed by a key of that origin that was
 * good then?  HQ's follow from the genesis; see keys.h. */
typedef enum status roster_verify(struct slice envelope, const uint8_t key[KEY_SIZE]);
bool roster_signed(const struct node *node, const char *code, uint64_t epoch, uint64_t seq,
                   struct slice envelope, roster_verify *verify);
/* An entry that this turn puts is in force at once: what else comes in the turn is judged by
 * it.  A turn that fails loads the former one again. */
void roster_amend(struct node *node, const struct roster_entry *entry);
/* Ends the connections of keys that have no place any more, by ending all. */
void roster_cut(struct node *node);
void roster_dial(struct node *node); /* dials whom it should, hangs up on the others */
bool roster_admit(void *node, enum transport_port port, const uint8_t key[KEY_SIZE]);
/* Own record of type chapter in HQ's feed: HQ puts it as a change of its own (write.c). */

/* --- enrol.c (HQ) --- */
bool enrol_open(const struct node *node); /* an unexpired invitation is open */
void enrol_on_message(struct node *node, transport_link link, const uint8_t key[KEY_SIZE],
                      struct slice message);
/* 0 stands for what is usual. */
struct invite_terms {
    uint64_t ttl_s;
    uint64_t records_max;
    uint64_t bytes_max;
    bool approve;
    bool rekey; /* of an enrolled chapter: its keys are replaced */
};
/* Makes and stores an invitation (in the turn's transaction) and its token. */
enum status enrol_invite(struct node *node, const char *code, const char *name,
                         const char *country, const struct invite_terms *terms,
                         char out_token[TOKEN_SIZE_MAX], uint64_t *out_expires,
                         const char **out_error) MUST_CHECK;
enum status enrol_load(struct node *node)
    MUST_CHECK; /* counts open invitations for the ZAP handler */

/* --- control.c --- */
void control_on_message(struct node *node, const struct transport_message *message);
void control_timers(
    struct node *node); /* answers waiting requests that are due or can be answered */
int64_t control_next_ms(const struct node *node);
void control_drop_all(struct node *node);
void control_backup_end(struct node *node); /* waits for a backup that is being written */
/* A backup has a snapshot of the store open. */
bool control_backup_runs(struct node *node);
/* A turn was dropped: the requests that it held have no answer; their clients are told. */
void control_fail_all(struct node *node, enum status status);

/* --- log.c --- */
/* One line to stderr: level, event, then key=value pairs in format.  Never a name or an e-mail.
 * */
enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_DEBUG };
void log_event(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
enum log_form { LOG_AS_TEXT, LOG_AS_JSON };
void log_set_form(enum log_form form);
void log_set_level(enum log_level level); /* lines above it are left out; LOG_NOTICE at first */

#endif
