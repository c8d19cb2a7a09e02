# SPDX-License-Identifier: MIT
"""Files that the commands read, each of them once, so that a pipe will do as well."""

import warnings
from pathlib import Path

from tsanomaly._inspection import check_detector, takes_missing
from tsanomaly._parameter_error import Parameter, ParameterError

__all__ = ["needed", "read", "read_both", "read_described"]

# Columns that a message names, at most.
_MOST_LISTED = 20


def read(
    csv,
    read_params,
    *,
    columns=None,
    model=None,
    fill=False,
    must_be_complete=False,
    progress,
):
    """Return readings, and labels if there are any.

    Parameters
    ----------
    csv : Path
        The file.
    read_params : dict
        Keywords for :func:`tsanomaly.datasets.read_sensor_csv`.
    columns : sequence of str or None, default=None
        The channels to return, in this order; None returns all.
    model : Path or None, default=None
        The file of the model whose channels these are, for the message of an error.
    fill : bool, default=False
        Whether to forward-fill missing readings.
    must_be_complete : bool, default=False
        Whether missing readings are errors, unless they are filled. Rows without any
        reading stay: they are breaks.
    progress : callable
        Called with a line of text.

    Returns
    -------
    frame : DataFrame of shape (n_timestamps, n_channels)
        The readings.
    labels : ndarray of shape (n_timestamps,) or None
        1 = anomaly.
    """
    from tsanomaly.datasets import read_sensor_csv

    _check_file(csv, "readings", "plant.csv")
    progress(f"reading {csv}")
    frame, labels = read_sensor_csv(csv, return_labels=True, **read_params)
    if columns is not None:
        frame = _choose(frame, columns, csv, model)
    if fill or must_be_complete:
        frame = _complete(frame, fill, csv, model)
    if not labels.shape[1]:
        return frame, None
    labels = labels.iloc[:, 0].to_numpy()
    if labels.mean() > 0.5:
        warnings.warn(
            f"{labels.mean():.0%} of the rows of {csv} are labelled anomalous. Labels "
            "are 1 for an anomaly and 0 for a normal row: swap them if they are the "
            "other way round.",
            stacklevel=2,
        )
    return frame, labels


def _check_file(path, what, example):
    """Raise unless there is a file to read."""
    if path.is_dir():
        raise IsADirectoryError(
            f"{path} is a folder. Pass the file of the {what}, for example "
            f"{path / example}."
        )
    if not path.exists():
        raise FileNotFoundError(
            f"There is no file {path}. Pass the path of the file of the {what}, from "
            f"here, {Path.cwd()}, or as a whole."
        )


def _choose(frame, columns, csv, model):
    """The channels that were asked for, or that a model was trained on."""
    unknown = [name for name in columns if name not in frame]
    if unknown:
        parts = ["Choose among these with ", Parameter("columns"), "."]
        if model is not None:
            parts = [
                f"{model} was trained on {_listed(columns)}: rename the columns, or "
                "train a model on these."
            ]
        raise ParameterError(
            f"{csv} has no channel {_listed(unknown)}. It has "
            f"{_listed(frame.columns)}. ",
            *parts,
        )
    return frame[list(dict.fromkeys(columns))]


def _listed(names):
    return ", ".join(map(repr, names))


def _complete(frame, fill, csv, model):
    """Readings without gaps in single channels; empty rows stay, as breaks."""
    missing = frame.isna()
    partly = missing.any(axis=1) & ~missing.all(axis=1)
    if not partly.any():
        return frame
    if fill:
        known = ~missing.all(axis=1).to_numpy()  # times may be there twice
        filled = frame.copy()
        filled.loc[known] = frame[known].ffill().bfill().to_numpy()
        return filled
    counts = missing[partly].sum()
    counts = counts[counts > 0]
    channels = ", ".join(f"{name!r} ({count:,})" for name, count in counts.items())
    first = partly.to_numpy().argmax()
    cure = ["Pass ", Parameter("fill"), " to forward-fill them"]
    if model is None:
        cure += [", or leave the channel out with ", Parameter("drop")]
    raise ParameterError(
        f"{csv} lacks readings in {partly.sum():,} of {len(frame):,} rows: of "
        f"{channels}. The first is row {first + 1:,} below the header, at "
        f"{frame.index[first]}. The detector needs a reading of every channel in a "
        "row, or of none, where the plant stood still. ",
        *cure,
        ".",
    )


def read_both(model, csv, read_params, *, fill, progress):
    """Return a model, and the readings of its channels.

    Parameters
    ----------
    model : Path
        The file of the model.
    csv, read_params, fill, progress
        As of `read`.

    Returns
    -------
    detector : fitted estimator
        The model.
    frame, labels
        As of `read`.
    """
    detector, _ = _load(model, progress)
    return detector, *_read_for(detector, model, csv, read_params, fill, progress)


def read_described(model, csv, read_params, *, fill, progress):
    """Return what `read_both` does, and what the file says of the model.

    Parameters
    ----------
    model, csv, read_params, fill, progress
        As of `read_both`.

    Returns
    -------
    detector, frame, labels
        As of `read_both`.
    manifest : dict
        When and by which versions the model was written.
    """
    detector, manifest = _load(model, progress)
    readings = _read_for(detector, model, csv, read_params, fill, progress)
    return detector, *readings, manifest


def _load(model, progress):
    """The detector in a file, and what the file says of it."""
    from tsanomaly._saving import load_described

    _check_file(model, "model", "model.skops")
    progress(f"loading {model}")
    try:
        detector, manifest = load_described(model)
    except TypeError as error:
        # The command has no option for that: who trusts a type runs code of its own.
        known = str(error).split(". If you")[0]
        raise ValueError(
            f"{known}. The command takes models of the types that the library knows; "
            "use tsanomaly.load with trusted=[...] in Python for others."
        ) from error
    try:
        check_detector(detector, "model")
    except ValueError as error:
        text = f"{model} holds no detector for this command: {error}"
        raise ValueError(text) from error
    return detector, manifest


def _read_for(detector, model, csv, read_params, fill, progress):
    """Readings of the channels of a detector, and labels."""
    names = getattr(detector, "feature_names_in_", None)
    frame, labels = read(
        csv,
        read_params,
        columns=names,
        model=model,
        fill=fill,
        must_be_complete=not takes_missing(detector),
        progress=progress,
    )
    if names is None:
        _check_positions(frame, getattr(detector, "n_features_in_", None), csv, model)
    return frame, labels


def _check_positions(frame, n_channels, csv, model):
    """Say which columns stand for which channels, to a model that knows no names."""
    found = _listed(frame.columns[:_MOST_LISTED])
    if frame.shape[1] > _MOST_LISTED:
        found += f" and {frame.shape[1] - _MOST_LISTED:,} more"
    if n_channels not in (None, frame.shape[1]):
        raise ParameterError(
            f"{model} was trained on {n_channels:,} channels without names, and {csv} "
            f"has {frame.shape[1]:,}: {found}. Leave columns out with ",
            Parameter("drop"),
            ", or train a model on a table with names.",
        )
    warnings.warn(
        f"{model} was trained on channels without names, and takes the columns of "
        f"{csv} in their order there: {found}. Compare it with the order in training, "
        "or train a model on a table with names.",
        stacklevel=2,
    )


def needed(labels):
    """Labels, or an error that says how to name them."""
    if labels is None:
        raise ParameterError(
            "The file has no labels. Name their column with ",
            Parameter("label"),
            "; they are 1 for an anomaly and 0 for a normal row.",
        )
    return labels
