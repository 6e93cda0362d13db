/* SPDX-License-Identifier: MPL-2.0 */
/* country.h - ISO 3166-1: the assigned alpha-2 codes and their English short names. */
#ifndef CHAPTERD_PROTO_COUNTRY_H
#define CHAPTERD_PROTO_COUNTRY_H

#include "proto/mp.h"

bool country_valid(struct slice code); /* upper case */
/* NULL if the code is not assigned. */
const char *country_name(const char code[2]);

#endif
