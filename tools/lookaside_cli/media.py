# SPDX-License-Identifier: MIT
"""Boot media: ISO images that start from CD and, written raw, from a USB stick; BIOS and UEFI.

grub-mkrescue does the work; what it puts on the medium is cut down to the GRUB modules that we use.
"""
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, Optional

from .status import ToolError

# What grub.cfg uses, what finding the medium needs, and every way to get a framebuffer.
GRUB_MODULES = ("multiboot2 normal configfile echo test cpuid serial terminal all_video gfxterm "
                "font gfxmenu tga iso9660 fat part_msdos part_gpt search reboot halt")
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
             "--themes=", "--fonts=", str(root), "--", "-volid", "LOOKASIDE"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", check=False)
    if done.returncode:
        words = "\n".join(done.stdout.strip().splitlines()[-6:])
        raise ToolError("grub-mkrescue failed:\n" + words)


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
