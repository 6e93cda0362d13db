/* SPDX-License-Identifier: MPL-2.0 */
/* command_sync.c - wait and verify: until in step, and the proof that a copy is the origin's.
 * Both may take long, so they add to the time that an answer may take. */
#include <string.h>

#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/table.h"

#define WAIT_MS_DEFAULT 60000
#define VERIFY_SECONDS_EXTRA 60
#define DEEP_SECONDS_EXTRA 3600

/* --- how far the daemon has come ------------------------------------------------------- */

/* Asked over a second connection, while the first one waits for the answer. */
struct watcher {
    struct options options;
    struct session *session;
    const char *chapter; /* whose feed is waited for, NULL: all */
    bool recounts;       /* rows recounted, else changes fetched */
    uint64_t first;      /* of them, when it began */
    struct progress progress;
};

static void follow_rows(struct watcher *watcher, const json_t *status)
{
    const json_t *feeds = json_object_get(status, "feeds");
    const json_int_t counted =
        json_count(json_object_get(status, "counters"), "rows_recounted");

    if (watcher->progress.total == 0) {
        watcher->first = (uint64_t)counted;
        for (size_t i = 0; i < json_array_size(feeds); i++)
            watcher->progress.total +=
                (uint64_t)json_count(json_array_get(feeds, i), "epoch_records");
    }
    progress_update(&watcher->progress, (uint64_t)counted - watcher->first);
}

/* What was asked for counts when it is received: a long answer shows in the feeds at its end
 * alone.  The bar is full when no change that is known is missing. */
static void follow_changes(struct watcher *watcher, const json_t *status)
{
    const json_t *feeds = json_object_get(status, "feeds");
    const uint64_t received =
        (uint64_t)json_count(json_object_get(status, "counters"), "changes_received");
    uint64_t behind = 0;
    uint64_t done;

    for (size_t i = 0; i < json_array_size(feeds); i++) {
        const json_t *feed = json_array_get(feeds, i);

        if (watcher->chapter == NULL ||
            strcmp(watcher->chapter, json_text(feed, "chapter")) == 0)
            behind += (uint64_t)json_count(feed, "behind_changes");
    }
    if (watcher->progress.total == 0)
        watcher->first = received;
    if (behind > watcher->progress.total)
        watcher->progress.total = behind;
    if (watcher->progress.total == 0)
        return;
    done = watcher->progress.total - behind;
    if (received - watcher->first > done)
        done = received - watcher->first;
    progress_update(&watcher->progress, done);
}

static void watcher_tick(void *context)
{
    struct watcher *watcher = context;
    json_t *args = json_object();
    json_t *status = NULL;

    if (args != NULL &&
        (watcher->session != NULL ||
         session_open(&watcher->options, &watcher->session) == OK) &&
        session_request(watcher->session, "status", args, &status) == EXIT_OK) {
        if (watcher->recounts)
            follow_rows(watcher, status);
        else
            follow_changes(watcher, status);
    }
    json_decref(status);
    json_decref(args);
}

/* Takes what is asked for long, with a bar where there is somebody to see it. */
static enum exit_code request_watched(struct session *session, const char *command,
                                      json_t *args, struct watcher *watcher, const char *label,
                                      json_t **out_result)
{
    enum exit_code code;

    watcher->options = *session_options(session);
    watcher->options.silent = true;
    progress_begin(&watcher->progress, session_options(session), label, 0);
    if (watcher->progress.shown)
        session_while_waiting(session, watcher_tick, watcher);
    code = session_request(session, command, args, out_result);
    session_while_waiting(session, NULL, NULL);
    progress_end(&watcher->progress);
    session_close(&watcher->session);
    return code;
}

/* --- wait ------------------------------------------------------------------------------ */

enum exit_code command_wait(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = { { "--lag", "lag", ARGUMENT_COUNT },
                                                  { "--chapter", "chapter", ARGUMENT_CODE },
                                                  { "--timeout", "timeout_ms",
                                                    ARGUMENT_MILLISECONDS } };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    struct watcher watcher = { .recounts = false };
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
    watcher.chapter = json_string_value(json_object_get(arguments.args, "chapter"));
    code = request_watched(session, "wait", arguments.args, &watcher, "catching up", &result);
    if (code != EXIT_OK)
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
        print_line("not in step after %" JSON_INTEGER_FORMAT
                   " s; %s status shows who is behind",
                   seconds, options->program);
    json_decref(result);
    return in_step ? EXIT_OK : EXIT_FAILED;
}

/* --- verify ---------------------------------------------------------------------------- */

static const struct table_column difference_columns[] = {
    { "CHAPTER", "chapter", NULL, 0, 0 },
    { "EXPECTED", "expected", NULL, COLUMN_SHRINKS, 0 },
    { "ACTUAL", "actual", NULL, COLUMN_SHRINKS, 0 }
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
    struct watcher watcher = { .recounts = true };
    json_t *result = NULL;
    bool differs;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, rules, sizeof rules / sizeof rules[0], 0, 0,
                         &arguments))
        return EXIT_USAGE;
    session_extend_timeout(session, json_object_get(arguments.args, "deep") != NULL
                                        ? DEEP_SECONDS_EXTRA
                                        : VERIFY_SECONDS_EXTRA);
    code = request_watched(session, "verify", arguments.args, &watcher, "recounting", &result);
    if (code != EXIT_OK)
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
