#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""The real daemon at every call that changes a file: killed there, before, half-way through it and
after; refused there with EIO and ENOSPC; and without memory for its own code.

Nodes of a real federation look on, so that what was said before it was durable shows as a fork.
Positions are drawn from CHAPTERD_CRASH_SEED (1).  CHAPTERD_CRASH=3 takes three times as many of
them, 0.1 a tenth (with sanitizers, whose word is looked for in all that the daemons said),
CHAPTERD_CRASH=all each call of each stage at each moment."""

import os
import random
import time

from concurrent.futures import ProcessPoolExecutor

from crash_course import FAILURES, MOMENTS, Course, check_sanitizers
from crash_made import Made
from federation import Failed, Federation, check, die_with_parent, main

SEED = os.environ.get("CHAPTERD_CRASH_SEED", "1")
SHARE = os.environ.get("CHAPTERD_CRASH", "1")
KILLED_MIN = round(300 * (1 if SHARE == "all" else min(1, float(SHARE))))
STARVED_FOR = (1, 50)  # allocations

# How many positions of each stage; kills are 300 and some.
KILLED = {
    "fr": {"starting": 20, "single": 14, "burst": 14, "load": 14, "events": 8, "absence": 8,
           "compact": 16, "backup": 12, "erase": 14, "removal": 10, "rotate": 16},
    "hq": {"starting": 14, "single": 8, "burst": 8, "load": 8, "events": 6, "absence": 6,
           "compact": 10, "backup": 8, "erase": 10, "roster": 14, "invite": 8, "rotate": 14},
}
FAILING = {
    "fr": {"starting": 6, "single": 5, "burst": 4, "load": 4, "events": 3, "absence": 3,
           "compact": 5, "backup": 4, "erase": 4, "rotate": 6},
    "hq": {"starting": 4, "load": 4, "events": 3, "compact": 4, "erase": 3, "roster": 6,
           "rotate": 5},
}
STARVED = {
    "fr": {"starting": 10, "burst": 6, "events": 6, "absence": 8, "compact": 3, "backup": 3,
           "erase": 4, "rotate": 4},
    "hq": {"starting": 8, "burst": 6, "events": 6, "roster": 6, "invite": 3, "rotate": 4},
}
MADE = {"init": 16, "join": 14, "restore": 14, "snapshot": 12, "rejoin": 10, "rejoin_there": 6}
CHAIN = 24  # HQ's key cannot be changed without end


def positions(every, wanted, dice):
    """Those that are struck, of all."""
    if SHARE == "all":
        return every
    return [dice.choice(every) for _ in range(max(1, round(wanted * float(SHARE))))]


def course_of(what, code, stages, every, strike):
    """stages: name -> how many cycles; every(stage's calls, its allocations): all positions;
    strike(course, stage, position): one cycle.  Returns how many there were."""
    dice = random.Random("%s %s %s" % (SEED, code, what))
    with Federation() as f:
        course = Course(f, code, dice)
        for stage, wanted in stages.items():
            begun = time.monotonic()
            calls, allocations = course.length(stage)
            chosen = positions(every(calls, allocations), wanted, dice)
            if (code, stage) == ("hq", "rotate") and len(chosen) > CHAIN:
                chosen = dice.sample(chosen, CHAIN)
            for position in chosen:
                strike(course, stage, position)
            print("        %s %s: %s, %d of %d calls or %d allocations, %.1f s" % (
                what, code, stage, len(chosen), calls, allocations, time.monotonic() - begun),
                flush=True)
        f.verify_all()
        check_sanitizers(f)
        print("        %s %s: %d cycles, %d of them beyond the last call; ended by itself %d times;"
              " struck: %s" % (what, code, course.cycles, course.missed, course.ended,
                               dict(course.calls)), flush=True)
        return course.cycles


def kill(code):
    return course_of("killed", code, KILLED[code],
                     lambda calls, _: [(n, m) for n in range(1, calls + 1) for m in MOMENTS],
                     lambda course, stage, position: course.kill(stage, *position))


def fail(code):
    return course_of("refused", code, FAILING[code],
                     lambda calls, _: [(n, e) for n in range(1, calls + 1) for e in FAILURES],
                     lambda course, stage, position: course.fail(stage, *position))


def starve(code):
    return course_of("starved", code, STARVED[code],
                     lambda _, number: [(n, c) for n in range(1, number + 1) for c in STARVED_FOR],
                     lambda course, stage, position: course.starve(stage, *position))


def make(_):
    """Directories that are made, snapshots, chapters that rejoin."""
    with Federation() as f:
        f.join("fr").add(name="Somebody")
        made = Made(f, random.Random("%s made" % SEED), positions)
        for stage, wanted in MADE.items():
            begun = time.monotonic()
            getattr(made, stage)(wanted)
            print("        made: %s, %.1f s" % (stage, time.monotonic() - begun), flush=True)
        check_sanitizers(f)
        print("        made: %d cycles, %d of them refused, %d beyond the last call; struck: %s" % (
            made.cycles, made.refused, made.missed, dict(made.calls)), flush=True)
        return made.cycles - made.refused


def begin_worker():
    die_with_parent()
    random.seed()  # ports: each its own


def all_at_once(*jobs):
    """Each has a federation of its own, and mostly waits."""
    print("        CHAPTERD_CRASH_SEED=%s CHAPTERD_CRASH=%s" % (SEED, SHARE), flush=True)
    failures = []
    cycles = 0
    with ProcessPoolExecutor(4, initializer=begin_worker) as pool:
        for job in [pool.submit(work, code) for work, code in jobs]:
            try:
                cycles += job.result()
            except Failed as failed:
                failures.append(str(failed))
    check(not failures, "\n".join(failures))
    return cycles


def test_killed_at_every_call():
    kills = all_at_once((make, ""), (kill, "hq"), (kill, "fr"))
    print("        %d kills, at least %d are wanted" % (kills, KILLED_MIN))
    check(kills >= KILLED_MIN, "too few")


def test_refused_and_starved():
    all_at_once((fail, "fr"), (starve, "hq"), (starve, "fr"), (fail, "hq"))


if __name__ == "__main__":
    main(test_killed_at_every_call, test_refused_and_starved)
