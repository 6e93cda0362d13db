/* SPDX-License-Identifier: MPL-2.0 */
/* merge.c - a member's fields: old ones, what is laid over them, and the value of each tier. */
#include "daemon/write.h"
#include "daemon/write_internal.h"

#include "daemon/disclosure.h"

#include <stdlib.h>
#include <string.h>

void scratch_clear(struct write_scratch *scratch)
{
    scratch->exists = false;
    scratch->removed = false;
    scratch->old_seq = 0;
    scratch->field_count = 0;
    memset(scratch->old, 0, sizeof scratch->old);
    memset(scratch->value_size, 0, sizeof scratch->value_size);
}

void scratch_keep(struct write_scratch *scratch, enum tier tier, struct slice value)
{
    ASSERT(value.size <= RECORD_SIZE_MAX);
    memcpy(scratch->kept[tier], value.data, value.size);
    scratch->old[tier] = slice_of(scratch->kept[tier], value.size);
}

struct slice scratch_value(const struct write_scratch *scratch, enum tier tier)
{
    return slice_of(scratch->values[tier], scratch->value_size[tier]);
}

static bool fail(struct write_result *result, enum status status, struct slice field,
                 const char *error)
{
    result->status = status;
    result->error = error;
    (void)slice_copy_text(field, result->field, sizeof result->field);
    return false;
}

static struct write_field *find_field(struct write_scratch *scratch, struct slice name)
{
    for (size_t i = 0; i < scratch->field_count; i++)
        if (slice_equal(scratch->fields[i].name, name))
            return &scratch->fields[i];
    return NULL;
}

/* After a recovery the tiers of a record may be of different versions, and say a field twice:
 * the one that goes furthest was fetched back, and counts, as for whoever reads it. */
static void take_old(struct write_scratch *scratch, enum tier tier)
{
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    size_t count;

    if (scratch->old[tier].size == 0 || value_is_removal(scratch->old[tier]))
        return;
    mp_reader_init_validated(&reader, scratch->old[tier]);
    count = mp_read_map(&reader, RECORD_FIELDS_MAX);
    for (size_t i = 0; i < count && reader.status == OK; i++) {
        const struct slice name = mp_read_key(&reader, &last);
        const struct slice raw = mp_read_raw(&reader, RECORD_SIZE_MAX);
        struct write_field *field;

        if (tier != TIER_FEDERATION && find_field(scratch, name) != NULL)
            continue;
        field = &scratch->fields[scratch->field_count++];
        field->name = name;
        field->rule = field_rule_of(name);
        field->raw = raw;
        field->tier = tier;
        field->dropped = false;
        field->old_raw = field->raw;
        field->old_tier = tier;
    }
}

static struct write_field *new_field(struct write_scratch *scratch, struct slice name)
{
    struct write_field *field = &scratch->fields[scratch->field_count++];

    memset(field, 0, sizeof *field);
    field->name = name;
    field->rule = field_rule_of(name);
    field->tier = TIER_CHAPTER;
    return field;
}

static bool text_of(struct slice raw, struct slice *out_text)
{
    struct mp_reader reader;

    mp_reader_init_validated(&reader, raw);
    *out_text = mp_read_str(&reader, RECORD_SIZE_MAX);
    return mp_reader_finish(&reader) == OK;
}

/* A removed member's old private fields are gone; `updated` is the daemon's to set. */
static bool take_new(struct write_scratch *scratch, struct slice name, struct slice raw,
                     struct write_result *result)
{
    struct write_field *field = find_field(scratch, name);
    const struct field_rule *rule = field != NULL ? field->rule : field_rule_of(name);
    const char *reason = NULL;
    struct slice text;

    if (name.size == 0 || name.size > FIELD_NAME_MAX)
        return fail(result, INVALID, name, "a field's name has 1 to 64 characters");
    if (rule != NULL && rule->form == FIELD_TIME)
        return fail(result, INVALID, name, "is set by the daemon itself");
    if (slice_is_text(name, "id") || slice_is_text(name, "chapter") ||
        slice_is_text(name, "seq"))
        return fail(result, INVALID, name, "is not a field that can be changed");
    if (raw.size == 1 && raw.data[0] == 0xc0) {
        if (field != NULL)
            field->dropped = true;
        return true;
    }
    if (!text_of(raw, &text))
        return fail(result, INVALID, name, "must be a text or null");
    if (rule != NULL && field_check(rule, text, &reason) != OK)
        return fail(result, INVALID, name, reason);
    if (rule == NULL && text.size > 4096)
        return fail(result, TOO_LARGE, name, "is longer than 4096 bytes");
    if (field == NULL) {
        if (scratch->field_count >= RECORD_FIELDS_MAX - 3) /* room for kind, status, updated */
            return fail(result, TOO_LARGE, name, "too many fields");
        field = new_field(scratch, name);
    }
    field->name = name;
    field->raw = raw;
    field->dropped = false;
    return true;
}

static bool field_is(struct write_scratch *scratch, const char *name, struct slice *out_text)
{
    const struct write_field *field = find_field(scratch, slice_of_text(name));

    return field != NULL && !field->dropped && text_of(field->raw, out_text);
}

bool scratch_new_text(struct write_scratch *scratch, const char *name, struct slice *out_text)
{
    const struct write_field *field = find_field(scratch, slice_of_text(name));

    return field != NULL && !field->dropped && !slice_equal(field->raw, field->old_raw) &&
           text_of(field->raw, out_text) && out_text->size != 0;
}

static void add_default(struct write_scratch *scratch, const char *name, struct slice raw)
{
    struct write_field *field = find_field(scratch, slice_of_text(name));

    if (field != NULL && !field->dropped)
        return;
    if (field == NULL)
        field = new_field(scratch, slice_of_text(name));
    field->raw = raw;
    field->tier = TIER_FEDERATION;
    field->dropped = false;
}

/* Each field goes to the tier that the chapter chose, else to its rule's, which for a name
 * depends on the kind. */
static void give_tiers(struct write_scratch *scratch)
{
    struct slice kind = SLICE_NONE;
    bool organization;

    organization =
        field_is(scratch, "kind", &kind) && member_kind_of(kind) == KIND_ORGANIZATION;
    for (size_t i = 0; i < scratch->field_count; i++)
        scratch->fields[i].tier =
            disclosure_tier(scratch->disclosure, scratch->fields[i].name, organization);
}

bool scratch_merge(struct write_scratch *scratch, struct slice fields,
                   struct write_result *out_result)
{
    static const uint8_t individual[] = {
        0xaa, 'i', 'n', 'd', 'i', 'v', 'i', 'd', 'u', 'a', 'l'
    };
    static const uint8_t active[] = { 0xa6, 'a', 'c', 't', 'i', 'v', 'e' };
    struct slice last = SLICE_NONE;
    struct slice name;
    struct mp_reader reader;
    size_t count;

    for (int tier = 0; tier < TIERS_ALL; tier++)
        take_old(scratch, (enum tier)tier);
    mp_reader_init(&reader, fields);
    count = mp_read_map(&reader, RECORD_FIELDS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct slice key = mp_read_key(&reader, &last);
        const struct slice raw = mp_read_raw(&reader, RECORD_SIZE_MAX);

        if (reader.status == TOO_LARGE && key.size != 0)
            return fail(out_result, TOO_LARGE, key, "is longer than its limit");
        if (reader.status != OK)
            break;
        if (!take_new(scratch, key, raw, out_result))
            return false;
    }
    if (mp_reader_finish(&reader) != OK)
        return fail(out_result, INVALID, SLICE_NONE, "the fields are not a map of texts");
    add_default(scratch, "kind", slice_of(individual, sizeof individual));
    add_default(scratch, "status", slice_of(active, sizeof active));
    if (!field_is(scratch, "name", &name) || name.size == 0)
        return fail(out_result, INVALID, slice_of_text("name"), "is required");
    give_tiers(scratch);
    return true;
}

static int compare_fields(const void *a, const void *b)
{
    const struct write_field *left = a;
    const struct write_field *right = b;
    const size_t size = left->name.size < right->name.size ? left->name.size : right->name.size;
    const int order = memcmp(left->name.data, right->name.data, size);

    if (order != 0)
        return order;
    return left->name.size < right->name.size ? -1 : left->name.size > right->name.size;
}

/* Those of a request come in order; what is laid under and over them need not. */
static void sort_fields(struct write_scratch *scratch)
{
    for (size_t i = 1; i < scratch->field_count; i++)
        if (compare_fields(&scratch->fields[i - 1], &scratch->fields[i]) > 0) {
            qsort(scratch->fields, scratch->field_count, sizeof *scratch->fields,
                  compare_fields);
            return;
        }
}

static bool in_tier(const struct write_field *field, enum tier tier)
{
    return !field->dropped && field->tier == tier;
}

static size_t pack_tier(const struct write_scratch *scratch, enum tier tier, uint8_t *buffer,
                        size_t capacity)
{
    struct mp_writer writer;
    size_t count = 0;

    for (size_t i = 0; i < scratch->field_count; i++)
        count += in_tier(&scratch->fields[i], tier);
    if (tier == TIER_CHAPTER && count == 0)
        return 0;
    mp_writer_init(&writer, buffer, capacity);
    mp_write_map(&writer, count);
    for (size_t i = 0; i < scratch->field_count; i++) {
        if (!in_tier(&scratch->fields[i], tier))
            continue;
        mp_write_str(&writer, scratch->fields[i].name);
        mp_write_raw(&writer, scratch->fields[i].raw);
    }
    return writer.status == OK ? writer.size : SIZE_MAX;
}

/* Does tier differ from what was?  (`updated` follows from that, and does not count.) */
static bool differs(const struct write_scratch *scratch, enum tier tier)
{
    for (size_t i = 0; i < scratch->field_count; i++) {
        const struct write_field *field = &scratch->fields[i];
        const bool was = field->old_raw.size != 0 && field->old_tier == tier;
        const bool is = in_tier(field, tier);

        if (was != is || (is && !slice_equal(field->raw, field->old_raw)))
            return true;
    }
    return false;
}

bool scratch_pack(struct write_scratch *scratch, uint64_t now_s, bool *out_published,
                  bool *out_any, struct write_result *out_result)
{
    static const char *const too_large = "the record is larger than 16 KiB";
    const bool present = scratch->exists && !scratch->removed;
    uint8_t updated[9];
    struct mp_writer writer;
    bool published;
    bool private_part;

    sort_fields(scratch);
    published = !present || differs(scratch, TIER_FEDERATION) || differs(scratch, TIER_HQ);
    private_part = differs(scratch, TIER_CHAPTER);
    if (published) {
        struct write_field *field;

        mp_writer_init(&writer, updated, sizeof updated);
        mp_write_uint(&writer, now_s);
        add_default(scratch, "updated", mp_writer_bytes(&writer));
        field = find_field(scratch, slice_of_text("updated"));
        field->raw = mp_writer_bytes(&writer);
        sort_fields(scratch);
    }
    for (int tier = 0; tier < TIERS_ALL; tier++) {
        const size_t size =
            pack_tier(scratch, (enum tier)tier, scratch->values[tier], RECORD_SIZE_MAX);

        if (size == SIZE_MAX)
            return fail(out_result, TOO_LARGE, SLICE_NONE, too_large);
        scratch->value_size[tier] = size;
    }
    *out_published = published;
    *out_any = published || private_part;
    return true;
}
