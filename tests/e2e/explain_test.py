# SPDX-License-Identifier: MPL-2.0
"""chapterctl explain: each cause that real processes can be brought to, soon after it happened
(a feed counts as stale only 90 s later) and, with CHAPTERD_TEST_LONG, once it is stale."""

import glob
import os
import shutil
import time

from federation import (HEARD, MENDED, SLOW, Failed, Federation, Node, Slowed, check, fit_marker,
                        main, wait_until)
from proxy import Proxied

LONG = os.environ.get("CHAPTERD_TEST_LONG")
FIELDS = {"chapter", "name", "state", "head", "behind_changes", "behind_seconds", "heard_seconds",
          "fresh_seconds", "own", "cause", "text", "remedy", "path"}


def explain(node, chapter):
    result = node.json("explain", chapter)
    check(FIELDS <= set(result), "fields: %s" % result)
    check({"epoch", "seq", "time"} <= set(result["head"]), "head: %s" % result)
    check(result["text"] and (result["remedy"] != "") == (result["cause"] != "none"),
          "a text, and a remedy where something is wrong: %s" % result)
    return result


def settled(f):
    """Everybody has heard everybody and all links stand, so that what follows is news."""
    f.agree()
    f.hq_has_all()
    f.all_current()
    f.all_linked()


def becomes(node, chapter, cause, seconds, *texts):
    """explain comes to that cause in time; its result."""
    seen = {}

    def is_so():
        seen["last"] = explain(node, chapter)
        return seen["last"]["cause"] == cause

    try:
        wait_until(is_so, seconds, "", 0.1)
    except Failed as failed:
        raise Failed("explain %s at %s is to be %s%s; the last: %s" % (
            chapter, node.code, cause, failed, seen.get("last"))) from None
    for text in texts:
        check(text in seen["last"]["text"], "no %r in: %s" % (text, seen["last"]["text"]))
    return seen["last"]


def path_of(result, chapter):
    return [p for p in result["path"] if p["chapter"] == chapter]


def test_all_well_everywhere():
    with Federation() as f:
        fr, lu, qc = f.join("fr"), f.join("lu", listen=False), f.join("qc", listen=False)
        fr.add(name="one")
        settled(f)
        for node in f.running():
            for chapter in ("hq", "fr", "lu", "qc"):
                result = explain(node, chapter)
                check((result["cause"], result["state"]) == ("none", "current"), result)
                check(result["head"]["seq"] == node.feeds()[chapter][1], result)
                if chapter != node.code:
                    # from whom the newest beat came; that one may be a relay that is new itself
                    wait_until(lambda: any(p["newest"] and p["state"] == "up"
                                           for p in explain(node, chapter)["path"]), HEARD,
                               "%s shows whom it hears %s over" % (node.code, chapter))
        # who dials whom, and where
        direct = path_of(explain(lu, "fr"), "fr")[0]
        check(direct["direct"] and direct["dialled"] and direct["address"] == "127.0.0.1:%d" %
              fr.port, direct)
        direct = path_of(explain(f.hq, "lu"), "lu")[0]
        check(direct["direct"] and not direct["dialled"] and direct["address"] == "127.0.0.1",
              direct)
        check({p["chapter"] for p in explain(lu, "qc")["path"]} <= {"hq", "fr"}, "relays")
        text = lu.ctl("explain", "fr")[1]
        check("fr, Chapter fr: current" in text and "all is well" in text and "direct, dialled" in text,
              text)
        check("next:" not in text, text)
        csv = lu.ctl("--csv", "explain", "fr")[1].splitlines()
        check(len(csv) == 2 and csv[0].startswith("chapter,state,cause,") and
              csv[1].startswith("fr,current,none,"), csv)


def test_unknown_and_not_yet_here():
    with Federation() as f:
        f.daemon("join", f.invite("lu", "--name", "Testing Society Luxembourg"), "--dir",
                 os.path.join(f.dir, "lu"), "--dial-only")
        code, _, err = f.hq.ctl("explain", "lo", check=False)
        check(code == 1 and "did you mean lu?" in err, err)
        for words in (("explain", "luxembourg"), ("status", "luxembourg"),
                      ("chapters", "show", "luxembourg")):
            code, _, err = f.hq.ctl(*words, check=False)
            check(code == 1 and "did you mean lu?" in err, err)
        check(f.hq.ctl("explain", "LU", check=False)[0] == 2, "a code is in lower case")
        f.invite("be")
        code, _, err = f.hq.ctl("explain", "be", check=False)
        check(code == 1 and "has not joined yet" in err and "chapterd join" in err, err)
        becomes(f.hq, "lu", "never-met", 10, "has not run")
        check(explain(f.hq, "hq")["cause"] == "alone", "HQ without its chapter")


def test_killed_chapter():
    with Federation() as f:
        fr, lu, qc = f.join("fr"), f.join("lu", listen=False), f.join("qc", listen=False)
        settled(f)
        fr.kill()
        qc.kill()
        killed = time.monotonic()
        # lu dials fr: the lost link tells at once, or, if a last beat came over others after that,
        # when the next one does not come; long before it counts as stale
        result = becomes(lu, "fr", "unreachable", 45, "127.0.0.1:%d" % fr.port, "stale in")
        # 90 s after a beat of HQ that fr has heard: each may be 30 s old
        check(result["state"] == "current" and
              29 - (time.monotonic() - killed) < result["fresh_seconds"] <= 90, result)
        check(path_of(result, "fr")[0]["state"] == "connecting", result)
        check(path_of(result, "fr")[0]["since_seconds"] <= time.monotonic() - killed + 1, result)
        check("chapterd run" in result["remedy"] and "at fr:" in result["remedy"], result)
        # HQ was dialled by fr: it looks every 10 s whether that connection is still there
        result = becomes(f.hq, "fr", "unreachable", 45, "connected to this one", "silent")
        check(path_of(result, "fr")[0]["state"] == "down", result)
        check(path_of(result, "fr")[0]["since_seconds"] <= time.monotonic() - killed + 1, result)
        wait_until(lambda: {p["chapter"]: p["state"] for p in f.hq.status()["peers"]}
                   == {"fr": "down", "qc": "down", "lu": "up"}, 20, "who is gone is down at HQ")
        # nobody dials qc, and lu never had a link with it
        result = becomes(lu, "qc", "unreachable", 45, "no node that this one hears")
        check(not path_of(result, "qc") and path_of(result, "hq")[0]["state"] == "up", result)
        becomes(lu, "hq", "none", HEARD)
        if LONG:
            time.sleep(max(0, killed + 92 * SLOW - time.monotonic()))
            for node in (lu, f.hq):
                result = explain(node, "fr")
                check((result["cause"], result["state"]) == ("unreachable", "stale"), result)
        fr.start()
        qc.start()
        for node in (lu, f.hq):
            becomes(node, "fr", "none", HEARD)
            becomes(node, "qc", "none", HEARD)


def test_hq_away():
    with Federation() as f:
        fr, lu = f.join("fr"), f.join("lu", listen=False)
        settled(f)
        f.hq.kill()
        killed = time.monotonic()
        result = becomes(lu, "hq", "unreachable", 45, "127.0.0.1:%d" % f.hq.port, "go on without")
        check(result["state"] == "current", result)
        result = becomes(lu, "lu", "hq-away", 10, "still reach the chapters")
        check(result["remedy"] == "chapterctl explain hq", result)
        becomes(lu, "fr", "none", HEARD)  # proven by HQ's last beat
        if LONG:
            time.sleep(max(0, killed + 100 * SLOW - time.monotonic()))
            check(explain(lu, "hq")["state"] == "stale", "hq")
            result = becomes(lu, "fr", "hq-away", 10, "withholds")
            check(result["state"] == "current", result)
        fr.kill()
        for chapter in ("fr", "lu"):
            result = becomes(lu, chapter, "alone", 20, "none of the 2 that it dials")
            check("ping" in result["remedy"], result)
        f.hq.start()
        fr.start()
        for chapter in ("hq", "fr", "lu"):
            becomes(lu, chapter, "none", HEARD)


def test_partition():
    with Proxied(seed=1) as f:
        f.proxy.label = "fr"
        fr = f.join("fr")
        settled(f)
        wait_until(lambda: f.proxy.live("fr") == [f.hq.port, f.hq.port + 1], MENDED,
                   "fr's links to HQ stand")
        f.proxy.label = "lu"  # whoever dials from here on
        lu = f.join("lu", listen=False)
        settled(f)
        f.proxy.hold("lu", "up", "down")
        for chapter in ("fr", "hq", "lu"):
            becomes(lu, chapter, "alone", 40)
        becomes(f.hq, "lu", "unreachable", 50, "silent")
        becomes(f.hq, "fr", "none", HEARD)  # the others are well
        becomes(fr, "hq", "none", HEARD)
        f.proxy.release()
        for chapter in ("fr", "hq", "lu"):
            becomes(lu, chapter, "none", HEARD)
        becomes(f.hq, "lu", "none", HEARD)


def test_late_subscription():
    """Whose link to HQ is up before its subscription hears of HQ's beat all the same."""
    with Proxied(seed=1) as f:
        f.proxy.label = "fr"
        fr = f.join("fr")
        settled(f)
        f.proxy.hold("fr", "up", "down", port=f.hq.port + 1)
        f.hq.stop()
        f.hq.start()
        # what fr sends echoes a beat of HQ since its start
        wait_until(lambda: all(x["state"] == "current" for x in f.hq.status()["feeds"]), 25,
                   "all current at HQ")


def test_forked_clone():
    with Federation() as f:
        fr, lu, qc = f.join("fr"), f.join("lu", listen=False), f.join("qc", listen=False)
        settled(f)
        qc.stop()
        clone = Node(f, "qc-copy")
        shutil.copytree(qc.dir, clone.dir)
        f.hq.stop()  # there is nobody who could open a new epoch
        fr.stop()
        f.nodes["qc-copy"] = clone
        for node in (clone, qc):  # both sign the same number while nobody hears
            fit_marker(node.dir)
            node.start()
        for node in (clone, qc):  # each waits for a first hello, for 3 s
            check(node.add(name="from " + node.code)["ok"], node.code + " writes")
        fr.start()
        for node in (fr, lu):
            result = becomes(node, "qc", "forked", 40, "directory was copied")
            check(result["state"] == "forked" and "stop one" in result["remedy"], result)
        becomes(qc, "qc", "forked", 30, "frozen everywhere", "a new epoch")
        f.hq.start()
        for node in (f.hq, fr, lu):
            becomes(node, "qc", "none", 60)
        wait_until(lambda: {explain(node, "qc")["cause"] for node in (qc, clone)}
                   == {"none", "quarantined"}, 60, "one goes on, the other is told so", 0.2)


def test_old_directory():
    with Federation() as f:
        fr, lu = f.join("fr", listen=False), f.join("lu", listen=False)
        settled(f)
        fr.stop()
        shutil.copytree(fr.dir, fr.dir + "-old")
        fr.start()
        check(fr.add(name="one")["ok"] and fr.add(name="two")["ok"], "fr writes")
        f.agree()
        fr.stop()
        shutil.rmtree(fr.dir)
        os.rename(fr.dir + "-old", fr.dir)
        f.hq.stop()
        fr.start()
        becomes(fr, "fr", "recovering", 10, "is a copy or was restored", "a new epoch")
        f.hq.start()
        becomes(fr, "fr", "none", 60)
        becomes(f.hq, "fr", "none", 60)


def test_refused():
    with Federation() as f:
        fr = f.join("fr")
        settled(f)
        fr.stop()
        lu = f.join("lu", listen=False)
        f.agree()
        f.hq.stop()
        fr.start()  # it has never heard of lu, and nobody is there who could tell it
        result = becomes(lu, "fr", "refused", MENDED, "127.0.0.1:%d" % fr.port)
        check("at fr: chapterctl explain hq" in result["remedy"], result)
        check(path_of(result, "fr")[0]["state"] == "denied", result)
        f.hq.start()
        becomes(lu, "fr", "none", HEARD)


def test_behind():
    with Federation() as f:
        fr, lu = f.join("fr"), f.join("lu", listen=False)
        settled(f)
        lu.stop()
        for _ in range(3):
            check(all(r["ok"] for r in fr.apply([{"op": "put", "fields": {"name": "M"}}] * 10000)),
                  "fr writes")

        def fetches():
            result = lu.ask("explain", 30, chapter="fr")
            return result["cause"] == "behind" and "fetched from" in result["text"] and result

        lu.start(wait=False)
        with Slowed(lu.process.pid, run_ms=2):  # what it lacks takes a while
            result = wait_until(fetches, 30, "lu is behind and fetches", 0.001)
        check("not here yet" in result["text"], result)
        check(result["state"] == "behind" and result["behind_changes"] > 0, result)
        check(result["remedy"] == "chapterctl wait --chapter fr", result)
        becomes(lu, "fr", "none", 60)


def test_over_its_limit():
    with Federation() as f:
        fr, lu = f.join("fr"), f.join("lu")
        added = fr.apply([{"op": "put", "fields": {"name": "M"}}] * 60)
        check(all(r["ok"] for r in added), "fr writes")
        settled(f)
        stands = fr.feeds()["fr"][1]
        f.hq.ctl("chapters", "edit", "fr", "--records-max", "50")
        f.agree()
        edit = {"op": "put", "id": added[0]["id"], "fields": {"country": "FR"}}
        check(fr.apply([edit])[0]["ok"], "fr edits")
        for node in (lu, f.hq):
            result = becomes(node, "fr", "over-limit", MENDED, "50",
                             "paused at change %d" % stands)
            check("chapterctl chapters edit fr --records-max" in result["remedy"], result)
            check(result["remedy"].startswith("at hq: ") == (node is lu), "where it is typed")
            becomes(node, "lu", "none", HEARD)
        f.hq.ctl("chapters", "edit", "fr", "--records-max", "100")
        for node in (lu, f.hq):
            becomes(node, "fr", "none", HEARD)


def test_suspended_and_revoked():
    with Federation() as f:
        fr, lu = f.join("fr"), f.join("lu", listen=False)
        settled(f)
        f.hq.ctl("chapters", "suspend", "fr")
        for node in (f.hq, lu, fr):
            result = becomes(node, "fr", "quarantined", MENDED, "HQ has suspended")
            check("chapters" in result["remedy"], result)
        check(explain(f.hq, "fr")["remedy"] == "chapterctl chapters resume fr", "at HQ itself")
        f.hq.ctl("chapters", "resume", "fr")
        for node in (f.hq, lu, fr):
            becomes(node, "fr", "none", 60)
        f.hq.ctl("chapters", "revoke", "fr")
        for node in (f.hq, lu):
            result = becomes(node, "fr", "revoked", MENDED, "HQ has revoked")
            check(result["state"] == "revoked", result)
        becomes(f.hq, "lu", "none", HEARD)


def test_full_store():
    with Federation() as f:
        fr, lu = f.join("fr"), f.join("lu", listen=False)
        settled(f)
        lu.stop()
        with open(os.path.join(lu.dir, "chapterd.conf"), "w") as file:
            file.write("store_size = 16M\n")
        lu.start()
        fr.ctl("tiers", "set", "notes=federation")
        for _ in range(5):
            added = fr.apply([{"op": "put", "fields": {"name": "M", "notes": "n" * 8000}}] * 500)
            check(all(r["ok"] for r in added), "fr writes")
        for chapter in ("fr", "lu"):
            result = becomes(lu, chapter, "full-disk", MENDED, "nothing can be written")
            check("df -h " + lu.dir in result["remedy"], result)


def test_wrong_clock():
    library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not library or SLOW != 1:
        print("skipped test_wrong_clock: libfaketime is not installed, or sanitizers are on")
        return
    with Federation() as f:
        fr, lu = f.join("fr", start=False), f.join("lu", listen=False)
        fr.start(prefix=("env", "LD_PRELOAD=" + library[0], "FAKETIME=+3h")).wait_roster()
        check(fr.add(name="from the future")["ok"], "fr writes")
        settled(f)
        result = becomes(lu, "fr", "clock", 5, "one of the two clocks is wrong")
        check(result["state"] == "current" and "at fr: timedatectl" in result["remedy"], result)
        check(explain(lu, "lu")["cause"] == "none", "one chapter proves nothing about my clock")
        check(f.hq.add(name="in time")["ok"] and lu.add(name="in time")["ok"], "they write")
        f.agree()
        check(explain(fr, "lu")["cause"] == "none", "the past is no proof")


if __name__ == "__main__":
    main(test_all_well_everywhere, test_unknown_and_not_yet_here, test_killed_chapter,
         test_hq_away, test_partition, test_late_subscription, test_forked_clone,
         test_old_directory, test_refused, test_behind, test_over_its_limit,
         test_suspended_and_revoked, test_full_store, test_wrong_clock)
