# SPDX-License-Identifier: MPL-2.0
"""Bad input of every kind: the right exit code, a message that says what happened and what to do
next, and nothing half done."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time

from federation import BIN, SLOW, Federation, check, free_port_pair, main, wait_until

OK, FAILED, USAGE, UNREACHABLE, REJECTS = range(5)
MIB = 1 << 20
ID_1 = "0190b5f0-0000-7000-8000-000000000001"
NOBODY = 65534
# what must never reach a terminal: C0, DEL, C1, bidirectional controls
NAUGHTY = "Ren\u009b2J\u202eé\u2066x\u0085y\u007fz\u200f"
RAW = ("\x1b", "\x07", "\x7f", "\u0085", "\u009b", "\u200f", "\u202e", "\u2066")


def refused(result, code, *texts):
    """An exit code, and on stderr what happened and, indented, what to do next."""
    got, out, err = result
    check(got == code, "exit %d, not %d: %s%s" % (got, code, out, err))
    for text in texts:
        check(text in err, "no %r in: %s" % (text, err))
    check("\n  " in err, "no next step in: " + err)
    check(len(err) < 2000, "too long: " + err)
    for raw in RAW:
        check(raw not in err, "%r on a terminal: %r" % (raw, err))


def count(node):
    return len(node.json("members", "list"))


class Files:
    """Files to import, in the federation's directory."""

    def __init__(self, federation):
        self.node = federation.hq
        self.dir = federation.dir

    def write(self, name, content):
        path = os.path.join(self.dir, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def give(self, name, content, *args):
        """Writes and imports it: exit code, stdout, stderr, the rejected rows."""
        path = self.write(name, content)
        result = self.node.ctl("import", path, *args, check=False)
        rejects = path[:-len(".csv")] + ".rejects.csv"
        rows = b""
        if os.path.exists(rejects):
            with open(rejects, "rb") as file:
                rows = file.read()
            os.unlink(rejects)
        return (*result, rows.decode())

    def rejects(self, name, content, bad, *reasons):
        """Of content's rows as many as bad are rejected, for these reasons (if it is one, all of
        them), the others taken."""
        before = count(self.node)
        code, out, err, rows = self.give(name, content)
        check(code == REJECTS, "a dry run's exit %d: %s%s" % (code, out, err))
        check(count(self.node) == before, "a dry run changed something")
        code, out, err, rows = self.give(name, content, "--apply")
        check(code == REJECTS, "exit %d: %s%s" % (code, out, err))
        check("%d rejected" % bad in out and "rejects.csv" in out, out)
        check(rows.startswith("row,reason,"), rows)
        for reason in reasons:
            check(reason in out, "no %r in: %s" % (reason, out))
            check(reason in rows, "no %r in the rejects: %s" % (reason, rows))
        if len(reasons) == 1:
            check(rows.count(reasons[0]) == bad, "not all for %r: %s" % (reasons[0], rows))


# --- CSV ------------------------------------------------------------------------------------


def test_rows_that_cannot_be_taken():
    with Federation() as f:
        files = Files(f)
        files.rejects("open.csv", b'name,email\n"Ann,a@x.example\nBob,b@x.example\n', 1,
                      "a quote is opened and never closed")
        files.rejects("stray.csv", b'name,email\n"A"n,a@x.example\nBob,b@x.example\n', 1,
                      "a quote stands where none may be")
        files.rejects("country.csv", b"name,country\nCarl,Q9\nDan,FR\nEd,Atlantis\nFay,france\n",
                      3, "country is not an ISO 3166 country code")
        files.rejects("date.csv", b"name,joined,expires\nGus,2021-02-30,\nHal,2021-13-01,\n"
                      b"Ian,1900-02-29,\nJon,2020-02-29,2024-02-29\nKai,yesterday,\n", 4,
                      "joined is not a real date", "YYYY-MM-DD")
        files.rejects("ids.csv", ("id,name\n%s,Lea\n%s,Other\nno-uuid,Mia\n" % (ID_1, ID_1))
                      .encode(), 2, "the same id as in line 2", "id is not a UUID")
        files.rejects("twice.csv", b"name,email\nNoa,n@x.example\nNoa,N@X.example\n", 1,
                      "the same e-mail and name as in line 2")
        files.rejects("shared.csv", b"name,email\nOda,o@x.example\nPia,O@x.example\n", 2,
                      "give each row an id")
        files.rejects("nul.csv", b"name,city\nQu\0i,Paris\nRob,Lyon\n", 1, "NUL byte")
        files.rejects("utf8.csv", b"name,city\nS\xff\xfem,Paris\nTom,Ly\xc3\xb6n\n", 1,
                      "not UTF-8")
        files.rejects("surrogate.csv", b"name,city\nU\xed\xa0\x80,L\xc3\xb6n\n", 1, "not UTF-8")
        files.rejects("escape.csv", b"name,city\nV\x1b[2Jo,Paris\n", 1, "control character")
        names = {m["name"] for m in f.hq.json("members", "list")}
        check(names == {"Bob", "Dan", "Jon", "Lea", "Noa", "Rob", "Tom"}, names)
        f.verify_all()


def test_files_that_cannot_be_taken():
    with Federation() as f:
        files = Files(f)
        check(f.hq.add(name="Ann")["ok"], "a member")

        def give(name, content, *args):
            return files.give(name, content, *args)[:3]

        def import_path(path, *args):
            return f.hq.ctl("import", path, *args, check=False)

        for apply in ((), ("--apply",)):
            refused(give("empty.csv", b"", *apply), FAILED, "is empty")
            refused(give("bom.csv", b"\xef\xbb\xbf", *apply), FAILED, "is empty")
            refused(give("nameless.csv", b"email\na@x.example\n", *apply), FAILED,
                    "no column is called name")
            refused(give("twice.csv", b"name,Name\na,b\n", *apply), FAILED, "header")
            refused(give("quote.csv", b'name,"city\na,b\n', *apply), FAILED, "header", "quote")
            refused(give("nul.csv", b"na\0me,city\na,b\n", *apply), FAILED, "header")
            refused(give("utf16.csv", b"\xfe\xff" + "name,city\na,b\n".encode("utf-16-be"),
                         *apply), FAILED, "UTF-16BE", "CSV UTF-8")
            refused(import_path(os.path.join(f.dir, "none.csv"), *apply), FAILED,
                    "there is no such file")
            refused(import_path(f.dir, *apply), FAILED, "is a directory")
            refused(import_path("/dev/null", *apply), FAILED, "no regular file")
            refused(import_path(os.path.join(f.dir, "\x1b[2J\u202e.csv"), *apply), FAILED,
                    "there is no such file")
        pipe = os.path.join(f.dir, "pipe.csv")
        os.mkfifo(pipe)
        refused(import_path(pipe), FAILED, "no regular file", "save")
        # a header alone says so, and is no reason to end anybody's membership
        code, out, err, _ = files.give("header.csv", b"name,city\n", "--apply")
        check(code == OK and "0 rows" in out, out + err)
        refused(give("header.csv", b"name,city\n", "--apply", "--absent", "lapse"), FAILED,
                "nothing was changed", "--force")
        if os.geteuid() == 0:
            path = files.write("secret.csv", b"name\nBob\n")
            os.chmod(path, 0)
            # root reads it all the same; the others have the socket closed to them as well
            check(import_path(path)[0] == OK, "root reads")
        refused(f.hq.ctl("import", check=False), USAGE)
        refused(f.hq.ctl("import", "a.csv", "b.csv", check=False), USAGE)
        refused(f.hq.ctl("import", "a.csv", "--mode", "merge", check=False), USAGE, "update")
        check([m["name"] for m in f.hq.json("members", "list")] == ["Ann"], "something was done")
        check(not [n for n in os.listdir(f.dir) if "rejects" in n], os.listdir(f.dir))


def peak_of(args, seconds):
    """Runs args: exit code, stdout, the highest RSS in bytes."""
    run = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
    begun = time.monotonic()
    out = run.stdout.read()
    _, status, usage = os.wait4(run.pid, 0)
    run.returncode = os.waitstatus_to_exitcode(status)
    check(time.monotonic() - begun < seconds * SLOW, "%.1f s" % (time.monotonic() - begun))
    return run.returncode, out, usage.ru_maxrss * 1024


def a_gibibyte(begin, end, code, taken, *texts):
    """A field of 1 GiB of NULs, which take no room on the disk, between begin and end."""
    with Federation() as f:
        path = os.path.join(f.dir, "m.csv")
        with open(path, "wb") as file:
            file.write(begin)
            file.seek(1024 * MIB, os.SEEK_CUR)
            file.write(end)
        got, out, peak = peak_of([os.path.join(BIN, "chapterctl"), "-s", f.hq.socket, "import",
                                  path, "--apply"], 60)
        check(SLOW != 1 or peak < 64 * MIB, "%d MiB" % (peak // MIB))
        check(got == code, "exit %d, not %d: %s" % (got, code, out[:2000]))
        check(len(out) < 4000, "%d bytes of messages" % len(out))
        for text in texts:
            check(text in out, "no %r in: %s" % (text, out))
        rejects = os.path.join(f.dir, "m.rejects.csv")
        check(os.path.exists(rejects) == (code == REJECTS), "a file of rejects, or none")
        check(code != REJECTS or os.path.getsize(rejects) < MIB, "the rejects hold the field")
        check([m["name"] for m in f.hq.json("members", "list")] == taken, "taken")


def test_a_field_of_one_gibibyte():
    a_gibibyte(b"name,notes\nAnn,", b"\nBob,x\n", REJECTS, ["Bob"], "line 2",
               "a field is larger than 16 KiB")


def test_a_quoted_field_of_one_gibibyte():
    a_gibibyte(b'name,notes\nAnn,"', b"\nCid,x\n", REJECTS, ["Cid"], "line 2", "larger than")


def test_a_header_of_one_gibibyte():
    a_gibibyte(b"name,notes,", b"\nDan,x,y\n", FAILED, [], "header", "\n  ")


# --- fields, operators' words ---------------------------------------------------------------


def test_values_and_words():
    with Federation() as f:
        def ctl(*args, **options):
            return f.hq.ctl(*args, check=False, **options)

        refused(ctl("members", "add", "country=FR"), FAILED, "nothing was changed", "name")
        refused(ctl("members", "add", "name=A", "country=Atlantis"), FAILED,
                "country", "is not an ISO 3166 country code")
        refused(ctl("members", "add", "name=A", "country=zz"), FAILED, "ISO 3166")
        refused(ctl("members", "add", "name=A", "joined=2023-02-29"), FAILED, "real date")
        refused(ctl("members", "add", "name=A", "joined=2023-2-9"), FAILED, "real date")
        refused(ctl("members", "add", "name=A", "expires=20230209T000000"), FAILED, "real date")
        refused(ctl("members", "add", "name=A", "email=none"), FAILED, "e-mail")
        refused(ctl("members", "add", "name=A", "status=gone"), FAILED, "active")
        refused(ctl("members", "add", "name=A", "notes=" + "x" * 20000), FAILED, "longer")
        refused(ctl("members", "add", "name=\x1b[31mred"), FAILED, "control character")
        refused(ctl("members", "add", "name"), USAGE, "FIELD=VALUE")
        refused(ctl("members", "edit", ID_1, "name=A"), FAILED)
        refused(ctl("members", "remove", ID_1), FAILED)
        refused(ctl("members", "show", ID_1), FAILED)
        refused(ctl("members", "show", "me"), USAGE, "not an id")
        refused(ctl("members", "lst"), USAGE, "did you mean members list?")
        refused(ctl("imprt", "x.csv"), USAGE, "did you mean import?")
        refused(ctl("import", "x.csv", "--aply"), USAGE, "did you mean --apply?")
        refused(ctl("members", "list", "--contry", "FR"), USAGE, "did you mean --country?")
        refused(ctl("--jsno", "status"), USAGE, "did you mean --json?")
        refused(ctl("--colour", "always", "status"), USAGE, "did you mean --color?")
        refused(ctl("status", "--jsn"), USAGE, "did you mean --json?")
        refused(ctl("\x1b]0;x\x07", "status"), USAGE, "unknown command")
        refused(ctl("-t", "soon", "status"), USAGE, "-t")
        refused(ctl("--color=maybe", "status"), USAGE, "--color")
        refused(ctl("invite", "Fr"), USAGE, "code")
        refused(ctl("invite", "fr", "--ttl", "soon"), USAGE, "--ttl")
        refused(ctl("invite", "fr", "--country", "Atlantis"), USAGE, "country", "two letters")
        refused(ctl("invite", "fr", "--country", "ZZ"), FAILED, "country")
        refused(ctl("status", "xx"), FAILED, "xx")
        refused(ctl(), USAGE, "command")
        refused(f.daemon("run", "--dri", f.hq.dir, check=False), USAGE, "did you mean --dir?")
        # what programs read
        code, out, err = ctl("--json", "members", "add", "name=A", "country=zz")
        answer = json.loads(err)
        check(code == FAILED and out == "" and answer["error"] and answer["remedy"], err)
        # a line that is none takes none with it
        lines = ('{"op":"put","fields":{"name":"Ann"}}', "{", '{"op":"put"}', '{"op":"fly"}',
                 '{"op":"put","id":"me","fields":{"name":"B"}}', "[1]", '{"op":"remove"}',
                 '{"op":"put","fields":{"name":"Bob"}}')
        code, out, err = ctl("members", "apply", "-", stdin="\n".join(lines) + "\n")
        done = [json.loads(line)["ok"] for line in out.splitlines()]
        check(code == REJECTS, "exit %d: %s%s" % (code, out, err))
        check(done == [True] + 6 * [False] + [True], out)
        check(sorted(m["name"] for m in f.hq.json("members", "list")) == ["Ann", "Bob"], "done")


def test_names_from_strangers():
    with Federation() as f:
        for bad in ("Fran\u202ece", "Fran\u009b2J", "Fran\x1b[2J"):
            refused(f.hq.ctl("invite", "fr", "--name", bad, check=False), FAILED, "name")
        fr = f.join("fr")
        added = fr.add(name=NAUGHTY, kind="organization", notes="n\u202eote")
        check(added["ok"], added)
        check(fr.add(name="Bob", city="a\u202eb")["ok"], "a second one")
        path = os.path.join(f.dir, "x.csv")
        with open(path, "w") as file:
            file.write("name,ci\u202ety\n%s,b\n" % NAUGHTY)
        f.agree()
        for node in (fr, f.hq):
            for args in (("members", "list"), ("members", "show", added["id"]),
                         ("--json", "members", "list"), ("log",), ("--json", "log"),
                         ("chapters", "list"), ("chapters", "show", "fr"), ("status",),
                         ("status", "-v"), ("--json", "status"), ("counts", "--by", "chapter"),
                         ("--color=always", "members", "list"), ("verify",), ("import", path),
                         ("import", path, "-v")):
                code, out, err = node.ctl(*args, check=False)
                check(code in (OK, REJECTS), "%s: %d %s%s" % (args, code, out, err))
                for raw in RAW[0 if args[0] != "--color=always" else 1:]:
                    check(raw not in out + err, "%r in the output of %s at %s: %r" % (
                        raw, args, node.code, out))
            check("\\u202e" in node.ctl("members", "list")[1], "not shown at all")
            seen = node.json("members", "show", added["id"])
            check(seen["name"] == NAUGHTY, "not kept as it came: %r" % seen["name"])
            with open(node.log, errors="replace") as log:
                text = log.read()
            for raw in RAW:
                check(raw not in text, "%r in the log of %s" % (raw, node.code))


# --- tokens ---------------------------------------------------------------------------------


def test_tokens():
    with Federation() as f:
        def join(token, name, *args):
            return f.daemon("join", token, "--dir", os.path.join(f.dir, name), *args, check=False)

        token = f.invite("fr")
        middle = len(token) // 2
        swapped = "A" if token[middle] != "A" else "B"
        for bad, why in (("hello", "chapterd1."), ("chapterd1.", "cut short"),
                         (token[:-1], ""), (token[:middle], ""),
                         (token[1:], "chapterd1."), (token + "A", ""),
                         (token[:middle] + swapped + token[middle + 1:], "checksum"),
                         (token[:middle] + "!" + token[middle + 1:], "character"),
                         (token[:middle] + "é" + token[middle + 1:], "character"),
                         (token.replace("chapterd1.", "chapterd2."), "newer"),
                         (token + token, ""), ("x" * 5000, "longer"), ("\x1b[2J", "chapterd1."),
                         ("", "no token")):
            refused(join(bad, "bad"), USAGE, "token", why)
        check(not os.path.exists(os.path.join(f.dir, "bad")), "a refused token made a directory")
        folded = "  " + token[:middle] + "\r\n   " + token[middle:] + "\n"
        check(f.daemon("join", "-", "--dir", os.path.join(f.dir, "fr"), stdin=folded)[0] == OK,
              "a folded token")

        # used by another; while no invitation is open HQ does not even talk
        refused(join(token, "thief"), FAILED, "invitation", "chapterctl invite fr")
        f.invite("xx")
        refused(join(token, "thief"), FAILED, "used already", "tell HQ")
        # expired, with and without the clock of the joining machine
        short = f.invite("lu", "--ttl", "1s")
        time.sleep(2.1)
        refused(join(short, "lu"), FAILED, "expired", "chapterctl invite lu")
        check("event=ready" not in f.daemon("run", "--dir", os.path.join(f.dir, "lu"),
                                            check=False)[2], "an expired token made a node")
        refused((f.daemon("run", "--dir", os.path.join(f.dir, "lu"), check=False)[0], "",
                 "\n  "), FAILED)
        # the next token goes on from there
        check(join(f.invite("lu", "--ttl", "1h"), "lu")[0] == OK, "a new token")
        # a token of another chapter for a directory that has one
        refused(join(f.invite("be"), "lu"), FAILED, "as lu")
        chapters = {c["chapter"]: c["state"] for c in f.hq.json("chapters", "list")}
        check(set(chapters) - {"hq"} == {"fr", "lu"}, chapters)


def test_a_token_of_another_federation():
    with Federation() as f, Federation() as other:
        token = other.invite("fr")
        other.hq.stop()
        refused(f.daemon("join", token, "--dir", os.path.join(f.dir, "fr"), check=False), FAILED,
                "cannot be reached")
        # now another federation's HQ has the port
        path = os.path.join(f.hq.dir, "chapterd.conf")
        with open(path, "w") as file:
            file.write("listen = 127.0.0.1:%d\n" % other.hq.port)
        f.hq.stop()
        f.hq.start()
        refused(f.daemon("join", token, "--dir", os.path.join(f.dir, "fr"), check=False), FAILED,
                "does not prove to be the HQ")


# --- ports, directories, sockets ------------------------------------------------------------


def run_refused(f, *texts, directory, code=FAILED):
    got, out, err = f.daemon("run", "--dir", directory, check=False)
    check(got == code, "exit %d, not %d: %s" % (got, code, err))
    check('remedy="' in err, err)
    for text in texts:
        check(text in err, "no %r in: %s" % (text, err))


def test_a_port_in_use():
    with Federation() as f:
        fr = f.join("fr", start=False)
        for offset in (0, 1):
            with socket.socket() as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                other.bind(("127.0.0.1", fr.port + offset))
                other.listen()
                run_refused(f, "in use", str(fr.port), "ss -ltnp", directory=fr.dir)
        fr.start().wait_roster()
        check(fr.add(name="Ann")["ok"], "fr writes once the port is free")
        f.agree()


def test_two_daemons_and_no_daemon():
    with Federation() as f:
        hq = f.hq
        run_refused(f, "process %d" % hq.process.pid, "chapterctl", directory=hq.dir)
        check(hq.add(name="Ann")["ok"], "the first one goes on")
        for command in (("init", "--hq", "--dir", hq.dir),
                        ("join", f.invite("fr"), "--dir", hq.dir)):
            refused(f.daemon(*command, check=False), FAILED)
        check(count(hq) == 1, "the first one was hurt")
        hq.kill()  # leaves its socket
        refused(hq.ctl("status", check=False), UNREACHABLE, "chapterd run")
        refused(hq.ctl("-t", "1", "members", "add", "name=A", check=False), UNREACHABLE)
        code, out, err = hq.ctl("--json", "status", check=False)
        check(code == UNREACHABLE and json.loads(err)["remedy"], err)
        for path, code in ((os.path.join(f.dir, "none.sock"), UNREACHABLE),
                           (hq.log, UNREACHABLE), (f.dir, UNREACHABLE),
                           (os.path.join(f.dir, "x" * 120), USAGE)):
            refused(hq.ctl("-s", path, "status", check=False), code)
        hq.start()
        check(count(hq) == 1, "after a kill")
        # one that does not answer
        hq.process.send_signal(signal.SIGSTOP)
        try:
            refused(hq.ctl("-t", "1", "status", check=False), UNREACHABLE)
        finally:
            hq.process.send_signal(signal.SIGCONT)
        check(count(hq) == 1, "after a pause")


def test_a_directory_without_permission():
    if os.geteuid() != 0:
        print("skipped test_a_directory_without_permission: not root")
        return
    with Federation() as f:
        os.chmod(f.dir, 0o711)
        for name in ("chapterd", "chapterctl"):
            shutil.copy(os.path.join(BIN, name), f.dir)
            os.chmod(os.path.join(f.dir, name), 0o755)

        def nobody(program, *args):
            run = subprocess.run([os.path.join(f.dir, program), *args], user=NOBODY, group=NOBODY,
                                 extra_groups=[], stdin=subprocess.DEVNULL, capture_output=True,
                                 text=True, timeout=60, cwd="/")
            return run.returncode, run.stdout, run.stderr

        new = os.path.join(f.dir, "new")
        token = f.invite("fr")
        refused(nobody("chapterd", "init", "--hq", "--dir", new), FAILED, "may not", "65534")
        refused(nobody("chapterd", "join", token, "--dir", new), FAILED, "may not", "65534")
        check(not os.path.exists(new), "made all the same")
        fr = f.join("fr", token=token, start=False)
        os.chmod(fr.dir, 0o755)
        for directory in (fr.dir, f.hq.dir):
            code, _, err = nobody("chapterd", "run", "--dir", directory)
            check(code == FAILED and "belongs to user 0" in err and 'remedy="' in err, err)
        refused(nobody("chapterctl", "-s", f.hq.socket, "status"), UNREACHABLE, "permi")
        # its own directory, but a file in it is root's
        subprocess.run(["chown", "-R", str(NOBODY), fr.dir], check=True)
        os.chmod(fr.dir, 0o700)
        os.chown(os.path.join(fr.dir, "keys", "sign"), 0, 0)
        code, _, err = nobody("chapterd", "run", "--dir", fr.dir)
        check(code == FAILED and 'remedy="' in err and "65534" in err, err)
        subprocess.run(["chown", "-R", "0", fr.dir], check=True)
        fr.start().wait_roster()
        check(fr.add(name="Ann")["ok"], "nothing was broken")
        f.agree()


def test_a_database_of_a_newer_format():
    with Federation() as f:
        check(f.hq.add(name="Ann")["ok"], "a member")
        f.hq.stop()
        path = os.path.join(f.hq.dir, "db", "data.mdb")
        with open(path, "rb") as file:
            content = file.read()
        old, new = b"format" + bytes(7) + b"\x01", b"format" + bytes(7) + b"\x02"
        check(old in content, "the format's row was not found: has the store changed?")
        with open(path, "wb") as file:
            file.write(content.replace(old, new))
        run_refused(f, "newer", "install", directory=f.hq.dir)
        refused(f.daemon("init", "--hq", "--dir", f.hq.dir, check=False), FAILED, "newer")
        with open(path, "rb") as file:
            check(file.read() == content.replace(old, new), "it was written to")
        with open(path, "wb") as file:
            file.write(content)
        f.hq.start()
        check(count(f.hq) == 1, "and back")
        f.verify_all()


def test_a_damaged_database():
    with Federation() as f:
        check(f.hq.add(name="Ann")["ok"], "a member")
        f.hq.stop()
        path = os.path.join(f.hq.dir, "db", "data.mdb")
        with open(path, "rb") as file:
            content = file.read()
        for bad in (b"", b"\0" * 8192, b"not a database" * 1000, content[:4096]):
            with open(path, "wb") as file:
                file.write(bad)
            run_refused(f, "damaged", "backup", directory=f.hq.dir)
            with open(path, "rb") as file:
                check(file.read() == bad, "a damaged database (%d bytes) was written to" %
                      len(bad))
        with open(path, "wb") as file:
            file.write(content)
        f.hq.start()
        check(count(f.hq) == 1, "and back")


# --- a full disk ----------------------------------------------------------------------------


def test_a_full_disk():
    with Federation() as f:
        place = os.path.join(f.dir, "fr")
        os.mkdir(place)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "none", place],
                                 capture_output=True, text=True)
        if mounted.returncode != 0:
            print("skipped test_a_full_disk: " + mounted.stderr.strip())
            return
        try:
            full_disk(f, place)
        finally:
            for node in f.nodes.values():
                if node.code == "fr" and node.running():
                    node.kill()
            subprocess.run(["umount", "-l", place], check=True)


def full_disk(f, place):
    fr, lu = f.join("fr"), f.join("lu", listen=False)
    check(fr.add(name="Ann")["ok"], "fr writes")
    f.agree()
    filler = os.path.join(place, "filler")

    def fill():
        with open(filler, "ab", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass

    fill()
    acknowledged = {"Ann"}
    for n in range(200):
        code, out, err = fr.ctl("members", "add", "name=F%d" % n, "notes=" + "n" * 4000,
                                check=False)
        if code != OK:
            break
        acknowledged.add("F%d" % n)
    refused((code, out, err), FAILED, "full", "free")
    path = os.path.join(f.dir, "m.csv")
    with open(path, "w") as file:
        file.write("name\n" + "".join("M%d\n" % n for n in range(3000)))
    code, out, err = fr.ctl("import", path, "--apply", check=False)
    check(code == FAILED and "full" in err and "\n  " in err, "import: %d %s%s" % (code, out, err))

    def told():
        """Something small may still fit, which ends the alarm until the next that does not."""
        fr.ctl("import", path, "--apply", check=False)
        return any("full" in a["text"] and a["remedy"] for a in fr.status()["alarms"])

    wait_until(told, 20, "an alarm")
    names = {m["name"] for m in fr.json("members", "list")}
    check(names >= acknowledged, "reads lost: %s" % (acknowledged - names))
    check(not any(n.startswith("M") for n in names) or len(names) < 3001, "half an import")
    check(fr.json("counts")["memberships"] == len(names), "counts go on")
    # what others write meanwhile comes when there is room again
    check(lu.add(name="Zoé", country="LU")["ok"], "lu writes")
    time.sleep(1)
    check(fr.running(), "fr ended")
    os.unlink(filler)
    wait_until(lambda: fr.ctl("members", "add", "name=After", check=False)[0] == OK, 30,
               "fr writes after space was freed")
    f.agree()
    f.verify_all()
    check(not any("full" in a["text"] for a in fr.status()["alarms"]), "the alarm stays")
    # and again, with a restart on the full disk
    fill()
    fr.kill()
    fr.start(wait=False)
    try:
        wait_until(fr.answers, 30, "fr answers on a full disk")
        check(len(fr.json("members", "list")) >= len(acknowledged), "reads after a restart")
    finally:
        os.unlink(filler)
    wait_until(lambda: fr.ctl("members", "add", "name=Last", check=False)[0] == OK, 30,
               "fr writes after a restart")
    f.agree()
    f.verify_all()


if __name__ == "__main__":
    main(test_rows_that_cannot_be_taken, test_files_that_cannot_be_taken,
         test_a_field_of_one_gibibyte, test_a_quoted_field_of_one_gibibyte,
         test_a_header_of_one_gibibyte, test_values_and_words, test_names_from_strangers,
         test_tokens, test_a_token_of_another_federation, test_a_port_in_use,
         test_two_daemons_and_no_daemon, test_a_directory_without_permission,
         test_a_database_of_a_newer_format, test_a_damaged_database, test_a_full_disk)
