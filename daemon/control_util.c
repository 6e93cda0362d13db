/* SPDX-License-Identifier: MPL-2.0 */
/* control_util.c - what the commands share: errors for people, times, order, may we write. */
#include "daemon/control_internal.h"
#include "daemon/write.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/words.h"

#define SECONDS_MAX 253402300799ull /* the end of year 9999 */
#define VALUE_DEPTH_MAX 2 /* containers in a field; the reply around it takes the rest */

/* --- errors ------------------------------------------------------------------------------- */

/* A text that was cut short must not end inside a character. */
static void end_on_character(char text[CONTROL_TEXT_SIZE])
{
    size_t size = strlen(text);

    if (size < CONTROL_TEXT_SIZE - 1)
        return;
    while (size > 0 && ((uint8_t)text[size - 1] & 0xc0) == 0x80)
        size--;
    if (size > 0 && (uint8_t)text[size - 1] >= 0xc0)
        size--;
    text[size] = '\0';
}

enum status control_error(struct control_wait *request, enum status status, const char *remedy,
                          const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(request->error, sizeof request->error, format, arguments);
    va_end(arguments);
    (void)snprintf(request->remedy, sizeof request->remedy, "%s", remedy);
    end_on_character(request->error);
    end_on_character(request->remedy);
    return status;
}

const char *control_quote(struct slice text, char out[CONTROL_QUOTE_SIZE])
{
    size_t size = text.size;

    if (size >= CONTROL_QUOTE_SIZE) {
        size = CONTROL_QUOTE_SIZE - 1;
        while (size > 0 && (text.data[size] & 0xc0) == 0x80)
            size--;
    }
    if (size > 0)
        memcpy(out, text.data, size);
    out[size] = '\0';
    return out;
}

enum status control_store_error(struct control_wait *request, enum status status)
{
    return control_error(request, status, "chapterctl verify --deep, and the daemon's log",
                         "the store could not be read: %s", status_text(status));
}

enum status control_reading(struct control_wait *request, struct store_txn **out_txn)
{
    struct store_txn *txn = node_reading(request->node);

    if (txn == NULL)
        return control_store_error(request, request->node->turn_error);
    *out_txn = txn;
    return OK;
}

/* --- chapters ----------------------------------------------------------------------------- */

static int compare_feeds(const void *a, const void *b, void *context)
{
    const struct node *node = *(const struct node *const *)context;
    const uint32_t *left = a;
    const uint32_t *right = b;

    return strcmp(node->feeds[*left]->replica.feed.origin,
                  node->feeds[*right]->replica.feed.origin);
}

size_t control_feed_order(const struct node *node, uint32_t out_order[ORIGINS_MAX])
{
    const size_t count = node->replica.feed_count;

    for (size_t i = 0; i < count; i++)
        out_order[i] = (uint32_t)i;
    qsort_r(out_order, count, sizeof *out_order, compare_feeds, &node);
    return count;
}

/* People think of a chapter by its name: "luxembourg" is meant for lu. */
static const char *code_of_name(const struct node *node, const char *word)
{
    const char *code = NULL;

    for (size_t i = 0; i < node->roster_count && strlen(word) > 2; i++) {
        const struct roster_entry *entry = &node->roster[i]->entry;

        if (strcasestr(entry->name, word) == NULL)
            continue;
        if (code != NULL)
            return NULL; /* more than one */
        code = entry->code;
    }
    return code;
}

enum status control_unknown_chapter(struct control_wait *request, const char *code)
{
    const struct node *node = request->node;
    const char *codes[ORIGINS_MAX];
    const char *meant = code_of_name(node, code);

    for (size_t i = 0; i < node->replica.feed_count; i++)
        codes[i] = node->feeds[i]->replica.feed.origin;
    if (meant == NULL)
        meant = words_nearest(code, codes, node->replica.feed_count);
    if (meant == NULL)
        return control_error(request, NOT_FOUND, "chapterctl chapters list",
                             "no chapter has the code %s", code);
    return control_error(request, NOT_FOUND, "chapterctl chapters list",
                         "no chapter has the code %s; did you mean %s?", code, meant);
}

enum status control_feed_of(struct control_wait *request, const struct argument *chapter,
                            uint32_t *out_feed)
{
    uint32_t feed = NO_PEER;

    if (chapter->given && (feed = node_feed_index(request->node, chapter->code)) == NO_PEER)
        return control_unknown_chapter(request, chapter->code);
    *out_feed = feed;
    return OK;
}

const char *control_chapter_name(const struct node *node, const char *code)
{
    const struct roster_node *place = roster_find(node, code);

    return place != NULL && place->entry.name[0] != '\0' ? place->entry.name : code;
}

bool control_head_of(const struct node_feed *feed, struct head *out_head)
{
    const struct signed_head *head = &feed->record.tier[TIER_FEDERATION].head;

    return head->size != 0 && head_read(signed_head_bytes(head), out_head) == OK;
}

/* --- feeds as `status` and `explain` show them -------------------------------------------- */

enum feed_state control_feed_state(const struct node *node, const struct node_feed *feed)
{
    return replica_feed_state(&feed->replica, &node->hq_beats, node->is_hq, node_now(node));
}

static void write_behind_changes(struct mp_writer *writer, const struct node *node,
                                 const struct node_feed *feed)
{
    const struct feed_mark *mine = &feed->replica.feed.tier[TIER_FEDERATION];
    const struct replica_claim *target = &feed->replica.tier[TIER_FEDERATION].target;

    if (feed->replica.own)
        mp_write_uint(writer, node->recovering && node->recovering_seq > mine->seq
                                  ? node->recovering_seq - mine->seq
                                  : 0);
    else if (feed_compare(target->epoch, target->seq, mine->epoch, mine->seq) <= 0)
        mp_write_uint(writer, 0);
    else if (target->epoch == mine->epoch || mine->seq == 0)
        mp_write_uint(writer, target->seq - mine->seq);
    else
        mp_write_nil(writer);
}

void control_write_behind(struct mp_writer *writer, const struct node *node,
                          const struct node_feed *feed)
{
    const int64_t since = feed->replica.tier[TIER_FEDERATION].behind_since_ms;

    mp_write_text(writer, "behind_changes");
    write_behind_changes(writer, node, feed);
    mp_write_key_uint(writer, "behind_seconds",
                      since == 0 ? 0 : (uint64_t)(node_now(node) - since) / 1000);
}

void control_write_head_time(struct mp_writer *writer, const struct node *node,
                             const struct node_feed *feed)
{
    const int64_t age_ms = node_now(node) - feed->replica.beat_at_ms;

    if (feed->replica.beat.boot == 0)
        mp_write_nil(writer);
    else
        control_write_time(writer, (uint64_t)((clock_wall_ms() - age_ms) / 1000));
}

const char *control_explain_command(const char *code, char out[EXPLAIN_COMMAND_SIZE])
{
    (void)snprintf(out, EXPLAIN_COMMAND_SIZE, "chapterctl explain %s", code);
    return out;
}

/* --- values ------------------------------------------------------------------------------- */

void control_write_time(struct mp_writer *writer, uint64_t seconds)
{
    const time_t time = (time_t)seconds;
    struct tm parts;
    char text[32];

    if (seconds > SECONDS_MAX || gmtime_r(&time, &parts) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        mp_write_nil(writer);
        return;
    }
    mp_write_text(writer, text);
}

/* Two digits below limit, then the separator. */
static bool read_two(const uint8_t *at, unsigned limit, uint8_t separator, unsigned *out_number)
{
    if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9' || at[2] != separator)
        return false;
    *out_number = (unsigned)(at[0] - '0') * 10 + (unsigned)(at[1] - '0');
    return *out_number < limit;
}

bool control_read_time(struct slice text, uint64_t *out_seconds)
{
    unsigned hours = 0;
    unsigned minutes = 0;
    unsigned seconds = 0;
    int32_t days;

    if (text.size != 10 && text.size != 20)
        return false;
    if (!date_parse(slice_of(text.data, 10), &days) || days < 0)
        return false;
    if (text.size == 20 &&
        (text.data[10] != 'T' || !read_two(text.data + 11, 24, ':', &hours) ||
         !read_two(text.data + 14, 60, ':', &minutes) ||
         !read_two(text.data + 17, 60, 'Z', &seconds)))
        return false;
    *out_seconds = (uint64_t)days * 86400 + hours * 3600 + minutes * 60 + seconds;
    return true;
}

void control_write_hex(struct mp_writer *writer, const void *data, size_t size)
{
    char text[2 * HASH_SIZE + 1];

    ASSERT(size <= HASH_SIZE);
    hex_format(data, size, text);
    mp_write_text(writer, text);
}

void control_write_uuid(struct mp_writer *writer, const uint8_t id[ID_SIZE])
{
    char text[UUID_TEXT_SIZE];

    uuid_format(id, text);
    mp_write_text(writer, text);
}

/* Binary values have no JSON form. */
static void write_binary(struct mp_writer *writer, struct mp_reader *reader)
{
    static const char digits[] = "0123456789abcdef";
    const struct slice bytes = mp_read_bin(reader, RECORD_SIZE_MAX);
    char text[2 * RECORD_SIZE_MAX];

    for (size_t i = 0; i < bytes.size; i++) {
        text[2 * i] = digits[bytes.data[i] >> 4];
        text[2 * i + 1] = digits[bytes.data[i] & 15];
    }
    mp_write_str(writer, slice_of(text, 2 * bytes.size));
}

static void write_part(struct mp_writer *writer, struct mp_reader *reader, unsigned depth)
{
    const enum mp_type type = mp_peek(reader);
    struct slice last = SLICE_NONE;
    size_t count;

    if (type == MP_BIN) {
        write_binary(writer, reader);
        return;
    }
    if (type != MP_ARRAY && type != MP_MAP) {
        mp_write_raw(writer, mp_read_raw(reader, RECORD_SIZE_MAX));
        return;
    }
    if (depth == VALUE_DEPTH_MAX) {
        (void)mp_read_raw(reader, RECORD_SIZE_MAX);
        mp_write_nil(writer);
        return;
    }
    if (type == MP_ARRAY) {
        count = mp_read_array(reader, RECORD_SIZE_MAX);
        mp_write_array(writer, count);
    } else {
        count = mp_read_map(reader, RECORD_SIZE_MAX);
        mp_write_map(writer, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (type == MP_MAP)
            mp_write_str(writer, mp_read_key(reader, &last));
        write_part(writer, reader, depth + 1);
    }
}

void control_write_value(struct mp_writer *writer, struct slice raw)
{
    struct mp_reader reader;

    mp_reader_init(&reader, raw);
    write_part(writer, &reader, 0);
}

/* --- may this request write? -------------------------------------------------------------- */

/* Earlier ones go first, and a turn takes so many changes and no more. */
static bool must_queue(struct control_wait *request)
{
    size_t ops = 0;

    for (const struct control_wait *other = request->node->waits;
         other != NULL && other != request; other = other->next) {
        if (other->stage == REQUEST_PARKED && other->command->kind == COMMAND_WRITES) {
            request->due_ms = other->due_ms;
            return true;
        }
        if (other->stage == REQUEST_ANSWERED && !other->left)
            ops += other->ops;
    }
    if (ops < CONTROL_TURN_OPS_MAX)
        return false;
    request->due_ms = node_now(request->node);
    return true;
}

enum status control_may_write(struct control_wait *request)
{
    struct node *node = request->node;
    const char *error = "";
    const char *remedy = "";
    enum status status;

    if (request->command->kind == COMMAND_WRITES && must_queue(request))
        return AGAIN;
    status = write_ready(node, &error, &remedy);
    if (status == OK)
        return OK;
    /* A start is waited for; HQ's roster may be long in coming. */
    if (status != AGAIN || node_now(node) >= node->started_ms + SIGN_WAIT_MS)
        return control_error(request, REFUSED, remedy, "%s", error);
    request->due_ms = node->started_ms + SIGN_WAIT_MS;
    return AGAIN;
}

bool control_is_parked(struct control_wait *request)
{
    if (request->stage == REQUEST_PARKED)
        return true;
    request->due_ms = node_now(request->node);
    return false;
}

/* --- in step? ----------------------------------------------------------------------------- */

bool control_met_anybody(const struct node *node)
{
    return node->hello_done || node->counters.hellos != 0;
}

bool control_anybody_up(const struct node *node)
{
    for (uint32_t i = 0; i < node->replica.peer_count; i++)
        if (node->peers[i]->up)
            return true;
    return false;
}

static bool tier_in_step(const struct node_feed *feed, int tier, uint64_t lag)
{
    const struct replica_claim *target = &feed->replica.tier[tier].target;
    const struct feed_mark *mine = &feed->replica.feed.tier[tier];

    if (!feed->replica.followed[tier] ||
        feed_compare(target->epoch, target->seq, mine->epoch, mine->seq) <= 0)
        return true;
    return target->epoch == mine->epoch && target->seq - mine->seq <= lag;
}

bool control_in_step(const struct node *node, const struct node_feed *feed, uint64_t lag)
{
    if (feed->replica.own)
        return !node->recovering;
    if (!feed->replica.fetchable || feed->replica.feed.freeze != FREEZE_NONE)
        return true;
    if (feed->replica.ended)
        return !replica_end_missed(&feed->replica, TIER_FEDERATION);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (!tier_in_step(feed, tier, lag))
            return false;
    return true;
}
