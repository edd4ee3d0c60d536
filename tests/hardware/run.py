#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots every machine of machines.py, looks at its screen and checks what it says.

    tests/hardware/run.py [--list] [--quick] [--docs] [--jobs N] [--time SECONDS] [NAME...]

Each machine runs the sample driver rtc, then hwinfo, and must end at the kernel's prompt with the
row's words on its console; one without any console must end with status 0. Pictures (PNG), texts
and QEMU's own words are kept in build/hardware/; --docs boots the two machines whose pictures the
documents show, and puts these there. The table goes to stdout; its last line is
"N passed, N failed".
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import List, NamedTuple, Optional

ROOT = Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "hardware")]

import bochs
import screen
from lookaside_cli import machine as lookaside_machine
from lookaside_cli import media
from lookaside_cli.process import die_with_parent
from lookaside_cli.qmp import Qmp
from machines import DRIVEN, MACHINES, Machine

OUT = ROOT / "build" / "hardware"
IMAGE = ROOT / "build" / "lookaside.iso"
SHOWN = {"fb-640x480x16": "hwinfo.png", "stop-640x480": "bugcheck.png"}    # in docs/
VGA_TEXT = 0xB8000
CULPRIT = "read_at_dispatch"
LONGEST = 180          # seconds; a machine that needs longer hangs
LOOK_EVERY = 0.25      # a screen tells nobody when it changes
HOST_MEMORY = 1 << 30  # more is not reserved on the host

print_lock = threading.Lock()


class Verdict(NamedTuple):
    """How one machine did."""
    machine: Machine
    seconds: float
    problem: str   # "" when all is well


# ---- what the machine boots ----------------------------------------------------------------------
def own_stick(machine: Machine, folder: Path) -> Path:
    """A copy of the image, with the row's options in its data partition."""
    stick = folder / "stick.img"
    shutil.copyfile(IMAGE, stick)
    native = machine.arch == "amd64" or not may_run_amd64(machine)
    menu = "set timeout=0\nset default=%d\n%s" % (0 if native else 1, machine.menu)
    (folder / "menu.cfg").write_text(menu)
    (folder / "options.txt").write_text(kernel_options(machine))
    files = {"menu.cfg": folder / "menu.cfg", "options.txt": folder / "options.txt"}
    if machine.stops:
        files["drivers/%s.sys" % CULPRIT] = driver(machine)
    for name in machine.tests:
        files["drivers/%s.sys" % name] = ROOT / "build" / "tests" / machine.arch / (name + ".sys")
    if machine.tests:
        files["drivers/rtc.sys"] = driver(machine)
    for name, source in files.items():
        partition = "%s@@%d" % (stick, media.data_offset(stick))
        subprocess.run(["mcopy", "-o", "-i", partition, str(source), "::" + name], check=True)
    return stick


def driver(machine: Machine) -> Path:
    """What the machine runs."""
    kind, name = ("broken", CULPRIT) if machine.stops else ("drivers", "rtc")
    return ROOT / "build" / kind / machine.arch / (name + ".sys")


def may_run_amd64(machine: Machine) -> bool:
    """Whether the machine's emulator has 64-bit processors."""
    return emulator(machine).endswith("x86_64") and machine.cpu not in ("pentium3", "p3_katmai")


def kernel_options(machine: Machine) -> str:
    """The kernel's command line: a machine without a console reports by QEMU's exit device."""
    run = '/MONITOR="%s"' % machine.commands
    if machine.console == "none":
        run = "/RUN /EXITPORT=0xF4"
    if machine.stops:
        run = '/MONITOR="run %s"' % CULPRIT
    return "%s %s" % (run, machine.options)


def emulator(machine: Machine) -> str:
    """qemu-system-i386 has no 64-bit processor and no address above 4 GiB."""
    wide = machine.arch == "amd64" or machine.firmware == "uefi" or machine.memory.endswith("G")
    return "qemu-system-x86_64" if wide else "qemu-system-i386"


def start_arguments(machine: Machine, folder: Path) -> List[str]:
    """Firmware and medium."""
    if machine.firmware == "none":
        build = ROOT / "build"
        return ["-kernel", str(build / machine.arch / "free" / "lookaside.boot"),
                "-initrd", str(driver(machine)),
                "-append", kernel_options(machine)]
    firmware = [] if machine.firmware == "bios" else firmware_drives(machine.firmware, folder)
    return firmware + [
        "-drive", "if=none,id=stick,format=raw,file=%s" % own_stick(machine, folder),
        "-device", "usb-storage,bus=usb.0,drive=stick,bootindex=0"]


def firmware_drives(firmware: str, folder: Path) -> List[str]:
    """UEFI's flash memory; a second -machine adds to the row's own."""
    arguments = lookaside_machine.firmware_arguments(firmware, folder)
    if "smm=on" in arguments[1]:
        arguments[1] = "smm=on"
        return arguments
    return arguments[2:]


def memory_arguments(machine: Machine) -> List[str]:
    """RAM; what is never touched is never taken from the host."""
    size = lookaside_machine.memory_bytes(machine.memory)
    if size < HOST_MEMORY:
        return ["-m", machine.memory]
    return ["-m", machine.memory, "-machine", "memory-backend=ram",
            "-object", "memory-backend-ram,id=ram,size=%d,reserve=off" % size]


def command_line(machine: Machine, folder: Path) -> List[str]:
    """QEMU's, for one row. What a row says of -vga and -serial comes last and wins."""
    words = list(machine.qemu)
    console = [] if "-serial" in words else ["-serial", "file:%s" % (folder / "serial.txt")]
    video = [] if "-vga" in words else ["-vga", "std"]
    return [emulator(machine), "-nodefaults", "-no-user-config", "-no-reboot", "-accel", "tcg",
            "-cpu", machine.cpu, "-display", "none", *words, *video, *console,
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-qmp", "unix:%s,server=on,wait=off" % (folder / "qmp"),
            *start_arguments(machine, folder), *memory_arguments(machine)]


# ---- what it shows -------------------------------------------------------------------------------
class Watcher:
    """Looks at a machine's console until it says what it should, or time is up."""

    def __init__(self, machine: Machine, folder: Path, reader: screen.Reader):
        self.machine = machine
        self.folder = folder
        self.reader = reader
        self.lines: List[str] = []
        self.picture: Optional[screen.Picture] = None

    def look(self, qmp: Qmp) -> None:
        """Takes the console's text as it is now."""
        if self.machine.console == "serial":
            self.lines = (self.folder / "serial.txt").read_text(errors="replace").splitlines()
            return
        shot = self.folder / "shot.ppm"
        qmp.execute("screendump", filename=str(shot))
        if not shot.is_file():
            return
        self.picture = screen.read_ppm(shot.read_bytes())
        if screen.is_vga_text(self.picture):
            self.lines = screen.read_vga_text(self._text_memory(qmp))
        else:
            self.lines = self.reader.read(self.picture)

    def _text_memory(self, qmp: Qmp) -> bytes:
        file = self.folder / "text.bin"
        qmp.execute("pmemsave", val=VGA_TEXT, size=4000, filename=str(file))
        return file.read_bytes() if file.is_file() else b""

    def problem(self) -> str:
        """What is missing on the console, "" for nothing."""
        shown = [line for line in self.lines if line.strip()]
        text = "\n".join(shown)
        stop = re.search(r"STOP:? 0x.*", text)
        if stop and not self.machine.stops:
            return "bugcheck: " + stop.group()
        if not shown or shown[-1].strip() != ">":
            return "it is not at the prompt, but says: " + (shown[-1] if shown else "nothing")
        driven = () if self.machine.stops else (DRIVEN,)
        for words in driven + self.machine.says:
            if not re.search(words, text, re.M):
                return "it does not say: " + words
        if self.machine.grid and self.picture and screen.grid(self.picture)[0] < 80:
            return "its screen is %dx%d" % self.picture[:2]
        return ""

    def keep(self) -> None:
        """Leaves picture and text in build/hardware."""
        name = OUT / self.machine.name
        name.with_suffix(".txt").write_text("\n".join(self.lines) + "\n")
        if self.picture:
            screen.write_png(name.with_suffix(".png"), self.picture)


def wait_for_status(process: subprocess.Popen, longest: float) -> str:
    """For a machine without a console: how its run ended."""
    try:
        code = process.wait(longest)
    except subprocess.TimeoutExpired:
        return "it did not end"
    status = lookaside_machine.guest_status(code)
    return "" if status == 0 else "it ended with %d (status %d)" % (code, status)


def watch(machine: Machine, folder: Path, process: subprocess.Popen, longest: float) -> str:
    """Looks until all is well. Returns the problem when time is up or the machine is gone."""
    watcher = Watcher(machine, folder, screen.Reader())
    qmp = Qmp(folder / "qmp", lambda: process.poll() is None)
    end = time.monotonic() + longest
    problem = "QEMU ended at once"
    while process.poll() is None:
        watcher.look(qmp)
        problem = watcher.problem()
        ended = not problem and not machine.ends
        if ended or problem.startswith("bugcheck") or time.monotonic() > end:
            break
        time.sleep(LOOK_EVERY)
    if machine.ends:
        reason = qmp.shutdown_reason() if process.poll() is not None else "nothing"
        problem = "" if reason == machine.ends else "it ended by %s" % (reason or "itself")
    watcher.keep()
    qmp.close()
    return problem


def boot(machine: Machine, longest: float = LONGEST) -> str:
    """Boots one machine. Returns what was wrong, "" for nothing."""
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lookaside-hw-") as name:
        folder = Path(name)
        if machine.firmware == "bochs":
            return bochs.boot(machine, own_stick(machine, folder), folder, OUT, longest)
        with open(OUT / (machine.name + ".log"), "wb") as log:
            process = subprocess.Popen(command_line(machine, folder), stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, preexec_fn=die_with_parent)
        try:
            if machine.console == "none":
                return wait_for_status(process, longest)
            return watch(machine, folder, process, longest)
        finally:
            process.kill()
            process.wait()


# ---- the table -----------------------------------------------------------------------------------
def judge(machine: Machine, longest: float) -> Verdict:
    """Boots a machine and prints its line."""
    start = time.monotonic()
    problem = boot(machine, longest)
    verdict = Verdict(machine, time.monotonic() - start, problem)
    with print_lock:
        print("%-5s %-18s %6.1f s  %s%s" % (
            "FAIL" if problem else "ok", machine.name, verdict.seconds, machine.what,
            "\n      " + problem if problem else ""), flush=True)
    return verdict


def chosen(names: List[str], quick: bool) -> List[Machine]:
    """The rows to boot."""
    unknown = set(names) - {machine.name for machine in MACHINES}
    if unknown:
        sys.exit("no such machine: %s (--list names them)" % ", ".join(sorted(unknown)))
    return [machine for machine in MACHINES
            if (not names or machine.name in names) and (machine.quick or not quick)]


def main() -> int:
    """Prints the table; the status is 1 if a machine failed."""
    parser = argparse.ArgumentParser(description="Boots a table of machines.")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true", help="name the machines")
    parser.add_argument("--quick", action="store_true", help="only those that make test boots")
    parser.add_argument("--docs", action="store_true", help="make the documents' pictures")
    parser.add_argument("--jobs", type=int, default=max(1, os.cpu_count() or 1))
    parser.add_argument("--time", type=float, default=LONGEST, metavar="SECONDS",
                        help="how long a machine may take")
    given = parser.parse_args()
    machines = chosen(list(SHOWN) if given.docs else given.names, given.quick)
    if given.list:
        for machine in machines:
            print("%-18s %s" % (machine.name, machine.what))
        return 0
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        verdicts = list(pool.map(lambda machine: judge(machine, given.time), machines))
    for verdict in verdicts if given.docs else ():
        if not verdict.problem:
            name = verdict.machine.name
            shutil.copyfile((OUT / name).with_suffix(".png"), ROOT / "docs" / SHOWN[name])
    failed = sum(bool(verdict.problem) for verdict in verdicts)
    print("%d passed, %d failed" % (len(verdicts) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
