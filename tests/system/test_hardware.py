# SPDX-License-Identifier: MIT
"""The rows of tests/hardware/machines.py that are quick enough for every day."""
import sys

import pytest
from conftest import PATIENCE, ROOT

sys.path.insert(0, str(ROOT / "tests" / "hardware"))

import run as hardware  # pylint: disable=wrong-import-position
from machines import MACHINES  # pylint: disable=wrong-import-position


QUICK = [row for row in MACHINES if row.quick]


@pytest.mark.parametrize("machine", QUICK, ids=lambda row: row.name)
def test_a_machine_shows_on_its_screen_what_it_is(machine):
    assert hardware.boot(machine, PATIENCE) == ""
