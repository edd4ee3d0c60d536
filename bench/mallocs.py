# SPDX-License-Identifier: MIT
"""The pool as malloc, side by side with those that people use, in one run on this host.

Every allocator is preloaded into the same program (bench/host/alloc.c), one after the other, a
process for each row; rounds are interleaved and the least of each counts, so that a noisy host
disturbs all alike.

The pool finds at free what was written behind a block; its peers do not. So every row is followed
by what they cost with eight guard bytes behind every block (bench/host/guarded.c), which is the
least that a peer which did the same job could cost. Rows of one thread end with the floor: what an
allocator costs that does nothing else (bench/host/duties.c), and then one of the pool's duties more
from figure to figure.
"""
import os
import re
import subprocess
from pathlib import Path
from typing import Dict, Optional, Sequence

ROUNDS = 3
PEERS = {"jemalloc": "libjemalloc.so.2", "mimalloc": "libmimalloc.so.2",
         "tcmalloc": "libtcmalloc_minimal.so.4"}
FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib")
GUARDED = "/guarded"  # at the end of keys
DUTIES = ("bare", "record", "guard", "apart")
# key: what, unit, digits
ROWS = {
    "pairs": ("malloc(64) + free", "ns", 1),
    "in-order": ("1000 of 64 bytes, freed in order, a pair", "ns", 1),
    "in-reverse": ("1000 of 64 bytes, freed in reverse, a pair", "ns", 1),
    "at-random": ("1000 of 64 bytes, freed at random, a pair", "ns", 1),
    "mixed": ("16 to 2048 bytes, replaced at random", "ns", 1),
    "overhead": ("resident over live bytes there", "ratio", 3),
    "producing": ("one thread allocates, another frees", "ns", 1),
    "two-at-once": ("malloc(64) + free in two threads at once", "ns", 1),
    "scaling": ("what two threads do of one's work (goal 190)", "%", 0),
}
# What one process measures: a heap that other tests have used is another heap.
STEPS = (("pairs",), ("in-order",), ("in-reverse",), ("at-random",), ("mixed", "overhead"),
         ("producing",), ("two-at-once", "scaling"))
ONE_THREAD = STEPS[:5]


def find_library(name: str) -> Optional[Path]:
    """A peer, where the distribution keeps it."""
    return next((Path(folder) / name for folder in FOLDERS if (Path(folder) / name).exists()), None)


def libraries(root: Path) -> Dict[str, str]:
    """What to preload, by the name of its column; the C library's own malloc needs nothing."""
    found = {"pool": str(root / "build" / "host" / "libpoolmalloc.so"), "glibc": ""}
    for name, file in PEERS.items():
        path = find_library(file)
        if path:
            found[name] = str(path)
    return found


def measure_one(program: Path, library: str, names: Sequence[str], end: str) -> Dict[str, float]:
    """Some rows for one allocator; end is put to their keys."""
    done = subprocess.run([str(program), *names], env=dict(os.environ, LD_PRELOAD=library),
                          check=True, capture_output=True, text=True, timeout=300)
    return {key + end: float(value)
            for key, value in re.findall(r"BENCH (\S+) (\S+)", done.stdout)}


def measure_both(root: Path, name: str, library: str, names: Sequence[str]) -> Dict[str, float]:
    """The rows of an allocator as it is and, unless it is the pool, guarded."""
    host = root / "build" / "host"
    figures = measure_one(host / "alloc", library, names, "")
    if name != "pool":
        guarded = ("%s:%s" % (host / "libguarded.so", library)).rstrip(":")
        figures.update(measure_one(host / "alloc", guarded, names, GUARDED))
    return figures


def measure_all(root: Path, names: Sequence[str]) -> Dict[str, Dict[str, float]]:
    """The rows once, by allocator; the floors are allocators, too."""
    figures = {name: measure_both(root, name, library, names)
               for name, library in libraries(root).items()}
    if names in ONE_THREAD:
        host = root / "build" / "host"
        for duty, name in enumerate(DUTIES):
            figures[name] = measure_one(host / "alloc", str(host / ("libduty%d.so" % duty)), names,
                                        "")
    return figures


def measure(root: Path, names: Sequence[str]) -> Dict[str, Dict[str, float]]:
    """The least of several rounds, by allocator and row; of how threads add up, the most."""
    results: Dict[str, Dict[str, float]] = {}
    for _ in range(ROUNDS):
        for name, figures in measure_all(root, names).items():
            best = results.setdefault(name, figures)
            results[name] = {key: (max if key.startswith("scaling") else min)(value, best[key])
                             for key, value in figures.items()}
    return results


def print_head(root: Path) -> None:
    """A column for each allocator."""
    print("\n%-50s %-13s" % ("malloc on this host", "")
          + "".join("%10s" % name for name in libraries(root)), flush=True)


def print_rows(root: Path, names: Sequence[str], results: Dict[str, Dict[str, float]]) -> None:
    """The rows that are known by now, each followed by the guarded peers'."""
    for key in names:
        what, unit, digits = ROWS[key]
        for end, text in (("", what), (GUARDED, "    with guards")):
            values = [results.get(name, {}).get(key + end) for name in libraries(root)]
            cells = ["" if name == "pool" and end else
                     "failed" if value is None else "%.*f" % (digits, value)
                     for name, value in zip(libraries(root), values)]
            print("%-50s %-13s" % (text, unit) + "".join("%10s" % cell for cell in cells),
                  flush=True)
        floors = [results.get(name, {}).get(key) for name in DUTIES]
        if None not in floors:
            print("%-64s" % "    floor: bare, and a record, and a guard, and a list apart"
                  + "".join("%10.*f" % (digits, value) for value in floors), flush=True)
