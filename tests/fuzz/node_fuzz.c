/* SPDX-License-Identifier: MPL-2.0 */
/* node_fuzz.c - any bytes as what a local program or a chapter says to a whole node, in the
 * simulator's world of HQ and one chapter; what it checks after each turn must hold.
 *
 * The first byte says to whom: HQ's or the chapter's control socket, or their link. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/sim/sim.h"

#define INPUTS_A_WORLD 200 /* then a new one, so that a find can be run again */

static void begin(void)
{
    static struct sim_plan plan = {
        .seed = 1, .nodes = 2, .listening = 1, .liar = 1, .load_ms = 1000
    };

    sim_begin(&plan, false);
    sim_found();
    sim_run_until(world.now_ms + 5000);
    ASSERT(!sim_failed() && world.connection_count == 1 && world.connections[0].up);
}

static void deliver(unsigned to, struct slice bytes)
{
    if (to < 2)
        sim_deliver_control((int)to, 1ull << 50, bytes);
    else if (world.connections[0].up)
        sim_send_raw(0, (int)to - 2, to == 2 ? 1 : 0, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned inputs;

    if (size == 0)
        return 0;
    if (inputs % INPUTS_A_WORLD == 0) {
        if (inputs > 0)
            sim_end();
        else
            ASSERT(atexit(sim_end) == 0);
        log_set_level(LOG_ERROR);
        begin();
    }
    inputs++;
    deliver(data[0] % 4, slice_of(data + 1, size - 1));
    sim_run_until(world.now_ms + 20);
    if (sim_failed())
        fprintf(stderr, "%s\n", world.failure);
    ASSERT(!sim_failed());
    return 0;
}
