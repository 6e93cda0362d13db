# SPDX-License-Identifier: MPL-2.0
"""The first act: a federation is made, joined, filled, counted and proven."""

import collections
import json
import os
import sys
import time

from screen import percent, plural, seconds_text, size_text
from society import Node, check, need_descriptors, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLES = os.path.join(HERE, "..", "samples")
GROUPINGS = ("chapter", "kind", "country", "status", "month")
NODE_BYTES = 3 << 20       # of a node without members
MEMBER_BYTES = 600         # on each node, old versions and free pages among them
DESCRIPTORS = 160, 4       # of a process, and for each chapter
COUNTRIES_SHOWN = 12
SETTLE_SECONDS, IDLE_SECONDS = 2, 5
FEW_NODES, FEW_SECONDS = 20, 2  # so few are settled at once, and looked at for that time


Goal = collections.namedtuple("Goal", "name measured at_most form")


def show(screen, argv, output, **parts):
    screen.command(argv)
    screen.output(output, **parts)


def run_shown(screen, node, *args, **parts):
    """A command at a node, as its operator would see it."""
    status, output = screen.run(node.society.begin, node.argv(*args))
    show(screen, node.argv(*args), output, **parts)
    check(status == 0, "chapterctl %s at %s: exit code %d" % (" ".join(args), node.code, status))


def make_samples(screen, society, options):
    """What the samples hold, as expected.json says."""
    with screen.step("sample members"):
        argv = [sys.executable, os.path.join(SAMPLES, "generate.py"), "--chapters",
                ",".join(row["id"] for row in society.chapters),
                "--members", str(options.members), "--out", "samples"]
        status, _, errors = society.run(argv)
        check(status == 0, errors.strip())
        with open(os.path.join(society.dir, "samples", "expected.json"), encoding="utf-8") as file:
            expected = json.load(file)
        screen.line("tests/samples/generate.py makes %s for %s and HQ:" % (
            plural(sum(expected["rows"].values()), "row"), plural(expected["chapters"], "chapter")))
        screen.line("%s in %s, and what is not active;" % (
            plural(expected["individuals"], "active individual"),
            plural(expected["countries"], "country").replace("countrys", "countries")))
        screen.line("they are %s, of whom %s belong to two chapters" % (
            plural(expected["persons"], "person"), format(expected["shared"], ",")))
        nodes = len(society.nodes)
        society.check_room(nodes * (NODE_BYTES + MEMBER_BYTES * sum(expected["rows"].values())))
        need_descriptors(DESCRIPTORS[0] + DESCRIPTORS[1] * nodes)
    return expected


def found(screen, society):
    with screen.step("headquarters"):
        society.found(lambda argv, output: show(screen, argv, output))


def join_all(screen, society):
    """When all were joined."""
    chapters = [node for node in society.nodes.values() if node is not society.hq]
    listening = sum(node.listens for node in chapters)
    with screen.step("join", "%s join with tokens: %d can be dialled, %d only dial out" % (
            plural(len(chapters), "chapter"), listening, len(chapters) - listening)):
        join_shown(screen, society, chapters[0])
        screen.command(chapters[0].start())
        chapters[0].wait_answer()
        society.each(society.join, chapters[1:],
                     lambda done: screen.progress("joining", done + 1, len(chapters)))
        for done, node in enumerate(chapters[1:], 2):
            node.start()
            screen.progress("starting", done, len(chapters))
        society.each(Node.wait_answer, chapters,
                     lambda done: screen.progress("answering", done, len(chapters)))
        society.each(lambda node: node.ctl("wait", "--timeout", "60"), chapters,
                     lambda done: screen.progress("in step", done, len(chapters)))
        screen.line("and the others alike: %d processes run, each knows the roster" % (
            len(society.running())))
    return time.monotonic()


def join_shown(screen, society, node):
    """The first chapter's way, in full but for the token."""
    def shortened(argv, output):
        token = next((word for word in [output, *argv] if word.startswith("chapterd1.")))
        short = token[:24] + "..."
        show(screen, [word.replace(token, short) for word in argv], output.replace(token, short))

    society.join(node, shortened)


def import_all(screen, society, expected):
    with screen.step("import", "every chapter imports its CSV file"):
        nodes = [society.nodes[code] for code in expected["rows"]]
        run_shown(screen, nodes[1], "import", "samples/%s.csv" % nodes[1].code, "--apply",
                  first=4, last=2)

        def load(node):
            return node.json("import", "samples/%s.csv" % node.code, "--apply")

        # the largest first, so that none is left over at the end
        rest = sorted((node for node in nodes if node is not nodes[1]),
                      key=lambda node: -expected["rows"][node.code])
        results = society.each(load, rest,
                               lambda done: screen.progress("importing", done + 1, len(nodes)))
        added = sum(result["added"] for result in results)
        rejected = sum(result["rejected"] for result in results)
        wanted = sum(expected["rows"][node.code] for node in rest)
        check((added, rejected) == (wanted, 0), "%d rows were added and %d rejected, of %d" % (
            added, rejected, wanted))
        screen.line("and %d others alike: %s added, none rejected" % (
            len(rest), plural(added, "member")))


def agree(screen, society, all_joined):
    """Waits for it; how long after all had joined."""
    nodes = society.running()
    with screen.step("agree", "until all %d agree" % len(nodes)):
        society.agreement(nodes, lambda done: screen.progress("agree", done, len(nodes)))
        seconds = time.monotonic() - all_joined
        screen.line("all %d nodes stand where each origin stands, %.1f s after all had joined" % (
            len(nodes), seconds))
    return seconds


def prove(screen, society):
    """Every node's digest of every feed is the same, and is that of its rows."""
    nodes = society.running()
    with screen.step("proof"):
        views = society.each(Node.feeds, nodes,
                             lambda done: screen.progress("asking", done, len(nodes)))
        for code in society.nodes:
            found = collections.Counter(view.get(code) for view in views)
            check(len(found) == 1 and None not in found,
                  "the nodes differ about the feed of %s: %s" % (code, found))
        screen.line("%d nodes print the same digest for each of the %d feeds, %s in all:" % (
            len(nodes), len(views[0]), format(sum(map(len, views)), ",")))
        for place in ("hq", "fr", "lu"):
            _, seq, digest = views[0][place]
            screen.line("  %-2s %6d %s" % (place, seq, digest))

        def recount(node):
            result = node.json("verify", "--deep")
            check(result["deep"] and result["ok"] == result["origins"] == len(society.nodes) and
                  not result["differences"], "verify --deep at %s: %s" % (node.code, result))

        society.each(recount, nodes,
                     lambda done: screen.progress("recounting", done, len(nodes)))
        screen.line("at each, chapterctl verify --deep recounts all from its rows: right")


def has_names(hq):
    """Changes that reach HQ over others come without them."""
    return (all(feed["hq_seq"] == feed["seq"] for feed in hq.json("status")["feeds"]) and
            hq.json("counts")["persons"] is not None)


def count(screen, society, expected):
    chapters = len(society.nodes) - 1
    hq = society.hq
    with screen.step("counts", "HQ counts"):
        wait_until(lambda: hq.json("counts")["chapters_current"] == chapters, 60,
                   "%d of %d chapters are current at HQ" % (chapters, chapters), 0.2)
        wait_until(lambda: has_names(hq), 60, "HQ has names and addresses of all, counted", 0.2)
        run_shown(screen, hq, "counts", "--by", "kind")
        run_shown(screen, hq, "counts", "--by", "country", first=5 + COUNTRIES_SHOWN)
        totals = hq.json("counts")
        for key in ("memberships", "individuals", "organizations", "affiliates", "countries",
                    "persons"):
            check(totals[key] == expected[key], "HQ counts %s %s, and the samples hold %s" % (
                totals[key], key, expected[key]))
        rows = 0
        for by in GROUPINGS:
            found = {row["key"]: row["memberships"] for row in hq.json("counts", "--by", by)["rows"]}
            check(found == expected["by_" + by], "HQ counts by %s otherwise than the samples" % by)
            rows += len(found)
        screen.line("%s memberships of individuals are %s distinct persons:" % (
            format(totals["individuals"], ","), format(totals["persons"], ",")))
        screen.line("%s are members of two chapters" % (
            format(totals["individuals"] - totals["persons"], ",")))
        screen.line("each figure is what the samples hold, in all and in %d groups" % rows)


def status(screen, society):
    with screen.step("status", "the status at Québec"):
        run_shown(screen, society.nodes["qc"], "status")


def cost(screen, society):
    """(share of a core, bytes of private memory) of all daemons, idle"""
    nodes = society.running()
    with screen.step("idle", "what %d idle daemons cost" % len(nodes)):
        few = len(nodes) < FEW_NODES
        time.sleep(0 if few else SETTLE_SECONDS)
        begun = time.monotonic()
        before = sum(node.cpu_seconds() for node in nodes)
        time.sleep(FEW_SECONDS if few else IDLE_SECONDS)
        used = sum(node.cpu_seconds() for node in nodes) - before
        share = used / (time.monotonic() - begun)
        memory = sum(node.private_memory() for node in nodes)
        screen.line("%s of one core together, and %s of private memory (RssAnon)" % (
            percent(share), size_text(memory)))
        screen.line("(HQ %s), as /proc says over %s" % (
            size_text(society.hq.private_memory()), seconds_text(time.monotonic() - begun)))
    return share, memory


def play(screen, society, options):
    """What was measured."""
    expected = make_samples(screen, society, options)
    found(screen, society)
    all_joined = join_all(screen, society)
    import_all(screen, society, expected)
    agreed = agree(screen, society, all_joined)
    prove(screen, society)
    status(screen, society)
    count(screen, society, expected)
    share, memory = cost(screen, society)
    return [Goal("from all joined to all agree", agreed, 60, seconds_text),
            Goal("all daemons idle, of one core", share, 0.15, percent),
            Goal("their private memory", memory, 1.2e9, size_text)]
