/* SPDX-License-Identifier: MPL-2.0 */
/* store_person.c - HQ: how many memberships are one person's.
 *
 * persons: the hash of an e-mail address 16 -> memberships 8; the key of one NUL counts those
 * who are a person each, because nothing is known of them.  So the number of distinct persons
 * costs one look at the table.  person_of: origin 16, id 16 -> form 1, hash 16 if known.
 *
 * Id 0190a1b2-c3d4-7e5f-8a6b-7c8d9eafb0c1 of fr shares an address with one other membership:
 *
 *   persons     key     f0e1d2c3b4a5968778695a4b3c2d1e0f
 *               value   0000000000000002
 *   person_of   key     66720000000000000000000000000000 0190a1b2c3d47e5f8a6b7c8d9eafb0c1
 *               value   02 f0e1d2c3b4a5968778695a4b3c2d1e0f */
#include "daemon/io/store_internal.h"

#include <string.h>

#define PERSON_OF_KEY_SIZE (ORIGIN_KEY_SIZE + ID_SIZE)
#define PERSON_OF_SIZE_MAX (1 + PERSON_HASH_SIZE)

struct person {
    enum person_form form;
    uint8_t hash[PERSON_HASH_SIZE];
};

static struct slice anonymous_key(void)
{
    static const uint8_t nul[1] = { 0 };

    return slice_of(nul, sizeof nul);
}

static enum status get_memberships(struct store_txn *txn, struct slice key, uint64_t *out_count)
{
    struct slice value;
    struct unpacker unpacker;
    uint64_t count;
    enum status status = table_get(txn, TABLE_PERSONS, key, &value);

    if (status == NOT_FOUND) {
        *out_count = 0;
        return OK;
    }
    if (status != OK)
        return status;
    unpacker = unpacker_of(value);
    count = unpack_u64(&unpacker);
    if (!unpacked_all(&unpacker) || count == 0)
        return STORE_DAMAGED;
    *out_count = count;
    return OK;
}

/* One membership more or less of that person. */
static enum status count_person(struct store_txn *txn, const struct person *person, bool more)
{
    uint8_t bytes[8];
    struct packer packer = { bytes };
    struct slice key = anonymous_key();
    uint64_t count = 0;
    enum status status;

    if (person->form == PERSON_NONE)
        return OK;
    if (person->form == PERSON_HASHED)
        key = slice_of(person->hash, PERSON_HASH_SIZE);
    if ((status = get_memberships(txn, key, &count)) != OK)
        return status;
    if (!more && count == 0)
        return STORE_DAMAGED;
    count = more ? count + 1 : count - 1;
    if (count == 0)
        return table_delete(txn, TABLE_PERSONS, key);
    pack_u64(&packer, count);
    return table_put(txn, TABLE_PERSONS, key, slice_of(bytes, sizeof bytes));
}

static enum status get_person(struct store_txn *txn, struct slice key,
                              struct person *out_person)
{
    struct slice value;
    struct unpacker unpacker;
    struct person person = { .form = PERSON_NONE };
    uint8_t form;
    enum status status = table_get(txn, TABLE_PERSON_OF, key, &value);

    if (status == OK) {
        unpacker = unpacker_of(value);
        form = unpack_u8(&unpacker);
        if (form == PERSON_HASHED)
            unpack_bytes(&unpacker, person.hash, PERSON_HASH_SIZE);
        if (!unpacked_all(&unpacker) || form == PERSON_NONE || form > PERSON_HASHED)
            return STORE_DAMAGED;
        person.form = (enum person_form)form;
    }
    if (status != OK && status != NOT_FOUND)
        return status;
    *out_person = person;
    return OK;
}

static enum status put_person(struct store_txn *txn, struct slice key,
                              const struct person *person)
{
    uint8_t value[PERSON_OF_SIZE_MAX];
    struct packer packer = { value };

    if (person->form == PERSON_NONE)
        return table_delete(txn, TABLE_PERSON_OF, key);
    pack_u8(&packer, person->form);
    if (person->form == PERSON_HASHED)
        pack_bytes(&packer, person->hash, PERSON_HASH_SIZE);
    return table_put(txn, TABLE_PERSON_OF, key, slice_of(value, (size_t)(packer.at - value)));
}

enum status store_set_person(struct store_txn *txn, const char *origin,
                             const uint8_t id[ID_SIZE], enum person_form form,
                             const uint8_t hash[PERSON_HASH_SIZE])
{
    uint8_t buffer[PERSON_OF_KEY_SIZE];
    struct packer packer = { buffer };
    struct slice key;
    struct person now = { .form = form };
    struct person before;
    enum status status;

    pack_origin(&packer, origin);
    pack_bytes(&packer, id, ID_SIZE);
    key = slice_of(buffer, sizeof buffer);
    if (form == PERSON_HASHED)
        memcpy(now.hash, hash, PERSON_HASH_SIZE);
    if ((status = get_person(txn, key, &before)) != OK)
        return status;
    if (before.form == now.form && memcmp(before.hash, now.hash, PERSON_HASH_SIZE) == 0)
        return OK;
    if ((status = count_person(txn, &before, false)) != OK ||
        (status = count_person(txn, &now, true)) != OK)
        return status;
    return put_person(txn, key, &now);
}

enum status store_person_count(struct store_txn *txn, uint64_t *out_count)
{
    uint64_t entries = 0;
    uint64_t anonymous = 0;
    enum status status;

    if ((status = table_count(txn, TABLE_PERSONS, &entries)) != OK ||
        (status = get_memberships(txn, anonymous_key(), &anonymous)) != OK)
        return status;
    *out_count = anonymous == 0 ? entries : entries - 1 + anonymous;
    return OK;
}
