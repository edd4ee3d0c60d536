# SPDX-License-Identifier: MIT
"""The pools: which block an address belongs to, and who uses how much."""
from collections import namedtuple
from typing import Iterator, Optional

import gdb

from . import memory

PAGE = 4096
CELL_UNIT = 8  # of a cell's place, POOL_CELL_UNIT

Block = namedtuple("Block", "address size reserved allocated tag pool caller")


def page_states() -> dict:
    """POOL_PAGE_STATE by name."""
    return {name: value for value, name in memory.names("POOL_PAGE_STATE").items()}


def pool_names() -> dict:
    """POOL_INDEX in words."""
    return {value: name.replace("Pool", "") for value, name in memory.names("POOL_INDEX").items()
            if name != "PoolCount"}


def expand(caller: int) -> int:
    """A code address from the 32 bits that a block's record keeps of it."""
    if memory.pointer_size() == 4 or caller == 0:
        return caller
    text = memory.address_of(gdb.parse_and_eval("&ExpExpandCaller"))
    if not caller & 0x80000000:
        from . import paging  # pylint: disable=import-outside-toplevel
        text = memory.number(paging.region("MmRegionSystemImages")["Base"])
    return text & ~0xFFFFFFFF | caller


def tag_of(cell: int) -> str:
    """The tag of a cell: what a block's record names it by."""
    return memory.tag(int(owner_of(cell)["Tag"]))


def cell_step() -> int:
    """How far cells' places are from each other (mm/poolp.h)."""
    return memory.type_named("POOL_CELL").sizeof // CELL_UNIT


def owner_of(cell: int) -> "gdb.Value":
    """Whom a cell stands for."""
    return memory.symbol("ExpOwners")[cell // cell_step()]


def pool_of(address: int):
    """Index and pool in whose used part an address lies; (-1, None)."""
    pools = memory.symbol("ExpPool")
    for index in pool_names():
        offset = address - memory.number(pools[index]["Base"])
        if 0 <= offset < memory.number(pools[index]["Limit"]):
            return index, pools[index]
    return -1, None


def small(index: int, pool: gdb.Value, page: gdb.Value, number: int) -> Block:
    """A block within a page that is cut into blocks."""
    record = page["Records"][number]
    size, reserved = int(record["Size"]), int(page["BlockSize"])
    return Block(page_address(pool, page) + number * reserved, size or reserved, reserved,
                 size != 0, tag_of(int(record["Cell"])), pool_names()[index],
                 expand(int(record["Caller"])))


def large(index: int, pool: gdb.Value, page: gdb.Value) -> Block:
    """A block of whole pages."""
    return Block(page_address(pool, page), memory.number(page["Bytes"]),
                 memory.number(page["Pages"]) * PAGE,
                 int(page["State"]) == page_states()["PoolPageLarge"],
                 tag_of(int(page["Cell"])), pool_names()[index], memory.number(page["Caller"]))


def page_address(pool: gdb.Value, page: gdb.Value) -> int:
    """Where a descriptor's page lies."""
    number = (memory.address_of(page) - memory.number(pool["Pages"])) // page.type.sizeof
    return memory.number(pool["Base"]) + number * PAGE


def block_of(address: int) -> Optional[Block]:
    """The block an address lies in, None when it is in no pool."""
    index, pool = pool_of(address)
    if pool is None:
        return None
    states = page_states()
    page = pool["Pages"][(address - memory.number(pool["Base"])) // PAGE]
    state = int(page["State"])
    if state == states["PoolPageSmall"]:
        number = (address & PAGE - 1) // int(page["BlockSize"])
        return small(index, pool, page, number) if number < int(page["BlockCount"]) else None
    if state == states["PoolPageLargeTail"]:
        return large(index, pool, pool["Pages"][int(page["Head"]) - 1])
    if state in (states["PoolPageLarge"], states["PoolPageLargeFreed"]):
        return large(index, pool, page)
    return None


def neighbours(address: int) -> Iterator[Block]:
    """All blocks of an address's page."""
    index, pool = pool_of(address)
    if pool is None:
        return
    page = pool["Pages"][(address - memory.number(pool["Base"])) // PAGE]
    if int(page["State"]) != page_states()["PoolPageSmall"]:
        yield from filter(None, [block_of(address)])
        return
    for number in range(int(page["BlockCount"])):
        yield small(index, pool, page, number)


def cell_at(processor, place: int) -> "gdb.Value":
    """A processor's cell at a place."""
    address = memory.number(processor["Cells"]) + place * CELL_UNIT
    return gdb.Value(address).cast(memory.type_named("POOL_CELL").pointer()).dereference()


def use_by_tag() -> dict:
    """(tag, pool) -> [allocations, frees, bytes in use]: the processors' counters added up."""
    used = {}
    sizes = memory.symbol("ExpClassSize")
    large_class = int(sizes.type.range()[1])
    processors = memory.symbol("ExpPoolProcessor")
    for i in range(processors.type.range()[1] + 1):
        if memory.number(processors[i]) == 0:
            break
        for place in range(1, int(memory.symbol("ExpCellEnd")), cell_step()):
            owner, cell, rest = owner_of(place), cell_at(processors[i], place), \
                processors[i]["Rest"][place // cell_step()]
            key = memory.tag(int(owner["Tag"])), pool_names()[int(owner["Pool"])]
            allocs, frees = int(rest["Granted"]) - int(cell["Left"]), int(cell["Frees"])
            entry = used.setdefault(key, [0, 0, 0])
            entry[0] += allocs
            entry[1] += frees
            if int(owner["Class"]) == large_class:
                entry[2] += int(rest["LargePages"].cast(memory.type_named("LONG"))) * PAGE
            else:
                entry[2] += (allocs - frees) * int(owner["Size"])
    for entry in used.values():
        entry[2] &= (1 << 64) - 1
    return used
