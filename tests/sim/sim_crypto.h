/* SPDX-License-Identifier: MPL-2.0 */
/* sim_crypto.h - the linker's names for a wrapped function. */
#ifndef CHAPTERD_SIM_CRYPTO_H
#define CHAPTERD_SIM_CRYPTO_H

int __wrap_crypto_sign_verify_detached(const unsigned char *signature,
                                       const unsigned char *message, unsigned long long size,
                                       const unsigned char *key);
int __real_crypto_sign_verify_detached(const unsigned char *signature,
                                       const unsigned char *message, unsigned long long size,
                                       const unsigned char *key);

#endif
