# SPDX-License-Identifier: MIT
"""The command line: parse, call the commands, print what they return."""

from tsanomaly._cli._main import main

__all__ = ["main"]
