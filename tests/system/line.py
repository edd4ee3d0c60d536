# SPDX-License-Identifier: MIT
"""A serial line between gdb and a machine's socket that loses and damages bytes.

What happens to a byte depends on a seed and on how many bytes went before it in that direction, so
that a line behaves alike each time, as far as gdb and the machine say the same.
"""
import random
import select
import socket
import threading
from pathlib import Path


class Noise:
    """Drops, doubles or flips a bit of one byte in `rarity`, in one direction."""

    def __init__(self, rarity: int, seed: str):
        self.rarity, self.random = rarity, random.Random(seed)
        self.done = 0

    def pass_on(self, data: bytes) -> bytes:
        """What arrives of these bytes."""
        out = bytearray()
        for byte in data:
            if self.random.randrange(self.rarity):
                out.append(byte)
                continue
            self.done += 1
            kind = self.random.randrange(3)
            if kind == 1:
                out += bytes((byte, byte))
            elif kind == 2:
                out.append(byte ^ 1 << self.random.randrange(8))
        return bytes(out)


class Line:
    """Listens at one socket and connects to another when gdb comes; one gdb after the other."""

    def __init__(self, near: Path, far: Path, rarity: int, seed: str):
        self.far = far
        self.noise = [Noise(rarity, seed + way) for way in ("to", "from")]
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(near))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Takes no further gdb."""
        self._server.close()

    def damaged(self) -> int:
        """How many bytes did not arrive as they were sent."""
        return sum(noise.done for noise in self.noise)

    def _serve(self) -> None:
        while True:
            try:
                near = self._server.accept()[0]
            except OSError:
                return
            with near, socket.socket(socket.AF_UNIX) as far:
                far.connect(str(self.far))
                self._carry(near, far)

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        """Until one end goes."""
        ways = {near: (self.noise[0], far), far: (self.noise[1], near)}
        while True:
            for source in select.select(list(ways), [], [])[0]:
                noise, target = ways[source]
                try:
                    data = source.recv(65536)
                    if not data:
                        return
                    target.sendall(noise.pass_on(data))
                except OSError:
                    return
