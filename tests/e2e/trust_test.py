# SPDX-License-Identifier: MPL-2.0
"""A lifetime of trust: chapters are suspended, resumed and revoked."""

import time

from federation import MENDED, Federation, Node, check, main, wait_until


def feed(node, code):
    return next(x for x in node.status()["feeds"] if x["chapter"] == code)


def peer(node, code):
    return next((p for p in node.status()["peers"] if p["chapter"] == code), None)


def seq(node, code):
    return feed(node, code)["seq"]


def total(node):
    return node.json("counts")["chapters_total"]


def all_cut(node):
    """Who was shut out and speaks loses his link at once; what he subscribed to ends a little
    later, with all connections."""
    wait_until(lambda: node.counters()["cuts"] >= 1, MENDED, node.code + " cuts its connections")


def founded(f, *codes):
    """A federation of hq and these chapters, each with one member, in step."""
    nodes = [f.join(code, listen=code != "lu") for code in codes]
    for node in nodes:
        check(node.add(name="First of " + node.code, country="FR")["ok"], node.code + " writes")
    f.agree()
    return nodes


def test_revoked():
    with Federation() as f:
        fr, lu, qc = founded(f, "fr", "lu", "qc")
        stands = seq(f.hq, "fr")
        shown = f.hq.json("chapters", "revoke", "fr")
        check(shown["state"] == "revoked" and shown["until_seq"] == stands, shown)
        # it is told, and signs nothing more; everybody's links to it are cut
        wait_until(lambda: fr.status()["node"]["state"] == "quarantined", MENDED, "fr knows",
                   0.1)
        check("revoked" in str(fr.status()["alarms"]), fr.status()["alarms"])
        code, _, text = fr.ctl("members", "add", "name=Late", check=False)
        check(code == 1 and "revoked" in text, text)
        for node in (f.hq, lu, qc):
            wait_until(lambda: feed(node, "fr")["state"] == "revoked", MENDED,
                       "revoked at " + node.code, 0.1)
            wait_until(lambda: (peer(node, "fr") or {"state": "down"})["state"] != "up", MENDED,
                       "no link of fr at " + node.code, 0.1)
            check(total(node) == 2, "chapters_total at %s" % node.code)
            check(seq(node, "fr") == stands, "fr's feed ends at " + node.code)
            check(node.json("counts")["memberships"] == 3, "what is held stays")
        wait_until(lambda: all(p["state"] != "up" for p in fr.status()["peers"]), MENDED,
                   "fr is linked to nobody", 0.1)
        all_cut(f.hq)
        # all others go on over new links
        check(lu.add(name="Afterwards", country="LU")["ok"], "lu writes")
        f.agree(nodes=[f.hq, lu, qc])
        check(f.hq.json("counts")["memberships"] == 4, "counts go on")
        for args in (("revoke", "fr"), ("suspend", "fr"), ("resume", "fr"), ("revoke", "hq"),
                     ("revoke", "xx")):
            code, _, text = f.hq.ctl("chapters", *args, check=False)
            check(code == 1 and "try: chapterctl -s %s chapters list" % f.hq.socket in text, (args, text))
        code, _, text = lu.ctl("chapters", "revoke", "qc", check=False)
        check(code == 1 and "HQ" in text, text)
        # and after a restart
        for node in (f.hq, qc):
            node.stop()
            node.start()
        f.agree(nodes=[f.hq, lu, qc])
        check(feed(qc, "fr")["state"] == "revoked" and total(qc) == 2, "after a restart")
        for node in (f.hq, lu, qc):
            result = node.json("verify", "--deep")
            check(not result["differences"], result)


def test_who_was_away_goes_back():
    """fr signs more that HQ never had; whoever took it goes back to where HQ says the feed ends."""
    with Federation() as f:
        fr, lu, qc = founded(f, "fr", "lu", "qc")
        stands = seq(f.hq, "fr")
        f.hq.stop()
        check(fr.add(name="HQ never had this", country="FR")["ok"], "fr writes")
        f.agree(nodes=[fr, qc], without=["hq"])
        check(seq(qc, "fr") > stands, "qc took it")
        for node in (fr, lu, qc):
            node.stop()
        f.hq.start()
        f.hq.json("chapters", "revoke", "fr")
        check(f.hq.json("chapters", "show", "fr")["until_seq"] == stands, "until")
        lu.start()
        qc.start()
        f.agree(nodes=[f.hq, lu, qc])
        for node in (f.hq, lu, qc):
            check(seq(node, "fr") == stands, "%s stands at %d" % (node.code, seq(node, "fr")))
            check(feed(node, "fr")["state"] == "revoked", node.code)
            check(not node.json("verify", "--deep")["differences"], node.code)
            check(node.json("counts")["memberships"] == 3, "counted at " + node.code)


def test_suspended():
    with Federation() as f:
        fr, lu = founded(f, "fr", "lu")
        f.hq.json("chapters", "suspend", "fr")
        for node in (f.hq, lu):
            wait_until(lambda: feed(node, "fr")["hold_reason"] == "suspended", MENDED,
                       "suspended at " + node.code, 0.1)
            check(total(node) == 2, "a suspended chapter counts")
        wait_until(lambda: fr.status()["node"]["state"] == "quarantined", MENDED, "fr knows",
                   0.1)
        wait_until(lambda: all(p["state"] != "up" for p in fr.status()["peers"]), MENDED,
                   "fr is linked to nobody", 0.1)
        all_cut(f.hq)
        stands = seq(lu, "fr")
        check(lu.add(name="Meanwhile", country="LU")["ok"], "lu writes")
        f.agree(nodes=[f.hq, lu])
        check(seq(fr, "lu") < seq(lu, "lu"), "fr is told nothing meanwhile")
        f.hq.json("chapters", "resume", "fr")
        wait_until(lambda: fr.status()["node"]["state"] in ("ok", "catching-up"), 60,
                   "fr is back", 0.2)
        check(fr.add(name="Back", country="FR")["ok"], "fr writes again")
        f.agree()
        check(seq(lu, "fr") > stands, "its changes arrive again")
        f.verify_all()


def ask_to_join(f, node, token):
    return f.daemon("join", token, "--dir", node.dir, "--dial-only", check=False)


def test_approved():
    with Federation() as f:
        token = f.hq.json("invite", "fr", "--approve")["token"]
        fr, thief = Node(f, "fr"), Node(f, "thief")
        code, _, text = ask_to_join(f, fr, token)
        check(code == 1 and "approve" in text, text)
        (waiting,) = f.hq.json("invite", "list")
        check(waiting["state"] == "waiting" and waiting["key"] in text, (waiting, text))
        check("wait" in str(f.hq.status()["alarms"]), f.hq.status()["alarms"])
        check(not any(c["chapter"] == "fr" for c in f.hq.json("chapters", "list")), "not yet")
        # the first keys are bound to it: another's are refused, and are not what is approved
        code, _, text = ask_to_join(f, thief, token)
        check(code == 1 and "used already" in text, text)
        check(f.hq.json("invite", "list")[0]["key"] == waiting["key"], "the first keys wait")
        f.hq.ctl("invite", "approve", waiting["id"])
        check(f.hq.json("chapters", "show", "fr")["curve_key"] == waiting["key"], "taken in")
        code, _, text = ask_to_join(f, fr, token)
        check(code == 0, text)
        f.nodes["fr"] = fr.start()
        f.agree()
        check(f.hq.json("invite", "list")[0]["state"] == "used", "used")
        code, _, text = f.hq.ctl("invite", "revoke", waiting["id"], check=False)
        check(code == 1 and "chapters revoke" in text, text)
        f.hq.ctl("chapters", "revoke", "fr")
        code, _, text = ask_to_join(f, Node(f, "thief"), token)
        check(code == 1, "joined with a used token: " + text)


def test_invitation_revoked():
    with Federation() as f:
        token = f.hq.json("invite", "fr")["token"]
        (open_one,) = f.hq.json("invite", "list")
        check(open_one["state"] == "open" and open_one["key"] is None, open_one)
        code, _, text = f.hq.ctl("invite", "approve", open_one["id"], check=False)
        check(code == 1 and "nobody has asked" in text, text)
        f.hq.ctl("invite", "revoke", open_one["id"])
        check(f.hq.json("invite", "list") == [], "gone")
        code, _, text = ask_to_join(f, Node(f, "fr"), token)
        check(code == 1, text)
        for args in (("revoke", open_one["id"]), ("approve", "xyz")):
            code, _, text = f.hq.ctl("invite", *args, check=False)
            check(code == 1 and "try: chapterctl -s %s invite list" % f.hq.socket in text, text)
        f.join("fr")
        f.agree()


def paused(node, code):
    return feed(node, code)["hold_reason"] == "over quota"


def test_quotas():
    with Federation() as f:
        fr, lu = founded(f, "fr", "lu")
        ids = [fr.add(name="Member %d" % n, email="m%d@example.org" % n, country="FR")["id"]
               for n in range(20)]
        f.agree()
        for limit, value in (("--records-max", "5"), ("--bytes-max", "2K")):
            f.hq.ctl("chapters", "edit", "fr", limit, value)
            wait_until(lambda: str(fr.json("chapters", "show", "fr")).find("%d" % (
                5 if value == "5" else 2048)) > 0, MENDED, "fr knows", 0.05)
            # its own daemon signs nothing that all others would pause
            result = fr.add(name="One too many", country="FR")
            check(not result["ok"] and "chapters edit" in result["error"], result)
            stands = seq(fr, "fr")
            f.agree()
            # and what it signs all the same is paused everywhere, for nobody's fault
            check(fr.apply([{"op": "remove", "id": ids.pop()}])[0]["ok"], "removals go on")
            for node in (f.hq, lu):
                wait_until(lambda: paused(node, "fr"), MENDED, "paused at " + node.code, 0.05)
                check(seq(node, "fr") == stands, "stands at " + node.code)
                check("chapters edit" in str(node.status()["alarms"]), node.status()["alarms"])
            time.sleep(1)
            check(all(n.counters()["mismatches"] == 0 for n in (f.hq, lu)), "no mismatch")
            f.hq.ctl("chapters", "edit", "fr", limit, "0")
            f.agree()
            check(not paused(lu, "fr"), "goes on")
        f.verify_all()


def test_edited():
    with Federation() as f:
        (fr,) = founded(f, "fr")
        shown = f.hq.json("chapters", "edit", "fr", "--name", "Société Exemple", "--country", "FR",
                          "--records-max", "3")
        check(shown["name"] == "Société Exemple" and shown["country"] == "FR" and
              shown["records_max"] == 3, shown)
        wait_until(lambda: fr.json("chapters", "show", "fr")["name"] == "Société Exemple",
                   MENDED, "fr knows", 0.1)
        for args in ((), ("--country", "XX")):
            code, _, text = f.hq.ctl("chapters", "edit", "fr", *args, check=False)
            check(code != 0, text)


if __name__ == "__main__":
    main(test_revoked, test_who_was_away_goes_back, test_suspended, test_approved,
         test_invitation_revoked, test_quotas, test_edited)
