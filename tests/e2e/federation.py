# SPDX-License-Identifier: MPL-2.0
"""A federation of real daemons on loopback, for the end-to-end tests.

Every process is a child of the test, on 127.0.0.1, free ports and a temporary directory; all of
them are ended by pid when the test ends, whatever its outcome.  CHAPTERD_BIN names the directory
that holds chapterd and chapterctl."""

import contextlib
import ctypes
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from control import Control, Refused, Silent, ask_all

BIN = os.environ.get("CHAPTERD_BIN") or os.path.join(
    os.path.dirname(__file__), "..", "..", "build", "release", "bin")
SAMPLES = os.path.join(os.path.dirname(__file__), "..", "samples")
SLOW = float(os.environ.get("CHAPTERD_TEST_SLOWNESS", "1"))  # sanitizers: waits grow, claims do not
# Seconds in which the nodes make up for what is lost on the way, as any message may be, with room
# for a busy machine (PROTOCOL.md, sections 10, 12, 13 and 15).  A vector comes every 10 s, a hello
# within 2 s of it, and a want without an answer is given up after 5 s; a beat comes every 30 s, and
# HQ's is answered within 5 s; what was cleared is said again every minute.
MENDED, HEARD, CLEARED = 30, 60, 100
PR_SET_PDEATHSIG = 1
LOGS_MAX = 8  # that a failure shows
SIGNS_OF_DEFECTS = ("bug: ", "Assertion", "Sanitizer", "runtime error", "event=fork ",
                    "event=diverged", "event=copy_damaged", "event=recovering",
                    "event=turn_failed", "event=failed", "event=token_used_twice")

# Who runs tests in the background of a shell has them ignore Ctrl-C, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


kept_ports = []


def free_port_pair(host="127.0.0.1"):
    """A port P such that P and P + 1 can be bound now; below the range of outgoing connections.
    A name in the abstract socket space keeps other tests off as long as this process lives, also
    while no daemon listens there."""
    for _ in range(200):
        port = random.SystemRandom().randrange(10000, 30000, 2)
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind("\0chapterd-e2e-port-%s-%d" % (host, port))
            with socket.socket() as a, socket.socket() as b:
                a.bind((host, port))
                b.bind((host, port + 1))
        except OSError:
            name.close()
            continue
        kept_ports.append(name)
        return port
    raise RuntimeError("no two free ports beside each other on " + host)


class Failed(AssertionError):
    pass


def need_descriptors(count):
    """Raises the limit of open files of this process and its children; fails where it is too low
    for the test, because daemons and proxies would fail in stranger ways."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise Failed("this test needs %d open files, the hard limit is %d: raise it (ulimit -Hn,"
                     " LimitNOFILE=)" % (count, hard))
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def check(condition, text):
    if not condition:
        raise Failed(text)


def wait_until(question, seconds, text, pause=0.02):
    """The first true answer of question(); fails with text when the time is over."""
    deadline = time.monotonic() + seconds * SLOW
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failed("%s: not within %.0f s" % (text, seconds * SLOW))
        time.sleep(pause)


def differences(views, nodes):
    """Which nodes stand elsewhere than most, and in which feeds."""
    most = {}
    for view in views.values():
        for origin, place in view.items():
            most.setdefault(origin, []).append(place)
    most = {origin: max(places, key=places.count) for origin, places in most.items()}
    lines = ["%s does not answer" % n.code for n in nodes if n.code not in views]
    for code, view in views.items():
        other = ["%s at %s, not %s" % (o, view.get(o, ("", "nothing"))[1], place[1])
                 for o, place in sorted(most.items()) if view.get(o) != place]
        if other:
            lines.append("%s: %s" % (code, "; ".join(other[:8] + ["..."] * (len(other) > 8))))
    return "\n".join(lines[:40])


def fit_marker(directory):
    """Makes a copied directory pass for the one that ran last, as the copy of a whole disk does."""
    subprocess.run([os.path.join(BIN, "fit_marker"), directory], check=True)


class Node:
    def __init__(self, federation, code, port=None):
        self.federation = federation
        self.code = code
        self.port = port
        self.dir = os.path.join(federation.dir, code)
        self.socket = os.path.join(self.dir, "control.sock")
        self.log = os.path.join(federation.dir, code + ".log")
        self.process = None
        self.options = []  # of chapterd run
        self.control = Control(self.socket)

    def start(self, wait=True, prefix=()):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, os.path.join(BIN, "chapterd"), "run", "--dir", self.dir, *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        if wait:
            wait_until(self.answers, 30, "%s does not answer; its log: %s" % (self.code, self.log))
        return self

    def answers(self):
        self.has_not_ended()
        return os.path.exists(self.socket) and self.ctl("-t", "1", "version", check=False)[0] == 0

    def has_not_ended(self):
        if self.process.poll() is not None:
            with open(self.log, errors="replace") as log:
                raise Failed("%s ended with %s:\n%s" % (self.code, self.process.returncode,
                                                        log.read()[-3000:]))

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, how=signal.SIGTERM):
        if self.running():
            self.process.send_signal(how)
            try:
                self.process.wait(30 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise Failed("%s did not stop on signal %d" % (self.code, how))
        status = self.process.returncode if self.process else None
        self.process = None
        return status

    def kill(self):
        return self.stop(signal.SIGKILL)

    def ctl(self, *args, check=True, stdin=None, timeout=60):
        """Runs chapterctl against this node: (exit code, stdout, stderr)."""
        run = subprocess.run([os.path.join(BIN, "chapterctl"), "-s", self.socket, *args],
                             input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=timeout * SLOW)
        if check and run.returncode != 0:
            raise Failed("chapterctl %s at %s: exit %d\n%s%s" % (
                " ".join(args), self.code, run.returncode, run.stdout[-2000:], run.stderr[-2000:]))
        return run.returncode, run.stdout, run.stderr

    def ask(self, command, seconds=10, **arguments):
        """A request of the control protocol: its result.  What chapterctl costs is saved."""
        try:
            return self.control.ask(command, seconds * SLOW, **arguments)
        except (Refused, Silent) as error:
            raise Failed("%s: %s" % (self.code, error)) from None

    def json(self, *args, **options):
        return json.loads(self.ctl("--json", *args, **options)[1])

    def has_roster(self):
        """A chapter that has just joined writes nothing before."""
        self.has_not_ended()
        return any(x["chapter"] == "hq" and x["seq"] for x in self.ask("status")["feeds"])

    def wait_roster(self):
        wait_until(self.has_roster, MENDED, self.code + " has HQ's roster")

    def status(self):
        return self.json("status")

    def feeds(self):
        """Origin -> (epoch, seq, digest), of every feed that has a head."""
        return {f["chapter"]: (f["epoch"], f["seq"], f["digest"])
                for f in self.status()["feeds"] if f["seq"]}

    def counters(self):
        return self.status()["counters"]

    def private_memory(self):
        """RssAnon in bytes."""
        with open("/proc/%d/status" % self.process.pid) as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
        return 0

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def apply(self, operations):
        """members apply: the result lines.  Removals are confirmed, however many they are."""
        text = "".join(json.dumps(o) + "\n" for o in operations)
        _, out, _ = self.ctl("members", "apply", "-", "--confirm", stdin=text, check=False)
        return [json.loads(line) for line in out.splitlines()]

    def add(self, **fields):
        return self.apply([{"op": "put", "fields": fields}])[0]


class Slowed:
    """with Slowed(pid): the process works about so many milliseconds between pauses, by the time
    that it had the processor: what it does takes long on a fast machine, and does not stand still
    on a busy one, where it may work some times longer than it should."""

    def __init__(self, pid, run_ms=5, pause_s=0.095):
        self.pid = pid
        self.run_s = run_ms / 1000
        self.pause_s = pause_s
        self.ending = False
        self.thread = threading.Thread(target=self.run)

    def used(self):
        """Seconds, of all its threads."""
        total = 0
        for task in os.listdir("/proc/%d/task" % self.pid):
            with contextlib.suppress(OSError), \
                    open("/proc/%d/task/%s/schedstat" % (self.pid, task)) as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def run(self):
        while not self.ending:
            os.kill(self.pid, signal.SIGSTOP)
            time.sleep(self.pause_s)
            before, begun = self.used(), time.monotonic()
            os.kill(self.pid, signal.SIGCONT)
            if before == 0:  # this kernel does not say
                time.sleep(self.run_s)
                continue
            while self.used() < before + self.run_s and time.monotonic() < begun + 0.1:
                time.sleep(0.001)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.ending = True
        self.thread.join()


class Federation:
    """with Federation() as f: f.hq, f.join("fr"), ..."""

    host = "127.0.0.1"

    def __init__(self, name="Testing Society"):
        self.name = name
        self.dir = tempfile.mkdtemp(prefix="chapterd-e2e-")
        self.nodes = {}
        self.hq = None

    def __enter__(self):
        try:
            self.found()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        told = list(self.nodes.values())
        if len(told) > LOGS_MAX:
            told = [n for n in told if n is self.hq or not n.running()][:LOGS_MAX]
        for node in self.nodes.values():
            if node.running():
                node.process.kill()
                node.process.wait()
        if kind is not None and os.environ.get("CHAPTERD_KEEP"):
            print("kept: " + self.dir)
            return
        if kind is not None:
            for node in told:
                if os.path.exists(node.log):
                    with open(node.log, errors="replace") as log:
                        print("--- log of %s\n%s" % (node.code, log.read()[-1500:]))
        shutil.rmtree(self.dir, ignore_errors=True)

    def daemon(self, *args, check=True, stdin=None):
        run = subprocess.run([os.path.join(BIN, "chapterd"), *args], input=stdin,
                             stdin=None if stdin is not None else subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=90 * SLOW)
        if check and run.returncode != 0:
            raise Failed("chapterd %s: exit %d\n%s%s" % (" ".join(args), run.returncode,
                                                         run.stdout, run.stderr))
        return run.returncode, run.stdout, run.stderr

    def found(self):
        port = free_port_pair(self.host)
        node = Node(self, "hq", port)
        self.nodes["hq"] = self.hq = node
        out = self.daemon("init", "--hq", "--dir", node.dir, "--name", self.name,
                          *self.place(node))[1]
        self.recovery_key = next(w for w in out.split() if w.startswith("recovery1-"))
        node.start()

    def place(self, node):
        """Where a node listens: options of init and join."""
        return ["--listen", "%s:%d" % (self.host, node.port)]

    def invite(self, code, *args):
        return self.hq.json("invite", code, *args)["token"]

    def join(self, code, listen=True, start=True, token=None):
        port = free_port_pair(self.host) if listen else None
        node = Node(self, code, port)
        token = token or self.invite(code, "--name", "Chapter " + code)
        self.daemon("join", token, "--dir", node.dir,
                    *(self.place(node) if listen else ["--dial-only"]))
        self.nodes[code] = node
        if start:
            node.start().wait_roster()
        return node

    def join_all(self, listening, dial_only, at_once=4):
        """Joins many chapters, some at a time, and starts them; returns when all answer."""
        tokens = {code: self.hq.ask("invite", chapter=code, name="Chapter " + code)["token"]
                  for code in (*listening, *dial_only)}

        def join(code):
            return self.join(code, listen=code in listening, start=False, token=tokens[code])

        listening = set(listening)
        with ThreadPoolExecutor(at_once) as pool:
            nodes = list(pool.map(join, tokens))
        for node in nodes:
            node.start(wait=False)
        self.all_answer(nodes)
        return nodes

    def running(self):
        return [n for n in self.nodes.values() if n.running()]

    def ask_all(self, command, nodes=None, seconds=10, **arguments):
        """Asks the given nodes (all that run) at once: code -> result, of those that answer."""
        nodes = nodes or self.running()
        try:
            return ask_all({n.code: n.control for n in nodes}, command, seconds * SLOW, **arguments)
        except Refused as refused:
            raise Failed(str(refused)) from None

    def all_answer(self, nodes, seconds=60):
        waiting = list(nodes)

        def answered():
            for node in waiting:
                node.has_not_ended()
            there = self.ask_all("version", waiting, 1)
            waiting[:] = [n for n in waiting if n.code not in there]
            return not waiting

        wait_until(answered, seconds, "all daemons answer")

    def all_have_roster(self, nodes, seconds=60):
        def had():
            statuses = self.ask_all("status", nodes)
            return len(statuses) == len(nodes) and all(
                any(x["chapter"] == "hq" and x["seq"] for x in status["feeds"])
                for status in statuses.values())

        wait_until(had, seconds, "all have HQ's roster", 0.1)

    def views(self, nodes=None, without=()):
        """code -> {origin: (epoch, seq, digest)}, of the nodes that answer."""
        return {code: {x["chapter"]: (x["epoch"], x["seq"], x["digest"])
                       for x in status["feeds"] if x["seq"] and x["chapter"] not in without}
                for code, status in self.ask_all("status", nodes).items()}

    def agree(self, seconds=MENDED, nodes=None, without=(), origins=None):
        """Waits until the given nodes (all that run) have the same epoch, seq and digest of every
        feed (but those of without; of as many feeds as origins says), and returns them."""
        asked = nodes or self.running()
        last = {}

        def same():
            for node in asked:
                node.has_not_ended()
            last.clear()
            last.update(self.views(asked, without))
            views = list(last.values())
            return (views[0] if len(last) == len(asked) and all(v == views[0] for v in views)
                    and origins in (None, len(views[0])) else None)

        try:
            return wait_until(same, seconds, "all nodes agree", 0.05)
        except Failed as failed:
            raise Failed("%s\n%s" % (failed, differences(last, asked))) from None

    def all_current(self, nodes=None):
        """Waits until every feed is current at the given nodes (all that run)."""
        for node in nodes or self.running():
            wait_until(lambda: all(x["state"] == "current" for x in node.status()["feeds"]),
                       HEARD, "all current at " + node.code)

    def all_linked(self):
        """Waits until all links stand, at all nodes that run."""
        for node in self.running():
            wait_until(lambda: all(x["state"] == "up" for x in node.status()["peers"]), HEARD,
                       "all links of " + node.code)

    def hq_has_all(self, seconds=MENDED, without=()):
        """Waits until HQ has tier hq, too, of each feed (but those of without), and has counted
        persons: what reached it over others brings neither names nor e-mail addresses."""
        def behind():
            return ["%s %d of %d" % (x["chapter"], x["hq_seq"], x["seq"])
                    for x in self.hq.ask("status")["feeds"]
                    if x["hq_seq"] != x["seq"] and x["chapter"] not in without]

        wait_until(lambda: not behind(), seconds, "HQ has tier hq of all feeds", 0.05)
        wait_until(lambda: self.hq.ask("counts")["persons"] is not None, seconds,
                   "HQ has counted the persons")

    def verify_all(self, seconds=60):
        """verify --deep at every node that runs."""
        results = self.ask_all("verify", seconds=seconds, deep=True)
        for node in self.running():
            result = results.get(node.code)
            check(result is not None, node.code + " does not say whether it verified")
            check(result["ok"] == result["origins"] and not result["differences"],
                  "verify at %s: %s" % (node.code, result))

    def check_logs(self):
        """No daemon logged what only a defect of its own explains."""
        for node in self.nodes.values():
            with open(node.log, errors="replace") as log:
                for line in log:
                    check(not any(sign in line for sign in SIGNS_OF_DEFECTS),
                          "%s logged: %s" % (node.code, line))

    def files_contain(self, code, text):
        """Does any file of that node, its database and its log included, hold text?"""
        needle = text.encode()
        paths = [os.path.join(root, name) for root, _, names in os.walk(self.nodes[code].dir)
                 for name in names] + [self.nodes[code].log]
        for path in filter(os.path.isfile, paths):
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:  # just compacted
                rest = b""
                while block := file.read(1 << 20):
                    if needle in rest + block:
                        return path
                    rest = block[-len(needle):]
        return None


def main(*tests):
    """Runs the tests named on the command line, else all; exit 1 if one failed."""
    names = sys.argv[1:]
    bad = 0
    for test in tests:
        if names and test.__name__ not in names:
            continue
        begun = time.monotonic()
        try:
            test()
            print("ok      %s (%.1f s)" % (test.__name__, time.monotonic() - begun), flush=True)
        except (Failed, subprocess.TimeoutExpired) as failed:
            bad += 1
            print("FAILED  %s: %s" % (test.__name__, failed), flush=True)
    sys.exit(1 if bad else 0)
