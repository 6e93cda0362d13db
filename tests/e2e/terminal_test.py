# SPDX-License-Identifier: MPL-2.0
"""What chapterctl does on a terminal and off one, seen through a pseudo-terminal of a given size:
tables that align whatever script the names are in, colours, -w, progress bars, strangers' names."""

import ctypes
import fcntl
import itertools
import locale
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from federation import BIN, HEARD, SLOW, Federation, Slowed, check, main, wait_until

locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
WCWIDTH = ctypes.CDLL(None).wcwidth
WCWIDTH.argtypes = [ctypes.c_wchar]

NAMES = [
    "Zoé Durand",
    "Ze\u0301zette Combining\u0302",
    "محمد علي",
    "می\u200cخواهم رضا",
    "תמר לוי",
    "山田 太郎",
    "陳大文",
    "अनिता शर्मा",
    "ประเสริฐ พึ่งบุญ",
    "Αλέξης Παπαδόπουλος",
    "Wolfeschlegelsteinhausenbergerdorff-Hohenzollern von und zu Sigmaringen",
    "山田山田山田山田山田山田山田山田山田山田山田山田",
    "Evil \u202egpj.exe",
    "C1 \u009b31m red",
    "Isolate \u2066x\u2069",
]
HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f"
                    "\u2028-\u202e\u2060-\u206f\ufeff]")
COLOR = re.compile(r"\x1b\[[0-9;]*m")


def width(text):
    """Columns of text; what is no character of a terminal is a failure."""
    columns = [WCWIDTH(c) for c in text]
    check(min(columns, default=0) >= 0, "not printable: %r" % text)
    return sum(columns)


class Terminal:
    """chapterctl with its output on a pseudo-terminal; stderr too unless told otherwise."""

    def __init__(self, node, *args, columns=80, lines=24, stdin=subprocess.DEVNULL, stdout=None,
                 stderr=None, env=()):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        environment.update({"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}, **dict(env))
        self.process = subprocess.Popen(
            [os.path.join(BIN, "chapterctl"), "-s", node.socket, *args], stdin=stdin,
            stdout=slave if stdout is None else stdout, env=environment,
            stderr=slave if stderr is None else stderr)
        os.close(slave)

    def read(self, seconds, until=None):
        """What comes until the program ends, or until a text has come that the expression until
        is found in."""
        data = b""
        deadline = time.monotonic() + seconds * SLOW
        while until is None or not re.search(until, data.decode(errors="ignore"), re.DOTALL):
            check(time.monotonic() < deadline, "%s within %.0f s, but: %r" % (
                until or "no end", seconds * SLOW, data[-2000:]))
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    piece = os.read(self.master, 65536)
                except OSError:
                    piece = b""
                if not piece:
                    check(until is None, "it ended before %s: %r" % (until, data[-2000:]))
                    break
                data += piece
        return data.decode(errors="ignore" if until else "strict")

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(10 * SLOW)
        os.close(self.master)


def on_terminal(node, *args, seconds=30, until=None, **options):
    terminal = Terminal(node, *args, **options)
    try:
        return terminal.read(seconds, until).replace("\r\n", "\n")
    finally:
        terminal.close()


def check_aligned(text, title, marks, columns=None):
    """The column of that title begins at the same place in each row: there is one of marks."""
    lines = [COLOR.sub("", line) for line in text.splitlines()]
    head = next(i for i, line in enumerate(lines) if title in line.split())
    begins = width(lines[head][:re.search(r"(^| )" + title + r"\b", lines[head]).end()
                               - len(title)])
    rows = 0
    for line in lines[head + 1:]:
        if not line or line.startswith("("):
            break
        check(columns is None or width(line) <= columns, "wider than %s: %r" % (columns, line))
        found = [m for m in re.finditer(" (" + "|".join(marks) + ")( |$)", line)]
        check(found and width(line[:found[-1].start(1)]) == begins,
              "%s begins elsewhere than in column %d:\n%s" % (title, begins, text))
        rows += 1
    return rows


def all_current(node):
    """Waits until that node's feeds are all current, of every member of its federation, and its
    peers are all up."""
    def is_so():
        status = node.status()
        return (len(status["feeds"]) == len(node.federation.nodes) and
                all(x["state"] == "current" for x in status["feeds"]) and
                all(x["state"] == "up" for x in status["peers"]))

    wait_until(is_so, HEARD, "all is current and up at " + node.code)


def named_federation():
    f = Federation()
    f.__enter__()
    lu = f.join("lu", listen=False, token=f.invite("lu", "--name", "الجمعية في لوكسمبورغ"))
    qc = f.join("qc", listen=False, token=f.invite("qc", "--name", "協會魁北克分會協會魁北克分會"))
    for name in NAMES:
        check(lu.add(name=name, country="LU", joined="2020-01-31", email="someone@example.org")
              ["ok"], name)
    f.agree()
    all_current(qc)
    return f, lu, qc


def test_tables_align_and_fit():
    f, lu, qc = named_federation()
    with_exit = f
    try:
        for columns in (60, 80, 100, 160, 200):
            text = on_terminal(lu, "members", "list", "--limit", "50", columns=columns)
            if columns == 60:  # the id and the name alone
                rows = len([x for x in text.splitlines()[1:] if re.match("[0-9a-f]{8}-", x)])
            else:
                rows = check_aligned(text, "CHAPTER", ["lu"], columns)
            check(rows == len(NAMES), "%d rows at %d columns:\n%s" % (rows, columns, text))
            check(all(c in COLOR.sub("", text) for c in ("陳大文", "محمد")), "names at %d" % columns)
            check(not HIDDEN.search(COLOR.sub("", text)), "a control came through: %r" % text)
            check(("EMAIL" in text.split("\n")[0]) == (columns >= 100), "EMAIL at %d:\n%s" % (
                columns, text))
            check(("too narrow for" in text) == (columns < 160), "the notice at %d" % columns)
            check(("…" in text) == (columns < 200), "names are cut at %d:\n%s" % (columns, text))
            for words in (["members", "list"], ["status"], ["-v", "status"], ["counts", "--by", "chapter"],
                          ["chapters", "list"], ["explain", "hq"], ["-v", "explain", "lu"],
                          ["log"], ["counts"], ["explain", "qc"]):
                text = on_terminal(lu if "members" in words else qc, *words, columns=columns,
                                   lines=60)
                for line in COLOR.sub("", text).splitlines():
                    check(width(line) <= columns or " " not in line.strip(), "%s at %d columns: %r" % (words, columns, line))
        check_aligned(on_terminal(qc, "status", columns=100), "STATE", ["current"], 100)
        # off a terminal all is there
        text = lu.ctl("members", "list")[1]
        check(check_aligned(text, "CHAPTER", ["lu"]) == len(NAMES), text)
        check(NAMES[10] in text and "EMAIL" in text and "…" not in text, "a pipe is not cut")
        check(all(line == line.rstrip() for line in text.splitlines()), "blanks at line ends")
    finally:
        with_exit.__exit__(None, None, None)


def test_colours():
    with Federation() as f:
        f.join("lu", listen=False)
        all_current(f.hq)
        check("\x1b[" not in f.hq.ctl("status")[1], "colour off a terminal")
        check("\x1b[32m" in on_terminal(f.hq, "status"), "no colour on a terminal")
        check("\x1b" not in on_terminal(f.hq, "status", env={"NO_COLOR": "1"}), "NO_COLOR")
        check("\x1b[32m" in on_terminal(f.hq, "status", env={"NO_COLOR": ""}), "an empty NO_COLOR")
        check("\x1b" not in on_terminal(f.hq, "status", env={"TERM": "dumb"}), "TERM=dumb")
        check("\x1b" not in on_terminal(f.hq, "--color=never", "status"), "--color=never")
        check("\x1b[32m" in on_terminal(f.hq, "--color=always", "status", env={"NO_COLOR": "1"}),
              "--color=always is the user's own word")
        check("\x1b[32m" in f.hq.ctl("--color=always", "status")[1], "--color=always into a pipe")
        for form in ("--json", "--csv"):
            check("\x1b" not in on_terminal(f.hq, form, "status"), form)


def test_a_small_screen_shows_what_matters():
    with Federation() as f:
        for code in ("be", "ch", "de", "fr"):
            f.join(code)
        for code in ("it", "lu", "nl"):
            f.join(code, listen=False)
        qc = f.join("qc", listen=False)
        all_current(f.hq)
        text = on_terminal(f.hq, "status", env={"NO_COLOR": "1"}, lines=14)
        check("9 feeds: 9 current (-v lists them)" in text and "\nfr " not in text, text)
        check("8 peers: 8 up (-v lists them)" in text, text)
        text = on_terminal(f.hq, "explain", "hq", env={"NO_COLOR": "1"}, lines=14)
        check("8 that are up are not listed: -v" in text and "\nfr " not in text, text)
        check("\nfr " in f.hq.ctl("explain", "hq")[1], "a pipe has all")
        for whole in (on_terminal(f.hq, "status", lines=40, env={"NO_COLOR": "1"}),
                      on_terminal(f.hq, "status", "-v", lines=14, env={"NO_COLOR": "1"}),
                      f.hq.ctl("status")[1]):
            check("9 feeds: 9 current\n" in whole and "\nfr " in whole, whole)
        # HQ, the next in the ring, two more: who dials knows at once that a link is gone
        all_current(qc)
        gone = sorted(p["chapter"] for p in qc.status()["peers"])[1:3]
        check("hq" not in gone, gone)
        for code in gone:
            f.nodes[code].stop()
        wait_until(lambda: sorted(p["state"] for p in qc.status()["peers"])
                   == 2 * ["connecting"] + 2 * ["up"], 30, "two of qc's links are gone")
        text = on_terminal(qc, "status", env={"NO_COLOR": "1"}, lines=14)
        check("4 peers: 2 connecting, 2 up (2 that are well are not listed: -v)" in text, text)
        check("\n%s   connecting" % gone[0] in text and "\nhq " not in text, text)
        rows = qc.ctl("status")[1].split("PEER", 1)[1].splitlines()[1:3]
        check([r.split()[:2] for r in rows] == [[code, "connecting"] for code in gone],
              "trouble leads")


FRAME_END = "\x1b[J\x1b[?7h"


def frames(text):
    """The whole ones."""
    return re.findall(r"\x1b\[\?7l\x1b\[H(.*?%s)" % re.escape(FRAME_END), text, re.DOTALL)


def frame_with(text):
    return r"%s((?!%s).)*%s" % (re.escape(text), re.escape(FRAME_END), re.escape(FRAME_END))


def test_watch():
    with Federation() as f:
        lu = f.join("lu", listen=False)
        f.agree()
        for n in range(40):
            lu.add(name="Member %d" % n)
        f.agree()
        begun = time.monotonic()
        text = on_terminal(lu, "-w1", "members", "list", lines=12,
                           until="(%s.*){3}" % re.escape(FRAME_END))
        check(time.monotonic() - begun >= 2, "three frames, one a second")
        text = text[:text.rindex(FRAME_END)] + FRAME_END
        shown = frames(text)
        check(len(shown) >= 3, "%d frames: %r" % (len(shown), text))
        check(text.count("\x1b[2J") == 1, "the screen is cleared once, then drawn over")
        for frame in shown:
            check(frame.count("\n") == 11, "a frame of %d lines" % (frame.count("\n") + 1))
            check("... 31 more lines" in frame and frame.startswith("members list, every 1 s"),
                  repr(frame))
        check("\x1b[?7l" not in re.sub(r"\x1b\[\?7l.*?\x1b\[\?7h", "", text, flags=re.DOTALL),
              "a frame leaves the terminal as it was")
        # it goes on while the daemon is away, in the same place
        terminal = Terminal(lu, "-w1", "status", env={"NO_COLOR": "1"})
        try:
            terminal.read(30, frame_with("1 peer: 1 up"))
            lu.stop()
            terminal.read(30, frame_with("no answer from a daemon"))
            lu.start()
            terminal.read(30, frame_with("node lu"))
        finally:
            terminal.close()
        # a usage error ends it
        text = on_terminal(lu, "-w1", "status", "--bogus")
        check("unknown option --bogus" in text and "\x1b[?7l" not in text, text)
        # off a terminal: one whole output after the other, as lines
        run = subprocess.Popen([os.path.join(BIN, "chapterctl"), "-s", lu.socket, "-w1",
                                "members", "list"], stdout=subprocess.PIPE, text=True)
        out = ""
        while out.count("Member 39") < 2 and (line := run.stdout.readline()):
            out += line
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=30 * SLOW)
        check(out.count("ID ") == out.count("Member 39") == 2 and "\x1b" not in out, out)


PEOPLE = 50000  # they take some seconds where the daemon is slowed

BAR = re.compile(r"\r\w[\w ]* \[#*\.*\] +\d+ %  \d+/s  (?:\d+:\d\d left)?\x1b\[K")


def check_bar(text, columns, label):
    """A bar with rate and time left, no wider than the terminal, and wiped in the end."""
    check(any("left" in b for b in BAR.findall(text)) and label + " [" in text,
          "no bar of %s: %r" % (label, text[:2000]))
    for piece in re.findall(r"\r([^\r\n]*)\x1b\[K", text):
        check(width(piece) < columns, "a bar wider than the terminal: %r" % piece)
    check("\r\x1b[K" in text and not text.endswith("left\x1b[K"), "the bar is not wiped")


def received(node):
    """Messages, this question among them."""
    return node.ask("status")["counters"]["received_messages"]


def test_progress():
    with Federation() as f:
        lu, qc = f.join("lu", listen=False), f.join("qc", listen=False)
        f.agree()
        path = os.path.join(f.dir, "many.csv")
        with open(path, "w") as file:
            file.write("name,email,country\n")
            file.writelines("Name %d,n%d@example.org,LU\n" % (n, n) for n in range(PEOPLE))
        qc.stop()
        with Slowed(lu.process.pid):
            text = on_terminal(lu, "import", path, "--apply", seconds=120, columns=50)
        check_bar(text, 50, "importing")
        check("\r" not in lu.ctl("import", path, "--apply")[2], "a bar off a terminal")
        with Slowed(lu.process.pid, pause_s=0.2):
            check_bar(on_terminal(lu, "verify", "--deep", seconds=120), 80, "recounting")
            check("\r" not in on_terminal(lu, "-q", "verify", "--deep", seconds=120).replace(
                "\r\n", "\n"), "a bar with -q")
        f.agree(60, [f.hq, lu])
        # somebody waits already when qc learns what it lacks
        f.hq.process.send_signal(signal.SIGSTOP)
        try:
            qc.start()
            before = received(qc)
            mine = itertools.count(1)
            terminal = Terminal(qc, "wait", "--timeout", "%d" % (120 * SLOW))
            wait_until(lambda: received(qc) - before > next(mine), 30, "another asks, too")
            with Slowed(qc.process.pid, run_ms=2):
                f.hq.process.send_signal(signal.SIGCONT)
                text = terminal.read(120).replace("\r\n", "\n")
            terminal.close()
        finally:
            f.hq.process.send_signal(signal.SIGCONT)
        check_bar(text, 80, "catching up")
        check("in step after" in text, text)


def test_remedies_name_the_socket():
    with Federation() as f:
        lu = f.join("lu", listen=False)
        f.agree()
        code, _, err = lu.ctl("explain", "lo", check=False)
        check("try: chapterctl -s %s chapters list" % lu.socket in err, err)
        code, _, err = lu.ctl("--json", "explain", "lo", check=False)
        check('"remedy":"chapterctl -s %s chapters list"' % lu.socket in err, err)
        run = subprocess.run([os.path.join(BIN, "chapterctl"), "explain", "lo"], text=True,
                             capture_output=True, env={**os.environ, "CHAPTERD_SOCKET": lu.socket})
        check("try: chapterctl chapters list" in run.stderr, run.stderr)
        f.hq.kill()
        wait_until(lambda: lu.json("explain", "lu")["cause"] == "alone", 20, "alone")
        check("next: ping" in lu.ctl("explain", "lu")[1], "another program's command is untouched")


def test_mistyped_fields_are_told():
    with Federation() as f:
        for words, text in ((("members", "add", "name=Ann", "emial=a@example.org"),
                             'did you mean email?'),
                            (("members", "add", "name=Bob", "shoe_size=44"),
                             '"shoe_size" is not a field that other nodes know')):
            code, out, err = f.hq.ctl(*words)
            check(code == 0 and "warning" in err and text in err, err)
            check("did you mean" in err or "shoe" in err, err)
        record = out.split()[-1]
        code, _, err = f.hq.ctl("members", "edit", record, "nam=Cid")
        check("did you mean name?" in err, err)
        check(f.hq.ctl("-q", "members", "edit", record, "nam=")[2] == "", "-q")
        _, _, err = f.hq.ctl("--json", "members", "edit", record, "nam=Dan")
        check(err.startswith('{"warning":'), err)
        check(f.hq.ctl("members", "edit", record, "name=Dan", "notes=x")[2] == "", "known fields")


if __name__ == "__main__":
    main(test_tables_align_and_fit, test_colours, test_a_small_screen_shows_what_matters,
         test_watch, test_progress, test_remedies_name_the_socket,
         test_mistyped_fields_are_told)
