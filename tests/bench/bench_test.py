# SPDX-License-Identifier: MPL-2.0
"""The benchmark runs as a whole, measures every figure, and writes its results where they go."""

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from figures import FIGURES  # noqa: E402
from measures import SLOW, check  # noqa: E402
from federation import main  # noqa: E402


def test_a_small_run():
    if os.geteuid() != 0:
        print("skipped test_a_small_run: only root is told what a daemon's connections received")
        return
    with tempfile.TemporaryDirectory() as directory:
        results = os.path.join(directory, "RESULTS.md")
        shutil.copy(os.path.join(HERE, "RESULTS.md"), results)
        with open(results, "a", encoding="utf-8") as file:
            file.write("\nBy hand.\n")
        run = subprocess.run(
            [sys.executable, os.path.join(HERE, "bench.py"), "--members", "3000", "--runs", "2",
             "--writes", "30", "--seconds", "1", "--write", results, "--dir", directory],
            capture_output=True, text=True, timeout=200 * SLOW)
        check(run.returncode == 0, run.stdout + run.stderr)
        with open(results, encoding="utf-8") as file:
            text = file.read()
        for figure in FIGURES:
            check(figure.text in run.stdout, "%s is not printed:\n%s" % (figure.text, run.stdout))
            check("| %s |" % figure.text in text, "%s is not in the results" % figure.text)
        check(text.endswith("\nBy hand.\n"), "what was written by hand is gone")
        check(os.listdir(directory) == ["RESULTS.md"], "left behind: %s" % os.listdir(directory))


def test_what_is_refused():
    for args, words in ((["--only", "speed"], "no measure speed"), (["--runs", "0"], "at least 1"),
                        (["--members", "1000000000000"], "GB free")):
        run = subprocess.run([sys.executable, os.path.join(HERE, "bench.py"), *args],
                             capture_output=True, text=True, timeout=60 * SLOW)
        check(run.returncode == 2 and words in run.stderr, run.stderr)


if __name__ == "__main__":
    main(test_what_is_refused, test_a_small_run)
