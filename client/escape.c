/* SPDX-License-Identifier: MPL-2.0 */
/* escape.c - the one gate between other people's data and a terminal or a log.
 * Names come from strangers: what could move the cursor or turn text around is made visible. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>

#include "client/session.h"

/* Controls, bidirectional controls, separators and other characters that show nothing.
 * Joiners (U+200C, U+200D) are part of Persian and Indic names and stay. */
static const struct {
    ucs4_t first;
    ucs4_t last;
} hidden_ranges[] = {
    { 0x0000, 0x001f },  /* C0 */
    { 0x007f, 0x009f },  /* DEL and C1 */
    { 0x061c, 0x061c },  /* Arabic letter mark */
    { 0x200b, 0x200b },  /* zero width space */
    { 0x200e, 0x200f },  /* left-to-right and right-to-left marks */
    { 0x2028, 0x202e },  /* line and paragraph separators, embeddings and overrides */
    { 0x2060, 0x206f },  /* word joiner, isolates, deprecated formats */
    { 0xfeff, 0xfeff },  /* byte order mark */
    { 0xfff9, 0xfffb },  /* interlinear annotation */
    { 0xe0000, 0xe007f } /* tags */
};

static bool is_hidden(ucs4_t character)
{
    for (size_t i = 0; i < sizeof hidden_ranges / sizeof hidden_ranges[0]; i++)
        if (character >= hidden_ranges[i].first && character <= hidden_ranges[i].last)
            return true;
    return false;
}

/* In UTF-16 units, as JSON has them: an escaped JSON text is the same JSON text. */
static void print_hidden(FILE *stream, ucs4_t character)
{
    if (character > 0xffff)
        fprintf(stream, "\\u%04x\\u%04x", 0xd800u + ((character - 0x10000u) >> 10),
                0xdc00u + ((character - 0x10000u) & 0x3ffu));
    else
        fprintf(stream, "\\u%04x", (unsigned)character);
}

void print_escaped(FILE *stream, const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t left = strlen(text);

    while (left > 0) {
        ucs4_t character;
        const int taken = u8_mbtoucr(&character, at, left);

        if (taken < 0) {
            fputs("\xef\xbf\xbd", stream); /* U+FFFD for a byte that is no UTF-8 */
            at++;
            left--;
            continue;
        }
        if (is_hidden(character))
            print_hidden(stream, character);
        else
            (void)fwrite(at, 1, (size_t)taken, stream);
        at += taken;
        left -= (size_t)taken;
    }
}

char *escape_text(const char *text)
{
    char *escaped = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&escaped, &size);

    if (stream == NULL)
        return NULL;
    print_escaped(stream, text);
    if (fclose(stream) != 0) {
        free(escaped);
        return NULL;
    }
    return escaped;
}

char *shell_word(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+,:@%=";
    char *word;
    char *at;

    if (text[0] != '\0' && text[strspn(text, plain)] == '\0')
        return strdup(text);
    if ((word = malloc(4 * strlen(text) + 3)) == NULL)
        return NULL;
    at = word;
    *at++ = '\'';
    for (; *text != '\0'; text++)
        if (*text == '\'')
            at = stpcpy(at, "'\\''");
        else
            *at++ = *text;
    *at++ = '\'';
    *at = '\0';
    return word;
}
