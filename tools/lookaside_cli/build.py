# SPDX-License-Identifier: MIT
"""Brings the kernel and the shipped drivers up to date by calling make."""
import shutil
import subprocess
from typing import List

from .progress import progress, progress_done
from .status import ROOT, ToolError


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
