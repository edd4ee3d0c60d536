#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves that a driver and the kernel mean the same bytes by the same names.

A driver is compiled against mingw-w64's DDK headers, the kernel against include/nt. Both describe
the same binary interface independently; this program compares them, for amd64 and i386:

    records    size, alignment, and for every field of either side its offset and size; for a bit
               field the bits it occupies
    typedefs   size, and signedness of integers
    constants  enumerators and #defines that both sides have

No list is kept by hand. gdb reads from the debug information of both sides what there is
(list_types.py); a table with one line of C for each fact is written and compiled by both compilers,
each with the flags its code is really built with; the two object files are read and compared. A
line that does not compile names something that side does not have: for a record or a field that is
a failure, unless exceptions.txt says where the layout is documented.

KPCR is compared as far as the DDK shows it: what follows is the kernel's own.

    tests/abi/compare.py              compare; then prove on altered headers that it can fail
    tests/abi/compare.py --verbose    also every fact that agrees

Output: a line a mismatch, then "N passed, N failed"; exit status 1 if anything failed.
"""
import argparse
import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Set

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUT = ROOT / "build" / "abi"

ARCHES = ("amd64", "i386")
MINGW = {"amd64": ("x86_64-w64-mingw32-", "_AMD64_"), "i386": ("i686-w64-mingw32-", "_X86_")}
VERSION = ["-D_WIN32_WINNT=0x0601", "-DNTDDI_VERSION=0x06010000"]

# The kernel's own structures: those that the DDK shows the beginning of, those it only names.
SHOWN_IN_PART = ("KPCR",)
KERNEL_ONLY = ("KPRCB", "KTHREAD", "KI_CALL", "KE_HELD_LOCK")

# What a macro that stands for a constant does not contain.
NO_CONSTANT = re.compile(r'[;{}"]|__attribute__|\b(?:static|void)\b')

# What a table entry begins with in the object file: key, value; then, of a bit field's record with
# only that field set, place in the entry and size; size of the entry.
HEADER = struct.Struct("<5Q")
TABLE_START = """
struct abi_header { unsigned long long key, value, at, size, total; };
#define ENTRY __attribute__((aligned(64)))
#define TABLE __attribute__((section(".abi"), used))
int abi_anchor;
"""


class Fact(NamedTuple):
    """Something both sides have an opinion on."""
    kind: str   # size, align, offset, width, bits, typesize, signed, value
    owner: str  # the record or typedef it belongs to; the constant
    path: str   # field, if it is about one

    def __str__(self):
        where = self.owner + ("." + self.path if self.path else "")
        return "%s of %s" % (self.kind, where) if self.kind != "value" else where


class Side:
    """One compiler with one set of headers."""

    def __init__(self, name: str, compiler: List[str], objcopy: str, includes: List[str]):
        self.name = name
        self.compiler = compiler
        self.objcopy = objcopy
        self.includes = "".join("#include <%s>\n" % header for header in includes)
        self.records: Dict[str, Dict[str, bool]] = {}  # fields by path, whether they are bits
        self.typedefs: Dict[str, bool] = {}            # whether they are integers
        self.macros: Set[str] = set()
        self.constants: Set[str] = set()               # enumerators, macros that may be constants

    def run(self, source: Path, *options: str) -> subprocess.CompletedProcess:
        """Compiles a file of ours; the result says how it went."""
        command = self.compiler + ["-w", "-fno-diagnostics-show-caret", *options, str(source)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    def look(self, linked: bool):
        """Finds out what this side's headers declare, by debug information and preprocessor."""
        source, image = self.file("types.c"), self.file("types.img")
        source.write_text(self.includes + TABLE_START)
        # gdb reads PE images, but no PE object files.
        how = ["-nostdlib", "-Wl,-e,0"] if linked else ["-c"]
        done = self.run(source, "-g", "-fno-eliminate-unused-debug-types", *how, "-o", str(image))
        if done.returncode:
            sys.exit("%s: the headers do not compile:\n%s" % (self.name, done.stderr))
        text = output("gdb", "-batch", "-nx", "-ex", "source %s" % (HERE / "list_types.py"), image)
        listing = json.loads(text[text.index("{"):])
        self.records = {name: dict(map(tuple, fields))
                        for name, fields in listing["records"].items()}
        self.typedefs = listing["typedefs"]
        self.macros = self.list_macros()
        self.constants = self.macros | set(listing["constants"])

    def list_macros(self) -> Set[str]:
        """Object-like macros of this side's headers, without the compiler's own."""
        def defined(text: str) -> Set[str]:
            source = self.file("macros.c")
            source.write_text(text)
            lines = self.run(source, "-E", "-dM").stdout.splitlines()
            parts = [line.split(None, 2) for line in lines]
            return {part[1] for part in parts
                    if len(part) == 3 and "(" not in part[1] and not NO_CONSTANT.search(part[2])}
        return defined(self.includes) - defined("")

    def file(self, name: str) -> Path:
        """A file of this side in the build directory."""
        return OUT / ("%s-%s" % (self.name, name))

    def declares(self, fact: Fact) -> bool:
        """Whether this side is likely to have something: a failed line costs much more."""
        if fact.kind == "value":
            return fact.owner in self.constants
        if fact.path and fact.owner in self.records:
            # Inside a field that has a type with a name: listed with that type.
            return any(fact.path == path or fact.path.startswith((path + ".", path + "["))
                       for path in self.records[fact.owner])
        return any(fact.owner in names for names in (self.records, self.typedefs, self.macros))

    def values(self, facts: List[Fact]) -> Dict[Fact, int]:
        """Evaluates the facts that this side has."""
        return self.evaluate({key: fact for key, fact in enumerate(facts) if self.declares(fact)})

    def evaluate(self, facts: Dict[int, Fact]) -> Dict[Fact, int]:
        """Compiles one table, leaving out lines that turn out not to compile."""
        source, image = self.file("table.c"), self.file("table.o")
        head = self.includes + TABLE_START
        first = head.count("\n") + 1
        while True:
            keys = list(facts)
            source.write_text(head + "\n".join(table_line(key, facts[key]) for key in keys) + "\n")
            done = self.run(source, "-fmax-errors=0", "-c", "-o", str(image))
            if done.returncode == 0:
                return self.read_table(image, facts)
            # An error inside a macro names the macro's line, a note then the table's.
            wrong = {int(number) - first for number in
                     re.findall(r"^%s:(\d+):.*(?:error|note):" % re.escape(str(source)),
                                done.stderr, re.M)}
            if not wrong or min(wrong) < 0:
                sys.exit("%s: the table does not compile:\n%s" % (self.name, done.stderr))
            facts = {key: facts[key] for index, key in enumerate(keys) if index not in wrong}

    def read_table(self, image: Path, facts: Dict[int, Fact]) -> Dict[Fact, int]:
        """Reads the compiled table: a number for most facts, a mask of bits for a bit field."""
        raw = self.file("table.bin")
        output(self.objcopy, "-O", "binary", "--only-section=.abi", image, raw)
        data, position, found = raw.read_bytes(), 0, {}
        while len(found) < len(facts):
            key, value, start, size, total = HEADER.unpack_from(data, position)
            fact = facts[key]
            found[fact] = value
            if fact.kind == "bits":
                start += position
                found[fact] = int.from_bytes(data[start:start + size], "little")
            position += total
        return found


def table_line(key: int, fact: Fact) -> str:
    """The line of C that states one fact. One line, so that an error names the fact."""
    owner, path, name = fact.owner, fact.path, "abi_%d" % key
    if fact.kind == "bits":
        return ("struct { struct abi_header h; %s v; } ENTRY %s TABLE = {{%d, 0, "
                "__builtin_offsetof(typeof(%s), v), sizeof(%s), sizeof %s}, {.%s = -1}};"
                % (owner, name, key, name, owner, name, path))
    expression = {
        "size": "sizeof(%s)" % owner,
        "align": "_Alignof(%s)" % owner,
        "offset": "__builtin_offsetof(%s, %s)" % (owner, path),
        "width": "sizeof(((%s *)0)->%s)" % (owner, path),
        "typesize": "sizeof(%s)" % owner,
        "signed": "(%s)-1 < (%s)0" % (owner, owner),
        "value": "(unsigned long long)(%s)" % owner,
    }[fact.kind]
    return ("struct { struct abi_header h; } ENTRY %s TABLE = {{%d, %s, 0, 0, sizeof %s}};"
            % (name, key, expression, name))


def output(*command) -> str:
    """What a program that must succeed prints."""
    return subprocess.run([str(word) for word in command], cwd=ROOT, text=True, check=True,
                          stdout=subprocess.PIPE).stdout


def kernel_side(arch: str, override: Optional[Path] = None) -> Side:
    """Our compiler and flags, as the Makefile has them; headers in `override` come first."""
    line = output("make", "-s", "--no-print-directory", "ARCH=" + arch, "CHECKED=0", "abi-flags",
                  "--eval", "abi-flags: ; @echo $(CC) $(KCFLAGS) '|' $(OBJCOPY)")
    compiler, objcopy = line.strip().split("|")
    flags = [word for word in compiler.split() if word not in ("-MMD", "-MP")]
    if override:
        flags.insert(1, "-I%s" % override)
    return Side("kernel-" + arch, flags, objcopy.strip(), ["nt/nt.h", "pcr.h"])


def driver_sides(arch: str) -> List[Side]:
    """mingw-w64's headers: the DDK's, and for what they leave to winnt.h the user mode ones."""
    prefix, machine = MINGW[arch]
    compiler = [prefix + "gcc", "-std=gnu11", "-D" + machine, *VERSION]
    # The DDK headers include each other by bare name.
    found = output(*compiler, "-M", "-MG", "-include", "ddk/ntddk.h", "-x", "c", "/dev/null")
    compiler.append("-I%s" % Path(re.search(r"\S+/ddk/ntddk\.h", found).group()).parent)
    return [Side("ddk-" + arch, compiler + ["-Idrivers/include"], prefix + "objcopy",
                 ["ntifs.h", "ntddk.h", "ntimage.h", "ntstatus.h", "bugcodes.h", "lkddk.h"]),
            Side("winnt-" + arch, compiler, prefix + "objcopy", ["windows.h"])]


class Comparison:
    """Everything known about one architecture's two descriptions."""

    def __init__(self, arch: str, exceptions: Dict[str, tuple]):
        self.arch = arch
        self.exceptions = exceptions
        self.drivers = driver_sides(arch)
        for side in self.drivers:
            side.look(linked=True)
        self.passed: List[str] = []
        self.failed: List[str] = []
        self.missing: Set[tuple] = set()

    def run(self, kernel: Side):
        """Compares the kernel's headers with the driver's."""
        self.passed, self.failed, self.missing = [], [], set()
        kernel.look(linked=False)
        facts = self.facts(kernel)
        ours = kernel.values(facts)
        theirs = [side.values(facts) for side in self.drivers]
        for fact in facts:
            self.judge(fact, ours, theirs)
        self.check_exceptions(kernel, ours, theirs)

    def facts(self, kernel: Side) -> List[Fact]:
        """All there is to compare, from what either side declares."""
        facts = []
        for name, fields in kernel.records.items():
            facts += self.record_facts(name, fields)
        for name, is_integer in kernel.typedefs.items():
            if name in kernel.records:
                continue
            facts += [Fact(kind, name, "")
                      for kind in ("typesize",) + (("signed",) if is_integer else ())]
        return facts + [Fact("value", name, "") for name in sorted(kernel.constants)]

    def record_facts(self, name: str, fields: Dict[str, bool]) -> List[Fact]:
        """What there is to compare about a record: the fields of either side."""
        shown = next((side.records[name] for side in self.drivers if name in side.records), {})
        if name in KERNEL_ONLY:
            return []
        if name in SHOWN_IN_PART:
            fields, whole = {}, []
        else:
            whole = [Fact("size", name, ""), Fact("align", name, "")]
        return whole + [Fact(kind, name, path) for path, is_bits in {**fields, **shown}.items()
                        for kind in (("bits",) if is_bits else ("offset", "width"))]

    def judge(self, fact: Fact, ours: dict, theirs: List[dict]):
        """Compares one fact, or finds that the driver's side has no opinion on it."""
        if fact.kind in ("typesize", "signed", "value"):
            known = next((known for known in theirs if fact in known), None)
            name = fact.owner
        else:
            known = next((known for side, known in zip(self.drivers, theirs)
                          if fact.owner in side.records
                          or Fact("size", fact.owner, "") in known), None)
            name = "%s.%s" % (fact.owner, fact.path)
            if known is None and fact.kind == "size" and fact.owner not in self.exceptions:
                self.fail("%s is not in mingw-w64's headers and has no line in exceptions.txt"
                          % fact.owner)
        if known is None:
            return
        if name not in self.exceptions:
            self.count(fact, ours.get(fact), known.get(fact))
        elif ours.get(fact) == known.get(fact):
            self.fail("%s has a line in exceptions.txt, but agrees" % name)

    def count(self, fact: Fact, our: Optional[int], their: Optional[int]):
        """One comparison made; None is what a side lacks."""
        if our is None and their is None:
            self.fail("%s does not compile on either side" % fact)
        elif our == their:
            self.passed.append("%s: %s is %s" % (self.arch, fact, show(fact, our)))
        elif our is not None and their is not None:
            self.fail("%s: ours %s, the driver's %s" % (fact, show(fact, our), show(fact, their)))
        elif self.outermost(fact):
            self.fail("%s: only the %s's headers have it"
                      % (".".join(filter(None, fact[1:])), "driver" if our is None else "kernel"))

    def outermost(self, fact: Fact) -> bool:
        """Whether a missing field is worth a line: one for a field, none for what is inside it."""
        outside = re.sub(r"(\[0\])?\.[^.]*$", "", fact.path)
        missing = (fact.owner, outside) in self.missing
        self.missing.add((fact.owner, fact.path))
        return not missing and fact.kind != "width"

    def check_exceptions(self, kernel: Side, ours: dict, theirs: List[dict]):
        """An exception has the documented size, and is needed."""
        for name, (sizes, _) in self.exceptions.items():
            size = sizes.get(self.arch)
            if size is None:
                continue
            fact = Fact("size", name, "")
            if any(fact in known for known in theirs):
                self.fail("%s has a line in exceptions.txt, but mingw-w64 has it" % name)
            elif name not in kernel.records:
                self.fail("%s has a line in exceptions.txt, but is not declared" % name)
            else:
                self.count(fact, ours[fact], size)

    def fail(self, text: str):
        """One promise broken."""
        self.failed.append("%s: %s" % (self.arch, text))


def show(fact: Fact, value: int) -> str:
    """A value as people read it."""
    return "%#x" % value if fact.kind in ("bits", "value") else str(value)


def read_exceptions() -> Dict[str, tuple]:
    """exceptions.txt: name, size on amd64 and i386 ("-": not there), public source."""
    exceptions = {}
    for line in (HERE / "exceptions.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, amd64, i386, source = line.split(None, 3)
            sizes = {arch: int(size) for arch, size in zip(ARCHES, (amd64, i386)) if size != "-"}
            exceptions[name] = (sizes, source)
    return exceptions


# Wrong on purpose: file, what to alter, into what, the mismatch that must be reported.
ALTERATIONS = (
    ("ketypes.h", r"(typedef struct _KDPC \{\s+UCHAR Type;)", r"\1 ULONG64 Shift;",
     "offset of KDPC.DeferredRoutine"),
    ("ketypes.h", r"LONG Limit;", "SHORT Limit;", "width of KSEMAPHORE.Limit"),
    ("ketypes.h", r"UCHAR Coalescable : 1;\s+UCHAR KeepShifting : 1;",
     "UCHAR KeepShifting : 1; UCHAR Coalescable : 1;", "bits of DISPATCHER_HEADER.Coalescable"),
    ("ketypes.h", r"typedef struct DECLSPEC_ALIGN\(16\) _M128A", "typedef struct _M128A",
     "align of M128A"),
    ("mmtypes.h", r"#define MDL_PAGES_LOCKED +0x0002", "#define MDL_PAGES_LOCKED 0x0004",
     "MDL_PAGES_LOCKED"),
    ("ntdef.h", r"KernelMode,\s+UserMode,", "UserMode, KernelMode,", "KernelMode"),
    ("ntdef.h", r"typedef UCHAR KIRQL", "typedef CHAR KIRQL", "signed of KIRQL"),
    ("mmtypes.h", r"PVOID MappedSystemVa;", "PVOID MappedVa;", "MDL.MappedSystemVa"),
    ("pcitypes.h", r"(UCHAR IOBase;)", r"\1 UCHAR Pad;", "size of PCI_COMMON_HEADER"),
)


def self_test(comparison: Comparison) -> List[str]:
    """Feeds wrong headers; returns what was not noticed."""
    with tempfile.TemporaryDirectory(dir=OUT) as folder:
        shutil.copytree(ROOT / "include" / "nt", Path(folder, "nt"))
        for name, pattern, replacement, _ in ALTERATIONS:
            header = Path(folder, "nt", name)
            text, count = re.subn(pattern, replacement, header.read_text(), count=1)
            if not count:
                return ["%s has no %s to alter" % (name, pattern)]
            header.write_text(re.sub(r"C_ASSERT\(sizeof.*", "", text))
        comparison.run(kernel_side(comparison.arch, Path(folder)))
    return [expected for *_, expected in ALTERATIONS
            if not any(": %s: " % expected in line for line in comparison.failed)]


def main() -> int:
    """Both architectures, then the proof that a difference is noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verbose", action="store_true", help="print every fact that agrees")
    arguments = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    exceptions = read_exceptions()
    passed = failed = 0
    for arch in ARCHES:
        comparison = Comparison(arch, exceptions)
        comparison.run(kernel_side(arch))
        for line in (comparison.passed if arguments.verbose else []) + comparison.failed:
            print(line)
        passed += len(comparison.passed)
        failed += len(comparison.failed)
        missed = self_test(comparison)
        passed += len(ALTERATIONS) - len(missed)
        failed += len(missed)
        for expected in missed:
            print("%s: self-test: altered headers, but no mismatch of: %s" % (arch, expected))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
