/* SPDX-License-Identifier: MPL-2.0 */
/* command_apply.c - members apply -: changes as JSON lines, pipelined, a result line for each.
 * A batch leaves when it is full or when stdin has nothing more to read at the moment. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/arguments.h"
#include "client/commands.h"
#include "client/output.h"
#include "proto/record.h"

#define BATCH_OPS_MAX 256
#define BATCH_BYTES_MAX ((size_t)1024 * 1024)
#define BATCHES_MAX 8 /* under way */
#define LINE_SIZE_MAX ((size_t)256 * 1024)
#define READ_SIZE 65536

/* Lines of stdin, in order: operations, and what is wrong with the other lines. */
struct batch {
    size_t count;
    size_t op_count;
    size_t bytes;
    json_t *ops;                    /* an array */
    json_t *refused[BATCH_OPS_MAX]; /* a result line; NULL for an operation */
};

struct applying {
    struct session *session;
    bool confirmed;
    struct batch batches[BATCHES_MAX]; /* a ring: under way, then the one being filled */
    size_t first;
    size_t under_way;
    bool any_failed;
    char *input;
    size_t input_size;
    unsigned long line;
    bool skipping; /* the rest of a line that was too long */
};

static struct batch *filling(struct applying *applying)
{
    return &applying->batches[(applying->first + applying->under_way) % BATCHES_MAX];
}

/* --- results --------------------------------------------------------------------------- */

static void print_result(struct applying *applying, const json_t *line)
{
    if (!json_is_true(json_object_get(line, "ok")))
        applying->any_failed = true;
    print_json(stdout, line);
}

static void print_failed(struct applying *applying, const json_t *operation, const char *error)
{
    json_t *id = json_object_get(operation, "id");
    json_t *line = json_pack("{s:O?, s:b, s:s}", "id", id, "ok", 0, "error", error);

    print_result(applying, line);
    json_decref(line);
}

/* One line for each of the batch's; results is NULL if the daemon refused it as a whole. */
static void print_batch(struct applying *applying, struct batch *batch, const json_t *results)
{
    size_t next = 0;

    for (size_t i = 0; i < batch->count; i++) {
        const json_t *line = batch->refused[i];
        const json_t *operation;

        if (line != NULL) {
            print_result(applying, line);
            continue;
        }
        operation = json_array_get(batch->ops, next);
        line = json_array_get(results, next++);
        if (line != NULL)
            print_result(applying, line);
        else
            print_failed(applying, operation,
                         results == NULL ? session_last_error(applying->session)
                                         : "the daemon gave no result");
    }
}

static void clear_batch(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        json_decref(batch->refused[i]);
    json_decref(batch->ops);
    memset(batch, 0, sizeof *batch);
}

/* The oldest batch's results.  That one was refused is no reason to stop, but silence is. */
static enum exit_code receive_batch(struct applying *applying)
{
    struct batch *batch = &applying->batches[applying->first];
    json_t *result = NULL;
    enum exit_code code = EXIT_OK;

    if (batch->op_count > 0)
        code = session_receive(applying->session, &result);
    if (code == EXIT_UNREACHABLE)
        return code;
    print_batch(applying, batch, json_object_get(result, "results"));
    json_decref(result);
    clear_batch(batch);
    applying->first = (applying->first + 1) % BATCHES_MAX;
    applying->under_way--;
    return EXIT_OK;
}

static enum exit_code receive_all(struct applying *applying)
{
    enum exit_code code = EXIT_OK;

    while (code == EXIT_OK && applying->under_way > 0)
        code = receive_batch(applying);
    (void)fflush(stdout);
    return code;
}

/* --- operations ------------------------------------------------------------------------ */

/* Sends what was filled; keeps a free batch for what comes next. */
static enum exit_code flush_batch(struct applying *applying)
{
    struct batch *batch = filling(applying);
    enum exit_code code = EXIT_OK;

    if (batch->count == 0)
        return EXIT_OK;
    if (batch->op_count > 0) {
        json_t *args = json_pack("{s:O}", "ops", batch->ops);

        if (applying->confirmed)
            (void)json_object_set_new(args, "confirm", json_true());
        code = session_send(applying->session, "members.apply", args);
        json_decref(args);
        if (code != EXIT_OK)
            return code;
    }
    applying->under_way++;
    while (code == EXIT_OK && applying->under_way == BATCHES_MAX)
        code = receive_batch(applying);
    return code;
}

static bool field_fits(const char *name, const json_t *value)
{
    return name[0] != '\0' && strlen(name) <= FIELD_NAME_MAX &&
           (json_is_null(value) || json_is_string(value) ||
            (json_is_integer(value) && json_integer_value(value) >= 0));
}

/* What is wrong with an operation's fields, NULL if nothing is. */
static const char *check_fields(const json_t *fields)
{
    const char *name;
    json_t *value;

    if (!json_is_object(fields))
        return "\"fields\" must be an object";
    json_object_foreach(
        (json_t *)fields, name,
        value) if (!field_fits(name,
                               value)) return "a field must be text, a whole number or null";
    return NULL;
}

static const char *check_operation(const json_t *operation)
{
    const char *op = json_text(operation, "op");
    const json_t *id = json_object_get(operation, "id");
    const json_t *fields = json_object_get(operation, "fields");
    const size_t known = 1 + (id != NULL) + (fields != NULL);
    const bool put = strcmp(op, "put") == 0;
    uint8_t bytes[ID_SIZE];

    if (!json_is_object(operation))
        return "not a JSON object";
    if (!put && strcmp(op, "remove") != 0)
        return "\"op\" must be \"put\" or \"remove\"";
    if (json_object_size(operation) != known)
        return "more than \"op\", \"id\" and \"fields\"";
    if (id == NULL && !put)
        return "\"remove\" needs an \"id\"";
    if (id != NULL &&
        (!json_is_string(id) || !uuid_parse(slice_of_text(json_string_value(id)), bytes)))
        return "\"id\" is not a UUID";
    if (!put)
        return fields == NULL ? NULL : "\"remove\" takes no \"fields\"";
    return fields == NULL ? "\"put\" needs \"fields\"" : check_fields(fields);
}

/* Bytes that the operation takes in a request; 0 if it has no form there. */
static size_t measure(const json_t *operation)
{
    struct mp_writer writer;
    size_t size;

    mp_writer_init_heap(&writer, LINE_SIZE_MAX);
    size = mp_write_json(&writer, operation) ? writer.size : 0;
    mp_writer_done(&writer);
    return size;
}

static void refuse_line(struct applying *applying, json_t *id, const char *why)
{
    struct batch *batch = filling(applying);
    char error[256];

    (void)snprintf(error, sizeof error, "line %lu: %s", applying->line, why);
    batch->refused[batch->count] =
        json_pack("{s:O?, s:b, s:s, s:I}", "id", json_is_string(id) ? id : NULL, "ok", 0,
                  "error", error, "line", (json_int_t)applying->line);
    batch->count++;
}

static void take_operation(struct applying *applying, json_t *operation)
{
    struct batch *batch = filling(applying);
    const char *wrong = check_operation(operation);
    const size_t size = wrong == NULL ? measure(operation) : 0;

    if (wrong == NULL && size == 0)
        wrong = "too large";
    if (wrong != NULL) {
        refuse_line(applying, json_object_get(operation, "id"), wrong);
        return;
    }
    if (batch->ops == NULL)
        batch->ops = json_array();
    (void)json_array_append(batch->ops, operation);
    batch->bytes += size;
    batch->op_count++;
    batch->count++;
}

static enum exit_code take_line(struct applying *applying, const char *text, size_t size)
{
    const struct batch *batch;
    json_error_t wrong;
    json_t *operation;

    applying->line++;
    if (strspn(text, " \t\r") == size)
        return EXIT_OK;
    operation = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &wrong);
    if (operation == NULL)
        refuse_line(applying, NULL, wrong.text);
    else
        take_operation(applying, operation);
    json_decref(operation);
    batch = filling(applying);
    if (batch->count == BATCH_OPS_MAX || batch->bytes >= BATCH_BYTES_MAX)
        return flush_batch(applying);
    return EXIT_OK;
}

/* --- stdin ----------------------------------------------------------------------------- */

/* Takes the whole lines of the input and keeps the rest. */
static enum exit_code take_lines(struct applying *applying)
{
    enum exit_code code = EXIT_OK;
    size_t at = 0;

    while (code == EXIT_OK && at < applying->input_size) {
        char *line = applying->input + at;
        char *end = memchr(line, '\n', applying->input_size - at);

        if (end == NULL)
            break;
        *end = '\0';
        at += (size_t)(end - line) + 1;
        if (applying->skipping)
            applying->skipping = false;
        else
            code = take_line(applying, line, (size_t)(end - line));
    }
    applying->input_size -= at;
    memmove(applying->input, applying->input + at, applying->input_size);
    if (code != EXIT_OK || applying->input_size <= LINE_SIZE_MAX)
        return code;
    applying->input_size = 0;
    if (applying->skipping)
        return code;
    applying->skipping = true;
    applying->line++;
    refuse_line(applying, NULL, "too long");
    return filling(applying)->count < BATCH_OPS_MAX ? EXIT_OK : flush_batch(applying);
}

/* Before waiting for more: what is there goes out, and what comes back is shown. */
static enum exit_code idle(struct applying *applying)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    enum exit_code code;

    if (poll(&input, 1, 0) != 0)
        return EXIT_OK;
    code = flush_batch(applying);
    return code == EXIT_OK ? receive_all(applying) : code;
}

static enum exit_code apply_input(struct applying *applying)
{
    enum exit_code code = EXIT_OK;
    ssize_t taken = 1;

    while (code == EXIT_OK && taken != 0) {
        if ((code = idle(applying)) != EXIT_OK)
            break;
        taken = read(STDIN_FILENO, applying->input + applying->input_size, READ_SIZE);
        if (taken < 0 && errno != EINTR) {
            report_error(session_options(applying->session), "a file or a pipe on stdin",
                         "stdin can't be read: %s", strerror(errno));
            code = EXIT_FAILED;
        } else if (taken > 0) {
            applying->input_size += (size_t)taken;
            code = take_lines(applying);
        }
    }
    if (code == EXIT_OK && applying->input_size > 0 && !applying->skipping) {
        applying->input[applying->input_size] = '\0'; /* a last line without its end */
        code = take_line(applying, applying->input, applying->input_size);
    }
    if (code == EXIT_OK)
        code = flush_batch(applying);
    return code == EXIT_OK ? receive_all(applying) : code;
}

enum exit_code command_members_apply(struct session *session, int argc, char **argv)
{
    static const struct argument_rule rules[] = { { "--confirm", "confirm", ARGUMENT_FLAG } };
    const struct options *options = session_options(session);
    CLEANUP(arguments_done) struct arguments arguments = { NULL, 0, NULL };
    struct applying *applying;
    enum exit_code code;

    if (!arguments_parse(options, argc, argv, rules, 1, 1, 1, &arguments))
        return EXIT_USAGE;
    if (strcmp(arguments.words[0], "-") != 0) {
        report_error(options, "chapterctl members apply - <FILE",
                     "members apply reads stdin: -");
        return EXIT_USAGE;
    }
    applying = calloc(1, sizeof *applying);
    if (applying == NULL || (applying->input = malloc(LINE_SIZE_MAX + READ_SIZE + 1)) == NULL) {
        free(applying);
        report_error(options, NULL, "out of memory");
        return EXIT_FAILED;
    }
    applying->session = session;
    applying->confirmed = json_is_true(json_object_get(arguments.args, "confirm"));
    code = apply_input(applying);
    for (size_t i = 0; i < BATCHES_MAX; i++)
        clear_batch(&applying->batches[i]);
    if (code == EXIT_OK && applying->any_failed)
        code = EXIT_DIFFERENCES;
    free(applying->input);
    free(applying);
    return code;
}
