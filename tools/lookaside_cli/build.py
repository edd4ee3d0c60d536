# SPDX-License-Identifier: MIT
"""Brings the kernel and the shipped drivers up to date by calling make."""
import re
import shutil
import subprocess
from pathlib import Path
from typing import List

from .progress import progress, progress_done
from .status import ROOT, ToolError


def build_missing(names: List[str]) -> None:
    """Makes those of the named drivers that belong to this tree and are not built yet, such as
    build/broken/amd64/read_at_dispatch.sys. What cannot be made is for others to complain about."""
    paths = [Path(name).resolve() for name in names]
    targets = [str(path.relative_to(ROOT)) for path in paths
               if ROOT / "build" in path.parents and not path.exists()]
    targets = [name for name in targets if re.fullmatch(r"build/\w+/(amd64|i386)/\w+\.sys", name)]
    if targets and shutil.which("make"):
        progress("building %s" % ", ".join(targets))
        subprocess.run(["make", "-s", "-j2", *targets], cwd=ROOT, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        progress_done()


def bring_up_to_date(arch: str, checked: bool, targets: List[str] = ("kernel",)) -> None:
    """Runs make quietly; its words are shown only when it fails."""
    if not shutil.which("make"):
        raise ToolError("make is not installed: run tools/setup")
    progress("building the %s kernel" % arch)
    done = subprocess.run(["make", "-s", "-j2", "ARCH=" + arch, "CHECKED=%d" % checked, *targets],
                          cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    progress_done()
    if done.returncode:
        words = "\n".join(done.stdout.strip().splitlines()[-12:])
        raise ToolError("it does not build (tools/setup installs what is missing):\n" + words)
