/* SPDX-License-Identifier: MPL-2.0 */
/* command_explain.c - why a directory could not be opened, and what to do about it.
 * A status says what failed; the rest is found by looking once more. */
#include "chapterd/version.h"
#include "daemon/command.h"
#include "daemon/words.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define QUOTED_SIZE 1024

__attribute__((format(printf, 2, 3))) static void say(struct explanation *explanation,
                                                      const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(explanation->what, sizeof explanation->what, format, arguments);
    va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static void advise(struct explanation *explanation,
                                                         const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(explanation->remedy, sizeof explanation->remedy, format, arguments);
    va_end(arguments);
}

static bool exists(const char *dir, const char *name)
{
    char path[COMMAND_PATH_SIZE];
    const int length = snprintf(path, sizeof path, "%s/%s", dir, name);
    struct stat found;

    return length > 0 && (size_t)length < sizeof path && lstat(path, &found) == 0;
}

static void explain_locked(const char *dir, struct explanation *explanation)
{
    long pid = 0;
    int fd = -1;

    if (directory_lock(dir, &fd, &pid) == LOCKED && pid != 0) {
        say(explanation, "another chapterd, process %ld, uses %s", pid, dir);
        advise(explanation, "talk to it with chapterctl, or stop it: kill %ld", pid);
        return;
    }
    directory_unlock(&fd);
    say(explanation, "another chapterd used %s a moment ago", dir);
    advise(explanation, "try again");
}

static void explain_absent(const char *dir, const char *quoted, struct explanation *explanation)
{
    if (exists(dir, "keys/token")) {
        say(explanation, "the join of %s has not ended", dir);
        advise(explanation, "go on with it: chapterd join --dir %s", quoted);
    } else if (exists(dir, "db") && !exists(dir, "keys/sign")) {
        say(explanation, "%s has a database but no keys", dir);
        advise(explanation,
               "bring %s/keys back from a backup; else at HQ: chapterd recover --dir %s, with"
               " the recovery key; at a chapter: ask HQ for chapterctl chapters rekey",
               quoted, quoted);
    } else {
        say(explanation, "%s %s", dir,
            exists(dir, ".") ? "belongs to no federation yet" : "does not exist");
        advise(explanation,
               "join with the token that HQ sent: chapterd join TOKEN --dir %s; or found a"
               " federation: chapterd init --hq --dir %s",
               quoted, quoted);
    }
}

/* A key file that others may read; false if there is none. */
static bool open_key(const char *dir, char out_name[QUOTED_SIZE])
{
    char path[COMMAND_PATH_SIZE];
    bool found = false;
    const struct dirent *entry;
    struct stat stat;
    DIR *keys;

    if (snprintf(path, sizeof path, "%s/keys", dir) >= (int)sizeof path ||
        (keys = opendir(path)) == NULL)
        return false;
    while (!found && (entry = readdir(keys)) != NULL) {
        found = fstatat(dirfd(keys), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISREG(stat.st_mode) && (stat.st_mode & (S_IRWXG | S_IRWXO)) != 0;
        if (found)
            (void)snprintf(out_name, QUOTED_SIZE, "%s", entry->d_name);
    }
    closedir(keys);
    return found;
}

static bool privileged(const char *listen)
{
    char host[ADDRESS_SIZE];
    uint16_t port;

    return listen[0] != '\0' && address_parse(listen, host, sizeof host, &port) == OK &&
           port < 1024 && geteuid() != 0;
}

static void explain_denied(const char *dir, const char *quoted, const char *listen,
                           struct explanation *explanation)
{
    char name[QUOTED_SIZE];
    struct stat found;

    if (stat(dir, &found) != 0 && errno == ENOENT) {
        say(explanation, "user %u may not make the directory %s", (unsigned)geteuid(), dir);
        advise(explanation, "let root make it: install -d -m 700 -o %u %s", (unsigned)geteuid(),
               quoted);
    } else if (stat(dir, &found) == 0 && found.st_uid != geteuid()) {
        say(explanation, "%s belongs to user %u, and this is user %u", dir,
            (unsigned)found.st_uid, (unsigned)geteuid());
        advise(explanation,
               "run chapterd as that user, or give the directory to this one:"
               " chown -R %u %s",
               (unsigned)geteuid(), quoted);
    } else if (open_key(dir, name)) {
        say(explanation, "others may read the key file %s/keys/%s", dir, name);
        advise(explanation,
               "close it: chmod 600 %s/keys/*; if somebody may have read it, ask HQ"
               " for new keys",
               quoted);
    } else if (privileged(listen)) {
        say(explanation, "only root may listen on %s", listen);
        advise(explanation, "choose a port above 1023: listen = *:7440");
    } else {
        say(explanation, "no permission to use %s", dir);
        advise(explanation,
               "look for what is not this user's: find %s ! -user %u; mend it:"
               " chown -R %u %s",
               quoted, (unsigned)geteuid(), (unsigned)geteuid(), quoted);
    }
}

static void explain_port(const char *listen, struct explanation *explanation)
{
    char host[ADDRESS_SIZE];
    uint16_t port = 0;

    if (address_parse(listen, host, sizeof host, &port) != OK) {
        say(explanation, "an address is in use");
        advise(explanation, "find out by whom: ss -ltnp");
        return;
    }
    say(explanation, "port %u or %u of %s is in use", (unsigned)port, port + 1u, host);
    advise(explanation,
           "find out by whom: ss -ltnp 'sport >= :%u and sport <= :%u'; stop it, or choose"
           " another: listen = HOST:PORT in chapterd.conf",
           (unsigned)port, port + 1u);
}

static void explain_too_long(const char *dir, struct explanation *explanation)
{
    say(explanation,
        "the path of the control socket, %s%s, is longer than the %zu bytes that"
        " this system allows",
        dir, CONTROL_PATH_SUFFIX, sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
    advise(explanation, "move the directory to a shorter path");
}

static void explain_invalid(const char *dir, const char *listen,
                            struct explanation *explanation)
{
    struct identity identity;

    if (identity_load(dir, &identity) == INVALID) {
        say(explanation, "a key file in %s/keys is not as chapterd wrote it", dir);
        advise(explanation, "bring %s/keys back from a backup", dir);
        return;
    }
    identity_wipe(&identity);
    say(explanation, "this machine cannot listen on %s",
        listen[0] != '\0' ? listen : "(nothing)");
    advise(explanation, "use one of its own addresses (ip addr) or *: listen = *:7440 in"
                        " chapterd.conf");
}

void explain_open(const char *dir, const char *listen, enum status status,
                  struct explanation *out_explanation)
{
    char quoted[QUOTED_SIZE];

    (void)words_quote(quoted, sizeof quoted, dir);
    say(out_explanation, "%s: %s", dir, status_text(status));
    advise(out_explanation, "check the disk and the directory: df -h %s; ls -la %s", quoted,
           quoted);
    if (status == LOCKED) {
        explain_locked(dir, out_explanation);
    } else if (status == NOT_FOUND) {
        explain_absent(dir, quoted, out_explanation);
    } else if (status == DENIED) {
        explain_denied(dir, quoted, listen, out_explanation);
    } else if (status == ADDRESS_IN_USE) {
        explain_port(listen, out_explanation);
    } else if (status == TOO_LARGE) {
        explain_too_long(dir, out_explanation);
    } else if (status == INVALID || status == UNREACHABLE) {
        explain_invalid(dir, listen, out_explanation);
    } else if (status == STORE_NEWER) {
        say(out_explanation, "the database in %s was written by a newer chapterd", dir);
        advise(out_explanation, "install that version again; this one is " CHAPTERD_VERSION);
    } else if (status == STORE_DAMAGED) {
        say(out_explanation, "the database in %s is damaged", dir);
        advise(out_explanation,
               "keep a copy of %s, check the disk, and bring the directory back"
               " from the newest backup",
               quoted);
    } else if (status == NO_SPACE) {
        say(out_explanation, "no space left for %s", dir);
        advise(out_explanation, "free some: df -h %s; or raise store_size in chapterd.conf",
               quoted);
    } else if (status == UNSUPPORTED) {
        say(out_explanation, "this libzmq cannot be used: CURVE or ZAP is not enforced");
        advise(out_explanation, "install libzmq 4.3.4 or newer, built with libsodium");
    }
}

int command_fail(const char *dir, enum status status)
{
    struct explanation explanation;

    explain_open(dir, "", status, &explanation);
    command_error("%s", explanation.what);
    command_remedy("%s", explanation.remedy);
    return COMMAND_FAILED;
}
