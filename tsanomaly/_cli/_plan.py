# SPDX-License-Identifier: MIT
"""What a command reports before it trains."""

import warnings

import numpy as np
import pandas as pd

from tsanomaly._cli._preparation import row_step
from tsanomaly._cli._text import quoted, visible
from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly._validation import find_breaks
from tsanomaly._wording import count, time_span

__all__ = ["has_readings", "leave_out_dead", "tell_plan"]

# Maximum number of channels of single machines to name.
_MOST_NAMED = 5


def leave_out_dead(readings, is_training, by):
    """Drop channels without any reading in the training rows.

    Parameters
    ----------
    readings : Readings
        What was read.
    is_training : ndarray of bool of shape (n_timestamps,)
        The rows to train on.
    by : str or None
        The column that names machines; not a channel.

    Returns
    -------
    readings : Readings
        With a note on the channels that were left out.

    Raises
    ------
    ParameterError
        If no channel is left, or if a machine has no reading of a channel that others
        have.

    Warns
    -----
    ParameterWarning
        If a channel has readings, but none in the training rows.
    """
    frame = readings.frame
    is_dead = frame[is_training].isna().all()
    dead = [name for name in frame.columns[is_dead] if name != by]
    if by is not None:
        _check_machines(frame[is_training].drop(columns=dead), by)
    if not dead:
        return readings
    listed = ", ".join(map(repr, dead))
    if len(dead) == frame.shape[1] - (by is not None):
        raise ParameterError(
            f"No channel has a reading in the {is_training.sum():,} rows to train on: "
            f"{listed}. Train on other rows with ",
            Parameter("train_fraction"),
            ", or name other words for missing readings with ",
            Parameter("na_values"),
            ".",
        )
    if frame[dead].notna().any(axis=None):
        warnings.warn(
            ParameterWarning(
                f"{listed}: no reading in the rows to train on. Left out; train on "
                "more rows with ",
                Parameter("train_fraction"),
                " to use what comes later.",
            ),
            stacklevel=3,
        )
    note = f"left out, without any reading to learn from: {listed}"
    return readings._replace(
        raw=readings.raw.drop(columns=dead),
        frame=frame.drop(columns=dead),
        notes=(*readings.notes, note),
    )


def _check_machines(training, by):
    """Raise if a machine has no reading of a channel that other machines have."""
    for machine, part in training.groupby(by, sort=False):
        is_dead = part.isna().all()
        if not is_dead.any():
            continue
        listed = ", ".join(map(repr, part.columns[is_dead]))
        raise ParameterError(
            f"{by} {machine}: no reading of {listed} in the rows to train on, while "
            "other machines have some. Leave the channel out with ",
            Parameter("drop", part.columns[is_dead].tolist()),
            ", or train on this machine from a file of its own.",
        )


def has_readings(frame, by):
    """Find the rows that are not breaks, of one machine or several.

    Parameters
    ----------
    frame : DataFrame of shape (n_timestamps, n_channels)
    by : str or None
        The column of machines, which is no channel.

    Returns
    -------
    mask : ndarray of bool of shape (n_timestamps,)
    """
    return ~find_breaks(frame if by is None else frame.drop(columns=by))


def tell_plan(threshold, readings, is_training, by):
    """Describe rows, channels and threshold, and what may be wrong with the rows.

    Parameters
    ----------
    threshold : ReconstructionThreshold
        Unfitted; a budget is in rows.
    readings : Readings
        What was read.
    is_training : ndarray of bool of shape (n_timestamps,)
        The rows to train on.
    by : str or None
        The column of machines.

    Returns
    -------
    text : str
    """
    raw = readings.raw
    n_channels = raw.shape[1] - (by is not None)
    step = row_step(raw, by)
    scored = row_step(readings.frame.iloc[readings.rows], by)
    text = f"{count(len(raw), 'row')} of {count(n_channels, 'channel')}"
    if by is not None:
        text += f" and {count(raw[by].nunique(), 'machine')}"
    text += f", {raw.index.min()} to {raw.index.max()}"
    if step is not None:
        text += f", a row every {time_span(step)}"
    is_learned = is_training & has_readings(readings.frame, by)
    text += f"; {_training(readings.frame, is_training, is_learned, by)}"
    notes = "; ".join(map(visible, readings.notes)) or "all channels are used"
    text += f"\n{notes}\n"
    text += _constant(readings.frame[is_training], by)
    text += _expected(threshold, scored)
    if readings.labels is None or threshold.method == "f_score":  # which needs some
        return text
    n_anomalous = int((readings.labels[is_learned] == 1).sum())
    if n_anomalous:
        text += (
            f"\n{count(n_anomalous, 'row')} of those for training "
            f"{'is' if n_anomalous == 1 else 'are'} labelled anomalous, and will be "
            "learned as normal: empty their sensor cells and keep the label, or train "
            "on fewer rows with --train-fraction"
        )
    return text


def _constant(training, by):
    """Describe channels with a single value, on all machines or on some."""
    parts = {"": training}
    if by is not None:
        machines = training.groupby(by, sort=False)
        parts = {f" of {by} {name}": part.drop(columns=by) for name, part in machines}
    is_constant = pd.DataFrame(
        {of: part.min() == part.max() for of, part in parts.items()}
    )
    everywhere = is_constant.all(axis=1)
    text, names = "", list(everywhere.index[everywhere])
    if names:
        what = count(len(names), "channel")
        if not everywhere.all():
            text += _tell_constant(what, len(names), _leave_out(names))
        else:
            what = what if len(names) == 1 else f"all {what}"
            text += _tell_constant(what, len(names))
    varying = is_constant[~everywhere].iterrows()  # on some machines
    names = [visible(f"{name}{of}") for name, row in varying for of in row.index[row]]
    if names:
        what = ", ".join(names[:_MOST_NAMED])
        if len(names) > _MOST_NAMED:
            what += f" and {count(len(names) - _MOST_NAMED, 'other')}"
        text += _tell_constant(what, len(names))
    return text


def _tell_constant(what, number, cure=None):
    are, they_change = ("are", "they change") if number > 1 else ("is", "it changes")
    return (
        f"{what} {are} constant in the rows for training, so even a small change may "
        f"raise a lasting alarm: {cure or f'train on rows in which {they_change}'}\n"
    )


def _leave_out(names):
    """Suggest the option that leaves channels out."""
    if not any(name.startswith("-") for name in names):
        option = f" with --drop {' '.join(map(quoted, names))}"
    else:  # Such a name looks like an option, and `=` takes one name only.
        option = f" with --drop={quoted(names[0])}" if len(names) == 1 else ""
    return f"leave {'it' if len(names) == 1 else 'them'} out{option}"


def _training(frame, is_training, is_learned, by):
    """Describe which rows are for training."""
    if is_training.all():
        return "all for training"
    sizes = pd.Series(is_learned)
    of_each = ""
    if by is not None:
        sizes = sizes.groupby(frame[by].to_numpy())
        of_each = " of each machine"
    fewest, most = np.min(sizes.sum()), np.max(sizes.sum())
    number = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
    return f"the first {number}{of_each} for training (--train-fraction)"


def _expected(threshold, step):
    """Describe how many normal rows are expected to exceed the threshold."""
    if threshold.false_alarms is not None:
        often = threshold.per / threshold.false_alarms
        text = f"about once in {often:,.0f} rows"
        if step is not None:
            text += f" ({time_span((step * often).round('s'))})"
        return f"normal readings are expected to exceed the threshold {text}"
    if threshold.method in ("quantile", "pot"):
        share = 100 * (1 - threshold.quantile)
        return f"{share:.3g} % of normal rows are expected above the threshold"
    return f"threshold set by the method {threshold.method}"
