# SPDX-License-Identifier: MIT
from functools import partial

import numpy as np

from tsanomaly._validation import check_labels
from tsanomaly._windows import runs
from tsanomaly.metrics._checks import warn_undefined

__all__ = ["NEEDED", "NamedMetric", "make_anomaly_scorer", "metric_value"]

# What metrics of these names are fed with: scikit-learn's, then those of this package.
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

# In the order in which metrics return them
_PARTS = ("precision", "recall", "fscore")
_KINDS = ("affiliation", "event", "range")

# Of these, less is better: scorers return the opposite.
_COSTS = {"detection_delay", "false_alarms_per_day"}

# What has no default: the parameter, what it is, and an example.
NEEDED = {
    "false_alarms_per_day": ("freq", "the time from row to row", "5min"),
    "fbeta": ("beta", "the weight of recall against precision", 2),
}


def make_anomaly_scorer(
    metric, *, response_method=None, greater_is_better=True, **kwargs
):
    """Make a scorer for outlier detectors from a metric of labels or scores.

    Detectors of scikit-learn and of this library return -1 for anomalies, and scores
    that are *lower* for them. Labels say 1 for an anomaly and 0 for a normal row, and
    metrics expect scores that are *higher* for the worse. The scorer stands between
    them, for `scoring` in :class:`~sklearn.model_selection.GridSearchCV`,
    :func:`~sklearn.model_selection.cross_validate` and the like.

    Parameters
    ----------
    metric : str or callable
        Name of one of scikit-learn's metrics: 'accuracy', 'average_precision',
        'balanced_accuracy', 'f1', 'fbeta' (pass ``beta`` too), 'jaccard',
        'matthews_corrcoef', 'precision', 'recall' or 'roc_auc'. Name of one of this
        package's: 'vus_pr', 'vus_roc', 'range_auc'; 'range_precision',
        'range_recall', 'range_fscore', and the same of 'event' and 'affiliation';
        'nab_score', 'point_adjusted_f1', 'detection_delay' (mean over the events, in
        rows; an event that is missed counts with all of its rows) or
        'false_alarms_per_day' (pass ``freq``, the time from row to row). Or a
        function ``metric(y_true, y_pred, **kwargs)`` in which 1 is an anomaly.
    response_method : {'predict', 'score_samples'} or None, default=None
        What a callable metric is given: 'predict' for labels, 0 or 1;
        'score_samples' for scores, higher = worse (from `decision_function`, for
        detectors without `score_samples`). None means 'predict'. A metric given by name
        knows what it needs.
    greater_is_better : bool, default=True
        Whether higher values of a callable metric are better. If not, the scorer
        returns the opposite.
    **kwargs : dict
        Passed on to the metric.

    Returns
    -------
    scorer : callable
        ``scorer(detector, X, y)``, where `y` is 1 for anomalies and 0 elsewhere.
        Higher is better: of 'detection_delay' and 'false_alarms_per_day' it returns
        the opposite.

    Raises
    ------
    ValueError
        If `metric` is an unknown name, the other parameters do not suit it, or one that
        it needs is missing. The scorer raises it if `y` has other values than 0 and 1,
        and says how to convert.

    Notes
    -----
    The metrics of the ranking alone, 'roc_auc' and 'average_precision', do not see the
    threshold: all candidates of a grid over
    :class:`~tsanomaly.ReconstructionThreshold`, say, that score rows in the same way
    get the same value. Tune thresholds with a metric of labels, such as 'f1'.

    Beware of scikit-learn's own strings: ``scoring="roc_auc"`` and
    ``scoring="average_precision"`` run on a detector without complaint, with the sign
    of the scores reversed.

    Rows without a score, which are breaks, do not count in metrics of scores.

    A fold without anomalies leaves many metrics undefined. A metric given by name then
    is 0 for every candidate, with a warning, so the fold does not decide. What a
    function returns is passed on, and a search ranks a candidate with NaN last.

    :class:`~sklearn.model_selection.HalvingRandomSearchCV` and the like draw rows at
    random unless ``resource`` names a parameter of the detector. Metrics of events and
    detectors with windows then see rows in disorder, without complaint: pass
    ``resource="n_estimators"``, or ``"epochs"``, say, with the prefix of its step.

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
                f"metric={metric!r} needs response_method={named.response_method!r}, "
                f"got {response_method!r}. Leave response_method out."
            )
        if not greater_is_better:
            raise ValueError(
                f"metric={metric!r} knows whether higher is better. Leave "
                "greater_is_better out."
            )
        parameter, meaning, example = NEEDED.get(metric, (None, None, None))
        if parameter and parameter not in kwargs:
            raise ValueError(
                f"metric={metric!r} needs {parameter}, {meaning}: "
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
    """Raise if a function is known to rank scores: labels would do, but say little."""
    for name, response in _RESPONSES.items():
        if response == "score_samples" and NamedMetric(name).function is function:
            raise ValueError(
                f"{function.__name__} ranks scores, while a function is given labels "
                f"by default. Pass its name, {name!r}, or "
                "response_method='score_samples'."
            )


class NamedMetric:
    """A metric that is known by its name, and pickled by it.

    Parameters
    ----------
    name : str
        Name of the metric.

    Attributes
    ----------
    response_method : {'predict', 'score_samples'}
        Whether it is fed with labels or scores.
    """

    def __init__(self, name):
        if name not in _RESPONSES:
            raise ValueError(
                f"metric={name!r} is not known. Use one of {sorted(_RESPONSES)}, or a "
                "function in make_anomaly_scorer."
            )
        self.name = name
        self.response_method = _RESPONSES[name]

    def __repr__(self):
        return f"NamedMetric({self.name!r})"

    def __call__(self, y_true, y_pred, **kwargs):
        """Value of the metric, 0 where it is undefined."""
        value = self.value(y_true, y_pred, **kwargs)
        return 0.0 if np.isnan(value) else value

    def value(self, y_true, y_pred, **kwargs):
        """Value of the metric, NaN where it is undefined."""
        value = self.function(y_true, y_pred, **kwargs)
        if isinstance(value, tuple):
            value = value[_PARTS.index(self.name.rpartition("_")[-1])]
        return float(value)

    @property
    def function(self):
        """What computes it, perhaps together with others."""
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
    """Value of a named metric for one detector.

    Parameters
    ----------
    metric : NamedMetric
        The metric.
    y_true : ndarray of shape (n_timestamps,)
        0 or 1 per row.
    flags : ndarray of shape (n_timestamps,), dtype=bool
        Rows that the detector flags.
    errors : ndarray of shape (n_timestamps,)
        Higher = worse, NaN at breaks.

    Returns
    -------
    value : float
        Of flags, or of the errors that are there. NaN where it is undefined.
    """
    if metric.response_method == "predict":
        return metric.value(y_true, flags.astype(np.int64))
    present = ~np.isnan(errors)
    return metric.value(y_true[present], errors[present])


def _mean_delay(y_true, y_pred):
    """Mean delay in rows, an event that is missed with all of its rows.

    Unlike `detection_delay`, which leaves missed events out: a grid search would
    prefer the candidate that misses all that is hard.
    """
    start, end = runs(y_true)
    if not len(start):
        warn_undefined("The delay is undefined, since y_true holds no anomaly.")
        return np.nan
    # The first flagged row from the start of an event on, or a row past its end
    flagged = np.append(np.flatnonzero(y_pred), len(y_pred))
    first = flagged[np.searchsorted(flagged, start)]
    return np.minimum(first - start, end - start + 1).mean()


def _named(function, metric):
    # TODO remove when scikit-learn >= 1.9 is the minimum: the representation of a
    # scorer asks for a name, which a partial has not.
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
