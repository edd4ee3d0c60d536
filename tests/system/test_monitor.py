# SPDX-License-Identifier: MIT
"""The kernel's prompt: as a person in a terminal sees it, and by /MONITOR without one."""
import re

import pexpect
import pytest
from conftest import PATIENCE, ROOT, driver, lookaside

COMMANDS = ("help", "!vm", "!poolused", "!lookaside", "!irql", "!drivers", "!idt", "log")


@pytest.fixture(name="terminal")
def a_terminal(arch):
    """`lookaside run` in a terminal, at the prompt with the sample drivers loaded."""
    child = pexpect.spawn(str(ROOT / "lookaside"), ["run", "--no-build", "--arch", arch],
                          timeout=PATIENCE, encoding="utf-8", codec_errors="replace", cwd=str(ROOT))
    child.expect(r"rtc\.sys at 0x")
    child.expect(r"\n[^\n]*> ")
    yield child
    child.close(force=True)


def command(terminal, line):
    """Types a line and returns what came back before the next prompt."""
    terminal.send(line + "\r")
    terminal.expect(r"\n")
    terminal.expect(r"\n> ")
    return terminal.before


def test_make_run_ends_at_a_prompt_that_answers(terminal):
    text = command(terminal, "!drivers")
    assert "edu.sys" in text and "rtc.sys" in text
    assert "usage:" in command(terminal, "!pte")
    assert "no command" in command(terminal, "frobnicate")
    command(terminal, "unload rtc")
    assert "not loaded: rtc.sys" in command(terminal, "!drivers")
    command(terminal, "run rtc")
    assert "rtc.sys" in command(terminal, "!drivers")
    terminal.send("poweroff\r")
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 0


def test_ctrl_a_x_ends_qemu(terminal):
    terminal.send("\x01x")
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 0


def test_a_bugcheck_at_the_prompt_leaves_a_monitor(terminal):
    terminal.send("crash D1\r")
    terminal.expect(r"\*\*\* STOP: 0x000000D1")
    terminal.expect(r"\n> ")
    # On a screen of 25 lines the report has pushed its own beginning out.
    assert "*** STOP: 0x000000D1" in "\n".join(terminal.before.splitlines()[-24:])
    assert "edu.sys" in command(terminal, "!drivers")


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_answers_without_a_keyboard(arch, line):
    run = lookaside("run", driver(arch, "rtc"), "--options", '/MONITOR="%s"' % line)
    run.assert_clean(1)
    answer = run.out.partition("> %s\n" % line)[2]
    assert answer.strip(), run.tail()
    assert not re.match(r"usage:|There is no command", answer), run.tail()


def test_addresses_are_explained(arch):
    commands = "whatis KiSystemStartup; whatis ExAllocatePoolWithTag; !pte 0; !pfn 0"
    run = lookaside("run", driver(arch, "rtc"), "--options", '/MONITOR="%s"' % commands)
    run.assert_clean(1)
    assert "ExAllocatePoolWithTag" in run.out.partition("> whatis ExAllocate")[2]


def test_an_address_of_more_than_32_bits_is_refused_where_there_is_none():
    run = lookaside("run", driver("i386", "rtc"), "--options", '/MONITOR="!pte 8000000000000000"')
    run.assert_clean(1)
    assert "\nusage: !pte" in run.out, run.tail()


def test_crash_ends_a_batch_run_with_its_code(arch):
    run = lookaside("run", driver(arch, "rtc"), "--options", '/MONITOR="crash E2"')
    assert run.status == 3, run.tail()
    assert "*** STOP: 0x000000E2" in run.out


def test_poolmon_renews_its_screen_at_each_key(terminal):
    terminal.send("poolmon\r")
    terminal.expect("PerAlloc")
    for key in "bdamftelp(":
        terminal.send(key)
        terminal.expect("PerAlloc")
    for key in "si07":
        terminal.send(key)
        terminal.expect("There are no sessions")
    terminal.send("h")
    terminal.expect("Any key goes on")
    terminal.send("x")
    terminal.expect("PerAlloc")
    terminal.send("q")
    terminal.expect(r"> ")
    assert "usage:" in command(terminal, "!pte")
