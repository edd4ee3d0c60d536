# SPDX-License-Identifier: MIT
"""The progress line: on stderr, and only when that is a terminal, so that logs stay clean."""
import sys

_shown = False


def progress(text: str) -> None:
    """Replaces the progress line."""
    global _shown
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K%s ..." % text)
        sys.stderr.flush()
        _shown = True


def progress_done() -> None:
    """Takes the progress line away, before anything else is printed."""
    global _shown
    if _shown:
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()
        _shown = False


def warn(text: str) -> None:
    """One line of advice on stderr."""
    progress_done()
    print("lookaside: " + text, file=sys.stderr, flush=True)
