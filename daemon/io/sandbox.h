/* SPDX-License-Identifier: MPL-2.0 */
/* sandbox.h - takes from this process what a node never needs: system calls by seccomp, files
 * by Landlock.  Each is there if the kernel has it, and seccomp if the build had libseccomp. */
#ifndef CHAPTERD_SANDBOX_H
#define CHAPTERD_SANDBOX_H

#include <stdbool.h>

struct sandbox_places {
    const char *dir;        /* the node's: all that is in it may be changed */
    const char *config;     /* the configuration file, which is read again; may be missing */
    const char *backup_dir; /* where else files may be made; "": wherever the system does not
                             * keep its own */
};
struct sandbox {
    bool system_calls; /* are limited */
    bool files;        /* are limited */
};

/* For the calling thread and those that it makes from now on, and for good: to be called before
 * there are others.  What cannot be limited is left as it was. */
void sandbox_enter(const struct sandbox_places *places, struct sandbox *out_sandbox);
/* "seccomp, landlock", one of the two, or "none". */
const char *sandbox_text(const struct sandbox *sandbox);

#endif
