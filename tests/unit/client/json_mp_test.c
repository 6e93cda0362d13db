/* SPDX-License-Identifier: MPL-2.0 */
/* json_mp_test.c - JSON to the protocol's strict MessagePack and back.
 * What is written must be what the daemon's reader accepts: mp_valid says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chapterd/limits.h"
#include "client/session.h"

static json_t *read_json(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    if (value == NULL)
        fail_msg("%s: %s", text, error.text);
    return value;
}

static void round_trips(void **state)
{
    static const char *const rows[] = {
        "null",
        "true",
        "false",
        "0",
        "127",
        "128",
        "65536",
        "4294967296",
        "9223372036854775807",
        "-1",
        "-33",
        "-9223372036854775808",
        "\"\"",
        "\"Zoé 山田\"",
        "[]",
        "{}",
        "[1,[2,[3]],{\"a\":null}]",
        "{\"b\":1,\"a\":{\"z\":true,\"aa\":\"x\",\"Z\":-5},\"é\":[],\"ab\":0}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *value = read_json(rows[i]);
        struct mp_writer writer;
        json_t *back;

        mp_writer_init_heap(&writer, 4096);
        assert_true(mp_write_json(&writer, value));
        assert_true(mp_valid(mp_writer_bytes(&writer)));
        back = json_of_mp(mp_writer_bytes(&writer));
        assert_true(json_equal(back, value));
        json_decref(back);
        json_decref(value);
        mp_writer_done(&writer);
    }
}

static void sorts_keys(void **state)
{
    static const uint8_t expected[] = { 0x83, 0xa1, 'Z', 1, 0xa1, 'a', 2, 0xa2, 'a', 'a', 3 };
    json_t *value = read_json("{\"aa\":3,\"a\":2,\"Z\":1}");
    uint8_t buffer[32];
    struct mp_writer writer;

    (void)state;
    mp_writer_init(&writer, buffer, sizeof buffer);
    assert_true(mp_write_json(&writer, value));
    assert_int_equal(writer.size, sizeof expected);
    assert_memory_equal(buffer, expected, sizeof expected);
    json_decref(value);
}

/* count brackets around nothing */
static json_t *nested(unsigned count)
{
    json_t *value = json_array();

    while (--count > 0) {
        json_t *outer = json_array();

        assert_int_equal(json_array_append_new(outer, value), 0);
        value = outer;
    }
    return value;
}

static void refuses_what_has_no_form(void **state)
{
    static const char *const rows[] = { "1.5", "[0.0]", "{\"a\":1e3}", "\"a\\u0000b\"" };
    struct mp_writer writer;
    json_t *value;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        value = read_json(rows[i]);
        mp_writer_init_heap(&writer, 4096);
        assert_false(mp_write_json(&writer, value));
        mp_writer_done(&writer);
        json_decref(value);
    }
    for (unsigned depth = DEPTH_MAX - 1; depth <= DEPTH_MAX + 1; depth++) {
        value = nested(depth);
        mp_writer_init_heap(&writer, 4096);
        assert_int_equal(mp_write_json(&writer, value), depth <= DEPTH_MAX);
        assert_true(depth > DEPTH_MAX || mp_valid(mp_writer_bytes(&writer)));
        mp_writer_done(&writer);
        json_decref(value);
    }
    mp_writer_init_heap(&writer, 8);
    value = json_string("longer than eight bytes");
    assert_false(mp_write_json(&writer, value));
    assert_int_equal(writer.status, TOO_LARGE);
    mp_writer_done(&writer);
    json_decref(value);
}

static void numbers_beyond_jsons_are_texts(void **state)
{
    static const uint8_t least[] = { 0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0 };
    static const uint8_t below[] = { 0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    json_t *value = json_of_mp(slice_of(least, sizeof least));

    (void)state;
    assert_string_equal(json_string_value(value), "9223372036854775808");
    json_decref(value);
    value = json_of_mp(slice_of(below, sizeof below));
    assert_true(json_integer_value(value) == INT64_MAX);
    json_decref(value);
}

static void reads_only_strict_bytes(void **state)
{
    static const struct {
        size_t size;
        uint8_t bytes[12];
    } rows[] = {
        { 0, { 0 } },
        { 1, { 0xc1 } },                             /* no type */
        { 2, { 0xc0, 0xc0 } },                       /* trailing */
        { 2, { 0xcc, 0x01 } },                       /* longer than needed */
        { 3, { 0xc4, 0x01, 0x00 } },                 /* binary */
        { 5, { 0xdd, 0xff, 0xff, 0xff, 0xff } },     /* more than there are bytes */
        { 7, { 0x82, 0xa1, 'b', 1, 0xa1, 'a', 2 } }, /* keys out of order */
        { 7, { 0x82, 0xa1, 'a', 1, 0xa1, 'a', 2 } }, /* a key twice */
        { 2, { 0xa1, 0xff } },                       /* no UTF-8 */
        { 5, { 0xca, 0x3f, 0xc0, 0x00, 0x00 } },     /* a float */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_null(json_of_mp(slice_of(rows[i].bytes, rows[i].size)));
}

/* A chapter's second epoch puts such a number into the roster, and log must show it. */
static void reads_numbers_of_64_bits(void **state)
{
    static const struct {
        uint8_t bytes[9];
        const char *expected;
    } rows[] = {
        { { 0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, "9223372036854775807" },
        { { 0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0 }, "\"9223372036854775808\"" },
        { { 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
          "\"18446744073709551615\"" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *expected = read_json(rows[i].expected);
        json_t *value = json_of_mp(slice_of(rows[i].bytes, sizeof rows[i].bytes));

        assert_true(json_equal(value, expected));
        json_decref(value);
        json_decref(expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(sorts_keys),
        cmocka_unit_test(refuses_what_has_no_form),
        cmocka_unit_test(numbers_beyond_jsons_are_texts),
        cmocka_unit_test(reads_only_strict_bytes),
        cmocka_unit_test(reads_numbers_of_64_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
