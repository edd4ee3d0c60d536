# SPDX-License-Identifier: MIT
"""Where every processor was when time ran out, read from outside through QEMU's monitor.

The kernel has frame pointers, so a chain of them leads through it. Drivers need not have them: from
a driver's frame on, the stack is searched for words that point into a known image, which may show a
caller that has long returned. Such frames are marked with a question mark.
"""
import re
from typing import Dict, Iterator, List, Tuple

from .qmp import Qmp
from .symbols import Symbols

MOST_FRAMES = 24
SEARCHED_WORDS = 512
LOADED = re.compile(r"\] ldr: (\S+) at (?:0x)?([0-9A-Fa-f]{8,16}), (\d+) KiB")


def loaded_images(lines: List[str]) -> Dict[str, Tuple[int, int]]:
    """Drivers by name with the addresses they lie at, as the kernel's loader logged them."""
    images = {}
    for line in lines:
        match = LOADED.search(line)
        if match:
            start = int(match.group(2), 16)
            images[match.group(1)] = (start, start + (int(match.group(3)) << 10))
    return images


class Unwinder:
    """Walks the stack of one processor."""

    def __init__(self, qmp: Qmp, cpu: int, symbols: Symbols, images: Dict[str, Tuple[int, int]]):
        self.qmp, self.cpu, self.symbols, self.images = qmp, cpu, symbols, images
        self.width = 8 if symbols.arch == "amd64" else 4

    def describe(self, address: int) -> str:
        """An address as the kernel's own backtraces write it, "" when it is in no known image."""
        for name, (start, end) in self.images.items():
            if start <= address < end:
                return "%s+%#x" % (name, address - start)
        function = self.symbols.function_of(address)
        return "ntoskrnl %s 0x%0*X" % (function, 2 * self.width, address) if function else ""

    def chain(self, frame: int) -> Iterator[int]:
        """Return addresses along the frame pointers."""
        while frame and frame % self.width == 0:
            words = self.qmp.read(self.cpu, frame, 2, self.width)
            if len(words) < 2 or not self.describe(words[1]):
                return
            yield words[1]
            if words[0] <= frame:
                return
            frame = words[0]

    def search(self, stack: int) -> Iterator[int]:
        """Words on the stack that could be return addresses."""
        for word in self.qmp.read(self.cpu, stack, SEARCHED_WORDS, self.width):
            if self.describe(word):
                yield word

    def frames(self) -> Iterator[str]:
        """The backtrace, a line a frame."""
        registers = self.qmp.registers(self.cpu)
        place = registers.get("RIP", 0)
        yield self.describe(place) or "0x%0*X, in no known image" % (2 * self.width, place)
        certain = bool(self.symbols.function_of(place))
        walk, start = (self.chain, "RBP") if certain else (self.search, "RSP")
        addresses = walk(registers.get(start, 0))
        for _, address in zip(range(MOST_FRAMES), addresses):
            yield self.describe(address) + ("" if certain else " ?")


def all_processors(qmp: Qmp, symbols: Symbols, lines: List[str]) -> Iterator[str]:
    """Backtraces of every processor of the stopped machine, ready to print."""
    images = loaded_images(lines)
    for cpu in qmp.processors():
        yield "CPU %d:" % cpu
        for index, text in enumerate(Unwinder(qmp, cpu, symbols, images).frames()):
            line = "    #%d %s" % (index, text)
            yield line + symbols.annotate(line.encode())
