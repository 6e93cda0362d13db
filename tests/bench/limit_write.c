/* SPDX-License-Identifier: MPL-2.0 */
/* limit_write.c - rows of the CSV become records: packed, summed, stored, signed, published. */
#include <inttypes.h>
#include <sodium.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "proto/wire.h"
#include "tests/bench/limit.h"

#define BATCH_SIZE_MAX (16u * 1024 * 1024)
#define WRITE_PAUSE_US 2000

/* --- records of the CSV ------------------------------------------------------------------ */

enum column {
    EXTERNAL_ID,
    KIND,
    NAME,
    EMAIL,
    COUNTRY,
    CITY,
    LANGUAGE,
    PHONE,
    JOINED,
    STATUS,
    COLUMN_COUNT
};
static const char *const column_names[] = { "external_id", "kind",  "name",     "email",
                                            "country",     "city",  "language", "phone",
                                            "joined",      "status" };
/* What each tier has, in ascending order. */
static const enum column tier_columns[][4] = { { COUNTRY, JOINED, KIND, STATUS },
                                               { EMAIL, LANGUAGE, NAME, COLUMN_COUNT },
                                               { CITY, EXTERNAL_ID, PHONE, COLUMN_COUNT } };

/* bench.py's rows have no quotes. */
static void read_line(struct slice *csv, struct slice out_cells[COLUMN_COUNT])
{
    const uint8_t *line_end = memchr(csv->data, '\n', csv->size);
    const uint8_t *at = csv->data;

    MUST(line_end != NULL);
    for (int i = 0; i < COLUMN_COUNT; i++) {
        const uint8_t *end =
            i + 1 == COLUMN_COUNT ? line_end : memchr(at, ',', (size_t)(line_end - at));

        MUST(end != NULL);
        out_cells[i] = slice_of(at, (size_t)(end - at));
        at = end + 1;
    }
    csv->size -= (size_t)(line_end + 1 - csv->data);
    csv->data = line_end + 1;
}

struct slice csv_begin(struct slice csv)
{
    struct slice cells[COLUMN_COUNT];

    read_line(&csv, cells);
    for (int i = 0; i < COLUMN_COUNT; i++)
        MUST(slice_is_text(cells[i], column_names[i]));
    return csv;
}

static struct slice write_value(struct mp_writer *writer, int tier,
                                const struct slice cells[COLUMN_COUNT], uint64_t updated)
{
    const enum column *columns = tier_columns[tier];
    const size_t begun = writer->size;
    size_t count = tier == TIER_FEDERATION ? 1 : 0;

    for (int i = 0; i < 4 && columns[i] != COLUMN_COUNT; i++)
        count++;
    mp_write_map(writer, count);
    for (int i = 0; i < 4 && columns[i] != COLUMN_COUNT; i++) {
        mp_write_text(writer, column_names[columns[i]]);
        mp_write_str(writer, cells[columns[i]]);
    }
    if (tier == TIER_FEDERATION)
        mp_write_key_uint(writer, "updated", updated);
    return slice_of(writer->data + begun, writer->size - begun);
}

/* --- batches ----------------------------------------------------------------------------- */

struct writer {
    const struct job *job;
    struct store store;
    struct digest_sum sum[TIERS_PUBLISHED];
    struct head head;
    struct signed_head envelope;
    void *context, *socket;
    struct slice csv;
    uint8_t (*ids)[ID_SIZE];
    uint64_t seq;
    uint64_t sent_bytes;
    struct mp_writer values, rows, message;
    uint8_t random[BATCH][SALT_SIZE + 4]; /* of the batch: a salt and the end of an id each */
};

static void begin_batch(struct writer *writer)
{
    mp_writer_reset(&writer->values);
    mp_writer_reset(&writer->rows);
    randombytes_buf(writer->random, sizeof writer->random);
    store_begin(&writer->store);
}

/* Gives the record its seq and salt, and puts it everywhere. */
static void take_in(struct writer *writer, struct record *record, size_t i, unsigned flags)
{
    record->change.type = RECORD_MEMBER;
    record->change.tiers = TIERS_BOTH;
    record->change.seq = ++writer->seq;
    memcpy(record->change.salt, writer->random[i], SALT_SIZE);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        digest_add(&writer->sum[tier], ORIGIN, (enum tier)tier, &record->change);
    store_put(&writer->store, record, flags);
    change_write(&writer->rows, &record->change, TIERS_BOTH);
}

static void publish(struct writer *writer, unsigned tiers, size_t count, struct slice envelope)
{
    mp_writer_reset(&writer->message);
    wire_write_event_begin(&writer->message, tiers, writer->head.prev_seq, envelope, count);
    mp_write_raw(&writer->message, mp_writer_bytes(&writer->rows));
    MUST(writer->message.status == OK);
    MUST(zmq_send(writer->socket, writer->message.data, writer->message.size, 0) >= 0);
    writer->sent_bytes += writer->message.size;
}

static void sign(struct writer *writer)
{
    struct head *head = &writer->head;

    head->prev_seq = head->seq;
    memcpy(head->prev_hash, head->hash, HASH_SIZE);
    memcpy(head->origin, ORIGIN, sizeof ORIGIN);
    head->epoch = head->instance = 1;
    head->seq = writer->seq;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        digest_of(&writer->sum[tier], (enum tier)tier, head->digest[tier]);
        head->count[tier] = writer->sum[tier].count;
    }
    head_sign(head, &writer->job->shared->sign, &writer->envelope);
}

/* Durable, then signed and sent to everybody. */
static void end_batch(struct writer *writer, size_t count, bool send)
{
    sign(writer);
    store_commit(&writer->store);
    if (send)
        publish(writer, TIERS_BOTH, count, signed_head_bytes(&writer->envelope));
}

static void add_member(struct writer *writer, size_t i, uint64_t time_ms)
{
    const uint64_t n = writer->seq;
    uint8_t random[10] = {
        0, 0, 0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n
    };
    struct slice cells[COLUMN_COUNT];
    struct record record = { 0 };

    memcpy(random + 7, writer->random[i] + SALT_SIZE, 3);
    uuid_make_v7(time_ms, random, record.change.id);
    read_line(&writer->csv, cells);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        record.change.value[tier] = write_value(&writer->values, tier, cells, time_ms / 1000);
    record.chapter = write_value(&writer->values, TIER_CHAPTER, cells, 0);
    take_in(writer, &record, i, MDB_APPEND);
    memcpy(writer->ids[n], record.change.id, ID_SIZE);
}

static uint64_t wall_ms(void)
{
    struct timespec now;

    MUST(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void add_members(struct writer *writer, uint64_t members, bool send)
{
    while (writer->seq < members) {
        const size_t count = members - writer->seq < BATCH ? members - writer->seq : BATCH;
        const uint64_t time_ms = wall_ms();

        begin_batch(writer);
        for (size_t i = 0; i < count; i++)
            add_member(writer, i, time_ms);
        end_batch(writer, count, send);
    }
}

static void update_member(struct writer *writer, size_t i)
{
    const uint8_t *id = writer->ids[randombytes_uniform((uint32_t)writer->job->members)];
    struct slice cells[COLUMN_COUNT];
    struct record record;
    struct slice text;
    char name[64];

    MUST(store_get(&writer->store, id, &record));
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        digest_subtract(&writer->sum[tier], ORIGIN, (enum tier)tier, &record.change);
    for (int c = 0; c < COLUMN_COUNT; c++)
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            if (mp_map_get_text(record.change.value[tier], column_names[c], &text))
                cells[c] = text;
    (void)snprintf(name, sizeof name, "Updated %" PRIu64, writer->seq);
    cells[NAME] = slice_of_text(name);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        record.change.value[tier] = write_value(&writer->values, tier, cells, wall_ms() / 1000);
    text = record.chapter; /* it lies where the new row goes */
    mp_write_raw(&writer->values, text);
    record.chapter = slice_of(writer->values.data + writer->values.size - text.size, text.size);
    take_in(writer, &record, i, 0);
}

static void update_members(struct writer *writer)
{
    for (uint64_t done = 0; done < writer->job->updates; done += BATCH) {
        begin_batch(writer);
        for (size_t i = 0; i < BATCH; i++)
            update_member(writer, i);
        end_batch(writer, BATCH, true);
    }
}

static void write_one_by_one(struct writer *writer)
{
    struct shared *shared = writer->job->shared;

    for (uint64_t i = 0; i < writer->job->members; i++) {
        shared->begun_ns[i] = now_ns();
        begin_batch(writer);
        add_member(writer, 0, wall_ms());
        end_batch(writer, 1, true);
        (void)usleep(WRITE_PAUSE_US);
        wait_for_all(writer->job, writer->seq, 100);
    }
}

/* The whole feed as a new node gets it: in chunks, at last with the head that they lead to. */
static void serve_all(struct writer *writer)
{
    struct record record;
    MDB_val key;
    MDB_val value;
    size_t count = 0;
    int code;

    MUST(mdb_txn_begin(writer->store.env, NULL, MDB_RDONLY, &writer->store.txn) == 0);
    MUST(mdb_cursor_open(writer->store.txn, writer->store.rows, &writer->store.cursor) == 0);
    mp_writer_reset(&writer->rows);
    while ((code = mdb_cursor_get(writer->store.cursor, &key, &value, MDB_NEXT)) == 0) {
        record_of(&key, &value, &record);
        change_write(&writer->rows, &record.change, TIERS_FEDERATION);
        if (++count == BATCH) {
            publish(writer, TIERS_FEDERATION, count, SLICE_NONE);
            mp_writer_reset(&writer->rows);
            count = 0;
        }
    }
    MUST(code == MDB_NOTFOUND);
    publish(writer, TIERS_FEDERATION, count, signed_head_bytes(&writer->envelope));
    mdb_cursor_close(writer->store.cursor);
    mdb_txn_abort(writer->store.txn);
}

/* Binds, and waits until every receiver has subscribed. */
static void open_publisher(struct writer *writer)
{
    static const int one = 1;
    static const int queue = QUEUE_MESSAGES;
    static const int patience_ms = 30000;
    const struct job *job = writer->job;
    char endpoint[256];
    size_t size = sizeof endpoint;
    zmq_msg_t frame;

    MUST((writer->context = zmq_ctx_new()) != NULL);
    MUST((writer->socket = zmq_socket(writer->context, ZMQ_XPUB)) != NULL);
    MUST(zmq_setsockopt(writer->socket, ZMQ_CURVE_SERVER, &one, sizeof one) == 0);
    MUST(zmq_setsockopt(writer->socket, ZMQ_CURVE_SECRETKEY, job->shared->curve_secret, 41) ==
         0);
    MUST(zmq_setsockopt(writer->socket, ZMQ_SNDHWM, &queue, sizeof queue) == 0);
    MUST(zmq_setsockopt(writer->socket, ZMQ_XPUB_NODROP, &one, sizeof one) == 0);
    MUST(zmq_setsockopt(writer->socket, ZMQ_XPUB_VERBOSE, &one, sizeof one) == 0);
    MUST(zmq_setsockopt(writer->socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms) == 0);
    MUST(zmq_bind(writer->socket, "tcp://127.0.0.1:*") == 0);
    MUST(zmq_getsockopt(writer->socket, ZMQ_LAST_ENDPOINT, endpoint, &size) == 0);
    atomic_store(&job->shared->port, strtoull(strrchr(endpoint, ':') + 1, NULL, 10));
    for (unsigned i = 0; i < job->receivers; i++) {
        MUST(zmq_msg_init(&frame) == 0);
        MUST(zmq_msg_recv(&frame, writer->socket, 0) >= 0);
        MUST(zmq_msg_close(&frame) == 0);
    }
}

/* --- the whole of it --------------------------------------------------------------------- */

static void print_latencies(const struct job *job)
{
    printf(", \"latency_ns\": [");
    for (unsigned r = 0; r < job->receivers; r++) {
        printf("%s[", r == 0 ? "" : ", ");
        for (uint64_t i = 0; i < job->members; i++)
            printf("%s%" PRId64, i == 0 ? "" : ", ",
                   job->shared->receivers[r].stored_ns[i] - job->shared->begun_ns[i]);
        printf("]");
    }
    printf("]");
}

void write_all(const struct job *job)
{
    static uint8_t buffers[3][BATCH_SIZE_MAX];
    static struct writer all;
    struct writer *writer = &all;
    int64_t begun;

    writer->job = job;
    writer->csv = job->csv;
    MUST((writer->ids = calloc(job->members, ID_SIZE)) != NULL);
    mp_writer_init(&writer->values, buffers[0], BATCH_SIZE_MAX);
    mp_writer_init(&writer->rows, buffers[1], BATCH_SIZE_MAX);
    mp_writer_init(&writer->message, buffers[2], BATCH_SIZE_MAX);
    store_open(&writer->store, job->dir, "writer");
    if (job->mode == MODE_SYNC)
        add_members(writer, job->members, false);
    open_publisher(writer);
    if (job->mode == MODE_UPDATE) {
        add_members(writer, job->members, true);
        wait_for_all(job, job->members, 1000);
        writer->sent_bytes = 0;
    }
    begun = now_ns();
    if (job->mode == MODE_IMPORT)
        add_members(writer, job->members, true);
    else if (job->mode == MODE_WRITE)
        write_one_by_one(writer);
    else if (job->mode == MODE_UPDATE)
        update_members(writer);
    else
        serve_all(writer);
    wait_for_all(job, writer->seq, 200);
    printf("{\"mode\": \"%s\", \"members\": %" PRIu64 ", \"updates\": %" PRIu64
           ", \"seconds\": %.6f, \"sent_bytes\": %" PRIu64,
           mode_names[job->mode], job->members, job->updates, 1e-9 * (double)(now_ns() - begun),
           writer->sent_bytes);
    if (job->mode == MODE_WRITE)
        print_latencies(job);
    printf("}\n");
    MUST(zmq_close(writer->socket) == 0);
    MUST(zmq_ctx_term(writer->context) == 0);
    store_close(&writer->store);
}
