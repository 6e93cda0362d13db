# SPDX-License-Identifier: MPL-2.0
"""Writers that put down what was acknowledged, and compare it with what nodes show at the end."""

import random
import uuid

from control import Control
from federation import check

COUNTRIES = ("FR", "LU", "CA", "JP", "SN", "MA", "BR", "DE")
FEDERATION, HQ, OWN = ("country", "joined"), ("name", "email"), ("notes",)


class Entry:
    """One member: the newest value that was acknowledged (None: removed, or never written), and
    one whose answer was lost.  With one such it is not written any more, so that at the end it is
    the one or the other."""

    def __init__(self):
        self.value = None
        self.doubt = ()

    def may_be(self, value):
        return value == self.value or value in self.doubt


class Writer:
    """Writes to one node, several requests under way if asked to.  For one thread."""

    def __init__(self, node, seed):
        self.node = node
        self.code = node.code
        self.control = Control(node.socket)
        self.dice = random.Random("%s %s" % (seed, node.code))
        self.entries = {}
        self.live = []  # ids to choose from
        self.under_way = {}  # number of a request -> [(id, value)]
        self.busy = set()  # ids in those
        self.version = 0
        self.acknowledged = 0
        self.lost = 0

    # --- writing --------------------------------------------------------------------------

    def value(self):
        """Each is another one, and its day of joining says which."""
        self.version += 1
        day = self.version % 28 + 1, self.version // 28 % 12 + 1, 1950 + self.version // 336
        return {"name": "%s %d" % (self.code, self.version),
                "email": "%s.%d@mail.example" % (self.code, self.version),
                "country": self.dice.choice(COUNTRIES),
                "joined": "%04d-%02d-%02d" % day[::-1],
                "notes": "note %d" % self.version}

    def new_id(self):
        return str(uuid.UUID(int=self.dice.getrandbits(128), version=4))

    def choose(self):
        """An id and its next value: mostly new ones and edits, some removals and returns."""
        for _ in range(5):
            if not self.live or self.dice.random() < 0.4:
                break
            record = self.dice.choice(self.live)
            entry = self.entries[record]
            if record in self.busy or entry.doubt:
                continue
            if entry.value is not None and self.dice.random() < 0.2:
                return record, None
            return record, self.value()
        return self.new_id(), self.value()

    def send(self, count):
        """One request of count changes."""
        changes = []
        operations = []
        for _ in range(count):
            record, value = self.choose()
            changes.append((record, value))
            self.busy.add(record)
            self.entries.setdefault(record, Entry())
            operations.append({"op": "remove", "id": record} if value is None else
                              {"op": "put", "id": record, "fields": value})
        self.under_way[self.control.send("members.apply", {"ops": operations, "confirm": True})] = changes

    def receive(self, seconds=0):
        """Puts down the next answer; False if none comes."""
        reply = self.control.receive(seconds)
        if reply is None:
            return False
        number, code, result = reply
        changes = self.under_way.pop(number)
        for at, (record, value) in enumerate(changes):
            self.busy.discard(record)
            if code != 0:
                continue  # refused as a whole: nothing of it was done
            done = result["results"][at]
            check(done["ok"] and done["id"] == record, "%s refuses a write: %s" % (self.code, done))
            entry = self.entries[record]
            if value is not None and entry.value is None and record not in self.live:
                self.live.append(record)
            entry.value = value
            self.acknowledged += 1
        return True

    def lose(self):
        """The node went, or says nothing: what is under way was done, or not."""
        for changes in self.under_way.values():
            for record, value in changes:
                self.entries[record].doubt += (value,)
                self.lost += 1
        self.under_way.clear()
        self.busy.clear()
        self.control.close()

    # --- comparing ------------------------------------------------------------------------

    def settle(self, shown):
        """What the node itself shows, id -> member, decides what was in doubt; all else is the
        newest that was acknowledged."""
        for record in shown:
            check(record in self.entries, "%s shows a member that nobody wrote: %s" % (
                self.code, shown[record]))
        for record, entry in self.entries.items():
            value = self.of(shown.get(record), FEDERATION + HQ + OWN)
            check(entry.may_be(value), "%s: acknowledged was %s of %s, shown is %s" % (
                self.code, entry.value, record, value))
            entry.value, entry.doubt = value, ()

    @staticmethod
    def of(member, fields):
        return None if member is None else {f: member.get(f) for f in fields}

    def compare(self, shown, fields, at):
        """What another node shows of it."""
        for record in shown:
            check(record in self.entries, "%s shows a member that %s never wrote: %s" % (
                at, self.code, shown[record]))
        for record, entry in self.entries.items():
            check(self.of(shown.get(record), fields) == self.of(entry.value, fields),
                  "%s at %s: acknowledged was %s of %s, shown is %s" % (
                      self.code, at, entry.value, record, shown.get(record)))

    def members(self):
        return sum(e.value is not None for e in self.entries.values())
