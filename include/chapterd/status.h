/* SPDX-License-Identifier: MPL-2.0 */
/* status.h - the world's failures, one name each, shared by the daemon and its clients.
 *
 * Three kinds of wrong are never mixed: our own bug is an ASSERT; the world's failure is an
 * enum status, in which errno, LMDB and ZeroMQ codes end at their adapter; a peer's nonsense is
 * a verdict that is counted (see feed.h), never a status of the node. */
#ifndef CHAPTERD_STATUS_H
#define CHAPTERD_STATUS_H

/* X(name, text for people: what happened) */
#define STATUS_TABLE(X)                                                                        \
    X(OK, "ok")                                                                                \
    X(AGAIN, "nothing there yet")                                                              \
    X(NOT_FOUND, "not found")                                                                  \
    X(EXISTS, "exists already")                                                                \
    X(INVALID, "malformed")                                                                    \
    X(TOO_LARGE, "larger than the limit")                                                      \
    X(USAGE, "wrong usage")                                                                    \
    X(DENIED, "permission denied")                                                             \
    X(REFUSED, "refused")                                                                      \
    X(EXPIRED, "expired")                                                                      \
    X(USED, "used already")                                                                    \
    X(TIMEOUT, "timed out")                                                                    \
    X(UNREACHABLE, "unreachable")                                                              \
    X(ADDRESS_IN_USE, "address in use")                                                        \
    X(LOCKED, "in use by another process")                                                     \
    X(NO_SPACE, "no space left")                                                               \
    X(STORE_NEWER, "written by a newer version")                                               \
    X(STORE_DAMAGED, "damaged")                                                                \
    X(MISMATCH, "does not match the signed head")                                              \
    X(NO_MEMORY, "out of memory")                                                              \
    X(IO, "input/output error")                                                                \
    X(UNSUPPORTED, "not supported by this system or version")                                  \
    X(INTERRUPTED, "interrupted")

#define STATUS_ENUM(name, text) name,
enum status { STATUS_TABLE(STATUS_ENUM) STATUS_COUNT };
#undef STATUS_ENUM

#define MUST_CHECK __attribute__((warn_unused_result))

/* Text for people; never NULL.  Name is the enumerator, for logs ("NO_SPACE"). */
const char *status_text(enum status status);
const char *status_name(enum status status);

/* Our own bugs stop the process in every build; never use it on input or on malloc. */
#define ASSERT(condition)                                                                      \
    ((condition) ? (void)0 : status_assert_failed(#condition, __FILE__, __LINE__))
_Noreturn void status_assert_failed(const char *condition, const char *file, int line);

/* Runs release(&variable) when the variable leaves its scope. */
#define CLEANUP(release) __attribute__((cleanup(release)))

#endif
