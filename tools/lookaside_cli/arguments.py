# SPDX-License-Identifier: MIT
"""The options of `lookaside run`: parsing, checking, and refusing what this version cannot do.

Everything here ends in a plain RunPlan; nothing here touches QEMU.
"""
import argparse
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Optional

from . import pe
from .build import build_missing
from .status import ROOT, UsageError

BOOTS = ("kernel", "bios", "uefi", "uefi32", "usb", "usb-uefi")
DEFAULT_DRIVERS = ("edu", "rtc")
DEFAULT_TIMEOUT = 120
MOST_FAILURES = 1000
VERIFIER_FLAGS = 0xD    # those that the kernel knows
DEFAULT_PORTS = {"gdb": 1234, "kgdb": 1235}
MOST_SECONDS = 10_000_000
MOST_DRIVERS = 64        # LOADER_MAX_MODULES
LONGEST_NAME = 63        # bytes: LOADER_NAME with its NUL
LEAST_MEMORY = 4 << 20   # below that no loader finds room for the kernel, which could say so


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line for people."""

    def error(self, message: str):
        raise UsageError("%s (try ./lookaside %s --help)" % (message, self.prog.split()[-1]))


@dataclass
class RunPlan:
    """What `lookaside run` was asked to do, checked and with its defaults filled in."""
    drivers: List[Path]
    arch: str
    boot: str = "kernel"
    smp: int = 1
    memory: str = "512M"
    options: str = ""
    imports: str = "refuse"
    pooltag: Optional[Path] = None
    verifier: int = 0
    special_pool: str = ""
    pool_guard: int = 0
    faults: str = ""
    fail_allocation: int = 0
    fail_each_allocation: range = range(0)  # which of them, one in each run
    devices: List[str] = field(default_factory=list)
    timeout: Optional[float] = None
    checked: bool = False
    accel: str = "auto"
    gdb: Optional[str] = None      # where gdb finds QEMU's server: ":PORT" or a socket's path
    kgdb: Optional[str] = None     # the same for the kernel's own server
    display: bool = False
    interactive: bool = False
    run_for: Optional[float] = None
    junit: Optional[Path] = None
    log: Optional[Path] = None
    json: Optional[Path] = None
    record: Optional[Path] = None
    build: bool = True
    qemu_arguments: List[str] = field(default_factory=list)

    @property
    def flavour(self) -> str:
        """Which build: free is fast, checked asserts."""
        return "checked" if self.checked else "free"

    @property
    def batch(self) -> bool:
        """Run the drivers and end with a verdict, rather than sit at the prompt."""
        return not self.interactive

    @property
    def kernel(self) -> Path:
        """The kernel's ELF file, with its symbols."""
        return ROOT / "build" / self.arch / self.flavour / "lookaside.elf"


def run_parser() -> Parser:
    """The parser of `lookaside run`."""
    parser = Parser(
        prog="lookaside run", allow_abbrev=False,
        usage="./lookaside run [DRIVER.sys ...] [options] [-- MORE-QEMU-ARGUMENTS]",
        description="Boots the kernel in QEMU. With drivers: loads them in order, calls "
                    "DriverEntry, lets them run, unloads them in reverse and ends with a verdict. "
                    "Without: runs the sample drivers and stays at the kernel's prompt (Ctrl-A X "
                    "ends QEMU).",
        epilog="Exit status: 0 clean; 1 a driver did not load or its DriverEntry failed; 2 the "
               "command line or a file was wrong; 3 bugcheck; 4 something was left behind at "
               "unload; 5 QEMU or this tool failed; 124 time ran out.")
    add = parser.add_argument
    add("drivers", nargs="*", metavar="DRIVER.sys", help="drivers to load, in this order")
    add("--arch", choices=("amd64", "i386"),
        help="default: what the drivers were built for, else amd64")
    add("--boot", choices=BOOTS, default="kernel",
        help="kernel: QEMU loads it (fastest); the others boot a medium through GRUB")
    add("--smp", type=int, default=1, metavar="N", help="processors of the machine")
    add("--memory", default="512M", metavar="SIZE", help="RAM of the machine, such as 16M or 64G")
    add("--options", default="", metavar="'/3GB ...'", help="boot.ini switches for the kernel")
    add("--imports", choices=("refuse", "trap"), default="refuse",
        help="missing imports: refuse the driver, or load it and stop at the first call of one")
    add("--pagefile", metavar="none", default="none", help="paging file: none in this version")
    add("--verifier", metavar="FLAGS",
        help="watch the drivers: 1 special pool for all, 4 allocations fail at random, 8 call "
             "stacks of pool blocks; default 9")
    add("--special-pool", default="", metavar="WHO",
        help="put pool blocks between inaccessible pages: all, tag:PATTERN, size:N-M, driver:NAME, "
             "overrun (default) or underrun, separated by commas")
    add("--pool-guard", type=int, default=0, metavar="RATE",
        help="the same for one allocation in RATE")
    add("--faults", default="", metavar="CHANCE,TAGS,SECONDS,SEED",
        help="fail allocations: CHANCE in 10000, tags like TAGS, SECONDS after start")
    add("--pooltag", type=Path, metavar="FILE", help="a pooltag.txt: what pool tags stand for")
    add("--fail-each-allocation", metavar="MOST|FIRST-LAST",
        help="run again and again, failing the drivers' first, second, ... allocation, until "
             "a run has none left to fail or MOST (default %d) were failed" % MOST_FAILURES)
    add("--device", action="append", default=[], metavar="QEMU-DEVICE", dest="devices",
        help="add a device to the machine, as for qemu -device; may repeat")
    add("--timeout", type=float, metavar="SECONDS",
        help="give up after this time; 0: never; default %d when headless" % DEFAULT_TIMEOUT)
    add("--checked", action="store_true", help="run the checked build: asserts, invariants, UBSan")
    add("--accel", choices=("auto", "kvm", "tcg"), default="auto", help="how QEMU runs the guest")
    add("--gdb", metavar="PORT|SOCKET",
        help="QEMU's gdb server; starts stopped (default port %d)" % DEFAULT_PORTS["gdb"])
    add("--kgdb", metavar="PORT|SOCKET",
        help="the kernel's own gdb server, on COM2; stops at KiSystemStartup (default port %d)"
        % DEFAULT_PORTS["kgdb"])
    add("--display", action="store_true", help="open a window with the machine's screen")
    add("--interactive", action="store_true", help="stay at the kernel's prompt, in this terminal")
    add("--run-for", type=float, metavar="SECONDS",
        help="let the drivers run this long before unloading; default: until they are idle")
    add("--junit", type=Path, metavar="FILE", help="write the result as JUnit XML")
    add("--log", type=Path, metavar="FILE", help="write the debug log to FILE as well")
    add("--json", type=Path, metavar="FILE", help="write the result as JSON")
    add("--record", type=Path, metavar="FILE",
        help="record the run: ./lookaside replay FILE --gdb goes back and forth in it")
    add("--no-build", action="store_false", dest="build",
        help="do not bring the kernel up to date first")
    return parser


def memory_bytes(size: str) -> int:
    """What a size with its unit says; without one it is in MiB, as for QEMU."""
    shift = {"K": 10, "M": 20, "G": 30, "T": 40}
    return int(size.rstrip("KMGTkmgt")) << shift.get(size[-1].upper(), 20)


def safe_name(path: Path) -> str:
    """The name the kernel knows a driver by.

    Blanks and commas end names in QEMU's -initrd list and GRUB; the kernel cuts a long name off,
    and takes a module without .sys for data.
    """
    stem = path.name[:-4] if path.name.lower().endswith(".sys") else path.name
    stem = re.sub(r"[^\w.+-]", "_", stem).encode()[:LONGEST_NAME - 4].decode("utf-8", "ignore")
    return stem + (path.name[-4:] if path.name.lower().endswith(".sys") else ".sys")


def split_arguments(argv: List[str]) -> tuple:
    """Separates our arguments from QEMU's, and completes options whose value may be left out.

    argparse would take a driver's name after a bare --gdb or --verifier for its value.
    """
    ours, qemu = argv, []
    if "--" in argv:
        at = argv.index("--")
        ours, qemu = argv[:at], argv[at + 1:]
    bare = {"--" + name: "--%s=%d" % (name, port) for name, port in DEFAULT_PORTS.items()}
    bare["--verifier"] = "--verifier=9"
    bare["--fail-each-allocation"] = "--fail-each-allocation=%d" % MOST_FAILURES
    return [bare.get(argument, argument) for argument in ours], qemu


def check_drivers(names: List[str]) -> List[Path]:
    """The drivers as paths; each must be a file that can be read."""
    drivers = [Path(name) for name in names]
    for driver in drivers:
        if driver.is_dir():
            raise UsageError("%s is a directory, not a driver" % driver)
        if driver.exists() and not driver.is_file():
            raise UsageError("%s is not a regular file" % driver)
        try:
            with open(driver, "rb") as stream:
                empty = not stream.read(1)
        except OSError as error:
            raise UsageError("cannot read %s: %s" % (driver, error.strerror.lower())) from None
        if empty:
            raise UsageError("%s is empty" % driver)
    if len(drivers) > MOST_DRIVERS:
        raise UsageError("%d drivers are too many; one run takes %d" % (len(drivers), MOST_DRIVERS))
    seen = {}
    for driver in drivers:
        other = seen.setdefault(safe_name(driver).lower(), driver)
        if other is not driver:
            raise UsageError("%s and %s have the same name, %s; the kernel loads a driver once"
                             % (other, driver, safe_name(driver)))
    return drivers


def choose_arch(asked: Optional[str], drivers: List[Path]) -> str:
    """The architecture asked for, else the one the drivers were built for, else amd64."""
    if asked:
        return asked
    machines = {arch: driver for driver in drivers for arch in [pe.architecture(driver)] if arch}
    if len(machines) > 1:
        raise UsageError("%s is an amd64 driver and %s an i386 one; run them separately"
                         % (machines["amd64"], machines["i386"]))
    return next(iter(machines), "amd64")


def gdb_place(option: str, text: Optional[str]) -> Optional[str]:
    """What gdb's `target remote` takes: ":PORT", or the path of a socket."""
    if text is None:
        return None
    if text.isdigit():
        if not 1 <= int(text) <= 65535:
            raise UsageError("--%s=%s: give a port from 1 to 65535" % (option, text))
        return ":" + text
    if not Path(text).absolute().parent.is_dir():
        raise UsageError("--%s=%s: give a port, or a socket's path in a directory that exists"
                         % (option, text))
    return str(Path(text).absolute())


def check_target(target: Path) -> None:
    """Refuses a file that could not be written when the run is over."""
    if not target.absolute().parent.is_dir():
        raise UsageError("cannot write %s: there is no such directory" % target)
    if target.is_dir():
        raise UsageError("cannot write %s: it is a directory" % target)
    if not os.access(target if target.exists() else target.absolute().parent, os.W_OK):
        raise UsageError("cannot write %s: permission denied" % target)


SPECIAL_POOL = re.compile(r"all|overrun|underrun|tag:\S{1,4}|size:\d+(-\d+)?|driver:[^,\s]+")
FAULTS = re.compile(r"\d*(,[^,\s]*(,\d*(,\d*)?)?)?")


def allocations_to_fail(text: Optional[str]) -> range:
    """The numbers that MOST or FIRST-LAST stands for; none without the option."""
    if text is None:
        return range(0)
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)", text)
    first, last = (int(match.group(1) or 1), int(match.group(2))) if match else (0, 0)
    if not 1 <= first <= last:
        raise UsageError("--fail-each-allocation=%s: give how many, or FIRST-LAST" % text)
    return range(first, last + 1)


def check_watching(given: argparse.Namespace) -> None:
    """Turns --verifier into a number and refuses what the kernel would ignore."""
    try:
        given.verifier = int(given.verifier or "0", 0)
    except ValueError:
        raise UsageError("--verifier=%s: give a number, such as 0x5" % given.verifier) from None
    if given.verifier & ~VERIFIER_FLAGS:
        raise UsageError("--verifier=%#x: the kernel knows %#x" % (given.verifier, VERIFIER_FLAGS))
    for item in filter(None, given.special_pool.split(",")):
        if not SPECIAL_POOL.fullmatch(item):
            raise UsageError("--special-pool %s: give all, tag:PATTERN, size:N-M, driver:NAME, "
                             "overrun or underrun" % item)
    if given.pooltag and not given.pooltag.is_file():
        raise UsageError("cannot read %s: no such file" % given.pooltag)
    if given.pool_guard < 0:
        raise UsageError("--pool-guard %d: give how many allocations share one guard"
                         % given.pool_guard)
    if not FAULTS.fullmatch(given.faults):
        raise UsageError("--faults %s: give CHANCE,TAGS,SECONDS,SEED" % given.faults)
    if int(given.faults.split(",")[0] or 0) > 10000:
        raise UsageError("--faults %s: CHANCE is in 10000" % given.faults)
    given.fail_each_allocation = allocations_to_fail(given.fail_each_allocation)
    if given.fail_each_allocation and not given.drivers:
        raise UsageError("--fail-each-allocation: give a driver to run")


def check_values(given: argparse.Namespace) -> None:
    """Refuses values that make no sense and features this version does not have."""
    if not re.fullmatch(r"[1-9]\d*[KMGTkmgt]?", given.memory):
        raise UsageError("--memory %s: give a size such as 16M, 512M or 64G" % given.memory)
    if memory_bytes(given.memory) < LEAST_MEMORY:
        raise UsageError("--memory %s: the kernel itself does not fit; give 8M or more"
                         % given.memory)
    if not 1 <= given.smp <= 255:
        raise UsageError("--smp %d: give 1 to 255 processors" % given.smp)
    if given.pagefile.lower() != "none":
        raise UsageError("--pagefile %s: this version has no paging to disk; all memory stays "
                         "resident" % given.pagefile)
    check_watching(given)
    for name in ("timeout", "run_for"):
        value = getattr(given, name)
        if value is not None and value < 0:
            raise UsageError("--%s %g: time does not run backwards"
                             % (name.replace("_", "-"), value))
        if value is not None and not (math.isfinite(value) and value <= MOST_SECONDS):
            raise UsageError("--%s %g: give at most %d seconds"
                             % (name.replace("_", "-"), value, MOST_SECONDS))
    given.gdb = gdb_place("gdb", given.gdb)
    given.kgdb = gdb_place("kgdb", given.kgdb)
    for target in (given.junit, given.log, given.json, given.record):
        if target is not None:
            check_target(target)


def run_plan(argv: List[str]) -> RunPlan:
    """Parses the arguments of `lookaside run`."""
    ours, qemu = split_arguments(argv)
    given = run_parser().parse_intermixed_args(ours)
    check_values(given)
    if given.build:
        build_missing(given.drivers)
    drivers = check_drivers(given.drivers)
    arch = choose_arch(given.arch, drivers)
    values = dict(vars(given))
    del values["pagefile"]
    values.update(drivers=drivers, arch=arch, qemu_arguments=qemu)
    plan = RunPlan(**values)
    if not drivers:
        plan.interactive = True
        shipped = ROOT / "build" / "drivers" / arch
        plan.drivers = [shipped / (name + ".sys") for name in DEFAULT_DRIVERS]
        plan.devices = ["edu"] + plan.devices
    return plan
