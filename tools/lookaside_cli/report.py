# SPDX-License-Identifier: MIT
"""The result of a run: as the last line, as JUnit XML, as JSON."""
import json
import re
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Optional

from . import ktap
from .arguments import RunPlan
from .status import BUGCHECK, CLEAN, FAILED, ToolError

STOP = re.compile(r"\*\*\* STOP: (0x[0-9A-Fa-f]{8}) \(([^)]*)\)\s*(\w+)?")
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass
class Outcome:
    """How a run ended."""
    status: int
    words: str
    seconds: float = 0.0
    lines: List[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """The last line of stdout."""
        return "verdict: %d %s" % (self.status, self.words)

    @property
    def is_ktap(self) -> bool:
        """Whether a test driver announced results; without that, "not ok" is only text."""
        return any(re.match(r"\s*K?TAP version", line) for line in self.lines)

    @property
    def cases(self) -> List[ktap.Case]:
        """Results that test drivers reported."""
        return ktap.parse(self.lines) if self.is_ktap else []

    def bugcheck(self) -> Optional[dict]:
        """The stop code, its name and parameters, when there was one."""
        match = next(filter(None, map(STOP.search, reversed(self.lines))), None)
        if not match:
            return None
        return {"code": match.group(1), "name": match.group(3) or "",
                "parameters": [word.strip() for word in match.group(2).split(",")]}

    def judge_tests(self) -> None:
        """A clean run whose test drivers reported failures is not a success."""
        if self.status != CLEAN or not self.is_ktap:
            return
        failed = [case for case in self.cases if not case.ok]
        missing = ktap.shortfall(self.lines)
        if failed or missing:
            self.status = FAILED
            self.words = "failed: %d of %d tests%s" % (
                len(failed) + missing, len(self.cases) + missing,
                ", the first: " + failed[0].name if failed else " never reported")

    def name_bugcheck(self) -> None:
        """Puts the stop line into the verdict, where CI logs are cut off at the top."""
        stop = self.bugcheck() if self.status == BUGCHECK else None
        if stop and "*** STOP" not in self.words:
            self.words = "bugcheck: *** STOP: %s (%s) %s" % (
                stop["code"], ", ".join(stop["parameters"]), stop["name"])


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ToolError("cannot write %s: %s" % (path, error.strerror.lower())) from None


def _xml_text(text: str) -> str:
    """Text without the control characters that XML cannot carry."""
    return NOT_XML.sub("?", text)


def write_json(path: Path, plan: RunPlan, outcome: Outcome) -> None:
    """The result for programs."""
    cases = outcome.cases
    _write(path, json.dumps({
        "status": outcome.status,
        "verdict": outcome.words,
        "bugcheck": outcome.bugcheck() if outcome.status == BUGCHECK else None,
        "drivers": [str(driver) for driver in plan.drivers],
        "arch": plan.arch, "boot": plan.boot, "smp": plan.smp, "memory": plan.memory,
        "checked": plan.checked, "options": plan.options,
        "seconds": round(outcome.seconds, 3),
        "tests": {"passed": sum(case.ok for case in cases),
                  "failed": sum(not case.ok for case in cases),
                  "cases": [case._asdict() for case in cases]},
        "log": outcome.lines,
    }, indent=2) + "\n")


def write_junit(path: Path, plan: RunPlan, outcome: Outcome) -> None:
    """The result for CI servers: one case for the verdict, one for each reported test."""
    name = _xml_text(" ".join(driver.name for driver in plan.drivers))
    cases = outcome.cases
    failures = sum(not case.ok for case in cases) + (outcome.status != CLEAN)
    suite = xml.Element("testsuite", name="lookaside " + plan.arch, tests=str(len(cases) + 1),
                        failures=str(failures), errors="0", time="%.3f" % outcome.seconds,
                        skipped=str(sum(case.skipped for case in cases)))
    verdict = xml.SubElement(suite, "testcase", classname=name, time="%.3f" % outcome.seconds,
                             name="runs and leaves nothing behind")
    log = _xml_text("\n".join(outcome.lines))
    if outcome.status != CLEAN:
        xml.SubElement(verdict, "failure", message=_xml_text(outcome.words)).text = log
    for case in cases:
        element = xml.SubElement(suite, "testcase", classname=name, name=_xml_text(case.name))
        if not case.ok:
            xml.SubElement(element, "failure", message=_xml_text(case.detail or "not ok"))
        elif case.skipped:
            xml.SubElement(element, "skipped")
    xml.SubElement(suite, "system-out").text = log
    document = xml.tostring(suite, encoding="unicode")
    _write(path, '<?xml version="1.0" encoding="UTF-8"?>\n%s\n' % document)
