# SPDX-License-Identifier: MIT
"""Score and fit on series that are larger than memory, with Dask.

Needs the extra ``dask``: ``pip install ".[dask]"`` in a checkout.
"""

from tsanomaly.distributed._fit import fit
from tsanomaly.distributed._score import (
    decision_function,
    predict,
    score_samples,
    transform,
)

__all__ = ["decision_function", "fit", "predict", "score_samples", "transform"]
