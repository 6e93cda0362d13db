# SPDX-License-Identifier: MPL-2.0
"""The demo's federation: real daemons on 127.0.0.1 in a temporary directory, spoken to by
chapterctl alone.  Whatever happens, leaving it ends every process that it began and removes every
file."""

import concurrent.futures
import contextlib
import csv
import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

PR_SET_PDEATHSIG = 1
AT_ONCE = 4            # commands side by side
PORTS = 30000, 32766   # below the range that outgoing connections take
SOCKET_PATH_MAX = 107
STOP_SECONDS = 20
ANSWER_SECONDS = 60


class Failed(Exception):
    """What the demo claims is not so, or it cannot go on; the text says what, and what to do."""


class Stopping(Exception):
    """The federation is being ended; whoever works for it stops."""


def check(condition, text):
    if not condition:
        raise Failed(text)


def wait_until(question, seconds, text, pause=0.02):
    """The first true answer of question()."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        check(time.monotonic() < deadline, "%s: not within %d s" % (text, seconds))
        time.sleep(pause)
    return answer


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def need_descriptors(count):
    """For this process and its children."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise Failed("a process needs up to %d open files here, and no more than %d are allowed:\n"
                     "raise the hard limit (as root: ulimit -Hn %d), or take fewer --chapters" % (
                         count, hard, count))
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def read_chapters(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def children():
    """Process ids of what this process began and has not waited for."""
    found = []
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open("/proc/%s/stat" % entry) as stat:
                parent = int(stat.read().rsplit(")", 1)[1].split()[1])
            if parent == os.getpid():
                found.append(int(entry))
    return found


def end_children():
    found = children()
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in found:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


class Ports:
    """Ports of 127.0.0.1, each free together with the next.  A name in the abstract socket space
    keeps other demos off as long as this one lives, also while a daemon of its is down."""

    def __init__(self):
        self.lock = threading.Lock()
        self.next = PORTS[0] + os.getpid() * 2 % (PORTS[1] - PORTS[0]) // 2 * 2
        self.kept = []

    def take(self):
        with self.lock:
            for _ in range((PORTS[1] - PORTS[0]) // 2):
                port = self.next
                self.next = port + 2 if port + 2 < PORTS[1] else PORTS[0]
                if self.keep(port):
                    return port
        raise Failed("no two free ports beside each other from %d to %d on 127.0.0.1" % PORTS)

    def keep(self, port):
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind("\0chapterd-demo-port-%d" % port)
            with socket.socket() as first, socket.socket() as second:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
        except OSError:
            name.close()
            return False
        self.kept.append(name)
        return True


class Node:
    def __init__(self, society, code, name, country, listens):
        self.society = society
        self.code = code
        self.name = name
        self.country = country
        self.listens = listens
        self.process = None
        self.log = os.path.join(society.dir, code + ".log")

    @property
    def place(self):
        """What a reader calls it: France."""
        return self.name.replace("Internet Society ", "") if self.code != "hq" else "HQ"

    def argv(self, *args):
        return [self.society.chapterctl, "-s", self.code + "/control.sock", *args]

    def ctl(self, *args, stdin=None, seconds=120):
        """What chapterctl prints.  Failed if its exit code is not 0."""
        status, output, errors = self.society.run(self.argv(*args), stdin, seconds)
        if status != 0 and self.process is not None:
            self.has_not_ended()
        check(status == 0, "chapterctl %s at %s: exit code %s\n%s" % (
            " ".join(args), self.code, status, (errors or output)[-1000:]))
        return output

    def json(self, *args, **options):
        return json.loads(self.ctl("--json", *args, **options))

    def feeds(self):
        """chapter -> (epoch, seq, digest)"""
        return {feed["chapter"]: (feed["epoch"], feed["seq"], feed["digest"])
                for feed in self.json("status")["feeds"]}

    def start(self):
        """The command.  From the main thread alone: a daemon dies with the thread that began it."""
        argv = [self.society.chapterd, "run", "--dir", self.code]
        with open(self.log, "ab") as log:
            self.process = self.society.begin(argv, stdin=subprocess.DEVNULL, stdout=log,
                                              stderr=log, preexec_fn=die_with_parent)
        return argv

    def answers(self):
        """Does the daemon answer by now?"""
        self.has_not_ended()
        return (os.path.exists(os.path.join(self.society.dir, self.code, "control.sock")) and
                self.society.run(self.argv("-t", "1", "version"))[0] == 0)

    def has_not_ended(self):
        status = self.process.poll()
        check(status is None, "chapterd of %s ended with %s; the end of its log:\n%s" % (
            self.code, status, self.log_end()))

    def wait_answer(self):
        wait_until(self.answers, ANSWER_SECONDS, "chapterd of %s answers" % self.code)

    def log_end(self):
        with open(self.log, errors="replace") as log:
            return log.read()[-1000:]

    def errors(self):
        """What it logged of that level."""
        with open(self.log, errors="replace") as log:
            return [line.strip() for line in log if line.split()[1:2] == ["error"]]

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed("chapterd of %s does not end on signal %d" % (self.code, how)) from None
        self.process = None
        return status

    def private_memory(self):
        """Bytes (RssAnon)"""
        with open("/proc/%d/status" % self.process.pid) as status:
            return next((int(line.split()[1]) * 1024 for line in status
                         if line.startswith("RssAnon:")), 0)

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def files_with(self, text):
        """(those of its files that hold text, the bytes that were searched): data and log"""
        needle = text.encode()
        paths = [os.path.join(root, name) for root, _, names in os.walk(
            os.path.join(self.society.dir, self.code)) for name in names]
        found, searched = [], 0
        for path in [path for path in paths if os.path.isfile(path)] + [self.log]:
            rest = b""
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    searched += len(block)
                    if needle in rest + block and path not in found:
                        found.append(path)
                    rest = block[-len(needle):]
        return [os.path.relpath(path, self.society.dir) for path in found], searched


class Society:
    """with Society(...) as society: ..., from the main thread."""

    def __init__(self, bin_directory, chapters, patience=300):
        self.patience = patience  # seconds that an agreement may take
        self.chapterd = os.path.join(bin_directory, "chapterd")
        self.chapterctl = os.path.join(bin_directory, "chapterctl")
        self.chapters = chapters
        self.ports = Ports()
        self.lock = threading.Lock()
        self.stopping = False
        self.dir = None
        self.pool = None
        self.hq = None
        self.nodes = {}  # HQ among them

    def __enter__(self):
        self.pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        try:
            self.dir = tempfile.mkdtemp(prefix="chapterd-demo-")
            self.hq = Node(self, "hq", "Example Society", "", True)
            self.nodes = {"hq": self.hq}
            for at, row in enumerate(self.chapters):
                listens = at % 4 < 2  # France and Luxembourg do, Québec only dials out
                self.nodes[row["id"]] = Node(self, row["id"], row["name"], row["country"], listens)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        """Quickly and for good; who wants a clean end stops the nodes before."""
        with self.lock:
            self.stopping = True  # from here on nobody begins a process
        end_children()
        self.pool.shutdown(cancel_futures=True)
        end_children()
        if self.dir is not None:
            shutil.rmtree(self.dir, ignore_errors=True)

    def check_room(self, bytes_needed):
        longest = max(len(self.dir) + len(code) for code in self.nodes) + len("//control.sock")
        check(longest <= SOCKET_PATH_MAX, "the path of a socket in %s would be longer than %d"
              " characters: set TMPDIR to a shorter one" % (self.dir, SOCKET_PATH_MAX))
        free = shutil.disk_usage(self.dir).free
        check(free > bytes_needed, "the nodes' files take up to %d MB, and %s has %d MB left:\n"
              "set TMPDIR to a directory with more, or take fewer --chapters or --members" % (
                  bytes_needed >> 20, self.dir, free >> 20))

    # --- processes ------------------------------------------------------------------------------

    def begin(self, argv, **options):
        with self.lock:
            if self.stopping:
                raise Stopping()
            return subprocess.Popen(argv, cwd=self.dir, **options)

    def run(self, argv, stdin=None, seconds=120):
        """(exit status, standard output, standard error)"""
        child = self.begin(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL)
        try:
            output, errors = child.communicate(stdin, seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise Failed("%s takes more than %d s" % (" ".join(argv)[:200], seconds)) from None
        return child.returncode, output, errors

    def each(self, work, items, done=None):
        """work(item) of all, some side by side; the results in the order of items.  done(how many)
        after each."""
        futures = [self.pool.submit(work, item) for item in items]
        try:
            for number, future in enumerate(concurrent.futures.as_completed(futures), 1):
                future.result()
                if done is not None:
                    done(number)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return [future.result() for future in futures]

    # --- making it ------------------------------------------------------------------------------

    def daemon_command(self, *args):
        return [self.chapterd, *args]

    def found(self, show):
        """HQ, running.  show(argv, output) is told about the command that made it."""
        for _ in range(10):
            argv = self.daemon_command("init", "--hq", "--dir", "hq", "--name", self.hq.name,
                                       "--listen", "127.0.0.1:%d" % self.ports.take())
            status, output, errors = self.run(argv)
            check(status == 0, "chapterd init: exit code %d\n%s" % (status, errors))
            self.hq.start()
            try:
                self.hq.wait_answer()
            except Failed:
                if "in use" not in self.hq.log_end():
                    raise
                shutil.rmtree(os.path.join(self.dir, "hq"))
                os.remove(self.hq.log)
                continue
            show(argv, output)
            return
        raise Failed("every port that HQ tried was taken meanwhile")

    def invite_command(self, node):
        return self.hq.argv("invite", node.code, "--name", node.name, "--country", node.country)

    def join(self, node, show=None):
        """A token from HQ, and the directory of a chapter that used it."""
        argv = self.invite_command(node)
        status, token, errors = self.run(argv)
        check(status == 0, "chapterctl invite %s: exit code %d\n%s" % (node.code, status, errors))
        token = token.strip()
        if show is not None:
            show(argv, token)
        for _ in range(10):
            where = (["--listen", "127.0.0.1:%d" % self.ports.take()] if node.listens
                     else ["--dial-only"])
            argv = self.daemon_command("join", token, "--dir", node.code, *where)
            status, output, errors = self.run(argv)
            if status == 0:
                if show is not None:
                    show(argv, output)
                return
            check("in use" in errors, "chapterd join, as %s: exit code %d\n%s" % (
                node.code, status, errors))
        raise Failed("every port that %s tried was taken meanwhile" % node.code)

    def running(self):
        return [node for node in self.nodes.values() if node.running()]

    def agreement(self, nodes, done):
        """Waits until the nodes have, of every feed that one of them is the origin of, what the
        origin has; the feeds of one.  done(how many) as it goes."""
        deadline = time.monotonic() + self.patience
        views = dict(zip([n.code for n in nodes], self.each(Node.feeds, nodes)))
        while True:
            truth = {code: view[code] for code, view in views.items()}
            behind = [node for node in nodes if any(
                views[node.code].get(code) != place for code, place in truth.items())]
            done(len(nodes) - len(behind))
            if not behind:
                return views[nodes[0].code]
            check(time.monotonic() < deadline, "not in step after %d s: %s" % (
                self.patience, " ".join(node.code for node in behind)))
            time.sleep(0.05)
            views.update(zip([n.code for n in behind], self.each(Node.feeds, behind)))

    def stop_all(self):
        """A clean end of all daemons, of which none logged an error: how many there were."""
        nodes = self.running()
        for node in nodes:
            node.process.terminate()
        for node in nodes:
            status = node.stop()
            check(status == 0, "chapterd of %s ended with %d; the end of its log:\n%s" % (
                node.code, status, node.log_end()))
            check(not node.errors(), "chapterd of %s logged errors: %s" % (
                node.code, "\n".join(node.errors()[:5])))
        return len(nodes)
