# SPDX-License-Identifier: MIT
from functools import partial

import numpy as np

from tsanomaly._validation import check_labels

__all__ = ["make_anomaly_scorer"]

# What scikit-learn's metrics of these names are fed with.
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
        'matthews_corrcoef', 'precision', 'recall' or 'roc_auc'. Or a function
        ``metric(y_true, y_pred, **kwargs)`` in which 1 is an anomaly.
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

    Raises
    ------
    ValueError
        If `metric` is an unknown name, or the other parameters do not suit it. The
        scorer raises it if `y` has other values than 0 and 1, and says how to convert.

    Notes
    -----
    The metrics of the ranking alone, 'roc_auc' and 'average_precision', do not see the
    threshold: all candidates of a grid over :class:`ReconstructionThreshold`, say,
    that score rows in the same way get the same value. Tune thresholds with a metric
    of labels, such as 'f1'.

    Beware of scikit-learn's own strings: ``scoring="roc_auc"`` and
    ``scoring="average_precision"`` run on a detector without complaint, with the sign
    of the scores reversed.

    Rows without a score, which are breaks, do not count in metrics of scores.

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
        if metric not in _RESPONSES:
            raise ValueError(
                f"metric={metric!r} is not known. Use one of {sorted(_RESPONSES)}, or "
                "pass a function."
            )
        if response_method not in (None, _RESPONSES[metric]):
            raise ValueError(
                f"metric={metric!r} needs response_method={_RESPONSES[metric]!r}, got "
                f"{response_method!r}. Leave response_method out."
            )
        if not greater_is_better:
            raise ValueError(
                f"Higher is better in metric={metric!r}. Leave greater_is_better out."
            )
        if metric == "fbeta" and "beta" not in kwargs:
            raise ValueError(
                "metric='fbeta' needs beta, the weight of recall against precision: "
                "make_anomaly_scorer('fbeta', beta=2)."
            )
        response_method = _RESPONSES[metric]
        metric = _metric_function(metric)
    elif not callable(metric):
        raise ValueError(f"metric must be a string or a function, got {metric!r}.")
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


def _metric_function(name):
    from sklearn import metrics

    suffix = "" if name in {"matthews_corrcoef"} else "_score"
    return getattr(metrics, name + suffix)


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
