/* SPDX-License-Identifier: MPL-2.0 */
/* control_log.c - changes in the order in which each feed applied them, from where the client
 * stands; it waits for news if it likes. */
#include "daemon/control_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS_MAX 60000 /* a client that went away is forgotten then; others ask again */
#define STEPS_MAX 64      /* rows without a time that a search by time looks behind */

struct log {
    struct control_wait *request;
    struct node *node;
    struct store_txn *txn;
    struct mp_writer changes;
    uint32_t only;  /* NO_PEER: all feeds */
    uint64_t limit; /* of this answer; with `newest` of each feed */
    bool newest;
    uint64_t count;
    uint64_t visits;
    bool more;
    bool given[ORIGINS_MAX];     /* the client says where it stands in that feed */
    uint64_t after[ORIGINS_MAX]; /* by feed index: where it stands, then: reached */
    struct record_view view;
};

static bool is_full(const struct log *log)
{
    return log->count >= (log->newest ? CONTROL_PAGE_ROWS_MAX : log->limit) ||
           log->visits >= CONTROL_VISITS_MAX || log->changes.size >= CONTROL_PAGE_SIZE;
}

/* --- one change --------------------------------------------------------------------------- */

/* One that only later versions know by its number. */
static void write_type(struct mp_writer *writer, enum record_type type)
{
    const char *name = record_type_name(type);
    char number[16];

    (void)snprintf(number, sizeof number, "%u", (unsigned)type);
    mp_write_key_text(writer, "type", name != NULL ? name : number);
}

static void write_change(struct log *log, const struct node_feed *feed,
                         const struct change *change)
{
    struct mp_writer *writer = &log->changes;
    const struct slice value = change->value[TIER_FEDERATION];
    const bool removal = value_is_removal(value);
    uint64_t updated;

    mp_write_map(writer, 8);
    mp_write_key_text(writer, "chapter", feed->replica.feed.origin);
    mp_write_key_uint(writer, "epoch", feed->replica.feed.tier[TIER_FEDERATION].epoch);
    mp_write_text(writer, "fields");
    record_view_write_fields(&log->view, writer);
    mp_write_text(writer, "id");
    control_write_uuid(writer, change->id);
    mp_write_key_text(writer, "op", removal ? "remove" : "put");
    mp_write_key_uint(writer, "seq", change->seq);
    mp_write_text(writer, "time");
    if (!removal && mp_map_get_uint(value, "updated", &updated))
        control_write_time(writer, updated);
    else
        mp_write_nil(writer);
    write_type(writer, change->type);
    log->count++;
}

static enum status take(struct log *log, const struct node_feed *feed,
                        const struct change *change)
{
    const enum status status =
        record_view_init(&log->view, log->node, feed, log->txn, change, false);

    if (status == OK)
        write_change(log, feed, change);
    return status;
}

/* --- where to begin ----------------------------------------------------------------------- */

/* The time of the first row after seq that has one; UINT64_MAX if none of the next ones has. */
static enum status time_after(struct log *log, uint32_t number, uint64_t seq,
                              uint64_t *out_time)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    struct change change;
    enum status status = store_cursor_open(log->txn, number, TIERS_FEDERATION, seq, &cursor);

    *out_time = UINT64_MAX;
    for (int i = 0; i < STEPS_MAX && status == OK; i++) {
        status = store_cursor_next(&cursor, &change);
        if (status == OK && mp_map_get_uint(change.value[TIER_FEDERATION], "updated", out_time))
            return OK;
    }
    return status == NOT_FOUND ? OK : status;
}

/* Seqs ascend in time, as the origin's clock does: a search by halves finds where `since`
 * begins. */
static enum status seek_since(struct log *log, uint32_t number, uint64_t since, uint64_t last,
                              uint64_t *out_after)
{
    uint64_t low = 0;
    uint64_t high = last;

    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        uint64_t time;
        const enum status status = time_after(log, number, middle, &time);

        if (status != OK)
            return status;
        if (time < since)
            low = middle + 1;
        else
            high = middle;
    }
    *out_after = low;
    return OK;
}

/* So that the last `limit` rows come after it: the window doubles until it holds as many. */
static enum status seek_newest(struct log *log, uint32_t number, uint64_t last,
                               uint64_t *out_after)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    uint64_t span = log->limit;
    uint64_t after;
    uint64_t count = 0;
    struct change change;
    enum status status;

    for (;; span *= 2) {
        after = span < last ? last - span : 0;
        status = store_count_rows(log->txn, number, after, CONTROL_VISITS_MAX, &count);
        if (status != OK)
            return status;
        if (count >= log->limit || after == 0)
            break;
    }
    status = store_cursor_open(log->txn, number, TIERS_FEDERATION, after, &cursor);
    for (; status == OK && count > log->limit; count--)
        if ((status = store_cursor_next(&cursor, &change)) == OK)
            after = change.seq;
    *out_after = after;
    return status == NOT_FOUND ? OK : status;
}

static enum status find_start(struct log *log, uint32_t index)
{
    const struct node_feed *feed = log->node->feeds[index];
    const uint32_t number = feed->record.tier[TIER_FEDERATION].number;
    const uint64_t last = feed->replica.feed.tier[TIER_FEDERATION].seq;
    const struct argument *since = ARGUMENT(log->request, since);

    if (log->given[index] || last == 0)
        return OK;
    if (log->newest)
        return seek_newest(log, number, last, &log->after[index]);
    if (since->given)
        return seek_since(log, number, since->number, last, &log->after[index]);
    return OK;
}

/* --- one feed ----------------------------------------------------------------------------- */

/* A removal has no time: it is as recent as the change before it.  What never has one is news
 * only to who has followed that feed before. */
static bool recent_enough(const struct log *log, uint32_t index, const struct change *change,
                          bool *recent)
{
    const struct argument *since = ARGUMENT(log->request, since);
    const struct slice value = change->value[TIER_FEDERATION];
    uint64_t updated;

    if (!since->given)
        return true;
    if (mp_map_get_uint(value, "updated", &updated))
        *recent = updated >= since->number;
    else if (!value_is_removal(value))
        return log->given[index];
    return *recent;
}

static enum status walk_feed(struct log *log, uint32_t index)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    const struct node_feed *feed = log->node->feeds[index];
    const struct feed_mark *mark = &feed->replica.feed.tier[TIER_FEDERATION];
    struct change change;
    bool recent = true;
    enum status status;

    status = store_cursor_open(log->txn, feed->record.tier[TIER_FEDERATION].number, TIERS_BOTH,
                               log->after[index], &cursor);
    while (status == OK) {
        if (is_full(log)) {
            log->more = true;
            return OK;
        }
        if ((status = store_cursor_next(&cursor, &change)) != OK)
            break;
        log->visits++;
        log->after[index] = change.seq;
        if ((change.tiers & TIERS_FEDERATION) && recent_enough(log, index, &change, &recent))
            status = take(log, feed, &change);
    }
    if (status == NOT_FOUND && log->after[index] < mark->seq)
        log->after[index] = mark->seq;
    return status == NOT_FOUND ? OK : status;
}

/* The newest version of one record, if it is news. */
static enum status take_member(struct log *log, uint32_t index)
{
    const struct node_feed *feed = log->node->feeds[index];
    struct change change = { 0 };
    struct store_row row;
    bool recent = true;
    enum status status;

    status = store_get_row(log->txn, feed->record.tier[TIER_FEDERATION].number,
                           ARGUMENT(log->request, member)->id, &row);
    if (status == OK && (row.tiers & TIERS_FEDERATION) &&
        row.seq[TIER_FEDERATION] > log->after[index]) {
        change.type = row.type;
        change.tiers = row.tiers;
        change.seq = row.seq[TIER_FEDERATION];
        memcpy(change.id, row.id, ID_SIZE);
        memcpy(change.value, row.value, sizeof change.value);
        if (recent_enough(log, index, &change, &recent))
            status = take(log, feed, &change);
    }
    if (feed->replica.feed.tier[TIER_FEDERATION].seq > log->after[index])
        log->after[index] = feed->replica.feed.tier[TIER_FEDERATION].seq;
    return status == NOT_FOUND ? OK : status;
}

/* --- all of them -------------------------------------------------------------------------- */

static enum status read_after(struct log *log)
{
    const struct argument *after = ARGUMENT(log->request, after);
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    size_t count;

    if (!after->given)
        return OK;
    mp_reader_init(&reader, after->text);
    count = mp_read_map(&reader, ORIGINS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct slice name = mp_read_key(&reader, &last);
        const uint64_t seq = mp_read_uint(&reader, UINT64_MAX);
        char code[CODE_SIZE];
        uint32_t index;

        if (reader.status != OK)
            break;
        if (!slice_copy_text(name, code, sizeof code) ||
            (index = node_feed_index(log->node, code)) == NO_PEER)
            continue;
        log->given[index] = true;
        log->after[index] = seq;
    }
    if (mp_reader_finish(&reader) != OK)
        return control_error(log->request, USAGE, "give back what the last answer gave",
                             "\"after\" must be a map of chapters and sequence numbers");
    return OK;
}

static bool is_wanted(const struct log *log, uint32_t index)
{
    return (log->only == NO_PEER || log->only == index) &&
           log->node->feeds[index]->record.tier[TIER_FEDERATION].number != 0;
}

/* Did any feed advance beyond where the client stands? */
static bool has_news(const struct log *log)
{
    for (uint32_t i = 0; i < log->node->replica.feed_count; i++)
        if (is_wanted(log, i) &&
            log->node->feeds[i]->replica.feed.tier[TIER_FEDERATION].seq > log->after[i])
            return true;
    return false;
}

static enum status walk(struct log *log)
{
    uint32_t order[ORIGINS_MAX];
    const size_t count = control_feed_order(log->node, order);
    enum status status = OK;

    /* All starts first: the answer names them, though its page may end before the last feed. */
    for (size_t i = 0; i < count && status == OK; i++)
        if (is_wanted(log, order[i]))
            status = find_start(log, order[i]);
    for (size_t i = 0; i < count && status == OK; i++)
        if (is_wanted(log, order[i]))
            status = ARGUMENT(log->request, member)->given ? take_member(log, order[i])
                                                           : walk_feed(log, order[i]);
    return status;
}

static void write_answer(const struct log *log, struct mp_writer *writer)
{
    uint32_t order[ORIGINS_MAX];
    const size_t count = control_feed_order(log->node, order);
    size_t wanted = 0;

    for (size_t i = 0; i < count; i++)
        wanted += is_wanted(log, order[i]);
    mp_write_map(writer, 3);
    mp_write_text(writer, "after");
    mp_write_map(writer, wanted);
    for (size_t i = 0; i < count; i++)
        if (is_wanted(log, order[i]))
            mp_write_key_uint(writer, log->node->feeds[order[i]]->replica.feed.origin,
                              log->after[order[i]]);
    mp_write_text(writer, "changes");
    mp_write_array(writer, log->count);
    mp_write_raw(writer, mp_writer_bytes(&log->changes));
    mp_write_key_bool(writer, "more", log->more);
}

static bool still_waits(const struct log *log)
{
    struct control_wait *request = log->request;
    const uint64_t wait_ms = ARGUMENT(request, wait_ms)->number;

    if (wait_ms == 0 || has_news(log))
        return false;
    request->due_ms =
        request->arrived_ms + (int64_t)(wait_ms < WAIT_MS_MAX ? wait_ms : WAIT_MS_MAX);
    return node_now(request->node) < request->due_ms;
}

static void log_done(struct log *log)
{
    mp_writer_done(&log->changes);
}

enum status control_log(struct control_wait *request, struct mp_writer *writer)
{
    CLEANUP(log_done)
    struct log log = { .request = request,
                       .node = request->node,
                       .limit = CONTROL_PAGE_ROWS_MAX };
    const struct argument *limit = ARGUMENT(request, limit);
    enum status status;

    if ((status = read_after(&log)) != OK ||
        (status = control_feed_of(request, ARGUMENT(request, chapter), &log.only)) != OK)
        return status;
    if (limit->given && limit->number == 0)
        return control_error(request, USAGE, "leave it out", "\"limit\" must be at least 1");
    if (limit->given && limit->number < log.limit)
        log.limit = limit->number;
    log.newest = ARGUMENT(request, newest)->flag;
    if (still_waits(&log))
        return AGAIN;
    if ((status = control_reading(request, &log.txn)) != OK)
        return status;
    mp_writer_init_heap(&log.changes, CONTROL_SIZE_MAX);
    if ((status = walk(&log)) != OK)
        return control_store_error(request, status);
    if (log.changes.status != OK)
        return control_error(request, log.changes.status, "ask for less at a time",
                             "the answer cannot be given: %s", status_text(log.changes.status));
    write_answer(&log, writer);
    return OK;
}
