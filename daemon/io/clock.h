/* SPDX-License-Identifier: MPL-2.0 */
/* clock.h - the two clocks, a seam of the simulator.  Wall time decides nothing in the
 * protocol. */
#ifndef CHAPTERD_CLOCK_H
#define CHAPTERD_CLOCK_H

#include <stdint.h>

int64_t clock_monotonic_ms(void); /* never goes back; its zero means nothing */
int64_t clock_wall_ms(void);      /* since 1970, UTC */

#endif
