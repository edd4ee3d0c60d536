# SPDX-License-Identifier: MIT
"""The boot matrix: however the machine starts, the sample drivers run and leave nothing behind."""
import re

import pytest
from conftest import driver, flavour_option, lookaside

MEDIA = ("uefi", "uefi32", "bios", "usb", "usb-uefi")


def run_samples(arch, *options):
    """Runs both sample drivers on a machine with an edu device."""
    return lookaside("run", driver(arch, "edu"), driver(arch, "rtc"), "--device", "edu", *options)


@pytest.mark.parametrize("boot", MEDIA)
def test_every_medium_boots_to_a_clean_run(arch, boot):
    run_samples(arch, "--boot", boot).assert_clean(2)


@pytest.mark.parametrize("boot", ("kernel", "bios", "uefi"))
def test_both_builds_boot(arch, flavour, boot):
    run_samples(arch, "--boot", boot, *flavour_option(flavour)).assert_clean(2)


@pytest.mark.parametrize("boot", ("kernel", "uefi"))
def test_four_processors_do_not_disturb_the_one_that_runs(arch, boot):
    run_samples(arch, "--boot", boot, "--smp", 4).assert_clean(2)


@pytest.mark.parametrize("memory", ("16M", "64M", "3G", "5G", "64G"))
def test_any_amount_of_memory_will_do(arch, memory):
    run_samples(arch, "--memory", memory).assert_clean(2)


def test_a_tebibyte_of_addresses_starts():
    """1020 GiB and the hole below 4 GiB: what 40 address lines, QEMU's most, can hold."""
    run = run_samples("amd64", "--memory", "1020G", "--", "-cpu", "max,vendor=GenuineIntel")
    run.assert_clean(2)


def test_options_with_blanks_survive_the_boot_loader(arch):
    """GRUB quotes a word with blanks as a whole."""
    for boot in ("kernel", "bios"):
        run = run_samples(arch, "--boot", boot, "--options", '/MONITOR="!irql; whatis 0"')
        run.assert_clean(2)
        assert "> !irql" in run.out and "> whatis 0" in run.out, run.tail()


def test_safe_mode_boots(arch):
    run = lookaside("run", driver(arch, "rtc"), "--options", "/SAFE")
    run.assert_clean(1)


def test_unknown_options_are_named_and_ignored(arch):
    run = run_samples(arch, "--options", "/FROBNICATE=7 /SOS")
    run.assert_clean(2)
    assert "/FROBNICATE" in run.out


def test_a_processor_without_smep_smap_and_umip_boots(arch):
    run_samples(arch, "--", "-cpu", "max,-smep,-smap,-umip").assert_clean(2)


def test_i386_without_no_execute_boots_and_says_so():
    """A Pentium III has PAE and no NX; every 64-bit processor has it, so amd64 asks for it."""
    run = run_samples("i386", "--", "-cpu", "max,-nx")
    run.assert_clean(2)
    assert re.search(r"no-execute", run.out), run.tail()


def test_amd64_without_no_execute_gets_a_message():
    run = run_samples("amd64", "--", "-cpu", "max,-nx")
    assert run.status == 5
    assert re.search(r"no-execute", run.out), run.tail()


def test_a_processor_without_pae_gets_a_message():
    run = run_samples("i386", "--timeout", 60, "--", "-cpu", "max,-pae")
    assert run.status != 0
    assert re.search(r"\bPAE\b", run.out), run.tail()


def test_a_processor_without_long_mode_gets_a_message():
    run = run_samples("amd64", "--timeout", 60, "--", "-cpu", "max,-lm")
    assert run.status != 0
    assert re.search(r"64-bit|long mode", run.out, re.I), run.tail()


def test_a_64_bit_processor_without_a_local_apic_is_told_so():
    run = lookaside("run", driver("amd64", "rtc"), "--", "-cpu", "max,-apic")
    assert run.status == 5 and "lacks a local APIC" in run.out, run.tail()


def test_too_little_memory_gets_a_message(arch):
    run = run_samples(arch, "--memory", "4M", "--timeout", 60)
    assert run.status not in (0, 124), run.tail()
    assert re.search(r"memory", run.out), run.tail()


def test_no_console_is_required(arch):
    """Neither a serial port nor a screen: the exit port alone tells how it went."""
    run = run_samples(arch, "--", "-serial", "none", "-vga", "none")
    assert run.status == 0, run.tail()


def test_i386_without_apic_uses_the_8259():
    run = lookaside("run", driver("i386", "rtc"), "--", "-cpu", "max,-apic")
    run.assert_clean(1)
