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

/* Fields that go further than their chapter by now, and whether a member has them so. */
struct expected {
    char name[FIELD_NAME_MAX + 1];
    bool seen;
};

struct follow {
    struct node *node;
    struct expected *fields; /* as many as there are rules and choices */
    size_t count;
    bool fresh;   /* members came, or went, that this directory did not know */
    bool witness; /* there is a member whose fields were fetched back */
    bool changed;
};

static void expect(struct follow *follow, const char *name)
{
    const struct disclosure *disclosure = follow->node->disclosure;
    const struct slice field = slice_of_text(name);
    const enum tier furthest = follow->node->is_hq ? TIER_FEDERATION : TIER_HQ;

    if (disclosure_is_fixed(field) || (disclosure_tier(disclosure, field, false) > furthest &&
                                       disclosure_tier(disclosure, field, true) > furthest))
        return;
    for (size_t i = 0; i < follow->count; i++)
        if (strcmp(follow->fields[i].name, name) == 0)
            return;
    (void)slice_copy_text(field, follow->fields[follow->count++].name, FIELD_NAME_MAX + 1);
}

static enum status expect_all(struct follow *follow)
{
    const struct disclosure *disclosure = follow->node->disclosure;
    size_t count;
    const struct field_rule *rules = field_rules(&count);

    if ((follow->fields = calloc(count + disclosure->count, sizeof *follow->fields)) == NULL)
        return NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        expect(follow, rules[i].name);
    for (size_t i = 0; i < disclosure->count; i++)
        expect(follow, disclosure->choices[i].field);
    return OK;
}

static void see(struct follow *follow, const struct change *row)
{
    for (size_t i = 0; i < follow->count; i++) {
        struct expected *field = &follow->fields[i];

        for (int tier = 0; tier < TIERS_PUBLISHED && !field->seen; tier++)
            field->seen = mp_map_get(row->value[tier], field->name).size != 0;
    }
}

/* There may be as many choices as there can be: then it stays as it is. */
static enum status ended(enum status status, const char *name, enum tier tier)
{
    if (status != OK)
        return status == TOO_LARGE ? OK : status;
    log_event(LOG_WARNING,
              "event=tier_followed field=\"%s\" tier=%s remedy=\"see chapterctl status: it goes"
              " no further than in what was fetched back\"",
              name, tier_name(tier));
    return OK;
}

/* Back to the default, if that does; else to tier hq. */
static enum status withdraw(struct node *node, const char *name, bool organization)
{
    const struct disclosure none = { .count = 0 };
    const struct slice field = slice_of_text(name);
    const char *error;

    return ended(disclosure_tier(&none, field, organization) != TIER_FEDERATION
                     ? disclosure_choose(node, field, false, TIER_HQ, &error)
                     : disclosure_choose_followed(node, field, TIER_HQ, &error),
                 name, TIER_HQ);
}

/* What is in tier hq alone, and may go further by now, was withdrawn from the others. */
static enum status look_at(struct follow *follow, const struct change *row)
{
    const struct disclosure *disclosure = follow->node->disclosure;
    const struct slice federation = row->value[TIER_FEDERATION];
    const bool organization = is_organization(federation);
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    enum status status = OK;

    mp_reader_init(&reader, row->value[TIER_HQ]);
    for (size_t left = mp_read_map(&reader, RECORD_FIELDS_MAX); left > 0 && status == OK;
         left--) {
        const struct slice name = mp_read_key(&reader, &last);
        char text[FIELD_NAME_MAX + 1];

        (void)mp_read_raw(&reader, RECORD_SIZE_MAX);
        if (reader.status != OK || !slice_copy_text(name, text, sizeof text) ||
            disclosure_is_fixed(name) || mp_map_get(federation, text).size != 0 ||
            disclosure_tier(disclosure, name, organization) != TIER_FEDERATION)
            continue;
        follow->changed = true;
        status = withdraw(follow->node, text, organization);
    }
    return status;
}

static enum status follow_row(struct follow *follow, const struct change *row,
                              uint64_t from_seq, uint64_t closed_seq)
{
    if (row->type != RECORD_MEMBER)
        return OK;
    if (row->seq > from_seq && row->seq <= closed_seq)
        follow->fresh = true;
    if (row->tiers != TIERS_BOTH || !is_map(row->value[TIER_FEDERATION]) ||
        !is_map(row->value[TIER_HQ]))
        return OK;
    see(follow, row);
    if (row->seq <= closed_seq)
        follow->witness = true;
    return row->seq > from_seq ? look_at(follow, row) : OK;
}

/* No record loses anything by it: there is nothing to put anew. */
static enum status keep_unseen(struct follow *follow)
{
    struct disclosure *disclosure = follow->node->disclosure;
    const bool narrows = disclosure->narrows;
    enum status status = OK;

    for (size_t i = 0; i < follow->count && status == OK; i++) {
        const char *name = follow->fields[i].name;
        const char *error;

        if (!follow->fields[i].seen)
            status = ended(disclosure_choose_followed(follow->node, slice_of_text(name),
                                                      TIER_CHAPTER, &error),
                           name, TIER_CHAPTER);
    }
    disclosure->narrows = narrows;
    return status;
}

static enum status follow_rows(struct follow *follow, uint32_t number, uint64_t from_seq,
                               uint64_t closed_seq)
{
    struct rows *rows = rows_open(follow->node, number, TIERS_BOTH, 0);
    struct change row;
    enum status status = OK;

    if (rows == NULL)
        return NO_MEMORY;
    while (status == OK && rows_next(rows, &row))
        status = follow_row(follow, &row, from_seq, closed_seq);
    if (status == OK)
        status = rows_status(rows);
    rows_close(&rows);
    return status;
}

enum status disclosure_follow(struct node *node, uint64_t from_seq, uint64_t closed_seq)
{
    const struct node_feed *own = node->feeds[node->own_feed];
    const uint32_t number = own->record.tier[TIER_FEDERATION].number;
    struct follow follow = { .node = node };
    enum status status;

    if (number == 0 || number != own->record.tier[TIER_HQ].number)
        return OK;
    if ((status = expect_all(&follow)) == OK)
        status = follow_rows(&follow, number, from_seq, closed_seq);
    if (status == OK && follow.fresh && follow.witness)
        status = keep_unseen(&follow);
    if (status == OK && follow.changed)
        status = disclosure_begin(node);
    free(follow.fields);
    return status;
}
