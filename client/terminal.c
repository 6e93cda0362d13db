/* SPDX-License-Identifier: MPL-2.0 */
/* terminal.c - the terminal's size, and the width of text on it.
 * Widths are the C library's: what it does not know counts as one column. */
#define _XOPEN_SOURCE 700 /* wcwidth */
#include "client/terminal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

static int terminal = STDOUT_FILENO;

void terminal_use(int descriptor)
{
    terminal = descriptor;
}

static size_t width_of(int descriptor)
{
    struct winsize size;

    return isatty(descriptor) == 1 && ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col
                                                                                : 0;
}

size_t terminal_width(void)
{
    return width_of(terminal);
}

size_t terminal_height(void)
{
    struct winsize size;

    return isatty(terminal) == 1 && ioctl(terminal, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

/* Bytes of the character at text, which is not empty, and the columns that it takes. */
static size_t next_character(const char *text, size_t *out_columns)
{
    const size_t left = strnlen(text, MB_LEN_MAX);
    mbstate_t state = { 0 };
    wchar_t character;
    const size_t taken = mbrtowc(&character, text, left, &state);
    int columns;

    *out_columns = 1;
    if (taken == 0 || taken > left) /* no UTF-8: one byte, one column */
        return 1;
    columns = wcwidth(character);
    if (columns >= 0)
        *out_columns = (size_t)columns;
    return taken;
}

size_t text_width(const char *text)
{
    size_t width = 0;

    while (*text != '\0') {
        size_t columns;

        text += next_character(text, &columns);
        width += columns;
    }
    return width;
}

char *text_cut(const char *text, size_t width)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    size_t used = 0;
    size_t kept = 0;
    char *cut;

    if (text_width(text) <= width)
        return strdup(text);
    while (text[kept] != '\0') {
        size_t columns;
        const size_t taken = next_character(text + kept, &columns);

        if (used + columns > width - 1)
            break;
        used += columns;
        kept += taken;
    }
    if ((cut = malloc(kept + sizeof ellipsis)) == NULL)
        return NULL;
    memcpy(cut, text, kept);
    memcpy(cut + kept, ellipsis, sizeof ellipsis);
    return cut;
}

/* width 0: one line */
static void put_wrapped(FILE *stream, size_t width, const char *first, const char *text)
{
    size_t indent = text_width(first);
    char *escaped = escape_text(text);
    char *rest = escaped;
    size_t column;

    print_escaped(stream, first);
    for (; rest != NULL && *rest == ' '; rest++, indent++)
        fputc(' ', stream);
    column = indent;
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        const size_t word_width = text_width(word);

        if (column > indent && width != 0 && column + 1 + word_width > width) {
            fprintf(stream, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', stream);
            column++;
        }
        fputs(word, stream);
        column += word_width;
    }
    fputc('\n', stream);
    free(escaped);
}

void print_wrapped(const char *first, const char *text)
{
    put_wrapped(stdout, terminal_width(), first, text);
}

void print_wrapped_error(const char *first, const char *text)
{
    put_wrapped(stderr, width_of(STDERR_FILENO), first, text);
}
