# SPDX-License-Identifier: MPL-2.0
"""The second act: edits travel, headquarters is killed, a chapter is away and comes back."""

import csv
import json
import os
import signal
import statistics
import time

from first_act import Goal, run_shown
from screen import plural, seconds_text, size_text
from society import Node, check, wait_until
from watch import Watch, Writer

EDITS = 9
PAUSE_SECONDS = 0.25
MISSED = 10000
SEEN_SECONDS = 30


def someone(node):
    """The id of a member of that chapter."""
    return node.json("members", "list", "--chapter", node.code, "--status", "active",
                     "--limit", "1")[0]["id"]


def edits_travel(screen, society):
    """An edit at France, until the last node has it: median seconds."""
    france, nodes = society.nodes["fr"], society.running()
    with screen.step("edits", "an edit at France arrives in Québec"):
        argv = ["members", "add", "name=Zoé Durand", "email=zoe.durand@fr.example", "country=FR"]
        run_shown(screen, france, *argv)
        watch = Watch(society, nodes, "fr")
        member = watch.newest["fr"][1]
        writer = Writer(society, france)
        durable, quebec, everywhere = [], [], []
        for number in range(EDITS):
            time.sleep(PAUSE_SECONDS)
            change, begun, took = writer.put(member, country="CA" if number % 2 == 0 else "FR")
            seen = watch.see(change, begun)
            durable.append(took)
            quebec.append(seen["qc"])
            everywhere.append(max(seen.values()))
        run_shown(screen, society.nodes["qc"], "log", "--chapter", "fr", "-n", "1")
        screen.line("%d edits, each from the request on; chapterctl log -f at all %d nodes saw:" % (
            EDITS, len(nodes)))
        for what, times in (("durable at France", durable), ("seen in Québec", quebec),
                            ("seen at the last of all %d" % len(nodes), everywhere)):
            screen.line("  %-32s %8s   (%s to %s)" % (
                what, seconds_text(statistics.median(times)), seconds_text(min(times)),
                seconds_text(max(times))))
        writer.close()
    return statistics.median(everywhere), watch, member


def edit(society, node, watch, member, **fields):
    """Each node that is watched sees it: code -> seconds after the request."""
    writer = Writer(society, node)
    change, begun, _ = writer.put(member, **fields)
    seen = watch.see(change, begun)
    writer.close()
    return seen


def without_hq(screen, society, watch, member):
    quebec, hq = society.nodes["qc"], society.hq
    with screen.step("without HQ", "HQ is killed; edits go on"):
        pid = hq.process.pid
        watch.leave("hq")
        hq.stop(signal.SIGKILL)
        screen.line("kill -9 %d: HQ is gone" % pid)
        seen = edit(society, society.nodes["fr"], watch, member, country="LU", language="lb")
        watch.close()
        screen.line("an edit at France is in Québec after %s, at the last of %d after %s" % (
            seconds_text(seen["qc"]), len(seen), seconds_text(max(seen.values()))))
        other = someone(quebec)
        watch = Watch(society, society.running(), "qc")
        seen = edit(society, quebec, watch, other, country="BE", language="nl")
        watch.close()
        screen.line("one at Québec, which nobody can dial, at the last after %s" % (
            seconds_text(max(seen.values()))))
        run_shown(screen, quebec, "explain", "hq")
        hq_returns(screen, hq, {member: ("LU", "lb"), other: ("BE", "nl")})


def hq_returns(screen, hq, edited):
    begun = time.monotonic()

    def has(member, country, language):
        record = hq.json("members", "show", member)
        return (record.get("country"), record.get("language")) == (country, language)

    hq.start()
    hq.wait_answer()
    wait_until(lambda: all(has(member, *fields) for member, fields in edited.items()),
               SEEN_SECONDS, "HQ has what was edited meanwhile")
    screen.line("HQ runs again and has both edits, %s after its start" % (
        seconds_text(time.monotonic() - begun)))


def renewals(society):
    """[(node, lines for members apply, how many)]: the largest chapters renew their members, one
    change of each, until there are enough."""
    left, work = MISSED, []
    sizes = {row["key"]: row["memberships"] for row in
             society.hq.json("counts", "--by", "chapter")["rows"]}
    for code in sorted(sizes, key=lambda code: -sizes[code]):
        if code in ("hq", "lu") or left == 0:
            continue
        node = society.nodes[code]
        members = node.json("members", "list", "--chapter", code, "--limit", str(left))
        lines = [json.dumps({"op": "put", "id": member["id"], "fields": {"expires": "2109-12-31"}})
                 for member in members]
        work.append((node, "\n".join(lines) + "\n", len(lines)))
        left -= len(lines)
    return work


def catch_up(screen, society):
    luxembourg = society.nodes["lu"]
    work = renewals(society)
    missed = sum(number for _, _, number in work)
    with screen.step("catching up", "Luxembourg is away, misses %s, comes back" % (
            plural(missed, "change"))):
        luxembourg.stop()
        screen.line("chapterd of Luxembourg is stopped")
        begun = time.monotonic()

        def renew(item):
            node, lines, _ = item
            results = node.ctl("members", "apply", "-", stdin=lines).splitlines()
            return sum(json.loads(line)["ok"] for line in results)

        made = sum(society.each(renew, work))
        check(made == missed, "%d changes were made, of %d" % (made, missed))
        nodes = society.running()
        society.agreement(nodes, lambda done: screen.progress("agree", done, len(nodes)))
        screen.line("%s renew %s; the %d others have all of it after %.1f s" % (
            plural(len(work), "chapter"), plural(missed, "member"), len(nodes),
            time.monotonic() - begun))
        run_shown(screen, dialler(society, "lu"), "explain", "lu")
        come_back(screen, society, luxembourg, missed)


def dialler(society, code):
    """A chapter that dials that one, and that nobody can dial if there is one: such a chapter is
    the first to know that the other is gone."""
    def dials(node):
        return any(peer["chapter"] == code and peer["dialled"]
                   for peer in node.json("status")["peers"])

    nodes = sorted(society.running(), key=lambda node: node.listens)
    return next(node for node in nodes if dials(node))


def come_back(screen, society, luxembourg, missed):
    begun = time.monotonic()
    luxembourg.start()
    luxembourg.wait_answer()
    luxembourg.ctl("wait", "--timeout", str(SEEN_SECONDS))
    seconds = time.monotonic() - begun
    status = luxembourg.json("status")
    view = {feed["chapter"]: (feed["epoch"], feed["seq"], feed["digest"])
            for feed in status["feeds"]}
    check(view == society.nodes["fr"].feeds(), "Luxembourg is in step, but not with France")
    counters = status["counters"]
    fetched = sum(feed["fetched_bytes"] for feed in status["feeds"])
    received, sent = counters["received_bytes"], counters["sent_bytes"]
    check(counters["snapshots_applied"] == 0 and counters["changes_applied"] >= missed,
          "Luxembourg applied %d changes and %d snapshots" % (
              counters["changes_applied"], counters["snapshots_applied"]))
    screen.line("Luxembourg runs again and is in step %.2f s after its start, all digests equal"
                % seconds)
    screen.line("it fetched %s of changes, %d bytes each; in all it received %s" % (
        size_text(fetched), fetched / missed, size_text(received)))
    screen.line("and sent %s" % size_text(sent))


def privacy(screen, society):
    """A French member's e-mail is at France and at HQ, and nowhere in Luxembourg's files."""
    with screen.step("privacy", "who holds a French member's e-mail address"):
        samples = os.path.join(society.dir, "samples")
        known = set()
        with open(os.path.join(samples, "lu.csv"), encoding="utf-8", newline="") as file:
            known.update(row["email"].lower() for row in csv.DictReader(file))
        with open(os.path.join(samples, "fr.csv"), encoding="utf-8", newline="") as file:
            email = next(row["email"] for row in csv.DictReader(file)
                         if row["email"].isascii() and row["email"].islower()
                         and row["email"] not in known)
        for code, held in (("fr", True), ("hq", True), ("lu", False)):
            node = society.nodes[code]
            found, searched = node.files_with(email)
            check(bool(found) == held, "%s is in files of %s: %s" % (email, code, found))
            screen.line("%-11s %s of files searched: %s" % (
                node.place, size_text(searched), ("it is in " + " ".join(found)) if found
                else "nothing"))
        screen.line("the address is %s" % email)


def agree_again(screen, society):
    nodes = society.running()
    with screen.step("agree again", "at the end"):
        society.agreement(nodes, lambda done: screen.progress("agree", done, len(nodes)))
        screen.line("all %d nodes agree again" % len(nodes))


def play(screen, society):
    """What was measured."""
    everywhere, watch, member = edits_travel(screen, society)
    without_hq(screen, society, watch, member)
    catch_up(screen, society)
    privacy(screen, society)
    agree_again(screen, society)
    return [Goal("an edit until all %d have it" % len(society.nodes), everywhere, 0.1,
                 seconds_text)]
