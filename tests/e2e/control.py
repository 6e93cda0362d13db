# SPDX-License-Identifier: MPL-2.0
"""The control protocol, spoken from the test itself: a chapterctl for each question costs more
than its answer where 86 daemons are asked again and again.

Requests and replies are in MessagePack's shortest form with sorted keys, as the daemon wants."""

import time

import msgpack
import zmq

VERSION = 1


class Refused(Exception):
    """The daemon's answer is an error."""

    def __init__(self, code, error, remedy):
        super().__init__("%s (%s)" % (error, remedy))
        self.code, self.error, self.remedy = code, error, remedy


class Silent(Exception):
    """No answer: what was asked may have been done, or not."""


def ordered(value):
    """value with the keys of all its maps ascending by their bytes."""
    if isinstance(value, dict):
        return {k: ordered(value[k]) for k in sorted(value, key=str.encode)}
    if isinstance(value, (list, tuple)):
        return [ordered(v) for v in value]
    return value


class Control:
    """A client of one daemon's control socket; for one thread.  Requests may be pipelined: send()
    some, then receive() their replies in any order."""

    def __init__(self, path):
        self.path = path
        self.socket = None
        self.number = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Forgets what was not sent and what was not answered."""
        if self.socket is not None:
            self.socket.close(0)
            self.socket = None

    def send(self, command, arguments=None):
        """The number that the reply will bear."""
        if self.socket is None:
            self.socket = zmq.Context.instance().socket(zmq.DEALER)
            self.socket.setsockopt(zmq.LINGER, 0)
            self.socket.setsockopt(zmq.RECONNECT_IVL, 20)
            self.socket.setsockopt(zmq.SNDHWM, 0)
            self.socket.setsockopt(zmq.RCVHWM, 0)
            self.socket.connect("ipc://" + self.path)
        self.number += 1
        self.socket.send(msgpack.packb([VERSION, self.number, command, ordered(arguments or {})]))
        return self.number

    def receive(self, seconds):
        """(number, code, result) of the next reply; None after seconds without one."""
        if not self.socket.poll(max(0, int(seconds * 1000))):
            return None
        version, number, code, result = msgpack.unpackb(self.socket.recv(), strict_map_key=False)
        assert version == VERSION
        return number, code, result

    def ask(self, command, seconds=10, **arguments):
        """The result.  Raises Refused, and Silent when the time is over."""
        mine = self.send(command, arguments)
        deadline = time.monotonic() + seconds
        while reply := self.receive(deadline - time.monotonic()):
            number, code, result = reply
            if number != mine:
                continue
            if code != 0:
                raise Refused(code, result["error"], result["remedy"])
            return result
        self.close()
        raise Silent("%s: no answer to %s within %.0f s" % (self.path, command, seconds))


def ask_all(controls, command, seconds=10, **arguments):
    """Asks all at once: key -> result, of those that answer in time.  controls: key -> Control.
    Raises Refused if one refuses."""
    waiting = {}
    poller = zmq.Poller()
    answers = {}
    for key, control in controls.items():
        number = control.send(command, arguments)
        waiting[control.socket] = (key, control, number)
        poller.register(control.socket, zmq.POLLIN)
    deadline = time.monotonic() + seconds
    while waiting and (left := deadline - time.monotonic()) > 0:
        for socket, _ in poller.poll(left * 1000):
            key, control, mine = waiting[socket]
            number, code, result = control.receive(0)
            if number != mine:
                continue
            if code != 0:
                raise Refused(code, result["error"], result["remedy"])
            answers[key] = result
            del waiting[socket]
            poller.unregister(socket)
    for _, control, _ in waiting.values():
        control.close()
    return answers


def rows(control, seconds=60, **arguments):
    """All members that members.list gives, page by page."""
    result = control.ask("members.list", seconds, limit=1000, **arguments)
    yield from result["members"]
    while "cursor" in result:
        result = control.ask("members.list", seconds, limit=1000, cursor=result["cursor"],
                             **arguments)
        yield from result["members"]
