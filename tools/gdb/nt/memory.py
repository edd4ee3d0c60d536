# SPDX-License-Identifier: MIT
"""The kernel's data as Python values: symbols, structures, lists, strings."""
from typing import Iterator

import gdb


class Unreadable(gdb.GdbError):
    """Something the command needs cannot be read; shown to the user without a traceback."""


def symbol(name: str) -> gdb.Value:
    """A global variable of the kernel, static or not."""
    found = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
    if found is None:
        raise Unreadable("the kernel has no %s (is its ELF file loaded?)" % name)
    return found.value()


def has_symbol(name: str) -> bool:
    """Whether this kernel has a variable or function of that name."""
    return bool(gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name))


def type_named(name: str) -> gdb.Type:
    """A type by its name."""
    try:
        return gdb.lookup_type(name)
    except gdb.error:
        raise Unreadable("the kernel has no type %s" % name) from None


def pointer_size() -> int:
    """4 or 8."""
    return type_named("PVOID").sizeof


def at(address: int, kind: str) -> gdb.Value:
    """The structure of that type at an address."""
    return gdb.Value(address).cast(type_named(kind).pointer()).dereference()


def address_of(value: gdb.Value) -> int:
    """A pointer or the place of an object as a number, never negative."""
    if value.type.strip_typedefs().code != gdb.TYPE_CODE_PTR and value.address is not None:
        value = value.address
    return number(value)


def number(value: gdb.Value) -> int:
    """An integer or pointer as an unsigned number of its size."""
    return int(value.cast(type_named("ULONG_PTR")) if value.type.strip_typedefs().code
               == gdb.TYPE_CODE_PTR else value) & ((1 << 64) - 1)


def offset_of(kind: str, member: str) -> int:
    """Where a field lies in its structure, in bytes."""
    place = 0
    current = type_named(kind)
    for part in member.split("."):
        field = current.strip_typedefs()[part]
        place += field.bitpos // 8
        current = field.type
    return place


def containing(entry: int, kind: str, member: str) -> gdb.Value:
    """CONTAINING_RECORD."""
    return at(entry - offset_of(kind, member), kind)


def walk(head: gdb.Value, kind: str, member: str, limit: int = 65536) -> Iterator[gdb.Value]:
    """The records of a LIST_ENTRY list; stops with a word where the list is damaged."""
    start = address_of(head)
    entry = at(start, "LIST_ENTRY")
    for _ in range(limit):
        link = number(entry["Flink"])
        if link == start or link == 0:
            return
        try:
            entry = at(link, "LIST_ENTRY")
            back = number(entry["Blink"])
        except gdb.MemoryError:
            raise Unreadable("the list at %#x leads to %#x, which cannot be read"
                             % (start, link)) from None
        yield containing(link, kind, member)
        if back and number(at(back, "LIST_ENTRY")["Flink"]) != link:
            raise Unreadable("the list at %#x is damaged at %#x" % (start, link))
    raise Unreadable("the list at %#x does not end" % start)


def text(value: gdb.Value, length: int = 256) -> str:
    """A character array or pointer as text."""
    try:
        return value.string("utf-8", "replace", -1)[:length]
    except gdb.MemoryError:
        return "<unreadable>"


def tag(value: int) -> str:
    """A pool tag as its four characters."""
    return "".join(chr(c) if 32 <= c < 127 else "." for c in int(value).to_bytes(4, "little"))


def read(address: int, length: int) -> bytes:
    """Bytes of memory; raises gdb.MemoryError."""
    return bytes(gdb.selected_inferior().read_memory(address, length))


def names(enumeration: str) -> dict:
    """The constants of an enumeration, by value."""
    fields = type_named(enumeration).strip_typedefs().fields()
    return {field.enumval: field.name for field in fields}


def parse(argument: str) -> int:
    """An expression that the user typed, as an address."""
    value = gdb.parse_and_eval(argument)
    if value.type.code == gdb.TYPE_CODE_VOID:
        raise gdb.GdbError("%s has no value" % argument)
    if value.type.strip_typedefs().code in (gdb.TYPE_CODE_FUNC, gdb.TYPE_CODE_ARRAY):
        value = value.address
    return number(value) & ((1 << 8 * pointer_size()) - 1)


def place(address: int) -> str:
    """A code address as "function+offset", or the address."""
    found = gdb.execute("info symbol %#x" % address, to_string=True).strip()
    if found.startswith("No symbol"):
        return "%#x" % address
    return found.partition(" in section")[0].replace(" + ", "+")
