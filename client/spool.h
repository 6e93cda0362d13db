/* SPDX-License-Identifier: MPL-2.0 */
/* spool.h - a run of bytes that may be longer than memory should hold: added at its end, read
 * and overwritten anywhere, through one window.
 * A short one never leaves memory; a longer one is in a temporary file (temporary.h). */
#ifndef CHAPTERCTL_SPOOL_H
#define CHAPTERCTL_SPOOL_H

#include <stdbool.h>

#include "client/temporary.h"

#define SPOOL_WINDOW_SIZE (256 * 1024) /* of memory, once there is anything in it */
#define SPOOL_PIECE_MAX SPOOL_WINDOW_SIZE

/* A zeroed one is empty. */
struct spool {
    uint64_t size;
    bool has_file;
    int fd;
    uint8_t *window;
    uint64_t window_at;
    size_t window_size;
    bool changed; /* the window, since it was read or written */
};

/* NO_MEMORY, NO_SPACE or IO with errno, as the others; the bytes begin at the former size. */
enum status spool_add(struct spool *spool, const void *data, size_t size) MUST_CHECK;
/* size is SPOOL_PIECE_MAX at most, and the piece is of what was added.  The bytes are valid
 * until the spool is used again. */
enum status spool_get(struct spool *spool, uint64_t offset, size_t size,
                      const uint8_t **out_bytes) MUST_CHECK;
enum status spool_change(struct spool *spool, uint64_t offset, const void *data,
                         size_t size) MUST_CHECK;
void spool_done(struct spool *spool);

#endif
