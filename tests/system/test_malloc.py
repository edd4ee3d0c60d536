# SPDX-License-Identifier: MIT
"""Real programs run on the pool, which stands in for malloc (bench/host/poolmalloc.c)."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

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


def ask_redis(socket, environment, *lines):
    """Commands to a server, one a line; its answers."""
    return run(["redis-cli", "-s", str(socket)], environment, input="\n".join(lines)).split("\n")


def test_redis_serves_and_saves(preloaded, tmp_path):
    """Debian's server calls malloc by its own name, so it too runs on the pool."""
    if not shutil.which("redis-server"):
        pytest.skip("no redis-server")
    socket, plain = tmp_path / "redis", dict(os.environ)
    with subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "",
                           "--daemonize", "no", "--io-threads", "2"], cwd=tmp_path, env=preloaded,
                          stdout=subprocess.PIPE, text=True) as server:
        try:
            while "ready to accept" not in (line := server.stdout.readline().lower()):
                assert line, "the server ended before it was ready"
            run(["redis-benchmark", "-s", str(socket), "-q", "-n", "1000", "-c", "20", "-d", "700",
                 "-r", "500", "-t", "set,get,lpush,lpop,sadd,hset,spop,zadd,mset"], plain)
            lines = ["append text %s" % ("x" * (10 * i)) for i in range(1, 300)]
            answers = ask_redis(socket, plain, *lines, "strlen text", "save", "flushall",
                                "eval 'return #string.rep(\"ab\", 100000)' 0")
            assert answers[len(lines):len(lines) + 4] == [
                str(sum(10 * i for i in range(1, 300))), "OK", "OK", "200000"], answers[-8:]
            assert str(LIBRARY) in (Path("/proc") / str(server.pid) / "maps").read_text()
            subprocess.run(["redis-cli", "-s", str(socket), "shutdown", "nosave"], check=True,
                           timeout=PATIENCE)
            rest, _ = server.communicate(timeout=PATIENCE)
            assert server.returncode == 0, rest
        finally:
            server.kill()


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


@pytest.mark.parametrize("row", ["producing", "two-at-once"])
def test_threads_that_allocate_for_each_other_do_no_harm(preloaded, row):
    """A page that one thread makes must not be taken for another's empty one."""
    program = str(ROOT / "build" / "host" / "alloc")
    for _ in range(5):
        assert run([program, row], preloaded).startswith("BENCH " + row)
