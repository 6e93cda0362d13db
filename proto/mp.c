/* SPDX-License-Identifier: MPL-2.0 */
/* mp.c - the reading cursor: one permitted encoding of every value, nothing allocated. */
#include "proto/mp.h"

#include <string.h>

#include "chapterd/limits.h"

bool slice_copy_text(struct slice slice, char *out, size_t out_size)
{
    if (slice.size >= out_size) {
        if (out_size > 0)
            out[0] = '\0';
        return false;
    }
    if (slice.size > 0)
        memcpy(out, slice.data, slice.size);
    out[slice.size] = '\0';
    return true;
}

/* --- one value's first bytes -------------------------------------------------------------- */

/* What stands at the cursor: its type, the size of its lead, its number, length or count. */
struct lead {
    enum mp_type type;
    size_t size;
    uint64_t number; /* of integers: two's complement */
};

static uint64_t big_endian(const uint8_t *at, size_t size)
{
    uint64_t number = 0;

    for (size_t i = 0; i < size; i++)
        number = number << 8 | at[i];
    return number;
}

/* A lead byte followed by `wide` bytes; the number must not fit the next shorter form. */
static struct lead long_lead(const struct mp_reader *reader, enum mp_type type, size_t wide,
                             uint64_t least)
{
    struct lead lead = { MP_BAD, 0, 0 };

    if ((size_t)(reader->end - reader->at) < 1 + wide)
        return lead;
    lead.number = big_endian(reader->at + 1, wide);
    if (lead.number < least)
        return lead; /* a longer form than needed */
    lead.type = type;
    lead.size = 1 + wide;
    return lead;
}

static struct lead negative_lead(const struct mp_reader *reader, size_t wide, int64_t most)
{
    struct lead lead = { MP_BAD, 0, 0 };
    const unsigned shift = (unsigned)(64 - 8 * wide);
    int64_t number;

    if ((size_t)(reader->end - reader->at) < 1 + wide)
        return lead;
    number = (int64_t)(big_endian(reader->at + 1, wide) << shift) >> shift;
    if (number > most)
        return lead;
    lead.type = MP_INT;
    lead.size = 1 + wide;
    lead.number = (uint64_t)number;
    return lead;
}

static struct lead read_long_lead(const struct mp_reader *reader)
{
    switch (*reader->at) {
    case 0xc0:
        return (struct lead){ MP_NIL, 1, 0 };
    case 0xc2:
    case 0xc3:
        return (struct lead){ MP_BOOL, 1, *reader->at & 1u };
    case 0xc4:
        return long_lead(reader, MP_BIN, 1, 0);
    case 0xc5:
        return long_lead(reader, MP_BIN, 2, 0x100);
    case 0xc6:
        return long_lead(reader, MP_BIN, 4, 0x10000);
    case 0xcc:
        return long_lead(reader, MP_UINT, 1, 0x80);
    case 0xcd:
        return long_lead(reader, MP_UINT, 2, 0x100);
    case 0xce:
        return long_lead(reader, MP_UINT, 4, 0x10000);
    case 0xcf:
        return long_lead(reader, MP_UINT, 8, 0x100000000ull);
    case 0xd0:
        return negative_lead(reader, 1, -33);
    case 0xd1:
        return negative_lead(reader, 2, INT8_MIN - 1);
    case 0xd2:
        return negative_lead(reader, 4, INT16_MIN - 1);
    case 0xd3:
        return negative_lead(reader, 8, (int64_t)INT32_MIN - 1);
    case 0xd9:
        return long_lead(reader, MP_STR, 1, 0x20);
    case 0xda:
        return long_lead(reader, MP_STR, 2, 0x100);
    case 0xdb:
        return long_lead(reader, MP_STR, 4, 0x10000);
    case 0xdc:
        return long_lead(reader, MP_ARRAY, 2, 0x10);
    case 0xdd:
        return long_lead(reader, MP_ARRAY, 4, 0x10000);
    case 0xde:
        return long_lead(reader, MP_MAP, 2, 0x10);
    case 0xdf:
        return long_lead(reader, MP_MAP, 4, 0x10000);
    default:
        return (struct lead){ MP_BAD, 0, 0 }; /* floats, extensions, 0xc1 */
    }
}

static inline struct lead read_lead(const struct mp_reader *reader)
{
    const uint8_t byte = *reader->at;

    if (byte <= 0x7f)
        return (struct lead){ MP_UINT, 1, byte };
    if (byte <= 0x8f)
        return (struct lead){ MP_MAP, 1, byte & 0x0fu };
    if (byte <= 0x9f)
        return (struct lead){ MP_ARRAY, 1, byte & 0x0fu };
    if (byte <= 0xbf)
        return (struct lead){ MP_STR, 1, byte & 0x1fu };
    if (byte >= 0xe0)
        return (struct lead){ MP_INT, 1, (uint64_t)(int64_t)(int8_t)byte };
    return read_long_lead(reader);
}

/* --- the cursor --------------------------------------------------------------------------- */

void mp_reader_init(struct mp_reader *reader, struct slice bytes)
{
    reader->at = bytes.data;
    reader->end = bytes.data == NULL ? NULL : bytes.data + bytes.size;
    reader->status = OK;
    reader->validated = false;
}

void mp_reader_init_validated(struct mp_reader *reader, struct slice bytes)
{
    mp_reader_init(reader, bytes);
    reader->validated = true;
}

void mp_fail(struct mp_reader *reader, enum status status)
{
    if (reader->status == OK)
        reader->status = status;
    reader->at = reader->end;
}

enum mp_type mp_peek(const struct mp_reader *reader)
{
    if (reader->status != OK)
        return MP_BAD;
    if (reader->at == reader->end)
        return MP_END;
    return read_lead(reader).type;
}

/* The lead of the next value if it is of that type; consumed. */
static bool take(struct mp_reader *reader, enum mp_type type, struct lead *out_lead)
{
    if (reader->status == OK && reader->at < reader->end) {
        *out_lead = read_lead(reader);
        if (out_lead->type == type) {
            reader->at += out_lead->size;
            return true;
        }
    }
    mp_fail(reader, INVALID);
    return false;
}

void mp_read_nil(struct mp_reader *reader)
{
    struct lead lead;

    (void)take(reader, MP_NIL, &lead);
}

bool mp_take_nil(struct mp_reader *reader)
{
    if (mp_peek(reader) != MP_NIL)
        return false;
    reader->at++;
    return true;
}

bool mp_read_bool(struct mp_reader *reader)
{
    struct lead lead;

    return take(reader, MP_BOOL, &lead) && lead.number == 1;
}

uint64_t mp_read_uint(struct mp_reader *reader, uint64_t max)
{
    struct lead lead;

    if (!take(reader, MP_UINT, &lead))
        return 0;
    if (lead.number > max) {
        mp_fail(reader, TOO_LARGE);
        return 0;
    }
    return lead.number;
}

int64_t mp_read_int(struct mp_reader *reader)
{
    struct lead lead;

    if (mp_peek(reader) == MP_UINT)
        return (int64_t)mp_read_uint(reader, INT64_MAX);
    return take(reader, MP_INT, &lead) ? (int64_t)lead.number : 0;
}

static struct slice take_bytes(struct mp_reader *reader, enum mp_type type, size_t size_max)
{
    struct slice bytes;
    struct lead lead;

    if (!take(reader, type, &lead))
        return SLICE_NONE;
    if (lead.number > (uint64_t)(reader->end - reader->at)) {
        mp_fail(reader, INVALID);
        return SLICE_NONE;
    }
    if (lead.number > size_max) {
        mp_fail(reader, TOO_LARGE);
        return SLICE_NONE;
    }
    bytes = slice_of(reader->at, (size_t)lead.number);
    reader->at += bytes.size;
    return bytes;
}

/* Size of the character of several bytes that stands there, 0 if it is malformed: the table of
 * well-formed sequences in the Unicode standard (3-7), no overlong forms or surrogates. */
static size_t character_size(const uint8_t *at, size_t left)
{
    uint8_t least = 0x80;
    uint8_t most = 0xbf;
    size_t size;

    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        size = 2;
    else if (at[0] >= 0xe0 && at[0] <= 0xef)
        size = 3;
    else if (at[0] >= 0xf0 && at[0] <= 0xf4)
        size = 4;
    else
        return 0;
    if (at[0] == 0xe0)
        least = 0xa0;
    else if (at[0] == 0xed)
        most = 0x9f;
    else if (at[0] == 0xf0)
        least = 0x90;
    else if (at[0] == 0xf4)
        most = 0x8f;
    if (left < size || at[1] < least || at[1] > most)
        return 0;
    for (size_t i = 2; i < size; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return size;
}

/* Eight bytes of ASCII without NUL?  High bits tell both: of the bytes, and of what is left of
 * them when one is taken from each. */
static bool eight_plain(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
    return ((word | (word - 0x0101010101010101u)) & 0x8080808080808080u) == 0;
}

/* UTF-8 without NUL.  Most bytes are ASCII, and every text of every row passes here. */
static bool text_valid(struct slice text)
{
    size_t at = 0;

    while (at < text.size) {
        const uint8_t byte = text.data[at];
        size_t size = 1;

        if (text.size - at >= 8 && eight_plain(text.data + at)) {
            at += 8;
            continue;
        }
        if (byte == 0)
            return false;
        if (byte >= 0x80 && (size = character_size(text.data + at, text.size - at)) == 0)
            return false;
        at += size;
    }
    return true;
}

struct slice mp_read_str(struct mp_reader *reader, size_t size_max)
{
    const struct slice text = take_bytes(reader, MP_STR, size_max);

    if (reader->status == OK && !reader->validated && !text_valid(text)) {
        mp_fail(reader, INVALID);
        return SLICE_NONE;
    }
    return text;
}

struct slice mp_read_bin(struct mp_reader *reader, size_t size_max)
{
    return take_bytes(reader, MP_BIN, size_max);
}

void mp_read_bin_exact(struct mp_reader *reader, void *out, size_t size)
{
    const struct slice bytes = mp_read_bin(reader, SIZE_MAX);

    if (reader->status == OK && bytes.size != size)
        mp_fail(reader, INVALID);
    if (reader->status == OK)
        memcpy(out, bytes.data, size);
    else
        memset(out, 0, size);
}

void mp_read_text(struct mp_reader *reader, char *out, size_t out_size)
{
    const struct slice text = mp_read_str(reader, out_size - 1);

    (void)slice_copy_text(text, out, out_size);
}

/* A count is never above the bytes left: every element takes at least one. */
static size_t take_count(struct mp_reader *reader, enum mp_type type, size_t count_max,
                         size_t bytes_each)
{
    struct lead lead;

    if (!take(reader, type, &lead))
        return 0;
    if (lead.number > (uint64_t)(reader->end - reader->at) / bytes_each) {
        mp_fail(reader, INVALID);
        return 0;
    }
    if (lead.number > count_max) {
        mp_fail(reader, TOO_LARGE);
        return 0;
    }
    return (size_t)lead.number;
}

size_t mp_read_array(struct mp_reader *reader, size_t count_max)
{
    return take_count(reader, MP_ARRAY, count_max, 1);
}

void mp_read_array_exact(struct mp_reader *reader, size_t count)
{
    if (mp_read_array(reader, SIZE_MAX) != count)
        mp_fail(reader, INVALID);
}

size_t mp_read_map(struct mp_reader *reader, size_t count_max)
{
    return take_count(reader, MP_MAP, count_max, 2);
}

static int compare_keys(struct slice a, struct slice b)
{
    const size_t size = a.size < b.size ? a.size : b.size;
    const int order = size == 0 ? 0 : memcmp(a.data, b.data, size);

    if (order != 0)
        return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

struct slice mp_read_key(struct mp_reader *reader, struct slice *last)
{
    const struct slice key = mp_read_str(reader, SIZE_MAX);

    if (reader->status != OK)
        return SLICE_NONE;
    if (!reader->validated && last->data != NULL && compare_keys(*last, key) >= 0) {
        mp_fail(reader, INVALID);
        return SLICE_NONE;
    }
    *last = key;
    return key;
}

static void skip(struct mp_reader *reader, unsigned depth);

static void skip_bytes(struct mp_reader *reader, const struct lead *lead)
{
    const struct slice bytes = slice_of(reader->at, (size_t)lead->number);

    if (lead->number > (uint64_t)(reader->end - reader->at) ||
        (lead->type == MP_STR && !reader->validated && !text_valid(bytes)))
        mp_fail(reader, INVALID);
    else
        reader->at += bytes.size;
}

/* What an array or a map holds; its lead was taken. */
static void skip_elements(struct mp_reader *reader, const struct lead *lead, unsigned depth)
{
    const bool map = lead->type == MP_MAP;
    struct slice last = SLICE_NONE;

    if (depth == DEPTH_MAX) {
        mp_fail(reader, TOO_LARGE);
        return;
    }
    if (lead->number > (uint64_t)(reader->end - reader->at) / (map ? 2 : 1)) {
        mp_fail(reader, INVALID);
        return;
    }
    for (uint64_t i = 0; i < lead->number && reader->status == OK; i++) {
        if (map)
            (void)mp_read_key(reader, &last);
        skip(reader, depth + 1);
    }
}

static void skip(struct mp_reader *reader, unsigned depth)
{
    struct lead lead;

    if (reader->status != OK || reader->at == reader->end) {
        mp_fail(reader, INVALID);
        return;
    }
    lead = read_lead(reader);
    reader->at += lead.size;
    switch (lead.type) {
    case MP_NIL:
    case MP_BOOL:
    case MP_UINT:
    case MP_INT:
        return;
    case MP_STR:
    case MP_BIN:
        skip_bytes(reader, &lead);
        return;
    case MP_ARRAY:
    case MP_MAP:
        skip_elements(reader, &lead, depth);
        return;
    default:
        mp_fail(reader, INVALID);
        return;
    }
}

static struct slice raw_since(struct mp_reader *reader, const uint8_t *start, size_t size_max)
{
    if (reader->status == OK && (size_t)(reader->at - start) > size_max)
        mp_fail(reader, TOO_LARGE);
    return reader->status == OK ? slice_of(start, (size_t)(reader->at - start)) : SLICE_NONE;
}

struct slice mp_read_raw(struct mp_reader *reader, size_t size_max)
{
    const uint8_t *start = reader->at;

    skip(reader, 0);
    return raw_since(reader, start, size_max);
}

struct slice mp_read_raw_map(struct mp_reader *reader, size_t size_max, size_t count_max,
                             size_t key_size_max)
{
    const uint8_t *start = reader->at;
    const size_t count = mp_read_map(reader, count_max);
    struct slice last = SLICE_NONE;

    for (size_t i = 0; i < count && reader->status == OK; i++) {
        if (mp_read_key(reader, &last).size > key_size_max)
            mp_fail(reader, TOO_LARGE);
        skip(reader, 1);
    }
    return raw_since(reader, start, size_max);
}

enum status mp_reader_finish(const struct mp_reader *reader)
{
    if (reader->status != OK)
        return reader->status;
    return reader->at == reader->end ? OK : INVALID;
}

bool mp_valid(struct slice bytes)
{
    struct mp_reader reader;

    mp_reader_init(&reader, bytes);
    (void)mp_read_raw(&reader, SIZE_MAX);
    return mp_reader_finish(&reader) == OK;
}
