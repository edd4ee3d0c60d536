# SPDX-License-Identifier: MIT
"""./lookaside keeps its contract (design, section 7): statuses, reports, errors for people."""
import json
import re
import signal
import subprocess
import time
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
from conftest import PATIENCE, ROOT, driver, lookaside

MISTAKES = {
    "no command": [],
    "unknown command": ["frob"],
    "unknown option": ["run", "--frob"],
    "missing file": ["run", "no-such-file.sys"],
    "directory": ["run", "drivers"],
    "bad memory size": ["run", "--memory", "lots"],
    "no processors": ["run", "--smp", "0"],
    "bad boot": ["run", "--boot", "floppy"],
    "paging file": ["run", "--pagefile", "1G"],
    "verifier flags": ["run", "--verifier=0x20000"],
    "special pool for whom": ["run", "--special-pool", "everybody"],
    "faults": ["run", "--faults", "often"],
    "no driver to fail": ["run", "--fail-each-allocation"],
    "negative time": ["run", "--timeout", "-1"],
    "time without end": ["run", "--run-for", "inf"],
    "time that is none": ["run", "--timeout", "nan"],
    "no room for the kernel": ["run", "--memory", "2M"],
    "a device for a driver": ["run", "/dev/null"],
    "log into a directory": ["run", "--log", "tests"],
    "unwritable report": ["run", "--junit", "no/such/folder/x.xml"],
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_status_2(mistake):
    run = lookaside(*MISTAKES[mistake])
    assert run.status == 2
    assert run.out == ""
    assert re.fullmatch(r"lookaside: .+\n", run.err), run.err


def test_an_empty_driver_is_a_mistake(tmp_path):
    (tmp_path / "empty.sys").touch()
    assert lookaside("run", tmp_path / "empty.sys").status == 2


def test_more_drivers_than_the_kernel_takes_are_a_mistake(tmp_path):
    drivers = [tmp_path / ("d%d.sys" % number) for number in range(65)]
    for file in drivers:
        file.write_bytes(b"MZ")
    run = lookaside("run", *drivers)
    assert run.status == 2 and "65 drivers" in run.err


@pytest.mark.parametrize("name", ["rtc.bin", "rtc", "r" * 200 + ".sys"])
def test_what_is_named_is_run_whatever_its_name(arch, tmp_path, name):
    file = tmp_path / name
    file.write_bytes(driver(arch, "rtc").read_bytes())
    lookaside("run", file).assert_clean(1)


def test_a_name_that_is_no_text_can_be_reported(tmp_path):
    file = tmp_path / b"b\xff.sys".decode(errors="surrogateescape")
    file.write_bytes(driver("amd64", "rtc").read_bytes())
    run = lookaside("run", file, "--junit", tmp_path / "x", "--json", tmp_path / "j")
    run.assert_clean(1)
    assert xml.parse(tmp_path / "x").getroot().get("failures") == "0"


def test_a_full_disk_is_told_in_words():
    run = lookaside("run", driver("amd64", "rtc"), "--log", "/dev/full")
    assert run.status == 5
    assert run.err == "lookaside: cannot write the log: no space left on device\n"


def test_a_reader_that_goes_away_ends_the_run():
    with subprocess.Popen([str(ROOT / "lookaside"), "run", "--no-build", "--timeout", "0",
                           str(driver("amd64", "hangs", "broken"))], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        process.stdout.close()
        assert process.wait(PATIENCE) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_files_change_nothing(closed):
    command = "%s run --no-build %s %s" % (ROOT / "lookaside", driver("amd64", "rtc"), closed)
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0 and done.stderr == b""


def test_drivers_of_both_architectures_are_a_mistake():
    run = lookaside("run", driver("amd64", "edu"), driver("i386", "rtc"))
    assert run.status == 2 and "separately" in run.err


def test_help_names_every_option_of_the_contract():
    text = lookaside("run", "--help").out
    for option in ("arch boot smp memory options imports pagefile verifier "
                   "special-pool pool-guard faults fail-each-allocation device timeout checked "
                   "accel gdb display interactive run-for junit log json").split():
        assert "--" + option in text
    assert lookaside("--help").status == 0


def test_the_architecture_follows_the_driver(arch):
    run = lookaside("run", driver(arch, "rtc"))
    run.assert_clean(1)


def test_a_driver_with_an_awkward_path_runs(arch, tmp_path):
    folder = tmp_path / "a folder, with 'quotes'"
    folder.mkdir()
    file = folder / "my driver,1.sys"
    file.write_bytes(driver(arch, "rtc").read_bytes())
    for boot in ("kernel", "bios"):
        lookaside("run", file, "--boot", boot).assert_clean(1)


def test_reports_say_what_the_run_said(arch, tmp_path):
    files = {name: tmp_path / name for name in ("junit", "json", "log")}
    run = lookaside("run", driver(arch, "rtc"), "--junit", files["junit"], "--json", files["json"],
                    "--log", files["log"])
    run.assert_clean(1)
    assert files["log"].read_text() == run.out
    result = json.loads(files["json"].read_text())
    assert result["status"] == 0 and "verdict: 0 " + result["verdict"] == run.verdict
    suite = xml.parse(files["junit"]).getroot()
    assert suite.get("failures") == "0" and suite.get("tests") == "1"


def test_reports_of_a_bugcheck_carry_its_code(arch, tmp_path):
    run = lookaside("run", driver(arch, "read_at_dispatch", "broken"), "--junit", tmp_path / "x",
                    "--json", tmp_path / "j")
    assert run.status == 3
    assert run.verdict.startswith("verdict: 3 bugcheck: *** STOP: 0x000000D1 (")
    assert run.verdict.endswith(" DRIVER_IRQL_NOT_LESS_OR_EQUAL")
    stop = json.loads((tmp_path / "j").read_text())["bugcheck"]
    assert stop["code"] == "0x000000D1" and len(stop["parameters"]) == 4
    assert xml.parse(tmp_path / "x").getroot().get("failures") == "1"


def test_qemu_arguments_reach_qemu():
    run = lookaside("run", driver("amd64", "rtc"), "--", "-no-such-argument")
    assert run.status == 5 and "no-such-argument" in run.verdict


def test_a_reset_is_not_a_success(arch):
    run = lookaside("run", driver(arch, "rtc"), "--options", '/MONITOR="reboot"')
    assert run.status == 5, run.tail()
    assert "reset" in run.verdict


def test_ctrl_c_ends_qemu(arch):
    process = subprocess.Popen([str(ROOT / "lookaside"), "run", "--no-build",
                                str(driver(arch, "hangs", "broken"))], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                               # A shell starts background jobs with the signal ignored.
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    line = b""
    while b"hangs.sys" not in line:
        line = process.stdout.readline()
        assert line, "the run ended by itself"
    children = Path("/proc/%d/task/%d/children" % (process.pid, process.pid)).read_text().split()
    assert children, "QEMU is not a child of ./lookaside"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    end = time.monotonic() + PATIENCE
    while any(alive(child) for child in children):
        assert time.monotonic() < end, "QEMU outlived ./lookaside"


def alive(pid):
    """Whether a process exists, and is more than a status that nobody has asked for."""
    try:
        return ") Z " not in Path("/proc/%s/stat" % pid).read_text()
    except FileNotFoundError:
        return False


def test_exports_lists_names_levels_and_sources(arch):
    run = lookaside("exports", "--arch", arch, "--no-build")
    assert run.status == 0, run.err
    names = [line.split()[0] for line in run.lines]
    assert names == sorted(names)
    assert {"ExAllocatePoolWithTag", "DbgPrint", "MmMapIoSpace"} <= set(names)
    for line in run.lines:
        assert len(line.split()) >= 3, "no source: " + line


def test_what_is_exported_can_be_imported(arch):
    """The samples' imports are in the list."""
    names = {line.split()[0] for line in lookaside("exports", "--arch", arch, "--no-build").lines}
    prefix = {"amd64": "x86_64", "i386": "i686"}[arch]
    dump = subprocess.run([prefix + "-w64-mingw32-objdump", "-p", str(driver(arch, "edu"))],
                          text=True, capture_output=True, check=True)
    imports = set(re.findall(r"^\s+[0-9a-f]+\s+\d+\s+([A-Z]\w+)$", dump.stdout, re.M))
    assert imports and imports <= names
