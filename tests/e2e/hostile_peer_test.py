# SPDX-License-Identifier: MPL-2.0
"""Members of the federation that ask for more than is good: storms of wants that nobody reads,
bombs, floods of subscriptions, hellos and beats, more connections than anybody needs, subscribers
that stop.  Whatever they do, the memory of the attacked daemon stays below a bound, and what others
write arrives.

Each attack comes with the keys of another chapter: the worst of them are locked out for a minute."""

import os
import statistics
import threading
import time

import zmq

from control import Control, rows
from federation import SLOW, Federation, check, main, need_descriptors, wait_until
from peer import EPOCH_REQUEST, EVENT, Peer, SignKey, pack

ATTACKERS = ["at", "be", "ch", "de", "es", "fi", "gr", "hu", "it"]
SECONDS = 2.5
MEMBERS = 8000  # of HQ's feed: what can be asked for, in chunks as large as they get
MORE_MEMORY_MAX = 96e6 * (1 if SLOW == 1 else 4)
SEEN_MAX_S = 1.0 * SLOW


class Attack(threading.Thread):
    """strike(number of the blow) again and again, as fast as it goes."""

    def __init__(self, strike):
        super().__init__(daemon=True)
        self.strike = strike
        self.ending = False
        self.blows = 0
        self.failed = None

    def run(self):
        try:
            while not self.ending:
                self.strike(self.blows)
                self.blows += 1
        except zmq.ZMQError as error:
            self.failed = error


def put(socket, message):
    """What does not go out at once is given up, as by somebody who has more."""
    try:
        socket.send(message, zmq.NOBLOCK)
    except zmq.Again:
        time.sleep(0.001)


def seen_after(f, at):
    """Seconds from a write at HQ until the other node tells of it."""
    number = at.control.send("log", {"chapter": "hq", "after": {"hq": f.hq.feeds()["hq"][1]},
                                     "wait_ms": 20000})
    time.sleep(0.02)
    begun = time.monotonic()
    check(f.hq.ask("members.apply", ops=[{"op": "put", "fields": {"name": "N"}}])["results"][0]["ok"],
          "a write at HQ")
    reply = at.control.receive(20 * SLOW)
    check(reply is not None and reply[0] == number and reply[2].get("changes"),
          "%s does not see a write of HQ: %s" % (at.code, reply))
    return time.monotonic() - begun


def withstand(f, name, strike, seconds=SECONDS):
    """HQ under attack: its memory, and how soon others see what is written."""
    before = f.hq.private_memory()
    cut = f.hq.counters()["cut_connections"]
    attack = Attack(strike)
    attack.start()
    end = time.monotonic() + seconds
    peak, took = 0, []
    while time.monotonic() < end:
        took.append(seen_after(f, f.nodes["lu"]))
        peak = max(peak, f.hq.private_memory() - before)
    attack.ending = True
    attack.join(10)
    check(not attack.is_alive() and attack.failed is None, "the attack: %s" % attack.failed)
    cut = f.hq.counters()["cut_connections"] - cut
    print("        %-28s %7d blows, memory +%5.1f MB, seen after %3.0f ms (at most %.0f), %d"
          " connections cut" % (name, attack.blows, peak / 1e6, 1000 * statistics.median(took),
                                1000 * max(took), cut), flush=True)
    check(peak < MORE_MEMORY_MAX, "%s: %.1f MB more memory" % (name, peak / 1e6))
    check(statistics.median(took) < SEEN_MAX_S, "%s: writes are seen after %.1f s" % (
        name, statistics.median(took)))
    return cut


def locked_out(f, code, reason):
    wait_until(lambda: logged(f.hq, "event=peer_cut peer=%s reason=%s" % (code, reason)), 20,
               "HQ says that it cut %s off" % code)
    refused = f.hq.counters()["refused_handshakes"]
    with Peer(f, code) as peer:
        peer.dial("hq").send(peer.hello())
        wait_until(lambda: f.hq.counters()["refused_handshakes"] > refused, 20,
                   code + " is locked out")


def logged(node, text):
    with open(node.log, errors="replace") as log:
        return text in log.read()


class Battlefield(Federation):
    """HQ with something to ask for, lu that looks on, and chapters whose keys are misused."""

    def __enter__(self):
        need_descriptors(4096)
        super().__enter__()
        self.join_all(["fr"], ["lu"] + ATTACKERS)
        self.hq.ctl("import", self.samples(), "--apply")
        self.nodes["fi"].wait_roster()
        check(self.nodes["fi"].add(name="somebody")["ok"], "fi writes")
        self.agree(60)
        for code in ATTACKERS:
            self.nodes[code].stop()
        return self

    def samples(self):
        path = os.path.join(self.dir, "members.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write("kind,name,email,country,joined,language\n")
            for n in range(MEMBERS):
                file.write("organization,Association %d of %s,o%d@mail.example,FR,2001-02-03,fr\n"
                           % (n, "something or other " * 4, n))
        return path

    def end_well(self):
        """The federation has taken no harm."""
        self.agree(30, [self.hq, self.nodes["fr"], self.nodes["lu"]])
        self.verify_all()
        self.check_logs()


def nobody_reads():
    """Options of a socket through which its peer can send next to nothing."""
    return {"RCVHWM": 1, "RCVBUF": 4096}


def test_storms_of_wants():
    with Battlefield() as f:
        with Peer(f, "at") as peer:
            socket = peer.dial("hq", **nobody_reads())
            socket.send(peer.hello())
            withstand(f, "wants, nothing is read",
                      lambda n: put(socket, peer.want(n + 1, "hq")))
        with Peer(f, "be") as peer:
            sockets = [peer.dial("hq", **nobody_reads()) for _ in range(20)]
            for socket in sockets:
                socket.send(peer.hello())
            withstand(f, "the same on 20 connections",
                      lambda n: put(sockets[n % 20], peer.want(n + 1, "hq")))
            # it has as many as it may have, and not one more
            wait_until(lambda: f.hq.counters()["cut_connections"] >= 17, 10,
                       "17 of 20 connections are cut")
        with Peer(f, "ch") as peer:
            socket = peer.dial("hq", **nobody_reads())
            socket.send(peer.hello())

            def credit(n):
                """It says that it took what it did not."""
                if n % 20 == 0:
                    put(socket, peer.want(n + 1, "hq"))
                put(socket, pack([7, n - n % 20 + 1, 1]))

            withstand(f, "wants, false credit", credit)
        with Peer(f, "de") as peer:
            socket = peer.dial("hq")
            socket.send(peer.hello())
            got = [0]

            def ask_and_read(n):
                put(socket, peer.want(n + 1, "hq"))
                while socket.poll(0):
                    got[0] += len(socket.recv())

            withstand(f, "wants, all is read", ask_and_read)
            check(got[0] > 1e6, "wants were not answered")
        f.end_well()


def test_bombs():
    bombs = [b"\x91" * 1000000, b"\xc1" * 1000000, b"\x96\x06" + b"\xdf\xff\xff\xff\xff" * 190000,
             pack([EVENT, 1, 0, b"x" * 300, [[1, b"i" * 16, 9, {}]] * 20000]),
             pack([EVENT, 1, 0, b"x" * 384, []]), b"", b"\x90", pack([1] * 15)]
    with Battlefield() as f:
        with Peer(f, "at") as peer:
            socket = peer.dial("hq")
            socket.send(peer.hello())
            cut = withstand(f, "bombs", lambda n: put(socket, bombs[n % len(bombs)]))
            check(cut >= 1, "not cut off")
        locked_out(f, "at", "nonsense")
        with Peer(f, "be") as peer:
            sockets = [peer.dial("hq") for _ in range(20)]
            withstand(f, "bombs on 20 connections",
                      lambda n: put(sockets[n % 20], bombs[n % 3]))
        with Peer(f, "ch") as peer:
            socket = peer.dial("hq")
            socket.send(peer.hello())
            kinds = [pack([kind, b"x" * 500000]) for kind in (100, 200, 255)]
            cut = withstand(f, "messages of a later version", lambda n: put(socket, kinds[n % 3]))
            check(cut == 0, "cut off for what it may say")
        f.end_well()


def test_floods():
    with Battlefield() as f:
        with Peer(f, "at") as peer:
            socket = peer.dial("hq", zmq.XSUB)
            withstand(f, "long subscriptions",
                      lambda n: put(socket, b"\1" + n.to_bytes(8, "big") + bytes(220)))
        locked_out(f, "at", "subscriptions")
        with Peer(f, "be") as peer:
            socket = peer.dial("hq", zmq.XSUB)
            withstand(f, "short subscriptions", lambda n: put(socket, b"\1" + n.to_bytes(8, "big")))
        locked_out(f, "be", "subscriptions")
        with Peer(f, "ch") as peer:
            socket = peer.dial("hq")
            entries = [[code, 1, 5, bytes(32), 0, 0, None] for code in sorted(f.nodes)]
            withstand(f, "hellos", lambda n: put(socket, peer.hello(entries)))
        with Peer(f, "fi") as peer:
            socket = peer.dial("hq")
            socket.send(peer.hello())
            head = next(x for x in f.hq.status()["feeds"] if x["chapter"] == "fi")
            before = f.nodes["lu"].counters()["signatures_checked"]
            withstand(f, "beats of its own", lambda n: put(socket, peer.beat(
                head["epoch"], head["seq"], bytes.fromhex(head["head_hash"]))))
            flooded = f.nodes["lu"].counters()["signatures_checked"] - before
            check(flooded < 2000 * SLOW, "%d beats were passed on" % flooded)
        f.end_well()


def test_forgeries_and_new_epochs():
    with Battlefield() as f:
        with Peer(f, "at") as peer:
            socket = peer.dial("hq")
            socket.send(peer.hello())
            head = next(x for x in f.hq.status()["feeds"] if x["chapter"] == "fr")
            forger = SignKey(os.urandom(32))
            before = f.hq.counters()["signatures_checked"]
            begun = time.monotonic()
            withstand(f, "beats that it forged", lambda n: put(socket, peer.beat(
                head["epoch"], head["seq"], bytes.fromhex(head["head_hash"]), of="fr", by=forger)))
            # 256 at once, 64 a second, and what honest nodes sign
            most = 256 + (64 + 100) * (time.monotonic() - begun)
            checked = f.hq.counters()["signatures_checked"] - before
            check(checked < most, "%d signatures were checked" % checked)
        with Peer(f, "be") as peer:
            socket = peer.dial("hq")
            socket.send(peer.hello())
            # HQ asks first, for 3 s, whether the daemon that was there is alive
            withstand(f, "new epochs", lambda n: put(socket, pack([EPOCH_REQUEST, n + 2, None])),
                      4 + SECONDS)
            epoch = next(c["epoch"] for c in f.hq.json("chapters", "list") if c["chapter"] == "be")
            check(1 < epoch <= 1 + 16 + 2 * SLOW, "epoch %d of be" % epoch)
        f.end_well()


def test_subscribers_that_stop():
    with Battlefield() as f:
        with Peer(f, "at") as peer:
            for _ in range(40):
                socket = peer.dial("hq", zmq.SUB, **nobody_reads())
                socket.setsockopt(zmq.SUBSCRIBE, b"")
                time.sleep(0.02)
            ids = [m["id"] for m in rows(f.hq.control, chapter="hq")][:1500]

            def write(n):
                """Events as large as they get."""
                with Control(f.hq.socket) as control:
                    check(control.ask("members.apply", 20, ops=[
                        {"op": "put", "id": i, "fields": {"name": "%d %s" % (n, "x" * 90)}}
                        for i in ids]), "a write")

            withstand(f, "40 stopped subscribers", write)
            wait_until(lambda: f.hq.counters()["cut_connections"] >= 30, 10,
                       "30 of 40 connections are cut")
        f.end_well()


if __name__ == "__main__":
    main(test_storms_of_wants, test_bombs, test_floods, test_forgeries_and_new_epochs,
         test_subscribers_that_stop)
