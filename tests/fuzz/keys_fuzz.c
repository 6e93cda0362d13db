/* SPDX-License-Identifier: MPL-2.0 */
/* keys_fuzz.c - any bytes as what says whose word counts: a closure of HQ's epoch, a succession
 * of keys, a recovery key as it is typed. */
#include <string.h>

#include "daemon/io/identity.h"
#include "proto/closure.h"
#include "proto/succession.h"
#include "tests/fuzz/again.h"
#include "tests/fuzz/fuzz.h"

static void try_closure(struct slice bytes)
{
    const struct sign_key key = again_key();
    struct signed_closure written;
    struct closure closure;

    ASSERT(closure_verify(bytes, key.public_key) != OK);
    if (closure_read(bytes, &closure) != OK)
        return;
    closure_sign(&closure, &key, &written);
    ASSERT(again_but_signature(slice_of(written.bytes, written.size), bytes) == AGAIN_SAME);
}

/* What is read was proven by the new key; signed anew for that key, its body is the same. */
static void try_succession(struct slice bytes)
{
    const struct sign_key key = again_key();
    struct signed_succession written;
    struct succession succession;
    struct sign_key fresh;
    size_t body;

    ASSERT(succession_verify(bytes, key.public_key) != OK);
    if (succession_read(bytes, &succession) != OK)
        return;
    memcpy(fresh.secret, key.secret, sizeof fresh.secret);
    memcpy(fresh.public_key, succession.sign_key, KEY_SIZE);
    succession_sign(&succession, &key, &fresh, &written);
    ASSERT(written.size == bytes.size);
    body = written.size - 2 * (SIGNATURE_SIZE + 2);
    ASSERT(memcmp(written.bytes, bytes.data, body) == 0);
}

static void try_recovery_key(struct slice bytes)
{
    char text[256];
    char written[128];
    struct sign_key key;
    struct sign_key again;

    if (!slice_copy_text(bytes, text, sizeof text) || identity_parse_recovery(text, &key) != OK)
        return;
    identity_format_recovery(&key, written);
    ASSERT(identity_parse_recovery(written, &again) == OK);
    ASSERT(memcmp(&key, &again, sizeof key) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice bytes = slice_of(data, size);

    try_closure(bytes);
    try_succession(bytes);
    try_recovery_key(bytes);
    return 0;
}
