# SPDX-License-Identifier: MIT
"""What commands check of their parameters, beyond what the library does."""

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

# To train on. With less, what is usual cannot be told from what is not.
_FEWEST_ROWS = 10


def check_step(freq):
    """Raise unless a text is the time from row to row."""
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
            " is no time between rows. Pass one such as 30s, 1min or 1h.",
        ) from cause


def check_training_rows(n_train, frame, csv, window_size):
    """Raise if there is too little to learn from."""
    needed_rows = max(_FEWEST_ROWS, window_size or 0)
    if n_train < needed_rows:
        cure = ["Pass more rows, or raise ", Parameter("train_fraction")]
        if window_size is not None:
            cure += [", or lower ", Parameter("window_size")]
        raise ParameterError(
            f"{n_train:,} of the {len(frame):,} rows of {csv} are to train on, and at "
            f"least {needed_rows:,} are needed. ",
            *cure,
            ".",
        )


# Columns of results, which the column of machines cannot be called.
_OF_RESULTS = frozenset(
    [
        *("part", "score", "flag", "top_channel", "start", "end", "peak", "minutes"),
        *("duration", "raised", "severity", "priority", "state", "channels", "shares"),
        *("reading", "expected", "sentence", "finding", "channel", "n_rows", "message"),
    ]
)


def check_by(by):
    """Raise if a column of machines is called as one of the results."""
    if by in _OF_RESULTS:
        raise ParameterError(
            Parameter("by", by),
            ": results have a column of this name of their own. Rename the column of "
            "machines, for example machine_id.",
        )


def in_rows(threshold_params, frame, by=None):
    """Keywords of a threshold, with a budget per time as one per number of rows.

    The threshold is the last step of a pipeline, and gets arrays without times. Of
    several machines, the one with most rows in that time tells.
    """
    if "per" not in threshold_params:
        return threshold_params
    per = threshold_params["per"]
    if isinstance(per, str) and not isinstance(frame.index, pd.DatetimeIndex):
        raise ParameterError(
            Parameter("per", per),
            " is a time, and the file has no column of times. Pass a number of rows, "
            "or name the column with ",
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
                    "another, and a budget is in rows: those with few rows in that "
                    "time have fewer false alarms. Train them apart.",
                ),
                stacklevel=2,
            )
    return {**threshold_params, "per": max(round(n_rows), 1)}


@contextmanager
def without_repetition(threshold_params):
    """Without warnings of training that the command says in its own words.

    Parameters
    ----------
    threshold_params : dict
        Keywords of the threshold.
    """
    with warnings.catch_warnings():
        # Sensor health names these sensors.
        warnings.filterwarnings("ignore", ".*cannot be predicted from other channels")
        if DEFAULT_BUDGET.items() <= threshold_params.items():
            # Nobody asked for that level, and it is told before training.
            warnings.filterwarnings("ignore", ".*independent peaks?, so a level")
        yield


@contextmanager
def naming_options(*, has_window_size):
    """Errors of fits name the options that mend them, not parameters of classes.

    Parameters
    ----------
    has_window_size : bool
        Whether the command has that option.
    """
    try:
        yield
    except ValueError as error:
        what, found, _ = str(error).partition(". Fit on a longer series")
        if not found:
            raise
        cure = [", or lower ", Parameter("window_size")] if has_window_size else []
        raise ParameterError(f"{what}. Train on more rows", *cure, ".") from error
