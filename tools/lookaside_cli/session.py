# SPDX-License-Identifier: MIT
"""One run of QEMU: starting it, following it, and ending it in every way it can end."""
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import List, Optional

from . import backtrace
from .arguments import DEFAULT_TIMEOUT, RunPlan
from .machine import guest_status, qemu_command
from .process import die_with_parent
from .progress import progress, progress_done
from .qmp import Qmp
from .recording import Snapshots, keep, recorded
from .report import Outcome
from .status import INTERRUPTED, TIMEOUT, TOOL, WORDS, LookasideError
from .stream import LogStream
from .symbols import Symbols

QUIT_SECONDS = 5.0
RESET = "the machine reset itself before the kernel had a verdict (a triple fault does that)"
POWERED_OFF = "the machine was powered off before the kernel had a verdict"


def time_limit(plan: RunPlan) -> Optional[float]:
    """Seconds until the run is given up; None for never."""
    if plan.timeout is not None:
        return plan.timeout or None
    watched = plan.display or plan.gdb or plan.kgdb or (plan.interactive and sys.stdin.isatty())
    return None if watched else DEFAULT_TIMEOUT + (plan.run_for or 0)


class Session:
    """QEMU's process and what hangs on it."""

    def __init__(self, plan: RunPlan, folder: Path, stream: LogStream, symbols: Symbols):
        self.plan, self.folder, self.stream, self.symbols = plan, folder, stream, symbols
        self.errors = folder / "qemu.err"
        self.failure: Optional[Exception] = None  # why the log could not be passed on
        self.start = time.monotonic()
        with open(self.errors, "wb") as errors:
            command = qemu_command(plan, folder)
            if plan.record:
                command = recorded(plan, folder, command)
            self.command = command
            self.snapshots = Snapshots(folder) if plan.record else None
            if self.snapshots:
                command = self.snapshots.arguments(command)
            self.process = subprocess.Popen(
                command, stderr=errors, cwd=folder if plan.record else None,
                stdin=subprocess.DEVNULL if plan.batch else None,
                stdout=subprocess.PIPE if plan.batch else None,
                start_new_session=plan.batch,  # so that Ctrl-C reaches us alone
                preexec_fn=die_with_parent)
        self.qmp = Qmp(folder / "qmp", alive=lambda: self.process.poll() is None)
        if self.snapshots:
            self.snapshots.start()
        self.reader = threading.Thread(target=self._read, daemon=True)
        if plan.batch:
            self.reader.start()

    def _read(self) -> None:
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return
            progress_done()
            try:
                self.stream.feed(data)
            except (LookasideError, BrokenPipeError) as error:
                self.failure = error
                self.process.kill()  # nobody would see what else it does
                return

    def follow(self) -> Outcome:
        """Waits for the end of the run, whoever brings it about."""
        try:
            code = self.process.wait(time_limit(self.plan))
        except subprocess.TimeoutExpired:
            return self._time_ran_out()
        except KeyboardInterrupt:
            self.end()
            return self._outcome(INTERRUPTED, WORDS[INTERRUPTED])
        return self._ended(code)

    def _time_ran_out(self) -> Outcome:
        self.qmp.execute("stop")
        time.sleep(0)  # let the reader have what QEMU has sent
        frames = list(backtrace.all_processors(self.qmp, self.symbols, list(self.stream.lines)))
        self.end()
        self.stream.finish()
        for line in frames:
            self.stream.say(line)
        return self._outcome(TIMEOUT, "time ran out after %g s" % time_limit(self.plan))

    def _ended(self, code: int) -> Outcome:
        reason = self.qmp.shutdown_reason()
        self.end()
        if self.failure:
            raise self.failure
        status = guest_status(code)
        verdict = self.stream.verdict
        if verdict and (status < 0 and code == 0 or status == int(verdict.group(1))):
            return self._outcome(int(verdict.group(1)), verdict.group(2).decode("utf-8", "replace"))
        if status >= 0:
            return self._outcome(status, WORDS[status])
        if code == 0 and self.plan.interactive:
            return self._outcome(0, "ended at the prompt")
        if code == 0:
            return self._outcome(TOOL, RESET if reason == "guest-reset" else POWERED_OFF)
        return self._outcome(TOOL, "QEMU failed: " + self._last_error(code))

    def _last_error(self, code: int) -> str:
        lines = self.errors.read_text(errors="replace").strip().splitlines()
        if code < 0:
            return "ended by " + signal.Signals(-code).name
        named = [line for line in lines if line.startswith("qemu-system-")]  # not advice after it
        return (named or lines or ["exit status %d" % code])[-1]

    def _outcome(self, status: int, words: str) -> Outcome:
        self.stream.finish()
        return Outcome(status, words, time.monotonic() - self.start, list(self.stream.lines))

    def end(self) -> None:
        """Ends QEMU if it still runs, gently first, and takes in all it had to say."""
        if self.process.poll() is None:
            self.qmp.execute("quit")
            try:
                self.process.wait(QUIT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.qmp.close()
        if self.reader.is_alive():
            self.reader.join(QUIT_SECONDS)


@contextmanager
def terminal_kept():
    """Gives the terminal back as it was, even when QEMU was killed in raw mode."""
    try:
        import termios  # pylint: disable=import-outside-toplevel
        saved = termios.tcgetattr(0)
    except Exception:  # pylint: disable=broad-except
        saved = None    # not a terminal: nothing to keep
    try:
        yield
    finally:
        if saved:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)


def run_session(plan: RunPlan, folder: Path, outputs: List, symbols: Symbols) -> Outcome:
    """Runs a plan and says how it ended."""
    progress("booting %s in QEMU" % plan.arch)
    stream = LogStream(outputs, symbols)
    with terminal_kept():
        session = Session(plan, folder, stream, symbols)
        if plan.interactive:
            progress_done()
        try:
            return session.follow()
        finally:
            session.end()
            progress_done()
            if plan.record:
                session.snapshots.finish()
                keep(plan, folder, session.command)
