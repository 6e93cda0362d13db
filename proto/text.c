/* SPDX-License-Identifier: MPL-2.0 */
/* text.c - codes, UUIDs, dates and hex, from and to text. */
#include <string.h>

#include "proto/record.h"

bool code_valid(struct slice code)
{
    if (code.size == 0 || code.size >= CODE_SIZE || code.data[0] < 'a' || code.data[0] > 'z')
        return false;
    for (size_t i = 1; i < code.size; i++) {
        const uint8_t byte = code.data[i];

        if (!((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-'))
            return false;
    }
    return true;
}

static const char digits[] = "0123456789abcdef";

void hex_format(const void *data, size_t size, char *out_text)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++) {
        *out_text++ = digits[bytes[i] >> 4];
        *out_text++ = digits[bytes[i] & 15];
    }
    *out_text = '\0';
}

void uuid_format(const uint8_t id[ID_SIZE], char out_text[UUID_TEXT_SIZE])
{
    char *at = out_text;

    for (size_t i = 0; i < ID_SIZE; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = digits[id[i] >> 4];
        *at++ = digits[id[i] & 15];
    }
    *at = '\0';
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

bool uuid_parse(struct slice text, uint8_t out_id[ID_SIZE])
{
    uint8_t id[ID_SIZE];
    size_t at = 0;
    uint8_t any = 0;

    if (text.size != UUID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < ID_SIZE; i++) {
        int high;
        int low;

        if ((i == 4 || i == 6 || i == 8 || i == 10) && text.data[at++] != '-')
            return false;
        high = hex_digit(text.data[at]);
        low = hex_digit(text.data[at + 1]);
        if (high < 0 || low < 0)
            return false;
        id[i] = (uint8_t)(high << 4 | low);
        any |= id[i];
        at += 2;
    }
    if (any == 0)
        return false; /* the nil UUID names nothing */
    memcpy(out_id, id, ID_SIZE);
    return true;
}

void uuid_make_v7(uint64_t time_ms, const uint8_t random[10], uint8_t out_id[ID_SIZE])
{
    for (int i = 0; i < 6; i++)
        out_id[i] = (uint8_t)(time_ms >> (8 * (5 - i)));
    memcpy(out_id + 6, random, 10);
    out_id[6] = (uint8_t)(0x70 | (out_id[6] & 0x0f));
    out_id[8] = (uint8_t)(0x80 | (out_id[8] & 0x3f));
}

/* Of the ten random bytes, those that count on: behind version and variant. */
#define UUID_COUNTER_AT 3

static void seed(struct uuid_maker *maker, uint64_t time_ms, const uint8_t random[10])
{
    maker->time_ms = time_ms;
    memcpy(maker->random, random, sizeof maker->random);
    maker->random[UUID_COUNTER_AT] &= 0x7f; /* room to count */
}

void uuid_make_next(struct uuid_maker *maker, uint64_t time_ms, const uint8_t random[10],
                    uint8_t out_id[ID_SIZE])
{
    /* By how much, nobody can tell. */
    uint64_t carry = 1 + ((uint64_t)random[0] << 24 | (uint64_t)random[1] << 16 |
                          (uint64_t)random[2] << 8 | random[3]);

    if (time_ms > maker->time_ms) {
        seed(maker, time_ms, random);
    } else {
        for (size_t i = sizeof maker->random; i-- > UUID_COUNTER_AT;) {
            carry += maker->random[i];
            maker->random[i] = (uint8_t)(carry & 0xff);
            carry >>= 8;
        }
        if (carry != 0)
            seed(maker, maker->time_ms + 1, random);
    }
    uuid_make_v7(maker->time_ms, maker->random, out_id);
}

static bool number_of(const uint8_t *at, size_t count, int *out_number)
{
    int number = 0;

    for (size_t i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        number = number * 10 + (at[i] - '0');
    }
    *out_number = number;
    return true;
}

bool date_parse(struct slice text, int32_t *out_days)
{
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int year;
    int month;
    int day;
    bool leap;
    int shifted_year;
    int of_era;

    if (text.size != 10 || text.data[4] != '-' || text.data[7] != '-' ||
        !number_of(text.data, 4, &year) || !number_of(text.data + 5, 2, &month) ||
        !number_of(text.data + 8, 2, &day) || year < 1900 || month < 1 || month > 12 || day < 1)
        return false;
    leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > lengths[month - 1] + (month == 2 && leap))
        return false;
    /* Days from civil (Howard Hinnant), with years that begin in March. */
    shifted_year = month <= 2 ? year - 1 : year;
    of_era = shifted_year % 400;
    *out_days = shifted_year / 400 * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
                (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1 - 719468;
    return true;
}
