/* SPDX-License-Identifier: MPL-2.0 */
/* cleared.c - when an origin's horizon has passed removals, the store is copied without its
 * free pages, and this node says so: to HQ, which tells the origin.
 *
 * A node speaks of its own files alone, over a link that proves who it is; only HQ passes on
 * what others said, and each origin hears of its own feed alone. */
#include "daemon/erase.h"
#include "daemon/jobs_internal.h"
#include "daemon/recovery.h"

#include <string.h>

#define COMPACT_AFTER_MS 1000   /* horizons that move together are one compaction */
#define COMPACT_BUSY_MS 500     /* something else must be done first */
#define COMPACT_FAILED_MS 60000 /* the disk is full, say */
#define SAY_AGAIN_MS 60000      /* what was said may have been lost */
#define COMPACT_SHARE 20        /* at most a twentieth of the time is spent on it */

/* --- what is held ------------------------------------------------------------------------- */

/* What this node may say of a feed once it was compacted: the lowest horizon of its tiers. */
static bool state_of_feed(const struct node *node, const struct node_feed *feed,
                          struct store_cleared *out)
{
    bool held = false;

    memset(out, 0, sizeof *out);
    memcpy(out->node, node->code, CODE_SIZE);
    memcpy(out->origin, feed->replica.feed.origin, CODE_SIZE);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const struct store_feed_tier *stored = &feed->record.tier[tier];
        const struct feed_mark *mark = &feed->replica.feed.tier[tier];

        if (stored->number == 0 || mark->seq == 0)
            continue;
        if (!held || stored->horizon < out->seq) {
            out->epoch = mark->epoch;
            out->seq = stored->horizon;
        }
        held = true;
    }
    return held && out->seq != 0;
}

static enum status is_news(struct store_txn *txn, const struct store_cleared *now,
                           bool *out_news)
{
    struct store_cleared before;
    const enum status status = store_get_cleared(txn, now->node, now->origin, &before);

    *out_news = status == NOT_FOUND || (status == OK && before.seq < now->seq);
    return status == NOT_FOUND ? OK : status;
}

void cleared_due(struct node *node)
{
    struct erasure *erasure = node->erasure;
    const int64_t at = node_now(node) + COMPACT_AFTER_MS;

    if (erasure->compact_at_ms == 0)
        erasure->compact_at_ms =
            at > erasure->compact_not_before_ms ? at : erasure->compact_not_before_ms;
}

void cleared_compact_now(struct node *node)
{
    node->erasure->compact_at_ms = node_now(node);
    node->erasure->compact_not_before_ms = 0;
}

enum status cleared_load(struct node *node, struct store_txn *txn)
{
    for (size_t i = 0; i < node->replica.feed_count; i++) {
        struct store_cleared now;
        bool news = false;
        enum status status;

        if (!state_of_feed(node, node->feeds[i], &now))
            continue;
        if ((status = is_news(txn, &now, &news)) != OK)
            return status;
        if (news)
            cleared_due(node);
    }
    return OK;
}

/* --- saying so ---------------------------------------------------------------------------- */

struct statement {
    struct mp_writer writer;
    size_t count;
};

static void state(struct statement *statement, const struct store_cleared *cleared)
{
    struct wire_cleared_entry entry = { .epoch = cleared->epoch, .seq = cleared->seq };

    memcpy(entry.node, cleared->node, CODE_SIZE);
    memcpy(entry.origin, cleared->origin, CODE_SIZE);
    if (statement->count == CLEARED_ENTRIES_MAX)
        return;
    wire_write_cleared_entry(&statement->writer, &entry);
    statement->count++;
}

static void statement_done(struct statement *statement)
{
    mp_writer_done(&statement->writer);
}

static void gather_of(const char *of, struct store_txn *txn, struct statement *statement)
{
    struct store_cleared cleared;
    enum status status;

    for (status = store_next_cleared(txn, NULL, &cleared); status == OK;
         status = store_next_cleared(txn, &cleared, &cleared))
        if (strcmp(of, cleared.node) == 0)
            state(statement, &cleared);
}

static void gather_about(const struct node *node, const char *about, struct store_txn *txn,
                         struct statement *statement)
{
    struct store_cleared cleared;

    for (size_t i = 0; i < node->roster_count; i++) /* ascending, as entries must be */
        if (store_get_cleared(txn, node->roster[i]->entry.code, about, &cleared) == OK)
            state(statement, &cleared);
}

/* Entries of that node, or if there is none about that origin. */
static void tell(struct node *node, const struct link *link, const char *of, const char *about)
{
    CLEANUP(statement_done) struct statement statement = { 0 };
    struct store_txn *txn = node_reading(node);
    struct mp_writer *writer;

    if (txn == NULL)
        return;
    mp_writer_init_heap(&statement.writer, MESSAGE_SIZE_MAX);
    if (of[0] != '\0')
        gather_of(of, txn, &statement);
    else
        gather_about(node, about, txn, &statement);
    if (statement.count == 0 || statement.writer.status != OK)
        return;
    writer = node_writer(node);
    wire_write_cleared_begin(writer, statement.count);
    mp_write_raw(writer, mp_writer_bytes(&statement.writer));
    node_send(node, link->handle, mp_writer_bytes(writer));
}

/* A chapter tells HQ of its own files; HQ tells a chapter what is known of that one's feed. */
void cleared_greet(struct node *node, struct link *link)
{
    const char *code = link->peer == NO_PEER ? "" : node->peers[link->peer]->code;

    if (node->is_hq)
        tell(node, link, "", code);
    else if (strcmp(code, "hq") == 0)
        tell(node, link, node->code, "");
}

static void tell_hq(struct node *node)
{
    const uint32_t hq = node_peer_index(node, "hq");
    struct link *link = hq == NO_PEER ? NULL : node_link_of_peer(node, hq);

    node->erasure->say_at_ms = node_now(node) + SAY_AGAIN_MS;
    if (link != NULL)
        tell(node, link, node->code, "");
}

static void tell_origin(struct node *node, const char *origin)
{
    const uint32_t peer = node_peer_index(node, origin);
    struct link *link = peer == NO_PEER ? NULL : node_link_of_peer(node, peer);

    if (link != NULL)
        tell(node, link, "", origin);
}

static enum status keep(struct node *node, const struct store_cleared *cleared, bool *out_news)
{
    struct store_txn *txn = node_reading(node);
    enum status status;

    if (txn == NULL)
        return node->turn_error;
    if ((status = is_news(txn, cleared, out_news)) != OK || !*out_news)
        return status;
    return node_writing(node) == NULL ? node->turn_error
                                      : store_put_cleared(&node->txn, cleared);
}

/* HQ takes from each node what it says of itself; a chapter takes from HQ what is said of its
 * own feed. */
static bool may_say(const struct node *node, const char *sender,
                    const struct wire_cleared_entry *entry)
{
    if (node->is_hq)
        return strcmp(entry->node, sender) == 0 &&
               node_feed_index(node, entry->origin) != NO_PEER;
    return strcmp(sender, "hq") == 0 && strcmp(entry->origin, node->code) == 0 &&
           roster_find(node, entry->node) != NULL && strcmp(entry->node, node->code) != 0;
}

void cleared_on_message(struct node *node, const struct link *link, struct slice message)
{
    const char *sender = node->peers[link->peer]->code;
    struct wire_cleared_entry entry;
    struct wire_cleared said;

    if (wire_read_cleared(message, &said) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    while (wire_next_cleared(&said.entries, &entry)) {
        struct store_cleared cleared = { .epoch = entry.epoch, .seq = entry.seq };
        bool news = false;

        if (!may_say(node, sender, &entry)) {
            node->counters.peers_refused++;
            continue;
        }
        memcpy(cleared.node, entry.node, CODE_SIZE);
        memcpy(cleared.origin, entry.origin, CODE_SIZE);
        if (node_turn_fails(node, keep(node, &cleared, &news)) != OK)
            return;
        if (news && node->is_hq)
            tell_origin(node, entry.origin);
    }
    if (node->is_hq)
        tell(node, link, "", sender); /* the answer may have been lost before */
}

/* --- compacting --------------------------------------------------------------------------- */

static bool is_fetching(const struct node *node, const struct store_build *build)
{
    const uint32_t index = node_feed_index(node, build->origin);
    const struct node_feed *feed = index == NO_PEER ? NULL : node->feeds[index];

    if (offers_fetch_under(node, build->number))
        return true;
    return feed != NULL &&
           (feed->building || feed->replica.pull[0].active || feed->replica.pull[1].active);
}

/* What was fetched and not finished may hold what is to go.  True: some is under way. */
static bool drop_builds(struct node *node)
{
    struct store_build build = { .origin = "" };
    bool busy = false;
    enum status status;

    if (node_reading(node) == NULL)
        return true;
    for (status = store_next_build(&node->txn, "", 0, &build); status == OK;
         status = store_next_build(&node->txn, build.origin, build.tiers, &build)) {
        busy = true;
        if (is_fetching(node, &build))
            continue;
        if (node_writing(node) == NULL ||
            store_discard(&node->txn, build.origin, build.number, TIERS_BOTH) != OK ||
            node_turn_fails(node, store_delete_build(&node->txn, build.origin, build.tiers)) !=
                OK)
            return true;
        node->sweep_more = true;
    }
    return busy;
}

/* An answer that was asked for before the horizon moved may still bring what it passed. */
static bool awaits_answer(struct node *node)
{
    struct store_txn *txn = node_reading(node);

    for (size_t i = 0; txn != NULL && i < node->replica.feed_count; i++) {
        const struct node_feed *feed = node->feeds[i];
        struct store_cleared now;
        bool news = false;

        if ((feed->replica.pull[0].active || feed->replica.pull[1].active) &&
            state_of_feed(node, feed, &now) && is_news(txn, &now, &news) == OK && news)
            return true;
    }
    return txn == NULL;
}

static bool holds_snapshot(const struct node *node)
{
    for (const struct job *job = node->jobs; job != NULL; job = job->next)
        if (job->stays)
            return true;
    return false;
}

void cleared_prepare(struct node *node)
{
    struct erasure *erasure = node->erasure;

    if (!node->is_hq && node_now(node) >= erasure->say_at_ms)
        tell_hq(node);
    if (erasure->compact_at_ms == 0 || node_now(node) < erasure->compact_at_ms)
        return;
    erasure->ready = !drop_builds(node) && !node->sweep_more && !awaits_answer(node) &&
                     !holds_snapshot(node) && erasure->purge_from == 0 &&
                     !control_backup_runs(node);
    if (!erasure->ready)
        erasure->compact_at_ms = node_now(node) + COMPACT_BUSY_MS;
}

/* A state of a closed epoch that waits for its origin may hold what was removed since. */
static enum status is_kept(struct store_txn *txn, const char *origin, bool *out_kept)
{
    struct store_kept kept;
    enum status status = store_next_kept(txn, NULL, &kept);

    *out_kept = false;
    while (status == OK) {
        *out_kept |= strcmp(kept.origin, origin) == 0;
        status = store_next_kept(txn, &kept, &kept);
    }
    return status == NOT_FOUND ? OK : status;
}

/* What may be said of the feeds, now that nothing else is in the file. */
static enum status state_all(struct node *node)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    enum status status = store_begin_write(node->store, &txn);

    for (size_t i = 0; i < node->replica.feed_count && status == OK; i++) {
        struct store_cleared now;
        bool news = false;

        bool kept = false;

        if (!state_of_feed(node, node->feeds[i], &now))
            continue;
        if ((status = is_kept(&txn, now.origin, &kept)) == OK && !kept &&
            (status = is_news(&txn, &now, &news)) == OK && news)
            status = store_put_cleared(&txn, &now);
    }
    return status == OK ? store_commit_turn(&txn) : status;
}

static void compacted(struct node *node, enum status status, int64_t begun_ms)
{
    struct erasure *erasure = node->erasure;
    const int64_t now = node_now(node);

    erasure->compact_at_ms = 0;
    erasure->compact_status = status;
    erasure->compactions++;
    erasure->last_ms = now - begun_ms;
    erasure->compact_not_before_ms = now + COMPACT_SHARE * erasure->last_ms;
    if (status == OK) {
        log_event(LOG_NOTICE, "event=compacted before=%llu after=%llu ms=%lld",
                  (unsigned long long)erasure->bytes_before,
                  (unsigned long long)store_file_bytes(node->store),
                  (long long)erasure->last_ms);
        return;
    }
    erasure->compact_at_ms = now + COMPACT_FAILED_MS;
    log_event(LOG_ERROR,
              "event=compaction_failed status=%s remedy=\"free as much space on the disk of %s"
              " as the store takes; it is tried again\"",
              status_name(status), node->dir);
}

enum status cleared_turn(struct node *node)
{
    const int64_t begun_ms = node_now(node);
    enum status status;

    if (!node->erasure->ready)
        return OK;
    node->erasure->ready = false;
    node->erasure->bytes_before = store_file_bytes(node->store);
    status = BUG(CLEARED_AT_ONCE) ? OK : store_compact(&node->store, node->dir);
    if (node->store == NULL)
        return IO;
    if (status == OK)
        status = state_all(node);
    compacted(node, status, begun_ms);
    if (status != OK)
        return status == IO ? IO : OK;
    if (!node->is_hq)
        tell_hq(node);
    for (size_t i = 0; node->is_hq && i < node->replica.feed_count; i++)
        tell_origin(node, node->feeds[i]->replica.feed.origin);
    return OK;
}

int64_t cleared_next_ms(const struct node *node)
{
    const struct erasure *erasure = node->erasure;
    const int64_t say_at_ms = node->is_hq ? INT64_MAX : erasure->say_at_ms;

    return erasure->compact_at_ms != 0 && erasure->compact_at_ms < say_at_ms
               ? erasure->compact_at_ms
               : say_at_ms;
}
