/* SPDX-License-Identifier: MPL-2.0 */
/* store_compact.c - the store's entries in a new environment.
 * LMDB wipes nothing: what was deleted stays in free pages, in the gaps of those in use, and in
 * the ends of pages that one long value has for itself, for which buffers are used again that
 * held something else.  Its own compacting copy takes the latter along.  So the entries are
 * put one by one: none of the new one's buffers ever held what was deleted. */
#include "daemon/io/store_internal.h"

#define COPY_PUTS_MAX 16384

/* --- the copy ---------------------------------------------------------------------------- */

struct copy {
    MDB_txn *from;
    MDB_env *env;
    MDB_txn *txn; /* NULL between two */
    size_t puts;  /* in it */
};

static void copy_end(struct copy *copy)
{
    if (copy->txn != NULL)
        mdb_txn_abort(copy->txn);
    if (copy->from != NULL)
        mdb_txn_abort(copy->from);
    store_env_close(&copy->env);
}

/* Small transactions: a huge one spills its pages.  Handles outlive them. */
static int copy_put(struct copy *copy, MDB_dbi table, MDB_val *key, MDB_val *value)
{
    int code = 0;

    if (copy->txn != NULL && copy->puts == COPY_PUTS_MAX) {
        code = mdb_txn_commit(copy->txn);
        copy->txn = NULL;
    }
    if (code == 0 && copy->txn == NULL) {
        code = mdb_txn_begin(copy->env, NULL, 0, &copy->txn);
        copy->puts = 0;
    }
    if (code == 0)
        code = mdb_put(copy->txn, table, key, value, MDB_APPEND);
    copy->puts++;
    return code;
}

static int copy_table(struct copy *copy, MDB_dbi from, MDB_dbi to)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    int code = mdb_cursor_open(copy->from, from, &cursor);

    while (code == 0 && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
        code = copy_put(copy, to, &key, &value);
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

static enum status copy_all(struct store *store, struct copy *copy)
{
    MDB_dbi tables[TABLE_COUNT];
    MDB_txn *txn = NULL;
    enum status status;
    int code = mdb_txn_begin(copy->env, NULL, 0, &txn);

    if (code != 0)
        return store_status_of(code);
    if ((status = store_open_tables(txn, MDB_CREATE, tables)) != OK) {
        mdb_txn_abort(txn);
        return status;
    }
    code = mdb_txn_commit(txn);
    if (code == 0)
        code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &copy->from);
    for (int i = 0; i < TABLE_COUNT && code == 0; i++)
        code = copy_table(copy, store->tables[i], tables[i]);
    if (code == 0 && copy->txn != NULL) {
        code = mdb_txn_commit(copy->txn);
        copy->txn = NULL;
    }
    if (code == 0)
        code = mdb_env_sync(copy->env, 1);
    return store_status_of(code);
}

enum status store_copy_entries(struct store *store, const char *path, uint64_t map_size)
{
    CLEANUP(copy_end) struct copy copy = { NULL, NULL, NULL, 0 };
    const enum status status = store_env_open(path, map_size, &copy.env);

    return status == OK ? copy_all(store, &copy) : status;
}
