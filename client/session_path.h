/* SPDX-License-Identifier: MPL-2.0 */
/* session_path.h - where the daemon's control socket is, if nothing was said, or what. */
#ifndef CHAPTERCTL_SESSION_PATH_H
#define CHAPTERCTL_SESSION_PATH_H

#include "client/session.h"

/* Heap of the caller; NULL only without memory. */
char *session_find_socket(const struct options *options);
/* 0, or the errno of a plain connection to it; path fits struct sockaddr_un. */
int session_try_socket(const char *path);

#endif
