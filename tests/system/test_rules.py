# SPDX-License-Identifier: MIT
"""Every rule is broken once; the kernel must say exactly which, where, with which parameters.

tests/guest/broken holds a driver a rule; broken.h says what their comments mean to this file.
"""
import re
import shlex

import pytest
from conftest import ARCHES, ROOT, driver, flavour_option, lookaside

BROKEN = sorted((ROOT / "tests" / "guest" / "broken").glob("*.c"))
EXPECT = re.compile(r"^EXPECT (0x[0-9A-F]{8}) \((.*)\)$", re.M)
STOP = re.compile(r"^\*\*\* STOP: (0x[0-9A-F]{8}) \((.*)\) (\w+)$", re.M)
LOADED = re.compile(r"\] ldr: (\S+\.sys) at 0x([0-9A-F]+), (\d+) KiB")


def notes(source, word):
    """What the comments of a driver say about `word`."""
    return re.findall(r"^// %s: *(.*)$" % word, source.read_text(), re.M)


def cases():
    """Every broken driver on every architecture that can see it."""
    for source in BROKEN:
        for arch in ARCHES:
            if arch in (notes(source, "Arch") or ARCHES):
                yield pytest.param(source, arch, id="%s-%s" % (source.stem, arch))


def assert_parameters(run, name):
    """The stop code and its parameters are those that the driver announced."""
    expected, seen = EXPECT.search(run.out), STOP.search(run.out)
    assert expected and seen, run.tail()
    assert seen.group(1) == expected.group(1), run.tail()
    loaded = [match for match in LOADED.finditer(run.out) if match.group(1) == name]
    assert loaded, run.tail()
    base, size = int(loaded[0].group(2), 16), int(loaded[0].group(3)) << 10
    pairs = list(zip(expected.group(2).split(", "), seen.group(2).split(", ")))
    assert len(pairs) == 4, run.tail()
    for number, (want, got) in enumerate(pairs, 1):
        what = "parameter %d: expected %s, got %s\n%s" % (number, want, got, run.tail())
        if want == "driver":
            assert base <= int(got, 16) < base + size, what
        elif want != "anything":
            assert int(got, 16) == int(want, 16), what


@pytest.mark.parametrize("source, arch", cases())
def test_a_broken_rule_is_named(source, arch, flavour):
    options = [word for line in notes(source, "Options") for word in shlex.split(line)]
    options += flavour_option(flavour)
    run = lookaside("run", driver(arch, source.stem, "broken"), *options)
    status = int((notes(source, "Status") or ["3"])[0])
    assert run.status == status, run.tail()
    assert run.verdict.startswith("verdict: %d " % status), run.tail()
    for text in notes(source, "Says"):
        assert text in run.out, "the log lacks %r\n%s" % (text, run.tail())
    if EXPECT.search(run.out):
        assert_parameters(run, source.stem + ".sys")
        assert re.search(r"^\*\*\* [A-Za-z]", run.out, re.M), "no sentence\n" + run.tail()
        assert re.search(r"^\s+#0 ", run.out, re.M), "no backtrace\n" + run.tail()


def test_a_backtrace_leads_into_the_source(arch):
    """The frame of the driver carries the file and line of the access."""
    run = lookaside("run", driver(arch, "read_at_dispatch", "broken"))
    frame = r"#0 +read_at_dispatch\.sys\+0x\w+ .*at \S*read_at_dispatch\.c:\d+"
    assert re.search(frame, run.out), run.tail()
