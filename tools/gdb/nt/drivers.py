# SPDX-License-Identifier: MIT
"""Drivers: where gdb looks for their files, and their symbols at the addresses they were loaded at.

The kernel's own gdb server tells gdb of loaded drivers (qXfer:libraries), QEMU's does not. There a
hidden breakpoint on KdNotifyModules, which the kernel calls after each change of the list, reads
the list and does the same.
"""
import os
import struct
from pathlib import Path

import gdb

from . import memory

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("drivers", "tests", "broken", "bench", "debug", "clang")


def kernel_arch() -> str:
    """amd64 or i386, as the kernel's file says."""
    return "amd64" if "64" in gdb.execute("show architecture", to_string=True) else "i386"


def search_path() -> str:
    """Folders with .sys files: what this tree builds, then what the user named."""
    arch = kernel_arch()
    folders = [str(ROOT / "build" / folder / arch) for folder in FOLDERS]
    return ":".join(folders + os.environ.get("LOOKASIDE_DRIVERS", "").split(":"))


def find_file(name: str) -> str:
    """The file of a driver by its name in the kernel, "" when it is not to be found."""
    for folder in gdb.parameter("solib-search-path").split(":"):
        for candidate in (name, name.lower()):
            path = os.path.join(folder or ".", candidate)
            if os.path.isfile(path):
                return path
    return ""


def loaded():
    """The kernel's records of loaded drivers, in load order; none before there is a list."""
    head = memory.symbol("LdrDriverList")
    try:
        if memory.number(head["Flink"]) == 0:
            return []
    except gdb.MemoryError:
        return []  # the kernel's own page tables are not in use yet
    return list(memory.walk(head, "LDR_DRIVER", "ListEntry"))


class Symbols:
    """What gdb has been told by us: file and base of each driver."""

    def __init__(self):
        self.added = {}

    def update(self) -> None:
        """Makes gdb's symbols those of the drivers that are loaded now."""
        now = {}
        for driver in loaded():
            path = find_file(memory.text(driver["Name"]))
            if path:
                now[memory.number(driver["Base"])] = path
        for base in [base for base in self.added if now.get(base) != self.added[base]]:
            gdb.execute("remove-symbol-file -a %#x" % (base + text_offset(self.added.pop(base))),
                        to_string=True)
        for base, path in now.items():
            if base not in self.added:
                gdb.execute('add-symbol-file "%s" %s' % (path, section_places(path, base)),
                            to_string=True)
                self.added[base] = path


def sections(path: str):
    """Name and offset from the image's base of each section of a PE file that takes up memory."""
    data = Path(path).read_bytes()
    header = int.from_bytes(data[60:64], "little")
    count = int.from_bytes(data[header + 6:header + 8], "little")
    symbols, number = struct.unpack_from("<II", data, header + 12)
    table = header + 24 + int.from_bytes(data[header + 20:header + 22], "little")
    for i in range(count):
        entry = data[table + 40 * i:table + 40 * i + 40]
        name = entry[:8].rstrip(b"\0")
        if name.startswith(b"/"):  # a longer one: its offset among the strings behind the symbols
            name = data[symbols + 18 * number + int(name[1:]):].partition(b"\0")[0]
        if not name.startswith(b".debug"):
            yield name.decode("ascii", "replace"), int.from_bytes(entry[12:16], "little")


def text_offset(path: str) -> int:
    """Where the .text section of a file lies in its image."""
    return dict(sections(path)).get(".text", 0x1000)


def section_places(path: str, base: int) -> str:
    """The sections at their addresses, as add-symbol-file takes them."""
    return " ".join("-s %s %#x" % (name, base + offset) for name, offset in sections(path))


SYMBOLS = Symbols()


class ModulesBreakpoint(gdb.Breakpoint):
    """Follows the kernel's list of drivers; never stops the user."""

    def __init__(self):
        super().__init__("KdNotifyModules", gdb.BP_HARDWARE_BREAKPOINT, internal=True)
        self.silent = True

    def stop(self):
        """gdb calls this when the kernel gets there."""
        SYMBOLS.update()
        return False


def server_lists_drivers() -> bool:
    """Whether gdb hears of drivers from the server itself."""
    connection = gdb.selected_inferior().connection
    if not isinstance(connection, gdb.RemoteTargetConnection):
        return True
    return bool(connection.send_packet("qXfer:libraries:read::0,10"))


FOLLOWED = []


def follow(_event=None) -> None:
    """At the first stop on a server that does not list drivers, begins to follow them."""
    connection = gdb.selected_inferior().connection
    if connection is None or connection in FOLLOWED:
        return
    FOLLOWED[:] = [connection]
    SYMBOLS.added.clear()
    if not server_lists_drivers():
        ModulesBreakpoint()
        SYMBOLS.update()


def install() -> None:
    """Called when the extension is loaded."""
    arch = kernel_arch()
    # QEMU begins in 16-bit code and describes that; the kernel's mode is the one that counts.
    gdb.execute("set architecture %s" % {"amd64": "i386:x86-64", "i386": "i386"}[arch],
                to_string=True)
    gdb.execute("set sysroot", to_string=True)
    gdb.execute("set breakpoint pending on", to_string=True)  # drivers come later
    gdb.execute("set solib-search-path " + search_path(), to_string=True)
    gdb.events.stop.connect(follow)
