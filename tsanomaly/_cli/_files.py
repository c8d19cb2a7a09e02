# SPDX-License-Identifier: MIT
"""Result files of the commands.

Each file is written completely or not at all, even if the command is stopped.
"""

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._saving._atomic_write import replace_file

__all__ = ["RESULTS", "Results", "in_minutes", "plain", "png", "write_table"]

# Default folder of the results.
RESULTS = Path("tsanomaly-results")

# Texts that a spreadsheet reads as numbers.
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


class Results:
    """The folder for the results of a command, and its files.

    Parameters
    ----------
    folder : Path
        Created if needed.
    bom : bool, default=False
        Whether tables begin with a byte order mark, so that spreadsheets recognise
        UTF-8.

    Attributes
    ----------
    files : list of Path
        Files written so far.
    """

    def __init__(self, folder, *, bom=False):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ParameterError(
                f"The results cannot be written to {folder}: it, or one of its "
                "parents, is a file. Pass a folder to ",
                Parameter("output_dir"),
                ".",
            ) from error
        except OSError as error:
            raise ParameterError(
                f"The folder {folder} cannot be created ({error.strerror}). Pass a "
                "folder that you can write to, with ",
                Parameter("output_dir"),
                ".",
            ) from error
        self.folder = folder
        self.files = []
        self._encoding = "utf-8-sig" if bom else "utf-8"

    def data(self, name, data):
        """Write bytes."""
        path = self.new(name)
        replace_file(path, data)

    def new(self, name):
        """Return the path of a new file."""
        path = self.folder / name
        self.files.append(path)
        return path

    def table(self, name, table, **how):
        """Write a frame, with the keywords of `write_table`."""
        write_table(self.new(name), table, encoding=self._encoding, **how)

    def rows(self, name, table):
        """Write a frame that has one row per row of the readings."""
        self.table(name, table, index_label=table.index.name or "row")

    def json(self, name, result):
        """Write a result as JSON."""
        text = json.dumps(plain(result), indent=2, ensure_ascii=False, allow_nan=False)
        self.data(name, f"{text}\n".encode(errors="backslashreplace"))

    def figure(self, name, figure):
        """Write a figure as PNG, and close it."""
        self.data(name, png(figure))

    def alarms(self, name, alarms):
        """Write alarms, with lists as text and durations in minutes."""
        table = in_minutes(alarms)
        for column, form in (("channels", "{}"), ("shares", "{:.4f}")):
            table[column] = ["; ".join(map(form.format, v)) for v in alarms[column]]
        self.table(name, table, index=False)


def in_minutes(alarms):
    """Return a copy of alarms with durations in minutes, if they are times."""
    table = alarms.copy()
    if alarms["duration"].dtype.kind == "m":
        minutes = alarms["duration"] / pd.Timedelta(minutes=1)
        place = table.columns.get_loc("duration")
        table = table.drop(columns="duration")
        table.insert(place, "minutes", minutes.round(3))
    return table


def write_table(path, table, *, index_label=None, index=True, encoding="utf-8"):
    """Write a frame as CSV.

    Texts are written so that a spreadsheet does not evaluate them.

    Parameters
    ----------
    path : Path
        The file.
    table : DataFrame
        The table.
    index_label : str or None, default=None
        Name of the column of the index.
    index : bool, default=True
        Whether to write the index.
    encoding : str, default='utf-8'
        The encoding of the text.
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
    replace_file(path, text.encode(encoding, errors="backslashreplace"))


def _holds_numbers(dtype):
    """Whether a column holds numbers or times, and no text."""
    return getattr(dtype, "kind", "O") in "biufmM"


def _as_cell(value):
    """Format a cell; texts that look like formulas get an apostrophe.

    A spreadsheet evaluates texts that begin like a formula, which may open links or
    other programs. An apostrophe in front makes them plain text [1]_. In some
    countries, other characters separate cells, so the parts between them are checked,
    too.

    .. [1] https://owasp.org/www-community/attacks/CSV_Injection
    """
    if not isinstance(value, str):
        return value
    value = value.replace("\r", r"\r")  # pandas does not quote it
    text = re.sub(r"[^,;\t\n]+", lambda part: _as_text(part[0]), value)
    return f"'{text}" if text.startswith(("\t", "\n")) else text


def _as_text(part):
    begins = part.lstrip(" ").startswith(tuple("=+-@＝＋－＠"))
    return f"'{part}" if begins and not _NUMBER.fullmatch(part.strip(" ")) else part


def png(figure, dpi=110):
    """Convert a figure to the bytes of a PNG file, and close it."""
    import matplotlib.pyplot as plt

    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi)
    plt.close(figure)
    return data.getvalue()


def plain(value):
    """Convert to JSON types: no numpy or pandas types, and null for NaN."""
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
