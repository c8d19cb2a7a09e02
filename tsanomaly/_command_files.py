# SPDX-License-Identifier: MIT
"""Files that the commands read and write.

What is written is there as a whole or not at all, also if the command is stopped.
"""

import io
import json

import numpy as np

from tsanomaly._atomic_write import replace_file

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


def read(arguments, progress, columns=None):
    """Readings, and labels if there are any."""
    from tsanomaly.datasets import read_sensor_csv

    progress(f"reading {arguments.csv}")
    options = {
        name: value
        for name in ("drop", "sep", "decimal", "date_format")
        if (value := getattr(arguments, name)) is not None
    }
    for name in ("timestamp", "label"):
        value = getattr(arguments, name)
        if value is not None:
            options[name] = None if value == "none" else value
    frame, labels = read_sensor_csv(arguments.csv, return_labels=True, **options)
    columns = getattr(arguments, "columns", columns)
    if columns is not None:
        missing = [name for name in columns if name not in frame]
        if missing:
            raise ValueError(
                f"{arguments.csv} has no sensor {', '.join(map(repr, missing))}. It "
                f"has {', '.join(map(repr, frame.columns))}."
            )
        frame = frame[list(columns)]
    return frame, labels.iloc[:, 0].to_numpy() if labels.shape[1] else None


def read_both(arguments, progress):
    """The model, and the readings of its channels."""
    from tsanomaly import load

    progress(f"loading {arguments.model}")
    try:
        model = load(arguments.model)
    except TypeError as error:  # types that are not known
        raise ValueError(str(error)) from error
    names = getattr(model, "feature_names_in_", None)
    frame, labels = read(arguments, progress, names)
    return model, frame, labels


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
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    return arguments.output_dir


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
