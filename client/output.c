/* SPDX-License-Identifier: MPL-2.0 */
/* output.c - values, times and messages for people.
 * Whatever may hold foreign text goes through the escaper here. */
#include "client/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/arguments.h"
#include "client/terminal.h"

const char *json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? "" : text;
}

json_int_t json_count(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

struct sort_keys {
    const char *key;
    const char *second;
};

static int compare_objects(const void *a, const void *b, void *context)
{
    const struct sort_keys *keys = context;
    const json_t *left = *(const json_t *const *)a;
    const json_t *right = *(const json_t *const *)b;
    const int order = strcmp(json_text(left, keys->key), json_text(right, keys->key));

    return order != 0 ? order
                      : strcmp(json_text(left, keys->second), json_text(right, keys->second));
}

json_t *json_sorted(const json_t *array, const char *key, const char *second)
{
    struct sort_keys keys = { key, second };
    const size_t count = json_array_size(array);
    json_t **list = calloc(count + 1, sizeof *list);
    json_t *sorted = list == NULL ? NULL : json_array();

    for (size_t i = 0; sorted != NULL && i < count; i++)
        list[i] = json_array_get(array, i);
    if (sorted != NULL)
        qsort_r(list, count, sizeof *list, compare_objects, &keys);
    for (size_t i = 0; sorted != NULL && i < count; i++)
        (void)json_array_append(sorted, list[i]);
    free(list);
    return sorted;
}

char *format_value(const json_t *value)
{
    if (value == NULL || json_is_null(value))
        return strdup("");
    if (json_is_boolean(value))
        return strdup(json_is_true(value) ? "yes" : "no");
    if (json_is_string(value))
        return strdup(json_string_value(value));
    return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

void format_time(int64_t time, char out_text[TIME_TEXT_SIZE])
{
    const time_t moment = (time_t)time;
    struct tm parts;

    if (gmtime_r(&moment, &parts) == NULL ||
        strftime(out_text, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        out_text[0] = '\0';
}

void format_span(json_int_t seconds, char out_text[SPAN_TEXT_SIZE])
{
    static const struct {
        json_int_t below;
        json_int_t unit;
        const char *name;
    } spans[] = { { 120, 1, "s" }, { 7200, 60, "min" }, { 172800, 3600, "h" } };
    json_int_t unit = 86400;
    const char *name = "d";

    if (seconds < 0)
        seconds = 0;
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++)
        if (seconds < spans[i].below) {
            unit = spans[i].unit;
            name = spans[i].name;
            break;
        }
    (void)snprintf(out_text, SPAN_TEXT_SIZE, "%" JSON_INTEGER_FORMAT " %s", seconds / unit,
                   name);
}

void format_age(const char *rfc3339, char out_text[SPAN_TEXT_SIZE])
{
    const int64_t now = (int64_t)time(NULL);
    int64_t moment;

    out_text[0] = '\0';
    if (strlen(rfc3339) > 10 && parse_time(rfc3339, now, &moment))
        format_span((json_int_t)(now - moment), out_text);
}

void notice(const struct options *options, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;

    if (options->quiet || options->form == OUTPUT_JSON)
        return;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    if (text == NULL)
        return;
    (void)fflush(stdout);
    print_wrapped_error("", text);
    free(text);
}

void print_line(const char *format, ...)
{
    va_list arguments;
    char *text = NULL;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    if (text != NULL)
        print_wrapped("", text);
    free(text);
}
