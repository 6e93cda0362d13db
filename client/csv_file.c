/* SPDX-License-Identifier: MPL-2.0 */
/* csv_file.c - a regular file read with pread, and one written by a temporary name and rename.
 * A pipe cannot be read twice, which a dry run before the writing needs. */
#include "client/csv_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/temporary.h"

static ssize_t read_file(void *context, void *buffer, size_t size, uint64_t offset)
{
    const struct csv_input *input = context;
    const int fd = input->decoded >= 0 ? input->decoded : input->fd;
    ssize_t got;

    do {
        got = pread(fd, buffer, size, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    return got;
}

enum status csv_input_open(const char *path, struct csv_input *out_input)
{
    /* O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    *out_input = CSV_INPUT_NONE;
    if (fd < 0)
        return IO;
    if (fstat(fd, &out_input->state) != 0) {
        const int error = errno;

        (void)close(fd);
        errno = error;
        return IO;
    }
    if (!S_ISREG(out_input->state.st_mode)) {
        (void)close(fd);
        return INVALID;
    }
    out_input->fd = fd;
    out_input->size = (uint64_t)out_input->state.st_size;
    out_input->source = (struct csv_source){ read_file, out_input };
    return OK;
}

enum status csv_input_decode(struct csv_input *input, bool *out_reading)
{
    enum status status;
    int fd = -1;

    *out_reading = true;
    status = csv_encoding_find(&input->source, &input->encoding);
    if (status != OK || input->encoding == CSV_UTF8 || input->encoding == CSV_UTF8_MARKED)
        return status;
    *out_reading = false;
    if ((status = temporary_open(&fd)) != OK)
        return status;
    status =
        csv_encoding_decode(&input->source, input->encoding, fd, &input->size, out_reading);
    input->decoded = fd; /* from now on it is what is read */
    return status;
}

bool csv_input_changed(const struct csv_input *input)
{
    struct stat now;

    return fstat(input->fd, &now) != 0 || now.st_size != input->state.st_size ||
           now.st_mtim.tv_sec != input->state.st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != input->state.st_mtim.tv_nsec;
}

void csv_input_close(struct csv_input *input)
{
    if (input->fd >= 0)
        (void)close(input->fd);
    if (input->decoded >= 0)
        (void)close(input->decoded);
    *input = CSV_INPUT_NONE;
}

static void release(struct csv_output *output)
{
    free(output->path);
    free(output->temporary);
    memset(output, 0, sizeof *output);
}

enum status csv_output_open(const char *path, struct csv_output *out_output)
{
    struct csv_output output = { 0 };
    struct stat there;
    int error;
    int fd;

    /* A rename would replace a device by a file. */
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode)) {
        errno = S_ISDIR(there.st_mode) ? EISDIR : EINVAL;
        return INVALID;
    }
    output.path = strdup(path);
    if (output.path == NULL || asprintf(&output.temporary, "%s.XXXXXX", path) < 0) {
        output.temporary = NULL;
        release(&output);
        errno = ENOMEM;
        return IO;
    }
    fd = mkostemp(output.temporary, O_CLOEXEC); /* makes it 0600 */
    if (fd >= 0 && (output.stream = fdopen(fd, "w")) == NULL) {
        error = errno;
        (void)close(fd);
        (void)unlink(output.temporary);
        errno = error;
    }
    if (output.stream == NULL) {
        error = errno;
        release(&output);
        errno = error;
        return IO;
    }
    *out_output = output;
    return OK;
}

static int finish(struct csv_output *output)
{
    const bool failed = fflush(output->stream) != 0 || ferror(output->stream) != 0 ||
                        fsync(fileno(output->stream)) != 0;
    int error = failed ? (errno != 0 ? errno : EIO) : 0;

    if (fclose(output->stream) != 0 && error == 0)
        error = errno;
    output->stream = NULL;
    if (error == 0 && rename(output->temporary, output->path) != 0)
        error = errno;
    return error;
}

enum status csv_output_commit(struct csv_output *output)
{
    const int error = finish(output);

    if (error != 0)
        (void)unlink(output->temporary);
    release(output);
    errno = error;
    return error == 0 ? OK : IO;
}

void csv_output_abort(struct csv_output *output)
{
    if (output->stream == NULL)
        return;
    (void)fclose(output->stream);
    (void)unlink(output->temporary);
    release(output);
}
