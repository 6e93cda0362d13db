/* SPDX-License-Identifier: MPL-2.0 */
/* store_bytes.c - the store's fixed fields: big-endian, so that keys sort as their numbers do.
 * Writers know that it fits; readers find out. */
#include "daemon/io/store_internal.h"

#include <string.h>

static void pack_uint(struct packer *packer, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        packer->at[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    packer->at += size;
}

void pack_u8(struct packer *packer, unsigned value)
{
    ASSERT(value <= UINT8_MAX);
    pack_uint(packer, value, 1);
}

void pack_u16(struct packer *packer, uint16_t value)
{
    pack_uint(packer, value, 2);
}

void pack_u32(struct packer *packer, uint32_t value)
{
    pack_uint(packer, value, 4);
}

void pack_u64(struct packer *packer, uint64_t value)
{
    pack_uint(packer, value, 8);
}

void pack_bytes(struct packer *packer, const void *data, size_t size)
{
    if (size == 0)
        return; /* data may be NULL */
    memcpy(packer->at, data, size);
    packer->at += size;
}

struct unpacker unpacker_of(struct slice bytes)
{
    return (struct unpacker){ bytes.data, bytes.data + bytes.size, false };
}

struct slice unpack_slice(struct unpacker *unpacker, size_t size)
{
    struct slice slice = { unpacker->at, size };

    if (unpacker->bad || (size_t)(unpacker->end - unpacker->at) < size) {
        unpacker->bad = true;
        return (struct slice){ NULL, 0 };
    }
    unpacker->at += size;
    return slice;
}

static uint64_t unpack_uint(struct unpacker *unpacker, unsigned size)
{
    const struct slice slice = unpack_slice(unpacker, size);
    uint64_t value = 0;

    for (size_t i = 0; i < slice.size; i++)
        value = value << 8 | slice.data[i];
    return value;
}

uint8_t unpack_u8(struct unpacker *unpacker)
{
    return (uint8_t)unpack_uint(unpacker, 1);
}

uint16_t unpack_u16(struct unpacker *unpacker)
{
    return (uint16_t)unpack_uint(unpacker, 2);
}

uint32_t unpack_u32(struct unpacker *unpacker)
{
    return (uint32_t)unpack_uint(unpacker, 4);
}

uint64_t unpack_u64(struct unpacker *unpacker)
{
    return unpack_uint(unpacker, 8);
}

void unpack_bytes(struct unpacker *unpacker, void *out, size_t size)
{
    const struct slice slice = unpack_slice(unpacker, size);

    if (unpacker->bad)
        memset(out, 0, size);
    else
        memcpy(out, slice.data, size);
}

bool unpacked_all(const struct unpacker *unpacker)
{
    return !unpacker->bad && unpacker->at == unpacker->end;
}

void pack_signed_head(struct packer *packer, const struct signed_head *head)
{
    ASSERT(head->size <= sizeof head->bytes);
    pack_u16(packer, head->size);
    pack_bytes(packer, head->bytes, head->size);
}

void unpack_signed_head(struct unpacker *unpacker, struct signed_head *out_head)
{
    memset(out_head, 0, sizeof *out_head);
    out_head->size = unpack_u16(unpacker);
    if (out_head->size > sizeof out_head->bytes) {
        out_head->size = 0;
        unpacker->bad = true;
    }
    unpack_bytes(unpacker, out_head->bytes, out_head->size);
}

void pack_origin(struct packer *packer, const char *origin)
{
    uint8_t padded[ORIGIN_KEY_SIZE] = { 0 };
    const size_t size = strnlen(origin, CODE_SIZE);

    ASSERT(size < CODE_SIZE);
    memcpy(padded, origin, size);
    pack_bytes(packer, padded, sizeof padded);
}

bool unpack_origin(struct unpacker *unpacker, char out_origin[CODE_SIZE])
{
    const struct slice padded = unpack_slice(unpacker, ORIGIN_KEY_SIZE);
    const size_t size = padded.size == 0 ? 0 : strnlen((const char *)padded.data, padded.size);
    bool good = padded.size != 0 && code_valid(slice_of(padded.data, size));

    for (size_t i = size; good && i < padded.size; i++)
        good = padded.data[i] == 0; /* two keys would be one origin's */
    memset(out_origin, 0, CODE_SIZE);
    if (good)
        memcpy(out_origin, padded.data, size);
    return good;
}
