/* SPDX-License-Identifier: MPL-2.0 */
/* import_pages.h - all members of the node's own chapter, private fields included.
 * Shared by import and export. */
#ifndef CHAPTERCTL_IMPORT_PAGES_H
#define CHAPTERCTL_IMPORT_PAGES_H

#include "client/session.h"

struct own_chapter {
    char code[CODE_SIZE];
    uint64_t members; /* so many there were */
    uint64_t seq;
    bool erased_unknown; /* who came after the restored copy was made, and was erased */
};
enum exit_code own_chapter(struct session *session, struct own_chapter *out_own) MUST_CHECK;

/* Called for each member's map; anything but EXIT_OK, which it has reported, ends the walk. */
typedef enum exit_code member_visit(void *context, struct slice member);
/* By ascending seq; a member that is changed meanwhile may come twice.  Failures have been
 * reported, but for EXIT_FAILED where interrupted() says why. */
enum exit_code own_members(struct session *session, const struct own_chapter *own,
                           const char *label, member_visit *visit, void *context) MUST_CHECK;
/* The daemon said what this version does not expect. */
enum exit_code pages_malformed(struct session *session);

#endif
