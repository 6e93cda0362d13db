# SPDX-License-Identifier: MPL-2.0
"""A TCP proxy before the daemons of a test: it pauses links in one direction or both, cuts them,
flips bytes, and listens in.

Daemons listen on HERE and advertise PROXY, where the proxy stands on the same ports: every link of
the federation goes through it."""

import contextlib
import errno
import os
import random
import select
import socket
import struct
import threading

from federation import Federation
from loss import Loss

# Addresses of this run alone: a port stays ours while its daemon is away.
HERE, PROXY = ("127.%d.%d.%d" % (random.randrange(64, 128), random.randrange(256), last)
               for last in (1, 2))
ANY = "*"
BLOCK = 65536
WAYS = ("up", "down")  # "up" is from the one who dialled


def who_dialled(addresses, pids):
    """Whose sockets are they?  addresses: of 127.0.0.0/8; pids: pid -> name; the result is
    address -> name.  By the kernel's tables, because on loopback all addresses look alike."""
    inodes = {}
    wanted = {"%08X:%04X" % (struct.unpack("=I", socket.inet_aton(host))[0], port): (host, port)
              for host, port in addresses}
    with open("/proc/net/tcp") as table:
        next(table)
        for line in table:
            fields = line.split()
            if fields[1] in wanted and fields[9] != "0":
                inodes["socket:[%s]" % fields[9]] = wanted[fields[1]]
    names = {}
    for pid, name in pids.items():
        if len(names) == len(inodes):
            break
        with contextlib.suppress(FileNotFoundError):  # it ended
            for descriptor in os.listdir("/proc/%d/fd" % pid):
                with contextlib.suppress(FileNotFoundError):  # it was closed
                    address = inodes.get(os.readlink("/proc/%d/fd/%s" % (pid, descriptor)))
                    if address is not None:
                        names[address] = name
    return names


class Connection:
    """near: who dialled; far: whom the proxy dialled for it, once the way up is not held."""

    def __init__(self, near, label, port, to):
        self.near = near
        self.to = to  # this very port
        self.far = None
        self.connected = False
        self.label = label
        self.port = port  # the first of the node's two
        self.waiting = {"up": b"", "down": b""}  # read, not yet sent
        self.ended = {"up": False, "down": False}  # the source said that nothing more comes
        self.left = {"up": 0, "down": 0}  # bytes until the next flip
        self.events = {}  # descriptor -> what is registered
        subscribed = to != port
        self.loss = {"up": None if subscribed else Loss(False), "down": Loss(subscribed)}
        self.broken = False  # it was reset while its bytes were held: that shows once it is not

    def ends(self, way):
        """source, sink"""
        return (self.near, self.far) if way == "up" else (self.far, self.near)


class Proxy:
    """One thread.  Connections bear the label of who dialled: the one that the proxy has when they
    are made, or what name_dialler(addresses) says.  hold() stops those of a label, to the port of a
    node, in one direction, as a network that loses packets does: TCP delivers all once it is whole
    again."""

    def __init__(self, seed, name_dialler=None):
        self.label = "any"
        self.name_dialler = name_dialler
        self.flip_every = 0  # bytes, about; 0 does not
        self.flipped = 0
        self.passed = 0  # bytes
        self.tap = None  # a list of what passes, or None
        self.random = random.Random(seed)
        self.held = set()  # (label, port, way)
        self.lossy = 0  # share of messages that are lost; set before anything connects
        self.losing = set()  # (label, port)
        self.lost = 0  # messages
        self.lock = threading.RLock()
        self.listeners = {}  # descriptor -> (socket, port, first port of the node)
        self.at = {}  # descriptor -> connection
        self.nameless = []
        self.epoll = select.epoll()
        self.wake_read, self.wake_write = os.pipe()
        self.epoll.register(self.wake_read, select.EPOLLIN)
        self.ending = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.lock:
            self.ending = True
        os.write(self.wake_write, b"x")
        self.thread.join()
        for listener, _, _ in self.listeners.values():
            listener.close()
        for connection in set(self.at.values()):
            self.close(connection)
        self.epoll.close()
        os.close(self.wake_read)
        os.close(self.wake_write)

    # --- what a test asks for ---------------------------------------------------------------

    def stand_before(self, port):
        for p in (port, port + 1):
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((PROXY, p))
            listener.listen(1024)
            listener.setblocking(False)
            with self.lock:
                self.listeners[listener.fileno()] = (listener, p, port)
                self.epoll.register(listener, select.EPOLLIN)

    def hold(self, label, *ways, port=ANY):
        """port: the node's first one, or the next for what it publishes alone."""
        self.hold_all((label, port, way) for way in ways)

    def hold_all(self, what):
        with self.lock:
            self.held.update(what)
            self.interest_all()

    def lose(self, label, port=ANY):
        """The share `lossy` of the messages is lost, of all kinds and both ways."""
        with self.lock:
            self.losing.add((label, port))

    def lose_no_more(self, label, port=ANY):
        with self.lock:
            self.losing.discard((label, port))

    def release(self, label=None, *ways, port=ANY):
        """All, or what hold() was given."""
        self.release_all(list(self.held) if label is None else
                         [(label, port, way) for way in ways])

    def release_all(self, what):
        with self.lock:
            self.held.difference_update(what)
            self.interest_all()

    def cut(self, label=ANY, port=ANY):
        """Resets the connections of a label, or those to the port of a node: how many."""
        with self.lock:
            cut = [c for c in set(self.at.values())
                   if label in (ANY, c.label) and port in (ANY, c.port)]
            for connection in cut:
                self.close(connection, reset=True)
            return len(cut)

    def live(self, label):
        """Ports that connections of that label stand to."""
        with self.lock:
            return sorted(c.far.getpeername()[1] for c in set(self.at.values())
                          if c.label == label and c.connected)

    # --- the loop ---------------------------------------------------------------------------

    def run(self):
        while True:
            events = self.epoll.poll()
            with self.lock:
                if self.ending:
                    return
                # last those that come: they may get descriptors of those that just went
                for descriptor, what in sorted(events, key=lambda e: e[0] in self.listeners):
                    if descriptor in self.listeners:
                        self.accept(*self.listeners[descriptor])
                    elif descriptor in self.at:
                        self.serve(self.at[descriptor], descriptor, what)
                self.name_all()

    def accept(self, listener, port, first_port):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            near.setblocking(False)
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(near, self.label, first_port, port)
            self.at[near.fileno()] = connection
            if self.name_dialler is None:
                self.connect(connection)
            else:
                self.nameless.append(connection)

    def name_all(self):
        """Who is it that dialled?  Before that is known nothing passes."""
        if not self.nameless:
            return
        names = self.name_dialler([c.near.getpeername() for c in self.nameless if self.lives(c)])
        for connection in self.nameless:
            if self.lives(connection):
                connection.label = names.get(connection.near.getpeername())
                self.connect(connection)
        self.nameless.clear()

    def lives(self, connection):
        return self.at.get(connection.near.fileno()) is connection

    def holds(self, connection, way):
        return any((label, port, way) in self.held for label in (connection.label, ANY)
                   for port in (connection.port, connection.to, ANY))

    def connect(self, connection):
        if connection.far is None and not self.holds(connection, "up"):
            connection.far = socket.socket()
            connection.far.setblocking(False)
            connection.far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            error = connection.far.connect_ex((HERE, connection.to))
            if error not in (0, errno.EINPROGRESS):
                self.close(connection)
                return
            connection.connected = error == 0
            self.at[connection.far.fileno()] = connection
        self.interest(connection)

    def interest_all(self):
        for connection in set(self.at.values()):
            if connection.broken and not any(self.holds(connection, way) for way in WAYS):
                self.close(connection, reset=True)
            elif connection not in self.nameless:
                self.connect(connection)

    def interest(self, connection):
        """Reads where there is room and nothing is held; writes where something waits."""
        wanted = {connection.near: 0}
        if connection.far is not None:
            wanted[connection.far] = 0 if connection.connected else select.EPOLLOUT
        if connection.connected:
            for way in WAYS:
                source, sink = connection.ends(way)
                if self.holds(connection, way):
                    continue
                if connection.waiting[way]:
                    wanted[sink] |= select.EPOLLOUT
                elif not connection.ended[way]:
                    wanted[source] |= select.EPOLLIN
        for end, events in wanted.items():
            descriptor = end.fileno()
            before = connection.events.get(descriptor)
            if connection.broken:
                continue
            if before is None:
                self.epoll.register(descriptor, events)
            elif before != events:
                self.epoll.modify(descriptor, events)
            connection.events[descriptor] = events

    def serve(self, connection, descriptor, what):
        try:
            if not connection.connected and connection.far is not None:
                if descriptor == connection.far.fileno():
                    error = connection.far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if error:
                        raise OSError(error, "connect")
                    connection.connected = True
            elif connection.connected:
                for way in WAYS:
                    if not self.holds(connection, way):
                        self.pump(connection, way, descriptor, what)
            if what & (select.EPOLLERR | select.EPOLLHUP) and not what & select.EPOLLIN:
                if any(self.holds(connection, way) for way in WAYS):
                    self.break_off(connection)
                    return
                raise ConnectionResetError
            if all(connection.ended.values()) and not any(connection.waiting.values()):
                raise ConnectionResetError
        except OSError:
            self.close(connection)
            return
        self.interest(connection)

    def pump(self, connection, way, descriptor, what):
        source, sink = connection.ends(way)
        if (source.fileno() == descriptor and what & select.EPOLLIN and not connection.waiting[way]
                and not connection.ended[way]):
            data = source.recv(BLOCK)
            if data:
                connection.waiting[way] = self.meddle(connection, way, data)
            else:
                connection.ended[way] = True
        if connection.waiting[way]:
            try:
                sent = sink.send(connection.waiting[way])
            except BlockingIOError:
                return
            connection.waiting[way] = connection.waiting[way][sent:]
        if connection.ended[way] and not connection.waiting[way]:
            sink.shutdown(socket.SHUT_WR)

    def meddle(self, connection, way, data):
        self.passed += len(data)
        if self.tap is not None:
            self.tap.append(data)
        if self.lossy and connection.loss[way] is not None:
            data = self.leave_out(connection, connection.loss[way], data)
        if not self.flip_every:
            return data
        data = bytearray(data)
        at = (connection.left[way] or self.random.randrange(1, 2 * self.flip_every)) - 1
        while at < len(data):
            data[at] ^= self.random.randrange(1, 256)
            self.flipped += 1
            at += self.random.randrange(1, 2 * self.flip_every)
        connection.left[way] = at - len(data) + 1
        return bytes(data)

    def leave_out(self, connection, loss, data):
        losing = self.lossy if any((label, port) in self.losing
                                   for label in (connection.label, ANY)
                                   for port in (connection.port, ANY)) else 0
        before = loss.lost
        data = loss.pass_on(data, losing, self.random)
        self.lost += loss.lost - before
        return data

    def break_off(self, connection):
        connection.broken = True
        for descriptor in connection.events:
            self.epoll.unregister(descriptor)
        connection.events.clear()

    def close(self, connection, reset=False):
        for end in (connection.near, connection.far):
            if end is None or end.fileno() < 0:
                continue
            self.at.pop(end.fileno(), None)
            if connection.events.pop(end.fileno(), None) is not None:
                self.epoll.unregister(end.fileno())
            if reset:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()
        connection.connected = False


class Proxied(Federation):
    """A federation all of whose links go through self.proxy."""

    host = HERE

    def __init__(self, seed, name_dialler=None):
        super().__init__()
        self.proxy = Proxy(seed, name_dialler)

    def place(self, node):
        self.proxy.stand_before(node.port)
        return [*super().place(node), "--advertise", PROXY]

    def __exit__(self, *what):
        self.proxy.__exit__()
        super().__exit__(*what)
