# SPDX-License-Identifier: MIT
"""What commands check of their parameters, beyond what the library does."""

import warnings
from contextlib import contextmanager

import pandas as pd

from tsanomaly._cli._parser import DEFAULT_BUDGET
from tsanomaly._declustering import rows_per
from tsanomaly._parameter_error import Parameter, ParameterError

__all__ = ["check_step", "check_training_rows", "in_rows", "without_repetition"]

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
        raise ParameterError(
            f"{n_train:,} of the {len(frame):,} rows of {csv} are to train on, and at "
            f"least {needed_rows:,} are needed, a whole window among them. Pass more "
            "rows, raise ",
            Parameter("train_fraction"),
            ", or lower ",
            Parameter("window_size"),
            ".",
        )


def in_rows(threshold_params, frame, by=None):
    """Keywords of a threshold, with a budget per time as one per number of rows.

    The threshold is the last step of a pipeline, and gets arrays without times. Of
    several machines, those of the first one tell.
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
    if by is not None:
        frame = frame[(frame[by] == frame[by].iloc[0]).to_numpy()]
    return {**threshold_params, "per": max(round(rows_per(per, frame.index)), 1)}


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
        warnings.filterwarnings("ignore", ".*cannot be predicted, neither from")
        if DEFAULT_BUDGET.items() <= threshold_params.items():
            # Nobody asked for that level, and it is told before training.
            warnings.filterwarnings("ignore", ".*independent peaks?: a level that is")
        yield
