/* SPDX-License-Identifier: MPL-2.0 */
/* control_status.c - in step or not: this node, every feed, every peer. */
#include "daemon/control_internal.h"

#include <stdlib.h>
#include <string.h>

#include "chapterd/version.h"

static bool is_wanted(const struct control_wait *request, const char *code)
{
    const struct argument *chapter = ARGUMENT(request, chapter);

    return !chapter->given || strcmp(chapter->code, code) == 0;
}

static void write_or_nil(struct mp_writer *writer, const char *text)
{
    if (text != NULL)
        mp_write_text(writer, text);
    else
        mp_write_nil(writer);
}

/* --- this node ---------------------------------------------------------------------------- */

static bool is_quarantined(const struct node *node)
{
    const struct roster_node *place = roster_find(node, node->code);

    return node->locked_out || (place != NULL && place->entry.state != CHAPTER_ENROLLED);
}

static const char *node_state(const struct node *node)
{
    if (is_quarantined(node))
        return "quarantined";
    if (node->recovering)
        return "recovering";
    for (size_t i = 0; i < node->replica.feed_count; i++) {
        const struct node_feed *feed = node->feeds[i];

        if (!control_in_step(node, feed, 0) ||
            (feed->replica.fetchable && !feed->replica.own && !feed->replica.ended &&
             control_feed_state(node, feed) == STATE_BEHIND))
            return "catching-up";
    }
    return control_met_anybody(node) && control_anybody_up(node) ? "ok" : "alone";
}

static void write_node(struct mp_writer *writer, struct node *node)
{
    mp_write_map(writer, 9);
    mp_write_key_text(writer, "chapter", node->code);
    mp_write_key_bool(writer, "erased_unknown", control_erased_unknown(node));
    mp_write_text(writer, "federation");
    control_write_hex(writer, node->federation, HASH_SIZE);
    mp_write_key_text(writer, "federation_name", node->genesis.name);
    mp_write_key_text(writer, "name", control_chapter_name(node, node->code));
    mp_write_key_text(writer, "role", node->is_hq ? "hq" : "chapter");
    mp_write_key_text(writer, "sandbox",
                      node->config.sandbox != NULL ? node->config.sandbox : "off");
    mp_write_key_text(writer, "state", node_state(node));
    mp_write_key_text(writer, "version", CHAPTERD_VERSION);
}

/* --- counters ----------------------------------------------------------------------------- */

struct counter {
    const char *name;
    uint64_t value;
};

static int compare_counters(const void *a, const void *b)
{
    return strcmp(((const struct counter *)a)->name, ((const struct counter *)b)->name);
}

static void write_counters(struct mp_writer *writer, const struct node *node)
{
    struct transport_counters traffic = { 0 };

    transport_counters(node->transport, &traffic);
#define COUNTER_ROW(name, text) { #name, node->counters.name },
#define TRAFFIC_ROW(name, text) { #name, traffic.name },
    struct counter rows[] = {
        COUNTER_TABLE(COUNTER_ROW)
            TRAFFIC_TABLE(TRAFFIC_ROW){ "store_used_bytes", store_used_bytes(node->store) },
    };
#undef COUNTER_ROW
#undef TRAFFIC_ROW
    const size_t count = sizeof rows / sizeof rows[0];

    qsort(rows, count, sizeof rows[0], compare_counters);
    mp_write_map(writer, count);
    for (size_t i = 0; i < count; i++)
        mp_write_key_uint(writer, rows[i].name, rows[i].value);
}

/* --- feeds -------------------------------------------------------------------------------- */

/* HQ's feed holds the roster besides its members. */
static uint64_t members_of(const struct node *node, const struct node_feed *feed,
                           uint64_t records)
{
    uint64_t chapters = 0;

    if (strcmp(feed->replica.feed.origin, "hq") != 0)
        return records;
    for (size_t i = 0; i < node->roster_count; i++)
        chapters += node->roster[i]->present;
    return records > chapters ? records - chapters : 0;
}

static const char *hold_reason(const struct node *node, const struct node_feed *feed)
{
    const struct roster_node *place = roster_find(node, feed->replica.feed.origin);

    if (feed->replica.feed.freeze == FREEZE_FORKED)
        return "forked";
    if (feed->replica.feed.freeze == FREEZE_DIVERGED)
        return "diverged";
    if (place != NULL && place->entry.state == CHAPTER_REVOKED)
        return "revoked";
    if (place != NULL && place->entry.state == CHAPTER_SUSPENDED)
        return "suspended";
    if (feed->over_quota)
        return "over quota";
    if (feed->replica.tier[TIER_FEDERATION].damaged || feed->replica.tier[TIER_HQ].damaged)
        return "damaged";
    return NULL;
}

static void write_hash_or_empty(struct mp_writer *writer, const char *key, bool known,
                                const uint8_t hash[HASH_SIZE])
{
    mp_write_text(writer, key);
    if (known)
        control_write_hex(writer, hash, HASH_SIZE);
    else
        mp_write_text(writer, "");
}

static void write_feed(struct mp_writer *writer, const struct node *node,
                       const struct node_feed *feed)
{
    const struct feed_mark *mine = feed->replica.feed.tier;
    struct head head = { .seq = 0 };
    const bool known = control_head_of(feed, &head);
    const uint64_t records = known ? head.count[TIER_FEDERATION] : 0;

    mp_write_map(writer, 16);
    control_write_behind(writer, node, feed);
    mp_write_key_text(writer, "chapter", feed->replica.feed.origin);
    write_hash_or_empty(writer, "digest", known, head.digest[TIER_FEDERATION]);
    mp_write_key_uint(writer, "epoch", mine[TIER_FEDERATION].epoch);
    mp_write_key_uint(writer, "epoch_records", records);
    mp_write_key_uint(writer, "fetched_bytes", feed->fetched_bytes);
    write_hash_or_empty(writer, "head_hash", known, mine[TIER_FEDERATION].hash);
    mp_write_text(writer, "head_time");
    control_write_head_time(writer, node, feed);
    mp_write_text(writer, "hold_reason");
    write_or_nil(writer, hold_reason(node, feed));
    mp_write_key_uint(writer, "hq_seq", mine[TIER_HQ].seq);
    mp_write_key_uint(writer, "members", members_of(node, feed, records));
    mp_write_key_text(writer, "name", control_chapter_name(node, feed->replica.feed.origin));
    mp_write_key_uint(writer, "refused", feed->refused);
    mp_write_key_uint(writer, "seq", mine[TIER_FEDERATION].seq);
    mp_write_key_text(writer, "state", feed_state_name(control_feed_state(node, feed)));
}

static void write_feeds(struct mp_writer *writer, const struct control_wait *request)
{
    const struct node *node = request->node;
    uint32_t order[ORIGINS_MAX];
    const size_t count = control_feed_order(node, order);
    size_t wanted = 0;

    for (size_t i = 0; i < count; i++)
        wanted += is_wanted(request, node->feeds[order[i]]->replica.feed.origin);
    mp_write_array(writer, wanted);
    for (size_t i = 0; i < count; i++)
        if (is_wanted(request, node->feeds[order[i]]->replica.feed.origin))
            write_feed(writer, node, node->feeds[order[i]]);
}

/* --- peers -------------------------------------------------------------------------------- */

/* All links of one peer, as one line. */
struct peer_view {
    const struct replica_peer *peer;
    uint32_t index;
    const char *state;
    bool dialled;
    const char *address;
    int64_t last_seen_ms;
    transport_link link;
    bool has_link;
};

static void view_peer(const struct node *node, uint32_t index, struct peer_view *out)
{
    bool up = false;
    bool denied = false;

    memset(out, 0, sizeof *out);
    out->peer = node->peers[index];
    out->index = index;
    for (size_t i = 0; i < node->link_count; i++) {
        const struct link *link = &node->links[i];

        if (link->peer != index)
            continue;
        if (link->dialled) {
            out->dialled = true;
            out->address = link->address;
            denied |= link->denied;
        }
        up |= !link->dialled || link->up;
        if (!out->has_link || link->last_seen_ms >= out->last_seen_ms) {
            out->has_link = true;
            out->link = link->handle;
            out->last_seen_ms = link->last_seen_ms;
        }
    }
    if (!out->has_link)
        out->last_seen_ms = node->contacts[index].seen_ms;
    out->state = up && out->peer->up ? "up"
                 : denied            ? "denied"
                 : out->dialled      ? "connecting"
                                     : "down";
}

static void write_peer(struct mp_writer *writer, const struct node *node,
                       const struct peer_view *view)
{
    const uint64_t claimed = view->peer->claim[node->own_feed][TIER_FEDERATION].seq;
    const uint64_t own = node->feeds[node->own_feed]->replica.feed.tier[TIER_FEDERATION].seq;
    const bool up = strcmp(view->state, "up") == 0;

    mp_write_map(writer, 9);
    mp_write_text(writer, "address");
    write_or_nil(writer, view->address);
    mp_write_key_text(writer, "chapter", view->peer->code);
    mp_write_key_bool(writer, "dialled", view->dialled);
    mp_write_text(writer, "last_seen_seconds");
    if (view->last_seen_ms != 0)
        mp_write_uint(writer, (uint64_t)(node_now(node) - view->last_seen_ms) / 1000);
    else
        mp_write_nil(writer);
    mp_write_text(writer, "link");
    if (view->has_link)
        mp_write_uint(writer, view->link);
    else
        mp_write_nil(writer);
    mp_write_key_uint(writer, "sent", up ? own : claimed);
    mp_write_key_text(writer, "state", view->state);
    mp_write_key_uint(writer, "stored", claimed);
    mp_write_key_uint(writer, "verified", claimed);
}

static int compare_views(const void *a, const void *b)
{
    return strcmp(((const struct peer_view *)a)->peer->code,
                  ((const struct peer_view *)b)->peer->code);
}

static enum status write_peers(struct mp_writer *writer, const struct control_wait *request)
{
    const struct node *node = request->node;
    struct peer_view *views = calloc(ORIGINS_MAX, sizeof *views);
    size_t count = 0;

    if (views == NULL)
        return NO_MEMORY;
    for (uint32_t i = 0; i < node->replica.peer_count; i++)
        if (is_wanted(request, node->peers[i]->code))
            view_peer(node, i, &views[count++]);
    qsort(views, count, sizeof *views, compare_views);
    mp_write_array(writer, count);
    for (size_t i = 0; i < count; i++)
        write_peer(writer, node, &views[i]);
    free(views);
    return OK;
}

enum status control_status(struct control_wait *request, struct mp_writer *writer)
{
    uint32_t only;
    enum status status;

    if ((status = control_feed_of(request, ARGUMENT(request, chapter), &only)) != OK)
        return status;
    mp_write_map(writer, 5);
    mp_write_text(writer, "alarms");
    if ((status = control_write_alarms(request, writer)) != OK)
        return status;
    mp_write_text(writer, "counters");
    write_counters(writer, request->node);
    mp_write_text(writer, "feeds");
    write_feeds(writer, request);
    mp_write_text(writer, "node");
    write_node(writer, request->node);
    mp_write_text(writer, "peers");
    return write_peers(writer, request);
}
