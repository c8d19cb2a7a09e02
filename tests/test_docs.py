# SPDX-License-Identifier: MIT
"""The API reference is complete, and the code of the documentation runs."""

import ast
import importlib
import os
import pkgutil
import re
import sys
import tomllib
from functools import partial
from inspect import getdoc, isclass, ismodule
from pathlib import Path
from runpy import run_path
from textwrap import dedent

import matplotlib.pyplot as plt
import pytest
import yaml
from numpydoc.docscrape import ClassDoc
from sklearn.model_selection import GridSearchCV

import tsanomaly
from tsanomaly import set_compilation_cache
from tsanomaly.datasets import make_sensor_data

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# Pages whose code has tests of its own, which also look at what it does.
TESTED_ELSEWHERE = {"fleets_and_clusters", "missing_data", "production"}
PAGES = sorted(
    path
    for pattern in ("*.md", "user_guide/*.md", "about/*.md")
    for path in DOCS.glob(pattern)
    if "```python" in path.read_text() and path.stem not in TESTED_ELSEWHERE
)

FILES = {"tsanomaly.json", "sensor_health.csv"}  # no names of Python


def public_modules():
    yield tsanomaly
    for module in pkgutil.walk_packages(tsanomaly.__path__, "tsanomaly."):
        if not any(part.startswith("_") for part in module.name.split(".")):
            yield importlib.import_module(module.name)


def test_the_api_reference_lists_every_public_name_once():
    listed, module = [], None
    for line in (DOCS / "api" / "index.rst").read_text().splitlines():
        if found := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = found.group(1)
        elif found := re.match(r"\.\. py:data:: (\S+)", line):
            listed.append(found.group(1))
        elif found := re.fullmatch(r"   (\w+)", line):
            listed.append(f"{module}.{found.group(1)}")
    public = [
        f"{module.__name__}.{name}"
        for module in public_modules()
        for name in module.__all__
        if not ismodule(getattr(module, name))
    ]
    assert sorted(listed) == sorted(public)


def texts_in_code_font():
    """What pages and docstrings set in code font, with the file it stands in."""
    texts = [
        (path, path.read_text())
        for pattern in ("docs/**/*.md", "docs/**/*.rst", "*.md")
        for path in ROOT.glob(pattern)
        if "_build" not in path.parts
    ]
    for path, tree in sources():
        texts += [
            (path, ast.get_docstring(node) or "")
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        ]
    for path, text in texts:
        for code in re.findall(r"```.*?```|``.+?``|`[^`]+`", text, flags=re.DOTALL):
            yield path.relative_to(ROOT).as_posix(), code


def sources():
    for path in ROOT.glob("tsanomaly/**/*.py"):
        yield path, ast.parse(path.read_text())


def documented_attributes(estimator):
    return {attribute.name for attribute in ClassDoc(estimator)["Attributes"]}


def test_fitted_attributes_that_texts_name_are_documented():
    public = [
        getattr(module, name) for module in public_modules() for name in module.__all__
    ]
    estimators = [
        value
        for value in public
        if isclass(value) and "Attributes\n---" in (getdoc(value) or "")
    ]
    known = set().union(*map(documented_attributes, [*estimators, GridSearchCV]))
    named = {
        (name, path)
        for path, code in texts_in_code_font()
        for name in re.findall(r"(?<!\w)[a-z]\w*[a-z0-9]_(?![\w*{])", code)
    }
    assert {"offset_", "n_context_", "best_params_"} <= {name for name, _ in named}
    assert [pair for pair in sorted(named) if pair[0] not in known] == []


def test_public_names_that_texts_use_exist():
    """`ReconstructionThreshold.with_threshold`, `datasets.load_nab` and their like."""
    public = {"tsanomaly": tsanomaly}
    for module in public_modules():
        public |= {name: getattr(module, name) for name in module.__all__}
    checked, unknown = set(), []
    for path, code in texts_in_code_font():
        for dotted in re.findall(r"(?<![\w./-])[A-Za-z]\w*(?:\.[A-Za-z]\w*)+", code):
            first, *others = dotted.split(".")
            if first not in public or dotted in FILES:
                continue
            checked.add(dotted)
            value = public[first]
            for name in others:
                if not hasattr(value, name):
                    if not (isclass(value) and name in documented_attributes(value)):
                        unknown.append((dotted, path))
                    break
                value = getattr(value, name)
    assert "ReconstructionThreshold.with_threshold" in checked
    assert unknown == []


def test_dependencies_are_used_and_have_a_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    table = contributing.partition("## Dependencies")[2]
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", table, flags=re.MULTILINE)

    def names_of(requirements):
        names = {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}
        return names - {"tsanomaly"}

    required = names_of(project["dependencies"])
    extra = set().union(*map(names_of, project["optional-dependencies"].values()))
    listed = {
        name for packages, _ in rows for name in re.findall(r"[a-z][\w-]*", packages)
    }
    assert required | extra <= listed
    imported = set()
    for _, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
    imported -= {"tsanomaly", *sys.stdlib_module_names}
    packages = {"sklearn": "scikit-learn", "paho": "paho-mqtt"}
    imported = {packages.get(name, name) for name in imported}
    assert required <= imported
    # What is imported but not declared comes with a package whose row says so.
    reasons = " ".join(reason for _, reason in rows)
    brought = set(re.findall(r"brings (\w+)(?:,| and (\w+))?", reasons))
    assert imported - required - extra <= {name for pair in brought for name in pair}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_code_of_a_page_runs(
    path, tmp_path, monkeypatch, request, shorten_training
):
    """In a folder with readings of the reader, and with networks that learn little."""
    monkeypatch.chdir(tmp_path)
    make_sensor_data(200, random_state=0).frame.to_csv("plant.csv", index_label="time")
    shorten_training()
    cache = os.environ["JAX_COMPILATION_CACHE_DIR"]  # a page sets another one
    request.addfinalizer(partial(set_compilation_cache, cache))
    names = {}
    text = path.read_text()
    for block in re.finditer(
        r"^ *```python\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE
    ):
        above = "\n" * text.count("\n", 0, block.start(1))  # for lines in tracebacks
        exec(compile(above + dedent(block.group(1)), str(path), "exec"), names)
    plt.close("all")


def test_no_text_installs_another_project():
    """The name belongs to another project on the public package index."""
    command = re.compile(r"""pip install (?:-\S+ )*["']?tsanomaly\b""")
    assert command.search('pip install "tsanomaly[dask]"')
    assert command.search("pip install --upgrade tsanomaly.")
    texts = [
        path
        for pattern in ("*.md", "docs/**/*.md", "docs/**/*.rst", "tsanomaly/**/*.py")
        for path in ROOT.glob(pattern)
    ]
    texts += [ROOT / "docs" / "conf.py", *ROOT.glob("examples/**/*.py")]
    found = [
        (path.relative_to(ROOT).as_posix(), line)
        for path in texts
        for line in path.read_text().splitlines()
        if command.search(line.replace("\\", ""))
    ]
    assert found == []


def test_dead_links_of_the_site_are_found(tmp_path):
    problems = run_path(str(ROOT / ".ci" / "check_site.py"))["problems"]
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.png").touch()
    (tmp_path / "sub" / "b.html").write_text('<p id="there">')
    (tmp_path / "index.html").write_text(
        '<a href="sub/b.html#there"><a href="#here"><p id="here"><img src="a.png">'
        '<a href="https://example.org/no">'
    )
    assert list(problems(tmp_path)) == []
    (tmp_path / "sub" / "b.html").write_text(
        '<a href="c.html"><a href="../index.html#no"><img src="../b.png">'
    )
    assert list(problems(tmp_path)) == [
        "index.html: sub/b.html#there leads to no anchor",
        "sub/b.html: ../b.png leads to no file",
        "sub/b.html: ../index.html#no leads to no anchor",
        "sub/b.html: c.html leads to no file",
    ]


def test_the_citation_is_complete():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    # The keys that the Citation File Format 1.2.0 requires.
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == [{"name": "The tsanomaly developers"}]
    assert citation["version"] == tsanomaly.__version__
    assert citation["license"] == "MIT"
