/* SPDX-License-Identifier: MPL-2.0 */
/* replication.h - from events, beats and answers of peers to rows and heads.  Private to
 * daemon/. */
#ifndef CHAPTERD_REPLICATION_H
#define CHAPTERD_REPLICATION_H

#include "daemon/node_internal.h"

/* --- sync.c, evidence.c, greet.c --- */
void sync_on_event(struct node *node, uint32_t peer, struct slice message);
/* A well-formed head of this federation, signed by its origin? */
bool sync_head_proven(struct node *node, struct slice envelope, struct head *out_head,
                      uint32_t *out_feed);
void sync_on_evidence(struct node *node, uint32_t peer, struct slice message);
/* apply_list over a list of a message, which has the tiers of list_tiers. */
enum status sync_apply_wire(struct node *node, uint32_t index, unsigned apply_tiers,
                            const struct head *head, struct slice envelope,
                            const struct wire_list *changes, unsigned list_tiers,
                            unsigned *out_applied, unsigned *out_paused) MUST_CHECK;
void sync_show_head(struct node *node, const struct link *link, uint32_t index,
                    const struct feed_mark *mark);
void sync_show_evidence(struct node *node, const struct link *link);
/* To HQ, or their origin: heads that I stand at, and took before their key was void. */
void sync_show_void_heads(struct node *node, const struct link *link);
/* A proven head or beat of my own feed: am I behind myself? */
void sync_own_head(struct node *node, uint64_t epoch, uint64_t seq);
/* A head of HQ that is older than the roster of the token that this chapter joined with. */
bool sync_below_floor(const struct node *node, const struct head *head);
/* The origin signed it standing at a newer roster than the one in force here: its key may have
 * changed. */
bool sync_roster_is_older(const struct node *node, const struct head *head);
/* Within the roster's limits for that feed?  Notes it for status if not. */
bool sync_within_quota(struct node *node, uint32_t feed, const struct head *head);
/* The tiers of the set whose sums are of more bytes than the roster allows; noted likewise. */
unsigned sync_over_bytes(struct node *node, uint32_t index, unsigned tiers,
                         const struct digest_sum sums[TIERS_PUBLISHED]);
/* Those that a peer had dialled are gone. */
void sync_forget_in_links(struct node *node, uint32_t peer);
/* After a link went: is there any other to that peer? */
void sync_peer_maybe_down(struct node *node, uint32_t peer);
void sync_own_beat(struct node *node); /* now */
/* The origin's keys are others now: a beat of an epoch that the roster does not know may have
 * been a thief's, and hides all that come. */
void sync_recheck_beat(struct node *node, uint32_t index);
/* To the origin itself: the newest beat that I hold of it. */
void sync_show_beat(struct node *node, const struct link *link, uint32_t index);
void sync_on_beat(struct node *node, const struct link *link, struct slice message);
/* An own beat as soon as the last is spacing_ms old. */
void sync_beat_soon(struct node *node, int64_t spacing_ms);
void sync_on_peer(struct node *node, const struct transport_message *message);
void sync_on_published(struct node *node, const struct transport_message *message);
void sync_on_link_up(struct node *node, const struct transport_message *message);
void sync_on_link_down(struct node *node, const struct transport_message *message);
void sync_timers(struct node *node);
int64_t sync_next_ms(const struct node *node);
/* Asks for a hello's answer from that peer (verify --against). */
void sync_greet(struct node *node, struct link *link);
/* Plans beat and vector after the own or another feed advanced. */
void sync_feed_advanced(struct node *node, uint32_t index);
/* A head that conflicts with an accepted one: kept, flooded, frozen.  other is its mark. */
void sync_on_fork(struct node *node, uint32_t index, struct slice envelope,
                  const struct feed_mark *other);
/* Applies parked events that follow on now. */
void sync_unpark(struct node *node, uint32_t index);
/* peer handed it in. */
void sync_note_beat(struct node *node, uint32_t peer, const struct beat *beat,
                    struct slice envelope);

/* --- apply.c --- */
/* Where changes come from: returns false at the end.  rewind starts over. */
struct change_source {
    bool (*next)(void *context, struct change *out_change);
    void (*rewind)(void *context);
    /* Is the id in the list?  NULL for lists of a message, whose ids apply.c keeps. */
    bool (*has)(void *context, const uint8_t id[ID_SIZE]);
    void *context;
};
/* Judges the list against my rows in the given tiers and puts it where it leads to the head.
 * *out_applied: the tiers that advanced; *out_paused: those that matched and are larger than
 * the roster allows; the others did not match.  An error is one inside the
 * puts: the turn has failed. */
enum status apply_list(struct node *node, uint32_t index, unsigned tiers,
                       const struct head *head, struct slice envelope,
                       struct change_source *source, unsigned *out_applied,
                       unsigned *out_paused) MUST_CHECK;
/* Points the feed's tiers to a finished number: census, sums, head; the old number goes. */
enum status apply_flip(struct node *node, uint32_t index, unsigned tiers, uint32_t number,
                       const struct head *head, struct slice envelope) MUST_CHECK;
/* After tiers stand at head: record, memory of heads, replica, roster, timers. */
enum status apply_advance(struct node *node, uint32_t index, unsigned tiers,
                          const struct head *head, struct slice envelope) MUST_CHECK;
void row_version_of(const struct store_row *row, struct row_version *out_version);
/* At HQ: states what a membership counts as, now, or later if the turn puts very many.  change
 * has the id, and of the tiers that it holds the newest values; what it does not hold is looked
 * up. */
enum status apply_person(struct node *node, uint32_t index,
                         const struct change *change) MUST_CHECK;

/* --- removals.c --- */
/* Would so many more be more than the origin's users may remove without being asked? */
bool removals_need_word(const struct node *node, uint64_t more);
/* The operator meant them: what follows is counted anew. */
void removals_confirmed(struct node *node);
/* Members of the feed were removed, or (less than 0) put again, in this turn. */
void removals_note(struct node *node, uint32_t index, int64_t removed);
/* At HQ: were many removed of late? */
bool removals_told(const struct node *node, uint32_t index, uint64_t *out_removed,
                   uint64_t *out_records);
enum status removals_flush(struct node *node) MUST_CHECK; /* before the commit */
enum status removals_load(struct node *node, struct store_txn *txn) MUST_CHECK;

/* --- persons.c (HQ) --- */
/* The feed's persons are to be stated anew from seq reached_plus_one on; 0: all are. */
enum status persons_mark(struct node *node, uint32_t index,
                         uint64_t reached_plus_one) MUST_CHECK;
/* Of the address as it is compared: NFC, trimmed, lower-cased; false if there is none. */
bool persons_email_hash(struct slice email, uint8_t out_hash[PERSON_HASH_SIZE]);
enum status persons_load(struct node *node, struct store_txn *txn) MUST_CHECK;
bool persons_slice(struct node *node); /* true if there is more */

/* --- pull.c --- */
void pull_want(struct node *node, const struct replica_effect *effect);
void pull_dropped(struct node *node, const struct replica_effect *effect);
void pull_on_changes(struct node *node, uint32_t peer, struct link *link, struct slice message);
void pull_on_refusal(struct node *node, uint32_t peer, struct slice message);
/* Puts a chunk into the build of its answer; the last one ends it. */
void pull_stage(struct node *node, uint32_t peer, uint32_t index,
                const struct wire_changes *answer, bool first);
/* A slice of merging long deltas; true if there is more. */
bool pull_merge_slice(struct node *node);

/* --- serve.c --- */
void serve_on_want(struct node *node, struct link *link, struct slice message);
void serve_on_credit(struct node *node, struct link *link, struct slice message);
bool serve_turn(struct node *node); /* true if a walk could go on at once */
int64_t serve_next_ms(const struct node *node);
void serve_drop_all(struct node *node);

/* --- measure.c: how much of this node a peer may take --- */
/* New beats of an origin: is another one within its measure?  One was taken. */
bool measure_beat(struct node *node, struct node_feed *feed);
void measure_beat_taken(struct node *node, struct node_feed *feed);
bool measure_hello(struct node *node, uint32_t peer);
bool measure_proof(struct node *node, uint32_t peer);
/* May another signature be checked that came from this peer?  One was wrong. */
bool measure_signature(struct node *node, uint32_t peer);
void measure_unproven(struct node *node, uint32_t peer);
/* HQ: may the roster be changed once more because this peer asks for it? */
bool measure_entry(struct node *node, uint32_t peer);
/* HQ: may evidence that only its origin can judge be passed on for this peer? */
bool measure_relay(struct node *node, uint32_t peer);
/* A malformed message of a peer: too many, and it is cut off for a while. */
void measure_nonsense(struct node *node, uint32_t peer, const uint8_t key[KEY_SIZE]);
/* The transport has cut it off. */
void measure_flood(struct node *node, const uint8_t key[KEY_SIZE]);

#endif
