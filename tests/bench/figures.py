# SPDX-License-Identifier: MPL-2.0
"""What the benchmark reports: names, units, goals; medians over the runs; the tables."""

import statistics
from collections import namedtuple

# ratio_of: how chapterd and the limit are set against each other, None if there is no limit
# goal: (what, "at least" | "at most", number), what being "ratio" or "value"; None: no goal
Figure = namedtuple("Figure", "key measure text unit digits goal")

FIGURES = [
    Figure("import_rate", "import", "bulk import until verified and visible at HQ", "members/s", 0,
           ("ratio", "at least", 0.25)),
    Figure("import_client", "import", "– of which until `import --apply` returns", "s", 2, None),
    Figure("import_persons", "import", "– after which HQ has counted the distinct persons, too", "s",
           2, None),
    Figure("import_cpu", "import", "– processor time of all processes, a member", "µs", 2, None),
    Figure("import_wire", "import", "bytes a member on the wire, both tiers", "B", 0, None),
    Figure("import_disk_origin", "import", "bytes a member on disk at its chapter", "B", 0, None),
    Figure("import_disk_hq", "import", "bytes a member on disk at HQ", "B", 0, None),
    Figure("import_memory_origin", "import", "private memory of the chapter (RssAnon)", "MB", 1, None),
    Figure("import_memory_hq", "import", "private memory of HQ (RssAnon)", "MB", 1, None),
    Figure("import_client_memory", "import", "private memory of the import at its largest", "MB", 1,
           None),
    Figure("write_p50", "write", "one durable write until visible at both others, p50", "ms", 3,
           ("ratio", "at most", 2)),
    Figure("write_p99", "write", "– p99", "ms", 3, ("ratio", "at most", 4)),
    Figure("write_ack_p50", "write", "– acknowledged to the writer, p50", "ms", 3, None),
    Figure("counts", "counts", "counts, processor time at the daemon", "ms", 4,
           ("value", "at most", 0.1)),
    Figure("counts_elapsed", "counts", "– time each, many under way", "ms", 4, None),
    Figure("counts_country", "counts", "counts by country, processor time at the daemon", "ms", 4,
           ("value", "at most", 0.1)),
    Figure("counts_country_elapsed", "counts", "– time each, many under way", "ms", 4, None),
    Figure("update_one", "update", "sustained updates, one client pipelined", "updates/s", 0, None),
    Figure("update_one_lag", "update", "– lag elsewhere, last third of the time", "ms", 1, None),
    Figure("update_one_growth", "update", "– last third less first third", "ms", 1, None),
    Figure("update_many", "update", "sustained updates, 32 clients, one at a time each",
           "updates/s", 0, None),
    Figure("update_many_lag", "update", "– lag elsewhere, last third of the time", "ms", 1, None),
    Figure("update_many_growth", "update", "– last third less first third", "ms", 1, None),
    Figure("sync_rate", "sync", "initial sync of a new chapter", "members/s", 0, None),
    Figure("sync_wire", "sync", "bytes a member on the wire, tier federation", "B", 0, None),
    Figure("sync_disk", "sync", "bytes a member on disk at another chapter", "B", 0, None),
    Figure("sync_memory", "sync", "private memory of the new chapter (RssAnon)", "MB", 1, None),
    Figure("catchup_seconds", "catchup", "catch-up from the start of the daemon", "s", 2, None),
    Figure("catchup_bytes", "catchup", "bytes received for it, to the changed records' bytes",
           "ratio", 3, ("value", "at most", 1.5)),
    Figure("idle_origin", "idle", "idle: the chapter", "% of a core", 3, None),
    Figure("idle_hq", "idle", "idle: HQ", "% of a core", 3, None),
]
MEASURES = list(dict.fromkeys(figure.measure for figure in FIGURES))


class Results:
    """Of each figure and run: chapterd's value and the limit's (None if it has none)."""

    def __init__(self):
        self.values = {}

    def add(self, key, ours, limit=None):
        self.values.setdefault(key, []).append((ours, limit))

    def line(self, figure):
        """chapterd, the limit, their ratio, the goal, whether it is met (None: there is none)."""
        pairs = self.values[figure.key]
        ours = [pair[0] for pair in pairs]
        limits = [pair[1] for pair in pairs if pair[1] is not None]
        ratios = [a / b for a, b in pairs if b]
        met = None
        goal = ""
        if figure.goal:
            what, direction, bound = figure.goal
            value = statistics.median(ratios if what == "ratio" else ours)
            met = value >= bound if direction == "at least" else value <= bound
            goal = "%s %g%s" % (direction, bound, " of the limit" if what == "ratio" else "")
        return (spread(ours, figure.digits), spread(limits, figure.digits), spread(ratios, 2),
                goal, met)

    def table(self):
        """Rows of text: a heading, then the figures that were measured."""
        rows = [("", "unit", "chapterd", "the limit", "ratio", "goal", "")]
        for figure in FIGURES:
            if figure.key in self.values:
                ours, limit, ratio, goal, met = self.line(figure)
                rows.append((figure.text, figure.unit, ours, limit, ratio, goal,
                             "" if met is None else "met" if met else "MISSED"))
        return rows

    def missed(self):
        return [f for f in FIGURES if f.key in self.values and self.line(f)[4] is False]


def spread(values, digits):
    """Median (smallest – largest); the median alone if there is only one."""
    if not values:
        return ""

    def text(value):
        return "{:,.{}f}".format(value, digits)
    median = text(statistics.median(values))
    return median if len(values) == 1 else "%s (%s – %s)" % (median, text(min(values)),
                                                             text(max(values)))


def as_text(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(
        cell.ljust(width) if i in (0, 1, 5, 6) else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows)


def as_markdown(rows):
    lines = ["| " + " | ".join(rows[0]) + " |", "|---|---|---:|---:|---:|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows[1:]]
    return "\n".join(lines)
