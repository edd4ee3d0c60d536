# SPDX-License-Identifier: MIT
"""The memory manager from outside: what it takes, how it is laid out, that its books agree."""
import re

import pytest
from conftest import driver, flavour_option, lookaside

CONSISTENT = "PFN database, page lists and address space are consistent"


def monitor(arch, commands, *arguments):
    """A run whose only work is the monitor's."""
    run = lookaside("run", driver(arch, "rtc"), "--options", '/MONITOR="%s"' % commands, *arguments)
    run.assert_clean(1)
    return run


@pytest.mark.parametrize("memory", ("16M", "256M"))
def test_the_books_agree_after_drivers_came_and_went(arch, flavour, memory):
    """Both drivers use up all memory once."""
    names = ("mmio", "pool")
    run = lookaside("run", *(driver(arch, name, "tests") for name in names), "--memory", memory,
                    "--options", '/MONITOR="unload pool; unload mmio; !pfncheck"',
                    *flavour_option(flavour))
    assert CONSISTENT in run.out, run.tail()
    assert "not ok" not in run.out, run.tail()


def test_all_states_together_are_all_of_ram(arch):
    run = monitor(arch, "!memusage", "--memory", "1G")
    pages = {name: int(count) for name, count in re.findall(r"(\w+): +(\d+) \(", run.out)}
    assert pages["TOTAL"] == sum(count for name, count in pages.items() if name != "TOTAL")
    assert abs(pages["TOTAL"] - (1 << 18)) < 1024, run.tail()


@pytest.mark.parametrize("memory", ("16M", "512M", "64G"))
def test_little_is_taken_however_much_there_is(arch, memory):
    run = monitor(arch, "!vm", "--memory", memory)
    in_use = int(re.search(r"mm: \d+ MiB of RAM, (\d+) KiB in use", run.out).group(1))
    assert in_use < 4096, run.tail()


@pytest.mark.parametrize("width", (36, 44, 52))
def test_a_processor_may_have_more_addresses_than_pages_have_numbers(arch, width):
    """32 bits of i386 number the pages of 44 bits."""
    run = lookaside("run", driver(arch, "edu"), "--device", "edu", "--memory", "4G", "--",
                    "-cpu", "qemu64,phys-bits=%d" % width)
    run.assert_clean(1)


@pytest.mark.parametrize("option,left", (("/MAXMEM=16", 15), ("/BURNMEMORY=40", 23)))
def test_memory_is_left_out_as_asked(arch, option, left):
    run = lookaside("run", driver(arch, "rtc"), "--memory", "64M", "--options", option)
    run.assert_clean(1)
    assert "mm: %d MiB of RAM," % left in run.out, run.tail()


@pytest.mark.parametrize("option", ("/MAXMEM=1", "/BURNMEMORY=63"))
def test_an_option_that_leaves_too_little_is_ignored(arch, option):
    run = lookaside("run", driver(arch, "rtc"), "--memory", "64M", "--options", option)
    run.assert_clean(1)
    assert "%s leaves too little memory" % option.split("=")[0] in run.out, run.tail()
    assert "mm: 63 MiB of RAM," in run.out, run.tail()


def regions(text):
    """The layout that !vm prints: (first, last, name) in ascending order."""
    found = re.findall(r"^  ([0-9A-F]+)-([0-9A-F]+) +\d+ \w+ +(\w[\w ]*)", text, re.M)
    return [(int(first, 16), int(last, 16), name) for first, last, name in found]


@pytest.mark.parametrize("options", ("", "/3GB"))
def test_regions_do_not_overlap(arch, options):
    run = lookaside("run", driver(arch, "rtc"), "--options", options + ' /MONITOR="!vm"')
    run.assert_clean(1)
    layout = [region for region in regions(run.out) if region[2] != "shared user data"]
    assert len(layout) >= 12, run.tail()
    for (_, last, name), (first, _, following) in zip(layout, layout[1:]):
        assert last < first, "%s and %s" % (name, following)
    if arch == "i386":
        assert layout[0][1] == (0xBFFEFFFF if options else 0x7FFEFFFF)


def test_maxmem_and_burnmemory_make_the_machine_smaller(arch):
    for option in ("/MAXMEM=64", "/BURNMEMORY=192"):
        run = lookaside("run", driver(arch, "rtc"), "--memory", "256M", "--options", option)
        run.assert_clean(1)
        assert re.search(r"mm: 6[34] MiB of RAM", run.out), run.tail()


def test_page_table_entries_are_decoded(arch):
    run = monitor(arch, "!pte KiSystemStartup; !pte 0; whatis 0")
    entry = re.search(r"PTE at .* pfn \w+ +(\S+)", run.out)
    assert entry and re.fullmatch(r"-G-DA--KREV", entry.group(1)), run.tail()
    assert "not valid" in run.out.partition("> !pte 0")[2], run.tail()
