/* SPDX-License-Identifier: MPL-2.0 */
/* spool.c - the window slides: by its whole size where bytes are read one after the other, by a
 * little where they are not. */
#include "client/spool.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEARBY_SIZE ((size_t)16 * 1024) /* read for a piece that stands alone */

static uint64_t window_end(const struct spool *spool)
{
    return spool->window_at + spool->window_size;
}

static enum status put_away(struct spool *spool)
{
    enum status status;

    if (!spool->changed)
        return OK;
    if (!spool->has_file && (status = temporary_open(&spool->fd)) != OK)
        return status;
    spool->has_file = true;
    status = temporary_write(spool->fd, spool->window, spool->window_size, spool->window_at);
    spool->changed = status != OK;
    return status;
}

/* An empty window at the end, where bytes are added. */
static enum status move_to_end(struct spool *spool)
{
    const enum status status = put_away(spool);

    if (status != OK)
        return status;
    spool->window_at = spool->size;
    spool->window_size = 0;
    return OK;
}

enum status spool_add(struct spool *spool, const void *data, size_t size)
{
    const uint8_t *from = data;
    enum status status;

    if (spool->window == NULL && (spool->window = malloc(SPOOL_WINDOW_SIZE)) == NULL)
        return NO_MEMORY;
    if (window_end(spool) != spool->size && (status = move_to_end(spool)) != OK)
        return status;
    while (size > 0) {
        size_t room = SPOOL_WINDOW_SIZE - spool->window_size;

        if (room == 0) {
            if ((status = move_to_end(spool)) != OK)
                return status;
            room = SPOOL_WINDOW_SIZE;
        }
        if (room > size)
            room = size;
        memcpy(spool->window + spool->window_size, from, room);
        spool->changed = true;
        spool->window_size += room;
        spool->size += room;
        from += room;
        size -= room;
    }
    return OK;
}

static enum status move_to(struct spool *spool, uint64_t offset, size_t size)
{
    const uint64_t left = spool->size - offset;
    const bool onward = offset >= spool->window_at &&
                        offset - spool->window_at <= 2 * (uint64_t)SPOOL_WINDOW_SIZE;
    size_t wanted = onward ? SPOOL_WINDOW_SIZE : NEARBY_SIZE;
    enum status status;

    if (wanted < size)
        wanted = size;
    if (wanted > left)
        wanted = (size_t)left;
    if ((status = put_away(spool)) != OK)
        return status;
    spool->window_size = 0;
    status = temporary_read(spool->fd, spool->window, wanted, offset);
    if (status != OK)
        return status;
    spool->window_at = offset;
    spool->window_size = wanted;
    return OK;
}

enum status spool_get(struct spool *spool, uint64_t offset, size_t size,
                      const uint8_t **out_bytes)
{
    enum status status;

    ASSERT(size <= SPOOL_PIECE_MAX && offset <= spool->size && size <= spool->size - offset);
    if ((offset < spool->window_at || offset + size > window_end(spool)) &&
        (status = move_to(spool, offset, size)) != OK)
        return status;
    *out_bytes = spool->window + (offset - spool->window_at);
    return OK;
}

enum status spool_change(struct spool *spool, uint64_t offset, const void *data, size_t size)
{
    const uint8_t *bytes;
    enum status status;

    if ((status = spool_get(spool, offset, size, &bytes)) != OK)
        return status;
    memcpy(spool->window + (bytes - spool->window), data, size);
    spool->changed = true;
    return OK;
}

void spool_done(struct spool *spool)
{
    free(spool->window);
    if (spool->has_file)
        (void)close(spool->fd);
    memset(spool, 0, sizeof *spool);
}
