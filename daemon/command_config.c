/* SPDX-License-Identifier: MPL-2.0 */
/* command_config.c - reading the configuration file, and `chapterd check-config`.
 * The form is checked first, because zconfig cuts, skips and ignores without a word. */
#include "daemon/command.h"
#include "daemon/settings.h"

#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void close_file(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static void free_bytes(char **bytes)
{
    free(*bytes);
}

/* At most one byte more than may be, which is enough to see that it is too much. */
static enum status read_file(const char *path, char **out_bytes, size_t *out_size)
{
    CLEANUP(close_file) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    CLEANUP(free_bytes) char *bytes = NULL;
    size_t size = 0;

    if (fd < 0)
        return status_of_errno(errno);
    if ((bytes = malloc(SETTINGS_SIZE_MAX + 2)) == NULL)
        return NO_MEMORY;
    while (size < SETTINGS_SIZE_MAX + 1) {
        const ssize_t got = read(fd, bytes + size, SETTINGS_SIZE_MAX + 1 - size);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return status_of_errno(errno);
        if (got == 0)
            break;
        size += (size_t)got;
    }
    bytes[size] = '\0';
    *out_bytes = bytes;
    *out_size = size;
    bytes = NULL;
    return OK;
}

/* The line on which a setting stands, in a file of checked form. */
static size_t line_of(const char *file, const char *name)
{
    const size_t name_size = strlen(name);
    size_t line = 1;

    for (const char *at = file; at != NULL; line++) {
        if (strncmp(at, name, name_size) == 0 && strchr(" =", at[name_size]) != NULL)
            return line;
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    return 0;
}

static enum status read_tree(const char *file, struct settings *out_settings,
                             struct settings_error *out_error)
{
    CLEANUP(zconfig_destroy) zconfig_t *tree = zconfig_str_load(file);
    enum status status = OK;

    if (tree == NULL)
        return NO_MEMORY;
    for (zconfig_t *at = zconfig_child(tree); at != NULL && status == OK;
         at = zconfig_next(at)) {
        const char *value = zconfig_value(at);

        status =
            settings_set(out_settings, zconfig_name(at), value != NULL ? value : "", out_error);
        if (status != OK)
            out_error->line = line_of(file, zconfig_name(at));
    }
    return status;
}

enum status settings_load(const char *path, struct settings *out_settings,
                          struct settings_error *out_error)
{
    CLEANUP(free_bytes) char *file = NULL;
    struct settings settings;
    size_t size = 0;
    enum status status;

    settings_init(&settings);
    if ((status = read_file(path, &file, &size)) != OK ||
        (status = settings_check_form(slice_of(file, size), out_error)) != OK ||
        (status = read_tree(file, &settings, out_error)) != OK)
        return status;
    *out_settings = settings;
    return OK;
}

int command_check_config(int argc, char **argv)
{
    const char *dir_given = NULL;
    const char *file = NULL;
    const struct command_option options[] = { { "--dir", &dir_given, NULL } };
    const struct command_line line = { options, 1, &file };
    char dir_buffer[COMMAND_PATH_SIZE];
    char path[COMMAND_PATH_SIZE + sizeof SETTINGS_FILE_NAME + 1];
    struct settings_error error = { 0 };
    struct settings settings;
    const char *dir;
    enum status status;
    int code;

    if (!command_parse(&line, argc, argv, &code))
        return code;
    if (file == NULL) {
        if ((dir = command_directory(dir_given, dir_buffer)) == NULL)
            return COMMAND_USAGE;
        (void)snprintf(path, sizeof path, "%s/" SETTINGS_FILE_NAME, dir);
    }
    status = settings_load(file != NULL ? file : path, &settings, &error);
    if (status == NOT_FOUND && file == NULL) {
        command_note("there is no %s: the defaults are in force", path);
        settings_init(&settings);
        status = OK;
    }
    if (status == INVALID) {
        command_error("%s:%zu: %s", file != NULL ? file : path, error.line, error.text);
        command_remedy("%s", error.remedy);
        return COMMAND_FAILED;
    }
    if (status != OK) {
        command_error("cannot read %s: %s", file != NULL ? file : path, status_text(status));
        command_remedy("check the file's name, and that you may read it: ls -l");
        return COMMAND_FAILED;
    }
    settings_print(stdout, &settings);
    return command_flush() ? COMMAND_OK : COMMAND_FAILED;
}
