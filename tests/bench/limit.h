/* SPDX-License-Identifier: MPL-2.0 */
/* limit.h - the physical limit of chapterd's work: how fast this machine can do what must be
 * done of it, with nothing around it.  What bench.py sets beside chapterd.
 *
 *   limit import CSV DIR MEMBERS RECEIVERS          members written, sent, verified, stored
 *   limit write  CSV DIR WRITES RECEIVERS           one at a time, from the start to stored
 *   limit update CSV DIR MEMBERS RECEIVERS UPDATES  of random ones of so many members
 *   limit sync   CSV DIR MEMBERS RECEIVERS          a feed, tier federation, to a new node
 *
 * One process writes, one for each receiver takes over what it publishes.  Included, as
 * chapterd has it: the CSV's rows as MessagePack values in three tiers, LtHash over the leaves
 * of both published tiers, one Ed25519 signature and one LMDB commit for each 1,000 records
 * (`write`: for each one, `sync`: for each 8,000) at both ends, PUB/SUB over CURVE and TCP on
 * loopback, and at the receiver the same strict reading, the signature, the recomputed digests,
 * its own commit.  LMDB's durability is the default one, and a record is published after it is
 * durable.
 *
 * Left out, because it is not the work itself but what makes it a daemon: clients and their
 * protocol, merging into what was there, history, census, distinct persons, the index of
 * sequence numbers, heads and beats of others, several feeds, quotas, forks, gaps, relaying,
 * the roster's access control (CURVE encrypts, but whoever has the server's key may subscribe).
 * Prints one JSON object.
 *
 * limit.c          the command, the processes
 * limit_store.c    LMDB: id -> seq, salt, values
 * limit_write.c    the CSV's rows, the writer
 * limit_receive.c  a receiver */
#ifndef CHAPTERD_BENCH_LIMIT_H
#define CHAPTERD_BENCH_LIMIT_H

#include <lmdb.h>
#include <stdatomic.h>

#include "proto/digest.h"
#include "proto/head.h"
#include "proto/record.h"
#include "tests/bench/bench.h"

#define ORIGIN "fr"
#define BATCH 1000 /* records under one signature, in one commit, in one message */
#define SYNC_COMMIT_MESSAGES 8
#define RECEIVERS_MAX 8
#define WRITES_MAX 100000
#define QUEUE_MESSAGES 64 /* on each side; a full one holds the writer up */

enum mode { MODE_IMPORT, MODE_WRITE, MODE_UPDATE, MODE_SYNC };

struct receiver {
    _Atomic uint64_t reached; /* seq that is stored and verified */
    int64_t stored_ns[WRITES_MAX];
};

/* What the processes share. */
struct shared {
    struct sign_key sign;
    char curve_public[41], curve_secret[41]; /* of the publisher */
    _Atomic uint64_t port;
    int64_t begun_ns[WRITES_MAX];
    struct receiver receivers[RECEIVERS_MAX];
};

struct job {
    enum mode mode;
    const char *dir;
    struct slice csv;
    uint64_t members, updates;
    unsigned receivers;
    struct shared *shared;
};

/* --- limit_store.c ---------------------------------------------------------------------- */

struct store {
    MDB_env *env;
    MDB_dbi rows;
    MDB_txn *txn;
    MDB_cursor *cursor;
};

struct record {
    struct change change;
    struct slice chapter; /* tier chapter: never sent */
};

void store_open(struct store *store, const char *dir, const char *name); /* makes it */
void store_close(struct store *store);
void store_begin(struct store *store);
void store_commit(struct store *store); /* durable */
void store_put(struct store *store, const struct record *record, unsigned flags);
bool store_get(struct store *store, const uint8_t id[ID_SIZE], struct record *out_record);
/* Its slices lie in the map. */
void record_of(const MDB_val *key, const MDB_val *value, struct record *out_record);

/* --- limit_write.c ---------------------------------------------------------------------- */
/* The file begins with bench.py's column names; returns what follows them. */
struct slice csv_begin(struct slice csv);
void write_all(const struct job *job); /* prints the result */

/* --- limit_receive.c -------------------------------------------------------------------- */
void receive_all(const struct job *job, unsigned number);

/* --- limit.c ---------------------------------------------------------------------------- */
extern const char *const mode_names[];
/* Waits until every receiver stands at seq. */
void wait_for_all(const struct job *job, uint64_t seq, unsigned pause_us);

#endif
