# SPDX-License-Identifier: MPL-2.0
"""When a change is seen: at each of many nodes a chapterctl follows the log of one chapter."""

import json
import os
import selectors
import subprocess
import time

from society import Failed, check


class Watch:
    """Of one chapter's feed, at the given nodes.  Each says first where it stands."""

    def __init__(self, society, nodes, chapter):
        self.selector = selectors.DefaultSelector()
        self.children = {}
        self.buffers = {}
        self.newest = {}  # code -> (seq, id)
        for node in nodes:
            child = society.begin(node.argv("--json", "log", "--chapter", chapter, "-n", "1", "-f"),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
            self.children[node.code] = child
            self.buffers[node.code] = b""
            self.selector.register(child.stdout, selectors.EVENT_READ, node.code)
        self.until(lambda: len(self.newest) == len(self.children), 30)

    def until(self, enough, seconds, begun=0.0, seen=None, change=None):
        """Reads what comes until enough() says so; seen: code -> seconds after begun, of those
        that saw that change."""
        deadline = time.monotonic() + seconds
        while not enough():
            ready = self.selector.select(max(0.0, deadline - time.monotonic()))
            now = time.monotonic()
            if not ready:
                late = [code for code in self.children if code not in (self.newest if seen is None else seen)]
                raise Failed("a change was not seen within %d s at: %s" % (seconds, " ".join(late)))
            for key, _ in ready:
                self.take(key.fileobj, key.data)
                if seen is not None and self.newest.get(key.data) == change:
                    seen.setdefault(key.data, now - begun)

    def take(self, stream, code):
        block = os.read(stream.fileno(), 65536)
        check(block != b"", "chapterctl log -f at %s ended with %s" % (
            code, self.children[code].poll()))
        *lines, self.buffers[code] = (self.buffers[code] + block).split(b"\n")
        for line in lines:
            change = json.loads(line)
            self.newest[code] = change["seq"], change["id"]

    def see(self, change, begun):
        """Of the newest change, (seq, id): code -> seconds after begun."""
        seen = {}
        self.until(lambda: len(seen) == len(self.children), 30, begun, seen, change)
        return seen

    def leave(self, code):
        """A node that goes down is watched no more."""
        child = self.children.pop(code)
        self.selector.unregister(child.stdout)
        child.kill()
        child.wait()
        child.stdout.close()
        self.newest.pop(code, None)

    def close(self):
        for child in self.children.values():
            child.kill()
        for code in list(self.children):
            self.leave(code)
        self.selector.close()


class Writer:
    """chapterctl members apply at one node, a change at a time."""

    def __init__(self, society, node):
        self.node = node
        self.child = society.begin(node.argv("members", "apply", "-"), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def put(self, member, **fields):
        """((seq, id), when it began, seconds until it was durable)"""
        change = {"op": "put", "id": member, "fields": fields}
        begun = time.monotonic()
        self.child.stdin.write(json.dumps(change).encode() + b"\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        took = time.monotonic() - begun
        result = json.loads(line) if line else {"ok": False}
        check(result["ok"], "a change at %s was not made: %s" % (self.node.code, result))
        return (result["seq"], result["id"]), begun, took

    def close(self):
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()
