# SPDX-License-Identifier: MIT
"""Fit, score and check series that are larger than memory, with Dask.

Requires the extra ``dask``: run ``pip install ".[dask]"`` in a checkout of the library.
"""

from tsanomaly.distributed._find_alarms import find_alarms
from tsanomaly.distributed._fit import fit
from tsanomaly.distributed._has_drifted import has_drifted
from tsanomaly.distributed._score import (
    decision_function,
    predict,
    score_samples,
    transform,
)
from tsanomaly.distributed._sensor_health import sensor_health

__all__ = [
    "decision_function",
    "find_alarms",
    "fit",
    "has_drifted",
    "predict",
    "score_samples",
    "sensor_health",
    "transform",
]
