/* SPDX-License-Identifier: MPL-2.0 */
/* csv_write.c - cells as CSV: quoted after RFC 4180, and nothing that a spreadsheet would run.
 * What is written here, csv_read.c and csv_restore give back byte for byte. */
#include <string.h>

#include "client/csv.h"

/* Marks count too: otherwise a text that really begins with '= would come back as = alone. */
static bool needs_mark(struct slice text)
{
    static const char begins[] = { '=', '+', '-', '@', '\t', '\r' };
    size_t at = 0;

    while (at < text.size && text.data[at] == '\'')
        at++;
    return at < text.size && memchr(begins, text.data[at], sizeof begins) != NULL;
}

struct slice csv_restore(struct slice cell)
{
    if (cell.size > 1 && cell.data[0] == '\'' && needs_mark(cell))
        return slice_of(cell.data + 1, cell.size - 1);
    return cell;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

/* At the beginning of a file it would be that of the file, and no text. */
static bool has_byte_order_mark(struct slice text)
{
    return text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0;
}

static bool needs_quotes(char separator, struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == (uint8_t)separator || text.data[i] == '"' || text.data[i] == '\r' ||
            text.data[i] == '\n')
            return true;
    return has_byte_order_mark(text) ||
           (text.size > 0 && (is_blank(text.data[0]) || is_blank(text.data[text.size - 1])));
}

void csv_write_cell(FILE *stream, char separator, struct slice text)
{
    const bool quoted = needs_quotes(separator, text);

    if (quoted)
        (void)putc('"', stream);
    if (needs_mark(text))
        (void)putc('\'', stream);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"')
            (void)putc('"', stream);
        (void)putc(text.data[i], stream);
    }
    if (quoted)
        (void)putc('"', stream);
}
