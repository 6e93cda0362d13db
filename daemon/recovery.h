/* SPDX-License-Identifier: MPL-2.0 */
/* recovery.h - epochs: a directory that may not sign, and the way back (daemon/core/epoch.h).
 * Private to daemon/. */
#ifndef CHAPTERD_RECOVERY_H
#define CHAPTERD_RECOVERY_H

#include "daemon/node_internal.h"

/* --- epoch.c: may this directory sign, and if not, the way back (daemon/core/epoch.h) --- */
enum status epoch_load(struct node *node, struct store_txn *txn) MUST_CHECK;
/* At the start: a copied or restored directory recovers, whatever peers say. */
enum status epoch_check_marker(struct node *node) MUST_CHECK;
void epoch_turn(struct node *node);
int64_t epoch_next_ms(const struct node *node);
bool epoch_may_sign(const struct node *node);
/* The roster is older than what the token promised: nobody knows who may sign. */
bool epoch_roster_missing(const struct node *node);
/* Why it may not, and what to do, for people. */
/* What a recovery stands still for, and what ends that; false if it goes on. */
bool epoch_waits(struct node *node, const char **out_text, const char **out_remedy);
void epoch_explain(const struct node *node, const char **out_error, const char **out_remedy);
/* In the transaction of a head: the instance is this directory's from now on. */
enum status epoch_signed(struct node *node, uint64_t epoch, uint64_t instance,
                         uint64_t first_seq) MUST_CHECK;
void epoch_on_request(struct node *node, struct link *link, struct slice message);
void epoch_on_reply(struct node *node, const struct link *link, struct slice message);
/* Evidence of my own feed (b empty: a single head) that no key proves which is good now.  True,
 * and the epoch ends, if it is by former keys of mine. */
bool epoch_on_former_heads(struct node *node, struct slice a, struct slice b);
/* HQ: does its copy of that feed go on, in slices of turns, to another head?  Then nobody may
 * hold in the end where it stands now: the feed is neither closed nor ended there. */
bool epoch_is_moving(const struct node *node, const char *code);
/* HQ: closes the epoch of entry at the head that HQ holds, and opens the next. */
void epoch_close(const struct node *node, struct roster_entry *entry, uint64_t instance);

/* --- closure.c: HQ's own epochs --- */
enum status closure_load(struct node *node, struct store_txn *txn) MUST_CHECK;
void closure_send(struct node *node, const struct link *link);
void closure_on_message(struct node *node, struct slice message);

/* --- rejoin.c --- */
/* The own feed stands at the closed head: both tiers under one number again, what tier hq lost
 * issued again, the epoch's first head signed. */
enum status rejoin_begin(struct node *node) MUST_CHECK;

/* --- surplus.c: what replicas hold of a closed epoch that the new one lacks --- */
enum status surplus_load(struct node *node, struct store_txn *txn) MUST_CHECK;
/* A tier of feed is about to leave its number for that of head: true if the number is kept. */
enum status surplus_keep(struct node *node, uint32_t index, int tier, const struct head *head,
                         bool *out_kept) MUST_CHECK;
/* The own feed was replaced in tier federation: tier hq is fetched anew, too. */
enum status surplus_leave_hq(struct node *node, uint32_t index,
                             const struct head *head) MUST_CHECK;
/* After tier federation left: is there anything in it that the new rows lack?  Else it goes. */
enum status surplus_look(struct node *node, uint32_t index, uint32_t number,
                         const struct feed_mark *was) MUST_CHECK;
/* The own feed was fetched back, its tier federation is under that number: up to which seq is
 * it what this directory itself had?  Above, what it has beside the feed may be older. */
enum status surplus_known(struct node *node, uint32_t number, uint64_t *out_seq) MUST_CHECK;
/* The state of that origin at that head, if it is kept. */
bool surplus_find(struct node *node, const char *origin, uint64_t epoch,
                  const uint8_t hash[HASH_SIZE], struct store_kept *out);
void surplus_offer(struct node *node, const struct link *link);
void surplus_on_offer(struct node *node, struct link *link, struct slice message);
void surplus_on_settled(struct node *node, const struct link *link, struct slice message);
/* True if the chunk is of a state that was offered. */
bool surplus_on_changes(struct node *node, const struct link *link,
                        const struct wire_changes *chunk);
void surplus_on_refusal(struct node *node, uint64_t request);
/* Is an offered state being fetched under that number?  Then its build must stay. */
bool offers_fetch_under(const struct node *node, uint32_t number);
void surplus_turn(struct node *node);
void surplus_forget(struct node *node); /* frees what is in memory */

/* --- surplus_issue.c: what waits for the operator's word --- */
enum surplus_here { SURPLUS_GONE, SURPLUS_REMOVED, SURPLUS_OTHER }; /* what the own feed has */
struct surplus_item {
    const struct change *row; /* as the former state has it; tier federation at least */
    uint64_t epoch;
    enum surplus_here here;
};
typedef enum status surplus_visit(void *context, const struct surplus_item *item);
bool surplus_waits(struct node *node);
/* Ends with what the visitor returns, unless that is OK. */
enum status surplus_list(struct node *node, surplus_visit *visit, void *context) MUST_CHECK;
/* id NULL: all.  adopt: written again, as it was then; else it stays as it is here, and what
 * this node alone had of members that are gone is deleted. */
enum status surplus_decide(struct node *node, const uint8_t *id, bool adopt, uint64_t *out_done,
                           uint64_t *out_left) MUST_CHECK;

#endif
