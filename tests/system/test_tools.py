# SPDX-License-Identifier: MIT
"""The parts of ./lookaside that need no machine to be tested."""
import io

import pytest
from lookaside_cli import arguments, ktap, machine, media, status, stream


class NoSymbols:
    """Adds nothing to a backtrace."""

    def annotate(self, _line):
        """No source line is known."""
        return ""

    def explain(self, line):
        """Nor of a place in a sentence."""
        return line


def log_stream():
    """A stream and what it wrote."""
    output = io.BytesIO()
    return stream.LogStream([output], NoSymbols()), output


@pytest.mark.parametrize("size", range(1, 8))
def test_drivers_text_passes_byte_for_byte_however_it_is_cut(size):
    text = b"[a\r\n  b\rc\nno end\r\r\n[    0.1] verdict: 9 not one\n\xff\x00 #0 x\n*\n*** a\nlast"
    log, output = log_stream()
    sent = text.replace(b"\n", b"\r\n")
    for at in range(0, len(sent), size):
        log.feed(sent[at:at + size])
    log.finish()
    assert output.getvalue() == text + b"\n"


def test_the_kernels_verdict_is_kept_for_the_last_line():
    log, output = log_stream()
    log.feed(b"text\r\n[    0.123456] verdict: 0 clean: 1 driver\r\n")
    log.finish()
    assert output.getvalue() == b"text\n"
    assert log.verdict.group(1) == b"0"


def test_a_verdict_that_is_not_last_is_only_text():
    log, output = log_stream()
    log.feed(b"[    0.123456] verdict: 0 fake\r\nmore\r\n")
    log.finish()
    assert output.getvalue() == b"[    0.123456] verdict: 0 fake\nmore\n"
    assert log.verdict is None


def test_nested_results_count_once():
    lines = ["KTAP version 1", "1..2", "    1..2", "    ok 1 a", "    not ok 2 b", "not ok 1 both",
             "ok 2 c # SKIP no device"]
    cases = ktap.parse(lines)
    assert [(case.name, case.ok) for case in cases] == [("a", True), ("b", False), ("c", True)]
    assert cases[2].skipped
    assert ktap.shortfall(lines) == 0
    assert ktap.shortfall(lines[:-1]) == 1


def test_qemus_arguments_come_after_two_dashes():
    ours, qemu = arguments.split_arguments(["a.sys", "--gdb", "--", "-m", "--gdb"])
    assert ours == ["a.sys", "--gdb=1234"] and qemu == ["-m", "--gdb"]


def test_guest_statuses_never_look_like_qemus():
    assert [machine.guest_status(2 * (0x10 + n) + 1) for n in range(6)] == list(range(6))
    assert all(machine.guest_status(code) < 0 for code in (0, 1, 2, 31, 45, -15))


def test_monitor_commands_of_the_user_come_after_ours():
    merged = machine.merge_monitor('/3GB /MONITOR="!vm; !idt" /SOS', ["run edu.sys"])
    assert merged.split(" ", 1)[0] == '/MONITOR="run'
    assert '/MONITOR="run edu.sys; !vm; !idt"' in merged and "/3GB" in merged and "/SOS" in merged


def test_a_word_with_blanks_stays_one_word_for_grub():
    words = media.split_options('/RUN /MONITOR="!vm; !idt" /X')
    assert words == ["/RUN", '/MONITOR="!vm; !idt"', "/X"]
    assert media.grub_word(words[1]) == "'/MONITOR=!vm; !idt'"


def test_a_directory_is_no_driver(tmp_path):
    with pytest.raises(status.UsageError):
        arguments.check_drivers([str(tmp_path)])
