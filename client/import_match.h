/* SPDX-License-Identifier: MPL-2.0 */
/* import_match.h - which member a row means: by id, external id, then e-mail and name.
 *
 * Holds the chapter's members and the keys of the file's rows; the file itself is never held.
 * A member costs about 250 bytes and the bytes of its fields, a row 100 to 300 bytes. */
#ifndef CHAPTERCTL_IMPORT_MATCH_H
#define CHAPTERCTL_IMPORT_MATCH_H

#include <jansson.h>

#include "client/import_columns.h"
#include "client/import_index.h"

struct import_member {
    uint8_t id[ID_SIZE];
    uint8_t *fields; /* packed: field number, size (2 bytes each), text */
    size_t fields_size;
    uint64_t line; /* of the row that means it, 0 if none did yet */
    bool active;
};

/* In place of a member's number (its place in the list, from 1): two of them have that key. */
#define MEMBER_AMBIGUOUS UINT64_MAX

struct import_members {
    struct import_member *list;
    size_t count;
    size_t capacity;
    size_t active_count;
    json_t *field_numbers; /* name -> number */
    struct import_index ids;
    struct import_index external_ids;
    struct import_index
        persons; /* e-mail and name; the name alone where there is neither e-mail
                                    nor external id */
    struct import_index mailboxes;
};

/* A zeroed one is empty.  member is a member's object of a page; one that comes twice, because
 * it was changed while pages were read, is replaced.  INVALID if it has no id, TOO_LARGE,
 * NO_MEMORY. */
enum status members_add(struct import_members *members, const json_t *member) MUST_CHECK;
void members_done(struct import_members *members);
/* A field that members have under exactly the header's name keeps that name. */
void members_keep_names(const struct import_members *members, struct import_columns *columns);
/* out_values has CSV_COLUMNS_MAX elements; valid as long as the member is. */
void members_values(const struct import_members *members, const struct import_member *member,
                    const struct import_columns *columns, struct slice *out_values);
/* For another pass over the file. */
void members_forget_lines(struct import_members *members);

/* By what a row can be found. */
struct row_keys {
    bool has_id;
    bool has_external_id;
    bool has_email;
    bool has_person;
    uint8_t id[ID_SIZE];
    uint8_t id_key[TEXT_KEY_SIZE];
    uint8_t external_id_key[TEXT_KEY_SIZE];
    uint8_t email_key[TEXT_KEY_SIZE];
    uint8_t person_key[TEXT_KEY_SIZE];
};
/* INVALID if the id is none; NO_MEMORY. */
enum status row_keys_of(const struct import_columns *columns, const struct csv_row *row,
                        struct row_keys *out_keys) MUST_CHECK;

/* The file's own keys, of all its rows that can be read, with the first line of each. */
struct file_keys {
    struct import_index ids;
    struct import_index external_ids;
    struct import_index persons;
    struct import_index mailboxes; /* 1: one name, 2: several names */
};
/* To be called for each row before any is matched; NO_MEMORY. */
enum status file_keys_add(struct file_keys *file, const struct row_keys *keys,
                          uint64_t line) MUST_CHECK;
void file_keys_done(struct file_keys *file);

enum match { MATCH_NONE, MATCH_MEMBER, MATCH_REJECT };
#define MATCH_REASON_SIZE 160
/* Rows must come in the order of the file.  On MATCH_MEMBER *out_member is set and has
 * taken the line; on MATCH_REJECT out_reason is a sentence without personal data, and
 * *out_known says that the member whom the row means was certainly taken by another row. */
enum match match_row(struct import_members *members, const struct file_keys *file,
                     const struct row_keys *keys, uint64_t line,
                     struct import_member **out_member, char out_reason[MATCH_REASON_SIZE],
                     bool *out_known);

#endif
