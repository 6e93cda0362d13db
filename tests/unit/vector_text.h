/* SPDX-License-Identifier: MPL-2.0 */
/* vector_text.h - the worked examples of proto/vectors as text: written field by field with
 * what each means, and read again.  Included once by each program of tests.
 *
 * Lines that begin with "#" explain; "name: value" lines state something about the example (a
 * hash, a key); all other lines are hex, up to a "#".  White space in hex means nothing. */
#ifndef CHAPTERD_VECTOR_TEXT_H
#define CHAPTERD_VECTOR_TEXT_H

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/mp.h"
#include "proto/record.h"

#define VECTOR_SIZE_MAX 8192
#define VECTOR_TEXT_MAX 65536
#define VECTOR_STATED_MAX 8
#define HEX_BYTES_A_LINE 32
#define COMMENT_COLUMN 28

struct stated {
    char name[32];
    char value[2048];
};

/* An example: its bytes, and what is stated about them. */
struct vector {
    uint8_t bytes[VECTOR_SIZE_MAX];
    size_t size;
    struct stated stated[VECTOR_STATED_MAX];
    size_t stated_count;
    char text[VECTOR_TEXT_MAX];
    size_t text_size;
};

static inline struct slice vector_bytes(const struct vector *vector)
{
    return slice_of(vector->bytes, vector->size);
}

/* NULL if it is not stated. */
static inline const char *vector_stated(const struct vector *vector, const char *name)
{
    for (size_t i = 0; i < vector->stated_count; i++)
        if (strcmp(vector->stated[i].name, name) == 0)
            return vector->stated[i].value;
    return NULL;
}

/* --- reading ------------------------------------------------------------------------------ */

static inline void parse_stated(struct vector *vector, const char *line, const char *colon)
{
    struct stated *stated = &vector->stated[vector->stated_count++];

    assert_true(vector->stated_count <= VECTOR_STATED_MAX);
    assert_true(slice_copy_text(slice_of(line, (size_t)(colon - line)), stated->name,
                                sizeof stated->name));
    assert_true(strlen(colon) > 2 && colon[1] == ' ');
    assert_true(slice_copy_text(slice_of_text(colon + 2), stated->value, sizeof stated->value));
}

static inline unsigned parse_digit(char c)
{
    assert_true((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static inline void parse_hex(struct vector *vector, const char *line)
{
    while (*line != '\0' && *line != '#') {
        if (isspace((unsigned char)*line)) {
            line++;
            continue;
        }
        assert_true(vector->size < VECTOR_SIZE_MAX);
        vector->bytes[vector->size++] =
            (uint8_t)(parse_digit(line[0]) << 4 | parse_digit(line[1]));
        line += 2;
    }
}

/* text is vector->text; fails the test where it is malformed. */
static inline void vector_parse(struct vector *vector)
{
    char line[4096];
    const char *at = vector->text;

    while (*at != '\0') {
        const char *end = strchr(at, '\n');
        const char *colon;
        const char *hash;

        assert_non_null(end);
        assert_true(slice_copy_text(slice_of(at, (size_t)(end - at)), line, sizeof line));
        at = end + 1;
        colon = strchr(line, ':');
        hash = strchr(line, '#');
        if (colon != NULL && (hash == NULL || colon < hash))
            parse_stated(vector, line, colon);
        else
            parse_hex(vector, line);
    }
}

/* False if there is no such file. */
static inline bool vector_read(struct vector *vector, const char *path)
{
    FILE *file = fopen(path, "rb");

    memset(vector, 0, sizeof *vector);
    if (file == NULL)
        return false;
    vector->text_size = fread(vector->text, 1, sizeof vector->text - 1, file);
    assert_true(feof(file) && !ferror(file));
    fclose(file);
    vector->text[vector->text_size] = '\0';
    vector_parse(vector);
    return true;
}

/* --- writing ------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static inline void text_add(struct vector *vector,
                                                                  const char *format, ...)
{
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(vector->text + vector->text_size, sizeof vector->text - vector->text_size,
                     format, arguments);
    va_end(arguments);
    assert_true(size >= 0 && (size_t)size < sizeof vector->text - vector->text_size);
    vector->text_size += (size_t)size;
}

static inline void vector_state(struct vector *vector, const char *name, const char *value)
{
    struct stated *stated = &vector->stated[vector->stated_count++];

    assert_true(vector->stated_count <= VECTOR_STATED_MAX);
    assert_true(slice_copy_text(slice_of_text(name), stated->name, sizeof stated->name));
    assert_true(slice_copy_text(slice_of_text(value), stated->value, sizeof stated->value));
}

static inline void vector_state_hex(struct vector *vector, const char *name, const void *data,
                                    size_t size)
{
    char hex[2 * 256 + 1];

    assert_true(size <= 256);
    hex_format(data, size, hex);
    vector_state(vector, name, hex);
}

/* Appends bytes to the text, indented, with the comment after the first line. */
static inline void text_add_hex(struct vector *vector, unsigned depth, const void *data,
                                size_t size, const char *comment)
{
    const uint8_t *at = data;
    bool first = true;

    do {
        const size_t part = size < HEX_BYTES_A_LINE ? size : HEX_BYTES_A_LINE;
        char hex[2 * HEX_BYTES_A_LINE + 1];
        int width = COMMENT_COLUMN - 2 * (int)depth;

        hex_format(at, part, hex);
        if (first && comment != NULL)
            text_add(vector, "%*s%-*s # %s\n", 2 * (int)depth, "", width, hex, comment);
        else
            text_add(vector, "%*s%s\n", 2 * (int)depth, "", hex);
        first = false;
        at += part;
        size -= part;
    } while (size > 0);
}

/* Names of the values of a message, in the order in which they stand in it; one that begins
 * with ">" is binary whose bytes are MessagePack to be looked into.  Keys of maps name
 * themselves and their values. */
struct labels {
    const char *const *next;
    const char *const *end;
};

static inline const char *label_take(struct labels *labels)
{
    if (labels == NULL)
        return NULL;                         /* in a map */
    assert_true(labels->next < labels->end); /* a value without a name */
    return *labels->next++;
}

static inline void annotate(struct vector *vector, unsigned depth, struct mp_reader *reader,
                            const char *label, struct labels *labels);

static inline void annotate_map(struct vector *vector, unsigned depth, struct mp_reader *reader,
                                size_t count)
{
    struct slice last = SLICE_NONE;

    for (size_t i = 0; i < count; i++) {
        const uint8_t *start = reader->at;
        const struct slice key = mp_read_key(reader, &last);
        char name[80];
        char comment[128];

        assert_true(slice_copy_text(key, name, sizeof name));
        (void)snprintf(comment, sizeof comment, "\"%s\":", name);
        text_add_hex(vector, depth, start, (size_t)(reader->at - start), comment);
        annotate(vector, depth + 1, reader, NULL, NULL);
    }
}

static inline void annotate_bin(struct vector *vector, unsigned depth, struct slice bytes,
                                const uint8_t *start, const char *label, struct labels *labels)
{
    const size_t lead = (size_t)(bytes.data - start);
    const bool inside = label != NULL && label[0] == '>';
    struct mp_reader reader;
    char comment[256];

    (void)snprintf(comment, sizeof comment, "%s%s%zu bytes",
                   label == NULL ? "" : label + inside, label == NULL ? "" : ": ", bytes.size);
    text_add_hex(vector, depth, start, lead, comment);
    if (!inside) {
        text_add_hex(vector, depth + 1, bytes.data, bytes.size, NULL);
        return;
    }
    mp_reader_init(&reader, bytes);
    annotate(vector, depth + 1, &reader, label_take(labels), labels);
    assert_int_equal(mp_reader_finish(&reader), OK);
}

/* What a scalar or the lead of an array or map says, for people. */
static inline size_t describe(struct mp_reader *reader, char *out, size_t out_size)
{
    char text[512];
    size_t count;

    switch (mp_peek(reader)) {
    case MP_NIL:
        mp_read_nil(reader);
        (void)snprintf(out, out_size, "nil");
        return 0;
    case MP_BOOL:
        (void)snprintf(out, out_size, "%s", mp_read_bool(reader) ? "true" : "false");
        return 0;
    case MP_UINT:
        (void)snprintf(out, out_size, "%llu",
                       (unsigned long long)mp_read_uint(reader, UINT64_MAX));
        return 0;
    case MP_STR:
        assert_true(slice_copy_text(mp_read_str(reader, SIZE_MAX), text, sizeof text));
        (void)snprintf(out, out_size, "\"%s\"", text);
        return 0;
    case MP_ARRAY:
        count = mp_read_array(reader, SIZE_MAX);
        (void)snprintf(out, out_size, "array of %zu", count);
        return count;
    case MP_MAP:
        count = mp_read_map(reader, SIZE_MAX);
        (void)snprintf(out, out_size, "map of %zu", count);
        return count;
    default:
        fail_msg("nothing that an example holds");
        return 0;
    }
}

/* One value at the reader, with all that is in it. */
static inline void annotate(struct vector *vector, unsigned depth, struct mp_reader *reader,
                            const char *label, struct labels *labels)
{
    const enum mp_type type = mp_peek(reader);
    const uint8_t *start = reader->at;
    char comment[800];
    char what[640];
    size_t count;

    if (type == MP_BIN) {
        annotate_bin(vector, depth, mp_read_bin(reader, SIZE_MAX), start, label, labels);
        return;
    }
    count = describe(reader, what, sizeof what);
    (void)snprintf(comment, sizeof comment, "%s%s%s", label == NULL ? "" : label,
                   label == NULL ? "" : ": ", what);
    text_add_hex(vector, depth, start, (size_t)(reader->at - start), comment);
    if (type == MP_MAP)
        annotate_map(vector, depth + 1, reader, count);
    if (type == MP_ARRAY)
        for (size_t i = 0; i < count; i++)
            annotate(vector, depth + 1, reader, label_take(labels), labels);
}

/* Lines of explanation, and what was stated. */
static inline void vector_begin_text(struct vector *vector, const char *explanation)
{
    vector->text_size = 0;
    text_add(vector, "# SPDX-License-Identifier: MPL-2.0\n%s\n", explanation);
    for (size_t i = 0; i < vector->stated_count; i++)
        text_add(vector, "%s: %s\n", vector->stated[i].name, vector->stated[i].value);
    text_add(vector, "\n");
}

/* The whole of vector->bytes is one MessagePack value; labels has a name for each. */
static inline void vector_render(struct vector *vector, const char *explanation,
                                 const char *const *labels, size_t label_count)
{
    struct labels names = { labels, labels + label_count };
    struct mp_reader reader;

    vector_begin_text(vector, explanation);
    mp_reader_init(&reader, vector_bytes(vector));
    annotate(vector, 0, &reader, label_take(&names), &names);
    assert_int_equal(mp_reader_finish(&reader), OK);
    assert_ptr_equal(names.next, names.end); /* a name without a value */
}

#endif
