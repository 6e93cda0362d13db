# SPDX-License-Identifier: MPL-2.0
"""A federation of real daemons on loopback, for the end-to-end tests.

Every process is a child of the test, on 127.0.0.1, free ports and a temporary directory; all of
them are ended by pid when the test ends, whatever its outcome.  CHAPTERD_BIN names the directory
that holds chapterd and chapterctl."""

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BIN = os.environ.get("CHAPTERD_BIN") or os.path.join(
    os.path.dirname(__file__), "..", "..", "build", "release", "bin")
SAMPLES = os.path.join(os.path.dirname(__file__), "..", "samples")
SLOW = float(os.environ.get("CHAPTERD_TEST_SLOWNESS", "1"))  # sanitizers: waits grow, claims do not
PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port_pair():
    """A port P such that P and P + 1 can be bound now; below the range of outgoing connections."""
    for _ in range(200):
        port = random.randrange(10000, 30000, 2)
        try:
            with socket.socket() as a, socket.socket() as b:
                a.bind(("127.0.0.1", port))
                b.bind(("127.0.0.1", port + 1))
                return port
        except OSError:
            continue
    raise RuntimeError("no two free ports beside each other on 127.0.0.1")


class Failed(AssertionError):
    pass


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


class Node:
    def __init__(self, federation, code, port=None):
        self.federation = federation
        self.code = code
        self.port = port
        self.dir = os.path.join(federation.dir, code)
        self.socket = os.path.join(self.dir, "control.sock")
        self.log = os.path.join(federation.dir, code + ".log")
        self.process = None

    def start(self, wait=True, prefix=()):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, os.path.join(BIN, "chapterd"), "run", "--dir", self.dir],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        if wait:
            wait_until(self.answers, 15, "%s does not answer; its log: %s" % (self.code, self.log))
        return self

    def answers(self):
        if self.process.poll() is not None:
            with open(self.log, errors="replace") as log:
                raise Failed("%s ended with %s:\n%s" % (self.code, self.process.returncode,
                                                        log.read()[-3000:]))
        return os.path.exists(self.socket) and self.ctl("-t", "1", "version", check=False)[0] == 0

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, how=signal.SIGTERM):
        if self.running():
            self.process.send_signal(how)
            try:
                self.process.wait(15 * SLOW)
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

    def json(self, *args, **options):
        return json.loads(self.ctl("--json", *args, **options)[1])

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
        """members apply: the result lines."""
        text = "".join(json.dumps(o) + "\n" for o in operations)
        _, out, _ = self.ctl("members", "apply", "-", stdin=text, check=False)
        return [json.loads(line) for line in out.splitlines()]

    def add(self, **fields):
        return self.apply([{"op": "put", "fields": fields}])[0]


class Federation:
    """with Federation() as f: f.hq, f.join("fr"), ..."""

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
        for node in self.nodes.values():
            if node.running():
                node.process.kill()
                node.process.wait()
        if kind is not None and os.environ.get("CHAPTERD_KEEP"):
            print("kept: " + self.dir)
            return
        if kind is not None:
            for node in self.nodes.values():
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
        port = free_port_pair()
        node = Node(self, "hq", port)
        self.nodes["hq"] = self.hq = node
        self.daemon("init", "--hq", "--dir", node.dir, "--name", self.name,
                    "--listen", "127.0.0.1:%d" % port)
        node.start()

    def invite(self, code, *args):
        return self.hq.json("invite", code, *args)["token"]

    def join(self, code, listen=True, start=True, token=None):
        port = free_port_pair() if listen else None
        node = Node(self, code, port)
        token = token or self.invite(code, "--name", "Chapter " + code)
        where = ["--listen", "127.0.0.1:%d" % port] if listen else ["--dial-only"]
        self.daemon("join", token, "--dir", node.dir, *where)
        self.nodes[code] = node
        if start:
            node.start()
        return node

    def running(self):
        return [n for n in self.nodes.values() if n.running()]

    def agree(self, seconds=30, nodes=None, without=()):
        """Waits until the given nodes (all that run) have the same epoch, seq and digest of every
        feed (but those of without), and returns them."""
        last = {}

        def same():
            last.clear()
            last.update({n.code: {o: v for o, v in n.feeds().items() if o not in without}
                         for n in (nodes or self.running())})
            views = list(last.values())
            return views[0] if all(v == views[0] for v in views) else None

        try:
            return wait_until(same, seconds, "all nodes agree", 0.05)
        except Failed as failed:
            lines = ["%s: %s" % (c, {o: v[:2] for o, v in f.items()}) for c, f in last.items()]
            raise Failed("%s\n%s" % (failed, "\n".join(lines))) from None

    def verify_all(self, *args):
        for node in self.running():
            result = node.json("verify", "--deep", *args)
            check(result["ok"] == result["origins"] and not result["differences"],
                  "verify at %s: %s" % (node.code, result))

    def files_contain(self, code, text):
        """Does any file of that node, its database and its log included, hold text?"""
        needle = text.encode()
        paths = [os.path.join(root, name) for root, _, names in os.walk(self.nodes[code].dir)
                 for name in names] + [self.nodes[code].log]
        for path in paths:
            if os.path.isfile(path):
                with open(path, "rb") as file:
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
