/* SPDX-License-Identifier: MPL-2.0 */
/* backup_fuzz.c - any bytes as the file of a backup, with the hash that fits them behind: what
 * is restored of it is backed up as the same bytes. */
#include <fcntl.h>
#include <ftw.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/io/backup.h"
#include "tests/fuzz/fuzz.h"

#define MAP_SIZE ((uint64_t)1024 * 1024 * 1024)

static char dir[] = "/dev/shm/chapterd-fuzz-XXXXXX";
static char file[64], again[64], restored[64];

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *place)
{
    (void)found;
    (void)kind;
    (void)place;
    return remove(path);
}

static void remove_all(void)
{
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void begin(void)
{
    if (file[0] != '\0')
        return;
    ASSERT(sodium_init() >= 0 && mkdtemp(dir) != NULL);
    (void)atexit(remove_all);
    (void)snprintf(file, sizeof file, "%s/file", dir);
    (void)snprintf(again, sizeof again, "%s/again", dir);
    (void)snprintf(restored, sizeof restored, "%s/restored", dir);
}

static void write_file(struct slice bytes)
{
    uint8_t hash[HASH_SIZE];
    const int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    crypto_generichash(hash, sizeof hash, bytes.data, bytes.size, NULL, 0);
    ASSERT(fd >= 0 && write(fd, bytes.data, bytes.size) == (ssize_t)bytes.size &&
           write(fd, hash, sizeof hash) == (ssize_t)sizeof hash);
    close(fd);
}

static void check_again(struct slice bytes)
{
    uint8_t *written = malloc(bytes.size + HASH_SIZE);
    const int fd = open(again, O_RDONLY | O_CLOEXEC);
    struct stat found;

    ASSERT(written != NULL && fd >= 0 && fstat(fd, &found) == 0);
    ASSERT((size_t)found.st_size == bytes.size + HASH_SIZE);
    ASSERT(read(fd, written, bytes.size) == (ssize_t)bytes.size &&
           memcmp(written, bytes.data, bytes.size) == 0);
    close(fd);
    free(written);
}

/* Where the same backup was restored half-way before, the keys not yet there, it is as well. */
static void restore_twice(void)
{
    char keys[80];

    ASSERT(backup_restore(file, restored) == EXISTS);
    (void)snprintf(keys, sizeof keys, "%s/keys/sign", restored);
    ASSERT(remove(keys) == 0);
    ASSERT(backup_restore(file, restored) == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice bytes = slice_of(data, size);
    struct backup_header header;
    struct identity identity;
    struct store *store = NULL;
    enum status status;
    uint64_t written = 0;

    begin();
    write_file(bytes);
    status = backup_check(file, &header);
    if (status == OK)
        status = backup_restore(file, restored);
    if (status == OK) {
        restore_twice();
        ASSERT(identity_load(restored, &identity) == OK);
        ASSERT(store_open(restored, MAP_SIZE, &store) == OK);
        ASSERT(backup_write(store, &identity, &header, again, &written) == OK);
        ASSERT(written == size + HASH_SIZE);
        store_close(&store);
        identity_wipe(&identity);
        check_again(bytes);
        (void)remove(again);
    }
    (void)nftw(restored, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}
