/* SPDX-License-Identifier: MPL-2.0 */
/* watch.h - the same command again and again (-w): on a terminal one screenful that is drawn
 * over the last one, elsewhere one output after the other. */
#ifndef CHAPTERCTL_WATCH_H
#define CHAPTERCTL_WATCH_H

#include "client/commands.h"

typedef enum exit_code watch_run(const struct options *options, const struct command *command,
                                 int argc, char **argv);

/* Until the output can't be written or the command is used wrongly; argv is the command's. */
enum exit_code watch(const struct options *options, const struct command *command, int argc,
                     char **argv, watch_run *run);

#endif
