/* SPDX-License-Identifier: MPL-2.0 */
/* settings.h - the configuration file: which settings there are, what they take, what is
 * wrong.
 *
 * One row of SETTING_TABLE adds a setting: parsing, defaults, `chapterd check-config` and
 * the test of the manual page follow from it. */
#ifndef CHAPTERD_SETTINGS_H
#define CHAPTERD_SETTINGS_H

#include <stdio.h>

#include "daemon/node_internal.h"

#define SETTINGS_FILE_NAME "chapterd.conf" /* in DIR, read if it is there */
#define SETTINGS_SIZE_MAX (64 * 1024)
#define SETTINGS_LINE_MAX 1023 /* zconfig cuts a line at 1,024 without a word */
#define SETTINGS_DIAL_ONLY "dial-only"

/* X(name, form, default, what it is for): the forms are the parse_FORM of settings.c */
#define SETTING_TABLE(X)                                                                       \
    X(listen, address, "", "HOST:PORT, or dial-only; empty: as given to init or join")         \
    X(advertise, host, "", "host that HQ's new tokens name; empty: as given to init")          \
    X(store_size, size, "64G", "the most that the database may grow to; K, M, G, T")           \
    X(log_format, format, "text", "text, or json: one object a line")                          \
    X(log_level, level, "notice", "error, warning, notice or debug")                           \
    X(core_dumps, core_dumps, "no", "yes lets a crash write memory, keys included, to disk")   \
    X(sandbox, sandbox, "yes", "no: the daemon may do whatever its user may")                  \
    X(backup_dir, path, "", "all backups go there; empty: anywhere but the system's places")

/* Each setting as it was written, and what was made of those that are not texts. */
#define SETTING_TEXT_SIZE ADDRESS_SIZE
#define SETTING_FIELD(name, form, initial, help) char name##_text[SETTING_TEXT_SIZE];
struct settings {
    SETTING_TABLE(SETTING_FIELD)
    uint64_t store_size;
    enum log_form log_format;
    enum log_level log_level;
    bool core_dumps;
    bool sandbox;
};
#undef SETTING_FIELD

struct settings_error {
    size_t line; /* from 1; 0: of the whole file */
    char text[256];
    char remedy[256];
};

void settings_init(struct settings *out_settings);
/* Form of the file, line by line, before zconfig sees it: it forgives too much in silence. */
enum status settings_check_form(struct slice file, struct settings_error *out_error) MUST_CHECK;
/* INVALID with the reason; the settings are as before then. */
enum status settings_set(struct settings *settings, const char *name, const char *value,
                         struct settings_error *out_error) MUST_CHECK;
/* As lines of such a file. */
void settings_print(FILE *stream, const struct settings *settings);
/* The file's settings over the defaults.  NOT_FOUND or another status of reading it; INVALID
 * with the reason. */
enum status settings_load(const char *path, struct settings *out_settings,
                          struct settings_error *out_error) MUST_CHECK;

/* A host that others could dial: a name or an address, IPv6 without brackets. */
bool host_valid(const char *host);

#endif
