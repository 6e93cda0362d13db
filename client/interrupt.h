/* SPDX-License-Identifier: MPL-2.0 */
/* interrupt.h - Ctrl-C and SIGTERM during work that should say how far it came.
 * The first one asks the work to end; a second one ends the program at once. */
#ifndef CHAPTERCTL_INTERRUPT_H
#define CHAPTERCTL_INTERRUPT_H

#include <stdbool.h>

/* From now on, until interrupt_release. */
void interrupt_catch(void);
void interrupt_release(void);
/* Has one come since? */
bool interrupted(void);

#endif
