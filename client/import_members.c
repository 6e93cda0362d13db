/* SPDX-License-Identifier: MPL-2.0 */
/* import_members.c - each member as it came, after a few bytes of our own. */
#include "client/import_members.h"

#include <stddef.h>
#include <string.h>

/* Before each member's fields in the spool; its number is where it stands, from 1. */
struct header {
    uint8_t id[ID_SIZE];
    uint64_t line;
    uint32_t size;
    uint8_t active;
    uint8_t outdated;
};

static void take_field(struct slice name, struct slice text, struct member_texts *texts,
                       struct slice *id, struct slice *status)
{
    if (slice_is_text(name, "id"))
        *id = text;
    else if (slice_is_text(name, "external_id"))
        texts->external_id = text;
    else if (slice_is_text(name, "email"))
        texts->email = text;
    else if (slice_is_text(name, "name"))
        texts->name = text;
    else if (slice_is_text(name, "status"))
        *status = text;
}

/* INVALID if it is no map. */
static enum status read_texts(struct slice member, struct member_texts *texts, struct slice *id,
                              struct slice *status)
{
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    size_t count;

    mp_reader_init(&reader, member);
    count = mp_read_map(&reader, SIZE_MAX);
    for (size_t i = 0; i < count && reader.status == OK; i++) {
        const struct slice name = mp_read_key(&reader, &last);

        if (mp_peek(&reader) == MP_STR)
            take_field(name, mp_read_str(&reader, SIZE_MAX), texts, id, status);
        else
            (void)mp_read_raw(&reader, SIZE_MAX);
    }
    return mp_reader_finish(&reader);
}

enum status members_add(struct import_members *members, struct slice member,
                        struct member_texts *out_texts, uint64_t *out_number)
{
    const uint64_t number = members->spool.size + 1;
    struct member_texts texts = { 0 };
    struct slice status_text = SLICE_NONE;
    struct header header = { 0 };
    struct slice id = SLICE_NONE;
    enum status status;

    if (member.size > SPOOL_PIECE_MAX - sizeof header)
        return TOO_LARGE;
    if ((status = read_texts(member, &texts, &id, &status_text)) != OK)
        return status;
    if (!uuid_parse(id, texts.id))
        return INVALID;
    memcpy(header.id, texts.id, ID_SIZE);
    header.size = (uint32_t)member.size;
    header.active = member_status_of(status_text) == MEMBER_ACTIVE;
    if ((status = spool_add(&members->spool, &header, sizeof header)) != OK ||
        (status = spool_add(&members->spool, member.data, member.size)) != OK)
        return status;
    members->active_count += header.active;
    *out_texts = texts;
    *out_number = number;
    return OK;
}

void members_done(struct import_members *members)
{
    spool_done(&members->spool);
    memset(members, 0, sizeof *members);
}

enum status members_get(struct import_members *members, uint64_t number,
                        struct import_member *out_member)
{
    const uint8_t *bytes = NULL;
    struct header header;
    enum status status;

    status = spool_get(&members->spool, number - 1, sizeof header, &bytes);
    if (status != OK)
        return status;
    memcpy(&header, bytes, sizeof header);
    status = spool_get(&members->spool, number - 1, sizeof header + header.size, &bytes);
    if (status != OK)
        return status;
    memcpy(out_member->id, header.id, ID_SIZE);
    out_member->line = header.line;
    out_member->active = header.active != 0;
    out_member->outdated = header.outdated != 0;
    out_member->fields = slice_of(bytes + sizeof header, header.size);
    return OK;
}

enum status members_next(struct import_members *members, uint64_t *number,
                         struct import_member *out_member)
{
    uint64_t next = 1;
    enum status status;

    if (*number != 0) {
        if ((status = members_get(members, *number, out_member)) != OK)
            return status;
        next = *number + sizeof(struct header) + out_member->fields.size;
    }
    if (next - 1 == members->spool.size)
        return NOT_FOUND;
    *number = next;
    return members_get(members, next, out_member);
}

enum status members_set_outdated(struct import_members *members, uint64_t number)
{
    const uint8_t outdated = 1;
    struct import_member member;
    enum status status;

    if ((status = members_get(members, number, &member)) != OK)
        return status;
    members->active_count -= member.active;
    members->outdated_count++;
    return spool_change(&members->spool, number - 1 + offsetof(struct header, outdated),
                        &outdated, sizeof outdated);
}

enum status members_is_outdated(struct import_members *members, uint64_t number,
                                bool *out_outdated)
{
    struct import_member member;
    enum status status;

    *out_outdated = false;
    if (members->outdated_count == 0)
        return OK;
    if ((status = members_get(members, number, &member)) == OK)
        *out_outdated = member.outdated;
    return status;
}

enum status members_set_line(struct import_members *members, uint64_t number, uint64_t line)
{
    return spool_change(&members->spool, number - 1 + offsetof(struct header, line), &line,
                        sizeof line);
}

/* --- values ------------------------------------------------------------------------------- */

static int compare(struct slice name, const char *other)
{
    const size_t size = strlen(other);
    const int order = memcmp(name.data, other, name.size < size ? name.size : size);

    return order != 0 ? order : (name.size > size) - (name.size < size);
}

/* Both the member's fields and the columns are in the order of their names. */
void member_values(const struct import_member *member, const struct import_columns *columns,
                   struct slice *out_values)
{
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    size_t place = 0;
    size_t count;

    for (size_t i = 0; i < columns->count; i++)
        out_values[i] = SLICE_NONE;
    mp_reader_init(&reader, member->fields);
    count = mp_read_map(&reader, SIZE_MAX);
    for (size_t i = 0; i < count && reader.status == OK; i++) {
        const struct slice name = mp_read_key(&reader, &last);
        const bool text = mp_peek(&reader) == MP_STR;
        const struct slice value =
            text ? mp_read_str(&reader, SIZE_MAX) : mp_read_raw(&reader, SIZE_MAX);

        while (place < columns->field_count &&
               compare(name, columns->column[columns->by_name[place]].name) > 0)
            place++;
        if (text && place < columns->field_count &&
            compare(name, columns->column[columns->by_name[place]].name) == 0)
            out_values[columns->by_name[place]] = value;
    }
}
