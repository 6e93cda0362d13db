/* SPDX-License-Identifier: MPL-2.0 */
/* csv_file.h - files of members: read as a csv_source, written whole or not at all.
 * They hold personal data, so what is written is the user's alone (0600). */
#ifndef CHAPTERCTL_CSV_FILE_H
#define CHAPTERCTL_CSV_FILE_H

#include <sys/stat.h>

#include "client/csv_encoding.h"

struct csv_input {
    int fd;
    int decoded;       /* a temporary file, -1 if there is none */
    struct stat state; /* when it was opened */
    enum csv_encoding encoding;
    uint64_t size;
    struct csv_source source; /* UTF-8, once it is decoded */
};
#define CSV_INPUT_NONE ((struct csv_input){ .fd = -1, .decoded = -1 })

/* INVALID if it is no regular file, with S_ISDIR(out_input->state.st_mode) telling why; else
 * IO with errno.  out_input must stay where it is. */
enum status csv_input_open(const char *path, struct csv_input *out_input) MUST_CHECK;
/* Finds its encoding, and if it is not UTF-8, makes source a copy that is.  UNSUPPORTED for
 * UTF-16BE; IO or NO_SPACE with errno: *out_reading says whether the file itself failed. */
enum status csv_input_decode(struct csv_input *input, bool *out_reading) MUST_CHECK;
/* Has somebody written to it since? */
bool csv_input_changed(const struct csv_input *input);
/* Takes CSV_INPUT_NONE. */
void csv_input_close(struct csv_input *input);

/* A new file beside path under a temporary name, until it is committed. */
struct csv_output {
    FILE *stream; /* NULL: none is open */
    char *path;
    char *temporary;
};

/* INVALID with errno if path is there and no regular file; IO with errno. */
enum status csv_output_open(const char *path, struct csv_output *out_output) MUST_CHECK;
/* Synced and renamed to path.  IO with errno, and path is as before. */
enum status csv_output_commit(struct csv_output *output) MUST_CHECK;
/* Takes a zeroed or a committed one. */
void csv_output_abort(struct csv_output *output);

#endif
