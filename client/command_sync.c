/* SPDX-License-Identifier: MPL-2.0 */
/* command_sync.c - wait and verify: until in step, and the proof that a copy is the origin's.
 * Both may take long, so they add to the time that an answer may take. */
#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/table.h"

#define WAIT_MS_DEFAULT 60000
#define VERIFY_SECONDS_EXTRA 60
#define DEEP_SECONDS_EXTRA 3600

enum exit_code command_wait(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = { { "--lag", "lag", ARGUMENT_COUNT },
                                                  { "--chapter", "chapter", ARGUMENT_CODE },
                                                  { "--timeout", "timeout_ms",
                                                    ARGUMENT_MILLISECONDS } };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *result = NULL;
    json_int_t seconds;
    bool in_step;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, rules, sizeof rules / sizeof rules[0], 0, 0,
                         &arguments))
        return EXIT_USAGE;
    if (json_object_get(arguments.args, "timeout_ms") == NULL)
        (void)json_object_set_new(arguments.args, "timeout_ms", json_integer(WAIT_MS_DEFAULT));
    session_extend_timeout(session, (double)json_count(arguments.args, "timeout_ms") / 1000);
    if ((code = session_request(session, "wait", arguments.args, &result)) != EXIT_OK)
        return code;
    in_step = json_is_true(json_object_get(result, "in_step"));
    seconds = json_count(result, "seconds");
    if (options->form == OUTPUT_JSON)
        print_json(stdout, result);
    else if (options->form == OUTPUT_CSV)
        printf("in_step,seconds\n%s,%" JSON_INTEGER_FORMAT "\n", in_step ? "yes" : "no",
               seconds);
    else if (in_step)
        printf("in step after %" JSON_INTEGER_FORMAT " s\n", seconds);
    else
        printf("not in step after %" JSON_INTEGER_FORMAT " s; chapterctl status shows who is "
               "behind\n",
               seconds);
    json_decref(result);
    return in_step ? EXIT_OK : EXIT_FAILED;
}

static const struct table_column difference_columns[] = {
    { "CHAPTER", "chapter", NULL, false, false },
    { "EXPECTED", "expected", NULL, false, false },
    { "ACTUAL", "actual", NULL, false, false }
};

static enum exit_code print_verified(const struct options *options, const json_t *result)
{
    const json_t *differences = json_object_get(result, "differences");
    const json_int_t origins = json_count(result, "origins");
    const json_int_t ok = json_count(result, "ok");

    if (options->form == OUTPUT_TEXT) {
        print_line("%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
                   " feeds are what their origins signed%s",
                   ok, origins,
                   json_is_true(json_object_get(result, "deep")) ? ", recounted from the rows"
                                                                 : "");
        if (json_array_size(differences) == 0)
            return EXIT_OK;
    }
    return print_objects(options, difference_columns,
                         sizeof difference_columns / sizeof difference_columns[0], differences);
}

enum exit_code command_verify(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = { { "--deep", "deep", ARGUMENT_FLAG },
                                                  { "--against", "against", ARGUMENT_CODE } };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    json_t *result = NULL;
    bool differs;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, rules, sizeof rules / sizeof rules[0], 0, 0,
                         &arguments))
        return EXIT_USAGE;
    session_extend_timeout(session, json_object_get(arguments.args, "deep") != NULL
                                        ? DEEP_SECONDS_EXTRA
                                        : VERIFY_SECONDS_EXTRA);
    if ((code = session_request(session, "verify", arguments.args, &result)) != EXIT_OK)
        return code;
    differs = json_array_size(json_object_get(result, "differences")) > 0 ||
              json_count(result, "ok") < json_count(result, "origins");
    if (options->form == OUTPUT_JSON)
        print_json(stdout, result);
    else
        code = print_verified(options, result);
    json_decref(result);
    return code == EXIT_OK && differs ? EXIT_DIFFERENCES : code;
}
