/* SPDX-License-Identifier: MPL-2.0 */
/* command_restore.c - `chapterd restore FILE --dir DIR`: a node's directory from a backup.
 * What the restored chapter does next is core/epoch.h's business: it recovers by itself. */
#include "daemon/command.h"
#include "daemon/io/backup.h"
#include "daemon/words.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUOTED_SIZE (2 * COMMAND_PATH_SIZE)

static int explain_file(const char *file, enum status status)
{
    if (status == INVALID || status == STORE_DAMAGED) {
        command_error("%s is no backup of chapterd, or not a whole one", file);
        command_remedy("take another one; chapterctl backup FILE makes them");
    } else if (status == UNSUPPORTED || status == STORE_NEWER) {
        command_error("%s is a backup of another version of chapterd", file);
        command_remedy("restore it with the version that made it");
    } else if (status == NOT_FOUND) {
        command_error("there is no file %s", file);
        command_remedy("check its name: ls -l");
    } else {
        command_error("%s cannot be read: %s", file, status_text(status));
        command_remedy("check that this user may read it, and the disk");
    }
    return COMMAND_FAILED;
}

static bool is_of_file(enum status status)
{
    return status == INVALID || status == STORE_DAMAGED || status == UNSUPPORTED ||
           status == STORE_NEWER;
}

static int explain_directory(const char *dir, enum status status)
{
    char quoted[QUOTED_SIZE];

    (void)words_quote(quoted, sizeof quoted, dir);
    if (status == LOCKED) {
        command_error("a daemon runs in %s", dir);
        command_remedy("stop it first");
    } else if (status == EXISTS) {
        command_error("%s has keys or a database already: nothing is overwritten", dir);
        command_remedy("move it away, and keep it until all is well: mv %s %s.before", quoted,
                       quoted);
    } else {
        return command_fail(dir, status);
    }
    return COMMAND_FAILED;
}

static void say(const char *dir, const struct backup_header *header)
{
    char quoted[QUOTED_SIZE];
    char when[32] = "";
    const time_t created = (time_t)header->created;
    struct tm parts;

    (void)words_quote(quoted, sizeof quoted, dir);
    if (gmtime_r(&created, &parts) != NULL)
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &parts);
    command_print("%s is %s again, as it was on %s.", dir, header->code, when);
    command_print("%s", "");
    command_print(
        "What was written since comes back from the other nodes: until HQ has opened a");
    command_print("new epoch, it can be looked at, but nothing is written here.");
    if (strcmp(header->code, "hq") == 0)
        command_print("This is HQ: see chapterctl status for what it needs then.");
    command_print("%s", "");
    command_print("Next:");
    command_print("  chapterd run --dir %s", quoted);
}

int command_restore(int argc, char **argv)
{
    const char *dir = NULL;
    const char *file = NULL;
    const struct command_option options[] = { { "--dir", &dir, NULL } };
    const struct command_line line = { options, sizeof options / sizeof options[0], &file };
    CLEANUP(directory_unlock) int lock = -1;
    struct backup_header header;
    char buffer[COMMAND_PATH_SIZE];
    long pid = 0;
    enum status status;
    int code;

    if (!command_parse(&line, argc, argv, &code))
        return code;
    if (file == NULL) {
        command_error("restore needs the backup's file");
        command_remedy("chapterd restore FILE --dir DIR");
        return COMMAND_USAGE;
    }
    if ((dir = command_directory(dir, buffer)) == NULL)
        return COMMAND_USAGE;
    command_harden(false);
    if ((status = backup_check(file, &header)) != OK)
        return explain_file(file, status);
    status = directory_lock(dir, &lock, &pid);
    if (status == OK || status == NOT_FOUND)
        status = backup_restore(file, dir);
    if (is_of_file(status))
        return explain_file(file, status);
    if (status != OK)
        return explain_directory(dir, status);
    say(dir, &header);
    return command_flush() ? COMMAND_OK : COMMAND_FAILED;
}
