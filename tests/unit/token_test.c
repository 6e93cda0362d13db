/* SPDX-License-Identifier: MPL-2.0 */
/* token_test.c - genesis, invitations as mail programs leave them, and addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "tests/fuzz/again.h"
#include "tests/unit/vector_samples.h"

static void format_sample(char out_text[TOKEN_SIZE_MAX])
{
    const struct token token = sample_token(sample_get());

    assert_int_equal(token_format(&token, out_text, TOKEN_SIZE_MAX), OK);
}

static enum status parse(const char *text, struct token *out_token, const char **out_reason)
{
    *out_reason = NULL;
    return token_parse(slice_of_text(text), out_token, out_reason);
}

static void assert_refused(const char *text, const char *reason_part)
{
    struct token token;
    const char *reason;

    memset(&token, 0x55, sizeof token);
    assert_int_equal(parse(text, &token, &reason), INVALID);
    assert_non_null(reason);
    if (strstr(reason, reason_part) == NULL)
        fail_msg("\"%s\" says \"%s\", not \"%s\"", text, reason, reason_part);
    assert_int_equal(token.code[0], 0x55);
}

/* --- tokens ------------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
    const struct token sample = sample_token(sample_get());
    char text[TOKEN_SIZE_MAX];
    struct token token;
    const char *reason;

    (void)state;
    format_sample(text);
    assert_int_equal(strncmp(text, "chapterd1.", 10), 0);
    assert_int_equal(strspn(text + 10, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789-_"),
                     strlen(text + 10));
    assert_int_equal(parse(text, &token, &reason), OK);
    assert_string_equal(token.code, sample.code);
    assert_string_equal(token.name, sample.name);
    assert_int_equal(token.address_count, 2);
    assert_string_equal(token.address[0], sample.address[0]);
    assert_string_equal(token.address[1], sample.address[1]);
    assert_memory_equal(token.hq_curve_key, sample.hq_curve_key, KEY_SIZE);
    assert_int_equal(token.genesis_size, sample.genesis_size);
    assert_memory_equal(token.genesis, sample.genesis, sample.genesis_size);
    assert_memory_equal(token.secret, sample.secret, TOKEN_SECRET_SIZE);
    assert_int_equal(token.roster_epoch, 1);
    assert_int_equal(token.roster_seq, 1);
    assert_int_equal(token.expires, SAMPLE_EXPIRES);
}

/* Folded at 40 columns with CRLF and a quoting mail program's spaces. */
static void test_white_space(void **state)
{
    char text[TOKEN_SIZE_MAX];
    char folded[2 * TOKEN_SIZE_MAX];
    struct token token;
    const char *reason;
    size_t size = 0;

    (void)state;
    format_sample(text);
    folded[size++] = '\t';
    for (size_t i = 0; text[i] != '\0'; i++) {
        folded[size++] = text[i];
        if (i % 40 == 39) {
            memcpy(folded + size, "\r\n  ", 4);
            size += 4;
        }
    }
    folded[size++] = '\n';
    folded[size] = '\0';
    assert_int_equal(parse(folded, &token, &reason), OK);
    assert_string_equal(token.code, "fr");
}

static void test_cut_short(void **state)
{
    char text[TOKEN_SIZE_MAX];
    size_t length;

    (void)state;
    format_sample(text);
    length = strlen(text);
    for (size_t size = 0; size < length; size++) {
        struct token token;
        const char *reason = NULL;

        assert_int_equal(token_parse(slice_of(text, size), &token, &reason), INVALID);
        assert_non_null(reason);
    }
    text[length - 4] = '\0';
    assert_refused(text, "checksum");
    text[10] = '\0';
    assert_refused(text, "cut short");
}

static void test_mistyped(void **state)
{
    char text[TOKEN_SIZE_MAX];

    (void)state;
    format_sample(text);
    for (size_t i = 10; text[i] != '\0'; i++) {
        const char was = text[i];
        struct token token;
        const char *reason;

        text[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(parse(text, &token, &reason), INVALID);
        assert_non_null(reason);
        text[i] = was;
    }
    text[20] = text[20] == 'A' ? 'B' : 'A';
    assert_refused(text, "checksum");
}

/* Whatever stands for another character would give a token a second spelling. */
static void test_alphabet(void **state)
{
    char text[TOKEN_SIZE_MAX];
    struct token token;

    (void)state;
    format_sample(text);
    for (size_t i = 10; text[i] != '\0'; i++) {
        const char was = text[i];

        for (int byte = 0; byte < 256; byte++) {
            const char *reason = NULL;

            text[i] = (char)byte;
            if (text[i] != was)
                assert_int_equal(
                    token_parse(slice_of(text, strlen(text + i + 1) + i + 1), &token, &reason),
                    INVALID);
        }
        text[i] = was;
    }
}

static void test_reasons(void **state)
{
    static char long_text[TOKEN_SIZE_MAX + 100];
    char text[TOKEN_SIZE_MAX];

    (void)state;
    assert_refused("", "does not begin with chapterd1.");
    assert_refused("chapter", "does not begin with chapterd1.");
    assert_refused("hello, this is HQ", "does not begin with chapterd1.");
    assert_refused("Chapterd1.AAAA", "does not begin with chapterd1.");
    assert_refused("chapterd2.AAAA", "newer version");
    assert_refused("chapterd10.AAAA", "newer version");
    assert_refused("chapterd1.", "cut short");
    assert_refused("chapterd1.AAAA", "cut short");
    assert_refused("chapterd1.AAA*", "a character that no token has");
    assert_refused("chapterd1.AAAAAAAAAAAA", "checksum");
    format_sample(text);
    text[strlen(text) - 10] = '=';
    assert_refused(text, "a character that no token has");
    memcpy(long_text, "chapterd1.", 10);
    memset(long_text + 10, 'A', sizeof long_text - 11);
    assert_refused(long_text, "longer than any token");
}

/* Packs like token_format, but says what it is told: the checksum is right, the content not. */
static void pack(const struct token *token, uint64_t version, size_t elements,
                 const char *extra, char out_text[TOKEN_SIZE_MAX])
{
    uint8_t bytes[TOKEN_SIZE_MAX];
    uint8_t hash[HASH_SIZE];
    struct mp_writer writer;

    mp_writer_init(&writer, bytes, sizeof bytes - 4);
    mp_write_array(&writer, elements);
    mp_write_uint(&writer, version);
    mp_write_text(&writer, token->code);
    mp_write_text(&writer, token->name);
    mp_write_array(&writer, token->address_count);
    for (size_t i = 0; i < token->address_count; i++)
        mp_write_text(&writer, token->address[i]);
    mp_write_bin(&writer, token->hq_curve_key, KEY_SIZE);
    mp_write_bin(&writer, token->genesis, token->genesis_size);
    mp_write_bin(&writer, token->secret, TOKEN_SECRET_SIZE);
    for (int i = 0; i < 3; i++)
        mp_write_uint(&writer, 1);
    if (extra != NULL)
        mp_write_text(&writer, extra);
    assert_int_equal(writer.status, OK);
    crypto_generichash(hash, sizeof hash, bytes, writer.size, NULL, 0);
    memcpy(bytes + writer.size, hash, 4);
    memcpy(out_text, "chapterd1.", 10);
    assert_non_null(sodium_bin2base64(out_text + 10, TOKEN_SIZE_MAX - 10, bytes,
                                      writer.size + 4,
                                      sodium_base64_VARIANT_URLSAFE_NO_PADDING));
}

static void assert_content_refused(const struct token *token, uint64_t version, size_t elements,
                                   const char *extra)
{
    char text[TOKEN_SIZE_MAX];

    pack(token, version, elements, extra, text);
    assert_refused(text, "not an invitation");
}

static void test_content(void **state)
{
    struct token good = sample_token(sample_get());
    char text[TOKEN_SIZE_MAX];
    struct token token;
    const char *reason;

    (void)state;
    good.address_count = 1;
    memset(good.address, 0, sizeof good.address);
    memcpy(good.address[0], "hq:1", 4);
    pack(&good, 1, 10, NULL, text);
    assert_int_equal(parse(text, &token, &reason), OK); /* the packing itself is right */
    assert_content_refused(&good, 2, 10, NULL);
    assert_content_refused(&good, 1, 11, "more");
    assert_content_refused(&good, 1, 10, "more");
    token = good;
    memcpy(token.code, "FR", 2);
    assert_content_refused(&token, 1, 10, NULL);
    token = good;
    token.address_count = 0;
    assert_content_refused(&token, 1, 10, NULL);
    token = good;
    memcpy(token.address[0], "hq", 3);
    assert_content_refused(&token, 1, 10, NULL);
    token = good;
    token.genesis_size = 1;
    assert_content_refused(&token, 1, 10, NULL);
}

static void test_too_large(void **state)
{
    struct token token = sample_token(sample_get());
    char text[TOKEN_SIZE_MAX];

    (void)state;
    assert_int_equal(token_format(&token, text, 100), TOO_LARGE);
    token.address_count = TOKEN_ADDRESSES_MAX;
    for (size_t i = 0; i < TOKEN_ADDRESSES_MAX; i++) {
        memset(token.address[i], 'h', 253);
        memcpy(token.address[i] + 253, ":7440", 6);
    }
    assert_int_equal(token_format(&token, text, sizeof text), OK);
    memset(token.name, 'n', sizeof token.name - 1);
    assert_int_equal(token_format(&token, text, sizeof text), OK);
    token.genesis_size = sizeof token.genesis;
    assert_int_equal(token_format(&token, text, sizeof text), TOO_LARGE);
}

static void test_secret_hash(void **state)
{
    uint8_t material[16 + TOKEN_SECRET_SIZE] = "chapterd tok 1";
    uint8_t expected[HASH_SIZE];
    uint8_t hash[HASH_SIZE];

    (void)state;
    memset(material + 16, 0x42, TOKEN_SECRET_SIZE);
    crypto_generichash(expected, sizeof expected, material, sizeof material, NULL, 0);
    token_secret_hash(material + 16, hash);
    assert_memory_equal(hash, expected, HASH_SIZE);
}

/* --- genesis ------------------------------------------------------------------------------ */

static void test_genesis(void **state)
{
    const struct sample *sample = sample_get();
    uint8_t bytes[GENESIS_SIZE_MAX + 1] = { 0 };
    struct genesis genesis;

    (void)state;
    memcpy(bytes, sample->genesis_bytes, sample->genesis_size);
    assert_int_equal(genesis_read(slice_of(bytes, sample->genesis_size), &genesis), OK);
    assert_string_equal(genesis.name, "Example Society");
    assert_memory_equal(genesis.sign_key, sample->hq.public_key, KEY_SIZE);
    assert_memory_equal(genesis.recovery_key, sample->recovery.public_key, KEY_SIZE);
    assert_int_equal(genesis.created, SAMPLE_CREATED);
    assert_int_equal(genesis.random[15], 0xaf);
    for (size_t size = 0; size < sample->genesis_size; size++)
        assert_int_equal(genesis_read(slice_of(bytes, size), &genesis), INVALID);
    assert_int_equal(genesis_read(slice_of(bytes, sample->genesis_size + 1), &genesis),
                     INVALID);
    assert_int_equal(genesis_read(slice_of(bytes, sizeof bytes), &genesis), TOO_LARGE);
    bytes[1] = 2;
    assert_int_equal(genesis_read(slice_of(bytes, sample->genesis_size), &genesis), INVALID);
}

/* A name of any length that is allowed fits. */
static void test_genesis_size(void **state)
{
    struct genesis genesis = sample_get()->genesis;
    uint8_t bytes[GENESIS_SIZE_MAX];
    struct mp_writer writer;

    (void)state;
    memset(genesis.name, 'n', sizeof genesis.name - 1);
    genesis.created = UINT64_MAX;
    mp_writer_init(&writer, bytes, sizeof bytes);
    genesis_write(&writer, &genesis);
    assert_int_equal(writer.status, OK);
    assert_int_equal(again_genesis(mp_writer_bytes(&writer)), AGAIN_SAME);
}

/* --- addresses ---------------------------------------------------------------------------- */

static void test_addresses(void **state)
{
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
        uint16_t port;
    } rows[] = {
        { "hq.example.org:7440", "hq.example.org", 7440 },
        { "127.0.0.1:1", "127.0.0.1", 1 },
        { "[::1]:65534", "::1", 65534 },
        { "[2001:db8::7]:7440", "2001:db8::7", 7440 },
        { "h:7440", "h", 7440 },
        { "", NULL, 0 },
        { "hq", NULL, 0 },
        { ":7440", NULL, 0 },
        { "hq:", NULL, 0 },
        { "hq:0", NULL, 0 },
        { "hq:65535", NULL, 0 }, /* PORT + 1 is needed, too */
        { "hq:65536", NULL, 0 },
        { "hq:99999999999999999999", NULL, 0 },
        { "hq:-1", NULL, 0 },
        { "hq:+1", NULL, 0 },
        { "hq: 1", NULL, 0 },
        { "hq:7440 ", NULL, 0 },
        { "hq:7440x", NULL, 0 },
        { "hq:0x10", NULL, 0 },
        { "hq:x10", NULL, 0 },
        { "::1:7440", NULL, 0 },
        { "[::1]", NULL, 0 },
        { "[::1:7440", NULL, 0 },
        { "[]:7440", NULL, 0 },
        { "[:7440", NULL, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char host[ADDRESS_SIZE] = "untouched";
        uint16_t port = 9;
        const enum status status = address_parse(rows[i].text, host, sizeof host, &port);

        if ((status == OK) != (rows[i].host != NULL))
            fail_msg("\"%s\" is %s", rows[i].text, status_name(status));
        assert_string_equal(host, rows[i].host != NULL ? rows[i].host : "untouched");
        assert_int_equal(port, rows[i].host != NULL ? rows[i].port : 9);
    }
}

static void test_address_size(void **state)
{
    char text[ADDRESS_SIZE];
    char host[ADDRESS_SIZE];
    uint16_t port;

    (void)state;
    memset(text, 'h', 254);
    memcpy(text + 253, ":7440", 6);
    assert_int_equal(address_parse(text, host, sizeof host, &port), OK);
    assert_int_equal(strlen(host), 253);
    assert_int_equal(address_parse(text, host, 253, &port), TOO_LARGE);
    memset(text, 'h', 254);
    memcpy(text + 254, ":7440", 6);
    assert_int_equal(address_parse(text, host, sizeof host, &port), TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_white_space),
        cmocka_unit_test(test_cut_short),    cmocka_unit_test(test_mistyped),
        cmocka_unit_test(test_alphabet),     cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_content),      cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_secret_hash),  cmocka_unit_test(test_genesis),
        cmocka_unit_test(test_genesis_size), cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_address_size),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
