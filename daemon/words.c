/* SPDX-License-Identifier: MPL-2.0 */
/* words.c - escaping, names, "did you mean": names come from strangers, and a character that
 * moves the cursor or turns text around must not reach a terminal or a log. */
#include "daemon/words.h"

#include <stdio.h>
#include <string.h>
#include <unistr.h>

#define WORD_SIZE_MAX 64

/* Joiners (U+200C, U+200D) are part of Persian and Indic names and stay. */
static const struct {
    ucs4_t first;
    ucs4_t last;
} hidden_ranges[] = {
    { 0x0000, 0x001f },  { 0x007f, 0x009f }, /* C0, DEL and C1 */
    { 0x061c, 0x061c },  { 0x200b, 0x200b }, /* Arabic letter mark, zero width space */
    { 0x200e, 0x200f },  { 0x2028, 0x202e }, /* marks, separators, embeddings and overrides */
    { 0x2060, 0x206f },  { 0xfeff, 0xfeff }, /* isolates, deprecated formats, byte order mark */
    { 0xfff9, 0xfffb },                      /* interlinear annotation */
    { 0xe0000, 0xe007f }                     /* tags */
};

static bool is_hidden(ucs4_t character)
{
    for (size_t i = 0; i < sizeof hidden_ranges / sizeof hidden_ranges[0]; i++)
        if (character >= hidden_ranges[i].first && character <= hidden_ranges[i].last)
            return true;
    return false;
}

/* In UTF-16 units, as JSON has them.  Returns the piece's length. */
static size_t format_hidden(char out[16], ucs4_t character)
{
    const int length =
        character > 0xffff
            ? snprintf(out, 16, "\\u%04x\\u%04x", 0xd800u + ((character - 0x10000u) >> 10),
                       0xdc00u + ((character - 0x10000u) & 0x3ffu))
            : snprintf(out, 16, "\\u%04x", (unsigned)character);

    ASSERT(length > 0 && length < 16);
    return (size_t)length;
}

size_t words_escape(char *out, size_t out_size, struct slice text, const char *also)
{
    const uint8_t *at = text.data;
    size_t left = text.size;
    size_t size = 0;

    ASSERT(out_size > 0);
    while (left > 0) {
        char piece[16];
        size_t piece_size;
        ucs4_t character;
        int taken = u8_mbtoucr(&character, at, left);

        if (taken < 0) {
            memcpy(piece, "\xef\xbf\xbd", piece_size = 3);
            taken = 1;
        } else if (is_hidden(character)) {
            piece_size = format_hidden(piece, character);
        } else if (taken == 1 && strchr(also, (int)*at) != NULL) {
            piece[0] = '\\';
            piece[1] = (char)*at;
            piece_size = 2;
        } else {
            memcpy(piece, at, piece_size = (size_t)taken);
        }
        if (size + piece_size >= out_size)
            break;
        memcpy(out + size, piece, piece_size);
        size += piece_size;
        at += taken;
        left -= (size_t)taken;
    }
    out[size] = '\0';
    return size;
}

bool words_name_valid(const char *text, size_t size_max)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t left = strlen(text);

    if (left == 0 || left >= size_max || text[0] == ' ' || text[left - 1] == ' ')
        return false;
    while (left > 0) {
        ucs4_t character;
        const int taken = u8_mbtoucr(&character, at, left);

        if (taken < 0 || is_hidden(character))
            return false;
        at += taken;
        left -= (size_t)taken;
    }
    return true;
}

/* Levenshtein's distance; words longer than any name are far from all of them. */
static size_t distance(const char *a, const char *b)
{
    const size_t a_size = strlen(a);
    const size_t b_size = strlen(b);
    size_t row[WORD_SIZE_MAX + 1];

    if (a_size > WORD_SIZE_MAX || b_size > WORD_SIZE_MAX)
        return WORD_SIZE_MAX;
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_size];
}

const char *words_nearest(const char *word, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t least = strlen(word) / 3 + 2; /* one more than what still passes for a slip */

    for (size_t i = 0; i < count; i++) {
        const size_t found = distance(word, names[i]);

        if (found < least && found < strlen(names[i])) {
            least = found;
            nearest = names[i];
        }
    }
    return nearest;
}

static bool is_plain(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+,:@%=";

    return text[0] != '\0' && strspn(text, plain) == strlen(text);
}

const char *words_quote(char *out, size_t out_size, const char *text)
{
    size_t size;

    ASSERT(out_size > 3);
    if (is_plain(text)) {
        (void)snprintf(out, out_size, "%s", text);
        return out;
    }
    out[0] = '\'';
    size = 1;
    for (; *text != '\0'; text++) {
        const char *piece = *text == '\'' ? "'\\''" : (const char[]){ *text, '\0' };

        if (size + strlen(piece) + 2 > out_size)
            break;
        memcpy(out + size, piece, strlen(piece));
        size += strlen(piece);
    }
    out[size++] = '\'';
    out[size] = '\0';
    return out;
}
