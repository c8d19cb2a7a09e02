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

# Share of the training rows that the baselines flag.
_FLAGGED = 0.01


class _Baseline(OutlierMixin, BaseEstimator):
    """What scores rows without learning anything but its threshold."""

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
    """Scores that know nothing."""

    def __init__(self, random_state=0):
        self.random_state = random_state

    def _errors(self, X):
        return np.random.default_rng(self.random_state).random(len(X))


class _EverythingAnomalous(_Baseline):
    """One score for all rows, and every row flagged."""

    def fit(self, X, y=None):
        super().fit(X)
        self.offset_ = -0.5  # below the one error that there is
        return self

    def _errors(self, X):
        return np.ones(len(X))


class _LastDifference(_Baseline):
    """How far a row is from the one before, mean over the channels.

    A first row, also that after a break, is no distance away.
    """

    def _errors(self, X):
        previous = np.concatenate([X[:1], X[:-1]])
        previous = np.where(find_breaks(previous)[:, None], X, previous)
        return np.abs(X - previous).mean(axis=1)


def _baselines(random_state):
    """Trivial detectors, without which no figure can be judged, by name."""
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
    """Compare detectors on one series, beside trivial ones.

    Every detector is cloned, fitted on the training rows, and judged on the test rows.
    Its threshold is the one it sets itself, on the training rows.

    Parameters
    ----------
    detectors : dict of str to estimator, or list of estimators
        Outlier detectors, or pipelines that end in one, by the name of their row. In a
        list they are named after their class, that of the last step of a pipeline.
    X_train : array-like of shape (n_timestamps, n_channels)
        Rows to learn from, mostly normal.
    X_test : array-like of shape (n_timestamps, n_channels)
        Rows to judge by.
    y_test : array-like of shape (n_timestamps,)
        1 for an anomaly, 0 for a normal row.
    metrics : sequence of str, default=('average_precision', 'vus_pr', 'roc_auc', \
            'f1', 'event_fscore', 'affiliation_fscore')
        Names that :func:`~tsanomaly.metrics.make_anomaly_scorer` knows, but those of
        metrics that need a parameter. They are as defined: a lower 'detection_delay'
        is better.
    baselines : bool, default=True
        Whether to add rows for random scores, for everything anomalous, for the
        distance from the row before, and for PCA on windows of 10 rows. Without them
        no figure can be judged: on long events, flagging everything looks good.
    random_state : int, RandomState instance or None, default=None
        Controls the random scores.
    progress : bool, default=False
        Whether to show a progress bar on the standard error stream. Needs tqdm.

    Returns
    -------
    table : DataFrame
        One row per detector, in the order given, then the baselines. Columns: the
        metrics, NaN where undefined; ``best_f1_uses_labels``, the highest F1 of any
        threshold, which no threshold set without labels reaches; ``flagged_share`` of
        the test rows; ``threshold`` of the errors, NaN if the detector does not tell
        it; ``fit_seconds``; ``score_seconds``; ``error``, empty if all went well. A
        detector that fails has NaN in all other columns.

    Raises
    ------
    ValueError
        If a metric is unknown or named twice, two detectors have one name, or `y_test`
        does not hold a label for every row of `X_test`.
    ImportError
        If `progress` is True and tqdm is not installed.

    Warns
    -----
    UndefinedMetricWarning
        If a metric is undefined, such as 'vus_pr' if `y_test` holds no anomaly.

    See Also
    --------
    tsanomaly.metrics.make_anomaly_scorer : The same metrics in a grid search.

    Notes
    -----
    Rows that a detector gives no score, which are breaks, do not count in metrics of
    scores; they are not flagged.

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
                    f"{name!r} is the name of a baseline. Rename the detector, or pass "
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
            except Exception as error:  # whatever it is, the others go on
                row = {"error": f"{type(error).__name__}: {error}"}
            table.loc[name, list(row)] = list(row.values())
            tell_done(done)
    return table


def _judge(detector, X_train, X_test, y_test, functions):
    """One row of the table."""
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
    """Metrics by their names, none of them twice."""
    if isinstance(metrics, str):
        raise ValueError(
            f"metrics must be a sequence of names, got {metrics!r}. Pass [{metrics!r}]."
        )
    functions = {}
    for name in metrics:
        if name in NEEDED:
            raise ValueError(
                f"{name!r} needs a parameter of its own, {NEEDED[name][0]}. Compute it "
                "from the predictions of the detectors, or leave it out of metrics."
            )
        if name in functions:
            raise ValueError(f"metrics names {name!r} twice. Leave one of them out.")
        functions[name] = NamedMetric(name)
    return list(functions.values())


def _named(detectors):
    """Detectors by their names."""
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
