# SPDX-License-Identifier: MIT
"""Model files, which contain no code and are read by a closed reader."""

from tsanomaly._saving._archive import ModelFileError
from tsanomaly._saving._describe import describe
from tsanomaly._saving._persistence import load, load_described, save

__all__ = ["ModelFileError", "describe", "load", "load_described", "save"]
