# SPDX-License-Identifier: MIT
"""gdb's remote protocol: packets over a connection. What they say is the caller's business.

A packet is $data#xx. Data stays as it is on the line, escapes and all, so that whoever stands
between gdb and a server can pass it on; `plain` undoes escapes and run-length coding.
"""
import collections
import select
import socket
from typing import Deque, Optional

INTERRUPT = b"\x03"     # what Ctrl-C sends, between packets


def frame(data: bytes) -> bytes:
    """Data as a packet."""
    return b"$%s#%02x" % (data, sum(data) & 0xFF)


def plain(data: bytes) -> bytes:
    """Data without escapes and run-length coding."""
    out, at = bytearray(), 0
    while at < len(data):
        byte = data[at]
        if byte == ord("}") and at + 1 < len(data):
            at += 1
            out.append(data[at] ^ 0x20)
        elif byte == ord("*") and out and at + 1 < len(data):
            at += 1
            out += out[-1:] * (data[at] - 29)
        else:
            out.append(byte)
        at += 1
    return bytes(out)


class Link:
    """One end of a connection, gdb's or a server's."""

    def __init__(self, connection: socket.socket):
        self.connection = connection
        self.acks = True
        self.ended = False
        self._pending = b""
        self._sent = b""
        self._items: Deque[bytes] = collections.deque()

    def fileno(self) -> int:
        """For select."""
        return self.connection.fileno()

    def close(self) -> None:
        """Ends the connection."""
        self.ended = True
        self.connection.close()

    def put(self, data: bytes) -> None:
        """Bytes as they are."""
        try:
            self.connection.sendall(data)
        except OSError:
            self.ended = True

    def send(self, data: bytes) -> None:
        """A packet. It is kept, for the case that it is asked for again."""
        self._sent = frame(data)
        self.put(self._sent)

    def waits(self, seconds: Optional[float] = 0) -> bool:
        """Whether `receive` has something to return without waiting; waits so long for it."""
        if not self._items and not self.ended and select.select([self], [], [], seconds)[0]:
            self._feed()
        return bool(self._items) or self.ended

    def receive(self) -> Optional[bytes]:
        """The next packet's data or INTERRUPT, however long it takes; None for the end."""
        while not self._items and not self.ended:
            self._feed()
        return self._items.popleft() if self._items else None

    def _feed(self) -> None:
        try:
            data = self.connection.recv(65536)
        except OSError:
            data = b""
        self.ended = self.ended or not data
        self._pending += data
        while self._pending and self._take():
            pass

    def _take(self) -> bool:
        """Takes one thing off what has come. False: it has not come whole."""
        if not self._pending.startswith(b"$"):
            byte, self._pending = self._pending[:1], self._pending[1:]
            if byte == INTERRUPT:
                self._items.append(INTERRUPT)
            elif byte == b"-":
                self.put(self._sent)
            return True
        data, end, rest = self._pending[1:].partition(b"#")
        if not end or len(rest) < 2:
            return False
        self._pending = rest[2:]
        good = rest[:2].lower() == b"%02x" % (sum(data) & 0xFF)
        if self.acks:
            self.put(b"+" if good else b"-")
        if good:
            self._items.append(data)
        return True
