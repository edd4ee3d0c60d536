#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the kernel and prints a table; the same goes into build/bench.json.

Instructions are counted by QEMU (-icount shift=0): one instruction is one tick of the guest's time
stamp counter, so these figures do not depend on the host and two runs agree. Wall times do depend
on it; they are the least of several runs. Peers' figures come from Linux 6.1 on the same emulator.

    bench/bench.py [--arch amd64|i386] [--malloc]   default: both, and malloc; or malloc alone
"""
import argparse
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Optional

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

sys.path[1:1] = [str(ROOT / "bench"), str(ROOT / "tests" / "hardware")]

import machines as hardware  # pylint: disable=wrong-import-position
import mallocs  # pylint: disable=wrong-import-position
import run as hardware_run  # pylint: disable=wrong-import-position
from lookaside_cli.arguments import run_plan  # pylint: disable=wrong-import-position
from lookaside_cli.report import Outcome
from lookaside_cli.session import run_session
from lookaside_cli.status import CLEAN, LookasideError, ToolError
from lookaside_cli.symbols import Symbols

ICOUNT = ["--", "-icount", "shift=0,sleep=off"]
WALL_RUNS = 5
# key: (what, unit, best peer, goal)
ROWS = {
    "lookaside": ("lookaside list, allocate + free", "instructions", 215, 45),
    "slist": ("SLIST, pop + push", "instructions", None, 24),
    "pool-16": ("pool, allocate + free, 16 bytes", "instructions", 233, 80),
    "pool-64": ("pool, 64 bytes", "instructions", 233, 80),
    "pool-256": ("pool, 256 bytes", "instructions", 233, 80),
    "pool-1024": ("pool, 1024 bytes", "instructions", 233, 80),
    "pool-4096": ("pool, 4096 bytes", "instructions", 235, None),
    "pool-64-random": ("pool, 1000 of 64 bytes, freed at random", "instructions", 377, 120),
    "raise-lower": ("KeRaiseIrql + KeLowerIrql", "instructions", 8, None),
    "spin-lock": ("spin lock, acquire + release", "instructions", 29, 20),
    "queued-spin-lock": ("in-stack queued spin lock", "instructions", None, None),
    "fast-mutex": ("fast mutex, acquire + release", "instructions", 26, None),
    "guarded-mutex": ("guarded mutex", "instructions", 26, None),
    "mutex": ("mutex, wait + release", "instructions", None, None),
    "push-lock-exclusive": ("push lock, exclusive", "instructions", None, None),
    "push-lock-shared": ("push lock, shared", "instructions", None, None),
    "resource-exclusive": ("resource, exclusive", "instructions", None, None),
    "resource-shared": ("resource, shared", "instructions", None, None),
    "rundown": ("rundown protection, begin + end", "instructions", None, None),
    "event-set-wait": ("event, set + wait that is satisfied", "instructions", None, None),
    "semaphore": ("semaphore, release + wait", "instructions", None, None),
    "timer-set-cancel": ("timer, set + cancel", "instructions", None, None),
    "event-round": ("two threads, set + wait each: two switches", "instructions", 5250, 800),
    "interrupt-isr": ("interrupt to ISR", "instructions", None, None),
    "isr-dpc": ("end of ISR to DPC", "instructions", 479, 250),
    "shootdown": ("map + unmap a page, flushing 3 other processors", "ns", None, None),
    "remote-dpc": ("DPC queued to another processor to its running", "ns", None, None),
    "scaling-pool": ("pool, 2 processors of 1's work", "%", None, 190),
    "scaling-lookaside": ("one lookaside list, 2 processors of 1's work", "%", None, None),
    "boot-instructions": ("first instruction to first DriverEntry", "instructions", 1.61e9, 20e6),
    "boot-wall-kernel": ("QEMU's start to DriverEntry, --boot kernel", "ms", None, None),
    "boot-wall-bios": ("QEMU's start to DriverEntry, --boot bios", "ms", None, None),
    "boot-wall-usb": ("QEMU's start to DriverEntry, --boot usb", "ms", None, None),
    "boot-wall-uefi": ("QEMU's start to DriverEntry, --boot uefi", "ms", None, None),
    "boot-wall-uefi32": ("QEMU's start to DriverEntry, --boot uefi32", "ms", None, None),
    "scroll": ("framebuffer of 1920x1080x32, scrolled", "lines/s", None, None),
    "ram-16M": ("RAM used after boot, 16 MiB machine", "KiB", None, None),
    "ram-512M": ("RAM used after boot, 512 MiB machine", "KiB", 59290, 4096),
    "ram-1G": ("RAM used after boot, 1 GiB machine", "KiB", None, None),
    "ram-64G": ("RAM used after boot, 64 GiB machine", "KiB", None, None),
    "least-memory": ("smallest machine that passes the guest tests", "MiB", None, None),
    "image": ("kernel image, without symbols for debuggers", "KiB", None, None),
}


class Watch:
    """An output that notes when a text first passes."""

    def __init__(self, text: bytes):
        self.text, self.seen = text, None
        self.tail = b""

    def write(self, data: bytes) -> None:
        """Takes a piece of the log."""
        self.tail = self.tail[-len(self.text):] + data
        if self.seen is None and self.text in self.tail:
            self.seen = time.monotonic()

    def flush(self) -> None:
        """Nothing is kept back."""


def run(arch: str, drivers: List[Path], *options: str, watch: Optional[Watch] = None) -> Outcome:
    """One run of the free kernel."""
    plan = run_plan([str(path) for path in drivers]
                    + ["--arch", arch, "--accel", "tcg"] + list(options))
    with tempfile.TemporaryDirectory(prefix="lookaside-bench-") as folder:
        return run_session(plan, Path(folder), [watch] if watch else [],
                           Symbols(arch, plan.kernel, plan.drivers))


def clean(outcome: Outcome) -> Outcome:
    """A run whose figures count."""
    if outcome.status != CLEAN:
        raise ToolError("a run failed: %s\n%s" % (outcome.verdict, "\n".join(outcome.lines[-20:])))
    return outcome


def bench_driver(arch: str) -> Path:
    """The driver that measures."""
    return ROOT / "build" / "bench" / arch / "bench.sys"


def search(pattern: str, outcome: Outcome) -> Optional[int]:
    """The number in the first line that matches."""
    match = next(filter(None, (re.search(pattern, line) for line in outcome.lines)), None)
    return int(match.group(1)) if match else None


def measure_instructions(arch: str) -> Dict[str, float]:
    """Everything counted in instructions."""
    outcome = clean(run(arch, [bench_driver(arch)], "--device", "edu", *ICOUNT))
    found = {match.group(1): int(match.group(2)) for match in
             (re.match(r"BENCH (\S+) (\d+)$", line) for line in outcome.lines) if match}
    entered, first = found.pop("entered", None), search(r"first instruction at (\d+)", outcome)
    if entered is not None and first is not None:
        found["boot-instructions"] = entered - first
    return found


def measure_processors(arch: str) -> Dict[str, float]:
    """What four processors cost each other. The host should have as many free."""
    outcome = clean(run(arch, [bench_driver(arch).with_name("processors.sys")], "--smp", "4"))
    return {match.group(1): int(match.group(2)) for match in
            (re.match(r"BENCH (\S+) (\d+)$", line) for line in outcome.lines) if match}


def measure_wall(arch: str, boot: str) -> float:
    """Milliseconds from QEMU's start to DriverEntry."""
    least = float("inf")
    for _ in range(WALL_RUNS):
        watch, start = Watch(b"BENCH entered"), time.monotonic()
        clean(run(arch, [bench_driver(arch)], "--boot", boot, watch=watch))
        least = min(least, (watch.seen or float("inf")) - start)
    return round(least * 1000)


def measure_scroll(arch: str) -> Optional[int]:
    """Lines a second on a large framebuffer: the medium's own way to set one."""
    screen = hardware.Machine(
        "bench-scroll-" + arch, "", arch=arch, memory="128M", console="serial",
        qemu=("-machine", "pc", *hardware.STICK["ehci"]), commands="run rtc; hwinfo; !scroll",
        menu="set display=1920x1080x32\n", says=(r"scroll: \d+ lines on 240x67",))
    problem = hardware_run.boot(screen)
    if problem:
        raise ToolError("no screen to scroll: " + problem)
    text = (hardware_run.OUT / (screen.name + ".txt")).read_text()
    return int(re.search(r"(\d+) lines a second", text).group(1))


def measure_memory(arch: str, size: str) -> Optional[int]:
    """KiB in use after boot."""
    return search(r"(\d+) KiB in use", clean(run(arch, [bench_driver(arch)], "--memory", size)))


def measure_least_memory(arch: str) -> Optional[int]:
    """MiB of the smallest machine on which the guest tests run clean."""
    tests = sorted((ROOT / "build" / "tests" / arch).glob("*.sys"))
    low, high = 1, 32
    while low < high:
        middle = (low + high) // 2
        outcome = run(arch, tests, "--memory", "%dM" % middle, "--device", "edu", "--timeout", "60")
        outcome.judge_tests()
        low, high = (low, middle) if outcome.status == CLEAN else (middle + 1, high)
    return high


def measure(arch: str) -> Dict[str, float]:
    """All rows for one architecture."""
    image = ROOT / "build" / arch / "free" / "lookaside.boot"
    figures = measure_instructions(arch)
    figures.update(measure_processors(arch))
    for boot in ("kernel", "bios", "usb", "uefi", "uefi32"):
        figures["boot-wall-" + boot] = measure_wall(arch, boot)
    figures["scroll"] = measure_scroll(arch)
    for size in ("16M", "512M", "1G", "64G"):
        figures["ram-" + size] = measure_memory(arch, size)
    figures["least-memory"] = measure_least_memory(arch)
    figures["image"] = image.stat().st_size >> 10
    return {key: value for key, value in figures.items() if value is not None}


def cell(value) -> str:
    """A number for the table."""
    return "" if value is None else "{:,.0f}".format(value)


def print_table(results: Dict[str, Dict[str, float]]) -> None:
    """The table: what, unit, one column an architecture, peers, goals."""
    arches = list(results)
    heads = arches + ["best peer", "goal"]
    print("%-46s %-13s" % ("", "") + "".join("%14s" % head for head in heads))
    for key, (what, unit, peer, goal) in ROWS.items():
        values = [results[arch].get(key) for arch in arches] + [peer, goal]
        print("%-46s %-13s" % (what, unit) + "".join("%14s" % cell(value) for value in values))


def main() -> int:
    """Measures, prints, writes build/bench.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", action="append", choices=("amd64", "i386"))
    parser.add_argument("--malloc", action="store_true",
                        help="only the pool as malloc, beside other allocators of this host")
    given = parser.parse_args()
    arches = [] if given.malloc else given.arch or ["amd64", "i386"]
    try:
        results = {arch: measure(arch) for arch in arches}
        host = mallocs.measure(ROOT) if given.malloc or not given.arch else {}
    except LookasideError as error:
        print("bench: %s" % error, file=sys.stderr)
        return error.status
    if results:
        print_table(results)
    if host:
        mallocs.print_table(host)
    rows = {key: {"what": what, "unit": unit, "peer": peer, "goal": goal}
            for key, (what, unit, peer, goal) in ROWS.items()}
    document = json.dumps({"rows": rows, "results": results, "malloc": host}, indent=2)
    (ROOT / "build" / "bench.json").write_text(document + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
