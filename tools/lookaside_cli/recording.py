# SPDX-License-Identifier: MIT
"""Recorded runs: `lookaside run --record FILE` and `lookaside replay FILE`.

QEMU counts instructions (-icount) and writes down whatever reaches the machine from outside, each
with the instruction at which it did. Played back, the machine does the same, instruction for
instruction; gdb can then go backwards (timetravel.py). One emulated processor, no KVM.

A recording is a tar archive of everything that playing it back takes: the events, the snapshots,
kernel and drivers as they were, and QEMU's command line. All names in that are relative to the
run's own folder, because the loader hands the drivers' paths to the guest: at another place the
guest would do other things.
"""
import argparse
import json
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
from pathlib import Path
from typing import Dict, List

from .arguments import DEFAULT_PORTS, RunPlan, gdb_place
from .elf import Elf
from .player import Console, Recording
from .progress import warn
from .qmp import Qmp
from .rsp import Link
from .status import ROOT, ToolError, UsageError
from .timetravel import TimeTravel

EVENTS, SNAPSHOTS, COMMAND, SYMBOLS = "events", "snapshots", "command.json", "lookaside.elf"
PLACES = "places.json"   # of snapshots in what the console printed
SNAPSHOT_ROOM = "1G"     # at most; the file grows as it is used
SECONDS, OFTEN = 2.0, 16 # between snapshots, at first; twice as long after each so many
SHIFT = 3                # 8 ns an instruction


def check_recordable(plan: RunPlan) -> None:
    """Refuses what cannot be played back."""
    for bad, why in ((plan.smp != 1, "--smp: one processor at a time can be recorded"),
                     (plan.boot != "kernel", "--boot %s: only --boot kernel is" % plan.boot),
                     (plan.interactive, "without drivers: name a driver"),
                     (plan.gdb or plan.kgdb, "with gdb: record first, then replay --gdb"),
                     (plan.accel == "kvm", "--accel kvm: only an emulated processor can be"),
                     (plan.fail_each_allocation, "--fail-each-allocation: record one run")):
        if bad:
            raise UsageError("--record does not go with " + why)
    plan.accel = "tcg"


def recorded(plan: RunPlan, folder: Path, command: List[str]) -> List[str]:
    """QEMU's command with a recorder, to be run inside `folder`; files become copies."""
    try:
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(folder / SNAPSHOTS),
                        SNAPSHOT_ROOM], check=True)
    except FileNotFoundError:
        raise ToolError("qemu-img is not installed: run tools/setup run") from None
    for link in [path for path in folder.iterdir() if path.is_symlink()]:
        target = link.resolve()
        link.unlink()
        shutil.copyfile(target, link)
    shutil.copyfile(plan.kernel, folder / SYMBOLS)
    command = [word.replace(str(folder) + "/", "") for word in command]
    return command + ["-icount", "shift=%d,rr=record,rrfile=%s,rrsnapshot=start" % (SHIFT, EVENTS),
                      "-drive", "if=none,id=snapshots,format=qcow2,file=" + SNAPSHOTS]


class Snapshots(threading.Thread):
    """Takes snapshots of a run that is being recorded: playing it back can begin at each.

    How much the console had printed by then is kept with them. QEMU writes that into a file of its
    own, which is exact while the machine stands."""

    SOCKET, PRINTED = "snapshots.qmp", "printed"

    def __init__(self, folder: Path):
        super().__init__(daemon=True)
        self.folder = folder
        self.ended = threading.Event()
        self.places: Dict[str, int] = {}

    def arguments(self, command: List[str]) -> List[str]:
        """QEMU's command with what is needed for that."""
        logged = [word + ",logfile=" + self.PRINTED if word.startswith("stdio,id=com1") else word
                  for word in command]
        return logged + ["-qmp", "unix:%s,server=on,wait=off" % self.SOCKET]

    def run(self) -> None:
        """Until the machine is gone, or has no more room for them."""
        qmp = Qmp(self.folder / self.SOCKET, lambda: not self.ended.is_set())
        while not self.ended.wait(SECONDS * 2 ** (len(self.places) // OFTEN)):
            name = "at%d" % len(self.places)
            qmp.execute("stop")
            printed = (self.folder / self.PRINTED).stat().st_size
            if qmp.monitor("savevm " + name).strip():
                self.ended.set()    # its words are about what was wrong
            else:
                self.places[name] = printed
            qmp.execute("cont")
        qmp.close()

    def finish(self) -> None:
        """The machine has ended: leaves word of what there is."""
        self.ended.set()
        self.join()
        (self.folder / PLACES).write_text(json.dumps(self.places))
        for name in (self.SOCKET, self.PRINTED):
            (self.folder / name).unlink(missing_ok=True)


def keep(plan: RunPlan, folder: Path, command: List[str]) -> None:
    """Packs a recorded run into the file that --record names."""
    (folder / COMMAND).write_text(json.dumps(command))
    with tarfile.open(plan.record, "w") as archive:
        for path in sorted(folder.iterdir()):
            if path.is_file():
                archive.add(path, path.name)


def unpack(file: Path, folder: Path) -> List[str]:
    """The files of a recording into `folder`; QEMU's command."""
    try:
        with tarfile.open(file) as archive:
            for member in archive.getmembers():
                if member.isfile() and "/" not in member.name and member.name not in ("", ".."):
                    archive.extract(member, folder)
        return json.loads((folder / COMMAND).read_text())
    except (OSError, tarfile.TarError, ValueError) as error:
        raise UsageError("%s is no recording: %s" % (file, error)) from None


def replay_parser() -> argparse.ArgumentParser:
    """The parser of `lookaside replay`."""
    parser = argparse.ArgumentParser(
        prog="lookaside replay", allow_abbrev=False,
        description="Plays back a run that `lookaside run --record FILE` recorded.")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--gdb", metavar="PORT|SOCKET", nargs="?",
                        const=str(DEFAULT_PORTS["gdb"]),
                        help="stopped at first, for gdb, which can go backwards too")
    return parser


def without_monitor(command: List[str]) -> List[str]:
    """Without QEMU's control socket: whoever needs one says so."""
    at = command.index("-qmp")
    return command[:at] + command[at + 2:]


def listener(place: str) -> socket.socket:
    """A socket that waits for gdb there."""
    if place.startswith(":"):
        return socket.create_server(("127.0.0.1", int(place[1:])))
    Path(place).unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(place)
    server.listen()
    return server


def serve_gdb(folder: Path, command: List[str], place: str) -> None:
    """Plays a recording as gdb wants it, until gdb ends it."""
    places = json.loads((folder / PLACES).read_text())
    recording = Recording(folder, command, SNAPSHOTS, places, Console(sys.stdout.fileno()))
    travel = TimeTravel(recording, Elf(folder / SYMBOLS))
    try:
        with listener(place) as server:
            warn("waiting for gdb: LOOKASIDE_DRIVERS=%s gdb -x %s -ex 'target remote %s' %s"
                 % (folder, ROOT / "tools/gdb/lookaside.py", place, folder / SYMBOLS))
            while travel.serve(Link(server.accept()[0])):
                pass
    finally:
        travel.close()
        if not place.startswith(":"):
            Path(place).unlink(missing_ok=True)


def replay_command(argv: List[str]) -> int:
    """Plays a recording back; its console is stdout."""
    given = replay_parser().parse_args(argv)
    place = gdb_place("gdb", given.gdb)
    with tempfile.TemporaryDirectory(prefix="lookaside-") as name:
        folder = Path(name)
        command = [word.replace("rr=record", "rr=replay") for word in unpack(given.file, folder)]
        command = without_monitor(command)
        if not shutil.which(command[0]):
            raise ToolError("%s is not installed: run tools/setup" % command[0])
        if place:
            serve_gdb(folder, command, place)
        else:
            subprocess.run(command, cwd=folder, check=False, stdin=subprocess.DEVNULL)
    return 0
