#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""chapterd and the physical limit of the same work (limit.h), side by side, on the same disk.

bench.py                                 the full form: 1,000,000 members, 5 runs
bench.py --members 20000 --runs 1        a look, in a minute
bench.py --only write,counts             some measures alone
bench.py --write                         also puts the table into tests/bench/RESULTS.md

Needs a release build (tests/run --install build; cmake --build --preset release); CHAPTERD_BIN
names another one.  Files go to --dir, which should be the disk that matters: not a tmpfs."""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from figures import FIGURES, MEASURES, Results, as_markdown, as_text  # noqa: E402
from measures import BIN, Federation, free_bytes, one_run  # noqa: E402
from rows import write_rows  # noqa: E402

RESULTS_FILE = os.path.join(HERE, "RESULTS.md")
BEGIN, END = "<!-- begin: written by bench.py --write -->", "<!-- end -->"
BYTES_PER_MEMBER = 2500  # of disk, for everything that exists at the same time


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=1000000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--writes", type=int, default=1000, help="single writes a run")
    parser.add_argument("--seconds", type=int, default=5, help="of updates; twice that of idling")
    parser.add_argument("--only", default=",".join(MEASURES), help="of: " + ", ".join(MEASURES))
    parser.add_argument("--dir", default=tempfile.gettempdir(), help="where the files go")
    parser.add_argument("--json", metavar="FILE", help="also all values of all runs")
    parser.add_argument("--write", nargs="?", const=RESULTS_FILE, metavar="FILE",
                        help="also into RESULTS.md, or into a copy of it")
    options = parser.parse_args()
    options.measures = options.only.split(",")
    for measure in options.measures:
        if measure not in MEASURES:
            parser.error("there is no measure %s; there are %s" % (measure, ", ".join(MEASURES)))
    if min(options.members, options.runs, options.writes, options.seconds) < 1:
        parser.error("--members, --runs, --writes and --seconds are at least 1")
    if not os.path.exists(os.path.join(BIN, "..", "tests", "bench", "limit")):
        parser.error("%s has no programs: cmake --preset release; cmake --build --preset release"
                     % os.path.abspath(os.path.join(BIN, "..")))
    need = BYTES_PER_MEMBER * options.members
    if free_bytes(options.dir) < need:
        parser.error("%s needs %.1f GB free: another --dir, or fewer --members" % (
            options.dir, need / 1e9))
    return options


def command_output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=HERE,
                              timeout=30).stdout.strip()
    except OSError:
        return ""


def sync_ms(directory):
    """Median of writing and syncing 4 KiB."""
    times = []
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        for _ in range(200):
            begun = time.perf_counter()
            os.pwrite(file.fileno(), b"x" * 4096, 0)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begun)
    return 1e3 * sorted(times)[100]


def libraries():
    """As a daemon names them."""
    with Federation("Benchmark Society") as federation:
        return federation.hq.json("version")["libraries"]


def environment(options):
    """What the figures hold for: (name, value)."""
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    version = command_output(os.path.join(BIN, "chapterd"), "version").splitlines()
    commit = command_output("git", "describe", "--always", "--dirty", "--abbrev=12")
    return [
        ("date", datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("version", "%s%s" % (version[0] if version else "?", ", commit " + commit if commit else "")),
        ("libraries", ", ".join("%s %s" % (name, re.search(r"[0-9.]+[0-9]", text).group())
                                for name, text in sorted(libraries().items()))),
        ("machine", "%d × %s, Linux %s" % (os.cpu_count(), cpu.group(1) if cpu else platform.machine(),
                                           platform.release())),
        ("disk", "%s; 4 KiB written and synced in %.2f ms" % (
            command_output("df", "--output=fstype,source", options.dir).splitlines()[-1],
            sync_ms(options.dir))),
        ("load before", "%.2f %.2f %.2f" % os.getloadavg()),
        ("form", "%d members, %d runs, %d single writes and %d s of updates a run" % (
            options.members, options.runs, options.writes, options.seconds)),
    ]


def write_results(path, facts, table):
    """Replaces the part of the file between the marks; the rest is written by hand."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    lines = "\n".join("- %s: %s" % fact for fact in facts)
    with open(path, "w", encoding="utf-8") as file:
        file.write("%s%s\n\n%s\n\n%s\n\n%s%s" % (before, BEGIN, lines, as_markdown(table), END,
                                                   after))


def main():
    options = parse_arguments()
    tempfile.tempdir = options.dir
    facts = environment(options)
    for fact in facts:
        print("%-12s %s" % fact, flush=True)
    results = Results()
    with tempfile.TemporaryDirectory(prefix="chapterd-bench-") as directory:
        csv = os.path.join(directory, "members.csv")
        write_rows(csv, max(options.members, options.writes))
        for run in range(options.runs):
            begun = time.monotonic()
            one_run(options, csv, options.measures, results)
            print("run %d of %d: %.0f s" % (run + 1, options.runs, time.monotonic() - begun),
                  flush=True)
    facts.append(("load after", "%.2f %.2f %.2f" % os.getloadavg()))
    table = results.table()
    print("\nMedian (smallest – largest) of %d runs\n\n%s" % (options.runs, as_text(table)))
    for figure in results.missed():
        print("missed: %s" % figure.text)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"facts": dict(facts), "values": results.values}, file, indent=1)
    if options.write:
        write_results(options.write, facts, table)
        print("written: " + options.write)
    unmeasured = [f.text for f in FIGURES
                  if f.measure in options.measures and f.key not in results.values]
    if unmeasured:
        sys.exit("not measured: " + ", ".join(unmeasured))


if __name__ == "__main__":
    main()
