/* SPDX-License-Identifier: MPL-2.0 */
/* terminal.c - the terminal's size, and the width of text on it.
 * Widths are the C library's: what it does not know counts as one column. */
#define _XOPEN_SOURCE 700 /* wcwidth */
#include "client/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

static bool terminal_size(struct winsize *out)
{
    return isatty(STDOUT_FILENO) == 1 && ioctl(STDOUT_FILENO, TIOCGWINSZ, out) == 0;
}

size_t terminal_width(void)
{
    struct winsize size;

    return terminal_size(&size) ? size.ws_col : 0;
}

size_t terminal_height(void)
{
    struct winsize size;

    return terminal_size(&size) ? size.ws_row : 0;
}

size_t text_width(const char *text)
{
    size_t left = strlen(text);
    mbstate_t state = { 0 };
    size_t width = 0;

    while (left > 0) {
        wchar_t character;
        const size_t taken = mbrtowc(&character, text, left, &state);
        int columns;

        if (taken == 0 || taken > left) { /* no UTF-8: one byte, one column */
            memset(&state, 0, sizeof state);
            text++;
            left--;
            width++;
            continue;
        }
        columns = wcwidth(character);
        width += columns < 0 ? 1 : (size_t)columns;
        text += taken;
        left -= taken;
    }
    return width;
}

void print_wrapped(const char *first, const char *text)
{
    const size_t width = terminal_width();
    const size_t indent = text_width(first);
    char *escaped = escape_text(text);
    char *rest = escaped;
    size_t column = indent;

    fputs(first, stdout);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        const size_t word_width = text_width(word);

        if (column > indent && width != 0 && column + 1 + word_width > width) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', stdout);
            column++;
        }
        fputs(word, stdout);
        column += word_width;
    }
    fputc('\n', stdout);
    free(escaped);
}
