/* SPDX-License-Identifier: MPL-2.0 */
/* command_enrol.c - the talk of `chapterd join` with HQ: dial, ask, and wait for the answer.
 * The same message may go out more than once: HQ answers the same keys the same. */
#include "daemon/command.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 5000
#define PHASE_MS 15000       /* until the link is up, and then until HQ answers */
#define ASK_AGAIN_MS 1000    /* HQ leaves messages beyond its rate without an answer */
#define NOT_NOW_PAUSE_MS 700 /* HQ takes in one chapter a turn */

/* --- reachable at all? -------------------------------------------------------------------- */

static void close_file(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* 0, or the errno of what went wrong. */
static int try_connect(const struct addrinfo *address)
{
    CLEANUP(close_file)
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct pollfd item = { .fd = fd, .events = POLLOUT };
    socklen_t size = sizeof(int);
    int error = 0;

    if (fd < 0)
        return errno;
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    if (poll(&item, 1, CONNECT_MS) <= 0)
        return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

static void free_addresses(struct addrinfo **list)
{
    if (*list != NULL)
        freeaddrinfo(*list);
}

/* True if it can be connected to; else the outcome and the system's words for it. */
static bool probe(const char *text, struct enrol_report *report)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    CLEANUP(free_addresses) struct addrinfo *list = NULL;
    char host[ADDRESS_SIZE];
    char service[8];
    uint16_t port;
    int error;

    report->outcome = OUTCOME_UNRESOLVED;
    if (address_parse(text, host, sizeof host, &port) != OK) {
        (void)snprintf(report->detail, sizeof report->detail, "not an address");
        return false;
    }
    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    if ((error = getaddrinfo(host, service, &hints, &list)) != 0) {
        (void)snprintf(report->detail, sizeof report->detail, "%s", gai_strerror(error));
        return false;
    }
    report->outcome = OUTCOME_UNREACHABLE;
    error = ENETUNREACH;
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next)
        if ((error = try_connect(at)) == 0)
            return true;
    (void)snprintf(report->detail, sizeof report->detail, "%s", strerror(error));
    return false;
}

bool enrol_probe(const struct token *token, struct enrol_report *out_report)
{
    struct enrol_report best = { .outcome = OUTCOME_UNRESOLVED };

    for (size_t i = 0; i < token->address_count; i++) {
        struct enrol_report report = { .address = i };

        if (probe(token->address[i], &report))
            return true;
        if (i == 0 || report.outcome > best.outcome)
            best = report;
    }
    *out_report = best;
    return false;
}

/* --- ask ---------------------------------------------------------------------------------- */

static bool admit_nobody(void *context, enum transport_port port, const uint8_t key[KEY_SIZE])
{
    (void)context;
    (void)port;
    (void)key;
    return false;
}

struct talk {
    struct transport *transport;
    transport_link link;
    struct slice message;
    bool up;
    bool asked; /* HQ was up at least once */
    int64_t ask_at_ms;
    int64_t deadline_ms;
    struct enrol_report *report;
};

/* True when the talk is over. */
static bool on_message(struct talk *talk, const struct transport_message *message, int64_t now)
{
    struct wire_enrolled answer;

    switch (message->kind) {
    case TRANSPORT_UP:
        if (!talk->asked)
            talk->deadline_ms = now + PHASE_MS;
        talk->up = talk->asked = true;
        talk->ask_at_ms = now;
        return false;
    case TRANSPORT_DOWN:
        talk->up = false;
        return false;
    case TRANSPORT_DENIED:
        talk->report->outcome = OUTCOME_DENIED;
        return true;
    case TRANSPORT_PEER:
        if (wire_read_enrolled(message->data, &answer) != OK)
            return false;
        talk->report->outcome = OUTCOME_ANSWERED;
        talk->report->answer = answer;
        talk->ask_at_ms = now + NOT_NOW_PAUSE_MS + randombytes_uniform(NOT_NOW_PAUSE_MS);
        return answer.result != ENROL_NOT_NOW;
    default:
        return false;
    }
}

static enum status talk_until_over(struct talk *talk)
{
    for (;;) {
        struct transport_message message;
        int64_t now = clock_monotonic_ms();
        int64_t due;
        enum status status;

        while ((status = transport_receive(talk->transport, &message)) == OK)
            if (on_message(talk, &message, now))
                return OK;
        if (status != AGAIN)
            return status;
        if (talk->up && now >= talk->ask_at_ms) {
            (void)transport_send(talk->transport, talk->link, talk->message);
            /* at random, so that many who join at once do not meet again and again */
            talk->ask_at_ms = now + ASK_AGAIN_MS + randombytes_uniform(2 * ASK_AGAIN_MS);
        }
        if (now >= talk->deadline_ms)
            return OK;
        due = talk->up && talk->ask_at_ms < talk->deadline_ms ? talk->ask_at_ms
                                                              : talk->deadline_ms;
        status = transport_wait(talk->transport, due - now);
        if (status != OK && status != TIMEOUT && status != AGAIN)
            return status;
    }
}

static void close_transport(struct transport **transport)
{
    if (*transport != NULL)
        transport_close(transport);
}

static enum status ask_at(const struct token *token, size_t index,
                          const struct identity *identity, struct slice message,
                          struct enrol_report *report)
{
    CLEANUP(close_transport) struct transport *transport = NULL;
    struct transport_config config = { .admit = admit_nobody };
    struct talk talk = { .message = message, .report = report };
    char host[ADDRESS_SIZE];
    uint16_t port;
    enum status status;

    memcpy(config.curve_public, identity->curve_public, KEY_SIZE);
    memcpy(config.curve_secret, identity->curve_secret, KEY_SIZE);
    status = transport_open(&config, &transport);
    sodium_memzero(config.curve_secret, sizeof config.curve_secret);
    if (status != OK ||
        (status = address_parse(token->address[index], host, sizeof host, &port)) != OK ||
        (status = transport_dial(transport, token->hq_curve_key, host, port, &talk.link)) != OK)
        return status;
    talk.transport = transport;
    talk.deadline_ms = clock_monotonic_ms() + PHASE_MS;
    report->outcome = OUTCOME_NOT_HQ;
    status = talk_until_over(&talk);
    if (talk.asked && report->outcome == OUTCOME_NOT_HQ)
        report->outcome = OUTCOME_SILENT;
    return status;
}

void enrol_ask(const struct token *token, const struct identity *identity,
               const char *advertise, struct enrol_report *out_report)
{
    uint8_t bytes[ENROL_SIZE_MAX];
    struct wire_enrol enrol = { .version = PROTOCOL_VERSION };
    struct enrol_report best = { .outcome = OUTCOME_UNRESOLVED };
    struct mp_writer writer;

    memcpy(enrol.secret, token->secret, sizeof enrol.secret);
    memcpy(enrol.code, token->code, sizeof enrol.code);
    memcpy(enrol.sign_key, identity->sign.public_key, KEY_SIZE);
    memcpy(enrol.curve_key, identity->curve_public, KEY_SIZE);
    memcpy(enrol.address, advertise, strlen(advertise) + 1);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_enrol(&writer, &enrol, &identity->sign);
    sodium_memzero(enrol.secret, sizeof enrol.secret);
    ASSERT(writer.status == OK); /* of bounded parts */
    for (size_t i = 0; i < token->address_count && best.outcome != OUTCOME_ANSWERED; i++) {
        struct enrol_report report = { .address = i };

        if (probe(token->address[i], &report)) {
            command_note("asking HQ at %s", token->address[i]);
            report.status = ask_at(token, i, identity, mp_writer_bytes(&writer), &report);
            if (report.status != OK)
                report.outcome = OUTCOME_FAILED;
        }
        if (i == 0 || report.outcome > best.outcome)
            best = report;
    }
    sodium_memzero(bytes, sizeof bytes);
    *out_report = best;
}
