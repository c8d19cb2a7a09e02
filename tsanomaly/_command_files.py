# SPDX-License-Identifier: MIT
"""Files that the commands read and write.

What is written is there as a whole or not at all, also if the command is stopped.
"""

import io
import json
import re
import warnings
from pathlib import Path

import numpy as np

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

# Parameters of `read_sensor_csv` that are options, too.
_READING = (
    "timestamp",
    "label",
    "drop",
    "sep",
    "decimal",
    "encoding",
    "date_format",
    "skiprows",
)


def read(arguments, progress, trained_on=None, takes_gaps=None):
    """Readings, and labels if there are any.

    Parameters
    ----------
    arguments : argparse.Namespace
        Of the command.
    progress : callable
        Called with a line of text.
    trained_on : array-like of str or None, default=None
        The channels of a model, which are all that is returned, in this order.
    takes_gaps : bool or None, default=None
        Whether the detector judges missing readings itself. None: whether the network
        is to be trained, which does.

    Returns
    -------
    frame : DataFrame of shape (n_timestamps, n_channels)
        The readings.
    labels : ndarray of shape (n_timestamps,) or None
        1 = anomaly.
    """
    from tsanomaly.datasets import read_sensor_csv

    _check_file(arguments.csv, "readings", "plant.csv")
    progress(f"reading {arguments.csv}")
    try:
        frame, labels = read_sensor_csv(
            arguments.csv, return_labels=True, **_reading_options(arguments)
        )
    except ValueError as error:
        raise ValueError(_as_options(str(error))) from error
    frame = _choose(frame, arguments, trained_on)
    if "fill" in arguments:  # a command that runs a detector
        if takes_gaps is None:
            takes_gaps = getattr(arguments, "detector", None) == "lstm"
        frame = _complete(frame, arguments, takes_gaps)
    if not labels.shape[1]:
        return frame, None
    labels = labels.iloc[:, 0].to_numpy()
    if labels.mean() > 0.5:
        warnings.warn(
            f"{labels.mean():.0%} of the rows of {arguments.csv} are labelled "
            "anomalous. Labels are 1 for an anomaly and 0 for a normal row: swap them "
            "if they are the other way round.",
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


def _reading_options(arguments):
    """Parameters of `read_sensor_csv` that were given as options."""
    options = {
        name: value
        for name in _READING
        if (value := getattr(arguments, name)) is not None
    }
    for name in ("timestamp", "label"):
        if options.get(name) in ("none", ["none"]):
            options[name] = None
    times = options.get("timestamp")
    if times is not None:  # two are a date and a time of day
        options["timestamp"] = times[0] if len(times) == 1 else tuple(times)
    return options


def _as_options(message):
    """A message of `read_sensor_csv`, its parameters named as options."""
    message = re.sub(
        r"timestamp=\('(\w+)', '(\w+)'\)", r"--timestamp \1 --timestamp \2", message
    )
    names = "|".join(_READING)
    message = re.sub(rf"\b({names})=None\b", r"--\1 none", message)
    message = re.sub(rf"\b({names})=(?=['\"(\d])", r"--\1 ", message)
    message = re.sub(rf"\b({names})=", r"--\1", message)
    return message.replace("--date_format", "--date-format")


def _choose(frame, arguments, trained_on):
    """The channels that were asked for, or that a model was trained on."""
    wanted = (
        trained_on if trained_on is not None else getattr(arguments, "columns", None)
    )
    if wanted is None:
        return frame
    missing = [name for name in wanted if name not in frame]
    if missing:
        cure = "Choose among these with --columns."
        if trained_on is not None:
            cure = (
                f"{arguments.model} was trained on {_listed(trained_on)}: rename the "
                "columns, or train a model on these."
            )
        raise ValueError(
            f"{arguments.csv} has no sensor {_listed(missing)}. It has "
            f"{_listed(frame.columns)}. {cure}"
        )
    return frame[list(dict.fromkeys(wanted))]


def _listed(names):
    return ", ".join(map(repr, names))


def _complete(frame, arguments, takes_gaps):
    """Readings without gaps in single channels; empty rows stay, as breaks."""
    missing = frame.isna()
    partly = missing.any(axis=1) & ~missing.all(axis=1)
    if not partly.any():
        return frame
    if arguments.fill:
        known = ~missing.all(axis=1).to_numpy()  # times may be there twice
        filled = frame.copy()
        filled.loc[known] = frame[known].ffill().bfill().to_numpy()
        return filled
    if takes_gaps:
        return frame
    counts = missing[partly].sum()
    counts = counts[counts > 0]
    channels = ", ".join(f"{name!r} ({count:,})" for name, count in counts.items())
    first = partly.to_numpy().argmax()
    cure = "Pass --fill to go on with the last reading of a sensor"
    if "model" not in arguments:
        cure += ", or leave the sensor out with --drop"
    raise ValueError(
        f"{arguments.csv} lacks readings in {partly.sum():,} of {len(frame):,} rows: "
        f"of {channels}. The first is row {first + 1:,} below the header, at "
        f"{frame.index[first]}. A row needs a reading of every sensor, or of none, "
        f"where the plant stood still. {cure}."
    )


def read_both(arguments, progress):
    """The model, and the readings of its channels."""
    from tsanomaly import load

    _check_file(arguments.model, "model", "model.skops")
    progress(f"loading {arguments.model}")
    try:
        model = load(arguments.model)
    except TypeError as error:
        # The command has no option for that: who trusts a type runs code of its own.
        known = str(error).split(". If you")[0]
        raise ValueError(
            f"{known}. The command takes models of the types that the library knows; "
            "use tsanomaly.load with trusted=[...] in Python for others."
        ) from error
    names = getattr(model, "feature_names_in_", None)
    frame, labels = read(arguments, progress, names, _takes_gaps(model))
    return model, frame, labels


def _takes_gaps(model):
    """Whether a missing reading reaches a network, which judges it."""
    from sklearn.utils import get_tags

    from tsanomaly import LSTMAutoencoderDetector
    from tsanomaly._inspection import fitted_steps

    steps = fitted_steps(model)
    return any(isinstance(step, LSTMAutoencoderDetector) for step in steps) and all(
        get_tags(step).input_tags.allow_nan for step in steps
    )


def needed(labels):
    """Labels, or an error that says how to name them."""
    if labels is None:
        raise ValueError(
            "The file has no labels. Name their column with --label; they are 1 for an "
            "anomaly and 0 for a normal row."
        )
    return labels


def make_folder(arguments):
    """The folder for the results."""
    folder = arguments.output_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(
            f"The results cannot go to {folder}: it, or what it lies in, is a file. "
            "Pass a folder to --output-dir."
        ) from error
    return folder


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
