# SPDX-License-Identifier: MPL-2.0
"""tests/demo, once everything is installed and built."""

import argparse
import contextlib
import os
import signal
import sys
import time

import first_act
import second_act
from screen import Screen
from society import Failed, Society, read_chapters

CHAPTERS_MIN = 3  # France, Luxembourg, Québec: the second act is theirs
MEMBERS = 28000


class Interrupted(Exception):
    """By a signal."""


def on_signals(handler):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def interrupt(number, _):
    on_signals(signal.SIG_IGN)  # what follows is the cleaning up, and it ends
    raise Interrupted(number)


def timed_step(text):
    name, _, seconds = text.rpartition("=")
    return name, float(seconds)


def read_options(chapters):
    parser = argparse.ArgumentParser(
        prog="tests/demo", description="A federation of HQ and 85 chapters on this machine.")
    parser.add_argument("--chapters", type=int, default=len(chapters), metavar="N",
                        help="the first N of 85 (%d at least)" % CHAPTERS_MIN)
    parser.add_argument("--members", type=int, default=MEMBERS, metavar="N",
                        help="active individuals of all chapters together; 28,000 unless told")
    parser.add_argument("--stay", action="store_true",
                        help="leave it running, with commands to try, until Ctrl-C")
    parser.add_argument("--bin", help=argparse.SUPPRESS)  # without it only options are checked
    parser.add_argument("--step", type=timed_step, action="append", default=[],
                        help=argparse.SUPPRESS)
    parser.add_argument("--patience", type=float, default=300, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not CHAPTERS_MIN <= options.chapters <= len(chapters):
        parser.error("--chapters takes %d to %d" % (CHAPTERS_MIN, len(chapters)))
    if options.members < 40 * options.chapters:
        parser.error("--members takes %d or more for so many chapters" % (40 * options.chapters))
    return options


def summary(screen, goals, begun):
    screen.heading("measured")
    for goal in goals:
        screen.line("%-32s %9s   goal: at most %s, %s" % (
            goal.name, goal.form(goal.measured), goal.form(goal.at_most),
            "met" if goal.measured <= goal.at_most else "MISSED"))
    screen.heading("time")
    for name, seconds in screen.steps:
        screen.line("%-16s %6.1f s" % (name, seconds))
    screen.line("%-16s %6.1f s, without packages and build" % ("all", time.monotonic() - begun))


def stay(screen, society):
    with contextlib.suppress(Interrupted):
        show_what_to_try(screen, society)
        while True:
            time.sleep(1)
    on_signals(interrupt)
    screen.line()


def show_what_to_try(screen, society):
    screen.heading("it runs until you press Ctrl-C; in another terminal, try")
    for text in ("export PATH=%s:$PATH" % os.path.dirname(society.chapterctl),
                 "cd %s" % society.dir,
                 "chapterctl -s hq/control.sock status -v | less",
                 "chapterctl -s qc/control.sock log -f",
                 "chapterctl -s fr/control.sock members add name=Zoé country=FR",
                 "chapterctl -s hq/control.sock members list --search Zoé",
                 "chapterctl -s lu/control.sock members list --search Zoé   # may see no names",
                 "chapterctl -s lu/control.sock counts --by country",
                 "chapterctl -s qc/control.sock explain lu"):
        screen.line("  " + text)


def play(screen, options, chapters):
    begun = time.monotonic()
    with Society(options.bin, chapters[:options.chapters], options.patience) as society:
        try:
            goals = first_act.play(screen, society, options)
            goals += second_act.play(screen, society)
            summary(screen, goals, begun)
            if options.stay:
                stay(screen, society)
            screen.heading("the end")
            ended = society.stop_all()
            screen.line("all %d daemons ended cleanly, none had logged an error" % ended)
            screen.line("%s is removed" % society.dir)
            on_signals(signal.SIG_IGN)
        except BaseException:
            on_signals(signal.SIG_IGN)
            with contextlib.suppress(OSError):
                screen.line("ending all processes, removing %s" % society.dir)
            raise


def main():
    chapters = read_chapters(os.path.join(first_act.SAMPLES, "chapters.csv"))
    options = read_options(chapters)
    if options.bin is None:
        return
    screen = Screen()
    screen.steps = options.step
    on_signals(interrupt)
    try:
        play(screen, options, chapters)
    except Failed as failed:
        screen.heading("FAILED")
        screen.line(str(failed))
        sys.exit(1)
    except Interrupted as interrupted:
        with contextlib.suppress(OSError):
            screen.line("interrupted; every process is ended, every file removed")
        sys.exit(128 + interrupted.args[0])
    except BrokenPipeError:  # whoever read this has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
