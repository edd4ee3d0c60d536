# SPDX-License-Identifier: MIT
"""PCI interrupt lines where firmware's byte code says that they are, and where it does not.

QEMU's q35 wires PCI to the I/O APIC's inputs from 16 on and says so in a _PRT that names link
devices; its pc has one that depends on registers, so the interrupt line registers are believed.
"""
import re

import pytest
from conftest import driver, flavour_option, lookaside


@pytest.mark.parametrize("processors", [1, 4])
def test_a_pci_line_is_found_by_prt(processors, arch, flavour):
    run = lookaside("run", driver(arch, "pciline", "tests"), "--device", "edu", "--smp", processors,
                    *flavour_option(flavour), "--", "-machine", "q35")
    run.assert_clean(1)
    text = "\n".join(run.lines)
    assert re.search(r"hal: PCI interrupts: [1-9]\d* by _PRT, 0 by their line registers", text)
    assert int(re.search(r"^edu: line (\d+)", text, re.M).group(1)) >= 16


def test_a_prt_that_depends_on_registers_is_not_guessed_at(arch):
    run = lookaside("run", driver(arch, "pciline", "tests"), "--device", "edu", "--", "-machine",
                    "pc")
    run.assert_clean(1)
    assert re.search(r"hal: PCI interrupts: 0 by _PRT, [1-9]", "\n".join(run.lines))


def test_without_io_apics_the_line_registers_are_used(arch):
    run = lookaside("run", driver(arch, "edu"), "--device", "edu", "--options", "/PIC", "--",
                    "-machine", "q35")
    run.assert_clean(1)
    assert "_PRT" not in "\n".join(run.lines)
