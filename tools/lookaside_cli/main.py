# SPDX-License-Identifier: MIT
"""The commands of ./lookaside, and how errors end it."""
import os
import signal
import sys
from typing import List

from . import exports, flash, recording, run
from .progress import progress_done
from .status import INTERRUPTED, LookasideError, ToolError, UsageError

COMMANDS = {
    "run": (run.run_command, "boot the kernel, run drivers, print a verdict"),
    "flash": (flash.flash_command, "write the medium to a USB stick for real PCs"),
    "replay": (recording.replay_command, "play back a run that was recorded"),
    "exports": (exports.exports_command, "list every routine that drivers may import"),
}

HELP = """\
usage: ./lookaside COMMAND [arguments]

Runs Windows kernel drivers (.sys, WDM) on Lookaside, a kernel that holds them to every memory and
IRQL rule, inside QEMU.

%s

./lookaside COMMAND --help explains one. First steps: README.md.
"""


def help_text() -> str:
    """The list of commands."""
    return HELP % "\n".join("    %-9s %s" % (name, words) for name, (_, words) in COMMANDS.items())


def dispatch(argv: List[str]) -> int:
    """Runs the command that argv names."""
    if not argv:
        raise UsageError("which command? %s (--help explains them)" % ", ".join(COMMANDS))
    if argv[0] in ("-h", "--help", "help"):
        print(help_text(), end="")
        return 0
    if argv[0] not in COMMANDS:
        raise UsageError("there is no command '%s'; there are %s" % (argv[0], ", ".join(COMMANDS)))
    return COMMANDS[argv[0]][0](argv[1:])


def open_standard_files() -> None:
    """Gives us those of stdin, stdout and stderr that the caller has closed: any other file would
    take their numbers, and QEMU would talk into it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False,
                                    encoding="utf-8"))


def main(argv: List[str]) -> int:
    """Entry point. Every error becomes one sentence on stderr and an exit status."""
    open_standard_files()
    for end in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(end) != signal.SIG_IGN:  # nohup
            signal.signal(end, signal.default_int_handler)  # QEMU must not outlive us
    try:
        return dispatch(argv)
    except LookasideError as error:
        progress_done()
        print("lookaside: %s" % error, file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        progress_done()
        print("lookaside: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output went away; say nothing more to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # a full disk, no room for another process
        progress_done()
        where = ": %s" % error.filename if error.filename else ""
        print("lookaside: %s%s" % ((error.strerror or str(error)).lower(), where), file=sys.stderr)
        return ToolError.status
