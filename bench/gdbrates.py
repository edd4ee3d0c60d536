# SPDX-License-Identifier: MIT
"""How fast real gdb is on the kernel's own server: single steps and memory read.

gdb is connected to QEMU's end of the serial port itself, or through a relay, which lets a line's
speed through and no more (10 bits a byte, each direction on its own). What is timed happens inside
gdb, by its Python.
"""
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Dict, Optional

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(1, str(ROOT / "tools"))

from lookaside_cli.status import ToolError  # pylint: disable=wrong-import-position

LONGEST = 180     # seconds
CHUNK = 16        # bytes that a slow line carries at a time: a 16550's queue

# The kernel stands at its first instruction. The first step and read ask for more than others.
SCRIPT = r"""
python
import time
def steps(count):
    start = time.monotonic()
    for _ in range(count):
        gdb.execute("stepi", to_string=True)
    return count / (time.monotonic() - start)
def read(size):
    place = int(gdb.parse_and_eval("(unsigned long)&KernelTextStart"))
    start = time.monotonic()
    gdb.selected_inferior().read_memory(place, size)
    return size / 1024 / (time.monotonic() - start)
steps(1), read(64)
print("BENCH steps %%.3f" %% steps(%d))
print("BENCH read %%.3f" %% read(%d))
end
kill
"""


class Relay(threading.Thread):
    """Carries bytes between gdb and QEMU at a line's speed. Ends when either side does."""

    def __init__(self, here: Path, there: Path, baud: int):
        super().__init__(daemon=True)
        self.there, self.baud = there, baud
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(here))
        self.listener.listen(1)

    def run(self) -> None:
        """One connection."""
        gdb = self.listener.accept()[0]
        machine = socket.socket(socket.AF_UNIX)
        machine.connect(str(self.there))
        back = threading.Thread(target=self.carry, args=(machine, gdb), daemon=True)
        back.start()
        self.carry(gdb, machine)

    def carry(self, source: socket.socket, target: socket.socket) -> None:
        """One direction: a byte takes ten bits' time, and none waits for those behind it. What is
        sent is taken at once: QEMU's port throws away what it cannot pass on."""
        waiting, size, due = b"", 0, 0.0  # of the bytes that wait so many will have arrived when
        try:
            while True:
                now = time.monotonic()
                if waiting and now >= due:
                    target.sendall(waiting[:size])
                    waiting = waiting[size:]
                elif select.select([source], [], [], due - now if waiting else None)[0]:
                    data = source.recv(65536)
                    if not data:
                        break
                    waiting += data
                    if len(waiting) > len(data):
                        continue
                    due = max(due, time.monotonic())
                else:
                    continue
                size = len(waiting[:CHUNK])
                due += size * 10 / self.baud
        except OSError:
            pass  # the other side is gone
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def wait_for(console: Path, machine: subprocess.Popen) -> None:
    """Returns when the kernel listens: what is sent before is lost, and sent again much later."""
    end = time.monotonic() + LONGEST
    while b"gdb is waited for" not in console.read_bytes():
        if machine.poll() is not None or time.monotonic() > end:
            raise ToolError("the machine did not start")
        time.sleep(0.05)


def measure(arch: str, baud: Optional[int], steps: int, size: int) -> Dict[str, float]:
    """Starts a machine and gdb; what gdb measured."""
    kernel = ROOT / "build" / arch / "free" / "lookaside.elf"
    with tempfile.TemporaryDirectory(prefix="lookaside-bench-") as name:
        folder = Path(name)
        machine = subprocess.Popen(
            [str(ROOT / "lookaside"), "run", "--no-build", "--arch", arch, "--accel", "tcg",
             "--timeout", "0", "--kgdb=%s" % (folder / "kgdb"),
             str(ROOT / "build" / "drivers" / arch / "rtc.sys")],
            stdin=subprocess.DEVNULL, stdout=open(folder / "console", "wb"),
            stderr=subprocess.DEVNULL)
        try:
            wait_for(folder / "console", machine)
            line = folder / "kgdb"
            if baud:
                line = folder / "line"
                Relay(line, folder / "kgdb", baud).start()
            (folder / "script").write_text(SCRIPT % (steps, size))
            done = subprocess.run(
                ["gdb", "-q", "-nx", "-batch", "-iex", "set remotetimeout 30", str(kernel),
                 "-ex", "target remote %s" % line, "-x", str(folder / "script")],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                timeout=LONGEST, check=False)
        except FileNotFoundError:
            raise ToolError("gdb is not installed: run tools/setup debug") from None
        finally:
            machine.terminate()
            machine.wait()
    found = {words[1]: float(words[2]) for words in map(str.split, done.stdout.splitlines())
             if words[:1] == ["BENCH"]}
    if not found:
        raise ToolError("gdb measured nothing: " + (done.stderr.strip() or done.stdout)[-500:])
    return found


def measure_socket(arch: str) -> Dict[str, float]:
    """As fast as QEMU's serial port takes it."""
    found = measure(arch, None, 100, 512 << 10)
    return {"gdb-steps": found["steps"], "gdb-read": found["read"]}


def measure_115200(arch: str) -> Dict[str, float]:
    """As over a cable."""
    found = measure(arch, 115200, 10, 16 << 10)
    return {"gdb-steps-115200": found["steps"], "gdb-read-115200": found["read"]}
