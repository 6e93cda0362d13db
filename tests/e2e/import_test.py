# SPDX-License-Identifier: MPL-2.0
"""Lists of members in and out: what an import promises to whoever runs it, with real files, a real
daemon and a real terminal."""

import csv
import fcntl
import io
import itertools
import json
import os
import pty
import re
import resource
import select
import signal
import struct
import subprocess
import termios
import threading
import time

from federation import BIN, SLOW, Federation, Slowed, check, main, wait_until

OK, FAILED, USAGE, UNREACHABLE, REJECTS = range(5)
MIB = 1 << 20
CHAPTERCTL = os.path.join(BIN, "chapterctl")
ID = "0190b5f0-0000-7000-8000-%012d"


def write(federation, name, content):
    path = os.path.join(federation.dir, name)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write_people(federation, name, count):
    path = os.path.join(federation.dir, name)
    with open(path, "w") as file:
        file.write("external_id,name,email,country,city,joined\n")
        for n in range(count):
            file.write("M-%07d,Zoé Durand-%d,zoe.durand.%d@example.org,FR,Saint-Étienne,"
                       "%d-%02d-11\n" % (n, n, n, 1992 + n % 30, 1 + n % 12))
    return path


def members(node):
    """Name -> member."""
    return {m["name"]: m for m in node.json("members", "list")}


def sums(node, path, *args):
    """import --json: (added, changed, same, rejected)."""
    code, out, err = node.ctl("--json", "import", path, *args, check=False)
    check(code in (OK, REJECTS), "exit %d: %s%s" % (code, out, err))
    result = json.loads(out)
    check(result["applied"] == ("--apply" in args), out)
    return tuple(result[k] for k in ("added", "changed", "same", "rejected"))


# --- memory ---------------------------------------------------------------------------------


def measured(node, *args, ceiling):
    """Runs chapterctl where it may write to no more than ceiling bytes of its own: the most that
    it did, in bytes, and its output."""
    def limit():
        if SLOW == 1:  # sanitizers reserve far more than they use
            resource.setrlimit(resource.RLIMIT_STACK, (MIB, MIB))  # of each thread, too
            resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))

    run = subprocess.Popen([CHAPTERCTL, "-s", node.socket, "-t", "60", *args], preexec_fn=limit,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
    peak = 0
    try:
        while run.poll() is None:
            with open("/proc/%d/status" % run.pid) as status:
                for line in status:
                    if line.startswith("VmHWM:"):  # the most so far, whenever it is looked at
                        peak = max(peak, int(line.split()[1]) * 1024)
            time.sleep(0.005)
    finally:
        if run.poll() is None:
            run.kill()
    out = run.stdout.read()
    run.wait()
    check(run.returncode == OK, "%s: exit %d: %s" % (args, run.returncode, out[-2000:]))
    return peak, out


def test_memory_does_not_grow():
    """N and 3 N rows, with no member known and with all of them."""
    ceiling = 40 * MIB
    few, many = (200000, 600000) if SLOW == 1 else (4000, 12000)
    known = few // 2
    with Federation() as f:
        paths = {n: write_people(f, "%d.csv" % n, n) for n in (known, few, many)}
        peaks = {}
        for n in (few, many):
            peaks[n], out = measured(f.hq, "import", paths[n], ceiling=ceiling)
            check("%d to add" % n in out, out[-500:])
        if SLOW == 1:
            check(peaks[many] < peaks[few] + 2 * MIB, "%d and %d MiB" % (
                peaks[few] // MIB, peaks[many] // MIB))
        _, out = measured(f.hq, "import", paths[known], "--apply", ceiling=ceiling)
        check("%d added" % known in out, out[-500:])
        _, out = measured(f.hq, "import", paths[known], "--apply", ceiling=ceiling)
        check("%d the same" % known in out and "0 changed" in out, out[-500:])
        known_peak, out = measured(f.hq, "import", paths[many], ceiling=ceiling)
        check("%d to add, 0 to change, %d the same" % (many - known, known) in out, out[-500:])
        check(SLOW != 1 or known_peak < ceiling, "%d MiB" % (known_peak // MIB))
        out = os.path.join(f.dir, "out.csv")
        measured(f.hq, "export", "-o", out, ceiling=ceiling)
        check(read(out).count(b"\n") == known + 1, "members in an export")


# --- interrupted ----------------------------------------------------------------------------


def start_import(node, *args):
    return subprocess.Popen([CHAPTERCTL, "-s", node.socket, "-t", "60", "import", *args],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def test_ctrl_c_while_it_writes():
    count = 30000
    with Federation() as f:
        fr = f.join("fr")
        path = write_people(f, "m.csv", count)
        with Slowed(fr.process.pid):
            run = start_import(fr, path, "--apply")
            wait_until(lambda: fr.ask("counts")["memberships"] > 0, 60, "the first members", 0.001)
            run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60 * SLOW)
        check(run.returncode == FAILED, "exit %d: %s%s" % (run.returncode, out, err))
        said = re.search(r"interrupted: (\d+) of (\d+) changes were made\n  try: the same import",
                         err)
        check(said, err)
        there = fr.json("counts")["memberships"]
        check(int(said[1]) == there and int(said[2]) == count, "%d are there: %s" % (there, err))
        check(0 < there < count, "it was interrupted in the middle: %d" % there)
        check(sums(fr, path, "--apply") == (count - there, 0, there, 0), "the rest")
        check(sums(fr, path) == (0, 0, count, 0), "all of them")
        f.agree()
        f.verify_all()


def catches(process, signal_):
    """From the moment on that it would not simply die of it."""
    with open("/proc/%d/status" % process.pid) as status:
        caught = int(re.search(r"^SigCgt:\s*(\w+)", status.read(), re.M)[1], 16)
    return caught >> (signal_ - 1) & 1


def bytes_read(process):
    with open("/proc/%d/io" % process.pid) as file:
        return int(re.search(r"^rchar: (\d+)", file.read(), re.M)[1])


def test_ctrl_c_before_it_writes():
    with Federation() as f:
        path = write_people(f, "m.csv", 300000 if SLOW == 1 else 60000)
        with open(path, "a") as file:
            file.write("M-0000000,Twice,,,,\n")
        before = set(os.listdir(f.dir))

        def interrupted(signal_, come_to):
            run = start_import(f.hq, path, "--apply")
            wait_until(lambda: come_to(run), 30, "import has begun", 0.001)
            run.send_signal(signal_)
            return run, *run.communicate(timeout=60 * SLOW)

        def check_nothing(run, out, err):
            check(run.returncode == FAILED and "nothing was changed" in err,
                  "exit %d: %s%s" % (run.returncode, out[-500:], err))
            check(set(os.listdir(f.dir)) == before, "left behind: %s" % os.listdir(f.dir))

        # the daemon does not answer: nothing can have been written
        f.hq.process.send_signal(signal.SIGSTOP)
        try:
            check_nothing(*interrupted(signal.SIGINT, lambda run: catches(run, signal.SIGINT)))
        finally:
            f.hq.process.send_signal(signal.SIGCONT)
        check(f.hq.json("counts")["memberships"] == 0, "members")

        # in the midst of the file
        size = os.path.getsize(path)
        run, out, err = interrupted(
            signal.SIGTERM, lambda run: run.poll() is not None or (
                catches(run, signal.SIGTERM) and bytes_read(run) > size // 3))
        there = f.hq.json("counts")["memberships"]
        if said := re.search(r"interrupted: (\d+) of", err):  # a fast machine: it had come further
            check(run.returncode == FAILED and int(said[1]) == there, "%d: %s" % (there, err))
        elif run.returncode not in (OK, REJECTS):
            check_nothing(run, out, err)
            check(there == 0, "members: %d" % there)


# --- a terminal -----------------------------------------------------------------------------


def on_a_terminal(node, *args, code=OK):
    """What chapterctl writes to a terminal of 80 columns and 24 lines."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(CHAPTERCTL, [CHAPTERCTL, "-s", node.socket, "-t", "60", *args])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = b""
    while True:
        select.select([terminal], [], [])
        try:
            block = os.read(terminal, 65536)
        except OSError:
            break
        if not block:
            break
        seen += block
    check(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code, seen[-2000:])
    return seen.decode()


def test_progress():
    with Federation() as f:
        path = write_people(f, "m.csv", 40000 if SLOW == 1 else 10000)
        with Slowed(f.hq.process.pid):
            shown = on_a_terminal(f.hq, "import", path, "--apply")
        path = write_people(f, "n.csv", 400000 if SLOW == 1 else 60000)
        with open(path, "a") as file:  # rows that are shown while a bar stands there
            file.write("M-0000001,Twice,,,,\n" * 5)
        shown += on_a_terminal(f.hq, "import", path, code=REJECTS)
        bars = re.findall(r"\r([a-z ]+ \[[#.]+\] [^\r\n]*?)\x1b\[K", shown)
        labels = {re.match(r"[a-z ]+", bar)[0].strip() for bar in bars}
        # those that are over in half a second are not shown
        check(labels <= {"reading members", "reading rows", "matching", "checking", "importing"},
              labels)
        check("importing" in labels, labels)
        for bar in bars:
            check(re.search(r"\] +\d+ %  \d+/s  (\d+:\d\d left)?$", bar), repr(bar))
            check(len(bar) < 80, "too wide: " + bar)
        # wiped at the end: what follows starts on a clean line
        check(shown.count("reject   line") == 5, shown[-3000:])
        for line in shown.split("\n"):
            if "rows, UTF-8" in line or "reject   line" in line:
                line = line.rstrip("\r").split("\r")[-1].replace("\x1b[K", "")
                check(line.startswith((f.dir, "reject   line")), repr(line))
        parts = [int(bar.split("]")[1].split("%")[0]) for bar in bars if "importing" in bar]
        check(parts == sorted(parts) and parts[-1] <= 100, parts)
        # and nothing of it elsewhere
        code, out, err = f.hq.ctl("import", path, check=False)
        check("%  " not in out + err and "\x1b" not in out + err, err)


# --- files of every kind --------------------------------------------------------------------


def test_separators_and_marks():
    rows = (("name", "email", "city"), ("Ann", "a@x.example", "Köln, Süd; \"x\""),
            ("Bob", "b@x.example", ""))
    with Federation() as f:
        for separator in (",", ";", "\t"):
            for mark in (b"", b"\xef\xbb\xbf"):
                for end in ("\n", "\r\n", "\r"):
                    text = io.StringIO()
                    csv.writer(text, delimiter=separator, lineterminator=end).writerows(rows)
                    path = write(f, "m.csv", mark + text.getvalue().encode())
                    result = f.hq.json("import", path, "--apply")
                    check(result["separator"] == separator and result["rejected"] == 0, result)
                    check(result["encoding"] == "UTF-8", result)
        found = members(f.hq)
        check(set(found) == {"Ann", "Bob"}, found)
        check(found["Ann"]["city"] == rows[1][2], found["Ann"])


def test_encodings():
    """As Excel and its like write them; rejected rows come back in the same, to be mended there."""
    rows = "name;email;city;country\r\nZoé – «€»;z@x.example;Köln;DE\r\n" \
           "Jörg;j@x.example;Düren;Atlantis\r\n"
    for name, mark, codec in (("UTF-8", b"", "utf-8"), ("UTF-8", b"\xef\xbb\xbf", "utf-8"),
                              ("UTF-16LE", b"\xff\xfe", "utf-16-le"), ("UTF-16LE", b"", "utf-16-le"),
                              ("Windows-1252", b"", "cp1252")):
        with Federation() as f:
            path = write(f, "m.csv", mark + rows.encode(codec))
            code, out, err = f.hq.ctl("--json", "import", path, "--apply", check=False)
            result = json.loads(out)
            check(code == REJECTS and result["encoding"] == name and result["separator"] == ";" and
                  (result["added"], result["rejected"]) == (1, 1), "%s: %s%s" % (name, out, err))
            found = members(f.hq)
            check(found["Zoé – «€»"]["city"] == "Köln", found)
            code, out, err = f.hq.ctl("import", path, check=False)
            check("2 rows, %s, separated by semicolons" % name in out, out)
            text = read(rejects(path))
            if mark or codec == "utf-16-le":
                start = mark or b"\xff\xfe"
                check(text.startswith(start), text)
                text = text[len(start):]
            text = text.decode(codec)
            check("3;" in text and "Jörg" in text and "Düren" in text, text)
            mended = write(f, "n.csv", mark + text.replace("Atlantis", "DE").encode(codec))
            check(sums(f.hq, mended, "--apply") == (1, 0, 0, 0), name)
            check(members(f.hq)["Jörg"]["city"] == "Düren", members(f.hq))


def test_a_broken_row_in_another_encoding():
    """What is lost of it is marked there, too, and is not imported by mistake."""
    for codec in ("cp1252", "utf-16-le"):
        with Federation() as f:
            mark = b"\xff\xfe" if codec == "utf-16-le" else b""
            path = write(f, "m.csv", mark + 'name,city\n"Jör"g,Düren\nZoé,Köln\n'.encode(codec))
            check(sums(f.hq, path, "--apply") == (1, 0, 0, 1), codec)
            check(sums(f.hq, rejects(path), "--apply") == (0, 0, 0, 1), "not mended: " + codec)


def test_modes():
    with Federation() as f:
        path = write(f, "m.csv", "external_id,name,city,phone\n1,Ann,Lyon,\n2,Bob,,+33 1\n")
        check(sums(f.hq, path) == (2, 0, 0, 0), "a dry run")
        check(members(f.hq) == {}, "a dry run changes nothing")
        check(sums(f.hq, path, "--apply") == (2, 0, 0, 0), "added")
        check(sums(f.hq, path, "--apply") == (0, 0, 2, 0), "the same file again")
        seq = {m["seq"] for m in members(f.hq).values()}
        path = write(f, "n.csv", "external_id,name,city,phone\n1,Anne,Paris,+33 2\n2,Bob,Nice,\n"
                     "3,Cid,Metz,\n")
        for mode, counts in (("update", (1, 2, 0, 0)), ("fill", (1, 2, 0, 0)),
                             ("skip", (1, 0, 2, 0))):
            check(sums(f.hq, path, "--mode", mode) == counts, mode)
        # a dry run shows each field that would change, and nothing that would not
        code, out, _ = f.hq.ctl("import", path)
        check(code == OK and 'name: "Ann" -> "Anne"' in out and 'city: "Lyon" -> "Paris"' in out and
              'phone: (empty) -> "+33 2"' in out and 'city: (empty) -> "Nice"' in out and
              'add      line 4: "Cid"' in out and "dry run" in out, out)
        check("Bob ->" not in out and '"+33 1" ->' not in out, out)
        code, out, _ = f.hq.ctl("import", path, "--mode", "fill")
        check("Anne\"\n" not in out and 'phone: (empty) -> "+33 2"' in out and
              'city: "Lyon"' not in out and 'city: (empty) -> "Nice"' in out, out)
        check({m["seq"] for m in members(f.hq).values()} == seq, "dry runs changed something")
        check(sums(f.hq, path, "--mode", "skip", "--apply") == (1, 0, 2, 0), "skip")
        check(sums(f.hq, path, "--mode", "fill", "--apply") == (0, 2, 1, 0), "fill")
        found = members(f.hq)
        check((found["Ann"]["city"], found["Ann"]["phone"]) == ("Lyon", "+33 2"), found)
        check(sums(f.hq, path, "--mode", "update", "--apply") == (0, 1, 2, 0), "update")
        found = members(f.hq)
        check((found["Anne"]["city"], found["Bob"]["phone"]) == ("Paris", "+33 1"), found)
        # an empty cell takes nothing away
        path = write(f, "o.csv", "external_id,name,city,phone\n1,Anne,,\n")
        check(sums(f.hq, path, "--apply") == (0, 0, 1, 0), "empty cells")


def test_an_export_comes_back():
    formulas = ["=1+1", "+33 1", "-x", "@a", "'=quoted", "''", "'", "=\"a\",b"]
    with Federation() as f:
        for n, text in enumerate(formulas):
            fields = {"name": "N%d" % n, "notes": "a \"b\",\n" + text, "T Shirt": text,
                      "city": "x;y", "long": "é" * 1000}
            check(f.hq.add(**fields)["ok"], text)
        names = {n: m for n, m in members(f.hq).items()}
        out = os.path.join(f.dir, "out.csv")
        f.hq.ctl("export", "-o", out)
        check(os.stat(out).st_mode & 0o777 == 0o600, "personal data is the user's alone")
        rows = list(csv.DictReader(io.StringIO(read(out).decode(), newline="")))
        check(len(rows) == len(formulas) and "T Shirt" in rows[0], rows[0])
        for row in rows:
            check(row["T Shirt"].strip()[:1] not in tuple("=+-@"), "a formula: %r" % row)
        check(sums(f.hq, out, "--apply") == (0, 0, len(formulas), 0), "it is the same")
        # into a federation that has none of them
        with Federation() as g:
            check(sums(g.hq, out, "--apply") == (len(formulas), 0, 0, 0), "all of them")
            again = members(g.hq)
            for name, member in names.items():
                for field in set(member) - {"seq", "updated"}:
                    check(again[name].get(field) == member[field], "%s of %s: %r, was %r" % (
                        field, name, again[name].get(field), member[field]))
            code, text, _ = g.hq.ctl("export")
            check(text.encode() == read(out), "an export of the import of an export differs")


def test_an_export_while_members_change():
    """Changed members come again at the end of the list: each is in the file once all the same."""
    with Federation() as f:
        count = 10000 if SLOW == 1 else 4000
        sums(f.hq, write_people(f, "m.csv", count), "--apply")
        ids = [m["id"] for m in f.hq.json("members", "list", "--limit", "2000")]
        done = threading.Event()

        def change(stdin):
            for n in itertools.count():
                for i in ids if not done.is_set() else ():
                    stdin.write(json.dumps({"op": "put", "id": i, "fields": {
                        "joined": "2001-02-%02d" % (1 + n % 28)}}) + "\n")
                if done.is_set():
                    stdin.close()
                    return

        writer = subprocess.Popen([CHAPTERCTL, "-s", f.hq.socket, "members", "apply", "-"],
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        feeder = threading.Thread(target=change, args=(writer.stdin,))
        feeder.start()
        try:
            for form in ((), ("--json",), ()):
                _, text, _ = f.hq.ctl(*form, "export")
                rows = json.loads(text) if form else list(csv.DictReader(io.StringIO(text)))
                found = [row["id"] for row in rows]
                check(len(found) == len(set(found)) == count, "%d rows, %d ids, %d members" % (
                    len(found), len(set(found)), count))
        finally:
            done.set()
            feeder.join()
            writer.wait()


# --- rejects --------------------------------------------------------------------------------


def rejects(path):
    return path[:-len(".csv")] + ".rejects.csv"


def test_rejected_rows_can_be_mended():
    with Federation() as f:
        path = write(f, "m.csv", "name;country;T Shirt;joined\r\nAnn;FR;\"L; \"\"x\"\"\";\r\n"
                     "Bob;Atlantis;M;\r\nCid;FR;\"two\nlines\";2021-02-30\r\n")
        check(sums(f.hq, path, "--apply") == (1, 0, 0, 2), "two are rejected")
        text = read(rejects(path)).decode()
        check(text.startswith("row;reason;name;country;T Shirt;joined\n"), text)
        check(os.stat(rejects(path)).st_mode & 0o777 == 0o600, "the user's alone")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))
        check([r["row"] for r in rows] == ["3", "4"], rows)
        check("country" in rows[0]["reason"] and "joined" in rows[1]["reason"], rows)
        check(rows[1]["T Shirt"] == "two\nlines", rows)
        # not mended, they are rejected again
        check(sums(f.hq, rejects(path), "--apply") == (0, 0, 0, 2), "as they are")
        mended = write(f, "mended.csv", text.replace("Atlantis", "GR").replace("02-30", "02-28"))
        check(sums(f.hq, mended, "--apply") == (2, 0, 0, 0), "mended")
        found = members(f.hq)
        check(found["Bob"]["country"] == "GR" and found["Cid"]["T Shirt"] == "two\nlines" and
              found["Ann"]["T Shirt"] == 'L; "x"', found)
        check("row" not in found["Bob"] and "reason" not in found["Bob"], found["Bob"])


def test_a_duplicate_that_is_not_mended():
    """Alone in the file of rejects it must not pass for the first row's person."""
    for key, first, second, fresh in (
            ("id", "%s,,Ann,a@x.example" % (ID % 1), "%s,,Bob,b@x.example" % (ID % 1), ID % 2),
            ("external_id", ",7,Ann,a@x.example", ",7,Bob,b@x.example", "8")):
        with Federation() as f:
            path = write(f, "m.csv", "id,external_id,name,email\n%s\n%s\n" % (first, second))
            check(sums(f.hq, path, "--apply") == (1, 0, 0, 1), "one is a duplicate")
            ann = f.hq.json("members", "list")
            for _ in range(2):  # a file of rejects of a file of rejects
                path = rejects(path)
                check(sums(f.hq, path, "--apply") == (0, 0, 0, 1), "not mended")
                check(f.hq.json("members", "list") == ann, "the first person was changed")
                text = read(path).decode()
                check("empty this cell" in text or "duplicate: the same" in text, text)
            rows = list(csv.reader(io.StringIO(text)))
            place = rows[0].index(key)
            old = rows[1][place]
            # another id: another person
            rows[1][place] = fresh
            mended = io.StringIO()
            csv.writer(mended).writerows(rows)
            check(sums(f.hq, write(f, "a.csv", mended.getvalue())) == (1, 0, 0, 0), key)
            # the reason taken out: it is meant for the first person
            rows[1][place] = old
            rows[1][rows[0].index("reason")] = ""
            meant = io.StringIO()
            csv.writer(meant).writerows(rows)
            check(sums(f.hq, write(f, "b.csv", meant.getvalue()), "--apply") == (0, 1, 0, 0), key)
            check(set(members(f.hq)) == {"Bob"}, "changed, since it was said so")


def test_a_remnant_that_is_not_mended():
    """What may belong to a broken row is no member, alone neither."""
    with Federation() as f:
        path = write(f, "m.csv", 'name,email,city\nAnn,a@x.example,"L\nyon\nBob,b@x.example,x\n')
        check(sums(f.hq, path, "--apply") == (1, 0, 0, 2), "a broken row, and its second line")
        path = rejects(path)
        check("yon" in read(path).decode(), read(path))
        for _ in range(2):
            check(sums(f.hq, path, "--apply") == (0, 0, 0, 2), "not mended")
            path = rejects(path)
        check(set(members(f.hq)) == {"Bob"}, members(f.hq))


def test_rows_that_the_daemon_refuses():
    """Another chapter's members cannot be imported; each such row is rejected, the others are
    not."""
    with Federation() as f:
        fr = f.join("fr")
        count = 3000
        lines = "".join('{"op":"put","id":"%s","fields":{"name":"N%d"}}\n' % (ID % n, n)
                        for n in range(1, count + 1, 2))
        code, out, _ = fr.ctl("members", "apply", "-", stdin=lines)
        f.agree()
        path = write(f, "m.csv", "id,name\n" + "".join("%s,N%d\n" % (ID % n, n)
                                                       for n in range(1, count + 1)))
        code, out, err = f.hq.ctl("import", path, "--apply", check=False)
        check(code == REJECTS, "exit %d: %s%s" % (code, out, err))
        check("%d added" % (count // 2) in out and "%d rejected" % (count // 2) in out, out[-500:])
        check(out.count("refused ") == 20 and "-v shows all" in out, out[:3000])
        check(len(out) < 4000, "%d bytes of output" % len(out))
        rows = list(csv.DictReader(io.StringIO(read(rejects(path)).decode())))
        check([int(r["row"]) for r in rows] == list(range(2, count + 2, 2)), "which rows")
        check(all("another chapter" in r["reason"] for r in rows), rows[0])
        check(len(f.hq.json("members", "list", "--chapter", "hq")) == count // 2, "members")


def test_working_files_without_room():
    with Federation() as f:
        path = write_people(f, "m.csv", 100000)
        os.environ["TMPDIR"] = os.path.join(f.dir, "none")
        try:
            code, out, err = f.hq.ctl("import", path, "--apply", check=False)
            check(code == FAILED and "working files" in err and "TMPDIR" in err, out[-500:] + err)
            check(f.hq.json("counts")["memberships"] == 0, "nothing was sent")
            # a list of usual size needs none
            path = write_people(f, "n.csv", 500)
            check(sums(f.hq, path, "--apply") == (500, 0, 0, 0), "500 rows")
        finally:
            del os.environ["TMPDIR"]


if __name__ == "__main__":
    main(test_memory_does_not_grow, test_ctrl_c_while_it_writes, test_ctrl_c_before_it_writes,
         test_progress, test_separators_and_marks,
         test_encodings, test_a_broken_row_in_another_encoding, test_modes, test_an_export_comes_back,
         test_an_export_while_members_change, test_rejected_rows_can_be_mended,
         test_a_duplicate_that_is_not_mended, test_a_remnant_that_is_not_mended,
         test_rows_that_the_daemon_refuses, test_working_files_without_room)
