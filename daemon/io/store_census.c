/* SPDX-License-Identifier: MPL-2.0 */
/* store_census.c - counters of members by group, under each number; number 0 is the view.
 *
 * Number 4, counter 6 -> count 8; a counter of zero is not there.  3 active individuals of
 * France under number 5 ('c', kind 1, status 1, "FR", 0):
 *
 *   key     00000005 630101465200
 *   value   0000000000000003 */
#include "daemon/io/store_internal.h"

#include <string.h>

#define COUNTER_KEY_SIZE (4 + CENSUS_KEY_SIZE)

static struct slice counter_key(uint8_t buffer[COUNTER_KEY_SIZE], uint32_t number,
                                const uint8_t *key, size_t size)
{
    struct packer packer = { buffer };

    pack_u32(&packer, number);
    pack_bytes(&packer, key, size);
    return slice_of(buffer, 4 + size);
}

static enum status count_decode(struct slice value, uint64_t *out_count)
{
    struct unpacker unpacker = unpacker_of(value);
    const uint64_t count = unpack_u64(&unpacker);

    if (!unpacked_all(&unpacker))
        return STORE_DAMAGED;
    *out_count = count;
    return OK;
}

enum status store_census_add(struct store_txn *txn, uint32_t number,
                             const uint8_t key[CENSUS_KEY_SIZE], int64_t delta)
{
    uint8_t buffer[COUNTER_KEY_SIZE];
    const struct slice counter = counter_key(buffer, number, key, CENSUS_KEY_SIZE);
    const uint64_t size = delta < 0 ? 0 - (uint64_t)delta : (uint64_t)delta;
    uint8_t bytes[8];
    struct packer packer = { bytes };
    struct slice value;
    uint64_t count = 0;
    enum status status = table_get(txn, TABLE_CENSUS, counter, &value);

    if (status == OK)
        status = count_decode(value, &count);
    if (status != OK && status != NOT_FOUND)
        return status;
    if (delta < 0 ? count < size : UINT64_MAX - count < size)
        return STORE_DAMAGED; /* fewer than were counted */
    count = delta < 0 ? count - size : count + size;
    if (count == 0)
        return table_delete(txn, TABLE_CENSUS, counter);
    pack_u64(&packer, count);
    return table_put(txn, TABLE_CENSUS, counter, slice_of(bytes, sizeof bytes));
}

enum status store_census_scan(struct store_txn *txn, uint32_t number, const uint8_t *prefix,
                              size_t prefix_size, store_census_visit *visit, void *context)
{
    CLEANUP(table_scan_close) struct table_scan scan = { 0 };
    uint8_t buffer[COUNTER_KEY_SIZE];
    struct slice from;
    struct slice key;
    struct slice value;
    enum status status;

    ASSERT(prefix_size <= CENSUS_KEY_SIZE);
    from = counter_key(buffer, number, prefix, prefix_size);
    status = table_scan_open(txn, TABLE_CENSUS, from, &scan);
    while (status == OK && (status = table_scan_next(&scan, &key, &value)) == OK &&
           slice_begins(key, from)) {
        uint64_t count = 0;

        if (key.size != COUNTER_KEY_SIZE || count_decode(value, &count) != OK)
            return STORE_DAMAGED;
        status = visit(context, key.data + 4, count);
    }
    return status == NOT_FOUND ? OK : status;
}

/* The counter of number at or after key. */
static enum status next_counter(struct store_txn *txn, uint32_t number,
                                const uint8_t from[CENSUS_KEY_SIZE],
                                uint8_t out_key[CENSUS_KEY_SIZE], uint64_t *out_count)
{
    uint8_t buffer[COUNTER_KEY_SIZE];
    struct slice key = counter_key(buffer, number, from, CENSUS_KEY_SIZE);
    struct slice found;
    struct slice value;
    enum status status = table_seek(txn, TABLE_CENSUS, key, &found, &value);

    if (status != OK)
        return status;
    if (found.size != COUNTER_KEY_SIZE)
        return STORE_DAMAGED;
    if (!slice_begins(found, slice_of(buffer, 4)))
        return NOT_FOUND;
    if ((status = count_decode(value, out_count)) == OK)
        memcpy(out_key, found.data + 4, CENSUS_KEY_SIZE);
    return status;
}

/* The key that follows; false after the last one. */
static bool step_key(uint8_t key[CENSUS_KEY_SIZE])
{
    for (size_t i = CENSUS_KEY_SIZE; i-- > 0;)
        if (++key[i] != 0)
            return true;
    return false;
}

enum status store_census_merge(struct store_txn *txn, uint32_t number, int sign)
{
    uint8_t key[CENSUS_KEY_SIZE] = { 0 };
    uint64_t count = 0;
    enum status status;

    ASSERT(number != 0 && (sign == 1 || sign == -1));
    while ((status = next_counter(txn, number, key, key, &count)) == OK) {
        if (count > INT64_MAX)
            return STORE_DAMAGED;
        status = store_census_add(txn, 0, key, sign * (int64_t)count);
        if (status != OK || !step_key(key))
            return status;
    }
    return status == NOT_FOUND ? OK : status;
}

enum status census_forget(struct store_txn *txn, uint32_t number)
{
    uint8_t key[CENSUS_KEY_SIZE] = { 0 };
    uint8_t buffer[COUNTER_KEY_SIZE];
    uint64_t count = 0;
    enum status status;

    while ((status = next_counter(txn, number, key, key, &count)) == OK) {
        status =
            table_delete(txn, TABLE_CENSUS, counter_key(buffer, number, key, CENSUS_KEY_SIZE));
        if (status != OK)
            return status;
    }
    return status == NOT_FOUND ? OK : status;
}
