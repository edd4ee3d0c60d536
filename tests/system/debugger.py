# SPDX-License-Identifier: MIT
"""Real gdb, driven by its machine interface, on a kernel in QEMU.

`Debugger` starts ./lookaside with one of the two gdb servers (QEMU's, or the kernel's own on COM2)
and a gdb on it. Commands are what a user types; what gdb prints comes back as text.
"""
import codecs
import os
import queue
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import List, NamedTuple, Optional

from conftest import PATIENCE, ROOT, flavour_option
from line import Line

FLAVOUR = os.environ.get("LOOKASIDE_GDB_FLAVOUR", "free")
NOISE = 3000    # on a noisy line one byte in so many does not arrive as it was sent
STREAM = re.compile(r'^[~@&]"(.*)"$')
FIELD = re.compile(r'([\w-]+)="((?:[^"\\]|\\.)*)"')


def unquote(text: str) -> str:
    """A C string of the machine interface as text."""
    return codecs.escape_decode(text.encode())[0].decode("utf-8", "replace")


class Stop(NamedTuple):
    """A report that the machine has stopped."""
    reason: str
    function: str
    text: str    # everything gdb printed since it was resumed

    @property
    def signal(self) -> str:
        """The signal's name, "" when it was none."""
        return self.reason if self.reason.startswith("SIG") else ""


class Debugger:
    """A gdb and the machine it looks at."""

    def __init__(self, arch: str, server: str, drivers: List[Path] = (), options: str = "",
                 flavour: str = FLAVOUR, more: List[str] = (), gdb_options: List[str] = (),
                 replay: Optional[Path] = None, noise: str = ""):
        self.arch, self.server = arch, server
        self.folder = Path(tempfile.mkdtemp(prefix="lookaside-test-"))
        self.console = self.folder / "console"
        self.socket = self.folder / "gdb"    # where gdb connects
        self.port = self.folder / "port" if noise else self.socket  # where the machine listens
        self.line = Line(self.socket, self.port, NOISE, noise) if noise else None
        self.gdb: Optional[subprocess.Popen] = None
        self._lines: queue.Queue = queue.Queue()
        self._token = 0
        self._early: List[str] = []   # lines about stops that came before anybody waited
        self._text = ""
        self.stopped_in = ""          # the function of the last stop; "": it runs
        self.kernel = ROOT / "build" / arch / flavour / "lookaside.elf"
        command = [str(ROOT / "lookaside"), "run", "--no-build", "--arch", arch, "--timeout", "0",
                   "--%s=%s" % (server, self.port), *map(str, drivers), *flavour_option(flavour)]
        if options:
            command += ["--options", options]
        monitor = "unix:%s,server=on,wait=off" % (self.folder / "monitor")
        command += [*more, "--", "-monitor", monitor]
        if replay:
            command = [command[0], "replay", str(replay), "--gdb", str(self.socket)]
        with open(self.console, "wb") as output:
            self.machine = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=output, cwd=ROOT)
        self.start_gdb(list(gdb_options))

    # ---- gdb's process -------------------------------------------------------------------------
    def start_gdb(self, options: List[str] = ()) -> None:
        """Starts a gdb, not yet connected."""
        self._lines = queue.Queue()
        # A busy host is slow, and QEMU's server answers twice when asked twice. On a bad line gdb
        # has to ask again, but not before a busy host has had its time.
        patience = ["-iex", "set remotetimeout %d" % (PATIENCE // (40 if self.line else 20))]
        self.gdb = subprocess.Popen(
            ["gdb", "-q", "-nx", "--interpreter=mi3", "-iex", "set pagination off", *patience,
             *options, "-x", str(ROOT / "tools" / "gdb" / "lookaside.py"), str(self.kernel)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", cwd=ROOT, start_new_session=True)
        threading.Thread(target=self._read, args=(self.gdb.stdout, self._lines),
                         daemon=True).start()
        self("set confirm off")
        self("set mi-async on")

    @staticmethod
    def _read(stream, lines) -> None:
        for line in stream:
            lines.put(line.rstrip("\n"))
        lines.put(None)

    def _next(self) -> str:
        try:
            line = self._lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError("gdb says nothing\n" + self.log()) from None
        assert line is not None, "gdb ended\n" + self.log()
        return line

    def log(self) -> str:
        """The kernel's console, for failures."""
        return self.console.read_text(errors="replace")[-3000:]

    # ---- commands ------------------------------------------------------------------------------
    def __call__(self, command: str, fails: bool = False) -> str:
        """Runs a console command and returns what it printed."""
        failed, text = self.attempt(command)
        assert failed == fails, "%s: %s\n%s" % (command, text, self.log())
        return text

    def attempt(self, command: str) -> tuple:
        """Runs a console command: whether it failed, and what it printed."""
        self._token += 1
        escaped = command.replace("\\", "\\\\").replace('"', '\\"')
        self.gdb.stdin.write('%d-interpreter-exec console "%s"\n' % (self._token, escaped))
        self.gdb.stdin.flush()
        text = ""
        while True:
            line = self._next()
            stream = STREAM.match(line)
            if stream and not line.startswith("&"):
                text += unquote(stream.group(1))
            elif line.startswith("%d^" % self._token):
                failed = line.startswith("%d^error" % self._token)
                if failed:
                    text += unquote(dict(FIELD.findall(line)).get("msg", ""))
                return failed, text
            elif line.startswith("*stopped"):
                self._early.append(line)

    def value(self, expression: str) -> int:
        """An expression as a number."""
        text = self("output/x (%s) + 0" % expression)
        return int(text, 16)

    def resume(self, command: str = "continue") -> Stop:
        """Lets the machine run until it stops again."""
        self.go(command)
        return self.wait()

    def go(self, command: str = "continue") -> None:
        """Lets the machine run."""
        self._early = []
        self.stopped_in = ""
        self._text = self(command + "&")  # in the background: gdb listens meanwhile

    def refused(self, command: str) -> str:
        """A resumption that gdb gives up before the machine runs; what it said."""
        self.go(command)
        text = self._text
        while True:
            line = self._next()
            stream = STREAM.match(line)
            if stream:
                text += unquote(stream.group(1))
            elif line.startswith("%d^error" % self._token):
                return text
            assert not line.startswith("*stopped"), text

    def has_stopped(self) -> bool:
        """Whether the stop that `wait` will return comes within a second."""
        end = time.monotonic() + 1
        while not any(line.startswith("*stopped") for line in self._early):
            try:
                self._early.append(self._lines.get(timeout=max(0, end - time.monotonic())))
            except queue.Empty:
                return False
        return True

    def wait(self) -> Stop:
        """Waits for the stop that follows `go`."""
        text = self._text
        while True:
            line = self._early.pop(0) if self._early else self._next()
            stream = STREAM.match(line)
            if stream and not line.startswith("&"):
                text += unquote(stream.group(1))
            if line.startswith("=thread-group-exited"):
                return Stop("exited", "", text)
            if line.startswith("*stopped"):
                fields = dict(FIELD.findall(line))
                self.stopped_in = fields.get("func", "")
                return Stop(fields.get("signal-name", fields.get("reason", "")),
                            fields.get("func", ""), text)

    def steps(self, count: int) -> List[str]:
        """Single steps, one packet exchange each; the functions they ended in."""
        return [self.resume("stepi").function for _ in range(count)]

    def interrupt(self) -> None:
        """What Ctrl-C does in a terminal. A signal could reach gdb before it has resumed."""
        self._token += 1
        self.gdb.stdin.write("%d-exec-interrupt\n" % self._token)
        self.gdb.stdin.flush()

    def qemu(self, command: str) -> None:
        """A command of QEMU's own monitor, until it has the prompt again."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self.folder / "monitor"))
            connection.sendall(command.encode() + b"\n")
            text = b""
            while text.count(b"(qemu) ") < 2:
                text += connection.recv(4096)

    def connect(self) -> str:
        """Attaches to the server, once QEMU has it."""
        end = time.monotonic() + PATIENCE
        while not self.port.exists() and time.monotonic() < end:
            assert self.machine.poll() is None, self.log()
            time.sleep(0.05)
        while self.server == "kgdb" and "gdb is waited for" not in self.log():
            assert self.machine.poll() is None, self.log()
            time.sleep(0.05)    # what is sent before is lost, and sent again much later
        self._early = []
        return self("target remote %s" % self.socket)

    def mutter(self, data: bytes) -> None:
        """What a gdb that dies at once would have sent."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.port))
            connection.sendall(data)

    # ---- the end -------------------------------------------------------------------------------
    def close_gdb(self) -> None:
        """Ends gdb without a word to the server, as a crash would."""
        if self.gdb and self.gdb.poll() is None:
            self.gdb.kill()
            self.gdb.wait()

    def ended(self) -> int:
        """Waits for the machine to end; ./lookaside's exit status."""
        return self.machine.wait(PATIENCE)

    def close(self) -> None:
        """Ends both."""
        self.close_gdb()
        if self.line:
            self.line.close()
        if self.machine.poll() is None:
            self.machine.terminate()
            self.machine.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
