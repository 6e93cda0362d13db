/* SPDX-License-Identifier: MPL-2.0 */
/* session_path.c - -s, the environment, the user's own daemon, the system's: the first of
 * them.  And whether anybody listens there. */
#include "client/session_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value == NULL || value[0] == '\0' ? NULL : value;
}

/* The socket of a daemon that runs as this user; NULL if there is none. */
static char *find_own_socket(void)
{
    const char *state = variable("XDG_STATE_HOME");
    const char *home = variable("HOME");
    char *path = NULL;
    int printed = -1;

    if (state != NULL)
        printed = asprintf(&path, "%s/chapterd/" CONTROL_SOCKET_NAME, state);
    else if (home != NULL)
        printed = asprintf(&path, "%s/.local/state/chapterd/" CONTROL_SOCKET_NAME, home);
    if (printed < 0)
        return NULL;
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

char *session_find_socket(const struct options *options)
{
    const char *given = options->socket_path;
    char *own;

    if (given == NULL)
        given = variable("CHAPTERD_SOCKET");
    if (given != NULL)
        return strdup(given);
    own = find_own_socket();
    return own != NULL ? own : strdup("/run/chapterd/" CONTROL_SOCKET_NAME);
}

int session_try_socket(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;

    if (fd < 0)
        return errno;
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        error = errno;
    (void)close(fd);
    return error;
}
