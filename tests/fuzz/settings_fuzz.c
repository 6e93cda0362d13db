/* SPDX-License-Identifier: MPL-2.0 */
/* settings_fuzz.c - any bytes as the configuration file, and as a key file: what is taken is
 * printed and read again as the same. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/io/identity.h"
#include "daemon/settings.h"
#include "tests/fuzz/fuzz.h"

static char dir[] = "/dev/shm/chapterd-fuzz-XXXXXX";
static struct identity identity;

static void remove_all(void)
{
    static const char *const names[] = { "conf", "again", "keys/sign", "keys/curve", "keys" };
    char path[64];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)remove(path);
    }
    (void)rmdir(dir);
}

static void begin(void)
{
    static bool begun;

    if (begun)
        return;
    begun = true;
    ASSERT(mkdtemp(dir) != NULL);
    ASSERT(identity_create(dir, &identity) == OK);
    (void)atexit(remove_all);
}

static void write_file(const char *name, const uint8_t *data, size_t size)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static char *printed(const struct settings *settings)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    ASSERT(stream != NULL);
    settings_print(stream, settings);
    ASSERT(fclose(stream) == 0);
    return text;
}

static void try_settings(const uint8_t *data, size_t size)
{
    struct settings settings;
    struct settings again;
    struct settings_error error;
    char path[64];
    char *first;
    char *second;

    write_file("conf", data, size);
    (void)snprintf(path, sizeof path, "%s/conf", dir);
    if (settings_load(path, &settings, &error) != OK)
        return;
    ASSERT(settings_check_form(slice_of(data, size), &error) == OK);
    first = printed(&settings);
    write_file("again", (const uint8_t *)first, strlen(first));
    (void)snprintf(path, sizeof path, "%s/again", dir);
    ASSERT(settings_load(path, &again, &error) == OK);
    second = printed(&again);
    ASSERT(strcmp(first, second) == 0);
    free(first);
    free(second);
}

/* A key file is one text for one key: what loads is the very file that was written first, or
 * another key. */
static void try_key(const uint8_t *data, size_t size)
{
    struct identity loaded;

    write_file("keys/curve", data, size);
    if (identity_load(dir, &loaded) != OK)
        return;
    ASSERT(memcmp(loaded.sign.public_key, identity.sign.public_key, KEY_SIZE) == 0);
    identity_wipe(&loaded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin();
    try_settings(data, size);
    try_key(data, size);
    return 0;
}
