/* SPDX-License-Identifier: MPL-2.0 */
/* enrol_fixture.h - HQ, and chapters that ask to be taken in: a real node with a real store, a
 * transport that only remembers what was sent, and clocks that the tests move.  Included once
 * by each program. */
#ifndef CHAPTERD_ENROL_FIXTURE_H
#define CHAPTERD_ENROL_FIXTURE_H

#include "tests/store/store_fixture.h"

#include "daemon/command.h"
#include "daemon/invitation.h"

#include <sodium.h>

#define LINK 77
#define HOUR_S 3600

/* --- the world of the node ---------------------------------------------------------------- */

static int64_t monotonic_ms;
static int64_t wall_ms;

int64_t clock_monotonic_ms(void)
{
    return monotonic_ms;
}

int64_t clock_wall_ms(void)
{
    return wall_ms;
}

struct transport {
    size_t replies;
    struct wire_enrolled last;
};
static struct transport fake;

#include "tests/store/fake_transport.h" /* needs the above */

enum status transport_receive(struct transport *transport, struct transport_message *out)
{
    (void)transport;
    (void)out;
    return AGAIN;
}

enum status transport_send(struct transport *transport, transport_link link, struct slice data)
{
    assert_int_equal(link, LINK);
    transport->replies++;
    return wire_read_enrolled(data, &transport->last);
}

/* --- HQ ----------------------------------------------------------------------------------- */

struct hq {
    struct place *place;
    struct node *node;
};

static inline void start(struct hq *hq)
{
    const struct node_config config = { .dir = hq->place->dir,
                                        .control_path = "",
                                        .store_size = MAP_SIZE_TEST };

    assert_ok(node_open(&config, &hq->node));
    assert_ok(node_turn(hq->node, 0));
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
    wall_ms = 1700000000000;
    memset(&fake, 0, sizeof fake);
    log_set_level(LOG_ERROR);
    assert_ok(identity_create(hq->place->dir, &identity));
    memset(&membership, 0, sizeof membership);
    memcpy(genesis.sign_key, identity.sign.public_key, KEY_SIZE);
    mp_writer_init(&writer, membership.genesis, sizeof membership.genesis);
    genesis_write(&writer, &genesis);
    membership.genesis_size = writer.size;
    memcpy(membership.code, "hq", 3);
    memcpy(membership.hq_curve, identity.curve_public, KEY_SIZE);
    assert_true(command_addresses("127.0.0.1:7440", "hq.example", &membership));
    memcpy(membership.hq_address, membership.advertise, ADDRESS_SIZE);
    assert_ok(membership_store(hq->place->dir, &membership));
    start(hq);
    *state = hq;
    return 0;
}

static inline int hq_free(void **state)
{
    struct hq *hq = *state;
    void *place = hq->place;

    node_close(&hq->node);
    free(hq);
    return place_free(&place);
}

static inline struct token invite(struct hq *hq, const char *code, uint64_t ttl_s)
{
    char text[TOKEN_SIZE_MAX];
    const char *reason = "";
    uint64_t expires = 0;
    struct token token;

    monotonic_ms += SIGN_WAIT_MS; /* HQ may sign, whoever else there is */
    assert_ok(enrol_invite(hq->node, code, NULL, NULL, &(struct invite_terms){ .ttl_s = ttl_s },
                           text, &expires, &reason));
    assert_ok(node_turn(hq->node, 0));
    assert_ok(token_parse(slice_of_text(text), &token, &reason));
    assert_int_equal(token.expires, expires);
    return token;
}

/* --- a chapter that asks ------------------------------------------------------------------ */

struct asker {
    struct identity identity;
    struct wire_enrol enrol;
    uint8_t link_key[KEY_SIZE];
    uint8_t bytes[2 * ENROL_SIZE_MAX];
    size_t size;
};

static inline void asker_pack(struct asker *asker)
{
    struct mp_writer writer;

    mp_writer_init(&writer, asker->bytes, sizeof asker->bytes);
    wire_write_enrol(&writer, &asker->enrol, &asker->identity.sign);
    assert_ok(writer.status);
    asker->size = writer.size;
}

static inline struct asker asker_new(const struct token *token)
{
    struct asker asker;

    memset(&asker, 0, sizeof asker);
    identity_make_sign_key(&asker.identity.sign);
    crypto_box_keypair(asker.identity.curve_public, asker.identity.curve_secret);
    asker.enrol.version = PROTOCOL_VERSION;
    memcpy(asker.enrol.secret, token->secret, TOKEN_SECRET_SIZE);
    memcpy(asker.enrol.code, token->code, CODE_SIZE);
    memcpy(asker.enrol.sign_key, asker.identity.sign.public_key, KEY_SIZE);
    memcpy(asker.enrol.curve_key, asker.identity.curve_public, KEY_SIZE);
    memcpy(asker.link_key, asker.identity.curve_public, KEY_SIZE);
    asker_pack(&asker);
    return asker;
}

static inline void ask_without_turn(struct hq *hq, const struct asker *asker)
{
    enrol_on_message(hq->node, LINK, asker->link_key, slice_of(asker->bytes, asker->size));
}

/* -1: no answer */
static inline int ask(struct hq *hq, const struct asker *asker)
{
    const size_t before = fake.replies;

    monotonic_ms += 200; /* below the rate limit */
    ask_without_turn(hq, asker);
    assert_int_equal(fake.replies, before); /* nothing leaves before the commit */
    assert_ok(node_turn(hq->node, 0));
    return fake.replies == before ? -1 : (int)fake.last.result;
}

static inline uint64_t roster_seq(const struct hq *hq)
{
    const struct node *node = hq->node;

    return node->feeds[node_feed_index(node, "hq")]->replica.feed.tier[TIER_FEDERATION].seq;
}

#endif
