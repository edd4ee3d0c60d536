# SPDX-License-Identifier: MIT
"""What real programs allocate, done again in the guest: contents kept, little memory lost."""
import re
import subprocess
import sys

import pytest
from conftest import ROOT, driver, lookaside

sys.path.insert(0, str(ROOT / "bench"))
import traces  # noqa: E402  pylint: disable=wrong-import-position

PEAKS = re.compile(r"^ Rlay .* (\d+)/(\d+)$", re.M)


@pytest.fixture(scope="module", name="recorder", autouse=True)
def fixture_recorder():
    """The library that writes down what programs allocate."""
    subprocess.run(["make", "--no-print-directory", "-s", str(traces.LIBRARY.relative_to(ROOT))],
                   cwd=ROOT, check=True)


@pytest.mark.parametrize("program", traces.PROGRAMS)
def test_a_programs_trace_runs_in_the_pool(program, arch, flavour, tmp_path):
    if program not in traces.installed():
        pytest.skip("%s is not installed" % program)
    if flavour == "checked" and program != "gcc":
        pytest.skip("one is enough for the checked build")
    trace = traces.operations(traces.record(program))
    assert len(trace) > 2000, "%s: %d operations recorded" % (program, len(trace))
    replay = tmp_path / "replay.sys"
    traces.write_driver(driver(arch, "replay", "pool"), replay, trace)
    options = ["--checked"] if flavour == "checked" else []
    run = lookaside("run", replay, "--options", '/MONITOR="!poolused 1 Rlay"', *options)
    run.assert_clean(1)
    live = int(re.search(r"^BENCH replay-live (\d+)", run.out, re.M).group(1))
    peak = sum(map(int, PEAKS.search(run.out).groups()))
    assert live < peak < 1.6 * live, "%d bytes for %d that live" % (peak, live)
