# SPDX-License-Identifier: MPL-2.0
"""What the demo prints: headings with the time that each step took, commands and their output,
progress.  Off a terminal no line is drawn twice, and long work says so every few seconds."""

import contextlib
import fcntl
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import termios
import textwrap
import time
import unicodedata

QUIET_SECONDS = 5  # off a terminal, between two lines of progress
WIDTH_MAX = 160
BAR_WIDTH = 30
ROWS = 1000  # of the terminal that commands see: what they write may scroll by
COLOR = re.compile("\033\\[[0-9;]*m")


def plural(number, word):
    return "%s %s%s" % (format(number, ","), word, "" if number == 1 else "s")


def size_text(size):
    for unit in ("bytes", "kB", "MB"):
        if size < 1000 or unit == "MB":
            return "%.*f %s" % (0 if unit == "bytes" or size >= 100 else 1, size, unit)
        size /= 1000
    return ""


def seconds_text(seconds):
    return "%.0f ms" % (1000 * seconds) if seconds < 1 else "%.1f s" % seconds


def percent(share):
    return "%.1f %%" % (100 * share)


def width_of(text):
    """Columns that it takes on a terminal, colours aside."""
    return sum(0 if unicodedata.combining(c) else
               2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in COLOR.sub("", text))


class Screen:
    def __init__(self):
        self.live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.bold = ("\033[1m", "\033[0m") if self.live and not os.environ.get("NO_COLOR") \
            else ("", "")
        self.width = min(shutil.get_terminal_size((80, 24)).columns, WIDTH_MAX)
        self.steps = []  # (name, seconds)
        self.drawn = False
        self.said_at = 0.0

    def line(self, text=""):
        self.clear()
        print(text, flush=True)

    def heading(self, text):
        self.line()
        self.line("%s== %s%s" % (self.bold[0], text, self.bold[1]))

    @contextlib.contextmanager
    def step(self, name, text=None):
        """A heading, and how long what follows takes."""
        self.heading(text or name)
        begun = self.said_at = time.monotonic()
        yield
        self.clear()
        self.steps.append((name, time.monotonic() - begun))

    # --- progress -------------------------------------------------------------------------------

    def progress(self, text, done, total):
        if not self.live:
            if done < total and time.monotonic() - self.said_at >= QUIET_SECONDS:
                self.said_at = time.monotonic()
                self.line("%s: %d of %d" % (text, done, total))
            return
        full = BAR_WIDTH * done // max(total, 1)
        shown = "%s  [%s%s] %d of %d" % (text, "#" * full, "." * (BAR_WIDTH - full), done, total)
        print("\r" + shown[:self.width - 1] + "\033[K", end="", flush=True)
        self.drawn = True

    def clear(self):
        if self.drawn:
            self.drawn = False
            print("\r\033[K", end="", flush=True)

    # --- commands -------------------------------------------------------------------------------

    def command(self, argv):
        """A command as somebody would type it, over several lines where it is long."""
        words = [shlex.quote(word) for word in [os.path.basename(argv[0]), *argv[1:]]]
        lines = ["$"]
        for word in words:
            if len(lines[-1]) + len(word) + 3 > self.width and len(lines[-1]) > 4:
                lines[-1] += " \\"
                lines.append("   ")
            lines[-1] += " " + word
        for text in lines:
            self.line(text)

    def output(self, text, first=None, last=0):
        """Lines that a command wrote; where they are many, only the first and last ones."""
        lines = text.splitlines()
        hidden = len(lines) - first - last if first is not None else 0
        if hidden > 1:
            lines[first:first + hidden] = ["... (%d lines more)" % hidden]
        for shown in lines:
            for part in self.fit(shown):
                self.line(part)

    def fit(self, text):
        """The lines that a long one takes: a terminal would break it within a word."""
        if not self.live or width_of(text.rstrip()) <= self.width:
            return [text.rstrip()]
        return textwrap.wrap(text, self.width - 1, subsequent_indent="    ",
                             break_on_hyphens=False)

    def run(self, begin, argv):
        """(exit status, output) of a command that believes to write to this screen.  begin is like
        Popen."""
        if not self.live:
            child = begin(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
            written = child.communicate()[0]
            return child.returncode, written.decode(errors="replace")
        master, slave = pty.openpty()
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, self.width, 0, 0))
            child = begin(argv, stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.STDOUT)
            os.close(slave)
            slave = None
            written = b""
            while block := read_or_end(master):
                written += block
            return child.wait(), written.decode(errors="replace").replace("\r\n", "\n")
        finally:
            os.close(master)
            if slave is not None:
                os.close(slave)


def read_or_end(descriptor):
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how a terminal says that nobody has it open any more
        return b""
