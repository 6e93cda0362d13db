/* SPDX-License-Identifier: MPL-2.0 */
/* erase.h - taking a person out for good, everywhere, and knowing when that is done.
 *
 * The removal is a change like any other.  Then the history's entries of that id go; the own
 * horizon passes the removal, so that every node forgets it, id and all; each node copies its
 * store without the free pages in which the old bytes still stand, and says so: HQ gathers what
 * the nodes say and tells each origin.  What stays here are keyed hashes, by which the person
 * cannot come back unnoticed. */
#ifndef CHAPTERD_ERASE_H
#define CHAPTERD_ERASE_H

#include "daemon/node_internal.h"
#include "daemon/write.h"

#define META_ERASE_KEY "erase_key"         /* 32 bytes: of the hashes of what was erased */
#define META_PURGE_FROM "purge_from"       /* entry of the history to look at next; 0: none */
#define META_WITHDRAWN "withdrawn"         /* own seq up to which fields were withdrawn */
#define META_PRESUMED "erased_presumed"    /* members that a recovery found to be erased */
#define META_HORIZON_MARKS "horizon_marks" /* [[day, own seq], ...], ascending */

struct erasure {
    bool any; /* something was erased here, ever */
    bool has_key;
    uint8_t key[KEY_SIZE];
    uint64_t purge_from;
    uint64_t wish;         /* the own horizon is to pass this seq */
    uint64_t withdrawn;    /* and this one, even if it forgets nothing */
    int64_t horizon_at_ms; /* it is looked at again then */
    int64_t greet_at_ms;
    int64_t say_at_ms; /* a chapter says again what its files do not hold */
    /* compacting */
    int64_t compact_at_ms; /* due then; 0: not */
    int64_t compact_not_before_ms;
    bool ready; /* nothing else must be done first: after this turn's commit */
    uint64_t compactions;
    enum status compact_status; /* of the last one */
    uint64_t bytes_before;
    int64_t last_ms; /* how long it took */
};

/* --- erased.c --- */
#define ERASED_BY_RECOVERY "recovery" /* in place of who erased */
#define ERASED_VALUES 3               /* of the tiers, the chapter's own included */
/* The key of the hashes, once; within a turn that writes. */
enum status erased_make_key(struct node *node) MUST_CHECK;
/* seq: the own horizon must pass it. */
enum status erased_note_id(struct node *node, const uint8_t id[ID_SIZE], const char *who,
                           uint64_t seq) MUST_CHECK;
/* E-mail, external id and name in the values of a version, size 0: none.  They may be the
 * store's: all are read before anything is put. who: "", or ERASED_BY_RECOVERY. */
enum status erased_note_traits(struct node *node, const struct slice values[ERASED_VALUES],
                               const char *who) MUST_CHECK;
/* As it was noted with the id; NOT_FOUND: that id was not erased here. */
enum status erased_seq(struct node *node, struct store_txn *txn, const uint8_t id[ID_SIZE],
                       uint64_t *out_seq) MUST_CHECK;

/* --- erase.c --- */
enum status erase_load(struct node *node, struct store_txn *txn) MUST_CHECK;
struct erase_report {
    uint64_t seq;        /* of the removal */
    bool history_purged; /* entries of that id are gone */
    bool forgotten;      /* the own horizon has passed the removal */
    bool hq_stated;      /* HQ said that it holds the removal: before that it can't be */
    char confirmed[ORIGINS_MAX][CODE_SIZE]; /* nodes whose files hold nothing of it */
    size_t confirmed_count;
    char waiting[ORIGINS_MAX][CODE_SIZE]; /* that have not said so yet */
    size_t waiting_count;
    char shut_out[ORIGINS_MAX][CODE_SIZE]; /* suspended or revoked: nobody can make them */
    size_t shut_out_count;
};
/* Goes through the history in the background. */
void erase_plan(struct node *node);
/* Erases, or if that was done before only reports. result->status NOT_FOUND, REFUSED with its
 * error. */
enum status erase_member(struct node *node, const uint8_t id[ID_SIZE], const char *who,
                         struct write_result *out_result) MUST_CHECK;
/* NOT_FOUND: that id was not erased here. */
enum status erase_report(struct node *node, const uint8_t id[ID_SIZE],
                         struct erase_report *out_report) MUST_CHECK;
enum erased {
    ERASED_NOT = 0,
    ERASED_HERE,    /* by members erase */
    ERASED_PRESUMED /* a restored copy had it; it was erased, or removed, since */
};
enum status erase_look_up(struct node *node, enum erased_kind kind, struct slice value,
                          enum erased *out_erased) MUST_CHECK;
/* A member that the state before the recovery had, and that the own feed has not, beyond what
 * the horizon lets be told: it is taken for erased.  row: as it was, any tiers. */
enum status erase_presume(struct node *node, const struct change *row) MUST_CHECK;
/* The same where its removal came along and is forgotten now. */
enum status erase_presume_id(struct node *node, const uint8_t id[ID_SIZE]) MUST_CHECK;
/* It came back from another node, so it was not. */
enum status erase_not_presumed(struct node *node, const uint8_t id[ID_SIZE]) MUST_CHECK;

/* --- horizon.c --- */
/* What is to be forgotten by age; once a day. */
enum status horizon_mark_day(struct node *node, int32_t today) MUST_CHECK;
/* The own horizon is to pass seq, so that every node copies its store without what its rows had
 * before. */
enum status horizon_withdraw(struct node *node, uint64_t seq) MUST_CHECK;
/* One head that forgets removals, if there are any to forget now. */
void horizon_turn(struct node *node);
int64_t horizon_next_ms(const struct node *node);
/* The seq up to which HQ said that it holds the own feed, in this epoch. */
uint64_t horizon_hq_stated(const struct node *node);

/* --- cleared.c --- */
/* Some feed's horizon moved, or did while this node did not run. */
void cleared_due(struct node *node);
void cleared_compact_now(struct node *node);
enum status cleared_load(struct node *node, struct store_txn *txn) MUST_CHECK;
/* Sees to it, within the turn, that nothing stands in the way. */
void cleared_prepare(struct node *node);
/* Compacts if that is due; no transaction may be open.  IO is fatal. */
enum status cleared_turn(struct node *node) MUST_CHECK;
int64_t cleared_next_ms(const struct node *node);
/* After a link's first hello. */
void cleared_greet(struct node *node, struct link *link);
void cleared_on_message(struct node *node, const struct link *link, struct slice message);

#endif
