/* SPDX-License-Identifier: MPL-2.0 */
/* store.c - the environment and its transactions, and a map of everything that is in it.
 *
 * All numbers are big-endian.  An origin is its code, padded with NULs to 16 bytes.  The worked
 * hex of each format stands beside the code that writes it, and format_test.c checks it.
 *
 * table      key                        value                                      store_*.c
 * meta       name                       the caller's; numbers as 8 bytes           meta
 * feeds      origin 16                  number, horizon, head of both; hold; beat  feed
 * records    number 4, seq 8            one row: the tiers that are at this seq    row
 * by_id      number 4, id 16            which tiers are held, and their seq        index
 * removals   number 4, seq 8            tiers that are nil 1, id 16                row
 * sums       number 4, tier 1           lanes 2048, count 8, bytes 8               scan
 * census     number 4, counter 6        count 8                                    census
 * persons    hash 16, or one NUL        memberships 8                              person
 * person_of  origin 16, id 16           form 1, hash 16 if there is one            person
 * heads      origin 16, epoch 8, seq 8  envelope                                   head
 * evidence   origin 16, number 1        size 2, envelope, size 2, envelope         head
 * private    id 16                      a MessagePack map                          origin
 * history    number 8                   time 8, the caller's                       origin
 * invites    hash 32                    the caller's                               origin
 * builds     origin 16, tiers 1         progress of a transfer                     build
 * discards   number 4                   tiers 1, origin 16, reached 8              discard
 * kept       origin 16, epoch 8, hash   number 4, tiers 1, size 2, envelope        kept
 * offered    id 16                      epoch 8, seq 8, seq of the new one 8, hq 1 kept
 * erased     kind 1, hash 16            the caller's                               erased
 * cleared    node 16, origin 16         epoch 8, seq 8                             erased
 *
 * Rows are appended: a feed's newest row has the highest key of its number, so that changes of
 * whatever records touch the same last pages. */
#include "daemon/io/store_internal.h"

#include "daemon/io/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RESERVE_PAGES_MIN 64
#define RESERVE_SIZE_MAX (1024ull * 1024 * 1024)
#define DISK_FULL_SIZE (1024ull * 1024) /* more than LMDB writes at once */

/* --- opening ----------------------------------------------------------------------------- */

enum status store_open_tables(MDB_txn *txn, unsigned flags, MDB_dbi tables[TABLE_COUNT])
{
#define STORE_TABLE_NAME(name, text) text,
    static const char *const names[TABLE_COUNT] = { STORE_TABLES(STORE_TABLE_NAME) };
#undef STORE_TABLE_NAME

    for (int i = 0; i < TABLE_COUNT; i++) {
        const int code = mdb_dbi_open(txn, names[i], flags, &tables[i]);

        if (code == MDB_NOTFOUND)
            return STORE_DAMAGED;
        if (code != 0)
            return store_status_of(code);
    }
    return OK;
}

/* The format stands in meta, which every version must be able to find. */
static enum status read_format(MDB_txn *txn, uint64_t *out_format)
{
    MDB_val key = { strlen(STORE_META_FORMAT), (void *)(uintptr_t)STORE_META_FORMAT };
    MDB_val value;
    MDB_dbi meta;
    struct unpacker unpacker;
    uint64_t format;
    int code = mdb_dbi_open(txn, "meta", 0, &meta);

    if (code == 0)
        code = mdb_get(txn, meta, &key, &value);
    if (code == MDB_NOTFOUND)
        return STORE_DAMAGED;
    if (code != 0)
        return store_status_of(code);
    unpacker = unpacker_of((struct slice){ value.mv_data, value.mv_size });
    format = unpack_u64(&unpacker);
    if (!unpacked_all(&unpacker) || format == 0)
        return STORE_DAMAGED;
    *out_format = format;
    return OK;
}

/* migrations[n] leads from format n to n + 1, within the transaction that opens the store. */
typedef enum status store_migration(MDB_txn *txn);
static store_migration *const migrations[STORE_FORMAT] = {
    NULL, /* there was no format 0 */
};

static enum status migrate(struct store *store, MDB_txn *txn, uint64_t format)
{
    const uint64_t newest = STORE_FORMAT;
    struct store_txn own = { store, txn, true };
    enum status status;

    for (uint64_t at = format; at < newest; at++) {
        if (migrations[at] == NULL)
            return STORE_DAMAGED;
        if ((status = migrations[at](txn)) != OK)
            return status;
    }
    if ((status = store_open_tables(txn, 0, store->tables)) != OK || format == newest)
        return status;
    return store_put_own_uint(&own, STORE_META_FORMAT, newest);
}

static enum status open_format(struct store *store)
{
    MDB_txn *txn = NULL;
    uint64_t format = 0;
    enum status status = store_status_of(mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn));

    if (status != OK)
        return status;
    status = read_format(txn, &format);
    mdb_txn_abort(txn);
    if (status != OK)
        return status;
    if (format > STORE_FORMAT)
        return STORE_NEWER;
    status = store_status_of(
        mdb_txn_begin(store->env, NULL, format < STORE_FORMAT ? 0 : MDB_RDONLY, &txn));
    if (status != OK)
        return status;
    if ((status = migrate(store, txn, format)) != OK) {
        mdb_txn_abort(txn);
        return status;
    }
    memset(&store->writer, 0, sizeof store->writer);
    return store_status_of(mdb_txn_commit(txn));
}

/* The last part of the map is kept for removals, by which an operator makes room again: in
 * LMDB they need pages, too. */
static void measure(struct store *store)
{
    MDB_envinfo info = { 0 };
    MDB_stat stat = { 0 };
    uint64_t reserve_max;

    (void)mdb_env_info(store->env, &info);
    (void)mdb_env_stat(store->env, &stat);
    store->page_size = stat.ms_psize;
    store->map_pages = info.me_mapsize / store->page_size;
    store->reserve_pages = store->map_pages / 8;
    reserve_max = RESERVE_SIZE_MAX / store->page_size;
    if (store->reserve_pages > reserve_max)
        store->reserve_pages = reserve_max;
    if (store->reserve_pages < RESERVE_PAGES_MIN)
        store->reserve_pages = RESERVE_PAGES_MIN;
}

/* LMDB would make a new environment of a directory without data, and of an empty file. */
static enum status open_watch(struct store *store, const char *path)
{
    char data[PATH_MAX];
    struct stat found;

    if (stat(path, &found) != 0)
        return store_status_of(errno);
    if (snprintf(data, sizeof data, "%s/data.mdb", path) >= (int)sizeof data)
        return TOO_LARGE;
    store->watch_fd = open(data, O_RDWR | O_CLOEXEC);
    if (store->watch_fd < 0)
        return errno == ENOENT ? STORE_DAMAGED : store_status_of(errno);
    if (fstat(store->watch_fd, &found) != 0)
        return store_status_of(errno);
    return S_ISREG(found.st_mode) && found.st_size > 0 ? OK : STORE_DAMAGED;
}

static enum status open_parts(struct store *store, const char *path, uint64_t map_size)
{
    int dead = 0;
    enum status status;

    if ((status = open_watch(store, path)) != OK ||
        (status = store_env_open(path, map_size, &store->env)) != OK ||
        (status = store_status_of(mdb_reader_check(store->env, &dead))) != OK ||
        (status = open_format(store)) != OK)
        return status;
    measure(store);
    return OK;
}

enum status store_open(const char *dir, uint64_t map_size, struct store **out_store)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/db", dir) >= (int)sizeof path)
        return TOO_LARGE;
    return store_open_path(path, map_size, out_store);
}

enum status store_open_path(const char *path, uint64_t map_size, struct store **out_store)
{
    struct store *store;
    enum status status;

    if ((store = calloc(1, sizeof *store)) == NULL)
        return NO_MEMORY;
    store->watch_fd = -1;
    if ((status = open_parts(store, path, map_size)) == OK)
        *out_store = store;
    else
        store_close(&store);
    return status;
}

void store_close(struct store **store)
{
    if (*store == NULL)
        return;
    ASSERT(!(*store)->writer.open);
    store_env_close(&(*store)->env);
    if ((*store)->watch_fd >= 0)
        close((*store)->watch_fd);
    free(*store);
    *store = NULL;
}

/* --- failures of the disk ---------------------------------------------------------------- */

/* A disk that fills up in the middle of a write is EIO to LMDB, as is a sync that failed.
 * After the first the file is whole, after the second nobody knows: the kernel tells of lost
 * pages once to each file descriptor, and this one is ours. */
enum status store_write_status_of(struct store *store, int code)
{
    struct statvfs disk;

    if (code != EIO || fdatasync(store->watch_fd) != 0 || fstatvfs(store->watch_fd, &disk) != 0)
        return store_status_of(code);
    return (uint64_t)disk.f_bavail * disk.f_frsize < DISK_FULL_SIZE ? NO_SPACE : IO;
}

/* --- room -------------------------------------------------------------------------------- */

/* Pages that LMDB's own list has as free since before transaction `before`: its keys are the
 * transactions that freed them, its values begin with how many they name. */
static enum status count_free_pages(struct store *store, size_t before, uint64_t *out_count)
{
    MDB_cursor *cursor = NULL;
    MDB_txn *txn = NULL;
    MDB_val key;
    MDB_val value;
    size_t freed = 0;
    uint64_t count = 0;
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);

    if (code != 0)
        return store_status_of(code);
    if ((code = mdb_cursor_open(txn, 0, &cursor)) == 0) {
        while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
            size_t pages = 0;

            if (key.mv_size == sizeof freed)
                memcpy(&freed, key.mv_data, sizeof freed);
            if (freed < before && value.mv_size >= sizeof pages)
                memcpy(&pages, value.mv_data, sizeof pages);
            count += pages;
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    if (code != MDB_NOTFOUND)
        return store_status_of(code);
    *out_count = count;
    return OK;
}

uint64_t store_used_bytes(struct store *store)
{
    MDB_envinfo info = { 0 };
    uint64_t unused = 0;

    (void)mdb_env_info(store->env, &info);
    if (count_free_pages(store, SIZE_MAX, &unused) != OK || unused > info.me_last_pgno)
        unused = 0;
    return (info.me_last_pgno + 1 - unused) * store->page_size;
}

uint64_t store_file_bytes(struct store *store)
{
    struct stat found;

    return fstat(store->watch_fd, &found) == 0 ? (uint64_t)found.st_size : 0;
}

/* Pages that a transaction may use.  What the last one freed is not free before the next but
 * one.  The list is read only near the end of the map. */
static enum status measure_room(struct store *store, uint64_t *out_pages)
{
    MDB_envinfo info = { 0 };
    uint64_t used;
    uint64_t left;
    uint64_t unused = 0;
    enum status status;

    (void)mdb_env_info(store->env, &info);
    used = info.me_last_pgno + 1;
    left = store->map_pages > used ? store->map_pages - used : 0;
    if (left < store->reserve_pages) {
        if ((status = count_free_pages(store, info.me_last_txnid, &unused)) != OK)
            return status;
        left += unused;
    }
    *out_pages = left;
    return OK;
}

bool store_is_tight(const struct store *store)
{
    return store->writer.room < store->reserve_pages;
}

/* --- transactions ------------------------------------------------------------------------ */

enum status store_begin_read(struct store *store, struct store_txn *out_txn)
{
    MDB_txn *handle = NULL;
    const int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &handle);

    if (code == 0)
        *out_txn = (struct store_txn){ store, handle, false };
    return store_status_of(code);
}

static void forget_writer(struct store *store)
{
    store->writer.open = false;
    store->writer.room = 0;
    store->writer.rows = 0;
    store->writer.status = OK;
    memset(store->writer.cursors, 0, sizeof store->writer.cursors);
    store->writer.tail = NULL;
}

enum status store_begin_write(struct store *store, struct store_txn *out_txn)
{
    MDB_txn *handle = NULL;
    uint64_t room = 0;
    enum status status;

    ASSERT(!store->writer.open); /* LMDB would wait for ever */
    if (store->failed)
        return IO;
    if ((status = measure_room(store, &room)) != OK ||
        (status = store_status_of(mdb_txn_begin(store->env, NULL, 0, &handle))) != OK)
        return status;
    forget_writer(store);
    store->writer.open = true;
    store->writer.room = room;
    *out_txn = (struct store_txn){ store, handle, true };
    return OK;
}

/* LMDB frees the cursors of a write transaction when it ends. */
static MDB_txn *end(struct store_txn *txn)
{
    MDB_txn *handle = txn->handle;

    if (txn->writing)
        forget_writer(txn->store);
    txn->handle = NULL;
    return handle;
}

enum status store_commit_turn(struct store_txn *txn)
{
    struct store *store = txn->store;
    enum status status;

    ASSERT(txn->handle != NULL && txn->writing);
    status = store->writer.status;
    if (status == OK && fault_at("store.commit.before"))
        status = IO;
    if (status == OK && fault_at("store.commit.full"))
        status = NO_SPACE;
    if (status != OK) {
        store_abort(txn);
    } else {
        status = store_write_status_of(store, mdb_txn_commit(end(txn)));
        if (status == OK && fault_at("store.commit.after"))
            status = IO;
    }
    store->failed = store->failed || status == IO;
    return status;
}

enum status store_checkpoint(struct store *store)
{
    return store->failed ? IO : OK;
}

void store_abort(struct store_txn *txn)
{
    if (txn->handle != NULL)
        mdb_txn_abort(end(txn));
}
