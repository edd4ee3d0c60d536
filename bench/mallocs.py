# SPDX-License-Identifier: MIT
"""The pool as malloc, side by side with those that people use, in one run on this host.

Every allocator is preloaded into the same program (bench/host/alloc.c), one after the other; rounds
are interleaved and the least of each counts, so that a noisy host disturbs all alike.
"""
import os
import re
import subprocess
from pathlib import Path
from typing import Dict, List, Optional

ROUNDS = 3
PEERS = {"jemalloc": "libjemalloc.so.2", "mimalloc": "libmimalloc.so.2",
         "tcmalloc": "libtcmalloc_minimal.so.4"}
FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib")
# key: what, unit
ROWS = {
    "pairs": ("malloc(64) + free", "ns"),
    "in-order": ("1000 of 64 bytes, freed in order, a pair", "ns"),
    "in-reverse": ("1000 of 64 bytes, freed in reverse, a pair", "ns"),
    "at-random": ("1000 of 64 bytes, freed at random, a pair", "ns"),
    "mixed": ("16 to 2048 bytes, replaced at random", "ns"),
    "overhead": ("resident over live bytes there", "ratio"),
    "producing": ("one thread allocates, another frees", "ns"),
    "two-at-once": ("malloc(64) + free in two threads at once", "ns"),
}


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


def measure_one(program: Path, library: str) -> Dict[str, float]:
    """All rows for one allocator."""
    done = subprocess.run([str(program)], env=dict(os.environ, LD_PRELOAD=library), check=True,
                          capture_output=True, text=True, timeout=300)
    return {key: float(value) for key, value in re.findall(r"BENCH (\S+) (\S+)", done.stdout)}


def measure(root: Path) -> Dict[str, Dict[str, float]]:
    """The least of several rounds, by allocator and row."""
    results: Dict[str, Dict[str, float]] = {}
    for _ in range(ROUNDS):
        for name, library in libraries(root).items():
            figures = measure_one(root / "build" / "host" / "alloc", library)
            best = results.setdefault(name, figures)
            results[name] = {key: min(value, best[key]) for key, value in figures.items()}
    return results


def print_table(results: Dict[str, Dict[str, float]]) -> None:
    """A column for each allocator."""
    names: List[str] = list(results)
    print("\n%-46s %-13s" % ("malloc on this host", "") + "".join("%10s" % name for name in names))
    for key, (what, unit) in ROWS.items():
        digits = 3 if unit == "ratio" else 1
        print("%-46s %-13s" % (what, unit)
              + "".join("%10.*f" % (digits, results[name][key]) for name in names))
