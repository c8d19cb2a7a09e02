# SPDX-License-Identifier: MIT
"""Modules import from their own layer and those above: the table of CONTRIBUTING."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import tsanomaly

PACKAGE = Path(tsanomaly.__file__).parent
GUIDE = PACKAGE.parent / "CONTRIBUTING.md"

pytestmark = pytest.mark.skipif(
    not GUIDE.is_file(), reason="the package is installed, without the guide beside it"
)


def read_layers():
    """Number of the layer of each module and folder, from the top."""
    rows = re.findall(r"^\| (\w+) \| (`.*`) \|$", GUIDE.read_text(), flags=re.M)
    names = [re.findall(r"`(\w+)/?`", row) for _, row in rows if row.startswith("`_")]
    return {name: number for number, row in enumerate(names) for name in row}


def unit(module):
    """The module, or the folder that it lies in, as the table names it."""
    return module.split(".")[1]


def modules():
    """Path of every module by its full name, but that of the package itself."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    del found["tsanomaly"]
    return found


def imports(path, known, public):
    """Modules of the package that a module imports, also inside of functions.

    A name that the package itself offers counts as the module that it comes from.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            name = public.get(name, name)
            while name.startswith("tsanomaly.") and name not in known:
                name = name.rpartition(".")[0]
            if name in known:
                yield name


@pytest.fixture(scope="module")
def graph():
    """Which modules each module imports."""
    known = modules()
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    public = {
        f"tsanomaly.{alias.name}": f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("tsanomaly")
        for alias in node.names
    }
    return {name: set(imports(path, known, public)) for name, path in known.items()}


def test_every_module_has_a_layer(graph):
    assert {unit(name) for name in graph} == set(read_layers())


def test_modules_import_from_above(graph):
    layers = read_layers()
    wrong = [
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in others
        if layers[unit(name)] < layers[unit(other)]
    ]
    assert not wrong


def test_no_imports_lead_in_a_circle(graph):
    # A folder's own __init__ gathers what its modules offer.
    inner = {
        name: {other for other in others if not name.startswith(f"{other}.")}
        for name, others in graph.items()
    }
    try:
        TopologicalSorter(inner).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_files_and_classes_stay_readable():
    """Not more of either than fits into a head, and arguments than into a line."""
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert text.count("\n") <= 700, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
                assert len(methods) <= 25, f"{path}: {node.name}"


def test_the_main_detector_has_few_parameters():
    assert len(tsanomaly.LSTMAutoencoderDetector().get_params(deep=False)) <= 15
