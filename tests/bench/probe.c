/* SPDX-License-Identifier: MPL-2.0 */
/* probe.c - a local program's view of running daemons, over their control sockets: how long
 * until a change is acknowledged and shows elsewhere, how many changes a second, how fast
 * counts come.
 *
 *   probe write SOCKET CHAPTER WRITES WATCHED...   one change at a time at SOCKET, of that
 *       chapter; `log` waits at each WATCHED.  From before the request to after the reply: both
 *       hops of the control protocol are in it.
 *   probe update SOCKET CHAPTER SECONDS CLIENTS WINDOW OPS WATCHED   changes of random members:
 *       so many clients with WINDOW requests of OPS changes under way each; how far WATCHED is
 *       behind what was acknowledged, ten times a second
 *   probe counts SOCKET REQUESTS WINDOW [BY]       `counts`, with WINDOW requests under way
 *
 * Prints one JSON object. */
#include <inttypes.h>
#include <unistd.h>
#include <zmq.h>

#include "chapterd/control.h"
#include "proto/record.h"
#include "tests/bench/bench.h"

#define CLIENTS_MAX 64
#define WINDOW_MAX CONTROL_REQUESTS_MAX
#define OPS_MAX 256
#define WATCHED_MAX 8
#define WRITES_MAX 100000
#define WRITE_PAUSE_US 2000
#define WAIT_MS 20000
#define PLACES_MAX 16384 /* of a feed where members are looked up */
#define PER_PLACE 8
#define SAMPLE_MS 100
#define SAMPLES_MAX 36000
#define SAMPLES_MIN 3 /* a first, a last third */

static void *context;

/* --- requests and replies ----------------------------------------------------------------- */

static void *dial(const char *path)
{
    static const int patience_ms = WAIT_MS + 10000;
    static const int none = 0;
    void *socket = zmq_socket(context, ZMQ_DEALER);
    char endpoint[256];

    MUST(socket != NULL);
    MUST(snprintf(endpoint, sizeof endpoint, "ipc://%s", path) < (int)sizeof endpoint);
    MUST(zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms) == 0);
    MUST(zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none) == 0);
    MUST(zmq_connect(socket, endpoint) == 0);
    return socket;
}

static struct mp_writer *begin_request(const char *command)
{
    static uint8_t buffer[64 * 1024];
    static struct mp_writer writer;
    static uint64_t id;

    mp_writer_init(&writer, buffer, sizeof buffer);
    mp_write_array(&writer, 4);
    mp_write_uint(&writer, CONTROL_VERSION);
    mp_write_uint(&writer, ++id);
    mp_write_text(&writer, command);
    return &writer;
}

static void send_request(void *socket, const struct mp_writer *writer)
{
    MUST(writer->status == OK);
    MUST(zmq_send(socket, writer->data, writer->size, 0) >= 0);
}

/* The next reply's result; valid until the next call.  What is no success ends the probe. */
static struct slice receive_result(void *socket)
{
    static zmq_msg_t message;
    static bool used;
    struct mp_reader reader;
    struct slice result;
    uint64_t code;

    if (used)
        MUST(zmq_msg_close(&message) == 0);
    used = true;
    MUST(zmq_msg_init(&message) == 0);
    MUST(zmq_msg_recv(&message, socket, 0) >= 0);
    mp_reader_init(&reader, slice_of(zmq_msg_data(&message), zmq_msg_size(&message)));
    mp_read_array_exact(&reader, 4);
    MUST(mp_read_uint(&reader, UINT64_MAX) == CONTROL_VERSION);
    (void)mp_read_uint(&reader, UINT64_MAX);
    code = mp_read_uint(&reader, UINT64_MAX);
    result = mp_read_raw(&reader, CONTROL_SIZE_MAX);
    MUST(mp_reader_finish(&reader) == OK);
    if (code != OK) {
        struct slice error = SLICE_NONE;

        (void)mp_map_get_text(result, "error", &error);
        (void)fprintf(stderr, "probe: %.*s\n", (int)error.size, (const char *)error.data);
        exit(1);
    }
    return result;
}

static struct slice first_of(struct slice list)
{
    struct mp_reader reader;

    mp_reader_init(&reader, list);
    return mp_read_array(&reader, SIZE_MAX) == 0 ? SLICE_NONE
                                                 : mp_read_raw(&reader, CONTROL_SIZE_MAX);
}

/* The seq that a feed has at that daemon. */
static void ask_seq(void *socket, const char *chapter)
{
    struct mp_writer *writer = begin_request("status");

    mp_write_map(writer, 1);
    mp_write_key_text(writer, "chapter", chapter);
    send_request(socket, writer);
}

static uint64_t told_seq(struct slice result)
{
    uint64_t seq = 0;

    MUST(mp_map_get_uint(first_of(mp_map_get(result, "feeds")), "seq", &seq));
    return seq;
}

static void ask_log(void *socket, const char *chapter, uint64_t after, uint64_t limit,
                    uint64_t wait_ms)
{
    struct mp_writer *writer = begin_request("log");

    mp_write_map(writer, wait_ms != 0 ? 4 : 3);
    mp_write_text(writer, "after");
    mp_write_map(writer, 1);
    mp_write_key_uint(writer, chapter, after);
    mp_write_key_text(writer, "chapter", chapter);
    mp_write_key_uint(writer, "limit", limit);
    if (wait_ms != 0)
        mp_write_key_uint(writer, "wait_ms", wait_ms);
    send_request(socket, writer);
}

/* A new member if id is "". */
static void write_put(struct mp_writer *writer, const char *id, const char *name)
{
    mp_write_map(writer, id[0] != '\0' ? 3 : 2);
    mp_write_text(writer, "fields");
    mp_write_map(writer, id[0] != '\0' ? 1 : 4);
    if (id[0] == '\0') {
        mp_write_key_text(writer, "country", "FR");
        mp_write_key_text(writer, "email", "probe@example.org");
        mp_write_key_text(writer, "joined", "2001-02-03");
    }
    mp_write_key_text(writer, "name", name);
    if (id[0] != '\0')
        mp_write_key_text(writer, "id", id);
    mp_write_key_text(writer, "op", "put");
}

static struct mp_writer *begin_apply(size_t ops)
{
    struct mp_writer *writer = begin_request("members.apply");

    mp_write_map(writer, 1);
    mp_write_text(writer, "ops");
    mp_write_array(writer, ops);
    return writer;
}

/* Of the last change; all must have been made. */
static uint64_t put_seq(struct slice result, size_t ops)
{
    struct mp_reader reader;
    uint64_t seq = 0;

    mp_reader_init(&reader, mp_map_get(result, "results"));
    MUST(mp_read_array(&reader, SIZE_MAX) == ops);
    for (size_t i = 0; i < ops; i++)
        MUST(mp_map_get_uint(mp_read_raw(&reader, CONTROL_SIZE_MAX), "seq", &seq));
    return seq;
}

static void print_list(const char *name, const int64_t *numbers, uint64_t count)
{
    printf("%s[", name);
    for (uint64_t i = 0; i < count; i++)
        printf("%s%" PRId64, i == 0 ? "" : ", ", numbers[i]);
    printf("]");
}

/* --- one change at a time ----------------------------------------------------------------- */

static int64_t acknowledged_ns[WRITES_MAX];
static int64_t visible_ns[WATCHED_MAX][WRITES_MAX];

/* Reads what is there of the writer (item 0) and the watched ones. */
static void take_arrivals(zmq_pollitem_t *items, int count, uint64_t seq, uint64_t i,
                          int64_t begun)
{
    for (int s = 0; s < count; s++) {
        if ((items[s].revents & ZMQ_POLLIN) == 0)
            continue;
        if (s == 0) {
            const struct slice result = receive_result(items[s].socket);

            acknowledged_ns[i] = now_ns() - begun;
            MUST(put_seq(result, 1) == seq);
        } else {
            struct slice result = receive_result(items[s].socket);
            uint64_t seen = 0;

            visible_ns[s - 1][i] = now_ns() - begun;
            result = first_of(mp_map_get(result, "changes"));
            MUST(result.size != 0 && mp_map_get_uint(result, "seq", &seen) && seen == seq);
        }
        items[s].events = 0; /* all that this one had to say */
    }
}

static void write_once(void **sockets, int count, const char *chapter, uint64_t seq, uint64_t i)
{
    zmq_pollitem_t items[1 + WATCHED_MAX] = { 0 };
    struct mp_writer *writer;
    char name[32];
    int64_t begun;
    int open = count;

    for (int s = 0; s < count; s++) {
        items[s] = (zmq_pollitem_t){ .socket = sockets[s], .events = ZMQ_POLLIN };
        if (s > 0)
            ask_log(sockets[s], chapter, seq - 1, 1, WAIT_MS);
    }
    (void)usleep(WRITE_PAUSE_US); /* they wait by then */
    (void)snprintf(name, sizeof name, "Probe %" PRIu64, i);
    begun = now_ns();
    writer = begin_apply(1);
    write_put(writer, "", name);
    send_request(sockets[0], writer);
    while (open > 0) {
        MUST(zmq_poll(items, count, WAIT_MS) > 0);
        take_arrivals(items, count, seq, i, begun);
        open = 0;
        for (int s = 0; s < count; s++)
            open += items[s].events != 0;
    }
}

static void probe_writes(int argc, char **argv)
{
    const uint64_t writes = number_of(argv[4], WRITES_MAX);
    const int count = 1 + argc - 5;
    void *sockets[1 + WATCHED_MAX];
    uint64_t seq;

    sockets[0] = dial(argv[2]);
    for (int s = 1; s < count; s++)
        sockets[s] = dial(argv[4 + s]);
    ask_seq(sockets[0], argv[3]);
    seq = told_seq(receive_result(sockets[0]));
    for (uint64_t i = 0; i < writes; i++)
        write_once(sockets, count, argv[3], seq + 1 + i, i);
    print_list("{\"acknowledged_ns\": ", acknowledged_ns, writes);
    for (int s = 1; s < count; s++)
        print_list(s == 1 ? ", \"visible_ns\": [" : ", ", visible_ns[s - 1], writes);
    printf("]}\n");
}

/* --- as many changes as can be ------------------------------------------------------------ */

struct update {
    const char *chapter;
    void *clients[CLIENTS_MAX];
    uint64_t client_count;
    uint64_t window, ops;
    void *watched;
    char (*ids)[UUID_TEXT_SIZE];
    uint64_t id_count;
    uint64_t asked, done, acknowledged_seq;
    int64_t begun;
    int64_t lag[SAMPLES_MAX];
    uint64_t samples;
    bool sampling;
    int64_t next_sample;
};

static void take_ids(struct update *update, struct slice result)
{
    struct mp_reader reader;
    size_t count;

    mp_reader_init(&reader, mp_map_get(result, "changes"));
    count = mp_read_array(&reader, SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        struct slice id;

        if (mp_map_get_text(mp_read_raw(&reader, CONTROL_SIZE_MAX), "id", &id))
            MUST(slice_copy_text(id, update->ids[update->id_count++], UUID_TEXT_SIZE));
    }
}

/* Members from all over the feed. */
static void find_members(struct update *update)
{
    uint64_t places = PLACES_MAX;
    uint64_t seq;

    MUST((update->ids = calloc(PLACES_MAX * PER_PLACE, UUID_TEXT_SIZE)) != NULL);
    ask_seq(update->clients[0], update->chapter);
    seq = told_seq(receive_result(update->clients[0]));
    if (seq / PER_PLACE < places)
        places = seq / PER_PLACE;
    for (uint64_t i = 0; i < places; i++) {
        ask_log(update->clients[0], update->chapter, i * (seq / places), PER_PLACE, 0);
        take_ids(update, receive_result(update->clients[0]));
    }
    MUST(update->id_count > 0);
}

static void ask_update(struct update *update, void *client)
{
    static uint64_t random = 88172645463325252ull; /* xorshift64: the same members each time */
    struct mp_writer *writer = begin_apply(update->ops);
    char name[40];

    for (uint64_t i = 0; i < update->ops; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (void)snprintf(name, sizeof name, "Updated %" PRIu64, update->asked++);
        write_put(writer, update->ids[random % update->id_count], name);
    }
    send_request(client, writer);
}

static void sample(struct update *update, const zmq_pollitem_t *item)
{
    if (update->sampling && (item->revents & ZMQ_POLLIN) != 0) {
        const uint64_t seq = told_seq(receive_result(update->watched));

        MUST(update->samples < SAMPLES_MAX);
        update->lag[update->samples++] =
            seq < update->acknowledged_seq ? (int64_t)(update->acknowledged_seq - seq) : 0;
        update->sampling = false;
    }
    if (!update->sampling && now_ns() >= update->next_sample) {
        ask_seq(update->watched, update->chapter);
        update->sampling = true;
        update->next_sample += SAMPLE_MS * INT64_C(1000000);
    }
}

/* Every reply that is there makes room for another request, until the time is over. */
static void take_replies(struct update *update, zmq_pollitem_t *item, bool more)
{
    int events = item->revents;
    size_t size = sizeof events;

    while ((events & ZMQ_POLLIN) != 0) {
        update->acknowledged_seq = put_seq(receive_result(item->socket), update->ops);
        update->done += update->ops;
        if (more)
            ask_update(update, item->socket);
        MUST(zmq_getsockopt(item->socket, ZMQ_EVENTS, &events, &size) == 0);
    }
}

static void run_updates(struct update *update, int64_t until)
{
    zmq_pollitem_t items[CLIENTS_MAX + 1] = { 0 };
    const int count = (int)update->client_count;

    for (int i = 0; i < count; i++)
        items[i] = (zmq_pollitem_t){ .socket = update->clients[i], .events = ZMQ_POLLIN };
    items[count] = (zmq_pollitem_t){ .socket = update->watched, .events = ZMQ_POLLIN };
    for (uint64_t w = 0; w < update->window; w++)
        for (int i = 0; i < count; i++)
            ask_update(update, update->clients[i]);
    while (update->done < update->asked) {
        MUST(zmq_poll(items, count + 1, SAMPLE_MS) >= 0);
        for (int i = 0; i < count; i++)
            take_replies(update, &items[i], now_ns() < until || update->samples < SAMPLES_MIN);
        sample(update, &items[count]);
    }
}

static void probe_updates(char **argv)
{
    static struct update update;
    const int64_t seconds = (int64_t)number_of(argv[4], SAMPLES_MAX / 20);

    update.chapter = argv[3];
    update.client_count = number_of(argv[5], CLIENTS_MAX);
    update.window = number_of(argv[6], WINDOW_MAX);
    update.ops = number_of(argv[7], OPS_MAX);
    for (uint64_t i = 0; i < update.client_count; i++)
        update.clients[i] = dial(argv[2]);
    update.watched = dial(argv[8]);
    find_members(&update);
    update.begun = now_ns();
    update.next_sample = update.begun;
    run_updates(&update, update.begun + seconds * INT64_C(1000000000));
    printf("{\"updates\": %" PRIu64 ", \"seconds\": %.6f, \"sample_ms\": %d", update.done,
           1e-9 * (double)(now_ns() - update.begun), SAMPLE_MS);
    print_list(", \"lag\": ", update.lag, update.samples);
    printf("}\n");
}

/* --- counts ------------------------------------------------------------------------------- */

static void ask_counts(void *socket, const char *by)
{
    struct mp_writer *writer = begin_request("counts");

    mp_write_map(writer, by != NULL);
    if (by != NULL)
        mp_write_key_text(writer, "by", by);
    send_request(socket, writer);
}

static void probe_counts(int argc, char **argv)
{
    const uint64_t requests = number_of(argv[3], 100000000);
    const uint64_t window = number_of(argv[4], WINDOW_MAX);
    const char *by = argc > 5 ? argv[5] : NULL;
    void *socket = dial(argv[2]);
    uint64_t asked = 0;
    uint64_t members = 0;
    int64_t begun;

    ask_counts(socket, by);
    MUST(mp_map_get_uint(receive_result(socket), "memberships", &members));
    begun = now_ns();
    for (; asked < requests && asked < window; asked++)
        ask_counts(socket, by);
    for (uint64_t done = 0; done < requests; done++) {
        (void)receive_result(socket);
        if (asked++ < requests)
            ask_counts(socket, by);
    }
    printf("{\"requests\": %" PRIu64 ", \"seconds\": %.6f, \"members\": %" PRIu64 "}\n",
           requests, 1e-9 * (double)(now_ns() - begun), members);
}

int main(int argc, char **argv)
{
    MUST((context = zmq_ctx_new()) != NULL);
    if (argc >= 6 && argc <= 5 + WATCHED_MAX && strcmp(argv[1], "write") == 0)
        probe_writes(argc, argv);
    else if (argc == 9 && strcmp(argv[1], "update") == 0)
        probe_updates(argv);
    else if (argc >= 5 && argc <= 6 && strcmp(argv[1], "counts") == 0)
        probe_counts(argc, argv);
    else {
        (void)fprintf(stderr, "usage: probe write SOCKET CHAPTER WRITES WATCHED...\n"
                              "       probe update SOCKET CHAPTER SECONDS CLIENTS WINDOW OPS"
                              " WATCHED\n"
                              "       probe counts SOCKET REQUESTS WINDOW [BY]\n");
        return 2;
    }
    return 0; /* the sockets go with the process */
}
