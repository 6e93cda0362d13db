/* SPDX-License-Identifier: MPL-2.0 */
/* import_pages.h - all members of the node's own chapter, private fields included.
 * Shared by import and export. */
#ifndef CHAPTERCTL_IMPORT_PAGES_H
#define CHAPTERCTL_IMPORT_PAGES_H

#include "client/session.h"

/* The own chapter's code. */
enum exit_code own_chapter(struct session *session, char out_code[CODE_SIZE]) MUST_CHECK;

/* Called for each member's object; anything but EXIT_OK, which it has reported, ends the
 * walk. */
typedef enum exit_code member_visit(void *context, const json_t *member);
/* A member that is changed meanwhile may come twice.  Failures have been reported. */
enum exit_code own_members(struct session *session, const char *code, const char *label,
                           member_visit *visit, void *context) MUST_CHECK;

#endif
