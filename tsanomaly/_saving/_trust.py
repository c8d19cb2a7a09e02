# SPDX-License-Identifier: MIT
"""Types and functions that a file may only hold for those who trust them.

They are written as `copyreg` takes objects apart for a pickle, in JSON: by full name,
what is called, and with what. Nothing is imported for a name that is not trusted.
"""

import copyreg
import sys
from importlib import import_module
from types import FunctionType

import numpy as np

__all__ = ["find", "full_names", "names_in", "put_together", "take_apart"]

# Keys of nodes whose values are dicts by the names of something.
_DICTS = {
    frozenset({"dict"}): {"dict"},
    frozenset({"class", "params", "state"}): {"params", "state"},
    frozenset({"scorer", "arguments"}): {"arguments"},
}


def take_apart(value, writer):
    """Describe an object of a class that is not known.

    Parameters
    ----------
    value : object
        The value.
    writer : Writer
        Describes what it consists of.

    Returns
    -------
    node : dict
        A name, or a call.

    Raises
    ------
    TypeError
        If it cannot be taken apart, or has no name that it can be found by.
    """
    if isinstance(value, type | FunctionType | np.ufunc) or (
        callable(value) and hasattr(value, "__qualname__")
    ):
        return {"name": _importable_name(value)}
    if isinstance(value, bytes):  # which would be taken apart into themselves
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
    """The full name of a type or function that can be found by it."""
    module, name = value.__module__, value.__qualname__
    if module is None:  # of builtin methods, and of old ufuncs
        module = "numpy" if isinstance(value, np.ufunc) else ""
    if getattr(sys.modules.get(module), name, None) is not value:
        raise TypeError(f"{value!r} cannot be found by its name")
    return f"{module}.{name}"


def put_together(call, arguments, state, items, pairs):
    """Make an object; the opposite of `take_apart`."""
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
    """Names in a document that are of use only if trusted.

    Parameters
    ----------
    document : object
        From JSON.

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
            # The values of some keys are dicts, and name what they please.
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
        By name, and of types also what makes an empty one.
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
    """Full names of types and functions, as the user gave them."""
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
