# SPDX-License-Identifier: MIT
"""The debug log on its way from QEMU to the user.

Bytes go through as they come. Two kinds of lines are touched, and only those are held until their
end has come: where the kernel names a driver's code, in a backtrace, in a sentence or in its log,
it gets its source line, and the kernel's verdict is kept back to be the last line of all.
Everything is remembered, up to a limit, for the reports.
"""
import collections
import re
from typing import BinaryIO, Deque, List, Optional

from .status import ToolError
from .symbols import Symbols

# The part of the kernel that runs before there is a clock has no time stamp to give.
VERDICT = re.compile(rb"^(?:\[ *\d+\.\d+\] )?verdict: (\d+) (.*)$")
HELD = (b"[", b" ", b"v", b"*")  # how lines that may have to be touched begin
REMEMBERED_LINES = 200_000


def write_all(output: BinaryIO, data: bytes) -> None:
    """Writes at once. A reader that went away is for our caller; a full disk is told in words."""
    try:
        output.write(data)
        output.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ToolError("cannot write the log: " + error.strerror.lower()) from None


class LogStream:
    """Writes the log to several files at once."""

    def __init__(self, outputs: List[BinaryIO], symbols: Symbols):
        self.lines: Deque[str] = collections.deque(maxlen=REMEMBERED_LINES)
        self.verdict: Optional[re.Match] = None
        self._verdict_line = b""
        self._outputs = outputs
        self._symbols = symbols
        self._line = b""     # the current line so far
        self._written = 0    # how much of it has gone out
        self._return = b""   # carriage returns that ended the last data

    def _write(self, data: bytes) -> None:
        for output in self._outputs:
            write_all(output, data)

    def feed(self, data: bytes) -> None:
        """Takes what QEMU sent. The kernel's serial port ends every line with CR LF."""
        data = self._return + data
        self._return = data[len(data.rstrip(b"\r")):]  # its LF may still come
        data = data[:len(data) - len(self._return)].replace(b"\r\n", b"\n")
        for piece in re.findall(rb"[^\n]*\n|[^\n]+", data):
            self._piece(piece)

    def _piece(self, piece: bytes) -> None:
        if self._verdict_line:  # it was not the last line after all
            self._write(self._verdict_line)
            self._verdict_line = b""
            self.verdict = None
        self._line += piece
        if self._line.endswith(b"\n"):
            self._end_of_line()
        elif not self._line.startswith(HELD):
            self._write(self._line[self._written:])
            self._written = len(self._line)

    def _end_of_line(self) -> None:
        line = self._line[:-1]
        self.verdict = VERDICT.match(line)
        if self.verdict:
            self._verdict_line = self._line
        elif self._written:
            self._write(self._line[self._written:])
        else:
            line = self._symbols.explain(line) + self._symbols.annotate(line).encode()
            self._write(line + b"\n")
        self.lines.append(line.decode("utf-8", "replace"))
        self._line = b""
        self._written = 0

    def finish(self) -> None:
        """Writes what is still held but for the verdict: the next text starts a line."""
        self._verdict_line = b""
        if self._line:
            self._piece(self._return + b"\n")

    def say(self, text: str) -> None:
        """Adds a line of ours."""
        self._write(text.encode("utf-8", "replace") + b"\n")
        self.lines.append(text)
