# SPDX-License-Identifier: MIT
"""Checks of parameters that the library does not make."""

import warnings
from contextlib import contextmanager

import pandas as pd

from tsanomaly._cli._parser import DEFAULT_BUDGET
from tsanomaly._declustering import rows_per
from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning

__all__ = [
    "check_by",
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


def check_training_rows(n_train, frame, csv, window_size):
    """Raise if there are too few training rows."""
    sizes = window_size if isinstance(window_size, tuple) else (window_size or 0,)
    needed_rows = max(_FEWEST_ROWS, *sizes[:2])  # a baseline may be longer
    if n_train < needed_rows:
        cure = ["Pass more rows, or raise ", Parameter("train_fraction")]
        if window_size is not None:
            cure += [", or lower ", Parameter("window_size")]
        raise ParameterError(
            f"{n_train:,} of the {len(frame):,} rows of {csv} are for training, but at "
            f"least {needed_rows:,} are needed. ",
            *cure,
            ".",
        )


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
            warnings.filterwarnings("ignore", ".*independent peaks?, so a level")
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
        what, found, _ = str(error).partition(". Fit on a longer series")
        if not found:
            raise
        cure = [", or lower ", Parameter("window_size")] if has_window_size else []
        raise ParameterError(f"{what}. Train on more rows", *cure, ".") from error
