# SPDX-License-Identifier: MIT
"""The command that shows what a model file contains."""

import pandas as pd

from tsanomaly._cli._parser import typed
from tsanomaly._cli._text import visible
from tsanomaly._wording import time_span

__all__ = ["info"]


def info(model, *, progress):
    """Describe a model file without creating the model.

    Parameters
    ----------
    model : Path
        The file.
    progress : Progress
        Not used: reading takes no time.

    Returns
    -------
    result : dict
        As returned by :func:`tsanomaly.describe`.
    text : str
        The same as lines of text.
    """
    from tsanomaly import describe

    found = describe(model)
    # Each item is one line, whatever a name contains.
    return found, "\n".join(map(visible, _lines(model, found)))


def _lines(model, found):
    yield f"{model}: format {found['format']}, written {found['created']}"
    versions = found["versions"].items()
    yield f"by {', '.join(f'{name} {number}' for name, number in versions)}"
    rows, machines = found["n_training_rows"], found["n_machines"]
    if machines is not None:
        yield f"models: {machines:,}, one for each machine"
    yield f"training rows: {'not known' if rows is None else f'{rows:,}'}"
    if found["row_step"] is not None:
        yield f"a row every {time_span(pd.Timedelta(found['row_step'], 's'))}"
    if found["preparation"]:
        yield f"readings prepared in training: {typed(found['preparation'])}"
    channels = found["channels"]
    if channels:
        yield f"channels: {', '.join(channels)}"
    else:
        number = found["n_channels"]
        yield f"channels: {'not known' if number is None else number}, without names"
    yield f"threshold: {_threshold(found['threshold'])}"
    for step in found["steps"]:
        yield f"{step['name']}: {step['class']}"
        for name, value in step["params"].items():
            yield (
                f"    {name} = {value!r}"
                if _is_text(value)
                else f"    {name} = {value}"
            )
    if found["trusted"]:
        yield f"to be trusted by name: {', '.join(found['trusted'])}"


def _is_text(value):
    """Whether a value is plain text, not a Python expression."""
    return isinstance(value, str) and value.replace("_", "").isalnum()


def _threshold(threshold):
    if threshold is None:
        return "none"
    if isinstance(threshold, list):
        return f"{', '.join(f'{value:.6g}' for value in threshold)} (by channel)"
    if isinstance(threshold, dict):
        low, median, high = (threshold[name] for name in ("min", "median", "max"))
        return f"{low:.6g} to {high:.6g}, median {median:.6g} (by machine)"
    return f"{threshold:.6g}"
