# SPDX-License-Identifier: MIT
import io
import math

import numpy as np

from tsanomaly._saving._archive import damage
from tsanomaly._saving._arrays import read_array
from tsanomaly._saving._persistence import read_bytes, read_document, read_parts
from tsanomaly._saving._trust import names_in

__all__ = ["describe"]

# Attributes with the number of training rows.
_ROW_COUNTS = ("n_samples_fit_", "n_samples_seen_", "n_samples_", "_n_samples")

# Maximum number of thresholds to list.
_MOST_CHANNELS = 10_000

# Parameters and attributes of wrappers that contain the actual estimator.
_INNER = (
    ("state", "best_estimator_"),
    ("state", "detector"),
    ("params", "estimator"),
)

# Wrappers of a detector: frozen estimators, searches and streams.
_HOLDERS = {
    "sklearn.frozen.FrozenEstimator",
    "sklearn.model_selection.GridSearchCV",
    "sklearn.model_selection.RandomizedSearchCV",
    "tsanomaly.StreamingDetector",
}


def describe(path):
    """Describe a model file without loading the model.

    No class is imported and no code is run.

    Parameters
    ----------
    path : str or os.PathLike
        Path of a file written by :func:`save`.

    Returns
    -------
    description : dict
        JSON-serialisable dictionary with the following keys:

        - ``format`` (int): version of the file format
        - ``created`` (str): date and time in ISO 8601 format
        - ``versions`` (dict of str to str): versions of packages
        - ``steps`` (list of dict): ``name``, ``class`` and ``params`` of each step of
          the model; parameters without a JSON equivalent are strings in Python syntax
        - ``channels`` (list of str, or None if the model was fitted without names)
        - ``n_channels`` (int or None)
        - ``n_training_rows`` (int, or None if no step stores it): without breaks
        - ``threshold`` (float, list of float per channel, or None): rows with a larger
          error are flagged; for a fleet, a dict with the ``min``, ``median`` and
          ``max`` over its machines
        - ``n_machines`` (int or None): number of models of a fleet
        - ``preparation`` (dict, or None if no command trained the model): options with
          which `tsanomaly train` or `tune` prepared the readings: ``resample``,
          ``max_gap``, ``fill``, ``fill_limit``, ``na_values``. Later commands apply
          them, too; in Python, prepare readings in the same way
        - ``row_step`` (float or None): median time between the training rows in
          seconds, if a command trained the model on rows with times
        - ``trusted`` (list of str): types and functions that must be trusted in
          :func:`load`

    Raises
    ------
    ModelFileError
        If the file was not written by `save`, is damaged, or has an unsupported format.
    OSError
        If the file cannot be read.

    See Also
    --------
    load : Load a model from a file.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import tsanomaly
    >>> from sklearn.ensemble import IsolationForest
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tsanomaly.save(IsolationForest().fit(X), f"{folder}/model.skops")
    ...     description = tsanomaly.describe(f"{folder}/model.skops")
    >>> description["steps"][0]["class"], description["n_training_rows"]
    ('sklearn.ensemble.IsolationForest', 100)
    """
    source = str(path)
    data = read_bytes(path)
    manifest, document, members, _ = read_document(io.BytesIO(data), source)
    with damage(source, "its description of the model is invalid"):
        names, counts = names_in(document), [_n_rows(document, members)]
        last, thresholds = _last(document), []
        for part, arrays in read_parts(data, source):
            names |= names_in(part)
            counts.append(_n_rows(part, arrays))
            thresholds.append(_threshold(_last(part), arrays))
        if not thresholds:
            inner = map(_last, _inner_models(last))
            thresholds = [_threshold(node, members) for node in inner]
        return {
            "format": manifest["format"],
            "created": manifest["created"],
            "versions": manifest["versions"],
            "steps": [
                {
                    "name": name,
                    "class": _class(node),
                    "params": {
                        key: _plain(value)
                        for key, value in sorted(node.get("params", {}).items())
                    },
                }
                for name, node in _steps("detector", document)
            ],
            "channels": manifest["feature_names"],
            "n_channels": _n_channels(document),
            "n_training_rows": max((n for n in counts if n is not None), default=None),
            "threshold": _range(thresholds) or _threshold(last, members),
            "n_machines": _n_machines(last),
            "preparation": manifest.get("preparation"),
            "row_step": manifest.get("row_step"),
            "trusted": sorted(names),
        }


def _class(node):
    return node.get("class") or node["call"].removesuffix(".__new__")


def _steps(name, node):
    """Return the names and nodes of the steps of a model."""
    if not isinstance(node, dict) or "class" not in node:
        return [(name, node)] if isinstance(node, dict) and "call" in node else []
    if node["class"] == "sklearn.pipeline.Pipeline":
        pairs = [pair["tuple"] for pair in node["params"]["steps"]]
        return [step for own, part in pairs for step in _steps(own, part)]
    for kind, key in _INNER:
        if key in node[kind] and node["class"] in _HOLDERS:
            return _steps(name, node[kind][key])
    return [(name, node)]


def _last(node):
    """Return the node of the last step of a model."""
    steps = _steps("detector", node)
    return steps[-1][1] if steps else node


def _states(document):
    """Yield the states of all objects, outer ones first."""
    pending = [document]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node[::-1]
        elif isinstance(node, dict):
            if isinstance(node.get("state"), dict):
                yield node["state"]
            pending += list(node.values())[::-1]


def _number(node, members):
    """Return a number or an array of numbers, None for other nodes."""
    if isinstance(node, dict) and "scalar" in node:
        node = node["value"]
    if isinstance(node, dict) and "array" in node:
        return read_array(members[node["array"]])
    if isinstance(node, dict) and "float" in node:
        return None
    return node if isinstance(node, int | float) else None


def _n_channels(document):
    for state in _states(document):
        if isinstance(state.get("n_features_in_"), int):
            return state["n_features_in_"]
    return None


def _n_rows(document, members):
    # A scaler counts the readings of each channel, and some steps see part of the rows.
    counts = (
        _number(state.get(key), members)
        for state in _states(document)
        for key in _ROW_COUNTS
    )
    counts = [int(np.max(rows)) for rows in counts if rows is not None]
    if counts:
        return max(counts)
    for state in _states(document):
        for key in ("_fit_X", "rows"):
            if key in state:
                return len(read_array(members[state[key]["array"]]))
    return None


def _threshold(node, members):
    state = node.get("state") or {}
    if "threshold_" in state:
        threshold = _number(state["threshold_"], members)
        is_array = isinstance(threshold, np.ndarray)
        return threshold[:_MOST_CHANNELS].tolist() if is_array else threshold
    offset = _number(state.get("offset_"), members)
    if isinstance(offset, np.ndarray):
        offset = float(offset[0]) if offset.shape == (1,) else None
    return None if offset is None else -offset


def _range(thresholds):
    """Return the range of the thresholds of machines, or None if there are none."""
    known = [threshold for threshold in thresholds if threshold is not None]
    if not known:
        return None
    known = np.concatenate(known, axis=None)
    return {name: float(getattr(np, name)(known)) for name in ("min", "median", "max")}


def _inner_models(node):
    """Return the models of a fleet that are not in files of their own."""
    state = node.get("state") or {}
    models = state.get("_models")
    if isinstance(models, list) and models:  # of a fleet inside of another object
        return models
    return [state["fallback_"]] if "fallback_" in state else []


def _n_machines(node):
    models = (node.get("state") or {}).get("_models")
    if isinstance(models, list):
        return len(models)
    return models["parts"] if isinstance(models, dict) else None


def _plain(node):
    """Return a parameter as a JSON value, or else as a string in Python syntax."""
    if node is None or isinstance(node, bool | int | str):
        return node
    if isinstance(node, float):
        return node if math.isfinite(node) else str(node)
    return _words(node)


def _words(node):
    """Format a value in Python syntax."""
    if isinstance(node, list):
        return f"[{', '.join(map(_words, node))}]"
    if not isinstance(node, dict):
        return repr(node)
    if "tuple" in node:
        items = [_words(item) for item in node["tuple"]]
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    if "dict" in node:
        items = node["dict"].items()
        return "{" + ", ".join(f"{key!r}: {_words(item)}" for key, item in items) + "}"
    if "scalar" in node:
        return _words(node["value"])
    if "class" in node or "scorer" in node:
        params = node.get("params") or node.get("arguments") or {}
        items = [f"{key}={_words(item)}" for key, item in params.items()]
        name = node.get("class") or node["scorer"]
        return f"{name.rpartition('.')[-1]}({', '.join(items)})"
    for key in ("float", "type", "dtype", "function", "name", "call"):
        if key in node:
            return str(node[key]).removesuffix(".__new__")
    return f"<{' and '.join(sorted(node))}>"
