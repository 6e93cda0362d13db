/* SPDX-License-Identifier: MPL-2.0 */
/* import_text.h - texts as they are compared when a row is matched with a member.
 * Two texts are the same when they are after NFC, trimming and lower-casing. */
#ifndef CHAPTERCTL_IMPORT_TEXT_H
#define CHAPTERCTL_IMPORT_TEXT_H

#include "proto/mp.h"

/* Without white space (of Unicode) at both ends; text must be UTF-8. */
struct slice text_trim(struct slice text);

#define TEXT_KEY_SIZE 16
enum text_key_kind { TEXT_KEY_ID, TEXT_KEY_EXTERNAL_ID, TEXT_KEY_EMAIL, TEXT_KEY_PERSON };

/* A hash under a secret of this process, so that no input can aim at collisions: of the bytes
 * of an id or external id, of a normalised e-mail, of a normalised e-mail (which may be empty)
 * and name. second is used for a person alone.  False only without memory. */
bool text_key(enum text_key_kind kind, struct slice first, struct slice second,
              uint8_t out_key[TEXT_KEY_SIZE]) MUST_CHECK;

#endif
