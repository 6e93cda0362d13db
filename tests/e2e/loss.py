# SPDX-License-Identifier: MPL-2.0
"""Messages that are lost on links that stand: what ZeroMQ does in silence where a queue is full.

CurveZMQ takes a message whose nonce is not the next, only a later one, so that whole frames can be
left out of the stream of bytes between two daemons.  Their sizes, in the clear, tell what they are:
MESSAGE commands add 33 bytes; a topic takes up to 16, a heartbeat fewer, all else more."""

GREETING = 64
SMALL = 33 + 16
COMMAND, LONG = 4, 2  # flags of a frame


class Loss:
    """One direction of one connection.  pairs: topic and message go together, as on SUB."""

    def __init__(self, pairs):
        self.pairs = pairs
        self.greeting = GREETING
        self.rest = b""  # of a frame
        self.topic = b""  # a small frame: a topic, if a large one follows
        self.lost = 0

    def frames(self, data):
        self.rest += data
        at = 0
        while len(self.rest) - at >= 2:
            flags = self.rest[at]
            head = 9 if flags & LONG else 2
            if len(self.rest) - at < head:
                break
            size = int.from_bytes(self.rest[at + 1:at + head], "big")
            if len(self.rest) - at < head + size:
                break
            yield flags, size, self.rest[at:at + head + size]
            at += head + size
        self.rest = self.rest[at:]

    def pass_on(self, data, losing, dice):
        """What of data goes on, if losing (a share of 1) is lost."""
        begin = data[:self.greeting]
        self.greeting -= len(begin)
        out = [begin]
        for flags, size, frame in self.frames(data[len(begin):]):
            if flags & COMMAND:
                out.append(frame)
            elif size <= SMALL:
                out.append(self.topic)
                self.topic = frame if self.pairs else b""
                out.append(b"" if self.pairs else frame)
            else:
                if dice.random() < losing:
                    self.lost += 1
                else:
                    out += self.topic, frame
                self.topic = b""
        return b"".join(out)
