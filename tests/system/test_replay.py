# SPDX-License-Identifier: MIT
"""A recorded run, played back and forth: the hunt that docs/DEBUGGING.md tells, start to end."""
import subprocess

import pytest
from conftest import PATIENCE, ROOT, driver, lookaside
from debugger import Debugger


@pytest.fixture
def recording(arch, tmp_path):
    """A run in which a driver writes behind a pool block, found out when the block is freed."""
    file = tmp_path / "run.rec"
    run = lookaside("run", "--arch", arch, "--memory", "64M", "--record", file,
                    driver(arch, "pool_overrun", "broken"))
    assert run.status == 3, run.tail()
    return file, run


def test_a_recording_says_the_same_when_it_is_played_back(recording):
    file, run = recording
    again = lookaside("replay", file)
    stamped = [[line for line in one.lines if line.startswith("[") and "verdict" not in line]
               for one in (run, again)]
    assert stamped[0] and stamped[0] == stamped[1]  # the time stamps too


def played(arch, recording) -> Debugger:
    """The recording from its beginning, with gdb, stopped at KiSystemStartup."""
    debugger = Debugger(arch, "gdb", replay=recording[0])
    debugger.connect()
    debugger("thbreak KiSystemStartup")
    assert debugger.resume().function == "KiSystemStartup"
    return debugger


def test_who_damaged_the_block_is_found_in_the_second_playing(recording, arch):
    """The first says which block it is. It has the same address in the second, from its start."""
    first = played(arch, recording)
    try:
        first("hbreak KiStop")
        assert first.resume().function == "KiStop"
        assert first.value("BugCheck->Parameter[0]") == 0x21
        damaged = first.value("BugCheck->Parameter[1]") + 64
    finally:
        first.close()
    second = played(arch, recording)
    try:
        second("thbreak LdrpStart")
        second.resume()
        second("hbreak KiStop")
        second("watch *(unsigned char *)%#x" % damaged)
        last = ""
        while second.resume().function != "KiStop":
            last = second("info locals") + second("info source")
        assert "pool_overrun.c" in last, last
    finally:
        second.close()


def test_what_cannot_be_recorded_is_refused(arch, tmp_path):
    file, sample = tmp_path / "run.rec", driver(arch, "edu")
    for more in (["--smp", "2"], ["--boot", "bios"], ["--kgdb"]):
        run = lookaside("run", sample, "--record", file, *more)
        assert run.status == 2 and "--record" in run.err, run.tail()
    assert lookaside("replay", sample).status == 2


def test_replay_explains_itself():
    done = subprocess.run([str(ROOT / "lookaside"), "replay", "--help"], capture_output=True,
                          text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0 and "--gdb" in done.stdout
