/* SPDX-License-Identifier: MPL-2.0 */
/* control_surplus.c - surplus.list, surplus.adopt and surplus.discard: what a former state of
 * this chapter has, and nobody but the operator can decide. */
#include "daemon/control_internal.h"
#include "daemon/recovery.h"

#include <string.h>

#define ITEMS_MAX 1000 /* that are listed at once */

struct listing {
    struct mp_writer list;
    size_t count;
    bool more;
};

static void listing_done(struct listing *listing)
{
    mp_writer_done(&listing->list);
}

/* Of whichever tier has it; nil if none does. */
static void write_text_of(struct mp_writer *writer, const struct change *row, const char *field)
{
    struct slice text;

    mp_write_text(writer, field);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((row->tiers & (1u << tier)) && !value_is_removal(row->value[tier]) &&
            mp_map_get_text(row->value[tier], field, &text)) {
            mp_write_str(writer, text);
            return;
        }
    mp_write_nil(writer);
}

static enum status list_one(void *context, const struct surplus_item *item)
{
    static const char *const here[] = {
        [SURPLUS_GONE] = "gone", [SURPLUS_REMOVED] = "removed", [SURPLUS_OTHER] = "other"
    };
    struct listing *listing = context;
    struct mp_writer *writer = &listing->list;
    const bool removal = value_is_removal(item->row->value[TIER_FEDERATION]);

    if (listing->count == ITEMS_MAX) {
        listing->more = true;
        return AGAIN;
    }
    listing->count++;
    mp_write_map(writer, 8);
    write_text_of(writer, item->row, "country");
    mp_write_key_uint(writer, "epoch", item->epoch);
    mp_write_key_text(writer, "here", here[item->here]);
    mp_write_text(writer, "id");
    control_write_uuid(writer, item->row->id);
    write_text_of(writer, item->row, "kind");
    write_text_of(writer, item->row, "name");
    mp_write_key_text(writer, "op", removal ? "remove" : "put");
    mp_write_key_uint(writer, "seq", item->row->seq);
    return OK;
}

enum status control_surplus_list(struct control_wait *request, struct mp_writer *writer)
{
    CLEANUP(listing_done) struct listing listing = { .count = 0 };
    enum status status;

    mp_writer_init_heap(&listing.list, CONTROL_SIZE_MAX);
    status = surplus_list(request->node, list_one, &listing);
    if (status != OK && status != AGAIN)
        return control_store_error(request, status);
    mp_write_map(writer, 2);
    mp_write_key_bool(writer, "more", listing.more);
    mp_write_text(writer, "surplus");
    mp_write_array(writer, listing.count);
    mp_write_raw(writer, mp_writer_bytes(&listing.list));
    return listing.list.status;
}

static enum status decide(struct control_wait *request, struct mp_writer *writer, bool adopt)
{
    const struct argument *id = ARGUMENT(request, id);
    uint64_t done = 0;
    uint64_t left = 0;
    enum status status;

    if ((status = control_may_write(request)) != OK)
        return status;
    status = surplus_decide(request->node, id->given ? id->id : NULL, adopt, &done, &left);
    if (status != OK)
        return control_store_error(request, status);
    if (id->given && done == 0)
        return control_error(request, NOT_FOUND, "chapterctl surplus list",
                             "nothing waits for a decision under that id");
    log_event(LOG_NOTICE, "event=surplus_%s uid=%lld done=%llu left=%llu",
              adopt ? "adopted" : "discarded", (long long)request->uid,
              (unsigned long long)done, (unsigned long long)left);
    mp_write_map(writer, 2);
    mp_write_key_uint(writer, "done", done);
    mp_write_key_uint(writer, "left", left);
    return OK;
}

enum status control_surplus_adopt(struct control_wait *request, struct mp_writer *writer)
{
    return decide(request, writer, true);
}

enum status control_surplus_discard(struct control_wait *request, struct mp_writer *writer)
{
    return decide(request, writer, false);
}
