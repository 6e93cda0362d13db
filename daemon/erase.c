/* SPDX-License-Identifier: MPL-2.0 */
/* erase.c - erasing a member: removal, history, and what must not come back unnoticed. */
#include "daemon/erase.h"
#include "daemon/jobs_internal.h"
#include "daemon/replication.h"
#include "daemon/write.h"
#include "daemon/write_internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PURGE_ROWS 1024 /* entries of the history, a turn */

/* --- loading ------------------------------------------------------------------------------ */

static enum status furthest(void *context, struct slice value)
{
    struct erasure *erasure = context;
    struct mp_reader reader;
    uint64_t seq;

    mp_reader_init(&reader, value);
    mp_read_array_exact(&reader, 3);
    (void)mp_read_uint(&reader, UINT64_MAX);
    (void)mp_read_str(&reader, SIZE_MAX);
    seq = mp_read_uint(&reader, UINT64_MAX);
    if (mp_reader_finish(&reader) != OK)
        return STORE_DAMAGED;
    erasure->any = true;
    if (seq > erasure->wish)
        erasure->wish = seq;
    return OK;
}

enum status erase_load(struct node *node, struct store_txn *txn)
{
    struct erasure *erasure = node->erasure;
    struct slice value;
    enum status status;

    erasure->any = false;
    erasure->has_key = false;
    if ((status = store_get_meta(txn, META_ERASE_KEY, &value)) == OK) {
        if (value.size != KEY_SIZE)
            return STORE_DAMAGED;
        memcpy(erasure->key, value.data, KEY_SIZE);
        erasure->has_key = true;
    } else if (status != NOT_FOUND) {
        return status;
    }
    if ((status = store_get_meta_uint(txn, META_WITHDRAWN, &erasure->withdrawn)) != OK)
        return status;
    if (erasure->withdrawn > erasure->wish)
        erasure->wish = erasure->withdrawn;
    if ((status = store_get_meta_uint(txn, META_PURGE_FROM, &erasure->purge_from)) != OK ||
        (status = store_scan_erased(txn, ERASED_ID, furthest, erasure)) != OK)
        return status;
    return cleared_load(node, txn);
}

/* --- the history -------------------------------------------------------------------------- */

/* [who, op, id, seq, value of each tier before] */
static bool read_entry(struct slice entry, struct slice *out_id,
                       struct slice out_values[TIERS_ALL])
{
    struct mp_reader reader;

    mp_reader_init(&reader, entry);
    mp_read_array_exact(&reader, 4 + TIERS_ALL);
    (void)mp_read_str(&reader, SIZE_MAX);
    (void)mp_read_str(&reader, SIZE_MAX);
    *out_id = mp_read_bin(&reader, SIZE_MAX);
    (void)mp_read_uint(&reader, UINT64_MAX);
    for (int tier = 0; tier < TIERS_ALL; tier++) {
        out_values[tier] = mp_read_raw(&reader, RECORD_SIZE_MAX);
        if (reader.status == OK && value_is_removal(out_values[tier])) /* nil: there was none */
            out_values[tier] = SLICE_NONE;
    }
    return mp_reader_finish(&reader) == OK && out_id->size == ID_SIZE;
}

/* It goes, if it is about somebody who was erased; but by what he had before, an e-mail of two
 * years ago, say, he cannot come back unnoticed either. */
static bool is_of_erased(void *context, struct slice value)
{
    struct slice values[TIERS_ALL];
    struct node *node = context;
    enum erased erased = ERASED_NOT;
    struct slice id;

    if (!read_entry(value, &id, values) || erase_look_up(node, ERASED_ID, id, &erased) != OK ||
        erased == ERASED_NOT || BUG(ERASED_HISTORY_KEPT))
        return false;
    return node_turn_fails(
               node, erased_note_traits(node, values,
                                        erased == ERASED_PRESUMED ? ERASED_BY_RECOVERY : "")) ==
           OK;
}

static bool purge_slice(struct node *node, struct job *job)
{
    struct erasure *erasure = node->erasure;
    uint64_t next = 0;
    enum status status;

    (void)job;
    if (erasure->purge_from == 0)
        return true;
    if (node_writing(node) == NULL)
        return false;
    status = store_purge_history(&node->txn, erasure->purge_from, PURGE_ROWS, is_of_erased,
                                 node, &next);
    if (status == OK)
        status = store_put_meta_uint(&node->txn, META_PURGE_FROM, next);
    if (node_turn_fails(node, status) != OK || node->turn_failed)
        return false;
    erasure->purge_from = next;
    return next == 0;
}

/* node_load has read again how far it came. */
static void purge_undo(struct node *node, struct job *job)
{
    (void)node;
    (void)job;
}

static void purge_release(struct job *job)
{
    free(job);
}

static const struct job_kind job_purge = { .slice = purge_slice,
                                           .undo = purge_undo,
                                           .release = purge_release };

void erase_plan(struct node *node)
{
    struct job *job;

    if (node->erasure->purge_from == 0 || jobs_have(node, &job_purge) ||
        (job = calloc(1, sizeof *job)) == NULL)
        return;
    job->kind = &job_purge;
    if (jobs_add(node, job) != OK)
        free(job);
}

/* --- erasing ------------------------------------------------------------------------------ */

static enum status refuse(struct write_result *result, enum status status, const char *error)
{
    result->status = status;
    result->error = error;
    return OK;
}

/* All nodes have forgotten him; the own files do when the history has gone. */
static enum status tell_anew(struct node *node)
{
    struct store_cleared cleared = { .epoch = 0 };

    memcpy(cleared.node, node->code, CODE_SIZE);
    memcpy(cleared.origin, node->code, CODE_SIZE);
    cleared_due(node);
    return store_put_cleared(&node->txn, &cleared);
}

static enum status remove_it(struct node *node, const uint8_t id[ID_SIZE], uint64_t *out_seq)
{
    static const uint8_t nil[] = { 0xc0 };
    const struct write_scratch *scratch = &node->batch->scratch;
    struct change change = { .type = RECORD_MEMBER };
    enum status status;

    *out_seq = scratch->old_seq;
    if (scratch->removed)
        return OK;
    if (!scratch->exists) {
        *out_seq = own_feed(node)->record.tier[TIER_FEDERATION].horizon;
        return tell_anew(node);
    }
    memcpy(change.id, id, ID_SIZE);
    change.value[TIER_FEDERATION] = slice_of(nil, sizeof nil);
    change.value[TIER_HQ] = slice_of(nil, sizeof nil);
    status = put_own(node, &change);
    *out_seq = change.seq;
    return status;
}

static enum status erase(struct node *node, const uint8_t id[ID_SIZE], const char *who,
                         uint64_t *out_seq)
{
    struct erasure *erasure = node->erasure;
    enum status status;

    if ((status = erased_make_key(node)) != OK ||
        (status = erased_note_traits(node, node->batch->scratch.old, "")) != OK ||
        (status = store_put_private(&node->txn, id, SLICE_NONE)) != OK ||
        (status = remove_it(node, id, out_seq)) != OK ||
        (status = erased_note_id(node, id, who, *out_seq)) != OK ||
        (status = store_put_meta_uint(&node->txn, META_PURGE_FROM, 1)) != OK)
        return status;
    erasure->any = true;
    erasure->purge_from = 1;
    if (*out_seq > erasure->wish)
        erasure->wish = *out_seq;
    return OK;
}

static enum status find_entry(void *context, uint64_t number, uint64_t time_s,
                              struct slice value)
{
    struct slice *id = context; /* size 0 from then on */
    struct slice values[TIERS_ALL];
    struct slice of;

    (void)number;
    (void)time_s;
    if (!read_entry(value, &of, values) || !slice_equal(of, *id))
        return OK;
    *id = SLICE_NONE;
    return AGAIN;
}

/* Removed, and forgotten by all: the history alone still tells of him. */
static enum status in_history_alone(struct node *node, const uint8_t id[ID_SIZE],
                                    bool *out_found)
{
    struct slice wanted = slice_of(id, ID_SIZE);
    enum status status = OK;

    if (own_feed(node)->record.tier[TIER_FEDERATION].horizon != 0)
        status = store_scan_history(&node->txn, UINT64_MAX, find_entry, &wanted);
    *out_found = wanted.size == 0;
    return status;
}

enum status erase_member(struct node *node, const uint8_t id[ID_SIZE], const char *who,
                         struct write_result *out_result)
{
    const struct write_scratch *scratch;
    enum erased erased = ERASED_NOT;
    bool found = false;
    enum status status;

    memset(out_result, 0, sizeof *out_result);
    memcpy(out_result->id, id, ID_SIZE);
    if ((status = batch_open(node)) != OK || (status = load_old(node, id)) != OK ||
        (status = erase_look_up(node, ERASED_ID, slice_of(id, ID_SIZE), &erased)) != OK)
        return node_turn_fails(node, status);
    scratch = &node->batch->scratch;
    if (erased != ERASED_NOT)
        return OK;
    if (!scratch->exists && (status = in_history_alone(node, id, &found)) != OK)
        return node_turn_fails(node, status);
    if (!scratch->exists && !found)
        return belongs_elsewhere(node, id)
                   ? refuse(out_result, REFUSED,
                            "that id belongs to another chapter's member: it is erased there")
                   : refuse(out_result, NOT_FOUND, "no member of this chapter has that id");
    if (scratch->exists && scratch->type != RECORD_MEMBER)
        return refuse(out_result, REFUSED, "that id is not a member's");
    return node_turn_fails(node, erase(node, id, who, &out_result->seq));
}

/* --- after a recovery --------------------------------------------------------------------- */

static enum status count_presumed(struct node *node)
{
    uint64_t count = 0;
    enum status status = store_get_meta_uint(&node->txn, META_PRESUMED, &count);

    return status == OK ? store_put_meta_uint(&node->txn, META_PRESUMED, count + 1) : status;
}

/* values: what is known of the member; SLICE_NONE for a tier that is not. */
static enum status presume(struct node *node, const uint8_t id[ID_SIZE],
                           const struct slice values[TIERS_ALL])
{
    const struct feed_mark *mine =
        &node->feeds[node->own_feed]->replica.feed.tier[TIER_FEDERATION];
    enum status status;

    if ((status = erased_make_key(node)) != OK ||
        (status = erased_note_traits(node, values, ERASED_BY_RECOVERY)) != OK ||
        (status = store_put_private(&node->txn, id, SLICE_NONE)) != OK ||
        (status = erased_note_id(node, id, ERASED_BY_RECOVERY, mine->horizon)) != OK ||
        (status = store_put_meta_uint(&node->txn, META_PURGE_FROM, 1)) != OK ||
        (status = count_presumed(node)) != OK)
        return status;
    node->erasure->any = true;
    node->erasure->purge_from = 1;
    return OK;
}

enum status erase_presume(struct node *node, const struct change *row)
{
    uint8_t map[RECORD_SIZE_MAX];
    struct slice values[TIERS_ALL] = { SLICE_NONE, SLICE_NONE, SLICE_NONE };
    struct slice stored;
    enum erased erased = ERASED_NOT;
    enum status status = erase_look_up(node, ERASED_ID, slice_of(row->id, ID_SIZE), &erased);

    if (status != OK || row->type != RECORD_MEMBER || erased != ERASED_NOT)
        return status;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((row->tiers & (1u << tier)) && !value_is_removal(row->value[tier]))
            values[tier] = row->value[tier];
    status = store_get_private(&node->txn, row->id, &stored);
    if (status == OK && stored.size <= sizeof map) {
        memcpy(map, stored.data, stored.size);
        values[TIER_CHAPTER] = slice_of(map, stored.size);
    }
    return status == OK || status == NOT_FOUND ? presume(node, row->id, values) : status;
}

enum status erase_presume_id(struct node *node, const uint8_t id[ID_SIZE])
{
    struct change row = { .type = RECORD_MEMBER };

    memcpy(row.id, id, ID_SIZE);
    return erase_presume(node, &row);
}

/* --- what became of it -------------------------------------------------------------------- */

/* seq never restarts, whatever the epoch. */
static enum status sort_node(struct node *node, struct store_txn *txn,
                             const struct roster_entry *entry, struct erase_report *report)
{
    struct store_cleared cleared;
    const enum status status = store_get_cleared(txn, entry->code, node->code, &cleared);

    if (status != OK && status != NOT_FOUND)
        return status;
    if (status == OK && cleared.seq >= report->seq)
        memcpy(report->confirmed[report->confirmed_count++], entry->code, CODE_SIZE);
    else if (entry->state != CHAPTER_ENROLLED)
        memcpy(report->shut_out[report->shut_out_count++], entry->code, CODE_SIZE);
    else
        memcpy(report->waiting[report->waiting_count++], entry->code, CODE_SIZE);
    return OK;
}

enum status erase_report(struct node *node, const uint8_t id[ID_SIZE],
                         struct erase_report *out_report)
{
    const struct feed_mark *mine =
        &node->feeds[node->own_feed]->replica.feed.tier[TIER_FEDERATION];
    struct store_txn *txn = node_reading(node);
    enum status status;

    memset(out_report, 0, sizeof *out_report);
    if (txn == NULL)
        return node->turn_error;
    if ((status = erased_seq(node, txn, id, &out_report->seq)) != OK)
        return status;
    out_report->history_purged = node->erasure->purge_from == 0;
    out_report->forgotten = mine->horizon >= out_report->seq;
    out_report->hq_stated = horizon_hq_stated(node) >= out_report->seq;
    for (size_t i = 0; i < node->roster_count && status == OK; i++)
        status = sort_node(node, txn, &node->roster[i]->entry, out_report);
    return status;
}
