# SPDX-License-Identifier: MIT
"""KTAP: how test drivers report (https://docs.kernel.org/dev-tools/ktap.html).

    KTAP version 1
    1..2
    ok 1 a block of a page or less never crosses a page
    not ok 2 freed memory is found again # pool tag was lost

Nested tests are indented and summed by the line after them, which is why only lines without tests
below them count. Anything else in the log is ignored: a debug log is never only results.
"""
import re
from typing import Iterable, List, NamedTuple

RESULT = re.compile(r"^(?P<indent>\s*)(?P<verdict>ok|not ok) \d+\s*(?:- )?(?P<rest>.*)$")
PLAN = re.compile(r"^\s*1\.\.(\d+)")


class Case(NamedTuple):
    """One result."""
    name: str
    ok: bool
    skipped: bool
    detail: str


def parse(lines: Iterable[str]) -> List[Case]:
    """The results in a log, nested ones without their summary lines."""
    cases: List[Case] = []
    deepest = 0
    for line in lines:
        match = RESULT.match(line)
        if not match:
            continue
        indent = len(match.group("indent").expandtabs())
        name, _, detail = match.group("rest").partition(" # ")
        if indent < deepest:
            deepest = indent  # the sum of what was just listed
            continue
        deepest = indent
        cases.append(Case(name.strip(), match.group("verdict") == "ok",
                          detail.upper().startswith("SKIP"), detail.strip()))
    return cases


def shortfall(lines: Iterable[str]) -> int:
    """How many outermost results were announced but never came: a test driver that died."""
    planned = seen = 0
    for line in lines:
        plan = PLAN.match(line)
        if plan and not line[:1].isspace():
            planned += int(plan.group(1))
        elif RESULT.match(line) and not line[:1].isspace():
            seen += 1
    return max(0, planned - seen)
