/* SPDX-License-Identifier: MPL-2.0 */
/* log.c - the one place that logs: a line to stderr for each event, as text or as JSON.
 * Values come from strangers too, so each goes through words_escape, whatever the form. */
#include "daemon/node_internal.h"
#include "daemon/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_SIZE 2048 /* of an event as its caller wrote it */
#define LINE_SIZE                                                                              \
    4096 /* and escaped: one write of this size does not mix with others' in a pipe */
#define KEY_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789_"

static enum log_form log_form = LOG_AS_TEXT;
static enum log_level log_level = LOG_NOTICE;

void log_set_form(enum log_form form)
{
    log_form = form;
}

void log_set_level(enum log_level level)
{
    log_level = level;
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = { "error", "warning", "notice", "debug" };

    return names[level];
}

struct line {
    size_t size;
    char bytes[LINE_SIZE];
};

static void add(struct line *line, const char *bytes, size_t size)
{
    if (line->size + size + 2 > sizeof line->bytes) /* "}\n" always fits */
        return;
    memcpy(line->bytes + line->size, bytes, size);
    line->size += size;
}

static void add_text(struct line *line, const char *text)
{
    add(line, text, strlen(text));
}

struct pair {
    struct slice key;
    struct slice value;
    bool quoted;
};

/* key=word or key="words"; anything else is taken whole, under the key "text".  The end of a
 * quoted value is a quote before a space or the end, so that a quote within it does no harm. */
static bool next_pair(const char **at, struct pair *out_pair)
{
    const char *key = *at + strspn(*at, " ");
    const size_t key_size = strspn(key, KEY_CHARACTERS);
    const char *value = key + key_size + 1;
    const char *end;

    if (*key == '\0')
        return false;
    if (key_size == 0 || key[key_size] != '=') {
        *out_pair = (struct pair){ slice_of_text("text"), slice_of_text(key), true };
        *at = key + strlen(key);
        return true;
    }
    out_pair->key = slice_of(key, key_size);
    out_pair->quoted = *value == '"';
    if (out_pair->quoted) {
        end = ++value;
        while (*end != '\0' && !(*end == '"' && (end[1] == ' ' || end[1] == '\0')))
            end++;
        *at = *end == '"' ? end + 1 : end;
    } else {
        end = value + strcspn(value, " ");
        *at = end;
    }
    out_pair->value = slice_of(value, (size_t)(end - value));
    return true;
}

/* A number that every reader of JSON takes as it is. */
static bool is_number(const struct pair *pair)
{
    if (pair->quoted || pair->value.size == 0 || pair->value.size > 15 ||
        (pair->value.data[0] == '0' && pair->value.size > 1))
        return false;
    for (size_t i = 0; i < pair->value.size; i++)
        if (pair->value.data[i] < '0' || pair->value.data[i] > '9')
            return false;
    return true;
}

static void add_pair(struct line *line, const struct pair *pair)
{
    const bool json = log_form == LOG_AS_JSON;
    char value[LINE_SIZE];
    const size_t size = words_escape(value, sizeof value, pair->value, "\"\\");
    const bool bare = json ? is_number(pair) : size != 0 && strpbrk(value, " \"=\\") == NULL;
    const size_t needed = pair->key.size + size + 6;

    if (line->size + needed + 2 > sizeof line->bytes)
        return; /* a pair is whole or absent */
    add_text(line, json ? ",\"" : " ");
    add(line, (const char *)pair->key.data, pair->key.size);
    add_text(line, json ? "\":" : "=");
    if (!bare)
        add_text(line, "\"");
    add(line, value, size);
    if (!bare)
        add_text(line, "\"");
}

static void add_start(struct line *line, enum log_level level)
{
    const time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm utc = { 0 };
    char time_text[32];

    (void)gmtime_r(&now, &utc);
    if (strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        time_text[0] = '\0';
    if (log_form == LOG_AS_JSON)
        add_text(line, "{\"time\":\"");
    add_text(line, time_text);
    add_text(line, log_form == LOG_AS_JSON ? "\",\"level\":\"" : " ");
    add_text(line, level_name(level));
    if (log_form == LOG_AS_JSON)
        add_text(line, "\"");
}

void log_event(enum log_level level, const char *format, ...)
{
    struct line line = { .size = 0 };
    char text[TEXT_SIZE];
    const char *at = text;
    struct pair pair;
    va_list arguments;
    int length;

    if (level > log_level)
        return;
    va_start(arguments, format);
    length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    add_start(&line, level);
    while (next_pair(&at, &pair))
        add_pair(&line, &pair);
    if (log_form == LOG_AS_JSON)
        line.bytes[line.size++] = '}';
    line.bytes[line.size++] = '\n';
    /* Nobody is left to tell that the log itself cannot be written. */
    if (write(STDERR_FILENO, line.bytes, line.size) < 0)
        return;
}
