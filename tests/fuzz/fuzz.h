/* SPDX-License-Identifier: MPL-2.0 */
/* fuzz.h - the one function of every fuzzer, under libFuzzer's name; aborts at a defect. */
#ifndef CHAPTERD_FUZZ_H
#define CHAPTERD_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
