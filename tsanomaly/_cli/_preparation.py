# SPDX-License-Identifier: MIT
"""What was done to readings in training, which later commands do again."""

import warnings

from tsanomaly._cli._parser import typed
from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning

__all__ = ["as_in_training", "to_keep"]

# Without these, readings are as they are in the file, but for breaks at gaps.
_DEFAULTS = {"resample": None, "max_gap": "auto", "fill": None, "fill_limit": None}


def to_keep(read_params, row_params):
    """What a model file is to say of how the rows of training were prepared.

    Parameters
    ----------
    read_params, row_params : dict
        Of the command that trains.

    Returns
    -------
    preparation : dict
        What was asked for, as JSON can hold it.
    """
    kept = {
        name: value for name, value in row_params.items() if value != _DEFAULTS[name]
    }
    if "na_values" in read_params:
        kept["na_values"] = list(read_params["na_values"])
    return kept


def as_in_training(kept, read_params, row_params):
    """Parameters of a command that uses a model: those of training, unless given.

    Parameters
    ----------
    kept : dict or None
        As from `to_keep`; None if no command trained the model.
    read_params, row_params : dict
        What the command was given.

    Returns
    -------
    read_params, row_params : dict
        With what was done in training.
    notes : tuple of str
        What was taken from the model, for the user.

    Raises
    ------
    ParameterError
        If there is a limit of filling, and no filling.

    Warns
    -----
    ParameterWarning
        If what was given is not what was done in training.
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
    if "fill" in chosen:  # a limit belongs to a way of filling
        chosen |= {"fill_limit"}
    _warn_of_others(
        {name: given.get(name, _DEFAULTS.get(name)) for name in chosen},
        {name: kept.get(name, _DEFAULTS.get(name)) for name in chosen},
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


def _warn_of_others(given, trained):
    """Say what is done otherwise than in training."""
    for name in (*_DEFAULTS, "na_values"):
        if given.get(name) == trained.get(name):
            continue
        if name == "fill_limit" and given.get("fill") != trained.get("fill"):
            continue  # the other way of filling says enough
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
                ", so that its scores may be too high or too low here. Leave the "
                "option out to prepare readings as in training.",
            ),
            stacklevel=3,
        )
