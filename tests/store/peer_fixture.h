/* SPDX-License-Identifier: MPL-2.0 */
/* peer_fixture.h - a chapter that HQ has enrolled, with its keys.  Included once by a program,
 * instead of node_fixture.h. */
#ifndef CHAPTERD_PEER_FIXTURE_H
#define CHAPTERD_PEER_FIXTURE_H

#include "tests/store/node_fixture.h"

#include <sodium.h>

struct enrolled_peer {
    struct sign_key key;
    uint8_t curve_key[KEY_SIZE];
    const char *code;
};

static inline struct enrolled_peer enrol(struct hq *hq, const char *code)
{
    struct roster_entry entry = { .epoch = 2, .instance = 7 };
    struct enrolled_peer peer = { .code = code };

    identity_make_sign_key(&peer.key);
    randombytes_buf(peer.curve_key, KEY_SIZE);
    (void)snprintf(entry.code, sizeof entry.code, "%s", code);
    (void)snprintf(entry.name, sizeof entry.name, "%s", code);
    memcpy(entry.sign_key, peer.key.public_key, KEY_SIZE);
    memcpy(entry.curve_key, peer.curve_key, KEY_SIZE);
    monotonic_ms += SIGN_WAIT_MS;
    assert_ok(write_roster(hq->node, &entry));
    turns(hq, 1);
    return peer;
}

#endif
