/* SPDX-License-Identifier: MPL-2.0 */
/* identity_test.c - keys in files: what is made, what is refused, and what a failure leaves;
 * the directory's lock; the recovery key on paper. */
#include "daemon/io/identity.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

/* RFC 8032, 7.1, test 1; RFC 7748, 5.2, first iteration: the base point times its own 9 */
#define SEED_HEX "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define SEED_PUBLIC_HEX "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
#define CURVE_HEX "0900000000000000000000000000000000000000000000000000000000000000"
#define CURVE_PUBLIC_HEX "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
/* Of SEED_HEX; computed with Python's hashlib. */
#define RECOVERY_TEXT                                                                          \
    "recovery1-KNGV-37FF-ZND6-1EM4-9BT9-5V1C-RH24-KHB9-FCS6-J6BG-7EP0-675E-FXG3-AJTH"

struct place {
    char root[64];
    char dir[128]; /* made by identity_create, parents too */
};

static int remove_one(const char *path, const struct stat *found, int type, struct FTW *walk)
{
    (void)found;
    (void)type;
    (void)walk;
    return remove(path);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    const char *tmp = getenv("TMPDIR");

    assert_non_null(place);
    (void)snprintf(place->root, sizeof place->root, "%s/identity_XXXXXX",
                   tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(place->root));
    (void)snprintf(place->dir, sizeof place->dir, "%s/a/b/node", place->root);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    const int result = nftw(place->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);

    free(place);
    return result;
}

static const char *path_in(const struct place *place, const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", place->dir, name);
    return path;
}

static unsigned mode_of(const char *path)
{
    struct stat found;

    assert_int_equal(lstat(path, &found), 0);
    return found.st_mode & 07777;
}

static void put_file(const char *path, const char *text, mode_t mode)
{
    FILE *file;

    remove(path);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static size_t count_entries(const char *path)
{
    DIR *dir = opendir(path);
    size_t count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2; /* "." and ".." */
}

/* --- keys ------------------------------------------------------------------------------- */

static void test_created_keys_are_loaded(void **state)
{
    const struct place *place = *state;
    struct identity made;
    struct identity loaded;
    uint8_t public_key[KEY_SIZE];

    umask(0);
    assert_int_equal(identity_load(place->dir, &loaded), NOT_FOUND);
    assert_int_equal(identity_create(place->dir, &made), OK);
    umask(022);
    assert_int_equal(identity_load(place->dir, &loaded), OK);
    assert_memory_equal(&made, &loaded, sizeof made);
    assert_int_equal(mode_of(place->dir), 0700);
    assert_int_equal(mode_of(path_in(place, "keys")), 0700);
    assert_int_equal(mode_of(path_in(place, "keys/sign")), 0600);
    assert_int_equal(mode_of(path_in(place, "keys/curve")), 0600);
    assert_int_equal(count_entries(path_in(place, "keys")), 2);
    crypto_scalarmult_base(public_key, made.curve_secret);
    assert_memory_equal(public_key, made.curve_public, KEY_SIZE);
    crypto_sign_ed25519_sk_to_pk(public_key, made.sign.secret);
    assert_memory_equal(public_key, made.sign.public_key, KEY_SIZE);
}

static void test_two_nodes_have_different_keys(void **state)
{
    struct place *place = *state;
    struct identity a;
    struct identity b;

    assert_int_equal(identity_create(place->dir, &a), OK);
    (void)snprintf(place->dir, sizeof place->dir, "%s/other/", place->root);
    assert_int_equal(identity_create(place->dir, &b), OK);
    assert_memory_not_equal(a.sign.public_key, b.sign.public_key, KEY_SIZE);
    assert_memory_not_equal(a.curve_public, b.curve_public, KEY_SIZE);
}

static void test_a_signing_key_is_never_replaced(void **state)
{
    const struct place *place = *state;
    struct identity made;
    struct identity again = { 0 };
    struct identity loaded;

    assert_int_equal(identity_create(place->dir, &made), OK);
    assert_int_equal(identity_create(place->dir, &again), EXISTS);
    assert_true(sodium_is_zero((const uint8_t *)&again, sizeof again));
    assert_int_equal(unlink(path_in(place, "keys/curve")), 0);
    assert_int_equal(identity_load(place->dir, &loaded), NOT_FOUND);
    assert_int_equal(identity_create(place->dir, &again), EXISTS);
}

static void test_a_broken_creation_can_be_repeated(void **state)
{
    const struct place *place = *state;
    struct identity made;
    struct identity loaded;

    assert_int_equal(identity_create(place->dir, &made), OK);
    assert_int_equal(unlink(path_in(place, "keys/sign")), 0);
    assert_int_equal(identity_load(place->dir, &loaded), NOT_FOUND);
    assert_int_equal(identity_create(place->dir, &made), OK);
    assert_int_equal(identity_load(place->dir, &loaded), OK);
    assert_memory_equal(&made, &loaded, sizeof made);
}

static void test_known_keys(void **state)
{
    const struct place *place = *state;
    struct identity identity;
    char hex[2 * KEY_SIZE + 1];

    assert_int_equal(identity_create(place->dir, &identity), OK);
    put_file(path_in(place, "keys/sign"), "chapterd-sign-1 " SEED_HEX "\n", 0600);
    put_file(path_in(place, "keys/curve"), "chapterd-curve-1 " CURVE_HEX "\n", 0400);
    assert_int_equal(identity_load(place->dir, &identity), OK);
    sodium_bin2hex(hex, sizeof hex, identity.sign.public_key, KEY_SIZE);
    assert_string_equal(hex, SEED_PUBLIC_HEX);
    sodium_bin2hex(hex, sizeof hex, identity.curve_secret, KEY_SIZE);
    assert_string_equal(hex, CURVE_HEX);
    sodium_bin2hex(hex, sizeof hex, identity.curve_public, KEY_SIZE);
    assert_string_equal(hex, CURVE_PUBLIC_HEX);
}

static void test_permissions_of_others_are_refused(void **state)
{
    static const mode_t modes[] = { 0640, 0620, 0610, 0604, 0602, 0601 };
    const struct place *place = *state;
    struct identity identity;

    assert_int_equal(identity_create(place->dir, &identity), OK);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path_in(place, "keys/curve"), modes[i]), 0);
        assert_int_equal(identity_load(place->dir, &identity), DENIED);
        assert_int_equal(chmod(path_in(place, "keys/curve"), 0600), 0);
        assert_int_equal(chmod(path_in(place, "keys/sign"), modes[i]), 0);
        assert_int_equal(identity_load(place->dir, &identity), DENIED);
        assert_int_equal(chmod(path_in(place, "keys/sign"), 0600), 0);
    }
    assert_int_equal(identity_load(place->dir, &identity), OK);
}

static void test_garbled_files_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "chapterd-sign-1",
        "chapterd-sign-1 \n",
        "chapterd-sign-1 " SEED_HEX,
        "chapterd-sign-1 " SEED_HEX "\r\n",
        "chapterd-sign-1 " SEED_HEX "\n\n",
        "chapterd-sign-1 " SEED_HEX "00\n",
        "chapterd-sign-1  " SEED_HEX "\n",
        "chapterd-sign-1\t" SEED_HEX "\n",
        "chapterd-sign-2 " SEED_HEX "\n",
        "chapterd-curve-1 " SEED_HEX "\n",
        "Chapterd-sign-1 " SEED_HEX "\n",
        "chapterd-sign-1 xd61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n",
        "chapterd-sign-1 9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f6x\n",
        "chapterd-sign-1 9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f6\n",
    };
    const struct place *place = *state;
    struct identity identity;
    struct identity untouched = { 0 };
    char text[300];

    assert_int_equal(identity_create(place->dir, &identity), OK);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        put_file(path_in(place, "keys/sign"), texts[i], 0600);
        assert_int_equal(identity_load(place->dir, &untouched), INVALID);
    }
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    put_file(path_in(place, "keys/sign"), text, 0600);
    assert_int_equal(identity_load(place->dir, &untouched), INVALID);
    assert_true(sodium_is_zero((const uint8_t *)&untouched, sizeof untouched));
}

static void test_only_regular_files_are_read(void **state)
{
    const struct place *place = *state;
    struct identity identity;
    char target[256];

    assert_int_equal(identity_create(place->dir, &identity), OK);
    (void)snprintf(target, sizeof target, "%s/elsewhere", place->root);
    assert_int_equal(rename(path_in(place, "keys/sign"), target), 0);
    assert_int_equal(symlink(target, path_in(place, "keys/sign")), 0);
    assert_int_equal(identity_load(place->dir, &identity), DENIED);
    assert_int_equal(unlink(path_in(place, "keys/sign")), 0);
    assert_int_equal(mkfifo(path_in(place, "keys/sign"), 0600), 0);
    assert_int_equal(identity_load(place->dir, &identity), INVALID);
}

/* --- recovery --------------------------------------------------------------------------- */

/* What a reader of paper does: drops dashes, takes either case, and checks the last 3 bytes. */
static bool read_recovery(const char *text, uint8_t out_seed[32])
{
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t bytes[64] = { 0 };
    uint8_t tagged[48] = "chapterd rec 1";
    uint8_t hash[32];
    size_t bits = 0;

    assert_memory_equal(text, "recovery1-", 10);
    for (text += 10; *text != '\0'; text++) {
        const char *at = *text == '-' ? NULL : strchr(alphabet, *text);

        if (*text == '-')
            continue;
        assert_non_null(at);
        for (int i = 4; i >= 0; i--, bits++)
            bytes[bits / 8] |= (uint8_t)(((at - alphabet) >> i & 1) << (7 - bits % 8));
    }
    assert_int_equal(bits, 8 * 35);
    memcpy(out_seed, bytes, 32);
    memcpy(tagged + 16, bytes, 32);
    crypto_generichash(hash, sizeof hash, tagged, sizeof tagged, NULL, 0);
    return memcmp(hash, bytes + 32, 3) == 0;
}

static void test_recovery_key_can_be_read_back(void **state)
{
    struct sign_key key;
    uint8_t seed[32];
    char text[128];

    (void)state;
    for (int i = 0; i < 100; i++) {
        uint8_t public_key[KEY_SIZE];
        struct sign_key back;
        uint8_t secret[64];

        identity_make_sign_key(&key);
        identity_format_recovery(&key, text);
        assert_true(read_recovery(text, seed));
        crypto_sign_seed_keypair(public_key, secret, seed);
        assert_memory_equal(secret, key.secret, sizeof secret);
        assert_memory_equal(public_key, key.public_key, KEY_SIZE);
        assert_int_equal(identity_parse_recovery(text, &back), OK);
        assert_memory_equal(&back, &key, sizeof back);
        text[12 + i % 2] = text[12 + i % 2] == '7' ? '8' : '7';
        assert_false(read_recovery(text, seed));
        assert_int_equal(identity_parse_recovery(text, &back), INVALID);
    }
}

static void test_recovery_key_known_answer(void **state)
{
    struct sign_key key;
    uint8_t seed[32];
    char text[128];

    (void)state;
    assert_int_equal(sodium_hex2bin(seed, sizeof seed, SEED_HEX, 64, NULL, NULL, NULL), 0);
    crypto_sign_seed_keypair(key.public_key, key.secret, seed);
    identity_format_recovery(&key, text);
    assert_string_equal(text, RECOVERY_TEXT);
}

/* As people write it: small letters, spaces for dashes; what is no key is refused. */
static void test_recovery_key_as_written(void **state)
{
    static const char *const bad[] = { "",
                                       "recovery1-",
                                       "recovery2-" RECOVERY_TEXT,
                                       RECOVERY_TEXT "0",
                                       RECOVERY_TEXT "-0000",
                                       "recovery1-U" };
    struct sign_key key;
    char text[128];

    (void)state;
    (void)snprintf(text, sizeof text, "  %s", RECOVERY_TEXT);
    for (char *at = text + strlen("  recovery1-"); *at != '\0'; at++) {
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
        if (*at == '-')
            *at = ' ';
    }
    assert_int_equal(identity_parse_recovery(text, &key), OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(identity_parse_recovery(bad[i], &key), INVALID);
    text[strlen(text) - 1] = '\0';
    assert_int_equal(identity_parse_recovery(text, &key), INVALID);
}

/* --- lock and files --------------------------------------------------------------------- */

static void test_lock_excludes_and_names_its_holder(void **state)
{
    const struct place *place = *state;
    struct identity identity;
    int first = -1;
    int second = -1;
    long pid = 0;
    char text[32];
    char found[32];
    FILE *file;

    assert_int_equal(directory_lock(place->dir, &first, &pid), NOT_FOUND);
    assert_int_equal(identity_create(place->dir, &identity), OK);
    put_file(path_in(place, "lock"), "99999999999\nlonger than a pid\n", 0600);
    assert_int_equal(directory_lock(place->dir, &first, &pid), OK);
    assert_int_equal(pid, getpid());
    (void)snprintf(text, sizeof text, "%ld\n", (long)getpid());
    file = fopen(path_in(place, "lock"), "r");
    assert_non_null(file);
    assert_non_null(fgets(found, sizeof found, file));
    assert_string_equal(found, text);
    assert_null(fgets(found, sizeof found, file));
    fclose(file);
    pid = 0;
    assert_int_equal(directory_lock(place->dir, &second, &pid), LOCKED);
    assert_int_equal(pid, getpid());
    assert_int_equal(second, -1);
    directory_unlock(&first);
    assert_int_equal(first, -1);
    directory_unlock(&first);
    assert_int_equal(directory_lock(place->dir, &second, &pid), OK);
    directory_unlock(&second);
}

static void test_a_file_is_replaced_or_as_it_was(void **state)
{
    const struct rlimit small = { .rlim_cur = 1000, .rlim_max = RLIM_INFINITY };
    const struct rlimit large = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };
    struct place *place = *state;
    static char bytes[5000];
    char path[256];
    char found[16] = "";
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/file", place->root);
    assert_int_equal(file_write_safely(path, 0644, slice_of_text("first")), OK);
    umask(077);
    assert_int_equal(file_write_safely(path, 0640, slice_of_text("second")), OK);
    umask(022);
    assert_int_equal(mode_of(path), 0640);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(file_write_safely(path, 0600, slice_of(bytes, sizeof bytes)), NO_SPACE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &large), 0);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(found, 1, sizeof found, file), strlen("second"));
    assert_string_equal(found, "second");
    fclose(file);
    assert_int_equal(count_entries(place->root), 1);

    assert_int_equal(mkdir(place->dir, 0700) == 0 ? OK : status_of_errno(errno), NOT_FOUND);
    assert_int_equal(file_write_safely(place->dir, 0600, SLICE_NONE), NOT_FOUND);
    assert_int_not_equal(file_write_safely(place->root, 0600, SLICE_NONE), OK);
    assert_int_equal(count_entries(place->root), 1);
}

static void test_errno_as_status(void **state)
{
    static const struct {
        int error;
        enum status status;
    } cases[] = { { 0, OK },
                  { ENOENT, NOT_FOUND },
                  { EACCES, DENIED },
                  { ENOSPC, NO_SPACE },
                  { EDQUOT, NO_SPACE },
                  { ENOMEM, NO_MEMORY },
                  { EEXIST, EXISTS },
                  { EIO, IO } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(status_of_errno(cases[i].error), cases[i].status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_created_keys_are_loaded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_nodes_have_different_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_signing_key_is_never_replaced, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_broken_creation_can_be_repeated, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_known_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_permissions_of_others_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_garbled_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_regular_files_are_read, set_up, tear_down),
        cmocka_unit_test(test_recovery_key_can_be_read_back),
        cmocka_unit_test(test_recovery_key_as_written),
        cmocka_unit_test(test_recovery_key_known_answer),
        cmocka_unit_test_setup_teardown(test_lock_excludes_and_names_its_holder, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_is_replaced_or_as_it_was, set_up,
                                        tear_down),
        cmocka_unit_test(test_errno_as_status),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
