# SPDX-License-Identifier: MPL-2.0
"""The measures: each does the same work with real daemons and with limit.c, one after the other,
on the same disk."""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from federation import BIN, SLOW, Federation, check, die_with_parent, wait_until  # noqa: E402
from rows import active_of  # noqa: E402
from wire import received_bytes  # noqa: E402

PROGRAMS = os.path.join(BIN, "..", "tests", "bench")
LONG = 900  # seconds that nothing here takes
ID_SIZE = 16


def program(name, *args):
    """Runs limit or probe: what it printed, as Python."""
    run = subprocess.run([os.path.join(PROGRAMS, name), *map(str, args)], capture_output=True,
                         text=True, timeout=LONG * SLOW, preexec_fn=die_with_parent)
    check(run.returncode == 0, "%s %s: exit %d\n%s" % (name, args, run.returncode,
                                                       run.stderr[-2000:]))
    return json.loads(run.stdout)


def limit(mode, csv, count, receivers, *more):
    """limit.c's result, with the bytes on disk at the writer and at the first receiver."""
    with tempfile.TemporaryDirectory(prefix="chapterd-limit-") as directory:
        before = children_seconds()
        result = program("limit", mode, csv, directory, count, receivers, *more)
        result["cpu"] = children_seconds() - before
        result["disk"] = [disk_bytes(os.path.join(directory, name))
                          for name in ("writer", "receiver0")]
    return result


def disk_bytes(directory):
    """Blocks that the database takes, in bytes."""
    return sum(os.stat(os.path.join(directory, name)).st_blocks * 512
               for name in os.listdir(directory))


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def children_seconds():
    """Processor time of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def task_seconds(pid):
    """Processor time of all threads, in nanosecond steps where the kernel counts them."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as file:
                total += int(file.read().split()[0])
        except FileNotFoundError:
            continue
    return total / 1e9


# --- the federation with all members ------------------------------------------------------------


class Loaded:
    """HQ and fr, into which the CSV is imported; each measure goes on from there."""

    def __init__(self, options, csv, results):
        self.options, self.csv, self.results = options, csv, results
        self.federation = Federation("Benchmark Society")
        self.fr = self.lu = None

    def __enter__(self):
        self.federation.__enter__()
        self.hq = self.federation.hq
        return self

    def __exit__(self, *what):
        return self.federation.__exit__(*what)

    def add(self, key, ours, limit_value=None):
        self.results.add(key, ours, limit_value)

    def join(self, code):
        token = self.federation.invite(code, "--records-max", str(4 * self.options.members),
                                       "--bytes-max", "64G")
        return self.federation.join(code, token=token)

    def standing(self, node):
        """Where a node stands in fr's feed: epoch, seq, digest."""
        feed = node.json("status", "fr")["feeds"][0]
        return feed["epoch"], feed["seq"], feed["digest"]

    def wait_for(self, node):
        """Until the node has verified what fr has now."""
        target = self.standing(self.fr)
        wait_until(lambda: self.standing(node) == target, LONG, node.code + " follows", 0.01)

    def load(self, report):
        """The import: time, wire, disk, memory."""
        members = self.options.members
        ceiling = limit("import", self.csv, members, 1) if report else None
        self.fr = self.join("fr")
        self.federation.agree()
        daemons = (self.fr.process.pid, self.hq.process.pid)
        before = received_bytes(self.hq.process.pid)
        cpu = -children_seconds() - sum(map(task_seconds, daemons))
        begun = time.monotonic()
        client_memory = self.import_all()
        returned = time.monotonic() - begun
        cpu += children_seconds()
        self.wait_for(self.hq)
        seconds = time.monotonic() - begun
        cpu += sum(map(task_seconds, daemons))
        got = self.hq.json("counts")["memberships"]
        check(got == active_of(members), "HQ counts %d members of %d" % (got, members))
        wait_until(lambda: self.hq.json("counts")["persons"] == active_of(members), LONG,
                   "HQ has counted the persons", 0.05)
        persons = time.monotonic() - begun - seconds
        if not report:
            return
        self.add("import_rate", members / seconds, members / ceiling["seconds"])
        self.add("import_client", returned)
        self.add("import_persons", persons)
        self.add("import_cpu", 1e6 * cpu / members, 1e6 * ceiling["cpu"] / members)
        self.add("import_wire", (received_bytes(self.hq.process.pid) - before) / members,
                 ceiling["sent_bytes"] / members)
        for key, node, disk in (("origin", self.fr, 0), ("hq", self.hq, 1)):
            self.add("import_disk_" + key, disk_bytes(os.path.join(node.dir, "db")) / members,
                     ceiling["disk"][disk] / members)
            self.add("import_memory_" + key, node.private_memory() / 1e6)
        self.add("import_client_memory", client_memory / 1e6)

    def import_all(self):
        """Runs chapterctl import --apply; returns its largest RssAnon as seen 20 times a second."""
        largest = 0
        with tempfile.TemporaryFile() as output, subprocess.Popen(
                [os.path.join(BIN, "chapterctl"), "-s", self.fr.socket, "-q", "import", self.csv,
                 "--apply"], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                preexec_fn=die_with_parent) as client:
            while client.poll() is None:
                with open("/proc/%d/status" % client.pid) as status:
                    for line in status:
                        if line.startswith("RssAnon:"):
                            largest = max(largest, int(line.split()[1]) * 1024)
                try:
                    client.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
            output.seek(0)
            check(client.returncode == 0, "import: " + output.read().decode()[-2000:])
        return largest

    def counts(self):
        """What HQ's processor does for a request (all its threads), and how fast they go through."""
        pid = self.hq.process.pid
        for key, by in (("counts", []), ("counts_country", ["country"])):
            before = task_seconds(pid)
            result = program("probe", "counts", self.hq.socket, 4000, 32, *by)
            check(result["members"] == active_of(self.options.members), "what is counted")
            self.add(key, 1e3 * (task_seconds(pid) - before) / result["requests"])
            self.add(key + "_elapsed", 1e3 * result["seconds"] / result["requests"])

    def sync(self):
        """A new chapter takes the whole feed over."""
        members = self.options.members
        ceiling = limit("sync", self.csv, members, 1)
        token = self.federation.invite("lu")
        self.lu = self.federation.join("lu", token=token, start=False)
        begun = time.monotonic()
        self.lu.start()
        self.wait_for(self.lu)
        self.add("sync_rate", members / (time.monotonic() - begun), members / ceiling["seconds"])
        self.add("sync_wire", received_bytes(self.lu.process.pid) / members,
                 ceiling["sent_bytes"] / members)
        self.add("sync_disk", disk_bytes(os.path.join(self.lu.dir, "db")) / members,
                 ceiling["disk"][1] / members)
        self.add("sync_memory", self.lu.private_memory() / 1e6)

    def update(self):
        """Changes of random members for some seconds; HQ's lag while they go on."""
        seconds = self.options.seconds
        ceiling = None
        for key, clients, window, ops in (("update_one", 1, 8, 128), ("update_many", 32, 1, 1)):
            result = program("probe", "update", self.fr.socket, "fr", seconds, clients, window, ops,
                             self.hq.socket)
            rate = result["updates"] / result["seconds"]
            if ceiling is None:
                done = max(1000, int(rate) * seconds // 1000 * 1000)
                run = limit("update", self.csv, self.options.members, 1, done)
                ceiling = done / run["seconds"]
            third = len(result["lag"]) // 3
            first, last = (1e3 / rate * statistics.mean(part)
                           for part in (result["lag"][:third], result["lag"][-third:]))
            self.add(key, rate, ceiling if key == "update_one" else None)
            self.add(key + "_lag", last)
            self.add(key + "_growth", last - first)
            self.wait_for(self.hq)

    def catchup(self):
        """lu is away while members change; then it asks for what it missed."""
        changes = min(10000, self.options.members)
        if self.lu is None:
            self.lu = self.federation.join("lu")
        self.wait_for(self.lu)
        self.lu.stop()
        members = self.fr.json("members", "list", "--chapter", "fr", "--limit", str(changes),
                               timeout=LONG)
        for member in members:
            member["country"] = "FR" if member["country"] != "FR" else "LU"
        done = self.fr.apply([{"op": "put", "id": m["id"], "fields": {"country": m["country"]}}
                              for m in members])
        check(len(done) == changes and all(line["ok"] for line in done), "changes at fr")
        begun = time.monotonic()
        self.lu.start()
        self.wait_for(self.lu)
        self.add("catchup_seconds", time.monotonic() - begun)
        size = sum(ID_SIZE + federation_value_size(member) for member in members)
        self.add("catchup_bytes", received_bytes(self.lu.process.pid) / size)

    def idle(self):
        nodes = (("idle_origin", self.fr), ("idle_hq", self.hq))
        self.federation.agree(LONG)
        time.sleep(2)
        before = [task_seconds(node.process.pid) for _, node in nodes]
        time.sleep(2 * self.options.seconds)
        for (key, node), cpu in zip(nodes, before):
            self.add(key, 100 * (task_seconds(node.process.pid) - cpu) / (2 * self.options.seconds))


def federation_value_size(member):
    """Of a member's value of tier federation in MessagePack: what another chapter must have."""
    size = 1
    for name in ("country", "joined", "kind", "status"):
        size += 1 + len(name) + 1 + len(member[name])
    return size + 1 + len("updated") + 5


# --- one write in a federation of three ---------------------------------------------------------


def write(options, csv, results):
    ceiling = limit("write", csv, options.writes, 2)["latency_ns"]
    with Federation("Benchmark Society") as federation:
        fr, lu = federation.join("fr"), federation.join("lu")
        federation.agree()
        ours = program("probe", "write", fr.socket, "fr", options.writes, federation.hq.socket,
                       lu.socket)
        federation.agree()
    everywhere = [max(pair) for pair in zip(*ours["visible_ns"])]
    least = [max(pair) for pair in zip(*ceiling)]
    results.add("write_p50", quantile(everywhere, 0.5) / 1e6, quantile(least, 0.5) / 1e6)
    results.add("write_p99", quantile(everywhere, 0.99) / 1e6, quantile(least, 0.99) / 1e6)
    results.add("write_ack_p50", quantile(ours["acknowledged_ns"], 0.5) / 1e6)


def one_run(options, csv, measures, results):
    if "write" in measures:
        write(options, csv, results)
    loaded_measures = [m for m in ("counts", "sync", "update", "catchup", "idle") if m in measures]
    if "import" in measures or loaded_measures:
        with Loaded(options, csv, results) as loaded:
            loaded.load("import" in measures)
            for measure in loaded_measures:
                getattr(loaded, measure)()


def free_bytes(directory):
    return shutil.disk_usage(directory).free
