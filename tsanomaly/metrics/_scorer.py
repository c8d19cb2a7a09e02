# SPDX-License-Identifier: MIT
from functools import partial

import numpy as np

from tsanomaly._validation import check_labels
from tsanomaly._windows import runs
from tsanomaly.metrics._checks import warn_undefined

__all__ = ["NEEDED", "NamedMetric", "make_anomaly_scorer", "metric_value"]

# Input of each metric: first those of scikit-learn, then those of this package.
_RESPONSES = {
    "accuracy": "predict",
    "average_precision": "score_samples",
    "balanced_accuracy": "predict",
    "f1": "predict",
    "fbeta": "predict",
    "jaccard": "predict",
    "matthews_corrcoef": "predict",
    "precision": "predict",
    "recall": "predict",
    "roc_auc": "score_samples",
    "affiliation_fscore": "predict",
    "affiliation_precision": "predict",
    "affiliation_recall": "predict",
    "detection_delay": "predict",
    "event_fscore": "predict",
    "event_precision": "predict",
    "event_recall": "predict",
    "false_alarms_per_day": "predict",
    "nab_score": "predict",
    "point_adjusted_f1": "predict",
    "range_auc": "score_samples",
    "range_fscore": "predict",
    "range_precision": "predict",
    "range_recall": "predict",
    "vus_pr": "score_samples",
    "vus_roc": "score_samples",
}

# In the order in which metrics return them.
_PARTS = ("precision", "recall", "fscore")
_KINDS = ("affiliation", "event", "range")

# Metrics for which lower is better. Scorers negate them.
_COSTS = {"detection_delay", "false_alarms_per_day"}

# Required parameters of metrics: name, meaning and example.
NEEDED = {
    "false_alarms_per_day": ("freq", "the time step", "5min"),
    "fbeta": ("beta", "the weight of recall relative to precision", 2),
}


def make_anomaly_scorer(
    metric, *, response_method=None, greater_is_better=True, **kwargs
):
    """Make a scorer for outlier detectors.

    Outlier detectors return -1 for anomalies, and *lower* scores for more abnormal
    rows. Ground-truth labels are 1 for anomalies and 0 for normal rows, and metrics
    expect *higher* scores for more abnormal rows. The scorer converts between the two
    conventions. Use it as `scoring` in
    :class:`~sklearn.model_selection.GridSearchCV` or
    :func:`~sklearn.model_selection.cross_validate`.

    Parameters
    ----------
    metric : str or callable
        Name of a scikit-learn metric: 'accuracy', 'average_precision',
        'balanced_accuracy', 'f1', 'fbeta' (requires ``beta``), 'jaccard',
        'matthews_corrcoef', 'precision', 'recall' or 'roc_auc'. Name of a metric of
        this package: 'vus_pr', 'vus_roc', 'range_auc'; 'range_precision',
        'range_recall', 'range_fscore', and the same of 'event' and 'affiliation';
        'nab_score', 'point_adjusted_f1', 'detection_delay' (mean over the events, in
        rows; a missed event counts with its full length) or 'false_alarms_per_day'
        (requires ``freq``, the time step). Or a function
        ``metric(y_true, y_pred, **kwargs)`` with 1 for anomalies.
    response_method : {'predict', 'score_samples'} or None, default=None
        Input of a callable metric: 'predict' for labels, 0 or 1; 'score_samples' for
        scores, higher = worse (from `decision_function` if a detector has no
        `score_samples`). None is 'predict'. Determined by the name of a named metric.
    greater_is_better : bool, default=True
        Whether higher values of a callable metric are better. If False, the scorer
        negates them.
    **kwargs : dict
        Additional arguments of the metric.

    Returns
    -------
    scorer : callable
        ``scorer(detector, X, y)``, where `y` is 1 for anomalies and 0 for normal rows.
        Higher is better: 'detection_delay' and 'false_alarms_per_day' are negated.

    Raises
    ------
    ValueError
        If `metric` is an unknown name, other parameters are incompatible with it, or a
        required parameter is missing. The scorer raises if `y` has values other than 0
        and 1.

    Notes
    -----
    Ranking metrics, such as 'roc_auc' and 'average_precision', do not depend on the
    threshold: in a grid over :class:`~tsanomaly.ReconstructionThreshold`, all
    candidates with the same ranking have the same value. Tune thresholds with a metric
    of labels, such as 'f1'.

    Do not use the built-in strings of scikit-learn: with ``scoring="roc_auc"`` and
    ``scoring="average_precision"``, the sign of the scores is reversed without an
    error.

    Rows without a score (breaks) are ignored by metrics of scores.

    In a fold without anomalies, many metrics are undefined. A named metric is then 0
    for all candidates, with a warning, so that the fold has no influence. The value of
    a function is returned as it is, and a search ranks candidates with NaN last.

    :class:`~sklearn.model_selection.HalvingRandomSearchCV` and related classes sample
    rows at random unless ``resource`` is a parameter of the detector. Event metrics and
    detectors with windows would then see shuffled rows without an error. Pass a
    parameter instead, such as ``resource="epochs"`` with the prefix of its step.

    Examples
    --------
    >>> from sklearn.ensemble import IsolationForest
    >>> from tsanomaly.metrics import make_anomaly_scorer
    >>> X, y = [[0.0], [0.1], [0.2], [9.0]], [0, 0, 0, 1]
    >>> forest = IsolationForest(random_state=0).fit(X)
    >>> make_anomaly_scorer("roc_auc")(forest, X, y)
    1.0
    """
    from sklearn.metrics import make_scorer

    if isinstance(metric, str):
        named = NamedMetric(metric)
        if response_method not in (None, named.response_method):
            raise ValueError(
                f"metric={metric!r} requires "
                f"response_method={named.response_method!r}, got {response_method!r}. "
                "Omit response_method."
            )
        if not greater_is_better:
            raise ValueError(
                f"greater_is_better is determined by metric={metric!r}. Omit "
                "greater_is_better."
            )
        parameter, meaning, example = NEEDED.get(metric, (None, None, None))
        if parameter and parameter not in kwargs:
            raise ValueError(
                f"metric={metric!r} requires {parameter}, {meaning}: "
                f"make_anomaly_scorer({metric!r}, {parameter}={example!r})."
            )
        greater_is_better = metric not in _COSTS
        metric, response_method = named, named.response_method
    elif not callable(metric):
        raise ValueError(f"metric must be a string or a function, got {metric!r}.")
    elif response_method is None:
        _refuse_labels(metric)
    if response_method in (None, "predict"):
        return make_scorer(
            _named(partial(_score_labels, metric), metric),
            response_method="predict",
            greater_is_better=greater_is_better,
            **kwargs,
        )
    if response_method != "score_samples":
        raise ValueError(
            "response_method must be 'predict', 'score_samples' or None, got "
            f"{response_method!r}."
        )
    return make_scorer(
        _named(partial(_score_ranking, metric), metric),
        response_method=("score_samples", "decision_function"),
        greater_is_better=greater_is_better,
        **kwargs,
    )


def _refuse_labels(function):
    """Raise if a function is a known ranking metric, which labels would misuse."""
    for name, response in _RESPONSES.items():
        if response == "score_samples" and NamedMetric(name).function is function:
            raise ValueError(
                f"{function.__name__} is a metric of scores, but a function gets "
                f"labels by default. Pass its name, {name!r}, or "
                "response_method='score_samples'."
            )


class NamedMetric:
    """A metric given by its name, which is also pickled by name.

    Parameters
    ----------
    name : str
        Name of the metric.

    Attributes
    ----------
    response_method : {'predict', 'score_samples'}
        Whether the metric takes labels or scores.
    """

    def __init__(self, name):
        if name not in _RESPONSES:
            raise ValueError(
                f"metric={name!r} is unknown. Use one of {sorted(_RESPONSES)}, or a "
                "function in make_anomaly_scorer."
            )
        self.name = name
        self.response_method = _RESPONSES[name]

    def __repr__(self):
        return f"NamedMetric({self.name!r})"

    def __call__(self, y_true, y_pred, **kwargs):
        """Return the value of the metric, 0 if undefined."""
        value = self.value(y_true, y_pred, **kwargs)
        return 0.0 if np.isnan(value) else value

    def value(self, y_true, y_pred, **kwargs):
        """Return the value of the metric, NaN if undefined."""
        value = self.function(y_true, y_pred, **kwargs)
        if isinstance(value, tuple):
            value = value[_PARTS.index(self.name.rpartition("_")[-1])]
        return float(value)

    @property
    def function(self):
        """The function that computes the metric, possibly among other values."""
        import sklearn.metrics

        from tsanomaly import metrics

        kind, _, part = self.name.rpartition("_")
        if kind in _KINDS and part in _PARTS:
            return getattr(metrics, f"{kind}_precision_recall_fscore")
        if self.name == "detection_delay":
            return _mean_delay
        if hasattr(metrics, self.name):
            return getattr(metrics, self.name)
        suffix = "" if self.name == "matthews_corrcoef" else "_score"
        return getattr(sklearn.metrics, self.name + suffix)


def metric_value(metric, y_true, flags, errors):
    """Return the value of a named metric for one detector.

    Parameters
    ----------
    metric : NamedMetric
        The metric.
    y_true : ndarray of shape (n_timestamps,)
        0 or 1 per row.
    flags : ndarray of shape (n_timestamps,), dtype=bool
        Rows that the detector flags.
    errors : ndarray of shape (n_timestamps,)
        Errors, higher = worse. NaN at breaks.

    Returns
    -------
    value : float
        Value for the flags, or for the errors that are not NaN. NaN if undefined.
    """
    if metric.response_method == "predict":
        return metric.value(y_true, flags.astype(np.int64))
    present = ~np.isnan(errors)
    return metric.value(y_true[present], errors[present])


def _mean_delay(y_true, y_pred):
    """Return the mean delay in rows, where missed events count with their full length.

    `detection_delay` ignores missed events, so a grid search would prefer the candidate
    that misses all difficult ones.
    """
    start, end = runs(y_true)
    if not len(start):
        warn_undefined("The delay is undefined, because y_true contains no anomaly.")
        return np.nan
    # First flagged row at or after the start of each event.
    flagged = np.append(np.flatnonzero(y_pred), len(y_pred))
    first = flagged[np.searchsorted(flagged, start)]
    return np.minimum(first - start, end - start + 1).mean()


def _named(function, metric):
    # TODO remove when scikit-learn >= 1.9 is the minimum: the representation of a
    # scorer needs a name, which a partial does not have.
    function.__name__ = getattr(metric, "__name__", repr(metric))
    return function


def _score_labels(metric, y_true, labels, /, **kwargs):
    y_true = check_labels(y_true, len(labels)).astype(int)
    return metric(y_true, (labels == -1).astype(int), **kwargs)


def _score_ranking(metric, y_true, scores, /, **kwargs):
    y_true = check_labels(y_true, len(scores)).astype(int)
    scored = ~np.isnan(scores)
    if kwargs.get("sample_weight") is not None:
        kwargs["sample_weight"] = np.asarray(kwargs["sample_weight"])[scored]
    return metric(y_true[scored], -scores[scored], **kwargs)
