# SPDX-License-Identifier: MIT
"""Types, shapes and ranges that attributes of fitted estimators may have.

Sizes have names. A name means the same number in all attributes of an estimator: if
``n_features_in_`` is "d", an array of shape ("k", "d") has one column per feature.
"""

import math

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from tsanomaly._context import inner_steps

__all__ = [
    "ANYTHING",
    "FLAG",
    "NOTHING",
    "Array",
    "Instance",
    "Items",
    "Number",
    "Numbers",
    "Record",
    "State",
    "Text",
    "Texts",
    "check_fitted",
]


class Spec:
    """Specification of the valid values of an attribute."""

    # Whether an attribute may be missing.
    optional = False

    def check(self, value, sizes):
        """Raise unless a value is valid.

        Parameters
        ----------
        value : object
            The value.
        sizes : dict of str to int
            Sizes by name. New names are added.

        Raises
        ------
        ValueError
            With the reason why the value is invalid.
        """
        raise NotImplementedError

    def __or__(self, other):
        return _Either(self, other)

    def maybe(self):
        """Return the same spec for an attribute that may be missing."""
        spec = _Either(self)
        spec.optional = True
        return spec


class _Either(Spec):
    """A value that meets one of several specs."""

    def __init__(self, *specs):
        self.specs = specs

    def check(self, value, sizes):
        reasons = []
        for spec in self.specs:
            found = dict(sizes)
            try:
                spec.check(value, found)
            except ValueError as error:
                reasons.append(str(error))
            else:
                sizes.update(found)
                return
        raise ValueError(reasons[0])


class _Anything(Spec):
    """Any value that a file can contain without trust."""

    def check(self, value, sizes):
        pass


class _Nothing(Spec):
    def check(self, value, sizes):
        if value is not None:
            raise ValueError(f"is a {type(value).__name__}, not None")


class _Flag(Spec):
    def check(self, value, sizes):
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"is a {type(value).__name__}, not a bool")


ANYTHING, NOTHING, FLAG = _Anything(), _Nothing(), _Flag()


def _bind(size, found, sizes):
    """Raise unless a size equals the expected one, and record a new name."""
    expected = sizes.setdefault(size, found) if isinstance(size, str) else size
    if expected != found:
        name = f" ({size})" if isinstance(size, str) else ""
        raise ValueError(f"has size {found} where {expected}{name} fits")


class Number(Spec):
    """A single number.

    Parameters
    ----------
    kind : {"i", "f"}
        Integers only, or floats and integers.
    low, high : float
        Range of the number, including both ends.
    size : str or None
        Name of the size that the number defines.
    finite : bool
        Whether infinity is invalid. NaN is always invalid.
    """

    def __init__(self, kind, low=-math.inf, high=math.inf, *, size=None, finite=True):
        self.kind = kind
        self.low = low
        self.high = high
        self.size = size
        self.finite = finite

    def check(self, value, sizes):
        kinds = (int, np.integer, *((float, np.floating) if self.kind == "f" else ()))
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise ValueError(f"is a {type(value).__name__}, not a number")
        if not self.low <= value <= self.high or (
            self.finite and abs(value) == math.inf
        ):
            raise ValueError(f"is {value}, out of range")
        if self.size is not None:
            _bind(self.size, int(value), sizes)


class Array(Spec):
    """An array of numbers.

    Parameters
    ----------
    kinds : str
        Kinds of its items, as in ``dtype.kind``.
    *shape : str or int
        Sizes of the dimensions. "*" allows any size.
    finite : bool
        Whether all items must be finite. Otherwise, at least one must be.
    low, high : float or str
        Range of the items, including both ends. If `high` is the name of a size, items
        are indices below that size.
    dtype : str or None
        The only dtype allowed, or None for all.
    """

    def __init__(
        self, kinds, *shape, finite=True, low=-math.inf, high=math.inf, dtype=None
    ):
        self.kinds = kinds
        self.shape = shape
        self.finite = finite
        self.low = low
        self.high = high
        self.dtype = dtype

    def check(self, value, sizes):
        if type(value) is not np.ndarray or value.dtype.kind not in self.kinds:
            raise ValueError(f"is {_kind(value)}, not an array of numbers")
        if self.dtype is not None and value.dtype != np.dtype(self.dtype):
            raise ValueError(f"is an array of {value.dtype}, not of {self.dtype}")
        if value.ndim != len(self.shape):
            raise ValueError(f"has {value.ndim} dimensions, not {len(self.shape)}")
        for size, found in zip(self.shape, value.shape, strict=True):
            if size != "*":
                _bind(size, found, sizes)
        if value.dtype.kind == "f" and value.size:
            finite = np.isfinite(value)
            if not (finite.all() if self.finite else finite.any()):
                raise ValueError("contains NaN or infinity")
        high = sizes[self.high] - 1 if isinstance(self.high, str) else self.high
        bounded = value.size and (self.low, high) != (-math.inf, math.inf)
        if bounded and not (value.min() >= self.low and value.max() <= high):
            raise ValueError("contains numbers out of range")


class Numbers(Spec):
    """An array of numbers of any shape."""

    def __init__(self, kinds, *, finite=True):
        self.kinds = kinds
        self.finite = finite

    def check(self, value, sizes):
        n_dimensions = value.ndim if type(value) is np.ndarray else 1
        shape = ("*",) * n_dimensions
        Array(self.kinds, *shape, finite=self.finite).check(value, sizes)


class Text(Spec):
    """One of several strings, or any string."""

    def __init__(self, *options):
        self.options = options

    def check(self, value, sizes):
        if type(value) is not str or (self.options and value not in self.options):
            raise ValueError(f"is {_kind(value)}, not one of the allowed words")


class Texts(Spec):
    """An array of strings, such as feature names."""

    def __init__(self, size):
        self.size = size

    def check(self, value, sizes):
        if (
            type(value) is not np.ndarray
            or value.ndim != 1
            or not all(type(item) is str for item in value.tolist())
        ):
            raise ValueError(f"is {_kind(value)}, not an array of names")
        _bind(self.size, len(value), sizes)


class Items(Spec):
    """A list, tuple, array of objects or dict, whose items or values meet one spec."""

    def __init__(self, spec, *, size=None, kinds=(list,)):
        self.spec = spec
        self.size = size
        self.kinds = kinds

    def check(self, value, sizes):
        if type(value) not in self.kinds:
            raise ValueError(f"is {_kind(value)}")
        if self.size is not None:
            _bind(self.size, len(value), sizes)
        for item in value.values() if isinstance(value, dict) else value:
            self.spec.check(item, sizes)


class Instance(Spec):
    """An object of one of several classes, or any estimator.

    Parameters
    ----------
    *names : str
        Names of the classes, which include subclasses. Without names, an estimator of
        any class is valid.
    fitted : bool
        Whether the object, including all steps, must be fitted.
    """

    def __init__(self, *names, fitted=False):
        self.names = names
        self.fitted = fitted

    def check(self, value, sizes):
        names = {kind.__name__ for kind in type(value).__mro__}
        if self.names and not names.intersection(self.names):
            raise ValueError(f"is {_kind(value)}, not a {' or '.join(self.names)}")
        if not self.names and not hasattr(value, "fit"):
            raise ValueError(f"is {_kind(value)}, not an estimator")
        if self.fitted:
            check_fitted(value)


class Record(Spec):
    """A dict with a spec for each key.

    Parameters
    ----------
    fields : dict of str to Spec
        Specs by key.
    """

    def __init__(self, fields):
        self.fields = fields

    def check(self, value, sizes):
        if type(value) is not dict:
            raise ValueError(f"is {_kind(value)}")
        State(self.fields).check_attributes(value, sizes)


def check_fitted(estimator):
    """Raise unless an estimator is fitted, including all steps of a pipeline."""
    if isinstance(estimator, Pipeline):
        for step in inner_steps(estimator):
            check_fitted(step)
        return
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise ValueError(
            f"has a {type(estimator).__name__} that is not fitted"
        ) from None


def _kind(value):
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return f"a {type(value).__name__}"


def _own_state(estimator):
    """Return the attributes that the constructor does not set from parameters."""
    state = dict(estimator.__getstate__())
    state.pop("_sklearn_version", None)
    state.pop("_tsanomaly_version", None)
    if not hasattr(estimator, "get_params"):
        return state
    params = estimator.get_params(deep=False)
    made = vars(type(estimator)(**params))
    for name, value in made.items():
        # Some constructors also set attributes other than their parameters.
        constant = isinstance(value, (int, float, str, tuple)) or value is None
        if name in params or (constant and state.get(name, ...) == value):
            state.pop(name, None)
    return state


class State:
    """Specification of the attributes of fitted estimators of a class.

    Parameters
    ----------
    attributes : dict of str to Spec
        Specs by name of the attribute.
    left_out : tuple of str, default=()
        Attributes that are not saved, because scoring does not need them.
    check : callable or None, default=None
        Called with the estimator. Raises ValueError unless its attributes are
        consistent.
    """

    def __init__(self, attributes, *, left_out=(), check=None):
        self.attributes = attributes
        self.left_out = left_out
        self.check = check

    def take_apart(self, estimator):
        """Return the attributes to save.

        Parameters
        ----------
        estimator : object
            The estimator, or an object without parameters.

        Returns
        -------
        state : dict of str to object, or None
            Attributes by name. Subclasses return None for objects that they cannot
            save.
        """
        return {
            name: value
            for name, value in _own_state(estimator).items()
            if name not in self.left_out
        }

    def put_together(self, estimator, state):
        """Set attributes that were read and checked: the inverse of `take_apart`."""
        vars(estimator).update(state)

    def check_attributes(self, found, sizes):
        """Raise unless attributes are valid for a fitted estimator.

        Parameters
        ----------
        found : dict of str to object
            The attributes.
        sizes : dict of str to int
            Sizes by name. New names are added.
        """
        for name in found:
            if name not in self.attributes:
                raise ValueError(f"{name} is not a known attribute")
        for name, spec in self.attributes.items():
            if name in found:
                try:
                    spec.check(found[name], sizes)
                except ValueError as error:
                    raise ValueError(f"{name} {error}") from None
            elif not spec.optional:
                raise ValueError(f"{name} is missing")
