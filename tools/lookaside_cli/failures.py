# SPDX-License-Identifier: MIT
"""--fail-each-allocation: the error paths that nobody ever takes, taken one by one.

The drivers run once as they are, and then once for each allocation they make, of pool, I/O space,
contiguous or noncached memory: in the N-th run the N-th fails. A driver may refuse to load then, or
do without; what it may not do is crash, hang or leave something behind, when its DriverEntry fails
either. The first run in which nothing was left to fail is the last.

How long the first run takes says how long the others may: a driver that waits for ever when an
allocation fails does not cost two minutes each time.
"""
import dataclasses
import re
from typing import Callable, List, Optional

from .arguments import RunPlan
from .report import Outcome
from .status import BUGCHECK, CLEAN, FAILED, LEAK, TIMEOUT

FAILED_ON_PURPOSE = re.compile(r"pool: failed on purpose: (.*)")
LEFT = re.compile(r"^\[ *\d+\.\d+\] leak: (\S+ left \d+ .*)$")
TOLERATED = (CLEAN, FAILED)
MISTAKES = (BUGCHECK, LEAK, TIMEOUT)
LEAST_SECONDS = 20.0  # that a run gets
TIMES_LONGER = 10     # than the run without failures


def say(outputs: List, text: str) -> None:
    """A line on every output."""
    for output in outputs:
        output.write((text + "\n").encode("utf-8", "replace"))
        output.flush()


def judge(outcome: Outcome) -> Outcome:
    """A DriverEntry that fails may, but not leave something behind."""
    outcome.name_bugcheck()
    left = [found.group(1) for found in map(LEFT.match, outcome.lines) if found]
    if outcome.status == FAILED and left:
        outcome.status = LEAK
        outcome.words += "; " + ", ".join(left)
    return outcome


def what_failed(lines: List[str]) -> Optional[str]:
    """Which allocation it was, in the kernel's words; None when there was none left to fail."""
    found = next(filter(None, map(FAILED_ON_PURPOSE.search, lines)), None)
    return found and found.group(1).strip()


def from_failure_on(lines: List[str]) -> List[str]:
    """The part of a log that matters: what came of the failure."""
    start = next((at for at, line in enumerate(lines) if FAILED_ON_PURPOSE.search(line)), 0)
    return ["    " + line for line in lines[start:]]


def time_for_each(plan: RunPlan, first: Outcome) -> RunPlan:
    """The plan with the time that a run may take, where the user has not said."""
    if plan.timeout is not None:
        return plan
    return dataclasses.replace(plan, timeout=max(LEAST_SECONDS, TIMES_LONGER * first.seconds))


def how_to_go_on(number: int, plan: RunPlan) -> str:
    """The option that begins with a certain allocation."""
    count = len(plan.fail_each_allocation)
    return "go on with --fail-each-allocation=%d-%d" % (number, number + count - 1)


def summary(plan: RunPlan, tried: int, wrong: List[Outcome], ended: bool) -> Outcome:
    """What all the runs together say: the worst of them, and how many there were."""
    first = plan.fail_each_allocation.start
    which = "%d allocations" % tried if first == 1 else "%d allocations from number %d on" % (
        tried, first)
    rest = "" if ended else "; there may be more, " + how_to_go_on(first + tried, plan)
    if not wrong:
        return Outcome(CLEAN, "clean: each of %s failed; no crash, no hang, no leak%s"
                       % (which, rest))
    status = next(code for code in MISTAKES if any(outcome.status == code for outcome in wrong))
    return Outcome(status, "%d of %s, made to fail, ended in a crash, a hang or a leak%s"
                   % (len(wrong), which, rest))


def as_it_is(plan: RunPlan, run: Callable, outputs: List) -> Outcome:
    """The run in which nothing fails, told of only when something is wrong with it."""
    outcome = judge(run(plan))
    if outcome.status != CLEAN:
        say(outputs, "without any failure: " + outcome.words)
        say(outputs, "\n".join("    " + line for line in outcome.lines))
        outcome.words = "not clean before any allocation was made to fail: " + outcome.words
    return outcome


def fail_each_allocation(plan: RunPlan, run: Callable, outputs: List) -> Outcome:
    """Runs until nothing is left to fail. `run` takes a plan and gives an Outcome."""
    first = as_it_is(plan, run, outputs)
    if first.status != CLEAN:
        return first
    each, seconds = time_for_each(plan, first), first.seconds
    wrong, lines, tried, ended = [], [], 0, False
    for number in plan.fail_each_allocation:
        outcome = judge(run(dataclasses.replace(each, fail_allocation=number)))
        seconds += outcome.seconds
        what = what_failed(outcome.lines)
        if outcome.status not in TOLERATED + MISTAKES:  # the tool failed, or the user ended it
            outcome.words += "; " + how_to_go_on(number, plan)
            return outcome
        if what is None:
            ended = True
            break
        tried += 1
        report = ["allocation %d (%s): %s" % (number, what, outcome.words)]
        if outcome.status in MISTAKES:
            wrong.append(outcome)
            report += from_failure_on(outcome.lines)
        lines += report
        say(outputs, "\n".join(report))
    outcome = summary(plan, tried, wrong, ended)
    outcome.seconds, outcome.lines = seconds, lines
    return outcome
