/* SPDX-License-Identifier: MPL-2.0 */
/* store.h - the node's one LMDB environment: rows of feeds, their sums, and what goes with
 * them.
 *
 * Reads and writes happen inside a store_txn.  What a write transaction put is visible to its
 * own reads, and to nobody else before store_commit_turn.  Slices that come out point into the
 * map: they are valid until the transaction ends or writes again.  The store judges nothing.
 *
 * A *number* is a local feed number: the rows, index, removals, sums and census of one origin's
 * tiers live under it.  A number becomes visible only when the feed record points to it, so
 * that a snapshot is built under a fresh number and flipped.  Formats: see the table in
 * store.c, with worked hex.  Durability is LMDB's default (fdatasync at each commit), always.
 * */
#ifndef CHAPTERD_STORE_H
#define CHAPTERD_STORE_H

#include "proto/digest.h"
#include "proto/head.h"
#include "proto/record.h"

struct store;

/* Makes DIR/db: built in a temporary directory, synced, renamed, the parent synced.
 * EXISTS if there is one.  DENIED, NO_SPACE, IO. */
enum status store_create(const char *dir) MUST_CHECK;
/* map_size in bytes: a sparse file's upper bound.  NOT_FOUND, DENIED, STORE_NEWER,
 * STORE_DAMAGED, ...
 * Clears stale readers. */
enum status store_open(const char *dir, uint64_t map_size, struct store **out_store) MUST_CHECK;
void store_close(struct store **store);
/* The data file anew, without what was deleted; no transaction may be open.  The store is
 * closed and opened again: on failure *store is the old one, or NULL (fatal).  Needs room for
 * both. */
enum status store_compact(struct store **store, const char *dir) MUST_CHECK;
/* Makes DIR/db of the entries of a backup: size bytes that fd holds from where it stands.
 * EXISTS if there is one of other entries.  INVALID, UNSUPPORTED: they are none. */
enum status store_install(const char *dir, int fd, uint64_t size) MUST_CHECK;
uint64_t store_file_bytes(struct store *store); /* size of the data file */
uint64_t store_used_bytes(struct store *store); /* pages in use of the file, in bytes */

/* The run marker, in the store and in DIR/STORE_MARKER_NAME: was DIR copied, or its store put
 * back from a copy, since the last run renewed it?  Renewed at each start and clean stop. */
#define STORE_MARKER_NAME "run-marker"
enum status store_marker_check(struct store *store, const char *dir,
                               bool *out_copied) MUST_CHECK;
enum status store_marker_renew(struct store *store, const char *dir) MUST_CHECK;

struct store_txn {
    struct store *store;
    void *handle; /* NULL: none, or ended */
    bool writing;
};
enum status store_begin_read(struct store *store, struct store_txn *out_txn) MUST_CHECK;
enum status store_begin_write(struct store *store, struct store_txn *out_txn) MUST_CHECK;
/* This turn is durable: it may be acknowledged and published.  NO_SPACE (map or disk full),
 * IO (fatal: the daemon must stop).  The transaction is over either way. */
enum status store_commit_turn(struct store_txn *txn) MUST_CHECK;
/* LMDB holds everything that was committed.  One with store_commit_turn today. */
enum status store_checkpoint(struct store *store) MUST_CHECK;
void store_abort(struct store_txn *txn); /* also ends a read; takes an ended one */

/* --- meta: small named values (identity of the federation, boot count, ...) --------------- */
/* NOT_FOUND */
enum status store_get_meta(struct store_txn *txn, const char *name,
                           struct slice *out) MUST_CHECK;
enum status store_put_meta(struct store_txn *txn, const char *name,
                           struct slice value) MUST_CHECK;
/* 0 if absent */
enum status store_get_meta_uint(struct store_txn *txn, const char *name,
                                uint64_t *out) MUST_CHECK;
enum status store_put_meta_uint(struct store_txn *txn, const char *name,
                                uint64_t value) MUST_CHECK;

/* --- feeds: one record an origin ---------------------------------------------------------- */
enum feed_hold { FEED_OK = 0, FEED_FORKED = 1, FEED_DIVERGED = 2 }; /* why it is frozen */
struct store_feed_tier {
    uint32_t number; /* 0: this tier is not held (yet) */
    struct signed_head head;
    uint64_t horizon; /* removals up to here are gone */
};
struct store_feed {
    char origin[CODE_SIZE];
    struct store_feed_tier tier[TIERS_PUBLISHED]; /* equal numbers share rows */
    enum feed_hold hold;
    uint64_t hold_epoch;     /* the epoch that is frozen */
    struct signed_beat beat; /* newest, size 0 if none */
};
enum status store_get_feed(struct store_txn *txn, const char *origin,
                           struct store_feed *out) MUST_CHECK;
enum status store_put_feed(struct store_txn *txn, const struct store_feed *feed) MUST_CHECK;
/* In ascending order of origin: the first feed with origin > after ("" for the first).
 * NOT_FOUND. */
enum status store_next_feed(struct store_txn *txn, const char *after,
                            struct store_feed *out) MUST_CHECK;
/* A number never used before in this environment, from 1. */
enum status store_new_number(struct store_txn *txn, uint32_t *out_number) MUST_CHECK;

/* --- rows --------------------------------------------------------------------------------- */
/* The newest version of id in each held tier.  If the tiers stand at different seqs, out_change
 * is filled per tier: see seq_of.  NOT_FOUND if no tier holds it. */
struct store_row {
    enum record_type type;
    uint8_t id[ID_SIZE];
    unsigned tiers;
    uint64_t seq[TIERS_PUBLISHED]; /* equal in the ordinary case */
    uint8_t salt[SALT_SIZE];
    struct slice value[TIERS_PUBLISHED];
};
enum status store_get_row(struct store_txn *txn, uint32_t number, const uint8_t id[ID_SIZE],
                          struct store_row *out) MUST_CHECK;
/* Puts the tiers of change (change->tiers) as the newest version: removes those tiers from the
 * row at the older seq (which goes when no tier is left) and adds them at change->seq; keeps
 * the removals' index.  Sums and census are the caller's. */
enum status store_put_row(struct store_txn *txn, uint32_t number,
                          const struct change *change) MUST_CHECK;
/* How many rows this transaction has put so far; 0 if it does not write. */
size_t store_rows_put(const struct store_txn *txn);
/* Forgets the given tiers of id altogether (removals behind the horizon). */
enum status store_drop_row(struct store_txn *txn, uint32_t number, unsigned tiers,
                           const uint8_t id[ID_SIZE]) MUST_CHECK;
/* Removals (value nil in any of tiers) with after < seq <= up_to, ascending: up to max ids. */
enum status store_list_removals(struct store_txn *txn, uint32_t number, unsigned tiers,
                                uint64_t after, uint64_t up_to, uint8_t (*out_ids)[ID_SIZE],
                                size_t max, size_t *out_count) MUST_CHECK;

/* Rows of a number that hold any of tiers, by ascending seq from the first with seq > after.
 * In a row of split tiers only those at that seq are present.  The cursor lives in the
 * transaction; end it before the transaction, and do not write while one is open. */
struct store_cursor {
    void *handle;
    uint32_t number;
    unsigned tiers;
    uint64_t after;
    bool started;
};
enum status store_cursor_open(struct store_txn *txn, uint32_t number, unsigned tiers,
                              uint64_t after, struct store_cursor *out) MUST_CHECK;
/* NOT_FOUND at the end */
enum status store_cursor_next(struct store_cursor *cursor,
                              struct change *out_change) MUST_CHECK;
void store_cursor_close(struct store_cursor *cursor);
/* Rows with seq > after (any tier), counted up to max. */
enum status store_count_rows(struct store_txn *txn, uint32_t number, uint64_t after,
                             uint64_t max, uint64_t *out_count) MUST_CHECK;

/* Sum of one tier under a number; an absent one is empty. */
enum status store_get_sum(struct store_txn *txn, uint32_t number, enum tier tier,
                          struct digest_sum *out) MUST_CHECK;
enum status store_put_sum(struct store_txn *txn, uint32_t number, enum tier tier,
                          const struct digest_sum *sum) MUST_CHECK;

/* --- census: counters under a number; number 0 is the whole view -------------------------- */
#define CENSUS_KEY_SIZE 6 /* dimension, kind, status, value (3 bytes at most, NUL-padded) */
/* zero goes */
enum status store_census_add(struct store_txn *txn, uint32_t number,
                             const uint8_t key[CENSUS_KEY_SIZE], int64_t delta) MUST_CHECK;
typedef enum status store_census_visit(void *context, const uint8_t key[CENSUS_KEY_SIZE],
                                       uint64_t count);
/* Visits the counters whose key starts with prefix (prefix_size 0 to 6). */
enum status store_census_scan(struct store_txn *txn, uint32_t number, const uint8_t *prefix,
                              size_t prefix_size, store_census_visit *visit,
                              void *context) MUST_CHECK;
/* Adds (or subtracts) all counters of number to those of number 0: part of a flip. */
enum status store_census_merge(struct store_txn *txn, uint32_t number, int sign) MUST_CHECK;

/* --- persons (HQ): how many memberships share a normalised e-mail ------------------------- */
#define PERSON_HASH_SIZE 16
enum person_form { PERSON_NONE, PERSON_ANONYMOUS, PERSON_HASHED };
/* States what a membership counts as, replacing what was stated before: nothing, one person of
 * its own (no e-mail), or the person of that hash.  Idempotent; keeps the number of distinct
 * persons. */
enum status store_set_person(struct store_txn *txn, const char *origin,
                             const uint8_t id[ID_SIZE], enum person_form form,
                             const uint8_t hash[PERSON_HASH_SIZE]) MUST_CHECK;
enum status store_person_count(struct store_txn *txn, uint64_t *out_count) MUST_CHECK;

/* --- heads and evidence ------------------------------------------------------------------- */
/* Remembers an accepted head; keeps the newest HEADS_KEPT of the origin. */
enum status store_put_head(struct store_txn *txn, const struct head *head,
                           struct slice envelope) MUST_CHECK;
/* Remembered heads of origin, ascending (epoch, seq): up to max. */
enum status store_list_heads(struct store_txn *txn, const char *origin, struct signed_head *out,
                             size_t max, size_t *out_count) MUST_CHECK;
/* Two envelopes that conflict; at most EVIDENCE_MAX an origin, known pairs are EXISTS. */
enum status store_put_evidence(struct store_txn *txn, const char *origin, struct slice a,
                               struct slice b) MUST_CHECK;
enum status store_list_evidence(struct store_txn *txn, const char *origin,
                                struct signed_head (*out)[2], size_t max,
                                size_t *out_count) MUST_CHECK;

/* --- the origin's own --------------------------------------------------------------------- */
/* Tier chapter: a map, never published. */
enum status store_get_private(struct store_txn *txn, const uint8_t id[ID_SIZE],
                              struct slice *out_map) MUST_CHECK;
/* size 0 deletes */
enum status store_put_private(struct store_txn *txn, const uint8_t id[ID_SIZE],
                              struct slice map) MUST_CHECK;
/* Audit trail: appended under an increasing number; value is MessagePack of the caller. */
enum status store_append_history(struct store_txn *txn, uint64_t time_s,
                                 struct slice value) MUST_CHECK;
enum status store_prune_history(struct store_txn *txn, uint64_t before_s,
                                size_t max) MUST_CHECK;
typedef enum status store_history_visit(void *context, uint64_t number, uint64_t time_s,
                                        struct slice value);
/* Deletes those of the next max entries from number `from` on that the visitor picks;
 * *out_next: where to go on, 0 when there are no more. */
typedef bool store_history_pick(void *context, struct slice value);
enum status store_purge_history(struct store_txn *txn, uint64_t from, size_t max,
                                store_history_pick *pick, void *context,
                                uint64_t *out_next) MUST_CHECK;
/* Newest first, from number < before (UINT64_MAX for the newest); the visitor stops it with
 * AGAIN. */
enum status store_scan_history(struct store_txn *txn, uint64_t before,
                               store_history_visit *visit, void *context) MUST_CHECK;
/* Hashes of what was erased and must not come back unnoticed; values are the caller's. */
#define ERASED_HASH_SIZE 16
enum erased_kind { ERASED_ID = 1, ERASED_EMAIL = 2, ERASED_EXTERNAL_ID = 3, ERASED_NAME = 4 };
/* NOT_FOUND */
enum status store_get_erased(struct store_txn *txn, enum erased_kind kind,
                             const uint8_t hash[ERASED_HASH_SIZE],
                             struct slice *out) MUST_CHECK;
enum status store_put_erased(struct store_txn *txn, enum erased_kind kind,
                             const uint8_t hash[ERASED_HASH_SIZE],
                             struct slice value) MUST_CHECK;
/* OK where there is none, too. */
enum status store_delete_erased(struct store_txn *txn, enum erased_kind kind,
                                const uint8_t hash[ERASED_HASH_SIZE]) MUST_CHECK;
typedef enum status store_erased_visit(void *context, struct slice value);
enum status store_scan_erased(struct store_txn *txn, enum erased_kind kind,
                              store_erased_visit *visit, void *context) MUST_CHECK;
/* A node's files hold nothing of what was removed from an origin's feed up to (epoch, seq). */
struct store_cleared {
    char node[CODE_SIZE];
    char origin[CODE_SIZE];
    uint64_t epoch;
    uint64_t seq;
};
/* NOT_FOUND */
enum status store_get_cleared(struct store_txn *txn, const char *node, const char *origin,
                              struct store_cleared *out) MUST_CHECK;
enum status store_put_cleared(struct store_txn *txn,
                              const struct store_cleared *cleared) MUST_CHECK;
/* The first after `after` (NULL: of all), ascending by node, origin.  NOT_FOUND. */
enum status store_next_cleared(struct store_txn *txn, const struct store_cleared *after,
                               struct store_cleared *out) MUST_CHECK;
/* Invitations at HQ: secret's hash -> MessagePack of the caller. */
enum status store_get_invite(struct store_txn *txn, const uint8_t hash[HASH_SIZE],
                             struct slice *out) MUST_CHECK;
enum status store_put_invite(struct store_txn *txn, const uint8_t hash[HASH_SIZE],
                             struct slice value) MUST_CHECK;
enum status store_delete_invite(struct store_txn *txn,
                                const uint8_t hash[HASH_SIZE]) MUST_CHECK;
/* after NULL: the first */
enum status store_next_invite(struct store_txn *txn, const uint8_t after[HASH_SIZE],
                              uint8_t out_hash[HASH_SIZE], struct slice *out) MUST_CHECK;

/* --- builds: transfers under way, and numbers to be deleted ------------------------------- */
struct store_build {
    char origin[CODE_SIZE];
    unsigned tiers;
    uint32_t number;        /* rows so far are under it */
    uint8_t peer[KEY_SIZE]; /* the one that serves */
    uint64_t epoch;
    uint64_t since;
    uint64_t base;
    uint64_t reached; /* highest seq put */
    uint64_t rows;
    uint64_t copied_to;      /* own rows taken over up to this seq (long deltas) */
    struct signed_head head; /* the final one, size 0 before the last chunk */
};
/* One at a time for each (origin, tiers). */
enum status store_get_build(struct store_txn *txn, const char *origin, unsigned tiers,
                            struct store_build *out) MUST_CHECK;
enum status store_put_build(struct store_txn *txn, const struct store_build *build) MUST_CHECK;
enum status store_delete_build(struct store_txn *txn, const char *origin,
                               unsigned tiers) MUST_CHECK;
enum status store_next_build(struct store_txn *txn, const char *after_origin,
                             unsigned after_tiers, struct store_build *out) MUST_CHECK;
/* --- states of closed epochs, and what was offered of them (core/epoch.h) ----------------- */
/* The rows of a number at a head that the origin's next epoch does not lead on from. */
struct store_kept {
    char origin[CODE_SIZE];
    uint64_t epoch;
    uint8_t hash[HASH_SIZE]; /* of the head */
    uint32_t number;
    unsigned tiers;
    struct signed_head head;
};
enum status store_get_kept(struct store_txn *txn, const char *origin, uint64_t epoch,
                           const uint8_t hash[HASH_SIZE], struct store_kept *out) MUST_CHECK;
enum status store_put_kept(struct store_txn *txn, const struct store_kept *kept) MUST_CHECK;
/* Takes the entry away; its number is the caller's to discard. */
enum status store_delete_kept(struct store_txn *txn, const struct store_kept *kept) MUST_CHECK;
/* The first after `after` (NULL: of all), ascending by origin, epoch, hash.  NOT_FOUND. */
enum status store_next_kept(struct store_txn *txn, const struct store_kept *after,
                            struct store_kept *out) MUST_CHECK;
/* What the origin remembers of an id that was offered: of the caller's. */
struct store_offered {
    uint64_t epoch;
    uint64_t seq;
    uint64_t put_seq;
    bool with_hq;
};
/* Zeros if the id is not known. */
enum status store_get_offered(struct store_txn *txn, const uint8_t id[ID_SIZE],
                              struct store_offered *out) MUST_CHECK;
enum status store_put_offered(struct store_txn *txn, const uint8_t id[ID_SIZE],
                              const struct store_offered *offered) MUST_CHECK;
/* Forgets up to max of them; *out_more: there are others. */
enum status store_forget_offered(struct store_txn *txn, size_t max, bool *out_more) MUST_CHECK;

/* Marks the given tiers of a number for deletion, to be done in slices in the background: their
 * rows, sums and, with the last tier or tier federation, the number's census. */
enum status store_discard(struct store_txn *txn, const char *origin, uint32_t number,
                          unsigned tiers) MUST_CHECK;
typedef enum status store_sweep_visit(void *context, const char *origin,
                                      const uint8_t id[ID_SIZE]);
/* Deletes up to max rows of what was discarded, visit (may be NULL) is told of each after it
 * went; out_more says whether any are left. */
enum status store_sweep(struct store_txn *txn, size_t max, store_sweep_visit *visit,
                        void *context, bool *out_more) MUST_CHECK;

#endif
