/* SPDX-License-Identifier: MPL-2.0 */
/* mp_write.c - msgpack-c packs, into the caller's buffer or a bounded one of the heap. */
#include <stdlib.h>
#include <string.h>

#include "proto/mp.h"

static bool grow(struct mp_writer *writer, size_t needed)
{
    size_t capacity = writer->capacity == 0 ? 512 : writer->capacity;
    uint8_t *grown;

    if (!writer->heap || needed > writer->size_max) {
        writer->status = TOO_LARGE;
        return false;
    }
    while (capacity < needed)
        capacity *= 2;
    if (capacity > writer->size_max)
        capacity = writer->size_max;
    if ((grown = realloc(writer->data, capacity)) == NULL) {
        writer->status = NO_MEMORY;
        return false;
    }
    writer->data = grown;
    writer->capacity = capacity;
    return true;
}

static int append(void *context, const char *data, size_t size)
{
    struct mp_writer *writer = context;

    if (writer->status != OK ||
        (size > writer->capacity - writer->size && !grow(writer, writer->size + size)))
        return -1;
    if (size > 0)
        memcpy(writer->data + writer->size, data, size);
    writer->size += size;
    return 0;
}

void mp_writer_init(struct mp_writer *writer, void *buffer, size_t capacity)
{
    memset(writer, 0, sizeof *writer);
    writer->data = buffer;
    writer->capacity = capacity;
    writer->size_max = capacity;
    msgpack_packer_init(&writer->packer, writer, append);
}

void mp_writer_init_heap(struct mp_writer *writer, size_t size_max)
{
    mp_writer_init(writer, NULL, 0);
    writer->heap = true;
    writer->size_max = size_max;
}

void mp_writer_reset(struct mp_writer *writer)
{
    writer->size = 0;
    writer->status = OK;
}

void mp_writer_done(struct mp_writer *writer)
{
    if (writer->heap)
        free(writer->data);
    memset(writer, 0, sizeof *writer);
}

/* The packer's callback keeps the status; its return values say the same. */

void mp_write_nil(struct mp_writer *writer)
{
    (void)msgpack_pack_nil(&writer->packer);
}

void mp_write_bool(struct mp_writer *writer, bool value)
{
    (void)(value ? msgpack_pack_true(&writer->packer) : msgpack_pack_false(&writer->packer));
}

void mp_write_uint(struct mp_writer *writer, uint64_t value)
{
    (void)msgpack_pack_uint64(&writer->packer, value);
}

void mp_write_int(struct mp_writer *writer, int64_t value)
{
    (void)msgpack_pack_int64(&writer->packer, value);
}

void mp_write_str(struct mp_writer *writer, struct slice text)
{
    (void)msgpack_pack_str(&writer->packer, text.size);
    (void)append(writer, (const char *)text.data, text.size);
}

void mp_write_text(struct mp_writer *writer, const char *text)
{
    mp_write_str(writer, slice_of_text(text));
}

void mp_write_bin(struct mp_writer *writer, const void *data, size_t size)
{
    (void)msgpack_pack_bin(&writer->packer, size);
    (void)append(writer, data, size);
}

void mp_write_array(struct mp_writer *writer, size_t count)
{
    (void)msgpack_pack_array(&writer->packer, count);
}

void mp_write_map(struct mp_writer *writer, size_t count)
{
    (void)msgpack_pack_map(&writer->packer, count);
}

void mp_write_raw(struct mp_writer *writer, struct slice raw)
{
    (void)append(writer, (const char *)raw.data, raw.size);
}

void mp_write_key_text(struct mp_writer *writer, const char *key, const char *text)
{
    mp_write_text(writer, key);
    mp_write_text(writer, text);
}

void mp_write_key_uint(struct mp_writer *writer, const char *key, uint64_t value)
{
    mp_write_text(writer, key);
    mp_write_uint(writer, value);
}

void mp_write_key_bool(struct mp_writer *writer, const char *key, bool value)
{
    mp_write_text(writer, key);
    mp_write_bool(writer, value);
}

struct slice mp_writer_bytes(const struct mp_writer *writer)
{
    return slice_of(writer->data, writer->size);
}
