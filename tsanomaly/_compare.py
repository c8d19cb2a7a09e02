# SPDX-License-Identifier: MIT
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import validate_data

from tsanomaly._calibration import midway_threshold
from tsanomaly._inspection import (
    check_detector,
    detector_errors,
    find_threshold,
    last_step,
)
from tsanomaly._progress import counting, showing_bars
from tsanomaly._reconstruction_error import ReconstructionError
from tsanomaly._threshold import ReconstructionThreshold
from tsanomaly._time_order import warn_if_unordered
from tsanomaly._validation import (
    FLOATS,
    as_series,
    check_labels,
    draw_seed,
    find_breaks,
)
from tsanomaly._window_transformer import WindowTransformer
from tsanomaly.metrics._scorer import NEEDED, NamedMetric, metric_value

__all__ = ["compare_detectors"]

_METRICS = (
    "average_precision",
    "vus_pr",
    "roc_auc",
    "f1",
    "event_fscore",
    "affiliation_fscore",
)

# Share of training rows that the baselines flag.
_FLAGGED = 0.01


class _Baseline(OutlierMixin, BaseEstimator):
    """Base class of baselines that fit nothing but a threshold."""

    def fit(self, X, y=None):
        X = validate_data(self, X, dtype=FLOATS, ensure_all_finite="allow-nan")
        errors = self._errors(X)
        errors = errors[~np.isnan(errors)]
        self.offset_ = -midway_threshold(errors, _FLAGGED)
        return self

    def score_samples(self, X):
        X = validate_data(
            self, X, reset=False, dtype=FLOATS, ensure_all_finite="allow-nan"
        )
        return -self._errors(X)

    def predict(self, X):
        return np.where(self.score_samples(X) < self.offset_, -1, 1)


class _RandomScores(_Baseline):
    """Random scores."""

    def __init__(self, random_state=0):
        self.random_state = random_state

    def _errors(self, X):
        return np.random.default_rng(self.random_state).random(len(X))


class _EverythingAnomalous(_Baseline):
    """The same score for all rows, all of them flagged."""

    def fit(self, X, y=None):
        super().fit(X)
        self.offset_ = -0.5  # below the constant error of 1
        return self

    def _errors(self, X):
        return np.ones(len(X))


class _LastDifference(_Baseline):
    """Distance of a row from the previous one, averaged over the channels.

    It is 0 for the first row of a series and after a break.
    """

    def _errors(self, X):
        previous = np.concatenate([X[:1], X[:-1]])
        previous = np.where(find_breaks(previous)[:, None], X, previous)
        return np.abs(X - previous).mean(axis=1)


def _baselines(random_state):
    """Return trivial detectors by name, which put other figures into perspective."""
    return {
        "random scores": _RandomScores(draw_seed(random_state)),
        "everything anomalous": _EverythingAnomalous(),
        "last difference": make_pipeline(StandardScaler(), _LastDifference()),
        "PCA on windows": make_pipeline(
            StandardScaler(),
            WindowTransformer(10),
            ReconstructionError(PCA(0.9)),
            ReconstructionThreshold(),
        ),
    }


def compare_detectors(
    detectors,
    X_train,
    X_test,
    y_test,
    *,
    metrics=_METRICS,
    baselines=True,
    random_state=None,
    progress=False,
):
    """Compare detectors with each other and with trivial baselines on one series.

    Each detector is cloned, fitted on the training rows and evaluated on the test rows,
    with the threshold that it sets itself on the training rows.

    Parameters
    ----------
    detectors : dict of str to estimator, or list of estimators
        Outlier detectors, or pipelines that end in one, by name. In a list, the names
        are the class names (of the last step of a pipeline).
    X_train : array-like of shape (n_timestamps, n_channels)
        Training rows, mostly normal.
    X_test : array-like of shape (n_timestamps, n_channels)
        Test rows.
    y_test : array-like of shape (n_timestamps,)
        Labels of the test rows, 1 = anomaly and 0 = normal.
    metrics : sequence of str, default=('average_precision', 'vus_pr', 'roc_auc', \
            'f1', 'event_fscore', 'affiliation_fscore')
        Metric names, as in :func:`~tsanomaly.metrics.make_anomaly_scorer`, except
        metrics with required parameters. Values are not negated: a lower
        'detection_delay' is better.
    baselines : bool, default=True
        Whether to add baselines: random scores, all rows flagged, the distance from the
        previous row, and PCA on windows of 10 rows. They put the figures into
        perspective; on long events, flagging everything looks good.
    random_state : int, RandomState instance or None, default=None
        Controls the random scores.
    progress : bool, default=False
        Whether to show a progress bar on stderr. Requires tqdm.

    Returns
    -------
    table : DataFrame
        One row per detector, in the given order, followed by the baselines. Columns:

        - one per metric, NaN if undefined
        - ``best_f1_uses_labels`` : the highest F1 over all thresholds; an upper bound
          for thresholds that are set without labels
        - ``flagged_share`` : share of test rows flagged
        - ``threshold`` : threshold of the errors, NaN if unknown
        - ``fit_seconds``, ``score_seconds`` : times
        - ``error`` : error message of a detector that failed, whose other columns are
          NaN; otherwise empty

    Raises
    ------
    ValueError
        If a metric is unknown or repeated, two detectors have the same name, or
        `y_test` does not have one label per row of `X_test`.
    ImportError
        If `progress` is True and tqdm is not installed.

    Warns
    -----
    UndefinedMetricWarning
        If a metric is undefined, such as 'vus_pr' if `y_test` has no anomalies.

    See Also
    --------
    tsanomaly.metrics.make_anomaly_scorer : The same metrics in a grid search.

    Notes
    -----
    Breaks, which have no score, are ignored by metrics of scores and are not flagged.

    Examples
    --------
    >>> from sklearn.ensemble import IsolationForest
    >>> from tsanomaly import compare_detectors
    >>> from tsanomaly.datasets import load_sample_plant
    >>> plant = load_sample_plant()
    >>> train, test = plant.frame[plant.train_mask], plant.frame[~plant.train_mask]
    >>> table = compare_detectors(
    ...     {"forest": IsolationForest(random_state=0)},
    ...     train,
    ...     test,
    ...     plant.target[~plant.train_mask],
    ...     metrics=["vus_pr", "f1"],
    ...     random_state=0,
    ... )
    >>> table.index[:3].tolist()
    ['forest', 'random scores', 'everything anomalous']
    >>> table.columns[:3].tolist()
    ['vus_pr', 'f1', 'best_f1_uses_labels']
    """
    import pandas as pd

    y_test = check_labels(y_test, len(X_test), "y_test").astype(np.int64)
    X_train, X_test = as_series(X_train), as_series(X_test)
    for X in (X_train, X_test):
        warn_if_unordered(X)
    functions = _checked_metrics(metrics)
    rows = _named(detectors)
    if baselines:
        for name, baseline in _baselines(random_state).items():
            if name in rows:
                raise ValueError(
                    f"{name!r} is the name of a baseline. Rename the detector, or use "
                    "baselines=False."
                )
            rows[name] = baseline
    columns = [
        *(function.name for function in functions),
        "best_f1_uses_labels",
        "flagged_share",
        "threshold",
        "fit_seconds",
        "score_seconds",
        "error",
    ]
    table = pd.DataFrame(np.nan, index=list(rows), columns=columns)
    table["error"] = ""
    with (
        showing_bars(progress, "progress=True"),
        counting(len(rows), "detectors") as tell_done,
    ):
        for done, (name, detector) in enumerate(rows.items(), start=1):
            try:
                row = _judge(clone(detector), X_train, X_test, y_test, functions)
            except Exception as error:  # any error; the other detectors still run
                row = {"error": f"{type(error).__name__}: {error}"}
            table.loc[name, list(row)] = list(row.values())
            tell_done(done)
    return table


def _judge(detector, X_train, X_test, y_test, functions):
    """Return one row of the table."""
    start = perf_counter()
    detector.fit(X_train)
    fitted = perf_counter()
    check_detector(detector, "detector")
    errors = detector_errors(detector, X_test)
    scored = perf_counter()
    threshold = find_threshold(detector, X_test, errors)
    errors[find_breaks(X_test)] = np.nan
    flags = (detector.predict(X_test) == -1) & ~np.isnan(errors)
    row = {
        metric.name: metric_value(metric, y_test, flags, errors) for metric in functions
    }
    return {
        **row,
        "best_f1_uses_labels": _best_f1(y_test, errors),
        "flagged_share": flags.mean(),
        "threshold": np.nan if threshold is None else threshold,
        "fit_seconds": fitted - start,
        "score_seconds": scored - fitted,
    }


def _best_f1(y_true, errors):
    from sklearn.metrics import precision_recall_curve

    present = ~np.isnan(errors)
    if not y_true[present].any():
        return 0.0
    precision, recall, _ = precision_recall_curve(y_true[present], errors[present])
    return (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()


def _checked_metrics(metrics):
    """Return the metrics with the given names, and raise if one is repeated."""
    if isinstance(metrics, str):
        raise ValueError(
            f"metrics must be a sequence of names, got {metrics!r}. Pass [{metrics!r}]."
        )
    functions = {}
    for name in metrics:
        if name in NEEDED:
            raise ValueError(
                f"{name!r} requires the parameter {NEEDED[name][0]}. Compute it from "
                "the predictions of the detectors, or remove it from metrics."
            )
        if name in functions:
            raise ValueError(f"metrics contains {name!r} twice. Remove one of them.")
        functions[name] = NamedMetric(name)
    return list(functions.values())


def _named(detectors):
    """Return the detectors by name."""
    if isinstance(detectors, dict):
        return dict(detectors)
    if not isinstance(detectors, (list, tuple)):
        raise ValueError(
            "detectors must be a dict of names and detectors, or a list of detectors, "
            f"got {detectors!r}."
        )
    names = [type(last_step(detector)).__name__ for detector in detectors]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"More than one detector would be named {name!r}. Pass a dict of names "
                "and detectors."
            )
    return dict(zip(names, detectors, strict=True))
