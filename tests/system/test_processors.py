# SPDX-License-Identifier: MIT
"""Several processors: they start, are counted, and stop together. Guest tests: test_drivers.py."""
import re

import pytest
from conftest import driver, flavour_option, lookaside

def test_as_many_processors_as_there_can_be_start(arch):
    run = lookaside("run", driver(arch, "edu"), "--device", "edu", "--smp", 64)
    run.assert_clean(1)
    run.assert_processors(64 if arch == "amd64" else 32)


@pytest.mark.parametrize("option, count", [("/NUMPROC=2", 2), ("/NUMPROC=9", 3), ("/ONECPU", 1),
                                           ("/SAFE", 1)])
def test_options_limit_the_processors(arch, option, count):
    run = lookaside("run", driver(arch, "edu"), "--device", "edu", "--smp", 3, "--options", option)
    run.assert_clean(1)
    run.assert_processors(count)


def test_apic_numbers_may_have_gaps(arch):
    """Three cores to a package take two bits of the number: 0 1 2, 4 5 6."""
    run = lookaside("run", driver(arch, "edu"), "--device", "edu", "--options",
                    '/MONITOR="!pcr 3"', "--", "-smp", "6,sockets=2,cores=3,threads=1")
    run.assert_clean(1)
    run.assert_processors(6)
    assert re.search(r"processor 3 .*APIC id 4", run.out), run.tail()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_driver_stays_while_its_dpc_runs(arch, flavour, count):
    run = lookaside("run", driver(arch, "unloads", "tests"), "--smp", count,
                    *flavour_option(flavour))
    run.assert_clean(1)
    assert run.out.count("the last DPC has run") == 1, run.tail()
    assert run.out.count("the last work item has run") == 1, run.tail()
    assert run.out.count("the last hop has been made") == 1, run.tail()


def test_where_every_processor_is_can_be_asked(arch):
    run = lookaside("run", driver(arch, "edu"), "--device", "edu", "--smp", 3, "--options",
                    '/MONITOR="!running; !irql"')
    run.assert_clean(1)
    for number in range(3):
        assert re.search(r"^processor %d: IRQL \d" % number, run.out, re.M), run.tail()
        assert re.search(r"^processor %d, IRQL \d.*thread" % number, run.out, re.M), run.tail()
    assert run.out.count("KeIdleLoop") >= 2, run.tail()


def test_of_several_bugchecks_at_once_one_is_reported(arch, flavour):
    run = lookaside("run", driver(arch, "stops_at_once", "broken"), "--smp", 4,
                    *flavour_option(flavour))
    assert run.status == 3, run.tail()
    assert len(re.findall(r"^\*\*\* STOP", run.out, re.M)) == 1, run.tail()
    assert len(re.findall(r"^Processor \d, IRQL", run.out, re.M)) == 3, run.tail()
