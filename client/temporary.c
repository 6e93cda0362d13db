/* SPDX-License-Identifier: MPL-2.0 */
/* temporary.c - unlinked as soon as they are made; read and written at offsets.
 * Not mapped into memory: a full disk is an error of write, never a signal. */
#include "client/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static enum status failure(void)
{
    return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? NO_SPACE : IO;
}

/* Not /tmp, which is memory on many systems. */
const char *temporary_directory(void)
{
    const char *given = getenv("TMPDIR");

    return given == NULL || given[0] == '\0' ? "/var/tmp" : given;
}

enum status temporary_open(int *out_fd)
{
    const char *directory = temporary_directory();
    char *path = NULL;
    int error;
    int fd;

    if (asprintf(&path, "%s/chapterctl.XXXXXX", directory) < 0)
        return NO_MEMORY;
    fd = mkostemp(path, O_CLOEXEC); /* makes it 0600 */
    error = errno;
    if (fd >= 0)
        (void)unlink(path);
    free(path);
    errno = error;
    if (fd < 0)
        return failure();
    *out_fd = fd;
    return OK;
}

enum status temporary_write(int fd, const void *data, size_t size, uint64_t offset)
{
    const char *at = data;

    while (size > 0) {
        const ssize_t written = pwrite(fd, at, size, (off_t)offset);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return failure();
        at += written;
        size -= (size_t)written;
        offset += (uint64_t)written;
    }
    return OK;
}

enum status temporary_read(int fd, void *out_data, size_t size, uint64_t offset)
{
    char *at = out_data;

    while (size > 0) {
        const ssize_t got = pread(fd, at, size, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got == 0 ? EIO : errno;
            return IO;
        }
        at += got;
        size -= (size_t)got;
        offset += (uint64_t)got;
    }
    return OK;
}
