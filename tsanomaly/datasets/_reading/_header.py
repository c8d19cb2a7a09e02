# SPDX-License-Identifier: MIT
"""Whether a row names columns, and whether it is the one that does."""

import re

from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets._reading._cells import MISSING, NUMBER, is_time_text, show
from tsanomaly.datasets._reading._names import has_time_name
from tsanomaly.datasets._reading._table import fault

__all__ = ["check_header", "refuse_second_header"]

_YEAR = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}(?:$|[^0-9]|[01][0-9][0-3][0-9])")


def check_header(names, path, line, drop):
    """Raise unless a header names columns, each by another name."""
    are_values = all(
        name in MISSING
        or NUMBER.fullmatch(name.replace(",", ".", 1))
        or is_time_text(name)
        for name in names
    )
    # A name may look like a short date, as 10.12.24 does, but not like a whole one.
    if are_values or any(is_time_text(name) and _YEAR.search(name) for name in names):
        raise fault(
            f"{path}, line {line}",
            f"the file has no header: {show(names[0])} … {show(names[-1])} are values, "
            "not names. Put a line with the names of the columns on top.",
        )
    seen = set()
    for name in names:
        if name and name in seen and name not in drop:
            raise fault(
                f"{path}, line {line}, column {name!r}",
                "the name is in the header more than once. Rename one of the columns, "
                "or leave out all of them with ",
                Parameter("drop", name),
                ".",
            )
        seen.add(name)


def refuse_second_header(row, line, path):
    """Raise if a row below what was taken for the header has the name of a time."""
    for name in re.split(r"[,;\t|]", ",".join(row)):
        if has_time_name(name):
            raise fault(
                f"{path}, line {line}",
                f"{show(name.strip())} is the name of a column, but stands below what "
                "was taken for the header. To skip the lines above the header, pass ",
                Parameter("skiprows", line - 1),
                ".",
            )
