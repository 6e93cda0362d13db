/* SPDX-License-Identifier: MPL-2.0 */
/* import_match.c - a row and the members: the same, another, or a question for the operator.
 * Nobody is merged by guess: shared mailboxes and contradicting keys go to review. */
#include "client/import_match.h"

#include <string.h>

enum status row_keys_of(const struct import_columns *columns, const struct csv_row *row,
                        struct row_keys *out_keys)
{
    const struct slice id = import_cell(row, columns->id);
    const struct slice external_id = import_cell(row, columns->external_id);
    const struct slice email = import_cell(row, columns->email);
    const struct slice name = import_cell(row, columns->name);
    struct row_keys keys = { 0 };

    keys.has_id = id.size > 0;
    keys.has_external_id = external_id.size > 0;
    keys.has_email = email.size > 0;
    /* A name alone tells two people apart only where neither has anything else. */
    keys.has_person =
        name.size > 0 && (keys.has_email || (!keys.has_id && !keys.has_external_id));
    if (keys.has_id && !uuid_parse(id, keys.id))
        return INVALID;
    if ((keys.has_id &&
         !text_key(TEXT_KEY_ID, slice_of(keys.id, ID_SIZE), SLICE_NONE, keys.id_key)) ||
        (keys.has_external_id &&
         !text_key(TEXT_KEY_EXTERNAL_ID, external_id, SLICE_NONE, keys.external_id_key)) ||
        (keys.has_email && !text_key(TEXT_KEY_EMAIL, email, SLICE_NONE, keys.email_key)) ||
        (keys.has_person && !text_key(TEXT_KEY_PERSON, email, name, keys.person_key)))
        return NO_MEMORY;
    *out_keys = keys;
    return OK;
}

static bool add_first(struct import_index *index, const uint8_t *key, uint64_t line)
{
    return import_index_get(index, key) != 0 || import_index_put(index, key, line);
}

/* A mailbox that was seen with a name that is new has two. */
static bool add_mailbox(struct file_keys *file, const struct row_keys *keys)
{
    const bool new_name = import_index_get(&file->persons, keys->person_key) == 0;
    const uint64_t names = import_index_get(&file->mailboxes, keys->email_key);

    if (!new_name)
        return true;
    return import_index_put(&file->mailboxes, keys->email_key, names == 0 ? 1 : 2);
}

enum status file_keys_add(struct file_keys *file, const struct row_keys *keys, uint64_t line)
{
    if ((keys->has_id && !add_first(&file->ids, keys->id_key, line)) ||
        (keys->has_external_id &&
         !add_first(&file->external_ids, keys->external_id_key, line)) ||
        (keys->has_email && keys->has_person && !add_mailbox(file, keys)) ||
        (keys->has_person && !add_first(&file->persons, keys->person_key, line)))
        return NO_MEMORY;
    return OK;
}

void file_keys_done(struct file_keys *file)
{
    import_index_done(&file->ids);
    import_index_done(&file->external_ids);
    import_index_done(&file->persons);
    import_index_done(&file->mailboxes);
}

static enum match reject(char *out_reason, const char *reason)
{
    (void)snprintf(out_reason, MATCH_REASON_SIZE, "%s", reason);
    return MATCH_REJECT;
}

static enum match reject_as_duplicate(char *out_reason, const char *what, uint64_t line)
{
    (void)snprintf(out_reason, MATCH_REASON_SIZE, "duplicate: %s as in line %llu", what,
                   (unsigned long long)line);
    return MATCH_REJECT;
}

/* Is this the first row with that key?  Else *out_line is the first one's. */
static bool is_first(const struct import_index *index, const uint8_t *key, uint64_t line,
                     uint64_t *out_line)
{
    *out_line = import_index_get(index, key);
    return *out_line == 0 || *out_line == line;
}

static enum match take(struct import_members *members, uint64_t number, uint64_t line,
                       struct import_member **out_member, char *out_reason, bool *out_known)
{
    struct import_member *member = &members->list[number - 1];

    if (member->line != 0 && member->line != line) {
        *out_known = true;
        return reject_as_duplicate(out_reason, "the same member", member->line);
    }
    member->line = line;
    *out_member = member;
    return MATCH_MEMBER;
}

/* The keys that a member is given; *out_number is 0 if none of them is known. */
static enum match find_by_ids(const struct import_members *members,
                              const struct file_keys *file, const struct row_keys *keys,
                              uint64_t line, uint64_t *out_number, char *out_reason)
{
    const uint64_t by_id = keys->has_id ? import_index_get(&members->ids, keys->id_key) : 0;
    const uint64_t by_external_id =
        keys->has_external_id ? import_index_get(&members->external_ids, keys->external_id_key)
                              : 0;
    /* Members that share one already are told apart by their ids: an export can be imported. */
    const bool shared = by_id != 0 && by_external_id == MEMBER_AMBIGUOUS;
    uint64_t first;

    *out_number = by_id != 0 ? by_id : by_external_id;
    if (keys->has_id && !is_first(&file->ids, keys->id_key, line, &first))
        return reject_as_duplicate(out_reason, "the same id", first);
    if (keys->has_external_id && !shared &&
        !is_first(&file->external_ids, keys->external_id_key, line, &first))
        return reject_as_duplicate(out_reason, "the same external id", first);
    if (by_id == 0 && by_external_id == MEMBER_AMBIGUOUS)
        return reject(out_reason, "review: two members have this external id");
    if (by_id == 0 && by_external_id != 0 && keys->has_id)
        return reject(out_reason, "review: the member with this external id has another id");
    if (by_id != 0 && by_external_id != 0 && by_external_id != by_id && !shared)
        return reject(out_reason, "review: another member has this external id");
    return *out_number == 0 ? MATCH_NONE : MATCH_MEMBER;
}

/* A new member's mailbox is nobody else's, unless an id says that it is another person. */
static enum match check_mailbox(const struct import_members *members,
                                const struct file_keys *file, const struct row_keys *keys,
                                char *out_reason)
{
    if (!keys->has_email || keys->has_id)
        return MATCH_NONE;
    if (import_index_get(&members->mailboxes, keys->email_key) != 0)
        return reject(out_reason,
                      "review: a member of another name has this e-mail; if this is another"
                      " person, give the row an id (a fresh UUID)");
    if (import_index_get(&file->mailboxes, keys->email_key) > 1)
        return reject(out_reason,
                      "review: the file has this e-mail with different names; if these are"
                      " different people, give each row an id (a fresh UUID)");
    return MATCH_NONE;
}

enum match match_row(struct import_members *members, const struct file_keys *file,
                     const struct row_keys *keys, uint64_t line,
                     struct import_member **out_member, char out_reason[MATCH_REASON_SIZE],
                     bool *out_known)
{
    uint64_t first;
    uint64_t number;
    enum match match;

    *out_known = false;
    match = find_by_ids(members, file, keys, line, &number, out_reason);
    if (match == MATCH_REJECT)
        return match;
    if (match == MATCH_MEMBER)
        return take(members, number, line, out_member, out_reason, out_known);
    if (!keys->has_person)
        return MATCH_NONE;
    number = import_index_get(&members->persons, keys->person_key);
    if (!is_first(&file->persons, keys->person_key, line, &first)) {
        *out_known =
            number != 0 && number != MEMBER_AMBIGUOUS && members->list[number - 1].line != 0;
        return reject_as_duplicate(out_reason,
                                   keys->has_email ? "the same e-mail and name"
                                                   : "the same name, with nothing else to tell"
                                                     " them apart,",
                                   first);
    }
    if (number == 0)
        return check_mailbox(members, file, keys, out_reason);
    if (keys->has_id)
        return reject(out_reason,
                      "review: the member with this e-mail and name has another id");
    if (number == MEMBER_AMBIGUOUS)
        return reject(out_reason, keys->has_email
                                      ? "review: two members have this e-mail and name"
                                      : "review: two members have this name and no e-mail");
    return take(members, number, line, out_member, out_reason, out_known);
}
