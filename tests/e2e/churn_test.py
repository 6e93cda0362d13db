# SPDX-License-Identifier: MPL-2.0
"""A federation in which everything goes wrong while all write: daemons are stopped, killed (in the
midst of a burst of writes, too), frozen; links are held in one direction or both, or cut, or
lose messages in silence; the federation splits in halves; HQ is not spared.  Then the faults end, and all must agree, on what
was acknowledged.

CHAPTERD_CHURN_SEED     what happens, and when; each run prints it
CHAPTERD_CHURN_SECONDS  of faults
CHAPTERD_CHURN_NODES    HQ included"""

import heapq
import os
import random
import signal
import time

import zmq

from control import rows
from federation import SLOW, check, main, need_descriptors, wait_until
from ledger import FEDERATION, HQ, Writer
from proxy import ANY, WAYS, Proxied, who_dialled
from size_test import chapter_codes

SEED = int(os.environ.get("CHAPTERD_CHURN_SEED") or random.SystemRandom().randrange(1 << 32))
SECONDS = float(os.environ.get("CHAPTERD_CHURN_SECONDS") or 40)
NODES = int(os.environ.get("CHAPTERD_CHURN_NODES") or (86 if SLOW == 1 else 12))
CONVERGED_S = 60
SILENT_S = 20
MEMORY_MAX = 64e6
WRITES_PER_SECOND = 20  # requests, of the whole federation
FAULT_EVERY_S = 0.5
AWAY_MAX = 1 / 3  # of the nodes, at once
LAST_S = 2
LOST = 0.3  # of the messages of a link that loses some
BURST = 24  # requests

# kind -> how often, seconds at least and at most
KINDS = {
    "kill": (3, 0, 4),
    "burst": (4, 0, 4),
    "stop": (3, 0, 4),
    "freeze": (2, 0.3, 8),
    "hold": (5, 1, 20),
    "hold_hq": (3, 1, 20),
    "cut": (2, 0, 0),
    "lose": (5, 2, 20),
    "split": (0.5, 2, 8),
}
RUNNING, GOING, GONE, FROZEN = "running", "going", "gone", "frozen"


class Fault:
    def __init__(self, at, kind, victim, seconds, ways=(), half=()):
        self.at, self.kind, self.victim, self.seconds = at, kind, victim, seconds
        self.ways, self.half = ways, half


def plan(codes, seconds):
    """What happens when; what is not over by then ends all at once.  One thing at a time befalls
    a node; HQ is hit more often than others."""
    dice = random.Random(SEED)
    faults = []
    free_at = dict.fromkeys(codes, 0)
    at = 0.5
    while at < seconds:
        kind = dice.choices(list(KINDS), [weight for weight, _, _ in KINDS.values()])[0]
        lasts = min(dice.uniform(*KINDS[kind][1:]), seconds - at)
        able = [c for c in codes if free_at[c] < at and (kind != "hold_hq" or c != "hq")]
        busy = sum(t > at for t in free_at.values())
        if able and busy < AWAY_MAX * len(codes):
            victim = "hq" if "hq" in able and dice.random() < 0.1 else dice.choice(able)
            ways = dice.choice((WAYS, WAYS, ("in",), ("out",)))
            half = dice.sample(codes, len(codes) // 2) if kind == "split" else ()
            faults.append(Fault(at, kind, victim, lasts, ways, half))
            if kind != "split":
                free_at[victim] = at + lasts + 0.2
        at += dice.uniform(0, 2 * FAULT_EVERY_S)
    return faults


class Churn:
    def __init__(self, federation):
        self.f = federation
        self.proxy = federation.proxy
        self.nodes = federation.nodes
        self.state = dict.fromkeys(self.nodes, RUNNING)
        self.writers = {code: Writer(node, SEED) for code, node in self.nodes.items()}
        self.dice = random.Random(SEED + 1)
        self.next_write = dict.fromkeys(self.nodes, 0)
        self.heard = dict.fromkeys(self.nodes, time.monotonic())
        self.counts = dict.fromkeys(KINDS, 0)
        self.bursts_cut = 0
        self.memory = 0
        self.watched = 0

    # --- faults ---------------------------------------------------------------------------

    def begin(self, fault):
        self.counts[fault.kind] += 1
        getattr(self, "begin_" + fault.kind)(fault, self.nodes[fault.victim])

    def end(self, fault):
        getattr(self, "end_" + fault.kind)(fault, self.nodes[fault.victim])

    def begin_kill(self, fault, node):
        node.kill()
        self.gone(fault.victim)

    def gone(self, code):
        self.state[code] = GONE
        self.writers[code].lose()

    def end_kill(self, fault, node):
        node.start(wait=False)
        self.state[fault.victim] = RUNNING
        self.heard[fault.victim] = time.monotonic()

    def begin_burst(self, fault, node):
        """Killed the moment that one of many answers came, whichever."""
        writer = self.writers[fault.victim]
        for _ in range(BURST):
            writer.send(1)
        for _ in range(self.dice.randrange(BURST) + 1):
            if not writer.receive(2 * SLOW):
                break
        self.bursts_cut += bool(writer.under_way)
        self.begin_kill(fault, node)

    end_burst = end_kill

    def begin_stop(self, fault, node):
        node.process.terminate()
        self.state[fault.victim] = GOING

    def end_stop(self, fault, node):
        status = node.stop()
        check(status == 0, "%s was stopped, and ended with %s" % (fault.victim, status))
        self.gone(fault.victim)
        self.end_kill(fault, node)

    def begin_freeze(self, fault, node):
        node.process.send_signal(signal.SIGSTOP)
        self.state[fault.victim] = FROZEN

    def end_freeze(self, fault, node):
        node.process.send_signal(signal.SIGCONT)
        self.state[fault.victim] = RUNNING
        self.heard[fault.victim] = time.monotonic()

    def held(self, fault, node):
        """(label, port, way) of what is held; "in" and "out" are as the victim sees it."""
        dialled = {"in": ("down",), "out": ("up",)}.get(fault.ways[0], fault.ways)
        served = {"in": ("up",), "out": ("down",)}.get(fault.ways[0], fault.ways)
        port = self.f.hq.port if fault.kind == "hold_hq" else ANY
        yield fault.victim, port, dialled
        if fault.kind == "hold" and node.port is not None:
            yield ANY, node.port, served

    def begin_hold(self, fault, node):
        for label, port, ways in self.held(fault, node):
            self.proxy.hold(label, *ways, port=port)

    def end_hold(self, fault, node):
        for label, port, ways in self.held(fault, node):
            self.proxy.release(label, *ways, port=port)

    begin_hold_hq, end_hold_hq = begin_hold, end_hold

    def begin_cut(self, fault, node):
        self.proxy.cut(label=fault.victim)
        if node.port is not None:
            self.proxy.cut(port=node.port)

    def end_cut(self, fault, node):
        pass

    def begin_lose(self, fault, node):
        self.proxy.lose(fault.victim)
        if node.port is not None:
            self.proxy.lose(ANY, node.port)

    def end_lose(self, fault, node):
        self.proxy.lose_no_more(fault.victim)
        if node.port is not None:
            self.proxy.lose_no_more(ANY, node.port)

    def across(self, fault):
        half = set(fault.half)
        for code, node in self.nodes.items():
            for other in self.nodes:
                if node.port is not None and (code in half) != (other in half):
                    yield other, node.port

    def begin_split(self, fault, _):
        self.proxy.hold_all((label, port, way) for label, port in self.across(fault)
                            for way in WAYS)

    def end_split(self, fault, _):
        self.proxy.release_all((label, port, way) for label, port in self.across(fault)
                               for way in WAYS)

    # --- writing and watching -------------------------------------------------------------

    def write(self, now):
        for code, writer in self.writers.items():
            if self.state[code] == RUNNING and now >= self.next_write[code]:
                if not writer.under_way:
                    self.heard[code] = now
                    writer.send(self.dice.randrange(1, 5))
                pause = len(self.nodes) / WRITES_PER_SECOND
                self.next_write[code] = now + self.dice.uniform(0.5 * pause, 1.5 * pause)

    def listen(self, seconds):
        poller = zmq.Poller()
        by_socket = {}
        for writer in self.writers.values():
            if writer.under_way:
                poller.register(writer.control.socket, zmq.POLLIN)
                by_socket[writer.control.socket] = writer
        for socket, _ in poller.poll(int(1000 * seconds)) if by_socket else []:
            writer = by_socket[socket]
            while writer.receive():
                self.heard[writer.code] = time.monotonic()
        if not by_socket:
            time.sleep(seconds)

    def watch(self, now):
        if now < self.watched + 0.5:
            return
        self.watched = now
        for code, node in self.nodes.items():
            if self.state[code] in (RUNNING, FROZEN):
                node.has_not_ended()
                self.memory = max(self.memory, node.private_memory())
            if self.state[code] == RUNNING and self.writers[code].under_way:
                check(now - self.heard[code] < SILENT_S * SLOW,
                      "%s has not answered for %.0f s" % (code, now - self.heard[code]))

    def go(self, seconds):
        begun = time.monotonic()
        # one order, however late: what befalls a node begins after the last has ended
        due = [(f.at, 1, n, f) for n, f in enumerate(plan(list(self.nodes), seconds))]
        while due or time.monotonic() < begun + seconds:
            while due and due[0][0] <= time.monotonic() - begun:
                at, begins, n, fault = heapq.heappop(due)
                if begins:
                    self.begin(fault)
                    heapq.heappush(due, (at + fault.seconds, 0, n, fault))
                else:
                    self.end(fault)
            now = time.monotonic()
            self.write(now)
            self.listen(0.02)
            self.watch(now)

    def go_last(self):
        """The last writes of all are lost on the way to many, who are not told by a link that
        goes or by what is written next."""
        self.proxy.lose(ANY)
        end = time.monotonic() + LAST_S
        while time.monotonic() < end:
            self.write(time.monotonic())
            self.listen(0.02)
        self.watch(end)
        self.proxy.lose_no_more(ANY)

    def rest(self):
        """The faults are over; what is under way is answered."""
        self.proxy.release()
        deadline = time.monotonic() + SILENT_S * SLOW
        while any(w.under_way for w in self.writers.values()):
            check(time.monotonic() < deadline, "no answer from " + " ".join(
                w.code for w in self.writers.values() if w.under_way))
            self.listen(0.05)
        self.watch(time.monotonic())


def shown_at(node):
    """origin -> {id: member}"""
    shown = {}
    for member in rows(node.control, 60 * SLOW):
        shown.setdefault(member["chapter"], {})[member["id"]] = member
    return shown


def check_all(f, churn):
    """Every node shows what was acknowledged, and counts it."""
    writers = churn.writers
    for code, writer in writers.items():
        writer.settle(shown_at(f.nodes[code]).get(code, {}))
    for code, node in f.nodes.items():
        shown = shown_at(node)
        for origin, writer in writers.items():
            fields = FEDERATION + (HQ if node is f.hq else ())
            writer.compare(shown.get(origin, {}), fields, code)
    members = sum(w.members() for w in writers.values())
    expected = {code: w.members() for code, w in writers.items() if w.members()}
    for code, counts in f.ask_all("counts", by="chapter").items():
        check(counts["memberships"] == members, "%s counts %d, acknowledged are %d" % (
            code, counts["memberships"], members))
        by_chapter = {r["key"]: r["memberships"] for r in counts["rows"] if r["memberships"]}
        check(by_chapter == expected, "%s counts by chapter %s, not %s" % (
            code, by_chapter, expected))
    persons = f.hq.ask("counts")["persons"]
    check(persons == members, "HQ counts %s persons, not %d" % (persons, members))
    f.verify_all()
    return members


def federation():
    f = Proxied(SEED)
    f.proxy.lossy = LOST
    f.proxy.name_dialler = lambda addresses: who_dialled(
        addresses, {p.pid: n.code for n in list(f.nodes.values())
                    if (p := n.process) is not None})  # the proxy's thread asks
    return f


def churn_and_converge():
    codes = chapter_codes()[:NODES - 1]
    with federation() as f:
        f.join_all(codes[0::2], codes[1::2])
        f.agree(60, origins=NODES)
        churn = Churn(f)
        churn.go(SECONDS)
        churn.go_last()
        rested = time.monotonic()
        churn.rest()
        f.all_answer(list(f.nodes.values()))
        f.agree(CONVERGED_S, origins=NODES)
        agreed = time.monotonic()
        f.hq_has_all(CONVERGED_S)
        met = time.monotonic()
        acknowledged = sum(w.acknowledged for w in churn.writers.values())
        members = check_all(f, churn)
        print("%d nodes: %s; %d of the bursts cut" % (
            NODES, ", ".join("%d %s" % (n, kind) for kind, n in churn.counts.items()),
            churn.bursts_cut))
        print("%d changes acknowledged, %d answers lost, %d members; %.1f MB passed the proxy, %d"
              " messages were lost;"
              " private memory at most %.1f MB; all agreed %.1f s after the last fault, HQ had tier"
              " hq of all after %.1f s" % (
                  acknowledged, sum(w.lost for w in churn.writers.values()), members,
                  f.proxy.passed / 1e6, f.proxy.lost, churn.memory / 1e6, agreed - rested, met - rested),
              flush=True)
        check(all(w.acknowledged for w in churn.writers.values()), "a writer wrote nothing")
        check(SLOW > 1 or churn.memory < MEMORY_MAX, "a daemon held %.0f MB" % (churn.memory / 1e6))
        f.check_logs()

        def all_well():
            statuses = f.ask_all("status")
            counts = f.hq.ask("counts")
            return (len(statuses) == NODES and
                    all(s["node"]["state"] == "ok" for s in statuses.values()) and
                    counts["chapters_current"] == counts["chapters_total"] == NODES - 1)

        wait_until(all_well, 60, "all nodes are ok, and current at HQ", 0.5)


def test_churn():
    if os.geteuid() != 0:
        print("skipped test_churn: only root is told which daemon a connection is of")
        return
    need_descriptors(4096)
    print("CHAPTERD_CHURN_SEED=%d CHAPTERD_CHURN_SECONDS=%g CHAPTERD_CHURN_NODES=%d" % (
        SEED, SECONDS, NODES), flush=True)
    churn_and_converge()


if __name__ == "__main__":
    main(test_churn)
