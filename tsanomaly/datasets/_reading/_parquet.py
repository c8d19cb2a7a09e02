# SPDX-License-Identifier: MIT
"""Write Parquet files as text."""

import json
import re

from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly.datasets._reading._bytes import Document, most_unpacked
from tsanomaly.datasets._reading._cell_text import Lines, write_float, write_text
from tsanomaly.datasets._reading._columns import as_list
from tsanomaly.datasets._reading._names import list_names
from tsanomaly.datasets._reading._table import fault

__all__ = ["read_parquet"]

_N_ROWS = 2**14  # to convert to Python objects at a time
_NO_NAME = re.compile("__index_level_[0-9]+__")  # as pandas stores it
_INSTALL = "'pip install \".[parquet]\"' in a checkout of tsanomaly"


def read_parquet(document, max_bytes, max_columns, decimal, drop):
    """Write a Parquet file as text.

    Parameters
    ----------
    document : Document
        The file.
    max_bytes, max_columns, decimal, drop
        As for `read_sensor_csv`.

    Returns
    -------
    text : Document
        The table as text. Line 1 is the header.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    ValueError
        If the file is damaged or too large, or is not a table of readings.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            f"{document}: reading Parquet files needs pyarrow, which is not installed. "
            f"Run 'pip install pyarrow', or {_INSTALL}."
        ) from error
    is_auto = max_bytes == "auto"
    limit = most_unpacked(len(document.data)) if is_auto else max_bytes
    try:
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(document.data))
        schema = file.schema_arrow
        if len(schema) > max_columns:
            raise fault(
                document,
                f"the file has {len(schema):,} columns, but the limit is "
                f"{max_columns:,}. Pass a larger number as ",
                Parameter("max_columns"),
                ".",
            )
        names = _names(document, schema)
        kept = _kept(document, schema, names, set(as_list(drop)))
        data = _write(document, file, names, kept, limit, decimal)
    except (ParameterError, MemoryError):
        raise
    except Exception as error:  # damaged files raise any error
        raise fault(
            document,
            f"the Parquet file is damaged ({type(error).__name__}: {error}). Transfer "
            "it again.",
        ) from error
    return Document(document.name, data)


def _names(document, schema):
    """Return the names of the columns by position, the index of pandas first.

    An index without a name gets an empty one if it holds times. Other such indices
    number rows and are dropped.
    """
    import pyarrow.types as types

    try:
        stored = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        index = [name for name in stored["index_columns"] if isinstance(name, str)]
    except (ValueError, KeyError, TypeError):
        index = []  # another program wrote the file
    order = sorted(range(len(schema)), key=lambda i: schema.names[i] not in index)
    names = {}
    for position in order:
        name = schema.names[position]
        if name in index and _NO_NAME.fullmatch(name):
            if not types.is_temporal(schema.types[position]):
                continue
            name = ""
        if name in index or not name:
            # With a unit in its name, an index of durations is read as elapsed times.
            is_elapsed = types.is_duration(schema.types[position])
            name = f"{name or 'time'} [s]" if is_elapsed else name
        names[position] = name
    if not names:
        raise fault(document, "the file has no columns. Check ", Parameter("path"), ".")
    return names


def _kept(document, schema, names, drop):
    """Return the positions of columns to write, or raise if others are not dropped."""
    import pyarrow.types as types

    others = {
        position: name
        for position, name in names.items()
        if types.is_nested(schema.types[position])
        or types.is_binary(schema.types[position])
        or types.is_large_binary(schema.types[position])
        or types.is_fixed_size_binary(schema.types[position])
    }
    wrong = [name for name in others.values() if name not in drop]
    if wrong:
        raise fault(
            document,
            f"the columns {list_names(wrong)} contain lists, records or bytes, which "
            "are not supported. Leave them out with ",
            Parameter("drop", wrong[0] if len(wrong) == 1 else wrong),
            ".",
        )
    return [position for position in names if position not in others]


def _write(document, file, names, kept, limit, decimal):
    """Write the columns as bytes of text."""

    def too_large():
        return fault(
            document,
            f"the file holds more than {limit:,} bytes as text. If you trust the file, "
            "pass a larger number as ",
            Parameter("max_bytes"),
            ".",
        )

    lines = Lines(limit, too_large)
    lines.add([write_text(names[position]) for position in names])
    # Blank lines are not read as rows.
    missing = "nan" if len(names) == 1 else ""
    for batch in file.iter_batches(_N_ROWS):
        empty = [""] * batch.num_rows
        columns = [
            _cells(batch.column(position), decimal, missing)
            if position in kept
            else empty
            for position in names
        ]
        for cells in zip(*columns, strict=True):
            lines.add(cells)
    return lines.to_bytes()


def _cells(array, decimal, missing):
    """Write the cells of a column as text."""
    import numpy as np
    import pyarrow
    import pyarrow.types as types

    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if types.is_floating(array.type):
        texts = [
            missing
            if number is None
            else write_float(float(number), decimal) or missing  # NumPy's float16
            for number in array.to_pylist()
        ]
    elif types.is_boolean(array.type):
        words = {True: "true", False: "false", None: missing}
        texts = [words[value] for value in array.to_pylist()]
    elif types.is_timestamp(array.type):
        # With all digits, which datetime would lose. Times with a zone are in UTC.
        zone = "Z" if array.type.tz else ""
        whole = array.cast(pyarrow.int64()).fill_null(np.iinfo(np.int64).min)
        times = whole.to_numpy().view(f"M8[{array.type.unit}]")
        written = np.datetime_as_string(times).tolist()
        texts = [missing if text == "NaT" else text + zone for text in written]
    elif types.is_decimal(array.type):
        texts = [
            missing if number is None else _write_decimal(number, decimal)
            for number in array.to_pylist()
        ]
    elif types.is_duration(array.type):
        seconds = np.timedelta64(1, array.type.unit) / np.timedelta64(1, "s")
        numbers = array.cast(pyarrow.int64()).to_pylist()
        texts = [
            missing if number is None else write_float(number * float(seconds), decimal)
            for number in numbers
        ]
    else:
        texts = [
            missing if value is None else write_text(str(value))
            for value in array.to_pylist()
        ]
    return texts


def _write_decimal(number, decimal):
    text = format(number, "f")
    return text.replace(".", ",") if decimal == "," else text
