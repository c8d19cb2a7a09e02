# SPDX-License-Identifier: MIT
"""Model files: written without code, and read with suspicion."""

from tsanomaly._saving._persistence import load, save

__all__ = ["load", "save"]
