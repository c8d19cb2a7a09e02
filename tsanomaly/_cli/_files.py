# SPDX-License-Identifier: MIT
"""Files that the commands read and write.

What is written is there as a whole or not at all, also if the command is stopped.
"""

import io
import json
import warnings
from pathlib import Path

import numpy as np

from tsanomaly._inspection import takes_missing
from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._saving._atomic_write import replace_file

__all__ = [
    "make_folder",
    "needed",
    "plain",
    "png",
    "read",
    "read_both",
    "row_label",
    "write_events",
    "write_figure",
    "write_file",
    "write_json",
    "write_table",
]


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
    from tsanomaly import load

    _check_file(model, "model", "model.skops")
    progress(f"loading {model}")
    try:
        detector = load(model)
    except TypeError as error:
        # The command has no option for that: who trusts a type runs code of its own.
        known = str(error).split(". If you")[0]
        raise ValueError(
            f"{known}. The command takes models of the types that the library knows; "
            "use tsanomaly.load with trusted=[...] in Python for others."
        ) from error
    frame, labels = read(
        csv,
        read_params,
        columns=getattr(detector, "feature_names_in_", None),
        model=model,
        fill=fill,
        must_be_complete=not takes_missing(detector),
        progress=progress,
    )
    return detector, frame, labels


def needed(labels):
    """Labels, or an error that says how to name them."""
    if labels is None:
        raise ParameterError(
            "The file has no labels. Name their column with ",
            Parameter("label"),
            "; they are 1 for an anomaly and 0 for a normal row.",
        )
    return labels


def make_folder(output_dir):
    """The folder for the results."""
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ParameterError(
            f"The results cannot go to {output_dir}: it, or what it lies in, is a "
            "file. Pass a folder to ",
            Parameter("output_dir"),
            ".",
        ) from error
    return output_dir


def write_file(path, data):
    """Write bytes as a file."""
    replace_file(path, data)
    return path


def write_table(path, table, **options):
    """Write a frame as CSV."""
    return write_file(path, table.to_csv(**options).encode())


def row_label(frame):
    """How the column of times or row numbers is called."""
    return {"index_label": frame.index.name or "row"}


def write_events(path, events):
    """Events as a file, lists of channels as text."""
    table = events.copy()
    table["channels"] = ["; ".join(map(str, names)) for names in events["channels"]]
    table["shares"] = [
        "; ".join(f"{share:.4f}" for share in shares) for shares in events["shares"]
    ]
    return write_table(path, table, index=False)


def write_json(path, result):
    """Write a result as JSON."""
    text = json.dumps(plain(result), indent=2, ensure_ascii=False, allow_nan=False)
    return write_file(path, f"{text}\n".encode())


def write_figure(path, figure):
    """Write a figure as PNG."""
    return write_file(path, png(figure))


def png(figure, dpi=110):
    """A figure as the bytes of a PNG file; it is closed."""
    import matplotlib.pyplot as plt

    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi)
    plt.close(figure)
    return data.getvalue()


def plain(value):
    """What JSON can hold: no types of numpy and pandas, and null for NaN."""
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT:
        return None
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, (bool, int, str)) else str(value)
