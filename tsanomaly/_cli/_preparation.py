# SPDX-License-Identifier: MIT
"""Preparation of readings in training, which later commands repeat."""

import warnings

import pandas as pd

from tsanomaly._cli._parser import typed
from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly._validation import is_same_step, median_step
from tsanomaly._wording import time_span

__all__ = [
    "as_in_training",
    "row_step",
    "step_seconds",
    "to_keep",
    "typed_step",
    "warn_of_other_step",
]

# With these defaults, readings are used as in the file, with breaks at gaps.
_DEFAULTS = {"resample": None, "max_gap": "auto", "fill": None, "fill_limit": None}


def to_keep(read_params, row_params):
    """Collect what a model file stores about the preparation of the training rows.

    Parameters
    ----------
    read_params, row_params : dict
        Parameters of the command that trains.

    Returns
    -------
    preparation : dict
        The given parameters, as JSON types.
    """
    kept = {
        name: value for name, value in row_params.items() if value != _DEFAULTS[name]
    }
    if "na_values" in read_params:
        kept["na_values"] = list(read_params["na_values"])
    return kept


def row_step(frame, by):
    """Return the median time between rows, of a typical machine; None without times."""
    if not isinstance(frame.index, pd.DatetimeIndex):
        return None
    if by is None:
        return median_step(frame.index)
    steps = [median_step(part.index) for _, part in frame.groupby(by, sort=False)]
    steps = [step for step in steps if step is not None]
    return pd.Series(steps).median() if steps else None


def step_seconds(frame, by):
    """Return the median time between rows in seconds, or None."""
    step = row_step(frame, by)
    return None if step is None else step.total_seconds()


def warn_of_other_step(step, trained, csv):
    """Warn if rows follow each other faster or slower than in training.

    Parameters
    ----------
    step, trained : Timedelta or None
        Median time between the rows of the file, and between the training rows.
    csv : str
        The file, for messages.

    Warns
    -----
    ParameterWarning
        If they differ by more than a quarter.
    """
    if step is None or trained is None or is_same_step(step, trained):
        return
    cure = ["Pass rows of the same rate, or train a model on rows of this rate."]
    if step < trained:
        cure = ["Prepare them with ", Parameter("resample", typed_step(trained)), "."]
    warnings.warn(
        ParameterWarning(
            f"{csv} has a row every {time_span(step)}, and the training rows came "
            f"every {time_span(trained)}. As many rows cover another time here, so "
            "scores may be too high or too low. ",
            *cure,
        ),
        stacklevel=3,
    )


def typed_step(step):
    """Return a time as the option is typed, such as 5min."""
    units = ("h", "min", "s", "ms", "us", "ns")
    unit = next(unit for unit in units if not (step % pd.Timedelta(1, unit)).value)
    return f"{step // pd.Timedelta(1, unit)}{unit}"


def _is_trained_step(typed_step, trained):
    try:
        return is_same_step(pd.Timedelta(typed_step), trained)
    except ValueError:  # no duration, which the preparation says in its own words
        return False


def as_in_training(kept, read_params, row_params, *, trained_step, takes_missing):
    """Complete the parameters of a command with those of the training.

    Parameters
    ----------
    kept : dict or None
        As returned by `to_keep`; None if no command trained the model.
    read_params, row_params : dict
        Parameters that the command was given.
    trained_step : Timedelta or None
        Median time between the training rows.
    takes_missing : bool
        Whether the model supports missing readings.

    Returns
    -------
    read_params, row_params : dict
        With the parameters of the training where none were given.
    notes : tuple of str
        What was taken over from the model, for the user.

    Raises
    ------
    ParameterError
        If there is a `fill_limit` without `fill`.

    Warns
    -----
    ParameterWarning
        If a given parameter differs from that of the training, unless it makes the
        rows more like the training rows.
    """
    filled = {**(kept or {}), **row_params}
    if "fill_limit" in row_params and filled.get("fill") is None:
        raise ParameterError(
            Parameter("fill_limit"),
            " goes with ",
            Parameter("fill"),
            " previous or interpolate.",
        )
    if kept is None:
        return read_params, row_params, ()
    given = to_keep(read_params, row_params)
    chosen = row_params.keys() | read_params.keys()
    if "fill" in chosen:  # a limit belongs to a method of filling
        chosen |= {"fill_limit"}
    given = {name: given.get(name, _DEFAULTS.get(name)) for name in chosen}
    trained = {name: kept.get(name, _DEFAULTS.get(name)) for name in chosen}
    _warn_of_others(
        given, trained, _harmless(given, trained, trained_step, takes_missing)
    )
    taken = {name: value for name, value in kept.items() if name not in chosen}
    if not taken:
        return read_params, row_params, ()
    rows = {name: value for name, value in taken.items() if name in _DEFAULTS}
    read_params = {**taken, **read_params}
    for name in rows:
        del read_params[name]
    notes = (f"readings prepared as in training: {typed(taken)}",)
    return read_params, {**row_params, **rows}, notes


def _harmless(given, trained, trained_step, takes_missing):
    """Return the parameters that make rows more like the training rows.

    These are the step of the training rows, more words for missing readings, and
    filling for a model that supports no missing readings, so that it has seen none.
    """
    harmless = set()
    step = given.get("resample")
    if step and trained_step is not None and _is_trained_step(step, trained_step):
        harmless.add("resample")
    if set(trained.get("na_values") or ()) <= set(given.get("na_values") or ()):
        harmless.add("na_values")
    if not takes_missing and given.get("fill") and trained["fill"] is None:
        harmless |= {"fill", "fill_limit"}
    return harmless


def _warn_of_others(given, trained, harmless):
    """Warn of parameters that differ from those of the training."""
    for name in (*_DEFAULTS, "na_values"):
        if given.get(name) == trained.get(name) or name in harmless:
            continue
        if name == "fill_limit" and given.get("fill") != trained.get("fill"):
            continue  # the warning about `fill` is enough
        then = ["without it"]
        if trained[name] is not None:
            then = ["with ", Parameter(name, trained[name])]
        is_all = name == "fill_limit" and given[name] is None  # cannot be typed
        now = Parameter(name) if is_all else Parameter(name, given[name])
        warnings.warn(
            ParameterWarning(
                now,
                ": the model was trained ",
                *then,
                ", so its scores may be too high or too low here. Leave the option out "
                "to prepare readings as in training.",
            ),
            stacklevel=3,
        )
