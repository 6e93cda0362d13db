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

#define PURGE_ROWS 1024        /* entries of the history, a turn */
#define BY_RECOVERY "recovery" /* in place of who erased */

/* --- hashes of what was erased ------------------------------------------------------------ */

/* Keyed, so that a copy of the list alone tells nobody's address. */
static void hash_of(const struct node *node, enum erased_kind kind, struct slice value,
                    uint8_t out_hash[ERASED_HASH_SIZE])
{
    const uint8_t lead = (uint8_t)kind;
    crypto_generichash_state state;

    crypto_generichash_init(&state, node->erasure->key, KEY_SIZE, ERASED_HASH_SIZE);
    crypto_generichash_update(&state, &lead, 1);
    crypto_generichash_update(&state, value.data, value.size);
    crypto_generichash_final(&state, out_hash, ERASED_HASH_SIZE);
}

/* However an address or a name is written, it is one. */
static struct slice normal_of(enum erased_kind kind, struct slice value,
                              uint8_t buffer[PERSON_HASH_SIZE])
{
    if ((kind == ERASED_EMAIL || kind == ERASED_NAME) && persons_email_hash(value, buffer))
        return slice_of(buffer, PERSON_HASH_SIZE);
    return value;
}

enum status erase_look_up(struct node *node, enum erased_kind kind, struct slice value,
                          enum erased *out_erased)
{
    uint8_t normal[PERSON_HASH_SIZE];
    uint8_t hash[ERASED_HASH_SIZE];
    struct store_txn *txn;
    struct mp_reader reader;
    struct slice stored;
    struct slice who = SLICE_NONE;
    enum status status;

    *out_erased = ERASED_NOT;
    if (!node->erasure->any || !node->erasure->has_key)
        return OK;
    if ((txn = node_reading(node)) == NULL)
        return node->turn_error;
    hash_of(node, kind, normal_of(kind, value, normal), hash);
    status = store_get_erased(txn, kind, hash, &stored);
    if (status != OK)
        return status == NOT_FOUND ? OK : status;
    mp_reader_init(&reader, stored);
    if (mp_read_array(&reader, 3) > 1) {
        (void)mp_read_uint(&reader, UINT64_MAX);
        who = mp_read_str(&reader, SIZE_MAX);
    }
    if (reader.status != OK)
        return STORE_DAMAGED;
    *out_erased = slice_equal(who, slice_of_text(BY_RECOVERY)) ? ERASED_PRESUMED : ERASED_HERE;
    return OK;
}

/* [time], [time, BY_RECOVERY] or, of an id, [time, who, seq of the removal] */
static enum status note(struct node *node, enum erased_kind kind, struct slice value,
                        const char *who, uint64_t seq)
{
    uint8_t normal[PERSON_HASH_SIZE];
    uint8_t hash[ERASED_HASH_SIZE];
    uint8_t bytes[128];
    struct mp_writer writer;

    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_array(&writer, kind == ERASED_ID ? 3 : who[0] != '\0' ? 2 : 1);
    mp_write_uint(&writer, (uint64_t)(clock_wall_ms() / 1000));
    if (kind == ERASED_ID || who[0] != '\0')
        mp_write_text(&writer, who);
    if (kind == ERASED_ID)
        mp_write_uint(&writer, seq);
    if (writer.status != OK)
        return writer.status;
    hash_of(node, kind, normal_of(kind, value, normal), hash);
    return store_put_erased(&node->txn, kind, hash, mp_writer_bytes(&writer));
}

static enum status make_key(struct node *node)
{
    struct erasure *erasure = node->erasure;

    if (erasure->has_key)
        return OK;
    randombytes_buf(erasure->key, KEY_SIZE);
    erasure->has_key = true;
    return store_put_meta(&node->txn, META_ERASE_KEY, slice_of(erasure->key, KEY_SIZE));
}

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

/* [who, op, id, ...]: is it about somebody who was erased? */
static bool is_of_erased(void *context, struct slice value)
{
    struct node *node = context;
    struct mp_reader reader;
    enum erased erased = ERASED_NOT;
    struct slice id;

    mp_reader_init(&reader, value);
    (void)mp_read_array(&reader, 16);
    (void)mp_read_str(&reader, SIZE_MAX);
    (void)mp_read_str(&reader, SIZE_MAX);
    id = mp_read_bin(&reader, SIZE_MAX);
    return reader.status == OK && id.size == ID_SIZE &&
           erase_look_up(node, ERASED_ID, id, &erased) == OK && erased != ERASED_NOT &&
           !BUG(ERASED_HISTORY_KEPT);
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
    if (node_turn_fails(node, status) != OK)
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

/* What would tell that it is the same person who comes again. */
static enum status note_traits(struct node *node, const struct slice values[TIERS_ALL],
                               const char *who)
{
    static const struct {
        const char *field;
        enum erased_kind kind;
    } traits[] = { { "email", ERASED_EMAIL },
                   { "external_id", ERASED_EXTERNAL_ID },
                   { "name", ERASED_NAME } };
    enum status status = OK;

    for (size_t i = 0; i < sizeof traits / sizeof traits[0]; i++)
        for (int tier = 0; tier < TIERS_ALL && status == OK; tier++) {
            struct slice text;

            if (values[tier].size != 0 &&
                mp_map_get_text(values[tier], traits[i].field, &text) && text.size != 0)
                status = note(node, traits[i].kind, text, who, 0);
        }
    return status;
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

    if ((status = make_key(node)) != OK ||
        (status = note_traits(node, node->batch->scratch.old, "")) != OK ||
        (status = store_put_private(&node->txn, id, SLICE_NONE)) != OK ||
        (status = remove_it(node, id, out_seq)) != OK ||
        (status = note(node, ERASED_ID, slice_of(id, ID_SIZE), who, *out_seq)) != OK ||
        (status = store_put_meta_uint(&node->txn, META_PURGE_FROM, 1)) != OK)
        return status;
    erasure->any = true;
    erasure->purge_from = 1;
    if (*out_seq > erasure->wish)
        erasure->wish = *out_seq;
    return OK;
}

enum status erase_member(struct node *node, const uint8_t id[ID_SIZE], const char *who,
                         struct write_result *out_result)
{
    const struct write_scratch *scratch;
    enum erased erased = ERASED_NOT;
    enum status status;

    memset(out_result, 0, sizeof *out_result);
    memcpy(out_result->id, id, ID_SIZE);
    if ((status = batch_open(node)) != OK || (status = load_old(node, id)) != OK ||
        (status = erase_look_up(node, ERASED_ID, slice_of(id, ID_SIZE), &erased)) != OK)
        return node_turn_fails(node, status);
    scratch = &node->batch->scratch;
    if (erased != ERASED_NOT)
        return OK;
    if (!scratch->exists)
        return belongs_elsewhere(node, id)
                   ? refuse(out_result, REFUSED,
                            "that id belongs to another chapter's member: it is erased there")
                   : refuse(out_result, NOT_FOUND, "no member of this chapter has that id");
    if (scratch->type != RECORD_MEMBER)
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

    if ((status = make_key(node)) != OK ||
        (status = note_traits(node, values, BY_RECOVERY)) != OK ||
        (status = store_put_private(&node->txn, id, SLICE_NONE)) != OK ||
        (status = note(node, ERASED_ID, slice_of(id, ID_SIZE), BY_RECOVERY, mine->horizon)) !=
            OK ||
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

enum status erase_not_presumed(struct node *node, const uint8_t id[ID_SIZE])
{
    uint8_t hash[ERASED_HASH_SIZE];

    hash_of(node, ERASED_ID, slice_of(id, ID_SIZE), hash);
    return store_delete_erased(&node->txn, ERASED_ID, hash);
}

/* --- what became of it -------------------------------------------------------------------- */

static enum status seq_of(struct node *node, struct store_txn *txn, const uint8_t id[ID_SIZE],
                          uint64_t *out_seq)
{
    uint8_t hash[ERASED_HASH_SIZE];
    struct mp_reader reader;
    struct slice value;
    enum status status;

    if (!node->erasure->has_key)
        return NOT_FOUND;
    hash_of(node, ERASED_ID, slice_of(id, ID_SIZE), hash);
    if ((status = store_get_erased(txn, ERASED_ID, hash, &value)) != OK)
        return status;
    mp_reader_init(&reader, value);
    mp_read_array_exact(&reader, 3);
    (void)mp_read_uint(&reader, UINT64_MAX);
    (void)mp_read_str(&reader, SIZE_MAX);
    *out_seq = mp_read_uint(&reader, UINT64_MAX);
    return mp_reader_finish(&reader) == OK ? OK : STORE_DAMAGED;
}

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
    if ((status = seq_of(node, txn, id, &out_report->seq)) != OK)
        return status;
    out_report->history_purged = node->erasure->purge_from == 0;
    out_report->forgotten = mine->horizon >= out_report->seq;
    out_report->hq_stated = horizon_hq_stated(node) >= out_report->seq;
    for (size_t i = 0; i < node->roster_count && status == OK; i++)
        status = sort_node(node, txn, &node->roster[i]->entry, out_report);
    return status;
}
