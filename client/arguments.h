/* SPDX-License-Identifier: MPL-2.0 */
/* arguments.h - a command's own words and options, checked and put into a request's arguments.
 * One row a command's option; forms are checked here, so that a mistyped one never leaves. */
#ifndef CHAPTERCTL_ARGUMENTS_H
#define CHAPTERCTL_ARGUMENTS_H

#include "client/session.h"

enum argument_form {
    ARGUMENT_FLAG, /* no value; true */
    ARGUMENT_TEXT,
    ARGUMENT_CODE,         /* a chapter's code */
    ARGUMENT_COUNT,        /* a whole number from 0 */
    ARGUMENT_SIZE,         /* bytes: a whole number, with K, M, G or T behind it if need be */
    ARGUMENT_SECONDS,      /* 60, 90s, 5m, 72h, 7d: as seconds */
    ARGUMENT_MILLISECONDS, /* the same, as milliseconds */
    ARGUMENT_TIME,         /* RFC 3339, a date, or how long ago: as RFC 3339 in UTC */
    ARGUMENT_LATER         /* of the contract, but not of this version */
};

struct argument_rule {
    const char *name; /* "--chapter" or "-f" */
    const char *key;  /* of the request's argument */
    enum argument_form form;
};

struct arguments {
    json_t *args; /* an object */
    int word_count;
    char **words; /* those of argv that are no options */
};

/* argv[0] is the command's whole name, for messages; the words are moved to the front of argv.
 * Errors are reported; on failure there is nothing to release. */
bool arguments_parse(const struct options *options, int argc, char **argv,
                     const struct argument_rule *rules, size_t rule_count, int words_min,
                     int words_max, struct arguments *out);
void arguments_done(struct arguments *arguments);

/* FIELD=VALUE words into an object of texts; an empty value is null. */
bool arguments_fields(const struct options *options, int count, char **words,
                      json_t *out_fields);
/* Warns of names that are none of the fields which all nodes know, as mistyped ones are, and
 * says what becomes of them. */
void arguments_warn_unknown(const struct options *options, const json_t *fields,
                            const char *consequence);
/* A UUID in any case; reports what is none. */
bool arguments_id(const struct options *options, const char *word);
bool arguments_code(const struct options *options, const char *word);
/* "4096", "256M", "2G": multiples of 1,024 bytes; below 2^53. */
bool parse_size(const char *text, uint64_t *out_bytes);
/* "60", "1.5s", "5m", "72h", "7d" from 0 to 10 years. */
bool parse_seconds(const char *text, double *out_seconds);
/* "2026-01-31T12:00:00Z" with any offset, "2026-01-31", or "24h" before now. */
bool parse_time(const char *text, int64_t now, int64_t *out_time);

#endif
