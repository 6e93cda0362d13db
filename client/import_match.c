/* SPDX-License-Identifier: MPL-2.0 */
/* import_match.c - a row and the members: the same, another, or a question for the operator.
 * Nobody is merged by guess: shared mailboxes and contradicting keys go to review. */
#include "client/import_match.h"

#include <string.h>

#include "client/import_match_internal.h"

enum status row_keys_of(const struct import_columns *columns, const struct csv_row *row,
                        struct row_keys *out_keys)
{
    const struct slice id = import_cell(row, columns->id);
    struct row_keys keys = { 0 };

    keys.external_id = import_cell(row, columns->external_id);
    keys.email = import_cell(row, columns->email);
    keys.name = import_cell(row, columns->name);
    keys.has_id = id.size > 0;
    keys.has_external_id = keys.external_id.size > 0;
    keys.has_email = keys.email.size > 0;
    /* A name alone tells two people apart only where neither has anything else. */
    keys.has_person =
        keys.name.size > 0 && (keys.has_email || (!keys.has_id && !keys.has_external_id));
    if (keys.has_id && !uuid_parse(id, keys.id))
        return INVALID;
    *out_keys = keys;
    return OK;
}

/* --- what is known of a row --------------------------------------------------------------- */

struct known {
    uint64_t member; /* with the same key: 0, a number, or MEMBER_AMBIGUOUS */
    uint64_t first;  /* line of the first row with that key */
};

struct findings {
    uint64_t line;
    struct known by[FINDING_COUNT];
    bool has[FINDING_COUNT];
};

static enum status gather(struct import_match *match, uint64_t line, struct findings *out)
{
    enum status status = OK;

    memset(out, 0, sizeof *out);
    out->line = line;
    for (size_t i = 0; i < FINDING_COUNT; i++)
        out->by[i].first = line;
    while (match->has_finding && match->finding.high <= line) {
        const uint64_t value = match->finding.value;
        const size_t finding = (size_t)(value >> FINDING_SHIFT);

        ASSERT(match->finding.high == line && finding < FINDING_COUNT);
        out->has[finding] = true;
        out->by[finding].member = match->finding.low;
        out->by[finding].first = value & ((1ull << FINDING_SHIFT) - 1);
        status = sorter_next(match->findings, &match->finding);
        match->has_finding = status == OK;
        if (status != OK)
            break;
    }
    return status == NOT_FOUND ? OK : status;
}

/* --- verdicts ----------------------------------------------------------------------------- */

static void reject(struct match_verdict *verdict, const char *reason)
{
    verdict->result = MATCH_REJECT;
    verdict->number = 0;
    (void)snprintf(verdict->reason, sizeof verdict->reason, "%s", reason);
}

static void reject_as_duplicate(struct match_verdict *verdict, const char *what, uint64_t line)
{
    verdict->result = MATCH_REJECT;
    verdict->number = 0;
    (void)snprintf(verdict->reason, sizeof verdict->reason, "duplicate: %s as in line %llu",
                   what, (unsigned long long)line);
}

/* The line of the row that took the member; 0: none did yet. */
static enum status taken_by(struct import_members *members, uint64_t number, uint64_t *out_line)
{
    struct import_member member;
    const enum status status = members_get(members, number, &member);

    if (status == OK)
        *out_line = member.line;
    return status;
}

static enum status take(struct import_members *members, uint64_t number, uint64_t line,
                        struct match_verdict *verdict)
{
    uint64_t earlier = 0;
    enum status status;

    if ((status = taken_by(members, number, &earlier)) != OK)
        return status;
    if (earlier != 0) {
        reject_as_duplicate(verdict, "the same member", earlier);
        verdict->known = true;
        return OK;
    }
    verdict->result = MATCH_MEMBER;
    verdict->number = number;
    return members_set_line(members, number, line);
}

/* By the keys that a member is given; a number is set if one of them is known. */
static void find_by_ids(const struct row_keys *keys, const struct findings *findings,
                        struct match_verdict *verdict)
{
    const struct known *id = &findings->by[FINDING_ID];
    const struct known *external_id = &findings->by[FINDING_EXTERNAL_ID];
    /* Members that share one already are told apart by their ids: an export can be imported. */
    const bool shared = id->member != 0 && external_id->member == MEMBER_AMBIGUOUS;

    if (id->first != findings->line)
        reject_as_duplicate(verdict, "the same id", id->first);
    else if (!shared && external_id->first != findings->line)
        reject_as_duplicate(verdict, "the same external id", external_id->first);
    else if (id->member == 0 && external_id->member == MEMBER_AMBIGUOUS)
        reject(verdict, "review: two members have this external id");
    else if (id->member == 0 && external_id->member != 0 && keys->has_id)
        reject(verdict, "review: the member with this external id has another id");
    else if (id->member != 0 && external_id->member != 0 && external_id->member != id->member &&
             !shared)
        reject(verdict, "review: another member has this external id");
    else
        verdict->number = id->member != 0 ? id->member : external_id->member;
}

/* A new member's mailbox is nobody else's, unless an id says that it is another person. */
static void check_mailbox(const struct row_keys *keys, const struct findings *findings,
                          struct match_verdict *verdict)
{
    if (keys->has_id)
        return;
    if (findings->has[FINDING_MEMBERS_MAILBOX])
        reject(verdict, "review: a member of another name has this e-mail; if this is another"
                        " person, give the row an id (a fresh UUID)");
    else if (findings->has[FINDING_FILES_MAILBOX])
        reject(verdict, "review: the file has this e-mail with different names; if these are"
                        " different people, give each row an id (a fresh UUID)");
}

static enum status find_by_person(struct import_members *members, const struct row_keys *keys,
                                  const struct findings *findings,
                                  struct match_verdict *verdict)
{
    const struct known *person = &findings->by[FINDING_PERSON];
    enum status status = OK;
    uint64_t earlier = 0;

    if (person->first != findings->line) {
        if (person->member != 0 && person->member != MEMBER_AMBIGUOUS)
            status = taken_by(members, person->member, &earlier);
        reject_as_duplicate(verdict,
                            keys->has_email ? "the same e-mail and name"
                                            : "the same name, with nothing else to tell them"
                                              " apart,",
                            person->first);
        verdict->known = earlier != 0;
    } else if (person->member == 0) {
        check_mailbox(keys, findings, verdict);
    } else if (keys->has_id) {
        reject(verdict, "review: the member with this e-mail and name has another id");
    } else if (person->member == MEMBER_AMBIGUOUS) {
        reject(verdict, keys->has_email ? "review: two members have this e-mail and name"
                                        : "review: two members have this name and no e-mail");
    } else {
        status = take(members, person->member, findings->line, verdict);
    }
    return status;
}

enum status match_row(struct import_match *match, struct import_members *members,
                      const struct row_keys *keys, uint64_t line,
                      struct match_verdict *out_verdict)
{
    struct match_verdict *verdict = out_verdict;
    struct findings findings;
    enum status status;

    ASSERT(match->joined);
    verdict->result = MATCH_NONE;
    verdict->number = 0;
    verdict->known = false;
    verdict->reason[0] = '\0';
    if ((status = gather(match, line, &findings)) != OK)
        return status;
    find_by_ids(keys, &findings, verdict);
    if (verdict->result == MATCH_REJECT)
        return OK;
    if (verdict->number != 0)
        return take(members, verdict->number, line, verdict);
    return keys->has_person ? find_by_person(members, keys, &findings, verdict) : OK;
}
