# SPDX-License-Identifier: MIT
"""Boot media: ISO images that start from CD and, written raw, from a USB stick; BIOS and UEFI.

grub-mkrescue does the work; what it puts on the medium is cut down to the GRUB modules that we use.

The medium that make iso builds also carries a data partition: FAT, for its owner's drivers and
options. Older Windows mounts the first partition of a stick and no other, and grub-mkrescue's own
partition table, a GPT, has no room for one in front. So that table is replaced by an MBR of two
entries: the data, then the EFI system partition that lies inside the ISO file system. A CD drive
reads neither.
"""
import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from .status import ToolError

# What grub.cfg uses, what finding the medium needs, and every way to get a framebuffer; multiboot
# for displays of 256 colours (docs/HARDWARE.md).
GRUB_MODULES = ("multiboot2 multiboot normal configfile echo test cpuid serial terminal "
                "all_video gfxterm font gfxmenu tga iso9660 fat part_msdos part_gpt search "
                "regexp reboot halt")
SECTOR = 512
DATA_LABEL = "LOOKASIDE"         # iso/grub.cfg finds the partition by it
DATA_SIZE = 16 << 20
DATA_ALIGN = 1 << 20             # what the flash memory of sticks likes
DATA_TYPE, EFI_TYPE = 0x0E, 0xEF   # FAT16 by sector numbers; EFI system partition
EFI_GUID = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
GRUB_PLATFORMS = ("i386-pc", "x86_64-efi", "i386-efi")


def check_platforms(platforms=GRUB_PLATFORMS) -> None:
    """Fails when GRUB's images for one of the platforms are not installed."""
    if not shutil.which("grub-mkrescue"):
        raise ToolError("grub-mkrescue is not installed: run tools/setup iso")
    missing = [name for name in platforms if not Path("/usr/lib/grub", name).is_dir()]
    if missing:
        raise ToolError("GRUB's files for %s are not installed: run tools/setup iso"
                        % ", ".join(missing))


def write_iso(target: Path, files: Dict[str, Path], grub_cfg: str,
              contents: Optional[Dict[str, bytes]] = None) -> None:
    """Writes a bootable image: `files` and `contents` by place on the medium, and grub.cfg."""
    check_platforms()
    with tempfile.TemporaryDirectory(prefix="lookaside-iso-") as folder:
        root = Path(folder)
        made = dict(contents or {}, **{"boot/grub/grub.cfg": grub_cfg.encode()})
        for name, content in made.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        for name, source in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, root / name)
        done = subprocess.run(
            ["grub-mkrescue", "-o", str(target), "--install-modules=" + GRUB_MODULES, "--locales=",
             "--themes=", "--fonts=", str(root), "--", "-volid", "LOOKASIDE_CD"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", check=False)
    if done.returncode:
        words = "\n".join(done.stdout.strip().splitlines()[-6:])
        raise ToolError("grub-mkrescue failed:\n" + words)


def efi_partition(image: bytes) -> Tuple[int, int]:
    """First sector and number of sectors of the EFI system partition, from grub-mkrescue's GPT."""
    table, = struct.unpack_from("<Q", image, SECTOR + 72)
    count, size = struct.unpack_from("<II", image, SECTOR + 80)
    for number in range(count):
        at = table * SECTOR + number * size
        if image[at:at + 16] == EFI_GUID:
            first, last = struct.unpack_from("<QQ", image, at + 32)
            return first, last - first + 1
    raise ToolError("grub-mkrescue made no EFI system partition")


def mbr_entry(active: bool, kind: int, first: int, count: int) -> bytes:
    """A partition by sector numbers; its cylinders say that they mean nothing."""
    return struct.pack("<B3sB3sII", 0x80 if active else 0, b"\xfe\xff\xff", kind, b"\xfe\xff\xff",
                       first, count)


def data_partition(contents: Dict[str, bytes]) -> bytes:
    """A FAT file system with these files. The same contents give the same bytes."""
    environment = dict(os.environ, MTOOLS_SKIP_CHECK="1", SOURCE_DATE_EPOCH="1000000000")
    with tempfile.TemporaryDirectory(prefix="lookaside-data-") as folder:
        image = Path(folder, "data.img")
        with open(image, "wb") as file:
            file.truncate(DATA_SIZE)
        commands = [["mformat", "-i", str(image), "-v", DATA_LABEL, "-N", "4c4b4453", "::"]]
        commands += [["mmd", "-i", str(image), "::" + name]
                     for name in sorted({str(Path(name).parent) for name in contents} - {"."})]
        for number, (name, content) in enumerate(sorted(contents.items())):
            source = Path(folder, "file%d" % number)
            source.write_bytes(content)
            os.utime(source, (1000000000, 1000000000))
            commands.append(["mcopy", "-m", "-i", str(image), str(source), "::" + name])
        for command in commands:
            done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, text=True,
                                  capture_output=True, check=False)
            if done.returncode:
                raise ToolError("%s failed: %s" % (command[0], done.stderr.strip()))
        return image.read_bytes()


def append_data(target: Path, contents: Dict[str, bytes]) -> None:
    """Gives an image of write_iso's its data partition."""
    if not shutil.which("mformat"):
        raise ToolError("mtools is not installed: run tools/setup iso")
    image = bytearray(target.read_bytes())
    efi_first, efi_count = efi_partition(image)
    image += bytes(-len(image) % DATA_ALIGN)
    first = len(image) // SECTOR
    image += data_partition(contents)
    entries = mbr_entry(True, DATA_TYPE, first, DATA_SIZE // SECTOR)
    entries += mbr_entry(False, EFI_TYPE, efi_first, efi_count)
    image[446:510] = entries.ljust(64, b"\0")
    image[SECTOR:2 * SECTOR] = bytes(SECTOR)  # no GPT any more
    target.write_bytes(image)


def data_offset(image: Path) -> int:
    """Where an image's data partition begins, in bytes: what mtools takes behind FILE@@."""
    with open(image, "rb") as file:
        head = file.read(SECTOR)
    kind, first = head[450], struct.unpack_from("<I", head, 454)[0]
    if head[510:512] != b"\x55\xaa" or kind != DATA_TYPE:
        raise ToolError("%s has no data partition" % image)
    return first * SECTOR


def split_options(options: str) -> List[str]:
    """The words of a boot.ini style command line; a quoted value keeps its blanks and quotes."""
    return re.findall(r'(?:"[^"]*"|[^\s"])+', options)


def grub_word(word: str) -> str:
    """One word of a kernel command line as GRUB's script language writes it.

    GRUB takes quotes off and puts them around the whole of a word with blanks: the kernel sees
    /MONITOR="a; b" as "/MONITOR=a; b", which it reads alike.
    """
    return "'%s'" % word.replace('"', "").replace("'", "'\\''")


def run_grub_cfg(options: str, drivers: List[str]) -> str:
    """A grub.cfg that starts the kernel with these drivers at once, without a menu."""
    lines = ["set timeout=0", "insmod all_video", "set gfxpayload=keep",
             "multiboot2 /boot/lookaside.elf %s" % " ".join(map(grub_word, split_options(options)))]
    lines += ["module2 /drivers/%s %s" % (grub_word(name), grub_word(name)) for name in drivers]
    return "\n".join(lines + ["boot", ""])
