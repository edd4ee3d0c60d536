#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the kernel: one table, each row printed as soon as it is known; and build/bench.json.

Instructions are counted by QEMU (-icount shift=0): one instruction is one tick of the guest's time
stamp counter, so these figures do not depend on the host and two runs agree. Wall times do depend
on it; they are the least of several runs. Peers' figures come from Linux 6.1 on the same emulator.

A step is one way of measuring and the rows it gives, for one architecture at a time. One that fails
costs its own rows only: the table says "failed" and why, the rest is measured, and the exit status
is that of the first failure. build/bench.json is written after every step.

    bench/bench.py [--arch amd64|i386] [--malloc] [ROW...]

By default everything: both architectures, and malloc. ROW is the beginning of keys in STEPS
("pool", "boot-wall"): only the steps that give such rows are taken.
"""
import argparse
import functools
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parent.parent
sys.path[1:1] = [str(ROOT / "tools"), str(ROOT / "bench"), str(ROOT / "tests" / "hardware")]

# pylint: disable=wrong-import-position
import gdbrates
import machines as hardware
import mallocs
import run as hardware_run
import traces
from lookaside_cli.arguments import run_plan
from lookaside_cli.machine import qemu_command
from lookaside_cli.report import Outcome
from lookaside_cli.run import run_once
from lookaside_cli.session import die_with_parent
from lookaside_cli.status import CLEAN, INTERRUPTED, LookasideError, ToolError
from lookaside_cli.symbols import Symbols

ARCHES = ("amd64", "i386")
ICOUNT = ("-icount", "shift=0,sleep=off")
IDLE_GDB_SERVER = ("-chardev", "null,id=com2", "-serial", "chardev:com2")
WALL_RUNS = 5
WALL_SECONDS = 20   # a slow firmware is booted less often
LONGEST_BOOT = 120  # seconds

Figures = Dict[str, float]


class Row(NamedTuple):
    """One line of the table."""
    key: str
    what: str
    unit: str = "instructions"
    peer: Optional[float] = None
    goal: Optional[float] = None


class Step(NamedTuple):
    """What is measured at once, for one architecture."""
    measure: Callable[[str], Figures]
    rows: Tuple[Row, ...]


# ---- running the kernel --------------------------------------------------------------------------
def run(arch: str, drivers: List[Path], *options: str, qemu: Tuple[str, ...] = ()) -> Outcome:
    """One run of the free kernel."""
    plan = run_plan([*map(str, drivers), "--no-build", "--arch", arch, "--accel", "tcg", *options,
                     "--", *qemu])
    return run_once(plan, [], Symbols(arch, plan.kernel, plan.drivers))


def clean(outcome: Outcome) -> Outcome:
    """A run whose figures count."""
    if outcome.status != CLEAN:
        raise ToolError("a run failed: %s" % "\n".join(outcome.lines[-10:] + [outcome.verdict]))
    return outcome


def driver(arch: str, name: str, kind: str = "bench") -> Path:
    """A driver of bench/guest, or of another kind."""
    return ROOT / "build" / kind / arch / (name + ".sys")


def reported(outcome: Outcome) -> Figures:
    """What a driver of bench/guest says."""
    found = (re.match(r"BENCH (\S+) (\d+)$", line) for line in outcome.lines)
    return {match.group(1): int(match.group(2)) for match in found if match}


def number(pattern: str, text: str) -> int:
    """The number that a pattern's group finds."""
    match = re.search(pattern, text)
    if not match:
        raise ToolError("the log does not say: " + pattern)
    return int(match.group(1))


# ---- the measurements ----------------------------------------------------------------------------
def measure_instructions(arch: str) -> Figures:
    """Everything counted in instructions."""
    outcome = clean(run(arch, [driver(arch, "bench")], "--device", "edu", qemu=ICOUNT))
    figures = reported(outcome)
    first = number(r"first instruction at (\d+)", "\n".join(outcome.lines))
    figures["boot-instructions"] = figures.pop("entered") - first
    figures["switch"] = figures.pop("event-round") / 2
    return figures


LIVE = ("1K", "1M", "10M")


def measure_live(arch: str) -> Figures:
    """What a pair costs while so many blocks live. i386 has no addresses for ten million."""
    figures = reported(clean(run(arch, [driver(arch, "live")], "--memory", "1G", "--timeout", "600",
                                 qemu=ICOUNT)))
    return figures if arch == "amd64" else {"live-10M": None, **figures}


@functools.lru_cache(maxsize=None)
def trace_of(program: str) -> List[Tuple[int, int]]:
    """What a program allocates, recorded once for all architectures."""
    return traces.operations(traces.record(program))


def measure_traces(arch: str) -> Figures:
    """What real programs allocate, done again: instructions an operation, memory over bytes."""
    figures = {}
    for program in traces.installed():
        with tempfile.TemporaryDirectory(prefix="lookaside-bench-") as folder:
            replay = Path(folder, "replay.sys")
            traces.write_driver(driver(arch, "replay", "pool"), replay, trace_of(program))
            outcome = clean(run(arch, [replay], "--options", '/MONITOR="!poolused 1 Rlay"',
                                qemu=ICOUNT))
        found, log = reported(outcome), "\n".join(outcome.lines)
        peak = sum(number(pattern, log) for pattern in (r"(?m)^ Rlay .* (\d+)/\d+$",
                                                        r"(?m)^ Rlay .* \d+/(\d+)$"))
        figures["trace-" + program] = found["replay"]
        figures["trace-memory-" + program] = 100 * peak / found["replay-live"]
    return figures


def measure_idle_gdb_server(arch: str) -> Figures:
    """What everything costs more while the kernel's gdb server is there and nobody asks it."""
    alone, served = (reported(clean(run(arch, [driver(arch, "bench")], *options,
                                        qemu=ICOUNT + IDLE_GDB_SERVER)))
                     for options in ([], ["--options", "/DEBUG /DEBUGPORT=COM2"]))
    del alone["entered"]
    return {"gdb-idle": max(served[key] - alone[key] for key in alone)}


def measure_processors(arch: str) -> Figures:
    """What four processors cost each other. The host should have as many free."""
    return reported(clean(run(arch, [driver(arch, "processors")], "--smp", "4")))


def boot_once(arch: str, boot: str) -> Tuple[float, float]:
    """Seconds from QEMU's start to the first word of a driver, and to the prompt."""
    plan = run_plan([str(driver(arch, "rtc", "drivers")), "--no-build", "--interactive",
                     "--arch", arch, "--accel", "tcg", "--boot", boot])
    with tempfile.TemporaryDirectory(prefix="lookaside-bench-") as folder:
        command = qemu_command(plan, Path(folder))
        start = time.monotonic()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, preexec_fn=die_with_parent) as process:
            try:
                return tuple(moment - start for moment in moments(process, (b"\nrtc: ", b"\n> ")))
            finally:
                process.kill()


def moments(process: subprocess.Popen, words: Tuple[bytes, ...]) -> List[float]:
    """When each of these came first, in this order, in what a process says."""
    text, found = b"", []
    while len(found) < len(words):
        data = process.stdout.read1(4096)
        if not data:
            raise ToolError("QEMU ended before it said %r" % words[len(found)])
        text += data.replace(b"\r", b"")
        while len(found) < len(words) and words[len(found)] in text:
            found.append(time.monotonic())
    return found


def wall(boot: str) -> Callable[[str], Figures]:
    """The measurement of one way to boot."""
    def measure(arch: str) -> Figures:
        runs, end = [], time.monotonic() + WALL_SECONDS
        while len(runs) < WALL_RUNS and (not runs or time.monotonic() < end):
            runs.append(boot_once(arch, boot))
        entry, prompt = (round(min(times) * 1000) for times in zip(*runs))
        return {"boot-wall-" + boot: entry, "prompt-" + boot: prompt}
    return measure


def wall_step(boot: str, how: str) -> Step:
    """The rows of one way to boot."""
    return Step(wall(boot), (
        Row("boot-wall-" + boot, "QEMU's start to DriverEntry, " + how, "ms"),
        Row("prompt-" + boot, "QEMU's start to the prompt, " + how, "ms")))


def measure_scroll(arch: str) -> Figures:
    """Lines a second on a large framebuffer: the medium's own way to set one."""
    screen = hardware.Machine(
        "bench-scroll-" + arch, "", arch=arch, memory="128M", console="serial",
        qemu=("-machine", "pc", *hardware.STICK["ehci"]), commands="run rtc; hwinfo; !scroll",
        menu="set display=1920x1080x32\n", says=(r"scroll: \d+ lines on 240x67",))
    problem = hardware_run.boot(screen)
    if problem:
        raise ToolError("no screen to scroll: " + problem)
    text = (hardware_run.OUT / (screen.name + ".txt")).read_text()
    return {"scroll": number(r"(\d+) lines a second", text)}


def memory_step(size: str, words: str, peer: Optional[int] = None,
                goal: Optional[int] = None) -> Step:
    """KiB in use after boot."""
    def measure(arch: str) -> Figures:
        outcome = clean(run(arch, [driver(arch, "rtc", "drivers")], "--memory", size))
        return {"ram-" + size: number(r"(\d+) KiB in use", "\n".join(outcome.lines))}
    return Step(measure, (Row("ram-" + size, "RAM used after boot, %s machine" % words, "KiB", peer,
                              goal),))


def measure_least_memory(arch: str) -> Figures:
    """MiB of the smallest machine on which the guest tests run clean."""
    tests = sorted((ROOT / "build" / "tests" / arch).glob("*.sys"))
    low, high = 4, 32
    while low < high:
        middle = (low + high) // 2
        outcome = run(arch, tests, "--memory", "%dM" % middle, "--device", "edu", "--timeout", "60")
        outcome.judge_tests()
        low, high = (low, middle) if outcome.status == CLEAN else (middle + 1, high)
    return {"least-memory": high}


def measure_image(arch: str) -> Figures:
    """The file's size."""
    return {"image": (ROOT / "build" / arch / "free" / "lookaside.boot").stat().st_size >> 10}


STEPS = (
    Step(measure_instructions, (
        Row("lookaside", "lookaside list, allocate + free", peer=215, goal=45),
        Row("slist", "SLIST, pop + push", goal=24),
        Row("pool-16", "pool, allocate + free, 16 bytes", peer=233, goal=80),
        Row("pool-64", "pool, 64 bytes", peer=233, goal=80),
        Row("pool-256", "pool, 256 bytes", peer=233, goal=80),
        Row("pool-1024", "pool, 1024 bytes", peer=233, goal=80),
        Row("pool-4096", "pool, 4096 bytes", peer=235, goal=235),
        Row("pool-8192", "pool, 8192 bytes", goal=235),
        Row("pool-65536", "pool, 65536 bytes", goal=235),
        Row("pool-64-random", "pool, 1000 of 64 bytes, freed at random", peer=377, goal=120),
        Row("contiguous-page", "contiguous memory, 1 page, allocate + free"),
        Row("map-16", "16 pages, map + unmap", peer=10552, goal=800),
        Row("raise-lower", "KeRaiseIrql + KeLowerIrql", peer=8),
        Row("spin-lock", "spin lock, acquire + release", peer=29, goal=20),
        Row("queued-spin-lock", "in-stack queued spin lock"),
        Row("rw-spin-lock-exclusive", "reader-writer spin lock, exclusive"),
        Row("rw-spin-lock-shared", "reader-writer spin lock, shared"),
        Row("fast-mutex", "fast mutex, acquire + release", peer=26),
        Row("guarded-mutex", "guarded mutex", peer=26),
        Row("mutex", "mutex, wait + release"),
        Row("push-lock-exclusive", "push lock, exclusive"),
        Row("push-lock-shared", "push lock, shared"),
        Row("resource-exclusive", "resource, exclusive"),
        Row("resource-shared", "resource, shared"),
        Row("rundown", "rundown protection, begin + end"),
        Row("event-set-wait", "event, set + wait that is satisfied"),
        Row("semaphore", "semaphore, release + wait"),
        Row("timer-set-cancel", "timer, set + cancel"),
        Row("switch", "thread switch by event: set, wait, switch", peer=2625, goal=400),
        Row("event-wakes", "KeSetEvent to the waiter running"),
        Row("interrupt-isr", "interrupt to ISR"),
        Row("isr-dpc", "end of ISR to DPC", peer=479, goal=250),
        Row("dpc-lowering", "DPC queued to running, at the lowering", peer=205, goal=120),
        Row("boot-instructions", "first instruction to first DriverEntry", peer=1.61e9, goal=20e6),
    )),
    Step(measure_live, tuple(
        Row("live-" + many, "pool, 1000 at random of %s that live, 16 bytes" % many)
        for many in LIVE)),
    Step(measure_traces, tuple(
        row for program in traces.installed() for row in (
            Row("trace-" + program, "pool, what %s did, an operation" % program),
            Row("trace-memory-" + program, "    at most in use, of the bytes asked for", "%")))),
    Step(measure_idle_gdb_server, (
        Row("gdb-idle", "gdb server enabled and idle: the most any costs", goal=0),)),
    Step(measure_processors, (
        Row("shootdown", "map + unmap a page, flushing 3 other processors", "ns"),
        Row("remote-dpc", "DPC queued to another processor to its running", "ns"),
        Row("scaling-pool", "pool, 2 processors of 1's work", "%", 195, 190),
        Row("scaling-lookaside", "a lookaside list each, 2 processors of 1's work", "%", None, 190),
        Row("scaling-one-list", "one lookaside list, 2 processors of 1's work", "%"))),
    Step(measure_image, (Row("image", "kernel image, without symbols for debuggers", "KiB"),)),
    memory_step("16M", "16 MiB"),
    memory_step("512M", "512 MiB", 59290, 4096),
    memory_step("1G", "1 GiB"),
    memory_step("64G", "64 GiB"),
    wall_step("kernel", "--boot kernel"),
    wall_step("bios", "BIOS"),
    wall_step("usb", "BIOS, USB stick"),
    wall_step("uefi", "UEFI x64"),
    wall_step("uefi32", "UEFI ia32"),
    Step(measure_scroll, (Row("scroll", "framebuffer of 1920x1080x32, scrolled", "lines/s"),)),
    Step(gdbrates.measure_socket, (
        Row("gdb-steps", "gdb on the kernel's server, single steps", "1/s"),
        Row("gdb-read", "gdb on the kernel's server, memory read", "KiB/s"))),
    Step(gdbrates.measure_115200, (
        Row("gdb-steps-115200", "the same at 115200 baud, single steps", "1/s"),
        Row("gdb-read-115200", "the same at 115200 baud, memory read", "KiB/s"))),
    Step(measure_least_memory, (
        Row("least-memory", "smallest machine that passes the guest tests", "MiB"),)),
)


# ---- the table -----------------------------------------------------------------------------------
def cell(value) -> str:
    """A number for the table."""
    if value is None or isinstance(value, str):
        return value or ""
    return "{:,.1f}".format(value) if 0 < value < 10 and value % 1 else "{:,.0f}".format(value)


class Table:
    """Rows on the screen and in build/bench.json, and what failed."""

    def __init__(self, arches: List[str]):
        self.arches = arches
        self.results: Dict[str, Figures] = {arch: {} for arch in arches}
        self.malloc: Dict[str, Figures] = {}
        self.failures: List[str] = []
        self.status = 0

    def head(self) -> None:
        """The heads of the columns."""
        heads = self.arches + ["best peer", "goal"]
        print("%-50s %-13s" % ("", "") + "".join("%14s" % head for head in heads), flush=True)

    def take(self, step: Step) -> None:
        """Measures a step on all architectures, prints its rows."""
        said = []
        for arch in self.arches:
            try:
                figures = step.measure(arch)
                self.results[arch].update({row.key: figures[row.key] for row in step.rows
                                           if row.key in figures})
                missing = [row.key for row in step.rows if row.key not in figures]
                if missing:
                    raise ToolError("no figure for " + ", ".join(missing))
            except (LookasideError, OSError, ValueError, KeyError,
                    subprocess.SubprocessError) as error:
                said.append(self.fail("%s: %s" % (arch, error), error))
        for row in step.rows:
            self.row(row)
        for words in said:
            print("    " + words.replace("\n", "\n    "), flush=True)
        self.write()

    def row(self, row: Row) -> None:
        """One line."""
        values = [self.results[arch].get(row.key, "failed") for arch in self.arches]
        print("%-50s %-13s" % (row.what, row.unit)
              + "".join("%14s" % cell(value) for value in values + [row.peer, row.goal]),
              flush=True)

    def fail(self, words: str, error: Exception) -> str:
        """Notes a failure; the first one decides the exit status."""
        self.failures.append(words)
        self.status = self.status or getattr(error, "status", 5)
        return words

    def take_mallocs(self) -> None:
        """The table of allocators."""
        mallocs.print_head(ROOT)
        for names in mallocs.STEPS:
            try:
                for name, figures in mallocs.measure(ROOT, names).items():
                    self.malloc.setdefault(name, {}).update(figures)
            except (OSError, subprocess.SubprocessError) as error:
                print("    " + self.fail("malloc, %s: %s" % (", ".join(names), error), error))
            mallocs.print_rows(ROOT, names, self.malloc)
            self.write()

    def write(self) -> None:
        """What is known so far, for programs."""
        rows = {row.key: {"what": row.what, "unit": row.unit, "peer": row.peer, "goal": row.goal}
                for step in STEPS for row in step.rows}
        document = {"rows": rows, "results": self.results, "malloc": self.malloc,
                    "failures": self.failures}
        (ROOT / "build" / "bench.json").write_text(json.dumps(document, indent=2) + "\n")


def chosen(names: List[str]) -> List[Step]:
    """The steps with rows of these names, all when there are none."""
    for name in names:
        if not any(row.key.startswith(name) for step in STEPS for row in step.rows):
            sys.exit("bench: no row is called %s" % name)
    return [step for step in STEPS
            if not names or any(row.key.startswith(tuple(names)) for row in step.rows)]


def main() -> int:
    """Measures and prints; the status of the first failure, 0 without one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", action="append", choices=ARCHES)
    parser.add_argument("--malloc", action="store_true",
                        help="only the pool as malloc, beside other allocators of this host")
    parser.add_argument("row", nargs="*", help="only rows whose keys begin so")
    given = parser.parse_args()
    table = Table(given.arch or list(ARCHES))
    steps = [] if given.malloc else chosen(given.row)
    try:
        if steps:
            table.head()
        for step in steps:
            table.take(step)
        if given.malloc or not (given.arch or given.row):
            table.take_mallocs()
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return INTERRUPTED
    if table.failures:
        print("bench: %d measurements failed" % len(table.failures), file=sys.stderr)
    return table.status


if __name__ == "__main__":
    sys.exit(main())
