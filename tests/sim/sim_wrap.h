/* SPDX-License-Identifier: MPL-2.0 */
/* sim_wrap.h - the linker's names for wrapped functions (--wrap), which nodes call. */
#ifndef CHAPTERD_SIM_WRAP_H
#define CHAPTERD_SIM_WRAP_H

#include <stddef.h>

int __wrap_crypto_sign_verify_detached(const unsigned char *signature,
                                       const unsigned char *message, unsigned long long size,
                                       const unsigned char *key);
int __real_crypto_sign_verify_detached(const unsigned char *signature,
                                       const unsigned char *message, unsigned long long size,
                                       const unsigned char *key);
void *__wrap_malloc(size_t size);
void *__real_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__real_realloc(void *memory, size_t size);

#endif
