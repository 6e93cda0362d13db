/* SPDX-License-Identifier: MPL-2.0 */
/* store_row.c - rows: one version of one record, in the tiers that stand at its seq.
 *
 * Both tiers of a record have one row as long as they stand at the same seq.  Where tier
 * federation went ahead through a relay, the row at the older seq keeps tier hq, until that
 * follows and the rows become one again.
 *
 *   key     number 4, seq 8
 *   value   tiers 1, type 1, id 16, salt 16 if tier hq is there, length 4 of the federation
 *           value if that is there, federation value, hq value
 *
 * A member in both tiers, number 5, seq 9, values {"a": "x"} and {}:
 *
 *   key     00000005 0000000000000009
 *   value   03 01 0190a1b2c3d47e5f8a6b7c8d9eafb0c1 000102030405060708090a0b0c0d0e0f
 *           00000005 81a161a178 80
 *
 * removals has the key of each row with a tier that is nil: those tiers 1, id 16.  The same
 * record removed at seq 10:
 *
 *   key     00000005 000000000000000a
 *   value   03 0190a1b2c3d47e5f8a6b7c8d9eafb0c1 */
#include "daemon/io/store_index.h"

#include <string.h>

#include "proto/bug.h"

#define REMOVAL_SIZE (1 + ID_SIZE)

/* --- bytes ------------------------------------------------------------------------------- */

struct slice row_key(uint8_t buffer[ROW_KEY_SIZE], uint32_t number, uint64_t seq)
{
    struct packer packer = { buffer };

    pack_u32(&packer, number);
    pack_u64(&packer, seq);
    return slice_of(buffer, ROW_KEY_SIZE);
}

static struct slice row_encode(const struct change *row, uint8_t buffer[STORED_ROW_SIZE_MAX])
{
    const bool federation = row->tiers & TIERS_FEDERATION;
    const bool hq = row->tiers & TIERS_HQ;
    struct packer packer = { buffer };

    pack_u8(&packer, row->tiers);
    pack_u8(&packer, row->type);
    pack_bytes(&packer, row->id, ID_SIZE);
    if (hq)
        pack_bytes(&packer, row->salt, SALT_SIZE);
    if (federation) {
        pack_u32(&packer, (uint32_t)row->value[TIER_FEDERATION].size);
        pack_bytes(&packer, row->value[TIER_FEDERATION].data, row->value[TIER_FEDERATION].size);
    }
    if (hq)
        pack_bytes(&packer, row->value[TIER_HQ].data, row->value[TIER_HQ].size);
    return slice_of(buffer, (size_t)(packer.at - buffer));
}

enum status row_decode(struct slice key, struct slice value, uint32_t *out_number,
                       struct change *out_row)
{
    struct unpacker place = unpacker_of(key);
    struct unpacker unpacker = unpacker_of(value);
    struct change row;
    uint32_t number;

    memset(&row, 0, sizeof row);
    number = unpack_u32(&place);
    row.seq = unpack_u64(&place);
    row.tiers = unpack_u8(&unpacker);
    row.type = (enum record_type)unpack_u8(&unpacker);
    unpack_bytes(&unpacker, row.id, ID_SIZE);
    if (row.tiers & TIERS_HQ)
        unpack_bytes(&unpacker, row.salt, SALT_SIZE);
    if (row.tiers & TIERS_FEDERATION)
        row.value[TIER_FEDERATION] = unpack_slice(&unpacker, unpack_u32(&unpacker));
    if (row.tiers & TIERS_HQ)
        row.value[TIER_HQ] = unpack_slice(&unpacker, (size_t)(unpacker.end - unpacker.at));
    if (!unpacked_all(&place) || !unpacked_all(&unpacker) || row.tiers == 0 ||
        row.tiers > TIERS_BOTH)
        return STORE_DAMAGED;
    *out_number = number;
    *out_row = row;
    return OK;
}

/* The row that the index says is there. */
static enum status row_get(struct store_txn *txn, uint32_t number, uint64_t seq, unsigned tiers,
                           const uint8_t id[ID_SIZE], struct change *out_row)
{
    uint8_t buffer[ROW_KEY_SIZE];
    const struct slice key = row_key(buffer, number, seq);
    struct slice value;
    uint32_t same;
    enum status status = table_get(txn, TABLE_RECORDS, key, &value);

    if (status == NOT_FOUND)
        return STORE_DAMAGED;
    if (status == OK)
        status = row_decode(key, value, &same, out_row);
    if (status == OK &&
        ((tiers & ~out_row->tiers) != 0 || memcmp(out_row->id, id, ID_SIZE) != 0))
        return STORE_DAMAGED;
    return status;
}

/* --- removals ---------------------------------------------------------------------------- */

static unsigned tiers_nil(const struct change *row)
{
    unsigned nil = 0;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((row->tiers & (1u << tier)) && value_is_removal(row->value[tier]))
            nil |= 1u << tier;
    return nil;
}

static enum status removal_put(struct store_txn *txn, struct slice key, unsigned nil,
                               const uint8_t id[ID_SIZE])
{
    uint8_t value[REMOVAL_SIZE];
    struct packer packer = { value };

    if (nil == 0)
        return table_delete(txn, TABLE_REMOVALS, key);
    pack_u8(&packer, nil);
    pack_bytes(&packer, id, ID_SIZE);
    return table_put(txn, TABLE_REMOVALS, key, slice_of(value, sizeof value));
}

enum status store_list_removals(struct store_txn *txn, uint32_t number, unsigned tiers,
                                uint64_t after, uint64_t up_to, uint8_t (*out_ids)[ID_SIZE],
                                size_t max, size_t *out_count)
{
    CLEANUP(table_scan_close) struct table_scan scan = { 0 };
    uint8_t buffer[ROW_KEY_SIZE];
    struct slice key;
    struct slice value;
    size_t count = 0;
    enum status status = OK;

    if (after < up_to)
        status =
            table_scan_open(txn, TABLE_REMOVALS, row_key(buffer, number, after + 1), &scan);
    while (status == OK && after < up_to && count < max &&
           (status = table_scan_next(&scan, &key, &value)) == OK) {
        struct unpacker place = unpacker_of(key);
        struct unpacker unpacker = unpacker_of(value);
        const bool here = unpack_u32(&place) == number;
        const uint64_t seq = unpack_u64(&place);
        const bool wanted = unpack_u8(&unpacker) & tiers;
        const struct slice id = unpack_slice(&unpacker, ID_SIZE);

        if (!unpacked_all(&place) || !unpacked_all(&unpacker))
            return STORE_DAMAGED;
        if (!here || seq > up_to)
            break;
        if (wanted)
            memcpy(out_ids[count++], id.data, ID_SIZE);
    }
    if (status != OK && status != NOT_FOUND)
        return status;
    *out_count = count;
    return OK;
}

/* --- reading ----------------------------------------------------------------------------- */

enum status store_get_row(struct store_txn *txn, uint32_t number, const uint8_t id[ID_SIZE],
                          struct store_row *out)
{
    struct row_index index;
    struct store_row found;
    enum status status = index_get(txn, number, id, &index);

    if (status != OK)
        return status;
    if (index.tiers == 0)
        return NOT_FOUND;
    memset(&found, 0, sizeof found);
    found.tiers = index.tiers;
    memcpy(found.id, id, ID_SIZE);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const unsigned here = index_tiers_at(&index, index.seq[tier]);
        struct change row;

        /* The row of both was read with the first. */
        if (!(index.tiers & (1u << tier)) || (tier > 0 && here == TIERS_BOTH))
            continue;
        if ((status = row_get(txn, number, index.seq[tier], here, id, &row)) != OK)
            return status;
        found.type = row.type;
        for (int other = 0; other < TIERS_PUBLISHED; other++)
            if (here & (1u << other)) {
                found.seq[other] = row.seq;
                found.value[other] = row.value[other];
            }
        if (here & TIERS_HQ)
            memcpy(found.salt, row.salt, SALT_SIZE);
    }
    *out = found;
    return OK;
}

/* --- writing ----------------------------------------------------------------------------- */

/* Takes tiers out of a row: what is left of it stays at its seq. */
static enum status row_reduce(struct store_txn *txn, uint32_t number, uint64_t seq,
                              unsigned tiers, const uint8_t id[ID_SIZE])
{
    uint8_t buffer[ROW_KEY_SIZE];
    const struct slice key = row_key(buffer, number, seq);
    struct change row;
    unsigned nil;
    enum status status;

    if ((status = row_get(txn, number, seq, tiers, id, &row)) != OK)
        return status;
    nil = tiers_nil(&row);
    row.tiers &= ~tiers;
    if (row.tiers == 0)
        status = table_delete(txn, TABLE_RECORDS, key);
    else
        status = table_put(txn, TABLE_RECORDS, key, row_encode(&row, txn->store->writer.row));
    if (status == OK && (nil & tiers) != 0)
        status = removal_put(txn, key, nil & ~tiers, id);
    return status;
}

enum status row_drop(struct store_txn *txn, uint32_t number, uint64_t seq, unsigned tiers,
                     const uint8_t id[ID_SIZE])
{
    struct row_index index;
    enum status status = index_get(txn, number, id, &index);

    if (status != OK)
        return status;
    if (tiers & ~index_tiers_at(&index, seq))
        return STORE_DAMAGED;
    if ((status = row_reduce(txn, number, seq, tiers, id)) != OK)
        return status;
    index.tiers &= ~tiers;
    return index_put(txn, number, id, &index);
}

enum status store_drop_row(struct store_txn *txn, uint32_t number, unsigned tiers,
                           const uint8_t id[ID_SIZE])
{
    struct row_index index;
    enum status status = index_get(txn, number, id, &index);

    tiers &= index.tiers;
    for (int tier = 0; tier < TIERS_PUBLISHED && status == OK; tier++)
        if (tiers & (1u << tier)) {
            const unsigned here = index_tiers_at(&index, index.seq[tier]) & tiers;

            status = row_drop(txn, number, index.seq[tier], here, id);
            tiers &= ~here;
        }
    return status;
}

/* What the new row is to hold: the change, and the other tier if that waited at its seq. */
static enum status row_join(struct store_txn *txn, uint32_t number, const struct change *change,
                            unsigned waiting, struct change *row)
{
    struct change there;
    enum status status;

    *row = *change;
    if (waiting == 0)
        return OK;
    if ((status = row_get(txn, number, change->seq, waiting, change->id, &there)) != OK)
        return status;
    if (there.type != change->type)
        return INVALID;
    row->tiers |= waiting;
    if (waiting & TIERS_HQ)
        memcpy(row->salt, there.salt, SALT_SIZE);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (waiting & (1u << tier))
            row->value[tier] = there.value[tier];
    return OK;
}

/* Takes the tiers of the change from where they were. */
static enum status leave_old(struct store_txn *txn, uint32_t number,
                             const struct change *change, const struct row_index *index)
{
    unsigned left = change->tiers & index->tiers & ~index_tiers_at(index, change->seq);

    if (BUG(OLD_ROW_KEPT))
        return OK;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const unsigned here = index_tiers_at(index, index->seq[tier]) & left;
        enum status status;

        if (!(here & (1u << tier)))
            continue;
        status = row_reduce(txn, number, index->seq[tier], here, change->id);
        if (status != OK)
            return status;
        left &= ~here;
    }
    return OK;
}

static enum status check_change(const struct store_txn *txn, const struct change *change)
{
    ASSERT(change->tiers != 0 && (change->tiers & ~TIERS_BOTH) == 0);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((change->tiers & (1u << tier)) && change->value[tier].size > RECORD_SIZE_MAX)
            return TOO_LARGE;
    /* The reserve is for removals: they lead to free pages. */
    return store_is_tight(txn->store) && tiers_nil(change) != change->tiers ? NO_SPACE : OK;
}

size_t store_rows_put(const struct store_txn *txn)
{
    return txn->handle != NULL && txn->writing ? txn->store->writer.rows : 0;
}

enum status store_put_row(struct store_txn *txn, uint32_t number, const struct change *change)
{
    uint8_t buffer[ROW_KEY_SIZE];
    const struct slice key = row_key(buffer, number, change->seq);
    struct row_index index;
    struct change row;
    struct slice value;
    unsigned here;
    unsigned nil;
    enum status status;

    ASSERT(number != 0);
    if ((status = check_change(txn, change)) != OK ||
        (status = index_get(txn, number, change->id, &index)) != OK)
        return status;
    txn->store->writer.rows++;
    here = index_tiers_at(&index, change->seq);
    if ((status = row_join(txn, number, change, here & ~change->tiers, &row)) != OK)
        return status;
    nil = tiers_nil(&row);
    /* The change's own bytes may lie in the map: no more is needed of them after this. */
    value = row_encode(&row, txn->store->writer.row);
    status = here != 0 ? table_put(txn, TABLE_RECORDS, key, value)
                       : table_insert(txn, TABLE_RECORDS, key, value);
    if (status != OK)
        return status == EXISTS ? INVALID : status; /* another id at this seq */
    if (nil != 0 || here != 0)
        status = removal_put(txn, key, nil, row.id);
    if (status != OK || (status = leave_old(txn, number, &row, &index)) != OK)
        return status;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (change->tiers & (1u << tier))
            index.seq[tier] = change->seq;
    index.tiers |= change->tiers;
    return index_put(txn, number, row.id, &index);
}
