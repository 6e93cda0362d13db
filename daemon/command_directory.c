/* SPDX-License-Identifier: MPL-2.0 */
/* command_directory.c - DIR as the commands see it: where it is, whose it is, what joining
 * leaves in it, and under which address the others will know it. */
#include "daemon/command.h"
#include "daemon/settings.h"
#include "daemon/words.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define SYSTEM_DIRECTORY "/var/lib/chapterd"
#define PENDING_NAME "keys/token"

const char *command_directory(const char *given, char buffer[COMMAND_PATH_SIZE])
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int length;

    if (given != NULL)
        length = snprintf(buffer, COMMAND_PATH_SIZE, "%s", given);
    else if (geteuid() == 0)
        length = snprintf(buffer, COMMAND_PATH_SIZE, "%s", SYSTEM_DIRECTORY);
    else if (state != NULL && state[0] == '/')
        length = snprintf(buffer, COMMAND_PATH_SIZE, "%s/chapterd", state);
    else if (home != NULL && home[0] == '/')
        length = snprintf(buffer, COMMAND_PATH_SIZE, "%s/.local/state/chapterd", home);
    else
        length = 0;
    if (length > 0 && length < COMMAND_PATH_SIZE)
        return buffer;
    command_error("no usable directory is named, neither by --dir nor by HOME");
    command_remedy("name one: --dir DIR");
    return NULL;
}

bool command_socket_fits(const char *dir)
{
    const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    const size_t size = strlen(dir) + strlen(CONTROL_PATH_SUFFIX);

    if (size <= most)
        return true;
    command_error("the path of the control socket, %s%s, has %zu bytes; this system allows %zu",
                  dir, CONTROL_PATH_SUFFIX, size, most);
    command_remedy("choose a directory with a shorter path: --dir DIR");
    return false;
}

/* --- membership --------------------------------------------------------------------------- */

static enum status get_text(struct store_txn *txn, const char *name, char *out, size_t size)
{
    struct slice value;
    const enum status status = store_get_meta(txn, name, &value);

    if (status == NOT_FOUND)
        out[0] = '\0';
    if (status != OK)
        return status == NOT_FOUND ? OK : status;
    return slice_copy_text(value, out, size) ? OK : STORE_DAMAGED;
}

static enum status get_membership(struct store_txn *txn, struct membership *membership)
{
    struct slice value;
    enum status status;

    if ((status = store_get_meta(txn, META_GENESIS, &value)) != OK)
        return status;
    if (value.size > sizeof membership->genesis)
        return STORE_DAMAGED;
    memcpy(membership->genesis, value.data, value.size);
    membership->genesis_size = value.size;
    if ((status = store_get_meta(txn, META_HQ_CURVE, &value)) != OK)
        return status == NOT_FOUND ? STORE_DAMAGED : status;
    if (value.size != KEY_SIZE)
        return STORE_DAMAGED;
    memcpy(membership->hq_curve, value.data, KEY_SIZE);
    if ((status = get_text(txn, META_CODE, membership->code, CODE_SIZE)) != OK ||
        (status = get_text(txn, META_HQ_ADDRESS, membership->hq_address, ADDRESS_SIZE)) != OK ||
        (status = get_text(txn, META_LISTEN, membership->listen, ADDRESS_SIZE)) != OK ||
        (status = get_text(txn, META_ADVERTISE, membership->advertise, ADDRESS_SIZE)) != OK ||
        (status = store_get_meta_uint(txn, META_FLOOR_EPOCH, &membership->floor_epoch)) != OK)
        return status;
    return store_get_meta_uint(txn, META_FLOOR_SEQ, &membership->floor_seq);
}

enum status membership_load(const char *dir, struct membership *out_membership)
{
    CLEANUP(store_close) struct store *store = NULL;
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct membership membership;
    enum status status;

    memset(&membership, 0, sizeof membership);
    if ((status = store_open(dir, STORE_SIZE_DEFAULT, &store)) != OK ||
        (status = store_begin_read(store, &txn)) != OK ||
        (status = get_membership(&txn, &membership)) != OK)
        return status;
    *out_membership = membership;
    return OK;
}

static enum status put_text(struct store_txn *txn, const char *name, const char *text)
{
    return store_put_meta(txn, name, slice_of_text(text));
}

static enum status put_membership(struct store_txn *txn, const struct membership *membership)
{
    enum status status;

    if ((status = store_put_meta(txn, META_GENESIS,
                                 slice_of(membership->genesis, membership->genesis_size))) !=
            OK ||
        (status = store_put_meta(txn, META_HQ_CURVE,
                                 slice_of(membership->hq_curve, KEY_SIZE))) != OK ||
        (status = put_text(txn, META_CODE, membership->code)) != OK ||
        (status = put_text(txn, META_HQ_ADDRESS, membership->hq_address)) != OK ||
        (status = put_text(txn, META_LISTEN, membership->listen)) != OK ||
        (status = put_text(txn, META_ADVERTISE, membership->advertise)) != OK ||
        (status = store_put_meta_uint(txn, META_FLOOR_EPOCH, membership->floor_epoch)) != OK)
        return status;
    return store_put_meta_uint(txn, META_FLOOR_SEQ, membership->floor_seq);
}

enum status membership_store(const char *dir, const struct membership *membership)
{
    CLEANUP(store_close) struct store *store = NULL;
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    enum status status = store_create(dir);

    if (status != OK && status != EXISTS)
        return status;
    if ((status = store_open(dir, STORE_SIZE_DEFAULT, &store)) != OK ||
        (status = store_begin_write(store, &txn)) != OK ||
        (status = put_membership(&txn, membership)) != OK)
        return status;
    return store_commit_turn(&txn);
}

enum status directory_look(const char *dir, int *lock, struct membership *out_membership)
{
    long pid = 0;
    const enum status status = directory_lock(dir, lock, &pid);

    return status != OK ? status : membership_load(dir, out_membership);
}

enum status directory_keys(const char *dir, int *lock, struct identity *out_identity)
{
    CLEANUP(identity_wipe) struct identity identity = { 0 };
    struct membership membership;
    long pid = 0;
    enum status status = identity_create(dir, &identity);

    if (status == EXISTS)
        status = identity_load(dir, &identity);
    /* Somebody else may have made DIR, and finished, since it was looked at. */
    if (status == OK && *lock < 0 && (status = directory_lock(dir, lock, &pid)) == OK &&
        membership_load(dir, &membership) != NOT_FOUND)
        status = LOCKED;
    if (status == OK)
        *out_identity = identity;
    return status;
}

void membership_fingerprint(const struct membership *membership,
                            char out_text[FINGERPRINT_SIZE])
{
    uint8_t federation[HASH_SIZE];
    char *at = out_text;

    genesis_federation(slice_of(membership->genesis, membership->genesis_size), federation);
    for (size_t i = 0; i < HASH_SIZE; i += 2) {
        if (i != 0)
            *at++ = ' ';
        hex_format(federation + i, 2, at);
        at += 4;
    }
}

/* --- a join under way --------------------------------------------------------------------- */

static enum status pending_path(const char *dir, char out_path[COMMAND_PATH_SIZE])
{
    const int length = snprintf(out_path, COMMAND_PATH_SIZE, "%s/" PENDING_NAME, dir);

    return length > 0 && length < COMMAND_PATH_SIZE ? OK : TOO_LARGE;
}

static void close_file(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

enum status pending_load(const char *dir, char out_text[TOKEN_SIZE_MAX])
{
    CLEANUP(close_file) int fd = -1;
    char path[COMMAND_PATH_SIZE];
    enum status status = pending_path(dir, path);
    ssize_t size;

    if (status != OK)
        return status;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return status_of_errno(errno);
    if ((size = read(fd, out_text, TOKEN_SIZE_MAX - 1)) < 0)
        return status_of_errno(errno);
    out_text[size] = '\0';
    return OK;
}

enum status pending_store(const char *dir, const char *text)
{
    char path[COMMAND_PATH_SIZE];
    const enum status status = pending_path(dir, path);

    return status != OK ? status : file_write_safely(path, 0600, slice_of_text(text));
}

/* What stays when this fails does no harm: the token is used by our own keys. */
void pending_remove(const char *dir)
{
    char path[COMMAND_PATH_SIZE];

    if (pending_path(dir, path) == OK)
        (void)unlink(path);
}

/* --- addresses ---------------------------------------------------------------------------- */

static bool is_wildcard(const char *host)
{
    return strcmp(host, "*") == 0 || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* Which host the others are told; false after a message. */
static bool choose_host(const char *listen_host, const char *advertise,
                        char out_host[ADDRESS_SIZE])
{
    int length;

    if (advertise != NULL) {
        length = snprintf(out_host, ADDRESS_SIZE, "%s", advertise);
        if (length > 0 && length < ADDRESS_SIZE && host_valid(out_host))
            return true;
        command_error("--advertise %s is no host", advertise);
        command_remedy("give a name or an address alone; the port is that of --listen");
        return false;
    }
    if (!is_wildcard(listen_host)) {
        memcpy(out_host, listen_host, strlen(listen_host) + 1);
        return true;
    }
    out_host[ADDRESS_SIZE - 1] = '\0';
    if (gethostname(out_host, ADDRESS_SIZE - 1) != 0 || !host_valid(out_host)) {
        command_error("this machine has no host name that others could dial");
        command_remedy("say under which name or address they reach it: --advertise HOST");
        return false;
    }
    command_note("others are told to dial this machine as %s; if they reach it by another name,"
                 " use --advertise HOST",
                 out_host);
    return true;
}

bool command_addresses(const char *listen, const char *advertise, struct membership *membership)
{
    char listen_host[ADDRESS_SIZE];
    char host[ADDRESS_SIZE];
    uint16_t port;
    int length;

    if (listen == NULL && advertise != NULL) {
        command_error("--advertise says where others dial, but without --listen nobody can");
        command_remedy("add --listen HOST:PORT, or leave --advertise out");
        return false;
    }
    if (listen == NULL) {
        membership->listen[0] = '\0';
        membership->advertise[0] = '\0';
        return true;
    }
    if (strlen(listen) >= ADDRESS_SIZE ||
        address_parse(listen, listen_host, sizeof listen_host, &port) != OK ||
        (!is_wildcard(listen_host) && !host_valid(listen_host))) {
        command_error("--listen %.300s is not HOST:PORT", listen);
        command_remedy("give a port of 1 to 65534; the next one is used, too. Such as"
                       " --listen '*:7440', 192.0.2.1:7440 or [2001:db8::1]:7440");
        return false;
    }
    if (!choose_host(listen_host, advertise, host))
        return false;
    length = snprintf(membership->advertise, ADDRESS_SIZE,
                      strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
    if (length < 0 || length >= ADDRESS_SIZE) {
        command_error("the name %.64s... is too long", host);
        command_remedy("choose a shorter one: --advertise HOST");
        return false;
    }
    memcpy(membership->listen, listen, strlen(listen) + 1);
    return true;
}
