# SPDX-License-Identifier: MIT
import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest
from numpydoc.validate import ERROR_MSGS, validate

import tsanomaly
from tests.helpers import run_python

PACKAGES = [
    "tsanomaly",
    "tsanomaly.datasets",
    "tsanomaly.distributed",
    "tsanomaly.metrics",
    "tsanomaly.plotting",
]


def public_names():
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value):
                yield f"{package}.{name}"
            if inspect.isclass(value):
                for member in vars(value):
                    if not member.startswith("_") and callable(getattr(value, member)):
                        yield f"{package}.{name}.{member}"


def test_import_is_light():
    """The package imports nothing, and what it offers imports nothing that is slow."""
    code = """
import sys
import tsanomaly
heavy = {"numpy", "pandas", "sklearn"}
print(sorted(heavy & set(sys.modules)))
for name in set(tsanomaly.__all__) - {"datasets", "distributed", "metrics", "plotting"}:
    getattr(tsanomaly, name)
heavy = {"keras", "jax", "torch", "tensorflow", "matplotlib", "skops", "dask"}
print(sorted(heavy & set(sys.modules)))
"""
    assert run_python(code).splitlines() == ["[]", "[]"]


def test_editors_are_shown_what_is_there():
    """What is imported for them alone is what the package imports when it is asked."""
    tree = ast.parse(Path(tsanomaly.__file__).read_text(encoding="utf-8"))
    shown = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        for alias in node.names
    }
    found = {
        name: getattr(tsanomaly, name).__module__
        for name in tsanomaly.__all__
        if callable(getattr(tsanomaly, name))
    }
    assert shown.keys() == found.keys()
    assert all(found[name].startswith(shown[name]) for name in shown)


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_complete_and_sorted(package):
    module = importlib.import_module(package)
    assert list(module.__all__) == sorted(module.__all__)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_public_paths_are_flat():
    for module in pkgutil.walk_packages(tsanomaly.__path__, "tsanomaly."):
        last = module.name.split(".")[-1]
        assert last.startswith("_") or module.name in PACKAGES


def test_an_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tsanomaly.nothing


# All of numpydoc's checks but these.
NOT_CHECKED = {
    "ES01": "a summary may say all there is to say",
    "EX01": "methods are shown in the example of their class",
    "RT02": "what is returned has a name, as in scikit-learn",
    "SA01": "methods have no relatives elsewhere",
}


@pytest.mark.parametrize("name", sorted(set(public_names())))
def test_docstrings(name):
    assert NOT_CHECKED.keys() <= ERROR_MSGS.keys()
    errors = [
        (code, text)
        for code, text in validate(name)["errors"]
        if code not in NOT_CHECKED
    ]
    assert not errors


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_have_an_example(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        if callable(value):
            assert ">>>" in value.__doc__, name
