/* SPDX-License-Identifier: MPL-2.0 */
/* store_marker.c - is this directory the one that ran last, or a copy of it?
 *
 * Each run writes a fresh id into the store and into a file beside it, together with what tells
 * the store's data file from any copy: file system, inode and time of birth.  A copied or
 * restored directory has other ones; a data file that was put back in place has an id that the
 * file does not know.  In meta, "store.marker": id 16, the id before 16, file system 8,
 * inode 8, birth in seconds 8 and nanoseconds 4. */
#include "daemon/io/identity.h"
#include "daemon/io/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define MARKER_ID_SIZE 16
#define MARKER_SIZE (2 * MARKER_ID_SIZE + 8 + 8 + 8 + 4)

struct marker {
    uint8_t id[MARKER_ID_SIZE];
    uint8_t former[MARKER_ID_SIZE]; /* a crash may leave the file one run behind the store */
    uint64_t filesystem;
    uint64_t inode;
    uint64_t born_s;
    uint32_t born_ns;
};

static enum status marker_path(const char *dir, char path[PATH_MAX])
{
    return snprintf(path, PATH_MAX, "%s/" STORE_MARKER_NAME, dir) >= PATH_MAX ? TOO_LARGE : OK;
}

/* The file system's own id where it has one: the number of a device may be another after a
 * restart of the machine.  A birth that is not known is 0 on both sides. */
static enum status look_at_data(struct store *store, struct marker *marker)
{
    struct statx found;
    struct statfs filesystem;
    uint64_t id = 0;

    if (statx(store->watch_fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &found) != 0 ||
        fstatfs(store->watch_fd, &filesystem) != 0)
        return store_status_of(errno);
    memcpy(&id, &filesystem.f_fsid,
           sizeof id < sizeof filesystem.f_fsid ? sizeof id : sizeof filesystem.f_fsid);
    if (id == 0)
        id = (uint64_t)found.stx_dev_major << 32 | found.stx_dev_minor;
    marker->filesystem = id;
    marker->inode = found.stx_ino;
    if (found.stx_mask & STATX_BTIME) {
        marker->born_s = (uint64_t)found.stx_btime.tv_sec;
        marker->born_ns = found.stx_btime.tv_nsec;
    }
    return OK;
}

static enum status stored_marker(struct store_txn *txn, struct marker *out_marker)
{
    struct slice value;
    struct unpacker unpacker;
    struct marker marker;
    enum status status = table_get(txn, TABLE_META, slice_of_text(STORE_META_MARKER), &value);

    if (status != OK)
        return status;
    unpacker = unpacker_of(value);
    unpack_bytes(&unpacker, marker.id, sizeof marker.id);
    unpack_bytes(&unpacker, marker.former, sizeof marker.former);
    marker.filesystem = unpack_u64(&unpacker);
    marker.inode = unpack_u64(&unpacker);
    marker.born_s = unpack_u64(&unpacker);
    marker.born_ns = unpack_u32(&unpacker);
    if (!unpacked_all(&unpacker))
        return STORE_DAMAGED;
    *out_marker = marker;
    return OK;
}

static enum status put_marker(struct store_txn *txn, const struct marker *marker)
{
    uint8_t bytes[MARKER_SIZE];
    struct packer packer = { bytes };

    pack_bytes(&packer, marker->id, sizeof marker->id);
    pack_bytes(&packer, marker->former, sizeof marker->former);
    pack_u64(&packer, marker->filesystem);
    pack_u64(&packer, marker->inode);
    pack_u64(&packer, marker->born_s);
    pack_u32(&packer, marker->born_ns);
    return table_put(txn, TABLE_META, slice_of_text(STORE_META_MARKER),
                     slice_of(bytes, sizeof bytes));
}

/* False if there is no such file, or it holds something else. */
static bool read_file(const char *path, uint8_t out_id[MARKER_ID_SIZE])
{
    uint8_t bytes[MARKER_ID_SIZE + 1];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t size;

    if (fd < 0)
        return false;
    size = read(fd, bytes, sizeof bytes);
    close(fd);
    if (size != MARKER_ID_SIZE)
        return false;
    memcpy(out_id, bytes, MARKER_ID_SIZE);
    return true;
}

static bool is_the_same(const struct marker *stored, const struct marker *found)
{
    return stored->filesystem == found->filesystem && stored->inode == found->inode &&
           stored->born_s == found->born_s && stored->born_ns == found->born_ns;
}

enum status store_marker_check(struct store *store, const char *dir, bool *out_copied)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    uint8_t id[MARKER_ID_SIZE];
    char path[PATH_MAX];
    struct marker stored;
    struct marker found = { .filesystem = 0 };
    enum status status;

    if ((status = marker_path(dir, path)) != OK ||
        (status = look_at_data(store, &found)) != OK ||
        (status = store_begin_read(store, &txn)) != OK)
        return status;
    status = stored_marker(&txn, &stored);
    if (status == NOT_FOUND) { /* it never ran */
        *out_copied = false;
        return OK;
    }
    if (status != OK)
        return status;
    *out_copied =
        !is_the_same(&stored, &found) || !read_file(path, id) ||
        (memcmp(id, stored.id, sizeof id) != 0 && memcmp(id, stored.former, sizeof id) != 0);
    return OK;
}

enum status store_marker_put(struct store *store, const uint8_t *file_id, uint8_t *out_id)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct marker stored = { .filesystem = 0 };
    struct marker marker = { .filesystem = 0 };
    enum status status;

    if ((status = look_at_data(store, &marker)) != OK ||
        (status = store_begin_write(store, &txn)) != OK)
        return status;
    status = stored_marker(&txn, &stored);
    if (status != OK && status != NOT_FOUND)
        return status;
    /* Where the last start died before it wrote the file, the file has the id before. */
    memcpy(marker.former,
           file_id != NULL && memcmp(file_id, stored.former, sizeof stored.former) == 0
               ? stored.former
               : stored.id,
           sizeof marker.former);
    randombytes_buf(marker.id, sizeof marker.id);
    if ((status = put_marker(&txn, &marker)) != OK)
        return status;
    if (out_id != NULL)
        memcpy(out_id, marker.id, sizeof marker.id);
    return store_commit_turn(&txn);
}

enum status store_marker_renew(struct store *store, const char *dir)
{
    uint8_t id[MARKER_ID_SIZE];
    uint8_t file_id[MARKER_ID_SIZE];
    char path[PATH_MAX];
    enum status status;

    if ((status = marker_path(dir, path)) != OK ||
        (status = store_marker_put(store, read_file(path, file_id) ? file_id : NULL, id)) != OK)
        return status;
    return file_write_safely(path, 0600, slice_of(id, sizeof id));
}

enum status store_marker_put_copy(struct store *copy, const char *dir)
{
    uint8_t file_id[MARKER_ID_SIZE];
    char path[PATH_MAX];
    const enum status status = marker_path(dir, path);

    return status == OK
               ? store_marker_put(copy, read_file(path, file_id) ? file_id : NULL, NULL)
               : status;
}
