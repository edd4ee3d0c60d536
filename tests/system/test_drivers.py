# SPDX-License-Identifier: MIT
"""The test drivers of tests/guest, and the samples on their devices."""
import re
import subprocess

import pytest
from conftest import ROOT, driver, flavour_option, lookaside

GUEST = sorted(path.stem for path in (ROOT / "tests" / "guest").glob("*.c"))
# Time is counted in instructions, 64 ns each, and nobody waits for it while the machine is idle:
# what a test driver sees does not depend on the host.
COUNTED = ("--", "-icount", "shift=6,sleep=off")
CLANG = sorted(path.stem for path in (ROOT / "tests" / "guest" / "clang").glob("*.c"))


@pytest.mark.parametrize("name", GUEST)
def test_guest(name, arch, flavour):
    """A test driver's cases, one assert for all: the log names those that failed."""
    run = lookaside("run", driver(arch, name, "tests"), "--device", "edu", *flavour_option(flavour),
                    *COUNTED)
    failed = [line for line in run.lines if line.startswith(("not ok", "# "))]
    assert not failed, "\n".join(failed)
    run.assert_clean(1)


# Exported by these components; KeBugCheck ends a run (tests/guest/broken).
EXPORT = re.compile(r"^\s*EXPORT\w*\((\w+)", re.M)
COMPONENTS = ("ke", "ex", "ob", "ps")
END_THE_RUN = {"KeBugCheck", "KeBugCheckEx"}
IMPORT = re.compile(r"^\t[0-9a-f]+\t +\d+  [@_]?(\w+)(@\d+)?$", re.M)


def routines_named(file, arch, routines):
    """Those of `routines` that a test driver imports or asks for by name."""
    prefix = {"amd64": "x86_64", "i386": "i686"}[arch]
    dump = subprocess.run([prefix + "-w64-mingw32-objdump", "-p", str(file)], text=True,
                          capture_output=True, check=True).stdout
    imported = {match.group(1) for match in IMPORT.finditer(dump[dump.find("DLL Name"):])}
    content = file.read_bytes()
    return {name for name in routines
            if name in imported or (name + "\0").encode("utf-16-le") in content}


def test_every_routine_is_called_by_a_test_driver(arch):
    """Those of the layer that drivers live in; the drivers run on 1, 2 and 4 processors below."""
    exported = set()
    for file in sorted((ROOT / "kernel").rglob("*.c")):
        parts = file.relative_to(ROOT / "kernel").parts
        if parts[0] in COMPONENTS and (len(parts) == 2 or parts[1] == arch):
            exported |= set(EXPORT.findall(file.read_text()))
    assert len(exported) > 250
    missing = exported - END_THE_RUN
    for name in GUEST:
        missing -= routines_named(driver(arch, name, "tests"), arch, missing)
    assert missing == set()


@pytest.mark.parametrize("name", CLANG)
def test_guest_compiled_by_clang(name, arch, flavour):
    """__try as clang compiles it; built only where clang is new enough."""
    file = driver(arch, name, "clang")
    if not file.exists():
        pytest.skip("no clang that knows __try")
    lookaside("run", file, *flavour_option(flavour)).assert_clean(1)


@pytest.mark.parametrize("processors", [1, 2, 4])
def test_all_guest_drivers_run_in_one_machine(processors, arch, flavour):
    """What one of them leaves behind, another might stumble over; on one processor and more."""
    if not GUEST:
        pytest.skip("no test drivers")
    run = lookaside("run", *(driver(arch, name, "tests") for name in GUEST), "--device", "edu",
                    "--smp", processors, "--memory", "128M", *flavour_option(flavour))
    failed = [line for line in run.lines if line.startswith(("not ok", "# "))]
    assert not failed, "\n".join(failed)
    run.assert_clean(len(GUEST))
    run.assert_processors(processors)


def test_the_smallest_machine_passes_the_guest_tests(arch):
    if not GUEST:
        pytest.skip("no test drivers")
    lookaside("run", *(driver(arch, name, "tests") for name in GUEST), "--memory", "16M",
              "--device", "edu", *COUNTED).assert_clean(len(GUEST))


def test_edu_computes_by_interrupt_and_moves_data_by_dma(arch, flavour):
    run = lookaside("run", driver(arch, "edu"), "--device", "edu", *flavour_option(flavour))
    run.assert_clean(1)
    assert "edu: 12! = 479001600" in run.out, run.tail()
    assert re.search(r"DMA", run.out, re.I), run.tail()


def test_edu_without_its_device_says_so(arch):
    run = lookaside("run", driver(arch, "edu"))
    assert run.status == 1, run.tail()
    assert re.search(r"edu\.sys.*0xC0000\w+ STATUS_\w+", run.verdict), run.tail()


def test_drivers_unload_in_reverse(arch):
    run = lookaside("run", driver(arch, "edu"), driver(arch, "rtc"), "--device", "edu")
    run.assert_clean(2)
    unloaded = re.findall(r"ldr: (\w+)\.sys unloaded", run.out)
    assert unloaded == ["rtc", "edu"], run.tail()


@pytest.mark.parametrize("processors", [1, 4])
def test_what_an_unloaded_driver_left_running_is_named(processors, arch, flavour):
    """The thread comes back into an image that is gone, while another driver's unload waits."""
    run = lookaside("run", driver(arch, "work_item_never_returns", "broken"),
                    driver(arch, "thread_left", "broken"), "--smp", processors,
                    *flavour_option(flavour))
    assert run.status == 3, run.tail()
    assert re.search(r"STOP: 0x000000CE \((0x\w+), 0x0+8, \1, 0x0+\)", run.out), run.tail()
    named = r"^\*\*\* .*was thread_left\.sys\+0x\w+ until the driver was unloaded"
    assert re.search(named, run.out, re.M), run.tail()


def test_timers_of_an_unloaded_driver_expire_no_more(arch, flavour):
    """Their objects are gone, too; the machine goes on until time runs out."""
    run = lookaside("run", driver(arch, "work_item_never_returns", "broken"),
                    driver(arch, "timer_left", "broken"), "--smp", 2, "--timeout", 6,
                    *flavour_option(flavour))
    assert run.status == 124, run.tail()
    assert "timer_left.sys left 1 active timer" in run.out, run.tail()
    assert "ldr: timer_left.sys unloaded" in run.out, run.tail()


def test_a_file_that_is_no_driver_is_refused_with_a_reason(arch, tmp_path):
    file = tmp_path / "text.sys"
    file.write_text("this is no driver, but it is longer than a header would have to be\n" * 99)
    run = lookaside("run", file, "--arch", arch)
    assert run.status == 1, run.tail()
    assert re.search(r"ldr: text\.sys refused: \w+", run.out), run.tail()


def test_a_truncated_driver_is_refused_with_a_reason(arch, tmp_path):
    file = tmp_path / "short.sys"
    file.write_bytes(driver(arch, "edu").read_bytes()[:1500])
    run = lookaside("run", file)
    assert run.status == 1, run.tail()
    assert re.search(r"ldr: short\.sys refused: \w+", run.out), run.tail()


def test_a_driver_for_the_other_architecture_is_refused_with_a_reason(arch):
    other = {"amd64": "i386", "i386": "amd64"}[arch]
    run = lookaside("run", driver(other, "rtc"), "--arch", arch)
    assert run.status == 1, run.tail()
    assert re.search(r"ldr: rtc\.sys refused: .*(machine|built for)", run.out), run.tail()
