/* SPDX-License-Identifier: MPL-2.0 */
/* session.h - chapterctl's connection to the local daemon, and what every command is given.
 * Protocol: include/chapterd/control.h.  No database, no keys. */
#ifndef CHAPTERCTL_SESSION_H
#define CHAPTERCTL_SESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "chapterd/control.h"
#include "proto/mp.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_UNREACHABLE = 3,
    EXIT_DIFFERENCES = 4
};
enum output_form { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_CSV };

/* Global options, before the noun. */
struct options {
    const char *socket_path; /* NULL: found by the rules */
    const char *program;     /* "chapterctl", with -s and the socket if that was given */
    enum output_form form;
    int watch_seconds; /* 0: once */
    bool quiet;
    bool silent; /* errors are not even reported: what is asked by the way */
    bool verbose;
    bool color; /* decided: terminal, NO_COLOR and --color */
    double timeout_seconds;
};

struct session;

/* Nothing is sent yet.  USAGE with a printed error if the path is too long. */
enum status session_open(const struct options *options, struct session **out) MUST_CHECK;
void session_close(struct session **session);
const struct options *session_options(const struct session *session);

/* One request and its reply.  args and *out_result are JSON objects; the caller owns both
 * (args is not taken).  On failure an error with its remedy has been printed to stderr (as JSON
 * under --json) and the code is returned: EXIT_FAILED, EXIT_UNREACHABLE, ... */
enum exit_code session_request(struct session *session, const char *command, json_t *args,
                               json_t **out_result) MUST_CHECK;

/* Pipelined: at most SESSION_WINDOW requests are under way, replies come back in the order of
 * sending.  After EXIT_UNREACHABLE nothing is under way any more. */
#define SESSION_WINDOW 64
enum exit_code session_send(struct session *session, const char *command,
                            json_t *args) MUST_CHECK;
enum exit_code session_receive(struct session *session, json_t **out_result) MUST_CHECK;
/* The same for much data, as the MessagePack that it travels in.  args: a map.  The result is
 * a valid map; it stays until the next request or reply. */
enum exit_code session_send_raw(struct session *session, const char *command,
                                struct slice args) MUST_CHECK;
enum exit_code session_receive_raw(struct session *session,
                                   struct slice *out_result) MUST_CHECK;

/* tick is called about four times a second for as long as a reply is awaited; NULL ends it. */
void session_while_waiting(struct session *session, void (*tick)(void *context), void *context);
/* A wait for a reply ends with EXIT_FAILED, without a report, once interrupted(); from now on
 * it does not: what was asked for is done, and its outcome is to be told. */
void session_finish_when_interrupted(struct session *session);
/* Seconds that the next replies may take beyond -t, for commands that work long; 0 ends it. */
void session_extend_timeout(struct session *session, double seconds);
/* The text of the error that was reported last; "" if there was none. */
const char *session_last_error(const struct session *session);

/* A remedy as it is to be typed here: chapterctl with this one's -s.  Heap of the caller; NULL
 * only without memory. */
char *remedy_here(const struct options *options, const char *remedy);
/* Prints "chapterctl: what happened" and "  try: remedy" to stderr, or {"error","remedy"}. */
void report_error(const struct options *options, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Prints "chapterctl: warning: ..." to stderr, or {"warning"}; not with -q. */
void report_warning(const struct options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Writes text with control, C1 and bidi characters made visible, as \uXXXX like JSON; what all
 * output goes through. */
void print_escaped(FILE *stream, const char *text);
/* The same into a heap string of the caller. NULL only without memory. */
char *escape_text(const char *text);

/* As one word of a shell's command line, quoted where it must be.  Heap of the caller; NULL
 * only without memory. */
char *shell_word(const char *text);

/* One JSON value on a line of its own, with \u escapes for what is never shown raw. */
void print_json(FILE *stream, const json_t *value);

/* JSON <-> the strict MessagePack of the protocol (sorted keys).  A number beyond 2^63 - 1
 * becomes a string of its digits.  Binary values have no JSON form and do not occur in control
 * messages.  NULL / false without memory or on a forbidden value. */
json_t *json_of_mp(struct slice value);
bool mp_write_json(struct mp_writer *writer, const json_t *value);

#endif
