/* SPDX-License-Identifier: MPL-2.0 */
/* import_columns.h - what the columns of a file mean: a header's names as fields of a member.
 * Pure: no session, no files. */
#ifndef CHAPTERCTL_IMPORT_COLUMNS_H
#define CHAPTERCTL_IMPORT_COLUMNS_H

#include "client/csv.h"
#include "proto/record.h"

enum column_role {
    COLUMN_FIELD,
    COLUMN_ID,
    COLUMN_IGNORED, /* the daemon's own (chapter, seq, updated), or of a file of rejects */
    COLUMN_NAMELESS /* may hold nothing */
};

/* Of the name of a field that this version does not know. */
enum column_spelling { SPELLING_OF_HEADER, SPELLING_OF_MEMBERS, SPELLING_OF_BOTH };

struct import_column {
    char name[FIELD_NAME_MAX + 1];   /* of the field */
    char header[FIELD_NAME_MAX + 1]; /* as it stands in the file, trimmed */
    char folded[FIELD_NAME_MAX + 1]; /* lower-cased, spaces as _ */
    enum column_spelling spelling;
    enum column_role role;
    const struct field_rule *rule; /* NULL: a field that this version does not know */
};

#define COLUMN_NONE SIZE_MAX
struct import_columns {
    size_t count;
    size_t id; /* COLUMN_NONE if there is none, as the next four */
    size_t external_id;
    size_t name;
    size_t email;
    size_t reason; /* of a file of rejects: why the row was rejected */
    bool any_unknown;
    size_t field_count;
    size_t by_name[CSV_COLUMNS_MAX]; /* those that are fields, by ascending name */
    struct import_column column[CSV_COLUMNS_MAX];
};

/* The canonical columns, in their order. */
extern const char *const import_canonical[];
extern const size_t import_canonical_count;
/* `chapter`, `seq`, `updated`: shown with a member, set by the daemon. */
bool column_is_daemons(const char *name);

#define COLUMNS_REASON_SIZE 160
/* INVALID with a sentence in out_reason: a name too long or not plain text. */
enum status import_columns_read(const struct csv_row *header,
                                struct import_columns *out_columns,
                                char out_reason[COLUMNS_REASON_SIZE]) MUST_CHECK;
/* Finds the columns that rows are matched by.  INVALID with a sentence: none is `name`. */
enum status import_columns_find(struct import_columns *columns,
                                char out_reason[COLUMNS_REASON_SIZE]) MUST_CHECK;
/* A field that this version does not know is spelled as a member has it, best as the header,
 * too; as the header where none has it.  member is a map of members.list. */
void import_columns_keep(struct import_columns *columns, struct slice member);
/* To be called when the names are final.  INVALID with a sentence: two columns have one
 * name. */
enum status import_columns_finish(struct import_columns *columns,
                                  char out_reason[COLUMNS_REASON_SIZE]) MUST_CHECK;
/* A cell's text, no longer defused and trimmed of what is not the text's; empty where the row
 * is short, or there is no such column. */
struct slice import_cell(const struct csv_row *row, size_t column);

#endif
