/* SPDX-License-Identifier: MPL-2.0 */
/* offers.c - fetching a state of a closed epoch that somebody offered: by its origin, to issue
 * again what it lacks; by HQ from a node that was locked out, to keep it for the origin.
 * One at a time; the state is proven by its head's digest before anybody looks at it. */
#include "daemon/recovery.h"
#include "daemon/surplus_internal.h"

#include <string.h>

#define PAUSE_MS 60000       /* for so long no offer is taken of a peer that failed */
#define PAUSE_MS_MAX 120000  /* the same, where it fails again and again */
#define SLOW_AFTER_MS 60000  /* a fetch that is under way for longer ... */
#define SLOW_BYTES_PER_MS 8u /* ... is given up if less comes */

static bool was_settled(const struct surplus *surplus, unsigned tiers,
                        const uint8_t hash[HASH_SIZE])
{
    for (size_t i = 0; i < surplus->settled_count; i++)
        if (memcmp(surplus->settled[i].hash, hash, HASH_SIZE) == 0 &&
            (tiers & ~surplus->settled[i].tiers) == 0)
            return true;
    return false;
}

static void note_settled(struct surplus *surplus, unsigned tiers, const uint8_t hash[HASH_SIZE])
{
    memcpy(surplus->settled[surplus->settled_next].hash, hash, HASH_SIZE);
    surplus->settled[surplus->settled_next].tiers = tiers;
    surplus->settled_next = (surplus->settled_next + 1) % SETTLED_KEPT;
    if (surplus->settled_count < SETTLED_KEPT)
        surplus->settled_count++;
}

static struct link *link_of(struct node *node, transport_link handle)
{
    for (size_t i = 0; i < node->link_count; i++)
        if (node->links[i].handle == handle)
            return &node->links[i];
    return NULL;
}

/* --- beginning and end -------------------------------------------------------------------- */

static enum status discard_build(struct node *node, const char *origin, unsigned tiers)
{
    struct store_build build;
    enum status status;

    if (node_writing(node) == NULL)
        return node->turn_error;
    status = store_get_build(&node->txn, origin, tiers | BUILD_OF_OFFER, &build);
    if (status == OK)
        status = store_discard(&node->txn, origin, build.number, TIERS_BOTH);
    if (status == OK)
        status = store_delete_build(&node->txn, origin, tiers | BUILD_OF_OFFER);
    node->sweep_more = true;
    return status == NOT_FOUND ? OK : status;
}

void offers_drop(struct node *node)
{
    struct offer_fetch *fetch = &node->surplus->fetch;

    if (!fetch->active)
        return;
    fetch->active = false;
    (void)node_turn_fails(
        node, discard_build(node, node->feeds[fetch->feed]->record.origin, fetch->tiers));
}

/* There is one place for a fetch: who held it in vain leaves it to the others for a while. */
static void fetch_failed(struct node *node, bool mismatch)
{
    const struct offer_fetch *fetch = &node->surplus->fetch;
    struct offerer *offerer = &node->surplus->offerer[fetch->peer];
    const int64_t now = node_now(node);

    if (mismatch || now - fetch->begun_ms >= WANT_TIMEOUT_MS) {
        offerer->pause_ms = offerer->pause_ms == 0 ? PAUSE_MS : 2 * offerer->pause_ms;
        if (offerer->pause_ms > PAUSE_MS_MAX)
            offerer->pause_ms = PAUSE_MS_MAX;
        offerer->not_before_ms = now + offerer->pause_ms;
    }
    offers_drop(node);
}

static bool is_too_slow(const struct offer_fetch *fetch, int64_t now_ms)
{
    const int64_t late_ms = now_ms - fetch->begun_ms - SLOW_AFTER_MS;

    return late_ms > 0 && fetch->bytes < (uint64_t)late_ms * SLOW_BYTES_PER_MS;
}

/* The number stands in the store from the beginning, so that a crash leaves nothing behind. */
static enum status begin_fetch(struct node *node, const struct link *link, uint32_t index,
                               unsigned tiers, const struct head *head, struct slice envelope)
{
    struct offer_fetch *fetch = &node->surplus->fetch;
    struct store_build build = { .tiers = tiers | BUILD_OF_OFFER, .epoch = head->epoch };
    const char *origin = node->feeds[index]->record.origin;
    enum status status = discard_build(node, origin, tiers);

    if (status != OK)
        return status;
    memcpy(build.origin, origin, CODE_SIZE);
    memcpy(build.peer, link->key, KEY_SIZE);
    if ((status = store_new_number(&node->txn, &build.number)) != OK ||
        (status = store_put_build(&node->txn, &build)) != OK)
        return status;
    memset(fetch, 0, sizeof *fetch);
    if ((status = signed_head_set(&fetch->envelope, envelope)) != OK)
        return status;
    fetch->active = true;
    fetch->link = link->handle;
    fetch->peer = link->peer;
    fetch->feed = index;
    fetch->tiers = tiers;
    fetch->head = *head;
    fetch->number = build.number;
    fetch->request = ++node->replica.next_request;
    fetch->begun_ms = node_now(node);
    fetch->deadline_ms = fetch->begun_ms + WANT_TIMEOUT_MS;
    return OK;
}

static void send_want(struct node *node)
{
    const struct offer_fetch *fetch = &node->surplus->fetch;
    struct wire_want want = { .request = fetch->request,
                              .epoch = fetch->head.epoch,
                              .tiers = fetch->tiers,
                              .credit = WANT_CREDIT_MAX / 2 };
    struct mp_writer *writer = node_writer(node);

    memcpy(want.origin, node->feeds[fetch->feed]->record.origin, CODE_SIZE);
    memcpy(want.hash, fetch->head.hash, HASH_SIZE);
    wire_write_want(writer, &want);
    node_send(node, fetch->link, mp_writer_bytes(writer));
}

/* --- an offer ----------------------------------------------------------------------------- */

/* Only what can hold something: of a closed epoch, and not simply on the way to where it was
 * closed. */
static bool is_worth_a_look(struct node *node, uint32_t index, unsigned tiers,
                            const struct head *head)
{
    const struct feed *feed = &node->feeds[index]->replica.feed;
    struct store_kept kept;
    struct feed_term term;

    roster_term_of(node, head->origin, &term);
    if (head->seq <= term.closed_seq && head->epoch + 1 == term.epoch &&
        feed_remembers(feed, head))
        return false;
    return node->feeds[index]->replica.own ||
           !surplus_find(node, head->origin, head->epoch, head->hash, &kept) ||
           (tiers & ~kept.tiers) != 0;
}

void surplus_on_offer(struct node *node, struct link *link, struct slice message)
{
    struct wire_offer offer;
    struct head head;
    struct feed_term term;
    uint32_t index;

    if (wire_read_offer(message, &offer) != OK || head_read(offer.head, &head) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    index = node_feed_index(node, head.origin);
    roster_term_of(node, head.origin, &term);
    if (index == NO_PEER || node->surplus->fetch.active ||
        memcmp(head.federation, node->federation, HASH_SIZE) != 0 || head.epoch >= term.epoch)
        return;
    if (node->feeds[index]->replica.own
            ? node->phase != EPOCH_SIGNING
            : !node->is_hq || strcmp(node->peers[link->peer]->code, head.origin) != 0)
        return;
    if (!roster_head_proven(node, offer.head, &head))
        return;
    if (was_settled(node->surplus, offer.tiers, head.hash) ||
        !is_worth_a_look(node, index, offer.tiers, &head)) {
        surplus_settle(node, link, head.hash);
        return;
    }
    if (node_now(node) < node->surplus->offerer[link->peer].not_before_ms)
        return;
    if (node_turn_fails(node, begin_fetch(node, link, index, offer.tiers, &head, offer.head)) ==
        OK)
        send_want(node);
}

/* --- its chunks --------------------------------------------------------------------------- */

static bool too_large(const struct node *node, const struct offer_fetch *fetch)
{
    const struct roster_node *place =
        roster_find(node, node->feeds[fetch->feed]->record.origin);

    return place == NULL ||
           (place->entry.records_max != 0 && fetch->rows / 4 > place->entry.records_max) ||
           (place->entry.bytes_max != 0 && fetch->bytes / 2 > place->entry.bytes_max);
}

static enum status take_rows(struct node *node, const struct wire_changes *chunk)
{
    struct offer_fetch *fetch = &node->surplus->fetch;
    struct wire_list list = chunk->changes;
    struct change change;
    struct store_row known;

    while (wire_next_change(&list, chunk->tiers, &change)) {
        enum status status;

        if (change.seq <= fetch->last_seq || change.seq > fetch->head.seq)
            return REFUSED;
        status = store_get_row(&node->txn, fetch->number, change.id, &known);
        if (status == OK)
            return REFUSED; /* a state that nobody changes has each id once */
        if (status != NOT_FOUND)
            return status;
        fetch->last_seq = change.seq;
        fetch->rows++;
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            if (fetch->tiers & (1u << tier))
                digest_add(&fetch->sum[tier], chunk->origin, (enum tier)tier, &change);
        if ((status = store_put_row(&node->txn, fetch->number, &change)) != OK)
            return status;
    }
    return OK;
}

static bool is_proven(const struct offer_fetch *fetch, const struct wire_changes *chunk)
{
    struct judge judge = { .tiers = fetch->tiers };

    memcpy(judge.sum, fetch->sum, sizeof judge.sum);
    return slice_equal(chunk->head, signed_head_bytes(&fetch->envelope)) &&
           judge_verdict(&judge, &fetch->head) == fetch->tiers;
}

/* HQ keeps it for the origin; it is the origin's from then on. */
static enum status keep_for_origin(struct node *node)
{
    const struct offer_fetch *fetch = &node->surplus->fetch;
    const char *origin = node->feeds[fetch->feed]->record.origin;
    struct store_kept former;
    struct store_kept kept = { .epoch = fetch->head.epoch,
                               .number = fetch->number,
                               .tiers = fetch->tiers,
                               .head = fetch->envelope };
    enum status status;

    memcpy(kept.origin, origin, CODE_SIZE);
    memcpy(kept.hash, fetch->head.hash, HASH_SIZE);
    status = store_get_kept(&node->txn, origin, kept.epoch, kept.hash, &former);
    if (status == OK) /* in fewer tiers */
        status = surplus_drop(node, &former);
    if (status != OK && status != NOT_FOUND)
        return status;
    if ((status = store_put_kept(&node->txn, &kept)) != OK)
        return status;
    node->surplus->kept = true;
    return store_delete_build(&node->txn, origin, fetch->tiers | BUILD_OF_OFFER);
}

static enum status issue(struct node *node)
{
    const struct offer_fetch *fetch = &node->surplus->fetch;
    bool manual = false;
    enum status status =
        surplus_issue(node, fetch->number, fetch->tiers, &fetch->head, &manual);

    if (status != OK || !manual)
        return status == OK ? discard_build(node, node->code, fetch->tiers) : status;
    return keep_for_origin(node);
}

static void end_fetch(struct node *node)
{
    struct offer_fetch *fetch = &node->surplus->fetch;
    const bool own = node->feeds[fetch->feed]->replica.own;
    const struct link *link = link_of(node, fetch->link);

    if (node_turn_fails(node, own ? issue(node) : keep_for_origin(node)) != OK)
        return;
    fetch->active = false;
    node->surplus->offerer[fetch->peer].pause_ms = 0;
    note_settled(node->surplus, fetch->tiers, fetch->head.hash);
    if (link != NULL)
        surplus_settle(node, link, fetch->head.hash);
}

bool surplus_on_changes(struct node *node, const struct link *link,
                        const struct wire_changes *chunk)
{
    struct offer_fetch *fetch = &node->surplus->fetch;
    const struct wire_credit credit = { chunk->request, 1 };
    struct mp_writer *writer;
    enum status status;

    if (!fetch->active || chunk->request != fetch->request)
        return false;
    if (link->handle != fetch->link || chunk->index != fetch->next_index ||
        chunk->tiers != fetch->tiers || chunk->since != 0 ||
        strcmp(chunk->origin, node->feeds[fetch->feed]->record.origin) != 0)
        return true;
    if (node->feeds[fetch->feed]->replica.own && node->phase != EPOCH_SIGNING) {
        offers_drop(node);
        return true;
    }
    if (node_writing(node) == NULL)
        return true;
    fetch->next_index++;
    fetch->bytes += (size_t)(chunk->changes.reader.end - chunk->changes.reader.at);
    fetch->deadline_ms = node_now(node) + WANT_TIMEOUT_MS;
    status = take_rows(node, chunk);
    if (status != OK && status != REFUSED) {
        (void)node_turn_fails(node, status);
        return true;
    }
    if (status == REFUSED || too_large(node, fetch) ||
        (chunk->head.size != 0 && !is_proven(fetch, chunk))) {
        node->counters.mismatches++;
        fetch_failed(node, true);
    } else if (chunk->head.size != 0) {
        end_fetch(node);
    } else {
        writer = node_writer(node);
        wire_write_credit(writer, &credit);
        node_send(node, link->handle, mp_writer_bytes(writer));
    }
    return true;
}

void surplus_on_refusal(struct node *node, uint64_t request)
{
    if (node->surplus->fetch.active && node->surplus->fetch.request == request)
        fetch_failed(node, false);
}

bool offers_fetch_under(const struct node *node, uint32_t number)
{
    return node->surplus->fetch.active && node->surplus->fetch.number == number;
}

/* What was being fetched when the daemon stopped, or a turn failed, is offered again; in the
 * same turn as this, an offer may have begun the next fetch. */
static void sweep(struct node *node)
{
    struct store_txn *txn = node_reading(node);
    struct store_build build = { .origin = "" };
    enum status status = OK;

    node->surplus->swept = true;
    if (txn == NULL)
        return;
    while ((status = store_next_build(txn, build.origin, build.tiers, &build)) == OK)
        if ((build.tiers & BUILD_OF_OFFER) && !offers_fetch_under(node, build.number)) {
            status = discard_build(node, build.origin, build.tiers & TIERS_BOTH);
            txn = &node->txn;
            if (status != OK)
                break;
        }
    if (status != NOT_FOUND)
        (void)node_turn_fails(node, status);
}

void offers_turn(struct node *node)
{
    const struct offer_fetch *fetch = &node->surplus->fetch;
    const struct link *link;

    if (!node->surplus->swept)
        sweep(node);
    if (!fetch->active)
        return;
    link = link_of(node, fetch->link);
    if (link == NULL || (link->dialled && !link->up)) /* it offers again when it is back */
        offers_drop(node);
    else if (node_now(node) >= fetch->deadline_ms || is_too_slow(fetch, node_now(node)))
        fetch_failed(node, false);
}
