/* SPDX-License-Identifier: MPL-2.0 */
/* fault.h - named points at which a test may let the world fail; a seam of the simulator.
 *
 * fault.c says no everywhere.  It is an object of its own in the library: a program that
 * defines fault_at itself is linked with its own, and the library's stays out. */
#ifndef CHAPTERD_FAULT_H
#define CHAPTERD_FAULT_H

#include <stdbool.h>

/* True: fail here as the world would.  Points:
 * "store.commit.before"  the transaction is dropped, and IO returned
 * "store.commit.full"    the same, and NO_SPACE returned
 * "store.commit.after"   IO is returned, although the transaction is durable
 * "store.compact.before" the copy is thrown away, and IO returned
 * "store.compact.after"  IO is returned, although the copy is in place */
bool fault_at(const char *point);

#endif
