/* SPDX-License-Identifier: MPL-2.0 */
/* replay.c - runs a fuzzer without libFuzzer: every file of the given directories as it is, cut
 * short, and changed at random from a fixed seed.
 * Usage: fuzz_NAME [--rounds=N] [--step=N] DIRECTORY...; each round is one random change of
 * each file; it is cut short at every byte, or at every Nth. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "chapterd/status.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_SIZE_MAX (1024 * 1024)
#define ROUNDS_DEFAULT 2000

struct effort {
    unsigned long rounds;
    unsigned long step; /* bytes between two ends */
};

struct input {
    uint8_t *data;
    size_t size;
};

static void input_free(struct input *input)
{
    free(input->data);
    input->data = NULL;
}

static void file_close(FILE **file)
{
    if (*file != NULL)
        fclose(*file);
}

static void directory_close(DIR **directory)
{
    if (*directory != NULL)
        closedir(*directory);
}

static bool fail(const char *path, const char *what)
{
    fprintf(stderr, "replay: %s: %s\n", path, what);
    return false;
}

static bool read_file(const char *path, struct input *out_input)
{
    CLEANUP(file_close) FILE *file = fopen(path, "rb");

    if (file == NULL)
        return fail(path, strerror(errno));
    if ((out_input->data = malloc(INPUT_SIZE_MAX)) == NULL)
        return fail(path, "out of memory");
    out_input->size = fread(out_input->data, 1, INPUT_SIZE_MAX, file);
    return ferror(file) == 0 || fail(path, "cannot be read");
}

/* A copy of its own, so that a sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);

    ASSERT(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* One to four small wounds: a bit, a byte, a byte taken out or put in, a stretch repeated. */
static size_t wound(uint8_t *data, size_t size, size_t capacity, uint64_t *state)
{
    for (uint64_t wounds = 1 + next_random(state) % 4; wounds > 0 && size > 0; wounds--) {
        const size_t at = next_random(state) % size;
        const size_t length = 1 + next_random(state) % (size - at);

        switch (next_random(state) % 5) {
        case 0:
            data[at] ^= (uint8_t)(1u << next_random(state) % 8);
            break;
        case 1:
            data[at] = (uint8_t)next_random(state);
            break;
        case 2:
            memmove(data + at, data + at + 1, size - at - 1);
            size--;
            break;
        case 3:
            if (size == capacity)
                break;
            memmove(data + at + 1, data + at, size - at);
            data[at] = (uint8_t)next_random(state);
            size++;
            break;
        default:
            memmove(data + next_random(state) % (size - length + 1), data + at, length);
            break;
        }
    }
    return size;
}

static bool replay_file(const char *path, const struct effort *effort)
{
    CLEANUP(input_free) struct input input = { NULL, 0 };
    CLEANUP(input_free) struct input wounded = { NULL, 0 };
    uint64_t state = 1;

    if (!read_file(path, &input))
        return false;
    for (size_t size = 0; size < input.size; size += effort->step)
        run(input.data, size);
    run(input.data, input.size);
    if ((wounded.data = malloc(input.size + 4)) == NULL)
        return fail(path, "out of memory");
    for (unsigned long i = 0; i < effort->rounds; i++) {
        memcpy(wounded.data, input.data, input.size);
        wounded.size = wound(wounded.data, input.size, input.size + 4, &state);
        run(wounded.data, wounded.size);
    }
    return true;
}

static bool replay_directory(const char *name, const struct effort *effort, size_t *files)
{
    CLEANUP(directory_close) DIR *directory = opendir(name);
    const struct dirent *entry;
    char path[4096];
    struct stat found;

    if (directory == NULL)
        return fail(name, strerror(errno));
    while ((entry = readdir(directory)) != NULL) {
        if (snprintf(path, sizeof path, "%s/%s", name, entry->d_name) >= (int)sizeof path)
            return fail(name, "a path is too long");
        if (stat(path, &found) != 0)
            return fail(path, strerror(errno));
        if (!S_ISREG(found.st_mode))
            continue;
        if (!replay_file(path, effort))
            return false;
        ++*files;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct effort effort = { ROUNDS_DEFAULT, 1 };
    size_t files = 0;

    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--rounds=", 9) == 0)
            effort.rounds = strtoul(argv[i] + 9, NULL, 10);
        else if (strncmp(argv[i], "--step=", 7) == 0)
            effort.step = strtoul(argv[i] + 7, NULL, 10);
        else if (effort.step == 0 || !replay_directory(argv[i], &effort, &files))
            return 1;
    printf("%zu files, %lu random changes of each\n", files, effort.rounds);
    if (files > 0)
        return 0;
    fprintf(stderr, "replay: nothing to replay\n");
    return 1;
}
