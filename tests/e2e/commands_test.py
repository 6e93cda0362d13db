# SPDX-License-Identifier: MPL-2.0
"""chapterd's own commands: what they refuse, with which exit code and advice, and that a join can
be repeated whatever went wrong."""

import os
import signal
import subprocess
import time

from control import Control
from federation import BIN, MENDED, SLOW, Federation, check, free_port_pair, main, wait_until


def refused(result, code, *texts):
    got, out, err = result
    check(got == code, "exit %d, not %d: %s%s" % (got, code, out, err))
    for text in texts:
        check(text in err, "no %r in: %s" % (text, err))
    check("\n  " in err, "no advice in: " + err)


def test_usage():
    with Federation() as f:
        def run(*args, **options):
            return f.daemon(*args, check=False, **options)

        new = os.path.join(f.dir, "new")
        refused(run("int"), 2, "did you mean chapterd init?")
        refused(run("init", "--dir", new), 2, "--hq")
        refused(run("init", "--hq", "--dir", new, "--nam", "X"), 2, "did you mean --name?")
        refused(run("init", "--hq", "--dir", new, "--listen", "7440"), 2, "HOST:PORT")
        refused(run("init", "--hq", "--dir", f.hq.dir, "--listen", "127.0.0.1:1"), 1, "another")
        refused(run("join", "--dir", new, stdin=""), 2, "no token")
        refused(run("join", "hello", "--dir", new), 2, "chapterd1.")
        token = f.invite("fr")
        refused(run("join", token[:-7], "--dir", new), 2, "no token that can be used")
        refused(run("join", token, "--dir", new, "--dial-only", "--listen", "*:1"), 2, "exclude")
        refused(run("join", token, "--dir", new + "x" * 120), 2, "control socket")
        refused(run("restore", "x", "--dir", new), 1, "there is no file x")
        check(not os.path.exists(new), "a refused command made the directory")
        check(run("version")[1].startswith("chapterd "), "version")


def test_join_can_be_repeated():
    with Federation() as f:
        token = f.invite("fr", "--name", "France")
        port = free_port_pair()
        node = os.path.join(f.dir, "fr")
        where = ("--dir", node, "--listen", "127.0.0.1:%d" % port)
        f.hq.stop()
        refused(f.daemon("join", token, *where, check=False), 1, "cannot be reached",
                "same command again")
        check(not os.path.exists(node), "an unreachable HQ made the directory")
        f.hq.start()
        # killed at any moment: the keys stay, and so does the place at HQ
        for pause in (0, 0.005, 0.01, 0.02):
            join = subprocess.Popen([os.path.join(BIN, "chapterd"), "join", token, *where],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(pause)
            join.kill()
            join.wait()
        f.daemon("join", token, *where)
        code, out, _ = f.daemon("join", token, *where, check=False)
        check(code == 0 and "already" in out, out)
        check(sorted(os.listdir(os.path.join(node, "keys"))) == ["curve", "sign"], "leftovers")
        f.invite("lu")  # keeps HQ open for unknown keys
        refused(f.daemon("join", token, "--dir", os.path.join(f.dir, "thief"), check=False), 1,
                "used already")

        def told():
            with open(f.hq.log) as log:
                return "token_used_twice" in log.read()

        wait_until(told, 20, "an alarm at HQ")
        refused(f.daemon("join", f.invite("be"), *where, check=False), 1, "as fr")


def test_an_address_that_join_cannot_bind():
    with Federation() as f:
        token = f.invite("it")
        node = os.path.join(f.dir, "it")
        for listen in ("127.0.0.1:%d" % f.hq.port, "192.0.2.99:7460"):
            refused(f.daemon("join", token, "--dir", node, "--listen", listen, check=False), 1,
                    "--listen", "not used up")
            check(not os.path.exists(node), "a refused address made the directory")
        f.daemon("join", token, "--dir", node, "--listen", "127.0.0.1:%d" % free_port_pair())


def test_starting_and_stopping():
    with Federation() as f:
        def start(*args):
            run = subprocess.run([os.path.join(BIN, "chapterd"), "run", *args],
                                 capture_output=True, text=True, timeout=60,
                                 stdin=subprocess.DEVNULL)
            check(run.returncode == 1 and 'remedy="' in run.stderr, run.stderr)
            return run.stderr

        fr = f.join("fr", start=False)
        check("process %d" % f.hq.process.pid in start("--dir", f.hq.dir), "who has the directory")
        check("does not exist" in start("--dir", os.path.join(f.dir, "none")), "none")
        config = os.path.join(fr.dir, "chapterd.conf")
        with open(config, "w") as file:
            file.write("listen = 127.0.0.1:%d\n" % f.hq.port)
        check("is in use" in start("--dir", fr.dir), "port")
        with open(config, "w") as file:
            file.write("\nlog_levle = debug\n")
        check("line=2" in start("--dir", fr.dir), "config")
        os.unlink(config)
        key = os.path.join(fr.dir, "keys", "sign")
        os.chmod(key, 0o644)
        check("chmod 600" in start("--dir", fr.dir), "key")
        os.chmod(key, 0o600)
        for how in (signal.SIGTERM, signal.SIGINT):
            fr.start()
            fr.process.send_signal(signal.SIGHUP)

            def reread():
                with open(fr.log) as log:
                    return log.read().count("event=config_read")

            wait_until(reread, 20, "the configuration is read again")
            check(fr.stop(how) == 0, "a clean stop on signal %d" % how)
            os.unlink(fr.log)


def test_each_request_has_its_reply():
    """With as many under way as a client may have."""
    total, most = 1000, 64
    with Federation() as f:
        sent = 0
        with Control(f.hq.socket) as control:
            for received in range(total):
                while sent < total and sent - received < most:
                    control.send("members.apply", {"ops": [
                        {"op": "put", "fields": {"name": "Member %d" % sent}}]})
                    sent += 1
                reply = control.receive(10 * SLOW)
                check(reply is not None, "%d of %d requests have no reply" % (sent - received, sent))
                check(reply[1] == 0 and reply[2]["results"][0]["ok"], reply)
        check(f.hq.json("counts")["memberships"] == total, f.hq.json("counts"))


def test_a_feed_has_the_limits_of_its_invitation():
    with Federation() as f:
        code, _, error = f.hq.ctl("invite", "fr", "--records-max", "0", check=False)
        check(code == 2 and "at least one record" in error, error)
        code, _, error = f.hq.ctl("invite", "fr", "--bytes-max", "1.5G", check=False)
        check(code == 2 and "a size in bytes" in error, error)
        fr = f.join("fr", token=f.invite("fr", "--records-max", "2", "--bytes-max", "1G"))
        entry = f.hq.json("chapters", "show", "fr")
        check((entry["records_max"], entry["bytes_max"]) == (2, 1 << 30), entry)
        for name in ("One", "Two"):
            fr.add(name=name, country="FR")
        f.agree()
        refused = fr.add(name="Three", country="FR")
        check(not refused["ok"] and "as large as HQ allows" in refused["error"], refused)
        f.agree()
        check(f.hq.json("counts")["memberships"] == 2, "what is beyond the limit is not counted")
        f.hq.ctl("chapters", "edit", "fr", "--records-max", "3")
        wait_until(lambda: fr.add(name="Three", country="FR")["ok"], MENDED,
                   "fr may write again")


if __name__ == "__main__":
    main(test_usage, test_each_request_has_its_reply,
         test_a_feed_has_the_limits_of_its_invitation, test_join_can_be_repeated,
         test_an_address_that_join_cannot_bind, test_starting_and_stopping)
