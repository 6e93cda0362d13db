/* SPDX-License-Identifier: MPL-2.0 */
/* store_backup.c - backup files: see backup.h. */
#include "daemon/io/backup.h"
#include "daemon/io/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC_SIZE 16
#define LEAD_SIZE (MAGIC_SIZE + 4)
#define HEADER_SIZE_MAX 512
#define BACKUP_VERSION 2
#define SEED_SIZE 32
#define PIECE_SIZE (256 * 1024)

static const uint8_t magic[MAGIC_SIZE] = "chapterd bak 2";

static void close_file(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum status write_all(int fd, const void *data, size_t size)
{
    const uint8_t *at = data;

    while (size > 0) {
        const ssize_t written = write(fd, at, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return status_of_errno(errno);
        at += written;
        size -= (size_t)written;
    }
    return OK;
}

/* Hash of the first size bytes. */
static enum status hash_file(int fd, uint64_t size, uint8_t out_hash[HASH_SIZE])
{
    static uint8_t piece[PIECE_SIZE];
    crypto_generichash_state state;

    if (lseek(fd, 0, SEEK_SET) != 0)
        return status_of_errno(errno);
    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    while (size > 0) {
        const ssize_t got = read(fd, piece, size < PIECE_SIZE ? (size_t)size : PIECE_SIZE);

        if (got < 0)
            return status_of_errno(errno);
        if (got == 0)
            return INVALID;
        crypto_generichash_update(&state, piece, (size_t)got);
        size -= (uint64_t)got;
    }
    crypto_generichash_final(&state, out_hash, HASH_SIZE);
    return OK;
}

/* --- writing ------------------------------------------------------------------------------ */

/* Gathers what is written, and hashes it. */
struct sink {
    int fd;
    uint64_t size;
    size_t used;
    crypto_generichash_state hash;
    uint8_t piece[PIECE_SIZE];
};

static struct sink *sink_new(int fd)
{
    struct sink *sink = calloc(1, sizeof *sink);

    if (sink == NULL)
        return NULL;
    sink->fd = fd;
    crypto_generichash_init(&sink->hash, NULL, 0, HASH_SIZE);
    return sink;
}

/* The keys were in it, too. */
static void sink_free(struct sink **sink)
{
    if (*sink != NULL)
        sodium_memzero(*sink, sizeof **sink);
    free(*sink);
    *sink = NULL;
}

static enum status sink_flush(struct sink *sink)
{
    const enum status status = write_all(sink->fd, sink->piece, sink->used);

    sink->used = 0;
    return status;
}

static enum status sink_put(void *context, struct slice bytes)
{
    struct sink *sink = context;
    enum status status;

    crypto_generichash_update(&sink->hash, bytes.data, bytes.size);
    sink->size += bytes.size;
    while (bytes.size > 0) {
        const size_t room = PIECE_SIZE - sink->used;
        const size_t size = bytes.size < room ? bytes.size : room;

        memcpy(sink->piece + sink->used, bytes.data, size);
        sink->used += size;
        bytes = slice_of(bytes.data + size, bytes.size - size);
        if (sink->used == PIECE_SIZE && (status = sink_flush(sink)) != OK)
            return status;
    }
    return OK;
}

static enum status write_header(struct sink *sink, const struct identity *identity,
                                const struct backup_header *header)
{
    uint8_t bytes[LEAD_SIZE + HEADER_SIZE_MAX];
    uint8_t seed[SEED_SIZE];
    struct packer packer = { bytes };
    struct mp_writer writer;
    enum status status;

    mp_writer_init(&writer, bytes + LEAD_SIZE, HEADER_SIZE_MAX);
    mp_write_array(&writer, 6);
    mp_write_uint(&writer, BACKUP_VERSION);
    mp_write_text(&writer, header->code);
    mp_write_bin(&writer, header->federation, HASH_SIZE);
    mp_write_uint(&writer, header->created);
    crypto_sign_ed25519_sk_to_seed(seed, identity->sign.secret);
    mp_write_bin(&writer, seed, SEED_SIZE);
    mp_write_bin(&writer, identity->curve_secret, KEY_SIZE);
    sodium_memzero(seed, sizeof seed);
    if (writer.status != OK)
        return writer.status;
    pack_bytes(&packer, magic, MAGIC_SIZE);
    pack_u32(&packer, (uint32_t)writer.size);
    status = sink_put(sink, slice_of(bytes, LEAD_SIZE + writer.size));
    sodium_memzero(bytes, sizeof bytes);
    return status;
}

static enum status fill(int fd, struct store *store, const struct identity *identity,
                        const struct backup_header *header, uint64_t *out_size)
{
    CLEANUP(sink_free) struct sink *sink = sink_new(fd);
    uint8_t hash[HASH_SIZE];
    enum status status;

    if (sink == NULL)
        return NO_MEMORY;
    if ((status = write_header(sink, identity, header)) != OK ||
        (status = store_entries_write(store, sink_put, sink)) != OK)
        return status;
    crypto_generichash_final(&sink->hash, hash, sizeof hash);
    if ((status = sink_put(sink, slice_of(hash, sizeof hash))) != OK ||
        (status = sink_flush(sink)) != OK)
        return status;
    if (fsync(fd) != 0)
        return status_of_errno(errno);
    *out_size = sink->size;
    return OK;
}

/* Under its own name, unless there is a file of that name. */
static enum status give_name(const char *part, const char *path)
{
    if (renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return OK;
    if (errno != EINVAL && errno != ENOSYS)
        return status_of_errno(errno);
    if (link(part, path) != 0) /* where the file system cannot rename like that */
        return status_of_errno(errno);
    return unlink(part) == 0 ? OK : status_of_errno(errno);
}

enum status backup_write(struct store *store, const struct identity *identity,
                         const struct backup_header *header, const char *path,
                         uint64_t *out_size)
{
    CLEANUP(close_file) int fd = -1;
    char part[PATH_MAX];
    struct stat there;
    enum status status;

    if (snprintf(part, sizeof part, "%s.part", path) >= (int)sizeof part)
        return TOO_LARGE;
    if (lstat(path, &there) == 0)
        return EXISTS;
    /* A file of its own: one that is there may be held open by whoever made it. */
    (void)unlink(part);
    fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return status_of_errno(errno);
    status = fchmod(fd, 0600) == 0 ? OK : status_of_errno(errno);
    if (status == OK)
        status = fill(fd, store, identity, header, out_size);
    if (status == OK)
        status = give_name(part, path);
    if (status != OK) {
        (void)unlink(part);
        return status;
    }
    return file_sync_parent(path);
}

/* --- reading ------------------------------------------------------------------------------ */

struct backup {
    int fd;
    struct backup_header header;
    struct identity identity;
    uint64_t data_at;
    uint64_t data_size;
};

static void backup_done(struct backup *backup)
{
    close_file(&backup->fd);
    identity_wipe(&backup->identity);
}

static enum status read_header(struct backup *backup)
{
    uint8_t lead[LEAD_SIZE] = { 0 };
    uint8_t bytes[HEADER_SIZE_MAX];
    uint8_t seed[SEED_SIZE];
    uint8_t curve[KEY_SIZE];
    struct unpacker unpacker = unpacker_of(slice_of(lead + MAGIC_SIZE, 4));
    struct mp_reader reader;
    uint32_t size;

    if (pread(backup->fd, lead, sizeof lead, 0) != (ssize_t)sizeof lead ||
        memcmp(lead, magic, MAGIC_SIZE) != 0 || (size = unpack_u32(&unpacker)) > sizeof bytes ||
        pread(backup->fd, bytes, size, LEAD_SIZE) != (ssize_t)size)
        return INVALID;
    mp_reader_init(&reader, slice_of(bytes, size));
    mp_read_array_exact(&reader, 6);
    if (mp_read_uint(&reader, UINT64_MAX) != BACKUP_VERSION)
        mp_fail(&reader, INVALID);
    mp_read_text(&reader, backup->header.code, sizeof backup->header.code);
    mp_read_bin_exact(&reader, backup->header.federation, HASH_SIZE);
    backup->header.created = mp_read_uint(&reader, UINT64_MAX);
    mp_read_bin_exact(&reader, seed, SEED_SIZE);
    mp_read_bin_exact(&reader, curve, KEY_SIZE);
    if (mp_reader_finish(&reader) == OK && code_valid(slice_of_text(backup->header.code)))
        identity_of_seeds(seed, curve, &backup->identity);
    else
        mp_fail(&reader, INVALID);
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(curve, sizeof curve);
    sodium_memzero(bytes, sizeof bytes);
    backup->data_at = LEAD_SIZE + size;
    return mp_reader_finish(&reader);
}

static enum status open_backup(const char *path, struct backup *out)
{
    uint8_t stored[HASH_SIZE];
    uint8_t hash[HASH_SIZE];
    struct stat found;
    uint64_t size;
    enum status status;

    out->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (out->fd < 0 || fstat(out->fd, &found) != 0)
        return status_of_errno(errno);
    size = (uint64_t)found.st_size;
    if (!S_ISREG(found.st_mode) || size <= LEAD_SIZE + HASH_SIZE)
        return INVALID;
    if ((status = read_header(out)) != OK)
        return status;
    if (out->data_at + HASH_SIZE >= size)
        return INVALID;
    out->data_size = size - HASH_SIZE - out->data_at;
    if ((status = hash_file(out->fd, size - HASH_SIZE, hash)) != OK)
        return status;
    if (pread(out->fd, stored, HASH_SIZE, (off_t)(size - HASH_SIZE)) != HASH_SIZE ||
        memcmp(stored, hash, HASH_SIZE) != 0)
        return INVALID;
    if (lseek(out->fd, (off_t)out->data_at, SEEK_SET) < 0)
        return status_of_errno(errno);
    return OK;
}

/* Stands before the entries then. */
static enum status check_entries(const struct backup *backup)
{
    const enum status status = store_entries_check(backup->fd, backup->data_size);

    if (status == OK && lseek(backup->fd, (off_t)backup->data_at, SEEK_SET) < 0)
        return status_of_errno(errno);
    return status;
}

enum status backup_check(const char *path, struct backup_header *out_header)
{
    CLEANUP(backup_done) struct backup backup = { .fd = -1 };
    enum status status = open_backup(path, &backup);

    if (status == OK)
        status = check_entries(&backup);
    if (status == OK)
        *out_header = backup.header;
    return status;
}

enum status backup_restore(const char *path, const char *dir)
{
    CLEANUP(backup_done) struct backup backup = { .fd = -1 };
    enum status status = open_backup(path, &backup);

    if (status == OK)
        status = check_entries(&backup);
    if (status != OK)
        return status;
    /* The keys come last: a directory that lacks them is no node's, and the same backup can be
     * restored there again. */
    if ((status = identity_prepare(dir)) != OK ||
        (status = store_install(dir, backup.fd, backup.data_size)) != OK)
        return status;
    return identity_store(dir, &backup.identity);
}
