# SPDX-License-Identifier: MPL-2.0
"""The federation at its real size: HQ and 85 chapters, each a process of its own, half of them
dial-only, with the sample members of all.  Under sanitizers it is smaller.

CHAPTERD_TEST_CHAPTERS=N takes N chapters."""

import csv
import os
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from federation import (HEARD, SAMPLES, SLOW, Federation, check, main, need_descriptors, wait_until)
from spine_test import generate

REAL = 85
CHAPTERS = int(os.environ.get("CHAPTERD_TEST_CHAPTERS") or (REAL if SLOW == 1 else 11))
MEMBERS, SHARED = (28000, 600) if CHAPTERS == REAL else (250 * CHAPTERS, 25)
EDITS = 11
SETTLE_S, IDLE_S = 8, 15
SEED = int(os.environ.get("CHAPTERD_TEST_SEED", "20260101"))


def chapter_codes():
    with open(os.path.join(SAMPLES, "chapters.csv"), encoding="utf-8", newline="") as file:
        return [row["id"] for row in csv.DictReader(file)]


def import_all(f, samples):
    def load(node):
        path = os.path.join(samples, node.code + ".csv")
        return node.json("import", path, "--apply", timeout=120) if os.path.exists(path) else None

    with ThreadPoolExecutor(4) as pool:
        done = [d for d in pool.map(load, f.running()) if d is not None]
    check(all(d["rejected"] == 0 for d in done), "rows were rejected")
    return sum(d["added"] for d in done)


def check_counts(f, expected):
    """HQ says what the samples hold, and every node says what HQ says."""
    f.hq_has_all()
    hq = f.hq.json("counts")
    for key in ("memberships", "individuals", "organizations", "affiliates", "countries",
                "persons"):
        check(hq[key] == expected[key], "%s: %s, not %s" % (key, hq[key], expected[key]))
    for code, counts in f.ask_all("counts", by="chapter").items():
        check({r["key"]: r["memberships"] for r in counts["rows"] if r["memberships"]}
              == expected["by_chapter"], "by chapter at " + code)
        for key in ("individuals", "organizations", "affiliates", "countries"):
            check(counts[key] == expected[key], "%s at %s: %s, not %s" % (
                key, code, counts[key], expected[key]))

    def all_current():
        counts = f.hq.ask("counts")
        return counts["chapters_total"] == counts["chapters_current"] == CHAPTERS

    wait_until(all_current, HEARD, "%d of %d chapters are current at HQ" % (CHAPTERS, CHAPTERS), 0.5)


def see_edit(f, origin, seq):
    """Edits at origin; seconds until the last of all other nodes told that it has it."""
    others = [n for n in f.running() if n is not origin]
    waits = [(n, n.control.send("log", {"chapter": origin.code, "after": {origin.code: seq},
                                        "wait_ms": 10000})) for n in others]
    time.sleep(0.3 * SLOW)  # all of them wait
    begun = time.monotonic()
    result = origin.ask("members.apply", ops=[{"op": "put", "fields": {"name": "N"}}])["results"][0]
    check(result["ok"], result)
    for node, number in waits:
        reply = node.control.receive(10 * SLOW)
        check(reply is not None and reply[0] == number and reply[1] == 0,
              "%s tells nothing: %s" % (node.code, reply))
        check([c["seq"] for c in reply[2]["changes"]] == [result["seq"]],
              "%s has no edit of %s within 10 s: %s" % (node.code, origin.code, reply[2]))
    return time.monotonic() - begun


def total(f, counter):
    return sum(s["counters"][counter] for s in f.ask_all("status").values())


def see_edits(f):
    """Edits travel by the flood: what the repair does instead is asked for and late."""
    dice = random.Random(SEED)
    wants = total(f, "wants_sent")
    took = []
    for origin in dice.sample([n for n in f.running() if n is not f.hq], EDITS):
        took.append(see_edit(f, origin, f.views([origin])[origin.code][origin.code][1]))
    wants = total(f, "wants_sent") - wants
    median = statistics.median(took)
    print("an edit is seen on all %d after %.0f ms (median of %d, %.0f to %.0f); %d wants" % (
        len(f.running()), 1000 * median, len(took), 1000 * min(took), 1000 * max(took), wants),
        flush=True)
    check(median < 0.4 * SLOW, "edits take %.0f ms" % (1000 * median))
    check(wants <= 0.1 * EDITS * CHAPTERS, "%d wants for %d edits" % (wants, EDITS))


def see_cost(f):
    time.sleep(SETTLE_S)
    nodes = f.running()
    before = sum(n.cpu_seconds() for n in nodes)
    time.sleep(IDLE_S)
    share = (sum(n.cpu_seconds() for n in nodes) - before) / IDLE_S
    memory = sum(n.private_memory() for n in nodes)
    print("%d daemons idle at %.1f %% of a core and hold %.0f MB of private memory (HQ %.0f)" % (
        len(nodes), 100 * share, memory / 1e6, f.hq.private_memory() / 1e6), flush=True)
    if SLOW == 1:  # sanitizers cost more of both
        check(share < 0.15, "idle at %.1f %% of a core" % (100 * share))
        check(memory < 1.2e9, "%.0f MB of private memory" % (memory / 1e6))


def test_federation_at_size():
    need_descriptors(2048)
    codes = chapter_codes()
    check(len(codes) == REAL, "chapters.csv has %d chapters" % len(codes))
    codes = codes[:CHAPTERS]
    with Federation() as f:
        samples = os.path.join(f.dir, "samples")
        expected = generate(samples, "all" if CHAPTERS == REAL else ",".join(codes), MEMBERS, SHARED)
        if CHAPTERS == REAL:
            check([expected[k] for k in ("individuals", "organizations", "affiliates", "countries")]
                  == [28000, 82, 90, 170], "the samples are other ones")
        begun = time.monotonic()
        f.join_all(codes[0::2], codes[1::2])
        joined = time.monotonic()
        f.all_have_roster(f.running())
        added = import_all(f, samples)
        check(added == sum(expected["rows"].values()), "%d rows were added" % added)
        imported = time.monotonic()
        f.agree(60, origins=CHAPTERS + 1)
        agreed = time.monotonic()
        print("%d nodes joined in %.1f s, %d rows imported in %.1f s, agreed %.1f s later" % (
            len(f.running()), joined - begun, added, imported - joined, agreed - imported),
            flush=True)
        check(agreed - joined < 60 * SLOW, "%.0f s from all joined to all agree" % (agreed - joined))
        check_counts(f, expected)
        f.verify_all()
        see_edits(f)
        see_cost(f)
        f.agree()
        f.check_logs()


if __name__ == "__main__":
    main(test_federation_at_size)
