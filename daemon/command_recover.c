/* SPDX-License-Identifier: MPL-2.0 */
/* command_recover.c - `chapterd recover --dir DIR`: opens HQ's next epoch with the recovery
 * key, which comes on standard input and is stored nowhere. */
#include "daemon/command.h"
#include "daemon/words.h"
#include "proto/closure.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define QUOTED_SIZE (2 * COMMAND_PATH_SIZE)
#define KEY_TEXT_SIZE 256

/* What HQ's directory knows of its own epochs. */
struct standing {
    struct genesis genesis;
    uint8_t federation[HASH_SIZE];
    uint64_t wanted; /* 0: it does not recover */
    uint64_t epoch;  /* the newest that is known */
    struct head head;
    bool signed_before;
};

static bool read_key(struct sign_key *out_key)
{
    char text[KEY_TEXT_SIZE];
    ssize_t size = 0;
    ssize_t got;

    if (isatty(STDIN_FILENO))
        command_note("the recovery key (recovery1-...), then Enter:");
    while (size < KEY_TEXT_SIZE - 1 &&
           (got = read(STDIN_FILENO, text + size, KEY_TEXT_SIZE - 1 - (size_t)size)) > 0) {
        size += got;
        if (memchr(text, '\n', (size_t)size) != NULL)
            break;
    }
    text[size] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (identity_parse_recovery(text, out_key) != OK) {
        sodium_memzero(text, sizeof text);
        command_error("that is no recovery key: it begins with recovery1- and has 14 groups of"
                      " four, and one character of it may be wrong");
        command_remedy("chapterd init --hq printed it once; give it on standard input");
        return false;
    }
    sodium_memzero(text, sizeof text);
    return true;
}

static enum status look(struct store_txn *txn, const struct membership *membership,
                        struct standing *out)
{
    struct store_feed feed;
    struct closure closure;
    struct slice value;
    uint64_t proven = 0;
    enum status status;

    memset(out, 0, sizeof *out);
    if (genesis_read(slice_of(membership->genesis, membership->genesis_size), &out->genesis) !=
        OK)
        return STORE_DAMAGED;
    genesis_federation(slice_of(membership->genesis, membership->genesis_size),
                       out->federation);
    if ((status = store_get_meta_uint(txn, META_WANTED, &out->wanted)) != OK)
        return status;
    out->epoch = 1;
    status = store_get_feed(txn, "hq", &feed);
    if (status == OK && feed.tier[TIER_FEDERATION].head.size != 0) {
        if (head_read(signed_head_bytes(&feed.tier[TIER_FEDERATION].head), &out->head) != OK)
            return STORE_DAMAGED;
        out->signed_before = true;
        out->epoch = out->head.epoch;
    } else if (status != OK && status != NOT_FOUND) {
        return status;
    }
    if ((status = store_get_meta_uint(txn, META_PROVEN_EPOCH, &proven)) != OK)
        return status;
    if (proven > out->epoch)
        out->epoch = proven;
    status = store_get_meta(txn, META_CLOSURE, &value);
    if (status == OK && closure_read(value, &closure) == OK && closure.epoch > out->epoch)
        out->epoch = closure.epoch;
    return status == NOT_FOUND ? OK : status;
}

static enum status put_closure(struct store_txn *txn, const struct standing *standing,
                               const struct sign_key *recovery)
{
    struct closure closure = { .epoch = standing->epoch + 1, .instance = standing->wanted };
    struct signed_closure envelope;
    enum status status;

    memcpy(closure.federation, standing->federation, HASH_SIZE);
    if (standing->signed_before) {
        closure.closed_seq = standing->head.seq;
        memcpy(closure.closed_hash, standing->head.hash, HASH_SIZE);
    }
    closure_sign(&closure, recovery, &envelope);
    status = store_put_meta(txn, META_CLOSURE, slice_of(envelope.bytes, envelope.size));
    return status == OK ? store_commit_turn(txn) : status;
}

static int close_epoch(const char *dir, const struct membership *membership)
{
    CLEANUP(store_close) struct store *store = NULL;
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct standing standing;
    struct sign_key recovery;
    char quoted[QUOTED_SIZE];
    enum status status;

    (void)words_quote(quoted, sizeof quoted, dir);
    if ((status = store_open(dir, STORE_SIZE_DEFAULT, &store)) != OK ||
        (status = store_begin_write(store, &txn)) != OK ||
        (status = look(&txn, membership, &standing)) != OK)
        return command_fail(dir, status);
    if (standing.wanted == 0) {
        command_error("this directory of HQ does not wait for a new epoch");
        command_remedy("start the daemon (chapterd run --dir %s) and look at chapterctl status:"
                       " only a restored or copied one needs the recovery key",
                       quoted);
        return COMMAND_FAILED;
    }
    if (!read_key(&recovery))
        return COMMAND_FAILED;
    if (memcmp(recovery.public_key, standing.genesis.recovery_key, KEY_SIZE) != 0) {
        sodium_memzero(&recovery, sizeof recovery);
        command_error("that is the recovery key of another federation");
        command_remedy("this one's was printed when it was founded");
        return COMMAND_FAILED;
    }
    status = put_closure(&txn, &standing, &recovery);
    sodium_memzero(&recovery, sizeof recovery);
    if (status != OK)
        return command_fail(dir, status);
    command_print("HQ's epoch %llu is closed at change %llu; epoch %llu begins when it starts.",
                  (unsigned long long)standing.epoch, (unsigned long long)standing.head.seq,
                  (unsigned long long)standing.epoch + 1);
    command_print("%s", "");
    command_print("Next:");
    command_print("  chapterd run --dir %s", quoted);
    return command_flush() ? COMMAND_OK : COMMAND_FAILED;
}

int command_recover(int argc, char **argv)
{
    static struct membership membership;
    const char *dir = NULL;
    const struct command_option options[] = { { "--dir", &dir, NULL } };
    const struct command_line line = { options, sizeof options / sizeof options[0], NULL };
    CLEANUP(directory_unlock) int lock = -1;
    char buffer[COMMAND_PATH_SIZE];
    enum status status;
    int code;

    if (!command_parse(&line, argc, argv, &code))
        return code;
    if ((dir = command_directory(dir, buffer)) == NULL)
        return COMMAND_USAGE;
    command_harden(false);
    if ((status = directory_look(dir, &lock, &membership)) != OK)
        return command_fail(dir, status);
    if (strcmp(membership.code, "hq") != 0) {
        command_error("%s is the node of %s: HQ opens a new epoch for it by itself", dir,
                      membership.code);
        command_remedy("start the daemon, and see that HQ can be reached");
        return COMMAND_FAILED;
    }
    return close_epoch(dir, &membership);
}
