/* SPDX-License-Identifier: MPL-2.0 */
/* import_internal.h - one import: options, file, members, and what came of the rows.
 * Private to import.c and the import_*.c that it names. */
#ifndef CHAPTERCTL_IMPORT_INTERNAL_H
#define CHAPTERCTL_IMPORT_INTERNAL_H

#include "client/csv_file.h"
#include "client/import_match.h"
#include "client/import_pages.h"
#include "client/import_requests.h"
#include "client/progress.h"
#include "client/session.h"

struct import_counts {
    uint64_t rows; /* all of them, rejected ones included */
    uint64_t added;
    uint64_t changed;
    uint64_t same;
    uint64_t rejected;
    uint64_t absent; /* active members that no row means */
    uint64_t lapsed; /* of those, by --absent lapse */
};

struct import_rejects {
    struct csv_output output; /* opened by the first reject */
    char *path;               /* where it is, or will be */
};

struct import {
    struct session *session;
    const struct options *options;
    const char *path;
    enum plan_mode mode;
    bool apply;
    bool lapse;
    bool force;
    bool verbose;

    struct csv_input input;
    struct csv_reader *reader;
    struct import_columns columns;
    struct import_members members;
    struct import_match match;
    struct slice values[CSV_COLUMNS_MAX]; /* of the member that the row means */
    struct plan plan;                     /* of the row */
    struct import_requests requests;      /* of all rows, with --apply */

    struct import_counts counts;
    uint64_t unknown_rejects; /* rejected rows that may have meant any member */
    uint64_t shown[PLAN_REJECT + 1];
    uint64_t refusals_shown;
    struct import_rejects rejects;
    struct progress progress; /* of the pass under way */
    bool checked;             /* every row was */
    bool erased_unknown;      /* own_chapter */
};

/* --- import_file.c: the file, and passes over its rows ------------------------------------ */
enum exit_code import_open_file(struct import *import) MUST_CHECK;
enum exit_code import_report_columns(const struct import *import, const char *reason);
typedef enum exit_code import_visit(struct import *import, const struct csv_row *row,
                                    void *context);
/* Every row in the order of the file; anything but EXIT_OK ends the walk.  So does an
 * interruption: EXIT_FAILED, not reported. */
enum exit_code import_each_row(struct import *import, const char *label, import_visit *visit,
                               void *context) MUST_CHECK;
enum exit_code import_no_memory(const struct import *import);
/* Of a spool or sorter, unless it is INTERRUPTED. */
enum exit_code import_spool_failed(const struct import *import, enum status status);

/* --- import_decide.c: what comes of each row, and of members without one ------------------ */
/* Keys of members and rows, joined. */
enum exit_code import_match_all(struct import *import) MUST_CHECK;
/* Counts, shows, keeps the requests and writes the rejects. */
enum exit_code import_check_all(struct import *import) MUST_CHECK;

/* --- import_show.c: for people and programs ----------------------------------------------- */
/* The header's columns that are not what they may seem. */
void import_show_columns(const struct import *import);
/* Those whose tier a recovery has chosen, and the chapter not yet. */
enum exit_code import_show_followed(const struct import *import) MUST_CHECK;
/* The plan of one row, unless enough of its sort have been shown. */
void import_show_row(struct import *import, const struct csv_row *row,
                     const struct import_member *member);
void import_show_refusal(struct import *import, const struct csv_row *row, const char *reason);
/* Among the new ones may be people who were erased, where this node cannot know it. */
void import_show_erased_unknown(const struct import *import);
void import_show_result(struct import *import);

/* --- import_rejects.c: the rows for the operator to mend ---------------------------------- */
enum exit_code import_reject(struct import *import, const struct csv_row *row,
                             const char *reason) MUST_CHECK;
/* Puts the file in its place, if there are any rejects. */
enum exit_code import_rejects_finish(struct import *import) MUST_CHECK;
void import_rejects_done(struct import_rejects *rejects);

/* --- import_apply.c ----------------------------------------------------------------------- */
/* Sends what was planned and counts what was done; what the daemon refuses is rejected. */
enum exit_code import_apply(struct import *import) MUST_CHECK;

#endif
