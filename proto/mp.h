/* SPDX-License-Identifier: MPL-2.0 */
/* mp.h - strict bounded MessagePack: a reading cursor and a writer, both with a sticky error.
 *
 * The reader accepts exactly one encoding of a value (PROTOCOL.md, "Encoding"): shortest forms,
 * map keys that are strings, strictly ascending bytewise and so unique, valid UTF-8 without
 * NUL, no floats, no extension types, depth at most DEPTH_MAX, a declared count never above the
 * bytes left.  It never allocates and never reads past the end.  After the first error every
 * read returns zero or an empty slice, so callers check once, at the end.
 * The writer packs with msgpack-c, into the caller's buffer or onto the heap up to a limit. */
#ifndef CHAPTERD_PROTO_MP_H
#define CHAPTERD_PROTO_MP_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "chapterd/status.h"

/* Bytes that belong to somebody else. */
struct slice {
    const uint8_t *data;
    size_t size;
};

#define SLICE_NONE ((struct slice){ NULL, 0 })

static inline struct slice slice_of(const void *data, size_t size)
{
    return (struct slice){ (const uint8_t *)data, size };
}

static inline struct slice slice_of_text(const char *text)
{
    return slice_of(text, strlen(text));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_is_text(struct slice slice, const char *text)
{
    return slice_equal(slice, slice_of_text(text));
}

/* Copies into a NUL-terminated buffer; false (and "") if it does not fit. */
bool slice_copy_text(struct slice slice, char *out, size_t out_size);

enum mp_type {
    MP_NIL,
    MP_BOOL,
    MP_UINT,
    MP_INT,
    MP_STR,
    MP_BIN,
    MP_ARRAY,
    MP_MAP,
    MP_END,
    MP_BAD
};

struct mp_reader {
    const uint8_t *at;
    const uint8_t *end;
    enum status status; /* OK or INVALID or TOO_LARGE; the first one stays */
    bool validated;
};

void mp_reader_init(struct mp_reader *reader, struct slice bytes);
/* For bytes that were read strictly before: the order of keys and the characters of texts are
 * not looked at again.  Bounds are. */
void mp_reader_init_validated(struct mp_reader *reader, struct slice bytes);
/* Type of the next value; MP_END at the end, MP_BAD for a forbidden lead byte or after an
 * error. */
enum mp_type mp_peek(const struct mp_reader *reader);
void mp_read_nil(struct mp_reader *reader);
bool mp_take_nil(struct mp_reader *reader); /* true and consumed if the next value is nil */
bool mp_read_bool(struct mp_reader *reader);
uint64_t mp_read_uint(struct mp_reader *reader, uint64_t max);
int64_t mp_read_int(struct mp_reader *reader); /* any integer that fits */
struct slice mp_read_str(struct mp_reader *reader, size_t size_max);
struct slice mp_read_bin(struct mp_reader *reader, size_t size_max);
void mp_read_bin_exact(struct mp_reader *reader, void *out, size_t size);
/* A string into a NUL-terminated buffer of out_size bytes. */
void mp_read_text(struct mp_reader *reader, char *out, size_t out_size);
size_t mp_read_array(struct mp_reader *reader, size_t count_max);
void mp_read_array_exact(struct mp_reader *reader, size_t count);
size_t mp_read_map(struct mp_reader *reader, size_t count_max);
/* The next key of a map; last starts as SLICE_NONE and is kept by the caller between keys. */
struct slice mp_read_key(struct mp_reader *reader, struct slice *last);
/* One whole value of any permitted form, validated throughout; its bytes. */
struct slice mp_read_raw(struct mp_reader *reader, size_t size_max);
/* The same of a map, which has at most count_max keys of at most key_size_max bytes each. */
struct slice mp_read_raw_map(struct mp_reader *reader, size_t size_max, size_t count_max,
                             size_t key_size_max);
void mp_fail(struct mp_reader *reader, enum status status); /* the caller found it wrong */
/* OK only if nothing failed and the end was met exactly. */
enum status mp_reader_finish(const struct mp_reader *reader) MUST_CHECK;

/* True if bytes are exactly one permitted value. */
bool mp_valid(struct slice bytes);
/* Finds key in a validated map; SLICE_NONE if it is absent.  The slice is the value's raw
 * bytes. */
struct slice mp_map_get(struct slice map, const char *key);
/* As text or number out of a validated map; false if absent or of another type. */
bool mp_map_get_text(struct slice map, const char *key, struct slice *out_text);
bool mp_map_get_uint(struct slice map, const char *key, uint64_t *out_number);

struct mp_writer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t size_max;    /* > capacity only on the heap */
    enum status status; /* OK, TOO_LARGE or NO_MEMORY; the first one stays */
    bool heap;
    msgpack_packer packer;
};

/* Writes into the caller's buffer. */
void mp_writer_init(struct mp_writer *writer, void *buffer, size_t capacity);
/* Grows on the heap up to size_max; release with mp_writer_done. */
void mp_writer_init_heap(struct mp_writer *writer, size_t size_max);
void mp_writer_reset(struct mp_writer *writer); /* keeps the buffer */
void mp_writer_done(struct mp_writer *writer);  /* takes a zeroed or a caller's one, too */
void mp_write_nil(struct mp_writer *writer);
void mp_write_bool(struct mp_writer *writer, bool value);
void mp_write_uint(struct mp_writer *writer, uint64_t value);
void mp_write_int(struct mp_writer *writer, int64_t value);
void mp_write_str(struct mp_writer *writer, struct slice text);
void mp_write_text(struct mp_writer *writer, const char *text);
void mp_write_bin(struct mp_writer *writer, const void *data, size_t size);
void mp_write_array(struct mp_writer *writer, size_t count);
void mp_write_map(struct mp_writer *writer, size_t count);
/* Bytes that are already MessagePack. */
void mp_write_raw(struct mp_writer *writer, struct slice raw);
/* The key and a text, number or bool; keys of one map must be written in ascending order. */
void mp_write_key_text(struct mp_writer *writer, const char *key, const char *text);
void mp_write_key_uint(struct mp_writer *writer, const char *key, uint64_t value);
void mp_write_key_bool(struct mp_writer *writer, const char *key, bool value);
struct slice mp_writer_bytes(const struct mp_writer *writer);

#endif
