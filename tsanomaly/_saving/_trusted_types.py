# SPDX-License-Identifier: MIT
"""Types and functions that a model file may hold unasked."""

from functools import cache
from types import FunctionType

import numpy as np

from tsanomaly._autoencoder import LSTMAutoencoderDetector
from tsanomaly._calibration import Calibration, ErrorSummary, LogCalibration
from tsanomaly._features import TemporalFeatures
from tsanomaly._fleet import FleetDetector
from tsanomaly._hybrid import HybridDetector
from tsanomaly._reconstruction_error import ReconstructionError
from tsanomaly._row_errors import RULES
from tsanomaly._score_transformer import ScoreTransformer
from tsanomaly._streaming import StreamingDetector
from tsanomaly._threshold import ReconstructionThreshold
from tsanomaly._training import Training
from tsanomaly._window_transformer import WindowTransformer
from tsanomaly.metrics._scorer import NamedMetric

__all__ = ["UNCHECKED", "full_names", "known_functions", "known_names"]

# Types of the library that a fitted model may hold.
_LIBRARY = (
    Calibration,
    ErrorSummary,
    FleetDetector,
    HybridDetector,
    LSTMAutoencoderDetector,
    LogCalibration,
    NamedMetric,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    StreamingDetector,
    TemporalFeatures,
    Training,
    WindowTransformer,
    *RULES.values(),
)

# Types that fitted estimators of scikit-learn hold. Its public estimators are known to
# skops.
_METRICS = (
    "BrayCurtis",
    "Canberra",
    "Chebyshev",
    "Dice",
    "Euclidean",
    "Hamming",
    "Haversine",
    "Jaccard",
    "Mahalanobis",
    "Manhattan",
    "Minkowski",
    "RogersTanimoto",
    "RussellRao",
    "SEuclidean",
    "SokalSneath",
)
_SPLITTERS = (
    "GroupKFold",
    "GroupShuffleSplit",
    "KFold",
    "LeaveOneGroupOut",
    "LeaveOneOut",
    "LeavePGroupsOut",
    "LeavePOut",
    "PredefinedSplit",
    "RepeatedKFold",
    "RepeatedStratifiedKFold",
    "ShuffleSplit",
    "StratifiedGroupKFold",
    "StratifiedKFold",
    "StratifiedShuffleSplit",
    "TimeSeriesSplit",
)
_SCIKIT_LEARN = (
    "functools.partial",
    "numpy.dtype",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.metrics._scorer._MultimetricScorer",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.tree._tree.Tree",
    *(f"sklearn.metrics._dist_metrics.{name}Distance64" for name in _METRICS),
    *(f"sklearn.model_selection._split.{name}" for name in _SPLITTERS),
)

# Trusted by skops. Their compiled code takes shapes from the state, and nothing here
# checks those.
UNCHECKED = {
    "sklearn.ensemble._gb.GradientBoostingClassifier",
    "sklearn.ensemble._gb.GradientBoostingRegressor",
}


def known_names():
    """Full names of all types and functions that need no trust."""
    return {*full_names(_LIBRARY), *_SCIKIT_LEARN, *known_functions()}


def full_names(trusted):
    """Full names of types and functions."""
    if isinstance(trusted, (str, bytes, bool)) or not np.iterable(trusted):
        raise TypeError(
            f"trusted must be a list of types or their full names, got {trusted!r}. "
            "Pass for example trusted=['package.module.Name']."
        )
    names = set()
    for item in trusted:
        if not isinstance(item, str):
            if not (hasattr(item, "__module__") and hasattr(item, "__name__")):
                raise TypeError(
                    "trusted must hold types, functions or their full names, got "
                    f"{item!r}. Pass for example trusted=['package.module.Name']."
                )
            item = f"{item.__module__}.{item.__name__}"
        names.add(item)
    return names


@cache
def known_functions():
    """Full names of functions that scorers call."""
    import sklearn.metrics

    from tsanomaly import metrics
    from tsanomaly.metrics import _scorer

    functions = [_scorer._score_labels, _scorer._score_ranking]
    for module in (metrics, sklearn.metrics):
        functions += [getattr(module, name) for name in module.__all__]
    return frozenset(full_names(f for f in functions if isinstance(f, FunctionType)))
