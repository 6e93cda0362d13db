/* SPDX-License-Identifier: MPL-2.0 */
/* control.h - what a program says to its local daemon, over ipc://DIR/control.sock (DEALER to
 * ROUTER).
 *
 * Request: MessagePack [1, id, command, {arguments}]; one reply each, in any order, with the
 * same id: [1, id, code, {result}].  code is 0, or an enum status with {"error": text,
 * "remedy": text}.
 * All of it in the strict form of PROTOCOL.md (sorted keys, shortest integers).  Result fields
 * carry the names of the JSON contract (the manual page chapterctl(1)); a program prints them
 * as they are.
 * A client keeps at most CONTROL_REQUESTS_MAX requests under way: replies to more may be lost.
 * Arguments that a command does not know are an error.  Long lists come in pages: a request
 * without "cursor" gets the first page, a reply with "cursor" has more; reads never hold the
 * store. */
#ifndef CHAPTERD_CONTROL_H
#define CHAPTERD_CONTROL_H

#include "chapterd/limits.h"
#include "chapterd/status.h"

#define CONTROL_VERSION 1
#define CONTROL_SOCKET_NAME "control.sock"

/* X(name, arguments and result)
 * "?" marks an optional argument; UUIDs and digests are text in results and arguments alike. */
#define CONTROL_TABLE(X)                                                                       \
    X("status",                                                                                \
      "{chapter?} -> the contract's status; feeds also carry hold_reason, head_hash,"          \
      "epoch_records, hq_seq, fetched_bytes, refused; peers also carry address,"               \
      "dialled, link; plus counters {name: number} and alarms [{text, remedy}]")               \
    X("explain",                                                                               \
      "{chapter} -> {chapter, name, state, head: {epoch, seq, time}, behind_changes,"          \
      " behind_seconds, heard_seconds, fresh_seconds, own, cause, text, remedy,"               \
      " path: [{chapter, direct, dialled, address, state, since_seconds, last_seen_seconds, "  \
      "seq, newest}]}:"                                                                        \
      " why a feed is as it is here; cause is one of CAUSE_TABLE")                             \
    X("counts", "{by?} -> the contract's counts, by chapter|country|kind|status|month; after " \
                "very many changes persons is nil at HQ, too, until they are counted")         \
    X("members.list",                                                                          \
      "{chapter?, country?, kind?, status?, search?, limit?, cursor?, private?}"               \
      " -> {members: [...], cursor?}")                                                         \
    X("members.get", "{id} -> {member: {...}}")                                                \
    X("members.apply",                                                                         \
      "{ops: [{op: put|remove, id?, fields?, again?}, ...], brief?, confirm?} -> {results:"    \
      " [{id, ok, seq} or {id, ok: false, error}, ...]}, in order, once"                       \
      " durable; brief: {done: number, failed: [{at, error}, ...]}, at the"                    \
      " place in ops from 0; without confirm the removals of a request fail that would take"   \
      " more than 10 % of the members within a day")                                           \
    X("members.erase",                                                                         \
      "{id} -> {id, seq, done, waits_for, confirmed: [code], missing: [code], shut_out: "      \
      "[code]}; asked again it only tells how far it is")                                      \
    X("members.who_sees",                                                                      \
      "{id} -> {id, chapter, complete, fields: [{field, tier, receivers: [code]}]}")           \
    X("members.lapse", "{confirm?} -> {due, lapsed, confirmed}: what the daily job asks")      \
    X("log",                                                                                   \
      "{after?: {chapter: seq}, chapter?, member?, since?, limit?, newest?, wait_ms?} -> "     \
      "{changes: [{chapter,"                                                                   \
      " epoch, seq, op, type, id, fields, time}], after: {chapter: seq}}; waits for news up "  \
      "to"                                                                                     \
      " wait_ms when there is nothing; newest: only the last limit changes of each feed")      \
    X("verify",                                                                                \
      "{deep?, against?} -> {origins, ok, differences: [{chapter, expected, actual}],"         \
      " deep, members}")                                                                       \
    X("wait", "{lag?, chapter?, timeout_ms} -> {in_step, seconds}")                            \
    X("invite", "{chapter, name?, country?, ttl_s?, records_max?, bytes_max?, approve?}"       \
                " -> {token, chapter, expires}")                                               \
    X("invite.list", "{} -> {invitations: [{id, chapter, name, state: open|waiting|used|"      \
                     "expired, expires, address, key}]} (HQ)")                                 \
    X("invite.approve", "{invitation: id} -> {invitation: {...}} (HQ)")                        \
    X("invite.revoke", "{invitation: id} -> {invitation: {...}} (HQ)")                         \
    X("chapters.list",                                                                         \
      "{} -> {chapters: [{chapter, name, country, state, address, epoch,"                      \
      " sign_key, former_key, former_seq, curve_key, records_max, bytes_max, until_epoch, "    \
      "until_seq}]}")                                                                          \
    X("chapters.show", "{chapter} -> {chapter: {...}}")                                        \
    X("chapters.edit", "{chapter, name?, country?, records_max?, bytes_max?} -> {chapter: "    \
                       "{...}} (HQ)")                                                          \
    X("chapters.resume", "{chapter} -> {chapter: {...}}: after a suspension (HQ)")             \
    X("chapters.revoke", "{chapter} -> {chapter: {...}}: for good (HQ)")                       \
    X("chapters.suspend", "{chapter} -> {chapter: {...}} (HQ)")                                \
    X("chapters.rekey", "{chapter, ttl_s?, approve?} -> {token, chapter, expires}")            \
    X("backup", "{file} -> {bytes, file}: an absolute path that is not there yet")             \
    X("compact", "{} -> {after, before}: bytes of the data file")                              \
    X("config", "{} -> {settings: {name: value}}")                                             \
    X("keys.rotate", "{recovery?} -> as keys.show: another signing key is made")               \
    X("keys.show", "{} -> {sign_key, next_key, curve_key, changes_of_hq}")                     \
    X("surplus.adopt", "{id?} -> {done, left}: written again as a former state had it; all of" \
                       " them without id")                                                     \
    X("surplus.discard", "{id?} -> {done, left}: it stays as it is here")                      \
    X("surplus.list",                                                                          \
      "{} -> {surplus: [{id, epoch, seq, op: put|remove, here: gone|removed|other, name,"      \
      " kind, country}], more}: what a former state of this chapter has otherwise, after a"    \
      " recovery, and the daemon cannot decide")                                               \
    X("tiers.list",                                                                            \
      "{} -> {fields: [{field, tier, organizations, default, fixed}], changed, refused,"       \
      " pending: {done, total} or nil}")                                                       \
    X("tiers.set", "{fields: {field: tier or nil}} -> as tiers.list; records are put anew in"  \
                   " the background")                                                          \
    X("version", "{} -> {version, protocol, store_format, libraries: {name: version}}")

/* X(name, what it counts): `status` shows them, since the daemon's start. */
#define COUNTER_TABLE(X)                                                                       \
    X(turns, "turns that committed")                                                           \
    X(commits_failed, "turns that could not be committed")                                     \
    X(events_applied, "events applied")                                                        \
    X(events_known, "events that were known already")                                          \
    X(events_parked, "events that arrived ahead of a gap")                                     \
    X(events_refused, "events refused: form, signature, digest or epoch")                      \
    X(heads_signed, "heads signed")                                                            \
    X(changes_written, "changes written here")                                                 \
    X(changes_applied, "changes applied from others")                                          \
    X(wants_sent, "requests for missing changes")                                              \
    X(wants_served, "requests answered")                                                       \
    X(chunks_received, "chunks of answers received")                                           \
    X(changes_received, "changes in them")                                                     \
    X(snapshots_applied, "whole feeds taken over")                                             \
    X(mismatches, "lists that did not lead to their head")                                     \
    X(forks, "proofs of fork")                                                                 \
    X(cuts, "times that all connections were ended, to end some")                              \
    X(peers_refused, "messages of peers without a place in the roster")                        \
    X(messages_malformed, "messages whose form was wrong")                                     \
    X(messages_too_many, "messages of peers that sent too many of a kind")                     \
    X(messages_unknown, "messages of types that this version does not know")                   \
    X(rows_recounted, "rows recounted by verify")                                              \
    X(hellos, "hellos received")                                                               \
    X(reissued, "records written again after a recovery")                                      \
    X(signatures_checked, "signatures checked")

/* The same, of its sockets and its disk. */
#define TRAFFIC_TABLE(X)                                                                       \
    X(cut_connections, "connections ended: strangers, keys with too many, or that misbehave")  \
    X(dropped_messages, "messages dropped: a queue was full, or the link had gone")            \
    X(received_bytes, "bytes received, of links and local programs")                           \
    X(received_messages, "messages received")                                                  \
    X(refused_handshakes, "connections refused: their key has no place in the roster")         \
    X(sent_bytes, "bytes sent")                                                                \
    X(sent_messages, "messages sent")

/* What `explain` may find.  X(name, word, meaning): the words are stable, later versions may
 * add some.  The first that applies is told. */
#define CAUSE_TABLE(X)                                                                         \
    X(NONE, "none", "all is well")                                                             \
    X(RECOVERING, "recovering",                                                                \
      "a restored or copied directory: nothing is signed before a"                             \
      " new epoch")                                                                            \
    X(FORKED, "forked", "two daemons signed with one key: the feed is frozen")                 \
    X(DIVERGED, "diverged", "it contradicts itself: the feed is frozen")                       \
    X(REVOKED, "revoked", "HQ has revoked the chapter")                                        \
    X(QUARANTINED, "quarantined", "HQ has suspended it, or named another daemon of it")        \
    X(SURPLUS, "surplus", "a former state has what the feed lacks: the operator decides")      \
    X(FULL_DISK, "full-disk", "this node's store or disk is full")                             \
    X(OVER_LIMIT, "over-limit", "the feed is larger than the roster allows: it is paused")     \
    X(DAMAGED, "damaged", "this node's copy is damaged and fetched again")                     \
    X(REFUSED, "refused", "the other side does not know this node's key")                      \
    X(ALONE, "alone", "this node has no connection to anybody")                                \
    X(NEVER_MET, "never-met", "it has joined, and nothing of it was ever here")                \
    X(STARTING, "starting", "this daemon has just started")                                    \
    X(BEHIND, "behind", "changes are known to exist and are not here yet")                     \
    X(UNREACHABLE, "unreachable", "nobody that this node hears has heard it")                  \
    X(NOT_SIGNING, "not-signing", "it is connected, and signs nothing")                        \
    X(DELAYED, "delayed", "it is heard, but what it says is old")                              \
    X(HQ_AWAY, "hq-away", "HQ is not heard: nothing proves that this is the newest")           \
    X(CLOCK, "clock", "its clock and this node's differ")

#endif
