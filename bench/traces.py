#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What real programs allocate, for tests/guest/pool/replay.c to do again in the guest.

A program runs under build/host/libtrace.so. Its blocks become slots, the lowest free one first; an
operation is four bytes, slot and bytes, where no bytes stand for a free. The operations are written
into the array that the driver has for them, so that nothing has to be compiled or handed over.
"""
import heapq
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, Tuple

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "build" / "host" / "libtrace.so"
MARK = b"TRACE GOES HERE\0"
MOST_OPERATIONS = 65536 - 8   # the array's size, less mark and count
MOST_SLOTS, MOST_BYTES = 32768, 65535

# Without headers, which cc1 does not find by itself.
C_SOURCE = "\n".join("int f%d(int *a, int n) { int s = %d; for (int i = 0; i < n; i++) "
                     "s += a[i] * (s ^ i); return s; }" % (i, i) for i in range(60))
PY_SOURCE = "import json; print(len(json.dumps({str(i): list(range(i)) for i in range(200)})))"
SQL = ("create table t(a, b); with recursive n(i) as (select 1 union all select i + 1 from n "
       "where i < 2000) insert into t select i, hex(i) from n; create index x on t(b); "
       "select count(*) from t where b like '3%';")

# cc1 and git are found by the programs that people call; a shell would be traced instead of them.
PROGRAMS: Dict[str, List[str]] = {
    "gcc": ["sh", "-c", 'exec $(gcc -print-prog-name=cc1) -quiet "$0" -o /dev/null', "in.c"],
    "python3": [sys.executable, "-c", PY_SOURCE],
    "sqlite3": ["sqlite3", ":memory:", SQL],
    "git": ["git", "log", "--oneline", "-200", "--stat"],
}


def installed() -> List[str]:
    """The programs that can be traced here."""
    return [name for name in PROGRAMS if shutil.which(name)]


def record(name: str) -> List[Tuple[int, int]]:
    """Runs a program; (address, bytes) for each of its allocations and frees."""
    with tempfile.TemporaryDirectory(prefix="lookaside-trace-") as folder:
        Path(folder, "in.c").write_text(C_SOURCE)
        raw = Path(folder, "raw")
        command = [word.replace("in.c", folder + "/in.c") for word in PROGRAMS[name]]
        if command[0] == "sh":  # whose exec starts the program that is meant
            command[2] = command[2].replace("exec ", "LD_PRELOAD=%s exec " % LIBRARY)
            environment = dict(os.environ, POOLTRACE=str(raw))
        else:
            environment = dict(os.environ, POOLTRACE=str(raw), LD_PRELOAD=str(LIBRARY),
                               PYTHONMALLOC="malloc")
        subprocess.run(command, env=environment, cwd=ROOT, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)
        return list(struct.iter_unpack("<QQ", raw.read_bytes()))


def operations(records: List[Tuple[int, int]]) -> List[Tuple[int, int]]:
    """(slot, bytes) for each, as many as the guest has room for; live blocks stay at the end."""
    slot_of: Dict[int, int] = {}
    free: List[int] = []
    done = []
    for address, size in records:
        if len(done) == MOST_OPERATIONS:
            break
        if size == 0:
            slot = slot_of.pop(address, None)
            if slot is None:
                continue  # from before the file was open
            heapq.heappush(free, slot)
            done.append((slot, 0))
        elif address not in slot_of and (free or len(slot_of) < MOST_SLOTS):
            slot_of[address] = slot = heapq.heappop(free) if free else len(slot_of)
            done.append((slot, min(size, MOST_BYTES)))
    return done


def write_driver(driver: Path, target: Path, trace: List[Tuple[int, int]]) -> None:
    """A copy of the replaying driver with this trace in it."""
    image = bytearray(driver.read_bytes())
    at = image.index(MARK) + len(MARK)
    data = struct.pack("<I", len(trace)) + b"".join(struct.pack("<HH", *one) for one in trace)
    image[at:at + len(data)] = data
    target.write_bytes(image)
