/* SPDX-License-Identifier: MPL-2.0 */
/* fault.c - outside of tests nothing fails on purpose.
 * Kept apart from all other code, so that a test can bring its own. */
#include "daemon/io/fault.h"

bool fault_at(const char *point)
{
    (void)point;
    return false;
}
