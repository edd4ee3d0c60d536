# SPDX-License-Identifier: MIT
"""--fail-each-allocation: that it ends, what it takes for a mistake, how it goes on later."""
import io
import re
from types import SimpleNamespace

import pytest
from conftest import driver, lookaside
from lookaside_cli.failures import fail_each_allocation
from lookaside_cli.arguments import RunPlan
from lookaside_cli.report import Outcome


class Machine:
    """Stands in for QEMU: a driver with so many allocations, and what comes of some failures."""

    def __init__(self, allocations, outcomes=None, as_it_is=(0, "clean: 1 driver")):
        self.allocations, self.outcomes, self.as_it_is = allocations, outcomes or {}, as_it_is
        self.plans = []

    def run(self, plan):
        """One run."""
        self.plans.append(plan)
        number = plan.fail_allocation
        status, words, *lines = self.as_it_is
        if 0 < number <= self.allocations:
            status, words, *lines = self.outcomes.get(number, (1, "failed: STATUS_NO_MEMORY"))
            lines.insert(0, "[    0.1] pool: failed on purpose: 8 bytes, tag Abcd, asked for by x")
        return Outcome(status, words, 0.5, ["boot"] + lines)


def result(machine, numbers=range(1, 1001), timeout=None):
    """What the tool makes of it: the outcome, and what it said on the way."""
    said = io.BytesIO()
    plan = RunPlan(drivers=[], arch="amd64", fail_each_allocation=numbers, timeout=timeout)
    outcome = fail_each_allocation(plan, machine.run, [said])
    return SimpleNamespace(outcome=outcome, said=said.getvalue().decode())


def test_a_driver_may_refuse_to_load_but_leave_nothing_behind():
    leak = (1, "failed: x", "[    0.2] leak: x.sys left 2 pool allocations")
    assert result(Machine(5)).outcome.status == 0
    seen = result(Machine(5, {3: leak}))
    assert seen.outcome.status == 4
    assert seen.outcome.words.startswith("1 of 5 allocations"), seen.outcome.words
    assert "x.sys left 2 pool allocations" in seen.said


@pytest.mark.parametrize("outcomes, status", [
    ({2: (124, "time ran out")}, 124),
    ({2: (124, "time ran out"), 4: (4, "left behind: 1 thing")}, 4),
    ({1: (3, "bugcheck"), 2: (124, "time ran out"), 4: (4, "left behind: 1 thing")}, 3),
])
def test_the_worst_decides_the_status(outcomes, status):
    seen = result(Machine(6, outcomes))
    assert seen.outcome.status == status
    assert seen.outcome.words.startswith("%d of 6 " % len(outcomes))
    assert "boot" not in seen.said, "the log before the failure says nothing of it"


def test_it_ends_when_allocations_never_do_and_says_how_to_go_on():
    machine = Machine(10**9)
    seen = result(machine, range(1, 8))
    assert len(machine.plans) == 8 and seen.outcome.status == 0
    assert "--fail-each-allocation=8-14" in seen.outcome.words
    later = result(machine, range(8, 15))
    assert "allocation 8 (" in later.said and "allocation 7 (" not in later.said


def test_a_driver_that_is_not_clean_by_itself_is_told_at_once():
    machine = Machine(5, as_it_is=(4, "left behind: 1 thing"))
    seen = result(machine)
    assert len(machine.plans) == 1 and seen.outcome.status == 4
    assert "before any allocation was made to fail" in seen.outcome.words


@pytest.mark.parametrize("status", [5, 130])
def test_whoever_ends_it_is_told_where_it_was(status):
    seen = result(Machine(9, {4: (status, "interrupted")}))
    assert seen.outcome.status == status
    assert "--fail-each-allocation=4-" in seen.outcome.words


def test_runs_get_a_time_from_the_first_unless_the_user_says():
    machine = Machine(1)
    result(machine)
    assert machine.plans[0].timeout is None and 0 < machine.plans[1].timeout < 120
    machine = Machine(1)
    result(machine, timeout=7)
    assert machine.plans[1].timeout == 7


def test_three_wrong_error_paths_are_found(arch):
    run = lookaside("run", driver(arch, "errorpaths", "pool"), "--fail-each-allocation")
    assert run.verdict.startswith("verdict: 3 3 of 3 allocations"), run.tail()
    assert re.search(r"^allocation 1 .*errorpaths\.c:\d+\)\): bugcheck: .* 0x0000001E", run.out,
                     re.M), run.tail()
    assert re.search(r"^allocation 2 .*left 1 pool allocation$", run.out, re.M), run.tail()
    assert re.search(r"^allocation 3 .*bugcheck: .* BAD_POOL_CALLER$", run.out, re.M), run.tail()


def test_one_of_them_can_be_looked_at_alone(arch):
    run = lookaside("run", driver(arch, "errorpaths", "pool"), "--fail-each-allocation=2-2")
    assert run.status == 4, run.tail()
    assert "allocation 1 (" not in run.out, run.tail()
