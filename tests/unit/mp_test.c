/* SPDX-License-Identifier: MPL-2.0 */
/* mp_test.c - one permitted encoding of every value: what the strict reader takes and refuses,
 * and that the writer writes exactly that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chapterd/limits.h"
#include "proto/mp.h"

static void free_bytes(uint8_t **bytes)
{
    free(*bytes);
}

/* A heap block of exactly that size, so that the sanitizer sees a read past the end. */
static uint8_t *exact_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);

    assert_non_null(copy);
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

static size_t from_hex(const char *hex, uint8_t *out, size_t out_size)
{
    size_t size = 0;

    while (*hex != '\0') {
        const char digits[3] = { hex[0], hex[1], '\0' };

        assert_true(size < out_size);
        out[size++] = (uint8_t)strtoul(digits, NULL, 16);
        hex += hex[2] == ' ' ? 3 : 2;
    }
    return size;
}

static enum status verdict_on(const uint8_t *data, size_t size)
{
    CLEANUP(free_bytes) uint8_t *copy = exact_copy(data, size);
    struct mp_reader reader;

    mp_reader_init(&reader, slice_of(copy, size));
    (void)mp_read_raw(&reader, SIZE_MAX);
    return mp_reader_finish(&reader);
}

/* Decodes and encodes again; false if the reader refuses. */
static bool transcode(struct mp_reader *reader, struct mp_writer *writer)
{
    struct slice last = SLICE_NONE;
    struct slice bytes;
    size_t count;

    switch (mp_peek(reader)) {
    case MP_NIL:
        mp_read_nil(reader);
        mp_write_nil(writer);
        break;
    case MP_BOOL:
        mp_write_bool(writer, mp_read_bool(reader));
        break;
    case MP_UINT:
        mp_write_uint(writer, mp_read_uint(reader, UINT64_MAX));
        break;
    case MP_INT:
        mp_write_int(writer, mp_read_int(reader));
        break;
    case MP_STR:
        mp_write_str(writer, mp_read_str(reader, SIZE_MAX));
        break;
    case MP_BIN:
        bytes = mp_read_bin(reader, SIZE_MAX);
        mp_write_bin(writer, bytes.data, bytes.size);
        break;
    case MP_ARRAY:
        count = mp_read_array(reader, SIZE_MAX);
        mp_write_array(writer, count);
        for (size_t i = 0; i < count && transcode(reader, writer); i++)
            ;
        break;
    case MP_MAP:
        count = mp_read_map(reader, SIZE_MAX);
        mp_write_map(writer, count);
        for (size_t i = 0; i < count && reader->status == OK; i++) {
            mp_write_str(writer, mp_read_key(reader, &last));
            (void)transcode(reader, writer);
        }
        break;
    case MP_END:
    case MP_BAD:
        mp_fail(reader, INVALID);
        break;
    }
    return reader->status == OK;
}

static bool comes_back_the_same(const uint8_t *data, size_t size)
{
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };
    struct mp_reader reader;

    mp_writer_init_heap(&writer, MESSAGE_SIZE_MAX);
    mp_reader_init(&reader, slice_of(data, size));
    return transcode(&reader, &writer) && mp_reader_finish(&reader) == OK &&
           writer.status == OK && slice_equal(mp_writer_bytes(&writer), slice_of(data, size));
}

static const struct {
    const char *hex;
    enum status verdict;
} encodings[] = {
    { "c0", OK },
    { "c2", OK },
    { "c3", OK },
    { "00", OK },
    { "7f", OK },
    { "cc 80", OK },
    { "cc ff", OK },
    { "cd 0100", OK },
    { "cd ffff", OK },
    { "ce 00010000", OK },
    { "ce ffffffff", OK },
    { "cf 0000000100000000", OK },
    { "cf ffffffffffffffff", OK },
    { "ff", OK },
    { "e0", OK },
    { "d0 df", OK },
    { "d0 80", OK },
    { "d1 ff7f", OK },
    { "d1 8000", OK },
    { "d2 ffff7fff", OK },
    { "d2 80000000", OK },
    { "d3 ffffffff7fffffff", OK },
    { "d3 8000000000000000", OK },
    { "a0", OK },
    { "a1 61", OK },
    { "a2 c3a9", OK },
    { "c4 00", OK },
    { "c4 02 00ff", OK },
    { "90", OK },
    { "93 01 a1 61 c0", OK },
    { "dc 0010 00000000 00000000 00000000 00000000", OK },
    { "80", OK },
    { "81 a1 61 01", OK },
    { "82 a1 61 01 a1 62 02", OK },
    { "82 a1 61 01 a2 6161 02", OK },
    { "82 a0 01 a1 61 02", OK },
    { "82 a1 61 81 a1 62 01 a1 62 92 c2 81 a0 c0", OK },
    { "", INVALID },            /* nothing */
    { "c1", INVALID },          /* never used */
    { "ca 3f800000", INVALID }, /* floats */
    { "cb 3ff0000000000000", INVALID },
    { "c7 00 01", INVALID }, /* extensions */
    { "c8 0000 01", INVALID },
    { "c9 00000000 01", INVALID },
    { "d4 01 00", INVALID },
    { "d5 01 0000", INVALID },
    { "d6 ff 00000000", INVALID },
    { "d7 01 0000000000000000", INVALID },
    { "d8 01 00000000000000000000000000000000", INVALID },
    { "cc 7f", INVALID }, /* longer than needed */
    { "cd 00ff", INVALID },
    { "ce 0000ffff", INVALID },
    { "cf 00000000ffffffff", INVALID },
    { "d0 e0", INVALID },
    { "d0 ff", INVALID },
    { "d0 01", INVALID }, /* positive in a signed form */
    { "d1 ff80", INVALID },
    { "d1 0100", INVALID },
    { "d2 ffff8000", INVALID },
    { "d2 00010000", INVALID },
    { "d3 ffffffff80000000", INVALID },
    { "d3 0000000100000000", INVALID },
    { "d9 01 61", INVALID },
    { "da 0001 61", INVALID },
    { "db 00000001 61", INVALID },
    { "c5 0001 00", INVALID },
    { "c6 00000001 00", INVALID },
    { "dc 0001 00", INVALID },
    { "dd 00000001 00", INVALID },
    { "de 0001 a1 61 00", INVALID },
    { "df 00000001 a1 61 00", INVALID },
    { "c0 c0", INVALID }, /* more than one value */
    { "90 00", INVALID },
    { "a1", INVALID }, /* more declared than there is */
    { "c4 01", INVALID },
    { "91", INVALID },
    { "92 00", INVALID },
    { "81 a0", INVALID },
    { "dd ffffffff 00", INVALID },
    { "df ffffffff a0 00", INVALID },
    { "db ffffffff 61", INVALID },
    { "c6 ffffffff 61", INVALID },
    { "81 01 01", INVALID }, /* a key that is no string */
    { "81 c0 01", INVALID },
    { "81 c4 01 61 01", INVALID },
    { "82 a1 61 01 a1 61 02", INVALID }, /* keys twice, or out of order */
    { "82 a1 62 01 a1 61 02", INVALID },
    { "82 a2 6161 01 a1 61 02", INVALID },
    { "82 a1 61 01 a0 02", INVALID },
    { "82 a2 c3a9 01 a1 7a 02", INVALID },  /* bytes order, unsigned */
    { "91 82 a1 61 01 a1 61 02", INVALID }, /* also further in */
    { "81 a1 61 cc 01", INVALID },
    { "a1 00", INVALID }, /* NUL, and what is not UTF-8 */
    { "a3 610062", INVALID },
    { "a1 80", INVALID },
    { "a1 c3", INVALID },
    { "a2 c0af", INVALID },
    { "a2 c1bf", INVALID },
    { "a3 e09fbf", INVALID },
    { "a3 eda080", INVALID },
    { "a4 f08fbfbf", INVALID },
    { "a4 f4908080", INVALID },
    { "a4 f5808080", INVALID },
    { "a1 ff", INVALID },
    { "81 a1 ff 01", INVALID },
    { "91 91 91 91 91 91 91 90", OK }, /* depth 8, and 9 */
    { "91 91 91 91 91 91 91 91 90", TOO_LARGE },
    { "91 91 91 91 91 91 91 81 a0 c0", OK },
    { "91 91 91 91 91 91 91 91 80", TOO_LARGE },
    { "91 91 91 91 91 91 91 91 00", OK },
};
#define ENCODINGS (sizeof encodings / sizeof encodings[0])

static void test_encodings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENCODINGS; i++) {
        uint8_t bytes[64];
        const size_t size = from_hex(encodings[i].hex, bytes, sizeof bytes);
        const enum status verdict = verdict_on(bytes, size);

        if (verdict != encodings[i].verdict)
            fail_msg("%s: %s", encodings[i].hex, status_name(verdict));
        assert_int_equal(mp_valid(slice_of(bytes, size)), verdict == OK);
        if (verdict != TOO_LARGE) /* read value by value, the depth is the caller's */
            assert_int_equal(comes_back_the_same(bytes, size), verdict == OK);
    }
}

static void test_truncations(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENCODINGS; i++) {
        uint8_t bytes[64];
        const size_t size = from_hex(encodings[i].hex, bytes, sizeof bytes - 1);

        if (encodings[i].verdict != OK)
            continue;
        for (size_t cut = 0; cut < size; cut++)
            if (verdict_on(bytes, cut) != INVALID)
                fail_msg("%s cut at %zu was taken", encodings[i].hex, cut);
        bytes[size] = 0xc0;
        assert_int_equal(verdict_on(bytes, size + 1), INVALID);
    }
}

/* xorshift64*: the same bytes in every run. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * 0x2545f4914f6cdd1dull;
}

/* Random bytes, or permitted encodings strung together in an array and damaged a little. */
static size_t random_message(uint64_t *seed, uint8_t *out, size_t out_size)
{
    const uint64_t dice = next_random(seed);
    size_t size = 1;

    if (dice % 3 == 0) {
        size = next_random(seed) % out_size;
        for (size_t i = 0; i < size; i++)
            out[i] = (uint8_t)(next_random(seed) >> 40);
        return size;
    }
    out[0] = (uint8_t)(0x91 + dice / 3 % 3);
    for (int i = 0; i < 1 + (int)(dice / 3 % 3); i++)
        size += from_hex(encodings[next_random(seed) % ENCODINGS].hex, out + size, 64);
    if (next_random(seed) % 2 == 0)
        out[next_random(seed) % size] = (uint8_t)(next_random(seed) >> 40);
    return size;
}

static void test_random_bytes(void **state)
{
    uint64_t seed = 20240229;
    size_t taken = 0;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[256];
        const size_t size = random_message(&seed, bytes, sizeof bytes);
        const bool valid = verdict_on(bytes, size) == OK;

        if (valid && !comes_back_the_same(bytes, size))
            fail_msg("message %d does not come back the same", i);
        taken += valid;
    }
    assert_in_range(taken, 10000, 150000);
}

/* --- UTF-8 -------------------------------------------------------------------------------- */

/* RFC 3629 read plainly: decode, refuse what has a shorter form or is no character. */
static bool is_one_character(const uint8_t *at, size_t size)
{
    static const uint32_t least[] = { 0, 1, 0x80, 0x800, 0x10000 };
    const uint8_t marks[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    uint32_t character = size == 1 ? at[0] : at[0] & (0xffu >> (size + 1));

    if (size == 1)
        return at[0] >= 1 && at[0] < 0x80;
    if ((at[0] & (0xffu << (7 - size) & 0xff)) != marks[size])
        return false;
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return false;
        character = character << 6 | (at[i] & 0x3f);
    }
    return character >= least[size] && character <= 0x10ffff &&
           (character < 0xd800 || character > 0xdfff);
}

static bool is_text(const uint8_t *at, size_t size)
{
    for (size_t used = 0, step; used < size; used += step) {
        for (step = 1; step <= 4 && step <= size - used; step++)
            if (is_one_character(at + used, step))
                break;
        if (step > 4 || step > size - used)
            return false;
    }
    return true;
}

static bool is_taken_as_text(const uint8_t *at, size_t size)
{
    uint8_t bytes[8] = { (uint8_t)(0xa0 + size) };

    memcpy(bytes + 1, at, size);
    return mp_valid(slice_of(bytes, 1 + size));
}

static void test_utf8(void **state)
{
    static const uint8_t tails[] = { 0x00, 0x61, 0x7f, 0x80, 0x8f, 0x90, 0xbf, 0xc0, 0xff };

    (void)state;
    for (uint32_t i = 0; i < 0x1000000; i += i < 0x10000 ? 1 : 7) {
        const uint8_t at[3] = { (uint8_t)(i & 0xff), (uint8_t)(i >> 8 & 0xff),
                                (uint8_t)(i >> 16) };

        for (size_t size = 1; size <= 3; size++)
            if (is_taken_as_text(at, size) != is_text(at, size))
                fail_msg("%02x%02x%02x, %zu bytes", at[0], at[1], at[2], size);
    }
    for (uint32_t i = 0; i < 0x10000; i++)
        for (size_t j = 0; j < sizeof tails * sizeof tails; j++) {
            const uint8_t at[4] = { (uint8_t)(i & 0xff), (uint8_t)(i >> 8),
                                    tails[j / sizeof tails], tails[j % sizeof tails] };

            if ((at[0] >= 0xe0 || j == 0) && is_taken_as_text(at, 4) != is_text(at, 4))
                fail_msg("%02x%02x%02x%02x", at[0], at[1], at[2], at[3]);
        }
}

/* --- the typed calls ---------------------------------------------------------------------- */

static struct mp_reader reader_of(const char *hex, uint8_t *buffer, size_t buffer_size)
{
    struct mp_reader reader;

    mp_reader_init(&reader, slice_of(buffer, from_hex(hex, buffer, buffer_size)));
    return reader;
}

static void test_sticky_error(void **state)
{
    uint8_t buffer[64];
    uint8_t exact[4] = { 1, 2, 3, 4 };
    char text[4] = "abc";
    struct slice last = SLICE_NONE;
    struct mp_reader reader = reader_of("cd 0100 01 c0 a1 61 c3", buffer, sizeof buffer);

    (void)state;
    assert_int_equal(mp_read_uint(&reader, 255), 0);
    assert_int_equal(mp_peek(&reader), MP_BAD);
    assert_int_equal(mp_read_uint(&reader, 255), 0);
    assert_int_equal(mp_read_int(&reader), 0);
    assert_false(mp_take_nil(&reader));
    mp_read_nil(&reader);
    assert_false(mp_read_bool(&reader));
    assert_int_equal(mp_read_str(&reader, 9).size, 0);
    assert_int_equal(mp_read_bin(&reader, 9).size, 0);
    assert_int_equal(mp_read_array(&reader, 9), 0);
    assert_int_equal(mp_read_map(&reader, 9), 0);
    assert_int_equal(mp_read_key(&reader, &last).size, 0);
    assert_int_equal(mp_read_raw(&reader, 9).size, 0);
    mp_read_bin_exact(&reader, exact, sizeof exact);
    assert_int_equal(exact[0] | exact[1] | exact[2] | exact[3], 0);
    mp_read_text(&reader, text, sizeof text);
    assert_string_equal(text, "");
    mp_fail(&reader, INVALID);
    assert_int_equal(mp_reader_finish(&reader), TOO_LARGE); /* the first one stays */
}

static void test_typed_reads(void **state)
{
    uint8_t buffer[64];
    uint8_t exact[2];
    char text[4];
    struct mp_reader reader =
        reader_of("ccff ff d3 8000000000000000 c0 c3 a3 616263 c4 02 0102 "
                  "92 c0 c0",
                  buffer, sizeof buffer);

    (void)state;
    assert_int_equal(mp_read_uint(&reader, 255), 255);
    assert_false(mp_take_nil(&reader));
    assert_int_equal(mp_read_int(&reader), -1);
    assert_true(mp_read_int(&reader) == INT64_MIN);
    assert_true(mp_take_nil(&reader));
    assert_true(mp_read_bool(&reader));
    mp_read_text(&reader, text, sizeof text);
    assert_string_equal(text, "abc");
    mp_read_bin_exact(&reader, exact, sizeof exact);
    assert_int_equal(exact[1], 2);
    assert_int_equal(mp_reader_finish(&reader), INVALID); /* not at the end */
    mp_read_array_exact(&reader, 2);
    assert_true(mp_take_nil(&reader));
    mp_read_nil(&reader);
    assert_int_equal(mp_peek(&reader), MP_END);
    assert_int_equal(mp_reader_finish(&reader), OK);
    assert_false(mp_take_nil(&reader));
}

/* Each call with a value of another type, or beyond the caller's bound. */
static void test_refusals(void **state)
{
    uint8_t buffer[64];
    uint8_t exact[4];
    char text[4];
    struct mp_reader reader;

    (void)state;
#define REFUSES(hex, call, verdict)                                                            \
    do {                                                                                       \
        reader = reader_of(hex, buffer, sizeof buffer);                                        \
        (void)(call);                                                                          \
        assert_int_equal(mp_reader_finish(&reader), verdict);                                  \
    } while (0)
    REFUSES("ff", mp_read_uint(&reader, UINT64_MAX), INVALID);
    REFUSES("a1 61", mp_read_uint(&reader, UINT64_MAX), INVALID);
    REFUSES("cf 8000000000000000", mp_read_int(&reader), TOO_LARGE);
    REFUSES("c0", mp_read_bool(&reader), INVALID);
    REFUSES("c3", (mp_read_nil(&reader), 0), INVALID);
    REFUSES("c4 01 61", mp_read_str(&reader, 9), INVALID);
    REFUSES("a1 61", mp_read_bin(&reader, 9), INVALID);
    REFUSES("a4 61626364", mp_read_str(&reader, 3), TOO_LARGE);
    REFUSES("a4 61626364", (mp_read_text(&reader, text, sizeof text), 0), TOO_LARGE);
    REFUSES("c4 03 010203", mp_read_bin(&reader, 2), TOO_LARGE);
    REFUSES("c4 03 010203", (mp_read_bin_exact(&reader, exact, 4), 0), INVALID);
    REFUSES("c4 03 010203", (mp_read_bin_exact(&reader, exact, 2), 0), INVALID);
    REFUSES("92 c0 c0", mp_read_array(&reader, 1), TOO_LARGE);
    REFUSES("92 c0 c0", (mp_read_array_exact(&reader, 1), 0), INVALID);
    REFUSES("92 c0 c0", (mp_read_array_exact(&reader, 3), 0), INVALID);
    REFUSES("80", mp_read_array(&reader, 9), INVALID);
    REFUSES("90", mp_read_map(&reader, 9), INVALID);
    REFUSES("81 a0 c0", mp_read_map(&reader, 0), TOO_LARGE);
    REFUSES("93 01 02 03", mp_read_raw(&reader, 3), TOO_LARGE);
    REFUSES("", (mp_read_nil(&reader), 0), INVALID);
#undef REFUSES
    reader = reader_of("82 a0 c0 a1", buffer, sizeof buffer); /* two need four bytes */
    assert_int_equal(mp_read_map(&reader, 9), 0);
    assert_int_equal(reader.status, INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encodings),    cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_random_bytes), cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_sticky_error), cmocka_unit_test(test_typed_reads),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
