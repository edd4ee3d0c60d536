# SPDX-License-Identifier: MIT
"""gdb's extension for this kernel: `gdb -x tools/gdb/lookaside.py build/amd64/free/lookaside.elf`.

Gives the commands `nt ...` (`help nt`), printers for the kernel's types, and the symbols of loaded
drivers, over QEMU's gdb server and over the kernel's own. `make debug`, `./lookaside run --gdb` and
`--kgdb` say how to start it.

Nothing about the kernel's structures is written down here: sizes, offsets and enumerations come
from its debugging information.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from nt import commands, drivers, printers  # noqa: E402  pylint: disable=wrong-import-position

drivers.install()
printers.install()
commands.install()
