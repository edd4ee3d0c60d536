# SPDX-License-Identifier: MIT
"""The pools' books: memory that was all taken comes back, tags by the thousand, sums under load."""
import re
import shutil

import pytest
from conftest import driver, flavour_option, lookaside

ROW = re.compile(r"^ (\S{4}) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)/(\d+) (\d+)/(\d+)  (\d+)/(\d+)$",
                 re.M)


def run_books(arch, what, tmp_path, monitor, *options):
    """Runs the driver under the name that says what it is to do."""
    named = tmp_path / ("books-%s.sys" % what)
    shutil.copyfile(driver(arch, "books", "pool"), named)
    return lookaside("run", named, "--options", '/MONITOR="%s"' % monitor, *options)


def assert_all_freed(run, tag):
    """Whatever was allocated with the tag was freed, to the last byte."""
    rows = [[int(number) for number in row[1:]] for row in ROW.findall(run.out) if row[0] == tag]
    assert rows, run.tail()
    blocks, used, paged, paged_used, allocs, frees, paged_allocs, paged_frees = rows[0][:8]
    assert (blocks, used, paged, paged_used) == (0, 0, 0, 0), run.tail()
    assert allocs == frees and paged_allocs == paged_frees, run.tail()
    assert allocs + paged_allocs > 1000, run.tail()


@pytest.mark.parametrize("processors", [1, 4])
def test_memory_that_was_all_taken_comes_back(arch, flavour, processors, tmp_path):
    run = run_books(arch, "exhaust", tmp_path, "!poolused 1 Book", "--memory", "24M", "--smp",
                    processors, *flavour_option(flavour))
    assert "not ok" not in run.out, run.tail()
    run.assert_clean(1)
    assert_all_freed(run, "Book")


def test_ten_thousand_tags_are_listed_by_what_they_use(arch, tmp_path):
    """The list ends, though it is sorted without memory of its own."""
    run = run_books(arch, "tags", tmp_path, "!poolused 2; !poolused 3 *T", "--memory", "64M")
    run.assert_clean(1)
    assert len(re.findall(r"^ \S\S.T +0 ", run.out, re.M)) >= 10000, run.tail()
    used = [int(row) for row in re.findall(r"^ \S{4} +\d+ +(\d+) +\d+ +\d+$", run.out, re.M)]
    assert used == sorted(used, reverse=True) and used[0] > 0, "not sorted by nonpaged bytes"


@pytest.mark.parametrize("processors", [1, 4])
def test_what_finds_no_room_is_counted_together(arch, processors, tmp_path):
    """16 K combinations of tag, pool and size have counters of their own; the rest is "Ovfl"."""
    run = run_books(arch, "overflow", tmp_path, "!poolused 1 Ovfl; !poolval; poweroff",
                    "--memory", "96M", "--smp", processors)
    assert not [line for line in run.lines if line.startswith(("not ok", "# "))], run.tail()
    assert_all_freed(run, "Ovfl")
    assert "The pools are in order." in run.out, run.tail()


def test_addresses_of_a_pool_are_used_up_before_memory_is(flavour, tmp_path):
    """i386: a region has some hundred MiB; a 64-bit one has more than any machine."""
    run = run_books("i386", "addresses", tmp_path, "!poolval; poweroff", "--memory", "768M",
                    *flavour_option(flavour))
    assert not [line for line in run.lines if line.startswith(("not ok", "# "))], run.tail()
    assert "ok 1 addresses" in run.out and "The pools are in order." in run.out, run.tail()


def test_a_lookaside_lists_depth_follows_demand(arch, flavour, tmp_path):
    """By the guest's clock, which nobody waits for while the machine is idle."""
    run = run_books(arch, "depth", tmp_path, "!lookaside; poweroff", *flavour_option(flavour),
                    "--", "-icount", "shift=6,sleep=off")
    assert not [line for line in run.lines if line.startswith(("not ok", "# "))], run.tail()
    assert "ok 1 LA-25" in run.out, run.tail()


def test_contiguous_memory_is_there_after_exhaustion(arch, tmp_path):
    run = run_books(arch, "contiguous", tmp_path, "!vm; poweroff", "--memory", "96M")
    assert not [line for line in run.lines if line.startswith(("not ok", "# "))], run.tail()
    assert "ok 1 contiguous" in run.out, run.tail()


def test_sums_hold_while_four_processors_allocate(arch, tmp_path):
    run = run_books(arch, "load", tmp_path, "!poolused 1; !poolused 4; !poolfind Book",
                    "--smp", "4", "--memory", "128M", "--run-for", "1")
    run.assert_clean(1)
    tags = re.findall(r"^ (\S{4}) +\d+ +\d+ +\d+ +\d+", run.out, re.M)
    assert len(tags) == 2 * len(set(tags)), "a tag is shown twice: %s" % run.tail()
    for row in ROW.findall(run.out):
        used = [int(number) for number in row[1:]]
        assert used[4] >= used[5] and used[6] >= used[7], row
        assert used[8] >= used[1] or used[1] == 0, "more in use than at the peak: %r" % (row,)
    found = re.search(r"^(\d+) blocks, \d+ bytes$", run.out, re.M)
    assert found and 0 < int(found.group(1)) < 1000, run.tail()
