/* SPDX-License-Identifier: MPL-2.0 */
/* store_compact.c - the store's entries in a new environment.
 * LMDB wipes nothing: what was deleted stays in free pages, in the gaps of those in use, and in
 * the ends of pages that one long value has for itself, for which buffers are used again that
 * held something else.  Its own compacting copy takes the latter along.  So the entries are
 * put one by one: none of the new one's buffers ever held what was deleted. */
#include "daemon/io/store_internal.h"

static enum status copy_table(struct store_txn *from, enum table table,
                              struct store_filler *filler)
{
    CLEANUP(table_scan_close) struct table_scan scan = { 0 };
    struct slice key;
    struct slice value;
    enum status status = table_scan_open(from, table, SLICE_NONE, &scan);

    while (status == OK && (status = table_scan_next(&scan, &key, &value)) == OK)
        status = store_filler_put(filler, table, key, value);
    return status == NOT_FOUND ? OK : status;
}

enum status store_copy_entries(struct store *store, const char *path, uint64_t map_size)
{
    CLEANUP(store_filler_close) struct store_filler filler = { .env = NULL };
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    enum status status;

    if ((status = store_filler_open(path, map_size, &filler)) != OK ||
        (status = store_begin_read(store, &txn)) != OK)
        return status;
    for (int table = 0; table < TABLE_COUNT && status == OK; table++)
        status = copy_table(&txn, (enum table)table, &filler);
    return status == OK ? store_filler_finish(&filler) : status;
}
