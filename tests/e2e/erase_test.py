# SPDX-License-Identifier: MPL-2.0
"""A person is erased: no node's files, links or logs hold anything of him, and who has confirmed
that is known; he does not come back unnoticed."""

import contextlib
import os
import shutil
import time
import uuid

from federation import CLEARED, MENDED, Federation, check, main, wait_until
from hostile_test import Proxied

CANARY = {"name": "Canary Name Q7", "email": "canary.q7@example.org", "city": "Canaryville Q7",
          "notes": "canary note q7", "external_id": "canary-ext-q7", "country": "FR",
          "language": "fr", "phone": "+33 1 77 77 77 77"}
TRACES = ["Canary Name", "canary.q7", "CANARY.Q7", "Canaryville", "canary note", "canary-ext",
          "canary renamed", "+33 1 77"]


def files_hold(node, needle):
    """The file of that node, its log included, that holds the bytes; None if there is none."""
    paths = [os.path.join(root, name) for root, _, names in os.walk(node.dir) for name in names]
    for path in filter(os.path.isfile, paths + [node.log]):
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:  # just compacted
            if needle in file.read():
                return path
    return None


def traces(node, record):
    """What is found of the canary at that node."""
    needles = [t.encode() for t in TRACES] + [uuid.UUID(record).bytes, record.encode()]
    return [(n, path) for n in needles if (path := files_hold(node, n))]


def report(node, record, *args):
    return node.json("members", "erase", record, *args, check=False)


def erase_everywhere(node, record):
    return node.ctl("members", "erase", record, "--wait", str(CLEARED), check=False,
                    timeout=CLEARED + 30)


def with_canary(f, *codes):
    """hq and these chapters, in step; the canary is a member of fr, and was changed twice."""
    nodes = [f.join(code, listen=code != "lu") for code in codes]
    fr = f.nodes["fr"]
    results = fr.apply([{"op": "put", "fields": {"name": "Member %d" % n, "country": "FR",
                                                 "email": "m%d@example.org" % n}}
                        for n in range(50)])
    check(all(r["ok"] for r in results), results[:1])
    record = fr.add(**CANARY)["id"]
    for change in ({"name": "canary renamed"}, {"name": CANARY["name"]}):
        check(fr.apply([{"op": "put", "id": record, "fields": change}])[0]["ok"], "edited")
    f.agree()
    f.hq_has_all()
    return nodes, record


def test_canary_erased():
    with Proxied(1) as f:
        (fr, lu, qc), record = with_canary(f, "fr", "lu", "qc")
        check(len(traces(fr, record)) >= 6 and files_hold(f.hq, b"canary.q7") and
              files_hold(lu, uuid.UUID(record).bytes), "the search finds what is there")
        begun = time.monotonic()
        code, out, _ = erase_everywhere(fr, record)
        check(code == 0 and "erased everywhere" in out, out)
        took = time.monotonic() - begun
        done = report(fr, record)
        check(done["done"] and sorted(done["confirmed"]) == ["fr", "hq", "lu", "qc"], done)
        f.proxy.tap = []
        f.join("be")
        f.agree()
        wait_until(lambda: "be" in report(fr, record)["confirmed"], CLEARED, "be confirms",
                   0.2)
        for node in f.running():
            found = traces(node, record)
            check(not found, "%s still holds %s" % (node.code, found))
        seen = b"".join(f.proxy.tap)
        check(len(seen) > 10000 and not any(t.encode() in seen for t in TRACES), "on the wire")
        f.verify_all()
        check(f.hq.json("counts")["memberships"] == 50, "he is not counted")
        for node in f.running():
            code, _, text = node.ctl("members", "show", record, check=False)
            check(code == 1, "%s shows him" % node.code)
        print("        confirmed by all after %.1f s" % took)
        comes_back_only_if_meant(f, fr, record)


def is_refused(fr, record):
    """However he is entered again, that he was erased is said."""
    results = fr.apply([
        {"op": "put", "id": record, "fields": {"name": "Somebody"}},
        {"op": "put", "fields": {"name": "Somebody", "email": "CANARY.Q7@example.org"}},
        {"op": "put", "fields": {"name": "Somebody", "external_id": CANARY["external_id"]}},
        {"op": "put", "fields": {"name": "CANARY Name q7", "country": "FR"}}])
    check([r["ok"] for r in results] == [False] * 4, results)
    check("erased" in results[0]["error"] and all("--again" in r["error"] for r in results[1:]),
          results)


def comes_back_only_if_meant(f, fr, record):
    results = fr.apply([
        {"op": "put", "id": record, "fields": {"name": "Somebody"}},
        {"op": "remove", "id": record}])
    check([r["ok"] for r in results] == [False] * 2, results)
    is_refused(fr, record)
    # a name alone tells nobody from a namesake who has an address
    check(fr.add(name=CANARY["name"], email="namesake@example.org")["ok"], "a namesake")
    path = os.path.join(f.dir, "again.csv")
    with open(path, "w") as file:
        file.write("name,email\nSomebody,canary.q7@example.org\nAnother,another@example.org\n"
                   "canary name Q7,\n")
    code, out, text = fr.ctl("import", path, "--apply", check=False)
    check(code != 0 and "erased" in out + text + open(path.replace(".csv", ".rejects.csv")).read(),
          "an import says so: %d %s %s" % (code, out, text))
    check(not fr.json("members", "list", "--search", "canary.q7"), "nothing came back")
    fr.ctl("members", "add", "--again", "name=Somebody", "email=canary.q7@example.org")
    check(len(fr.json("members", "list", "--search", "canary.q7")) == 1, "came back, as was meant")
    fr.stop()
    fr.start()
    check(report(fr, record)["done"], "still known after a restart")
    code, _, text = fr.ctl("members", "erase", str(uuid.uuid4()), check=False)
    check(code == 1 and "no member" in text, text)
    lu = f.nodes["lu"]
    theirs = fr.json("members", "list", "--chapter", "fr", "--limit", "1")[0]["id"]
    code, _, text = lu.ctl("members", "erase", theirs, check=False)
    check(code == 1 and "another chapter" in text, text)


def test_restored_copy():
    """A copy from before the erasure stands at the chapter again: it forgets him, too, and loses
    nothing else."""
    with Federation() as f:
        (fr, lu), record = with_canary(f, "fr", "lu")
        stays = fr.add(name="Stays", email="stays@example.org", city="Staytown")["id"]
        gone = fr.add(name="Goes", email="goes@example.org", city="Gonecity")["id"]
        left = fr.add(name="Leaves", email="leaves@example.org", city="Leftcity")["id"]
        f.agree()
        fr.stop()
        copy = os.path.join(f.dir, "copy")
        shutil.copytree(fr.dir, copy)
        fr.start()
        f.agree()
        check(all(r["ok"] for r in fr.apply(
            [{"op": "remove", "id": gone}] +
            [{"op": "put", "fields": {"name": "Later %d" % n}} for n in range(20)])), "changed")
        check(erase_everywhere(fr, record)[0] == 0, "erased")
        fr.apply([{"op": "remove", "id": left}])  # not forgotten yet
        f.agree()
        fr.stop()
        shutil.rmtree(fr.dir)
        shutil.copytree(copy, fr.dir)
        check(len(traces(fr, record)) >= 6, "the copy holds him")
        fr.start()
        wait_until(lambda: all(n.feeds().get("fr", (0,))[0] == 2 for n in f.running()), 60,
                   "a new epoch", 0.2)
        wait_until(lambda: not traces(fr, record), 60, "nothing of him is left", 0.5)
        for city in (b"Gonecity", b"Leftcity"):
            check(not files_hold(fr, city), "what a removed one had here alone is left")
        told = [a["text"] for a in fr.status()["alarms"]]
        check(any("2 members of the restored copy were erased" in text for text in told), told)
        check(any("an import would enter them as new" in text for text in told), told)
        path = os.path.join(f.dir, "old.csv")
        for name, unsure in (("Stays", False), ("Unheard of", True)):
            with open(path, "w") as file:
                file.write("name,email\n%s,%s@example.org\n" % (name, name.split()[0].lower()))
            code, _, text = fr.ctl("import", path, check=False)
            check(code == 0 and ("was erased since is not known here" in text) == unsure, text)
        check(fr.json("members", "show", stays)["city"] == "Staytown", "others lost fields")
        wait_until(lambda: report(fr, record)["done"], CLEARED, "all confirm again", 0.2)
        is_refused(fr, record)
        fr.stop()
        fr.start()
        is_refused(fr, record)
        check(fr.add(name="Goes on")["ok"], "it writes")
        f.agree()
        f.verify_all()
        check(f.hq.json("counts")["memberships"] == 72, f.hq.json("counts"))
        check(not any(traces(n, record) for n in f.running()), "he came back")


def test_who_has_not_confirmed():
    with Federation() as f:
        (fr, lu, qc), record = with_canary(f, "fr", "lu", "qc")
        qc.stop()
        f.hq.stop()
        code, out, _ = fr.ctl("members", "erase", record, check=False)
        check(code == 4 and "HQ has not said" in out, out)
        time.sleep(2)
        check("HQ has not said" in report(fr, record)["waits_for"], report(fr, record))
        check(files_hold(fr, uuid.UUID(record).bytes), "nothing is forgotten before HQ has it")
        f.hq.start()
        wait_until(lambda: sorted(report(fr, record)["confirmed"]) == ["fr", "hq", "lu"],
                   CLEARED, "all that run confirm", 0.2)
        told = report(fr, record)
        check(told["missing"] == ["qc"] and not told["done"], told)
        check(traces(qc, record), "qc still holds him")
        f.join("be", start=False)
        f.hq.ctl("chapters", "revoke", "be")
        wait_until(lambda: report(fr, record)["shut_out"] == ["be"], MENDED,
                   "be is shut out", 0.2)
        qc.start()
        wait_until(lambda: report(fr, record)["done"], CLEARED, "qc confirms, too", 0.2)
        for node in f.running():
            check(not traces(node, record), node.code)
        f.agree()
        f.verify_all()


def test_many_removals():
    """A horizon passes 1,024 removals a head; whoever was away needs the whole list."""
    with Federation() as f:
        (fr, lu), record = with_canary(f, "fr", "lu")
        results = fr.apply([{"op": "put", "fields": {"name": "Gone %d" % n}} for n in range(2500)])
        f.agree()
        lu.stop()
        fr.apply([{"op": "remove", "id": r["id"]} for r in results])
        heads = fr.counters()["heads_signed"]
        report(fr, record)
        wait_until(lambda: fr.counters()["heads_signed"] >= heads + 4, 60,
                   "three horizons", 0.1)
        lu.start()
        wait_until(lambda: report(fr, record)["done"], CLEARED, "all confirm", 0.2)
        f.agree()
        f.verify_all()
        check(f.hq.json("counts")["memberships"] == 50, "counted")
        check(not traces(lu, record), "lu holds nothing")
        check(lu.counters()["mismatches"] == 0 and fr.counters()["mismatches"] == 0, "mismatches")


def test_compact():
    with Federation() as f:
        fr = f.join("fr")
        results = fr.apply([{"op": "put", "fields": {"name": "N %d" % n, "notes": "x" * 1000}}
                            for n in range(3000)])
        fr.apply([{"op": "remove", "id": r["id"]} for r in results])
        path = os.path.join(fr.dir, "db", "data.mdb")
        before = os.path.getsize(path)
        inode = os.stat(path).st_ino
        shown = fr.json("compact")
        check(os.stat(path).st_ino != inode, "another file")
        check(shown["before"] == before and
              shown["after"] == os.path.getsize(path) < before * 0.8, shown)
        check(os.stat(path).st_mode & 0o777 == 0o600, "others cannot read it")
        check(fr.add(name="Afterwards")["ok"], "it goes on")
        f.agree()
        f.verify_all()
        fr.kill()
        fr.start()
        f.agree()
        check(not [n for n in os.listdir(fr.dir) if n.startswith("db.tmp")], "no leftover")


if __name__ == "__main__":
    main(test_canary_erased, test_restored_copy, test_who_has_not_confirmed, test_many_removals, test_compact)
