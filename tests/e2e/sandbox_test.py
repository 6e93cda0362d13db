# SPDX-License-Identifier: MPL-2.0
"""What a running daemon may do and what others see of it: no core dumps, keys of nobody else's, the
sandbox on unless it is switched off, backups where the setting says."""

import os
import shutil
import signal

from federation import Federation, check, main, wait_until

NOBODY = 65534


def status_of(node):
    with open("/proc/%d/status" % node.process.pid) as status:
        return dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)


def configure(node, text):
    node.stop()
    with open(os.path.join(node.dir, "chapterd.conf"), "w") as file:
        file.write(text)
    node.start()


def sandbox_of(node):
    return node.status()["node"]["sandbox"]


def test_the_sandbox_is_on_unless_switched_off():
    with Federation() as f:
        fr = f.join("fr")
        f.agree()
        sandbox = sandbox_of(fr)
        print("        sandbox: " + sandbox, flush=True)
        check("seccomp" in sandbox, "no seccomp: " + sandbox)
        check(status_of(fr)["Seccomp"] == "2", "seccomp is not in force")
        check(status_of(fr)["NoNewPrivs"] == "1", "more rights can be had")
        with open(fr.log) as log:
            check('sandbox="%s"' % sandbox in log.read(), "the log does not tell of it")
        check("sandbox: " + sandbox in fr.ctl("status", "-v")[1], "status -v does not tell of it")
        configure(fr, "sandbox = no\n")
        check(sandbox_of(fr) == "off", "it is not off")
        check(status_of(fr)["Seccomp"] == "0", "seccomp is in force")
        f.agree()


def test_backups_go_where_the_setting_says():
    with Federation() as f:
        fr = f.join("fr", listen=False)
        place, other = os.path.join(f.dir, "backups"), os.path.join(f.dir, "elsewhere")
        os.mkdir(place)
        os.mkdir(other)
        fr.ctl("backup", os.path.join(other, "1"))
        configure(fr, "backup_dir = %s\n" % place)
        fr.ctl("backup", os.path.join(place, "2"))
        code, _, error = fr.ctl("backup", os.path.join(other, "3"), check=False)
        check(code != 0 and "backup_dir" in error, "a backup elsewhere: %d %s" % (code, error))
        check(sorted(os.listdir(other)) == ["1"], "something was written elsewhere")
        # what needs the whole directory works: keys, copies of the store, a clean stop
        check(fr.add(name="Ann")["ok"], "a write")
        fr.ctl("compact")
        fr.ctl("keys", "rotate")
        f.agree()
        f.verify_all()
        check(fr.stop() == 0, "a clean stop")
        f.check_logs()


def test_the_configuration_is_read_again():
    with Federation() as f:
        fr = f.join("fr", listen=False)
        fr.stop()
        config = os.path.join(f.dir, "conf", "chapterd.conf")
        os.mkdir(os.path.dirname(config))
        with open(config, "w") as file:
            file.write("backup_dir = %s\n" % fr.dir)
        fr.options = ["--config", config]
        fr.start()
        # as editors do it: a new file in the old one's place
        with open(config + ".new", "w") as file:
            file.write("backup_dir = %s\nlog_level = debug\n" % fr.dir)
        os.rename(config + ".new", config)
        fr.process.send_signal(signal.SIGHUP)

        def was_read():
            with open(fr.log) as log:
                return "event=config_read" in log.read()

        wait_until(was_read, 20, "the configuration is read again")


def test_memory_is_nobody_elses():
    with Federation() as f:
        fr = f.join("fr", listen=False)
        with open("/proc/%d/limits" % fr.process.pid) as limits:
            core = next(line for line in limits if line.startswith("Max core file size"))
        check(core.split()[4:6] == ["0", "0"], "core dumps: " + core)
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            print("        not root: what other users see was not tried", flush=True)
            return
        # a process that may not be looked into belongs to root in /proc, whoever runs it
        fr.stop()
        os.chmod(f.dir, 0o755)
        for root, _, files in os.walk(fr.dir):
            for name in [root] + [os.path.join(root, file) for file in files]:
                os.chown(name, NOBODY, NOBODY)
        prefix = ("setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups")
        for setting, owner in (("no", 0), ("yes", NOBODY)):
            with open(os.path.join(fr.dir, "chapterd.conf"), "w") as file:
                file.write("core_dumps = %s\n" % setting)
            os.chmod(os.path.join(fr.dir, "chapterd.conf"), 0o644)
            fr.start(prefix=prefix)
            check(status_of(fr)["Uid"].split()[0] == str(NOBODY), "it runs as somebody else")
            check(os.stat("/proc/%d/mem" % fr.process.pid).st_uid == owner,
                  "core_dumps = %s: memory belongs to another" % setting)
            fr.stop()


if __name__ == "__main__":
    main(test_the_sandbox_is_on_unless_switched_off, test_backups_go_where_the_setting_says,
         test_the_configuration_is_read_again, test_memory_is_nobody_elses)
