# SPDX-License-Identifier: MIT
"""Save scorers of searches by name."""

from functools import partial

from tsanomaly.metrics import make_anomaly_scorer
from tsanomaly.metrics._scorer import NamedMetric

__all__ = ["describe_scorer", "make_scorer"]

# Prefix of the names of scorers of scikit-learn.
_PREFIX = "sklearn."


def describe_scorer(value):
    """Return the name and arguments from which a scorer can be made.

    Parameters
    ----------
    value : object
        Any object.

    Returns
    -------
    name, arguments : str and dict of str to object, or None
        Arguments of `make_scorer`. None if `value` is not a known scorer.
    """
    if not hasattr(value, "_score_func"):
        return None
    function, arguments = value._score_func, value._kwargs
    if isinstance(function, partial) and isinstance(function.args[0], NamedMetric):
        return function.args[0].name, arguments
    from sklearn.metrics import get_scorer, get_scorer_names

    for name in get_scorer_names():
        if vars(get_scorer(name)) == vars(value):
            return _PREFIX + name, {}
    return None


def make_scorer(name, arguments):
    """Make a scorer from its name and arguments.

    Parameters
    ----------
    name : str
        A metric of `make_anomaly_scorer`, or a scorer of scikit-learn with a prefix.
    arguments : dict of str to object
        Keywords of the metric.

    Returns
    -------
    scorer : callable
        The scorer.

    Raises
    ------
    ValueError
        If the metric or scorer does not exist.
    """
    if not isinstance(name, str):
        raise ValueError(f"{name!r} is not the name of a metric")
    if not name.startswith(_PREFIX):
        return make_anomaly_scorer(NamedMetric(name).name, **arguments)
    from sklearn.metrics import get_scorer, get_scorer_names

    name = name.removeprefix(_PREFIX)
    if name not in get_scorer_names() or arguments:
        raise ValueError(f"{name!r} is not a scorer of scikit-learn")
    return get_scorer(name)
