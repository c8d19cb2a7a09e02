# SPDX-License-Identifier: MIT
"""Files that the commands write.

What is written is there as a whole or not at all, also if the command is stopped.
"""

import io
import json
import re

import numpy as np
import pandas as pd

from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._saving._atomic_write import replace_file

__all__ = [
    "make_folder",
    "plain",
    "png",
    "row_label",
    "write_alarms",
    "write_figure",
    "write_file",
    "write_json",
    "write_table",
]

# What a spreadsheet takes for a number, and shows as one.
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


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


def write_table(path, table, *, index_label=None, index=True):
    """Write a frame as CSV.

    Names and other texts are written so that a spreadsheet runs none of them.

    Parameters
    ----------
    path : Path
        The file.
    table : DataFrame
        What it is to hold.
    index_label : str or None, default=None
        Name of the column of the index.
    index : bool, default=True
        Whether to write the index.
    """
    table = table.copy(deep=False)
    table.columns = table.columns.map(_as_cell)
    for position, dtype in enumerate(table.dtypes):
        if not _holds_numbers(dtype):
            table.isetitem(position, table.iloc[:, position].map(_as_cell))
    if not _holds_numbers(table.index.dtype):
        table.index = table.index.map(_as_cell)
    label = _as_cell(index_label or table.index.name)
    text = table.to_csv(index_label=label, index=index)
    return write_file(path, text.encode(errors="backslashreplace"))


def _holds_numbers(dtype):
    """Whether a column holds numbers or times, and no text."""
    return getattr(dtype, "kind", "O") in "biufmM"


def _as_cell(value):
    """A value as it goes into a cell; text so that a spreadsheet shows it.

    A spreadsheet computes what begins like a formula: it may open links or other
    programs. An apostrophe before it makes it text [1]_. Parts between the characters
    that separate cells in some countries are cells of their own there.

    .. [1] https://owasp.org/www-community/attacks/CSV_Injection
    """
    if not isinstance(value, str):
        return value
    value = value.replace("\r", r"\r")  # which pandas does not put in quotes
    text = re.sub(r"[^,;\t\n]+", lambda part: _as_text(part[0]), value)
    return f"'{text}" if text.startswith(("\t", "\n")) else text


def _as_text(part):
    begins = part.lstrip(" ").startswith(tuple("=+-@＝＋－＠"))
    return f"'{part}" if begins and not _NUMBER.fullmatch(part.strip(" ")) else part


def row_label(frame):
    """How the column of times or row numbers is called."""
    return {"index_label": frame.index.name or "row"}


def write_alarms(path, alarms):
    """Alarms as a file, lists of channels as text."""
    table = alarms.copy()
    table["channels"] = ["; ".join(map(str, names)) for names in alarms["channels"]]
    table["shares"] = [
        "; ".join(f"{share:.4f}" for share in shares) for shares in alarms["shares"]
    ]
    return write_table(path, table, index=False)


def write_json(path, result):
    """Write a result as JSON."""
    text = json.dumps(plain(result), indent=2, ensure_ascii=False, allow_nan=False)
    return write_file(path, f"{text}\n".encode(errors="backslashreplace"))


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
