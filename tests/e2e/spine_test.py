# SPDX-License-Identifier: MPL-2.0
"""The spine: join, change, import, count, verify; the same proven state on every node."""

import json
import os
import subprocess
import sys

from federation import HEARD, SAMPLES, Federation, check, main, wait_until


def generate(directory, chapters="fr,lu,qc", members=3000, shared=25):
    subprocess.run(["/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable,
                    os.path.join(SAMPLES, "generate.py"), "--chapters", chapters,
                    "--members", str(members), "--shared", str(shared), "--seed", "1",
                    "--out", directory], check=True)
    with open(os.path.join(directory, "expected.json")) as file:
        return json.load(file)


def test_one_change_is_seen_everywhere():
    with Federation() as f:
        fr, lu, qc = f.join("fr"), f.join("lu", listen=False), f.join("qc")
        f.agree()
        added = fr.add(name="Zoé Durand", email="zoe@example.fr", country="FR",
                       joined="2001-05-04", notes="very private", phone="+33 1")
        check(added["ok"], added)
        f.agree()
        f.hq_has_all()
        seen = lu.json("members", "show", added["id"])
        check(seen["country"] == "FR" and seen["chapter"] == "fr", seen)
        for field in ("name", "email", "notes", "phone", "language"):
            check(field not in seen, "lu sees %s: %s" % (field, seen))
        seen = f.hq.json("members", "show", added["id"])
        check(seen["name"] == "Zoé Durand" and "notes" not in seen, seen)
        check(fr.json("members", "show", added["id"])["notes"] == "very private", "own notes")
        # an edit of a private field alone takes no seq
        seq = fr.feeds()["fr"][1]
        edited = fr.apply([{"op": "put", "id": added["id"], "fields": {"notes": "other"}}])[0]
        check(edited["ok"] and fr.feeds()["fr"][1] == seq, edited)
        # a put that changes nothing answers the old seq
        again = fr.apply([{"op": "put", "id": added["id"], "fields": {"country": "FR"}}])[0]
        check(again["ok"] and again["seq"] == added["seq"], again)
        # nobody else writes it
        other = qc.apply([{"op": "put", "id": added["id"], "fields": {"country": "CA"}}])[0]
        check(not other["ok"], other)
        removed = fr.apply([{"op": "remove", "id": added["id"]}])[0]
        check(removed["ok"], removed)
        f.agree()
        for node in f.running():
            check(node.json("counts")["memberships"] == 0, node.code)
            check(node.ctl("members", "show", added["id"], check=False)[0] == 1, node.code)
        back = fr.apply([{"op": "put", "id": added["id"], "fields": {"name": "Zoé"}}])[0]
        check(back["ok"], back)
        f.agree()
        f.verify_all()


def test_import_counts_and_privacy():
    with Federation() as f:
        samples = os.path.join(f.dir, "samples")
        expected = generate(samples)
        fr, lu, qc = f.join("fr"), f.join("lu", listen=False), f.join("qc")
        for node in (f.hq, fr, lu, qc):
            path = os.path.join(samples, node.code + ".csv")
            if not os.path.exists(path):
                continue
            dry = node.json("import", path)
            check(dry["applied"] is False and dry["rejected"] == 0, dry)
            done = node.json("import", path, "--apply")
            check(done["applied"] is True and done["added"] == dry["added"], done)
            again = node.json("import", path, "--apply")
            check(again["added"] == again["changed"] == 0 and again["same"] == done["added"], again)
        f.agree(60)
        f.verify_all()
        for node in f.running():
            counts = node.json("counts", "--by", "chapter")
            check(counts["memberships"] == expected["memberships"], (node.code, counts, expected))
            check(counts["individuals"] == expected["individuals"], node.code)
            check(counts["countries"] == expected["countries"], (node.code, counts["countries"]))
            check({r["key"]: r["memberships"] for r in counts["rows"]}
                  == expected["by_chapter"], node.code)
        f.hq_has_all()
        persons = f.hq.json("counts")["persons"]
        check(persons == expected["persons"], "persons %s, not %s" % (persons, expected["persons"]))
        check(lu.json("counts")["persons"] is None, "lu does not hold tier hq")
        wait_until(lambda: f.hq.json("counts")["chapters_current"] == 3, HEARD,
                   "3 of 3 current")
        # canaries
        added = fr.add(name="Canarie Xqzname", email="xqzmail@canary.example",
                       notes="xqznote", country="FR")
        check(added["ok"], added)
        f.agree()
        f.hq_has_all()
        for text in ("Xqzname", "xqzmail", "xqznote"):
            check(f.files_contain("lu", text) is None, "lu holds " + text)
            check(f.files_contain("fr", text) is not None, "fr lost " + text)
        check(f.files_contain("hq", "xqznote") is None, "hq holds a note")
        check(f.files_contain("hq", "xqzmail") is not None, "hq lacks tier hq")
        # export round-trips
        out = os.path.join(f.dir, "out.csv")
        fr.ctl("export", "-o", out)
        again = fr.json("import", out, "--apply")
        check(again["added"] == again["changed"] == again["rejected"] == 0, again)


def test_wait_and_log():
    with Federation() as f:
        fr, lu = f.join("fr"), f.join("lu", listen=False)
        added = fr.add(name="A")
        done = lu.json("wait", "--timeout", "20")
        check(done["in_step"] is True, done)
        f.agree()
        lines = [json.loads(line) for line in
                 lu.ctl("--json", "log", "--chapter", "fr")[1].splitlines()]
        check([l["id"] for l in lines] == [added["id"]], lines)
        fr.stop()
        fr2 = fr.start()
        check(fr2.add(name="B")["ok"], "write after a restart")
        f.agree()
        f.verify_all()
        against = lu.json("verify", "--against", "hq")
        check(not against["differences"], against)


if __name__ == "__main__":
    main(test_one_change_is_seen_everywhere, test_import_counts_and_privacy, test_wait_and_log)
