# SPDX-License-Identifier: MIT
"""Source lines for backtraces: the kernel prints names and offsets, this adds file and line.

The kernel's lines, and what is appended to them:

    #2 edu.sys+0x1234 EduInterrupt+0x12                      at drivers/edu/edu.c:120
    #0 ntoskrnl MmAccessFault+0x33 0xFFFFFFFF80212345        at mm/fault.c:88

Places in a driver that its sentences name get theirs in brackets:

    *** edu.sys+0x1234 EduStop+0x12 (edu.c:80) freed a second time block ...
"""
import bisect
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from . import pe
from .arguments import safe_name
from .elf import Elf

FRAME = re.compile(rb"^\s+#(\d+) +"
                   rb"(?:(\S+)\+0x([0-9A-Fa-f]+)|ntoskrnl\b.*?0x([0-9A-Fa-f]{8,16}))(?:\s.*)?$")
# The kernel's own lines in which a driver's code is named: the sentence of a bugcheck, what a
# driver left, who allocated and freed a block.
TELLS = re.compile(rb"^(\*\*\* (?!STOP: |driver: |processor )|\[ *\d+\.\d+\] (leak|pool): )")
PLACE = re.compile(rb"(\S+)\+0x([0-9A-Fa-f]+) ([\w@?$.]+\+0x[0-9A-Fa-f]+)"
                   rb"(?= (read|wrote)\b)?")
ADDR2LINE = {"amd64": "x86_64-w64-mingw32-addr2line", "i386": "i686-w64-mingw32-addr2line"}


class Symbols:
    """Symbol files of one run: the kernel's ELF and the drivers by name."""

    def __init__(self, arch: str, kernel: Path, drivers: List[Path]):
        self.arch = arch
        self.kernel = kernel
        self.drivers: Dict[str, Path] = {
            safe_name(driver).lower(): driver for driver in drivers}
        self._cache: Dict[Tuple[Path, int], str] = {}
        self._servers: Dict[Path, Optional[subprocess.Popen]] = {}
        self._functions: Optional[Tuple[List[int], List[str]]] = None

    def line_of(self, image: Path, address: int) -> str:
        """"file.c:12" for a linked address, "" when the image does not say."""
        key = (image, address)
        if key not in self._cache:
            self._cache[key] = self._ask(image, address)
        return self._cache[key]

    def _server(self, image: Path) -> Optional[subprocess.Popen]:
        """An addr2line that answers for an image as often as it is asked, and ends with us."""
        is_driver = image != self.kernel
        tools = [ADDR2LINE[self.arch]] if is_driver else ["addr2line", ADDR2LINE["amd64"]]
        tool = next((found for found in map(shutil.which, tools) if found), None)
        if not tool:
            return None
        return subprocess.Popen([tool, "-e", str(image)], text=True, errors="replace",
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)

    def _ask(self, image: Path, address: int) -> str:
        if image not in self._servers:
            self._servers[image] = self._server(image)
        server = self._servers[image]
        if not server:
            return ""
        try:
            server.stdin.write("%#x\n" % address)
            server.stdin.flush()
        except OSError:
            return ""  # it ended: the image has no symbols that it could read
        place = re.sub(r" \(discriminator \d+\)", "", server.stdout.readline().strip())
        unknown = not place or place.startswith("?") or place.endswith((":0", ":?"))
        return "" if unknown else shorten(place)

    def annotate(self, line: bytes) -> str:
        """" at file.c:12" for a line of a backtrace, "" for any other line."""
        match = FRAME.match(line)
        if not match:
            return ""
        frame, module, offset, address = match.groups()
        # A return address belongs to the call before it; only the first frame is where it stopped.
        back = 1 if int(frame) else 0
        if module:
            driver = self.drivers.get(module.decode("utf-8", "replace").lower())
            place = driver and self.line_of(driver, pe.image_base(driver) + int(offset, 16) - back)
        else:
            place = self.kernel.exists() and self.line_of(self.kernel, int(address, 16) - back)
        return " at " + place if place else ""

    def explain(self, line: bytes) -> bytes:
        """The line with file and line behind each place in a driver, if it is one that tells."""
        return PLACE.sub(self._explain, line) if TELLS.match(line) else line

    def _explain(self, match: re.Match) -> bytes:
        module, offset, _, touched = match.groups()
        driver = self.drivers.get(module.decode("utf-8", "replace").lower())
        # The address of an access is its instruction's; of a call, what comes behind it.
        back = 0 if touched else 1
        place = driver and self.line_of(driver, pe.image_base(driver) + int(offset, 16) - back)
        return match.group(0) + (" (%s)" % place).encode() if place else match.group(0)

    def function_of(self, address: int) -> str:
        """"MmAccessFault+0x33" for an address in the kernel, "" for any other."""
        if self._functions is None:
            symbols = Elf(self.kernel).symbols
            start, end = symbols.get("KernelTextStart", 0), symbols.get("KernelRodataStart", 0)
            table = sorted((value, name) for name, value in symbols.items() if start <= value < end)
            self._functions = [value for value, _ in table], [name for _, name in table]
            self._end = end
        addresses, names = self._functions
        index = bisect.bisect_right(addresses, address) - 1
        if index < 0 or address >= self._end:
            return ""
        return "%s+%#x" % (names[index], address - addresses[index])


def shorten(place: str) -> str:
    """A path relative to where the user is, when that is shorter."""
    file, _, line = place.rpartition(":")
    if os.path.isabs(file) and os.path.exists(file):
        file = min(file, os.path.relpath(file), key=len)
    else:
        file = file.lstrip("/")
    return "%s:%s" % (os.path.normpath(file), line)
