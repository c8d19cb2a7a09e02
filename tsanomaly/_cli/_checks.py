# SPDX-License-Identifier: MIT
"""Checks of parameters that the library does not make."""

import re
import warnings
from contextlib import contextmanager

import pandas as pd

from tsanomaly._cli._parser import DEFAULT_BUDGET
from tsanomaly._declustering import rows_per
from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning

__all__ = [
    "check_by",
    "check_duration",
    "check_machines",
    "check_step",
    "check_training_rows",
    "in_rows",
    "naming_options",
    "without_repetition",
]

# Minimum number of training rows.
_FEWEST_ROWS = 10


def check_step(freq):
    """Raise unless a text is a time between rows."""
    from pandas.tseries.frequencies import to_offset

    start = pd.Timestamp("2024-01-01")
    try:
        moves = start + to_offset(freq) > start
    except ValueError as error:
        moves, cause = False, error
    else:
        cause = None
    if not moves:
        raise ParameterError(
            Parameter("freq", freq),
            " is not a time between rows. Pass one such as 30s, 1min or 1h.",
        ) from cause


def check_duration(name, value):
    """Raise unless a text is a duration above 0; return it as a Timedelta."""
    from tsanomaly.datasets._regularize import nanoseconds

    try:
        length = nanoseconds(name, value)
        cause = None if length else ValueError("it is 0")
    except ValueError as error:
        cause = error.__cause__
    if cause is not None:
        why = str(cause) if str(cause).startswith("it") else ""  # no text of pandas
        raise ParameterError(
            Parameter(name, value),
            f" is not a duration{why and ': '}{why}. Pass one such as 30s, 10min or "
            "1h.",
        ) from cause
    return pd.Timedelta(length, unit="ns")


def check_training_rows(is_training, csv, window_size, detectors):
    """Raise if there are too few training rows for the windows of some detectors.

    Parameters
    ----------
    is_training : ndarray of bool
        For each row with a reading, whether it is for training.
    csv, window_size, detectors
        Parameters of the command.
    """
    n_train = is_training.sum()
    sizes = window_size if isinstance(window_size, tuple) else (window_size or 0,)
    n_sizes = 1 if "linear" in detectors else 2  # the baseline may be longer
    needed_rows = max(_FEWEST_ROWS, *sizes[:n_sizes])
    if n_train < needed_rows:
        cure = ["Pass more rows, or raise ", Parameter("train_fraction")]
        if window_size is not None:
            cure += [", or lower ", Parameter("window_size")]
        raise ParameterError(
            f"{n_train:,} of the {len(is_training):,} rows of {csv} are for training, "
            f"but at least {needed_rows:,} are needed. ",
            *cure,
            ".",
        )


# How errors of `fit` say that a series is too short.
_TOO_SHORT = re.compile(
    r"(?:depends on |=)(\d+)(?: rows, more than| is longer than)"
    r".*?\(n_samples=(\d+)\)\. Fit on a longer series"
)

# A column of more different numbers than this does not name machines if most of them
# have decimals.
_FEW_MACHINES = 10

# Columns of results, whose names the column of machines cannot have.
_OF_RESULTS = frozenset(
    [
        *("part", "score", "flag", "top_channel", "start", "end", "peak", "minutes"),
        *("duration", "raised", "severity", "priority", "state", "channels", "shares"),
        *("reading", "expected", "sentence", "finding", "channel", "n_rows", "message"),
    ]
)


def check_by(by):
    """Raise if the column of machines has the name of a column of results."""
    if by in _OF_RESULTS:
        raise ParameterError(
            Parameter("by", by),
            ": results have a column of the same name. Rename the column of machines, "
            "for example to machine_id.",
        )


def check_machines(names, by):
    """Raise if a column does not seem to name machines, such as a sensor.

    Parameters
    ----------
    names : Series of shape (n_rows,)
        The column.
    by : str
        Its name.
    """
    n_names = names.nunique()
    if n_names <= _FEW_MACHINES:
        return
    numbers = pd.to_numeric(pd.Series(names.unique()), errors="coerce")
    if (numbers % 1 > 0).mean() > 0.5:
        raise ParameterError(
            Parameter("by", by),
            f" has {n_names:,} different values in {len(names):,} rows, most of them "
            "with decimals; it does not name machines. Pass a column such as "
            "machine_id, or leave the option out if there is one machine.",
        )


def in_rows(threshold_params, frame, by=None):
    """Convert a budget per time to a budget per number of rows.

    The threshold is the last step of a pipeline and receives arrays without times. With
    several machines, the one with the most rows in that time counts.
    """
    if "per" not in threshold_params:
        return threshold_params
    per = threshold_params["per"]
    if isinstance(per, str) and not isinstance(frame.index, pd.DatetimeIndex):
        raise ParameterError(
            Parameter("per", per),
            " is a time, but the file has no time column. Pass a number of rows, or "
            "name the column with ",
            Parameter("timestamp"),
            ".",
        )
    if by is None:
        n_rows = rows_per(per, frame.index)
    else:
        groups = frame.groupby(by, sort=False).indices.values()
        of_each = [rows_per(per, frame.index[rows]) for rows in groups if len(rows) > 1]
        n_rows = max(of_each, default=1)
        if n_rows > 1.5 * min(of_each, default=1):
            warnings.warn(
                ParameterWarning(
                    Parameter("per", per),
                    f" is {n_rows:,.0f} rows of one machine and {min(of_each):,.0f} of "
                    "another, and a budget counts rows: machines with fewer rows in "
                    "that time get fewer false alarms. Train them separately.",
                ),
                stacklevel=2,
            )
    return {**threshold_params, "per": max(round(n_rows), 1)}


@contextmanager
def without_repetition(threshold_params):
    """Suppress warnings that the command reports in its own words.

    Parameters
    ----------
    threshold_params : dict
        Keywords of the threshold.
    """
    with warnings.catch_warnings():
        # Sensor health names these sensors.
        warnings.filterwarnings("ignore", ".*cannot be predicted from other channels")
        if DEFAULT_BUDGET.items() <= threshold_params.items():
            # The user did not choose this budget, and it is printed before training.
            warnings.filterwarnings(
                "ignore", ".*independent peaks?, so a level .* is uncertain"
            )
        yield


@contextmanager
def naming_options(*, has_window_size):
    """Make errors of `fit` name options instead of parameters.

    Parameters
    ----------
    has_window_size : bool
        Whether the command has the option.
    """
    try:
        yield
    except ValueError as error:
        short = _TOO_SHORT.search(str(error))
        if short is None:
            raise
        raise _too_short("", short, has_window_size) from error
    except RuntimeError as error:  # of a fleet
        text, found, _ = str(error).partition(", or set on_error=")
        if not found:
            raise
        text = text.replace(
            "Some models could not be fitted: the fallback",
            "The detector for machines with few rows could not be fitted",
        )
        short = _TOO_SHORT.search(text)
        if short is not None:
            which = text.split(" (ValueError: ")[0]
            raise _too_short(f"{which}. ", short, has_window_size) from error
        raise ValueError(f"{text.replace('.).', ').')}.") from error


def _too_short(which, short, has_window_size):
    """Return the error for training rows that are shorter than a window."""
    n_needed, longest = map(int, short.groups())
    cure = [", or lower ", Parameter("window_size")] if has_window_size else []
    return ParameterError(
        f"{which}The score of a row depends on {n_needed:,} consecutive rows, and the "
        f"longest stretch of training rows without a gap has {longest:,}. Train on "
        "more rows",
        *cure,
        ".",
    )
