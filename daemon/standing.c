/* SPDX-License-Identifier: MPL-2.0 */
/* standing.c - a chapter's place in the roster changes (HQ): suspended, resumed, revoked, or
 * described anew; and what follows from it later.  Where its feed ends is stated by epoch and
 * seq; no clock decides it. */
#include "daemon/invitation.h"
#include "daemon/recovery.h"
#include "daemon/replication.h"
#include "daemon/words.h"
#include "daemon/write.h"
#include "proto/country.h"

#include <sodium.h>
#include <string.h>

#define PLACES_EVERY_MS 10000
#define LOOKS_BEHIND_MAX 6

static enum status objection(enum status status, const char *error, const char **out_error)
{
    *out_error = error;
    return status;
}

/* The entry to be changed. */
static enum status find_entry(struct node *node, const char *code,
                              struct roster_entry *out_entry, const char **out_error)
{
    const struct roster_node *place = roster_find(node, code);

    if (!node->is_hq)
        return objection(REFUSED, "only HQ changes the roster: run this at HQ", out_error);
    if (place == NULL || !place->present)
        return objection(NOT_FOUND, "no chapter has that code", out_error);
    *out_entry = place->entry;
    return OK;
}

static enum status put_entry(struct node *node, const struct roster_entry *entry,
                             const char **out_error)
{
    enum status status = write_roster(node, entry);

    if (status == OK)
        status = node_turn_fails(node, write_seal(node));
    if (status != OK)
        return objection(status, "the store cannot be written", out_error);
    roster_amend(node, entry);
    return OK;
}

/* The instance goes on; of its former key what was said of the epochs before stays true. */
static void close_where_hq_stands(const struct node *node, struct roster_entry *entry)
{
    const struct roster_entry was = *entry;

    epoch_close(node, entry, was.instance);
    if (!sodium_is_zero(entry->former_key, KEY_SIZE))
        return;
    memcpy(entry->former_key, was.former_key, KEY_SIZE);
    entry->former_epoch = was.former_epoch;
    entry->former_seq = was.former_seq;
}

/* What HQ itself holds is what stays of the feed.  Where a restored HQ holds what nobody else
 * may take, of an epoch that its roster forgot, or beyond or beside where it closed one, that
 * becomes the closed head of the next: which everybody takes. */
static void end_here(const struct node *node, struct roster_entry *entry)
{
    const uint32_t index = node_feed_index(node, entry->code);
    const struct feed_mark *mark;
    struct feed_term term;

    if (index == NO_PEER)
        return;
    mark = &node->feeds[index]->replica.feed.tier[TIER_FEDERATION];
    roster_term_of(node, entry->code, &term);
    if (mark->seq != 0 && (mark->epoch > term.epoch ||
                           feed_is_closed_off(&term, mark->epoch, mark->seq, mark->hash)))
        close_where_hq_stands(node, entry);
    entry->until_epoch = mark->seq != 0 ? mark->epoch : 0;
    entry->until_seq = mark->seq;
}

static enum status check_state(const struct roster_entry *entry, enum chapter_state state,
                               const char **out_error)
{
    if (strcmp(entry->code, "hq") == 0)
        return objection(INVALID, "HQ itself cannot be suspended or revoked", out_error);
    if (entry->state == state)
        return objection(EXISTS,
                         state == CHAPTER_ENROLLED    ? "that chapter is not suspended"
                         : state == CHAPTER_SUSPENDED ? "that chapter is suspended already"
                                                      : "that chapter is revoked already",
                         out_error);
    if (entry->state == CHAPTER_REVOKED)
        return objection(
            REFUSED,
            "that chapter is revoked for good: it can only be invited under another"
            " code",
            out_error);
    return OK;
}

enum status standing_change(struct node *node, const char *code, enum chapter_state state,
                            const char **out_error)
{
    struct roster_entry entry;
    enum status status;

    if ((status = find_entry(node, code, &entry, out_error)) != OK ||
        (status = check_state(&entry, state, out_error)) != OK)
        return status;
    if (epoch_is_moving(node, code))
        return objection(AGAIN,
                         "what that chapter sent is just being put in place: try again in a"
                         " second",
                         out_error);
    if (state == CHAPTER_ENROLLED)
        entry.until_epoch = entry.until_seq = 0;
    else if (entry.state == CHAPTER_ENROLLED)
        end_here(node, &entry);
    entry.state = state;
    return put_entry(node, &entry, out_error);
}

enum status standing_edit(struct node *node, const char *code, const struct standing_edit *edit,
                          const char **out_error)
{
    struct roster_entry entry;
    enum status status;

    if ((status = find_entry(node, code, &entry, out_error)) != OK)
        return status;
    if (edit->name != NULL) {
        if (!words_name_valid(edit->name, NAME_SIZE_MAX))
            return objection(INVALID,
                             "a name is 1 to 255 bytes of UTF-8 without control characters",
                             out_error);
        memset(entry.name, 0, sizeof entry.name);
        memcpy(entry.name, edit->name, strlen(edit->name));
    }
    if (edit->country != NULL) {
        if (edit->country[0] != '\0' && !country_valid(slice_of_text(edit->country)))
            return objection(
                INVALID, "a country is two capital letters of ISO 3166, such as FR", out_error);
        memset(entry.country, 0, sizeof entry.country);
        memcpy(entry.country, edit->country, strlen(edit->country));
    }
    if (edit->has_records_max)
        entry.records_max = edit->records_max;
    if (edit->has_bytes_max)
        entry.bytes_max = edit->bytes_max;
    return put_entry(node, &entry, out_error);
}

/* --- revoked before HQ held anything ------------------------------------------------------ */

/* Who has something of it goes back to nothing, as who stands beyond any end goes back. */
static enum status drop_feed(struct node *node, uint32_t index)
{
    struct node_feed *feed = node->feeds[index];
    enum status status;

    if (node_writing(node) == NULL)
        return node->turn_error;
    if ((status = node_census_flush(node)) != OK)
        return status;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const uint32_t number = feed->record.tier[tier].number;

        if (number == 0)
            continue;
        if (tier == TIER_FEDERATION &&
            (status = store_census_merge(&node->txn, number, -1)) != OK)
            return status;
        status = store_discard(&node->txn, feed->record.origin, number, 1u << tier);
        if (status != OK)
            return status;
        memset(&feed->record.tier[tier], 0, sizeof feed->record.tier[tier]);
    }
    feed_go_back(&feed->replica.feed, TIERS_BOTH);
    node->sweep_more = true;
    if (node->is_hq && (status = persons_mark(node, index, 1)) != OK)
        return status;
    sync_feed_advanced(node, index);
    log_event(LOG_NOTICE, "event=feed_dropped feed=%s", feed->record.origin);
    return store_put_feed(&node->txn, &feed->record);
}

static void drop_ended_at_nothing(struct node *node)
{
    for (size_t i = 0; i < node->replica.feed_count && !node->turn_failed; i++) {
        const struct replica_feed *feed = &node->feeds[i]->replica;

        if (feed->revoked && feed->until.seq == 0 && !feed->own && !node->feeds[i]->building &&
            (feed->feed.tier[TIER_FEDERATION].seq != 0 || feed->feed.tier[TIER_HQ].seq != 0))
            (void)node_turn_fails(node, drop_feed(node, (uint32_t)i));
    }
}

/* --- after HQ's own recovery -------------------------------------------------------------- */

static void close_again(struct node *node, const struct roster_entry *old)
{
    struct roster_entry entry = *old;
    const char *error;
    const char *remedy;

    if (epoch_is_moving(node, old->code) || write_ready(node, &error, &remedy) != OK)
        return;
    close_where_hq_stands(node, &entry);
    if (put_entry(node, &entry, &error) == OK)
        log_event(LOG_NOTICE, "event=epoch_closed_again chapter=%s epoch=%llu closed_seq=%llu",
                  entry.code, (unsigned long long)entry.epoch,
                  (unsigned long long)entry.closed_seq);
}

/* Beyond or beside it, or before it for so long that nobody has it.  That its epoch is frozen
 * changes nothing: of what a frozen feed lacks it takes nothing. */
static bool lacks_closed_head(struct node *node, uint32_t index)
{
    struct node_feed *feed = node->feeds[index];
    const struct feed_mark *mark = &feed->replica.feed.tier[TIER_FEDERATION];
    struct feed_term term;

    roster_term_of(node, feed->record.origin, &term);
    if (feed->replica.own || term.ended || mark->epoch >= term.epoch ||
        feed_is_closed_head(&term, mark->epoch, mark->seq, mark->hash) ||
        feed_frozen(&feed->replica.feed, term.epoch)) { /* its origin asks for the next */
        feed->looks_behind = 0;
        return false;
    }
    if (mark->seq != 0 && feed_is_closed_off(&term, mark->epoch, mark->seq, mark->hash))
        return true;
    return mark->seq < term.closed_seq && ++feed->looks_behind >= LOOKS_BEHIND_MAX;
}

static void look_at_places(struct node *node)
{
    for (size_t i = 0; i < node->roster_count && !node->turn_failed; i++) {
        const struct roster_entry entry = node->roster[i]->entry;
        const uint32_t index = node_feed_index(node, entry.code);

        if (index != NO_PEER && lacks_closed_head(node, index)) {
            node->feeds[index]->looks_behind = 0;
            close_again(node, &entry);
        }
    }
}

void standing_turn(struct node *node)
{
    bool first = node->places_at_ms == 0;

    drop_ended_at_nothing(node);
    /* Only a restored HQ can lack what it closed at itself. */
    if (!node->is_hq || node->closure.epoch == 0 || node->phase != EPOCH_SIGNING ||
        node_now(node) < node->places_at_ms)
        return;
    node->places_at_ms = node_now(node) + PLACES_EVERY_MS;
    if (!first) /* an epoch that has begun is heard of by then */
        look_at_places(node);
}
