# SPDX-License-Identifier: MIT
"""Models that the commands build and run."""

from typing import NamedTuple

import numpy as np

__all__ = [
    "Detection",
    "build",
    "predictions",
    "reconstructs",
    "run_model",
    "score",
    "settings",
    "with_threshold",
]


class Detection(NamedTuple):
    """What a model says of a series.

    Errors are NaN at breaks; contributions are NaN in rows that were not split.
    """

    errors: np.ndarray  # (n_timestamps,)
    threshold: float
    flagged: np.ndarray  # (n_timestamps,)
    contributions: np.ndarray  # (n_timestamps, n_channels)
    events: object  # a frame, as from `explain`, with errors instead of scores


def build(name, arguments):
    """An unfitted pipeline that ends in a threshold, by the name of its detector."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import LocalOutlierFactor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

    from tsanomaly import (
        HybridDetector,
        LSTMAutoencoderDetector,
        ReconstructionError,
        ReconstructionThreshold,
        ScoreTransformer,
        WindowTransformer,
    )

    scalers = {
        "standard": StandardScaler,
        "minmax": MinMaxScaler,
        "robust": RobustScaler,
    }
    steps = []
    if arguments.scaler != "none":
        steps.append(("scale", scalers[arguments.scaler]()))
    seed = arguments.seed
    if name in ("lstm", "hybrid"):
        network = LSTMAutoencoderDetector(random_state=seed)
        network.set_params(**_network_options(arguments))
        errors = network
        if name == "hybrid":
            cascade = HybridDetector(detector=network, random_state=seed)
            errors = ScoreTransformer(cascade, calibrate=None)
    else:
        steps.append(("window", WindowTransformer(arguments.window_size or 10)))
        errors = {
            "iforest": ScoreTransformer(
                IsolationForest(random_state=seed), calibrate=None
            ),
            "lof": ScoreTransformer(LocalOutlierFactor(novelty=True), calibrate=None),
            "pca": ReconstructionError(PCA(0.9, random_state=seed)),
        }[name]
    options = {
        key: value
        for key in ("quantile", "k")
        if (value := getattr(arguments, key)) is not None
    }
    threshold = ReconstructionThreshold(arguments.threshold_method, **options)
    return Pipeline([*steps, ("errors", errors), ("threshold", threshold)])


def _network_options(arguments):
    options = {
        name: value
        for name in ("window_size", "epochs", "batch_size")
        if (value := getattr(arguments, name)) is not None
    }
    if arguments.units is not None:
        options["units"] = tuple(arguments.units)
    if arguments.latent_dim is not None:
        options["latent_dim"] = arguments.latent_dim or None
    return options


def settings(model):
    """What a model is made of: the parameters of each step, in words."""
    from sklearn.pipeline import Pipeline

    steps = model.steps if isinstance(model, Pipeline) else [("detector", model)]
    return {
        name: " ".join(repr(step).split())  # on one line
        for name, step in steps
    }


def reconstructs(model):
    """Whether a model's errors are differences between readings and others."""
    from tsanomaly import LSTMAutoencoderDetector, ReconstructionError
    from tsanomaly._inspection import fitted_steps

    kinds = (LSTMAutoencoderDetector, ReconstructionError)
    return any(isinstance(step, kinds) for step in fitted_steps(model))


def with_threshold(model, arguments):
    """The model with the threshold that was asked for, set on its training errors."""
    from sklearn.pipeline import Pipeline

    from tsanomaly import ReconstructionThreshold

    if arguments.quantile is None and arguments.k is None:
        return model
    last = model[-1] if isinstance(model, Pipeline) else model
    if not isinstance(last, ReconstructionThreshold):
        raise ValueError(
            f"{arguments.model} keeps no errors of its training rows to set another "
            "threshold on, since it does not end in a ReconstructionThreshold. Pass "
            "--threshold, or train the model with this command."
        )
    last = last.with_threshold(quantile=arguments.quantile, k=arguments.k)
    if not isinstance(model, Pipeline):
        return last
    return Pipeline([*model.steps[:-1], (model.steps[-1][0], last)])


def score(model, frame, arguments):
    """Errors, the threshold, and what lies above it."""
    from tsanomaly._inspection import errors_and_threshold
    from tsanomaly._validation import find_breaks

    errors, threshold = errors_and_threshold(model, frame)
    errors[find_breaks(frame)] = np.nan
    if arguments.threshold is not None:
        threshold = arguments.threshold
    return errors, threshold, errors > threshold


def run_model(model, frame, arguments, progress):
    """The model with its threshold, and what it says of readings."""
    from tsanomaly import explain
    from tsanomaly._attribution import channel_errors, occlude

    model = with_threshold(model, arguments)
    progress(f"scoring {len(frame):,} rows")
    errors, threshold, flagged = score(model, frame, arguments)
    progress(f"explaining {flagged.sum():,} rows")
    # Where channels are found by trying, only for the rows that matter.
    split = np.isfinite(errors) if reconstructs(model) else flagged
    rows = np.flatnonzero(split)
    contributions = np.full(frame.shape, np.nan)
    if len(rows):
        parts = channel_errors(model, frame, rows, ~flagged)
        if parts is None:
            rows = np.flatnonzero(flagged)
            parts = occlude(model, frame, rows, ~flagged)
        contributions[rows] = parts
    events = explain(
        model,
        frame,
        flagged=flagged,
        attribution=lambda detector, X, rows: np.nan_to_num(contributions[rows]),
        n_channels=arguments.channels,
        max_gap=arguments.max_gap,
    )
    events["score"] = -events["score"]  # higher = worse, as in the other files
    return model, Detection(errors, threshold, flagged, contributions, events)


def predictions(frame, found):
    """Score, flag and top channel of each row."""
    import pandas as pd

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
