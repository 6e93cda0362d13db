/* SPDX-License-Identifier: MPL-2.0 */
/* import_plan.h - what one row asks for: a new member, changes of one that exists, or nothing.
 * Pure: which member the row means has been decided before (import_match.h). */
#ifndef CHAPTERCTL_IMPORT_PLAN_H
#define CHAPTERCTL_IMPORT_PLAN_H

#include "client/import_columns.h"

enum plan_mode {
    PLAN_UPDATE, /* cells with something in them overwrite */
    PLAN_FILL,   /* they only fill what is empty */
    PLAN_LEAVE   /* members that exist stay as they are */
};

enum plan_action { PLAN_ADD, PLAN_CHANGE, PLAN_SAME, PLAN_REJECT };

/* What the daemon takes of a field that it does not know. */
#define PLAN_UNKNOWN_SIZE_MAX 4096
/* Of a row: room is left for what the member has that the file does not. */
#define PLAN_FIELDS_MAX (RECORD_FIELDS_MAX - 8)
#define PLAN_REASON_SIZE 160

struct plan_change {
    size_t column;
    struct slice old; /* size 0: it had none */
    struct slice text;
};

struct plan {
    enum plan_action action;
    char reason[PLAN_REASON_SIZE]; /* of a rejection */
    size_t change_count;           /* of an addition: its fields */
    struct plan_change changes[CSV_COLUMNS_MAX];
    size_t texts_size;
    uint8_t texts[CSV_ROW_SIZE_MAX]; /* those that differ from their cells */
};

/* old has a value for each column (size 0: none) of the member that the row means; NULL if it
 * is a new one.  Every cell that would be written is checked.  Changes point into row, old and
 * out. */
void plan_row(const struct import_columns *columns, enum plan_mode mode,
              const struct csv_row *row, const struct slice *old, struct plan *out_plan);
/* For what was found wrong before: PLAN_REJECT for that reason. */
void plan_reject(struct plan *plan, const char *reason);

#endif
