/* SPDX-License-Identifier: MPL-2.0 */
/* suggest.h - "did you mean": the nearest of the known words to one that is unknown.
 * Nearest by Damerau's distance (insert, delete, replace, swap); far ones are none. */
#ifndef CHAPTERCTL_SUGGEST_H
#define CHAPTERCTL_SUGGEST_H

#include <stddef.h>

struct suggestion {
    const char *word;
    const char *best; /* NULL: nothing is near */
    size_t distance;  /* of best */
};

void suggestion_begin(struct suggestion *suggestion, const char *word);
void suggestion_offer(struct suggestion *suggestion, const char *candidate);

#endif
