# SPDX-License-Identifier: MIT
"""Just enough of the PE format to know a driver's machine and preferred base."""
import struct
from pathlib import Path
from typing import Optional

MACHINES = {0x8664: "amd64", 0x014C: "i386"}
PE32_PLUS = 0x20B


def _headers(path: Path) -> Optional[tuple]:
    """(machine, optional header) of a PE file, None for anything else."""
    with open(path, "rb") as stream:
        start = stream.read(64)
        if len(start) < 64 or start[:2] != b"MZ":
            return None
        stream.seek(struct.unpack_from("<I", start, 0x3C)[0])
        header = stream.read(24 + 64)
    if len(header) < 24 + 64 or header[:4] != b"PE\0\0":
        return None
    return struct.unpack_from("<H", header, 4)[0], header[24:]


def architecture(path: Path) -> Optional[str]:
    """"amd64" or "i386", None when the file does not say: the kernel's loader then says why."""
    headers = _headers(path)
    return MACHINES.get(headers[0]) if headers else None


def image_base(path: Path) -> int:
    """The address the linker assumed, 0 when there is none."""
    headers = _headers(path)
    if not headers:
        return 0
    optional = headers[1]
    if struct.unpack_from("<H", optional)[0] == PE32_PLUS:
        return struct.unpack_from("<Q", optional, 24)[0]
    return struct.unpack_from("<I", optional, 28)[0]
