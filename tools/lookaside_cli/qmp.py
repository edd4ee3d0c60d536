# SPDX-License-Identifier: MIT
"""A client of QEMU's machine protocol: enough to stop the machine, look at it and end it."""
import json
import re
import socket
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional


class Qmp:
    """One connection. Calls return nothing when QEMU is gone: there is no more to ask then."""

    def __init__(self, path: Path, alive: Callable[[], bool], timeout: float = 5.0):
        """Connects as soon as QEMU has made its socket; `alive` says whether it still may."""
        self.events: List[dict] = []
        self._pending = b""
        self._socket: Optional[socket.socket] = None
        end = time.monotonic() + timeout
        while self._socket is None and alive() and time.monotonic() < end:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            try:
                connection.connect(str(path))
                self._socket = connection
            except OSError:
                connection.close()
                time.sleep(0.02)
        if self._socket:
            self._message()  # the greeting
            self.execute("qmp_capabilities")

    def close(self) -> None:
        """Ends the connection."""
        if self._socket:
            self._socket.close()
        self._socket = None

    def _message(self) -> Optional[dict]:
        while self._socket:
            line, newline, rest = self._pending.partition(b"\n")
            if newline:
                self._pending = rest
                return json.loads(line)
            try:
                data = self._socket.recv(65536)
            except OSError:
                return None
            if not data:
                return None
            self._pending += data
        return None

    def execute(self, command: str, **arguments):
        """Sends a command and returns its answer."""
        if not self._socket:
            return None
        try:
            self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        except OSError:
            return None
        while True:
            message = self._message()
            if message is None or "return" in message:
                return message and message["return"]
            if "error" in message:
                return None
            self.events.append(message)

    def shutdown_reason(self) -> str:
        """Why QEMU ended, from its last event; "" when it did not say."""
        while self._socket:
            message = self._message()
            if message is None:
                break
            self.events.append(message)
        reasons = [event["data"].get("reason", "") for event in self.events
                   if event.get("event") == "SHUTDOWN"]
        return reasons[-1] if reasons else ""

    def monitor(self, line: str, cpu: int = 0) -> str:
        """A command of the human monitor, as seen by one processor."""
        arguments = {"command-line": line, "cpu-index": cpu}
        return self.execute("human-monitor-command", **arguments) or ""

    def processors(self) -> List[int]:
        """Indexes of the machine's processors."""
        return [cpu["cpu-index"] for cpu in self.execute("query-cpus-fast") or []]

    def registers(self, cpu: int) -> Dict[str, int]:
        """General registers by name, 64-bit names on every processor: RIP, RSP, RBP ..."""
        text = self.monitor("info registers", cpu)
        found = re.findall(r"\b([RE][A-Z0-9]{1,2}|R\d+)\s*=([0-9a-f]{8,16})\b", text)
        return {re.sub("^E", "R", name): int(value, 16) for name, value in found}

    def read(self, cpu: int, address: int, count: int, width: int) -> List[int]:
        """`count` pointers at a virtual address; fewer, or none, where memory is not mapped."""
        text = self.monitor("x /%d%sx %#x" % (count, "g" if width == 8 else "w", address), cpu)
        values = []
        for line in text.splitlines():
            place, colon, rest = line.partition(":")
            if not colon or not re.fullmatch(r"[0-9a-f]+", place.strip()):
                break
            words = re.match(r"(\s*0x[0-9a-f]+)*", rest).group()
            values += [int(value, 16) for value in words.split()]
            if words.strip() != rest.strip():
                break  # the rest of the line says that memory ends here
        return values
