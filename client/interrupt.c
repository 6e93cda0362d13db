/* SPDX-License-Identifier: MPL-2.0 */
/* interrupt.c - a handler that sets a flag and is gone after it. */
#include "client/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught;

static const int signals[] = { SIGINT, SIGTERM };
enum { SIGNAL_COUNT = sizeof signals / sizeof signals[0] };
static struct sigaction before[SIGNAL_COUNT];

static void note(int number)
{
    (void)number;
    caught = 1;
}

void interrupt_catch(void)
{
    struct sigaction action = { .sa_handler = note, .sa_flags = SA_RESETHAND };

    caught = 0;
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        (void)sigaction(signals[i], NULL, &before[i]);
        /* What was ignored before, as under nohup, stays so. */
        if (before[i].sa_handler != SIG_IGN)
            (void)sigaction(signals[i], &action, NULL);
    }
}

void interrupt_release(void)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        (void)sigaction(signals[i], &before[i], NULL);
}

bool interrupted(void)
{
    return caught != 0;
}
