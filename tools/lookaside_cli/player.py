# SPDX-License-Identifier: MIT
"""A recording on a machine: played to any instruction of it.

QEMU counts instructions. `replay-break` stops a playing machine at a count; going back means a
fresh QEMU that begins at a snapshot before the place and plays up to it. QEMU can load a snapshot
into a running replay too (`replay-seek`), but 7.2 hangs in that after a few times; a fresh
one never has.

A player is one such QEMU, stopped, and the connection to its gdb server. It works on a copy of the
file of snapshots, since loading one writes to it.
"""
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Dict, List, Optional

from .qmp import Qmp
from .rsp import Link
from .process import die_with_parent
from .status import ToolError

START = "start"             # the snapshot at the first instruction
CONNECT_SECONDS = 60.0


class Console:
    """The machine's console. What is played again is not shown again."""

    def __init__(self, output: int):
        self.output = output
        self.shown = 0          # bytes since the beginning of the recording
        self.lock = threading.Lock()

    def show(self, at: int, data: bytes) -> None:
        """Bytes that follow the first `at` ones."""
        with self.lock:
            new = data[max(0, self.shown - at):]
            self.shown = max(self.shown, at + len(data))
            while new:
                new = new[os.write(self.output, new):]


class Recording:
    """An unpacked recording: where it is, how QEMU was started, which snapshots there are."""

    def __init__(self, folder: Path, command: List[str], snapshots: str, places: Dict[str, int],
                 console: Console):
        self.folder, self.command, self.file, self.console = folder, command, snapshots, console
        self.places = {START: 0, **places}  # of snapshots in what the console printed
        self.players = 0
        self.wide = command[0].endswith("x86_64")   # which registers QEMU's server counts
        self.snapshots = self._list_snapshots()

    def _list_snapshots(self) -> Dict[int, str]:
        """Names by instruction count."""
        told = subprocess.run(["qemu-img", "info", "--output=json", str(self.folder / self.file)],
                              capture_output=True, check=True)
        return {int(entry.get("icount", 0)): entry["name"]
                for entry in json.loads(told.stdout).get("snapshots", [])
                if entry["name"] in self.places}

    def before(self, count: int) -> int:
        """The count of the last snapshot that is not after `count`."""
        return max(at for at in self.snapshots if at <= count)


class Player:
    """One QEMU, stopped at a snapshot's instruction."""

    def __init__(self, recording: Recording, snapshot: int):
        self.recording, self.snapshot = recording, snapshot
        recording.players += 1
        number = recording.players
        self.folder = recording.folder
        self.names = {kind: "%s%d" % (kind, number) for kind in ("gdb", "qmp", "snapshots")}
        shutil.copyfile(self.folder / recording.file, self.folder / self.names["snapshots"])
        with open(self.folder / "qemu.err", "wb") as errors:
            self.process = subprocess.Popen(
                self._command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=errors, start_new_session=True, preexec_fn=die_with_parent)
        self.printed = threading.Thread(target=self._print, daemon=True)
        self.printed.start()
        self.qmp: Optional[Qmp] = None
        self.link: Optional[Link] = None

    def _command(self) -> List[str]:
        name = self.recording.snapshots[self.snapshot]
        replaced = (("rrsnapshot=" + START, "rrsnapshot=" + name),
                    ("file=" + self.recording.file, "file=" + self.names["snapshots"]))
        command = self.recording.command
        for old, new in replaced:
            command = [word.replace(old, new) for word in command]
        listening = "path=%s,server=on,wait=off"
        return command + ["-S", "-qmp", "unix:" + listening[5:] % self.names["qmp"],
                          "-chardev", "socket,id=gdb," + listening % self.names["gdb"],
                          "-gdb", "chardev:gdb"]

    def _print(self) -> None:
        count = self.recording.places[self.recording.snapshots[self.snapshot]]
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return
            self.recording.console.show(count, data)
            count += len(data)

    def connect(self) -> None:
        """Waits until QEMU is there."""
        end = time.monotonic() + CONNECT_SECONDS
        self.qmp = Qmp(self.folder / self.names["qmp"], self._alive, CONNECT_SECONDS)
        connection = socket.socket(socket.AF_UNIX)
        while self._alive() and time.monotonic() < end:
            try:
                connection.connect(str(self.folder / self.names["gdb"]))
                self.link = Link(connection)
                return
            except OSError:
                time.sleep(0.01)
        said = (self.folder / "qemu.err").read_text(errors="replace").strip().splitlines()
        raise ToolError("QEMU does not play the recording: " + "".join(said[-1:]))

    def _alive(self) -> bool:
        return self.process.poll() is None

    def ask(self, data: bytes) -> bytes:
        """A request to QEMU's gdb server that it answers at once."""
        self.link.send(data)
        return self.link.receive() or b""

    @property
    def thread(self) -> bytes:
        """The processor, as QEMU's server names it."""
        return self.ask(b"qC")[2:]

    def program_counter(self) -> int:
        """The address of the next instruction."""
        number = 16 if self.recording.wide else 8
        return int.from_bytes(bytes.fromhex(self.ask(b"p%x" % number).decode()), "little")

    @property
    def count(self) -> int:
        """How many instructions have been executed."""
        return self.qmp.execute("query-replay")["icount"]

    def stop_at(self, count: int) -> None:
        """Has the machine stop there when it runs."""
        self.qmp.execute("replay-break", icount=count)

    def stop_nowhere(self) -> None:
        """Undoes that."""
        self.qmp.execute("replay-delete-break")

    def close(self) -> None:
        """Ends QEMU. It has nothing to lose."""
        if self._alive():
            self.process.kill()
        self.process.wait()
        self.printed.join()
        self.process.stdout.close()
        for end in (self.qmp, self.link):
            if end:
                end.close()
        for name in self.names.values():
            (self.folder / name).unlink(missing_ok=True)
