/* SPDX-License-Identifier: MPL-2.0 */
/* import_text.h - texts as they are compared when a row is matched with a member.
 * Two texts are the same when they are after NFC, trimming and lower-casing. */
#ifndef CHAPTERCTL_IMPORT_TEXT_H
#define CHAPTERCTL_IMPORT_TEXT_H

#include "proto/mp.h"

/* Without white space (of Unicode) at both ends; text must be UTF-8. */
struct slice text_trim(struct slice text);

/* Hashes under a secret of this process, so that no input can aim at collisions.  */
struct text_key {
    uint64_t high;
    uint64_t low;
};
/* Of the bytes. */
struct text_key text_key_of(struct slice text);
/* Of the normalised text; never 0.  False only without memory. */
bool text_key_normalised(struct slice text, uint64_t *out_key) MUST_CHECK;

#endif
