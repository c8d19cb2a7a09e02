# SPDX-License-Identifier: MIT
"""Models that the commands build and run."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from tsanomaly._alarm_filter import has_drifted, median_error_of
from tsanomaly._inspection import (
    errors_and_threshold,
    fitted_steps,
    reconstructs,
    score_method,
)
from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._validation import find_breaks
from tsanomaly._windows import TrailingWindows

__all__ = [
    "Detection",
    "build",
    "default_alarms",
    "expected_at",
    "predictions",
    "raise_alarms",
    "rows_in_alarm",
    "run_model",
    "score",
    "settings",
    "with_threshold",
]


class Detection(NamedTuple):
    """Result of a model for a series.

    Errors are NaN at breaks. Contributions are NaN in rows without errors per channel.
    """

    errors: np.ndarray  # (n_timestamps,)
    threshold: float
    flagged: np.ndarray  # (n_timestamps,)
    contributions: np.ndarray  # (n_timestamps, n_channels)
    alarms: object  # as returned by `explain`, with errors instead of scores
    alarm_rows: object  # numbers of the rows of the alarms, as from `raise_alarms`
    in_alarm: np.ndarray  # (n_timestamps,), whether rows belong to an alarm
    drifted: bool = False  # whether the last rows no longer look like training rows
    expected: object = None  # (n_timestamps, n_channels), or None if not computed


def build(
    detector,
    *,
    network_params,
    threshold_params,
    window_size,
    missing,
    scaler,
    random_state,
):
    """Return an unfitted pipeline that ends in a threshold.

    Parameters
    ----------
    detector : {'lstm', 'ensemble', 'hybrid', 'linear', 'autoregression', \
            'neighbors', 'iforest', 'lof', 'pca'}
        Name of the detector.
    network_params : dict
        Keywords for `LSTMAutoencoderDetector`, and `batch_size`.
    threshold_params : dict
        Keywords for `ReconstructionThreshold`.
    window_size : int, tuple of int or None
        Rows in a window; None uses the default of the detector. Networks and linear
        autoencoders accept a tuple, as in `LSTMAutoencoderDetector` and
        `LinearAutoencoderDetector`.
    missing : {'ignore', 'anomaly'}
        As in the detectors of this library.
    scaler : {'standard', 'minmax', 'robust', 'none'}
        How channels are scaled.
    random_state : int
        Random seed.

    Returns
    -------
    model : Pipeline
        With the steps "errors" and "threshold" at its end.
    """
    from sklearn.decomposition import PCA
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import LocalOutlierFactor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

    from tsanomaly import (
        AutoregressiveDetector,
        HybridDetector,
        LinearAutoencoderDetector,
        LSTMAutoencoderDetector,
        ReconstructionError,
        ReconstructionThreshold,
        ScoreTransformer,
        Training,
        WindowNeighborsDetector,
        WindowTransformer,
        make_ensemble,
    )

    scalers = {
        "standard": StandardScaler,
        "minmax": MinMaxScaler,
        "robust": RobustScaler,
    }
    steps = []
    if scaler != "none":
        steps.append(("scale", scalers[scaler]()))
    windows = {} if window_size is None else {"window_size": window_size}
    shared = {"random_state": random_state, "missing": missing}
    if detector in ("lstm", "ensemble", "hybrid"):
        params = dict(network_params)
        if "batch_size" in params:
            params["training"] = Training(batch_size=params.pop("batch_size"))
        errors = network = LSTMAutoencoderDetector(**shared, **windows, **params)
        if detector == "hybrid":
            cascade = HybridDetector(detector=network, random_state=random_state)
            errors = ScoreTransformer(cascade, calibrate=None)
        elif detector == "ensemble":
            errors = make_ensemble(network, random_state=random_state)
            errors.set_params(
                autoregression__missing=missing, neighbors__missing=missing
            )
    elif detector == "linear":
        errors = LinearAutoencoderDetector(**shared, **windows)
    elif detector == "autoregression":
        errors = AutoregressiveDetector(**shared, **windows)
    elif detector == "neighbors":
        errors = WindowNeighborsDetector(**shared, **windows)
    else:
        steps.append(("window", WindowTransformer(**windows)))
        errors = {
            "iforest": ScoreTransformer(
                IsolationForest(random_state=random_state), calibrate=None
            ),
            "lof": ScoreTransformer(LocalOutlierFactor(novelty=True), calibrate=None),
            "pca": ReconstructionError(PCA(0.9, random_state=random_state)),
        }[detector]
    threshold = ReconstructionThreshold(**threshold_params)
    return Pipeline([*steps, ("errors", errors), ("threshold", threshold)])


def settings(model):
    """Describe the steps of a model and their parameters."""
    from sklearn.pipeline import Pipeline

    steps = model.steps if isinstance(model, Pipeline) else [("detector", model)]
    return {
        name: " ".join(repr(step).split())  # on one line
        for name, step in steps
    }


def with_threshold(model, path, *, quantile, k):
    """Return a model with another threshold, set on its training errors.

    Parameters
    ----------
    model : fitted estimator
        The model.
    path : Path
        Its file, for error messages.
    quantile, k : float or None
        Sets the threshold; if both are None, it stays the same.

    Returns
    -------
    model : fitted estimator
        The given model is not changed.
    """
    from sklearn.pipeline import Pipeline

    if quantile is None and k is None:
        return model
    last = model[-1] if isinstance(model, Pipeline) else model
    if not hasattr(last, "with_threshold"):
        raise ParameterError(
            f"{path} stores no training errors to compute another threshold from, "
            "because it does not end in a ReconstructionThreshold. Pass ",
            Parameter("threshold"),
            ", or train the model with tsanomaly train.",
        )
    last = last.with_threshold(quantile=quantile, k=k)
    if not isinstance(model, Pipeline):
        return last
    return Pipeline([*model.steps[:-1], (model.steps[-1][0], last)])


def score(model, frame, threshold, errors=None):
    """Return errors, the threshold (None: that of the model) and flags.

    Errors of rows whose windows a step before the detector padded are limited to the
    threshold. Detectors of this library judge such rows by the row alone. Pass errors
    that are known, as from `score_channels`; they are changed in place.
    """
    errors, own = errors_and_threshold(model, frame, errors)
    errors[find_breaks(frame)] = np.nan
    threshold = own if threshold is None else threshold
    padded = _padded_rows(model, frame)
    errors[padded] = np.minimum(errors[padded], threshold)
    lost = np.isnan(errors) & frame.notna().all(axis=1).to_numpy()
    if lost.any() or np.isnan(threshold):
        raise ValueError(
            f"The model returns no score for {lost.sum():,} of {len(frame):,} complete "
            f"rows, and its threshold is {threshold:g}: its parameters contain NaN. "
            "Train it again, or use another copy of its file."
        )
    return errors, threshold, errors > threshold


def _padded_rows(model, frame):
    """Find rows whose windows or features were padded by a step before the detector."""
    n_context = sum(
        getattr(step, "n_context_", 0)
        for step in fitted_steps(model)
        if score_method(step) is None and not hasattr(step, "detector_")
    )
    breaks = find_breaks(frame)
    return ~breaks & ~TrailingWindows(breaks, n_context + 1, breaks).whole


def run_model(
    model,
    frame,
    *,
    threshold,
    alarm_params,
    n_channels,
    progress,
    expect_all=False,
):
    """Score readings with a model, and find and explain alarms.

    Parameters
    ----------
    model : fitted estimator
        The model.
    frame : DataFrame of shape (n_timestamps, n_channels)
        The readings.
    threshold : float or None
        Threshold that replaces that of the model.
    alarm_params : dict
        Keywords for `AlarmFilter`.
    n_channels : int
        As in :func:`tsanomaly.explain`.
    progress : callable
        Called with a line of text before each step.
    expect_all : bool, default=False
        Whether to keep what a model that reconstructs expects of all rows, for
        pictures.

    Returns
    -------
    found : Detection
    """
    from tsanomaly._attribution import expected_readings, score_channels
    from tsanomaly._explain import describe_events

    progress(f"scoring {len(frame):,} rows")
    both = score_channels(model, frame)
    if both is None:
        errors, threshold, flagged = score(model, frame, threshold)
        progress(f"explaining {flagged.sum():,} rows")
        contributions = _split(model, frame, errors, flagged)
    else:
        errors, contributions = both
        errors, threshold, flagged = score(model, frame, threshold, errors)
        contributions[np.isnan(errors)] = np.nan
    expected = None
    if expect_all and reconstructs(model):
        progress(f"reconstructing {len(frame):,} rows")
        rows = np.flatnonzero(~find_breaks(frame))
        known = expected_readings(model, frame, rows)
        if known is not None:
            expected = np.full(frame.shape, np.nan)
            expected[rows] = known
    progress("describing alarms")
    explained, events, alarm_rows = raise_alarms(model, errors, threshold, alarm_params)
    alarms = describe_events(
        model,
        frame,
        errors,
        explained,
        events,
        attribution=lambda detector, X, rows: np.nan_to_num(contributions[rows]),
        n_channels=n_channels,
        are_alarms=True,
        expected=expected,
    )
    alarms["score"] = -alarms["score"]  # higher = worse, as in the other files
    median_error = median_error_of(model, errors)
    drifted = median_error is not None and has_drifted(errors, threshold, median_error)
    return Detection(
        errors,
        threshold,
        flagged,
        contributions,
        alarms,
        alarm_rows,
        rows_in_alarm(alarm_rows, len(errors)),
        drifted,
        expected,
    )


def raise_alarms(model, errors, threshold, alarm_params):
    """Find the alarms of a model that has scored a series.

    Parameters
    ----------
    model : fitted estimator
        The model.
    errors : ndarray of shape (n_timestamps,)
        Errors, NaN at breaks.
    threshold : float
        Threshold of the errors.
    alarm_params : dict
        Keywords for `AlarmFilter`.

    Returns
    -------
    explained : ndarray of bool of shape (n_timestamps,)
        Rows of alarms that are above the threshold.
    events : list of dict
        As from `find_alarms`.
    alarm_rows : DataFrame
        Numbers of the rows in which each alarm starts, is raised and ends.
    """
    from tsanomaly import AlarmFilter
    from tsanomaly._explain import find_alarms

    alarm_filter = AlarmFilter(**alarm_params)
    explained, events = find_alarms(model, errors, threshold, alarm_filter)
    columns = ["start", "raised", "end"]
    return explained, events, pd.DataFrame(events, columns=columns, dtype=np.intp)


def _split(model, frame, errors, flagged):
    """Return errors by channel of a model that does not return them with the scores."""
    from tsanomaly._attribution import channel_errors, occlude

    # Unless the model reconstructs, attribution may be slow: only for flagged rows.
    rows = np.flatnonzero(np.isfinite(errors) if reconstructs(model) else flagged)
    contributions = np.full(frame.shape, np.nan)
    if len(rows):
        parts = channel_errors(model, frame, rows, ~flagged)
        if parts is None:
            rows = np.flatnonzero(flagged)
            parts = occlude(model, frame, rows, ~flagged)
        contributions[rows] = parts
    return contributions


def expected_at(model, frame, found, rows):
    """Return the expected readings of some rows, or None; see `expected_readings`."""
    from tsanomaly._attribution import expected_readings

    if found.expected is not None:
        return found.expected[rows]
    return expected_readings(model, frame, rows)


def default_alarms(model, frame):
    """Find the alarms of a model, with an `AlarmFilter` with default parameters."""
    from tsanomaly import AlarmFilter

    errors, threshold, _ = score(model, frame, None)
    return AlarmFilter().alarms(
        errors, threshold=threshold, median_error=median_error_of(model, errors)
    )


def rows_in_alarm(alarms, n_rows):
    """Return a mask of the rows of alarms, from their starts to their ends.

    Parameters
    ----------
    alarms : DataFrame
        As from `AlarmFilter.alarms` for an array.
    n_rows : int
        Number of rows in the series.
    """
    is_on = np.zeros(n_rows, dtype=bool)
    for start, end in zip(alarms["start"], alarms["end"], strict=True):
        is_on[start : end + 1] = True
    return is_on


def predictions(frame, found):
    """Return score, flag and top channel of each row."""
    shares = np.nan_to_num(found.contributions)
    names = np.append(frame.columns.to_numpy(dtype=object), "")
    top = np.where(shares.max(axis=1) > 0, shares.argmax(axis=1), -1)
    return pd.DataFrame(
        {
            "score": found.errors,
            "flag": found.flagged.astype(int),
            "top_channel": names[top],
        },
        index=frame.index,
    )
