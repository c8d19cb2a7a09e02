# SPDX-License-Identifier: MIT
"""Score and fit on series that are larger than memory, with Dask.

Needs the extra ``dask``: ``pip install "tsanomaly[dask]"``.
"""

from tsanomaly.distributed._find_alarms import find_alarms
from tsanomaly.distributed._fit import fit
from tsanomaly.distributed._score import (
    decision_function,
    predict,
    score_samples,
    transform,
)

__all__ = [
    "decision_function",
    "find_alarms",
    "fit",
    "predict",
    "score_samples",
    "transform",
]
