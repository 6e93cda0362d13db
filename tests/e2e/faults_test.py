# SPDX-License-Identifier: MPL-2.0
"""What goes wrong: kill -9, absence, HQ away, late joining, clones."""

import random
import shutil
import threading
import time

from federation import Failed, Federation, Node, check, fit_marker, main, wait_until


class Writer(threading.Thread):
    """Writes to a node until told to stop; remembers what was acknowledged."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node = node
        self.acknowledged = {}
        self.ending = False

    def run(self):
        n = 0
        while not self.ending:
            n += 1
            name = "%s %d" % (self.node.code, n)
            try:
                for result in self.node.apply([{"op": "put", "fields": {"name": name}}]):
                    if result.get("ok"):
                        self.acknowledged[result["id"]] = name
            except (Failed, OSError, ValueError):
                pass
            time.sleep(0.005)


def all_ids(node, chapter):
    return {m["id"] for m in node.json("members", "list", "--chapter", chapter)}


def test_kill_any_node_under_load():
    dice = random.Random(7)
    with Federation() as f:
        nodes = [f.hq, f.join("fr"), f.join("lu", listen=False), f.join("qc")]
        f.agree()
        writers = [Writer(n) for n in nodes]
        for w in writers:
            w.start()
        for turn in range(12):
            time.sleep(dice.uniform(0.05, 0.6))
            victim = nodes[turn % len(nodes)]
            victim.kill()
            time.sleep(dice.uniform(0, 0.3))
            victim.start(wait=False)
        for w in writers:
            wait_until(lambda: len(w.acknowledged) > 10, 30, w.node.code + " writes")
        for w in writers:
            w.ending = True
        for w in writers:
            w.join()
        for n in nodes:
            wait_until(n.answers, 30, n.code + " answers")
        f.agree(60)
        for w in writers:
            for n in nodes:
                lost = set(w.acknowledged) - all_ids(n, w.node.code)
                check(not lost, "%d acknowledged at %s are not at %s" % (len(lost), w.node.code,
                                                                         n.code))
        f.verify_all()


def put_many(node, count, label):
    done = 0
    while done < count:
        batch = [{"op": "put", "fields": {"name": "%s %d" % (label, done + i), "country": "FR"}}
                 for i in range(min(2000, count - done))]
        results = node.apply(batch)
        check(all(r["ok"] for r in results) and len(results) == len(batch), results[:1])
        done += len(batch)


def test_absent_chapter_catches_up_cheaply():
    with Federation() as f:
        fr, lu = f.join("fr"), f.join("lu", listen=False)
        put_many(fr, 3000, "before")
        f.agree()
        lu.stop()
        put_many(fr, 10000, "while away")
        lu.start()
        f.agree(60)
        got = {x["chapter"]: x["fetched_bytes"] for x in lu.status()["feeds"]}["fr"]
        # a changed record: 55 bytes of federation value, 16 of id, 3 of seq
        record = 10000 * (55 + 16 + 3)
        print("caught up 10,000 changes of %d bytes with %d bytes" % (record, got))
        check(0 < got <= 1.5 * record + 65536, "fetched %d bytes for %d" % (got, record))
        lu.ctl("verify", "--deep")


def test_long_absence_takes_more_than_one_transaction():
    with Federation() as f:
        fr, lu = f.join("fr"), f.join("lu", listen=False)
        put_many(fr, 500, "before")
        f.agree()
        lu.stop()
        put_many(fr, 20000, "while away")
        lu.start()
        f.agree(90)
        f.verify_all()
        late = f.join("qc")
        f.agree(90)
        late.ctl("verify", "--deep")


def test_hq_away():
    with Federation() as f:
        fr, lu, qc = f.join("fr"), f.join("lu", listen=False), f.join("qc")
        token = f.invite("be")
        f.agree()
        f.hq.stop()
        check(lu.add(name="lu without hq")["ok"], "lu writes")
        check(fr.add(name="fr without hq")["ok"], "fr writes")
        f.agree(40, [fr, lu, qc])
        f.hq.start()
        f.agree(40)
        be = f.join("be", token=token)
        check(be.add(name="late")["ok"], "be writes")
        f.agree(40)
        f.verify_all()


def test_clone_is_seen_and_frozen():
    """While HQ is away nobody can open a new epoch; epoch_test.py shows how it is healed."""
    with Federation() as f:
        fr, lu, qc = f.join("fr"), f.join("lu", listen=False), f.join("qc", listen=False)
        fr.add(name="one")
        f.agree()
        qc.stop()
        clone = Node(f, "qc-copy")
        shutil.copytree(qc.dir, clone.dir)
        f.nodes["qc-copy"] = clone
        # both sign on the same head while neither hears of the other
        f.hq.stop()
        fr.stop()
        for node in (clone, qc):
            fit_marker(node.dir)
            node.start()
        for node in (clone, qc):  # each waits for a first hello, for 3 s
            check(node.add(name="from " + node.code)["ok"], node.code + " writes")
        fr.start()

        def frozen(node):
            return any(x["chapter"] == "qc" and x["state"] == "forked"
                       for x in node.status()["feeds"])

        for node in (fr, lu):
            wait_until(lambda: frozen(node), 40, "%s sees the fork" % node.code)
            check(node.status()["alarms"], "an alarm at " + node.code)
        check(fr.add(name="others go on")["ok"], "fr writes on")
        f.agree(30, [fr, lu], without=["qc"])
        wait_until(lambda: qc.ctl("members", "add", "name=X", check=False)[0] == 1, 40,
                   "qc refuses to write")
        lu.ctl("verify", "--deep")


if __name__ == "__main__":
    main(test_kill_any_node_under_load, test_absent_chapter_catches_up_cheaply,
         test_long_absence_takes_more_than_one_transaction, test_hq_away,
         test_clone_is_seen_and_frozen)
