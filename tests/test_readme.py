# SPDX-License-Identifier: MIT
"""The README's code runs, and its commands are those of the package."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def blocks():
    return re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


@pytest.mark.full_size
def test_the_code_runs(blocks, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert re.match(r"\d+ of 1000 rows flagged\n", printed)
    # The figures depend on the machine; what the text below them says does not.
    events = names["machine"].events.iloc[2:4]
    assert events[["start", "end"]].to_numpy().tolist() == [
        [33033, 33078],
        [33472, 33497],
    ]
    rows = names["test"].index[names["flagged"]]
    sentences = re.findall(
        r"^Rows? (\d+)(?: to (\d+))?: (ch_\d\d) .* expected .*; \d+ % of the error$",
        printed,
        flags=re.MULTILINE,
    )
    for event in events.itertuples():
        last = event.end + 20
        assert ((rows >= event.start) & (rows <= last)).any()
        channels = [
            channel
            for start, end, channel in sentences
            if int(start) <= last and int(end or start) >= event.start
        ]
        assert set(channels) & set(event.channels)
    # The example is ten lines long.
    assert len([line for line in blocks[0].splitlines() if line]) == 10
    # The table is the one that the text shows, but for what another machine rounds.
    shown = re.search(r"```\n( param_threshold.*?)```", README.read_text(), re.DOTALL)
    lines = printed[printed.index(" param_threshold") :].splitlines()
    expected = shown.group(1).splitlines()
    assert lines[0] == expected[0]
    for line, wanted in zip(lines[1:], expected[1:], strict=True):
        assert [float(value) for value in line.split()] == pytest.approx(
            [float(value) for value in wanted.split()], abs=0.03
        )


def test_it_gives_the_two_commands():
    lines = README.read_text().splitlines()
    assert "pip install . && tsanomaly demo" in lines
    assert 'pip install ".[test]" && pytest' in lines
