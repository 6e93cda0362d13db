/* SPDX-License-Identifier: MPL-2.0 */
/* store_scan.c - a number's rows in order of seq, and the sums of its tiers.
 *
 * sums holds for each (number 4, tier 1) the stored form of digest.h, 2,064 bytes: 1,024 lanes
 * of 16 bits, little-endian, then the count.  Tier hq of number 5 with 3 records, all lanes
 * zero:
 *
 *   key     00000005 01
 *   value   0000 ... 0000 0000000000000003 */
#include "daemon/io/store_internal.h"

#include <string.h>

#define SUM_KEY_SIZE 5

/* --- rows -------------------------------------------------------------------------------- */

enum status store_cursor_open(struct store_txn *txn, uint32_t number, unsigned tiers,
                              uint64_t after, struct store_cursor *out)
{
    struct table_scan scan = { 0 };
    enum status status = table_scan_open(txn, TABLE_RECORDS, SLICE_NONE, &scan);

    if (status == OK)
        *out = (struct store_cursor){ scan.cursor, number, tiers, after, false };
    return status;
}

static enum status next_row(struct store_cursor *cursor, struct change *out_change)
{
    uint8_t buffer[ROW_KEY_SIZE];
    struct table_scan scan = { cursor->handle, SLICE_NONE, cursor->started };
    struct slice key;
    struct slice value;
    uint32_t number;
    enum status status;

    if (!cursor->started && cursor->after == UINT64_MAX)
        return NOT_FOUND; /* no seq is higher */
    if (!cursor->started)
        scan.from = row_key(buffer, cursor->number, cursor->after + 1);
    cursor->started = true;
    if ((status = table_scan_next(&scan, &key, &value)) != OK ||
        (status = row_decode(key, value, &number, out_change)) != OK)
        return status;
    return number == cursor->number ? OK : NOT_FOUND;
}

enum status store_cursor_next(struct store_cursor *cursor, struct change *out_change)
{
    struct change row;
    enum status status;

    do {
        if ((status = next_row(cursor, &row)) != OK)
            return status;
        row.tiers &= cursor->tiers;
    } while (row.tiers == 0);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (!(row.tiers & (1u << tier)))
            row.value[tier] = SLICE_NONE;
    if (!(row.tiers & TIERS_HQ))
        memset(row.salt, 0, sizeof row.salt);
    *out_change = row;
    return OK;
}

void store_cursor_close(struct store_cursor *cursor)
{
    struct table_scan scan = { cursor->handle, SLICE_NONE, false };

    table_scan_close(&scan);
    cursor->handle = NULL;
}

enum status store_count_rows(struct store_txn *txn, uint32_t number, uint64_t after,
                             uint64_t max, uint64_t *out_count)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    struct change row;
    uint64_t count = 0;
    enum status status = store_cursor_open(txn, number, TIERS_BOTH, after, &cursor);

    while (status == OK && count < max && (status = next_row(&cursor, &row)) == OK)
        count++;
    if (status != OK && status != NOT_FOUND)
        return status;
    *out_count = count;
    return OK;
}

/* --- sums -------------------------------------------------------------------------------- */

static struct slice sum_key(uint8_t buffer[SUM_KEY_SIZE], uint32_t number, enum tier tier)
{
    struct packer packer = { buffer };

    ASSERT(tier < TIERS_PUBLISHED);
    pack_u32(&packer, number);
    pack_u8(&packer, tier);
    return slice_of(buffer, SUM_KEY_SIZE);
}

/* Older sums do not say how many bytes the leaves take: they are counted. */
static enum status load_without_bytes(struct store_txn *txn, uint32_t number, enum tier tier,
                                      struct slice value, struct digest_sum *out)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    uint8_t whole[DIGEST_SUM_STORED_SIZE] = { 0 };
    struct change row;
    enum status status;

    memcpy(whole, value.data, value.size);
    digest_sum_load(whole, out);
    status = store_cursor_open(txn, number, 1u << tier, 0, &cursor);
    while (status == OK && (status = store_cursor_next(&cursor, &row)) == OK)
        out->bytes += digest_leaf_bytes(tier, &row);
    return status == NOT_FOUND ? OK : status;
}

enum status store_get_sum(struct store_txn *txn, uint32_t number, enum tier tier,
                          struct digest_sum *out)
{
    uint8_t key[SUM_KEY_SIZE];
    struct slice value;
    enum status status = table_get(txn, TABLE_SUMS, sum_key(key, number, tier), &value);

    if (status == NOT_FOUND) {
        digest_sum_clear(out);
        return OK;
    }
    if (status != OK)
        return status;
    if (value.size == DIGEST_SUM_STORED_SIZE - 8)
        return load_without_bytes(txn, number, tier, value, out);
    if (value.size != DIGEST_SUM_STORED_SIZE)
        return STORE_DAMAGED;
    digest_sum_load(value.data, out);
    return OK;
}

enum status store_put_sum(struct store_txn *txn, uint32_t number, enum tier tier,
                          const struct digest_sum *sum)
{
    uint8_t key[SUM_KEY_SIZE];
    uint8_t value[DIGEST_SUM_STORED_SIZE];

    ASSERT(number != 0);
    digest_sum_store(sum, value);
    return table_put(txn, TABLE_SUMS, sum_key(key, number, tier),
                     slice_of(value, sizeof value));
}

enum status sum_forget(struct store_txn *txn, uint32_t number, enum tier tier)
{
    uint8_t key[SUM_KEY_SIZE];

    return table_delete(txn, TABLE_SUMS, sum_key(key, number, tier));
}
