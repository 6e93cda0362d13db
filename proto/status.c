/* SPDX-License-Identifier: MPL-2.0 */
/* status.c - the world's failures in words, and the end of our own bugs. */
#include "chapterd/status.h"

#include <stdio.h>
#include <stdlib.h>

#define STATUS_TEXT(name, text) text,
#define STATUS_NAME(name, text) #name,
static const char *const texts[] = { STATUS_TABLE(STATUS_TEXT) };
static const char *const names[] = { STATUS_TABLE(STATUS_NAME) };

const char *status_text(enum status status)
{
    return (unsigned)status < STATUS_COUNT ? texts[status] : "unknown failure";
}

const char *status_name(enum status status)
{
    return (unsigned)status < STATUS_COUNT ? names[status] : "UNKNOWN";
}

_Noreturn void status_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "bug: %s does not hold at %s:%d; please report it\n", condition, file,
            line);
    abort();
}
