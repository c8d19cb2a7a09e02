# SPDX-License-Identifier: MIT
"""Detect the kind of a file from its bytes."""

import re
from pathlib import Path

from tsanomaly.datasets._reading._table import fault

__all__ = ["GZIP", "is_readable_name", "kind_of", "refuse_other_kinds"]

GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_EXCEL = "Open it in a spreadsheet program, and save it as .xlsx or CSV."
_MATLAB = (
    "Write the readings as CSV: in MATLAB with writetimetable, in Python with "
    "scipy.io.loadmat or h5py and pandas."
)
_UNPACK = "Unpack it, and pass the files in it."
_GZIP = "Unpack it; only gzip compression is supported."
_PANDAS = (
    "Export the readings as CSV; or read it with pandas, and write it with to_csv or "
    "to_parquet."
)
# First bytes of a file, its kind, and the cure.
_OTHERS = (
    (
        b"\xd0\xcf\x11\xe0",
        "an old Excel workbook (.xls), or one with a password",
        _EXCEL,
    ),
    (b"BZh", "compressed with bzip2", _GZIP),
    (b"\xfd7zXZ\x00", "compressed with xz", _GZIP),
    (b"(\xb5/\xfd", "compressed with zstd", _GZIP),
    (b"7z\xbc\xaf'\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (.h5, or .mat of MATLAB 7.3)", _MATLAB),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file (.mat)", _MATLAB),
    (
        b"%PDF",
        "a PDF document",
        "Export the readings as CSV from their program.",
    ),
    (b"SQLite format 3\0", "an SQLite database", _PANDAS),
    (b"ARROW1\0\0", "an Arrow file (Feather)", _PANDAS),
    (b"\x93NUMPY", "a NumPy array (.npy)", "Load it with numpy.load."),
    (b"TDSm", "a LabVIEW file (.tdms)", "Export it as CSV, or as .xlsx."),
)
_TEXTS = (
    (re.compile(rb'\s*(?:\{\s*["}]|\[\s*[\[{])'), "JSON", _PANDAS),
    (
        re.compile(rb"\s*<(?:\?xml|!doctype|html|table|meta|head)\b", re.IGNORECASE),
        "a web page or XML, which some programs save as a workbook",
        _EXCEL,
    ),
)
_ZIPS = (
    (b"xl/workbook.bin", "a binary Excel workbook (.xlsb)", _EXCEL),
    (b"opendocument.spreadsheet", "an OpenDocument spreadsheet (.ods)", _EXCEL),
    (b"word/document.xml", "a Word document", "Copy the table into a CSV file."),
    (
        b"tsanomaly.json",
        "a model file of tsanomaly",
        "Pass a file of readings here, and the model to detect, explain or report.",
    ),
    (b"", "a zip archive, or a damaged Excel workbook", _UNPACK),
)
_READABLE = re.compile(
    r".+\.(?:(?:csv|tsv|tab|txt|dat|asc)(?:\.gz)?|xlsx|xlsm|parquet|pq)", re.IGNORECASE
)


def is_readable_name(name):
    """Whether the name of a file in a folder is that of a file of readings."""
    return _READABLE.fullmatch(Path(name).name) is not None


def kind_of(data):
    """Detect the kind of a file.

    Parameters
    ----------
    data : bytes
        Contents of the file.

    Returns
    -------
    kind : {'text', 'excel', 'parquet', 'other'}
        'text' includes text that is compressed with gzip, and damaged files.
    """
    if data.startswith(b"PAR1"):
        return "parquet"
    if data.startswith(_ZIP):
        return "excel" if b"xl/" in data and b"xl/workbook.bin" not in data else "other"
    return "text" if _other_kind(data) is None else "other"


def refuse_other_kinds(path, data):
    """Raise for files of known kinds other than text.

    Parameters
    ----------
    path : str, Path or Document
        Name of the file in the error.
    data : bytes
        Contents of the file.

    Raises
    ------
    ValueError
        With the kind of the file, and the cure.
    """
    kind = kind_of(data)
    if kind == "text":
        return
    names = {"excel": "an Excel workbook", "parquet": "a Parquet file"}
    if kind in names:
        raise fault(
            path,
            f"this is {names[kind]}, not text. Read it with read_sensor_file, or save "
            "it as CSV.",
        )
    what, cure = _other_kind(data)
    raise fault(path, f"this is {what}, which is not supported. {cure}")


def _other_kind(data):
    """Return the kind of a file that is not a table, and the cure, or None."""
    for start, what, cure in _OTHERS:
        if data.startswith(start):
            return what, cure
    if data.startswith(_ZIP):
        return next((what, cure) for sign, what, cure in _ZIPS if sign in data)
    for pattern, what, cure in _TEXTS:
        if pattern.match(data[:1000].removeprefix(b"\xef\xbb\xbf")):
            return what, cure
    return None
