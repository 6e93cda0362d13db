/* SPDX-License-Identifier: MPL-2.0 */
/* erased.c - what is remembered of who was erased: keyed hashes, by which a person cannot come
 * back unnoticed, and nothing else. */
#include "daemon/erase.h"
#include "daemon/replication.h"

#include <sodium.h>
#include <string.h>

/* Keyed, so that a copy of the list alone tells nobody's address. */
static void hash_of(const struct node *node, enum erased_kind kind, struct slice value,
                    uint8_t out_hash[ERASED_HASH_SIZE])
{
    const uint8_t lead = (uint8_t)kind;
    crypto_generichash_state state;

    crypto_generichash_init(&state, node->erasure->key, KEY_SIZE, ERASED_HASH_SIZE);
    crypto_generichash_update(&state, &lead, 1);
    crypto_generichash_update(&state, value.data, value.size);
    crypto_generichash_final(&state, out_hash, ERASED_HASH_SIZE);
}

/* However an address or a name is written, it is one. */
static struct slice normal_of(enum erased_kind kind, struct slice value,
                              uint8_t buffer[PERSON_HASH_SIZE])
{
    if ((kind == ERASED_EMAIL || kind == ERASED_NAME) && persons_email_hash(value, buffer))
        return slice_of(buffer, PERSON_HASH_SIZE);
    return value;
}

enum status erase_look_up(struct node *node, enum erased_kind kind, struct slice value,
                          enum erased *out_erased)
{
    uint8_t normal[PERSON_HASH_SIZE];
    uint8_t hash[ERASED_HASH_SIZE];
    struct store_txn *txn;
    struct mp_reader reader;
    struct slice stored;
    struct slice who = SLICE_NONE;
    enum status status;

    *out_erased = ERASED_NOT;
    if (!node->erasure->any || !node->erasure->has_key)
        return OK;
    if ((txn = node_reading(node)) == NULL)
        return node->turn_error;
    hash_of(node, kind, normal_of(kind, value, normal), hash);
    status = store_get_erased(txn, kind, hash, &stored);
    if (status != OK)
        return status == NOT_FOUND ? OK : status;
    mp_reader_init(&reader, stored);
    if (mp_read_array(&reader, 3) > 1) {
        (void)mp_read_uint(&reader, UINT64_MAX);
        who = mp_read_str(&reader, SIZE_MAX);
    }
    if (reader.status != OK)
        return STORE_DAMAGED;
    *out_erased =
        slice_equal(who, slice_of_text(ERASED_BY_RECOVERY)) ? ERASED_PRESUMED : ERASED_HERE;
    return OK;
}

/* [time], [time, ERASED_BY_RECOVERY] or, of an id, [time, who, seq of the removal] */
static enum status put_note(struct node *node, enum erased_kind kind,
                            const uint8_t hash[ERASED_HASH_SIZE], const char *who, uint64_t seq)
{
    uint8_t bytes[128];
    struct mp_writer writer;

    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_array(&writer, kind == ERASED_ID ? 3 : who[0] != '\0' ? 2 : 1);
    mp_write_uint(&writer, (uint64_t)(clock_wall_ms() / 1000));
    if (kind == ERASED_ID || who[0] != '\0')
        mp_write_text(&writer, who);
    if (kind == ERASED_ID)
        mp_write_uint(&writer, seq);
    if (writer.status != OK)
        return writer.status;
    return store_put_erased(&node->txn, kind, hash, mp_writer_bytes(&writer));
}

enum status erased_note_id(struct node *node, const uint8_t id[ID_SIZE], const char *who,
                           uint64_t seq)
{
    uint8_t hash[ERASED_HASH_SIZE];

    hash_of(node, ERASED_ID, slice_of(id, ID_SIZE), hash);
    return put_note(node, ERASED_ID, hash, who, seq);
}

/* What would tell that it is the same person who comes again. */
static const struct trait {
    const char *field;
    enum erased_kind kind;
} traits[] = { { "email", ERASED_EMAIL },
               { "external_id", ERASED_EXTERNAL_ID },
               { "name", ERASED_NAME } };
#define TRAITS (sizeof traits / sizeof traits[0])

enum status erased_note_traits(struct node *node, const struct slice values[ERASED_VALUES],
                               const char *who)
{
    uint8_t normal[PERSON_HASH_SIZE];
    uint8_t hash[TRAITS * ERASED_VALUES][ERASED_HASH_SIZE];
    enum erased_kind kind[TRAITS * ERASED_VALUES];
    size_t count = 0;
    enum status status = OK;

    for (size_t i = 0; i < TRAITS; i++)
        for (int tier = 0; tier < ERASED_VALUES; tier++) {
            struct slice text;

            if (values[tier].size == 0 ||
                !mp_map_get_text(values[tier], traits[i].field, &text) || text.size == 0)
                continue;
            kind[count] = traits[i].kind;
            hash_of(node, kind[count], normal_of(kind[count], text, normal), hash[count]);
            count++;
        }
    for (size_t i = 0; i < count && status == OK; i++)
        status = put_note(node, kind[i], hash[i], who, 0);
    return status;
}

enum status erased_make_key(struct node *node)
{
    struct erasure *erasure = node->erasure;

    if (erasure->has_key)
        return OK;
    randombytes_buf(erasure->key, KEY_SIZE);
    erasure->has_key = true;
    return store_put_meta(&node->txn, META_ERASE_KEY, slice_of(erasure->key, KEY_SIZE));
}

enum status erased_seq(struct node *node, struct store_txn *txn, const uint8_t id[ID_SIZE],
                       uint64_t *out_seq)
{
    uint8_t hash[ERASED_HASH_SIZE];
    struct mp_reader reader;
    struct slice value;
    enum status status;

    if (!node->erasure->has_key)
        return NOT_FOUND;
    hash_of(node, ERASED_ID, slice_of(id, ID_SIZE), hash);
    if ((status = store_get_erased(txn, ERASED_ID, hash, &value)) != OK)
        return status;
    mp_reader_init(&reader, value);
    mp_read_array_exact(&reader, 3);
    (void)mp_read_uint(&reader, UINT64_MAX);
    (void)mp_read_str(&reader, SIZE_MAX);
    *out_seq = mp_read_uint(&reader, UINT64_MAX);
    return mp_reader_finish(&reader) == OK ? OK : STORE_DAMAGED;
}

enum status erase_not_presumed(struct node *node, const uint8_t id[ID_SIZE])
{
    uint8_t hash[ERASED_HASH_SIZE];

    hash_of(node, ERASED_ID, slice_of(id, ID_SIZE), hash);
    return store_delete_erased(&node->txn, ERASED_ID, hash);
}
