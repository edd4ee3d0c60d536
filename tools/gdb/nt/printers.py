# SPDX-License-Identifier: MIT
"""How gdb prints NT's types.

A LIST_ENTRY that heads a known list (KNOWN, by symbol or by structure and field) is printed as the
typed records in it; any other shows its links and how many entries follow.
"""
import gdb
import gdb.printing

from . import memory

# Heads of lists: what they link, and by which field.
KNOWN = {
    "LdrDriverList": ("LDR_DRIVER", "ListEntry"),
    "ExpLookasideLists": ("GENERAL_LOOKASIDE_POOL", "ListEntry"),
    "DpcListHead": ("KDPC", "DpcListEntry"),
    "Chain": ("KINTERRUPT", "ListEntry"),
}
COUNT_LIMIT = 1000


class UnicodeString:
    """L"text" and the lengths."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        """The text."""
        length, place = int(self.value["Length"]), memory.number(self.value["Buffer"])
        if not place:
            return "NULL"
        try:
            text = memory.read(place, min(length, 1024)).decode("utf-16-le", "replace")
        except gdb.MemoryError:
            return "<unreadable> at %#x" % place
        wide = "UNICODE" in str(self.value.type.strip_typedefs())
        return '%s"%s" (%d of %d bytes)' % ("L" if wide else "", text, length,
                                             int(self.value["MaximumLength"]))


class AnsiString(UnicodeString):
    """The same for 8-bit text."""

    def to_string(self):
        """The text."""
        length, place = int(self.value["Length"]), memory.number(self.value["Buffer"])
        if not place:
            return "NULL"
        try:
            text = memory.read(place, min(length, 1024)).decode("utf-8", "replace")
        except gdb.MemoryError:
            return "<unreadable> at %#x" % place
        return '"%s" (%d of %d bytes)' % (text, length, int(self.value["MaximumLength"]))


class ListEntry:
    """A doubly linked list's head or link."""

    def __init__(self, value):
        self.value = value
        self.known = self._known()

    def _known(self):
        if self.value.address is None:
            return None
        address = memory.number(self.value.address)
        name = gdb.execute("info symbol %#x" % address, to_string=True).partition(" in ")[0]
        return KNOWN.get(name)

    def to_string(self):
        """Its length, or that it is damaged."""
        if self.value.address is None:
            return "{Flink = %#x, Blink = %#x}" % (memory.number(self.value["Flink"]),
                                                  memory.number(self.value["Blink"]))
        start = memory.number(self.value.address)
        if memory.number(self.value["Flink"]) == start:
            return "empty list"
        count = 0
        try:
            for _ in memory.walk(self.value, "LIST_ENTRY", "Flink", COUNT_LIMIT):
                count += 1
        except gdb.GdbError as error:
            return "damaged list: %s" % error
        return "list of %d" % count

    def children(self):
        """The records, where it is known what they are."""
        if self.known:
            kind, member = self.known
            for i, record in enumerate(memory.walk(self.value, kind, member, COUNT_LIMIT)):
                yield "[%d]" % i, record.address


class Code:
    """A number with a meaning: NTSTATUS."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        """The number and its name."""
        number = int(self.value) & 0xFFFFFFFF
        return "%#x %s" % (number, status_names().get(number, "unknown status"))


_STATUSES = {}


def status_names() -> dict:
    """The kernel's own table of NTSTATUS names."""
    if not _STATUSES:
        table = memory.symbol("RtlpStatusNames")
        for i in range(table.type.range()[1] + 1):
            _STATUSES[int(table[i]["Status"])] = memory.text(table[i]["Name"])
    return _STATUSES


class LargeInteger:
    """A 64-bit number, decimal and hexadecimal."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        """Both."""
        number = int(self.value["QuadPart"])
        return "%d (%#x)" % (number, number & (1 << 64) - 1)


class Dispatcher:
    """What the header of a waitable object says."""

    def __init__(self, value):
        self.value = value

    def state(self) -> str:
        """Signalled or not, and how many wait."""
        header = self.value["Header"]
        signalled = int(header["SignalState"])
        waiters = ListEntry(header["WaitListHead"]).to_string()
        if waiters in ("empty list",) or memory.number(header["WaitListHead"]["Flink"]) == 0:
            waiters = "nobody waits"
        return "%s (%d), %s" % ("signalled" if signalled else "not signalled", signalled, waiters)

    def to_string(self):
        """The state."""
        return self.state()


class Event(Dispatcher):
    """KEVENT."""

    def to_string(self):
        """Kind and state."""
        kinds = memory.names("KOBJECTS")
        kind = kinds.get(int(self.value["Header"]["Type"]) & 7, "no")
        kind = kind.replace("Event", "", 1).replace("Object", "").lower()
        return "%s event, %s" % (kind, self.state())


class Timer(Dispatcher):
    """KTIMER."""

    def to_string(self):
        """Due time, period, DPC and state."""
        text = "timer due %d" % (int(self.value["DueTime"]["QuadPart"]))
        if int(self.value["Period"]):
            text += ", every %d ms" % int(self.value["Period"])
        if memory.number(self.value["Dpc"]):
            text += ", DPC %#x" % memory.number(self.value["Dpc"])
        return "%s, %s" % (text, self.state())


class Dpc:
    """KDPC."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        """What it calls."""
        queued = memory.number(self.value["DpcData"]) != 0
        return "DPC %s(context %#x)%s" % (
            memory.place(memory.number(self.value["DeferredRoutine"])),
            memory.number(self.value["DeferredContext"]), ", queued" if queued else "")


class Pte:
    """MMPTE."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        """The bits as letters, as `nt pte` prints them."""
        from . import paging  # pylint: disable=import-outside-toplevel
        entry = paging.Entry(1, 0, memory.number(self.value["Long"]), self.value["Hard"])
        frame = ", page %#x" % entry.frame if entry.valid else ""
        return "%#x (%s%s)" % (entry.value, entry.words(), frame)


PRINTERS = {
    "UNICODE_STRING": UnicodeString, "STRING": AnsiString, "LIST_ENTRY": ListEntry,
    "LARGE_INTEGER": LargeInteger, "KEVENT": Event, "KTIMER": Timer, "KDPC": Dpc, "MMPTE": Pte,
}


def lookup(value):
    """The printer for a value, by the name of its type, typedefs and underscores aside."""
    kind = value.type
    if kind.code == gdb.TYPE_CODE_TYPEDEF and kind.name == "NTSTATUS":
        return Code(value)
    kind = kind.unqualified().strip_typedefs()
    if kind.code not in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
        return None
    printer = PRINTERS.get((kind.tag or "").lstrip("_"))
    return printer(value) if printer else None


def install() -> None:
    """Called when the extension is loaded."""
    lookup.name, lookup.enabled = "lookaside", True
    gdb.printing.register_pretty_printer(None, lookup, replace=True)
