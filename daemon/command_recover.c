/* SPDX-License-Identifier: MPL-2.0 */
/* command_recover.c - `chapterd recover --dir DIR`: opens HQ's next epoch with the recovery
 * key, which comes on standard input and is stored nowhere; and where HQ's signing key is lost,
 * puts another in its place. */
#include "daemon/command.h"
#include "daemon/keys.h"
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

    memcpy(closure.federation, standing->federation, HASH_SIZE);
    if (standing->signed_before) {
        closure.closed_seq = standing->head.seq;
        memcpy(closure.closed_hash, standing->head.hash, HASH_SIZE);
    }
    closure_sign(&closure, recovery, &envelope);
    return store_put_meta(txn, META_CLOSURE, slice_of(envelope.bytes, envelope.size));
}

/* --- another signing key ------------------------------------------------------------------ */

/* The successions before head; one that speaks of it gives way: a crash came after that. */
static enum status read_chain(struct store_txn *txn, const struct head *head,
                              struct slice *out_chain, size_t *out_count)
{
    struct mp_reader reader;
    struct slice value;
    size_t count;
    enum status status = store_get_meta(txn, META_HQ_KEYS, &value);

    *out_count = 0;
    if (status != OK)
        return status == NOT_FOUND ? OK : status;
    mp_reader_init(&reader, value);
    count = mp_read_array(&reader, SUCCESSIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct succession succession;

        out_chain[i] = mp_read_bin(&reader, SUCCESSION_SIZE_MAX);
        if (reader.status != OK || succession_read(out_chain[i], &succession) != OK)
            return STORE_DAMAGED;
        if (feed_compare(succession.until_epoch, succession.until_seq, head->epoch, head->seq) <
            0)
            *out_count = i + 1;
    }
    return OK;
}

static enum status put_succession(struct store_txn *txn, const struct standing *standing,
                                  const struct sign_key *recovery, const struct sign_key *next)
{
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };
    struct succession succession = { .code = "hq",
                                     .until_epoch = standing->head.epoch,
                                     .until_seq = standing->head.seq };
    struct slice chain[SUCCESSIONS_MAX];
    struct signed_succession envelope;
    size_t count = 0;
    enum status status = read_chain(txn, &standing->head, chain, &count);

    if (status != OK)
        return status;
    if (count == SUCCESSIONS_MAX)
        return TOO_LARGE;
    memcpy(succession.federation, standing->federation, HASH_SIZE);
    succession_sign(&succession, recovery, next, &envelope);
    mp_writer_init_heap(&writer, KEYS_SIZE_MAX);
    mp_write_array(&writer, count + 1);
    for (size_t i = 0; i < count; i++)
        mp_write_bin(&writer, chain[i].data, chain[i].size);
    mp_write_bin(&writer, envelope.bytes, envelope.size);
    return writer.status == OK ? store_put_meta(txn, META_HQ_KEYS, mp_writer_bytes(&writer))
                               : writer.status;
}

/* Made first, in its file; then signed, in the store; then put in the lost one's place: it goes
 * on from wherever it stopped. */
static enum status make_next(const char *dir, struct sign_key *out_next)
{
    enum status status = identity_load_next(dir, out_next);

    if (status != NOT_FOUND)
        return status;
    identity_make_sign_key(out_next);
    return identity_store_next(dir, out_next);
}

/* --- the command -------------------------------------------------------------------------- */

/* What there is to do; COMMAND_OK if anything. */
static int look_at_need(const char *dir, const char *quoted, const struct standing *standing,
                        bool *out_key_lost)
{
    bool sign = false;
    bool curve = false;
    const enum status status = identity_look(dir, &sign, &curve);

    if (status != OK)
        return command_fail(dir, status);
    *out_key_lost = !sign;
    if (!curve) {
        command_error("the key of HQ's links, %s/keys/curve, is lost: no chapter knows HQ by"
                      " another",
                      dir);
        command_remedy("bring it back from a backup: every chapterctl backup FILE holds it");
        return COMMAND_FAILED;
    }
    if (!sign && !standing->signed_before) {
        command_error("this directory of HQ has signed nothing yet");
        command_remedy("make the federation anew: chapterd init --hq --dir OTHER");
        return COMMAND_FAILED;
    }
    if (sign && standing->wanted == 0) {
        command_error("this directory of HQ has its keys, and does not wait for a new epoch");
        command_remedy("start the daemon (chapterd run --dir %s) and look at chapterctl status:"
                       " only a restored or copied one needs the recovery key",
                       quoted);
        return COMMAND_FAILED;
    }
    return COMMAND_OK;
}

static enum status carry_out(const char *dir, struct store_txn *txn,
                             const struct standing *standing, const struct sign_key *recovery,
                             bool key_lost)
{
    struct sign_key next;
    enum status status = OK;

    if (key_lost && (status = make_next(dir, &next)) == OK) {
        status = put_succession(txn, standing, recovery, &next);
        sodium_memzero(&next, sizeof next);
    }
    if (status == OK && standing->wanted != 0)
        status = put_closure(txn, standing, recovery);
    if (status == OK)
        status = store_commit_turn(txn);
    return status == OK && key_lost ? identity_promote_next(dir) : status;
}

static int recover(const char *dir, const struct membership *membership)
{
    CLEANUP(store_close) struct store *store = NULL;
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct standing standing;
    struct sign_key recovery;
    char quoted[QUOTED_SIZE];
    bool key_lost = false;
    enum status status;

    (void)words_quote(quoted, sizeof quoted, dir);
    if ((status = store_open(dir, STORE_SIZE_DEFAULT, &store)) != OK ||
        (status = store_begin_write(store, &txn)) != OK ||
        (status = look(&txn, membership, &standing)) != OK)
        return command_fail(dir, status);
    if (look_at_need(dir, quoted, &standing, &key_lost) != COMMAND_OK)
        return COMMAND_FAILED;
    if (!read_key(&recovery))
        return COMMAND_FAILED;
    if (memcmp(recovery.public_key, standing.genesis.recovery_key, KEY_SIZE) != 0) {
        sodium_memzero(&recovery, sizeof recovery);
        command_error("that is the recovery key of another federation");
        command_remedy("this one's was printed when it was founded");
        return COMMAND_FAILED;
    }
    status = carry_out(dir, &txn, &standing, &recovery, key_lost);
    sodium_memzero(&recovery, sizeof recovery);
    if (status != OK)
        return command_fail(dir, status);
    if (key_lost)
        command_print("HQ has another signing key; the chapters learn of it when it starts.");
    if (standing.wanted != 0)
        command_print(
            "HQ's epoch %llu is closed at change %llu; epoch %llu begins when it starts.",
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
    return recover(dir, &membership);
}
