# SPDX-License-Identifier: MIT
"""The API reference is complete, and the code of the documentation runs."""

import importlib
import pkgutil
import re
from inspect import ismodule
from pathlib import Path
from textwrap import dedent

import matplotlib.pyplot as plt
import pytest
import yaml

import tsanomaly

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# Pages whose code has tests of its own, which also look at what it does.
TESTED_ELSEWHERE = {"fleets_and_clusters", "missing_data"}
PAGES = sorted(
    path
    for pattern in ("*.md", "user_guide/*.md", "about/*.md")
    for path in DOCS.glob(pattern)
    if "```python" in path.read_text() and path.stem not in TESTED_ELSEWHERE
)


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


@pytest.mark.full_size
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_code_of_a_page_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    text = path.read_text()
    for block in re.finditer(
        r"^ *```python\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE
    ):
        above = "\n" * text.count("\n", 0, block.start(1))  # for lines in tracebacks
        exec(compile(above + dedent(block.group(1)), str(path), "exec"), names)
    plt.close("all")


def test_the_citation_is_complete():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    # The keys that the Citation File Format 1.2.0 requires.
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == [{"name": "The tsanomaly developers"}]
    assert citation["version"] == tsanomaly.__version__
    assert citation["license"] == "MIT"
