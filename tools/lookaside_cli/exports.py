# SPDX-License-Identifier: MIT
"""`lookaside exports`: every routine a driver may import, from the kernel's own export table.

The table is an array of EXPORT_ENTRY (include/export.h) between two linker symbols.
"""
import struct
from typing import Iterator, List, NamedTuple

from .arguments import Parser
from .build import bring_up_to_date
from .elf import Elf
from .status import ROOT, ToolError

ANY_IRQL = 0xFF
IS_DATA = 0x01
# The levels a caller may name; numbers above DISPATCH_LEVEL differ between the architectures.
LEVELS = {
    "amd64": {0: "PASSIVE", 1: "APC", 2: "DISPATCH", 12: "SYNCH", 13: "CLOCK", 14: "IPI",
              15: "HIGH"},
    "i386": {0: "PASSIVE", 1: "APC", 2: "DISPATCH", 27: "PROFILE", 28: "CLOCK", 29: "IPI",
             30: "POWER", 31: "HIGH"},
}


class Export(NamedTuple):
    """One entry of the export table."""
    name: str
    irql_limit: int
    is_data: bool
    source: str


def read_exports(kernel: Elf) -> Iterator[Export]:
    """The export table of a kernel."""
    try:
        at, end = kernel.symbols["ExportTableStart"], kernel.symbols["ExportTableEnd"]
    except KeyError:
        raise ToolError("the kernel has no export table") from None
    layout = "<QQIIQ" if kernel.wide else "<IIIII"
    while at < end:
        entry = kernel.read(at, struct.calcsize(layout))
        name, _, irql, flags, source = struct.unpack(layout, entry)
        yield Export(kernel.string(name), irql, bool(flags & IS_DATA), kernel.string(source))
        at += len(entry)


def level(arch: str, export: Export) -> str:
    """The highest IRQL of a caller, in words."""
    if export.is_data:
        return "data"
    if export.irql_limit == ANY_IRQL:
        return "any"
    return LEVELS[arch].get(export.irql_limit, "DIRQL %d" % export.irql_limit)


def exports_command(argv: List[str]) -> int:
    """Prints the table: name, highest IRQL of a caller, public document."""
    parser = Parser(
        prog="lookaside exports", allow_abbrev=False, usage="./lookaside exports [--arch ARCH]",
        description="Lists what drivers may import from ntoskrnl.exe and HAL.dll: the name, the "
                    "highest IRQL a caller may be at, and the document it follows.")
    parser.add_argument("--arch", choices=("amd64", "i386"), default="amd64")
    parser.add_argument("--no-build", action="store_false", dest="build")
    given = parser.parse_args(argv)
    if given.build:
        bring_up_to_date(given.arch, False)
    exports = list(read_exports(Elf(ROOT / "build" / given.arch / "free" / "lookaside.elf")))
    width = max((len(export.name) for export in exports), default=0)
    for export in exports:
        print("%-*s  %-8s  %s" % (width, export.name, level(given.arch, export), export.source))
    return 0
