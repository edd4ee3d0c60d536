# SPDX-License-Identifier: MIT
"""Real programs run on the pool, which stands in for malloc (bench/host/poolmalloc.c)."""
import os
import shutil
import subprocess
import sys

import pytest
from conftest import PATIENCE, ROOT

LIBRARY = ROOT / "build" / "host" / "libpoolmalloc.so"
PYTHON = r"""
import json, subprocess, threading
rows = [{"number": i, "text": str(i) * (i % 50)} for i in range(50000)]
assert json.loads(json.dumps(rows)) == rows
def churn():
    kept = [bytes(i % 5000) for i in range(40000)]
threads = [threading.Thread(target=churn) for _ in range(8)]
for thread in threads: thread.start()
for _ in range(20):
    assert subprocess.run(["echo", "forked"], capture_output=True).stdout == b"forked\n"
for thread in threads: thread.join()
print("done")
"""
SQL = """
create table t(a, b);
with recursive c(x) as (select 1 union all select x + 1 from c where x < 50000)
    insert into t select x, hex(randomblob(x % 100)) from c;
create index i on t(b);
delete from t where a % 3 = 0;
select count(*), sum(a) from t;
"""


@pytest.fixture(name="preloaded", scope="module")
def an_environment_with_the_pool():
    """The library is built here: nothing else in the tests needs it."""
    subprocess.run(["make", "-s", "poolmalloc"], cwd=ROOT, check=True, timeout=PATIENCE)
    return dict(os.environ, LD_PRELOAD=str(LIBRARY))


def run(command, environment, **options):
    """Runs a program on the pool; what it printed."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT,
                          timeout=PATIENCE, check=False, **options)
    assert done.returncode == 0, "%s\n%s" % (done.stdout, done.stderr)
    return done.stdout


def test_python_with_threads_and_forks(preloaded):
    assert run([os.path.realpath(sys.executable), "-c", PYTHON], preloaded) == "done\n"


def test_gcc_compiles_the_same_object(preloaded, tmp_path):
    command = ["gcc", "-O2", "-w", "-DLOOKASIDE_HOST", "-DDBG=0", "-fshort-wchar", "-mms-bitfields",
               "-Itests/host/include", "-Iinclude", "-Iinclude/amd64", "-c", "mm/range.c", "-o"]
    for name, environment in (("pool", preloaded), ("glibc", dict(os.environ))):
        run(command + [str(tmp_path / name)], environment)
    assert (tmp_path / "pool").read_bytes() == (tmp_path / "glibc").read_bytes()


def test_sqlite_counts_right(preloaded):
    if not shutil.which("sqlite3"):
        pytest.skip("no sqlite3")
    expected = [a for a in range(1, 50001) if a % 3]
    out = run(["sqlite3", ":memory:"], preloaded, input=SQL)
    assert out == "%d|%d\n" % (len(expected), sum(expected))


def test_misuse_ends_the_program_with_a_sentence(preloaded, tmp_path):
    source = tmp_path / "twice.c"
    source.write_text("#include <stdlib.h>\n"
                      "int main(void) { void *volatile p = malloc(40); free(p); free(p); }\n")
    program = tmp_path / "twice"
    subprocess.run(["gcc", "-w", "-O0", str(source), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], env=preloaded, capture_output=True, text=True,
                          check=False, timeout=PATIENCE)
    assert done.returncode != 0
    assert "a second time" in done.stderr, done.stderr
