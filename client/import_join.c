/* SPDX-License-Identifier: MPL-2.0 */
/* import_join.c - keys of members and rows into sorters, and out of them what they tell of each
 * row: the member with the same key, the first row with it, the names of a mailbox. */
#include "client/import_match_internal.h"
#include "client/interrupt.h"
#include "client/progress.h"

#define ROW_BIT (1ull << 63) /* of a key's value: a row's line; else a member's number */

/* --- keys --------------------------------------------------------------------------------- */

static uint64_t big_endian(const uint8_t *bytes)
{
    uint64_t number = 0;

    for (size_t i = 0; i < sizeof number; i++)
        number = number << 8 | bytes[i];
    return number;
}

static enum status add_id(struct import_match *match, const uint8_t id[ID_SIZE], uint64_t value)
{
    return sorter_add(match->ids,
                      (struct sort_record){ big_endian(id), big_endian(id + 8), value });
}

static enum status add_external_id(struct import_match *match, struct slice text,
                                   uint64_t value)
{
    const struct text_key key = text_key_of(text);

    return sorter_add(match->external_ids, (struct sort_record){ key.high, key.low, value });
}

/* high is 0 where there is no e-mail.  A member's mailbox is added once more with a name of 0,
 * to be met before all that share it. */
static enum status add_person(struct import_match *match, struct slice email, struct slice name,
                              uint64_t value)
{
    struct sort_record key = { 0, 0, value };
    enum status status;

    if (email.size > 0) {
        if (!text_key_normalised(email, &key.high))
            return NO_MEMORY;
        if ((value & ROW_BIT) == 0 && (status = sorter_add(match->persons, key)) != OK)
            return status;
    }
    if (!text_key_normalised(name, &key.low))
        return NO_MEMORY;
    return sorter_add(match->persons, key);
}

enum status match_init(struct import_match *match, size_t sort_memory)
{
    enum status status;

    if ((status = sorter_new(sort_memory, &match->ids)) != OK ||
        (status = sorter_new(sort_memory, &match->external_ids)) != OK ||
        (status = sorter_new(sort_memory, &match->persons)) != OK)
        return status;
    return sorter_new(sort_memory, &match->findings);
}

void match_done(struct import_match *match)
{
    sorter_free(&match->ids);
    sorter_free(&match->external_ids);
    sorter_free(&match->persons);
    sorter_free(&match->findings);
}

enum status match_add_member(struct import_match *match, const struct member_texts *texts,
                             uint64_t number)
{
    const struct slice external_id = text_trim(texts->external_id);
    const struct slice email = text_trim(texts->email);
    enum status status = add_id(match, texts->id, number);

    if (status == OK && external_id.size > 0)
        status = add_external_id(match, external_id, number);
    if (status == OK && (email.size > 0 || external_id.size == 0))
        status = add_person(match, email, texts->name, number);
    return status;
}

enum status match_add_row(struct import_match *match, const struct row_keys *keys,
                          uint64_t line)
{
    enum status status = OK;

    if (keys->has_id)
        status = add_id(match, keys->id, line | ROW_BIT);
    if (status == OK && keys->has_external_id)
        status = add_external_id(match, keys->external_id, line | ROW_BIT);
    if (status == OK && keys->has_person)
        status = add_person(match, keys->email, keys->name, line | ROW_BIT);
    return status;
}

/* --- groups of one key -------------------------------------------------------------------- */

/* Records of one key come members first, then rows by their lines. */
struct group {
    bool any;
    uint64_t high;
    uint64_t low;
    uint64_t member; /* 0, a number, or MEMBER_AMBIGUOUS */
    uint64_t first;  /* line of the first row, 0: none yet */
};

struct join {
    struct import_match *match;
    struct import_members *members;
    struct progress *progress;
    uint64_t done;
};

static void enter_group(struct group *group, const struct sort_record *record)
{
    if (group->any && group->high == record->high && group->low == record->low)
        return;
    *group = (struct group){ true, record->high, record->low, 0, 0 };
}

/* The next record of a key; counts it. */
static enum status take_key(struct join *join, struct sorter *sorter,
                            struct sort_record *out_record)
{
    if (++join->done % 4096 == 0) {
        if (interrupted())
            return INTERRUPTED;
        if (join->progress != NULL)
            progress_update(join->progress, join->done);
    }
    return sorter_next(sorter, out_record);
}

static enum status add_finding(struct join *join, uint64_t line, enum finding finding,
                               uint64_t member, uint64_t first)
{
    return sorter_add(join->match->findings,
                      (struct sort_record){ line, member, finding_value(finding, first) });
}

/* A row of the group; that it is the only one, and no member's, need not be said. */
static enum status add_row(struct join *join, struct group *group, enum finding finding,
                           uint64_t line)
{
    if (group->first == 0)
        group->first = line;
    if (group->first == line && group->member == 0)
        return OK;
    return add_finding(join, line, finding, group->member, group->first);
}

/* Two members with one key: no row can mean one of them by it. */
static enum status add_member(struct join *join, struct group *group, uint64_t number)
{
    bool outdated = false;
    const enum status status = members_is_outdated(join->members, number, &outdated);

    if (status == OK && !outdated)
        group->member = group->member == 0 ? number : MEMBER_AMBIGUOUS;
    return status;
}

/* A member that was changed while the list was read came again: the last one counts. */
static enum status join_ids(struct join *join)
{
    struct group group = { 0 };
    struct sort_record record;
    enum status status;

    while ((status = take_key(join, join->match->ids, &record)) == OK) {
        enter_group(&group, &record);
        if ((record.value & ROW_BIT) != 0)
            status = add_row(join, &group, FINDING_ID, record.value & ~ROW_BIT);
        else if (group.member != 0)
            status = members_set_outdated(join->members, group.member);
        if ((record.value & ROW_BIT) == 0)
            group.member = record.value;
        if (status != OK)
            return status;
    }
    return status;
}

static enum status join_external_ids(struct join *join)
{
    struct group group = { 0 };
    struct sort_record record;
    enum status status;

    while ((status = take_key(join, join->match->external_ids, &record)) == OK) {
        enter_group(&group, &record);
        if ((record.value & ROW_BIT) != 0)
            status = add_row(join, &group, FINDING_EXTERNAL_ID, record.value & ~ROW_BIT);
        else
            status = add_member(join, &group, record.value);
        if (status != OK)
            return status;
    }
    return status;
}

/* All persons of one e-mail.  Of each, the first row alone can be a new member's: later ones
 * are duplicates. */
struct mailbox {
    uint64_t key;  /* 0: no e-mail */
    bool members;  /* it is some member's */
    size_t names;  /* that the file has */
    uint64_t held; /* the line of the first of them, unless it is a member's */
};

static enum status add_name(struct join *join, struct mailbox *mailbox,
                            const struct group *group, uint64_t line)
{
    const bool is_new = group->member == 0;
    enum status status = OK;

    mailbox->names++;
    if (mailbox->names == 2 && mailbox->held != 0)
        status = add_finding(join, mailbox->held, FINDING_FILES_MAILBOX, 0, 0);
    if (mailbox->names == 1)
        mailbox->held = is_new ? line : 0;
    else if (status == OK && is_new)
        status = add_finding(join, line, FINDING_FILES_MAILBOX, 0, 0);
    if (status == OK && is_new && mailbox->members)
        status = add_finding(join, line, FINDING_MEMBERS_MAILBOX, 0, 0);
    return status;
}

static enum status join_person(struct join *join, struct mailbox *mailbox, struct group *group,
                               const struct sort_record *record)
{
    const uint64_t line = record->value & ~ROW_BIT;
    bool outdated = false;
    enum status status;

    enter_group(group, record);
    if (record->high != mailbox->key)
        *mailbox = (struct mailbox){ .key = record->high };
    if (record->low == 0) {
        status = members_is_outdated(join->members, record->value, &outdated);
        mailbox->members |= !outdated;
        return status;
    }
    if ((record->value & ROW_BIT) == 0)
        return add_member(join, group, record->value);
    if (group->first == 0 && mailbox->key != 0 &&
        (status = add_name(join, mailbox, group, line)) != OK)
        return status;
    return add_row(join, group, FINDING_PERSON, line);
}

static enum status join_persons(struct join *join)
{
    struct mailbox mailbox = { 0 };
    struct group group = { 0 };
    struct sort_record record;
    enum status status;

    while ((status = take_key(join, join->match->persons, &record)) == OK)
        if ((status = join_person(join, &mailbox, &group, &record)) != OK)
            return status;
    return status;
}

uint64_t match_total(const struct import_match *match)
{
    return sorter_count(match->ids) + sorter_count(match->external_ids) +
           sorter_count(match->persons);
}

enum status match_join(struct import_match *match, struct import_members *members,
                       struct progress *progress)
{
    struct join join = { match, members, progress, 0 };
    enum status status;

    /* Ids first: they tell which members are outdated. */
    if ((status = join_ids(&join)) != NOT_FOUND ||
        (status = join_external_ids(&join)) != NOT_FOUND ||
        (status = join_persons(&join)) != NOT_FOUND)
        return status;
    sorter_free(&match->ids);
    sorter_free(&match->external_ids);
    sorter_free(&match->persons);
    match->joined = true;
    status = sorter_next(match->findings, &match->finding);
    match->has_finding = status == OK;
    return status == NOT_FOUND ? OK : status;
}
