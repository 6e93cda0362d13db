/* SPDX-License-Identifier: MPL-2.0 */
/* terminal.h - how large standard output's terminal is, and text that fits it.
 * What is no terminal has no size: nothing is cut or wrapped there. */
#ifndef CHAPTERCTL_TERMINAL_H
#define CHAPTERCTL_TERMINAL_H

#include "client/session.h"

/* From now on the terminal is that of this descriptor: standard output is gathered for it. */
void terminal_use(int descriptor);
/* Columns and lines of the terminal on standard output; 0 if it is none. */
size_t terminal_width(void);
size_t terminal_height(void);

/* Columns that text takes on a terminal: wide characters two, combining ones none. */
size_t text_width(const char *text);

/* Text of at most width columns (at least 1): what is too long ends in an ellipsis, never
 * inside a character.  Heap of the caller; NULL only without memory. */
char *text_cut(const char *text, size_t width);

/* Text between blanks, escaped, in lines that begin with first and then with as many blanks,
 * wrapped at the terminal's width; on no terminal one line. */
void print_wrapped(const char *first, const char *text);
/* The same for people on standard error, at its terminal's width. */
void print_wrapped_error(const char *first, const char *text);

#endif
