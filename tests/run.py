#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs every test there is and ends with "N passed, N failed".

`make test` calls this once everything that may be missing is installed. A suite is a function that
yields Results; each result is one promise kept or broken. A broken build ends the run, since
nothing after it could mean anything; then the system tests run, and all the others beside them.

    tests/run.py [--jobs N] [SUITE...]      SUITE: build style layers abi host fuzz system

Output: one line a suite, every broken promise with what was seen, the total. The details of the
last run are in build/test/.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree
from pathlib import Path
from typing import Iterator, List, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "test"
ARCHES = ("amd64", "i386")
FLAVOURS = ("free", "checked")
FUZZ_RUNS = 20000
FEW = 5  # so many failures may be bad luck
RUNNING: List[str] = []
PRINTING = threading.Lock()


class Result(NamedTuple):
    """One promise: its name, whether it was kept, and what was seen if not."""
    name: str
    ok: bool
    detail: str = ""


def call(command: List[str], log: str, **options) -> subprocess.CompletedProcess:
    """Runs a command in the root with its output, stderr included, kept in build/test/LOG."""
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, text=True, errors="replace", check=False,
                              **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        done = subprocess.CompletedProcess(command, 1, str(error))
    (OUT / log).write_text(done.stdout)
    return done


def last_lines(text: str, count: int = 20) -> str:
    """The end of a program's output: where it says what went wrong."""
    return "\n".join(text.strip().splitlines()[-count:])


def make_environment() -> dict:
    """Variables that the user gave to make are passed on, how many jobs it runs is not."""
    flags = re.sub(r"(^|\s)(-j\d*|--jobserver-\S+)", "", os.environ.get("MAKEFLAGS", ""))
    return dict(os.environ, MAKEFLAGS=flags)


def build() -> Iterator[Result]:
    """Both architectures, both flavours, all drivers, host tests, medium; the slowest first. A
    warning counts as a failure."""
    targets = ["host", "poolmalloc", "build/lookaside.iso"]
    done = call(["make", "--no-print-directory", "--output-sync", "-j%d" % JOBS, *targets],
                "make.txt", env=make_environment())
    if done.returncode:  # without make's echo of what it called
        said = re.sub(r"^\S*(gcc|clang\S*|ld|objcopy|python3) .*\n", "", done.stdout, flags=re.M)
        yield Result("everything builds", False, last_lines(said, 40))
        return
    warned = [line for line in done.stdout.splitlines() if "warning:" in line]
    yield Result("everything builds without a warning", not warned, "\n".join(warned[:20]))


def script(path: str, name: str) -> Iterator[Result]:
    """A check that prints one line a finding and exits non-zero if there are any."""
    if not (ROOT / path).exists():
        return
    done = call([sys.executable, path], Path(path).stem + ".txt")
    yield Result(name, done.returncode == 0, last_lines(done.stdout, 60))


def style() -> Iterator[Result]:
    """Source form."""
    return script("tests/style.py", "every file keeps the source form")


def layers() -> Iterator[Result]:
    """Components call downwards only."""
    return script("tests/layers.py", "components call downwards only (design section 4)")


def abi() -> Iterator[Result]:
    """Public structures have the layout of the DDK headers."""
    return script("tests/abi/compare.py", "public structures have the layout of mingw-w64's")


def sanitizer_environment() -> dict:
    """Sanitizers that stop at the first finding and look for leaks too."""
    return dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0",
                UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1", CMOCKA_MESSAGE_OUTPUT="TAP")


def host() -> Iterator[Result]:
    """The kernel's own code, natively; each cmocka case is one result."""
    for source in sorted((ROOT / "tests" / "host").glob("test_*.c")):
        program = ROOT / "build" / "host" / source.stem
        done = call([str(program)], source.stem + ".txt", timeout=300, env=sanitizer_environment())
        cases = re.findall(r"^(ok|not ok) \d+ - (.*)$", done.stdout, re.M)
        for verdict, case in cases:
            yield Result("%s: %s" % (source.stem, case.strip()), verdict == "ok",
                         last_lines(done.stdout, 40) if verdict != "ok" else "")
        if done.returncode and all(verdict == "ok" for verdict, _ in cases) or not cases:
            yield Result("%s runs to its end" % source.stem, done.returncode == 0 and bool(cases),
                         last_lines(done.stdout, 60))


def fuzz() -> Iterator[Result]:
    """Every parser, a fixed number of inputs from a fixed seed: the same in every run."""
    for source in sorted((ROOT / "tests" / "host").glob("fuzz_*.c")):
        seeds = ROOT / "tests" / "host" / "seeds" / source.stem[len("fuzz_"):]
        found = OUT / "corpus" / source.stem  # libFuzzer keeps what it finds in its first folder
        shutil.rmtree(found, ignore_errors=True)
        found.mkdir(parents=True)
        done = call([str(ROOT / "build" / "host" / source.stem), "-runs=%d" % FUZZ_RUNS, "-seed=1",
                     "-verbosity=0", "-artifact_prefix=%s/" % OUT]
                    + [str(found)] + ([str(seeds)] if seeds.is_dir() else []),
                    source.stem + ".txt", timeout=300, env=sanitizer_environment())
        yield Result("%s: %d inputs do no harm" % (source.stem, FUZZ_RUNS), done.returncode == 0,
                     last_lines(done.stdout, 40))


def pytest_command() -> List[str]:
    """A Python that has pytest: the one running this, or the distribution's own."""
    for python in (sys.executable, "/usr/bin/python3"):
        found = subprocess.run([python, "-c", "import pytest"], capture_output=True, check=False)
        if found.returncode == 0:
            break
    return [python, "-m", "pytest", "-p", "no:cacheprovider", "-q"]


def at_a_time(python: str) -> List[str]:
    """One test more than there are processors: guests that start or sleep leave one idle."""
    xdist = subprocess.run([python, "-c", "import xdist"], capture_output=True, check=False)
    return ["-n", str(JOBS + 1), "--dist", "loadgroup"] if xdist.returncode == 0 else []


def run_pytest(arguments: List[str], name: str) -> List[Result]:
    """Runs pytest; one result a test, named as pytest is asked for it."""
    report = OUT / (name + ".xml")
    if report.exists():
        report.unlink()
    done = call(pytest_command() + arguments + ["--junitxml=%s" % report], name + ".txt")
    if not report.exists():
        return [Result("pytest runs", False, last_lines(done.stdout))]
    results = []
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        bad = [child for child in case if child.tag in ("failure", "error")]
        if not bad and case.find("skipped") is not None:
            continue
        detail = "\n".join(last_lines(child.text or child.get("message", ""), 40) for child in bad)
        where = (case.get("classname") or "").replace(".", "/")
        name = re.sub(r"@[^]]*$", "", case.get("name"))  # xdist's name of a group
        results.append(Result("%s.py::%s" % (where, name), not bad, detail))
    return results


def system() -> Iterator[Result]:
    """Boots the whole thing, through ./lookaside as a user would.

    A few that fail while everything runs at once are asked again, alone: on a busy machine a guest,
    gdb and firmware can each miss the other's patience. Those that pass then are named as unsteady.
    """
    results = run_pytest(at_a_time(pytest_command()[0]) + ["tests/system"], "system")
    failed = [result.name for result in results if not result.ok and "::" in result.name]
    again = {}
    if 0 < len(failed) <= FEW:
        again = {result.name: result for result in run_pytest(failed, "system-again")}
    for result in results:
        second = again.get(result.name)
        if second and second.ok:
            print("  UNSTEADY: %s failed at first, and passed alone" % result.name)
        yield second if second and second.ok else result


SUITES = {suite.__name__: suite for suite in (build, style, layers, abi, host, fuzz, system)}


def finish(name: str, words: List[str]) -> None:
    """Prints what a suite has to say."""
    RUNNING.remove(name)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    print("\n".join(words), flush=True)


def show_running(change) -> None:
    """On a terminal: which suites run, in a line that goes away; `change` happens to their set."""
    with PRINTING:
        change()
        if sys.stderr.isatty():
            print("\r\033[K" + "".join(name + " ... " for name in RUNNING), end="", file=sys.stderr,
                  flush=True)


def run_suite(name: str) -> List[Result]:
    """Runs one suite, printing its line and what failed in it."""
    show_running(lambda: RUNNING.append(name))
    start = time.monotonic()
    results = list(SUITES[name]())
    failed = [result for result in results if not result.ok]
    words = ["%-8s %4d passed, %d failed  (%.0f s)"
             % (name, len(results) - len(failed), len(failed), time.monotonic() - start)]
    for result in failed:
        words += ["  FAILED: %s" % result.name]
        words += ["      " + line for line in result.detail.splitlines()]
    show_running(lambda: finish(name, words))
    return results


def run_suites(names: List[str]) -> List[Result]:
    """The build first, then the system tests with the others beside them: those need one processor
    at a time, and nobody's leave."""
    results = []
    if set(names) & {"build", "host", "fuzz", "system"}:
        results = run_suite("build")
        if not all(result.ok for result in results):
            return results
    rows = [["system"], [name for name in names if name not in ("build", "system")]]
    with concurrent.futures.ThreadPoolExecutor(len(rows)) as pool:
        for found in pool.map(lambda row: [run_suite(name) for name in row if name in names], rows):
            results += sum(found, [])
    return results


def main() -> int:
    """Runs the named suites, all of them when none is named."""
    global JOBS
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1,
                        help="how many things run at a time (default: one a processor)")
    parser.add_argument("suite", nargs="*", help="one of: " + " ".join(SUITES))
    arguments = parser.parse_args()
    unknown = [name for name in arguments.suite if name not in SUITES]
    if unknown:
        parser.error("no suite named %s" % ", ".join(unknown))
    JOBS = arguments.jobs
    OUT.mkdir(parents=True, exist_ok=True)
    results = run_suites(arguments.suite or list(SUITES))
    failed = sum(not result.ok for result in results)
    print("%d passed, %d failed" % (len(results) - failed, failed))
    return 1 if failed or not results else 0


if __name__ == "__main__":
    JOBS = 1
    sys.exit(main())
