# SPDX-License-Identifier: MIT
"""The second emulator: Bochs boots the image as a hard disk, and its serial port is read.

Bochs is written by other people from the same manuals, and is stricter than QEMU about reserved
bits and the order of things. It needs no display here: its terminal plug-in draws into a
pseudo-terminal that nobody reads. Debian's Bochs is built with its debugger, which has to be told
to let the machine run.
"""
import os
import pty
import re
import subprocess
import time
from pathlib import Path

from lookaside_cli.process import die_with_parent
from machines import DRIVEN, Machine

CONFIGURATION = """\
megs: 128
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=%(model)s, count=%(count)s, ips=100000000, reset_on_triple_fault=0
clock: sync=none
ata0-master: type=disk, path="%(disk)s", mode=flat
boot: disk
com1: enabled=1, mode=file, dev="%(serial)s"
display_library: term
log: "%(log)s"
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
speaker: enabled=0
"""
DEFAULT_MODEL = "corei7_sandy_bridge_2600k"


def processors_of(machine: Machine) -> str:
    """How many, as QEMU would be told."""
    words = list(machine.qemu)
    return words[words.index("-smp") + 1] if "-smp" in words else "1"


def problem_of(text: str, machine: Machine) -> str:
    """What is missing on the serial line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[-1] != ">":
        return "it is not at the prompt, but says: " + (lines[-1] if lines else "nothing")
    for words in (DRIVEN,) + machine.says:
        if not re.search(words, text):
            return "it does not say: " + words
    return ""


def boot(machine: Machine, disk: Path, folder: Path, out: Path, longest: float) -> str:
    """Boots the image. Returns what was wrong, "" for nothing."""
    serial, configuration = folder / "serial.txt", folder / "bochsrc"
    model = DEFAULT_MODEL if machine.cpu == "max" else machine.cpu
    configuration.write_text(CONFIGURATION % {
        "model": model, "count": processors_of(machine), "disk": disk, "serial": serial,
        "log": out / (machine.name + ".log")})
    (folder / "debugger").write_text("c\n")
    master, slave = pty.openpty()
    process = subprocess.Popen(["bochs", "-q", "-f", str(configuration), "-rc", "debugger"],
                               stdin=slave, stdout=slave, stderr=slave, cwd=folder,
                               env=dict(os.environ, TERM="xterm"), start_new_session=True,
                               preexec_fn=die_with_parent)  # it ignores SIGTERM
    os.close(slave)
    os.set_blocking(master, False)
    end = time.monotonic() + longest
    problem = "it did not start"
    try:
        while process.poll() is None and time.monotonic() < end:
            drain(master)
            text = serial.read_text(errors="replace") if serial.is_file() else ""
            problem = problem_of(text, machine)
            if not problem:
                break
            time.sleep(0.5)
        return problem
    finally:
        process.kill()
        process.wait()
        os.close(master)
        if serial.is_file():
            (out / (machine.name + ".txt")).write_bytes(serial.read_bytes())


def drain(terminal: int) -> None:
    """Throws away what the emulator draws, so that it never waits for us."""
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass
