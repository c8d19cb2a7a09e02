# SPDX-License-Identifier: MIT
"""Convert a model to JSON and arrays, and back.

In JSON, null, booleans, finite numbers, strings and lists represent themselves. All
other values are objects whose keys identify the type:

==================================  ====================================================
keys                                value
==================================  ====================================================
``float``                           "nan", "inf" or "-inf"
``tuple``                           a tuple
``dict``                            a dict, whose keys are strings
``slice``                           a slice
``array``                           an array: the name of its member
``scalar``, ``value``               a numpy scalar, by its dtype
``strings``, ``shape``              an array of strings
``objects``, ``shape``              an array of objects
``records``, ``offsets``, ``size``  an array of records: its fields and their offsets
``masked``, ``mask``, ``fill``      a masked array
``dtype`` or ``type``               a dtype, or the type of a NumPy scalar
``function``                        a function of a short list; it is not called
``scorer``, ``arguments``           a scorer, see `_scorers`
``class``, ``params``, ``state``    an object of a class in the table of known classes
``parts``                           models of a fleet: their number of files
``name``; ``call``, ``arguments``,  an object of an unknown class that must be
``state``, ``items``, ``pairs``     trusted, see `_trust`
==================================  ====================================================
"""

import copy
import math
from collections import UserList

import numpy as np

from tsanomaly._saving import _trust
from tsanomaly._saving._arrays import is_plain, read_array, read_dtype, write_array
from tsanomaly._saving._json import MOST_DEPTH
from tsanomaly._saving._known import put_together, take_apart
from tsanomaly._saving._parts import Parts, SavedModels
from tsanomaly._saving._scorers import describe_scorer, make_scorer

__all__ = ["Reader", "Writer"]

# Maximum number of nodes to write. Lists that contain each other would have no end.
_MOST_NODES = 5_000_000

_INFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}

# Elementwise functions of NumPy, for a FunctionTransformer.
_FUNCTIONS = (
    *("abs", "absolute", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh"),
    *("cbrt", "ceil", "cos", "cosh", "deg2rad", "degrees", "exp", "exp2", "expm1"),
    *("fabs", "floor", "log", "log10", "log1p", "log2", "nan_to_num", "negative"),
    *("positive", "rad2deg", "radians", "reciprocal", "rint", "round", "sign", "sin"),
    *("sinh", "sqrt", "square", "tan", "tanh", "trunc"),
)

# Larger integers overflow in compiled code.
_LARGEST_INTEGER = 2**63 - 1

# Maximum number of characters of an array of strings.
_MOST_CHARACTERS = 1_000_000

# Maximum nesting depth of pipelines. scikit-learn asks each pipeline for its tags three
# times, and each time the pipelines inside it, so the time grows exponentially.
_MOST_PIPELINES = 4

# Types that estimators take as a parameter.
_TYPES = {kind.__name__: kind for kind in (bool, int, float, str)} | {
    f"numpy.{name}": getattr(np, name)
    for name in ("bool_", "float32", "float64", "int32", "int64")
}


class Writer:
    """Describe a model.

    Parameters
    ----------
    members : dict of str to bytes
        Arrays by name of their member. Those of the model are added.
    """

    def __init__(self, members):
        self._members = members
        self._n_nodes = 0
        self._depth = 0

    def write(self, value):
        """Describe a value.

        Parameters
        ----------
        value : object
            The value.

        Returns
        -------
        node : object
            A JSON-serialisable description.

        Raises
        ------
        TypeError
            If the value cannot be written without code, or refers to itself.
        """
        self._n_nodes += 1
        self._depth += 1
        # A node may take two levels of JSON.
        if self._depth > MOST_DEPTH // 2 or self._n_nodes > _MOST_NODES:
            raise TypeError(
                f"it has more than {MOST_DEPTH // 2} levels or {_MOST_NODES:,} parts, "
                "or refers to itself"
            )
        node = self._node(value)
        self._depth -= 1
        return node

    def _node(self, value):
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if isinstance(value, Parts):
            return {"parts": len(value)}
        if isinstance(value, SavedModels):
            value, kind = list(value), list
        if isinstance(value, UserList):  # list of columns in ColumnTransformer
            value, kind = value.data, list
        if kind.__module__.partition(".")[0] == "pandas" and hasattr(value, "tolist"):
            value, kind = value.tolist(), list  # an index of columns
        if kind is list:
            return [self.write(item) for item in value]
        if kind is tuple:
            return {"tuple": [self.write(item) for item in value]}
        if kind is dict and all(type(key) is str for key in value):
            return {"dict": self.write_all(value)}
        if kind is slice:
            parts = value.start, value.stop, value.step
            return {"slice": [self.write(part) for part in parts]}
        if isinstance(value, np.generic | np.ndarray | np.dtype):
            node = self._numpy_node(value)
            if node is not None:
                return node
        if isinstance(value, np.random.RandomState | np.random.Generator):
            # The seed is drawn from a copy, so that saving does not change the model.
            generator = copy.deepcopy(value)
            draw = getattr(generator, "integers", None) or generator.randint
            return int(draw(2**31 - 1))
        for name, known in _TYPES.items():
            if value is known:
                return {"type": name}
        for name in _FUNCTIONS:
            if value is getattr(np, name):
                return {"function": f"numpy.{name}"}
        scorer = describe_scorer(value)
        if scorer is not None:
            name, arguments = scorer
            return {"scorer": name, "arguments": self.write_all(arguments)}
        parts = take_apart(value)
        if parts is not None:
            name, params, state = parts
            return {
                "class": name,
                "params": self.write_all(params),
                "state": self.write_all(state),
            }
        return _trust.take_apart(value, self)

    def write_all(self, values):
        """Describe the values of a dict."""
        return {name: self.write(value) for name, value in values.items()}

    def _numpy_node(self, value):
        if isinstance(value, np.dtype):
            return {"dtype": value.str} if _is_plain_dtype(value) else None
        if type(value) is np.str_:
            return str(value)
        if isinstance(value, np.generic):
            if not is_plain(value) or value.dtype.kind == "M":
                return None
            return {"scalar": value.dtype.str, "value": self.write(value.item())}
        if type(value) is np.ma.MaskedArray:
            return {
                "masked": self.write(value.data),
                "mask": self.write(np.ma.getmaskarray(value)),
                "fill": self.write(value.fill_value),
            }
        if type(value) is np.ndarray and value.dtype.kind in "UO":
            items = [self.write(item) for item in value.ravel().tolist()]
            key = "strings" if value.dtype.kind == "U" else "objects"
            return {key: items, "shape": list(value.shape)}
        if type(value) is np.ndarray and value.dtype.names and value.ndim == 1:
            offsets = [value.dtype.fields[name][1] for name in value.dtype.names]
            return {
                "records": {
                    name: self.write(value[name]) for name in value.dtype.names
                },
                "offsets": offsets,
                "size": value.dtype.itemsize,
            }
        if isinstance(value, np.ndarray) and is_plain(value):
            name = f"{len(self._members)}.npy"
            self._members[name] = write_array(value)
            return {"array": name}
        return None


def _is_plain_dtype(dtype):
    return is_plain(np.empty(0, dtype))


class Reader:
    """Rebuild a model from the description of a `Writer`.

    Parameters
    ----------
    members : dict of str to bytes
        Arrays by name of their member. Each is removed when it is read.
    trusted : dict of str to object
        Further types and functions that are allowed.
    most_objects : int
        Maximum number of objects of known classes.
    models : SavedModels or None, default=None
        The models of a fleet.

    Attributes
    ----------
    n_left : int
        Number of objects that may still be made.
    """

    def __init__(self, members, trusted, most_objects, models=None):
        self._members = members
        self._trusted = trusted
        self._models = models
        self.n_left = most_objects
        self._n_pipelines = 0  # nesting depth of pipelines
        self._by_keys = {
            frozenset(keys.split()): read
            for keys, read in {
                "float": lambda float: _INFINITE[float],
                "tuple": lambda tuple: (*self._list(tuple),),
                "dict": lambda dict: self.read_all(dict),
                "slice": lambda slice: _make_slice(self._list(slice)),
                "array": self._array,
                "parts": self._parts,
                "scalar value": self._scalar,
                "strings shape": self._strings,
                "objects shape": self._objects,
                "masked mask fill": self._masked,
                "records offsets size": self._records,
                "dtype": lambda dtype: read_dtype(dtype),
                "type": lambda type: _TYPES[type],
                "function": self._function,
                "scorer arguments": self._scorer,
                "class params state": self._object,
                "name": self._name,
                "call arguments state items pairs": self._call,
            }.items()
        }

    def read(self, node):
        """Make a value from its description.

        Parameters
        ----------
        node : object
            Description, decoded from JSON.

        Returns
        -------
        value : object
            The value.

        Raises
        ------
        ValueError, KeyError
            If the description is invalid or inconsistent, or names a type that is
            neither known nor trusted.
        """
        if isinstance(node, list):
            return self._list(node)
        if not isinstance(node, dict):
            if isinstance(node, int) and abs(node) > _LARGEST_INTEGER:
                raise ValueError(f"{node} is not a 64-bit integer")
            return node
        read = self._by_keys.get(frozenset(node))
        if read is None:
            raise ValueError(f"nothing is described by {sorted(node)[:5]}")
        return read(**node)

    def read_all(self, nodes):
        """Make the values of a dict."""
        if not isinstance(nodes, dict):
            raise ValueError("names and values are not those of a dict")
        return {name: self.read(node) for name, node in nodes.items()}

    def finish(self):
        """Raise if a member was not used."""
        if self._members:
            raise ValueError(f"{min(self._members)} is not used")
        if self._models:
            raise ValueError("models are not used")

    def _list(self, nodes):
        if not isinstance(nodes, list):
            raise ValueError("items are not those of a list")
        return [self.read(node) for node in nodes]

    def _array(self, array):
        if not isinstance(array, str) or array not in self._members:
            raise ValueError(f"{array!r} is missing, or belongs to two arrays")
        return read_array(self._members.pop(array))

    def _parts(self, parts):
        models, self._models = self._models, None
        if models is None or type(parts) is not int or parts != len(models):
            raise ValueError(f"{parts!r} models are missing, or belong to two fleets")
        return models

    def _scalar(self, scalar, value):
        value = self.read(value)
        if not isinstance(value, bool | int | float):
            raise ValueError(f"{value!r} is not a number")
        return read_dtype(scalar).type(value)

    def _strings(self, strings, shape):
        shape = _shape(shape, strings)
        if not all(type(item) is str for item in strings):
            raise ValueError("an array of strings contains something else")
        # Each string takes as much memory as the longest one.
        if len(strings) * max(map(len, strings), default=0) > _MOST_CHARACTERS:
            raise ValueError("an array of strings is larger than any that is written")
        return np.array(strings, dtype=str).reshape(shape)

    def _objects(self, objects, shape):
        shape, flat = _shape(shape, objects), np.empty(len(objects), dtype=object)
        flat[:] = self._list(objects)
        return flat.reshape(shape)

    def _masked(self, masked, mask, fill):
        data, mask = self.read(masked), self.read(mask)
        if getattr(data, "shape", None) != getattr(mask, "shape", ()):
            raise ValueError("a mask has another shape than its array")
        return np.ma.MaskedArray(data, mask, fill_value=self.read(fill))

    def _records(self, records, offsets, size):
        fields = self.read_all(records)
        lengths = {len(field) for field in fields.values()}
        needed = sum(field.itemsize for field in fields.values())
        # The gaps between fields are only for alignment.
        if (
            len(lengths) != 1
            or type(size) is not int
            or size > needed + 8 * len(fields)
        ):
            raise ValueError("fields of records do not go together")
        dtype = np.dtype(
            {
                "names": list(fields),
                "formats": [field.dtype for field in fields.values()],
                "offsets": offsets,
                "itemsize": size,
            }
        )
        made = np.zeros(lengths.pop(), dtype)
        for name, field in fields.items():
            made[name] = field
        return made

    def _function(self, function):
        package, _, name = str(function).partition(".")
        if package != "numpy" or name not in _FUNCTIONS:
            raise ValueError(f"{function!r} is not a known function")
        return getattr(np, name)

    def _scorer(self, scorer, arguments):
        return make_scorer(scorer, self.read_all(arguments))

    def _object(self, params, state, **name):
        name = name["class"]  # `class` cannot be a parameter
        is_pipeline = name == "sklearn.pipeline.Pipeline"
        self.n_left -= 1
        self._n_pipelines += is_pipeline
        if self.n_left < 0 or self._n_pipelines > _MOST_PIPELINES:
            raise ValueError("objects are too many, or too deep inside each other")
        params, state = self.read_all(params), self.read_all(state)
        self._n_pipelines -= is_pipeline
        return put_together(name, params, state)

    def _name(self, name):
        return self._trusted[name]

    def _call(self, call, arguments, state, items, pairs):
        return _trust.put_together(
            self._trusted[call],
            self._list(arguments),
            self.read(state),
            self._list(items),
            self._list(pairs),
        )


def _make_slice(parts):
    if len(parts) != 3 or not all(
        type(part) in (int, str, type(None)) for part in parts
    ):
        raise ValueError("a slice has parts other than three numbers or names")
    return slice(*parts)


def _shape(shape, items):
    """Return a shape as a list, and raise unless it matches the number of items."""
    if (
        not isinstance(shape, list)
        or not isinstance(items, list)
        or not all(type(size) is int and size >= 0 for size in shape)
        or len(shape) > 8
        or math.prod(shape) != len(items)
    ):
        raise ValueError(f"an array of shape {shape!r} has other items")
    return shape
