# SPDX-License-Identifier: MIT
"""Take objects of known classes apart to save them, and rebuild them when loading.

Rebuilt objects are checked: their parameters by scikit-learn, their attributes by the
table, and then whether their parts are consistent.
"""

from functools import cache
from importlib import import_module

from sklearn.pipeline import FeatureUnion, Pipeline

from tsanomaly._saving import _known_library, _known_sklearn
from tsanomaly._saving._compiled import COMPILED
from tsanomaly._saving._specs import Number, Texts
from tsanomaly._sklearn_compat import check_parameters
from tsanomaly._window_transformer import WindowTransformer

__all__ = ["put_together", "take_apart"]

_LIBRARY = {
    f"tsanomaly.{kind.__name__}": kind
    for kind in (*_known_library.ESTIMATORS, *_known_library.PLAIN)
}

# Maximum number of columns that an estimator may take or return.
_MOST_COLUMNS = 2**20

_WIDTH, _NAMES = Number("i", 1, _MOST_COLUMNS, size="d"), Texts("d").maybe()


def _estimators(table, width=_WIDTH):
    """Add the attributes that all estimators have to a table."""
    common = {"n_features_in_": width, "feature_names_in_": _NAMES}
    for state in table.values():
        state.attributes = {**common, **state.attributes}
    return table


_STATES = {
    f"sklearn.{name}": state
    for name, state in {
        **_estimators(_known_sklearn.ESTIMATORS),
        **_estimators(COMPILED),
        **_estimators(_known_sklearn.CONTAINERS, _WIDTH.maybe()),
        **_known_sklearn.PLAIN,
    }.items()
} | {
    f"tsanomaly.{kind.__name__}": state
    for kind, state in {
        **_estimators(_known_library.ESTIMATORS),
        **_known_library.PLAIN,
    }.items()
}

# Attribute that is set by `set_output`.
_OUTPUT = "_sklearn_output_config"

# Maximum number of threads or processes that an estimator may request.
_MOST_JOBS = 128

_CONTAINERS = {f"sklearn.{name}" for name in _known_sklearn.CONTAINERS}

# Transformers that return one column per channel.
_AS_MANY = {
    "AutoregressiveDetector",
    "Binarizer",
    "EnsembleDetector",
    "LSTMAutoencoderDetector",
    "LinearAutoencoderDetector",
    "MaxAbsScaler",
    "MinMaxScaler",
    "Normalizer",
    "PowerTransformer",
    "QuantileTransformer",
    "ReconstructionError",
    "RobustScaler",
    "StandardScaler",
    "WindowNeighborsDetector",
}


def take_apart(value):
    """Take an object of a known class apart.

    Parameters
    ----------
    value : object
        The object.

    Returns
    -------
    name, params, state : str, dict, dict; or None
        Arguments of `put_together` that rebuild the object. None if its class is
        unknown, or it has attributes that objects of the class usually do not have.
    """
    name = _public_name(type(value))
    if name not in _STATES or _find(name) is not type(value):
        return None
    spec = _STATES[name]
    state = spec.take_apart(value)
    if state is None or not {*spec.attributes, _OUTPUT} >= {*state}:
        return None
    params = value.get_params(deep=False) if hasattr(value, "get_params") else {}
    return name, params, state


def _public_name(kind):
    """Return the public name of a class, without private modules of scikit-learn."""
    package = kind.__module__.partition("._")[0]
    return f"{package}.{kind.__qualname__}"


@cache
def _find(name):
    """Return a class of the table."""
    if name in _LIBRARY:
        return _LIBRARY[name]
    module, _, name = name.rpartition(".")
    return getattr(import_module(module), name, None)


def put_together(name, params, state):
    """Make an object of a known class, and check it.

    Parameters
    ----------
    name : str
        Name of the class in the table.
    params, state : dict of str to object
        Parameters of the constructor, and attributes.

    Returns
    -------
    made : object
        The object.

    Raises
    ------
    ValueError
        If the class is not in the table, or its parameters or attributes are invalid.
    """
    spec = _STATES.get(name) if isinstance(name, str) else None
    if spec is None:
        raise ValueError(f"{name!r} is not a class that a file may contain")
    kind = _find(name)
    try:
        if not hasattr(kind, "get_params"):
            spec.check_attributes(state, {})
            made = kind.__new__(kind)
            spec.put_together(made, state)
            if spec.check is not None:
                spec.check(made)
            return made
        return _put_estimator_together(name, kind, spec, params, state)
    except ValueError as error:
        # The innermost object is the invalid one.
        if getattr(error, "is_explained", False):
            raise
        explained = ValueError(f"{name}: {error}")
        explained.is_explained = True
        raise explained from error


def _put_estimator_together(name, kind, spec, params, state):
    made = kind(**params)
    n_jobs = params.get("n_jobs")
    if n_jobs is not None:
        Number("i", -_MOST_JOBS, _MOST_JOBS).check(n_jobs, {})
    output = state.pop(_OUTPUT, None)
    if output is not None:
        made.set_output(transform=output.get("transform"))
    if state or name in _CONTAINERS:
        check_parameters(made)
    if state:
        spec.check_attributes(state, {})
        spec.put_together(made, state)
        if spec.check is not None:
            spec.check(made)
        n_outputs = _n_outputs(made)
        if n_outputs is not None and n_outputs > _MOST_COLUMNS:
            raise ValueError(f"it returns {n_outputs:,} columns")
    _check_steps(made)
    return made


def _check_steps(estimator):
    """Raise if the numbers of channels are inconsistent between steps."""
    if isinstance(estimator, Pipeline):
        n_columns = None
        for _, step in estimator.steps:
            if step is None or step == "passthrough":
                continue
            _check_channels(step, n_columns)
            n_columns = _n_outputs(step)
    elif isinstance(estimator, FeatureUnion):
        widths = {
            width
            for _, part in estimator.transformer_list
            if (width := getattr(part, "n_features_in_", None)) is not None
        }
        if len(widths) > 1:
            raise ValueError(f"parts have {sorted(widths)} channels")


def _check_channels(step, n_columns):
    expected = getattr(step, "n_features_in_", None)
    if None not in (expected, n_columns) and expected != n_columns:
        raise ValueError(
            f"a {type(step).__name__} of {expected} channels gets {n_columns}"
        )


def _n_outputs(step):
    """Return the number of output columns of a fitted transformer, None if unknown."""
    if isinstance(step, Pipeline) and step.steps:
        return _n_outputs(step.steps[-1][1])
    n_features = getattr(step, "n_features_in_", None)
    if n_features is None:
        return None
    if isinstance(step, WindowTransformer):
        return (step.n_context_ + 1) * n_features
    if type(step).__name__ in _AS_MANY:
        return n_features
    for name in ("components_", "random_offset_"):
        if hasattr(step, name):
            return len(getattr(step, name))
    return None
