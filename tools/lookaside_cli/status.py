# SPDX-License-Identifier: MIT
"""Exit statuses, the errors that carry them, and where things are in the tree."""
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

CLEAN = 0        # every driver loaded, unloaded and left nothing behind
FAILED = 1       # a driver did not load or its DriverEntry failed
USAGE = 2        # the command line or a file was wrong
BUGCHECK = 3     # a rule was broken and the kernel stopped
LEAK = 4         # something was left behind at unload
TOOL = 5         # QEMU or this program failed
TIMEOUT = 124    # time ran out
INTERRUPTED = 130

WORDS = {
    CLEAN: "clean",
    FAILED: "a driver did not load or its DriverEntry failed",
    USAGE: "the command line or a file was wrong",
    BUGCHECK: "bugcheck",
    LEAK: "something was left behind at unload",
    TOOL: "QEMU or the tool itself failed",
    TIMEOUT: "time ran out",
    INTERRUPTED: "interrupted",
}


class LookasideError(Exception):
    """An error that is told to the user in one line, without a traceback."""
    status = TOOL


class UsageError(LookasideError):
    """The command line or a file was wrong."""
    status = USAGE


class ToolError(LookasideError):
    """A program that is needed is missing or failed."""
    status = TOOL


class Interrupted(LookasideError):
    """The user pressed Ctrl-C."""
    status = INTERRUPTED
