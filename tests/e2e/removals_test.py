# SPDX-License-Identifier: MPL-2.0
"""Many removals within a day: a chapter's operator is asked, and HQ is told, however it learns of
them; what is put again needs no telling."""

import json

from federation import MENDED, Federation, check, main, wait_until


def put(node, count):
    results = node.apply([{"op": "put", "fields": {"name": "%s %d" % (node.code, n)}}
                          for n in range(count)])
    check(len(results) == count and all(r["ok"] for r in results), results[:2])
    return [r["id"] for r in results]


def remove(node, ids, *args):
    """exit code, and the ids that were removed"""
    code, out, _ = node.ctl("members", "apply", "-", *args, check=False, stdin="".join(
        json.dumps({"op": "remove", "id": i}) + "\n" for i in ids))
    lines = [json.loads(line) for line in out.splitlines()]
    for line in lines:
        check(line["ok"] or "--confirm" in line["error"], line)
    return code, [line["id"] for line in lines if line["ok"]]


def alarms(node, text):
    return [a for a in node.status()["alarms"] if text in a["text"]]


def test_many_removals_are_asked_about_and_told():
    with Federation() as f:
        fr, lu = f.join("fr"), f.join("lu", listen=False)
        ids = put(fr, 200)
        put(lu, 20)
        f.agree()
        check(remove(fr, ids[:20]) == (0, ids[:20]), "a tenth may go")
        f.agree()
        check(not f.hq.status()["alarms"], f.hq.status()["alarms"])
        # one more: refused, nothing is done, and the way out is named
        check(remove(fr, ids[20:30]) == (4, []), "more than a tenth goes without a word")
        code, _, err = fr.ctl("members", "remove", ids[20], check=False)
        check(code == 1 and "--confirm" in err, (code, err))
        check("--confirm" in alarms(fr, "11 removals were refused")[0]["remedy"],
              fr.status()["alarms"])
        # with the word it is done, and HQ is told of whom and how many
        fr.ctl("members", "remove", ids[20], "--confirm")
        check(not fr.status()["alarms"], fr.status()["alarms"])
        wait_until(lambda: alarms(f.hq, "fr removed 21 of its 200 members"), MENDED, "HQ is told")
        check(remove(fr, ids[21:100], "--confirm") == (0, ids[21:100]), "with the word")
        f.agree()
        wait_until(lambda: alarms(f.hq, "fr removed 100 of its 200 members"), MENDED, "HQ is told")
        check("chapterctl log --chapter fr" in alarms(f.hq, "fr removed")[0]["remedy"], "remedy")
        check(not lu.status()["alarms"], "lu is told")
        with open(f.hq.log) as log:
            check(log.read().count("event=many_removals feed=fr removed=21 of=200") == 1,
                  "logged once")
        # HQ remembers
        f.hq.kill()
        f.hq.start()
        check(alarms(f.hq, "fr removed 100 of its 200 members"), "HQ forgot")
        # they are put again
        fr.apply([{"op": "put", "id": i, "fields": {"name": "back"}} for i in ids[:90]])
        f.agree()
        wait_until(lambda: not alarms(f.hq, "fr removed"), MENDED, "all is well again")


def test_hq_is_told_of_what_happened_in_its_absence():
    with Federation() as f:
        fr = f.join("fr")
        ids = put(fr, 2000)
        f.agree()
        f.hq.stop()
        check(remove(fr, ids[:500], "--confirm") == (0, ids[:500]), "removed")
        f.hq.start()
        f.agree()
        wait_until(lambda: alarms(f.hq, "fr removed 500 of its 2000 members"), MENDED, "HQ is told")


if __name__ == "__main__":
    main(test_many_removals_are_asked_about_and_told,
         test_hq_is_told_of_what_happened_in_its_absence)
