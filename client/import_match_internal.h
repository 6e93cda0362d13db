/* SPDX-License-Identifier: MPL-2.0 */
/* import_match_internal.h - what import_join.c tells import_match.c of a row.
 * A finding is a record: the row's line, the member's number, its sort and a line. */
#ifndef CHAPTERCTL_IMPORT_MATCH_INTERNAL_H
#define CHAPTERCTL_IMPORT_MATCH_INTERNAL_H

#include "client/import_match.h"
#include "client/import_text.h"

/* In place of a member's number: two of them have that key. */
#define MEMBER_AMBIGUOUS UINT64_MAX

enum finding {
    FINDING_ID,
    FINDING_EXTERNAL_ID,
    FINDING_PERSON,
    FINDING_MEMBERS_MAILBOX, /* a member of another name has the row's e-mail */
    FINDING_FILES_MAILBOX,   /* rows of other names have it */
    FINDING_COUNT
};

#define FINDING_SHIFT 60

static inline uint64_t finding_value(enum finding finding, uint64_t first_line)
{
    return (uint64_t)finding << FINDING_SHIFT | first_line;
}

#endif
