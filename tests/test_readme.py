# SPDX-License-Identifier: MIT
"""The README's code runs, and its commands are those of the package."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def blocks():
    return re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


def test_the_code_runs(blocks, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert re.fullmatch(r"\d+ rows flagged, the first is \d+: \[.*\]\n", printed)
    # The figures depend on the machine; what the text below them says does not.
    events = names["machine"].events.iloc[2:4]
    assert events[["start", "end"]].to_numpy().tolist() == [
        [33033, 33078],
        [33472, 33497],
    ]
    rows = names["test"].index[names["flagged"]]
    for event in events.itertuples():
        assert ((rows >= event.start) & (rows <= event.end + 20)).any()
    assert {*names["worst"]} & {*events.channels.sum()}
    assert names["search"].get_params()["cv"].n_splits == 3


def test_it_gives_the_two_commands():
    lines = README.read_text().splitlines()
    assert "pip install . && tsanomaly demo" in lines
    assert 'pip install ".[test]" && pytest' in lines
