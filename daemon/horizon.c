/* SPDX-License-Identifier: MPL-2.0 */
/* horizon.c - the origin's horizon: up to where removals are forgotten, by everybody.
 * It moves when somebody was erased, and by age: a node that was away longer than removals are
 * kept needs a snapshot.  It never passes a seq that HQ has not stated as its own. */
#include "daemon/erase.h"
#include "daemon/replication.h"
#include "daemon/write.h"
#include "daemon/write_internal.h"

#include <string.h>

#define HORIZON_RETRY_MS 250
#define MARKS_MAX (REMOVALS_KEPT_DAYS + 2)
#define MARKS_SIZE_MAX (3 + MARKS_MAX * 20)

static const struct feed_mark *own_mark(const struct node *node)
{
    return &node->feeds[node->own_feed]->replica.feed.tier[TIER_FEDERATION];
}

/* --- by age ------------------------------------------------------------------------------- */

struct day_mark {
    uint64_t day;
    uint64_t seq;
};

static enum status read_marks(struct store_txn *txn, struct day_mark marks[MARKS_MAX],
                              size_t *out_count)
{
    struct mp_reader reader;
    struct slice value;
    enum status status = store_get_meta(txn, META_HORIZON_MARKS, &value);

    *out_count = 0;
    if (status != OK)
        return status == NOT_FOUND ? OK : status;
    mp_reader_init(&reader, value);
    *out_count = mp_read_array(&reader, MARKS_MAX);
    for (size_t i = 0; i < *out_count; i++) {
        mp_read_array_exact(&reader, 2);
        marks[i].day = mp_read_uint(&reader, UINT64_MAX);
        marks[i].seq = mp_read_uint(&reader, UINT64_MAX);
    }
    return mp_reader_finish(&reader) == OK ? OK : STORE_DAMAGED;
}

static enum status write_marks(struct store_txn *txn, const struct day_mark *marks,
                               size_t count)
{
    uint8_t bytes[MARKS_SIZE_MAX];
    struct mp_writer writer;

    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_array(&writer, count);
    for (size_t i = 0; i < count; i++) {
        mp_write_array(&writer, 2);
        mp_write_uint(&writer, marks[i].day);
        mp_write_uint(&writer, marks[i].seq);
    }
    return writer.status == OK
               ? store_put_meta(txn, META_HORIZON_MARKS, mp_writer_bytes(&writer))
               : writer.status;
}

/* A clock that was set back makes removals stay longer; one set forward forgets them sooner. */
enum status horizon_mark_day(struct node *node, int32_t today)
{
    struct day_mark marks[MARKS_MAX];
    const uint64_t day = (uint64_t)today;
    size_t count = 0;
    enum status status;

    if (node_writing(node) == NULL)
        return node->turn_error;
    if ((status = read_marks(&node->txn, marks, &count)) != OK)
        return node_turn_fails(node, status);
    while (count > 0 && marks[count - 1].day >= day)
        count--;
    while (count > 0 && marks[0].day + REMOVALS_KEPT_DAYS <= day) {
        if (marks[0].seq > node->erasure->wish)
            node->erasure->wish = marks[0].seq;
        memmove(marks, marks + 1, --count * sizeof marks[0]);
    }
    if (count == MARKS_MAX)
        memmove(marks, marks + 1, --count * sizeof marks[0]);
    marks[count++] = (struct day_mark){ day, own_mark(node)->seq };
    return node_turn_fails(node, write_marks(&node->txn, marks, count));
}

/* --- how far it may go -------------------------------------------------------------------- */

uint64_t horizon_hq_stated(const struct node *node)
{
    const struct feed_mark *mine = own_mark(node);
    const uint32_t hq = node_peer_index(node, "hq");
    uint64_t stated = mine->seq;

    if (node->is_hq || BUG(HORIZON_TOO_FAR))
        return mine->seq;
    if (hq == NO_PEER)
        return 0;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const struct replica_claim *claim = &node->peers[hq]->claim[node->own_feed][tier];

        if (claim->epoch != mine->epoch)
            return 0;
        if (claim->seq < stated)
            stated = claim->seq;
    }
    return stated;
}

/* A hello tells where HQ stands in both tiers; an event or a vector does not. */
static void ask_hq(struct node *node)
{
    const int64_t now = node_now(node);
    const uint32_t hq = node_peer_index(node, "hq");
    struct link *link = hq == NO_PEER ? NULL : node_link_of_peer(node, hq);

    if (link == NULL || now < node->erasure->greet_at_ms)
        return;
    node->erasure->greet_at_ms = now + HELLO_RETRY_MS;
    sync_greet(node, link);
}

/* --- moving it ---------------------------------------------------------------------------- */

static enum status forget_row(struct node *node, uint32_t number, const uint8_t id[ID_SIZE])
{
    struct own_batch *batch = node->batch;
    struct change gone = { .tiers = TIERS_BOTH };
    struct store_row row;
    enum status status = store_get_row(&node->txn, number, id, &row);

    if (status != OK)
        return status;
    gone.type = row.type;
    memcpy(gone.id, id, ID_SIZE);
    memcpy(gone.salt, row.salt, SALT_SIZE);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        gone.seq = row.seq[tier];
        gone.value[tier] = row.value[tier];
        if (row.tiers & (1u << tier))
            digest_subtract(&batch->sum[tier], node->code, (enum tier)tier, &gone);
    }
    return store_drop_row(&node->txn, number, row.tiers, id);
}

static enum status sign_horizon(struct node *node, uint64_t horizon, uint8_t (*ids)[ID_SIZE],
                                size_t count)
{
    const uint32_t number = node->feeds[node->own_feed]->record.tier[TIER_FEDERATION].number;
    enum status status = batch_open(node);

    for (size_t i = 0; i < count && status == OK; i++)
        status = forget_row(node, number, ids[i]);
    if (status != OK)
        return status;
    node->batch->horizon = horizon;
    node->batch->seq++;
    return sign_batch(node);
}

/* The removals that one head may forget, and the horizon that does. */
static enum status choose(struct node *node, uint64_t after, uint64_t allowed,
                          uint8_t (*out_ids)[ID_SIZE], size_t *out_count, uint64_t *out_horizon)
{
    const uint32_t number = node->feeds[node->own_feed]->record.tier[TIER_FEDERATION].number;
    struct store_row row;
    enum status status;

    *out_count = 0;
    *out_horizon = allowed;
    if (number == 0)
        return OK;
    status = store_list_removals(&node->txn, number, TIERS_FEDERATION, after, allowed, out_ids,
                                 HORIZON_REMOVALS_MAX, out_count);
    if (status != OK || *out_count < HORIZON_REMOVALS_MAX)
        return status;
    status = store_get_row(&node->txn, number, out_ids[*out_count - 1], &row);
    if (status == OK)
        *out_horizon = row.seq[TIER_FEDERATION];
    return status;
}

/* One head; false if it would do nothing at present. */
static bool move(struct node *node, uint64_t wish, uint64_t allowed)
{
    static uint8_t ids[HORIZON_REMOVALS_MAX][ID_SIZE];
    uint64_t horizon = 0;
    size_t count = 0;
    bool withdraws;
    enum status status;

    if (allowed <= own_mark(node)->horizon || (node->batch != NULL && node->batch->open) ||
        node_writing(node) == NULL)
        return false;
    status = choose(node, own_mark(node)->horizon, allowed, ids, &count, &horizon);
    withdraws = node->erasure->withdrawn > own_mark(node)->horizon &&
                horizon >= node->erasure->withdrawn;
    if (status == OK && count == 0 && !withdraws && allowed == wish)
        node->erasure->wish = 0;
    if (status == OK && (count != 0 || withdraws))
        status = sign_horizon(node, horizon, ids, count);
    return node_turn_fails(node, status) == OK && (count != 0 || withdraws);
}

enum status horizon_withdraw(struct node *node, uint64_t seq)
{
    struct erasure *erasure = node->erasure;
    enum status status;

    if (node_writing(node) == NULL)
        return node->turn_error;
    if ((status = store_put_meta_uint(&node->txn, META_WITHDRAWN, seq)) != OK)
        return status;
    erasure->withdrawn = seq;
    if (seq > erasure->wish)
        erasure->wish = seq;
    return OK;
}

void horizon_turn(struct node *node)
{
    struct erasure *erasure = node->erasure;
    const uint64_t stated = horizon_hq_stated(node);
    const uint64_t wish = erasure->wish;
    const int64_t now = node_now(node);
    const char *error;
    const char *remedy;

    if (wish <= own_mark(node)->horizon || now < erasure->horizon_at_ms)
        return;
    erasure->horizon_at_ms = now + HORIZON_RETRY_MS;
    if (write_ready(node, &error, &remedy) != OK)
        return;
    if (stated < wish)
        ask_hq(node);
    if (move(node, wish, wish < stated ? wish : stated))
        erasure->horizon_at_ms = now;
}

int64_t horizon_next_ms(const struct node *node)
{
    return node->erasure->wish <= own_mark(node)->horizon ? INT64_MAX
                                                          : node->erasure->horizon_at_ms;
}
