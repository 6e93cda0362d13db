/* SPDX-License-Identifier: MPL-2.0 */
/* settings.c - the table of settings at work, and the form of the file that holds them.
 * zconfig itself is left to command_config.c, so that this much can be tested by itself. */
#include "daemon/settings.h"
#include "daemon/words.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <unistr.h>

#define STORE_SIZE_MIN (16ull * 1024 * 1024)
#define STORE_SIZE_MAX (16ull * 1024 * 1024 * 1024 * 1024) /* address space of the map */
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

#define SETTING_NAME(name, form, initial, help) #name,
static const char *const setting_names[] = { SETTING_TABLE(SETTING_NAME) };
#undef SETTING_NAME
#define SETTING_COUNT (sizeof setting_names / sizeof setting_names[0])

/* --- forms -------------------------------------------------------------------------------- */

bool host_valid(const char *host)
{
    struct in6_addr address;

    if (strchr(host, ':') != NULL)
        return inet_pton(AF_INET6, host, &address) == 1;
    for (const char *at = host; *at != '\0'; at++)
        if (!isalnum((unsigned char)*at) && strchr(".-_", *at) == NULL)
            return false;
    return host[0] != '\0' && host[0] != '-' && strlen(host) <= 253;
}

/* Each returns NULL, or what the value should have been. */
static const char *parse_address(struct settings *settings, const char *value)
{
    char host[ADDRESS_SIZE];
    uint16_t port;

    (void)settings;
    if (value[0] == '\0' || strcmp(value, SETTINGS_DIAL_ONLY) == 0)
        return NULL;
    if (address_parse(value, host, sizeof host, &port) != OK ||
        (strcmp(host, "*") != 0 && !host_valid(host)))
        return "HOST:PORT with a port of 1 to 65534, such as *:7440 or [::1]:7440, or "
               "dial-only";
    return NULL;
}

static const char *parse_host(struct settings *settings, const char *value)
{
    (void)settings;
    return value[0] == '\0' || host_valid(value) ? NULL
                                                 : "a host name or an address, without a port";
}

static const char *parse_size(struct settings *settings, const char *value)
{
    static const char error[] = "a number with K, M, G or T behind it, from 16M to 16T";
    static const char units[] = "KMGT";
    const size_t digits = strspn(value, "0123456789");
    const char *unit = value[digits] != '\0' ? strchr(units, value[digits]) : NULL;
    uint64_t size = 0;

    if (digits == 0 || digits > 14 || (value[digits] != '\0' && unit == NULL) ||
        (unit != NULL && value[digits + 1] != '\0'))
        return error;
    for (size_t i = 0; i < digits; i++)
        size = size * 10 + (uint64_t)(value[i] - '0');
    for (size_t left = unit != NULL ? (size_t)(unit - units) + 1 : 0; left > 0; left--) {
        if (size > STORE_SIZE_MAX)
            return error;
        size *= 1024;
    }
    if (size < STORE_SIZE_MIN || size > STORE_SIZE_MAX)
        return error;
    settings->store_size = size;
    return NULL;
}

static const char *parse_format(struct settings *settings, const char *value)
{
    if (strcmp(value, "text") != 0 && strcmp(value, "json") != 0)
        return "text or json";
    settings->log_format = value[0] == 't' ? LOG_AS_TEXT : LOG_AS_JSON;
    return NULL;
}

static const char *parse_level(struct settings *settings, const char *value)
{
    static const char *const names[] = { "error", "warning", "notice", "debug" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(value, names[i]) == 0) {
            settings->log_level = (enum log_level)i;
            return NULL;
        }
    return "error, warning, notice or debug";
}

static const char *parse_flag(bool *out_flag, const char *value)
{
    if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
        return "yes or no";
    *out_flag = value[0] == 'y';
    return NULL;
}

static const char *parse_core_dumps(struct settings *settings, const char *value)
{
    return parse_flag(&settings->core_dumps, value);
}

static const char *parse_sandbox(struct settings *settings, const char *value)
{
    return parse_flag(&settings->sandbox, value);
}

static const char *parse_path(struct settings *settings, const char *value)
{
    (void)settings;
    return value[0] == '\0' || (value[0] == '/' && strchr(value, '"') == NULL)
               ? NULL
               : "a directory's whole path, from / and without \" in it";
}

/* --- settings ----------------------------------------------------------------------------- */

static enum status wrong(struct settings_error *out_error, size_t line, const char *text,
                         const char *remedy)
{
    out_error->line = line;
    (void)snprintf(out_error->text, sizeof out_error->text, "%s", text);
    (void)snprintf(out_error->remedy, sizeof out_error->remedy, "%s", remedy);
    return INVALID;
}

static enum status unknown(struct settings_error *out_error, size_t line, const char *name)
{
    const char *nearest = words_nearest(name, setting_names, SETTING_COUNT);
    size_t size = 0;
    int length;

    out_error->line = line;
    (void)snprintf(out_error->text, sizeof out_error->text, "there is no setting \"%.64s\"",
                   name);
    if (nearest != NULL) {
        (void)snprintf(out_error->remedy, sizeof out_error->remedy, "did you mean %s?",
                       nearest);
        return INVALID;
    }
    length = snprintf(out_error->remedy, sizeof out_error->remedy, "the settings are");
    for (size_t i = 0; i < SETTING_COUNT && length > 0; i++) {
        size += (size_t)length;
        if (size >= sizeof out_error->remedy)
            break;
        length = snprintf(out_error->remedy + size, sizeof out_error->remedy - size, "%s %s",
                          i == 0 ? "" : ",", setting_names[i]);
    }
    return INVALID;
}

struct setting {
    const char *name;
    const char *(*parse)(struct settings *settings, const char *value);
    size_t text_offset;
    const char *initial;
};
#define SETTING_ROW(name, form, initial, help)                                                 \
    { #name, parse_##form, offsetof(struct settings, name##_text), initial },
static const struct setting table[] = { SETTING_TABLE(SETTING_ROW) };
#undef SETTING_ROW

static char *setting_text(struct settings *settings, const struct setting *setting)
{
    return (char *)settings + setting->text_offset;
}

static const char *apply(struct settings *settings, const struct setting *setting,
                         const char *value)
{
    const char *expected =
        strlen(value) >= SETTING_TEXT_SIZE ? "a shorter text" : setting->parse(settings, value);

    if (expected == NULL)
        memcpy(setting_text(settings, setting), value, strlen(value) + 1);
    return expected;
}

void settings_init(struct settings *out_settings)
{
    memset(out_settings, 0, sizeof *out_settings);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const char *expected = apply(out_settings, &table[i], table[i].initial);

        ASSERT(expected == NULL);
    }
}

enum status settings_set(struct settings *settings, const char *name, const char *value,
                         struct settings_error *out_error)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const char *expected;

        if (strcmp(table[i].name, name) != 0)
            continue;
        if ((expected = apply(settings, &table[i], value)) == NULL)
            return OK;
        out_error->line = 0;
        (void)snprintf(out_error->text, sizeof out_error->text, "%s cannot be \"%.64s\"", name,
                       value);
        (void)snprintf(out_error->remedy, sizeof out_error->remedy, "%s takes %s", name,
                       expected);
        return INVALID;
    }
    return unknown(out_error, 0, name);
}

void settings_print(FILE *stream, const struct settings *settings)
{
#define SETTING_PRINT(name, form, initial, help)                                               \
    fprintf(stream, "# %s\n%s = \"%s\"\n", help, #name, settings->name##_text);
    SETTING_TABLE(SETTING_PRINT)
#undef SETTING_PRINT
}

/* --- form of the file --------------------------------------------------------------------- */

static enum status check_bytes(struct slice file, struct settings_error *out_error)
{
    size_t line = 1;

    if (file.size > SETTINGS_SIZE_MAX)
        return wrong(out_error, 0, "the file is larger than 64 KiB", "is it the right file?");
    for (size_t i = 0; i < file.size; i++) {
        const uint8_t byte = file.data[i];

        if (byte == '\t')
            return wrong(out_error, line, "a tab", "use spaces");
        if (byte == '\r')
            return wrong(out_error, line, "a line end of Windows",
                         "save the file with Unix line ends");
        if ((byte < ' ' && byte != '\n') || byte == 0x7f)
            return wrong(out_error, line, "a control character", "remove it");
        line += byte == '\n';
    }
    if (u8_check(file.data, file.size) != NULL)
        return wrong(out_error, 0, "the file is not UTF-8", "save it as UTF-8");
    return OK;
}

/* What stands behind the '=': a word and perhaps a comment, or a text in quotes. */
static enum status check_value(const char *value, size_t line, struct settings_error *out_error)
{
    const char *end;

    value += strspn(value, " ");
    if (*value != '"' && *value != '\'')
        return OK;
    if ((end = strchr(value + 1, *value)) == NULL)
        return wrong(out_error, line, "a quote that does not end", "close it on the same line");
    end += 1 + strspn(end + 1, " ");
    if (*end != '\0' && *end != '#')
        return wrong(out_error, line, "something stands behind the closing quote",
                     "remove it, or put # before a comment");
    return OK;
}

static enum status check_line(char *text, size_t line, bool seen[SETTING_COUNT],
                              struct settings_error *out_error)
{
    const size_t indent = strspn(text, " ");
    char *name = text + indent;
    const size_t name_size = strspn(name, NAME_CHARACTERS);
    char *equals = name + name_size + strspn(name + name_size, " ");
    enum status status;

    if (*name == '\0' || *name == '#')
        return OK;
    if (indent % 4 != 0)
        return wrong(out_error, line, "an indent that is not a multiple of 4 spaces",
                     "begin the line with the setting's name");
    if (indent != 0)
        return wrong(out_error, line, "an indented setting, as if it belonged to the one above",
                     "begin the line with the setting's name");
    if (name_size == 0 || *equals != '=')
        return wrong(out_error, line, "not of the form NAME = VALUE",
                     "put # before what is meant as a comment");
    if ((status = check_value(equals + 1, line, out_error)) != OK)
        return status;
    name[name_size] = '\0';
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(name, setting_names[i]) != 0)
            continue;
        if (seen[i])
            return wrong(out_error, line, "a setting that stands above already",
                         "remove one of the two");
        seen[i] = true;
        return OK;
    }
    return unknown(out_error, line, name);
}

enum status settings_check_form(struct slice file, struct settings_error *out_error)
{
    bool seen[SETTING_COUNT] = { false };
    char text[SETTINGS_LINE_MAX + 1];
    enum status status = check_bytes(file, out_error);
    size_t line = 1;

    for (size_t at = 0; status == OK && at < file.size; line++) {
        const uint8_t *end = memchr(file.data + at, '\n', file.size - at);
        const size_t size = end != NULL ? (size_t)(end - file.data) - at : file.size - at;

        if (size > SETTINGS_LINE_MAX)
            return wrong(out_error, line, "a line of more than 1,023 bytes", "shorten it");
        memcpy(text, file.data + at, size);
        text[size] = '\0';
        status = check_line(text, line, seen, out_error);
        at += size + 1;
    }
    return status;
}
