# SPDX-License-Identifier: MPL-2.0
"""A member of the federation that does as it likes: a chapter's own keys, and a test's own words.

Nothing of the daemon is used but its key files: messages are made here, as PROTOCOL.md says."""

import ctypes
import ctypes.util
import os
import time

import msgpack
import zmq
from zmq.utils import z85

HELLO, EVENT, BEAT, VECTOR, WANT, CHANGES, CREDIT, EVIDENCE = range(1, 9)
ENROL = 10
EPOCH_REQUEST = 12
ENVELOPE_VERSION = 1
BEAT_TAG = b"chapterd beat 1\0"
HEAD_TAG = b"chapterd head 1\0"
MESSAGE_MAX = 1 << 20

sodium = ctypes.CDLL(ctypes.util.find_library("sodium"))


def pack(message):
    return msgpack.packb(message, use_bin_type=True)


class SignKey:
    """Ed25519, from the seed in a key file."""

    def __init__(self, seed):
        self.public = ctypes.create_string_buffer(32)
        self.secret = ctypes.create_string_buffer(64)
        sodium.crypto_sign_seed_keypair(self.public, self.secret, seed)

    def envelope(self, tag, body):
        material = tag + bytes((ENVELOPE_VERSION,)) + body
        signature = ctypes.create_string_buffer(64)
        sodium.crypto_sign_detached(signature, None, material,
                                    ctypes.c_ulonglong(len(material)), self.secret)
        return pack([ENVELOPE_VERSION, body, signature.raw])


def read_key(directory, name):
    with open(os.path.join(directory, "keys", name), encoding="ascii") as file:
        return bytes.fromhex(file.read().split()[1])


class Peer:
    """Speaks with the keys of a chapter whose daemon does not run."""

    def __init__(self, federation, code):
        node = federation.nodes[code]
        self.code = code
        self.federation = bytes.fromhex(federation.hq.status()["node"]["federation"])
        self.curve_secret = z85.encode(read_key(node.dir, "curve"))
        self.sign = SignKey(read_key(node.dir, "sign"))
        self.keys = {c["chapter"]: bytes.fromhex(c["curve_key"])
                     for c in federation.hq.json("chapters", "list")}
        self.nodes = federation.nodes
        self.context = zmq.Context()
        self.sockets = []
        self.counter = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hang_up()
        self.context.destroy(0)

    def hang_up(self):
        for socket in self.sockets:
            socket.close(0)
        self.sockets.clear()

    def dial(self, code, kind=zmq.DEALER, secret=None, **options):
        """A socket to the ROUTER (DEALER) or XPUB (SUB, XSUB) of a node."""
        socket = self.context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        for name, value in options.items():
            socket.setsockopt(getattr(zmq, name), value)
        secret = secret or self.curve_secret
        socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, zmq.curve_public(secret))
        socket.setsockopt(zmq.CURVE_SERVERKEY, z85.encode(self.keys[code]))
        port = self.nodes[code].port + (kind != zmq.DEALER)
        socket.connect("tcp://%s:%d" % (self.nodes[code].federation.host, port))
        self.sockets.append(socket)
        return socket

    # --- messages -------------------------------------------------------------------------

    def hello(self, entries=(), reply=False):
        return pack([HELLO, 1, 0, self.federation, self.code, reply, list(entries)])

    def want(self, request, origin, epoch=0, since=0, tiers=1, credit=16):
        return pack([WANT, request, origin, epoch, since, bytes(32), tiers, credit])

    def beat(self, epoch, seq, head_hash, of=None, by=None):
        """A new one each time, as its origin may make them."""
        self.counter += 1
        body = pack([self.federation, of or self.code, epoch, seq, head_hash, 1 << 40, self.counter,
                     0, 0])
        return pack([BEAT, (by or self.sign).envelope(BEAT_TAG, body)])

    def evidence(self, *heads):
        return pack([EVIDENCE, *heads, *[None] * (2 - len(heads))])

    def newest_head(self, socket, origin, seconds=10):
        """The envelope that ends the answer of whoever is at the other end."""
        end = time.monotonic() + seconds
        socket.send(self.want(1, origin))
        while time.monotonic() < end:
            if socket.poll(100) == 0:
                continue
            message = msgpack.unpackb(socket.recv(), raw=False, strict_map_key=False)
            if message[0] == CHANGES and message[-1] is not None:
                return message[-1]
        raise AssertionError("no answer with a head of " + origin)


def head_after(envelope, by, ahead=1):
    """A head that says it follows, signed by whom one likes."""
    body = msgpack.unpackb(msgpack.unpackb(envelope)[1])
    body[5], body[4] = body[4], body[4] + ahead
    return by.envelope(HEAD_TAG, pack(body))
