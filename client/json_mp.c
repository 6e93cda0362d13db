/* SPDX-License-Identifier: MPL-2.0 */
/* json_mp.c - JSON to the strict MessagePack of the control protocol and back.
 * Numbers are whole, keys are sorted, nesting is bounded; what has no such form is refused. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chapterd/limits.h"
#include "client/session.h"

static json_t *read_value(struct mp_reader *reader);

static json_t *read_array(struct mp_reader *reader)
{
    const size_t count = mp_read_array(reader, SIZE_MAX);
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < count; i++) {
        json_t *item = read_value(reader);

        if (item == NULL || json_array_append_new(array, item) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static bool read_member(struct mp_reader *reader, struct slice *last, json_t *object)
{
    const struct slice key = mp_read_key(reader, last);
    char *name = malloc(key.size + 1); /* strndup may look beyond the slice */
    const bool copied = name != NULL && slice_copy_text(key, name, key.size + 1);
    json_t *value = copied ? read_value(reader) : NULL;
    const bool ok = value != NULL && json_object_set_new(object, name, value) == 0;

    free(name);
    return ok;
}

static json_t *read_map(struct mp_reader *reader)
{
    const size_t count = mp_read_map(reader, SIZE_MAX);
    struct slice last = SLICE_NONE;
    json_t *object = json_object();

    for (size_t i = 0; object != NULL && i < count; i++)
        if (!read_member(reader, &last, object)) {
            json_decref(object);
            return NULL;
        }
    return object;
}

/* Random numbers, such as the instance in a roster entry, use all 64 bits: what jansson's
 * integers cannot hold is said in digits. */
static json_t *read_number(struct mp_reader *reader)
{
    const uint64_t number = mp_read_uint(reader, UINT64_MAX);

    return number > INT64_MAX ? json_sprintf("%" PRIu64, number)
                              : json_integer((json_int_t)number);
}

/* The bytes were validated as a whole before: depth and counts are bounded. */
static json_t *read_value(struct mp_reader *reader)
{
    struct slice text;

    switch (mp_peek(reader)) {
    case MP_NIL:
        mp_read_nil(reader);
        return json_null();
    case MP_BOOL:
        return json_boolean(mp_read_bool(reader));
    case MP_UINT:
        return read_number(reader);
    case MP_INT:
        return json_integer((json_int_t)mp_read_int(reader));
    case MP_STR:
        text = mp_read_str(reader, SIZE_MAX);
        return json_stringn((const char *)text.data, text.size);
    case MP_ARRAY:
        return read_array(reader);
    case MP_MAP:
        return read_map(reader);
    case MP_BIN:
    case MP_END:
    case MP_BAD:
        break;
    }
    return NULL;
}

json_t *json_of_mp(struct slice value)
{
    struct mp_reader reader;

    if (!mp_valid(value))
        return NULL;
    mp_reader_init(&reader, value);
    return read_value(&reader);
}

static bool write_value(struct mp_writer *writer, const json_t *value, unsigned depth);

static bool write_string(struct mp_writer *writer, const char *text, size_t size)
{
    if (memchr(text, '\0', size) != NULL)
        return false;
    mp_write_str(writer, slice_of(text, size));
    return true;
}

static bool write_array(struct mp_writer *writer, const json_t *array, unsigned depth)
{
    const size_t count = json_array_size(array);

    mp_write_array(writer, count);
    for (size_t i = 0; i < count; i++)
        if (!write_value(writer, json_array_get(array, i), depth + 1))
            return false;
    return true;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool write_map(struct mp_writer *writer, const json_t *object, unsigned depth)
{
    const size_t count = json_object_size(object);
    const char **keys = calloc(count + 1, sizeof *keys);
    bool ok = keys != NULL;
    size_t filled = 0;
    const char *key;
    json_t *value;

    if (!ok)
        return false;
    json_object_foreach((json_t *)object, key, value) keys[filled++] = key;
    qsort(keys, count, sizeof *keys, compare_keys);
    mp_write_map(writer, count);
    for (size_t i = 0; ok && i < count; i++)
        ok = write_string(writer, keys[i], strlen(keys[i])) &&
             write_value(writer, json_object_get(object, keys[i]), depth + 1);
    free(keys);
    return ok;
}

static bool write_value(struct mp_writer *writer, const json_t *value, unsigned depth)
{
    if ((json_is_array(value) || json_is_object(value)) && depth >= DEPTH_MAX)
        return false;
    switch (json_typeof(value)) {
    case JSON_NULL:
        mp_write_nil(writer);
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        mp_write_bool(writer, json_is_true(value));
        return true;
    case JSON_INTEGER:
        mp_write_int(writer, json_integer_value(value));
        return true;
    case JSON_STRING:
        return write_string(writer, json_string_value(value), json_string_length(value));
    case JSON_ARRAY:
        return write_array(writer, value, depth);
    case JSON_OBJECT:
        return write_map(writer, value, depth);
    case JSON_REAL:
        break;
    }
    return false;
}

bool mp_write_json(struct mp_writer *writer, const json_t *value)
{
    return value != NULL && write_value(writer, value, 0) && writer->status == OK;
}
