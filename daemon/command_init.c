/* SPDX-License-Identifier: MPL-2.0 */
/* command_init.c - `chapterd init --hq`: keys, a genesis, and a directory for a headquarters.
 * HQ's own place in the roster is written by its first start, as any other change of HQ's. */
#include "daemon/command.h"
#include "daemon/words.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define NAME_DEFAULT "Federation"
#define LISTEN_DEFAULT "*:7440"
#define QUOTED_SIZE (2 * COMMAND_PATH_SIZE)

struct init_options {
    bool hq;
    const char *dir;
    const char *name;
    const char *listen;
    const char *advertise;
};

static bool check_options(const struct init_options *options, struct membership *membership)
{
    if (!options->hq) {
        command_error("init makes a headquarters, and wants to be told so");
        command_remedy("found a federation: chapterd init --hq --dir DIR");
        command_remedy("a chapter joins one instead: chapterd join TOKEN --dir DIR");
        return false;
    }
    if (!words_name_valid(options->name, NAME_SIZE_MAX)) {
        command_error("--name is not 1 to 255 bytes of UTF-8 without control characters");
        command_remedy("such as --name \"Example Society\"");
        return false;
    }
    return command_socket_fits(options->dir) &&
           command_addresses(options->listen, options->advertise, membership);
}

static void make_genesis(const struct init_options *options, const struct identity *identity,
                         const struct sign_key *recovery, struct membership *membership)
{
    struct genesis genesis;
    struct mp_writer writer;

    memset(&genesis, 0, sizeof genesis);
    memcpy(genesis.name, options->name, strlen(options->name));
    memcpy(genesis.sign_key, identity->sign.public_key, KEY_SIZE);
    memcpy(genesis.recovery_key, recovery->public_key, KEY_SIZE);
    genesis.created = (uint64_t)(clock_wall_ms() / 1000);
    randombytes_buf(genesis.random, sizeof genesis.random);
    mp_writer_init(&writer, membership->genesis, sizeof membership->genesis);
    genesis_write(&writer, &genesis);
    ASSERT(writer.status == OK); /* of bounded parts */
    membership->genesis_size = writer.size;
    memcpy(membership->code, "hq", 3);
    memcpy(membership->hq_curve, identity->curve_public, KEY_SIZE);
    memcpy(membership->hq_address, membership->advertise, sizeof membership->hq_address);
}

static int report(const struct init_options *options, const struct membership *membership,
                  const struct sign_key *recovery)
{
    char fingerprint[FINGERPRINT_SIZE];
    char quoted[QUOTED_SIZE];
    char text[128];
    bool printed;

    (void)words_quote(quoted, sizeof quoted, options->dir);
    membership_fingerprint(membership, fingerprint);
    identity_format_recovery(recovery, text);
    command_print("Federation \"%s\" is founded.", options->name);
    command_print("  fingerprint  %s", fingerprint);
    command_print("  directory    %s (keys/, db/, later control.sock)", options->dir);
    command_print("  listens on   %s and the next port", membership->listen);
    command_print("  dialled as   %s", membership->advertise);
    command_print("%s", "");
    command_print(
        "The recovery key. Move this offline now: it is shown once and stored nowhere,");
    command_print("and it alone can replace HQ's keys if this directory is lost.");
    command_print("%s", "");
    command_print("  %s", text);
    command_print("%s", "");
    command_print("Next:");
    command_print("  chapterd run --dir %s", quoted);
    command_print("  chapterctl -s %s%s invite fr", quoted, CONTROL_PATH_SUFFIX);
    printed = command_flush();
    sodium_memzero(text, sizeof text);
    if (printed)
        return COMMAND_OK;
    command_error("the recovery key could not be printed, and is lost with that");
    command_remedy("nobody has joined yet: remove %s and init again", quoted);
    return COMMAND_FAILED;
}

static int found(const struct init_options *options, struct membership *membership)
{
    CLEANUP(directory_unlock) int lock = -1;
    CLEANUP(identity_wipe) struct identity identity = { 0 };
    static struct membership present;
    struct sign_key recovery;
    char token[TOKEN_SIZE_MAX];
    enum status status;
    int code;

    status = directory_look(options->dir, &lock, &present);
    if (status == OK) {
        command_error("%s belongs to a federation already, as %s", options->dir, present.code);
        command_remedy(
            "choose another directory: --dir DIR; if it was just founded, and init was"
            " stopped before it showed the recovery key: remove %s, and init again",
            options->dir);
        return COMMAND_FAILED;
    }
    if (status != NOT_FOUND)
        return command_fail(options->dir, status);
    if (pending_load(options->dir, token) == OK) {
        sodium_memzero(token, sizeof token);
        command_error("a join of %s has not ended; its keys are a chapter's", options->dir);
        command_remedy("choose another directory: --dir DIR");
        return COMMAND_FAILED;
    }
    if ((status = directory_keys(options->dir, &lock, &identity)) != OK)
        return command_fail(options->dir, status);
    identity_make_sign_key(&recovery);
    make_genesis(options, &identity, &recovery, membership);
    status = membership_store(options->dir, membership);
    code = status == OK ? report(options, membership, &recovery)
                        : command_fail(options->dir, status);
    sodium_memzero(&recovery, sizeof recovery);
    return code;
}

int command_init(int argc, char **argv)
{
    static struct membership membership;
    struct init_options given = { 0 };
    const struct command_option options[] = {
        { "--hq", NULL, &given.hq },
        { "--dir", &given.dir, NULL },
        { "--name", &given.name, NULL },
        { "--listen", &given.listen, NULL },
        { "--advertise", &given.advertise, NULL },
    };
    const struct command_line line = { options, sizeof options / sizeof options[0], NULL };
    char buffer[COMMAND_PATH_SIZE];
    int code;

    if (!command_parse(&line, argc, argv, &code))
        return code;
    if (given.name == NULL)
        given.name = NAME_DEFAULT;
    if (given.listen == NULL)
        given.listen = LISTEN_DEFAULT;
    given.dir = command_directory(given.dir, buffer);
    if (given.dir == NULL || !check_options(&given, &membership))
        return COMMAND_USAGE;
    command_harden(false);
    return found(&given, &membership);
}
