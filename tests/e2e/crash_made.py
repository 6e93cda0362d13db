# SPDX-License-Identifier: MPL-2.0
"""Directories that are made, and nodes that begin or begin again, under the same strikes as the
courses of crash_course.py.  For crash_test.py."""

import os
import shutil
import subprocess
import time

from collections import Counter

from control import Refused, Silent
from crash_course import FAILURES, MOMENTS, SETTLED, Struck, feeds_of, has_sanitizers_word
from federation import BIN, MENDED, SLOW, Node, check, fit_marker, wait_until
from strike import FAIL, Strike

PEOPLE = 5000  # more than one chunk of a snapshot


class Made:
    """A federation of hq and fr, in which directories come and go."""

    def __init__(self, federation, dice, positions):
        self.f, self.dice, self.positions = federation, dice, positions
        self.strike = Strike(os.path.join(federation.dir, "commands.strike"))
        self.calls = Counter()
        self.cycles = self.refused = self.missed = self.number = 0

    def note(self, strike):
        self.cycles += 1
        if strike.struck:
            self.calls[strike.struck[0]] += 1
        else:
            self.missed += 1

    # --- commands -------------------------------------------------------------------------------

    def run(self, args, stdin=None):
        return subprocess.run([os.path.join(BIN, "chapterd"), *args], input=stdin or "",
                              env=dict(os.environ, **self.strike.environment), text=True,
                              capture_output=True, timeout=60 * SLOW)

    def command(self, wanted, prepare, whole, stdin=None):
        """prepare(number): the arguments of a command that makes the directory of that number.
        Struck, it is given again, and does its work or says that it is done; then whole(number)."""
        begun = self.strike.calls
        args = prepare(self.number)
        done = self.run(args, stdin)
        check(done.returncode == 0, "%s: %s" % (args, done.stderr))
        every = [(n, how) for n in range(1, self.strike.calls - begun + 1)
                 for how in (*MOMENTS, *FAILURES)]
        for nth, how in self.positions(every, wanted, self.dice):
            self.number += 1
            args = prepare(self.number)
            self.strike.arm(nth, MOMENTS.get(how, FAIL), FAILURES.get(how, 0))
            done = self.run(args, stdin)
            self.strike.disarm()
            where = "%s: %s at call %d (%s)" % (args[0], how, nth, self.strike.struck)
            self.refused += how in FAILURES
            check(not has_sanitizers_word(done.stderr), "%s: %s" % (where, done.stderr))
            if how in MOMENTS:
                check(done.returncode == -9, "%s: exit %d" % (where, done.returncode))
            else:  # what cannot be helped is told, with what to do; leftovers may be left
                check(done.returncode == 0 or done.returncode == 1 and "\n  " in done.stderr,
                      "%s: exit %d: %s" % (where, done.returncode, done.stderr))
            self.note(self.strike)
            again = self.run(args, stdin)
            check(not has_sanitizers_word(again.stderr), "%s; again: %s" % (where, again.stderr))
            check(again.returncode == 0 or again.returncode == 1 and "already" in again.stderr,
                  "%s; again: exit %d: %s" % (where, again.returncode, again.stderr))
            whole(self.number)

    def node(self, number, code):
        node = Node(self.f, "%s-%d" % (code, number))
        self.f.nodes[node.code] = node  # so that it is ended whatever happens
        return node

    def must_start(self, node):
        node.start(wait=False)
        self.f.all_answer([node])
        node.kill()
        del self.f.nodes[node.code]
        shutil.rmtree(node.dir)

    def init(self, wanted):
        def prepare(number):
            return ["init", "--hq", "--dir", os.path.join(self.f.dir, "init-%d" % number),
                    "--listen", "127.0.0.1:9"]

        def whole(number):
            node = self.node(number, "init")
            with open(os.path.join(node.dir, "chapterd.conf"), "w") as file:
                file.write("listen = \"dial-only\"\n")
            self.must_start(node)

        self.command(wanted, prepare, whole)

    def join(self, wanted):
        tokens = {}

        def prepare(number):
            tokens[number] = tokens.get(number) or self.f.invite("j%d" % number)
            return ["join", tokens[number], "--dial-only", "--dir",
                    os.path.join(self.f.dir, "join-%d" % number)]

        def whole(number):
            node = self.node(number, "join")
            node.start(wait=False)
            self.f.all_answer([node])
            node.wait_roster()
            wait_until(lambda: node.add(name="Of %d" % number)["ok"], 20, "it writes")
            wait_until(lambda: self.f.hq.feeds().get("j%d" % number) ==
                       node.feeds()["j%d" % number], MENDED, "HQ has it")
            node.kill()
            del self.f.nodes[node.code]

        self.command(wanted, prepare, whole)

    def restore(self, wanted):
        fr = self.f.nodes["fr"]
        path = os.path.join(self.f.dir, "fr.backup")
        fr.ctl("backup", path)
        fr.stop()  # of it, each restored one is a copy

        def prepare(number):
            return ["restore", path, "--dir", os.path.join(self.f.dir, "restored-%d" % number)]

        self.command(wanted, prepare, lambda number: self.must_start(self.node(number, "restored")))

    # --- a snapshot -----------------------------------------------------------------------------

    def snapshot(self, wanted):
        """A node that has nothing of a feed gets the whole of it, as often as it is put back to
        before that; it writes nothing itself."""
        qc = self.f.nodes["qc"] = self.f.join("qc", listen=False)
        wait_until(lambda: "qc" in self.f.hq.feeds(), MENDED, "qc has begun")
        qc.stop()
        empty = qc.dir + ".empty"
        shutil.copytree(qc.dir, empty)
        es = self.f.join("es")
        for first in range(0, PEOPLE, 1000):
            check(all(r["ok"] for r in es.apply([{"op": "put", "fields": {"name": "M %d" % n}}
                                                 for n in range(first, first + 1000)])), "es")
        struck = Struck(self.f, qc)

        newest = es.feeds()["es"]

        def in_step():
            return newest in [(x["epoch"], x["seq"], x["digest"])
                              for x in feeds_of([qc]).get("qc", ())]

        def begin():
            shutil.rmtree(qc.dir)
            shutil.copytree(empty, qc.dir)
            fit_marker(qc.dir)

        def fetch():
            struck.start()
            struck.until(in_step, "the snapshot", 30)

        begin()
        begun = struck.strike.calls
        fetch()
        length = struck.strike.calls - begun
        qc.kill()
        for nth, moment in self.positions([(n, m) for n in range(1, length + 1) for m in MOMENTS],
                                          wanted, self.dice):
            begin()
            struck.strike.arm(nth, MOMENTS[moment])
            fetch()
            self.note(struck.strike)
            struck.strike.disarm()
            if struck.gone():
                fetch()
            check(not struck.gone(), "it does not start after call %d" % nth)
            verified = qc.ask("verify", 30, deep=True)
            check(verified["ok"] == verified["origins"] and not verified["differences"], verified)
            check(qc.ask("counts")["memberships"] >= PEOPLE, "the snapshot is not whole")
            qc.kill()

    # --- a new epoch ----------------------------------------------------------------------------

    def restored(self, codes):
        """Chapters that stand where backups left them, each with members written since."""
        struck = []
        for code in codes:
            node = self.f.join(code, listen=False)
            each = Struck(self.f, node)
            struck.append(each)
            each.burst()
            path = os.path.join(self.f.dir, code + ".old")
            node.ctl("backup", path)
            each.load()
            wait_until(lambda: self.f.hq.feeds().get(code) == node.feeds()[code], MENDED, "HQ has it")
            node.stop()
            shutil.rmtree(node.dir)
            self.f.daemon("restore", path, "--dir", node.dir)
        return struck

    def healed(self, chapters):
        """All start, and write again in their next epoch; what was acknowledged is there, here and at HQ."""
        for each in chapters:
            each.strike.disarm()
            if each.gone():
                each.start()
        for each in chapters:
            each.until(each.answers, "it starts")
            each.must_write()
        for each in chapters:
            code = each.node.code
            wait_until(lambda: self.f.hq.feeds()[code] == each.node.feeds()[code] and
                       each.node.feeds()[code][0] == 2, 40, "HQ follows")
            for node in (each.node, self.f.hq):
                each.ledger.settle({m["id"]: m["name"] for m in
                                    node.json("members", "list", "--chapter", code)})
            check(each.node.counters()["forks"] == self.f.hq.counters()["forks"] == 0, "a fork")
            each.node.ctl("verify", "--deep")
            each.node.kill()

    def begun(self, chapters):
        """Has HQ a head of the next epoch of each of them?"""
        try:
            feeds = self.f.hq.control.ask("status", 0.2 * SLOW)["feeds"]
        except (Silent, Refused):
            return False
        epochs = {x["chapter"]: x["epoch"] for x in feeds}
        return all(epochs.get(e.node.code, 0) >= 2 for e in chapters)

    def rejoin(self, wanted, length=40):
        """Many at once, each killed somewhere on its way into the next epoch."""
        chapters = self.restored(["r%d" % n for n in range(wanted)])
        for each in chapters:
            each.strike.arm(self.dice.randint(1, length), MOMENTS[self.dice.choice(list(MOMENTS))])
            each.start()
        deadline = time.monotonic() + 12 * SLOW
        while time.monotonic() < deadline and not self.begun(e for e in chapters if not e.gone()):
            time.sleep(0.05)
        time.sleep(SETTLED)
        for each in chapters:
            self.note(each.strike)
            if not each.gone():
                each.node.kill()
        self.healed(chapters)

    def rejoin_there(self, wanted, length=12):
        """HQ is killed again and again while chapters ask it for their next epoch."""
        chapters = self.restored(["s%d" % n for n in range(3)])
        self.f.hq.stop()
        hq = Struck(self.f, self.f.hq)
        for each in chapters:
            each.start()
        for _ in range(wanted):
            hq.strike.arm(self.dice.randint(12, 12 + length),  # its start makes about 12
                          MOMENTS[self.dice.choice(list(MOMENTS))])
            hq.start()
            deadline = time.monotonic() + 3 * SLOW
            while time.monotonic() < deadline and not hq.gone() and not self.begun(chapters):
                time.sleep(0.01)
            self.note(hq.strike)
            hq.node.kill()
        hq.strike.disarm()
        hq.start()
        check(hq.until(hq.answers, "HQ answers"), "HQ does not start")
        self.healed(chapters)
        self.f.hq.ctl("verify", "--deep")
