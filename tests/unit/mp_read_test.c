/* SPDX-License-Identifier: MPL-2.0 */
/* mp_read_test.c - what the reader does quickly, it does right: long texts, maps within limits,
 * bytes that were validated before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/mp.h"

#define HEX_BYTES_MAX 64

static size_t from_hex(const char *hex, uint8_t out[HEX_BYTES_MAX])
{
    size_t size = 0;

    while (*hex != '\0') {
        const char digits[3] = { hex[0], hex[1], '\0' };

        assert_true(size < HEX_BYTES_MAX);
        out[size++] = (uint8_t)strtoul(digits, NULL, 16);
        hex += hex[2] == ' ' ? 3 : 2;
    }
    return size;
}

/* Long texts are looked at eight bytes at a time: each place of a bad byte in them is seen. */
static void test_long_texts(void **state)
{
    static const uint8_t bad[] = { 0x00, 0x80, 0xbf, 0xc1, 0xff };

    (void)state;
    for (size_t size = 0; size <= 31; size++) {
        uint8_t bytes[32] = { (uint8_t)(0xa0 + size) };

        memset(bytes + 1, 'a', size);
        assert_true(mp_valid(slice_of(bytes, 1 + size)));
        for (size_t at = 0; at < size; at++) {
            for (size_t i = 0; i < sizeof bad; i++) {
                bytes[1 + at] = bad[i];
                assert_false(mp_valid(slice_of(bytes, 1 + size)));
            }
            bytes[1 + at] = 0x7f;
            assert_true(mp_valid(slice_of(bytes, 1 + size)));
            if (at + 2 <= size) {
                memcpy(bytes + 1 + at, "\xc3\xa9", 2);
                assert_true(mp_valid(slice_of(bytes, 1 + size)));
                bytes[2 + at] = 'a';
                assert_false(mp_valid(slice_of(bytes, 1 + size)));
            }
            bytes[1 + at] = 'a';
        }
    }
}

/* A map's own limits, within the limits of any value. */
static void test_raw_maps(void **state)
{
    static const struct {
        const char *hex;
        size_t size_max, count_max, key_size_max;
        enum status expected;
    } rows[] = {
        { "82 a1 61 01 a2 6162 c0", 9, 2, 2, OK },
        { "82 a1 61 01 a2 6162 c0", 7, 2, 2, TOO_LARGE },
        { "82 a1 61 01 a2 6162 c0", 9, 1, 2, TOO_LARGE },
        { "82 a1 61 01 a2 6162 c0", 9, 2, 1, TOO_LARGE },
        { "82 a2 6162 c0 a1 61 01", 9, 2, 2, INVALID }, /* order */
        { "82 a1 61 01 a1 61 c0", 9, 2, 2, INVALID },
        { "81 a1 61", 9, 2, 2, INVALID },
        { "81 a1 80 c0", 9, 2, 2, INVALID },
        { "91 c0", 9, 2, 2, INVALID },
        { "c0", 9, 2, 2, INVALID },
        { "", 9, 2, 2, INVALID },
        { "81 a1 61 91 91 91 91 91 91 91 c0", 99, 2, 2, OK }, /* 8 deep, the map among them */
        { "81 a1 61 91 91 91 91 91 91 91 91 c0", 99, 2, 2, TOO_LARGE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t buffer[HEX_BYTES_MAX];
        const size_t size = from_hex(rows[i].hex, buffer);
        struct mp_reader reader;
        struct slice raw;

        mp_reader_init(&reader, slice_of(buffer, size));
        raw =
            mp_read_raw_map(&reader, rows[i].size_max, rows[i].count_max, rows[i].key_size_max);

        assert_int_equal(mp_reader_finish(&reader), rows[i].expected);
        assert_int_equal(raw.size, rows[i].expected == OK ? size : 0);
    }
}

/* What was read strictly before is taken as it is, within the same bounds. */
static void test_validated_bytes(void **state)
{
    static const uint8_t map[] = { 0x82, 0xa1, 'b', 0xa1, 0xff, 0xa1, 'a', 0xc4, 0x02, 1, 2 };
    struct mp_reader reader;
    struct slice last = SLICE_NONE;

    (void)state;
    mp_reader_init_validated(&reader, slice_of(map, sizeof map));
    assert_int_equal(mp_read_raw(&reader, SIZE_MAX).size, sizeof map);
    assert_int_equal(mp_reader_finish(&reader), OK);
    mp_reader_init_validated(&reader, slice_of(map, sizeof map));
    assert_int_equal(mp_read_map(&reader, 2), 2);
    assert_int_equal(mp_read_key(&reader, &last).data[0], 'b');
    assert_int_equal(mp_read_str(&reader, 1).data[0], 0xff);
    assert_int_equal(mp_read_key(&reader, &last).data[0], 'a');
    for (size_t size = 0; size < sizeof map; size++) {
        mp_reader_init_validated(&reader, slice_of(map, size));
        assert_int_equal(mp_read_raw(&reader, SIZE_MAX).size, 0);
        assert_int_equal(mp_reader_finish(&reader), INVALID);
    }
    mp_reader_init(&reader, slice_of(map, sizeof map));
    assert_int_equal(mp_read_raw(&reader, SIZE_MAX).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_raw_maps),
        cmocka_unit_test(test_validated_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
