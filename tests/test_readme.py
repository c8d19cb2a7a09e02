# SPDX-License-Identifier: MIT
"""The README's code runs, and its commands are those of the package."""

import ast
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
    # The figures depend on the machine; what the text below them says does not.
    incidents, alarms = names["machine"].events, names["alarms"]
    shown = capsys.readouterr().out.splitlines()
    assert shown == alarms["sentence"].head(5).tolist()
    assert len(names["flagged"]) == len(names["test"])
    printed = re.findall(r"^Rows? (\d+).*: (ch_\d\d)", README.read_text(), flags=re.M)
    found = [
        re.match(r"Rows? (\d+).*: (ch_\d\d)", text).groups()
        for text in alarms["sentence"]
    ]
    assert len(printed) == 5
    assert len(set(printed) & set(found)) >= 3  # on other processors some differ
    hits = [
        (alarm, incident)
        for alarm in alarms.itertuples()
        for incident in incidents.itertuples()
        if alarm.start <= incident.end and alarm.end >= incident.start
    ]
    assert len({incident.start for _, incident in hits}) >= 7
    assert len(alarms) - len({alarm.start for alarm, _ in hits}) <= 3
    named = [
        re.match(r"Rows? \d+(?: to \d+)?: (ch_\d\d) .* expected", alarm.sentence)[1]
        in incident.channels
        for alarm, incident in hits
    ]
    assert sum(named) >= 6
    # Six lines find a fault and name the sensor.
    code = ast.parse(blocks[0]).body
    assert len([node for node in code if not isinstance(node, ast.ImportFrom)]) == 6


def test_it_is_short():
    assert len(README.read_text().split()) <= 900


def test_it_gives_the_two_commands():
    lines = README.read_text().splitlines()
    assert "pip install . && tsanomaly demo" in lines
    assert 'pip install ".[test]" && pytest' in lines
