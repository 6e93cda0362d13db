/* SPDX-License-Identifier: MPL-2.0 */
/* words.h - texts between strangers, operators and files: escaped for a terminal or a log,
 * safe as a name, quoted for a shell, and "did you mean". */
#ifndef CHAPTERD_WORDS_H
#define CHAPTERD_WORDS_H

#include "proto/mp.h"

/* Escapes control, C1, bidirectional and other formless characters as \uXXXX and bytes that
 * are no UTF-8 as U+FFFD; `also` are ASCII characters that get a backslash before
 * them.  What does not fit whole into out_size is left out; out is always
 * terminated.  Returns its length. */
size_t words_escape(char *out, size_t out_size, struct slice text, const char *also);
/* UTF-8 of 1 to size_max - 1 bytes, none of which words_escape would change, no space at an
 * end. */
bool words_name_valid(const char *text, size_t size_max);
/* The name that word was probably meant to be; NULL if none is near. */
const char *words_nearest(const char *word, const char *const *names, size_t count);
/* As one word of a shell's command line, quoted only where it must be; what does not fit is
 * left out.  It still needs words_escape before a terminal sees it. */
const char *words_quote(char *out, size_t out_size, const char *text);

#endif
