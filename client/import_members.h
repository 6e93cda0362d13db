/* SPDX-License-Identifier: MPL-2.0 */
/* import_members.h - the chapter's members as the daemon listed them, in a spool: memory does
 * not grow with their number. */
#ifndef CHAPTERCTL_IMPORT_MEMBERS_H
#define CHAPTERCTL_IMPORT_MEMBERS_H

#include "client/import_columns.h"
#include "client/spool.h"

struct import_members {
    struct spool spool;
    uint64_t active_count;
    uint64_t outdated_count;
};

/* One member, until the next call. */
struct import_member {
    uint8_t id[ID_SIZE];
    uint64_t line; /* of the row that means it, 0 if none did yet */
    bool active;
    bool outdated; /* it was changed while the list was read, and comes again */
    struct slice fields;
};

/* What a row can be matched by; empty where the member has none. */
struct member_texts {
    uint8_t id[ID_SIZE];
    struct slice external_id;
    struct slice email;
    struct slice name;
};

/* A zeroed one is empty.  member is a map of members.list.  *out_number names the member from
 * now on; it is not 0 and grows.  INVALID if it has no id or is no map, TOO_LARGE, or of the
 * spool. */
enum status members_add(struct import_members *members, struct slice member,
                        struct member_texts *out_texts, uint64_t *out_number) MUST_CHECK;
void members_done(struct import_members *members);

/* The others' statuses are the spool's. */
enum status members_get(struct import_members *members, uint64_t number,
                        struct import_member *out_member) MUST_CHECK;
/* The one after number (0: the first); NOT_FOUND after the last. */
enum status members_next(struct import_members *members, uint64_t *number,
                         struct import_member *out_member) MUST_CHECK;
enum status members_set_outdated(struct import_members *members, uint64_t number) MUST_CHECK;
/* Whether it is outdated, without a look at it where none is. */
enum status members_is_outdated(struct import_members *members, uint64_t number,
                                bool *out_outdated) MUST_CHECK;
enum status members_set_line(struct import_members *members, uint64_t number,
                             uint64_t line) MUST_CHECK;
/* out_values has CSV_COLUMNS_MAX elements; valid as long as the member is. */
void member_values(const struct import_member *member, const struct import_columns *columns,
                   struct slice *out_values);

#endif
