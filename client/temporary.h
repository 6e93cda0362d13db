/* SPDX-License-Identifier: MPL-2.0 */
/* temporary.h - files without a name, for what may be more than memory should hold: gone when
 * they are closed, or the program ends in whatever way.  They hold personal data: 0600. */
#ifndef CHAPTERCTL_TEMPORARY_H
#define CHAPTERCTL_TEMPORARY_H

#include <stddef.h>
#include <stdint.h>

#include "chapterd/status.h"

/* Where they are: $TMPDIR, else /var/tmp. */
const char *temporary_directory(void);
/* NO_SPACE or IO, with errno, as the others.  The caller closes it. */
enum status temporary_open(int *out_fd) MUST_CHECK;
enum status temporary_write(int fd, const void *data, size_t size, uint64_t offset) MUST_CHECK;
/* All of the bytes: they have been written before. */
enum status temporary_read(int fd, void *out_data, size_t size, uint64_t offset) MUST_CHECK;

#endif
