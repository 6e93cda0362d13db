/* SPDX-License-Identifier: MPL-2.0 */
/* session.c - requests and replies over the daemon's control socket (DEALER to its ROUTER).
 * Finds the socket, says early when nobody answers, and never waits longer than it was told. */
#include "client/interrupt.h"
#include "client/session_path.h"

#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define RETRY_MS 250 /* after "not yet" */
#define TICK_MS 250
#define SOCKET_PATH_SIZE sizeof(((struct sockaddr_un *)NULL)->sun_path)

struct pending {
    uint64_t id;
    bool done;
    uint64_t code;   /* an enum status, of this or a newer daemon */
    zframe_t *frame; /* the reply */
    struct slice result;
};

struct session {
    struct options options;
    char path[SOCKET_PATH_SIZE];
    zsock_t *dealer;
    zsock_t *monitor; /* tells when the connection was lost */
    uint64_t next_id;
    struct pending window[SESSION_WINDOW]; /* a ring */
    size_t first;
    size_t count;
    struct mp_writer request;
    zframe_t *taken; /* the reply that was received last */
    double extra_seconds;
    bool finishes; /* waits for answers even if interrupted */
    void (*tick)(void *context);
    void *tick_context;
    char *last_error;
};

/* --- opening, closing -------------------------------------------------------------------- */

enum status session_open(const struct options *options, struct session **out)
{
    struct session *session = calloc(1, sizeof *session);
    char *path = session_find_socket(options);
    /* libzmq takes "@" for an abstract name */
    const char *prefix = path != NULL && path[0] == '@' ? "./" : "";

    if (session == NULL || path == NULL) {
        report_error(options, NULL, "out of memory");
        free(session);
        free(path);
        return NO_MEMORY;
    }
    if (strlen(prefix) + strlen(path) >= sizeof session->path) {
        report_error(options,
                     "a shorter directory for chapterd run --dir DIR, or a symbolic link",
                     "the socket path %s has %zu bytes, this system allows %zu", path,
                     strlen(path), sizeof session->path - 1);
        free(session);
        free(path);
        return USAGE;
    }
    memcpy(session->path, prefix, strlen(prefix));
    memcpy(session->path + strlen(prefix), path, strlen(path) + 1);
    free(path);
    session->options = *options;
    mp_writer_init_heap(&session->request, CONTROL_SIZE_MAX);
    *out = session;
    return OK;
}

/* Forgets the connection and all that was asked on it. */
static void hang_up(struct session *session)
{
    while (session->count > 0) {
        zframe_destroy(&session->window[session->first].frame);
        session->first = (session->first + 1) % SESSION_WINDOW;
        session->count--;
    }
    zframe_destroy(&session->taken);
    /* First the events end: libzmq would wait for ever on a closed monitor. */
    if (session->dealer != NULL && session->monitor != NULL)
        (void)zmq_socket_monitor(zsock_resolve(session->dealer), NULL, 0);
    zsock_destroy(&session->monitor);
    zsock_destroy(&session->dealer);
}

void session_close(struct session **session)
{
    if (*session == NULL)
        return;
    hang_up(*session);
    mp_writer_done(&(*session)->request);
    free((*session)->last_error);
    free(*session);
    *session = NULL;
}

const struct options *session_options(const struct session *session)
{
    return &session->options;
}

void session_while_waiting(struct session *session, void (*tick)(void *context), void *context)
{
    session->tick = tick;
    session->tick_context = context;
}

void session_finish_when_interrupted(struct session *session)
{
    session->finishes = true;
}

void session_extend_timeout(struct session *session, double seconds)
{
    session->extra_seconds = seconds;
}

const char *session_last_error(const struct session *session)
{
    return session->last_error == NULL ? "" : session->last_error;
}

/* --- failures -------------------------------------------------------------------------- */

static void keep_error(struct session *session, const char *error)
{
    free(session->last_error);
    session->last_error = strdup(error);
}

/* The directory of the socket, as a word of a shell; NULL where it is not the daemon's own. */
static char *directory_word(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory;
    char *word;

    if (slash == NULL || slash == path || strcmp(slash + 1, CONTROL_SOCKET_NAME) != 0 ||
        strncmp(path, "/run/", 5) == 0 ||
        (directory = strndup(path, (size_t)(slash - path))) == NULL)
        return NULL;
    word = shell_word(directory);
    free(directory);
    return word;
}

/* Nobody answers: the next step is to start the daemon of that directory. */
static enum exit_code report_unreachable(struct session *session, const char *why)
{
    char *directory = directory_word(session->path);
    char remedy[4 * SOCKET_PATH_SIZE + 128];

    hang_up(session);
    keep_error(session, why);
    (void)snprintf(remedy, sizeof remedy,
                   "chapterd run --dir %s   (or name another socket: chapterctl -s SOCKET)",
                   directory != NULL ? directory : "DIR");
    report_error(&session->options, remedy, "no answer from a daemon at %s: %s", session->path,
                 why);
    free(directory);
    return EXIT_UNREACHABLE;
}

static enum exit_code report_denied(struct session *session)
{
    keep_error(session, "permission denied");
    report_error(&session->options,
                 "as the user that runs chapterd, or as a member of the socket's group: "
                 "sudo chapterctl ...",
                 "permission denied at %s", session->path);
    return EXIT_UNREACHABLE;
}

static enum exit_code report_no_memory(struct session *session)
{
    keep_error(session, "out of memory");
    report_error(&session->options, NULL, "out of memory");
    return EXIT_UNREACHABLE;
}

/* --- the connection -------------------------------------------------------------------- */

/* libzmq retries for ever where nobody listens; a plain connection says so at once. */
static enum exit_code probe(struct session *session)
{
    const int error = session_try_socket(session->path);

    switch (error) {
    case 0:
    case EAGAIN: /* its queue is full: it is there and busy */
        return EXIT_OK;
    case ENOENT:
        return report_unreachable(session, "there is no such socket");
    case ECONNREFUSED:
        return report_unreachable(session,
                                  "nobody listens on the socket, the daemon has stopped");
    case EACCES:
    case EPERM:
        return report_denied(session);
    default:
        return report_unreachable(session, strerror(error));
    }
}

/* A socket rather than czmq's monitor, an actor: at the program's end czmq sleeps 200 ms if an
 * actor is just closing its own sockets. */
static bool watch_connection(struct session *session)
{
    static unsigned serial;
    char endpoint[64];

    (void)snprintf(endpoint, sizeof endpoint, "inproc://session-%u", ++serial);
    if (zmq_socket_monitor(zsock_resolve(session->dealer), endpoint, ZMQ_EVENT_DISCONNECTED) !=
        0)
        return false;
    session->monitor = zsock_new(ZMQ_PAIR);
    if (session->monitor == NULL)
        return false;
    zsock_set_linger(session->monitor, 0);
    return zsock_connect(session->monitor, "%s", endpoint) == 0;
}

static enum exit_code dial(struct session *session)
{
    const enum exit_code code = probe(session);

    if (code != EXIT_OK)
        return code;
    /* Ctrl-C ends the program; czmq's handler would only set a flag. */
    zsys_handler_set(NULL);
    if ((session->dealer = zsock_new(ZMQ_DEALER)) == NULL)
        return report_unreachable(session, zmq_strerror(zmq_errno()));
    zsock_set_linger(session->dealer, 0);
    zsock_set_handshake_ivl(session->dealer, 0); /* -t says how long a daemon may be silent */
    zsock_set_maxmsgsize(session->dealer, CONTROL_SIZE_MAX);
    zsock_set_sndtimeo(session->dealer, (int)(session->options.timeout_seconds * 1000));
    if (!watch_connection(session))
        return report_no_memory(session);
    if (zsock_connect(session->dealer, "ipc://%s", session->path) != 0)
        return report_unreachable(session, zmq_strerror(zmq_errno()));
    return EXIT_OK;
}

/* --- requests and replies -------------------------------------------------------------- */

/* The connection, and a request's beginning. */
static enum exit_code begin_request(struct session *session, const char *command)
{
    enum exit_code code = EXIT_OK;

    ASSERT(session->count < SESSION_WINDOW);
    zframe_destroy(&session->taken);
    /* A connection that was lost while nobody waited: a new one asks a daemon that is there. */
    if (session->count == 0 && session->monitor != NULL &&
        (zsock_events(session->monitor) & ZMQ_POLLIN) != 0)
        hang_up(session);
    if (session->dealer == NULL && (code = dial(session)) != EXIT_OK) {
        hang_up(session);
        return code;
    }
    mp_writer_reset(&session->request);
    mp_write_array(&session->request, 4);
    mp_write_uint(&session->request, CONTROL_VERSION);
    mp_write_uint(&session->request, session->next_id);
    mp_write_text(&session->request, command);
    return EXIT_OK;
}

static enum exit_code end_request(struct session *session)
{
    const struct mp_writer *request = &session->request;
    struct pending *pending;
    int sent;

    do {
        sent = zmq_send(zsock_resolve(session->dealer), request->data, request->size, 0);
    } while (sent < 0 && zmq_errno() == EINTR);
    if (sent < 0)
        return report_unreachable(session, zmq_strerror(zmq_errno()));
    pending = &session->window[(session->first + session->count++) % SESSION_WINDOW];
    memset(pending, 0, sizeof *pending);
    pending->id = session->next_id++;
    return EXIT_OK;
}

static enum exit_code report_no_form(struct session *session)
{
    keep_error(session, "the request is too large or has no form in the protocol");
    report_error(&session->options, "fewer or smaller values; numbers must be whole", "%s",
                 session->last_error);
    return EXIT_FAILED;
}

enum exit_code session_send(struct session *session, const char *command, json_t *args)
{
    const enum exit_code code = begin_request(session, command);

    if (code != EXIT_OK)
        return code;
    return mp_write_json(&session->request, args) ? end_request(session)
                                                  : report_no_form(session);
}

enum exit_code session_send_raw(struct session *session, const char *command, struct slice args)
{
    const enum exit_code code = begin_request(session, command);

    if (code != EXIT_OK)
        return code;
    mp_write_raw(&session->request, args);
    return session->request.status == OK ? end_request(session) : report_no_form(session);
}

static struct pending *find_pending(struct session *session, uint64_t id)
{
    for (size_t i = 0; i < session->count; i++) {
        struct pending *pending = &session->window[(session->first + i) % SESSION_WINDOW];

        if (pending->id == id)
            return pending;
    }
    return NULL;
}

/* Files a reply with its request, and takes the frame then; false if it is malformed.  A late
 * one is nobody's. */
static bool accept_reply(struct session *session, zframe_t **frame)
{
    const struct slice bytes = slice_of(zframe_data(*frame), zframe_size(*frame));
    struct mp_reader reader;
    struct slice result;
    struct pending *pending;
    uint64_t id;
    uint64_t code;

    mp_reader_init(&reader, bytes);
    mp_read_array_exact(&reader, 4);
    if (mp_read_uint(&reader, UINT64_MAX) != CONTROL_VERSION)
        return false;
    id = mp_read_uint(&reader, UINT64_MAX);
    code = mp_read_uint(&reader, UINT64_MAX);
    result = mp_read_raw(&reader, CONTROL_SIZE_MAX);
    if (mp_reader_finish(&reader) != OK)
        return false;
    mp_reader_init(&reader, result);
    if (mp_peek(&reader) != MP_MAP)
        return false;
    pending = find_pending(session, id);
    if (pending == NULL || pending->done)
        return true;
    pending->code = code;
    pending->result = result;
    pending->frame = *frame;
    pending->done = true;
    *frame = NULL;
    return true;
}

static enum exit_code report_malformed(struct session *session)
{
    keep_error(session, "the daemon's answer is malformed");
    report_error(&session->options, "the chapterctl that came with this chapterd", "%s",
                 session->last_error);
    return EXIT_UNREACHABLE;
}

/* Waits until the oldest request has its reply. */
static enum exit_code await_first(struct session *session)
{
    const double seconds = session->options.timeout_seconds + session->extra_seconds;
    const int64_t deadline = zclock_mono() + (int64_t)(seconds * 1000);
    zpoller_t *poller = zpoller_new(session->dealer, session->monitor, NULL);
    enum exit_code code = EXIT_OK;

    if (poller == NULL)
        return report_no_memory(session);
    while (code == EXIT_OK && !session->window[session->first].done) {
        const int64_t left = deadline - zclock_mono();
        const void *ready =
            left > 0 ? zpoller_wait(poller, (int)(left > TICK_MS ? TICK_MS : left)) : NULL;
        char why[64];

        if (ready == session->dealer) {
            zframe_t *frame = zframe_recv(session->dealer);

            if (frame != NULL && !accept_reply(session, &frame))
                code = report_malformed(session);
            zframe_destroy(&frame);
        } else if (ready == session->monitor)
            code = report_unreachable(session, "it closed the connection before it answered");
        else if (interrupted() && !session->finishes)
            code = EXIT_FAILED;
        else if (left <= 0) {
            (void)snprintf(why, sizeof why, "no answer within %g seconds (-t)", seconds);
            code = report_unreachable(session, why);
        } else if (session->tick != NULL)
            session->tick(session->tick_context);
    }
    zpoller_destroy(&poller);
    return code;
}

/* The oldest request's reply, whatever its code; it stays until the next. */
static enum exit_code receive_any(struct session *session, uint64_t *out_code,
                                  struct slice *out_result)
{
    struct pending *pending = &session->window[session->first];
    enum exit_code code;

    ASSERT(session->count > 0);
    if ((code = await_first(session)) != EXIT_OK) {
        hang_up(session);
        return code;
    }
    session->first = (session->first + 1) % SESSION_WINDOW;
    session->count--;
    zframe_destroy(&session->taken);
    session->taken = pending->frame;
    *out_code = pending->code;
    *out_result = pending->result;
    return EXIT_OK;
}

static const char *text_of(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? otherwise : text;
}

/* What the daemon says of a request that failed. */
static enum exit_code report_failure(struct session *session, uint64_t code,
                                     struct slice result)
{
    const enum status status = code < STATUS_COUNT ? (enum status)code : STATUS_COUNT;
    json_t *object = json_of_mp(result);

    keep_error(session, text_of(object, "error", status_text(status)));
    report_error(&session->options, text_of(object, "remedy", NULL), "%s",
                 session_last_error(session));
    json_decref(object);
    return status == USAGE ? EXIT_USAGE : EXIT_FAILED;
}

static enum exit_code conclude(struct session *session, uint64_t code, struct slice result,
                               json_t **out_result)
{
    json_t *object;

    if (code != OK)
        return report_failure(session, code, result);
    if ((object = json_of_mp(result)) == NULL) {
        hang_up(session);
        return report_malformed(session);
    }
    *out_result = object;
    return EXIT_OK;
}

enum exit_code session_receive_raw(struct session *session, struct slice *out_result)
{
    struct slice result = SLICE_NONE;
    uint64_t status = OK;
    const enum exit_code code = receive_any(session, &status, &result);

    if (code != EXIT_OK)
        return code;
    if (status != OK)
        return report_failure(session, status, result);
    *out_result = result;
    return EXIT_OK;
}

enum exit_code session_receive(struct session *session, json_t **out_result)
{
    struct slice result = SLICE_NONE;
    uint64_t status = OK;
    const enum exit_code code = receive_any(session, &status, &result);

    return code != EXIT_OK ? code : conclude(session, status, result, out_result);
}

enum exit_code session_request(struct session *session, const char *command, json_t *args,
                               json_t **out_result)
{
    const int64_t deadline = zclock_mono() + (int64_t)(session->options.timeout_seconds * 1000);

    ASSERT(session->count == 0);
    for (;;) {
        struct slice result = SLICE_NONE;
        uint64_t status = OK;
        enum exit_code code = session_send(session, command, args);

        if (code == EXIT_OK)
            code = receive_any(session, &status, &result);
        if (code != EXIT_OK)
            return code;
        /* "Not yet" passes by itself, as in the first seconds after the daemon's start. */
        if (status != AGAIN || zclock_mono() >= deadline)
            return conclude(session, status, result, out_result);
        zclock_sleep(RETRY_MS);
    }
}
