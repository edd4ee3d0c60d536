# SPDX-License-Identifier: MIT
"""`lookaside run`: from the arguments to the exit status."""
import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import List

from .arguments import RunPlan, run_plan
from .build import bring_up_to_date
from .failures import fail_each_allocation
from .progress import warn
from .recording import check_recordable
from .report import Outcome, write_json, write_junit
from .session import run_session
from .status import ROOT, ToolError, UsageError
from .stream import write_all
from .symbols import Symbols

EXTENSION = "tools/gdb/lookaside.py"


def prepare(plan: RunPlan) -> None:
    """Makes sure that what the run boots is there."""
    shipped = [driver for driver in plan.drivers if ROOT / "build" in driver.parents]
    if plan.build:
        targets = ["kernel"] + [str(driver.relative_to(ROOT)) for driver in shipped]
        bring_up_to_date(plan.arch, plan.checked, targets)
    for needed in [plan.kernel] + shipped:
        if not needed.is_file():
            raise ToolError("%s is not built: run make" % needed.relative_to(ROOT))


def say_how_to_attach(plan: RunPlan) -> None:
    """gdb's command line, for whoever asked for --gdb or --kgdb."""
    for place in filter(None, (plan.gdb, plan.kgdb)):
        warn("waiting for gdb: gdb -x %s -ex 'target remote %s' %s"
             % (EXTENSION, place, plan.kernel.relative_to(ROOT)))


def finish(plan: RunPlan, outcome: Outcome, outputs: List) -> int:
    """Writes the reports and the verdict."""
    if plan.batch and not plan.fail_each_allocation:
        outcome.judge_tests()
        outcome.name_bugcheck()
    if plan.junit:
        write_junit(plan.junit, plan, outcome)
    if plan.json:
        write_json(plan.json, plan, outcome)
    if plan.batch or outcome.status:
        for output in outputs:
            write_all(output, (outcome.verdict + "\n").encode("utf-8", "replace"))
    return outcome.status


def open_log(plan: RunPlan):
    """The file that --log names; QEMU itself writes it while the user sits at the prompt."""
    if not plan.log or plan.interactive:
        return None
    try:
        return open(plan.log, "wb")
    except OSError as error:
        raise UsageError("cannot write %s: %s" % (plan.log, error.strerror.lower())) from None


def run_once(plan: RunPlan, outputs: List, symbols: Symbols) -> Outcome:
    """One machine, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="lookaside-"))
    try:
        return run_session(plan, folder, outputs, symbols)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_command(argv: List[str]) -> int:
    """Runs drivers, or the sample drivers and the prompt."""
    plan = run_plan(argv)
    if plan.record:
        check_recordable(plan)
    prepare(plan)
    if plan.gdb or plan.kgdb:
        say_how_to_attach(plan)
    log = open_log(plan)
    try:
        outputs = [sys.stdout.buffer] + ([log] if log else [])
        symbols = Symbols(plan.arch, plan.kernel, plan.drivers)
        if plan.fail_each_allocation:
            outcome = fail_each_allocation(plan, lambda one: run_once(one, [], symbols), outputs)
        else:
            outcome = run_once(plan, outputs, symbols)
        return finish(plan, outcome, outputs)
    finally:
        if log:
            with contextlib.suppress(OSError):  # a full disk has been told of by then
                log.close()
