# SPDX-License-Identifier: MIT
"""Objects of types that must be trusted explicitly.

They are saved in JSON as pickle would save them: the full name of the callable that
rebuilds the object, and its arguments. Names that are not trusted are not imported.
"""

import copyreg
import sys
from importlib import import_module
from types import FunctionType

import numpy as np

__all__ = ["find", "full_names", "names_in", "put_together", "take_apart"]

# Kinds of nodes, and their keys whose values are dicts with arbitrary keys.
_DICTS = {
    frozenset({"dict"}): {"dict"},
    frozenset({"class", "params", "state"}): {"params", "state"},
    frozenset({"scorer", "arguments"}): {"arguments"},
}


def take_apart(value, writer):
    """Describe an object of an unknown class.

    Parameters
    ----------
    value : object
        The value.
    writer : Writer
        Describes the parts of the object.

    Returns
    -------
    node : dict
        A name, or a call.

    Raises
    ------
    TypeError
        If the object cannot be taken apart, or cannot be imported by name.
    """
    if isinstance(value, type | FunctionType | np.ufunc) or (
        callable(value) and hasattr(value, "__qualname__")
    ):
        return {"name": _importable_name(value)}
    if isinstance(value, bytes):  # taking bytes apart would never end
        raise TypeError(f"{value!r} are bytes")
    taken_apart = value.__reduce_ex__(2)
    if isinstance(taken_apart, str):
        return {"name": _importable_name(value)}
    call, arguments, state, items, pairs = (*taken_apart, None, None, None)[:5]
    if call is copyreg.__newobj__:
        kind, *arguments = arguments
        name = f"{_importable_name(kind)}.__new__"
    else:
        name = _importable_name(call)
    return {
        "call": name,
        "arguments": [writer.write(argument) for argument in arguments],
        "state": writer.write(state),
        "items": [writer.write(item) for item in items or ()],
        "pairs": [writer.write(pair) for pair in pairs or ()],
    }


def _importable_name(value):
    """Return the full name of a type or function, or raise if it is not importable."""
    module, name = value.__module__, value.__qualname__
    if module is None:  # for builtin methods and old ufuncs
        module = "numpy" if isinstance(value, np.ufunc) else ""
    if getattr(sys.modules.get(module), name, None) is not value:
        raise TypeError(f"{value!r} cannot be found by its name")
    return f"{module}.{name}"


def put_together(call, arguments, state, items, pairs):
    """Rebuild an object: the inverse of `take_apart`."""
    made = call(*arguments)
    if items:
        made.extend(items)
    for key, value in pairs:
        made[key] = value
    if state is None:
        return made
    if hasattr(made, "__setstate__"):
        made.__setstate__(state)
        return made
    own, slots = state if isinstance(state, tuple) else (state, None)
    vars(made).update(own or {})
    for name, value in (slots or {}).items():
        setattr(made, name, value)
    return made


def names_in(document):
    """Return the names in a document that must be trusted.

    Parameters
    ----------
    document : object
        Document decoded from JSON.

    Returns
    -------
    names : set of str
        Full names of types and functions.
    """
    names, pending = set(), [(document, False)]
    while pending:
        node, is_dict = pending.pop()
        if isinstance(node, list):
            pending += [(item, False) for item in node]
        elif isinstance(node, dict):
            # In dicts with arbitrary keys, "name" and "call" have no special meaning.
            free = set() if is_dict else _DICTS.get(frozenset(node), set())
            pending += [(value, key in free) for key, value in node.items()]
            for key in () if is_dict else ("name", "call"):
                if isinstance(node.get(key), str):
                    names.add(node[key].removesuffix(".__new__"))
    return names


def find(names):
    """Import types and functions that are trusted.

    Parameters
    ----------
    names : iterable of str
        Full names.

    Returns
    -------
    found : dict of str to object
        Types and functions by name. For types, also a callable that makes an empty
        object.
    """
    found = {}
    for name in names:
        module, _, own = name.rpartition(".")
        value = found[name] = getattr(import_module(module), own)
        if isinstance(value, type):
            found[f"{name}.__new__"] = _New(value)
    return found


class _New:
    """Make an object of a type without its constructor."""

    def __init__(self, kind):
        self._kind = kind

    def __call__(self, *arguments):
        return self._kind.__new__(self._kind, *arguments)


def full_names(trusted):
    """Return the full names of the types and functions that the user trusts."""
    if isinstance(trusted, (str, bytes, bool)) or not np.iterable(trusted):
        raise TypeError(
            f"trusted must be a list of types or their full names, got {trusted!r}. "
            "Pass for example trusted=['package.module.Name']."
        )
    names = set()
    for item in trusted:
        if not isinstance(item, str):
            if not (hasattr(item, "__module__") and hasattr(item, "__name__")):
                raise TypeError(
                    "trusted must hold types, functions or their full names, got "
                    f"{item!r}. Pass for example trusted=['package.module.Name']."
                )
            item = f"{item.__module__}.{item.__name__}"
        names.add(item)
    return names
