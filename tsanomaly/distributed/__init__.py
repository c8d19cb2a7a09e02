# SPDX-License-Identifier: MIT
"""Score and fit on series that are larger than memory, with Dask.

Needs the extra ``dask``: ``pip install "tsanomaly[dask]"``.
"""

from tsanomaly.distributed._alarms import alarms
from tsanomaly.distributed._fit import fit
from tsanomaly.distributed._score import (
    decision_function,
    predict,
    score_samples,
    transform,
)

__all__ = [
    "alarms",
    "decision_function",
    "fit",
    "predict",
    "score_samples",
    "transform",
]
