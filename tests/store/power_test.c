/* SPDX-License-Identifier: MPL-2.0 */
/* power_test.c - the store at every write, sync and rename: killed there, refused there, and
 * the images that a loss of power there may leave.
 *
 * The program's own pwrite, writev, write, fdatasync, fsync and rename stand before the C
 * library's, LMDB's calls included.  power_test [KILLS IMAGES] for the long run. */
#include "store_fixture.h"

#include "history.h"

#include "daemon/io/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { TURNS = 6, SECTOR = 512, CALLS_MAX = 100000 };
static long kills_wanted = 300;
static long images_wanted = 2000;

/* --- the calls ---------------------------------------------------------------------------- */

enum mode { PASS, KILL, FAIL, RECORD };
enum moment { BEFORE, HALF_WAY, AFTER, MOMENTS };
static struct {
    enum mode mode;
    enum moment moment;
    int error;
    long at; /* the call that it strikes, from 1 */
    long count;
} strike;

/* What was recorded: a write, a sync (size 0), or an acknowledgement (seq). */
struct call {
    enum { CALL_WRITE, CALL_SYNC, CALL_ACKNOWLEDGE } kind;
    bool durable; /* on return, by O_DSYNC */
    off_t offset;
    size_t size;
    uint8_t *bytes;
    uint64_t seq;
};
static struct call *calls;
static size_t call_count;

static void record(struct call call, const void *bytes)
{
    assert_true(call_count < CALLS_MAX);
    if (bytes != NULL) {
        call.bytes = malloc(call.size + 1);
        assert_non_null(call.bytes);
        memcpy(call.bytes, bytes, call.size);
    }
    calls[call_count++] = call;
}

static bool is_regular(int fd)
{
    struct stat found;

    return fstat(fd, &found) == 0 && (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode));
}

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Counts a call; true: it fails now, with errno set.  A write that is to die half-way is told
 * by *half. */
static bool struck(int fd, bool *half)
{
    *half = false;
    if (strike.mode == PASS || strike.mode == RECORD || (fd >= 0 && !is_regular(fd)) ||
        ++strike.count != strike.at)
        return false;
    if (strike.mode == FAIL) {
        errno = strike.error;
        return true;
    }
    if (strike.moment == BEFORE)
        die();
    *half = strike.moment == HALF_WAY;
    return false;
}

static void struck_after(int fd)
{
    if (strike.mode == KILL && strike.count == strike.at && (fd < 0 || is_regular(fd)))
        die();
}

static ssize_t real_pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

static ssize_t write_at(int fd, const void *bytes, size_t size, off_t offset)
{
    bool half;
    ssize_t written;

    if (struck(fd, &half))
        return -1;
    written = real_pwrite(fd, bytes, half ? size / 2 : size, offset);
    struck_after(fd);
    if (strike.mode == RECORD && is_regular(fd))
        record((struct call){ .kind = CALL_WRITE,
                              .durable = (fcntl(fd, F_GETFL) & O_DSYNC) != 0,
                              .offset = offset,
                              .size = size },
               bytes);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    return write_at(fd, bytes, size, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t offset)
{
    return write_at(fd, bytes, size, offset);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    ssize_t written;

    if (strike.mode == PASS || !is_regular(fd))
        return syscall(SYS_write, fd, bytes, size);
    written = write_at(fd, bytes, size, lseek(fd, 0, SEEK_CUR));
    if (written > 0)
        (void)lseek(fd, written, SEEK_CUR);
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    ssize_t all = 0;

    if (strike.mode == PASS || !is_regular(fd))
        return syscall(SYS_writev, fd, parts, count);
    for (int i = 0; i < count; i++) { /* each part may be the last that reaches the disk */
        const ssize_t written = write(fd, parts[i].iov_base, parts[i].iov_len);

        if (written < 0)
            return all > 0 ? all : written;
        all += written;
    }
    return all;
}

static int sync_by(long number, int fd)
{
    bool half;
    int code;

    if (struck(fd, &half))
        return -1;
    code = (int)syscall(number, fd);
    struck_after(fd);
    if (strike.mode == RECORD)
        record((struct call){ .kind = CALL_SYNC }, NULL);
    return code;
}

int fdatasync(int fd)
{
    return sync_by(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return sync_by(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
    bool half;
    int code;

    if (struck(-1, &half))
        return -1;
    code = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    struck_after(-1);
    return code;
}

/* --- children ----------------------------------------------------------------------------- */

static void acknowledge(int fd, uint64_t seq)
{
    if (syscall(SYS_write, fd, &seq, sizeof seq) != (ssize_t)sizeof seq)
        _exit(90);
}

typedef int child_work(const char *dir, int acknowledgements);

/* Runs work in a child with the strike; what it acknowledged goes to *out_seq. */
static int run_child(child_work *work, const char *dir, uint64_t *out_seq)
{
    int pipes[2];
    int status = 0;
    uint64_t seq;
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const int code = work(dir, pipes[1]);

        strike.mode = PASS;
        _exit(code);
    }
    close(pipes[1]);
    while (read(pipes[0], &seq, sizeof seq) == (ssize_t)sizeof seq)
        *out_seq = seq;
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int write_turns(const char *dir, int acknowledgements)
{
    struct store *store = NULL;
    uint64_t seq = 0;

    if (store_open(dir, MAP_SIZE_TEST, &store) != OK)
        return 1;
    for (int turn = 0; turn < TURNS; turn++) {
        if (history_turn(store, &seq) != OK)
            return 2;
        acknowledge(acknowledgements, seq);
    }
    store_close(&store);
    return 0;
}

static void killed_at_every_call(void **state)
{
    struct place *place = *state;
    long kills = 0;
    uint64_t seq = 0;

    assert_ok(store_create(place->dir));
    for (long at = 1; kills < kills_wanted; at++)
        for (int moment = BEFORE; moment < MOMENTS; moment++) {
            uint64_t acknowledged = seq;
            int status;

            strike.mode = KILL;
            strike.at = at;
            strike.count = 0;
            strike.moment = (enum moment)moment;
            status = run_child(write_turns, place->dir, &acknowledged);
            strike.mode = PASS;
            seq = history_check(place, acknowledged);
            if (WIFSIGNALED(status)) {
                assert_int_equal(WTERMSIG(status), SIGKILL);
                kills++;
            } else {
                assert_int_equal(WEXITSTATUS(status), 0);
                at = 0; /* that many calls are not made: once more from the first */
            }
        }
    print_message("%ld kills\n", kills);
}

/* --- the first start ---------------------------------------------------------------------- */

static int make_all(const char *dir, int acknowledgements)
{
    struct identity identity;
    enum status status = identity_create(dir, &identity);

    if (status != OK && status != EXISTS)
        return 1;
    acknowledge(acknowledgements, 1);
    status = store_create(dir);
    if (status != OK && status != EXISTS)
        return 2;
    acknowledge(acknowledgements, 2);
    return write_turns(dir, acknowledgements);
}

static void clear(const char *dir)
{
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(mkdir(dir, 0700), 0);
}

/* Killed or refused at any call, what is there is whole or absent, and can be made again. */
static void check_made(struct place *place, uint64_t reached)
{
    struct identity identity;
    enum status status;

    if (reached >= 1) {
        assert_ok(identity_load(place->dir, &identity));
    } else {
        status = identity_create(place->dir, &identity);
        assert_true(status == OK || status == EXISTS);
        assert_ok(identity_load(place->dir, &identity));
    }
    if (reached < 2) {
        status = store_create(place->dir);
        assert_true(status == OK || status == EXISTS);
    }
    (void)history_check(place, reached > 2 ? reached : 0);
}

static void made_whatever_call_is_the_last(void **state)
{
    struct place *place = *state;
    bool ended = false;

    for (long at = 1; !ended; at++)
        for (int moment = BEFORE; moment < MOMENTS; moment++) {
            uint64_t reached = 0;
            int status;

            clear(place->dir);
            strike.mode = KILL;
            strike.at = at;
            strike.count = 0;
            strike.moment = (enum moment)moment;
            status = run_child(make_all, place->dir, &reached);
            strike.mode = PASS;
            check_made(place, reached);
            ended = !WIFSIGNALED(status);
        }
}

/* --- errors ------------------------------------------------------------------------------- */

/* One call fails.  A full disk drops a turn; an error of the disk is the last thing said. */
static int write_against_error(const char *dir, int acknowledgements)
{
    struct store *store = NULL;
    uint64_t seq = 0;
    enum status status = store_open(dir, MAP_SIZE_TEST, &store);
    enum status next;

    if (status != OK)
        return status == NO_SPACE || status == IO ? 0 : 10;
    for (int turn = 0; turn < TURNS; turn++) {
        if ((status = history_turn(store, &seq)) == OK) {
            acknowledge(acknowledgements, seq);
            continue;
        }
        if (strike.count < strike.at)
            return 11; /* nothing was refused yet */
        if (status != IO && status != NO_SPACE)
            return 12;
        next = history_turn(store, &seq);
        if (status == IO && next != IO)
            return 13;
        if (next == OK)
            acknowledge(acknowledgements, seq);
        else if (next != IO)
            return 14;
    }
    store_close(&store);
    return 0;
}

static void refused_at_every_call(void **state)
{
    static const int errors[] = { ENOSPC, EIO };
    struct place *place = *state;
    uint64_t seq = 0;

    assert_ok(store_create(place->dir));
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        for (long at = 1; at <= 60; at++) {
            uint64_t acknowledged = seq;
            int status;

            strike.mode = FAIL;
            strike.error = errors[i];
            strike.at = at;
            strike.count = 0;
            status = run_child(write_against_error, place->dir, &acknowledged);
            strike.mode = PASS;
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 0);
            seq = history_check(place, acknowledged);
        }
}

static void making_refused_at_every_call(void **state)
{
    struct place *place = *state;
    bool ended = false;

    for (long at = 1; !ended; at++) {
        uint64_t reached = 0;
        int status;

        clear(place->dir);
        strike.mode = FAIL;
        strike.error = at % 2 ? ENOSPC : EIO;
        strike.at = at;
        strike.count = 0;
        status = run_child(make_all, place->dir, &reached);
        strike.mode = PASS;
        assert_true(WIFEXITED(status));
        check_made(place, reached);
        ended = WEXITSTATUS(status) == 0;
    }
}

/* --- images ------------------------------------------------------------------------------- */

struct image {
    uint8_t *bytes;
    size_t size, capacity;
};

static void put_call(struct image *image, const struct call *call, uint32_t sectors_random,
                     bool torn)
{
    for (size_t at = 0; at < call->size; at += SECTOR) {
        const size_t size = call->size - at < SECTOR ? call->size - at : SECTOR;
        const size_t to = (size_t)call->offset + at;

        if (torn && (mix((uint64_t)sectors_random << 20 | at) & 1))
            continue;
        assert_true(to + size <= image->capacity);
        memcpy(image->bytes + to, call->bytes + at, size);
        if (to + size > image->size)
            image->size = to + size;
    }
}

static void load_image(const char *path, struct image *image)
{
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    image->capacity = 16 * 1024 * 1024;
    image->bytes = calloc(1, image->capacity);
    assert_non_null(image->bytes);
    image->size = fread(image->bytes, 1, image->capacity, file);
    fclose(file);
}

static void save_image(const char *path, const struct image *image)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(image->bytes, 1, image->size, file), image->size);
    assert_int_equal(fclose(file), 0);
}

/* The disk after the power went at call `last`: what was synced before is whole, the rest of
 * the writes came sector by sector, or not, or all of them. */
static uint64_t build_image(const struct image *base, struct image *image, size_t last,
                            uint32_t random)
{
    uint64_t acknowledged = 0;
    size_t synced = 0;

    memset(image->bytes, 0, image->size);
    memcpy(image->bytes, base->bytes, base->size);
    image->size = base->size;
    for (size_t i = 0; i < last; i++) {
        if (calls[i].kind == CALL_SYNC)
            synced = i;
        if (calls[i].kind == CALL_ACKNOWLEDGE)
            acknowledged = calls[i].seq;
    }
    for (size_t i = 0; i <= last; i++) {
        const bool whole = i < synced || (calls[i].durable && i < last);

        if (calls[i].kind != CALL_WRITE)
            continue;
        if (whole || random % 4 == 0)
            put_call(image, &calls[i], 0, false);
        else if (random % 4 != 1)
            put_call(image, &calls[i], random + (uint32_t)i, true);
    }
    return acknowledged;
}

static void record_history(struct place *place)
{
    uint64_t seq = 0;

    calls = calloc(CALLS_MAX, sizeof *calls);
    assert_non_null(calls);
    assert_ok(store_open(place->dir, MAP_SIZE_TEST, &place->store));
    strike.mode = RECORD;
    for (int turn = 0; turn < 60; turn++) {
        assert_ok(history_turn(place->store, &seq));
        record((struct call){ .kind = CALL_ACKNOWLEDGE, .seq = seq }, NULL);
    }
    strike.mode = PASS;
    store_close(&place->store);
}

static void every_image_opens_and_holds_what_was_acknowledged(void **state)
{
    struct place *place = *state;
    struct image base;
    struct image image;
    char path[256];

    assert_ok(store_create(place->dir));
    (void)snprintf(path, sizeof path, "%s/db/data.mdb", place->dir);
    load_image(path, &base);
    load_image(path, &image);
    record_history(place);
    for (long i = 0; i < images_wanted; i++) {
        const uint32_t random = mix((uint64_t)i + 77);
        const size_t last = random / 4 % call_count;
        const uint64_t acknowledged = build_image(&base, &image, last, random);

        save_image(path, &image);
        (void)history_check(place, acknowledged);
    }
    print_message("%ld images of %zu calls\n", images_wanted, call_count);
    for (size_t i = 0; i < call_count; i++)
        free(calls[i].bytes);
    free(calls);
    free(base.bytes);
    free(image.bytes);
}

int main(int argc, char **argv)
{
#define EMPTY(test) cmocka_unit_test_setup_teardown(test, place_make_empty, place_free)
    const struct CMUnitTest tests[] = {
        EMPTY(killed_at_every_call),
        EMPTY(made_whatever_call_is_the_last),
        EMPTY(refused_at_every_call),
        EMPTY(making_refused_at_every_call),
        EMPTY(every_image_opens_and_holds_what_was_acknowledged),
    };

    if (argc == 3) {
        kills_wanted = strtol(argv[1], NULL, 10);
        images_wanted = strtol(argv[2], NULL, 10);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
