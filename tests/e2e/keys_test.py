# SPDX-License-Identifier: MPL-2.0
"""Signing keys give way to others: a chapter's, HQ's, and HQ's by the recovery key."""

import os
import re
import shutil
import time

from federation import HEARD, MENDED, Federation, Node, check, free_port_pair, main, wait_until
from peer import Peer, SignKey, head_after, read_key


def founded(f, *codes):
    nodes = [f.join(code, listen=code != "lu") for code in codes]
    for node in nodes:
        check(node.add(name="First of " + node.code, country="FR")["ok"], node.code)
    f.agree()
    return nodes


def rotate(node):
    """A chapter's new key is in force when HQ's roster with it is here."""
    return node.json("-t", str(MENDED), "keys", "rotate")


def roster(node, code):
    return node.json("chapters", "show", code)


def no_quarrel(f):
    for node in f.running():
        status = node.status()
        check(all(x["state"] != "forked" for x in status["feeds"]), status["feeds"])
        check(status["counters"]["mismatches"] == 0, "%s: %s" % (node.code, status["counters"]))
    f.verify_all()


def test_of_a_chapter():
    with Federation() as f:
        fr, lu, qc = founded(f, "fr", "lu", "qc")
        before = fr.json("keys", "show")["sign_key"]
        qc.stop()
        shown = rotate(fr)
        check(shown["sign_key"] != before and shown["next_key"] is None, shown)
        check(roster(f.hq, "fr")["sign_key"] == shown["sign_key"], "the roster has it")
        # a head is signed with it at once, and the former one is void
        wait_until(lambda: roster(lu, "fr")["former_seq"], MENDED, "the former key is void",
                   0.1)
        check(fr.add(name="Signed anew", country="FR")["ok"], "fr writes")
        f.agree(nodes=[f.hq, fr, lu])
        qc.start()  # it knows the old key alone, and learns
        f.agree()
        # twice more, and over a restart in between
        for _ in range(2):
            rotate(fr)
            fr.stop()
            fr.start()
            check(fr.add(name="After a restart", country="FR")["ok"], "fr writes")
            f.agree()
        check(os.listdir(os.path.join(fr.dir, "keys")).count("sign.next") == 0, "no leftover")
        be = f.join("be")
        f.agree()
        check(be.feeds()["fr"] == fr.feeds()["fr"], "a newcomer has it, too")
        no_quarrel(f)


def test_a_copy_with_a_former_key():
    with Federation() as f:
        fr, lu = founded(f, "fr", "lu")
        fr.stop()
        copy = os.path.join(f.dir, "fr.copy")
        shutil.copytree(fr.dir, copy)
        fr.start()
        rotate(fr)
        check(fr.add(name="After the change", country="FR")["ok"], "fr writes")
        f.agree()
        fr.stop()
        shutil.rmtree(fr.dir)
        shutil.copytree(copy, fr.dir)
        fr.start()
        wait_until(lambda: any("former signing key" in a["text"] and "rekey" in a["remedy"]
                               for a in fr.status()["alarms"]), MENDED, "it says so", 0.1)
        check("former signing key" in fr.add(name="In vain", country="FR").get("error", ""),
              "it does not write")
        code, _, text = fr.ctl("keys", "rotate", check=False)
        check(code == 1 and "former signing key" in text, text)
        check(f.hq.feeds()["fr"][0] == 1, "HQ opened an epoch for it")
        token = f.hq.json("chapters", "rekey", "fr")["token"]
        fr.stop()
        del f.nodes["fr"]
        fresh = Node(f, "fr-fresh")
        f.daemon("join", token, "--dir", fresh.dir, "--dial-only")
        fresh.start()
        f.nodes["fr-fresh"] = fresh
        wait_until(lambda: fresh.add(name="With new keys", country="FR")["ok"], 40, "it writes")
        f.agree()
        f.hq_has_all()
        names = {m.get("name") for m in f.hq.json("members", "list", "--chapter", "fr")}
        check({"First of fr", "After the change", "With new keys"} == names, names)


def test_waits_for_hq():
    with Federation() as f:
        fr, lu = founded(f, "fr", "lu")
        f.hq.stop()
        before = fr.json("keys", "show")["sign_key"]
        code, _, _ = fr.ctl("-t", "2", "keys", "rotate", check=False, timeout=90)
        check(code == 4, "exit %d" % code)
        check(fr.add(name="Signed with the old one", country="FR")["ok"], "fr goes on")
        fr.stop()
        fr.start()
        check(fr.json("keys", "show")["sign_key"] == before, "the old one is in force")
        f.hq.start()
        wait_until(lambda: fr.json("keys", "show")["next_key"] is None, 45, "in force", 0.1)
        check(fr.json("keys", "show")["sign_key"] != before, "another")
        check(fr.add(name="Signed with the new one", country="FR")["ok"], "fr writes")
        f.agree()
        no_quarrel(f)


def test_of_hq():
    with Federation() as f:
        fr, lu, qc = founded(f, "fr", "lu", "qc")
        qc.stop()
        before = f.hq.json("keys", "show")["sign_key"]
        for n in range(1, 3):
            shown = f.hq.json("keys", "rotate")
            check(shown["sign_key"] != before and shown["changes_of_hq"] == n, shown)
            wait_until(lambda: roster(fr, "hq")["sign_key"] == shown["sign_key"], MENDED,
                       "HQ shows its key", 0.1)
            check(f.hq.add(name="Organization %d" % n, kind="organization")["ok"], "HQ writes")
            f.agree(nodes=[f.hq, fr, lu])
            check(fr.json("keys", "show")["changes_of_hq"] == n, "fr keeps the chain")
        qc.start()
        f.agree()
        f.hq.stop()
        f.hq.start()
        be = f.join("be")  # with a token, of which the genesis is the root
        f.agree()
        check(be.json("keys", "show")["changes_of_hq"] == 2, "be has the chain")
        check(roster(be, "hq")["sign_key"] == shown["sign_key"], "and HQ's new key")
        no_quarrel(f)


class WithRecovery(Federation):
    def found(self):
        port = free_port_pair()
        self.hq = self.nodes["hq"] = Node(self, "hq", port)
        out = self.daemon("init", "--hq", "--dir", self.hq.dir, "--listen",
                          "127.0.0.1:%d" % port)[1]
        self.recovery = re.search(r"recovery1-[0-9A-Z-]+", out).group(0)
        self.hq.start()


def test_by_the_recovery_key():
    with WithRecovery() as f:
        fr, lu = founded(f, "fr", "lu")
        wrong = f.recovery[:-1] + ("0" if f.recovery[-1] != "0" else "1")
        code, _, text = f.hq.ctl("keys", "rotate", "--recovery", stdin=wrong + "\n", check=False)
        check(code == 1 and "recovery key" in text, text)
        code, _, text = fr.ctl("keys", "rotate", "--recovery", stdin=f.recovery + "\n",
                               check=False)
        check(code == 1 and "only HQ" in text, text)
        before = f.hq.json("keys", "show")["sign_key"]
        f.hq.ctl("keys", "rotate", "--recovery", stdin=f.recovery.lower() + "\n")
        check(f.hq.json("keys", "show")["sign_key"] != before, "another key")
        check(f.hq.add(name="Organization", kind="organization")["ok"], "HQ writes")
        f.agree()
        check(fr.json("keys", "show")["changes_of_hq"] == 1, "fr took it")
        no_quarrel(f)


def feed_of(node, chapter):
    return next(x for x in node.status()["feeds"] if x["chapter"] == chapter)


def test_what_a_thief_said_goes_with_the_key():
    """Beats by a stolen key, of an epoch and a number that nobody reaches: with new keys for the
    chapter all is as before, at all nodes."""
    with Federation() as f:
        fr = f.join("fr")
        f.join("lu")
        check(fr.add(name="Anna")["ok"], "a member")
        f.agree()
        fr.stop()
        with Peer(f, "fr") as thief:
            socket = thief.dial("hq")
            socket.send(thief.hello())
            socket.send(thief.beat(1, (1 << 64) - 1, bytes(32)))
            socket.send(thief.beat(1, 1 << 61, bytes(32)))
            socket.send(thief.beat((1 << 32) - 1, 7, bytes(32)))
            time.sleep(0.5)
            check(feed_of(f.hq, "fr")["state"] != "behind", "numbers that nobody reaches")
            socket.send(thief.beat(40, 7, bytes(32)))
            wait_until(lambda: feed_of(f.hq, "fr")["state"] == "behind", 30,
                       "the thief is believed")
        token = f.hq.json("chapters", "rekey", "fr")["token"]
        shutil.rmtree(fr.dir)
        f.daemon("join", token, "--dir", fr.dir, *f.place(fr))
        fr.start()
        wait_until(lambda: all(feed_of(n, "fr")["state"] == "current" and
                               feed_of(n, "fr")["epoch"] == 2 for n in f.running()), HEARD,
                   "all current, in the next epoch")
        check(fr.add(name="Bob")["seq"] < 100, "the numbers go on where they were")
        f.agree()
        f.verify_all()


def test_evidence_by_a_former_key():
    """Who has a chapter's former key makes it begin one epoch, and no more; who has none, none."""
    with Federation() as f:
        fr = f.join("fr")
        lu = f.join("lu")
        check(fr.add(name="Anna")["ok"], "a member")
        f.agree()
        former = SignKey(read_key(fr.dir, "sign"))
        rotate(fr)
        wait_until(lambda: roster(f.hq, "fr")["former_seq"], MENDED, "the former key is void",
                   0.1)
        check(fr.add(name="Bob")["ok"], "a member")
        f.agree()
        lu.stop()

        def stays_in(epoch):
            time.sleep(2)
            check(fr.add(name="In epoch %d" % epoch)["ok"], "fr writes")
            f.agree(nodes=[f.hq, fr])
            check(feed_of(f.hq, "fr")["epoch"] == epoch, feed_of(f.hq, "fr"))

        with Peer(f, "lu") as peer:
            sockets = [peer.dial("fr"), peer.dial("hq")]
            for socket in sockets:
                socket.send(peer.hello())
            head = peer.newest_head(sockets[1], "fr")
            nonsense = head_after(head, SignKey(os.urandom(32)), 1000)
            for socket in sockets:
                for pair in ((head, nonsense), (nonsense, head), (nonsense,), (head, head)):
                    socket.send(peer.evidence(*pair))
            stays_in(1)
            stolen = head_after(head, former, 50)
            sockets[1].send(peer.evidence(stolen))  # HQ passes it on
            wait_until(lambda: feed_of(f.hq, "fr")["epoch"] == 2, 40, "fr goes on in the next", 0.1)
            wait_until(lambda: fr.status()["node"]["state"] == "ok", 40, "it is in force", 0.1)
            newest = peer.newest_head(sockets[1], "fr")
            later = head_after(newest, former)
            for socket in sockets:
                for pair in ((newest, stolen), (stolen, newest), (stolen,), (newest, later),
                             (later,), (head, stolen)):
                    socket.send(peer.evidence(*pair))
            stays_in(2)
        lu.start()
        f.agree()
        f.verify_all()


def test_hq_lost_its_key():
    with WithRecovery() as f:
        fr, lu, qc = founded(f, "fr", "lu", "qc")
        qc.stop()
        before = f.hq.json("keys", "show")["sign_key"]
        f.hq.json("keys", "rotate")
        f.agree(nodes=[f.hq, fr, lu])
        f.hq.stop()
        code, _, text = f.daemon("recover", "--dir", f.hq.dir, stdin=f.recovery + "\n", check=False)
        check(code == 1 and "has its keys" in text, text)
        os.remove(os.path.join(f.hq.dir, "keys", "sign"))
        code, _, text = f.daemon("run", "--dir", f.hq.dir, check=False)
        check(code != 0 and "chapterd recover" in text, text)
        wrong = f.recovery[:-1] + ("0" if f.recovery[-1] != "0" else "1")
        code, _, text = f.daemon("recover", "--dir", f.hq.dir, stdin=wrong + "\n", check=False)
        check(code == 1 and "recovery key" in text, text)
        check(not os.path.exists(os.path.join(f.hq.dir, "keys", "sign")), "made without the key")
        check(fr.add(name="Meanwhile", country="FR")["ok"], "the chapters go on")
        _, out, _ = f.daemon("recover", "--dir", f.hq.dir, stdin=f.recovery.lower() + "\n")
        check("another signing key" in out and "epoch" not in out, out)
        # as if the machine had died before the key was in its place: it goes on from there
        key = os.path.join(f.hq.dir, "keys", "sign")
        os.rename(key, key + ".next")
        f.daemon("recover", "--dir", f.hq.dir, stdin=f.recovery + "\n")
        f.hq.start()
        shown = wait_until(lambda: f.hq.json("keys", "show"), 10, "HQ runs")
        check(shown["sign_key"] != before and shown["changes_of_hq"] == 2, shown)
        wait_until(lambda: f.hq.add(name="Organization", kind="organization")["ok"], 10,
                   "HQ writes")
        f.agree(nodes=[f.hq, fr, lu])
        qc.start()
        be = f.join("be")
        f.agree()
        for node in (fr, qc, be):
            wait_until(lambda: roster(node, "hq")["sign_key"] == shown["sign_key"], MENDED,
                       node.code + " knows HQ's key", 0.1)
        f.hq.stop()
        curve = os.path.join(f.hq.dir, "keys", "curve")
        os.rename(curve, curve + ".away")
        code, _, text = f.daemon("recover", "--dir", f.hq.dir, stdin=f.recovery + "\n", check=False)
        check(code == 1 and "backup" in text, text)
        os.rename(curve + ".away", curve)
        f.hq.start()
        f.agree()
        no_quarrel(f)


if __name__ == "__main__":
    main(test_of_a_chapter, test_a_copy_with_a_former_key, test_waits_for_hq, test_of_hq,
         test_by_the_recovery_key, test_what_a_thief_said_goes_with_the_key,
         test_evidence_by_a_former_key, test_hq_lost_its_key)
