/* SPDX-License-Identifier: MPL-2.0 */
/* store_copy.c - a store made of another one's data file: compacted in place of the old one,
 * or from a backup.  What takes a store's place is whole and synced before it is renamed. */
#include "daemon/io/fault.h"
#include "daemon/io/identity.h"
#include "daemon/io/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status join(char out[PATH_MAX], const char *dir, const char *name)
{
    return snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX ? TOO_LARGE : OK;
}

static enum status make_temporary(const char *dir, char out[PATH_MAX])
{
    enum status status = join(out, dir, STORE_TEMPORARY "XXXXXX");

    store_remove_leftovers(dir);
    if (status == OK && mkdtemp(out) == NULL)
        status = store_status_of(errno);
    return status;
}

/* --- compacting --------------------------------------------------------------------------- */

/* The copy gets a marker that fits it, and that the file beside it knows as the one before: a
 * crash at any point leaves a directory that is no copy. */
static enum status finish_copy(const char *temporary, const char *dir, uint64_t map_size)
{
    struct store *copy = NULL;
    enum status status = store_open_path(temporary, map_size, &copy);

    if (status == OK)
        status = store_marker_put_copy(copy, dir);
    store_close(&copy);
    return status;
}

static enum status put_in_place(const char *temporary, const char *path)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    enum status status;

    if ((status = join(from, temporary, "data.mdb")) != OK ||
        (status = join(to, path, "data.mdb")) != OK)
        return status;
    if (rename(from, to) != 0)
        return store_status_of(errno);
    return file_sync_parent(to);
}

enum status store_compact(struct store **store, const char *dir)
{
    const uint64_t map_size = (*store)->map_pages * (*store)->page_size;
    char temporary[PATH_MAX];
    char path[PATH_MAX];
    enum status status;

    ASSERT(!(*store)->writer.open);
    if ((*store)->failed)
        return IO;
    if ((status = join(path, dir, "db")) != OK ||
        (status = make_temporary(dir, temporary)) != OK)
        return status;
    if ((status = store_copy_entries(*store, temporary, map_size)) == OK)
        status = finish_copy(temporary, dir, map_size);
    if (status == OK && fault_at("store.compact.before"))
        status = IO;
    if (status == OK) {
        store_close(store);
        status = put_in_place(temporary, path);
        if (status == OK && fault_at("store.compact.after"))
            status = IO;
        store_remove_leftovers(dir);
        if (status == OK && (status = store_open(dir, map_size, store)) == OK)
            return store_marker_renew(*store, dir);
        return *store == NULL && store_open(dir, map_size, store) != OK ? IO : status;
    }
    store_remove_leftovers(dir);
    return status;
}

/* --- from a backup ------------------------------------------------------------------------ */

/* What does not open was no whole store. */
static enum status fill_directory(const char *temporary, int fd, uint64_t size)
{
    struct store *store = NULL;
    char path[PATH_MAX];
    enum status status = join(path, temporary, "data.mdb");

    if (status != OK ||
        (status = store_entries_fill(fd, size, temporary, STORE_SIZE_DEFAULT)) != OK ||
        (status = store_open_path(temporary, STORE_SIZE_DEFAULT, &store)) != OK)
        return status;
    store_close(&store);
    return file_sync_parent(path);
}

/* EXISTS if that environment is not of the entries that fd has from where it stands. */
static enum status check_made_of(const char *path, int fd, uint64_t size)
{
    CLEANUP(store_close) struct store *store = NULL;

    return store_open_path(path, STORE_SIZE_DEFAULT, &store) == OK &&
                   store_entries_match(fd, size, store) == OK
               ? OK
               : EXISTS;
}

enum status store_install(const char *dir, int fd, uint64_t size)
{
    char temporary[PATH_MAX];
    char path[PATH_MAX];
    struct stat there;
    enum status status = join(path, dir, "db");

    if (status != OK)
        return status;
    if (lstat(path, &there) == 0)
        return check_made_of(path, fd, size);
    if ((status = make_temporary(dir, temporary)) != OK)
        return status;
    if ((status = fill_directory(temporary, fd, size)) == OK && rename(temporary, path) != 0)
        status = store_status_of(errno);
    if (status == OK)
        return file_sync_parent(path);
    store_remove_leftovers(dir);
    return status;
}
