/* SPDX-License-Identifier: MPL-2.0 */
/* import.h - chapterctl's commands for CSV files of members.
 * argv[0] is the command's name; errors have been reported when they return. */
#ifndef CHAPTERCTL_IMPORT_H
#define CHAPTERCTL_IMPORT_H

#include "client/session.h"

/* Reads the file three times at most: to know its keys, to plan and show, and with --apply to
 * send. EXIT_DIFFERENCES if rows were rejected. */
enum exit_code command_import(struct session *session, int argc, char **argv);
enum exit_code command_export(struct session *session, int argc, char **argv);

#endif
