# SPDX-License-Identifier: MIT
"""Between gdb and QEMU's gdb server, on a recording: what gdb cannot do forwards is done here.

Requests go to QEMU's server and its answers to gdb. Two are ours. `bs`, a step back: a machine is
played to the instruction before this one. `bc`, back to the last stop: a stretch before this
instruction is played with gdb's breakpoints set, each stop in it is noted with its count, and the
last one is where the machine is then played to. The stretch grows until it holds a stop or reaches
the beginning. Stops that a stretch had are kept: the next `bc` need not look for them again.

A breakpoint stops before its instruction. A watchpoint stops after the access; going back, gdb
expects to stand before it, where memory still has what it had. So that is one instruction less.

The last routine of every run, HalExitEmulator, is a stop of our own: gdb hears that the recording
ends there, and can go back.
"""
from typing import Dict, List, NamedTuple, Optional, Tuple

from .elf import Elf
from .player import Player, Recording
from .rsp import INTERRUPT, Link

LAST = "HalExitEmulator"
FIRST_STRETCH = 1 << 18     # instructions
GROWTH = 16
RESUMES = (b"c", b"C", b"s", b"S", b"vCont;")
# What a new QEMU has to be told before it answers as the last one did.
INTRODUCTIONS = (b"qSupported", b"qXfer:features:read:target.xml:")


class Stop(NamedTuple):
    """A stop of a stretch: where to stand for it, and what gdb is told."""
    count: int
    report: bytes


class Interrupted(Exception):
    """Ctrl-C while something is looked for."""


class Stretch:
    """The stops between two counts, with one set of breakpoints."""

    def __init__(self, points: Tuple[bytes, ...], low: int, high: int, stops: List[Stop]):
        self.points, self.low, self.high, self.stops = points, low, high, stops

    def holds(self, points: Tuple[bytes, ...], here: int) -> bool:
        """Whether it knows what is before `here`."""
        return points == self.points and self.low < here <= self.high

    def last(self, here: int) -> Optional[Stop]:
        """The last stop before `here`."""
        before = [stop for stop in self.stops if stop.count < here]
        return max(before, key=lambda stop: stop.count, default=None)


class TimeTravel:
    """One recording that gdb looks at."""

    def __init__(self, recording: Recording, kernel: Elf):
        self.recording = recording
        self.end = kernel.symbols.get(LAST)
        self.end_set = False
        self.introduced: Dict[bytes, bytes] = {}
        self.points: List[bytes] = []     # gdb's breakpoints, as in Z packets
        self.stretch: Optional[Stretch] = None
        self.gdb: Optional[Link] = None
        self.player = Player(recording, 0)
        self.spare = Player(recording, 0)
        self.player.connect()

    def close(self) -> None:
        """Ends the machines."""
        self.player.close()
        self.spare.close()

    # ---- gdb ------------------------------------------------------------------------------------
    def serve(self, gdb: Link) -> bool:
        """Answers one gdb until it goes. False: the machine went too."""
        self.gdb = gdb
        while True:
            data = gdb.receive()
            if data is None:
                return True     # the machine waits for the next gdb
            if data == INTERRUPT:
                continue        # it stands already
            answer = self.answer(data)
            if answer is None:
                return False
            gdb.send(answer)
            if data.startswith(b"D"):
                self.player.process.wait()  # on its own, to the end
                return False

    def answer(self, data: bytes) -> Optional[bytes]:
        """The answer to a request; None when there will be none."""
        if data == b"bs":
            return self.step_back()
        if data == b"bc":
            return self.continue_back()
        if data == b"k" or data.startswith(b"vKill"):
            return None
        if data.startswith(RESUMES):
            return self.resume(data)
        self.note(data)
        return self.forward(data)

    def note(self, data: bytes) -> None:
        """Keeps what a new player has to be told."""
        for words in INTRODUCTIONS:
            if data.startswith(words):
                self.introduced[words] = data
        if data.startswith(b"?"):
            self.points, self.end_set = [], False   # QEMU's server forgets them at this
        if data.startswith(b"Z") and data[1:] not in self.points:
            self.points.append(data[1:])
        if data.startswith(b"z") and data[1:] in self.points:
            self.points.remove(data[1:])
        if data.startswith(b"D"):
            self.set_end(False)

    def forward(self, data: bytes) -> Optional[bytes]:
        """Asks QEMU. Text for gdb's console goes on its way; the answer is what comes last."""
        answer: Optional[bytes] = self.player.ask(data)
        while answer and answer.startswith(b"O") and answer != b"OK":
            self.gdb.send(answer)
            answer = self.player.link.receive()
        return answer

    def resume(self, data: bytes) -> Optional[bytes]:
        """Lets the machine run on until it stops by itself or by Ctrl-C."""
        self.set_end(True)
        if self.at_end() and data[:1].lower() != b"s" and not data.startswith(b"vCont;s"):
            return self.limit(b"end")
        self.player.link.send(data)
        while not self.player.link.waits(0.05):
            if self.gdb.waits():
                if self.gdb.receive() is None:
                    self.player.link.put(INTERRUPT)
                    self.player.link.receive()
                    return b""
                self.player.link.put(INTERRUPT)
        answer = self.player.link.receive()
        if answer is None:
            return b"W00"
        return self.limit(b"end") if self.at_end() else answer

    # ---- the end of the recording ---------------------------------------------------------------
    def end_point(self) -> bytes:
        """Our own breakpoint, as in a Z packet."""
        return b"1,%x,1" % self.end

    def set_end(self, wanted: bool) -> None:
        """Sets or removes it."""
        if self.end and wanted != self.end_set:
            self.player.ask((b"Z" if wanted else b"z") + self.end_point())
            self.end_set = wanted

    def at_end(self) -> bool:
        """Whether the machine stands there, and gdb has no breakpoint of its own there."""
        if not self.end or any(int(point.split(b",")[1], 16) == self.end for point in self.points):
            return False
        return self.player.program_counter() == self.end

    def limit(self, which: bytes) -> bytes:
        """The report that there is nothing further that way."""
        return self.report() + b"replaylog:%s;" % which

    def report(self) -> bytes:
        """A plain stop, by the thread that QEMU names."""
        return b"T05thread:%s;" % self.player.thread

    # ---- other places ---------------------------------------------------------------------------
    def play_to(self, count: int) -> None:
        """Has a machine stand at an instruction, without any breakpoint."""
        self.player.close()
        snapshot = self.recording.before(count)
        if self.spare.snapshot == snapshot:
            self.player = self.spare
        else:
            self.spare.close()
            self.player = Player(self.recording, snapshot)
        self.player.connect()
        self.spare = Player(self.recording, snapshot)
        self.end_set = False
        for data in self.introduced.values():
            self.player.ask(data)
        self.player.ask(b"?")
        if count > self.player.count:
            self.player.stop_at(count)
            self.run(b"c")
            self.player.stop_nowhere()

    def run(self, data: bytes) -> bytes:
        """Lets the machine run to its next stop. Ctrl-C, or a gdb that goes, ends the search."""
        self.player.link.send(data)
        while not self.player.link.waits(0.05):
            if self.gdb.waits():
                self.gdb.receive()
                raise Interrupted
        return self.player.link.receive() or b"W00"

    def stand_at(self, count: int) -> None:
        """The same, with gdb's breakpoints as it left them."""
        self.play_to(count)
        self.set_points(b"Z")

    def set_points(self, letter: bytes) -> None:
        """Sets (Z) or removes (z) gdb's breakpoints."""
        for point in self.points:
            self.player.ask(letter + point)

    def step_back(self) -> bytes:
        """bs"""
        here = self.player.count
        if here == 0:
            return self.limit(b"begin")
        self.stand_at(here - 1)
        return self.report()

    def continue_back(self) -> bytes:
        """bc"""
        here = self.player.count
        try:
            stop = self.find_last(here)
        except Interrupted:
            self.stand_at(here)
            return b"T02thread:%s;" % self.player.thread
        self.stand_at(stop.count if stop else 0)
        return stop.report if stop else self.limit(b"begin")

    def find_last(self, here: int) -> Optional[Stop]:
        """The last stop before `here`."""
        points, high, size = tuple(sorted(self.points)), here, FIRST_STRETCH
        if self.stretch and self.stretch.holds(points, here):
            stop = self.stretch.last(here)
            if stop:
                return stop
            high = self.stretch.low
        while high > 0 and points:
            low = max(0, high - size)
            self.stretch = Stretch(points, low, high, self.collect(low, high))
            stop = self.stretch.last(here)
            if stop:
                return stop
            high, size = low, size * GROWTH
        return None

    def collect(self, low: int, high: int) -> List[Stop]:
        """Plays from one count to another and notes every stop on the way.

        The machine is told to stop one instruction later, so that a stop at the very end is one.
        Over a breakpoint it takes a step, which breakpoints do not hold up and watchpoints do."""
        self.play_to(low)
        self.set_points(b"Z")
        self.player.stop_at(high + 1)
        stops: List[Stop] = []
        command = b"c"
        while True:
            report = self.run(command)
            count = self.player.count
            if count > high or not report.startswith(b"T05"):
                return stops
            watch = b"watch:" in report
            if watch or command == b"c":
                stops.append(Stop(count - watch, report))
            command = b"c" if watch or command == b"s" else b"s"
