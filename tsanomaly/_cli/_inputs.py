# SPDX-License-Identifier: MIT
"""Read models and readings. Each file is read only once, so that pipes work."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tsanomaly._cli._checks import check_machines
from tsanomaly._cli._parser import typed
from tsanomaly._cli._preparation import (
    as_in_training,
    row_step,
    warn_of_other_step,
)
from tsanomaly._cli._prepare import prepare
from tsanomaly._inspection import (
    check_detector,
    one_model_per_group,
    takes_missing,
)
from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._wording import count

__all__ = ["Readings", "check_order", "load_model", "needed", "read", "read_both"]

# Maximum number of columns that a message names.
_MOST_LISTED = 20


class Readings(NamedTuple):
    """Readings of a file, and their prepared form for a detector.

    Attributes
    ----------
    raw : DataFrame of shape (n_rows, n_channels)
        The channels as in the file, with the column of machines if there is one.
    frame : DataFrame of shape (n_timestamps, n_channels)
        The prepared readings: on a grid, with breaks, and filled in, as requested.
    labels : ndarray of shape (n_timestamps,) or None
        1 = anomaly.
    rows : ndarray of int
        Positions in `frame` of the rows that results are written for: all except
        inserted breaks.
    notes : tuple of str
        What was done to the readings, for the user.
    path : str
        The file, or the first file and the number of others.
    """

    raw: pd.DataFrame
    frame: pd.DataFrame
    labels: np.ndarray | None
    rows: np.ndarray
    notes: tuple
    path: str

    @property
    def name(self):
        """Name of the file, without its folder."""
        return Path(self.path).name


def read(
    csv,
    read_params,
    row_params=None,
    *,
    columns=None,
    model=None,
    by=None,
    must_be_complete=False,
    progress,
):
    """Return readings, and labels if there are any.

    Parameters
    ----------
    csv : Path, '-' or list of Path
        The file, the standard input, or several files.
    read_params : dict
        Keywords for :func:`tsanomaly.datasets.read_sensor_file`.
    row_params : dict or None, default=None
        Keywords for `prepare`; None leaves the rows unchanged.
    columns : sequence of str or None, default=None
        Channels to return, in this order; None returns all.
    model : Path or None, default=None
        File of the model that has these channels, for error messages.
    by : str or None, default=None
        Column that names the machine of each row.
    must_be_complete : bool, default=False
        Whether missing readings are errors unless they are filled in. Rows without any
        reading are breaks, and are kept.
    progress : callable
        Called with a line of text.

    Returns
    -------
    readings : Readings
    """
    from tsanomaly.datasets import read_sensor_file

    name = _check_files(csv, progress)
    frame, labels = read_sensor_file(csv, return_labels=True, by=by, **read_params)
    if by is not None and model is None:  # a model knows its column
        check_machines(frame[by], by)
    frame = _without_infinite(frame, by, name)
    if columns is not None:
        wanted = columns if by is None else [*columns, by]
        frame = _choose(frame, wanted, name, model)
    notes = _about_labels(labels, name)
    labels = labels.iloc[:, 0].to_numpy() if labels.shape[1] else None
    readings = Readings(frame, frame, labels, np.arange(len(frame)), notes, name)
    if row_params is not None:
        readings = _prepared(readings, row_params, by)
    if must_be_complete:
        is_filled = (row_params or {}).get("fill") is not None
        _check_complete(readings.frame, by, name, model, is_filled)
    return readings


def _without_infinite(frame, by, csv):
    """Replace infinite readings, such as results of a division by zero, with NaN."""
    channels = frame.columns if by is None else frame.columns.drop(by)
    counts = np.isinf(frame[channels]).sum()
    counts = counts[counts > 0]
    if counts.empty:
        return frame
    listed = ", ".join(f"{name!r} ({number:,})" for name, number in counts.items())
    warnings.warn(
        f"{csv} contains infinite readings, which are treated as missing: {listed}.",
        stacklevel=3,
    )
    attrs, frame = frame.attrs, frame.copy()
    for name in counts.index:
        frame[name] = frame[name].where(np.isfinite(frame[name]))
    frame.attrs = attrs
    return frame


def _about_labels(labels, csv):
    """Describe the label columns; warn if labels seem to be swapped."""
    if not labels.shape[1]:
        return ()
    label, *others = labels.columns
    labels = labels[label].to_numpy()
    share = labels.mean()
    if share > 0.5:
        warnings.warn(
            f"{share:.0%} of the rows of {csv} are labelled anomalous. Labels "
            "are 1 for an anomaly and 0 for a normal row: swap them if they are "
            "reversed.",
            stacklevel=3,
        )
    anomalous = count(int(labels.sum()), "anomalous row")
    notes = [f"column {label!r} is used as labels ({anomalous}), not as a channel"]
    if others:
        listed = ", ".join(map(repr, others))
        notes.append(f"further label columns, which are not used: {listed}")
    return tuple(notes)


def _prepared(readings, row_params, by):
    """Prepare the readings of one machine, or of each machine."""
    frame = readings.raw
    if by is None:
        frame, labels, rows, notes = prepare(frame, readings.labels, **row_params)
    else:
        frame, labels, rows, notes = _prepared_fleet(readings, row_params, by)
    notes = (*readings.notes, *notes)
    return readings._replace(frame=frame, labels=labels, rows=rows, notes=notes)


def _prepared_fleet(readings, row_params, by):
    """Prepare the rows of each machine, and concatenate them."""
    parts, start = [], 0
    for machine, places in readings.raw.groupby(by, sort=False).indices.items():
        labels = None if readings.labels is None else readings.labels[places]
        part = readings.raw.iloc[places].drop(columns=by)
        part = prepare(part, labels, **row_params)
        frame = part.frame.assign(**{by: machine})
        notes = [f"{by} {machine}: {note}" for note in part.notes]
        parts.append((frame, part.labels, part.rows + start, notes))
        start += len(frame)
    frames, labels, rows, notes = zip(*parts, strict=True)
    labels = None if readings.labels is None else np.concatenate(labels)
    notes = [note for part in notes for note in part]
    return pd.concat(frames), labels, np.concatenate(rows), notes


def _check_files(csv, progress):
    """Raise if a file is missing; return the name of the input."""
    paths = csv if isinstance(csv, list) else [csv]
    for path in paths:
        if path != "-" and not path.exists():
            raise _no_file(path, "readings")
    name = "standard input" if paths[0] == "-" else str(paths[0])
    if len(paths) > 1:
        name += f" and {len(paths) - 1:,} more"
    progress(f"reading {name}")
    return name


def _check_model(path):
    """Raise unless the model file exists."""
    if path.is_dir():
        raise IsADirectoryError(
            f"{path} is a folder. Pass a model file, for example "
            f"{path / 'model.skops'}."
        )
    if not path.exists():
        raise _no_file(path, "model")


def check_order(model, csv):
    """Raise if a model file was passed as readings, and another file as the model."""
    paths = csv if isinstance(csv, list) else [csv]
    swapped = [path for path in paths if path != "-" and _is_model(path)]
    if swapped and model.is_file() and not _is_model(model):
        raise ValueError(
            f"The arguments seem to be swapped: {swapped[0]} is a model, and {model} "
            "is not. Pass the model first, then the readings."
        )


def _is_model(path):
    """Whether a path is that of a model file. Pipes are not read."""
    from tsanomaly import describe

    try:
        return path.is_file() and bool(describe(path))
    except (ValueError, OSError):
        return False


def _no_file(path, what):
    return FileNotFoundError(
        f"There is no file {path}. Pass the path of the {what}, either absolute or "
        f"relative to {Path.cwd()}."
    )


def _choose(frame, columns, csv, model):
    """Select the requested channels, or those of the model."""
    unknown = [name for name in columns if name not in frame]
    if unknown:
        parts = ["Select channels with ", Parameter("columns"), "."]
        if model is not None:
            parts = [
                f"{model} was trained on {_listed(columns)}: rename the columns, or "
                "train a model on this file."
            ]
        raise ParameterError(
            f"{csv} has no channel {_listed(unknown)}. It has "
            f"{_listed(frame.columns)}. {_other_case(unknown, frame.columns, model)}",
            *parts,
        )
    return frame[list(dict.fromkeys(columns))]


def _other_case(unknown, columns, model):
    """Name columns that differ from unknown channels in upper and lower case only."""
    from tsanomaly.datasets._reading._names import same_but_for_case

    near = {name: same_but_for_case(name, columns) for name in unknown}
    near = {name: own for name, own in near.items() if own}
    if not near:
        return ""
    if model is None:
        shown = ", ".join(" or ".join(map(repr, own)) for own in near.values())
        return f"Upper and lower case matter: use {shown}. "
    pairs = ", ".join(
        f"{' or '.join(map(repr, own))} was {trained!r}"
        for trained, own in near.items()
    )
    return f"Upper and lower case matter: {pairs} in training. "


def _listed(names):
    return ", ".join(map(repr, names))


def _check_complete(frame, by, csv, model, is_filled):
    """Raise if single readings are missing; empty rows are breaks."""
    channels = frame if by is None else frame.drop(columns=by)
    missing = channels.isna()
    partly = missing.any(axis=1) & ~missing.all(axis=1)
    if not partly.any():
        return
    counts = missing[partly].sum()
    counts = counts[counts > 0]
    listed = ", ".join(f"{name!r} ({number:,})" for name, number in counts.items())
    cure = ["Fill them in with ", Parameter("fill", "previous")]
    if is_filled:  # a sensor without any reading between two gaps
        cure = ["Put the sensors on one grid with ", Parameter("resample")]
    if model is None:
        cure += [
            ", or leave the channel out with ",
            Parameter("drop"),
            ", or choose another detector than iforest, lof and pca",
        ]
        if dead := channels.columns[missing.all()].tolist():  # nothing to fill in from
            cure = ["Leave out what has no reading with ", Parameter("drop", dead)]
    first = frame.index[partly.to_numpy().argmax()]
    n_rows = (~missing.all(axis=1)).sum()
    raise ParameterError(
        f"{csv} has missing readings in {partly.sum():,} of {n_rows:,} rows: "
        f"{listed}. The first such row is at {first}. The detector needs a reading of "
        "every channel in each row, or of none. ",
        *cure,
        ".",
    )


def read_both(model, csv, read_params, row_params, *, one_machine=False, progress):
    """Return a model, and the readings of its channels.

    Parameters
    ----------
    model : Path
        The file of the model.
    csv, read_params, row_params, progress
        As in `read`; parameters that are not given are those of the training.
    one_machine : bool, default=False
        Whether to reject models of several machines.

    Returns
    -------
    detector : fitted estimator
        The model.
    readings : Readings
        The readings to score.
    manifest : dict
        Time and versions with which the model was written.
    """
    check_order(model, csv)
    detector, manifest = load_model(model, progress)
    is_step_given = "resample" in row_params
    trained_step = manifest.get("row_step")
    if trained_step is not None:
        trained_step = pd.Timedelta(trained_step, "s")
    read_params, row_params, notes = as_in_training(
        manifest.get("preparation"),
        read_params,
        row_params,
        trained_step=trained_step,
        takes_missing=takes_missing(detector),
    )
    names = getattr(detector, "feature_names_in_", None)
    by = None
    if one_model_per_group(detector):
        by = detector.by
        if one_machine:
            leave_out = Parameter("drop", [by])
            raise ParameterError(
                f"{model} has one detector per machine (column {by!r}), and this "
                "command takes one machine. Write the rows of one machine to a file, "
                "train a model on it with ",
                leave_out,
                f" instead of {typed({'by': by})}, and pass both here with ",
                leave_out,
                ". To see the alarms of all machines, use detect or explain.",
            )
    try:
        readings = read(
            csv,
            read_params,
            row_params,
            columns=names,
            model=model,
            by=by,
            must_be_complete=not takes_missing(detector),
            progress=progress,
        )
    except ParameterError as error:
        about_machines = _of_machines(error, model, csv, by)
        if about_machines is None:
            raise
        raise about_machines from error
    if names is None:
        n_channels = getattr(detector, "n_features_in_", None)
        _check_positions(readings.frame, n_channels, csv, model)
    if not is_step_given:  # otherwise, `as_in_training` has compared it
        step = row_step(readings.frame.iloc[readings.rows], by)
        warn_of_other_step(step, trained_step, readings.name)
    return detector, readings._replace(notes=notes + readings.notes), manifest


def _of_machines(error, model, csv, by):
    """Return the error for a mismatch between single machines and fleets, or None."""
    from tsanomaly.datasets._reading._machines import SeveralMachinesError

    def is_by(part):
        return isinstance(part, Parameter) and part.name == "by"

    parts, text = error.args, str(error)
    paths = map(str, csv if isinstance(csv, list) else [csv])
    starts = (f"{path}{mark}" for path in paths for mark in (", ", ": "))
    name = next((start[:-2] for start in starts if text.startswith(start)), "the file")
    if isinstance(error, SeveralMachinesError):
        return ValueError(
            f"{model} was trained on one machine; {name} holds rows of "
            f"{error.n_machines:,} (column {error.column!r}). Split the file by "
            f"machine, or train a fleet with {typed({'by': error.column})}."
        )
    if by is None or not any(map(is_by, parts[1:])):
        return None
    return ParameterError(
        f"{model} was trained on several machines (column {by!r}), and {name} cannot "
        "be read with this column: ",
        # As typed in training.
        *(typed({"by": part.value}) if is_by(part) else part for part in parts[1:]),
    )


def load_model(model, progress):
    """Load a detector and the manifest of its file."""
    from tsanomaly._saving import load_described

    _check_model(model)
    progress(f"loading {model}")
    try:
        detector, manifest = load_described(model)
    except TypeError as error:
        # There is no option to trust types, because trusted types can run code.
        known = str(error).split(". If you")[0]
        raise ValueError(
            f"{known}. The commands accept only models of types that the library "
            "knows. For other types, use tsanomaly.load with trusted=[...] in Python."
        ) from error
    if one_model_per_group(detector):
        return detector, manifest
    try:
        check_detector(detector, "model")
    except ValueError as error:
        text = f"{model} contains no detector for this command: {error}"
        raise ValueError(text) from error
    return detector, manifest


def _check_positions(frame, n_channels, csv, model):
    """Warn how columns are assigned to the channels of a model without names."""
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
        f"{model} was trained on channels without names, and uses the columns of {csv} "
        f"in their order: {found}. Check that this is the order in training, or train "
        "a model on a table with names.",
        stacklevel=2,
    )


def needed(labels):
    """Return labels, or raise an error that says how to name them."""
    if labels is None:
        raise ParameterError(
            "The file has no labels. Name their column with ",
            Parameter("label"),
            "; they are 1 for an anomaly and 0 for a normal row.",
        )
    return labels
