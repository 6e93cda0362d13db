/* SPDX-License-Identifier: MPL-2.0 */
/* bug.h - deliberate mistakes, by which the simulator proves that it would notice them.
 *
 * They exist in its program sim_bugs alone (CHAPTERD_BUGS), which makes one of them at a time;
 * everywhere else BUG(name) is the constant false and nothing of them is compiled. */
#ifndef CHAPTERD_BUG_H
#define CHAPTERD_BUG_H

#include <stdbool.h>

/* X(name, what is done wrong) */
#define BUG_TABLE(X)                                                                           \
    X(SENT_BEFORE_COMMIT, "a turn's messages leave before its commit")                         \
    X(DROPPED_TURN_SENT, "messages of a turn that failed leave with the next")                 \
    X(BATCH_KEPT, "a failed turn's unsigned changes are signed later")                         \
    X(CENSUS_KEPT, "a failed turn's census deltas count later")                                \
    X(NO_RELOAD, "nothing is taken from the store again after a failed turn")                  \
    X(ROSTER_NOT_READ, "a changed roster is not read")                                         \
    X(BOOT_NOT_COUNTED, "starts are not counted")                                              \
    X(FREEZE_FORGOTTEN, "a start forgets that a feed is frozen")                               \
    X(DIGEST_NOT_COMPARED, "a list is applied whatever it leads to")                           \
    X(HQ_TIER_NOT_PUT, "rows of tier hq are judged, but not put")                              \
    X(SUM_NOT_STORED, "rows are put without their sum")                                        \
    X(HEAD_NOT_STORED, "rows are put without their head")                                      \
    X(CENSUS_DELTA_LOST, "one count of each applied change is forgotten")                      \
    X(CENSUS_OF_ALL_LOST, "applied changes do not count in the view")                          \
    X(OWN_CENSUS_LOST, "one count of each own change is forgotten")                            \
    X(PERSON_LOST, "applied changes do not state their person anew")                           \
    X(FLIP_NOT_VERIFIED, "a snapshot is shown whatever its digest")                            \
    X(FLIP_COUNTS_TWICE, "replaced rows go on counting")                                       \
    X(FLIP_LEAVES_ROWS, "replaced rows are never discarded")                                   \
    X(FLIP_FORGETS_PERSONS, "persons are not stated anew after a flip")                        \
    X(NEVER_SWEPT, "what was discarded is never deleted")                                      \
    X(OLD_ROW_KEPT, "a record's former row stays")                                             \
    X(LOWER_HEAD_TAKEN, "an older head is accepted")                                           \
    X(FORK_NOT_SEEN, "no two heads ever conflict")                                             \
    X(FORK_NOT_TOLD, "proofs of fork are kept to oneself")                                     \
    X(FROZEN_TAKEN, "a frozen feed advances")                                                  \
    X(FROZEN_SERVED, "a frozen feed is served")                                                \
    X(EVIDENCE_NOT_CHECKED, "any two heads prove a fork")                                      \
    X(HEAD_NOT_VERIFIED, "an event's head needs no signature")                                 \
    X(BEAT_NOT_VERIFIED, "a beat needs no signature")                                          \
    X(BEAT_NOT_FLOODED, "beats are not passed on")                                             \
    X(NO_ECHO, "beats do not echo HQ's")                                                       \
    X(STALE_SHOWN_CURRENT, "a stale feed is shown as current")                                 \
    X(VECTOR_IGNORED, "differing vectors lead to no hello")                                    \
    X(HELLO_ANSWERED_ALWAYS, "answers to hellos are answered")                                 \
    X(HQ_TIER_PUBLISHED, "an event is passed on with tier hq")                                 \
    X(HQ_TIER_SERVED_TO_ALL, "whoever asks for tier hq gets it")                               \
    X(HQ_TIER_NOT_FETCHED, "HQ never asks for tier hq")                                        \
    X(RETRIED_AT_ONCE, "a failed want is repeated without a pause")                            \
    X(NEVER_RETRIED, "a failed want is never repeated")                                        \
    X(NO_TIMEOUT, "a want without an answer is waited for for ever")                           \
    X(PULLS_LEAK, "ended wants count as being under way")                                      \
    X(NO_RECOUNT, "a mismatch leads to no recount")                                            \
    X(DAMAGE_IGNORED, "a recount that finds damage changes nothing")                           \
    X(EVERY_CHUNK_ENDS, "every chunk carries the final head")                                  \
    X(WALK_SKIPS_A_ROW, "a row is left out between two chunks")                                \
    X(OWN_PAST_IGNORED, "a proof that this copy is old is ignored")                            \
    X(RECOVERING_SIGNS, "an old copy signs although it knows that it is one")                  \
    X(SIGNS_AT_ONCE, "a start signs before anybody said hello")                                \
    X(WRONG_PREVIOUS, "a head names the wrong one before it")                                  \
    X(OLD_LEAF_KEPT, "a change's former leaf stays in the digest")                             \
    X(NO_SALT, "leaves of tier hq have no salt")                                               \
    X(PRIVATE_LOST, "tier chapter is not stored")                                              \
    X(COPY_NOT_SEEN, "a restored directory takes itself for the one that ran")                 \
    X(CLOSED_TAKEN, "heads beyond the one at which an epoch was closed are taken")             \
    X(UNREAD_ROSTER_SIGNS, "who joined signs before it has read the roster")                   \
    X(REFUSED_BATCH_OPEN, "a batch of refused changes stays open")                             \
    X(ERASED_HISTORY_KEPT, "the history of who was erased is kept")                            \
    X(ERASED_TAKEN_BACK, "who was erased may be put again")                                    \
    X(CLEARED_AT_ONCE, "files are said to be clean before they are")                           \
    X(HORIZON_TOO_FAR, "removals are forgotten before HQ has them")                            \
    X(FORGOTTEN_KEPT, "removals behind the horizon stay")                                      \
    X(TIERS_NOT_PUT_ANEW, "records stay in the tiers that they were in")                       \
    X(FORMER_KEY_GOOD, "a chapter's former key stays good")                                    \
    X(FORMER_KEY_OF_HQ_GOOD, "HQ's first key stays good")                                      \
    X(FORMER_KEY_BEGINS, "a directory with a former key begins the epoch")                     \
    X(VOID_HEAD_LEFT, "who holds a head of a void key is left alone")                          \
    X(KEY_IN_FORCE_EARLY, "HQ's next key is in force before that is durable")                  \
    X(ENDED_TAKEN, "heads beyond the end of a feed are taken")                                 \
    X(REVOKED_KEPT, "who stands beyond a revocation stays there")                              \
    X(REVOKED_ADMITTED, "who was shut out is admitted")

#ifdef CHAPTERD_BUGS
#define BUG_ENUM(name, text) BUG_##name,
enum bug { BUG_NONE, BUG_TABLE(BUG_ENUM) BUG_COUNT };
#undef BUG_ENUM
extern enum bug bug_made; /* the simulator's */
#define BUG(name) (bug_made == BUG_##name)
#else
#define BUG(name) false
#endif

#endif
