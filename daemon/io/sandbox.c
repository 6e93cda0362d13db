/* SPDX-License-Identifier: MPL-2.0 */
/* sandbox.c - files, by Landlock: the node's directory is its own, the system's directories are
 * only read, and nothing is a program.  System calls are sandbox_calls.c's. */
#include "daemon/io/sandbox_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of later versions than the headers of some systems. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#define VERSION_REFER 2 /* without it nothing can be renamed to another directory */
#define VERSION_TRUNCATE 3

#define READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILES                                                                                  \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |                             \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define CHANGES                                                                                \
    (FILES | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |                     \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REFER)
#define NEVER                                                                                  \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |                               \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                            \
     LANDLOCK_ACCESS_FS_MAKE_SYM)
#define ON_FILES                                                                               \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

/* Names are resolved with what is here: resolv.conf, nsswitch.conf, the C library's modules. */
static const char *const system_places[] = {
    "/bin", "/boot", "/dev", "/etc", "/lib",  "/lib32", "/lib64",
    "/nix", "/proc", "/run", "/sys", "/sbin", "/usr",   "/var/run",
};

struct ruleset {
    int fd;
    uint64_t handled;
};

static void close_ruleset(const struct ruleset *ruleset)
{
    if (ruleset->fd >= 0)
        close(ruleset->fd);
}

static bool ruleset_open(struct ruleset *out)
{
    const long version =
        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset_attr attributes = { .handled_access_fs = READS | CHANGES | NEVER };

    if (version < VERSION_REFER)
        return false;
    if (version < VERSION_TRUNCATE)
        attributes.handled_access_fs &= ~(uint64_t)LANDLOCK_ACCESS_FS_TRUNCATE;
    out->handled = attributes.handled_access_fs;
    out->fd = (int)syscall(SYS_landlock_create_ruleset, &attributes,
                           sizeof attributes.handled_access_fs, 0);
    return out->fd >= 0;
}

/* What is not there needs no rule. */
static void allow(const struct ruleset *ruleset, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = access & ruleset->handled };

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return;
    (void)syscall(SYS_landlock_add_rule, ruleset->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
}

static bool is_systems(const char *path)
{
    for (size_t i = 0; i < sizeof system_places / sizeof system_places[0]; i++)
        if (strcmp(path, system_places[i]) == 0)
            return true;
    return false;
}

/* A backup may go to any disk. */
static void allow_all_but_systems(const struct ruleset *ruleset)
{
    DIR *root = opendir("/");
    const struct dirent *entry;
    char path[sizeof entry->d_name + 1];

    if (root == NULL)
        return;
    while ((entry = readdir(root)) != NULL) {
        (void)snprintf(path, sizeof path, "/%s", entry->d_name);
        if (entry->d_type != DT_REG && entry->d_name[0] != '.' && !is_systems(path))
            allow(ruleset, path, READS | FILES);
    }
    (void)closedir(root);
}

static bool limit_files(const struct sandbox_places *places)
{
    CLEANUP(close_ruleset) struct ruleset ruleset = { -1, 0 };
    char config[PATH_MAX];

    if (!ruleset_open(&ruleset))
        return false;
    for (size_t i = 0; i < sizeof system_places / sizeof system_places[0]; i++)
        allow(&ruleset, system_places[i], READS);
    allow(&ruleset, "/dev/null", ON_FILES);
    allow(&ruleset, places->dir, READS | CHANGES);
    if (places->backup_dir[0] != '\0')
        allow(&ruleset, places->backup_dir, READS | FILES);
    else
        allow_all_but_systems(&ruleset);
    /* Its directory: whoever edits a file may put a new one in its place. */
    if (snprintf(config, sizeof config, "%s", places->config) < (int)sizeof config)
        allow(&ruleset, dirname(config), LANDLOCK_ACCESS_FS_READ_FILE);
    return syscall(SYS_landlock_restrict_self, ruleset.fd, 0) == 0;
}

void sandbox_enter(const struct sandbox_places *places, struct sandbox *out_sandbox)
{
    memset(out_sandbox, 0, sizeof *out_sandbox);
    /* What both need: no program could give back what was taken. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) != 0)
        return;
    out_sandbox->files = limit_files(places);
    out_sandbox->system_calls = sandbox_limit_calls();
}

const char *sandbox_text(const struct sandbox *sandbox)
{
    if (sandbox->system_calls)
        return sandbox->files ? "seccomp, landlock" : "seccomp";
    return sandbox->files ? "landlock" : "none";
}
