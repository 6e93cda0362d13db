/* SPDX-License-Identifier: MPL-2.0 */
/* store_create.c - making a store, and opening LMDB's environment.
 * One that a crash left half made cannot be opened: so it is made under another name. */
#include "daemon/io/store_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLES_MAX 32
#define MAP_SIZE_TRIED_MIN (1024ull * 1024 * 1024)
#define MAP_SIZE_NEW (1024 * 1024)

/* --- LMDB's environment ------------------------------------------------------------------ */

void store_env_close(MDB_env **env)
{
    if (*env != NULL)
        mdb_env_close(*env);
    *env = NULL;
}

static int env_open(const char *path, uint64_t map_size, MDB_env **out_env)
{
    CLEANUP(store_env_close) MDB_env *env = NULL;
    int code;

    if ((code = mdb_env_create(&env)) != 0 ||
        (code = mdb_env_set_maxdbs(env, TABLES_MAX)) != 0 ||
        (code = mdb_env_set_mapsize(env, map_size)) != 0 ||
        (code = mdb_env_open(env, path, MDB_NOTLS, 0600)) != 0)
        return code;
    *out_env = env;
    env = NULL;
    return 0;
}

/* Address space may be limited where the file may grow: a smaller map is better than no
 * start. */
enum status store_env_open(const char *path, uint64_t map_size, MDB_env **out_env)
{
    const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t size = map_size / page_size * page_size;
    int code = env_open(path, size, out_env);

    while (code == ENOMEM && size / 2 >= MAP_SIZE_TRIED_MIN) {
        size = size / 2 / page_size * page_size;
        code = env_open(path, size, out_env);
    }
    return store_status_of(code);
}

/* --- creation ---------------------------------------------------------------------------- */

static void close_directory(DIR **directory)
{
    if (*directory != NULL)
        closedir(*directory);
}

static void close_file(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Only what LMDB puts there: a directory with anything else in it is somebody's, and stays. */
static void remove_environment(int parent, const char *name)
{
    CLEANUP(close_file)
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return;
    (void)unlinkat(fd, "data.mdb", 0);
    (void)unlinkat(fd, "lock.mdb", 0);
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}

/* What cannot be removed is in nobody's way: the next directory has another name. */
void store_remove_leftovers(const char *dir)
{
    CLEANUP(close_directory) DIR *directory = opendir(dir);
    const struct dirent *entry;

    while (directory != NULL && (entry = readdir(directory)) != NULL)
        if (strncmp(entry->d_name, STORE_TEMPORARY, strlen(STORE_TEMPORARY)) == 0)
            remove_environment(dirfd(directory), entry->d_name);
}

static enum status sync_directory(const char *path)
{
    CLEANUP(close_file) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 && fsync(fd) == 0 ? OK : store_status_of(errno);
}

static enum status put_format(MDB_txn *txn, MDB_dbi meta)
{
    uint8_t bytes[8];
    struct packer packer = { bytes };
    MDB_val key = { strlen(STORE_META_FORMAT), (void *)(uintptr_t)STORE_META_FORMAT };
    MDB_val value = { sizeof bytes, bytes };

    pack_u64(&packer, STORE_FORMAT);
    return store_status_of(mdb_put(txn, meta, &key, &value, 0));
}

static enum status fill_environment(const char *path)
{
    CLEANUP(store_env_close) MDB_env *env = NULL;
    MDB_dbi tables[TABLE_COUNT];
    MDB_txn *txn = NULL;
    enum status status;

    if ((status = store_env_open(path, MAP_SIZE_NEW, &env)) != OK ||
        (status = store_status_of(mdb_txn_begin(env, NULL, 0, &txn))) != OK)
        return status;
    if ((status = store_open_tables(txn, MDB_CREATE, tables)) != OK ||
        (status = put_format(txn, tables[TABLE_META])) != OK) {
        mdb_txn_abort(txn);
        return status;
    }
    if ((status = store_status_of(mdb_txn_commit(txn))) != OK)
        return status;
    return store_status_of(mdb_env_sync(env, 1));
}

static enum status make_environment(const char *dir, char temporary[PATH_MAX], const char *path)
{
    enum status status;

    if (mkdtemp(temporary) == NULL)
        return store_status_of(errno);
    if ((status = fill_environment(temporary)) == OK &&
        (status = sync_directory(temporary)) == OK && rename(temporary, path) != 0)
        status = store_status_of(errno);
    if (status == OK)
        return sync_directory(dir);
    store_remove_leftovers(dir);
    return status;
}

enum status store_create(const char *dir)
{
    char temporary[PATH_MAX];
    char path[PATH_MAX];
    struct stat there;

    if (snprintf(path, sizeof path, "%s/db", dir) >= (int)sizeof path ||
        snprintf(temporary, sizeof temporary, "%s/" STORE_TEMPORARY "XXXXXX", dir) >=
            (int)sizeof temporary)
        return TOO_LARGE;
    if (lstat(path, &there) == 0)
        return EXISTS;
    if (errno != ENOENT)
        return store_status_of(errno);
    store_remove_leftovers(dir);
    return make_environment(dir, temporary, path);
}
