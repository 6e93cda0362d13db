# SPDX-License-Identifier: MPL-2.0
"""A chapter chooses how far each field goes, and changes its mind; who sees what is told."""

import os
import shutil

from erase_test import files_hold
from federation import Federation, check, main, wait_until

PERSON = {"name": "Zoé Durand", "email": "zoe@example.fr", "country": "FR", "joined": "2001-02-03",
          "city": "Lyon-la-Canari", "status": "active"}


def founded(f):
    fr, lu = f.join("fr"), f.join("lu", listen=False)
    record = fr.add(**PERSON)["id"]
    rest = fr.apply([{"op": "put", "fields": {"name": "N %d" % n, "country": "BE", "joined":
                                              "2010-01-01"}} for n in range(40)])
    check(all(r["ok"] for r in rest), rest[:1])
    f.agree()
    return fr, lu, record


def by_country(node):
    return {r["key"]: r["memberships"] for r in node.json("counts", "--by", "country")["rows"]}


def in_step(f):
    f.agree()
    f.hq_has_all()


def test_narrowed_and_widened():
    with Federation() as f:
        fr, lu, record = founded(f)
        check(by_country(lu) == {"BE": 40, "FR": 1}, by_country(lu))
        done = fr.json("tiers", "set", "country=hq", "joined=chapter", "city=federation")
        check(done["changed"] == 41 and done["pending"] is None, done)
        in_step(f)
        for node in (fr, lu, f.hq):  # withdrawn: under the empty key, everywhere alike
            check(by_country(node) == {"": 41}, "%s: %s" % (node.code, by_country(node)))
            months = node.json("counts", "--by", "month")["rows"]
            check({r["key"] for r in months} == {""}, months)
        shown = {n.code: n.json("members", "show", record) for n in (fr, lu, f.hq)}
        check("country" not in shown["lu"] and "joined" not in shown["lu"] and
              shown["lu"]["city"] == PERSON["city"], shown["lu"])
        check(shown["hq"]["country"] == "FR" and "joined" not in shown["hq"], shown["hq"])
        check(shown["fr"]["country"] == "FR" and shown["fr"]["joined"] == PERSON["joined"],
              shown["fr"])
        # new ones follow, and nothing else was put anew
        other = fr.add(**PERSON)["id"]
        f.agree()
        check("country" not in lu.json("members", "show", other), "new ones follow")
        seq = fr.feeds()["fr"][1]
        check(fr.json("tiers", "set", "country=hq")["changed"] == 0, "nothing to do")
        check(fr.feeds()["fr"][1] == seq, "no seq was taken")
        # back to the default, and the city to nobody: by and by no file holds it any more
        check(files_hold(lu, PERSON["city"].encode()), "the search finds what is there")
        check(fr.json("tiers", "set", "country=", "joined=", "city=")["changed"] == 42, "back")
        in_step(f)
        check(by_country(lu) == {"BE": 40, "FR": 2} == by_country(f.hq), by_country(lu))
        for node in (lu, f.hq):
            wait_until(lambda: not files_hold(node, PERSON["city"].encode()), 60,
                       "the city is out of the files of " + node.code, 0.2)
        f.verify_all()


def test_withdrawn_while_a_node_is_away():
    with Federation() as f:
        fr, lu, record = founded(f)
        fr.json("tiers", "set", "city=federation")
        f.agree()
        lu.stop()
        fr.json("tiers", "set", "city=hq")
        in_step(f)
        check(files_hold(lu, PERSON["city"].encode()), "the search finds what is there")
        lu.start()
        f.agree()
        wait_until(lambda: not files_hold(lu, PERSON["city"].encode()), 60,
                   "the city is out of the files of lu", 0.2)
        check(f.hq.json("members", "show", record)["city"] == PERSON["city"], "HQ still sees it")
        f.verify_all()


def test_persons_follow_the_address():
    with Federation() as f:
        fr, lu, _ = founded(f)
        fr.add(**dict(PERSON, name="Twice"))
        in_step(f)
        check(f.hq.json("counts")["persons"] == 41, f.hq.json("counts"))
        fr.json("tiers", "set", "email=federation")
        in_step(f)
        check(f.hq.json("counts")["persons"] == 41, "told to everybody: still one person")
        fr.json("tiers", "set", "email=chapter")
        in_step(f)
        check(f.hq.json("counts")["persons"] == 42, "told to nobody: each is one")


def test_who_sees():
    with Federation() as f:
        fr, lu, record = founded(f)
        told = {x["field"]: x for x in fr.json("who-sees", record)["fields"]}
        check(told["country"]["tier"] == "federation" and
              sorted(told["country"]["receivers"]) == ["fr", "hq", "lu"], told["country"])
        check(sorted(told["email"]["receivers"]) == ["fr", "hq"], told["email"])
        check(told["city"]["receivers"] == ["fr"], told["city"])
        check("id" in told and len(told) == 9, sorted(told))
        text = fr.ctl("who-sees", record)[1]
        check(PERSON["email"] not in text and "email" in text, "fields, not values: " + text)
        theirs = lu.json("who-sees", record)
        check(not theirs["complete"] and "email" not in str(theirs["fields"]), theirs)
        for args in (("set", "kind=hq"), ("set", "status=chapter"), ("set", "city=everybody"),
                     ("set", "id=")):
            code, _, text = fr.ctl("tiers", *args, check=False)
            check(code != 0 and text, (args, text))
        listed = {x["field"]: x for x in fr.json("tiers", "list")["fields"]}
        check(listed["kind"]["fixed"] and not listed["email"]["fixed"] and
              listed["name"]["organizations"] == "federation", listed)


def followed(node):
    return {r["field"]: r["tier"] for r in node.json("tiers", "list")["fields"] if r["followed"]}


def asks(node):
    """The alarm that asks how far each of these goes."""
    return next((a["text"] for a in node.status()["alarms"] if "tiers set FIELD" in a["remedy"]), None)


def goes_no_further(f, record, epoch):
    """Once fr signs again: what was withdrawn stays so, and what cannot be known is told."""
    fr, lu = f.nodes["fr"], f.nodes["lu"]
    wait_until(lambda: all(n.feeds().get("fr", (0,))[0] == epoch for n in f.running()), 60,
               "a new epoch")
    kept = followed(fr)  # no member ever had the last two
    check(kept == {"country": "hq", "joined": "chapter", "email": "chapter", "language": "chapter",
                   "expires": "chapter"}, kept)
    check(all("%s (%s)" % x in asks(fr) for x in kept.items()), asks(fr))
    told = [a["remedy"] for a in fr.status()["alarms"]]
    check(any("tiers list" in remedy for remedy in told), told)
    check(fr.apply([{"op": "put", "id": record, "fields": dict(PERSON, status="lapsed")}])[0]["ok"],
          "changed")
    other = fr.add(**PERSON)["id"]
    in_step(f)
    for one in (record, other):
        check("country" not in lu.json("members", "show", one), "it goes to all nodes again")
        check(f.hq.json("members", "show", one)["country"] == "FR", "HQ has it")
        for node in (lu, f.hq):
            check(not {"joined", "email"} & set(node.json("members", "show", one)),
                  "it goes to %s again" % node.code)
        shown = fr.json("members", "show", one)
        check(all(shown[x] == PERSON[x] for x in ("joined", "email")), "it is lost: %s" % shown)
    return other


def test_after_a_restored_copy_and_a_lost_disk():
    """The chapter narrowed fields after the backup was made, of which the copy knows nothing."""
    with Federation() as f:
        fr, lu, record = founded(f)
        backup = os.path.join(f.dir, "backup")
        fr.ctl("backup", backup)
        check(fr.json("tiers", "set", "country=hq", "joined=chapter",
                      "email=chapter")["pending"] is None, "narrowed")
        check(not followed(fr) and asks(fr) is None, "it asks what it knows")
        in_step(f)
        fr.stop()
        shutil.rmtree(fr.dir)
        f.daemon("restore", backup, "--dir", fr.dir)
        fr.start()
        goes_no_further(f, record, 2)
        fr.stop()
        fr.start()
        check(len(followed(fr)) == 5, "it asks after a start, too")
        fr.stop()
        shutil.rmtree(fr.dir)
        token = f.hq.json("chapters", "rekey", "fr")["token"]
        f.daemon("join", token, "--dir", fr.dir, *f.place(fr))
        fr.start()
        other = goes_no_further(f, record, 3)
        papers = os.path.join(f.dir, "papers.csv")
        with open(papers, "w", encoding="utf-8") as file:
            file.write("name,city,expires\nZoé Imported,Nice,2031-05-06\n")
        text = fr.ctl("import", papers, "--apply")[2]
        check(text.count("since the recovery") == 1 and "tiers set expires=TIER" in text, text)
        # the chapter says how far they go, and that is how far
        fr.json("tiers", "set", "joined=", "email=hq", "country=hq", "language=chapter")
        check(followed(fr) == {"expires": "chapter"} and "expires" in asks(fr), followed(fr))
        fr.json("tiers", "set", "expires=")
        check(not followed(fr) and asks(fr) is None, asks(fr))
        in_step(f)
        check(lu.json("members", "show", other)["joined"] == PERSON["joined"], "to all nodes")
        check("2031-05-06" in [m.get("expires") for m in lu.json("members", "list")], "imported")
        check("recovery" not in fr.ctl("import", papers)[2], "it tells of what is set")
        check(f.hq.json("members", "show", other)["email"] == PERSON["email"], "to HQ")
        f.verify_all()


def test_a_moved_directory_asks_nothing():
    """It has all that there is: what no member has, nobody withdrew."""
    with Federation() as f:
        fr, lu, _ = founded(f)
        fr.stop()
        shutil.copytree(fr.dir, fr.dir + ".copy")
        shutil.rmtree(fr.dir)
        shutil.move(fr.dir + ".copy", fr.dir)
        fr.start()
        wait_until(lambda: all(n.feeds().get("fr", (0,))[0] == 2 for n in f.running()), 60,
                   "a new epoch")
        check(not followed(fr) and asks(fr) is None, asks(fr))
        other = fr.add(language="fr", **PERSON)["id"]
        in_step(f)
        check(f.hq.json("members", "show", other)["language"] == "fr", "as by default")


def test_goes_on_after_a_crash():
    with Federation() as f:
        fr, lu = f.join("fr"), f.join("lu", listen=False)
        for _ in range(3):
            rest = fr.apply([{"op": "put", "fields": {"name": "N %d" % n, "country": "BE"}}
                             for n in range(3000)])
            check(all(r["ok"] for r in rest), rest[:1])
        f.agree()
        fr.control.send("tiers.set", {"fields": {"country": "chapter"}})  # nobody waits for the end
        wait_until(lambda: by_country(fr).get("", 0) > 500, 20, "it began", 0.005)
        fr.kill()
        fr.start()
        wait_until(lambda: fr.json("tiers", "list")["pending"] is None, 30, "all follow", 0.1)
        f.agree(60)
        for node in (fr, lu, f.hq):
            check(by_country(node) == {"": 9000}, "%s: %s" % (node.code, by_country(node)))
        f.verify_all()


if __name__ == "__main__":
    main(test_narrowed_and_widened, test_withdrawn_while_a_node_is_away, test_persons_follow_the_address, test_who_sees,
         test_after_a_restored_copy_and_a_lost_disk, test_a_moved_directory_asks_nothing,
         test_goes_on_after_a_crash)
