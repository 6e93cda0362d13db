/* SPDX-License-Identifier: MPL-2.0 */
/* identity.c - a node's keys: made once, kept in two files that only their owner may read. */
#include "daemon/io/identity.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file is one line: the word, a space, the secret in hex; the public half follows from it. */
#define SIGN_FILE "keys/sign"
#define SIGN_WORD "chapterd-sign-1"
#define NEXT_FILE "keys/sign.next"
#define CURVE_FILE "keys/curve"
#define CURVE_WORD "chapterd-curve-1"
#define SEED_SIZE 32 /* of Ed25519 and of Curve25519 alike */
#define LINE_SIZE 128
_Static_assert(SEED_SIZE == crypto_sign_SEEDBYTES, "signing keys are kept as 32 bytes");
_Static_assert(SEED_SIZE == crypto_box_SECRETKEYBYTES, "CURVE keys are kept as 32 bytes");

void identity_wipe(struct identity *identity)
{
    sodium_memzero(identity, sizeof *identity);
}

static void set_sign_key(struct sign_key *key, const uint8_t seed[SEED_SIZE])
{
    crypto_sign_seed_keypair(key->public_key, key->secret, seed);
}

static void set_curve_key(struct identity *identity, const uint8_t secret[SEED_SIZE])
{
    memcpy(identity->curve_secret, secret, SEED_SIZE);
    crypto_scalarmult_base(identity->curve_public, secret);
}

/* --- files ---------------------------------------------------------------------------- */

static enum status path_of(char out[PATH_MAX], const char *dir, const char *name)
{
    const int length = snprintf(out, PATH_MAX, "%s/%s", dir, name);

    return length >= 0 && length < PATH_MAX ? OK : TOO_LARGE;
}

static enum status make_one_directory(const char *path, mode_t mode)
{
    if (mkdir(path, mode) != 0)
        return errno == EEXIST ? OK : status_of_errno(errno);
    return file_sync_parent(path);
}

/* Directories above DIR are made with the umask's permissions, DIR itself is nobody else's. */
static enum status make_directory(const char *dir)
{
    char path[PATH_MAX];
    const size_t size = strlen(dir);
    enum status status;

    if (size == 0)
        return INVALID;
    if (size >= sizeof path)
        return TOO_LARGE;
    memcpy(path, dir, size + 1);
    for (size_t i = 1; i < size; i++) {
        if (path[i] != '/' || path[i + 1] == '\0')
            continue;
        path[i] = '\0';
        if ((status = make_one_directory(path, 0777)) != OK)
            return status;
        path[i] = '/';
    }
    return make_one_directory(path, 0700);
}

static enum status write_key(const char *dir, const char *name, const char *word,
                             const uint8_t seed[SEED_SIZE])
{
    char path[PATH_MAX];
    char line[LINE_SIZE];
    char hex[2 * SEED_SIZE + 1];
    enum status status = path_of(path, dir, name);
    int length;

    if (status != OK)
        return status;
    sodium_bin2hex(hex, sizeof hex, seed, SEED_SIZE);
    length = snprintf(line, sizeof line, "%s %s\n", word, hex);
    ASSERT(length > 0 && (size_t)length < sizeof line);
    status = file_write_safely(path, 0600, slice_of(line, (size_t)length));
    sodium_memzero(line, sizeof line);
    sodium_memzero(hex, sizeof hex);
    return status;
}

static void close_file(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static bool parse_key(const char *line, size_t size, const char *word, uint8_t seed[SEED_SIZE])
{
    const size_t word_size = strlen(word);
    const char *hex = line + word_size + 1;
    const char *end = NULL;
    size_t seed_size = 0;

    return size == word_size + 1 + 2 * SEED_SIZE + 1 && memcmp(line, word, word_size) == 0 &&
           line[word_size] == ' ' && line[size - 1] == '\n' &&
           sodium_hex2bin(seed, SEED_SIZE, hex, 2 * SEED_SIZE, NULL, &seed_size, &end) == 0 &&
           seed_size == SEED_SIZE && end == hex + 2 * SEED_SIZE;
}

static enum status read_key(const char *dir, const char *name, const char *word,
                            uint8_t out_seed[SEED_SIZE])
{
    CLEANUP(close_file) int fd = -1;
    char path[PATH_MAX];
    char line[LINE_SIZE];
    uint8_t seed[SEED_SIZE];
    enum status status = path_of(path, dir, name);
    struct stat found;
    ssize_t size;

    if (status != OK)
        return status;
    /* O_NONBLOCK: a FIFO in a key's place must not hang the daemon. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &found) != 0)
        return status_of_errno(errno);
    if (!S_ISREG(found.st_mode))
        return INVALID;
    if ((found.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return DENIED;
    if ((size = read(fd, line, sizeof line)) < 0)
        return status_of_errno(errno);
    status = parse_key(line, (size_t)size, word, seed) ? OK : INVALID;
    if (status == OK)
        memcpy(out_seed, seed, SEED_SIZE);
    sodium_memzero(line, sizeof line);
    sodium_memzero(seed, sizeof seed);
    return status;
}

/* --- the identity --------------------------------------------------------------------- */

static enum status prepare_directory(const char *dir)
{
    char path[PATH_MAX];
    struct stat found;
    enum status status;

    if ((status = make_directory(dir)) != OK || (status = path_of(path, dir, SIGN_FILE)) != OK)
        return status;
    if (lstat(path, &found) == 0)
        return EXISTS;
    if ((status = path_of(path, dir, "keys")) != OK)
        return status;
    return make_one_directory(path, 0700);
}

/* The signing key comes last: a directory without one is what a creation left that did not get
 * to its end, and can be made again. */
enum status identity_create(const char *dir, struct identity *out_identity)
{
    CLEANUP(identity_wipe) struct identity identity = { 0 };
    uint8_t secret[SEED_SIZE];
    enum status status;

    if (sodium_init() < 0)
        return UNSUPPORTED;
    if ((status = prepare_directory(dir)) != OK)
        return status;
    randombytes_buf(secret, sizeof secret);
    set_curve_key(&identity, secret);
    if ((status = write_key(dir, CURVE_FILE, CURVE_WORD, secret)) == OK) {
        identity_make_sign_key(&identity.sign);
        crypto_sign_ed25519_sk_to_seed(secret, identity.sign.secret);
        status = write_key(dir, SIGN_FILE, SIGN_WORD, secret);
    }
    sodium_memzero(secret, sizeof secret);
    if (status == OK)
        *out_identity = identity;
    return status;
}

void identity_of_seeds(const uint8_t seed[KEY_SIZE], const uint8_t curve_secret[KEY_SIZE],
                       struct identity *out_identity)
{
    set_sign_key(&out_identity->sign, seed);
    set_curve_key(out_identity, curve_secret);
}

enum status identity_prepare(const char *dir)
{
    return prepare_directory(dir);
}

enum status identity_store(const char *dir, const struct identity *identity)
{
    uint8_t seed[SEED_SIZE];
    enum status status = prepare_directory(dir);

    if (status != OK)
        return status;
    crypto_sign_ed25519_sk_to_seed(seed, identity->sign.secret);
    if ((status = write_key(dir, CURVE_FILE, CURVE_WORD, identity->curve_secret)) == OK)
        status = write_key(dir, SIGN_FILE, SIGN_WORD, seed);
    sodium_memzero(seed, sizeof seed);
    return status;
}

enum status identity_load(const char *dir, struct identity *out_identity)
{
    CLEANUP(identity_wipe) struct identity identity = { 0 };
    uint8_t secret[SEED_SIZE];
    enum status status;

    if (sodium_init() < 0)
        return UNSUPPORTED;
    if ((status = read_key(dir, SIGN_FILE, SIGN_WORD, secret)) == OK) {
        set_sign_key(&identity.sign, secret);
        if ((status = read_key(dir, CURVE_FILE, CURVE_WORD, secret)) == OK)
            set_curve_key(&identity, secret);
    }
    sodium_memzero(secret, sizeof secret);
    if (status == OK)
        *out_identity = identity;
    return status;
}

static enum status look_for(const char *dir, const char *name, bool *out_there)
{
    char path[PATH_MAX];
    struct stat found;
    const enum status status = path_of(path, dir, name);

    if (status != OK)
        return status;
    *out_there = lstat(path, &found) == 0;
    return *out_there || errno == ENOENT ? OK : status_of_errno(errno);
}

enum status identity_look(const char *dir, bool *out_sign, bool *out_curve)
{
    const enum status status = look_for(dir, SIGN_FILE, out_sign);

    return status == OK ? look_for(dir, CURVE_FILE, out_curve) : status;
}

enum status identity_store_next(const char *dir, const struct sign_key *key)
{
    uint8_t secret[SEED_SIZE];
    enum status status;

    crypto_sign_ed25519_sk_to_seed(secret, key->secret);
    status = write_key(dir, NEXT_FILE, SIGN_WORD, secret);
    sodium_memzero(secret, sizeof secret);
    return status;
}

enum status identity_load_next(const char *dir, struct sign_key *out_key)
{
    uint8_t secret[SEED_SIZE];
    const enum status status = read_key(dir, NEXT_FILE, SIGN_WORD, secret);

    if (status == OK)
        set_sign_key(out_key, secret);
    sodium_memzero(secret, sizeof secret);
    return status;
}

enum status identity_promote_next(const char *dir)
{
    char next[PATH_MAX];
    char present[PATH_MAX];
    enum status status;

    if ((status = path_of(next, dir, NEXT_FILE)) != OK ||
        (status = path_of(present, dir, SIGN_FILE)) != OK)
        return status;
    if (rename(next, present) != 0)
        return status_of_errno(errno);
    return file_sync_parent(present);
}

/* --- keys apart from files ------------------------------------------------------------ */

void identity_make_sign_key(struct sign_key *out_key)
{
    uint8_t seed[SEED_SIZE];

    randombytes_buf(seed, sizeof seed);
    set_sign_key(out_key, seed);
    sodium_memzero(seed, sizeof seed);
}

#define RECOVERY_PREFIX "recovery1-"
#define RECOVERY_TAG "chapterd rec 1\0" /* and its NUL: 16 bytes */
#define RECOVERY_CHECK_SIZE 3
#define RECOVERY_SIZE (SEED_SIZE + RECOVERY_CHECK_SIZE) /* 35 bytes are 56 characters exactly */
#define RECOVERY_GROUP 4

/* Crockford's: none of I, L, O and U, which are misread */
static const char recovery_alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void recovery_check(const uint8_t seed[SEED_SIZE], uint8_t out[RECOVERY_CHECK_SIZE])
{
    uint8_t hash[HASH_SIZE];
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    crypto_generichash_update(&state, (const uint8_t *)RECOVERY_TAG, sizeof RECOVERY_TAG);
    crypto_generichash_update(&state, seed, SEED_SIZE);
    crypto_generichash_final(&state, hash, sizeof hash);
    memcpy(out, hash, RECOVERY_CHECK_SIZE);
    sodium_memzero(&state, sizeof state);
}

void identity_format_recovery(const struct sign_key *key, char out_text[128])
{
    uint8_t bytes[RECOVERY_SIZE];
    size_t at = strlen(RECOVERY_PREFIX);
    unsigned bits = 0;
    unsigned count = 0;

    crypto_sign_ed25519_sk_to_seed(bytes, key->secret);
    recovery_check(bytes, bytes + SEED_SIZE);
    memcpy(out_text, RECOVERY_PREFIX, at);
    for (size_t i = 0, printed = 0; i < RECOVERY_SIZE; i++) {
        bits = bits << 8 | bytes[i];
        for (count += 8; count >= 5; count -= 5, printed++) {
            if (printed != 0 && printed % RECOVERY_GROUP == 0)
                out_text[at++] = '-';
            out_text[at++] = recovery_alphabet[bits >> (count - 5) & 31];
        }
    }
    out_text[at] = '\0';
    sodium_memzero(bytes, sizeof bytes);
    sodium_memzero(&bits, sizeof bits);
}

/* 0 to 31; as people write them: O is 0, I and L are 1.  -1 for anything else. */
static int recovery_digit(char character)
{
    const char *found;

    if (character >= 'a' && character <= 'z')
        character = (char)(character - 'a' + 'A');
    if (character == 'O')
        return 0;
    if (character == 'I' || character == 'L')
        return 1;
    found = character == '\0' ? NULL : strchr(recovery_alphabet, character);
    return found != NULL ? (int)(found - recovery_alphabet) : -1;
}

enum status identity_parse_recovery(const char *text, struct sign_key *out_key)
{
    uint8_t bytes[RECOVERY_SIZE];
    uint8_t check[RECOVERY_CHECK_SIZE];
    size_t size = 0;
    unsigned bits = 0;
    unsigned count = 0;
    enum status status = INVALID;

    text += strspn(text, " \t");
    if (strncasecmp(text, RECOVERY_PREFIX, strlen(RECOVERY_PREFIX)) != 0)
        return INVALID;
    for (text += strlen(RECOVERY_PREFIX); *text != '\0'; text++) {
        const int digit = recovery_digit(*text);

        if (*text == '-' || *text == ' ')
            continue;
        if (digit < 0 || size == sizeof bytes)
            break;
        bits = bits << 5 | (unsigned)digit;
        for (count += 5; count >= 8 && size < sizeof bytes; count -= 8)
            bytes[size++] = (uint8_t)(bits >> (count - 8));
    }
    if (*text == '\0' && size == sizeof bytes && count == 0) {
        recovery_check(bytes, check);
        if (memcmp(check, bytes + SEED_SIZE, sizeof check) == 0) {
            set_sign_key(out_key, bytes);
            status = OK;
        }
    }
    sodium_memzero(bytes, sizeof bytes);
    sodium_memzero(&bits, sizeof bits);
    return status;
}
