# SPDX-License-Identifier: MPL-2.0
"""Runs chapterd with strike.c preloaded: says which of its calls is the last, or fails."""

import mmap
import os
import struct

from federation import BIN

LIBRARY = os.path.join(BIN, "libstrike.so")
PAGE = struct.Struct("<5Q4I16s256s")  # as strike.c has it
BEFORE, HALF_WAY, AFTER, FAIL = range(4)
CALLS, ALLOCATIONS = 0, 16
AT, STARVE = struct.Struct("<Q"), struct.Struct("<2Q")


class Strike:
    """One page, for one node and the commands that make its directory."""

    def __init__(self, path):
        with open(path, "wb") as file:
            file.write(bytes(4096))
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)
        # Sanitizers want to be loaded first, unless they are told that what is before passes on to
        # them what it takes.
        options = [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]
        self.environment = {"LD_PRELOAD": os.path.abspath(LIBRARY), "STRIKE_PAGE": path,
                            "ASAN_OPTIONS": ":".join(filter(None, options))}
        self.prefix = ["env"] + ["%s=%s" % pair for pair in self.environment.items()]

    @property
    def calls(self):
        return AT.unpack_from(self.page, CALLS)[0]

    @property
    def allocations(self):
        return AT.unpack_from(self.page, ALLOCATIONS)[0]

    def disarm(self):
        AT.pack_into(self.page, 8, 0)
        STARVE.pack_into(self.page, 24, 0, 0)

    def arm(self, nth, how, error=0):
        """The nth call from now on is struck."""
        self.disarm()
        struct.pack_into("<4I16s256s", self.page, 40, how, error, 0, 0, b"", b"")
        AT.pack_into(self.page, 8, self.calls + nth)

    def starve(self, nth, count):
        """The nth allocation from now on is refused, and the next, count in all."""
        self.disarm()
        struct.pack_into("<4I", self.page, 40, 0, 0, 0, 0)
        first = self.allocations + nth
        STARVE.pack_into(self.page, 24, first, first + count - 1)

    @property
    def struck(self):
        """(call, path) of what was struck; None if nothing was yet."""
        _, _, struck, _, call, path = struct.unpack_from("<4I16s256s", self.page, 40)
        return (call.split(b"\0")[0].decode(), path.split(b"\0")[0].decode()) if struck else None

    @property
    def starved(self):
        return struct.unpack_from("<4I", self.page, 40)[3]
