/* SPDX-License-Identifier: MPL-2.0 */
/* csv_encoding.c - encodings as spreadsheets write them (Unicode 3.9 and 3.10, WHATWG Encoding
 * for the index of Windows-1252). */
#include "client/csv_encoding.h"

#include <stdbool.h>
#include <string.h>
#include <unistr.h>

#include "client/temporary.h"

#define BLOCK_SIZE ((size_t)16 * 1024)
#define LOST 0xfffd
#define LOST_BYTE 0x81 /* stands for nothing in Windows-1252: what it is read as */
#define CHARACTER_MAX 4

/* Of 0x80 to 0x9f; 0: nothing. */
static const uint16_t windows_1252[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

const char *csv_encoding_name(enum csv_encoding encoding)
{
    static const char *const names[] = {
        [CSV_UTF8] = "UTF-8",
        [CSV_UTF8_MARKED] = "UTF-8",
        [CSV_UTF16LE] = "UTF-16LE",
        [CSV_WINDOWS_1252] = "Windows-1252",
    };

    return names[encoding];
}

/* --- blocks ------------------------------------------------------------------------------- */

/* A source in blocks; what was not taken of one comes again before the next. */
struct blocks {
    const struct csv_source *source;
    uint64_t offset; /* of what follows data */
    size_t size;
    uint8_t data[BLOCK_SIZE];
};

/* Fills the block behind what is kept of it; *out_end: the source has no more. */
static enum status fill(struct blocks *blocks, bool *out_end)
{
    *out_end = false;
    while (blocks->size < BLOCK_SIZE && !*out_end) {
        const ssize_t got =
            blocks->source->read_at(blocks->source->context, blocks->data + blocks->size,
                                    BLOCK_SIZE - blocks->size, blocks->offset);

        if (got < 0)
            return IO;
        *out_end = got == 0;
        blocks->size += (size_t)got;
        blocks->offset += (uint64_t)got;
    }
    return OK;
}

static void keep_from(struct blocks *blocks, size_t at)
{
    memmove(blocks->data, blocks->data + at, blocks->size - at);
    blocks->size -= at;
}

/* --- finding ------------------------------------------------------------------------------ */

struct tally {
    uint64_t characters; /* of several bytes, well formed */
    uint64_t faults;     /* runs of bytes that are none */
    bool in_fault;
};

static size_t skip_ascii(const uint8_t *data, size_t at, size_t size)
{
    uint64_t word;

    while (size - at >= sizeof word) {
        memcpy(&word, data + at, sizeof word);
        if ((word & 0x8080808080808080u) != 0)
            break;
        at += sizeof word;
    }
    while (at < size && data[at] < 0x80)
        at++;
    return at;
}

/* Counts up to where a character might go on in the next block; returns that place. */
static size_t count(struct tally *tally, const uint8_t *data, size_t size, bool end)
{
    size_t at = 0;

    for (;;) {
        const size_t next = skip_ascii(data, at, size);
        ucs4_t character;
        int step;

        tally->in_fault &= next == at;
        at = next;
        if (at == size || (!end && size - at < CHARACTER_MAX))
            return at;
        step = u8_mbtoucr(&character, data + at, size - at);
        tally->characters += step > 0;
        tally->faults += step <= 0 && !tally->in_fault;
        tally->in_fault = step <= 0;
        at += step > 0 ? (size_t)step : 1;
    }
}

/* By its mark, or since names of columns begin in ASCII. */
static bool is_utf16le(const uint8_t *data, size_t size)
{
    if (size >= 2 && data[0] == 0xff && data[1] == 0xfe)
        return true;
    return size >= 4 && data[0] != 0 && data[1] == 0 && data[2] != 0 && data[3] == 0;
}

enum status csv_encoding_find(const struct csv_source *source, enum csv_encoding *out_encoding)
{
    static const uint8_t mark[] = { 0xef, 0xbb, 0xbf };
    struct blocks blocks = { .source = source };
    struct tally tally = { 0 };
    bool marked = false;
    bool first = true;
    bool end = false;
    enum status status;

    while (!end) {
        if ((status = fill(&blocks, &end)) != OK)
            return status;
        if (first && blocks.size >= 2 && blocks.data[0] == 0xfe && blocks.data[1] == 0xff)
            return UNSUPPORTED;
        if (first && is_utf16le(blocks.data, blocks.size)) {
            *out_encoding = CSV_UTF16LE;
            return OK;
        }
        if (first)
            marked = blocks.size >= sizeof mark && memcmp(blocks.data, mark, sizeof mark) == 0;
        first = false;
        keep_from(&blocks, count(&tally, blocks.data, blocks.size, end));
    }
    /* A fault among characters is a fault of that row; faults alone are another encoding. */
    if (marked)
        *out_encoding = CSV_UTF8_MARKED;
    else
        *out_encoding = tally.faults > tally.characters ? CSV_WINDOWS_1252 : CSV_UTF8;
    return OK;
}

/* --- reading ------------------------------------------------------------------------------ */

static ucs4_t of_windows_1252(uint8_t byte)
{
    if (byte < 0x80 || byte >= 0xa0)
        return byte;
    return windows_1252[byte - 0x80] == 0 ? LOST : windows_1252[byte - 0x80];
}

/* The character there, and its size; half a pair is lost. */
static ucs4_t of_utf16le(const uint8_t *data, size_t size, size_t *out_size)
{
    const unsigned first = size < 2 ? 0xdc00u : (unsigned)(data[0] | data[1] << 8);
    unsigned second;

    *out_size = size < 2 ? size : 2;
    if (first < 0xd800 || first > 0xdfff)
        return first;
    second = size < 4 ? 0 : (unsigned)(data[2] | data[3] << 8);
    if (first > 0xdbff || second < 0xdc00 || second > 0xdfff)
        return LOST;
    *out_size = 4;
    return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
}

/* As much of the block as certainly is whole characters; returns what it took. */
static size_t decode(enum csv_encoding encoding, const uint8_t *data, size_t size, bool end,
                     uint8_t *out, size_t *out_size)
{
    size_t written = 0;
    size_t at = 0;

    while (at < size && (end || encoding != CSV_UTF16LE || size - at >= CHARACTER_MAX)) {
        size_t step = 1;
        const ucs4_t character = encoding == CSV_UTF16LE
                                     ? of_utf16le(data + at, size - at, &step)
                                     : of_windows_1252(data[at]);

        written += (size_t)u8_uctomb(out + written, character, CHARACTER_MAX);
        at += step;
    }
    *out_size = written;
    return at;
}

enum status csv_encoding_decode(const struct csv_source *source, enum csv_encoding encoding,
                                int fd, uint64_t *out_size, bool *out_reading)
{
    struct blocks blocks = { .source = source };
    uint8_t text[CHARACTER_MAX * BLOCK_SIZE];
    uint64_t written = 0;
    bool end = false;
    size_t size;

    while (!end) {
        enum status status = fill(&blocks, &end);

        *out_reading = status != OK;
        if (status == OK) {
            keep_from(&blocks, decode(encoding, blocks.data, blocks.size, end, text, &size));
            status = temporary_write(fd, text, size, written);
        }
        if (status != OK)
            return status;
        written += size;
    }
    *out_size = written;
    return OK;
}

/* --- writing ------------------------------------------------------------------------------ */

void csv_encoding_begin(FILE *stream, enum csv_encoding encoding)
{
    if (encoding == CSV_UTF8_MARKED)
        (void)fputs("\xef\xbb\xbf", stream);
    else if (encoding == CSV_UTF16LE)
        (void)fputs("\xff\xfe", stream);
}

static void put_utf16le(FILE *stream, ucs4_t character)
{
    uint16_t units[2];
    size_t unit_count = 0;

    if (character >= 0x10000) {
        units[unit_count++] = (uint16_t)(0xd800 + ((character - 0x10000) >> 10));
        units[unit_count++] = (uint16_t)(0xdc00 + (character & 0x3ff));
    } else {
        units[unit_count++] = (uint16_t)character;
    }
    for (size_t i = 0; i < unit_count; i++) {
        (void)putc(units[i] & 0xff, stream);
        (void)putc(units[i] >> 8, stream);
    }
}

static int windows_1252_of(ucs4_t character)
{
    if (character == LOST)
        return LOST_BYTE;
    if (character < 0x80 || (character >= 0xa0 && character <= 0xff))
        return (int)character;
    for (int i = 0; i < 32; i++)
        if (windows_1252[i] == character)
            return 0x80 + i;
    return '?';
}

void csv_encoding_write(FILE *stream, enum csv_encoding encoding, struct slice text)
{
    if (encoding == CSV_UTF8 || encoding == CSV_UTF8_MARKED) {
        (void)fwrite(text.data, 1, text.size, stream);
        return;
    }
    while (text.size > 0) {
        ucs4_t character;
        const int step = u8_mbtouc(&character, text.data, text.size);

        if (encoding == CSV_UTF16LE)
            put_utf16le(stream, character);
        else
            (void)putc(windows_1252_of(character), stream);
        text.data += step;
        text.size -= (size_t)step;
    }
}
