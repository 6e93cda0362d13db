/* SPDX-License-Identifier: MPL-2.0 */
/* output.h - what the daemon's answers look like to people: values, ages, sizes.
 * Getters take absent and mistyped members, since the daemon may be of another version. */
#ifndef CHAPTERCTL_OUTPUT_H
#define CHAPTERCTL_OUTPUT_H

#include "client/session.h"

/* "" or 0 if it is absent or of another type. */
const char *json_text(const json_t *object, const char *key);
json_int_t json_count(const json_t *object, const char *key);

/* The objects of an array in ascending order of the text under key, then under second; the
 * caller's.  What is no array gives an empty one; NULL only without memory. */
json_t *json_sorted(const json_t *array, const char *key, const char *second);

/* A scalar as text: "" for null, yes and no, others as JSON.  Heap of the caller; NULL only
 * without memory. */
char *format_value(const json_t *value);

#define TIME_TEXT_SIZE 32
/* RFC 3339 in UTC, whole seconds. */
void format_time(int64_t time, char out_text[TIME_TEXT_SIZE]);
#define SPAN_TEXT_SIZE 32
/* "4 s", "12 min", "5 h", "3 d" */
void format_span(json_int_t seconds, char out_text[SPAN_TEXT_SIZE]);
/* How long ago an RFC 3339 time was; "" if it is none. */
void format_age(const char *rfc3339, char out_text[SPAN_TEXT_SIZE]);

/* A message for people on stderr, unless -q or --json. */
void notice(const struct options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Data and a line's end on stdout, escaped; on a terminal wrapped at its width. */
void print_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
