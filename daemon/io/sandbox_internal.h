/* SPDX-License-Identifier: MPL-2.0 */
/* sandbox_internal.h - what the two halves of the sandbox share. */
#ifndef CHAPTERD_SANDBOX_INTERNAL_H
#define CHAPTERD_SANDBOX_INTERNAL_H

#include "chapterd/status.h"
#include "daemon/io/sandbox.h"

/* To look for leaks, sanitizers make a process that traces this one. */
#if defined(__SANITIZE_ADDRESS__)
#define TRACED_BY_ITSELF 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TRACED_BY_ITSELF 1
#endif
#endif
#ifndef TRACED_BY_ITSELF
#define TRACED_BY_ITSELF 0
#endif

/* False if this build or kernel cannot. */
bool sandbox_limit_calls(void);

#endif
