/* SPDX-License-Identifier: MPL-2.0 */
/* control_keys.c - keys.rotate and keys.show: the key that signs this node's heads. */
#include "daemon/control_internal.h"
#include "daemon/keys.h"

#include <sodium.h>
#include <string.h>

static void write_key_hex(struct mp_writer *writer, const char *key, bool known,
                          const uint8_t bytes[KEY_SIZE])
{
    mp_write_text(writer, key);
    if (known)
        control_write_hex(writer, bytes, KEY_SIZE);
    else
        mp_write_nil(writer);
}

static enum status answer_keys(const struct node *node, struct mp_writer *writer)
{
    const struct keys *keys = node->keys;

    mp_write_map(writer, 4);
    mp_write_key_uint(writer, "changes_of_hq", keys->count);
    write_key_hex(writer, "curve_key", true, node->identity.curve_public);
    write_key_hex(writer, "next_key", keys->has_next, keys->next.public_key);
    write_key_hex(writer, "sign_key", true, node->identity.sign.public_key);
    return OK;
}

enum status control_keys_show(struct control_wait *request, struct mp_writer *writer)
{
    return answer_keys(request->node, writer);
}

enum status control_keys_rotate(struct control_wait *request, struct mp_writer *writer)
{
    const struct argument *recovery = ARGUMENT(request, recovery);
    struct node *node = request->node;
    struct sign_key key;
    char text[128];
    const char *error = NULL;
    enum status status;

    if ((status = control_may_write(request)) != OK)
        return status;
    if (recovery->given && !slice_copy_text(recovery->text, text, sizeof text))
        return control_error(request, USAGE, "compare it with the paper", "that is too long");
    if (recovery->given && identity_parse_recovery(text, &key) != OK)
        return control_error(request, INVALID, "compare it with the paper, group by group",
                             "that is not a recovery key: a character is wrong or missing");
    status = keys_rotate(node, recovery->given ? &key : NULL, &error);
    sodium_memzero(&key, sizeof key);
    sodium_memzero(text, sizeof text);
    if (status == AGAIN) {
        request->due_ms = node_now(node) + 100;
        return AGAIN;
    }
    if (status != OK)
        return control_error(request, status, "chapterctl keys show", "%s", error);
    log_event(LOG_NOTICE, "event=key_rotation uid=%lld recovery=%s", (long long)request->uid,
              recovery->given ? "yes" : "no");
    return answer_keys(node, writer);
}
