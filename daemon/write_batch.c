/* SPDX-License-Identifier: MPL-2.0 */
/* write_batch.c - the origin's changes of a turn under one head: may this node sign, the batch
 * opened, signed and published.  The answers to the writers leave with the turn's commit; a
 * turn that fails forgets the batch. */
#include "daemon/keys.h"
#include "daemon/recovery.h"
#include "daemon/replication.h"
#include "daemon/write.h"
#include "daemon/write_internal.h"

#include <stdlib.h>
#include <string.h>

/* --- may we sign? ------------------------------------------------------------------------- */

static bool has_others(const struct node *node)
{
    return node->roster_count > 1;
}

enum status write_ready(struct node *node, const char **out_error, const char **out_remedy)
{
    const struct roster_node *place = roster_find(node, node->code);

    if (keys_wait(node)) {
        *out_error = "the signing key is just being changed";
        *out_remedy = "try again in a second; while a backup is being written, when it is";
        return AGAIN;
    }
    if (!keys_in_force(node)) {
        keys_explain_former(node, out_error, out_remedy);
        return REFUSED;
    }
    if (!epoch_may_sign(node) && !BUG(RECOVERING_SIGNS)) {
        epoch_explain(node, out_error, out_remedy);
        return REFUSED;
    }
    if (place != NULL && place->entry.state != CHAPTER_ENROLLED) {
        *out_error = "HQ has suspended or revoked this chapter";
        *out_remedy = "ask HQ; the members of this chapter stay readable here";
        return REFUSED;
    }
    if (epoch_roster_missing(node)) {
        *out_error = "waiting for HQ's roster, which this chapter's token promised";
        *out_remedy = "check that HQ can be reached, then try again";
        return AGAIN;
    }
    if (!node->hello_done && has_others(node) && !BUG(SIGNS_AT_ONCE) &&
        node_now(node) < node->started_ms + SIGN_WAIT_MS) {
        *out_error = "waiting for the first peer to say what it knows of this chapter";
        *out_remedy = "try again in three seconds";
        return AGAIN;
    }
    return OK;
}

/* --- the batch ---------------------------------------------------------------------------- */

void write_forget(struct node *node)
{
    if (node->batch != NULL)
        node->batch->open = false;
}

/* An epoch begins above every seq that this feed had, here or where it was fetched from: rows
 * of tier hq beyond the closed head may still be there. */
static enum status begin_above(struct node *node, struct own_batch *batch)
{
    const struct node_feed *own = own_feed(node);
    const uint32_t number = own->record.tier[TIER_FEDERATION].number;
    struct feed_term term;
    uint64_t rows = 1;

    roster_term_of(node, node->code, &term);
    if (term.epoch <= own->replica.feed.tier[TIER_FEDERATION].epoch || batch->prev_seq == 0)
        return OK;
    if (node->own_epoch.from_seq > batch->seq)
        batch->seq = node->own_epoch.from_seq;
    if (node->recovering_seq > batch->seq)
        batch->seq = node->recovering_seq;
    for (uint64_t step = 1; rows != 0; step *= 2) {
        const enum status status = store_count_rows(&node->txn, number, batch->seq, 1, &rows);

        if (status != OK)
            return status;
        if (rows != 0)
            batch->seq += step;
    }
    return OK;
}

enum status batch_open(struct node *node)
{
    struct node_feed *own = own_feed(node);
    struct own_batch *batch = node->batch;
    uint32_t number;
    enum status status;

    if (batch == NULL) {
        if ((batch = calloc(1, sizeof *batch)) == NULL)
            return NO_MEMORY;
        batch->scratch.disclosure = node->disclosure;
        node->batch = batch;
    }
    if (node_writing(node) == NULL)
        return node->turn_error;
    if (batch->open)
        return OK;
    if (own->record.tier[TIER_FEDERATION].number == 0) {
        if ((status = store_new_number(&node->txn, &number)) != OK)
            return status;
        own->record.tier[TIER_FEDERATION].number = number;
        own->record.tier[TIER_HQ].number = number;
    }
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        status = store_get_sum(&node->txn, own->record.tier[tier].number, (enum tier)tier,
                               &batch->sum[tier]);
        if (status != OK)
            return status;
    }
    batch->prev_seq = own->replica.feed.tier[TIER_FEDERATION].seq;
    batch->seq = batch->prev_seq;
    batch->horizon = own->replica.feed.tier[TIER_FEDERATION].horizon;
    batch->changes = 0;
    batch->bytes = 0;
    batch->open = true;
    return begin_above(node, batch);
}

static void fill_head(struct node *node, const struct own_batch *batch, struct head *out_head)
{
    const struct feed_mark *mine = &own_feed(node)->replica.feed.tier[TIER_FEDERATION];
    const uint32_t hq = node_feed_index(node, "hq");
    const struct feed_mark *roster = &node->feeds[hq]->replica.feed.tier[TIER_FEDERATION];
    struct feed_term term;

    roster_term_of(node, node->code, &term);
    memset(out_head, 0, sizeof *out_head);
    memcpy(out_head->federation, node->federation, HASH_SIZE);
    memcpy(out_head->origin, node->code, CODE_SIZE);
    out_head->epoch = term.epoch;
    out_head->instance = term.instance;
    out_head->seq = batch->seq;
    out_head->prev_seq = batch->prev_seq;
    memcpy(out_head->prev_hash, BUG(WRONG_PREVIOUS) ? mine->prev_hash : mine->hash, HASH_SIZE);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        digest_of(&batch->sum[tier], (enum tier)tier, out_head->digest[tier]);
        out_head->count[tier] = batch->sum[tier].count;
    }
    out_head->horizon = batch->horizon;
    out_head->roster_epoch = roster->epoch;
    out_head->roster_seq = roster->seq;
}

/* Writes an event of the rows after since, in the given tiers. */
static enum status write_event(struct node *node, struct mp_writer *writer, unsigned tiers,
                               uint64_t since, size_t count, struct slice envelope)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    struct change change;
    enum status status;

    status = store_cursor_open(&node->txn, own_feed(node)->record.tier[0].number, TIERS_BOTH,
                               since, &cursor);
    if (status != OK)
        return status;
    wire_write_event_begin(writer, tiers, since, envelope, count);
    while ((status = store_cursor_next(&cursor, &change)) == OK)
        change_write(writer, &change, tiers);
    return status == NOT_FOUND ? writer->status : status;
}

static bool link_is_hq(const struct node *node, const struct link *link)
{
    return link->peer != NO_PEER && strcmp(node->peers[link->peer]->code, "hq") == 0;
}

/* Publishes the federation tier, and announces up every link that I dialled: HQ gets both
 * tiers. */
static enum status send_events(struct node *node, uint64_t since, struct slice envelope)
{
    uint64_t count = 0;
    struct mp_writer *writer;
    enum status status;

    status = store_count_rows(&node->txn, own_feed(node)->record.tier[0].number, since,
                              UINT64_MAX, &count);
    if (status != OK)
        return status;
    writer = node_writer(node);
    status = write_event(node, writer, TIERS_FEDERATION, since, (size_t)count, envelope);
    if (status != OK)
        return status;
    node_publish(node, node->code, mp_writer_bytes(writer));
    for (size_t i = 0; i < node->link_count; i++)
        if (node->links[i].dialled && node->links[i].up && !link_is_hq(node, &node->links[i]))
            node_send(node, node->links[i].handle, mp_writer_bytes(writer));
    for (size_t i = 0; i < node->link_count; i++) {
        if (!node->links[i].dialled || !node->links[i].up || !link_is_hq(node, &node->links[i]))
            continue;
        writer = node_writer(node);
        status = write_event(node, writer, TIERS_BOTH, since, (size_t)count, envelope);
        if (status != OK)
            return status;
        node_send(node, node->links[i].handle, mp_writer_bytes(writer));
    }
    return OK;
}

enum status sign_batch(struct node *node)
{
    struct own_batch *batch = node->batch;
    struct node_feed *own = own_feed(node);
    struct signed_head envelope;
    struct head head;
    enum status status;

    /* A batch begins with numbers for both; not so where a restored store lies. */
    if (own->record.tier[TIER_FEDERATION].number == 0 || own->record.tier[TIER_HQ].number == 0)
        return STORE_DAMAGED;
    fill_head(node, batch, &head);
    head_sign(&head, &node->identity.sign, &envelope);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        status = store_put_sum(&node->txn, own->record.tier[tier].number, (enum tier)tier,
                               &batch->sum[tier]);
        if (status != OK)
            return status;
    }
    batch->open = false;
    status =
        apply_advance(node, node->own_feed, TIERS_BOTH, &head, signed_head_bytes(&envelope));
    if (status != OK)
        return status;
    if ((status = epoch_signed(node, head.epoch, head.instance, head.prev_seq + 1)) != OK)
        return status;
    node->counters.heads_signed++;
    node->counters.changes_written += batch->changes;
    return send_events(node, head.prev_seq, signed_head_bytes(&envelope));
}

bool write_is_open(const struct node *node)
{
    return node->batch != NULL && node->batch->open;
}

enum status write_seal(struct node *node)
{
    if (node->batch == NULL || !node->batch->open)
        return OK;
    if (node->batch->changes == 0) { /* all that was asked was refused */
        node->batch->open = BUG(REFUSED_BATCH_OPEN);
        return OK;
    }
    return sign_batch(node);
}

void write_begin_feed(struct node *node)
{
    const char *error;
    const char *remedy;
    enum status status;

    if (own_feed(node)->replica.feed.tier[TIER_FEDERATION].seq != 0 ||
        write_ready(node, &error, &remedy) != OK)
        return;
    if ((status = batch_open(node)) == OK && node->batch->changes == 0) {
        node->batch->seq++;
        status = sign_batch(node);
    }
    (void)node_turn_fails(node, status);
}

enum status write_epoch_head(struct node *node)
{
    struct feed_term term;
    enum status status;

    /* What was issued again may have signed it already. */
    roster_term_of(node, node->code, &term);
    if (own_feed(node)->replica.feed.tier[TIER_FEDERATION].epoch == term.epoch)
        return write_seal(node);
    if ((status = batch_open(node)) != OK)
        return status;
    if (node->batch->changes == 0)
        node->batch->seq++;
    return sign_batch(node);
}
