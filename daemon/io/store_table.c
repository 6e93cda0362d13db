/* SPDX-License-Identifier: MPL-2.0 */
/* store_table.c - reading and writing one table within a transaction; LMDB's calls end here.
 * In a write transaction one cursor for each table stays where it was last used. */
#include "daemon/io/store_internal.h"

#include <errno.h>
#include <string.h>

enum status store_status_of(int code)
{
    switch (code) {
    case MDB_SUCCESS:
        return OK;
    case MDB_NOTFOUND:
    case ENOENT:
    case ENOTDIR:
        return NOT_FOUND;
    case MDB_KEYEXIST:
    case EEXIST:
    case ENOTEMPTY:
        return EXISTS;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return DENIED;
    case ENOMEM:
        return NO_MEMORY;
    case EAGAIN:
    case EBUSY:
    case MDB_READERS_FULL:
        return LOCKED;
    case MDB_TXN_FULL:
    case ENAMETOOLONG:
        return TOO_LARGE;
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
        return STORE_DAMAGED;
    case MDB_VERSION_MISMATCH:
        return UNSUPPORTED;
    default: /* EIO, and MDB_PANIC after one */
        return IO;
    }
}

/* A failed write leaves LMDB's transaction dead, and its next answer hides why. */
static enum status result(struct store_txn *txn, int code)
{
    const enum status status = store_status_of(code);

    if (status == OK || status == NOT_FOUND || status == EXISTS || !txn->writing)
        return status;
    if (txn->store->writer.status == OK)
        txn->store->writer.status = store_write_status_of(txn->store, code);
    return txn->store->writer.status;
}

static MDB_val val_of(struct slice slice)
{
    return (MDB_val){ slice.size, (void *)(uintptr_t)slice.data };
}

static struct slice slice_of_val(const MDB_val *val)
{
    return (struct slice){ val->mv_data, val->mv_size };
}

static int keep_cursor(struct store_txn *txn, enum table table, MDB_cursor **slot)
{
    ASSERT(txn->handle != NULL && txn->writing);
    if (*slot != NULL)
        return 0;
    return mdb_cursor_open(txn->handle, txn->store->tables[table], slot);
}

enum status table_get(struct store_txn *txn, enum table table, struct slice key,
                      struct slice *out_value)
{
    MDB_val k = val_of(key);
    MDB_val v;
    int code;

    ASSERT(txn->handle != NULL);
    if (txn->writing) {
        MDB_cursor **cursor = &txn->store->writer.cursors[table];

        if ((code = keep_cursor(txn, table, cursor)) == 0)
            code = mdb_cursor_get(*cursor, &k, &v, MDB_SET_KEY);
    } else {
        code = mdb_get(txn->handle, txn->store->tables[table], &k, &v);
    }
    if (code == 0)
        *out_value = slice_of_val(&v);
    return result(txn, code);
}

enum status table_seek(struct store_txn *txn, enum table table, struct slice key,
                       struct slice *out_key, struct slice *out_value)
{
    CLEANUP(table_scan_close) struct table_scan scan = { 0 };
    const enum status status = table_scan_open(txn, table, key, &scan);

    return status != OK ? status : table_scan_next(&scan, out_key, out_value);
}

static enum status put(struct store_txn *txn, enum table table, struct slice key,
                       struct slice value, unsigned flags)
{
    MDB_cursor **cursor =
        table == TABLE_RECORDS ? &txn->store->writer.tail : &txn->store->writer.cursors[table];
    MDB_val k = val_of(key);
    MDB_val v = val_of(value);
    int code = keep_cursor(txn, table, cursor);

    if (code == 0)
        code = mdb_cursor_put(*cursor, &k, &v, flags);
    return result(txn, code);
}

enum status table_put(struct store_txn *txn, enum table table, struct slice key,
                      struct slice value)
{
    return put(txn, table, key, value, 0);
}

enum status table_insert(struct store_txn *txn, enum table table, struct slice key,
                         struct slice value)
{
    return put(txn, table, key, value, MDB_NOOVERWRITE);
}

enum status table_append(struct store_txn *txn, enum table table, struct slice key,
                         struct slice first, struct slice second)
{
    MDB_cursor **cursor = &txn->store->writer.cursors[table];
    MDB_val k = val_of(key);
    MDB_val v = { first.size + second.size, NULL };
    int code = keep_cursor(txn, table, cursor);

    if (code == 0)
        code = mdb_cursor_put(*cursor, &k, &v, MDB_APPEND | MDB_RESERVE);
    if (code == MDB_KEYEXIST)
        return STORE_DAMAGED;
    if (code == 0) {
        struct packer packer = { v.mv_data };

        pack_bytes(&packer, first.data, first.size);
        pack_bytes(&packer, second.data, second.size);
    }
    return result(txn, code);
}

enum status table_delete(struct store_txn *txn, enum table table, struct slice key)
{
    MDB_cursor **cursor = &txn->store->writer.cursors[table];
    MDB_val k = val_of(key);
    MDB_val v;
    int code = keep_cursor(txn, table, cursor);

    if (code == 0)
        code = mdb_cursor_get(*cursor, &k, &v, MDB_SET_KEY);
    if (code == 0)
        code = mdb_cursor_del(*cursor, 0);
    return code == MDB_NOTFOUND ? OK : result(txn, code);
}

enum status table_count(struct store_txn *txn, enum table table, uint64_t *out_count)
{
    MDB_stat stat;
    const int code = mdb_stat(txn->handle, txn->store->tables[table], &stat);

    if (code == 0)
        *out_count = stat.ms_entries;
    return result(txn, code);
}

enum status table_scan_open(struct store_txn *txn, enum table table, struct slice from,
                            struct table_scan *out_scan)
{
    MDB_cursor *cursor = NULL;
    int code;

    ASSERT(txn->handle != NULL);
    code = mdb_cursor_open(txn->handle, txn->store->tables[table], &cursor);
    if (code == 0)
        *out_scan = (struct table_scan){ cursor, from, false };
    return result(txn, code);
}

static enum status scan_to(struct table_scan *scan, MDB_cursor_op op, struct slice *out_key,
                           struct slice *out_value)
{
    MDB_val k = val_of(scan->from);
    MDB_val v;
    const int code = mdb_cursor_get(scan->cursor, &k, &v, op);

    if (code != 0)
        return store_status_of(code);
    *out_key = slice_of_val(&k);
    *out_value = slice_of_val(&v);
    return OK;
}

enum status table_scan_next(struct table_scan *scan, struct slice *out_key,
                            struct slice *out_value)
{
    MDB_cursor_op op = MDB_NEXT;

    if (!scan->started)
        op = scan->from.size == 0 ? MDB_FIRST : MDB_SET_RANGE;
    scan->started = true;
    return scan_to(scan, op, out_key, out_value);
}

enum status table_scan_previous(struct table_scan *scan, struct slice *out_key,
                                struct slice *out_value)
{
    if (!scan->started) {
        scan->started = true;
        if (scan_to(scan, MDB_SET_RANGE, out_key, out_value) == NOT_FOUND)
            return scan_to(scan, MDB_LAST, out_key, out_value);
    }
    return scan_to(scan, MDB_PREV, out_key, out_value);
}

void table_scan_close(struct table_scan *scan)
{
    if (scan->cursor != NULL)
        mdb_cursor_close(scan->cursor);
    scan->cursor = NULL;
}

bool slice_begins(struct slice slice, struct slice prefix)
{
    return slice.size >= prefix.size &&
           (prefix.size == 0 || memcmp(slice.data, prefix.data, prefix.size) == 0);
}
