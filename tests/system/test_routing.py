# SPDX-License-Identifier: MIT
"""PCI interrupt lines where firmware's byte code says that they are.

QEMU's q35 wires PCI to the I/O APIC's inputs from 16 on and says so in a _PRT that names link
devices; its pc computes one, whose link devices read the chipset's routing registers, as those of
older PCs do.
"""
import re
import subprocess
import time
from pathlib import Path

import pytest
from conftest import PATIENCE, ROOT, driver, flavour_option, lookaside
from lookaside_cli.process import die_with_parent
from lookaside_cli.qmp import Qmp


@pytest.mark.parametrize("processors", [1, 4])
def test_a_pci_line_is_found_by_prt(processors, arch, flavour):
    run = lookaside("run", driver(arch, "pciline", "tests"), "--device", "edu", "--smp", processors,
                    *flavour_option(flavour), "--", "-machine", "q35")
    run.assert_clean(1)
    text = "\n".join(run.lines)
    assert re.search(r"hal: PCI interrupts: [1-9]\d* by _PRT, 0 by their line registers", text)
    assert int(re.search(r"^edu: line (\d+)", text, re.M).group(1)) >= 16


def test_a_prt_that_is_computed_and_asks_registers_is_read(arch):
    """The driver sees interrupts come on the line that it is told."""
    run = lookaside("run", driver(arch, "pciline", "tests"), "--device", "edu", "--", "-machine",
                    "pc")
    run.assert_clean(1)
    assert re.search(r"hal: PCI interrupts: [1-9]\d* by _PRT, 0 by", "\n".join(run.lines))


def table_of(machine: str, folder: Path) -> Path:
    """The DSDT that QEMU makes for a machine, as its firmware has put it into memory. (Firmware
    has one of its own, for emulators that make none.)"""
    process = subprocess.Popen(
        ["qemu-system-x86_64", "-machine", machine, "-accel", "tcg", "-nodefaults", "-display",
         "none", "-m", "16M", "-qmp", "unix:%s,server=on,wait=off" % (folder / "qmp")],
        stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
    memory, table = folder / "memory", folder / (machine + ".dsdt")
    try:
        qmp = Qmp(folder / "qmp", lambda: process.poll() is None, PATIENCE)
        end = time.monotonic() + PATIENCE
        while not table.exists():
            assert process.poll() is None and time.monotonic() < end, "there is no DSDT"
            qmp.execute("pmemsave", val=0, size=16 << 20, filename=str(memory))
            data = memory.read_bytes()
            for found in re.finditer(b"DSDT", data):
                size = int.from_bytes(data[found.end():found.end() + 4], "little")
                candidate = data[found.start():found.start() + size]
                if candidate[10:16] == b"BOCHS " and sum(candidate) % 256 == 0:
                    table.write_bytes(candidate)
            time.sleep(0.2)
        qmp.close()
    finally:
        process.kill()
        process.wait()
    return table


REGISTERS = (5, 9, 10, 11)


@pytest.mark.parametrize("machine, bridge, wire", [
    ("pc", "00:01.0", lambda device, pin: REGISTERS[(device + pin - 1) % 4]),
    ("q35", "00:1f.0", lambda device, pin: 20 + (device + pin) % 4),
])
def test_every_pin_is_wired_as_the_machine_wires_it(machine, bridge, wire, tmp_path):
    """By the reader of byte code compiled for the host, whatever the registers hold."""
    done = subprocess.run(
        [str(ROOT / "build" / "host" / "show_routes"), str(table_of(machine, tmp_path)), bridge,
         *map(str, REGISTERS)], stdout=subprocess.PIPE, text=True, check=True)
    seen = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert seen == [(device, pin, wire(device, pin))
                    for device in (3, 4, 5) for pin in range(4)]


def test_without_io_apics_the_line_registers_are_used(arch):
    run = lookaside("run", driver(arch, "edu"), "--device", "edu", "--options", "/PIC", "--",
                    "-machine", "q35")
    run.assert_clean(1)
    assert "_PRT" not in "\n".join(run.lines)
