/* SPDX-License-Identifier: MPL-2.0 */
/* node_fixture.h - HQ's node with a real store, a transport that hands in what a test asks and
 * keeps what is answered, and clocks that the test moves.  Included once by a program, after
 * nothing else. */
#ifndef CHAPTERD_NODE_FIXTURE_H
#define CHAPTERD_NODE_FIXTURE_H

#include "tests/store/store_fixture.h"

#include "daemon/command.h"

#define NODE_LINK 77
#define NODE_UID 1000
#define INBOX_MAX 8
#define OUTBOX_MAX 64

static int64_t monotonic_ms;
static int64_t wall_ms;
static bool drop_turn;      /* the next turn fails as soon as its messages are taken */
static int drop_after_wall; /* the turn fails when the wall clock is read for the nth time */

int64_t clock_monotonic_ms(void)
{
    return monotonic_ms;
}

struct parcel {
    uint8_t *bytes;
    size_t size;
};

struct transport {
    struct parcel inbox[INBOX_MAX];
    size_t in_count, in_next;
    struct parcel outbox[OUTBOX_MAX];
    size_t out_count;
};
static struct transport fake;
static struct node *fake_node; /* whose turn a test wants dropped */

#include "tests/store/fake_transport.h" /* needs the above */

int64_t clock_wall_ms(void)
{
    if (drop_after_wall > 0 && --drop_after_wall == 0)
        (void)node_turn_fails(fake_node, NO_SPACE);
    return wall_ms;
}

static inline struct parcel parcel_of(struct slice data)
{
    struct parcel parcel = { malloc(data.size + 1), data.size };

    assert_non_null(parcel.bytes);
    memcpy(parcel.bytes, data.data, data.size);
    return parcel;
}

static inline void fake_clear(void)
{
    for (size_t i = 0; i < fake.in_count; i++)
        free(fake.inbox[i].bytes);
    for (size_t i = 0; i < fake.out_count; i++)
        free(fake.outbox[i].bytes);
    memset(&fake, 0, sizeof fake);
}

enum status transport_receive(struct transport *transport, struct transport_message *out)
{
    if (transport->in_next == transport->in_count) {
        if (drop_turn) {
            drop_turn = false;
            (void)node_turn_fails(fake_node, NO_SPACE);
        }
        for (size_t i = 0; i < transport->in_count; i++)
            free(transport->inbox[i].bytes);
        transport->in_count = transport->in_next = 0;
        return AGAIN;
    }
    *out = (struct transport_message){ .kind = TRANSPORT_CONTROL,
                                       .link = NODE_LINK,
                                       .uid = NODE_UID,
                                       .data = slice_of(
                                           transport->inbox[transport->in_next].bytes,
                                           transport->inbox[transport->in_next].size) };
    transport->in_next++;
    return OK;
}

enum status transport_send(struct transport *transport, transport_link link, struct slice data)
{
    assert_int_equal(link, NODE_LINK);
    assert_true(transport->out_count < OUTBOX_MAX);
    assert_true(mp_valid(data)); /* sorted keys, shortest forms, not too deep */
    transport->outbox[transport->out_count++] = parcel_of(data);
    return OK;
}

/* --- HQ ----------------------------------------------------------------------------------- */

struct hq {
    struct place *place;
    struct node *node;
    uint64_t next_id;
};

static inline void turns(struct hq *hq, int count)
{
    for (int i = 0; i < count; i++)
        assert_ok(node_turn(hq->node, 0));
}

static inline void hq_start(struct hq *hq)
{
    const struct node_config config = { .dir = hq->place->dir,
                                        .control_path = "",
                                        .store_size = MAP_SIZE_TEST };

    assert_ok(node_open(&config, &hq->node));
    fake_node = hq->node;
    turns(hq, 3);
}

static inline int hq_new(void **state)
{
    static struct membership membership;
    struct hq *hq = calloc(1, sizeof *hq);
    struct identity identity;
    struct genesis genesis = { .name = "Testing Society", .created = 1 };
    struct mp_writer writer;

    assert_non_null(hq);
    hq->place = place_new();
    monotonic_ms = 1000000;
    wall_ms = 1704067200000 + 43200000; /* noon of 2024-01-01 */
    drop_turn = false;
    drop_after_wall = 0;
    fake_clear();
    log_set_level(LOG_ERROR);
    assert_ok(identity_create(hq->place->dir, &identity));
    memset(&membership, 0, sizeof membership);
    memcpy(genesis.sign_key, identity.sign.public_key, KEY_SIZE);
    mp_writer_init(&writer, membership.genesis, sizeof membership.genesis);
    genesis_write(&writer, &genesis);
    assert_ok(writer.status);
    membership.genesis_size = writer.size;
    memcpy(membership.code, "hq", 3);
    memcpy(membership.hq_curve, identity.curve_public, KEY_SIZE);
    (void)snprintf(membership.hq_address, sizeof membership.hq_address, "127.0.0.1:7440");
    (void)snprintf(membership.advertise, sizeof membership.advertise, "127.0.0.1:7440");
    assert_ok(membership_store(hq->place->dir, &membership));
    hq_start(hq);
    *state = hq;
    return 0;
}

static inline int hq_free(void **state)
{
    struct hq *hq = *state;

    node_close(&hq->node);
    fake_clear();
    *state = hq->place;
    (void)place_free(state);
    free(hq);
    return 0;
}

/* --- asking ------------------------------------------------------------------------------- */

/* A reply's code and result. */
struct reply {
    uint64_t id;
    uint64_t code;
    struct slice result;
};

static inline void put_in(struct slice bytes)
{
    assert_true(fake.in_count < INBOX_MAX);
    fake.inbox[fake.in_count++] = parcel_of(bytes);
}

/* Hands a request in: arguments are a MessagePack map. */
static inline uint64_t ask_raw(struct hq *hq, const char *command, struct slice arguments)
{
    struct mp_writer writer = { 0 };

    mp_writer_init_heap(&writer, CONTROL_SIZE_MAX);
    mp_write_array(&writer, 4);
    mp_write_uint(&writer, CONTROL_VERSION);
    mp_write_uint(&writer, ++hq->next_id);
    mp_write_text(&writer, command);
    mp_write_raw(&writer, arguments);
    assert_ok(writer.status);
    put_in(mp_writer_bytes(&writer));
    mp_writer_done(&writer);
    return hq->next_id;
}

/* Up to two pairs of key and text, keys in ascending order. */
static inline uint64_t ask(struct hq *hq, const char *command, const char *key1,
                           const char *text1, const char *key2, const char *text2)
{
    uint8_t buffer[1024];
    struct mp_writer writer;

    mp_writer_init(&writer, buffer, sizeof buffer);
    mp_write_map(&writer, (size_t)(key1 != NULL) + (key2 != NULL));
    if (key1 != NULL)
        mp_write_key_text(&writer, key1, text1);
    if (key2 != NULL)
        mp_write_key_text(&writer, key2, text2);
    return ask_raw(hq, command, mp_writer_bytes(&writer));
}

static inline bool reply_to(uint64_t id, struct reply *out)
{
    for (size_t i = 0; i < fake.out_count; i++) {
        struct mp_reader reader;

        mp_reader_init(&reader, slice_of(fake.outbox[i].bytes, fake.outbox[i].size));
        mp_read_array_exact(&reader, 4);
        (void)mp_read_uint(&reader, UINT64_MAX);
        out->id = mp_read_uint(&reader, UINT64_MAX);
        out->code = mp_read_uint(&reader, UINT64_MAX);
        out->result = mp_read_raw(&reader, CONTROL_SIZE_MAX);
        assert_ok(mp_reader_finish(&reader));
        if (out->id == id)
            return true;
    }
    return false;
}

/* Takes turns until the answer is there. */
static inline struct reply answer_to(struct hq *hq, uint64_t id)
{
    struct reply reply = { 0 };

    for (int i = 0; i < 200 && !reply_to(id, &reply); i++)
        turns(hq, 1);
    assert_int_equal(reply.id, id);
    return reply;
}

static inline struct slice ask_ok(struct hq *hq, const char *command, const char *key1,
                                  const char *text1, const char *key2, const char *text2)
{
    const struct reply reply = answer_to(hq, ask(hq, command, key1, text1, key2, text2));

    assert_int_equal(reply.code, OK);
    return reply.result;
}

static inline void assert_refused(struct reply reply, enum status code, const char *part)
{
    struct slice text;
    char error[512];

    assert_int_equal(reply.code, code);
    assert_true(mp_map_get_text(reply.result, "remedy", &text));
    assert_true(mp_map_get_text(reply.result, "error", &text));
    assert_true(slice_copy_text(text, error, sizeof error));
    if (strstr(error, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error, part);
}

/* --- looking at results ------------------------------------------------------------------- */

static inline uint64_t uint_of(struct slice map, const char *key)
{
    uint64_t number = 0;

    if (!mp_map_get_uint(map, key, &number))
        fail_msg("no number \"%s\"", key);
    return number;
}

static inline void assert_text(struct slice map, const char *key, const char *expected)
{
    struct slice text;
    char copy[512];

    if (!mp_map_get_text(map, key, &text))
        fail_msg("no text \"%s\"", key);
    assert_true(slice_copy_text(text, copy, sizeof copy));
    assert_string_equal(copy, expected);
}

static inline size_t length_of(struct slice map, const char *key)
{
    struct mp_reader reader;
    size_t count;

    mp_reader_init(&reader, mp_map_get(map, key));
    count = mp_read_array(&reader, SIZE_MAX);
    assert_ok(reader.status);
    return count;
}

static inline struct slice element_of(struct slice map, const char *key, size_t index)
{
    struct slice raw = SLICE_NONE;
    struct mp_reader reader;

    mp_reader_init(&reader, mp_map_get(map, key));
    assert_true(mp_read_array(&reader, SIZE_MAX) > index);
    for (size_t i = 0; i <= index; i++)
        raw = mp_read_raw(&reader, CONTROL_SIZE_MAX);
    assert_ok(reader.status);
    return raw;
}

/* --- members ------------------------------------------------------------------------------ */

/* One member of a batch; a NULL is left out. */
struct member {
    const char *country;
    const char *email;
    const char *expires;
    const char *joined;
    const char *name;
    const char *notes;
};

static inline void write_member(struct mp_writer *writer, const struct member *member)
{
    const char *const keys[] = { "country", "email", "expires", "joined", "name", "notes" };
    const char *const texts[] = { member->country, member->email, member->expires,
                                  member->joined,  member->name,  member->notes };
    size_t count = 0;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        count += texts[i] != NULL;
    mp_write_map(writer, 2);
    mp_write_text(writer, "fields");
    mp_write_map(writer, count);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (texts[i] != NULL)
            mp_write_key_text(writer, keys[i], texts[i]);
    mp_write_key_text(writer, "op", "put");
}

static inline uint64_t ask_put_as(struct hq *hq, const struct member *members, size_t count,
                                  bool brief)
{
    struct mp_writer writer = { 0 };
    uint64_t id;

    mp_writer_init_heap(&writer, CONTROL_SIZE_MAX);
    mp_write_map(&writer, brief ? 2 : 1);
    if (brief)
        mp_write_key_bool(&writer, "brief", true);
    mp_write_text(&writer, "ops");
    mp_write_array(&writer, count);
    for (size_t i = 0; i < count; i++)
        write_member(&writer, &members[i]);
    id = ask_raw(hq, "members.apply", mp_writer_bytes(&writer));
    mp_writer_done(&writer);
    return id;
}

static inline uint64_t ask_put(struct hq *hq, const struct member *members, size_t count)
{
    return ask_put_as(hq, members, count, false);
}

static inline void put_members(struct hq *hq, const struct member *members, size_t count)
{
    const struct reply reply = answer_to(hq, ask_put(hq, members, count));

    assert_int_equal(reply.code, OK);
    for (size_t i = 0; i < count; i++) {
        const struct slice ok = mp_map_get(element_of(reply.result, "results", i), "ok");

        assert_true(ok.size == 1 && ok.data[0] == 0xc3);
    }
}

/* count members "N <n>", of France, expiring as given. */
static inline void put_many(struct hq *hq, size_t count, const char *expires)
{
    struct member *members = calloc(count, sizeof *members);
    char(*names)[32] = calloc(count, sizeof *names);

    assert_non_null(members);
    assert_non_null(names);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof names[i], "N %06zu", i);
        members[i] = (struct member){ .country = "FR", .expires = expires, .name = names[i] };
    }
    put_members(hq, members, count);
    free(names);
    free(members);
}

#endif
