#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The source form that a program can check: one line a finding, exit status 1 if there are any.

Every source opens with its licence; no line is longer than 100 columns, ends in a blank or is
indented by tabs (but in makefiles); nothing is left to do later. docs/READING.md names every source
once.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 100
LICENCE = "SPDX-License-Identifier: MIT"
SOURCE = re.compile(r"\.(c|h|S|ld|py|sh|mk|cfg)$|^(lookaside|Makefile|tools/setup|\.ci/run)$")
TABS_BELONG = re.compile(r"(\.mk|Makefile)$")
# Spelt in halves: this file is checked too.
LEFT_OVER = re.compile(r"\b(TO" "DO|FIX" "ME|XX" "X)\\b|not " "implemented", re.I)
WITHOUT_LICENCE = re.compile(r"^tests/host/seeds/|__init__\.py$")


def findings(name: str, lines: list):
    """Yields what is wrong with one file."""
    if not WITHOUT_LICENCE.search(name) and LICENCE not in "".join(lines[:2]):
        yield 1, "no SPDX line at the top"
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS and not TABS_BELONG.search(name):
            yield number, "%d columns" % len(line)
        if line != line.rstrip():
            yield number, "blanks at the end of the line"
        if line.startswith("\t") and not TABS_BELONG.search(name):
            yield number, "indented by a tab"
        if LEFT_OVER.search(line):
            yield number, "left to do later"


# One rule a file, described by its own first line: READING.md speaks of these as a whole.
NOT_IN_READING_ORDER = re.compile(r"^tests/guest/broken/.*\.(c|def)$|/seeds/")


def reading_order(names: list):
    """Yields what docs/READING.md names twice, not at all, or in vain."""
    text = (ROOT / "docs" / "READING.md").read_text()
    listed = re.findall(r"^- `([^`]+)`", text, re.M)
    for name in sorted(set(listed)):
        if listed.count(name) > 1:
            yield "%s is named twice" % name
        if not (ROOT / name).exists():
            yield "%s does not exist" % name
    for name in names:
        if name not in listed and not NOT_IN_READING_ORDER.search(name):
            yield "%s is not named" % name


def main() -> int:
    """Checks what git knows, so that build results never count."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True,
                            capture_output=True, check=True).stdout.split("\n")
    bad = 0
    for name in filter(SOURCE.search, listed):
        if not (ROOT / name).is_file():
            continue
        text = (ROOT / name).read_text(errors="replace")
        for number, what in findings(name, text.split("\n")):
            print("%s:%d: %s" % (name, number, what))
            bad += 1
    sources = [name for name in filter(SOURCE.search, listed) if (ROOT / name).is_file()]
    for what in reading_order(sources):
        print("docs/READING.md: %s" % what)
        bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
