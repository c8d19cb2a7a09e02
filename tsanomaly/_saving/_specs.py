# SPDX-License-Identifier: MIT
"""What the attributes of a fitted estimator may be: their types, shapes and ranges.

Sizes have names. A name stands for the same number in all attributes of an estimator:
where ``n_features_in_`` is "d", an array of shape ("k", "d") has one column for each.
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
    """What a value may be."""

    # Whether an attribute may be missing.
    optional = False

    def check(self, value, sizes):
        """Raise unless a value is as it should be.

        Parameters
        ----------
        value : object
            The value.
        sizes : dict of str to int
            Numbers that names of sizes stand for; names that come up are added.

        Raises
        ------
        ValueError
            That says what is wrong with it.
        """
        raise NotImplementedError

    def __or__(self, other):
        return _Either(self, other)

    def maybe(self):
        """The same, of an attribute that may be missing."""
        spec = _Either(self)
        spec.optional = True
        return spec


class _Either(Spec):
    """One of several."""

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
    """Whatever a file can hold without trust."""

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
    """Raise unless a size is the one that it should be."""
    expected = sizes.setdefault(size, found) if isinstance(size, str) else size
    if expected != found:
        name = f" ({size})" if isinstance(size, str) else ""
        raise ValueError(f"has size {found} where {expected}{name} fits")


class Number(Spec):
    """One number.

    Parameters
    ----------
    kind : {"i", "f"}
        Integers, or floats and integers.
    low, high : float
        The range that it lies in, ends included.
    size : str or None
        What size it is.
    finite : bool
        Whether infinity is out of range; NaN always is.
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
        Kinds of its items, as of ``dtype.kind``.
    *shape : str or int
        Its sizes. Of "*" any goes.
    finite : bool
        Whether neither NaN nor infinity may be among them; otherwise they may not be
        all that there is.
    low, high : float or str
        The range of the items, ends included; `high` may name a size, and is then that
        of an index.
    dtype : str or None
        The only type that goes.
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
    """One of some words, or any."""

    def __init__(self, *options):
        self.options = options

    def check(self, value, sizes):
        if type(value) is not str or (self.options and value not in self.options):
            raise ValueError(f"is {_kind(value)}, not one of the allowed words")


class Texts(Spec):
    """An array of objects that are strings, as names of features are."""

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
    """A list, tuple, array of objects or dict (its values), all items of a kind."""

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
    """An object of one of some classes, given by name, or a fitted estimator.

    Parameters
    ----------
    *names : str
        Names of the classes; subclasses count. Of none, an estimator of any class.
    fitted : bool
        Whether it has to be fitted, all steps of it.
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
    """A dict of values of several kinds, each known by its key.

    Parameters
    ----------
    fields : dict of str to Spec
        By key.
    """

    def __init__(self, fields):
        self.fields = fields

    def check(self, value, sizes):
        if type(value) is not dict:
            raise ValueError(f"is {_kind(value)}")
        State(self.fields).check_attributes(value, sizes)


def check_fitted(estimator):
    """Raise unless an estimator is fitted, each step of it if it is a pipeline."""
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
    """Attributes of an object that its constructor does not set from parameters."""
    state = dict(estimator.__getstate__())
    state.pop("_sklearn_version", None)
    state.pop("_tsanomaly_version", None)
    if not hasattr(estimator, "get_params"):
        return state
    params = estimator.get_params(deep=False)
    made = vars(type(estimator)(**params))
    for name, value in made.items():
        # Some constructors set more than their parameters.
        constant = isinstance(value, (int, float, str, tuple)) or value is None
        if name in params or (constant and state.get(name, ...) == value):
            state.pop(name, None)
    return state


class State:
    """What the attributes of fitted estimators of a class may be.

    Parameters
    ----------
    attributes : dict of str to Spec
        By name.
    left_out : tuple of str, default=()
        Attributes that are not written, since scoring does not read them.
    check : callable or None, default=None
        Called with the estimator: raises ValueError unless its attributes go together.
    """

    def __init__(self, attributes, *, left_out=(), check=None):
        self.attributes = attributes
        self.left_out = left_out
        self.check = check

    def take_apart(self, estimator):
        """Attributes to be written.

        Parameters
        ----------
        estimator : object
            The estimator, or an object without parameters.

        Returns
        -------
        state : dict of str to object, or None
            By name. Subclasses return None of an object that is not as those of its
            class usually are.
        """
        return {
            name: value
            for name, value in _own_state(estimator).items()
            if name not in self.left_out
        }

    def put_together(self, estimator, state):
        """Set attributes that were read and checked; the opposite of `take_apart`."""
        vars(estimator).update(state)

    def check_attributes(self, found, sizes):
        """Raise unless attributes are those of a fitted estimator.

        Parameters
        ----------
        found : dict of str to object
            The attributes.
        sizes : dict of str to int
            Numbers that names of sizes stand for; names that come up are added.
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
