/* SPDX-License-Identifier: MPL-2.0 */
/* wire_read.c - messages between nodes: form and bounds, whole lists up front. */
#include <sodium.h>
#include <string.h>

#include "proto/succession.h"
#include "proto/wire.h"

static const char enrol_tag[16] = { 'c', 'h', 'a', 'p', 't', 'e', 'r', 'd',
                                    ' ', 'e', 'n', 'r', 'o', 'l', ' ', '1' };

unsigned wire_type_of(struct slice message)
{
    struct mp_reader reader;

    mp_reader_init(&reader, message);
    if (mp_peek(&reader) != MP_ARRAY || mp_read_array(&reader, 16) == 0)
        return 0;
    return (unsigned)mp_read_uint(&reader, 0xff);
}

static void begin(struct mp_reader *reader, struct slice message, enum wire_type type,
                  size_t count)
{
    mp_reader_init(reader, message);
    mp_read_array_exact(reader, count);
    if (mp_read_uint(reader, 0xff) != type)
        mp_fail(reader, INVALID);
}

static void read_code(struct mp_reader *reader, char out_code[CODE_SIZE])
{
    const struct slice code = mp_read_str(reader, CODE_SIZE - 1);

    memset(out_code, 0, CODE_SIZE);
    if (reader->status == OK && !code_valid(code))
        mp_fail(reader, INVALID);
    if (reader->status == OK)
        memcpy(out_code, code.data, code.size);
}

static unsigned read_tiers(struct mp_reader *reader)
{
    const uint64_t tiers = mp_read_uint(reader, TIERS_BOTH);

    if (tiers == 0)
        mp_fail(reader, INVALID);
    return (unsigned)tiers;
}

/* The bytes of an envelope, whose own form is head.h's to check; nil stands for none. */
static struct slice read_envelope(struct mp_reader *reader, size_t size_max)
{
    const struct slice envelope = mp_read_bin(reader, size_max);

    if (envelope.size == 0)
        mp_fail(reader, INVALID);
    return envelope;
}

/* --- lists -------------------------------------------------------------------------------- */

static void read_entry(struct mp_reader *reader, struct wire_hello_entry *out)
{
    memset(out, 0, sizeof *out);
    mp_read_array_exact(reader, 7);
    read_code(reader, out->origin);
    out->epoch = mp_read_uint(reader, UINT64_MAX);
    out->seq = mp_read_uint(reader, UINT64_MAX);
    mp_read_bin_exact(reader, out->hash, HASH_SIZE);
    out->hq_epoch = mp_read_uint(reader, UINT64_MAX);
    out->hq_seq = mp_read_uint(reader, UINT64_MAX);
    if (!mp_take_nil(reader))
        out->beat = read_envelope(reader, SIGNED_BEAT_SIZE_MAX);
}

bool wire_next_entry(struct wire_list *list, struct wire_hello_entry *out)
{
    if (list->count == 0)
        return false;
    list->count--;
    read_entry(&list->reader, out);
    ASSERT(list->reader.status == OK);
    return true;
}

bool wire_next_change(struct wire_list *list, unsigned tiers, struct change *out)
{
    if (list->count == 0)
        return false;
    list->count--;
    change_read(&list->reader, tiers, out);
    ASSERT(list->reader.status == OK);
    return true;
}

/* Validates the list that begins here and leaves the reader behind it. */
static struct wire_list read_changes_list(struct mp_reader *reader, unsigned tiers)
{
    struct wire_list list;
    uint64_t last_seq = 0;

    list.count = mp_read_array(reader, EVENT_CHANGES_MAX);
    list.reader = *reader;
    list.reader.validated = true; /* when it is read again */
    for (size_t i = 0; i < list.count && reader->status == OK; i++) {
        struct change change;

        change_read(reader, tiers, &change);
        if (change.seq <= last_seq)
            mp_fail(reader, INVALID);
        last_seq = change.seq;
    }
    return list;
}

static struct wire_list read_entries_list(struct mp_reader *reader)
{
    struct wire_list list;
    char last[CODE_SIZE] = "";

    list.count = mp_read_array(reader, ORIGINS_MAX);
    list.reader = *reader;
    list.reader.validated = true;
    for (size_t i = 0; i < list.count && reader->status == OK; i++) {
        struct wire_hello_entry entry;

        read_entry(reader, &entry);
        if (reader->status == OK && strcmp(entry.origin, last) <= 0)
            mp_fail(reader, INVALID);
        memcpy(last, entry.origin, CODE_SIZE);
    }
    return list;
}

/* --- messages ----------------------------------------------------------------------------- */

enum status wire_read_hello(struct slice message, struct wire_hello *out)
{
    struct mp_reader reader;
    struct wire_hello hello;

    memset(&hello, 0, sizeof hello);
    begin(&reader, message, WIRE_HELLO, 7);
    hello.version = mp_read_uint(&reader, UINT64_MAX);
    hello.capabilities = mp_read_uint(&reader, UINT64_MAX);
    mp_read_bin_exact(&reader, hello.federation, HASH_SIZE);
    read_code(&reader, hello.code);
    hello.reply = mp_read_bool(&reader);
    hello.entries = read_entries_list(&reader);
    if (mp_reader_finish(&reader) != OK)
        return mp_reader_finish(&reader);
    if (hello.version == 0)
        return INVALID;
    *out = hello;
    return OK;
}

static void begin_event(struct mp_reader *reader, struct slice message,
                        struct wire_event *event)
{
    memset(event, 0, sizeof *event);
    begin(reader, message, WIRE_EVENT, 5);
    event->tiers = read_tiers(reader);
    if (event->tiers == TIERS_HQ)
        mp_fail(reader, INVALID);
    event->since = mp_read_uint(reader, UINT64_MAX);
    event->head = read_envelope(reader, SIGNED_HEAD_SIZE_MAX);
}

enum status wire_peek_event(struct slice message, struct wire_event *out)
{
    struct mp_reader reader;
    struct wire_event event;

    if (message.size > EVENT_SIZE_MAX)
        return TOO_LARGE;
    begin_event(&reader, message, &event);
    if (reader.status == OK)
        *out = event;
    return reader.status;
}

enum status wire_read_event(struct slice message, struct wire_event *out)
{
    struct mp_reader reader;
    struct wire_event event;

    if (message.size > EVENT_SIZE_MAX)
        return TOO_LARGE;
    begin_event(&reader, message, &event);
    event.changes = read_changes_list(&reader, event.tiers);
    if (mp_reader_finish(&reader) != OK)
        return mp_reader_finish(&reader);
    *out = event;
    return OK;
}

enum status wire_read_beat(struct slice message, struct wire_beat *out)
{
    struct mp_reader reader;
    struct slice beat;

    begin(&reader, message, WIRE_BEAT, 2);
    beat = read_envelope(&reader, SIGNED_BEAT_SIZE_MAX);
    if (mp_reader_finish(&reader) == OK)
        out->beat = beat;
    return mp_reader_finish(&reader);
}

enum status wire_read_vector(struct slice message, struct wire_vector *out)
{
    struct mp_reader reader;
    struct wire_vector vector;

    begin(&reader, message, WIRE_VECTOR, 2);
    mp_read_bin_exact(&reader, vector.hash, HASH_SIZE);
    if (mp_reader_finish(&reader) == OK)
        *out = vector;
    return mp_reader_finish(&reader);
}

enum status wire_read_want(struct slice message, struct wire_want *out)
{
    struct mp_reader reader;
    struct wire_want want;

    memset(&want, 0, sizeof want);
    begin(&reader, message, WIRE_WANT, 8);
    want.request = mp_read_uint(&reader, UINT64_MAX);
    read_code(&reader, want.origin);
    want.epoch = mp_read_uint(&reader, UINT64_MAX);
    want.since = mp_read_uint(&reader, UINT64_MAX);
    mp_read_bin_exact(&reader, want.hash, HASH_SIZE);
    want.tiers = read_tiers(&reader);
    want.credit = mp_read_uint(&reader, WANT_CREDIT_MAX);
    if (mp_reader_finish(&reader) != OK)
        return mp_reader_finish(&reader);
    if (want.credit == 0)
        return INVALID;
    *out = want;
    return OK;
}

enum status wire_read_changes(struct slice message, struct wire_changes *out)
{
    struct mp_reader reader;
    struct wire_changes changes;

    if (message.size > EVENT_SIZE_MAX)
        return TOO_LARGE;
    memset(&changes, 0, sizeof changes);
    begin(&reader, message, WIRE_CHANGES, 10);
    changes.request = mp_read_uint(&reader, UINT64_MAX);
    changes.index = mp_read_uint(&reader, UINT64_MAX);
    read_code(&reader, changes.origin);
    changes.epoch = mp_read_uint(&reader, UINT64_MAX);
    changes.since = mp_read_uint(&reader, UINT64_MAX);
    changes.base = mp_read_uint(&reader, UINT64_MAX);
    changes.tiers = read_tiers(&reader);
    changes.changes = read_changes_list(&reader, changes.tiers);
    if (!mp_take_nil(&reader))
        changes.head = read_envelope(&reader, SIGNED_HEAD_SIZE_MAX);
    if (mp_reader_finish(&reader) != OK)
        return mp_reader_finish(&reader);
    *out = changes;
    return OK;
}

enum status wire_read_credit(struct slice message, struct wire_credit *out)
{
    struct mp_reader reader;
    struct wire_credit credit;

    begin(&reader, message, WIRE_CREDIT, 3);
    credit.request = mp_read_uint(&reader, UINT64_MAX);
    credit.chunks = mp_read_uint(&reader, WANT_CREDIT_MAX);
    if (mp_reader_finish(&reader) != OK)
        return mp_reader_finish(&reader);
    if (credit.chunks == 0)
        return INVALID;
    *out = credit;
    return OK;
}

enum status wire_read_evidence(struct slice message, struct wire_evidence *out)
{
    struct mp_reader reader;
    struct wire_evidence evidence;

    memset(&evidence, 0, sizeof evidence);
    begin(&reader, message, WIRE_EVIDENCE, 3);
    evidence.head[0] = read_envelope(&reader, SIGNED_HEAD_SIZE_MAX);
    if (!mp_take_nil(&reader))
        evidence.head[1] = read_envelope(&reader, SIGNED_HEAD_SIZE_MAX);
    if (mp_reader_finish(&reader) == OK)
        *out = evidence;
    return mp_reader_finish(&reader);
}

enum status wire_read_refusal(struct slice message, struct wire_refusal *out)
{
    struct mp_reader reader;
    struct wire_refusal refusal;

    begin(&reader, message, WIRE_REFUSAL, 3);
    refusal.request = mp_read_uint(&reader, UINT64_MAX);
    refusal.reason = mp_read_uint(&reader, 0xff);
    if (mp_reader_finish(&reader) == OK)
        *out = refusal;
    return mp_reader_finish(&reader);
}

enum status wire_read_enrol(struct slice message, struct wire_enrol *out)
{
    struct mp_reader reader;
    struct wire_enrol enrol;
    uint8_t signature[SIGNATURE_SIZE];
    uint8_t material[sizeof enrol_tag + ENROL_SIZE_MAX];

    if (message.size > ENROL_SIZE_MAX)
        return TOO_LARGE;
    memset(&enrol, 0, sizeof enrol);
    begin(&reader, message, WIRE_ENROL, 8);
    enrol.version = mp_read_uint(&reader, UINT64_MAX);
    mp_read_bin_exact(&reader, enrol.secret, TOKEN_SECRET_SIZE);
    read_code(&reader, enrol.code);
    mp_read_bin_exact(&reader, enrol.sign_key, KEY_SIZE);
    mp_read_bin_exact(&reader, enrol.curve_key, KEY_SIZE);
    mp_read_text(&reader, enrol.address, sizeof enrol.address);
    mp_read_bin_exact(&reader, signature, sizeof signature);
    if (mp_reader_finish(&reader) != OK)
        return mp_reader_finish(&reader);
    memcpy(material, enrol_tag, sizeof enrol_tag);
    memcpy(material + sizeof enrol_tag, message.data, message.size - SIGNATURE_SIZE);
    if (crypto_sign_verify_detached(signature, material,
                                    sizeof enrol_tag + message.size - SIGNATURE_SIZE,
                                    enrol.sign_key) != 0)
        return REFUSED;
    *out = enrol;
    return OK;
}

bool wire_read_enrol_secret(struct slice message, uint8_t out_secret[TOKEN_SECRET_SIZE])
{
    struct mp_reader reader;
    uint8_t secret[TOKEN_SECRET_SIZE];

    begin(&reader, message, WIRE_ENROL, 8);
    (void)mp_read_uint(&reader, UINT64_MAX);
    mp_read_bin_exact(&reader, secret, sizeof secret);
    if (reader.status == OK)
        memcpy(out_secret, secret, sizeof secret);
    return reader.status == OK;
}

enum status wire_read_enrolled(struct slice message, struct wire_enrolled *out)
{
    struct mp_reader reader;
    struct wire_enrolled enrolled;

    begin(&reader, message, WIRE_ENROLLED, 4);
    enrolled.result = mp_read_uint(&reader, 0xff);
    enrolled.roster_epoch = mp_read_uint(&reader, UINT64_MAX);
    enrolled.roster_seq = mp_read_uint(&reader, UINT64_MAX);
    if (mp_reader_finish(&reader) == OK)
        *out = enrolled;
    return mp_reader_finish(&reader);
}

enum status wire_read_epoch_request(struct slice message, struct wire_epoch_request *out)
{
    struct mp_reader reader;
    struct wire_epoch_request request;

    memset(&request, 0, sizeof request);
    begin(&reader, message, WIRE_EPOCH_REQUEST, 3);
    request.instance = mp_read_uint(&reader, UINT64_MAX);
    if (!mp_take_nil(&reader))
        request.head = read_envelope(&reader, SIGNED_HEAD_SIZE_MAX);
    if (mp_reader_finish(&reader) != OK)
        return mp_reader_finish(&reader);
    if (request.instance == 0)
        return INVALID;
    *out = request;
    return OK;
}

enum status wire_read_epoch_reply(struct slice message, struct wire_epoch_reply *out)
{
    struct mp_reader reader;
    struct wire_epoch_reply reply;

    begin(&reader, message, WIRE_EPOCH_REPLY, 3);
    reply.instance = mp_read_uint(&reader, UINT64_MAX);
    reply.answer = mp_read_uint(&reader, 0xff);
    if (mp_reader_finish(&reader) == OK)
        *out = reply;
    return mp_reader_finish(&reader);
}

enum status wire_read_offer(struct slice message, struct wire_offer *out)
{
    struct mp_reader reader;
    struct wire_offer offer;

    begin(&reader, message, WIRE_OFFER, 3);
    offer.tiers = read_tiers(&reader);
    if (offer.tiers == TIERS_HQ)
        mp_fail(&reader, INVALID);
    offer.head = read_envelope(&reader, SIGNED_HEAD_SIZE_MAX);
    if (mp_reader_finish(&reader) == OK)
        *out = offer;
    return mp_reader_finish(&reader);
}

enum status wire_read_settled(struct slice message, struct wire_settled *out)
{
    struct mp_reader reader;
    struct wire_settled settled;

    begin(&reader, message, WIRE_SETTLED, 2);
    mp_read_bin_exact(&reader, settled.hash, HASH_SIZE);
    if (mp_reader_finish(&reader) == OK)
        *out = settled;
    return mp_reader_finish(&reader);
}

enum status wire_read_closure(struct slice message, struct wire_closure *out)
{
    struct mp_reader reader;
    struct slice closure;

    begin(&reader, message, WIRE_CLOSURE, 2);
    closure = read_envelope(&reader, SIGNED_CLOSURE_SIZE_MAX);
    if (mp_reader_finish(&reader) == OK)
        out->closure = closure;
    return mp_reader_finish(&reader);
}

static void read_cleared(struct mp_reader *reader, struct wire_cleared_entry *out)
{
    memset(out, 0, sizeof *out);
    mp_read_array_exact(reader, 4);
    read_code(reader, out->node);
    read_code(reader, out->origin);
    out->epoch = mp_read_uint(reader, UINT64_MAX);
    out->seq = mp_read_uint(reader, UINT64_MAX);
}

enum status wire_read_cleared(struct slice message, struct wire_cleared *out)
{
    struct wire_cleared_entry last = { .node = "" };
    struct wire_list entries;
    struct mp_reader reader;

    begin(&reader, message, WIRE_CLEARED, 2);
    entries.count = mp_read_array(&reader, CLEARED_ENTRIES_MAX);
    entries.reader = reader;
    for (size_t i = 0; i < entries.count && reader.status == OK; i++) {
        struct wire_cleared_entry entry;
        int order;

        read_cleared(&reader, &entry);
        order = strcmp(entry.node, last.node);
        if (reader.status == OK &&
            (order < 0 || (order == 0 && strcmp(entry.origin, last.origin) <= 0)))
            mp_fail(&reader, INVALID);
        last = entry;
    }
    if (mp_reader_finish(&reader) == OK)
        out->entries = entries;
    return mp_reader_finish(&reader);
}

bool wire_next_cleared(struct wire_list *list, struct wire_cleared_entry *out)
{
    if (list->count == 0)
        return false;
    list->count--;
    read_cleared(&list->reader, out);
    ASSERT(list->reader.status == OK);
    return true;
}

enum status wire_read_key(struct slice message, struct slice *out_succession)
{
    struct mp_reader reader;
    struct slice succession;

    begin(&reader, message, WIRE_KEY, 2);
    succession = mp_read_bin(&reader, SUCCESSION_SIZE_MAX);
    if (mp_reader_finish(&reader) != OK)
        return mp_reader_finish(&reader);
    if (succession.size == 0)
        return INVALID;
    *out_succession = succession;
    return OK;
}
