/* SPDX-License-Identifier: MPL-2.0 */
/* field.c - the fields of a member: their tiers, and what a text of each may be. */
#include <string.h>

#include "proto/country.h"
#include "proto/record.h"

#define RULE(name, tier, organization_tier, form, size_max)                                    \
    {                                                                                          \
        name, sizeof(name) - 1, tier, organization_tier, form, size_max                        \
    }
/* name, default tier, the same for organizations, form, bytes at most */
static const struct field_rule rules[] = {
    RULE("city", TIER_CHAPTER, TIER_CHAPTER, FIELD_TEXT, 128),
    RULE("country", TIER_FEDERATION, TIER_FEDERATION, FIELD_COUNTRY, 2),
    RULE("email", TIER_HQ, TIER_HQ, FIELD_EMAIL, 254),
    RULE("expires", TIER_FEDERATION, TIER_FEDERATION, FIELD_DATE, 10),
    RULE("external_id", TIER_CHAPTER, TIER_CHAPTER, FIELD_TEXT, 128),
    RULE("joined", TIER_FEDERATION, TIER_FEDERATION, FIELD_DATE, 10),
    RULE("kind", TIER_FEDERATION, TIER_FEDERATION, FIELD_KIND, 16),
    RULE("language", TIER_HQ, TIER_HQ, FIELD_LANGUAGE, 35),
    RULE("name", TIER_HQ, TIER_FEDERATION, FIELD_TEXT, 256),
    RULE("notes", TIER_CHAPTER, TIER_CHAPTER, FIELD_TEXT, 8192),
    RULE("phone", TIER_CHAPTER, TIER_CHAPTER, FIELD_TEXT, 64),
    RULE("status", TIER_FEDERATION, TIER_FEDERATION, FIELD_STATUS, 16),
    RULE("updated", TIER_FEDERATION, TIER_FEDERATION, FIELD_TIME, 20),
};
#undef RULE

/* Of fields that this version does not know: they stay on the node. */
static const struct field_rule unknown_rule = { "",           0,          TIER_CHAPTER,
                                                TIER_CHAPTER, FIELD_TEXT, 4096 };

const struct field_rule *field_rules(size_t *out_count)
{
    *out_count = sizeof rules / sizeof rules[0];
    return rules;
}

const struct field_rule *field_rule_of(struct slice name)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i].name_size == name.size && memcmp(rules[i].name, name.data, name.size) == 0)
            return &rules[i];
    return NULL;
}

static bool has_control(struct slice text, bool lines_allowed)
{
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t byte = text.data[i];

        if (byte < 0x20 && !(lines_allowed && (byte == '\n' || byte == '\t')))
            return true;
    }
    return false;
}

static bool email_plausible(struct slice text)
{
    const uint8_t *at = text.size == 0 ? NULL : memchr(text.data, '@', text.size);

    if (at == NULL || at == text.data || at == text.data + text.size - 1)
        return false;
    return memchr(at + 1, '@', (size_t)(text.data + text.size - at - 1)) == NULL &&
           memchr(text.data, ' ', text.size) == NULL &&
           memchr(text.data, 0x7f, text.size) == NULL;
}

/* The form of BCP 47: subtags of 1 to 8 letters and digits; the first of letters only, and of
 * one letter ("i", "x") just as a prefix. */
static bool language_plausible(struct slice text)
{
    size_t subtag = 0;
    size_t subtags = 0;

    for (size_t i = 0; i < text.size; i++) {
        const uint8_t byte = text.data[i];
        const bool digit = byte >= '0' && byte <= '9';

        if (byte == '-') {
            if (subtag == 0)
                return false;
            subtags++;
            subtag = 0;
        } else if ((digit && subtags > 0) || (byte >= 'a' && byte <= 'z') ||
                   (byte >= 'A' && byte <= 'Z')) {
            if (++subtag > 8)
                return false;
        } else
            return false;
    }
    return subtag > 0 && (subtags > 0 || subtag > 1);
}

static const char *form_objection(const struct field_rule *rule, struct slice text)
{
    int32_t days;

    switch (rule->form) {
    case FIELD_COUNTRY:
        return country_valid(text) ? NULL : "is not an ISO 3166 country code of two letters";
    case FIELD_DATE:
        return date_parse(text, &days) ? NULL : "is not a real date written YYYY-MM-DD";
    case FIELD_KIND:
        return member_kind_of(text) != KIND_NONE
                   ? NULL
                   : "is not individual, organization or affiliate";
    case FIELD_STATUS:
        return member_status_of(text) != MEMBER_NONE
                   ? NULL
                   : "is not active, pending, lapsed, suspended or left";
    case FIELD_LANGUAGE:
        return language_plausible(text) ? NULL : "is not a language tag such as fr or pt-BR";
    case FIELD_EMAIL:
        return email_plausible(text) ? NULL : "is not an e-mail address";
    case FIELD_TIME:
        return "is set by the daemon itself";
    case FIELD_TEXT:
        break;
    }
    return NULL;
}

enum status field_check(const struct field_rule *rule, struct slice text,
                        const char **out_reason)
{
    const char *objection;
    bool notes;

    if (rule == NULL)
        rule = &unknown_rule;
    notes = strcmp(rule->name, "notes") == 0;
    if (has_control(text, notes))
        objection = "holds a control character";
    else
        objection = form_objection(rule, text);
    if (objection == NULL && text.size > rule->size_max)
        objection = "is longer than its limit";
    if (objection == NULL)
        return OK;
    *out_reason = objection;
    return INVALID;
}
