/* SPDX-License-Identifier: MPL-2.0 */
/* suggest.c - distances between words, for "did you mean".
 * Optimal string alignment: Damerau's distance in which no part is edited twice. */
#include "client/suggest.h"

#include <string.h>

#define WORD_MAX 32

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance_of(const char *a, const char *b)
{
    const size_t a_size = strlen(a);
    const size_t b_size = strlen(b);
    size_t rows[WORD_MAX + 1][WORD_MAX + 1];

    if (a_size > WORD_MAX || b_size > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        rows[i][0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            const size_t replaced = rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);

            rows[i][j] = least(replaced, 1 + least(rows[i - 1][j], rows[i][j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                rows[i][j] = least(rows[i][j], rows[i - 2][j - 2] + 1);
        }
    }
    return rows[a_size][b_size];
}

void suggestion_begin(struct suggestion *suggestion, const char *word)
{
    suggestion->word = word;
    suggestion->best = NULL;
    /* what is this far is no likeness: one slip in three letters, two in four, three in six */
    suggestion->distance = least(strlen(word) / 2, 3) + 1;
}

void suggestion_offer(struct suggestion *suggestion, const char *candidate)
{
    const size_t distance = distance_of(suggestion->word, candidate);

    if (distance < suggestion->distance && distance < strlen(candidate)) {
        suggestion->distance = distance;
        suggestion->best = candidate;
    }
}
