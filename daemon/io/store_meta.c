/* SPDX-License-Identifier: MPL-2.0 */
/* store_meta.c - small named values, and the numbers that are given out once.
 *
 *   "boot" -> 7:            62 6f 6f 74                              00 00 00 00 00 00 00 07
 *   "store.format" -> 1:    73 74 6f 72 65 2e 66 6f 72 6d 61 74      00 00 00 00 00 00 00 01 */
#include "daemon/io/store_internal.h"

#include <string.h>

/* The store's own names are none of the callers'. */
static struct slice name_key(const char *name)
{
    ASSERT(name[0] != '\0');
    ASSERT(strncmp(name, STORE_META_OWN, strlen(STORE_META_OWN)) != 0);
    return slice_of_text(name);
}

static enum status get_uint(struct store_txn *txn, struct slice key, uint64_t *out)
{
    struct slice value;
    struct unpacker unpacker;
    uint64_t number;
    enum status status = table_get(txn, TABLE_META, key, &value);

    if (status == NOT_FOUND) {
        *out = 0;
        return OK;
    }
    if (status != OK)
        return status;
    unpacker = unpacker_of(value);
    number = unpack_u64(&unpacker);
    if (!unpacked_all(&unpacker))
        return STORE_DAMAGED;
    *out = number;
    return OK;
}

static enum status put_uint(struct store_txn *txn, struct slice key, uint64_t value)
{
    uint8_t bytes[8];
    struct packer packer = { bytes };

    pack_u64(&packer, value);
    return table_put(txn, TABLE_META, key, slice_of(bytes, sizeof bytes));
}

enum status store_get_meta(struct store_txn *txn, const char *name, struct slice *out)
{
    return table_get(txn, TABLE_META, name_key(name), out);
}

enum status store_put_meta(struct store_txn *txn, const char *name, struct slice value)
{
    return table_put(txn, TABLE_META, name_key(name), value);
}

enum status store_get_meta_uint(struct store_txn *txn, const char *name, uint64_t *out)
{
    return get_uint(txn, name_key(name), out);
}

enum status store_put_meta_uint(struct store_txn *txn, const char *name, uint64_t value)
{
    return put_uint(txn, name_key(name), value);
}

enum status store_get_own_uint(struct store_txn *txn, const char *name, uint64_t *out)
{
    return get_uint(txn, slice_of_text(name), out);
}

enum status store_put_own_uint(struct store_txn *txn, const char *name, uint64_t value)
{
    return put_uint(txn, slice_of_text(name), value);
}

enum status store_new_number(struct store_txn *txn, uint32_t *out_number)
{
    uint64_t number;
    enum status status = store_get_own_uint(txn, STORE_META_NUMBER, &number);

    if (status != OK)
        return status;
    if (number >= UINT32_MAX)
        return TOO_LARGE;
    if ((status = store_put_own_uint(txn, STORE_META_NUMBER, number + 1)) != OK)
        return status;
    *out_number = (uint32_t)(number + 1);
    return OK;
}
