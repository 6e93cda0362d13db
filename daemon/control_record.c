/* SPDX-License-Identifier: MPL-2.0 */
/* control_record.c - a record as this node may see it: the fields of the tiers that it holds,
 * merged and sorted. */
#include "daemon/control_internal.h"

#include <stdlib.h>
#include <string.h>

static enum status look_up_hq(struct record_view *view)
{
    const uint32_t federation = view->feed->record.tier[TIER_FEDERATION].number;
    const uint32_t hq = view->feed->record.tier[TIER_HQ].number;
    struct store_row row;
    enum status status;

    if (hq == 0)
        return OK;
    if (hq == federation && (view->change->tiers & TIERS_HQ)) {
        view->hq = view->change->value[TIER_HQ];
        return OK;
    }
    status = store_get_row(view->txn, hq, view->change->id, &row);
    if (status == OK && (row.tiers & TIERS_HQ))
        view->hq = row.value[TIER_HQ];
    return status == NOT_FOUND ? OK : status;
}

enum status record_view_init(struct record_view *view, struct node *node,
                             const struct node_feed *feed, struct store_txn *txn,
                             const struct change *change, bool with_private)
{
    enum status status;

    view->node = node;
    view->feed = feed;
    view->txn = txn;
    view->change = change;
    view->hq = SLICE_NONE;
    view->chapter = SLICE_NONE;
    view->field_count = 0;
    status = look_up_hq(view);
    if (status != OK || !with_private || !feed->replica.own)
        return status;
    status = store_get_private(txn, change->id, &view->chapter);
    return status == NOT_FOUND ? OK : status;
}

bool record_view_text(const struct record_view *view, const char *name, struct slice *out_text)
{
    const struct slice values[] = { view->change->value[TIER_FEDERATION], view->hq,
                                    view->chapter };

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (values[i].size != 0 && !value_is_removal(values[i]) &&
            mp_map_get_text(values[i], name, out_text))
            return true;
    return false;
}

/* --- gathering ---------------------------------------------------------------------------- */

static bool has_field(const struct record_view *view, struct slice name)
{
    for (size_t i = 0; i < view->field_count; i++)
        if (slice_equal(view->fields[i].name, name))
            return true;
    return false;
}

static void push(struct record_view *view, const char *name, struct slice raw)
{
    view->fields[view->field_count++] = (struct field_view){ slice_of_text(name), raw };
}

/* These the daemon says itself, whatever a value claims. */
static bool is_said_apart(struct slice name)
{
    return slice_is_text(name, "id") || slice_is_text(name, "chapter") ||
           slice_is_text(name, "seq") || slice_is_text(name, "updated");
}

static void gather_value(struct record_view *view, struct slice value)
{
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    size_t count;

    if (value.size == 0 || value_is_removal(value))
        return;
    mp_reader_init(&reader, value);
    count = mp_read_map(&reader, RECORD_FIELDS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct slice name = mp_read_key(&reader, &last);
        const struct slice raw = mp_read_raw(&reader, RECORD_SIZE_MAX);

        if (reader.status != OK)
            return;
        if (!is_said_apart(name) && !has_field(view, name))
            view->fields[view->field_count++] = (struct field_view){ name, raw };
    }
}

static void gather(struct record_view *view)
{
    view->field_count = 0;
    gather_value(view, view->change->value[TIER_FEDERATION]);
    gather_value(view, view->hq);
    gather_value(view, view->chapter);
}

static struct slice in_buffer(const struct mp_writer *writer)
{
    ASSERT(writer->status == OK);
    return mp_writer_bytes(writer);
}

static void gather_said(struct record_view *view)
{
    const struct slice value = view->change->value[TIER_FEDERATION];
    struct mp_writer writer;
    uint64_t updated;

    mp_writer_init(&writer, view->id, sizeof view->id);
    control_write_uuid(&writer, view->change->id);
    push(view, "id", in_buffer(&writer));
    mp_writer_init(&writer, view->code, sizeof view->code);
    mp_write_text(&writer, view->feed->replica.feed.origin);
    push(view, "chapter", in_buffer(&writer));
    mp_writer_init(&writer, view->seq, sizeof view->seq);
    mp_write_uint(&writer, view->change->seq);
    push(view, "seq", in_buffer(&writer));
    if (mp_map_get_uint(value, "updated", &updated)) {
        mp_writer_init(&writer, view->updated, sizeof view->updated);
        control_write_time(&writer, updated);
        push(view, "updated", in_buffer(&writer));
    }
}

/* --- writing ------------------------------------------------------------------------------ */

static int compare_fields(const void *a, const void *b)
{
    const struct field_view *left = a;
    const struct field_view *right = b;
    const size_t size = left->name.size < right->name.size ? left->name.size : right->name.size;
    const int order = memcmp(left->name.data, right->name.data, size);

    if (order != 0)
        return order;
    return left->name.size < right->name.size ? -1 : left->name.size > right->name.size;
}

static void write_fields(struct record_view *view, struct mp_writer *writer)
{
    qsort(view->fields, view->field_count, sizeof view->fields[0], compare_fields);
    mp_write_map(writer, view->field_count);
    for (size_t i = 0; i < view->field_count; i++) {
        mp_write_str(writer, view->fields[i].name);
        control_write_value(writer, view->fields[i].raw);
    }
}

void record_view_write_member(struct record_view *view, struct mp_writer *writer)
{
    gather(view);
    gather_said(view);
    write_fields(view, writer);
}

void record_view_write_fields(struct record_view *view, struct mp_writer *writer)
{
    gather(view);
    write_fields(view, writer);
}
