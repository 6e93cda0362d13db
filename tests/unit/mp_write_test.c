/* SPDX-License-Identifier: MPL-2.0 */
/* mp_write_test.c - what the writer emits is the shortest form and is read back; its limits;
 * look-ups in maps; slices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chapterd/limits.h"
#include "proto/mp.h"

static struct slice reset_and_bytes(struct mp_writer *writer)
{
    const struct slice bytes = mp_writer_bytes(writer);

    assert_int_equal(writer->status, OK);
    mp_writer_reset(writer);
    return bytes;
}

/* --- integers ----------------------------------------------------------------------------- */

static size_t shortest_uint(uint64_t value)
{
    return value < 0x80       ? 1
           : value < 0x100    ? 2
           : value < 0x10000  ? 3
           : value >> 32 == 0 ? 5
                              : 9;
}

static size_t shortest_int(int64_t value)
{
    if (value >= 0)
        return shortest_uint((uint64_t)value);
    return value >= -32         ? 1
           : value >= INT8_MIN  ? 2
           : value >= INT16_MIN ? 3
           : value >= INT32_MIN ? 5
                                : 9;
}

static void check_uint(struct mp_writer *writer, uint64_t value)
{
    struct mp_reader reader;
    struct slice bytes;

    mp_write_uint(writer, value);
    bytes = reset_and_bytes(writer);
    assert_int_equal(bytes.size, shortest_uint(value));
    assert_true(mp_valid(bytes));
    mp_reader_init(&reader, bytes);
    assert_int_equal(mp_peek(&reader), MP_UINT);
    assert_true(mp_read_uint(&reader, value) == value);
    assert_int_equal(mp_reader_finish(&reader), OK);
}

static void check_int(struct mp_writer *writer, int64_t value)
{
    struct mp_reader reader;
    struct slice bytes;

    mp_write_int(writer, value);
    bytes = reset_and_bytes(writer);
    assert_int_equal(bytes.size, shortest_int(value));
    assert_true(mp_valid(bytes));
    mp_reader_init(&reader, bytes);
    assert_int_equal(mp_peek(&reader), value < 0 ? MP_INT : MP_UINT);
    assert_true(mp_read_int(&reader) == value);
    assert_int_equal(mp_reader_finish(&reader), OK);
}

/* Three values about every power of two, of both signs. */
static void test_integers(void **state)
{
    uint8_t buffer[16];
    struct mp_writer writer;

    (void)state;
    mp_writer_init(&writer, buffer, sizeof buffer);
    for (unsigned bit = 0; bit < 64; bit++)
        for (uint64_t offset = 0; offset < 3; offset++) {
            const uint64_t value = (1ull << bit) - 1 + offset;

            check_uint(&writer, value);
            if (value <= INT64_MAX) {
                check_int(&writer, (int64_t)value);
                check_int(&writer, -(int64_t)value);
            }
        }
    for (int64_t value = -300; value <= 300; value++)
        check_int(&writer, value);
    check_uint(&writer, UINT64_MAX);
    check_int(&writer, INT64_MIN);
}

/* --- sizes -------------------------------------------------------------------------------- */

static const size_t sizes[] = { 0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536 };
#define SIZES (sizeof sizes / sizeof sizes[0])

static void test_texts_and_bytes(void **state)
{
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };
    static char text[65537];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    mp_writer_init_heap(&writer, MESSAGE_SIZE_MAX);
    for (size_t i = 0; i < SIZES; i++) {
        const size_t size = sizes[i];
        const size_t wide = size < 0x100 ? 2 : size < 0x10000 ? 3 : 5;
        struct mp_reader reader;
        struct slice bytes;

        mp_write_str(&writer, slice_of(text, size));
        bytes = reset_and_bytes(&writer);
        assert_int_equal(bytes.size, size + (size < 32 ? 1 : wide));
        assert_true(mp_valid(bytes));
        mp_reader_init(&reader, bytes);
        assert_true(slice_equal(mp_read_str(&reader, size), slice_of(text, size)));
        assert_int_equal(mp_reader_finish(&reader), OK);

        mp_write_bin(&writer, text, size);
        bytes = reset_and_bytes(&writer);
        assert_int_equal(bytes.size, size + wide);
        assert_true(mp_valid(bytes));
        mp_reader_init(&reader, bytes);
        assert_true(slice_equal(mp_read_bin(&reader, size), slice_of(text, size)));
        assert_int_equal(mp_reader_finish(&reader), OK);
    }
}

static void write_counted_key(struct mp_writer *writer, size_t number)
{
    const char key[] = { (char)('a' + number / 17576 % 26), (char)('a' + number / 676 % 26),
                         (char)('a' + number / 26 % 26), (char)('a' + number % 26) };

    mp_write_str(writer, slice_of(key, sizeof key));
}

static void test_arrays_and_maps(void **state)
{
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };

    (void)state;
    mp_writer_init_heap(&writer, MESSAGE_SIZE_MAX);
    for (size_t i = 0; i < SIZES; i++) {
        const size_t count = sizes[i];
        const size_t lead = count < 16 ? 1 : count < 0x10000 ? 3 : 5;
        struct slice bytes;

        mp_write_array(&writer, count);
        for (size_t j = 0; j < count; j++)
            mp_write_bool(&writer, j % 2 == 0);
        bytes = reset_and_bytes(&writer);
        assert_int_equal(bytes.size, lead + count);
        assert_true(mp_valid(bytes));

        mp_write_map(&writer, count);
        for (size_t j = 0; j < count; j++) {
            write_counted_key(&writer, j);
            mp_write_nil(&writer);
        }
        bytes = reset_and_bytes(&writer);
        assert_int_equal(bytes.size, lead + 6 * count);
        assert_true(mp_valid(bytes));
    }
}

/* --- limits ------------------------------------------------------------------------------- */

static void write_sample(struct mp_writer *writer)
{
    mp_write_map(writer, 4);
    mp_write_key_bool(writer, "a", true);
    mp_write_key_text(writer, "b", "text");
    mp_write_key_uint(writer, "c", 1000);
    mp_write_text(writer, "d");
    mp_write_raw(writer, slice_of("\x92\x01\xff", 3));
}

static const uint8_t sample[] = { 0x84, 0xa1, 'a',  0xc3, 0xa1, 'b',  0xa4, 't',  'e', 'x', 't',
                                  0xa1, 'c',  0xcd, 3,    0xe8, 0xa1, 'd',  0x92, 1,   0xff };

static void test_fixed_buffer(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity <= sizeof sample + 1; capacity++) {
        uint8_t *buffer = malloc(capacity + 1);
        struct mp_writer writer;
        size_t size;

        assert_non_null(buffer);
        buffer[capacity] = 0x5a;
        mp_writer_init(&writer, buffer, capacity);
        write_sample(&writer);
        if (capacity < sizeof sample) {
            assert_int_equal(writer.status, TOO_LARGE);
            size = writer.size;
            mp_write_nil(&writer); /* may fit; the error stays */
            assert_int_equal(writer.status, TOO_LARGE);
            assert_int_equal(writer.size, size);
        } else {
            assert_int_equal(writer.status, OK);
            assert_true(slice_equal(mp_writer_bytes(&writer), slice_of(sample, sizeof sample)));
        }
        assert_int_equal(buffer[capacity], 0x5a);
        mp_writer_done(&writer);
        free(buffer);
    }
}

static void test_heap(void **state)
{
    static const uint8_t zeros[5000] = { 0 };
    struct mp_writer writer = { 0 };

    (void)state;
    mp_writer_done(&writer);
    mp_writer_init_heap(&writer, 5003);
    mp_write_bin(&writer, zeros, sizeof zeros);
    assert_int_equal(writer.status, OK);
    assert_int_equal(writer.size, 5003);
    assert_true(writer.capacity <= 5003);
    mp_write_nil(&writer);
    assert_int_equal(writer.status, TOO_LARGE);
    mp_writer_reset(&writer);
    write_sample(&writer);
    assert_int_equal(writer.status, OK);
    assert_true(slice_equal(mp_writer_bytes(&writer), slice_of(sample, sizeof sample)));
    mp_writer_done(&writer);
    assert_null(writer.data);
    mp_writer_done(&writer);
}

/* --- look-ups and slices ------------------------------------------------------------------ */

static void test_map_get(void **state)
{
    const struct slice map = slice_of(sample, sizeof sample);
    struct slice text = slice_of_text("untouched");
    uint64_t number = 77;

    (void)state;
    assert_true(slice_equal(mp_map_get(map, "a"), slice_of("\xc3", 1)));
    assert_true(slice_equal(mp_map_get(map, "d"), slice_of("\x92\x01\xff", 3)));
    assert_null(mp_map_get(map, "e").data);
    assert_null(mp_map_get(map, "").data);
    assert_null(mp_map_get(SLICE_NONE, "a").data);
    assert_null(mp_map_get(slice_of("\xc0", 1), "a").data);
    assert_null(mp_map_get(slice_of(sample, 5), "c").data);
    assert_false(mp_map_get_text(map, "c", &text));
    assert_false(mp_map_get_text(map, "z", &text));
    assert_true(slice_is_text(text, "untouched"));
    assert_true(mp_map_get_text(map, "b", &text));
    assert_true(slice_is_text(text, "text"));
    assert_false(mp_map_get_uint(map, "b", &number));
    assert_false(mp_map_get_uint(map, "z", &number));
    assert_int_equal(number, 77);
    assert_true(mp_map_get_uint(map, "c", &number));
    assert_int_equal(number, 1000);
}

static void test_slices(void **state)
{
    char out[4] = "abc";

    (void)state;
    assert_true(slice_equal(SLICE_NONE, slice_of_text("")));
    assert_true(slice_equal(slice_of_text("ab"), slice_of("abc", 2)));
    assert_false(slice_equal(slice_of_text("ab"), slice_of_text("abc")));
    assert_false(slice_equal(slice_of_text("ab"), slice_of_text("aB")));
    assert_true(slice_is_text(slice_of("abc", 2), "ab"));
    assert_false(slice_copy_text(slice_of_text("abcd"), out, sizeof out));
    assert_string_equal(out, "");
    assert_true(slice_copy_text(slice_of_text("xyz"), out, sizeof out));
    assert_string_equal(out, "xyz");
    assert_true(slice_copy_text(SLICE_NONE, out, sizeof out));
    assert_string_equal(out, "");
    assert_false(slice_copy_text(SLICE_NONE, out, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_texts_and_bytes),
        cmocka_unit_test(test_arrays_and_maps),
        cmocka_unit_test(test_fixed_buffer),
        cmocka_unit_test(test_heap),
        cmocka_unit_test(test_map_get),
        cmocka_unit_test(test_slices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
