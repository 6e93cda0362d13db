/* SPDX-License-Identifier: MPL-2.0 */
/* command_tiers.c - which tier each field is in, and who therefore sees what of a member. */
#include <string.h>
#include <time.h>

#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/table.h"

#define POLL_MS 200
#define NAMED_MAX 3 /* receivers that are named rather than counted */

/* --- tiers ----------------------------------------------------------------------------- */

static const struct table_column tier_columns[] = { { "FIELD", "field", NULL, 0, 0 },
                                                    { "TIER", "tier", NULL, 0, 0 },
                                                    { "OF ORGANIZATIONS", "organizations", NULL,
                                                      0, 0 },
                                                    { "DEFAULT", "default", NULL, 0, 0 },
                                                    { "FIXED", "fixed", NULL, 0, 0 } };

static enum exit_code print_tiers(const struct options *options, const json_t *result)
{
    const json_t *pending = json_object_get(result, "pending");
    enum exit_code code = EXIT_OK;

    if (options->form == OUTPUT_JSON)
        print_json(stdout, result);
    else
        code =
            print_objects(options, tier_columns, sizeof tier_columns / sizeof tier_columns[0],
                          json_object_get(result, "fields"));
    if (json_is_object(pending))
        notice(options,
               "records are being put anew: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT,
               json_count(pending, "done"), json_count(pending, "total"));
    return code;
}

enum exit_code command_tiers_list(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *result = NULL;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 0, 0, &arguments))
        return EXIT_USAGE;
    if ((code = session_request(session, "tiers.list", arguments.args, &result)) == EXIT_OK)
        code = print_tiers(options, result);
    json_decref(result);
    return code;
}

/* Until all records follow; the daemon goes on, whatever becomes of this program. */
static enum exit_code follow(struct session *session, json_t **result)
{
    const struct timespec pause = { 0, POLL_MS * 1000000l };
    const json_t *pending = json_object_get(*result, "pending");
    json_t *args = json_object();
    struct progress progress;
    enum exit_code code = EXIT_OK;

    progress_begin(&progress, session_options(session), "records put anew",
                   (uint64_t)json_count(pending, "total"));
    while (code == EXIT_OK && json_is_object(pending)) {
        progress_update(&progress, (uint64_t)json_count(pending, "done"));
        (void)nanosleep(&pause, NULL);
        json_decref(*result);
        *result = NULL;
        code = session_request(session, "tiers.list", args, result);
        pending = json_object_get(*result, "pending");
    }
    progress_end(&progress);
    json_decref(args);
    return code;
}

enum exit_code command_tiers_set(struct session *session, int argc, char **argv)
{
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *result = NULL;
    json_t *fields;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 1, INT_MAX, &arguments))
        return EXIT_USAGE;
    fields = json_object();
    (void)json_object_set_new(arguments.args, "fields", fields);
    if (!arguments_fields(options, arguments.word_count, arguments.words, fields))
        return EXIT_USAGE;
    arguments_warn_unknown(options, fields, "this is about a column of your own");
    code = session_request(session, "tiers.set", arguments.args, &result);
    if (code == EXIT_OK)
        code = follow(session, &result);
    if (code == EXIT_OK && options->form == OUTPUT_JSON)
        print_json(stdout, result);
    else if (code == EXIT_OK)
        print_line("in force: %" JSON_INTEGER_FORMAT " records were put anew",
                   json_count(result, "changed"));
    if (code == EXIT_OK && json_count(result, "refused") != 0) {
        notice(options, "%" JSON_INTEGER_FORMAT " records could not be: see the daemon's log",
               json_count(result, "refused"));
        code = EXIT_DIFFERENCES;
    }
    json_decref(result);
    return code;
}

/* --- who sees a member ----------------------------------------------------------------- */

/* "every node (86)", or the few by name. */
static json_t *words_of(const json_t *receivers, const char *tier)
{
    const size_t count = json_array_size(receivers);
    char text[128] = "";
    size_t used = 0;

    if (strcmp(tier, "federation") == 0 && count > NAMED_MAX)
        return json_sprintf("every node (%zu)", count);
    for (size_t i = 0; i < count && used + 24 < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "" : ", ",
                                 json_string_value(json_array_get(receivers, i)));
    return json_string(text);
}

enum exit_code command_who_sees(struct session *session, int argc, char **argv)
{
    static const struct table_column columns[] = { { "FIELD", "field", NULL, 0, 0 },
                                                   { "TIER", "tier", NULL, 0, 0 },
                                                   { "SEEN BY", "seen_by", NULL, 0, 0 } };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *result = NULL;
    json_t *fields;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, NULL, 0, 1, 1, &arguments) ||
        !arguments_id(options, arguments.words[0]))
        return EXIT_USAGE;
    (void)json_object_set_new(arguments.args, "id", json_string(arguments.words[0]));
    code = session_request(session, "members.who_sees", arguments.args, &result);
    if (code != EXIT_OK)
        return code;
    fields = json_object_get(result, "fields");
    if (options->form == OUTPUT_JSON) {
        print_json(stdout, result);
    } else {
        for (size_t i = 0; i < json_array_size(fields); i++) {
            json_t *field = json_array_get(fields, i);

            (void)json_object_set_new(
                field, "seen_by",
                words_of(json_object_get(field, "receivers"), json_text(field, "tier")));
        }
        code = print_objects(options, columns, sizeof columns / sizeof columns[0], fields);
        if (!json_is_true(json_object_get(result, "complete")))
            notice(options,
                   "a member of %s: that chapter may have fields that are not seen here",
                   json_text(result, "chapter"));
    }
    json_decref(result);
    return code;
}
