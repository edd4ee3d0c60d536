# SPDX-License-Identifier: MIT
"""--fail-each-allocation: the error paths that nobody ever takes, taken one by one.

The drivers run once for each pool allocation they make, and in the N-th run the N-th fails. A
driver may refuse to load then, or do without; what it may not do is crash, hang or leave something
behind. The first run in which nothing was left to fail is the last.
"""
import dataclasses
import re
from typing import Callable, List

from .arguments import RunPlan
from .report import Outcome
from .status import BUGCHECK, CLEAN, FAILED, LEAK, TIMEOUT

FAILED_ON_PURPOSE = re.compile(r"pool: failed on purpose: (.*)")
TOLERATED = (CLEAN, FAILED)
MISTAKES = (BUGCHECK, LEAK, TIMEOUT)


def describe(number: int, what: str, outcome: Outcome) -> str:
    """One line a run."""
    return "allocation %d (%s): %s" % (number, what, outcome.words)


def say(outputs: List, text: str) -> None:
    """A line on every output."""
    for output in outputs:
        output.write((text + "\n").encode("utf-8", "replace"))
        output.flush()


def one_failure(plan: RunPlan, number: int, run: Callable) -> tuple:
    """The run in which one allocation fails: its outcome, and which allocation it was or None."""
    outcome = run(dataclasses.replace(plan, fail_allocation=number))
    outcome.name_bugcheck()
    failed = next(filter(None, map(FAILED_ON_PURPOSE.search, outcome.lines)), None)
    return outcome, failed and failed.group(1).strip()


def summary(tried: int, wrong: List[Outcome], lines: List[str], seconds: float) -> Outcome:
    """What all the runs together say: the worst of them, and how many there were."""
    if not wrong:
        return Outcome(CLEAN, "clean: each of %d allocations failed; no crash, no leak" % tried,
                       seconds, lines)
    status = next(code for code in MISTAKES + (wrong[0].status,)
                  if any(outcome.status == code for outcome in wrong))
    words = "%d of %d failed allocations ended in a crash or a leak" % (len(wrong), tried)
    return Outcome(status, words, seconds, lines)


def fail_each_allocation(plan: RunPlan, run: Callable, outputs: List) -> Outcome:
    """Runs until nothing is left to fail. `run` takes a plan and gives an Outcome."""
    wrong, lines, tried, seconds = [], [], 0, 0.0
    for number in range(1, plan.fail_each_allocation + 1):
        outcome, what = one_failure(plan, number, run)
        seconds += outcome.seconds
        if what is None and outcome.status in TOLERATED:
            break
        tried += what is not None
        report = [describe(number, what or "nothing failed", outcome)]
        if outcome.status not in TOLERATED:
            wrong.append(outcome)
            report += ["    " + line for line in outcome.lines]
        lines += report
        say(outputs, "\n".join(report))
        if what is None:
            break
    return summary(tried, wrong, lines, seconds)
