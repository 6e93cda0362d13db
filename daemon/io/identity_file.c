/* SPDX-License-Identifier: MPL-2.0 */
/* identity_file.c - the directory's lock, files that are whole or not there, and errno as a
 * status. */
#include "daemon/io/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "lock"

enum status status_of_errno(int error)
{
    switch (error) {
    case 0:
        return OK;
    case ENOENT:
    case ENOTDIR:
        return NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
        return DENIED;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return NO_SPACE;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return NO_MEMORY;
    case ENAMETOOLONG:
        return TOO_LARGE;
    case EINVAL:
        return INVALID;
    case EAGAIN:
    case EINTR:
        return AGAIN;
    case ENOSYS:
    case EOPNOTSUPP:
        return UNSUPPORTED;
    default:
        return IO;
    }
}

/* --- files ---------------------------------------------------------------------------- */

static enum status write_all(int fd, struct slice data)
{
    while (data.size > 0) {
        const ssize_t written = write(fd, data.data, data.size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return status_of_errno(errno);
        data.data += written;
        data.size -= (size_t)written;
    }
    return OK;
}

enum status file_sync_parent(const char *path)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const size_t size = slash == NULL ? 1 : (size_t)(slash - path) + 1;
    int fd;
    int error;

    if (size >= sizeof parent)
        return TOO_LARGE;
    memcpy(parent, slash == NULL ? "." : path, size);
    parent[size] = '\0';
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return status_of_errno(errno);
    error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return status_of_errno(error);
}

/* The mode is set, and not left to the umask, before there is anything to read. */
static enum status fill(int fd, unsigned mode, struct slice data)
{
    enum status status;

    if (fchmod(fd, (mode_t)mode) != 0)
        return status_of_errno(errno);
    if ((status = write_all(fd, data)) != OK)
        return status;
    return fsync(fd) == 0 ? OK : status_of_errno(errno);
}

enum status file_write_safely(const char *path, unsigned mode, struct slice data)
{
    char temporary[PATH_MAX];
    const int length = snprintf(temporary, sizeof temporary, "%s.new", path);
    enum status status;
    int fd;

    if (length < 0 || (size_t)length >= sizeof temporary)
        return TOO_LARGE;
    /* One name: what a killed writer left, the next overwrites.  The directory is locked. */
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return status_of_errno(errno);
    status = fill(fd, mode, data);
    if (close(fd) != 0 && status == OK)
        status = status_of_errno(errno);
    if (status == OK && rename(temporary, path) != 0)
        status = status_of_errno(errno);
    if (status != OK) {
        unlink(temporary);
        return status;
    }
    return file_sync_parent(path);
}

/* --- the lock ------------------------------------------------------------------------- */

/* 0 while its holder has not yet written it. */
static long read_pid(int fd)
{
    char text[32];
    const ssize_t size = pread(fd, text, sizeof text - 1, 0);

    if (size <= 0)
        return 0;
    text[size] = '\0';
    return strtol(text, NULL, 10);
}

static enum status write_pid(int fd)
{
    char text[32];
    const int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    ASSERT(length > 0 && (size_t)length < sizeof text);
    if (ftruncate(fd, 0) != 0)
        return status_of_errno(errno);
    return write_all(fd, slice_of(text, (size_t)length));
}

enum status directory_lock(const char *dir, int *out_fd, long *out_pid)
{
    char path[PATH_MAX];
    const int length = snprintf(path, sizeof path, "%s/%s", dir, LOCK_NAME);
    enum status status;
    int fd;

    if (length < 0 || (size_t)length >= sizeof path)
        return TOO_LARGE;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return status_of_errno(errno);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK ? LOCKED : status_of_errno(errno);
        if (status == LOCKED)
            *out_pid = read_pid(fd);
        close(fd);
        return status;
    }
    if ((status = write_pid(fd)) != OK) {
        close(fd);
        return status;
    }
    *out_fd = fd;
    *out_pid = (long)getpid();
    return OK;
}

/* The file stays: removing it would let two processes hold locks on two files of one name. */
void directory_unlock(int *fd)
{
    if (*fd < 0)
        return;
    close(*fd);
    *fd = -1;
}
