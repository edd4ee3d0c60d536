# SPDX-License-Identifier: MIT
"""`make debug`: real gdb, symbols loaded, stopped at KiSystemStartup."""
import subprocess

from conftest import PATIENCE, ROOT


def test_gdb_stops_at_the_first_c_of_the_kernel(arch):
    done = subprocess.run([str(ROOT / "tools" / "debug"), "--arch", arch, "--check"], text=True,
                          capture_output=True, timeout=PATIENCE, check=False, errors="replace",
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "#0  KiSystemStartup" in done.stdout, done.stdout + done.stderr
    assert "kernel/start.c" in done.stdout, done.stdout
