/* SPDX-License-Identifier: MPL-2.0 */
/* token_fuzz.c - any bytes as the text of a token, as a genesis, and as an address. */
#include "tests/fuzz/again.h"
#include "tests/fuzz/fuzz.h"

static void try_address(struct slice text)
{
    char address[ADDRESS_SIZE];
    char host[ADDRESS_SIZE];
    uint16_t port = 0;

    if (!slice_copy_text(text, address, sizeof address) ||
        address_parse(address, host, sizeof host, &port) != OK)
        return;
    ASSERT(host[0] != '\0' && port >= 1 && port <= 65534);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice bytes = slice_of(data, size);

    ASSERT(again_token(bytes) != AGAIN_DIFFERS);
    ASSERT(again_genesis(bytes) != AGAIN_DIFFERS);
    try_address(bytes);
    return 0;
}
