/* SPDX-License-Identifier: MPL-2.0 */
/* sim_plan.h - what is to happen in one run: drawn from a seed, or read from a file.
 *
 * A plan and the same program give the same run, to the bit.  What a plan does not say (how
 * long a packet travels, which bit flips) follows from its seed, apart for each pair of nodes
 * and each action, so that taking one action out of a plan leaves the rest as it was as far as
 * it can: by that plans are shrunk. */
#ifndef CHAPTERD_SIM_PLAN_H
#define CHAPTERD_SIM_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SIM_NODES_MAX 88
#define SIM_ACTIONS_MAX 2048

/* X(name, how it is called in files and sums) */
#define SIM_FAULT_TABLE(X)                                                                     \
    X(LOSS, "loss")                                                                            \
    X(DUPLICATE, "duplication")                                                                \
    X(DELAY, "delay")                                                                          \
    X(REORDER, "reordering")                                                                   \
    X(DROP, "drop-at-hwm")                                                                     \
    X(TRUNCATE, "truncation")                                                                  \
    X(FLIP, "bit-flips")                                                                       \
    X(PARTITION, "partition")                                                                  \
    X(ONE_WAY, "one-way-partition")                                                            \
    X(RECONNECT, "reconnect")                                                                  \
    X(LATE_JOIN, "late-join")                                                                  \
    X(CRASH_BEFORE, "crash-before-commit")                                                     \
    X(CRASH_AFTER, "crash-after-commit")                                                       \
    X(RESTART, "restart")                                                                      \
    X(PAUSE, "pause")                                                                          \
    X(CLOCK, "clock-jump")                                                                     \
    X(DISK_FULL, "disk-full")                                                                  \
    X(MAP_FULL, "map-full")                                                                    \
    X(NO_MEMORY, "no-memory")                                                                  \
    X(ROT, "damaged-sums")                                                                     \
    X(LOST_DISK, "lost-disk")                                                                  \
    X(OLD_COPY, "old-copy")                                                                    \
    X(CLONE, "clone")                                                                          \
    X(FORGE, "forged-heads")                                                                   \
    X(FORGE_BEAT, "forged-beats")                                                              \
    X(REPLAY, "replay")                                                                        \
    X(WITHHOLD, "withholding")                                                                 \
    X(EQUIVOCATE, "equivocation")                                                              \
    X(WRONG_DELTA, "wrong-deltas")                                                             \
    X(WRONG_SNAPSHOT, "wrong-snapshots")                                                       \
    X(FALSE_EVIDENCE, "false-evidence")                                                        \
    X(FALSE_CLAIM, "false-claims")                                                             \
    X(PRY, "asks-for-tier-hq")                                                                 \
    X(EAGER, "writes-at-start")                                                                \
    X(ABSENT, "long-absence")                                                                  \
    X(ROLLBACK, "rolled-back")                                                                 \
    X(HQ_COPY, "old-copy-of-hq")                                                               \
    X(ERASE, "erasure")                                                                        \
    X(TIERS, "tier-changes")                                                                   \
    X(ROTATE, "key-rotation")                                                                  \
    X(OLD_KEY, "stolen-old-key")                                                               \
    X(REKEY, "keys-lost")                                                                      \
    X(SUSPEND, "suspension")                                                                   \
    X(REVOKE, "revocation")                                                                    \
    X(HQ_TWICE, "hq-twice")

#define SIM_FAULT_ENUM(name, text) FAULT_##name,
enum sim_fault { SIM_FAULT_TABLE(SIM_FAULT_ENUM) FAULT_COUNT };
#undef SIM_FAULT_ENUM
/* Lies of one chapter that has its keys and speaks the protocol. */
#define FAULTS_OF_LIAR                                                                         \
    (1ull << FAULT_FORGE | 1ull << FAULT_FORGE_BEAT | 1ull << FAULT_REPLAY |                   \
     1ull << FAULT_WITHHOLD | 1ull << FAULT_EQUIVOCATE | 1ull << FAULT_WRONG_DELTA |           \
     1ull << FAULT_WRONG_SNAPSHOT | 1ull << FAULT_FALSE_EVIDENCE | 1ull << FAULT_FALSE_CLAIM | \
     1ull << FAULT_PRY)
/* They may keep a node from hearing in time what others know of it. */
#define FAULTS_OF_PACKETS                                                                      \
    (1ull << FAULT_DELAY | 1ull << FAULT_DROP | 1ull << FAULT_TRUNCATE | 1ull << FAULT_FLIP |  \
     1ull << FAULT_PARTITION | 1ull << FAULT_ONE_WAY | 1ull << FAULT_RECONNECT |               \
     1ull << FAULT_PAUSE)
/* After these an origin's own state may be behind what it signed. */
#define FAULTS_OF_COPIES                                                                       \
    (1ull << FAULT_LOST_DISK | 1ull << FAULT_OLD_COPY | 1ull << FAULT_CLONE)

/* Drawn apart from those before them, so that these are drawn of a seed as ever. */
#define FAULTS_OF_OPERATORS                                                                    \
    (1ull << FAULT_EAGER | 1ull << FAULT_ABSENT | 1ull << FAULT_ROLLBACK |                     \
     1ull << FAULT_HQ_COPY | 1ull << FAULT_ERASE | 1ull << FAULT_TIERS |                       \
     1ull << FAULT_ROTATE | 1ull << FAULT_OLD_KEY | 1ull << FAULT_REKEY |                      \
     1ull << FAULT_SUSPEND | 1ull << FAULT_REVOKE | 1ull << FAULT_HQ_TWICE)

/* X(name, text, what a, b and value are) */
#define SIM_ACTION_TABLE(X)                                                                    \
    X(WRITE, "write", "node a changes a member that value draws")                              \
    X(CUT, "cut", "b does not hear a any more")                                                \
    X(MEND, "mend", "all hear each other again")                                               \
    X(BREAK, "break", "the connection of a and b is lost")                                     \
    X(CRASH, "crash", "node a dies at commit value / 2 from now, after it if value is odd")    \
    X(STOP, "stop", "node a is stopped, and started value ms later")                           \
    X(PAUSE, "pause", "node a does nothing for value ms")                                      \
    X(CLOCK, "clock", "the wall clock of a jumps by value - 2^31 s")                           \
    X(DISK, "disk", "the disk of a is full for value ms")                                      \
    X(MAP, "map", "node a is started anew with a map of value KiB")                            \
    X(STARVE, "starve", "allocation value of node a, from now on, fails")                      \
    X(ROT, "rot", "a's stored sum of the feed of b is damaged")                                \
    X(JOIN, "join", "node a, enrolled before, starts")                                         \
    X(BACKUP, "backup", "the directory of a is copied")                                        \
    X(RESTORE, "restore", "the directory of a becomes that copy (b = 1: the first one)")       \
    X(CLONE, "clone", "another daemon starts with that copy")                                  \
    X(ROLLBACK, "rollback", "the machine of a is put back to where that copy was made")        \
    X(ERASE, "erase", "node a erases a member that value draws")                               \
    X(TIERS, "tiers", "node a chooses another tier for a field, as value draws")               \
    X(ROTATE, "rotate",                                                                        \
      "node a makes another signing key (HQ, value odd: by the recovery key)")                 \
    X(STEAL, "steal", "somebody signs for a with its former key, and tells b")                 \
    X(REKEY, "rekey", "the directory of a is lost; HQ lets it in with new keys")               \
    X(SUSPEND, "suspend", "HQ suspends chapter a")                                             \
    X(RESUME, "resume", "HQ lets it go on")                                                    \
    X(REVOKE, "revoke", "HQ revokes chapter a")                                                \
    X(MOVE, "move",                                                                            \
      "all meet a daemon with the copy of HQ, while HQ goes on alone (b = 1: HQ again)")

#define SIM_ACTION_ENUM(name, text, meaning) ACTION_##name,
enum sim_action_kind { SIM_ACTION_TABLE(SIM_ACTION_ENUM) ACTION_COUNT };
#undef SIM_ACTION_ENUM

struct sim_action {
    int64_t at_ms; /* after the federation stands */
    enum sim_action_kind kind;
    int a, b;
    uint32_t value;
};

struct sim_plan {
    uint64_t seed;
    int nodes;          /* HQ is the first */
    uint64_t listening; /* set of those of the first 64 that can be dialled; HQ always */
    int liar;           /* 0: all are honest */
    uint64_t faults;    /* set of enum sim_fault */
    int64_t load_ms;    /* then the faults stop */
    uint32_t rate;      /* percent of packets that meet each fault of the network */
    uint32_t hwm;       /* packets under way in one stream, 0: any number */
    uint32_t chunk_changes, one_turn, slice_rows; /* limits of the nodes, 0: the real ones */
    size_t action_count;
    struct sim_action actions[SIM_ACTIONS_MAX];
};

extern const char *const sim_fault_names[FAULT_COUNT];

/* Draws a plan; nodes 0: 2 to 12. */
void sim_plan_draw(uint64_t seed, int nodes, uint64_t allowed, struct sim_plan *out_plan);
void sim_plan_write(const struct sim_plan *plan, FILE *file);
/* False: line *out_line is wrong. */
bool sim_plan_read(FILE *file, struct sim_plan *out_plan, int *out_line);
/* splitmix64 */
uint64_t sim_dice(uint64_t *state);
uint64_t sim_mix(uint64_t a, uint64_t b);

#endif
