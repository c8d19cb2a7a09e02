# SPDX-License-Identifier: MIT
"""A search for the window length and the threshold, with a time limit."""

from contextlib import suppress
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.exceptions import UndefinedMetricWarning

from tsanomaly._cli._models import default_alarms, rows_in_alarm
from tsanomaly._cross_fit import fit_cross_fitted

__all__ = ["parameters_to_try", "search"]

# Candidates: windows, most of them twice as long as the last, and times between alarms.
_PER = [100, 300, 1_000, 3_000]
_OF_NETWORKS = [(8, 40, 1001), (16, 80), (16, 80, 1001), (32, 160, 1001)]
_WINDOWS = {
    "lstm": {"window_size": _OF_NETWORKS},
    "ensemble": {"network__window_size": _OF_NETWORKS},
    "hybrid": {"detector__detector__window_size": _OF_NETWORKS},
    "linear": {"window_size": [(40, 1001), 80, (80, 1001), (160, 1001)]},
    "autoregression": {"window_size": [20, 40, 80, 160]},
    "neighbors": {"window_size": [16, 64, 256]},
}
_OF_STOCK = {"window__window_size": [1, 3, 10, 30, 100]}

# Each round keeps a third of the candidates and triples their rows.
_FACTOR = 3
_FEWEST_ROWS = 500


class _LastRows(OutlierMixin, BaseEstimator):
    """A detector that is fitted on the last rows only and predicts alarms.

    Parameters
    ----------
    model : Pipeline
        Model of the command line.
    n_rows : int
        Number of rows to fit on; it grows in each round.
    """

    def __init__(self, model, n_rows=_FEWEST_ROWS):
        self.model = model
        self.n_rows = n_rows

    def fit(self, X, y=None):
        self.model_ = fit_cross_fitted(clone(self.model), X[-self.n_rows :])
        return self

    def predict(self, X):
        alarms = default_alarms(self.model_, X)
        return np.where(rows_in_alarm(alarms, len(X)), -1, 1)


def search(model, detector, train, test, y, *, seconds, random_state, progress):
    """Search window lengths and thresholds by successive halving.

    Parameters
    ----------
    model : Pipeline
        Unfitted model of the command line.
    detector : str
        Name of its detector.
    train, test : DataFrame of shape (n_timestamps, n_channels)
        Rows for fitting and for evaluation.
    y : ndarray of shape (n_timestamps,)
        Labels of `test`.
    seconds : float
        Approximate time limit, estimated from the time of one candidate.
    random_state : int
        Seed for the choice of candidates.
    progress : callable
        Called with a line of text before each step.

    Returns
    -------
    best : Pipeline
        The best candidate, unfitted.
    chosen : dict
        The searched parameters of the best candidate.
    table : DataFrame
        Candidates, best first: number of rows, event-wise F1 and parameters.
    """
    import warnings

    import pandas as pd
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV

    from tsanomaly.metrics import make_anomaly_scorer

    grid = parameters_to_try(detector)
    n_all = int(np.prod([len(values) for values in grid.values()]))
    fewest = min(_FEWEST_ROWS, len(train))
    progress("timing two candidates")
    start = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for place in (0, -1):  # the shortest and the longest windows
            candidate = {name: values[place] for name, values in grid.items()}
            candidate = clone(model).set_params(**candidate)
            with suppress(ValueError):  # it may not fit on few rows
                _LastRows(candidate, fewest).fit(train).predict(test)
    for_one = (perf_counter() - start) / 2
    n_rounds = 1 + int(np.log(len(train) / fewest) / np.log(_FACTOR))
    # With a single candidate, nothing would be compared.
    n_candidates = int(np.clip(seconds / (n_rounds * for_one), 2, n_all))
    progress(f"trying {n_candidates:,} of {n_all:,} candidates")
    rows = np.arange(len(train)), len(train) + np.arange(len(test))
    halving = HalvingRandomSearchCV(
        _LastRows(model),
        {f"model__{name}": values for name, values in grid.items()},
        resource="n_rows",
        n_candidates=n_candidates,
        min_resources=fewest,
        max_resources=len(train),
        factor=_FACTOR,
        cv=[rows],
        scoring=make_anomaly_scorer("event_fscore"),
        refit=False,
        error_score=np.nan,
        random_state=random_state,
    )
    with warnings.catch_warnings():
        # Warnings of candidates without alarms, and of those that cannot be fitted on
        # few rows.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        warnings.simplefilter("ignore", UserWarning)
        halving.fit(pd.concat([train, test]), np.concatenate([np.zeros(len(train)), y]))
    results = pd.DataFrame(halving.cv_results_)
    names = [f"param_model__{name}" for name in grid]
    table = results[["n_resources", "mean_test_score", *names]]
    table.columns = ["rows", "event_fscore", *grid]
    # Candidates fitted on more rows come first, because scores on few rows are less
    # reliable.
    table = table.sort_values(
        ["rows", "event_fscore"], ascending=False, kind="stable", ignore_index=True
    )
    if table["event_fscore"].isna().all():
        raise ValueError(
            "No candidate could be fitted. Change the parameters, or train on more "
            "rows."
        )
    # Python numbers, as a user would write them.
    best = {name: _plain(table[name].iloc[0]) for name in grid}
    return clone(model).set_params(**best), best, table


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def parameters_to_try(detector):
    """Return the values to try, by parameter of the pipeline."""
    if detector in _WINDOWS:
        windows = {f"errors__{k}": v for k, v in _WINDOWS[detector].items()}
    else:
        windows = _OF_STOCK
    return {**windows, "threshold__per": _PER}
