# SPDX-License-Identifier: MPL-2.0
"""How long until a write is acknowledged, and until it shows at other nodes.

One write at a time through `chapterctl members apply -` at fr; `chapterctl log -f` watches at hq, lu
(dial-only) and qc.  The figures hold all of it: both programs, pipes, three commits.
usage: latency.py [WRITES]   (CHAPTERD_BIN as for the end-to-end tests)"""

import json
import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from federation import BIN, Federation  # noqa: E402


def quantiles(name, values):
    values = sorted(values)
    print("%-22s p50 %6.2f ms   p99 %6.2f ms   max %6.2f ms   (%d)" % (
        name, 1e3 * values[len(values) // 2], 1e3 * values[int(len(values) * 0.99)],
        1e3 * values[-1], len(values)), flush=True)


class Watcher(threading.Thread):
    def __init__(self, node):
        super().__init__(daemon=True)
        self.seen = {}
        self.process = subprocess.Popen(
            [os.path.join(BIN, "chapterctl"), "-s", node.socket, "--json", "log", "--chapter", "fr",
             "-f"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def run(self):
        for line in self.process.stdout:
            now = time.perf_counter()
            self.seen.setdefault(json.loads(line)["seq"], now)


def main():
    writes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with Federation() as f:
        fr, lu, qc = f.join("fr"), f.join("lu", listen=False), f.join("qc")
        f.agree()
        watchers = {n.code: Watcher(n) for n in (f.hq, lu, qc)}
        for w in watchers.values():
            w.start()
        time.sleep(1)
        writer = subprocess.Popen(
            [os.path.join(BIN, "chapterctl"), "-s", fr.socket, "members", "apply", "-"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        begun, acknowledged = {}, {}
        for i in range(writes):
            start = time.perf_counter()
            writer.stdin.write('{"op":"put","fields":{"name":"Latency %d","country":"FR"}}\n' % i)
            seq = json.loads(writer.stdout.readline())["seq"]
            begun[seq], acknowledged[seq] = start, time.perf_counter()
            time.sleep(0.002)
        time.sleep(1)
        writer.stdin.close()
        writer.wait()
        quantiles("acknowledged at fr", [acknowledged[s] - begun[s] for s in begun])
        for code, w in watchers.items():
            w.process.kill()
            quantiles("visible at " + code,
                      [w.seen[s] - begun[s] for s in begun if s in w.seen])
            quantiles("  after the ack, " + code,
                      [max(0.0, w.seen[s] - acknowledged[s]) for s in begun if s in w.seen])


if __name__ == "__main__":
    main()
