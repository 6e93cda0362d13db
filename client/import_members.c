/* SPDX-License-Identifier: MPL-2.0 */
/* import_members.c - the chapter's members in memory, packed, with tables to find them by.
 * Field names are kept once, as numbers. */
#include <stdlib.h>
#include <string.h>

#include "client/import_match.h"

#define NUMBER_NONE UINT16_MAX

static bool is_field(const char *name, const json_t *value)
{
    return json_is_string(value) && strcmp(name, "id") != 0 && !column_is_daemons(name);
}

static struct slice text_of(const json_t *value)
{
    if (!json_is_string(value))
        return SLICE_NONE;
    return slice_of(json_string_value(value), json_string_length(value));
}

static enum status number_of(struct import_members *members, const char *name,
                             uint16_t *out_number)
{
    const json_t *known = json_object_get(members->field_numbers, name);
    const size_t count = json_object_size(members->field_numbers);

    if (known != NULL) {
        *out_number = (uint16_t)json_integer_value(known);
        return OK;
    }
    if (count == NUMBER_NONE)
        return TOO_LARGE;
    if (json_object_set_new(members->field_numbers, name, json_integer((json_int_t)count)) != 0)
        return NO_MEMORY;
    *out_number = (uint16_t)count;
    return OK;
}

static enum status pack(struct import_members *members, const json_t *object,
                        struct import_member *out_member)
{
    json_t *const fields =
        (json_t *)(uintptr_t)object; /* jansson's iterators want it mutable */
    const char *name;
    json_t *value;
    uint8_t *packed;
    size_t size = 0;
    size_t at = 0;

    json_object_foreach(fields, name, value) if (is_field(name, value)) size +=
        2 * sizeof(uint16_t) + json_string_length(value);
    if ((packed = malloc(size == 0 ? 1 : size)) == NULL)
        return NO_MEMORY;
    json_object_foreach(fields, name, value)
    {
        const struct slice text = text_of(value);
        const uint16_t length = (uint16_t)text.size;
        uint16_t number = 0;
        enum status status;

        if (!is_field(name, value))
            continue;
        status = text.size > UINT16_MAX ? TOO_LARGE : number_of(members, name, &number);
        if (status != OK) {
            free(packed);
            return status;
        }
        memcpy(packed + at, &number, sizeof number);
        memcpy(packed + at + sizeof number, &length, sizeof length);
        memcpy(packed + at + 2 * sizeof number, text.data, text.size);
        at += 2 * sizeof number + text.size;
    }
    free(out_member->fields);
    out_member->fields = packed;
    out_member->fields_size = size;
    return OK;
}

static struct import_member *new_member(struct import_members *members)
{
    if (members->count == members->capacity) {
        const size_t capacity = members->capacity == 0 ? 256 : 2 * members->capacity;
        struct import_member *list = realloc(members->list, capacity * sizeof *list);

        if (list == NULL)
            return NULL;
        members->list = list;
        members->capacity = capacity;
    }
    memset(&members->list[members->count], 0, sizeof members->list[0]);
    return &members->list[members->count++];
}

/* Two members under one key: no row can mean one of them by it. */
static bool note(struct import_index *index, const uint8_t *key, uint64_t number)
{
    const uint64_t known = import_index_get(index, key);

    return import_index_put(index, key,
                            known == 0 || known == number ? number : MEMBER_AMBIGUOUS);
}

static enum status add_keys(struct import_members *members, const json_t *object,
                            uint64_t number)
{
    const struct slice external_id = text_trim(text_of(json_object_get(object, "external_id")));
    const struct slice email = text_trim(text_of(json_object_get(object, "email")));
    const struct slice name = text_of(json_object_get(object, "name"));
    uint8_t key[TEXT_KEY_SIZE];

    if (external_id.size > 0 &&
        (!text_key(TEXT_KEY_EXTERNAL_ID, external_id, SLICE_NONE, key) ||
         !note(&members->external_ids, key, number)))
        return NO_MEMORY;
    if (email.size > 0 && (!text_key(TEXT_KEY_EMAIL, email, SLICE_NONE, key) ||
                           !import_index_put(&members->mailboxes, key, 1)))
        return NO_MEMORY;
    if (email.size == 0 && external_id.size > 0)
        return OK;
    return text_key(TEXT_KEY_PERSON, email, name, key) && note(&members->persons, key, number)
               ? OK
               : NO_MEMORY;
}

enum status members_add(struct import_members *members, const json_t *member)
{
    const struct slice status_text = text_of(json_object_get(member, "status"));
    uint8_t key[TEXT_KEY_SIZE];
    uint8_t id[ID_SIZE];
    struct import_member *place;
    uint64_t number;
    enum status status;

    if (members->field_numbers == NULL && (members->field_numbers = json_object()) == NULL)
        return NO_MEMORY;
    if (!uuid_parse(text_of(json_object_get(member, "id")), id))
        return INVALID;
    if (!text_key(TEXT_KEY_ID, slice_of(id, ID_SIZE), SLICE_NONE, key))
        return NO_MEMORY;
    number = import_index_get(&members->ids, key);
    place = number == 0 ? new_member(members) : &members->list[number - 1];
    if (place == NULL)
        return NO_MEMORY;
    number = (uint64_t)(place - members->list) + 1;
    memcpy(place->id, id, ID_SIZE);
    if (!import_index_put(&members->ids, key, number))
        return NO_MEMORY;
    if ((status = pack(members, member, place)) != OK)
        return status;
    members->active_count -= place->active;
    place->active = member_status_of(status_text) == MEMBER_ACTIVE;
    members->active_count += place->active;
    return add_keys(members, member, number);
}

void members_done(struct import_members *members)
{
    for (size_t i = 0; i < members->count; i++)
        free(members->list[i].fields);
    free(members->list);
    json_decref(members->field_numbers);
    import_index_done(&members->ids);
    import_index_done(&members->external_ids);
    import_index_done(&members->persons);
    import_index_done(&members->mailboxes);
    memset(members, 0, sizeof *members);
}

void members_keep_names(const struct import_members *members, struct import_columns *columns)
{
    for (size_t i = 0; i < columns->count; i++) {
        struct import_column *column = &columns->column[i];

        if (column->role == COLUMN_FIELD && column->rule == NULL &&
            json_object_get(members->field_numbers, column->header) != NULL)
            memcpy(column->name, column->header, sizeof column->name);
    }
}

void members_values(const struct import_members *members, const struct import_member *member,
                    const struct import_columns *columns, struct slice *out_values)
{
    uint16_t number_of_column[CSV_COLUMNS_MAX];
    size_t at = 0;

    for (size_t i = 0; i < columns->count; i++) {
        const json_t *known =
            columns->column[i].role == COLUMN_FIELD
                ? json_object_get(members->field_numbers, columns->column[i].name)
                : NULL;

        out_values[i] = SLICE_NONE;
        number_of_column[i] = known == NULL ? NUMBER_NONE : (uint16_t)json_integer_value(known);
    }
    while (at < member->fields_size) {
        uint16_t number;
        uint16_t length;

        memcpy(&number, member->fields + at, sizeof number);
        memcpy(&length, member->fields + at + sizeof number, sizeof length);
        at += 2 * sizeof number;
        for (size_t i = 0; i < columns->count; i++)
            if (number_of_column[i] == number)
                out_values[i] = slice_of(member->fields + at, length);
        at += length;
    }
}

void members_forget_lines(struct import_members *members)
{
    for (size_t i = 0; i < members->count; i++)
        members->list[i].line = 0;
}
