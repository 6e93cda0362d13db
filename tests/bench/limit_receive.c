/* SPDX-License-Identifier: MPL-2.0 */
/* limit_receive.c - takes over what is published: read, proven, summed, stored. */
#include <inttypes.h>
#include <sodium.h>
#include <unistd.h>
#include <zmq.h>

#include "proto/wire.h"
#include "tests/bench/limit.h"

struct reception {
    const struct job *job;
    struct receiver *mine;
    struct store store;
    struct digest_sum sum[TIERS_PUBLISHED];
    unsigned uncommitted; /* messages */
    void *context, *socket;
};

static void open_subscriber(struct reception *reception)
{
    static const int queue = QUEUE_MESSAGES;
    const struct shared *shared = reception->job->shared;
    char public_key[41];
    char secret_key[41];
    char endpoint[64];

    while (atomic_load(&shared->port) == 0)
        (void)usleep(100);
    (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%" PRIu64,
                   atomic_load(&shared->port));
    MUST((reception->context = zmq_ctx_new()) != NULL);
    MUST((reception->socket = zmq_socket(reception->context, ZMQ_SUB)) != NULL);
    MUST(zmq_curve_keypair(public_key, secret_key) == 0);
    MUST(zmq_setsockopt(reception->socket, ZMQ_CURVE_SERVERKEY, shared->curve_public, 41) == 0);
    MUST(zmq_setsockopt(reception->socket, ZMQ_CURVE_PUBLICKEY, public_key, 41) == 0);
    MUST(zmq_setsockopt(reception->socket, ZMQ_CURVE_SECRETKEY, secret_key, 41) == 0);
    MUST(zmq_setsockopt(reception->socket, ZMQ_RCVHWM, &queue, sizeof queue) == 0);
    MUST(zmq_setsockopt(reception->socket, ZMQ_SUBSCRIBE, "", 0) == 0);
    MUST(zmq_connect(reception->socket, endpoint) == 0);
}

static void take_change(struct reception *reception, const struct change *change,
                        unsigned flags)
{
    const struct record record = { *change, SLICE_NONE };
    struct record old;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (change->tiers & (1u << tier))
            digest_add(&reception->sum[tier], ORIGIN, (enum tier)tier, change);
    if (flags != MDB_APPEND && store_get(&reception->store, change->id, &old))
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            if (change->tiers & (1u << tier))
                digest_subtract(&reception->sum[tier], ORIGIN, (enum tier)tier, &old.change);
    store_put(&reception->store, &record, flags);
}

/* What comes of a whole feed counts at its end alone. */
static unsigned messages_a_commit(const struct job *job)
{
    return job->mode == MODE_SYNC ? SYNC_COMMIT_MESSAGES : 1;
}

/* Takes a message over: read strictly, judged, durable.  Returns the seq where it leads. */
static uint64_t take_message(struct reception *reception, struct slice message)
{
    struct mp_reader reader;
    struct slice envelope;
    struct change change = { 0 };
    struct head head;
    uint8_t digest[HASH_SIZE];
    unsigned tiers;
    uint64_t since;
    size_t count;

    mp_reader_init(&reader, message);
    mp_read_array_exact(&reader, 5);
    MUST(mp_read_uint(&reader, UINT64_MAX) == WIRE_EVENT);
    tiers = (unsigned)mp_read_uint(&reader, TIERS_BOTH);
    since = mp_read_uint(&reader, UINT64_MAX);
    envelope = mp_read_bin(&reader, SIGNED_HEAD_SIZE_MAX);
    count = mp_read_array(&reader, EVENT_CHANGES_MAX);
    if (envelope.size != 0) {
        MUST(head_read(envelope, &head) == OK);
        MUST(head_verify(envelope, reception->job->shared->sign.public_key) == OK);
    }
    if (reception->uncommitted++ == 0)
        store_begin(&reception->store);
    for (size_t i = 0; i < count; i++) {
        change_read(&reader, tiers, &change);
        take_change(reception, &change, since < reception->job->members ? MDB_APPEND : 0);
    }
    MUST(mp_reader_finish(&reader) == OK);
    for (int tier = 0; tier < TIERS_PUBLISHED && envelope.size != 0; tier++)
        if (tiers & (1u << tier)) {
            digest_of(&reception->sum[tier], (enum tier)tier, digest);
            MUST(memcmp(digest, head.digest[tier], HASH_SIZE) == 0);
            MUST(reception->sum[tier].count == head.count[tier]);
        }
    if (reception->uncommitted == messages_a_commit(reception->job) || envelope.size != 0) {
        store_commit(&reception->store);
        reception->uncommitted = 0;
    }
    return envelope.size != 0 ? head.seq : 0;
}

void receive_all(const struct job *job, unsigned number)
{
    const uint64_t last = job->members + job->updates;
    struct reception reception = { .job = job, .mine = &job->shared->receivers[number] };
    char name[24];
    uint64_t seq = 0;

    (void)snprintf(name, sizeof name, "receiver%u", number);
    store_open(&reception.store, job->dir, name);
    open_subscriber(&reception);
    while (seq < last) {
        zmq_msg_t message;

        MUST(zmq_msg_init(&message) == 0);
        MUST(zmq_msg_recv(&message, reception.socket, 0) >= 0);
        seq =
            take_message(&reception, slice_of(zmq_msg_data(&message), zmq_msg_size(&message)));
        if (job->mode == MODE_WRITE)
            reception.mine->stored_ns[seq - 1] = now_ns();
        atomic_store(&reception.mine->reached, seq);
        MUST(zmq_msg_close(&message) == 0);
    }
    MUST(zmq_close(reception.socket) == 0);
    MUST(zmq_ctx_term(reception.context) == 0);
    store_close(&reception.store);
}
