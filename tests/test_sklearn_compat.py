# SPDX-License-Identifier: MIT
"""Private names of scikit-learn are imported in one module."""

import ast
from pathlib import Path

import tsanomaly
from tests.helpers import run_python

PACKAGE = Path(tsanomaly.__file__).parent


def imported_names(tree):
    """Full names that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_private(name):
    package, *rest = name.split(".")
    return package == "sklearn" and any(part.startswith("_") for part in rest)


def test_private_names_are_imported_in_one_place():
    users = {
        path.relative_to(PACKAGE).as_posix(): names
        for path in PACKAGE.rglob("*.py")
        if (
            names := [
                name
                for name in imported_names(ast.parse(path.read_text()))
                if is_private(name)
            ]
        )
    }
    assert list(users) == ["_sklearn_compat.py"], users


def test_the_first_fit_leaves_global_random_states_alone():
    code = """
import random
import numpy as np
from sklearn.ensemble import IsolationForest
from tsanomaly import HybridDetector
before = repr((random.getstate(), np.random.get_state()))
forest = IsolationForest(n_estimators=2, random_state=0)
HybridDetector(forest, forest).fit(np.arange(60.0).reshape(-1, 2))
print(before == repr((random.getstate(), np.random.get_state())))
"""
    assert run_python(code) == "True"
