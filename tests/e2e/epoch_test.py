#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""A chapter that was restored to its past, one that runs twice, one that lost its disk: healed by
real daemons over real sockets, no sequence number used twice, nothing lost on either side."""

import os
import shutil
import signal
import time

from federation import (CLEARED, HEARD, MENDED, Federation, Node, check, fit_marker, main,
                        wait_until)

CHANGES = 5000


def people(first, count, city="Paris"):
    return [{"op": "put", "fields": {"name": "Member %d" % i, "email": "m%d@example.org" % i,
                                     "city": city}} for i in range(first, first + count)]


def put(node, operations):
    """Applies them; id -> seq of what was acknowledged."""
    lines = node.apply(operations)
    check(all(line["ok"] for line in lines), "not all of it was taken: %s" % lines[-1])
    return {line["id"]: line["seq"] for line in lines}


def add(node, **fields):
    """As soon as the node writes: the result."""
    line = [{"op": "put", "fields": fields}]
    return wait_until(lambda: next((x for x in node.apply(line) if x["ok"]), None), 20,
                      node.code + " writes")


def epoch_of(node, chapter):
    return node.feeds().get(chapter, (0, 0, ""))[0]


def members(node, chapter):
    return {m["id"]: m for m in node.json("members", "list", "--chapter", chapter)}


def put_back(f, node, copy):
    """The directory as it was three months ago stands where the newest one stood."""
    node.stop()
    shutil.move(node.dir, os.path.join(f.dir, node.code + ".newest"))
    shutil.copytree(copy, node.dir)


def copy_of(f, node):
    node.stop()
    copy = os.path.join(f.dir, node.code + ".copy")
    shutil.copytree(node.dir, copy)
    return copy


def check_all_there(f, chapter, acknowledged, removed):
    """At HQ, which sees everything: each acknowledged member with its name and e-mail."""
    f.hq_has_all()
    there = members(f.hq, chapter)
    check(set(there) == set(acknowledged) - removed,
          "%d members at HQ, %d expected" % (len(there), len(set(acknowledged) - removed)))
    check(all(m.get("name") and m.get("email") for m in there.values()), "fields of tier hq lost")


def check_seqs(f, chapter, before):
    """No seq that was acknowledged before the restore stands for anything else now."""
    now = {m["seq"]: i for i, m in members(f.hq, chapter).items()}
    reused = [seq for i, seq in before.items() if seq in now and now[seq] != i]
    check(not reused, "sequence numbers used twice: %s" % reused[:5])


def test_an_old_copy_is_healed():
    with Federation() as f:
        fr = f.join("fr")
        f.join("lu")
        f.join("qc", listen=False)
        acknowledged = put(fr, people(0, 400))
        f.agree()
        copy = copy_of(f, fr)
        fr.start()
        acknowledged.update(put(fr, people(400, CHANGES - 100, "Nice")))
        gone = list(acknowledged)[:100]
        put(fr, [{"op": "remove", "id": i} for i in gone])
        f.agree()
        last = fr.feeds()["fr"][1]
        put_back(f, fr, copy)
        begun = time.monotonic()
        fr.start()
        check(fr.status()["node"]["state"] in ("recovering", "ok"), "state while it recovers")
        code, _, error = fr.ctl("members", "add", "name=Too early", check=False)
        check(code == 0 or "epoch" in error, "no reason was given: %s" % error)
        wait_until(lambda: all(epoch_of(n, "fr") == 2 for n in f.running()), 60, "healed")
        print("        healed in %.1f s" % (time.monotonic() - begun))
        after = put(fr, people(9000, 5))
        check(min(after.values()) > last, "a sequence number is used again")
        f.agree()
        f.verify_all()
        f.hq_has_all()
        acknowledged.update(after)
        there = members(f.hq, "fr")
        early = {i for i, m in there.items() if m["name"] == "Too early"}
        check(not early or min(there[i]["seq"] for i in early) > last, "it wrote too early")
        for i in early:
            put(fr, [{"op": "remove", "id": i}])
        f.agree()
        check_all_there(f, "fr", acknowledged, set(gone))
        check_seqs(f, "fr", acknowledged)
        told = [a["text"] for a in fr.status()["alarms"]]
        check(any("after the restored copy was made" in text for text in told),
              "the edits of tier chapter that are gone are not named: %s" % told)
        # An ordinary restart needs nobody.
        for node in (f.hq, f.nodes["lu"], f.nodes["qc"]):
            node.stop()
        fr.stop()
        fr.start()
        add(fr, name="Alone")  # offline


def test_an_old_copy_with_hq_away():
    with Federation() as f:
        fr = f.join("fr")
        lu = f.join("lu")
        acknowledged = put(fr, people(0, 50))
        f.agree()
        copy = copy_of(f, fr)
        fr.start()
        acknowledged.update(put(fr, people(50, 1000)))
        f.agree()
        f.hq_has_all()
        f.hq.stop()
        acknowledged.update(put(fr, people(2000, 100)))  # HQ never saw these
        f.agree(nodes=[fr, lu])
        last = fr.feeds()["fr"][1]
        put_back(f, fr, copy)
        fr.start()
        wait_until(lambda: fr.feeds()["fr"][1] == last, 30, "fetched back from a chapter")
        check(fr.status()["node"]["state"] == "recovering", "it does not recover")
        check(len(members(fr, "fr")) == len(acknowledged), "reads are not served meanwhile")
        code, _, error = fr.ctl("members", "add", "name=Nobody", check=False)
        check(code == 1 and "HQ" in error, "it wrote without HQ: %s" % error)
        begun = time.monotonic()
        f.hq.start()
        wait_until(lambda: all(epoch_of(n, "fr") == 2 for n in f.running()), 60, "healed")
        print("        healed in %.1f s after HQ was back" % (time.monotonic() - begun))
        put(fr, people(3000, 1))
        f.agree()
        f.verify_all()
        there = members(f.hq, "fr")
        check(set(acknowledged) < set(there), "acknowledged members are lost")
        # Tier hq of these was in the newest directory alone.
        only_there = {i for i, seq in acknowledged.items() if seq > last - 100}
        wait_until(lambda: {i for i, m in members(f.hq, "fr").items() if not m.get("name")}
                   == only_there, MENDED, "tier hq of all others is at HQ")
        told = [a["text"] for a in fr.status()["alarms"]]
        check(any("lost their fields of tier hq" in text for text in told), "not told: %s" % told)
        check_seqs(f, "fr", acknowledged)


def test_a_moved_directory():
    """Nobody holds more than the copy does: that proves nothing, it recovers all the same."""
    with Federation() as f:
        fr = f.join("fr", listen=False)
        acknowledged = put(fr, people(0, 10))
        f.agree()
        copy = copy_of(f, fr)
        shutil.rmtree(fr.dir)
        shutil.copytree(copy, fr.dir)
        f.hq.stop()
        fr.start()
        time.sleep(3.5)  # without a marker it would write by now
        code, _, error = fr.ctl("members", "add", "name=Nobody", check=False)
        check(code == 1 and "copy" in error, "a copied directory wrote: %s" % error)
        check(set(members(fr, "fr")) == set(acknowledged), "reads are not served")
        f.hq.start()
        wait_until(lambda: epoch_of(f.hq, "fr") == 2, 60, "a new epoch")
        check(fr.add(name="Goes on")["ok"], "it does not write")
        f.agree()


def test_the_running_file_put_back():
    """The data file as it was while the daemon ran, put back in place after a clean end: nothing of
    the directory is another one but what the file beside it says of the last run."""
    with Federation() as f:
        hq = f.hq
        hq.add(name="Before", kind="organization")
        data = os.path.join(hq.dir, "db", "data.mdb")
        hq.process.send_signal(signal.SIGSTOP)
        os.waitpid(hq.process.pid, os.WUNTRACED)
        with open(data, "rb") as file:
            then = file.read()
        hq.process.send_signal(signal.SIGCONT)
        hq.add(name="After", kind="organization")
        check(hq.stop() == 0, "no clean end")
        with open(data, "r+b") as file:  # the inode stays
            file.write(then)
            file.truncate()
        hq.start()
        check(hq.status()["node"]["state"] == "recovering", "an old data file was not noticed")
        code, _, error = hq.ctl("members", "add", "name=Nobody", check=False)
        check(code == 1 and "copied or restored" in error, "it wrote: %s" % error)


def says_why(node, part):
    told = node.json("explain", node.code)
    return told if told["cause"] == "recovering" and part in told["text"] else None


def test_says_what_it_waits_for():
    """A recovery that stands still: too large for the roster, and HQ's copy of tier hq damaged."""
    with Federation() as f:
        fr = f.join("fr")
        put(fr, people(0, 10))
        f.agree()
        copy = copy_of(f, fr)
        fr.start()
        acknowledged = put(fr, people(100, 20))
        f.agree()
        f.hq_has_all()
        f.hq.ctl("chapters", "edit", "fr", "--records-max", "15")
        put_back(f, fr, copy)
        f.hq.stop()  # its copy of an address changes on its disk
        path = os.path.join(f.hq.dir, "db", "data.mdb")
        with open(path, "rb") as file:
            data = file.read()
        check(b"m105@example.org" in data, "HQ has it")
        with open(path, "wb") as file:
            file.write(data.replace(b"m105@example.org", b"n105@example.org"))
        f.hq.start()
        fr.start()
        told = wait_until(lambda: says_why(fr, "larger than the roster allows"), 30, "too large",
                          0.1)
        check("--records-max" in told["remedy"], told)
        check(any("--records-max" in a["remedy"] for a in fr.status()["alarms"]), "an alarm")
        f.hq.ctl("chapters", "edit", "fr", "--records-max", "0")
        told = wait_until(lambda: says_why(fr, "does not add up"), 60, "damaged", 0.1)
        check("verify --deep" in told["remedy"], told)
        check(f.hq.ctl("verify", "--deep", check=False, timeout=90)[0] == 4, "HQ finds it")
        wait_until(lambda: epoch_of(fr, "fr") == 2, 60, "it goes on")
        add(fr, name="Goes on")
        f.agree()
        wait_until(lambda: f.hq.ctl("verify", "--deep", check=False, timeout=90)[0] == 0, 40,
                   "HQ fetches it again", 0.5)
        f.verify_all()
        check(set(acknowledged) < set(members(f.hq, "fr")), "acknowledged members are lost")
        told = [a["text"] for a in fr.status()["alarms"]]
        check(any("lost their fields of tier hq" in text for text in told), "not told: %s" % told)


def make_twin(f, node):
    """The same keys and the same state, as in the copy of a whole disk; both are stopped."""
    node.stop()
    twin = Node(f, node.code + "-twin")
    shutil.copytree(node.dir, twin.dir)
    for directory in (node.dir, twin.dir):
        fit_marker(directory)
    return twin


def test_a_clone_is_found_and_healed():
    with Federation() as f:
        fr = f.join("fr", listen=False)
        lu = f.join("lu")
        qc = f.join("qc")
        put(fr, people(0, 30))
        f.agree()
        twin = make_twin(f, fr)
        others = [f.hq, lu, qc]
        for node in others:
            node.stop()
        try:
            fr.start()
            twin.start()
            add(fr, name="Of one", email="one@example.org")
            add(twin, name="Of two", email="two@example.org")
            for node in (lu, qc):
                node.start()
            begun = time.monotonic()
            wait_until(lambda: all(n.counters()["forks"] >= 1 for n in (lu, qc)), MENDED,
                       "evidence at the chapters")
            print("        evidence after %.1f s" % (time.monotonic() - begun))
            f.hq.start()  # last: it heals this at once, and who comes later sees no fork
            wait_until(lambda: f.hq.counters()["forks"] >= 1, MENDED, "evidence at HQ")
            put(lu, people(100, 3))
            f.agree(without=["fr"], nodes=others)
            wait_until(lambda: all(epoch_of(n, "fr") == 2 for n in others), 60, "a new epoch")
            winner = wait_until(lambda: next((n for n in (fr, twin) if epoch_of(n, "fr") == 2
                                              and n.status()["node"]["state"] != "quarantined"),
                                             None), 30, "one of them goes on")
            loser = twin if winner is fr else fr
            wait_until(lambda: loser.status()["node"]["state"] == "quarantined", 45, "the other")
            wait_until(lambda: {"Of one", "Of two"} <= {m.get("name") for m in
                                                        members(f.hq, "fr").values()},
                       60, "what both wrote is there")
            check(loser.ctl("members", "add", "name=X", check=False)[0] == 1, "the other writes")
            add(winner, name="Goes on")
            f.agree(nodes=others + [winner])
            f.hq_has_all()
            loser.stop()
            # The way out: the winner's machine is gone, the other directory takes over.
            winner.stop()
            loser.start()
            wait_until(lambda: epoch_of(loser, "fr") == 3, 60, "the other one takes over")
            add(loser, name="Took over")
            f.agree(nodes=others + [loser])
            check({"Of one", "Of two", "Goes on"} <= {m.get("name") for m in
                                                      members(loser, "fr").values()}, "lost")
            for node in others:
                node.json("verify", "--deep")
        finally:
            twin.kill()


def test_two_that_run_side_by_side():
    """Both are connected, all is quiet for as long as nobody writes; then both do."""
    with Federation() as f:
        fr = f.join("fr", listen=False)
        lu = f.join("lu")
        qc = f.join("qc")
        put(fr, people(0, 20))
        f.agree()
        twin = make_twin(f, fr)
        others = [f.hq, lu, qc]
        fr.start()
        twin.start()
        try:
            for node in (fr, twin):
                wait_until(lambda: node.status()["node"]["state"] == "ok", MENDED, "both seem well")
            for node in others:
                node.process.send_signal(signal.SIGSTOP)  # nobody carries what the one writes
            check(fr.add(name="Of one", email="one@example.org")["ok"], "one writes")
            check(twin.add(name="Of two", email="two@example.org")["ok"], "the other writes")
            for node in others:
                node.process.send_signal(signal.SIGCONT)
            begun = time.monotonic()
            wait_until(lambda: all(n.counters()["forks"] >= 1 for n in others), MENDED,
                       "evidence on all nodes")
            print("        evidence after %.1f s" % (time.monotonic() - begun))
            put(lu, people(100, 3))
            f.agree(without=["fr"], nodes=others)
            wait_until(lambda: all(epoch_of(n, "fr") == 2 for n in others), 60, "a new epoch")
            wait_until(lambda: {"Of one", "Of two"} <= {m.get("name") for m in
                                                        members(f.hq, "fr").values()},
                       60, "what both wrote is there")
            wait_until(lambda: sorted(n.status()["node"]["state"] for n in (fr, twin))[1:] ==
                       ["quarantined"], 45, "one of them writes nothing")
            # The way out where nobody knows which is which: new keys, and both are out.
            token = f.hq.json("chapters", "rekey", "fr")["token"]
            fresh = Node(f, "fr-fresh")
            f.daemon("join", token, "--dir", fresh.dir, "--dial-only")
            fresh.start()
            f.nodes["fr-fresh"] = fresh
            wait_until(lambda: fresh.add(name="Of three", email="three@example.org")["ok"], 40,
                       "new keys write")
            f.agree(nodes=others + [fresh])
            for node in (fr, twin):
                wait_until(lambda: all(p["state"] != "up" for p in node.status()["peers"]), MENDED,
                           "nobody speaks with the old keys", 0.1)
            check({"Of one", "Of two", "Of three"} <= {m.get("name") for m in
                                                       members(fresh, "fr").values()}, "lost")
            for node in others:
                node.json("verify", "--deep")
        finally:
            twin.kill()


def rolled_back(f, fr, others):
    """A whole machine is put back to an hour ago, and writes before it meets anybody: the others
    have forgotten removals of a later time.  Returns two ids: of who was erased in that hour, and
    of who was written after it was put back."""
    erased = fr.add(name="Erased", email="erased@example.org", city="Erasetown")["id"]
    f.agree()
    copy = copy_of(f, fr)
    fr.start()
    put(fr, people(100, 40))
    check(fr.ctl("members", "erase", erased, "--wait", str(CLEARED), check=False,
                 timeout=CLEARED + 30)[0] == 0, "erased")
    put_back(f, fr, copy)
    for node in others:
        node.stop()
    fit_marker(fr.dir)
    fr.start()
    untold = add(fr, name="Untold", email="untold@example.org", city="Nice")["id"]
    for node in others:
        node.start()
    wait_until(lambda: all(epoch_of(n, "fr") == 2 for n in f.running()), 60, "a new epoch")
    return erased, untold


def test_what_the_operator_decides():
    with Federation() as f:
        fr = f.join("fr")
        lu = f.join("lu")
        put(fr, people(0, 10))
        erased, untold = rolled_back(f, fr, [f.hq, lu])
        f.agree()
        wait_until(lambda: len(fr.json("surplus", "list")) == 2, 45, "both wait")
        waiting = fr.json("surplus", "list")
        check({x["id"]: (x["op"], x["here"], x["name"]) for x in waiting} ==
              {erased: ("put", "gone", "Erased"), untold: ("put", "gone", "Untold")}, waiting)
        told = fr.json("explain", "fr")
        check(told["cause"] == "surplus" and "surplus list" in told["remedy"], told)
        check(any("surplus list" in a["remedy"] for a in fr.status()["alarms"]), "an alarm")
        check(not {erased, untold} & set(members(f.hq, "fr")), "nothing happens by itself")
        code, _, text = fr.ctl("surplus", "adopt", "0190a1b2-c3d4-7e5f-8a6b-7c8d9eafb0c1",
                               check=False)
        check(code == 1 and "surplus list" in text, text)
        fr.stop()
        fr.start()
        wait_until(lambda: fr.ctl("surplus", "adopt", untold, check=False)[0] == 0, 20, "adopted")
        check(fr.json("members", "show", untold)["city"] == "Nice", "fields of tier chapter")
        check([x["id"] for x in fr.json("surplus", "list")] == [erased], "one is left")
        check(fr.json("surplus", "discard", "all") == {"done": 1, "left": 0}, "discarded")
        check(fr.json("surplus", "list") == [], "none is left")
        f.agree()
        f.verify_all()
        f.hq_has_all()
        there = members(f.hq, "fr")
        check(there[untold]["name"] == "Untold" and erased not in there, "as was decided")
        wait_until(lambda: not any(f.files_contain("fr", text) for text in
                                   ("Erasetown", "erased@example.org")), 60, "he is gone", 0.3)
        check(not fr.add(name="Erased", email="erased@example.org")["ok"], "and may come back")
        check(not any("surplus" in a["remedy"] for a in fr.status()["alarms"]), "the alarm stays")


def test_a_fork_names_whose_fields_are_lost():
    """The directory is put back unnoticed and writes: both histories have used the same seqs."""
    with Federation() as f:
        fr = f.join("fr", listen=False)
        put(fr, people(0, 5))
        f.agree()
        copy = copy_of(f, fr)
        fr.start()
        seen = fr.add(name="Seen", email="seen@example.org", city="Lyon")
        gone = fr.add(name="Gone", email="gone@example.org", city="Nancy")
        f.agree()
        f.hq_has_all()
        put_back(f, fr, copy)
        f.hq.stop()
        fit_marker(fr.dir)
        fr.start()
        other = add(fr, name="Other", email="other@example.org", city="Nice")
        check(other["seq"] == seen["seq"], "the two histories do not share a seq: %s" % other)
        f.hq.start()
        wait_until(lambda: all(epoch_of(n, "fr") == 2 for n in f.running()), 60, "a new epoch")
        wait_until(lambda: {"Seen", "Gone", "Other"} <= {m.get("name") for m in
                                                         members(f.hq, "fr").values()}, 60,
                   "what both histories wrote is there")
        check(fr.json("members", "show", other["id"])["city"] == "Nice", "it is lost")
        told = [a["text"] for a in fr.status()["alarms"]
                if "after the restored copy was made" in a["text"] and "city" in a["text"]]
        check(len(told) == 1 and "there was none: 2;" in told[0], told)
        for one in (seen, gone):
            check("city" not in fr.json("members", "show", one["id"]), "the copy has it")
            check(one["id"] in told[0], "not named: %s" % told)


def test_a_copy_elsewhere_disturbs_nobody():
    with Federation() as f:
        fr = f.join("fr", listen=False)
        put(fr, people(0, 10))
        f.agree()
        twin = Node(f, "fr-twin")
        shutil.copytree(copy_of(f, fr), twin.dir)
        fr.start()
        put(fr, people(10, 10))
        try:
            twin.start()
            wait_until(lambda: twin.status()["node"]["state"] == "quarantined", 45, "locked out")
            put(fr, people(20, 10))
            f.agree(nodes=[f.hq, fr])
            check(epoch_of(fr, "fr") == 1, "the one that runs was disturbed")
            wait_until(lambda: fr.status()["node"]["state"] == "ok", MENDED, "it goes on")
        finally:
            twin.kill()


def test_backup_and_restore():
    with Federation() as f:
        fr = f.join("fr")
        f.join("lu")
        acknowledged = put(fr, people(0, 300))
        backup = os.path.join(f.dir, "fr.backup")
        done = fr.json("backup", backup)
        check(done["bytes"] == os.path.getsize(backup), "its size: %s" % done)
        check(os.stat(backup).st_mode & 0o777 == 0o600, "others may read the backup")
        check(fr.ctl("backup", backup, check=False)[0] == 1, "a backup was overwritten")
        acknowledged.update(put(fr, people(300, 200)))
        gone = list(acknowledged)[:250]
        put(fr, [{"op": "remove", "id": i} for i in gone])
        f.agree()
        last = fr.feeds()["fr"][1]
        code, _, error = f.daemon("restore", backup, "--dir", fr.dir, check=False)
        check(code == 1 and "runs" in error, "restored below a running daemon: %s" % error)
        fr.stop()
        code, _, error = f.daemon("restore", backup, "--dir", fr.dir, check=False)
        check(code == 1 and "mv " in error, "it overwrites: %s" % error)
        shutil.move(fr.dir, fr.dir + ".before")
        cut = os.path.join(f.dir, "cut.backup")
        with open(backup, "rb") as whole, open(cut, "wb") as part:
            part.write(whole.read()[:-1000])
        code, _, error = f.daemon("restore", cut, "--dir", fr.dir, check=False)
        check(code == 1 and "no backup" in error, "half a backup was restored: %s" % error)
        f.daemon("restore", backup, "--dir", fr.dir)
        fr.start()
        wait_until(lambda: all(epoch_of(n, "fr") == 2 for n in f.running()), 60, "healed")
        after = add(fr, name="After", email="after@example.org")
        check(after["seq"] > last, "a sequence number is used again")
        f.agree()
        f.verify_all()
        acknowledged[after["id"]] = after["seq"]
        check_all_there(f, "fr", acknowledged, set(gone))
        before = os.path.getsize(os.path.join(fr.dir, "db", "data.mdb"))
        done = fr.json("compact")
        check(done["before"] == before and done["after"] < before, "compacted: %s" % done)
        check(os.path.getsize(os.path.join(fr.dir, "db", "data.mdb")) == done["after"], "size")
        fr.add(name="Goes on")
        f.agree()
        f.verify_all()
        fr.stop()  # its data file is another one now, and it is no copy
        fr.start()
        check(epoch_of(fr, "fr") == 2 and fr.add(name="Still")["ok"], "recovers after compacting")
        for _ in range(3):
            fr.json("compact")
        fr.kill()
        fr.start()
        add(fr, name="Killed")
        f.agree()


def test_a_lost_disk():
    with Federation() as f:
        fr = f.join("fr")
        lu = f.join("lu")
        acknowledged = put(fr, people(0, 300))
        f.agree()
        f.hq_has_all()
        f.hq.stop()
        only_lu = put(fr, people(500, 20))
        wait_until(lambda: lu.feeds().get("fr") == fr.feeds()["fr"], MENDED, "lu has them")
        last = fr.feeds()["fr"][1]
        lu.stop()
        fr.kill()
        shutil.rmtree(fr.dir)
        f.hq.start()
        check(f.hq.ctl("invite", "fr", check=False)[0] == 1, "an enrolled chapter was invited")
        token = f.hq.json("chapters", "rekey", "fr")["token"]
        f.daemon("join", token, "--dir", fr.dir, "--listen", "127.0.0.1:%d" % fr.port)
        fr.start()
        wait_until(lambda: epoch_of(fr, "fr") == 2, 60, "a new epoch")
        check(len(members(fr, "fr")) == 300, "%d came back" % len(members(fr, "fr")))
        check(all(m.get("name") for m in members(fr, "fr").values()), "names are lost")
        add(fr, name="New", email="new@example.org")
        lu.start()
        wait_until(lambda: set(acknowledged) | set(only_lu) < set(members(f.hq, "fr")), 60,
                   "what only lu had is written again")
        check(min(m["seq"] for i, m in members(f.hq, "fr").items() if i in only_lu)
              > last - len(only_lu), "an old number")
        f.agree()
        f.verify_all()
        wait_until(lambda: f.hq.json("counts")["chapters_current"] == 2, HEARD,
                   "beats are heard")
        # The token is used up, and nobody takes a place twice.
        other = os.path.join(f.dir, "thief")
        code, _, error = f.daemon("join", token, "--dir", other, "--dial-only", check=False)
        check(code != 0, "the token was good for two")


def test_hq_is_restored():
    with Federation() as f:
        hq = f.hq
        fr = f.join("fr")
        lu = f.join("lu")
        put(fr, people(0, 20))
        f.agree()
        copy = copy_of(f, hq)
        hq.start()
        qc = f.join("qc", listen=False)  # after the copy was made
        f.agree()
        acknowledged = put(hq, [{"op": "put", "fields": {"name": "Org %d" % i,
                                                         "kind": "organization"}}
                                for i in range(30)])
        f.agree()
        last = hq.feeds()["hq"][1]
        put_back(f, hq, copy)
        hq.start()
        check(hq.status()["node"]["state"] == "recovering", "HQ does not recover")
        code, _, error = hq.ctl("members", "add", "name=Nobody", check=False)
        check(code == 1 and "chapterd recover" in error, "not told: %s" % error)
        wait_until(lambda: hq.feeds()["hq"][1] == last, 30, "HQ's feed is fetched back")
        put(fr, people(50, 5))  # the others go on meanwhile
        wait_until(lambda: hq.feeds()["fr"] == fr.feeds()["fr"], MENDED, "chapters go on")
        told = [a["remedy"] for a in hq.status()["alarms"]]
        check(any("chapterd recover" in text for text in told), "the way out: %s" % told)
        code, _, error = f.daemon("recover", "--dir", hq.dir, stdin=f.recovery_key, check=False)
        check(code == 1 and "another chapterd" in error, "below a running daemon: %s" % error)
        hq.stop()
        code, _, error = f.daemon("recover", "--dir", fr.dir, stdin=f.recovery_key, check=False)
        check(code == 1, "a chapter was recovered with HQ's key")
        wrong = f.recovery_key[:-1] + ("0" if f.recovery_key[-1] != "0" else "1")
        code, _, error = f.daemon("recover", "--dir", hq.dir, stdin=wrong, check=False)
        check(code == 1 and "no recovery key" in error, "a wrong key was taken: %s" % error)
        f.daemon("recover", "--dir", hq.dir, stdin=f.recovery_key.lower() + "\n")
        hq.start()
        begun = time.monotonic()
        wait_until(lambda: all(epoch_of(n, "hq") == 2 for n in f.running()), 60, "HQ's new epoch")
        print("        at all nodes after %.1f s" % (time.monotonic() - begun))
        check(hq.status()["node"]["state"] in ("ok", "catching-up"), "HQ's state")
        after = add(hq, name="After", kind="organization")
        check(after["seq"] > last, "a sequence number is used again")
        be = f.join("be")
        f.agree()
        f.verify_all()
        check(set(acknowledged) < set(members(be, "hq")), "HQ's members are lost")
        wait_until(lambda: hq.json("counts")["chapters_current"] == 4, HEARD,
                   "all are current")
        # Who was away hears of it from whoever has it.
        lu.stop()
        lu.start()
        f.agree()
        wait_until(lambda: qc.status()["node"]["state"] == "ok", HEARD, "qc has a place")


main(test_hq_is_restored, test_a_lost_disk, test_backup_and_restore, test_an_old_copy_is_healed,
     test_an_old_copy_with_hq_away, test_a_moved_directory, test_the_running_file_put_back,
     test_a_clone_is_found_and_healed, test_says_what_it_waits_for, test_two_that_run_side_by_side,
     test_what_the_operator_decides, test_a_copy_elsewhere_disturbs_nobody,
     test_a_fork_names_whose_fields_are_lost)
