# SPDX-License-Identifier: MIT
"""Preparation of readings in training, which later commands repeat."""

import warnings

from tsanomaly._cli._parser import typed
from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning

__all__ = ["as_in_training", "to_keep"]

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


def as_in_training(kept, read_params, row_params):
    """Complete the parameters of a command with those of the training.

    Parameters
    ----------
    kept : dict or None
        As returned by `to_keep`; None if no command trained the model.
    read_params, row_params : dict
        Parameters that the command was given.

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
        If a given parameter differs from that of the training.
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
    """Warn of parameters that differ from those of the training."""
    for name in (*_DEFAULTS, "na_values"):
        if given.get(name) == trained.get(name):
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
