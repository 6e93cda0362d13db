# SPDX-License-Identifier: MPL-2.0
"""An idle federation with 28,000 members in view: what it takes of memory and of the processor."""

import os
import time

from federation import SLOW, Federation, check, main
from spine_test import generate

SECONDS = 20


def test_idle_cost():
    with Federation() as f:
        samples = os.path.join(f.dir, "samples")
        generate(samples, members=28000, shared=600)
        nodes = [f.hq, f.join("fr"), f.join("lu", listen=False), f.join("qc")]
        for node in nodes:
            path = os.path.join(samples, node.code + ".csv")
            if os.path.exists(path):
                node.ctl("import", path, "--apply")
        f.agree(60)
        check(f.hq.json("counts")["memberships"] > 20000, "members in view")
        for node in nodes:
            node.ctl("wait", "--timeout", "30")
        time.sleep(3)
        before = {n.code: n.cpu_seconds() for n in nodes}
        time.sleep(SECONDS)
        for node in nodes:
            share = (node.cpu_seconds() - before[node.code]) / SECONDS
            memory = node.private_memory()
            print("%-3s idle %.2f %% of a core, private memory %.1f MB" % (
                node.code, 100 * share, memory / 1e6), flush=True)
            if SLOW == 1:  # sanitizers cost more of both
                check(share < 0.003, "%s takes %.2f %% of a core" % (node.code, 100 * share))
                limit = 24e6 if node is f.hq else 12e6
                check(memory < limit, "%s holds %.1f MB" % (node.code, memory / 1e6))


if __name__ == "__main__":
    main(test_idle_cost)
