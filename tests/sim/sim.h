/* SPDX-License-Identifier: MPL-2.0 */
/* sim.h - the simulator: real nodes and real LMDB under virtual time, a simulated network and
 * faults.
 *
 * One seed decides everything: which faults are switched on, every delay, loss, crash and
 * write.
 * Two runs of a seed give the same trace hash.  The seams are the linker's: this program
 * defines transport.h, clock.h, fault.h and libsodium's source of randomness itself. */
#ifndef CHAPTERD_SIM_H
#define CHAPTERD_SIM_H

#include "daemon/node_internal.h"

#define SIM_NODES_MAX 6
#define SIM_CONNECTIONS_MAX 64
#define SIM_OPS_MAX 4096
#define SIM_VALUES_MAX 6

enum sim_fault {
    FAULT_LOSS = 1,        /* publications get lost */
    FAULT_DUPLICATE = 2,   /* publications come twice */
    FAULT_DELAY = 4,       /* long and uneven delays */
    FAULT_PARTITION = 8,   /* pairs that do not hear each other, one way or both */
    FAULT_CRASH = 16,      /* before or after a commit; restart later */
    FAULT_RECONNECT = 32,  /* links break and lose what was under way */
    FAULT_CORRUPT = 64,    /* a hostile relay flips bits in what it hands on */
    FAULT_LATE_JOIN = 128, /* one chapter starts in the middle */
    FAULT_ALL = 255
};

/* What somebody may find for an id: the last acknowledged value, or a later unanswered one. */
struct sim_op {
    char origin[CODE_SIZE];
    uint8_t id[ID_SIZE];
    uint32_t values[SIM_VALUES_MAX]; /* 0: removed; candidates */
    size_t value_count;
};

struct sim_packet {
    struct sim_packet *next;
    int64_t at_ms;
    uint64_t order; /* ties are settled by age */
    int to;
    int connection; /* -1: control */
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
    char host_port[ADDRESS_SIZE];
    transport_link dial_link;
    transport_link serve_link;
    int64_t retry_at_ms;
    int64_t silent_since_ms; /* cut off since, 0: not */
    int64_t last_at_ms[4];   /* of each stream: dialler to listener, back, published */
};

struct sim_node {
    char code[CODE_SIZE];
    char dir[256];
    char address[ADDRESS_SIZE]; /* "" dial-only */
    struct node *node;          /* NULL: down */
    struct transport *transport;
    int64_t wake_at_ms;
    int64_t restart_at_ms;
    uint64_t turns;
    struct sim_packet *inbox;
    struct sim_packet **inbox_end;
    struct sim_packet *current; /* its bytes are what transport_receive handed out */
    struct feed_mark seen[ORIGINS_MAX / 8]
                         [TIERS_PUBLISHED]; /* heads never go down, restarts included */
    char seen_origin[ORIGINS_MAX / 8][CODE_SIZE];
    size_t seen_count;
};

struct world {
    uint64_t seed;
    uint64_t random;
    uint64_t entropy; /* apart, so that a change of one stream leaves the other alone */
    unsigned faults;
    bool healing;
    bool trace;
    int64_t now_ms;
    uint64_t order;
    uint64_t messages;
    uint64_t trace_hash;
    char root[200];
    struct sim_node nodes[SIM_NODES_MAX];
    int node_count;
    int active; /* the node whose turn it is: the faults' victim */
    struct sim_connection connections[SIM_CONNECTIONS_MAX];
    struct sim_packet *queue; /* sorted by (at_ms, order) */
    bool cut[SIM_NODES_MAX][SIM_NODES_MAX];
    transport_link next_link;
    size_t chunk_changes; /* limits of this seed, 0: the real ones */
    size_t one_turn;
    size_t slice_rows;
    int crash_in; /* commits until the crash; 0: none */
    bool crash_after;
    struct sim_op ops[SIM_OPS_MAX];
    size_t op_count;
    uint32_t value_count;
    /* requests under way, by client link */
    struct sim_request {
        bool open;
        bool answered;
        bool write; /* of the load: op and value tell which */
        transport_link link;
        int node;
        size_t op;
        uint32_t value;
        uint64_t code;
        bool ok;
        uint8_t reply[8192];
        size_t reply_size;
    } requests[64];
    uint64_t hits[8]; /* how often each kind of fault happened */
    char failure[512];
};

extern struct world world;
extern struct counters sim_counters; /* of all nodes of all seeds: what was exercised */

/* sim_world.c */
uint64_t sim_random(uint64_t below);
bool sim_chance(unsigned percent);
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool sim_failed(void);
void sim_begin(uint64_t seed, int nodes, bool trace);
void sim_end(void);
void sim_run(void);
int sim_node_of(const char *code);
void sim_start(int index);
void sim_stop(int index);
/* sim_network.c */
void sim_network_step(void);
int64_t sim_network_next_ms(void);
void sim_network_node_down(int index);
void sim_network_free(void);
void sim_deliver_control(int to, transport_link link, struct slice bytes);
void sim_deliver_enrol(int to, transport_link link, const uint8_t key[KEY_SIZE],
                       struct slice bytes);
/* sim_check.c */
void sim_check_heads(int index);
void sim_check_sums(int index, bool recount);
void sim_check_agreement(void);
void sim_check_acknowledged(void);
bool sim_settled(void);

#endif
