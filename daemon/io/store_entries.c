/* SPDX-License-Identifier: MPL-2.0 */
/* store_entries.c - all that a store holds as bytes, and a store made of such bytes, whoever
 * wrote them: none of LMDB's own pages, which it would believe.
 *
 * The number of tables (1), and for each, in the order of STORE_TABLES, its entries by
 * ascending key: size of the key (2), size of the value (4), key, value.  A size of 0 (2) ends
 * a table. */
#include "daemon/io/store_internal.h"

#include "daemon/io/identity.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define KEY_SIZE_MAX 511 /* LMDB's */
#define VALUE_SIZE_MAX ((size_t)1024 * 1024)
#define SIZES_SIZE 6
#define BUFFER_SIZE (SIZES_SIZE + KEY_SIZE_MAX + VALUE_SIZE_MAX)

/* --- writing ------------------------------------------------------------------------------ */

static enum status write_entry(store_bytes_put *put, void *context, struct slice key,
                               struct slice value)
{
    uint8_t sizes[SIZES_SIZE];
    struct packer packer = { sizes };
    enum status status;

    if (key.size == 0 || key.size > KEY_SIZE_MAX || value.size > VALUE_SIZE_MAX)
        return TOO_LARGE;
    pack_u16(&packer, (uint16_t)key.size);
    pack_u32(&packer, (uint32_t)value.size);
    if ((status = put(context, slice_of(sizes, sizeof sizes))) != OK ||
        (status = put(context, key)) != OK)
        return status;
    return put(context, value);
}

static enum status write_table(struct store_txn *txn, enum table table, store_bytes_put *put,
                               void *context)
{
    static const uint8_t end[2] = { 0 };
    CLEANUP(table_scan_close) struct table_scan scan = { 0 };
    struct slice key;
    struct slice value;
    enum status status = table_scan_open(txn, table, SLICE_NONE, &scan);

    while (status == OK && (status = table_scan_next(&scan, &key, &value)) == OK)
        status = write_entry(put, context, key, value);
    return status == NOT_FOUND ? put(context, slice_of(end, sizeof end)) : status;
}

enum status store_entries_write(struct store *store, store_bytes_put *put, void *context)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    const uint8_t tables = TABLE_COUNT;
    enum status status = store_begin_read(store, &txn);

    if (status == OK)
        status = put(context, slice_of(&tables, 1));
    for (int table = 0; table < TABLE_COUNT && status == OK; table++)
        status = write_table(&txn, (enum table)table, put, context);
    return status;
}

/* --- reading ------------------------------------------------------------------------------ */

/* One at a time is read. */
static uint8_t buffer[BUFFER_SIZE];

struct entries {
    int fd;
    uint64_t left; /* bytes that were not read yet */
    size_t at;     /* what was read and not taken yet */
    size_t end;
    unsigned tables; /* that there are */
    unsigned table;
    size_t last_size; /* of the last key of this table; 0: none yet */
    uint8_t last[KEY_SIZE_MAX];
};

/* The next bytes, at most a buffer of them.  INVALID if there are fewer. */
static enum status take(struct entries *entries, size_t size, struct slice *out)
{
    while (entries->end - entries->at < size) {
        const size_t room = BUFFER_SIZE - (entries->end - entries->at);
        ssize_t got;

        if (entries->left == 0)
            return INVALID;
        memmove(buffer, buffer + entries->at, entries->end - entries->at);
        entries->end -= entries->at;
        entries->at = 0;
        got = read(entries->fd, buffer + entries->end,
                   entries->left < room ? (size_t)entries->left : room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            const enum status status = got < 0 ? status_of_errno(errno) : INVALID;

            return status != OK ? status : IO;
        }
        entries->end += (size_t)got;
        entries->left -= (uint64_t)got;
    }
    *out = slice_of(buffer + entries->at, size);
    entries->at += size;
    return OK;
}

static enum status entries_begin(int fd, uint64_t size, struct entries *out)
{
    struct slice tables = SLICE_NONE;
    enum status status;

    *out = (struct entries){ .fd = fd, .left = size };
    if ((status = take(out, 1, &tables)) != OK)
        return status;
    out->tables = tables.data[0];
    return out->tables == TABLE_COUNT ? OK : UNSUPPORTED;
}

static bool ascends(const struct entries *entries, struct slice key)
{
    const size_t shared = key.size < entries->last_size ? key.size : entries->last_size;
    const int order = memcmp(entries->last, key.data, shared);

    return order < 0 || (order == 0 && entries->last_size < key.size);
}

/* False, with the table ended, where a size of 0 stands. */
static enum status take_key_size(struct entries *entries, uint16_t *out_size)
{
    struct unpacker unpacker;
    struct slice bytes;
    enum status status;

    while (entries->table < entries->tables) {
        if ((status = take(entries, 2, &bytes)) != OK)
            return status;
        unpacker = unpacker_of(bytes);
        if ((*out_size = unpack_u16(&unpacker)) != 0)
            return OK;
        entries->table++;
        entries->last_size = 0;
    }
    return entries->left == 0 && entries->at == entries->end ? NOT_FOUND : INVALID;
}

/* NOT_FOUND after the last; INVALID.  Valid until the next. */
static enum status next_entry(struct entries *entries, struct slice *out_key,
                              struct slice *out_value)
{
    struct unpacker unpacker;
    uint16_t key_size = 0;
    uint32_t value_size;
    struct slice bytes = SLICE_NONE;
    enum status status;

    if ((status = take_key_size(entries, &key_size)) != OK ||
        (status = take(entries, 4, &bytes)) != OK)
        return status;
    unpacker = unpacker_of(bytes);
    value_size = unpack_u32(&unpacker);
    if (key_size > KEY_SIZE_MAX || value_size > VALUE_SIZE_MAX)
        return INVALID;
    if ((status = take(entries, (size_t)key_size + value_size, &bytes)) != OK)
        return status;
    *out_key = slice_of(bytes.data, key_size);
    *out_value = slice_of(bytes.data + key_size, value_size);
    if (!ascends(entries, *out_key))
        return INVALID;
    memcpy(entries->last, out_key->data, key_size);
    entries->last_size = key_size;
    return OK;
}

enum status store_entries_check(int fd, uint64_t size)
{
    struct entries entries;
    struct slice key;
    struct slice value;
    enum status status = entries_begin(fd, size, &entries);

    while (status == OK)
        status = next_entry(&entries, &key, &value);
    return status == NOT_FOUND ? OK : status;
}

enum status store_entries_fill(int fd, uint64_t size, const char *path, uint64_t map_size)
{
    CLEANUP(store_filler_close) struct store_filler filler = { .env = NULL };
    struct entries entries;
    struct slice key;
    struct slice value;
    enum status status = entries_begin(fd, size, &entries);

    if (status == OK)
        status = store_filler_open(path, map_size, &filler);
    while (status == OK && (status = next_entry(&entries, &key, &value)) == OK)
        status = store_filler_put(&filler, (enum table)entries.table, key, value);
    return status == NOT_FOUND ? store_filler_finish(&filler) : status;
}

static enum status match_counts(struct store_txn *txn, const uint64_t counted[TABLE_COUNT])
{
    uint64_t count = 0;
    enum status status;

    for (int table = 0; table < TABLE_COUNT; table++) {
        if ((status = table_count(txn, (enum table)table, &count)) != OK)
            return status;
        if (count != counted[table])
            return EXISTS;
    }
    return OK;
}

static enum status match_all(struct entries *entries, struct store_txn *txn)
{
    uint64_t counted[TABLE_COUNT] = { 0 };
    struct slice key = SLICE_NONE;
    struct slice value = SLICE_NONE;
    struct slice held = SLICE_NONE;
    enum status status;

    while ((status = next_entry(entries, &key, &value)) == OK) {
        counted[entries->table]++;
        status = table_get(txn, (enum table)entries->table, key, &held);
        if (status == NOT_FOUND || (status == OK && !slice_equal(held, value)))
            return EXISTS;
        if (status != OK)
            return status;
    }
    return status == NOT_FOUND ? match_counts(txn, counted) : status;
}

enum status store_entries_match(int fd, uint64_t size, struct store *store)
{
    struct entries entries;
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    enum status status = entries_begin(fd, size, &entries);

    if (status == OK)
        status = store_begin_read(store, &txn);
    return status == OK ? match_all(&entries, &txn) : status;
}
