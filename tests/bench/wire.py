# SPDX-License-Identifier: MPL-2.0
"""Bytes that a process received over TCP, from the kernel: sock_diag(7), tcp_info.

What CURVE and ZMTP add is in it; headers of TCP and IP are not."""

import os
import re
import socket
import struct

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
INET_DIAG_INFO = 2
BYTES_RECEIVED_AT = 128  # tcpi_bytes_received in struct tcp_info, since Linux 4.1
MESSAGE_SIZE = 72        # struct inet_diag_msg


def sockets_of(pid):
    inodes = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except OSError:
            continue  # closed meanwhile
        if match:
            inodes.add(int(match.group(1)))
    return inodes


def tcp_sockets(family):
    """(inode, bytes received) of each TCP socket of this machine."""
    request = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0,
                          0xffffffff)
    header = struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
        netlink.sendall(header + request)
        while True:
            data = netlink.recv(1 << 20)
            at = 0
            while at + 16 <= len(data):
                size, kind = struct.unpack_from("=IH", data, at)
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    raise OSError("sock_diag is not available here")
                yield from socket_of(data[at + 16:at + size])
                at += (size + 3) & ~3


def socket_of(message):
    inode, = struct.unpack_from("=I", message, MESSAGE_SIZE - 4)
    at = MESSAGE_SIZE
    while at + 4 <= len(message):
        size, kind = struct.unpack_from("=HH", message, at)
        if kind == INET_DIAG_INFO and size >= 4 + BYTES_RECEIVED_AT + 8:
            yield inode, struct.unpack_from("=Q", message, at + 4 + BYTES_RECEIVED_AT)[0]
        at += (max(size, 4) + 3) & ~3


def received_bytes(pid):
    """Over the connections that the process has now."""
    inodes = sockets_of(pid)
    return sum(size for family in (socket.AF_INET, socket.AF_INET6)
               for inode, size in tcp_sockets(family) if inode in inodes)
