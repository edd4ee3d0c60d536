# SPDX-License-Identifier: MIT
"""A recorded run, played back and forth: the hunt that docs/DEBUGGING.md tells, start to end."""
import json
import subprocess
import tarfile

import pytest
from conftest import PATIENCE, ROOT, driver, lookaside
from debugger import Debugger


RECORDINGS = {}


@pytest.fixture
def recording(arch, tmp_path_factory):
    """A run in which a driver writes behind a pool block, found out when the block is freed."""
    if arch not in RECORDINGS:
        file = tmp_path_factory.mktemp("recording") / "run.rec"
        run = lookaside("run", "--arch", arch, "--memory", "64M", "--record", file,
                        driver(arch, "pool_overrun", "broken"))
        assert run.status == 3, run.tail()
        RECORDINGS[arch] = file, run
    return RECORDINGS[arch]


def test_a_recording_says_the_same_when_it_is_played_back(recording):
    file, run = recording
    again = lookaside("replay", file)
    stamped = [[line for line in one.lines if line.startswith("[") and "verdict" not in line]
               for one in (run, again)]
    assert stamped[0] and stamped[0] == stamped[1]  # the time stamps too


@pytest.fixture
def played(arch, recording):
    """The recording with gdb, stopped where the system was."""
    debugger = Debugger(arch, "gdb", replay=recording[0])
    try:
        debugger.connect()
        debugger("hbreak KiStop")
        assert debugger.resume().function == "KiStop"
        debugger("delete")
        yield debugger
    finally:
        debugger.close()


def place(debugger: Debugger) -> tuple:
    """Where it stands, exactly."""
    return debugger.value("$pc"), debugger.value("$sp"), debugger("info registers eflags")


def test_a_reverse_watchpoint_finds_who_damaged_the_block(played):
    """The hunt of docs/DEBUGGING.md, word for word."""
    assert played.value("BugCheck->Parameter[0]") == 0x21
    played("set $end = (unsigned char *)(BugCheck->Parameter[1] + BugCheck->Parameter[2])")
    assert played.value("*$end") == 0xFF
    played("watch -l *$end")
    stop = played.resume("reverse-continue")
    assert stop.reason == "watchpoint-trigger", stop
    assert "Old value = 255" in stop.text, stop.text
    assert "pool_overrun.c" in played("info source"), stop.text
    assert played.value("*$end") != 0xFF     # the write is what comes next
    culprit = place(played)
    played("delete")
    played.resume("stepi")
    assert played.value("*$end") == 0xFF
    played.resume("reverse-stepi")
    assert place(played) == culprit and played.value("*$end") != 0xFF


def test_back_and_forth_ends_where_it_began(played):
    """Ten stops back, and the same ten in the other order; single steps too."""
    there = [place(played)]
    played("tbreak KdNotifyModules")
    assert played.resume("reverse-continue").function == "KdNotifyModules"
    played("break MiPopPage")
    back, forth = [], []
    for _ in range(5):
        assert played.resume("reverse-continue").function == "MiPopPage"
        back.append(place(played))
    for _ in range(4):
        assert played.resume().function == "MiPopPage"
        forth.append(place(played))
    assert forth == back[-2::-1]
    played("delete")
    for _ in range(5):
        there.append(place(played))
        played.resume("stepi")
    for expected in there[:0:-1]:
        played.resume("reverse-stepi")
        assert place(played) == expected
    caller = played.resume("reverse-finish")
    assert caller.function != "MiPopPage", caller
    played.resume("reverse-next")


NO_HISTORY = "No more reverse-execution history"


def test_a_recording_has_two_ends(played):
    """gdb is told where they are, and can turn round at each; a second gdb finds the machine."""
    assert NO_HISTORY in played.resume("reverse-continue").text
    assert NO_HISTORY in played.resume("reverse-stepi").text
    for _ in range(2):
        stop = played.resume()
        assert stop.function == "HalExitEmulator" and NO_HISTORY in stop.text, stop
    played.close_gdb()
    played.start_gdb()
    played.connect()
    played("hbreak KiStop")
    assert played.resume("reverse-continue").function == "KiStop"
    played("delete")
    played("detach")
    assert played.ended() == 0
    assert played.log().count("verdict: 3 bugcheck") == 1   # what is played again is not shown


def test_ctrl_c_ends_a_search(played):
    """A condition that never holds: gdb asks for the next stop back, again and again."""
    played("break MiPopPage if $sp == 0")
    played.go("reverse-continue")
    played.interrupt()
    assert played.wait().signal == "SIGINT"
    played("delete")
    played("hbreak KdEndRun")
    assert played.resume().function == "KdEndRun"


def test_a_long_recording_is_entered_in_its_middle(arch, tmp_path):
    """It has snapshots; from one, and from the beginning, the same place is the same."""
    file = tmp_path / "run.rec"
    lookaside("run", "--arch", arch, "--memory", "64M", "--run-for", "3", "--record", file,
              driver(arch, "rtc")).assert_clean(1)
    with tarfile.open(file) as archive:
        assert len(json.load(archive.extractfile("places.json"))) >= 1
    debugger = Debugger(arch, "gdb", replay=file)
    try:
        debugger.connect()
        debugger("hbreak KdEndRun")
        assert debugger.resume().function == "KdEndRun"
        there = [place(debugger)]           # played from the beginning
        for _ in range(3):
            debugger.resume("stepi")
            there.append(place(debugger))
        for expected in there[-2::-1]:      # each from the last snapshot
            debugger.resume("reverse-stepi")
            assert place(debugger) == expected
        assert debugger.log().count("rtc.sys unloaded") == 1
    finally:
        debugger.close()


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
