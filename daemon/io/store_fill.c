/* SPDX-License-Identifier: MPL-2.0 */
/* store_fill.c - a new environment, entry by entry in ascending order. */
#include "daemon/io/store_internal.h"

/* Small transactions: a huge one spills its pages, and keeps what it puts in memory. */
#define PUTS_MAX 16384
#define BYTES_MAX ((size_t)64 * 1024 * 1024)

static enum status commit(struct store_filler *filler)
{
    MDB_txn *txn = filler->txn;

    filler->txn = NULL;
    return txn == NULL ? OK : store_status_of(mdb_txn_commit(txn));
}

/* Handles outlive the transaction. */
enum status store_filler_open(const char *path, uint64_t map_size,
                              struct store_filler *out_filler)
{
    struct store_filler filler = { .env = NULL };
    enum status status = store_env_open(path, map_size, &filler.env);

    if (status == OK)
        status = store_status_of(mdb_txn_begin(filler.env, NULL, 0, &filler.txn));
    if (status == OK)
        status = store_open_tables(filler.txn, MDB_CREATE, filler.tables);
    if (status == OK)
        status = commit(&filler);
    if (status == OK)
        *out_filler = filler;
    else
        store_filler_close(&filler);
    return status;
}

enum status store_filler_put(struct store_filler *filler, enum table table, struct slice key,
                             struct slice value)
{
    MDB_val k = { key.size, (void *)(uintptr_t)key.data };
    MDB_val v = { value.size, (void *)(uintptr_t)value.data };
    enum status status = OK;

    if (filler->puts == PUTS_MAX || filler->bytes >= BYTES_MAX)
        status = commit(filler);
    if (status == OK && filler->txn == NULL) {
        status = store_status_of(mdb_txn_begin(filler->env, NULL, 0, &filler->txn));
        filler->puts = 0;
        filler->bytes = 0;
    }
    if (status != OK)
        return status;
    filler->puts++;
    filler->bytes += key.size + value.size;
    return store_status_of(mdb_put(filler->txn, filler->tables[table], &k, &v, MDB_APPEND));
}

enum status store_filler_finish(struct store_filler *filler)
{
    const enum status status = commit(filler);

    return status == OK ? store_status_of(mdb_env_sync(filler->env, 1)) : status;
}

void store_filler_close(struct store_filler *filler)
{
    if (filler->txn != NULL)
        mdb_txn_abort(filler->txn);
    filler->txn = NULL;
    store_env_close(&filler->env);
}
