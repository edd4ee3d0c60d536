# SPDX-License-Identifier: MIT
"""`lookaside flash`: writes the medium to a USB stick, and to nothing else by mistake.

A disk is written only if it is whole (no partition of one), removable or on USB, not mounted
anywhere, not swapped to and not part of something bigger (RAID, LVM); the kernel's exclusive open
is asked for as well. What is on it is shown, and its name has to be typed. What was written is read
back from the stick itself, not from memory, and compared.
"""
import contextlib
import fcntl
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional

from .arguments import Parser
from .progress import progress_done
from .status import CLEAN, ROOT, Interrupted, ToolError, UsageError

IMAGE = ROOT / "build" / "lookaside.iso"
PIECE = 1 << 20
BAR = 30                # characters
OLD_TABLE = 1 << 20     # at the end of a disk, where the copy of an old GPT may be
BLKRRPART, BLKFLSBUF = 0x125F, 0x1261
SECTOR = 512            # the unit of /sys/block/*/size

DESCRIPTION = """\
Writes build/lookaside.iso (make iso) to a USB stick that starts on BIOS and UEFI and has a FAT
partition for your own drivers and options. Everything else on the stick is lost. Without a DEVICE
it lists the sticks there are.
"""


class Target(NamedTuple):
    """Where the image goes."""
    path: Path
    size: int
    name: str           # "sdb"; the path for a file
    block: bool         # a block device, no file


# ---- what there is ------------------------------------------------------------------------------
def sysfs(name: str, attribute: str) -> str:
    """One attribute of a block device; "" where there is none."""
    try:
        return Path("/sys/class/block", name, attribute).read_text(errors="replace").strip()
    except OSError:
        return ""


def is_stick(name: str) -> bool:
    """Whether a disk can be pulled out, as far as the kernel knows."""
    return (sysfs(name, "removable") == "1" or
            "/usb" in os.path.realpath("/sys/class/block/" + name))


def sticks() -> List[str]:
    """Names of removable disks with a medium in them."""
    return sorted(path.name for path in Path("/sys/block").glob("*")
                  if is_stick(path.name) and int(sysfs(path.name, "size") or 0) > 0 and
                  not path.name.startswith(("sr", "fd", "loop")))


def partitions(name: str) -> List[str]:
    """A disk's partitions."""
    return sorted(path.parent.name
                  for path in Path("/sys/class/block", name).glob(name + "*/partition"))


def size_words(size: int) -> str:
    """Bytes for people, as sticks are sold."""
    for unit, factor in (("GB", 10 ** 9), ("MB", 10 ** 6), ("kB", 10 ** 3)):
        if size >= factor:
            return "%.1f %s" % (size / factor, unit)
    return "%d bytes" % size


def describe(name: str) -> str:
    """One line about a disk."""
    model = " ".join(filter(None, (sysfs(name, "device/vendor"), sysfs(name, "device/model"))))
    size = int(sysfs(name, "size") or 0) * SECTOR
    return "/dev/%s  %s  %s" % (name, size_words(size), model or "no name")


def contents(name: str) -> List[str]:
    """What is on a disk, one line a partition."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        listing = subprocess.run(["lsblk", "-nro", "NAME,SIZE,FSTYPE,LABEL", "/dev/" + name],
                                 capture_output=True, text=True, check=True).stdout
        return [" ".join(line.split()) for line in listing.splitlines()]
    return ["%s %s" % (part, size_words(int(sysfs(part, "size") or 0) * SECTOR))
            for part in partitions(name)]


# ---- may it be written? -------------------------------------------------------------------------
def mount_points(names: List[str]) -> Iterator[str]:
    """Where these devices are mounted, or what else uses them."""
    numbers = {sysfs(name, "dev"): name for name in names}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if words[2] in numbers:
            yield "%s is mounted on %s" % (numbers[words[2]], words[4])
    for line in Path("/proc/swaps").read_text().splitlines()[1:]:
        if Path(line.split()[0]).name in names:
            yield "%s is swapped to" % Path(line.split()[0]).name
    for name in names:
        for holder in Path("/sys/class/block", name, "holders").glob("*"):
            yield "%s is part of %s" % (name, holder.name)


def refuse_unsuitable(name: str, any_disk: bool) -> None:
    """Fails unless this block device is a whole, idle, writable stick."""
    if (Path("/sys/class/block") / name / "partition").exists():
        disk = Path(os.path.realpath("/sys/class/block/" + name)).parent.name
        raise UsageError("/dev/%s is a partition; the whole disk is /dev/%s" % (name, disk))
    if not is_stick(name) and not any_disk:
        raise UsageError("/dev/%s is not removable; --any-disk if you are sure" % name)
    for use in mount_points([name] + partitions(name)):
        raise UsageError("/dev/%s is in use: %s" % (name, use))
    if sysfs(name, "ro") == "1":
        raise UsageError("/dev/%s is write-protected" % name)


def device_name(status: os.stat_result) -> str:
    """The kernel's name of a block device, whatever path led to it."""
    number = "%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev))
    if not os.path.exists("/sys/dev/block/" + number):
        raise UsageError("what kind of disk that is cannot be told here: /sys does not know it")
    return Path(os.path.realpath("/sys/dev/block/" + number)).name


def find_target(path: Path, any_disk: bool) -> Target:
    """The device or file that the user named, if it may be written."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise UsageError("%s: %s" % (path, error.strerror.lower())) from None
    if stat.S_ISBLK(status.st_mode):
        name = device_name(status)
        refuse_unsuitable(name, any_disk)
        return Target(path, int(sysfs(name, "size") or 0) * SECTOR, name, True)
    if not stat.S_ISREG(status.st_mode):
        raise UsageError("%s is no disk" % path)
    if not any_disk:
        raise UsageError("%s is a file, no disk; --any-disk writes to it all the same" % path)
    return Target(path, status.st_size, str(path), False)


def ask(target: Target, image: Path) -> None:
    """Shows what would be lost; goes on only if the target's name is typed."""
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to be asked; --yes writes without asking")
    print("%s will be written to" % image)
    print("    " + (describe(target.name) if target.block else target.name))
    for line in contents(target.name) if target.block else []:
        print("        " + line)
    print("Everything on it will be lost. Type %s to go on: " % target.name, end="", flush=True)
    if sys.stdin.readline().strip() != target.name:
        raise Interrupted("nothing was written")


# ---- writing ------------------------------------------------------------------------------------
class Bar:
    """A progress bar on stderr, where that is a terminal."""

    def __init__(self, what: str, total: int):
        self._what, self._total = what, total
        self._start = time.monotonic()

    def show(self, done: int) -> None:
        """Draws it."""
        if not sys.stderr.isatty():
            return
        share = done / self._total if self._total else 1
        rate = done / max(time.monotonic() - self._start, 0.001)
        filled = int(share * BAR)
        sys.stderr.write("\r\033[K%s [%s%s] %3d%%  %s/s" % (
            self._what, "#" * filled, "." * (BAR - filled), int(share * 100),
            size_words(int(rate))))
        sys.stderr.flush()

    def end(self) -> None:
        """Leaves the line."""
        if sys.stderr.isatty():
            sys.stderr.write("\n")


def open_target(target: Target) -> int:
    """Opens it for this program alone."""
    try:
        return os.open(target.path, os.O_RDWR | (os.O_EXCL if target.block else 0))
    except PermissionError:
        raise ToolError("%s may not be written by you: sudo ./lookaside flash %s"
                        % (target.path, target.path)) from None
    except OSError as error:
        raise ToolError("%s: %s" % (target.path, error.strerror.lower())) from None


def write_all(handle: int, data: bytes, at: int) -> None:
    """One write may take less than all of it."""
    left = memoryview(data)
    while left:
        done = os.pwrite(handle, left, at)
        left, at = left[done:], at + done


def write_image(handle: int, image: Path, target: Target) -> int:
    """Writes the image and wipes the copy of an old partition table. Returns the image's size."""
    total = image.stat().st_size
    bar = Bar("writing  ", total)
    done = 0
    with open(image, "rb") as file:
        for piece in iter(lambda: file.read(PIECE), b""):
            write_all(handle, piece, done)
            os.fdatasync(handle)  # the bar shows what is on the stick, not what waits for it
            done += len(piece)
            bar.show(done)
    wipe = min(OLD_TABLE, target.size - total)
    if wipe > 0:
        write_all(handle, bytes(wipe), target.size - wipe)
    os.fsync(handle)
    bar.end()
    return total


def forget_cache(handle: int, target: Target) -> None:
    """Has what is read from now on come from the device."""
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    if target.block:
        with contextlib.suppress(OSError):
            fcntl.ioctl(handle, BLKFLSBUF)


def verify(handle: int, image: Path, total: int) -> Optional[int]:
    """Compares. Returns the offset of the first difference, None if there is none."""
    bar = Bar("verifying", total)
    done = 0
    with open(image, "rb") as file:
        for piece in iter(lambda: file.read(PIECE), b""):
            back = os.pread(handle, len(piece), done)
            if back != piece:
                bar.end()
                same = [a == b for a, b in zip(piece, back)] + [False]
                return done + same.index(False)
            done += len(piece)
            bar.show(done)
    bar.end()
    return None


def flash(target: Target, image: Path) -> None:
    """Writes, verifies, and lets the kernel see the new partitions."""
    handle = open_target(target)
    try:
        total = write_image(handle, image, target)
        forget_cache(handle, target)
        wrong = verify(handle, image, total)
        if wrong is not None:
            raise ToolError("%s does not hold what was written to it: it differs at byte %d. "
                            "The stick may be broken, or smaller than it says."
                            % (target.path, wrong))
        if target.block:
            with contextlib.suppress(OSError):
                fcntl.ioctl(handle, BLKRRPART)
    except OSError as error:
        raise ToolError("%s: %s. What is on it now starts nowhere: write it again."
                        % (target.path, error.strerror.lower())) from None
    finally:
        os.close(handle)


def list_sticks() -> int:
    """For somebody who does not know the stick's name."""
    found = sticks()
    for name in found:
        print(describe(name))
    if not found:
        print("no removable disk is plugged in")
    return CLEAN


def flash_command(argv: List[str]) -> int:
    """Writes the medium to a stick."""
    parser = Parser(prog="lookaside flash", allow_abbrev=False,
                    usage="./lookaside flash [DEVICE] [options]", description=DESCRIPTION)
    parser.add_argument("device", nargs="?", type=Path, metavar="DEVICE")
    parser.add_argument("--image", type=Path, default=IMAGE, help="another image")
    parser.add_argument("--yes", action="store_true", help="does not ask")
    parser.add_argument("--any-disk", action="store_true",
                        help="also writes to a disk that is not removable, and to a file")
    given = parser.parse_args(argv)
    if not given.device:
        return list_sticks()
    if not given.image.is_file():
        raise UsageError("there is no %s: make iso builds it" % given.image)
    target = find_target(given.device, given.any_disk)
    if given.image.stat().st_size > target.size:
        raise UsageError("%s holds %s; the image has %s" % (
            target.path, size_words(target.size), size_words(given.image.stat().st_size)))
    if not given.yes:
        ask(target, given.image)
    progress_done()
    flash(target, given.image)
    print("%s is written and verified. It may be pulled out." % target.path)
    return CLEAN
