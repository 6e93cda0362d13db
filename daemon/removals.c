/* SPDX-License-Identifier: MPL-2.0 */
/* removals.c - more removals within a day than a mistake should make: asked about where they
 * are made, told at HQ of every feed.
 *
 * For each feed a window of a day, from its first removal on: how many records there were, and
 * how many of them are gone.  Kept in the store with the changes themselves:
 *
 *   "removals.fr" -> [began, records, removed, told, told records, told removed]
 *                    times in seconds since 1970 */
#include <stdio.h>
#include <string.h>

#include "daemon/node_internal.h"
#include "daemon/replication.h"

#define WINDOW_S 86400
#define TOLD_FOR_S (7 * 86400) /* an alarm of HQ stays so long */
#define META_REMOVALS "removals."
#define VALUE_SIZE_MAX 64

static uint64_t wall_s(void)
{
    return (uint64_t)(clock_wall_ms() / 1000);
}

static void key_of(const struct node_feed *feed, char out[sizeof META_REMOVALS + CODE_SIZE])
{
    (void)snprintf(out, sizeof META_REMOVALS + CODE_SIZE, META_REMOVALS "%s",
                   feed->replica.feed.origin);
}

/* --- the window --------------------------------------------------------------------------- */

/* Of the head where the feed stands; HQ's feed holds the roster besides. */
static uint64_t records_of(const struct node *node, const struct node_feed *feed)
{
    const struct signed_head *envelope = &feed->record.tier[TIER_FEDERATION].head;
    struct head head = { .seq = 0 };
    uint64_t others = 0;

    if (envelope->size == 0 || head_read(signed_head_bytes(envelope), &head) != OK)
        return 0;
    if (strcmp(feed->replica.feed.origin, "hq") == 0)
        for (size_t i = 0; i < node->roster_count; i++)
            others += node->roster[i]->present;
    return head.count[TIER_FEDERATION] > others ? head.count[TIER_FEDERATION] - others : 0;
}

/* A clock that was set back ends the window, too. */
static bool is_over(const struct removals *removals, uint64_t now_s)
{
    return removals->began_s == 0 || now_s < removals->began_s ||
           now_s - removals->began_s >= WINDOW_S;
}

static bool are_many(uint64_t removed, uint64_t records)
{
    return removed > REMOVALS_ALWAYS_ALLOWED && removed * 100 > records * REMOVALS_PERCENT_MAX;
}

bool removals_need_word(const struct node *node, uint64_t more)
{
    const struct node_feed *own = node->feeds[node->own_feed];
    const struct removals *removals = &own->removals;

    return is_over(removals, wall_s()) ? are_many(more, records_of(node, own))
                                       : are_many(removals->removed + more, removals->records);
}

void removals_confirmed(struct node *node)
{
    struct removals *removals = &node->feeds[node->own_feed]->removals;

    removals->began_s = 0;
    removals->dirty = true;
    node->removals_refused = 0;
}

/* Told once a window; what was put again within it needs no telling. */
static void tell(struct node_feed *feed, uint64_t now_s)
{
    struct removals *removals = &feed->removals;
    const bool told = removals->told_s >= removals->began_s;

    if (!are_many(removals->removed, removals->records)) {
        if (told)
            removals->told_s = 0;
        return;
    }
    if (!told)
        log_event(LOG_WARNING,
                  "event=many_removals feed=%s removed=%llu of=%llu remedy=\"ask that chapter"
                  " whether it meant them: chapterctl log --chapter %s shows which\"",
                  feed->replica.feed.origin, (unsigned long long)removals->removed,
                  (unsigned long long)removals->records, feed->replica.feed.origin);
    removals->told_s = now_s;
    removals->told_records = removals->records;
    removals->told_removed = removals->removed;
}

void removals_note(struct node *node, uint32_t index, int64_t removed)
{
    struct node_feed *feed = node->feeds[index];
    struct removals *removals = &feed->removals;
    const uint64_t now_s = wall_s();

    if (!node->is_hq && !feed->replica.own)
        return;
    if (is_over(removals, now_s)) {
        if (removed <= 0)
            return;
        removals->began_s = now_s;
        removals->records = records_of(node, feed);
        removals->removed = 0;
    }
    if (removed >= 0)
        removals->removed += (uint64_t)removed;
    else
        removals->removed -=
            removals->removed < (uint64_t)-removed ? removals->removed : (uint64_t)-removed;
    removals->dirty = true;
    if (node->is_hq && !feed->replica.own)
        tell(feed, now_s);
}

bool removals_told(const struct node *node, uint32_t index, uint64_t *out_removed,
                   uint64_t *out_records)
{
    const struct node_feed *feed = node->feeds[index];
    const struct removals *removals = &feed->removals;
    const uint64_t now_s = wall_s();

    if (removals->told_s == 0 || now_s < removals->told_s ||
        now_s - removals->told_s >= TOLD_FOR_S)
        return false;
    *out_removed = removals->told_removed;
    *out_records = removals->told_records;
    return true;
}

/* --- the store ---------------------------------------------------------------------------- */

static enum status put(struct node *node, const struct node_feed *feed)
{
    char key[sizeof META_REMOVALS + CODE_SIZE];
    uint8_t bytes[VALUE_SIZE_MAX];
    struct mp_writer writer;

    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_array(&writer, 6);
    mp_write_uint(&writer, feed->removals.began_s);
    mp_write_uint(&writer, feed->removals.records);
    mp_write_uint(&writer, feed->removals.removed);
    mp_write_uint(&writer, feed->removals.told_s);
    mp_write_uint(&writer, feed->removals.told_records);
    mp_write_uint(&writer, feed->removals.told_removed);
    key_of(feed, key);
    return store_put_meta(&node->txn, key, mp_writer_bytes(&writer));
}

enum status removals_flush(struct node *node)
{
    for (size_t i = 0; i < node->replica.feed_count; i++) {
        struct node_feed *feed = node->feeds[i];
        enum status status;

        if (!feed->removals.dirty)
            continue;
        if ((status = put(node, feed)) != OK)
            return status;
        feed->removals.dirty = false;
    }
    return OK;
}

enum status removals_load(struct node *node, struct store_txn *txn)
{
    for (size_t i = 0; i < node->replica.feed_count; i++) {
        struct node_feed *feed = node->feeds[i];
        char key[sizeof META_REMOVALS + CODE_SIZE];
        struct removals removals = { .began_s = 0 };
        struct mp_reader reader;
        struct slice value;
        enum status status;

        key_of(feed, key);
        if ((status = store_get_meta(txn, key, &value)) == OK) {
            mp_reader_init(&reader, value);
            mp_read_array_exact(&reader, 6);
            removals.began_s = mp_read_uint(&reader, UINT64_MAX);
            removals.records = mp_read_uint(&reader, UINT64_MAX);
            removals.removed = mp_read_uint(&reader, UINT64_MAX);
            removals.told_s = mp_read_uint(&reader, UINT64_MAX);
            removals.told_records = mp_read_uint(&reader, UINT64_MAX);
            removals.told_removed = mp_read_uint(&reader, UINT64_MAX);
            if (mp_reader_finish(&reader) != OK)
                return STORE_DAMAGED;
        } else if (status != NOT_FOUND) {
            return status;
        }
        feed->removals = removals;
    }
    return OK;
}
