#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How well a BIOS reads a stick, without a boot loader and without a kernel.

    tests/hardware/int13.py CONTROLLER [SECTORS [READS]]     uhci, ohci, ehci or xhci

A boot sector (int13.S) on the stick reads the sectors behind it through INT 13h, a few at a time,
and looks at what came. How many reads were good is printed, and how it ended: D, all is well; W,
wrong data; E with INT 13h's error; or that the BIOS did not come back.
"""
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "hardware")]

from lookaside_cli.process import die_with_parent
from machines import STICK

CONTROLLERS = dict(STICK, uhci=["-device", "piix3-usb-uhci,id=usb"])
SECTOR = 512
SMALLEST = 16384    # sectors; of less SeaBIOS makes no drive
PATIENCE = 20       # seconds without a word


def make_disk(folder: Path, sectors: int, reads: int) -> Path:
    """The boot sector, and sectors that begin with their numbers."""
    disk, code = folder / "disk", folder / "boot.bin"
    subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-no-pie", "-DSECTORS=%d" % sectors,
                    "-DREADS=%d" % reads, "-Wl,-Ttext=0x7c00,--oformat=binary,--build-id=none",
                    str(ROOT / "tests" / "hardware" / "int13.S"), "-o", str(code)], check=True)
    rest = (struct.pack("<I", number).ljust(SECTOR, b"\0")
            for number in range(1, max(SMALLEST, 1 + sectors * reads)))
    disk.write_bytes(code.read_bytes()[:SECTOR] + b"".join(rest))
    return disk


def run(controller: str, sectors: int, reads: int) -> str:
    """What the boot sector said."""
    with tempfile.TemporaryDirectory(prefix="lookaside-int13-") as name:
        folder = Path(name)
        serial = folder / "serial"
        process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-nodefaults", "-display",
             "none", "-m", "64M", "-serial", "file:%s" % serial, *CONTROLLERS[controller],
             "-drive", "if=none,id=stick,format=raw,file=%s" % make_disk(folder, sectors, reads),
             "-device", "usb-storage,bus=usb.0,drive=stick,bootindex=0"],
            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        said, end = "", time.monotonic() + PATIENCE
        try:
            while said[-1:] not in ("D", "W", "\n") and time.monotonic() < end:
                time.sleep(0.1)
                now = serial.read_text() if serial.exists() else ""
                if now != said:
                    said, end = now, time.monotonic() + PATIENCE
        finally:
            process.kill()
            process.wait()
        return said.strip()


def main() -> int:
    """Prints it; the status is 0 when all was read."""
    if len(sys.argv) < 2 or sys.argv[1] not in CONTROLLERS:
        sys.exit(__doc__)
    sectors, reads = [int(word) for word in sys.argv[2:]] + [8, 1000][len(sys.argv) - 2:]
    said = run(sys.argv[1], sectors, reads)
    print("%s: %d of %d reads of %d sectors: %s" % (
        sys.argv[1], said.count("."), reads, sectors, said.strip(".") or "it does not come back"))
    return 0 if said.endswith("D") else 1


if __name__ == "__main__":
    sys.exit(main())
