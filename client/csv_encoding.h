/* SPDX-License-Identifier: MPL-2.0 */
/* csv_encoding.h - files of other encodings than UTF-8: found, read as UTF-8, written again.
 * UTF-16LE is known by its mark, or by the zeros of an ASCII beginning; what is no UTF-8 and
 * not nearly is Windows-1252. */
#ifndef CHAPTERCTL_CSV_ENCODING_H
#define CHAPTERCTL_CSV_ENCODING_H

#include <stdio.h>

#include "client/csv.h"

enum csv_encoding { CSV_UTF8, CSV_UTF8_MARKED, CSV_UTF16LE, CSV_WINDOWS_1252 };

/* As people and programs read it: "UTF-8", with or without mark. */
const char *csv_encoding_name(enum csv_encoding encoding);
/* Reads all of the source.  UNSUPPORTED for UTF-16BE; IO with errno. */
enum status csv_encoding_find(const struct csv_source *source,
                              enum csv_encoding *out_encoding) MUST_CHECK;
/* All of the source as UTF-8 into a temporary file from its beginning on.  What is no character
 * becomes U+FFFD.  IO or NO_SPACE, with errno; *out_reading says whether the source failed. */
enum status csv_encoding_decode(const struct csv_source *source, enum csv_encoding encoding,
                                int fd, uint64_t *out_size, bool *out_reading) MUST_CHECK;
/* The mark that stands at the beginning of a file, if any. */
void csv_encoding_begin(FILE *stream, enum csv_encoding encoding);
/* text is UTF-8.  What Windows-1252 does not have becomes ?; U+FFFD comes back as itself. */
void csv_encoding_write(FILE *stream, enum csv_encoding encoding, struct slice text);

#endif
