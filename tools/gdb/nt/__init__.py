# SPDX-License-Identifier: MIT
"""The parts of the gdb extension."""
