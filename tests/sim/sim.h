/* SPDX-License-Identifier: MPL-2.0 */
/* sim.h - the simulator: real nodes and real LMDB under virtual time, a simulated network and
 * faults.
 *
 * A plan (sim_plan.h) decides everything.  Two runs of a plan give the same trace hash.  The
 * seams are the linker's: this program defines transport.h, clock.h, fault.h and libsodium's
 * source of randomness itself, and remembers which signatures it has verified before.
 *
 * sim_plan.c     what is to happen
 * sim_world.c    clock, dice, trace; time goes on, and the plan with it
 * sim_nodes.c    nodes start and crash; directories are copied and damaged
 * sim_found.c    a federation is founded
 * sim_load.c     the writers, and what they were promised
 * sim_operators.c what operators ask for: erasing, tiers, keys, places
 * sim_packets.c  packets under way
 * sim_network.c  transport.h: links, streams, faults of the network
 * sim_liar.c     what a chapter that lies makes of what its node sends
 * sim_check.c    what must hold after every step
 * sim_rules.c    the same of what operators asked for
 * sim_final.c    what must hold once the faults have stopped
 * sim_workers.c  many runs, in several processes
 * sim_shrink.c   a failing plan made small
 * sim.c          the command line */
#ifndef CHAPTERD_SIM_H
#define CHAPTERD_SIM_H

#include "daemon/node_internal.h"
#include "tests/sim/sim_plan.h"

#define SIM_CONNECTIONS_MAX 1024
#define SIM_OPS_MAX 4096
#define SIM_VALUES_MAX 8
#define SIM_REQUESTS_MAX 128
#define SIM_FIELDS 3  /* whose tiers are chosen */
#define FIELD_EMAIL 1 /* of them */
#define SIM_STREAMS 3 /* dialler to listener, back, published */
#define SIM_STORE_SIZE (64u << 20)

/* What somebody may find for an id: the last acknowledged value, or a later unanswered one. */
struct sim_op {
    int origin;
    uint8_t id[ID_SIZE];
    uint32_t values[SIM_VALUES_MAX]; /* 0: removed; candidates */
    size_t value_count;
    bool unsure; /* it was only on a disk that is gone */
    enum sim_erasure { NOT_ERASED, ERASURE_ASKED, ERASED } erasure;
    uint64_t erased_at;                /* seq of the removal, once it is known */
    uint32_t told[SIM_VALUES_MAX * 2]; /* all values that it was ever to have */
    size_t told_count;
};

struct sim_packet {
    int64_t at_ms;
    uint64_t order; /* ties are settled by age */
    struct sim_packet *next;
    int to;
    int connection; /* -1: none, a local client's */
    int stream;
    uint64_t connection_life;
    struct transport_message message;
    uint8_t *bytes;
};

struct sim_connection {
    bool used;
    bool up;
    bool denied;
    uint64_t life; /* counts its reconnections */
    int dialler;
    int listener;
    char host_port[ADDRESS_SIZE + 8];
    transport_link dial_link;
    transport_link serve_link;
    int64_t retry_at_ms;
    int64_t silent_since_ms; /* cut off since, 0: not */
    int64_t last_at_ms[SIM_STREAMS];
    uint32_t flying[SIM_STREAMS];
};

/* What a node was seen to hold of one origin; outlives its restarts. */
struct sim_seen {
    struct feed_mark mark[TIERS_PUBLISHED];
    struct feed_mark checked[TIERS_PUBLISHED]; /* its stored state was compared with its head */
    bool frozen;
    uint64_t frozen_epoch;
    struct feed_mark frozen_at;
    struct sim_want {
        int to;
        uint64_t epoch, since;
        uint8_t hash[HASH_SIZE]; /* of zeros: it goes on with what was staged */
        int64_t at_ms;
    } want[TIERS_BOTH + 1]; /* the last, by its tiers */
    uint32_t damaged;       /* number whose sum was damaged on purpose, 0: none */
    struct sim_end { /* where HQ ended the feed, as the node knew it after its last turn */
        bool known;
        bool was_merging; /* its rows, then */
        int64_t since_ms;
        uint64_t epoch, seq;
    } end;
    struct feed_term term; /* of the roster, after the last turn */
};

struct sim_node {
    char code[CODE_SIZE];
    char dir[256];
    char address[ADDRESS_SIZE]; /* "" dial-only */
    struct node *node;          /* NULL: down */
    struct transport *transport;
    bool clone;
    uint64_t entropy;
    uint64_t store_size;
    int64_t wall_offset_ms;
    int64_t wake_at_ms;
    int64_t restart_at_ms;
    int64_t paused_until_ms;
    int64_t full_until_ms;
    int crash_in; /* commits until it dies, 0: it does not, -1: after this one */
    bool crash_after;
    bool crashed;        /* by the plan's will, or for want of memory */
    uint32_t starve_in;  /* its allocations until one fails, 0: none does */
    bool hello_came;     /* since its start */
    bool was_recovering; /* after its last turn */
    int64_t started_ms;
    uint64_t starts;
    int64_t ran_ms;                     /* its last turn */
    uint64_t compactions;               /* of its node, as it was seen last */
    uint64_t held_of_me[SIM_NODES_MAX]; /* by whom, up to which seq, when it was restored */
    uint64_t turns;
    struct beat beat; /* its newest own one that left */
    struct sim_packet *inbox;
    struct sim_packet **inbox_end;
    struct sim_packet *current;          /* its bytes are what transport_receive handed out */
    struct sim_seen seen[SIM_NODES_MAX]; /* by origin */
};

/* Every head that an honest node signed and made durable. */
struct sim_signed {
    struct feed_mark mark;
    int64_t at_ms;
};
struct sim_history {
    struct sim_signed *list;
    size_t count, capacity;
};

/* What a local client asked for, and who takes the answer. */
enum sim_asked { ASKED_BY_TEST, ASKED_WRITE, ASKED_ERASE, ASKED_TIERS, ASKED_OTHER };
struct sim_request {
    bool open;
    bool answered;
    enum sim_asked asked;
    int field;      /* ASKED_TIERS: which, */
    int field_tier; /* and to which tier */
    transport_link link;
    int node;
    int64_t at_ms;
    size_t op;
    uint32_t value;
    uint8_t reply[8192];
    size_t reply_size;
};

struct world {
    struct sim_plan plan;
    bool healing;
    bool hq_moved; /* the second daemon is the one that all meet */
    bool trace;
    int64_t now_ms;
    int64_t founded_ms;
    uint64_t order;
    uint64_t messages;
    uint64_t trace_hash;
    char root[200];
    struct sim_node nodes[SIM_NODES_MAX + 1];
    int node_count;
    int active;       /* the node whose code runs */
    bool inside_node; /* it does, and not the simulator's */
    struct sim_connection connections[SIM_CONNECTIONS_MAX];
    int connection_count;      /* those beyond were never used */
    struct sim_packet **queue; /* a heap by (at_ms, order) */
    size_t queue_size, queue_capacity;
    bool cut[SIM_NODES_MAX + 1][SIM_NODES_MAX + 1];
    int64_t broke_at_ms[SIM_NODES_MAX + 1][SIM_NODES_MAX + 1]; /* a connection of the two */
    uint64_t link_dice[SIM_NODES_MAX + 1][SIM_NODES_MAX + 1];
    transport_link next_link;
    struct sim_op ops[SIM_OPS_MAX];
    size_t op_count;
    uint32_t value_count;
    struct sim_request requests[SIM_REQUESTS_MAX];
    struct sim_history history[SIM_NODES_MAX];
    bool tainted[SIM_NODES_MAX];  /* origins that signed two heads for one seq */
    bool restored[SIM_NODES_MAX]; /* those of which an older copy was put back, or runs, too */
    bool has_backup[SIM_NODES_MAX];
    uint64_t backup_seq[SIM_NODES_MAX];        /* where its own feed stood then */
    bool rekeyed[SIM_NODES_MAX];               /* former directories of it are worth nothing */
    bool disk_is_gone[SIM_NODES_MAX];          /* it waits for HQ's operator */
    struct sign_key recovery;                  /* HQ's */
    struct sign_key former_key[SIM_NODES_MAX]; /* of those that made another */
    bool has_former_key[SIM_NODES_MAX];
    struct sim_choice {
        bool made, unsure;
        int tier;
    } choices[SIM_NODES_MAX][SIM_FIELDS]; /* of tiers, by origin */
    int64_t operators_at_ms;              /* they look again then */
    int64_t wrong_since_ms[SIM_NODES_MAX];
    uint64_t hits[FAULT_COUNT]; /* how often each kind of fault happened */
    char failure[512];
    const char *failure_kind; /* its format */
};

extern struct world world;
extern struct counters sim_counters; /* of all nodes of all runs: what was exercised */

/* sim_world.c */
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool sim_failed(void);
bool sim_has(enum sim_fault fault); /* is it switched on, and not yet over? */
/* Runs the plan; world.failure says what went wrong, "" nothing. */
void sim_run_plan(const struct sim_plan *plan, bool trace);
/* The parts of it: a world without nodes, and its end. */
void sim_begin(const struct sim_plan *plan, bool trace);
void sim_end(void);
int sim_node_of(const char *code); /* the first of that code, -1: none */
bool sim_lies(int index);          /* a chapter; HQ never does */

bool sim_step(int64_t until_ms); /* one instant further; false after a failure */
void sim_run_until(int64_t until_ms);
void sim_must(enum status status, const char *what);
/* sim_nodes.c */
void sim_start(int index);
void sim_stop(int index);
enum status sim_turn(struct sim_node *sim);                /* of world.active */
void sim_copy_directory(const char *from, const char *to); /* between two turns */
void sim_remove_tree(const char *dir);
void sim_back_up(int index);
/* Up to which seq HQ is known to hold the feed in both tiers: what is beyond may be lost. */
uint64_t sim_held_by_others(int index);
void sim_restore(int index, bool first, uint32_t pause_ms);
void sim_roll_back(int index, uint32_t pause_ms);
void sim_start_clone(int index);
void sim_move_hq(void);
void sim_move_back(void); /* or any other second daemon ends */
void sim_damage(int index, int origin);
/* sim_found.c */
void sim_found(void);
void sim_make_directory(int index); /* its store, as chapterd join makes it; keys are there */
/* Asks HQ for a token by that command, and enrols with it; false if HQ cannot now.  Time goes
 * on meanwhile. */
bool sim_take_in(int index, const struct identity *identity, const char *command, int tries);
/* sim_operators.c */
void sim_operate(const struct sim_action *action);
void sim_take_operators_reply(struct sim_request *request);
extern const char *const sim_fields[SIM_FIELDS];
/* What operators do when the faults are over: HQ's recovery key, new keys, ends of suspensions.
 */
void sim_operators_help(void);
/* A request's bytes: the map of arguments is to follow. */
void sim_begin_request(struct mp_writer *writer, const char *command, size_t arguments);
/* False if it was refused; else the map that came. */
bool sim_read_reply(const struct sim_request *request, struct slice *out_result);
/* sim_rules.c */
void sim_check_rules(int index); /* after each turn */
void sim_check_served(int from, int to);
bool sim_is_shut_out(int index); /* HQ revoked it */
bool sim_rules_settled(void);    /* what was asked for is done everywhere */
void sim_explain_rules(void);
void sim_check_rules_final(void); /* once all agree, at rest */
/* sim_load.c */
struct sim_request *sim_open_request(int node);
bool sim_answered(struct sim_request *request, int64_t within_ms);
void sim_write(int index, uint32_t dice);
bool sim_is_busy(size_t op); /* somebody waits for an answer about it */
size_t sim_place_of(const struct sim_op *op, uint32_t value);
void sim_take_replies(void);
void sim_check_reply(transport_link link, struct slice data);
void sim_check_promises(int origin);
/* The directory of origin is about to be replaced; others hold its feed up to seq. */
void sim_doubt_promises(int origin, uint64_t seq);
/* sim_network.c */
void sim_network_step(void);
int64_t sim_network_next_ms(void);
void sim_network_break(int a, int b);
void sim_network_lose_listener(int index); /* its connections end */
void sim_network_node_down(int index);
void sim_network_free(void);
void sim_deliver_control(int to, transport_link link, struct slice bytes);
void sim_deliver_enrol(int to, transport_link link, const uint8_t key[KEY_SIZE],
                       struct slice bytes);
void sim_send_raw(int connection, int stream, int from, struct slice bytes);
uint64_t sim_link_random(int from, int to, uint64_t below);
bool sim_link_chance(int from, int to, unsigned percent);
/* sim_packets.c */
struct sim_packet *sim_packet_make(int to, enum transport_kind kind, transport_link link,
                                   struct slice bytes);
void sim_packet_set(struct sim_packet *packet, struct slice bytes); /* copies */
void sim_packet_free(struct sim_packet *packet);
void sim_packet_queue(struct sim_packet *packet);
struct sim_packet *sim_packet_take(void); /* the earliest; there must be one */
/* sim_liar.c: false: it keeps the packet to itself. */
bool sim_liar_sends(int from, int to, int connection, int stream, struct sim_packet *packet);
void sim_liar_forget(void); /* a new run */
/* sim_check.c */
void sim_check_node(int index);
void sim_check_start(int index);
/* Somebody who has its key signed a head for origin. */
void sim_note_signed(int origin, const struct feed_mark *mark);
void sim_check_sent(int from, int to, struct slice message); /* to -1: published */
void sim_check_rows(int index);                              /* everything recounted */
/* sim_final.c */
bool sim_settled(void);
void sim_check_final(bool at_rest); /* some time after the faults: nothing is left over */

/* sim_workers.c */
struct sim_totals {
    uint64_t runs, failures, hits[FAULT_COUNT];
    struct counters counters;
};
struct sim_outcome {
    char failure[512];
    const char *kind; /* alike for failures of one kind */
    uint64_t trace_hash;
};
/* In a process of its own, so that an assertion is a failure like any other. */
void sim_run_apart(const struct sim_plan *plan, struct sim_outcome *out_outcome);
struct sim_batch {
    uint64_t first;
    uint64_t seeds; /* 0: until the time is over */
    double seconds; /* 0: until the seeds are through */
    int nodes;      /* 0: as drawn */
    int large;      /* every 500th run has so many nodes, 0: none does */
    int jobs;
    uint64_t allowed; /* faults */
    bool stop;        /* at the first failure */
    bool quiet;
};
/* Prints what fails and how to run it again; out_seed: the first that failed. */
void sim_run_batch(const struct sim_batch *batch, struct sim_totals *out_totals,
                   uint64_t *out_seed, char out_failure[512]);
/* sim_shrink.c: a smaller plan that fails, too. */
void sim_shrink(struct sim_plan *plan);

#endif
