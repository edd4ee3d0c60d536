# SPDX-License-Identifier: MIT
"""Page tables and frames, read through the kernel's self map and its PFN database."""
from typing import Iterator, NamedTuple, Optional

import gdb

from . import memory

PAGE = 4096


class Entry(NamedTuple):
    """One page table entry on the way to an address; level 1 is the lowest."""
    level: int
    place: int
    value: int
    bits: gdb.Value

    @property
    def valid(self) -> bool:
        """Whether the processor would use it."""
        return bool(self.value & 1)

    @property
    def large(self) -> bool:
        """Whether it maps memory although it is not of the lowest level."""
        return self.level > 1 and bool(int(self.bits["Large"]))

    @property
    def frame(self) -> int:
        """The page it names."""
        return int(self.bits["Frame"])

    def words(self) -> str:
        """Its bits as letters."""
        if not self.valid:
            return "not valid" if self.value else "never used"
        hard = self.bits
        return "%s%s%s%s%s%s%s" % (
            "w" if int(hard["Write"]) else "r", "u" if int(hard["User"]) else "k",
            "-" if int(hard["NoExecute"]) else "x", "a" if int(hard["Accessed"]) else "-",
            "d" if int(hard["Dirty"]) else "-", "g" if int(hard["Global"]) else "-",
            "L" if self.large else "-")


def region(kind: str) -> gdb.Value:
    """An entry of the kernel's table of address ranges."""
    table = memory.symbol("MiRegion")
    for value, name in memory.names("MM_REGION_TYPE").items():
        if name == kind:
            return table[value]
    raise memory.Unreadable("this kernel has no %s" % kind)


def regions() -> Iterator[gdb.Value]:
    """Every address range that there is."""
    table = memory.symbol("MiRegion")
    first, last = table.type.range()
    for i in range(first, last + 1):
        if memory.number(table[i]["Size"]):
            yield table[i]


def region_of(address: int) -> Optional[gdb.Value]:
    """The range an address lies in."""
    for entry in regions():
        if 0 <= address - memory.number(entry["Base"]) < memory.number(entry["Size"]):
            return entry
    return None


def walk(address: int) -> Iterator[Entry]:
    """The entries that map an address, from the top, as far as they go."""
    tables = region("MmRegionPageTables")
    base, size = memory.number(tables["Base"]), memory.number(tables["Size"])
    if not base:
        raise memory.Unreadable("the memory manager has not started yet")
    def entry_of(place: int) -> int:
        return base + ((place >> 9) & (size - 1) & ~7)
    places = [entry_of(address)]
    # The self map: an entry's own table is found the same way, up to the level that maps itself.
    while entry_of(places[-1]) != places[-1] and len(places) < top_level():
        places.append(entry_of(places[-1]))
    for level in range(len(places), 0, -1):
        pte = memory.at(places[level - 1], "MMPTE")
        found = Entry(level, places[level - 1], memory.number(pte["Long"]), pte["Hard"])
        yield found
        if not found.valid or found.large:
            return


def top_level() -> int:
    """How many levels the self map shows: PAE's uppermost table is not part of it."""
    return 4 if memory.pointer_size() == 8 else 2


def physical(address: int) -> Optional[int]:
    """The physical address behind a virtual one, None when it is not mapped."""
    last = None
    for last in walk(address):
        pass
    if last is None or not last.valid:
        return None
    size = PAGE << 9 * (last.level - 1)
    return (last.frame << 12 & ~(size - 1)) | address & (size - 1)


def frame(number: int) -> gdb.Value:
    """A page's entry in the PFN database; gdb.MemoryError when it has none yet."""
    entry = memory.symbol("MiPfnDatabase")[number]
    entry["u3"].fetch_lazy()
    return entry


def frame_words(number: int) -> str:
    """The state of a page in words."""
    try:
        entry = frame(number)
        entry["OriginalPte"].fetch_lazy()
    except gdb.MemoryError:
        return "no entry in the PFN database: not used yet, or no RAM"
    state = memory.names("MI_PAGE_STATE").get(int(entry["u3"]["State"]), "?")
    text = state.replace("MiPage", "").lower()
    if text == "active":
        text += ", %d references, %d mappings" % (int(entry["u3"]["ReferenceCount"]),
                                                  memory.number(entry["u2"]["ShareCount"]))
        if memory.number(entry["PteAddress"]):
            text += ", entry at %#x" % memory.number(entry["PteAddress"])
        if int(entry["u3"]["Fixed"]):
            text += ", fixed"
    return text
