/* SPDX-License-Identifier: MPL-2.0 */
/* write.c - the origin's own changes, one by one: merged, sequenced, and put. */
#include "daemon/write.h"
#include "daemon/replication.h"
#include "daemon/write_internal.h"

#include "daemon/erase.h"

#include <sodium.h>
#include <string.h>

static void digest_change(struct own_batch *batch, const char *origin,
                          const struct write_scratch *scratch, const struct change *change)
{
    struct change old = { .type = scratch->type, .tiers = TIERS_BOTH };

    if (scratch->exists) {
        memcpy(old.id, change->id, ID_SIZE);
        memcpy(old.salt, scratch->old_salt, SALT_SIZE);
        old.value[TIER_FEDERATION] = scratch->old[TIER_FEDERATION];
        old.value[TIER_HQ] = scratch->old[TIER_HQ];
    }
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        old.seq = tier == TIER_HQ ? scratch->old_hq_seq : scratch->old_seq;
        if (scratch->exists && (scratch->old_tiers & (1u << tier)) && !BUG(OLD_LEAF_KEPT))
            digest_subtract(&batch->sum[tier], origin, (enum tier)tier, &old);
        digest_add(&batch->sum[tier], origin, (enum tier)tier, change);
    }
}

static void draw_random(struct own_batch *batch, uint8_t *out, size_t size)
{
    if (batch->random_left < size) {
        randombytes_buf(batch->random, sizeof batch->random);
        batch->random_left = sizeof batch->random;
    }
    batch->random_left -= size;
    memcpy(out, batch->random + batch->random_left, size);
    sodium_memzero(batch->random + batch->random_left, size);
}

/* Gives the change the next seq and puts it everywhere; values are not of the map. */
enum status put_own(struct node *node, struct change *change)
{
    struct own_batch *batch = node->batch;
    struct node_feed *own = own_feed(node);
    const uint32_t number = own->record.tier[TIER_FEDERATION].number;
    struct census_delta deltas[CENSUS_DELTAS_MAX];
    size_t count = 0;
    enum status status;

    change->seq = ++batch->seq;
    change->tiers = TIERS_BOTH;
    if (!BUG(NO_SALT))
        draw_random(batch, change->salt, SALT_SIZE);
    digest_change(batch, node->code, &batch->scratch, change);
    if (change->type == RECORD_MEMBER)
        count = census_deltas(batch->scratch.exists ? batch->scratch.old[TIER_FEDERATION]
                                                    : SLICE_NONE,
                              change->value[TIER_FEDERATION], deltas);
    if ((status = store_put_row(&node->txn, number, change)) != OK)
        return status;
    for (size_t i = BUG(OWN_CENSUS_LOST); i < count; i++)
        if ((status = node_census_add(node, number, &deltas[i])) != OK ||
            (status = node_census_add(node, 0, &deltas[i])) != OK)
            return status;
    if (node->is_hq && (status = apply_person(node, node->own_feed, change)) != OK)
        return status;
    if (change->type == RECORD_MEMBER && batch->scratch.exists)
        removals_note(node, node->own_feed,
                      value_is_removal(change->value[TIER_FEDERATION]) -
                          batch->scratch.removed);
    batch->changes++;
    batch->bytes += change->value[0].size + change->value[1].size + 64;
    if (batch->changes >= TURN_WRITES_MAX || batch->bytes >= EVENT_FILL_SIZE)
        return sign_batch(node);
    return OK;
}

enum status load_old(struct node *node, const uint8_t id[ID_SIZE])
{
    struct write_scratch *scratch = &node->batch->scratch;
    struct store_row row;
    struct slice map;
    enum status status;

    scratch_clear(scratch);
    status = store_get_row(&node->txn, own_feed(node)->record.tier[0].number, id, &row);
    if (status == OK && (row.tiers == TIERS_BOTH || own_feed(node)->replica.feed.recovering)) {
        scratch->exists = true;
        scratch->type = row.type;
        scratch->old_seq = row.seq[TIER_FEDERATION];
        scratch->old_hq_seq = row.seq[TIER_HQ];
        scratch->old_tiers = row.tiers;
        memcpy(scratch->old_salt, row.salt, SALT_SIZE);
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            if (row.tiers & (1u << tier))
                scratch_keep(scratch, (enum tier)tier, row.value[tier]);
        scratch->removed = value_is_removal(row.value[TIER_FEDERATION]);
    } else if (status != NOT_FOUND) {
        return status == OK ? STORE_DAMAGED : status;
    }
    status = store_get_private(&node->txn, id, &map);
    if (status == OK)
        scratch_keep(scratch, TIER_CHAPTER, map);
    return status == NOT_FOUND ? OK : status;
}

/* Another chapter's record is that chapter's to change. */
bool belongs_elsewhere(struct node *node, const uint8_t id[ID_SIZE])
{
    for (size_t i = 0; i < node->replica.feed_count; i++) {
        const uint32_t number = node->feeds[i]->record.tier[TIER_FEDERATION].number;
        struct store_row row;

        if (i != node->own_feed && number != 0 &&
            store_get_row(&node->txn, number, id, &row) == OK &&
            !value_is_removal(row.value[TIER_FEDERATION]))
            return true;
    }
    return false;
}

/* Everybody would pause a feed that is larger than the roster allows: better not to sign it. */
static bool is_over_quota(const struct node *node)
{
    const struct roster_node *place = roster_find(node, node->code);
    const struct write_scratch *scratch = &node->batch->scratch;
    const struct digest_sum *sums = node->batch->sum;

    if (place == NULL)
        return false;
    if (place->entry.records_max != 0 && (!scratch->exists || scratch->removed) &&
        sums[TIER_FEDERATION].count >= place->entry.records_max)
        return true;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const size_t size = scratch_value(scratch, (enum tier)tier).size;
        const size_t grows = scratch->exists ? size : size + 64;

        if (place->entry.bytes_max != 0 && grows > scratch->old[tier].size &&
            sums[tier].bytes + (grows - scratch->old[tier].size) > place->entry.bytes_max)
            return true;
    }
    return false;
}

static enum status append_history(struct node *node, const uint8_t id[ID_SIZE], const char *op,
                                  const char *who, uint64_t seq)
{
    const struct write_scratch *scratch = &node->batch->scratch;
    struct mp_writer writer;

    mp_writer_init(&writer, node->batch->history, sizeof node->batch->history);
    mp_write_array(&writer, 7);
    mp_write_text(&writer, who);
    mp_write_text(&writer, op);
    mp_write_bin(&writer, id, ID_SIZE);
    mp_write_uint(&writer, seq);
    for (int tier = 0; tier < TIERS_ALL; tier++)
        if (scratch->old[tier].size != 0)
            mp_write_raw(&writer, scratch->old[tier]);
        else
            mp_write_nil(&writer);
    if (writer.status != OK)
        return writer.status;
    return store_append_history(&node->txn, (uint64_t)(clock_wall_ms() / 1000),
                                mp_writer_bytes(&writer));
}

static enum status result_error(struct write_result *result, enum status status,
                                const char *error)
{
    result->status = status;
    result->error = error;
    return OK;
}

static enum status apply_removal(struct node *node, const struct write_op *op, const char *who,
                                 struct write_result *out_result)
{
    static const uint8_t nil[] = { 0xc0 };
    const struct write_scratch *scratch = &node->batch->scratch;
    struct change change = { .type = scratch->type };
    enum status status;

    if (!scratch->exists || scratch->removed)
        return result_error(out_result, NOT_FOUND, "no member of this chapter has that id");
    if (scratch->type != op->type)
        return result_error(out_result, REFUSED, "that id is not a member's");
    memcpy(change.id, op->id, ID_SIZE);
    change.value[TIER_FEDERATION] = slice_of(nil, sizeof nil);
    change.value[TIER_HQ] = slice_of(nil, sizeof nil);
    if ((status = append_history(node, op->id, "remove", who, node->batch->seq + 1)) != OK ||
        (status = store_put_private(&node->txn, op->id, SLICE_NONE)) != OK ||
        (status = put_own(node, &change)) != OK)
        return status;
    out_result->seq = change.seq;
    return OK;
}

/* A field that tells of somebody who was erased.  A name alone is looked at only where nothing
 * else tells people apart. */
static enum status find_erased(struct node *node, const char **out_field,
                               enum erased *out_erased)
{
    static const struct {
        const char *field;
        enum erased_kind kind;
    } traits[] = { { "email", ERASED_EMAIL },
                   { "external_id", ERASED_EXTERNAL_ID },
                   { "name", ERASED_NAME } };
    struct write_scratch *scratch = &node->batch->scratch;
    const bool is_new = !scratch->exists || scratch->removed;
    bool told_apart = false;
    enum status status = OK;

    *out_erased = ERASED_NOT;
    for (size_t i = 0; i < sizeof traits / sizeof traits[0] && status == OK; i++) {
        struct slice text;

        if ((traits[i].kind == ERASED_NAME && (told_apart || !is_new)) ||
            !scratch_new_text(scratch, traits[i].field, &text) || text.size == 0)
            continue;
        told_apart = true;
        status = erase_look_up(node, traits[i].kind, text, out_erased);
        if (status != OK || *out_erased != ERASED_NOT) {
            *out_field = traits[i].field;
            return status;
        }
    }
    return status;
}

/* Somebody who was erased comes back only if that is meant. */
static enum status check_erased(struct node *node, struct write_result *out_result)
{
    enum erased erased;
    const char *field = "";
    const enum status status = find_erased(node, &field, &erased);

    if (status != OK || erased == ERASED_NOT)
        return status;
    (void)slice_copy_text(slice_of_text(field), out_result->field, sizeof out_result->field);
    return result_error(
        out_result, REFUSED,
        erased == ERASED_HERE
            ? "is that of a person who was erased here; if they joined again, or"
              " it is somebody else: members add --again"
            : "is that of a person who was erased, or removed, after the"
              " restored copy was made; if they joined again, or it is somebody"
              " else: members add --again");
}

static enum status apply_put(struct node *node, const uint8_t id[ID_SIZE],
                             const struct write_op *op, const char *who,
                             struct write_result *out_result)
{
    struct write_scratch *scratch = &node->batch->scratch;
    struct change change = { .type = op->type };
    bool published = false;
    bool any = false;
    enum status status;

    if (scratch->exists && scratch->type != op->type)
        return result_error(out_result, REFUSED, "that id is not a member's");
    if (!scratch_merge(scratch, op->fields, out_result))
        return OK;
    if (!op->again &&
        ((status = check_erased(node, out_result)) != OK || out_result->status != OK))
        return status;
    if (!scratch_pack(scratch, (uint64_t)(clock_wall_ms() / 1000), &published, &any,
                      out_result))
        return OK;
    out_result->seq = scratch->old_seq;
    if (!any)
        return OK;
    if (published && is_over_quota(node))
        return result_error(
            out_result, TOO_LARGE,
            "the feed of this chapter is as large as HQ allows; let HQ raise it:"
            " chapterctl chapters edit CHAPTER --records-max N --bytes-max SIZE");
    status = append_history(node, id, scratch->exists && !scratch->removed ? "edit" : "add",
                            who, published ? node->batch->seq + 1 : scratch->old_seq);
    if (status != OK)
        return status;
    status = BUG(PRIVATE_LOST)
                 ? OK
                 : store_put_private(&node->txn, id, scratch_value(scratch, TIER_CHAPTER));
    if (status != OK)
        return status;
    if (!published)
        return OK;
    memcpy(change.id, id, ID_SIZE);
    change.value[TIER_FEDERATION] = scratch_value(scratch, TIER_FEDERATION);
    change.value[TIER_HQ] = scratch_value(scratch, TIER_HQ);
    if ((status = put_own(node, &change)) != OK)
        return status;
    out_result->seq = change.seq;
    return OK;
}

enum status write_apply(struct node *node, const struct write_op *op, const char *who,
                        struct write_result *out_result)
{
    enum erased erased = ERASED_NOT;
    enum status status;

    memset(out_result, 0, sizeof *out_result);
    if ((status = batch_open(node)) != OK)
        return node_turn_fails(node, status);
    if (op->has_id) {
        memcpy(out_result->id, op->id, ID_SIZE);
    } else {
        uint8_t random[10];

        if (op->remove)
            return result_error(out_result, USAGE, "a removal needs an id");
        draw_random(node->batch, random, sizeof random);
        uuid_make_next(&node->batch->ids, (uint64_t)clock_wall_ms(), random, out_result->id);
    }
    if ((status = load_old(node, out_result->id)) != OK)
        return node_turn_fails(node, status);
    if (op->has_id &&
        (status = erase_look_up(node, ERASED_ID, slice_of(op->id, ID_SIZE), &erased)) != OK)
        return node_turn_fails(node, status);
    if (erased != ERASED_NOT && !BUG(ERASED_TAKEN_BACK))
        return result_error(
            out_result, op->remove ? NOT_FOUND : REFUSED,
            "that id was erased and is not used again; a person who joined again"
            " gets a new one");
    if (op->has_id && !node->batch->scratch.exists && belongs_elsewhere(node, op->id))
        return result_error(out_result, REFUSED, "that id belongs to another chapter's member");
    status = op->remove ? apply_removal(node, op, who, out_result)
                        : apply_put(node, out_result->id, op, who, out_result);
    return node_turn_fails(node, status);
}

enum status write_again(struct node *node, const struct change *change, uint64_t *out_seq)
{
    struct change again = *change;
    enum status status;

    if ((status = batch_open(node)) != OK || (status = load_old(node, change->id)) != OK)
        return status;
    status = append_history(node, change->id,
                            value_is_removal(change->value[TIER_FEDERATION]) ? "remove again"
                                                                             : "put again",
                            "recovery", node->batch->seq + 1);
    if (status != OK || (status = put_own(node, &again)) != OK)
        return status;
    *out_seq = again.seq;
    return OK;
}

enum status write_roster(struct node *node, const struct roster_entry *entry)
{
    static const uint8_t empty_map[] = { 0x80 };
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };
    struct change change = { .type = RECORD_CHAPTER };
    enum status status;

    ASSERT(node->is_hq);
    if ((status = batch_open(node)) != OK)
        return node_turn_fails(node, status);
    roster_id_of(node->federation, entry->code, change.id);
    if ((status = load_old(node, change.id)) != OK)
        return node_turn_fails(node, status);
    mp_writer_init_heap(&writer, RECORD_SIZE_MAX);
    roster_entry_write(&writer, entry);
    if (writer.status != OK)
        return writer.status;
    change.value[TIER_FEDERATION] = mp_writer_bytes(&writer);
    change.value[TIER_HQ] = slice_of(empty_map, sizeof empty_map);
    if ((status = append_history(node, change.id, "roster", "hq", node->batch->seq + 1)) != OK)
        return node_turn_fails(node, status);
    return node_turn_fails(node, put_own(node, &change));
}
