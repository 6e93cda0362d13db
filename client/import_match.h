/* SPDX-License-Identifier: MPL-2.0 */
/* import_match.h - which member a row means: by id, external id, then e-mail and name.
 *
 * Keys of members and rows are sorted, so that equal ones meet, and what they tell is sorted
 * back into the order of the rows: memory does not grow with either's number.  First all
 * members, then all rows are added; then they are joined; then the rows come again, in their
 * order. */
#ifndef CHAPTERCTL_IMPORT_MATCH_H
#define CHAPTERCTL_IMPORT_MATCH_H

#include "client/import_members.h"
#include "client/sorter.h"

struct progress;

/* By what a row can be found. */
struct row_keys {
    bool has_id;
    bool has_external_id;
    bool has_email;
    bool has_person;
    uint8_t id[ID_SIZE];
    struct slice external_id;
    struct slice email;
    struct slice name;
};
/* INVALID if the id is none.  The texts are the row's. */
enum status row_keys_of(const struct import_columns *columns, const struct csv_row *row,
                        struct row_keys *out_keys) MUST_CHECK;

struct import_match {
    struct sorter *ids;
    struct sorter *external_ids;
    struct sorter *persons;  /* e-mail and name; the name alone where there is nothing else */
    struct sorter *findings; /* what the keys tell of each row */
    bool joined;
    bool has_finding;
    struct sort_record finding; /* the next one */
};

/* match is zeroed before.  sort_memory: of each of four sorters. */
enum status match_init(struct import_match *match, size_t sort_memory) MUST_CHECK;
void match_done(struct import_match *match);
/* Statuses are the sorters' and the spool's, as those of the next two. */
enum status match_add_member(struct import_match *match, const struct member_texts *texts,
                             uint64_t number) MUST_CHECK;
/* To be called for each row before any is matched. */
enum status match_add_row(struct import_match *match, const struct row_keys *keys,
                          uint64_t line) MUST_CHECK;
/* Keys that were added. */
uint64_t match_total(const struct import_match *match);
/* Also finds members that were listed twice.  progress may be NULL.  INTERRUPTED. */
enum status match_join(struct import_match *match, struct import_members *members,
                       struct progress *progress) MUST_CHECK;

enum match_result { MATCH_NONE, MATCH_MEMBER, MATCH_REJECT };
#define MATCH_REASON_SIZE 160
struct match_verdict {
    enum match_result result;
    uint64_t number; /* of the member; 0 if there is none */
    bool known;      /* on a rejection: another row certainly took the member that is meant */
    char reason[MATCH_REASON_SIZE]; /* a sentence without personal data */
};
/* Rows must come in the order of the file.  A member takes the line of its row. */
enum status match_row(struct import_match *match, struct import_members *members,
                      const struct row_keys *keys, uint64_t line,
                      struct match_verdict *out_verdict) MUST_CHECK;

#endif
