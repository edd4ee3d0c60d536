# SPDX-License-Identifier: MIT
"""The pool from outside: whose blocks are watched, what fails on purpose, what it shows."""
import re

import pytest
from conftest import driver, flavour_option, lookaside


def test_a_driver_without_mistakes_runs_clean_in_special_pool(arch, flavour):
    """Every allocation alone in a page, and nobody notices."""
    options = ["--checked"] if flavour == "checked" else []
    run = lookaside("run", driver(arch, "edu"), driver(arch, "poolcall", "tests"),
                    "--device", "edu", "--special-pool", "all", "--memory", "128M", *options)
    run.assert_clean(2)


def test_the_pool_guard_may_be_left_on(arch):
    run = lookaside("run", driver(arch, "pool", "tests"), "--pool-guard", "50", "--memory", "64M",
                    "--options",
                    '/MONITOR="!verifier"')
    run.assert_clean(1)


def test_a_driver_that_checks_survives_each_failure(arch):
    run = lookaside("run", driver(arch, "edu"), "--device", "edu", "--fail-each-allocation")
    assert run.status == 0, run.tail()
    assert re.match(r"verdict: 0 clean: each of \d+ allocations failed", run.verdict), run.tail()
    assert "allocation 1 (" in run.out, run.tail()


def test_failures_at_random_look_real(arch):
    """The sample driver may give up, but neither crashes nor leaks."""
    run = lookaside("run", driver(arch, "edu"), "--device", "edu", "--faults", "3000")
    assert run.status in (0, 1), run.tail()


@pytest.mark.parametrize("command, pattern", [
    ("!verifier", r"Special pool: everybody, blocks at the end of their page"),
    ("!quota", r"nonpaged +\d+ +\d+ +none"),
])
def test_commands_show(arch, command, pattern):
    run = lookaside("run", driver(arch, "rtc"), "--special-pool", "all", "--options",
                    '/MONITOR="%s"' % command)
    assert re.search(pattern, run.out), run.tail()


def test_exhaustion_leaves_no_pages_scattered_over_ram(arch):
    """After all of RAM was pool, contiguous memory is there again, and nearly all of it is free."""
    run = lookaside("run", *(driver(arch, name, "tests") for name in ("pool", "poolcall", "mmio")),
                    "--device", "edu", "--memory", "512M", "--options", '/MONITOR="!vm; poweroff"')
    failed = [line for line in run.lines if line.startswith(("not ok", "# "))]
    assert not failed, "\n".join(failed)
    kept = re.search(r"pools' bookkeeping: +(\d+)", run.out)
    assert kept and int(kept.group(1)) < 400, run.tail()


@pytest.mark.parametrize("flavour", ([], ["--checked"]), ids=("free", "checked"))
def test_processors_are_interrupted_for_many_frees_at_once(arch, flavour):
    """3840 ranges of whole pages are freed: a TLB shootdown for each would be that many."""
    run = lookaside("run", driver(arch, "poolflush", "tests"), "--smp", "4", "--memory", "96M",
                    *flavour, "--options", '/MONITOR="!vm; poweroff"')
    failed = [line for line in run.lines if line.startswith(("not ok", "# "))]
    assert not failed and "ok 2" in run.out, run.tail()
    shootdowns = int(re.search(r"TLB Shootdowns: +(\d+)", run.out).group(1))
    assert 0 < shootdowns < 640, run.tail()


@pytest.mark.parametrize("smp", (1, 4))
@pytest.mark.parametrize("flavour", ([], ["--checked"]), ids=("free", "checked"))
def test_what_processors_keep_comes_back(arch, flavour, smp):
    run = lookaside("run", driver(arch, "poolmany", "tests"), "--smp", str(smp), "--memory", "96M",
                    *flavour)
    run.assert_clean(1)


def test_a_leak_is_listed_with_its_call_stack(arch):
    run = lookaside("run", driver(arch, "leaks", "broken"), "--verifier=8")
    assert run.status == 4, run.tail()
    assert re.search(r"leak: .*allocated by leaks\.sys", run.out), run.tail()
    assert re.search(r"leak:     called by ntoskrnl LdrLoadDriver", run.out), run.tail()


def test_the_verifier_says_how_much_each_driver_has_and_had(arch):
    """PL-110: blocks and bytes now and at most; each block with its size, tag and call site."""
    run = lookaside("run", driver(arch, "poolcall", "tests"), driver(arch, "leaks", "broken"),
                    "--verifier=8", "--memory", "64M", "--options", '/MONITOR="!verifier 3"')
    assert run.status == 4, run.tail()
    use = {name: list(map(int, numbers.split())) for name, numbers in re.findall(
        r"^  (\w+\.sys) +((?:\d+ +){7}\d+)$", run.out, re.M)}
    assert set(use) == {"poolcall.sys", "leaks.sys"}, run.tail()
    now, most = use["poolcall.sys"][0::2], use["poolcall.sys"][1::2]
    assert now == [0, 0, 0, 0] and min(most) > 0, run.tail()
    assert sum(use["leaks.sys"][0::4]) > 0 and use["leaks.sys"][0] <= use["leaks.sys"][1]
    assert re.search(r"size: .*\(Allocated\) .* by leaks\.sys\+", run.out), run.tail()


def test_tags_are_described_from_a_pooltag_txt(arch, tmp_path):
    names = tmp_path / "tags.txt"
    names.write_text("rem comment\nLdr* - ntoskrnl - what the loader keeps\n")
    run = lookaside("run", driver(arch, "rtc"), "--pooltag", names, "--options",
                    '/MONITOR="!poolused 1; !poolfind Ldr*"')
    run.assert_clean(1)
    assert "ntoskrnl - what the loader keeps" in run.out, run.tail()
    assert "UNKNOWN pooltag" in run.out, run.tail()
    assert re.search(r"^[1-9]\d* blocks, \d+ bytes$", run.out, re.M), run.tail()


WATCHED = ([], ["--checked"], ["--pool-guard", "20"], ["--special-pool", "size:100-110"],
           ["--verifier=8"])


@pytest.mark.parametrize("options", WATCHED, ids=" ".join)
def test_blocks_travel_between_four_processors(arch, options):
    run = lookaside("run", driver(arch, "poolsmp", "tests"), "--smp", "4", "--memory", "128M",
                    *options)
    run.assert_clean(1)
    assert "4 processors" in run.out, run.tail()


@pytest.mark.parametrize("options", [["--smp", "4"], ["--", "-icount", "shift=0,sleep=off"]],
                         ids=["processors", "instructions"])
def test_interrupted_pool_calls_lose_no_count(arch, flavour, options):
    """What the blocks cannot show: caches, pages and counters agree afterwards."""
    run = lookaside("run", driver(arch, "poolrestart", "tests"), *flavour_option(flavour),
                    "--options", '/MONITOR="!poolval; poweroff"', *options)
    assert not [line for line in run.lines if line.startswith(("not ok", "# "))], run.tail()
    assert "The pools are in order." in run.out, run.tail()
