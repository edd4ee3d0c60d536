# SPDX-License-Identifier: MIT
"""The parts of the ./lookaside command: see main.py for the commands."""
