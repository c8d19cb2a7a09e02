# SPDX-License-Identifier: MIT
"""Labelled series to try detectors on."""

from tsanomaly.datasets._nab import load_nab
from tsanomaly.datasets._smd import load_smd

__all__ = ["load_nab", "load_smd"]
