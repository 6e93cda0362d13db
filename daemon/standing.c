/* SPDX-License-Identifier: MPL-2.0 */
/* standing.c - a chapter's place in the roster changes (HQ): suspended, resumed, revoked, or
 * described anew.  Where its feed ends is stated by epoch and seq; no clock decides it. */
#include "daemon/invitation.h"
#include "daemon/words.h"
#include "proto/country.h"

#include <string.h>

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

/* What HQ itself holds is what stays of the feed. */
static void end_here(const struct node *node, struct roster_entry *entry)
{
    const uint32_t index = node_feed_index(node, entry->code);
    const struct feed_mark *mark;

    if (index == NO_PEER)
        return;
    mark = &node->feeds[index]->replica.feed.tier[TIER_FEDERATION];
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
        return objection(REFUSED, "that chapter is revoked: it can only be enrolled anew",
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
