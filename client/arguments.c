/* SPDX-License-Identifier: MPL-2.0 */
/* arguments.c - options of commands by their rules, and the forms that values may have.
 * Global options precede the noun and are main.c's. */
#include "client/arguments.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/output.h"
#include "client/suggest.h"
#include "proto/record.h"

#define SECONDS_MAX (10.0 * 366 * 86400)
#define SIZE_BYTES_MAX ((1ull << 53) - 1)

bool parse_seconds(const char *text, double *out_seconds)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = { { "", 1 },     { "s", 1 },    { "m", 60 },
                  { "min", 60 }, { "h", 3600 }, { "d", 86400 } };
    char *end;
    double number;

    if (text[0] < '0' || text[0] > '9')
        return false;
    number = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end, units[i].unit) == 0) {
            number *= units[i].seconds;
            if (!isfinite(number) || number > SECONDS_MAX)
                return false;
            *out_seconds = number;
            return true;
        }
    return false;
}

bool parse_size(const char *text, uint64_t *out_bytes)
{
    static const char units[] = "KMGT";
    const size_t digits = strspn(text, "0123456789");
    const char *unit = text[digits] != '\0' ? strchr(units, text[digits]) : NULL;
    uint64_t bytes = 0;

    if (digits == 0 || digits > 15 || (text[digits] != '\0' && unit == NULL) ||
        (unit != NULL && text[digits + 1] != '\0'))
        return false;
    for (size_t i = 0; i < digits; i++)
        bytes = bytes * 10 + (uint64_t)(text[i] - '0');
    for (size_t left = unit != NULL ? (size_t)(unit - units) + 1 : 0; left > 0; left--) {
        if (bytes > SIZE_BYTES_MAX / 1024)
            return false;
        bytes *= 1024;
    }
    *out_bytes = bytes;
    return bytes <= SIZE_BYTES_MAX;
}

/* Two digits up to max and the separator after them ('\0': any); moves *at past both. */
static bool parse_pair(const char **at, int max, char separator, int *out_number)
{
    const char *text = *at;

    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
        return false;
    *out_number = (text[0] - '0') * 10 + text[1] - '0';
    if (*out_number > max || (separator != '\0' && text[2] != separator))
        return false;
    *at = text + (separator == '\0' ? 2 : 3);
    return true;
}

/* "Z" or "+hh:mm"; false if there is neither. */
static bool parse_offset(const char *text, int64_t *out_seconds)
{
    const bool west = text[0] == '-';
    int hours;
    int minutes;

    *out_seconds = 0;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return true;
    if (!west && text[0] != '+')
        return false;
    text++;
    if (!parse_pair(&text, 23, ':', &hours) || !parse_pair(&text, 59, '\0', &minutes) ||
        text[0] != '\0')
        return false;
    *out_seconds = (west ? -60 : 60) * (hours * 60 + minutes);
    return true;
}

bool parse_time(const char *text, int64_t now, int64_t *out_time)
{
    const struct slice date = slice_of(text, strnlen(text, 10));
    int64_t offset = 0;
    int32_t days;
    int hour = 0;
    int minute = 0;
    int second = 0;
    double ago;

    if (parse_seconds(text, &ago)) {
        *out_time = now - (int64_t)ago;
        return true;
    }
    if (!date_parse(date, &days))
        return false;
    text += 10;
    if (text[0] != '\0') {
        if (text[0] != 'T' && text[0] != 't' && text[0] != ' ')
            return false;
        text++;
        if (!parse_pair(&text, 23, ':', &hour) || !parse_pair(&text, 59, ':', &minute) ||
            !parse_pair(&text, 60, '\0', &second) || !parse_offset(text, &offset))
            return false;
    }
    *out_time = (int64_t)days * 86400 + hour * 3600 + minute * 60 + second - offset;
    return true;
}

bool arguments_id(const struct options *options, const char *word)
{
    uint8_t id[ID_SIZE];

    if (uuid_parse(slice_of_text(word), id))
        return true;
    report_error(options, "chapterctl members list --search TEXT   to find it",
                 "\"%s\" is not an id, such as 01890a5d-ac96-774b-bcce-b302099a8057", word);
    return false;
}

bool arguments_code(const struct options *options, const char *word)
{
    if (code_valid(slice_of_text(word)))
        return true;
    report_error(
        options, "chapterctl chapters list   for those that there are",
        "\"%s\" is not a chapter's code: a letter, then letters, digits or -, at most 15, "
        "in lower case",
        word);
    return false;
}

static const char *form_name(enum argument_form form)
{
    switch (form) {
    case ARGUMENT_COUNT:
        return "a whole number";
    case ARGUMENT_SIZE:
        return "a size in bytes, such as 4096, 256M or 2G";
    case ARGUMENT_SECONDS:
    case ARGUMENT_MILLISECONDS:
        return "a length of time, such as 60, 90s, 5m, 72h or 7d";
    case ARGUMENT_TIME:
        return "a time, such as 2026-01-31, 2026-01-31T12:00:00Z or 24h (ago)";
    case ARGUMENT_FLAG:
    case ARGUMENT_TEXT:
    case ARGUMENT_CODE:
    case ARGUMENT_LATER:
        break;
    }
    return "UTF-8 text";
}

static json_t *parse_count(const char *text)
{
    char *end;
    long long number;

    if (text[0] < '0' || text[0] > '9')
        return NULL;
    errno = 0;
    number = strtoll(text, &end, 10);
    return errno != 0 || *end != '\0' ? NULL : json_integer(number);
}

/* NULL if text is not of that form. */
static json_t *parse_value(enum argument_form form, const char *text)
{
    char formatted[TIME_TEXT_SIZE];
    uint64_t bytes;
    double seconds;
    int64_t moment;

    switch (form) {
    case ARGUMENT_FLAG:
        return json_true();
    case ARGUMENT_COUNT:
        return parse_count(text);
    case ARGUMENT_SIZE:
        return parse_size(text, &bytes) ? json_integer((json_int_t)bytes) : NULL;
    case ARGUMENT_SECONDS:
    case ARGUMENT_MILLISECONDS:
        if (!parse_seconds(text, &seconds))
            return NULL;
        return json_integer((json_int_t)(form == ARGUMENT_SECONDS ? seconds : seconds * 1000));
    case ARGUMENT_TIME:
        if (!parse_time(text, (int64_t)time(NULL), &moment))
            return NULL;
        format_time(moment, formatted);
        return json_string(formatted);
    case ARGUMENT_TEXT:
    case ARGUMENT_CODE:
    case ARGUMENT_LATER:
        break;
    }
    return json_string(text);
}

static const struct argument_rule *find_rule(const struct argument_rule *rules, size_t count,
                                             const char *word, size_t size)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(rules[i].name) == size && strncmp(rules[i].name, word, size) == 0)
            return &rules[i];
    return NULL;
}

static bool report_unknown(const struct options *options, const struct argument_rule *rules,
                           size_t count, const char *command, const char *word)
{
    struct suggestion suggestion;
    char remedy[128];

    suggestion_begin(&suggestion, word);
    for (size_t i = 0; i < count; i++)
        if (rules[i].form != ARGUMENT_LATER)
            suggestion_offer(&suggestion, rules[i].name);
    suggestion_offer(&suggestion, "--json"); /* global ones that main.c takes here, too */
    suggestion_offer(&suggestion, "--csv");
    (void)snprintf(remedy, sizeof remedy, "chapterctl help %s", command);
    if (word[1] != '\0' && strchr("wst", word[1]) != NULL)
        report_error(options, remedy, "%.2s stands before the command: chapterctl %.2s... %s",
                     word, word, command);
    else if (suggestion.best != NULL)
        report_error(options, remedy, "unknown option %s; did you mean %s?", word,
                     suggestion.best);
    else
        report_error(options, remedy, "unknown option %s", word);
    return false;
}

/* One option and, where it takes one, its value; *at is moved past both. */
static bool take_option(const struct options *options, int argc, char **argv, int *at,
                        const struct argument_rule *rules, size_t count, json_t *args)
{
    const char *word = argv[(*at)++];
    const size_t size = word[1] == '-' ? strcspn(word, "=") : 2;
    const struct argument_rule *rule = find_rule(rules, count, word, size);
    const char *value = word + size;
    json_t *parsed;

    if (rule == NULL)
        return report_unknown(options, rules, count, argv[0], word);
    if (rule->form == ARGUMENT_LATER) {
        report_error(options, "chapterctl help   for what there is",
                     "%s is not in this version", rule->name);
        return false;
    }
    if (rule->form == ARGUMENT_FLAG) {
        if (*value != '\0')
            return report_unknown(options, rules, count, argv[0], word);
    } else if (*value == '=')
        value++;
    else if (*value == '\0') {
        if (*at == argc) {
            report_error(options, "chapterctl help", "%s needs %s", rule->name,
                         form_name(rule->form));
            return false;
        }
        value = argv[(*at)++];
    }
    if (rule->form == ARGUMENT_CODE && !arguments_code(options, value))
        return false;
    if ((parsed = parse_value(rule->form, value)) == NULL ||
        json_object_set_new(args, rule->key, parsed) != 0) {
        report_error(options, "chapterctl help", "%s needs %s, not \"%s\"", rule->name,
                     form_name(rule->form), value);
        return false;
    }
    return true;
}

static bool check_words(const struct options *options, const char *command, int count,
                        char **words, int min, int max)
{
    char remedy[128];

    if (count >= min && count <= max)
        return true;
    (void)snprintf(remedy, sizeof remedy, "chapterctl help %s", command);
    if (count < min)
        report_error(options, remedy, "%s: a word is missing", command);
    else
        report_error(options, remedy, "%s: \"%s\" is one word too many", command, words[max]);
    return false;
}

bool arguments_parse(const struct options *options, int argc, char **argv,
                     const struct argument_rule *rules, size_t rule_count, int words_min,
                     int words_max, struct arguments *out)
{
    json_t *args = json_object();
    bool only_words = false;
    bool ok = args != NULL;
    int count = 0;
    int at = 1;

    while (ok && at < argc) {
        char *word = argv[at];

        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
            at++;
        } else if (!only_words && word[0] == '-' && word[1] != '\0')
            ok = take_option(options, argc, argv, &at, rules, rule_count, args);
        else {
            argv[1 + count++] = word;
            at++;
        }
    }
    ok = ok && check_words(options, argv[0], count, argv + 1, words_min, words_max);
    if (!ok) {
        json_decref(args);
        return false;
    }
    out->args = args;
    out->words = argv + 1;
    out->word_count = count;
    return true;
}

void arguments_done(struct arguments *arguments)
{
    json_decref(arguments->args);
    arguments->args = NULL;
}

static bool take_field(const struct options *options, const char *word, json_t *fields)
{
    const char *equals = strchr(word, '=');
    json_t *value;
    char *name;
    bool ok;

    if (equals == NULL || equals == word || equals - word > FIELD_NAME_MAX) {
        report_error(options, "chapterctl help members", "\"%s\" is not FIELD=VALUE", word);
        return false;
    }
    if ((name = strndup(word, (size_t)(equals - word))) == NULL)
        return false;
    value = equals[1] == '\0' ? json_null() : json_string(equals + 1);
    ok = json_object_get(fields, name) == NULL && value != NULL &&
         json_object_set(fields, name, value) == 0;
    if (!ok)
        report_error(options, "each field once, in UTF-8", "\"%s\" can't be taken", word);
    json_decref(value);
    free(name);
    return ok;
}

bool arguments_fields(const struct options *options, int count, char **words,
                      json_t *out_fields)
{
    for (int i = 0; i < count; i++)
        if (!take_field(options, words[i], out_fields))
            return false;
    return true;
}

void arguments_warn_unknown(const struct options *options, const json_t *fields,
                            const char *consequence)
{
    size_t count;
    const struct field_rule *rules = field_rules(&count);
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)fields, name, value)
    {
        struct suggestion suggestion;

        if (strcmp(name, "id") == 0 || field_rule_of(slice_of_text(name)) != NULL)
            continue;
        suggestion_begin(&suggestion, name);
        for (size_t i = 0; i < count; i++)
            suggestion_offer(&suggestion, rules[i].name);
        report_warning(options, "\"%s\" is not a field that other nodes know: %s%s%s%s", name,
                       consequence, suggestion.best == NULL ? "" : "; did you mean ",
                       suggestion.best == NULL ? "" : suggestion.best,
                       suggestion.best == NULL ? "" : "?");
    }
}
