# SPDX-License-Identifier: MPL-2.0
"""5,000 strangers who only hold connections and a stream of bombs, and the federation's own work
goes on: at no less than 0.8 of its speed without them, measured turn by turn in one run, and with
memory below a bound.

The strangers are another process, at the lowest priority: their work is not the daemons'.  How much
of a core it takes is printed, too."""

import multiprocessing
import os
import random
import resource
import select
import socket
import statistics
import time

from federation import SLOW, Federation, check, die_with_parent, main, need_descriptors, wait_until
from hostile_test import CLAIM, CLAIM_FRAME, greeting, noises

STRANGERS = 5000
BOMBS_PER_SECOND = 50
ROUNDS_MIN, ROUNDS_MAX = 7, 21  # other work on the machine can spoil some, but not most
MEMBERS = 2000
BATCH = 100
REQUESTS = int(160 / SLOW)  # a round
MANY, FEW = 1200, 512
LEAST = 0.8
# libzmq's buffers of each connection, whose freed memory the C library keeps for the next ones
MEMORY_MAX = STRANGERS * 24e3 * (1 if SLOW == 1 else 6)


def connect(port):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex((Federation.host, port))
    return s


def said(s):
    """What the other side said; nothing: it has hung up."""
    try:
        return s.recv(1000)
    except OSError:
        return b""


def be_strange(ports, most, active, held, ended):
    """Keeps most connections, half of them greeted, while active is set, and throws a bomb now and
    then; whoever is hung up on comes again."""
    die_with_parent()
    os.nice(19)
    generator = random.Random(1)
    bombs = [*noises(generator).values(), greeting(b"CURVE") + CLAIM + bytes(1 << 20),
             greeting(b"CURVE") + CLAIM_FRAME + bytes(1 << 20)]
    idle = {}  # descriptor -> socket
    poller = select.epoll()
    next_bomb = 0
    thrown = 0

    def leave(s):
        del idle[s.fileno()]
        poller.unregister(s)
        s.close()

    while not ended.is_set():
        if not active.is_set():
            for s in list(idle.values()):
                leave(s)
            held.value = 0
            active.wait(0.05)
            continue
        for n in range(min(most - len(idle), 100)):
            s = connect(ports[n % len(ports)])
            idle[s.fileno()] = s
            poller.register(s, select.EPOLLIN | (select.EPOLLOUT if n % 4 < 2 else 0))
        held.value = max(held.value, len(idle))
        for descriptor, what in poller.poll(0.02):
            s = idle[descriptor]
            if what & select.EPOLLOUT:  # once, and says no more
                poller.modify(s, select.EPOLLIN)
                try:
                    s.send(greeting(b"CURVE"))
                except OSError:
                    pass
            elif what & (select.EPOLLERR | select.EPOLLHUP) or not said(s):
                leave(s)
        if time.monotonic() >= next_bomb:
            next_bomb = time.monotonic() + 1 / BOMBS_PER_SECOND
            thrown += 1
            bomb = socket.socket()
            try:
                bomb.settimeout(0.05)
                bomb.connect((Federation.host, ports[thrown % len(ports)]))
                bomb.send(bombs[thrown % len(bombs)])
            except OSError:
                pass
            bomb.close()


def add_members(origin):
    results = origin.apply([{"op": "put", "fields": {"name": "N"}} for _ in range(MEMBERS)])
    check(all(r["ok"] for r in results), "members")
    return [r["id"] for r in results]


class Strangers:
    """A process of them, at the ports of a node."""

    def __init__(self, node, count):
        self.count = count
        self.active, self.ended = multiprocessing.Event(), multiprocessing.Event()
        self.held = multiprocessing.Value("i", 0)
        self.process = multiprocessing.Process(target=be_strange, args=(
            [node.port, node.port + 1], count, self.active, self.held, self.ended))

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.process.join(20)

    def come(self):
        self.active.set()
        wait_until(lambda: self.held.value == self.count, 30, "the strangers are there")

    def leave(self):
        self.active.clear()
        wait_until(lambda: self.held.value == 0, 30, "the strangers leave")

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def restart(node, soft, hard):
    node.stop()
    node.start(prefix=("prlimit", "--nofile=%d:%d" % (soft, hard)))


def work(origin, others, ids, turn):
    """Seconds that the changes of one round take, from the first to when all others have them."""
    begun = time.monotonic()
    for n in range(REQUESTS):
        ops = [{"op": "put", "id": ids[(n * BATCH + i) % MEMBERS], "fields": {
            "name": "N %d %d" % (turn, n), "joined": "%04d-01-01" % (1970 + (turn + n) % 60)}}
            for i in range(BATCH)]
        done = origin.ask("members.apply", 30, ops=ops, brief=True)
        check(done["done"] == BATCH, "a write: %s" % done)
    seq = next(x["seq"] for x in origin.ask("status", chapter=origin.code)["feeds"])

    def arrived():
        return all(n.ask("status", chapter=origin.code)["feeds"][0]["seq"] >= seq for n in others)

    wait_until(arrived, 30, "the changes arrive", 0.005)
    return time.monotonic() - begun


def ratio_of(quiet, noisy):
    """Each noisy round is compared with the quiet one just before it."""
    return statistics.median(q / n for q, n in zip(quiet, noisy))


def test_strangers_slow_nobody_down():
    need_descriptors(STRANGERS + 1000)
    with Federation() as f:
        fr, lu = f.join("fr"), f.join("lu", listen=False)
        # what a service manager gives: the daemons have to ask for more themselves
        for node in (f.hq, fr):
            restart(node, 1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        f.agree()
        ids = add_members(fr)
        work(fr, [f.hq, lu], ids, 0)
        quiet, noisy, memory, attackers_s = [], [], 0, 0
        base = f.hq.private_memory()
        with Strangers(f.hq, STRANGERS) as strangers:
            while len(noisy) < ROUNDS_MIN or (ratio_of(quiet, noisy) < LEAST
                                              and len(noisy) < ROUNDS_MAX):
                turn = len(noisy) + 1
                quiet.append(work(fr, [f.hq, lu], ids, 2 * turn))
                strangers.come()
                time.sleep(0.5 + turn % 3)  # they are hung up on after 5 s: all ages are there
                before = strangers.cpu_seconds()
                noisy.append(work(fr, [f.hq, lu], ids, 2 * turn + 1))
                attackers_s += strangers.cpu_seconds() - before
                memory = max(memory, f.hq.private_memory() - base)
                strangers.leave()
                time.sleep(0.3)  # until HQ has noticed
        ratio = ratio_of(quiet, noisy)
        changes = REQUESTS * BATCH
        print("        %d changes: %.0f/s quiet, %.0f/s with %d strangers and bombs: %.2f of it"
              " (%d rounds, %.2f to %.2f); they themselves took %.2f of a core; memory +%.1f MB" % (
                  changes, changes / statistics.median(quiet), changes / statistics.median(noisy),
                  STRANGERS, ratio, len(noisy), min(q / n for q, n in zip(quiet, noisy)),
                  max(q / n for q, n in zip(quiet, noisy)), attackers_s / sum(noisy),
                  memory / 1e6), flush=True)
        check(memory < MEMORY_MAX, "%.1f MB more memory" % (memory / 1e6))
        check(ratio >= LEAST, "%.2f of the speed is left" % ratio)
        f.agree()
        f.verify_all()
        f.check_logs()


def test_more_strangers_than_descriptors():
    need_descriptors(MANY + 1000)
    with Federation() as f:
        fr, lu = f.join("fr"), f.join("lu", listen=False)
        f.agree()
        lu.stop()
        restart(f.hq, FEW, FEW)
        with open(f.hq.log) as log:
            check("event=few_open_files limit=%d" % FEW in log.read(), "HQ does not complain")
        with Strangers(f.hq, MANY) as strangers:
            strangers.active.set()
            wait_until(lambda: f.hq.counters()["cut_connections"] > 0, 20, "strangers are cut off")
            begun = time.monotonic()
            lu.start()
            check(fr.add(name="during the wave")["ok"], "a write")
            f.agree(60)
            wait_until(lambda: any(p["chapter"] == "hq" and p["state"] == "up"
                                   for p in lu.status()["peers"]), 30, "lu has a link to HQ")
            took = time.monotonic() - begun
            code, token, _ = f.hq.ctl("invite", "qc", "--name", "Quebec")
            check(code == 0 and token, "HQ invites")
            cut = f.hq.counters()["cut_connections"]
            strangers.leave()
        print("        %d strangers at %d descriptors: who comes anew is in step after %.1f s, %d"
              " connections cut" % (MANY, FEW, took, cut), flush=True)
        f.verify_all()
        f.check_logs()


if __name__ == "__main__":
    main(test_strangers_slow_nobody_down, test_more_strangers_than_descriptors)
