# SPDX-License-Identifier: MIT
"""A small reader of the kernel's own ELF file, 32 or 64 bits: symbols, and bytes by address."""
import struct
from pathlib import Path
from typing import Dict

from .status import UsageError

PT_LOAD = 1
SHT_SYMTAB = 2


class Elf:
    """An ELF file in memory. Addresses are the linked (virtual) ones."""

    def __init__(self, path: Path):
        try:
            self.data = path.read_bytes()
        except OSError as error:
            raise UsageError("cannot read %s: %s" % (path, error.strerror.lower())) from None
        if self.data[:4] != b"\x7fELF" or self.data[5] != 1:
            raise UsageError("%s is not an ELF file" % path)
        self.wide = self.data[4] == 2
        self.pointer = 8 if self.wide else 4
        layout = "<QQQIHHHHHH" if self.wide else "<IIIIHHHHHH"
        (_, self._phoff, self._shoff, _, _, self._phsize, self._phnum, self._shsize, self._shnum,
         _) = struct.unpack_from(layout, self.data, 24)
        self._segments = [s for s in map(self._segment, range(self._phnum)) if s]
        self.symbols: Dict[str, int] = {}
        for index in range(self._shnum):
            self._read_symbols(index)

    def _segment(self, index: int):
        at = self._phoff + index * self._phsize
        if self.wide:
            kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", self.data, at)
        else:
            kind, offset, address, _, size = struct.unpack_from("<IIIII", self.data, at)
        return (address, size, offset) if kind == PT_LOAD else None

    def _section(self, index: int):
        at = self._shoff + index * self._shsize
        if self.wide:
            _, kind, _, _, offset, size, link = struct.unpack_from("<IIQQQQI", self.data, at)
        else:
            _, kind, _, _, offset, size, link = struct.unpack_from("<IIIIIII", self.data, at)
        return kind, offset, size, link

    def _read_symbols(self, index: int) -> None:
        kind, offset, size, link = self._section(index)
        if kind != SHT_SYMTAB:
            return
        names = self._section(link)[1]
        step, value_at, layout = (24, 8, "<Q") if self.wide else (16, 4, "<I")
        for at in range(offset, offset + size, step):
            name = struct.unpack_from("<I", self.data, at)[0]
            value = struct.unpack_from(layout, self.data, at + value_at)[0]
            if name:
                end = self.data.index(b"\0", names + name)
                self.symbols[self.data[names + name:end].decode("ascii", "replace")] = value

    def read(self, address: int, size: int) -> bytes:
        """The initial contents of `size` bytes at a linked address."""
        for start, length, offset in self._segments:
            if start <= address and address + size <= start + length:
                return self.data[offset + address - start:offset + address - start + size]
        raise UsageError("address %#x is not in the image" % address)

    def string(self, address: int) -> str:
        """The zero-terminated string at an address, "" for a null pointer."""
        if not address:
            return ""
        for start, length, offset in self._segments:
            if start <= address < start + length:
                at = offset + address - start
                return self.data[at:self.data.index(b"\0", at)].decode("ascii", "replace")
        raise UsageError("address %#x is not in the image" % address)
