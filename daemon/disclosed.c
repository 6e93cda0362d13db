/* SPDX-License-Identifier: MPL-2.0 */
/* disclosed.c - records that were written by other choices of tiers than are in force: those
 * of a closed epoch that are issued again, and what the own feed tells when it was fetched
 * back. */
#include "daemon/disclosure.h"

#include "daemon/rows.h"

#include <stdlib.h>
#include <string.h>

struct field {
    struct slice name;
    struct slice raw;
    enum tier tier;
};

static bool is_organization(struct slice federation_value)
{
    struct slice kind;

    return mp_map_get_text(federation_value, "kind", &kind) &&
           member_kind_of(kind) == KIND_ORGANIZATION;
}

static bool is_map(struct slice value)
{
    return value.size != 0 && !value_is_removal(value);
}

/* --- narrowing ---------------------------------------------------------------------------- */

static bool has(const struct field *fields, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(fields[i].name, name))
            return true;
    return false;
}

/* One that is said twice goes as far as the further one, as for whoever reads it. */
static void take(const struct disclosure *disclosure, enum tier tier, struct slice value,
                 bool organization, struct field *fields, size_t *count)
{
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    size_t left;

    mp_reader_init(&reader, value);
    left = is_map(value) ? mp_read_map(&reader, RECORD_FIELDS_MAX) : 0;
    for (; left > 0 && reader.status == OK; left--) {
        const struct slice name = mp_read_key(&reader, &last);
        const struct slice raw = mp_read_raw(&reader, RECORD_SIZE_MAX);
        const enum tier chosen = disclosure_is_fixed(name)
                                     ? TIER_FEDERATION
                                     : disclosure_tier(disclosure, name, organization);

        if (reader.status == OK && !has(fields, *count, name))
            fields[(*count)++] = (struct field){ name, raw, chosen > tier ? chosen : tier };
    }
}

static int compare_names(const void *a, const void *b)
{
    const struct slice left = ((const struct field *)a)->name;
    const struct slice right = ((const struct field *)b)->name;
    const size_t size = left.size < right.size ? left.size : right.size;
    const int order = memcmp(left.data, right.data, size);

    return order != 0 ? order : (left.size > right.size) - (left.size < right.size);
}

static enum status pack(const struct field *fields, size_t count, enum tier tier,
                        uint8_t *buffer, struct slice *out_value)
{
    struct mp_writer writer;
    size_t in_tier = 0;

    for (size_t i = 0; i < count; i++)
        in_tier += fields[i].tier == tier;
    mp_writer_init(&writer, buffer, RECORD_SIZE_MAX);
    mp_write_map(&writer, in_tier);
    for (size_t i = 0; i < count; i++)
        if (fields[i].tier == tier) {
            mp_write_str(&writer, fields[i].name);
            mp_write_raw(&writer, fields[i].raw);
        }
    *out_value = tier == TIER_CHAPTER && in_tier == 0 ? SLICE_NONE : mp_writer_bytes(&writer);
    return writer.status;
}

enum status disclosure_narrow(const struct disclosure *disclosure,
                              const struct slice values[DISCLOSED_VALUES],
                              uint8_t (*buffers)[RECORD_SIZE_MAX],
                              struct slice out_values[DISCLOSED_VALUES])
{
    struct field *fields = calloc(DISCLOSED_VALUES * RECORD_FIELDS_MAX, sizeof *fields);
    const bool organization = is_organization(values[TIER_FEDERATION]);
    enum status status = fields == NULL ? NO_MEMORY : OK;
    size_t count = 0;

    for (int tier = 0; tier < DISCLOSED_VALUES && status == OK; tier++)
        take(disclosure, (enum tier)tier, values[tier], organization, fields, &count);
    if (status == OK)
        qsort(fields, count, sizeof *fields, compare_names);
    for (int tier = 0; tier < DISCLOSED_VALUES && status == OK; tier++) {
        status = pack(fields, count, (enum tier)tier, buffers[tier], &out_values[tier]);
        if (status == TOO_LARGE) { /* then what would have come to it is nowhere */
            out_values[tier] = values[tier];
            status = OK;
        }
    }
    free(fields);
    return status;
}

/* --- following ---------------------------------------------------------------------------- */

/* Back to the default, if that does; else to tier hq. */
static enum status withdraw(struct node *node, const char *name, bool organization)
{
    const struct disclosure none = { .count = 0 };
    const struct slice field = slice_of_text(name);
    const bool chosen = disclosure_tier(&none, field, organization) == TIER_FEDERATION;
    const char *error;
    enum status status = disclosure_choose(node, field, chosen, TIER_HQ, &error);

    if (status == TOO_LARGE) /* there are as many choices as there can be */
        return OK;
    log_event(LOG_WARNING,
              "event=tier_followed field=\"%s\" remedy=\"which field goes how far is as it was"
              " in the copy, or the default: chapterctl tiers list\"",
              name);
    return status;
}

static enum status look_at(struct node *node, const struct change *row, bool *out_changed)
{
    const struct slice federation = row->value[TIER_FEDERATION];
    const bool organization = is_organization(federation);
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    enum status status = OK;

    if (row->type != RECORD_MEMBER || !is_map(federation) || !is_map(row->value[TIER_HQ]))
        return OK;
    mp_reader_init(&reader, row->value[TIER_HQ]);
    for (size_t left = mp_read_map(&reader, RECORD_FIELDS_MAX); left > 0 && status == OK;
         left--) {
        const struct slice name = mp_read_key(&reader, &last);
        char text[FIELD_NAME_MAX + 1];

        (void)mp_read_raw(&reader, RECORD_SIZE_MAX);
        if (reader.status != OK || !slice_copy_text(name, text, sizeof text) ||
            disclosure_is_fixed(name) || mp_map_get(federation, text).size != 0 ||
            disclosure_tier(node->disclosure, name, organization) != TIER_FEDERATION)
            continue;
        *out_changed = true;
        status = withdraw(node, text, organization);
    }
    return status;
}

enum status disclosure_follow(struct node *node, uint64_t from_seq)
{
    const struct node_feed *own = node->feeds[node->own_feed];
    const uint32_t number = own->record.tier[TIER_FEDERATION].number;
    struct rows *rows;
    struct change row;
    bool changed = false;
    enum status status = OK;

    if (number == 0 || number != own->record.tier[TIER_HQ].number)
        return OK;
    if ((rows = rows_open(node, number, TIERS_BOTH, from_seq)) == NULL)
        return NO_MEMORY;
    while (status == OK && rows_next(rows, &row))
        if (row.tiers == TIERS_BOTH)
            status = look_at(node, &row, &changed);
    if (status == OK)
        status = rows_status(rows);
    rows_close(&rows);
    return status == OK && changed ? disclosure_begin(node) : status;
}
