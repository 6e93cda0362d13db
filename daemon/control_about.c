/* SPDX-License-Identifier: MPL-2.0 */
/* control_about.c - who belongs, how this daemon is set up, and what it is made of. */
#include "daemon/control_internal.h"

#include <lmdb.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistring/version.h>

#include "chapterd/version.h"

static const char *state_name(enum chapter_state state)
{
    static const char *const names[] = { "enrolled", "suspended", "revoked" };

    return names[state];
}

static void write_key_hex(struct mp_writer *writer, const char *key, const void *data,
                          size_t size)
{
    mp_write_text(writer, key);
    control_write_hex(writer, data, size);
}

static void write_uint_or_nil(struct mp_writer *writer, const char *key, uint64_t number)
{
    mp_write_text(writer, key);
    if (number != 0)
        mp_write_uint(writer, number);
    else
        mp_write_nil(writer);
}

void control_write_chapter(struct mp_writer *writer, const struct roster_entry *entry)
{
    mp_write_map(writer, 14);
    mp_write_key_text(writer, "address", entry->address);
    mp_write_key_uint(writer, "bytes_max", entry->bytes_max);
    mp_write_key_text(writer, "chapter", entry->code);
    mp_write_key_text(writer, "country", entry->country);
    write_key_hex(writer, "curve_key", entry->curve_key, KEY_SIZE);
    mp_write_key_uint(writer, "epoch", entry->epoch);
    mp_write_text(writer, "former_key");
    if (!sodium_is_zero(entry->former_key, KEY_SIZE))
        control_write_hex(writer, entry->former_key, KEY_SIZE);
    else
        mp_write_nil(writer);
    write_uint_or_nil(writer, "former_seq", entry->former_seq);
    mp_write_key_text(writer, "name", entry->name);
    mp_write_key_uint(writer, "records_max", entry->records_max);
    write_key_hex(writer, "sign_key", entry->sign_key, KEY_SIZE);
    mp_write_key_text(writer, "state", state_name(entry->state));
    write_uint_or_nil(writer, "until_epoch", entry->until_epoch);
    write_uint_or_nil(writer, "until_seq", entry->until_seq);
}

enum status control_chapters_list(struct control_wait *request, struct mp_writer *writer)
{
    const struct node *node = request->node;

    mp_write_map(writer, 1);
    mp_write_text(writer, "chapters");
    mp_write_array(writer, node->roster_count);
    for (size_t i = 0; i < node->roster_count; i++)
        control_write_chapter(writer, &node->roster[i]->entry);
    return OK;
}

enum status control_chapters_show(struct control_wait *request, struct mp_writer *writer)
{
    const char *code = ARGUMENT(request, chapter)->code;
    const struct roster_node *place = roster_find(request->node, code);

    if (place == NULL)
        return control_unknown_chapter(request, code);
    mp_write_map(writer, 1);
    mp_write_text(writer, "chapter");
    control_write_chapter(writer, &place->entry);
    return OK;
}

static uint64_t store_size(const struct node *node)
{
    return node->config.store_size != 0 ? node->config.store_size : STORE_SIZE_DEFAULT;
}

enum status control_config(struct control_wait *request, struct mp_writer *writer)
{
    const struct node *node = request->node;
    char path[sizeof node->dir + sizeof CONTROL_PATH_SUFFIX];

    if (node->config.control_path != NULL)
        (void)snprintf(path, sizeof path, "%s", node->config.control_path);
    else
        (void)snprintf(path, sizeof path, "%s%s", node->dir, CONTROL_PATH_SUFFIX);
    mp_write_map(writer, 1);
    mp_write_text(writer, "settings");
    mp_write_map(writer, 11);
    mp_write_key_text(writer, "advertise", node->advertise);
    mp_write_key_text(writer, "chapter", node->code);
    mp_write_key_text(writer, "control_socket", path);
    mp_write_key_text(writer, "dir", node->dir);
    write_key_hex(writer, "federation", node->federation, HASH_SIZE);
    mp_write_key_text(writer, "federation_name", node->genesis.name);
    mp_write_key_text(writer, "hq_address", node->hq_address);
    mp_write_key_text(writer, "listen", node->listen);
    mp_write_key_text(writer, "role", node->is_hq ? "hq" : "chapter");
    mp_write_key_uint(writer, "store_size", store_size(node));
    mp_write_key_uint(writer, "store_used", store_used_bytes(node->store));
    return OK;
}

enum status control_version(struct control_wait *request, struct mp_writer *writer)
{
    char unistring[32];

    char libzmq[TRANSPORT_VERSION_SIZE];

    (void)request;
    transport_version(libzmq);
    (void)snprintf(unistring, sizeof unistring, "%d.%d", _libunistring_version >> 16,
                   _libunistring_version >> 8 & 0xff);
    mp_write_map(writer, 4);
    mp_write_text(writer, "libraries");
    mp_write_map(writer, 5);
    mp_write_key_text(writer, "libsodium", sodium_version_string());
    mp_write_key_text(writer, "libunistring", unistring);
    mp_write_key_text(writer, "libzmq", libzmq);
    mp_write_key_text(writer, "lmdb", mdb_version(NULL, NULL, NULL));
    mp_write_key_text(writer, "msgpack-c", msgpack_version());
    mp_write_key_uint(writer, "protocol", PROTOCOL_VERSION);
    mp_write_key_uint(writer, "store_format", STORE_FORMAT);
    mp_write_key_text(writer, "version", CHAPTERD_VERSION);
    return OK;
}
