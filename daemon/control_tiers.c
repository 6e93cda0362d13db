/* SPDX-License-Identifier: MPL-2.0 */
/* control_tiers.c - tiers.list, tiers.set and members.who_sees: who receives which field. */
#include "daemon/control_internal.h"
#include "daemon/disclosure.h"

#include <stdlib.h>
#include <string.h>

/* --- tiers -------------------------------------------------------------------------------- */

static void write_field(struct mp_writer *writer, const struct node *node, const char *field,
                        const struct field_rule *rule)
{
    const struct slice name = slice_of_text(field);
    const bool fixed = disclosure_is_fixed(name);

    mp_write_map(writer, 6);
    mp_write_key_text(writer, "default", tier_name(rule != NULL ? rule->tier : TIER_CHAPTER));
    mp_write_key_text(writer, "field", field);
    mp_write_key_bool(writer, "fixed", fixed);
    mp_write_key_bool(writer, "followed", disclosure_is_followed(node->disclosure, name));
    mp_write_key_text(writer, "organizations",
                      tier_name(disclosure_tier(node->disclosure, name, true)));
    mp_write_key_text(writer, "tier",
                      tier_name(disclosure_tier(node->disclosure, name, false)));
}

static size_t list_fields(struct mp_writer *writer, const struct node *node)
{
    const struct disclosure *disclosure = node->disclosure;
    size_t rule_count;
    const struct field_rule *rules = field_rules(&rule_count);
    size_t count = rule_count;

    for (size_t i = 0; i < rule_count; i++)
        write_field(writer, node, rules[i].name, &rules[i]);
    for (size_t i = 0; i < disclosure->count; i++)
        if (field_rule_of(slice_of_text(disclosure->choices[i].field)) == NULL) {
            write_field(writer, node, disclosure->choices[i].field, NULL);
            count++;
        }
    return count;
}

static void write_pending(struct mp_writer *writer, const struct disclosure *disclosure)
{
    mp_write_text(writer, "pending");
    if (disclosure->reached_plus_one == 0) {
        mp_write_nil(writer);
        return;
    }
    mp_write_map(writer, 2);
    mp_write_key_uint(writer, "done", disclosure->reached_plus_one - 1);
    mp_write_key_uint(writer, "total", disclosure->last);
}

static enum status answer_tiers(struct control_wait *request, struct mp_writer *writer)
{
    CLEANUP(mp_writer_done) struct mp_writer list = { 0 };
    const struct disclosure *disclosure = request->node->disclosure;
    size_t count;

    mp_writer_init_heap(&list, CONTROL_SIZE_MAX);
    count = list_fields(&list, request->node);
    mp_write_map(writer, 4);
    mp_write_key_uint(writer, "changed", disclosure->changed);
    mp_write_text(writer, "fields");
    mp_write_array(writer, count);
    mp_write_raw(writer, mp_writer_bytes(&list));
    write_pending(writer, disclosure);
    mp_write_key_uint(writer, "refused", disclosure->refused);
    return list.status;
}

enum status control_tiers_list(struct control_wait *request, struct mp_writer *writer)
{
    return answer_tiers(request, writer);
}

/* "federation", "hq", "chapter", or nil for the default. */
static bool read_tier(struct mp_reader *reader, bool *out_given, enum tier *out_tier)
{
    struct slice text;

    *out_given = mp_peek(reader) != MP_NIL;
    if (!*out_given)
        return mp_read_raw(reader, 1).size == 1;
    if (mp_peek(reader) != MP_STR)
        return false;
    text = mp_read_str(reader, 64);
    for (int tier = TIER_FEDERATION; tier <= TIER_CHAPTER; tier++)
        if (slice_is_text(text, tier_name((enum tier)tier))) {
            *out_tier = (enum tier)tier;
            return true;
        }
    return false;
}

/* All of them, or none: each is read before the first is chosen. */
static enum status choose_all(struct control_wait *request, bool check_only)
{
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    char quote[CONTROL_QUOTE_SIZE];
    size_t count;

    mp_reader_init(&reader, ARGUMENT(request, fields)->text);
    count = mp_read_map(&reader, TIER_CHOICES_MAX);
    for (size_t i = 0; i < count && reader.status == OK; i++) {
        const struct slice field = mp_read_key(&reader, &last);
        const char *error = NULL;
        enum tier tier = TIER_CHAPTER;
        bool given;
        enum status status;

        if (!read_tier(&reader, &given, &tier))
            return control_error(request, USAGE, "a tier is federation, hq or chapter",
                                 "%s has no such tier", control_quote(field, quote));
        if (check_only && disclosure_is_fixed(field))
            return control_error(request, REFUSED, "chapterctl tiers list",
                                 "%s is known to every node: that cannot be changed",
                                 control_quote(field, quote));
        if (check_only)
            continue;
        status = disclosure_choose(request->node, field, given, tier, &error);
        if (status != OK)
            return control_error(request, status, "chapterctl tiers list", "%s: %s",
                                 control_quote(field, quote), error);
    }
    if (reader.status != OK || count == 0)
        return control_error(request, USAGE, "chapterctl help tiers", "no fields were given");
    return OK;
}

enum status control_tiers_set(struct control_wait *request, struct mp_writer *writer)
{
    enum status status;

    if ((status = control_may_write(request)) != OK ||
        (status = choose_all(request, true)) != OK ||
        (status = choose_all(request, false)) != OK)
        return status;
    if ((status = disclosure_begin(request->node)) != OK)
        return control_store_error(request, status);
    log_event(LOG_NOTICE, "event=tiers_set uid=%lld", (long long)request->uid);
    return answer_tiers(request, writer);
}

/* --- who sees a member -------------------------------------------------------------------- */

/* Codes of the nodes that hold that tier of that feed. */
static void write_receivers(struct mp_writer *writer, const struct node *node,
                            const char *origin, enum tier tier)
{
    size_t count = 0;

    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            mp_write_array(writer, count);
        for (size_t i = 0; i < node->roster_count; i++) {
            const struct roster_entry *entry = &node->roster[i]->entry;
            const bool own = strcmp(entry->code, origin) == 0;
            const bool hq = strcmp(entry->code, "hq") == 0;

            if (entry->state != CHAPTER_ENROLLED ||
                (tier != TIER_FEDERATION && !own && !(hq && tier == TIER_HQ)))
                continue;
            if (pass == 0)
                count++;
            else
                mp_write_text(writer, entry->code);
        }
    }
}

static void write_seen(struct mp_writer *writer, const struct node *node, const char *origin,
                       struct slice field, enum tier tier)
{
    mp_write_map(writer, 3);
    mp_write_text(writer, "field");
    mp_write_str(writer, field);
    mp_write_text(writer, "receivers");
    write_receivers(writer, node, origin, tier);
    mp_write_key_text(writer, "tier", tier_name(tier));
}

static size_t write_value(struct mp_writer *writer, const struct node *node, const char *origin,
                          struct slice value, enum tier tier)
{
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    size_t count;

    if (value.size == 0 || value_is_removal(value))
        return 0;
    mp_reader_init(&reader, value);
    count = mp_read_map(&reader, RECORD_FIELDS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct slice name = mp_read_key(&reader, &last);

        (void)mp_read_raw(&reader, RECORD_SIZE_MAX);
        write_seen(writer, node, origin, name, tier);
    }
    return count;
}

static void write_fields(struct control_wait *request, const struct node_feed *feed,
                         const struct record_view *view, struct mp_writer *writer)
{
    CLEANUP(mp_writer_done) struct mp_writer list = { 0 };
    const struct node *node = request->node;
    const char *origin = feed->replica.feed.origin;
    char text[UUID_TEXT_SIZE];
    size_t count = 1;

    mp_writer_init_heap(&list, CONTROL_SIZE_MAX);
    write_seen(&list, node, origin, slice_of_text("id"), TIER_FEDERATION);
    count +=
        write_value(&list, node, origin, view->change->value[TIER_FEDERATION], TIER_FEDERATION);
    count += write_value(&list, node, origin, view->hq, TIER_HQ);
    count += write_value(&list, node, origin, view->chapter, TIER_CHAPTER);
    uuid_format(view->change->id, text);
    mp_write_map(writer, 4);
    mp_write_key_text(writer, "chapter", origin);
    mp_write_key_bool(writer, "complete", feed->replica.own);
    mp_write_text(writer, "fields");
    mp_write_array(writer, count);
    mp_write_raw(writer, mp_writer_bytes(&list));
    mp_write_key_text(writer, "id", text);
}

enum status control_members_who_sees(struct control_wait *request, struct mp_writer *writer)
{
    struct record_view *view;
    const struct node_feed *feed;
    struct store_txn *txn = NULL;
    struct store_row row;
    struct change change;
    enum status status;

    if ((status = control_reading(request, &txn)) != OK ||
        (status = control_find_member(request, txn, &feed, &row)) != OK)
        return status;
    if ((view = calloc(1, sizeof *view)) == NULL)
        return control_error(request, NO_MEMORY, "try again", "there is no memory for it");
    control_row_as_change(&row, &change);
    status = record_view_init(view, request->node, feed, txn, &change, true);
    if (status == OK)
        write_fields(request, feed, view, writer);
    free(view);
    return status == OK ? OK : control_store_error(request, status);
}
