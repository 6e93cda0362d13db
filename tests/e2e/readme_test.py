# SPDX-License-Identifier: MPL-2.0
"""README.md's federation by hand, as it stands there: with other ports, and a directory that is
removed."""

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile

from federation import BIN, SLOW, check, free_port_pair, main

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def block_after(heading):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        found = re.search(r"^## %s\n.*?^```sh\n(.*?)^```$" % re.escape(heading), file.read(),
                          re.MULTILINE | re.DOTALL)
    check(found, "README.md has no commands under " + heading)
    return found.group(1)


def replaced(text, old, new):
    check(old in text, "the commands no longer have " + old)
    return text.replace(old, new)


def test_federation_by_hand():
    with tempfile.TemporaryDirectory(prefix="chapterd-e2e-") as directory:
        text = block_after("A federation by hand")
        text = replaced(text, "$PWD/build/demo/bin:$PWD/build/release/bin", os.path.abspath(BIN))
        text = replaced(text, "/tmp/society", directory)
        text = replaced(text, "127.0.0.1:7440", "127.0.0.1:%d" % free_port_pair())
        for node, ready in (("hq", "version"), ("fr", "wait")):  # a second is enough, but for a
            text = replaced(text, "%s.log &\nsleep 1\n" % node, (  # busy machine
                "%s.log &\nsleep 1\nuntil chapterctl -s %s/%s/control.sock %s >/dev/null 2>&1;"
                " do sleep 0.1; done\n" % (node, directory, node, ready)))
        text = replaced(text, " &\n", " &\npids=\"${pids-} $!\"\n")
        for node in ("hq", "fr"):
            text += "chapterctl -s %s/%s/control.sock --json counts >%s/%s.json\n" % (
                directory, node, directory, node)
        with open(os.path.join(directory, "output"), "w+") as output:
            shell = subprocess.Popen(["sh", "-eu"], cwd=ROOT, stdin=subprocess.PIPE, text=True,
                                     stdout=output, stderr=output, start_new_session=True)
            try:
                shell.communicate(text + "kill $pids\nwait $pids\n", 120 * SLOW)
            except subprocess.TimeoutExpired:
                pass
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(shell.pid, signal.SIGKILL)
                status = shell.wait()
            output.seek(0)
            check(status == 0, "exit status %d:\n%s" % (status, output.read()))
        counts = {}
        for node in ("hq", "fr"):
            with open(os.path.join(directory, node + ".json")) as file:
                counts[node] = json.load(file)
        with open(os.path.join(directory, "samples", "expected.json")) as file:
            members = json.load(file)["by_chapter"]["fr"]
        for node, found in counts.items():
            check(found["memberships"] == members + 1 and found["chapters_total"] == 1,
                  "%s counts %s, not %d" % (node, found, members + 1))
        check(counts["hq"]["persons"] > 2000, counts["hq"])


if __name__ == "__main__":
    main(test_federation_by_hand)
