/* SPDX-License-Identifier: MPL-2.0 */
/* import_decide.c - what each row asks for, decided once: shown, counted, and with --apply kept
 * in the form in which it will be sent. */
#include <string.h>

#include "client/import_internal.h"

/* --- matching ----------------------------------------------------------------------------- */

static enum exit_code note_keys(struct import *import, const struct csv_row *row, void *context)
{
    struct row_keys keys;
    enum status status;

    (void)context;
    if (row->broken[0] != '\0' || row_keys_of(&import->columns, row, &keys) != OK)
        return EXIT_OK;
    status = match_add_row(&import->match, &keys, row->line);
    return status == OK ? EXIT_OK : import_spool_failed(import, status);
}

enum exit_code import_match_all(struct import *import)
{
    struct progress progress;
    enum exit_code exit_code;
    enum status status;

    if ((exit_code = import_each_row(import, "reading rows", note_keys, NULL)) != EXIT_OK)
        return exit_code;
    progress_begin(&progress, import->options, "matching", match_total(&import->match));
    status = match_join(&import->match, &import->members, &progress);
    progress_end(&progress);
    return status == OK ? EXIT_OK : import_spool_failed(import, status);
}

/* --- rejected before ---------------------------------------------------------------------- */

/* A row of a file of rejects that was not mended: with the others of the first file it was no
 * row of its own, and alone it must not pass for one.  NULL if there is no such doubt. */
static const char *unmended(const struct import *import, const struct csv_row *row,
                            const struct match_verdict *verdict)
{
    static const char duplicate[] = "duplicate: ";
    static const char remnant[] = "seems to belong to the broken row";
    const struct slice reason = import_cell(row, import->columns.reason);

    if (reason.size >= sizeof remnant - 1 &&
        memcmp(reason.data, remnant, sizeof remnant - 1) == 0)
        return "seems to belong to the broken row before it; if it is a row of its own, empty"
               " this cell";
    if (verdict->result == MATCH_MEMBER && reason.size >= sizeof duplicate - 1 &&
        memcmp(reason.data, duplicate, sizeof duplicate - 1) == 0)
        return "duplicate: still the same as a member that there is; if that one is to be"
               " changed, empty this cell";
    return NULL;
}

/* --- deciding ----------------------------------------------------------------------------- */

/* Fills import->plan; member is of verdict. */
static enum status plan(struct import *import, const struct csv_row *row,
                        const struct match_verdict *verdict, struct import_member *member)
{
    const bool known = verdict->number != 0;
    const char *doubt = unmended(import, row, verdict);
    enum status status;

    if (verdict->result == MATCH_REJECT || doubt != NULL) {
        plan_reject(&import->plan, doubt != NULL ? doubt : verdict->reason);
        return OK;
    }
    if (known) {
        if ((status = members_get(&import->members, verdict->number, member)) != OK)
            return status;
        member_values(member, &import->columns, import->values);
    }
    plan_row(&import->columns, import->mode, row, known ? import->values : NULL, &import->plan);
    return OK;
}

static enum status decide(struct import *import, const struct csv_row *row,
                          struct match_verdict *verdict, struct import_member *member)
{
    struct row_keys keys = { 0 };
    enum status status = OK;

    memset(verdict, 0, sizeof *verdict);
    if (row->broken[0] == '\0' && row_keys_of(&import->columns, row, &keys) != OK)
        plan_reject(&import->plan, "id is not a UUID");
    else {
        if (row->broken[0] == '\0')
            status = match_row(&import->match, &import->members, &keys, row->line, verdict);
        if (status == OK)
            status = plan(import, row, verdict, member);
    }
    if (import->plan.action == PLAN_REJECT && verdict->number == 0 && !verdict->known)
        import->unknown_rejects++;
    return status;
}

static enum status keep_request(struct import *import, const struct csv_row *row,
                                const struct import_member *member)
{
    const bool add = import->plan.action == PLAN_ADD;
    uint8_t id[ID_SIZE];
    bool has_id = true;

    if (!add)
        memcpy(id, member->id, ID_SIZE);
    else
        has_id = uuid_parse(import_cell(row, import->columns.id), id);
    return requests_add(&import->requests, row->line, add ? REQUEST_ADD : REQUEST_CHANGE,
                        has_id ? id : NULL, &import->columns, &import->plan);
}

static enum exit_code check_row(struct import *import, const struct csv_row *row, void *context)
{
    struct import_counts *const counts = &import->counts;
    const enum plan_action *action = &import->plan.action;
    struct import_member member = { 0 };
    struct match_verdict verdict;
    enum status status;

    (void)context;
    if ((status = decide(import, row, &verdict, &member)) != OK)
        return import_spool_failed(import, status);
    counts->rows++;
    counts->added += *action == PLAN_ADD;
    counts->changed += *action == PLAN_CHANGE;
    counts->same += *action == PLAN_SAME;
    import_show_row(import, row, verdict.number == 0 ? NULL : &member);
    if (*action == PLAN_REJECT)
        return import_reject(import, row, import->plan.reason);
    if (!import->apply || *action == PLAN_SAME)
        return EXIT_OK;
    status = keep_request(import, row, &member);
    return status == OK ? EXIT_OK : import_spool_failed(import, status);
}

static enum status check_absent(struct import *import)
{
    struct import_member member;
    uint64_t number = 0;
    enum status status;

    while ((status = members_next(&import->members, &number, &member)) == OK) {
        if (!member.active || member.outdated || member.line != 0)
            continue;
        import->counts.absent++;
        if (import->apply && import->lapse &&
            (status = requests_add_lapse(&import->requests, member.id)) != OK)
            return status;
    }
    return status == NOT_FOUND ? OK : status;
}

enum exit_code import_check_all(struct import *import)
{
    const enum exit_code exit_code = import_each_row(import, "checking", check_row, NULL);
    enum status status;

    if (exit_code != EXIT_OK)
        return exit_code;
    status = check_absent(import);
    return status == OK ? EXIT_OK : import_spool_failed(import, status);
}
