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
    X("counts", "{by?} -> the contract's counts, by chapter|country|kind|status|month")        \
    X("members.list",                                                                          \
      "{chapter?, country?, kind?, status?, search?, limit?, cursor?, private?}"               \
      " -> {members: [...], cursor?}")                                                         \
    X("members.get", "{id} -> {member: {...}}")                                                \
    X("members.apply", "{ops: [{op: put|remove, id?, fields?}, ...]} -> {results: [{id, ok,"   \
                       " seq} or {id, ok: false, error}, ...]}, in order, once durable")       \
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
    X("invite", "{chapter, name?, country?, ttl_s?, records_max?, bytes_max?} -> {token,"      \
                " chapter, expires}")                                                          \
    X("chapters.list", "{} -> {chapters: [{chapter, name, country, state, address, epoch,"     \
                       " sign_key, curve_key, records_max, bytes_max}]}")                      \
    X("chapters.show", "{chapter} -> {chapter: {...}}")                                        \
    X("config", "{} -> {settings: {name: value}}")                                             \
    X("version", "{} -> {version, protocol, store_format, libraries: {name: version}}")

#endif
