# SPDX-License-Identifier: MPL-2.0
"""The demo's short form: it says what is so, fails where it is not so, and leaves nothing."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = os.path.join(HERE, "..", "demo.d")
sys.path.insert(0, PARTS)

from federation import BIN, SLOW, Failed, check, main  # noqa: E402
import society as demo  # noqa: E402

SHORT = ["--chapters", "3", "--members", "500"]
CLAIMS = (
    "500 active individuals in 17 countries",
    "4 processes run",
    "all 4 nodes stand where each origin stands",
    "4 nodes print the same digest for each of the 4 feeds, 16 in all",
    "490 distinct persons",
    "each figure is what the samples hold",
    "HQ runs again and has both edits",
    "all digests equal",
    "all 4 nodes agree again",
    "all 4 daemons ended cleanly, none had logged an error",
)


class Run:
    """The demo, in a directory for temporary files of its own."""

    def __init__(self, *args, bin_directory=BIN, **options):
        self.directory = tempfile.TemporaryDirectory(prefix="chapterd-e2e-")
        self.process = subprocess.Popen(
            [sys.executable, "-B", os.path.join(PARTS, "demo.py"), "--bin",
             os.path.abspath(bin_directory), *SHORT, *args],
            env={**os.environ, "TMPDIR": self.directory.name}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            **options)
        self.output = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.directory.cleanup()

    def until(self, text):
        """Reads on until a line has that text."""
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return
        raise Failed("the demo ended before %r:\n%s" % (text, self.output))

    def end(self):
        """The exit status.  Nothing is left by then."""
        self.output += self.process.stdout.read()
        status = self.process.wait(60 * SLOW)
        left = os.listdir(self.directory.name)
        check(left == [], "files are left: %s" % left)
        check(not self.processes(), "processes are left: %s" % self.processes())
        return status

    def processes(self):
        """Those of its session that have not ended, but for itself."""
        found = []
        for entry in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError), open("/proc/%s/stat" % entry) as stat:
                state, _, _, session, *_ = stat.read().rsplit(")", 1)[1].split()
                if state != "Z" and int(session) == self.process.pid != int(entry):
                    found.append(entry)
        return found


def test_short_form():
    with Run() as run:
        status = run.end()
        check(status == 0, "exit status %d:\n%s" % (status, run.output))
        for claim in CLAIMS:
            check(claim in run.output, "%r is missing:\n%s" % (claim, run.output))
        check("\r" not in run.output and "\033" not in run.output, "drawing off a terminal")


def test_interrupted():
    """At different moments, by different signals; also by somebody who presses on and on."""
    for text, number, again in (("chapterd1.", signal.SIGINT, False),
                                ("== every chapter imports", signal.SIGTERM, True),
                                ("HQ is gone", signal.SIGHUP, False),
                                ("is stopped", signal.SIGINT, True)):
        with Run() as run:
            run.until(text)
            check(run.processes(), "something is to be ended")
            run.process.send_signal(number)
            while again and run.process.poll() is None:
                time.sleep(0.005)
                run.process.send_signal(number)
            status = run.end()
            check(status == 128 + number, "exit status %d after signal %d:\n%s" % (
                status, number, run.output))


def test_stay():
    with Run("--stay") as run:
        run.until("  cd /")
        directory = run.output.rsplit("  cd ", 1)[1].strip()
        shown = subprocess.run([os.path.join(os.path.abspath(BIN), "chapterctl"), "-s",
                                "lu/control.sock", "status"], cwd=directory, capture_output=True,
                               text=True, timeout=30 * SLOW)
        check(shown.returncode == 0 and "current" in shown.stdout, shown)
        check(len(run.processes()) == 4, "four daemons stay")
        run.process.send_signal(signal.SIGINT)
        status = run.end()
        check(status == 0, "exit status %d:\n%s" % (status, run.output))


def replaced(directory, program, script):
    """A directory of programs in which one is replaced; %s is the real one."""
    for name in ("chapterd", "chapterctl"):
        real = os.path.join(os.path.abspath(BIN), name)
        path = os.path.join(directory, name)
        if name == program:
            with open(path, "w") as file:
                file.write("#!/bin/sh\n" + script.replace("%s", real))
            os.chmod(path, 0o755)
        else:
            os.symlink(real, path)
    return directory


def test_false_claims():
    """What daemons or chapterctl get wrong ends the demo, and is named."""
    for program, script, complaint, *options in (
            ("chapterctl", "%s \"$@\" | sed 's/\"persons\":490/\"persons\":491/'",
             "HQ counts 491 persons, and the samples hold 490"),
            ("chapterctl", "case $2$4 in lu/*status) %s \"$@\" | sed 's/\"digest\":\"[0-9a-f]/"
             "\"digest\":\"x/' ;; *) %s \"$@\" ;; esac", "not in step", "--patience", "3"),
            ("chapterd", "case $1$3 in runlu) exit 3 ;; esac\nexec %s \"$@\"",
             "chapterd of lu ended with 3")):
        with tempfile.TemporaryDirectory() as directory, \
                Run(*options, bin_directory=replaced(directory, program, script)) as run:
            status = run.end()
            check(status == 1 and "FAILED" in run.output and complaint in run.output,
                  "%s: exit status %d:\n%s" % (complaint, status, run.output))


def test_too_few_descriptors():
    with Run(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))) as run:
        status = run.end()
        check(status == 1 and "open files" in run.output and "ulimit" in run.output, run.output)


def test_options():
    """A wrong one is refused before anything is built."""
    for args, status, text in ((["--help"], 0, "--chapters 3 --members 500"),
                               (["--chapters", "86"], 2, "--chapters takes 3 to 85"),
                               (["--chapters", "85", "--members", "500"], 2, "--members takes"),
                               (["--faster"], 2, "--faster")):
        run = subprocess.run([os.path.join(HERE, "..", "demo"), *args], capture_output=True,
                             text=True, stdin=subprocess.DEVNULL, timeout=60 * SLOW)
        check(run.returncode == status and text in run.stdout + run.stderr, run)
        check("building" not in run.stdout, run)


def test_taken_ports():
    """A port that somebody else took between the look and the use is not used."""
    chapters = demo.read_chapters(os.path.join(HERE, "..", "samples", "chapters.csv"))[:1]
    with socket.socket() as taken, demo.Society(os.path.abspath(BIN), chapters) as society:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free = society.ports.take
        offers = [taken.getsockname()[1], free(), taken.getsockname()[1], free()]
        society.ports.take = lambda: offers.pop(0)
        society.found(lambda argv, output: None)
        society.join(society.nodes["fr"])
        check(offers == [], "ports that were not tried: %s" % offers)
        society.nodes["fr"].start()
        society.nodes["fr"].wait_answer()
        society.agreement(society.running(), lambda done: None)


if __name__ == "__main__":
    main(test_short_form, test_interrupted, test_stay, test_false_claims,
         test_too_few_descriptors, test_options, test_taken_ports)
