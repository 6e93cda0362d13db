# SPDX-License-Identifier: MPL-2.0
"""A federation of which one node is killed, refused or starved, again and again, and what must hold
each time.  For crash_test.py."""

import errno
import glob
import os
import random
import shutil
import time
import uuid

from collections import Counter

from control import Refused, Silent, ask_all, rows
from federation import SLOW, Failed, check, wait_until
from strike import AFTER, BEFORE, FAIL, HALF_WAY, Strike

MOMENTS = {"before": BEFORE, "half-way": HALF_WAY, "after": AFTER}
FAILURES = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}
IMPORTED = 300
SETTLED = 0.15  # a stage that has ended may still write in the background


def has_sanitizers_word(text):
    """Their reports end a process with 1, too."""
    return "Sanitizer: " in text or "runtime error: " in text


def check_sanitizers(federation):
    """Nothing of theirs in what any daemon said, also of those that are gone."""
    for path in glob.glob(os.path.join(federation.dir, "*.log")):
        with open(path, errors="replace") as log:
            text = log.read()
            check(not has_sanitizers_word(text), "%s:\n%s" % (path, text[-6000:]))


class Ledger:
    """What was acknowledged of one chapter's members: id -> name, None for none; and what was
    asked for without an answer."""

    def __init__(self):
        self.names = {}
        self.doubts = {}
        self.version = 0

    def ask(self, records, removing=False):
        """The operations of a request, and what each makes of its record."""
        changes = {}
        for record in records:
            self.version += 1
            changes[record] = None if removing else "Member %d" % self.version
        return changes, [{"op": "remove", "id": r} if n is None else
                         {"op": "put", "id": r, "fields": {"name": n, "country": "FR"}}
                         for r, n in changes.items()]

    def acknowledge(self, changes):
        self.names.update(changes)

    def doubt(self, changes):
        for record, name in changes.items():
            self.doubts.setdefault(record, set()).add(name)

    def settle(self, shown):
        """Holds what a node shows against it; what was in doubt is so from now on."""
        for record in set(shown) | set(self.names) | set(self.doubts):
            name = shown.get(record)
            allowed = self.doubts.get(record, set()) | {self.names.get(record)}
            check(name in allowed, "%s is %s; acknowledged or asked for were %s" % (
                record, name, allowed))
            self.names[record] = name
        self.doubts.clear()


def feeds_of(nodes):
    """code -> feeds, of those that answer; nobody must."""
    try:
        return {code: status["feeds"] for code, status in
                ask_all({n.code: n.control for n in nodes}, "status", SLOW).items()}
    except Refused:
        return {}


class Struck:
    """A node whose calls are struck, with the ledger of its chapter."""

    def __init__(self, federation, node):
        self.f, self.node = federation, node
        self.strike = Strike(os.path.join(federation.dir, node.code + ".strike"))
        self.ledger = Ledger()
        self.erased = self.backups = self.edits = 0
        self.edited = self.invited = None
        self.may_be_silent = False
        self.refusal = None

    def record(self, kind, number):
        """An id that is this chapter's alone."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, "%s %s %d" % (self.node.code, kind, number)))

    def start(self):
        self.node.start(wait=False, prefix=self.strike.prefix)

    def gone(self):
        return not self.node.running()

    def answers(self):
        try:
            return bool(self.node.control.ask("version", 0.2))
        except (Silent, Refused):
            return False

    def until(self, question, text, seconds=40):
        """Waits until question() or until the node has died; True if it lives."""
        wait_until(lambda: self.gone() or question(), seconds, text, 0.005)
        return not self.gone()

    def request(self, requests):
        """Sends [(command, arguments, done)] and waits for the answers: done(code, result); with
        code None where none came because the node died."""
        control = self.node.control
        waiting = {control.send(command, arguments): done for command, arguments, done in requests}
        deadline = time.monotonic() + (1 if self.may_be_silent else 20) * SLOW
        last = False
        while waiting:
            reply = control.receive(0.02)
            if reply:
                number, code, result = reply
                if number in waiting:
                    waiting.pop(number)(code, result)
            elif last:
                break
            else:
                last = self.gone()  # what it said before is read all the same
                if time.monotonic() > deadline:
                    check(self.may_be_silent, "%s does not answer" % self.node.code)
                    break
        for done in waiting.values():
            done(None, None)
        if waiting:
            control.close()

    # --- writing ------------------------------------------------------------------------------

    def write(self, groups, removing=False):
        """One request for each group of records."""
        def taken(changes):
            def done(code, result):
                if code is None:
                    self.ledger.doubt(changes)
                elif code != 0:
                    self.refusal = result["error"]
                else:
                    self.ledger.acknowledge({r["id"]: changes[r["id"]]
                                             for r in result["results"] if r["ok"]})
                    self.refusal = [r for r in result["results"] if not r["ok"]][:1]
            return done

        requests = []
        for records in groups:
            changes, operations = self.ledger.ask(records, removing)
            requests.append(("members.apply", {"ops": operations, "confirm": True},
                             taken(changes)))
        self.request(requests)

    def must_write(self):
        """After a start it waits for the first hello, a restored one for its epoch, and says so."""
        record = self.record("check", 0)

        def written():
            before = self.ledger.version
            self.write([[record]])
            return self.ledger.names.get(record) == "Member %d" % (before + 1)

        try:
            wait_until(written, 30, self.node.code + " writes", 0.05)
        except Failed as failed:
            raise Failed("%s: %s" % (failed, self.refusal)) from None

    def single(self):
        self.write([[self.record("single", random.randrange(20))]])

    def burst(self):
        self.write([[self.record("burst", n)] for n in range(20)])

    def load(self):
        self.write([[self.record("load", n) for n in range(IMPORTED)]])

    def removal(self):
        self.write([[self.record("burst", n) for n in range(10)]], removing=True)

    def erase(self):
        record = self.record("erased", self.erased)
        self.erased += 1
        self.write([[record]])

        def done(code, _):
            if code is None:
                self.ledger.doubt({record: None})
            elif code == 0:
                self.ledger.acknowledge({record: None})

        self.request([("members.erase", {"id": record}, done)])

    # --- what else writes ---------------------------------------------------------------------

    def ask(self, command, **arguments):
        """A request whose answer may be an error, or none."""
        answer = []
        self.request([(command, arguments, lambda code, result: answer.extend((code, result)))])
        return answer[1] if answer[0] == 0 else None

    def compact(self):
        self.ask("compact")

    def backup(self):
        """The file is whole, or not there."""
        self.backups += 1
        path = os.path.join(self.f.dir, "%s.%d.backup" % (self.node.code, self.backups))
        answer = self.ask("backup", file=path)
        check(answer is None or os.path.exists(path), "an acknowledged backup is not there")
        if os.path.exists(path):
            there = path + ".dir"
            self.f.daemon("restore", path, "--dir", there)
            shutil.rmtree(there)
            os.unlink(path)

    def rotate(self):
        self.ask("keys.rotate")

    def roster(self):
        """At HQ: what was acknowledged is in force, also after the death."""
        self.edits += 1
        name = "Chapter %d" % self.edits
        self.edited = self.ask("chapters.edit", chapter="lu", name=name) and name
        if not self.gone():
            self.ask("chapters.suspend", chapter="lu")
        if not self.gone():
            self.ask("chapters.resume", chapter="lu")

    def invite(self):
        answer = self.ask("invite", chapter="x%d" % self.edits, name="Invited")
        self.edits += 1
        self.invited = answer and answer["chapter"]


class Course:
    """A federation of hq, fr and lu, of which one is struck, again and again."""

    def __init__(self, federation, code, dice):
        self.f = federation
        self.dice = dice
        self.fr = federation.join("fr")
        self.lu = federation.join("lu", listen=False)
        self.node = federation.nodes[code]
        self.node.stop()
        self.victim = Struck(federation, self.node)
        self.victim.start()
        self.other = self.fr if code == "hq" else self.lu
        self.theirs = Struck(federation, self.other)  # writes; is never struck
        self.calls = Counter()
        self.missed = self.cycles = self.ended = self.recoveries = self.said = 0
        self.check()

    # --- stages: each leaves the victim alive, or dead by the strike ----------------------------

    def starting(self):
        self.node.kill() if self.dice.random() < 0.5 else self.node.stop()
        yield
        self.victim.start()
        self.victim.until(self.victim.answers, "the start")

    def absence(self):
        """Changes of a few hundred records are fetched as a delta."""
        self.node.stop()
        self.written(self.theirs, self.theirs.load)
        yield
        self.victim.start()
        self.victim.until(self.agreed, "the delta")

    def events(self):
        yield
        self.written(self.theirs, self.theirs.burst)
        self.victim.until(self.agreed, "the events")

    def written(self, writer, write):
        """For once all of it must be taken."""
        names = dict(writer.ledger.names)
        wait_until(lambda: write() or names != writer.ledger.names, 20,
                   writer.node.code + " writes", 0.05)

    def restored(self, node, writer):
        """node stands where a backup left it, with something written since."""
        path = os.path.join(self.f.dir, node.code + ".old")
        node.ask("backup", 20, file=path)
        self.written(writer, writer.burst)
        wait_until(self.agreed, 30, "all agree", 0.01)
        node.stop()
        shutil.rmtree(node.dir)
        self.f.daemon("restore", path, "--dir", node.dir)
        os.unlink(path)

    def epoch(self, code):
        """As HQ has it; 0 while it does not answer."""
        feeds = feeds_of([self.f.hq]).get("hq", ())
        return max([x["epoch"] for x in feeds if x["chapter"] == code], default=0)

    def rejoin(self):
        """The victim was restored to its past: a new epoch, and all comes back."""
        epoch = self.epoch(self.node.code)
        self.restored(self.node, self.victim)
        yield
        self.victim.start()
        self.victim.until(lambda: self.epoch(self.node.code) > epoch and self.agreed(),
                          "the rejoin", 40)

    def rejoin_there(self):
        """The other was; the victim is HQ."""
        epoch = self.epoch(self.other.code)
        self.restored(self.other, self.theirs)
        yield
        self.other.start()
        self.victim.until(lambda: self.epoch(self.other.code) > epoch and self.agreed(),
                          "the rejoin", 40)

    def agreed(self):
        """The same epoch, seq and digest of every feed at all nodes, and tier hq at HQ."""
        nodes = self.f.running()
        feeds = feeds_of(nodes)
        views = [{x["chapter"]: (x["epoch"], x["seq"], x["digest"]) for x in each if x["seq"]}
                 for each in feeds.values()]
        return (len(views) == len(nodes) and len(views[0]) == 3 and
                all(view == views[0] for view in views) and
                all(x["hq_seq"] == x["seq"] for x in feeds.get("hq", ())))

    def run(self, stage):
        """The generator of a stage, whatever kind it is."""
        own = getattr(self.victim, stage, None)
        if own is None:
            yield from getattr(self, stage)()
        else:
            yield
            own()

    def go(self, stage, arm):
        """Runs one stage with the strike; kills the victim if it was not struck."""
        steps = self.run(stage)
        next(steps)
        arm()
        next(steps, None)

    def settle(self):
        deadline = time.monotonic() + SETTLED
        while time.monotonic() < deadline and not self.victim.gone():
            time.sleep(0.005)
        said = self.count_in_log("event=failed ") + self.count_in_log("event=start_failed ")
        if said > self.said:  # sanitizers take their time at the end
            wait_until(self.victim.gone, 10, "it ends, as it said", 0.005)
        self.said = said

    # --- what must hold -------------------------------------------------------------------------

    def check(self, recovering=False):
        """The database opens, all that was acknowledged is there, sums and counts are those of the
        rows, the others follow, and nobody has seen two histories.  recovering: the directory is an
        old one, and what was written since comes back."""
        victim = self.victim
        victim.strike.disarm()
        if victim.gone():
            victim.start()
        check(victim.until(victim.answers, "it answers after the start"), self.died())
        if not recovering:
            victim.ledger.settle(self.shown(self.node.code))
            check(self.count_in_log("event=recovering") == self.recoveries, self.died())
        self.check_roster()
        victim.must_write()
        wait_until(self.agreed, 30, "all agree", 0.01)
        self.recoveries = self.count_in_log("event=recovering")
        victim.ledger.settle(self.shown(self.node.code))
        if self.node is self.f.hq:
            self.theirs.ledger.settle(self.shown(self.other.code))
        verified = self.node.ask("verify", 30, deep=True)
        check(verified["ok"] == verified["origins"] == 3 and not verified["differences"], verified)
        self.check_counts()
        for code, status in self.f.ask_all("status").items():
            check(status["counters"]["forks"] == 0 and
                  all(x["state"] != "forked" for x in status["feeds"]), "a fork at " + code)

    def check_counts(self):
        counts = {c: {r["key"]: r["memberships"] for r in a["rows"]}
                  for c, a in self.f.ask_all("counts", by="chapter").items()}
        check(len(counts) == 3 and all(c == counts["hq"] for c in counts.values()), counts)
        alive = sum(n is not None for n in self.victim.ledger.names.values())
        check(counts["hq"].get(self.node.code, 0) == alive, "%s, not %d" % (counts, alive))

    def shown(self, chapter):
        return {m["id"]: m.get("name") for m in rows(self.node.control, chapter=chapter)}

    def check_roster(self):
        victim = self.victim
        if victim.edited:
            shown = self.node.ask("chapters.show", chapter="lu")["chapter"]
            check(shown["name"] == victim.edited, "%s, not %s" % (shown, victim.edited))
        if victim.invited:
            codes = [i["chapter"] for i in self.node.ask("invite.list")["invitations"]]
            check(victim.invited in codes, "an invitation was lost")
        victim.edited = victim.invited = None
        if self.node is self.f.hq:
            victim.ask("chapters.resume", chapter="lu")

    def died(self):
        with open(self.node.log, errors="replace") as log:
            return "%s ended with %s:\n%s" % (
                self.node.code, self.node.process and self.node.process.returncode,
                log.read()[-2000:])

    # --- killing --------------------------------------------------------------------------------

    def length(self, stage):
        """How many calls a stage makes, and how many allocations."""
        strike = self.victim.strike
        begun = []
        self.go(stage, lambda: begun.extend((strike.calls, strike.allocations)))
        self.settle()
        lengths = strike.calls - begun[0], strike.allocations - begun[1]
        check(lengths[0] > 0, stage + " changes no file")
        self.check(stage == "rejoin")
        return lengths

    def kill(self, stage, nth, moment):
        victim = self.victim
        self.go(stage, lambda: victim.strike.arm(nth, MOMENTS[moment]))
        self.settle()
        if victim.gone():
            check(self.node.process.returncode == -9 and victim.strike.struck, self.died())
            self.calls[victim.strike.struck[0]] += 1
        else:
            self.missed += 1  # fewer calls than the last time: it dies here
            self.node.kill()
        victim.node.process = None
        self.cycles += 1
        self.check_again(stage, "%s: killed %s call %d (%s)" % (stage, moment, nth,
                                                                victim.strike.struck))

    # --- refusing -------------------------------------------------------------------------------

    def fail(self, stage, nth, error):
        """The call fails: the daemon answers so and goes on, or it ends with its reason; where the
        database itself has an I/O error, it ends."""
        victim = self.victim
        ready = self.count_in_log("event=ready")
        self.go(stage, lambda: victim.strike.arm(nth, FAIL, FAILURES[error]))
        self.settle()
        struck = victim.strike.struck
        where = "%s: %s at call %d (%s)" % (stage, error, nth, struck)
        self.cycles += 1
        if struck:
            self.calls[struck[0]] += 1
        else:
            self.missed += 1
        begun = self.count_in_log("event=ready") > ready or not self.starts(stage)
        of_database = struck and struck[1].endswith("/db/data.mdb")
        if of_database and struck[0] == "pwrite" and not victim.gone():
            # LMDB's last page of a commit, perhaps: then its environment is of no use any more,
            # which the daemon finds out when it touches it next.
            victim.ask("members.list", limit=1)
            self.settle()
        fatal = of_database and error == "EIO"
        full = of_database and error == "ENOSPC" and begun  # but for LMDB's last page: then it ends
        if fatal:
            wait_until(victim.gone, 10, where + ": it goes on after an I/O error", 0.005)
        if victim.gone():
            self.check_end(where)
            check(not full or struck[0] == "pwrite", where + ": it ends for want of room")
        self.check_again(stage, where)

    def starve(self, stage, nth, count):
        """Its own code gets no memory: an error is answered, or it ends with its reason."""
        victim = self.victim
        victim.may_be_silent = True
        self.go(stage, lambda: victim.strike.starve(nth, count))
        self.settle()
        victim.may_be_silent = False
        where = "%s: no memory from allocation %d on, %d times" % (stage, nth, count)
        self.cycles += 1
        self.missed += victim.strike.starved == 0
        if victim.gone():
            self.check_end(where)
        self.check_again(stage, where)

    def starts(self, stage):
        return stage in ("starting", "absence", "rejoin")

    def count_in_log(self, text):
        with open(self.node.log, errors="replace") as log:
            return log.read().count(text)

    def check_end(self, where):
        """By itself, with what happened and what to do."""
        code = self.node.process.returncode
        self.ended += 1
        with open(self.node.log, errors="replace") as log:
            last = log.read().splitlines()[-3:]
        said = [line for line in last if "event=failed " in line or "event=start_failed " in line]
        check(code == 1 and said and "remedy=" in said[0], "%s: it ended with %s: %s" % (
            where, code, last))
        self.node.process = None

    def check_again(self, stage, where):
        try:
            self.check(stage == "rejoin")
        except Failed as failed:
            raise Failed("%s: %s" % (where, failed)) from None
