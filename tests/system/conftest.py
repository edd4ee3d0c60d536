# SPDX-License-Identifier: MIT
"""What the system tests share: running ./lookaside as a user does, and looking at what it said."""
import re
import subprocess
import sys
from pathlib import Path
from typing import List, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

ARCHES = ("amd64", "i386")
FLAVOURS = ("free", "checked")
# Far more than anything needs: a test never fails because the host was slow.
PATIENCE = 330


class Run(NamedTuple):
    """A finished ./lookaside."""
    status: int
    out: str
    err: str

    @property
    def lines(self) -> List[str]:
        """The lines of stdout."""
        return self.out.splitlines()

    @property
    def verdict(self) -> str:
        """The last line of stdout."""
        return self.lines[-1] if self.lines else ""

    def assert_clean(self, drivers: int) -> None:
        """Fails unless this many drivers came and went without a trace."""
        assert self.status == 0, self.tail()
        assert re.match(r"verdict: 0 clean: %d driver" % drivers, self.verdict), self.tail()

    def assert_processors(self, count: int) -> None:
        """Fails unless the kernel started this many."""
        seen = re.search(r"ke: (\d+) processors", self.out)
        assert (int(seen.group(1)) if seen else 1) == count, self.tail()

    def tail(self) -> str:
        """What to show when a test fails."""
        return "status %d\n%s\n%s" % (self.status, "\n".join(self.lines[-60:]), self.err)


def lookaside(*arguments, stdin: str = "") -> Run:
    """Runs ./lookaside; the kernel is up to date already."""
    words = [str(argument) for argument in arguments]
    if words and words[0] == "run":
        words[1:1] = ["--no-build", "--timeout", str(PATIENCE - 30)]
    done = subprocess.run([sys.executable, str(ROOT / "lookaside"), *words], input=stdin, text=True,
                          capture_output=True, errors="replace", timeout=PATIENCE, check=False,
                          cwd=ROOT)
    return Run(done.returncode, done.stdout, done.stderr)


def driver(arch: str, name: str, kind: str = "drivers") -> Path:
    """A built driver: kind is drivers, tests or broken."""
    return ROOT / "build" / kind / arch / (name + ".sys")


def flavour_option(flavour: str) -> List[str]:
    """The option that picks a build."""
    return ["--checked"] if flavour == "checked" else []


# Whether a test's own part passed, for fixtures that keep what it used.
PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Leaves word for the fixtures."""
    outcome = yield
    if call.when == "call":
        item.stash[PASSED] = outcome.get_result().passed


# Parts of names of tests that take long, with those that take longest first.
LONG = ("in_one_machine", "test_gdb.py", "self_test", "uefi", "test_hardware.py", "processors",
        "smallest", "hangs", "storm", "watchdog", "test_malloc.py", "test_replay.py")


def group_of(item) -> str:
    """Tests of one group are run one after the other, by one worker: those that use the same kind
    of gdb session, and machines whose processors would wait for each other beside another of
    them."""
    if {"at_ready", "kernel_at_ready"} & set(item.fixturenames):
        given = item.callspec.params
        return "%s %s" % (given["arch"], given.get("server", "kgdb"))
    if "in_one_machine" in item.nodeid or "between_four_processors" in item.nodeid:
        return "several processors"
    return ""


def pytest_collection_modifyitems(config, items):
    """Long tests first, so that no worker has one left when the others are done."""
    def rank(item):
        return next((i for i, part in enumerate(LONG) if part in item.nodeid), len(LONG))
    items.sort(key=rank)
    for item in items if config.pluginmanager.hasplugin("xdist") else ():
        if group_of(item):
            item.add_marker(pytest.mark.xdist_group(group_of(item)))


@pytest.fixture(params=ARCHES)
def arch(request) -> str:
    """Both architectures."""
    return request.param


@pytest.fixture(params=FLAVOURS)
def flavour(request) -> str:
    """Both builds."""
    return request.param
