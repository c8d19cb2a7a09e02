# SPDX-License-Identifier: MIT
"""The code of the page "Watch machines live", and its numbers."""

import asyncio
import io
import json
import re
import shlex
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.serve.conftest import CHANNELS, as_readings, plant
from tests.serve.test_http import answer, as_body, request
from tsanomaly._cli._parser import parse
from tsanomaly._serve import _http, _outputs, _state
from tsanomaly._serve._http import Application
from tsanomaly._serve._metrics import metrics
from tsanomaly._serve._readings import Reading, ReadingFormat, Rejected

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "production.md"
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
COMMANDS = [
    line
    for _, block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith(("tsanomaly ", "curl "))
]
OBJECTS = [block for _, block in BLOCKS if block.startswith("{")]
(KAFKA,) = (block for language, block in BLOCKS if language == "python")


class Over(Exception):
    """The topic holds no more."""


def test_every_block_is_looked_at():
    n_looked_at = sum(
        block.startswith(("tsanomaly ", "curl ", "{")) or language == "python"
        for language, block in BLOCKS
    )
    assert n_looked_at == len(BLOCKS) > 5


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command, tmp_path, monkeypatch, watch):
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(command)
    if program == "tsanomaly":
        Path("plant.csv").touch()
        Path("recent.csv").touch()
        assert parse(words).command in ("train", "watch")
        return
    option, file, address = words
    assert (option, file) == ("--data-binary", "@readings.csv")
    app = Application(watch, lambda: None)
    body = plant(5).to_csv().encode()
    scope = request("POST", address.removeprefix("http://127.0.0.1:8080"), body)
    assert asyncio.run(answer(app, *scope))[0] == 200


def test_objects_are_such_as_there_are(watch):
    event, reading = OBJECTS
    named = set(re.findall(r'"(\w+)":', event))
    assert named <= watch.take(as_readings(plant())).events[0].keys()
    found = ReadingFormat(CHANNELS).read(json.loads(reading))
    assert isinstance(found, Reading)
    assert found.values == [3.2, 2.7]


def test_the_loop_for_kafka(watch, monkeypatch):
    """It sends again until there is an answer, and commits what was answered."""
    frame = plant(60)
    app = Application(watch, lambda: None)
    committed, sent, failures = [], [], [503, OSError("away"), 429]

    class Consumer:
        """Two parts of a topic, and a time without records between them."""

        def __init__(self, topic, **options):
            assert (topic, options["enable_auto_commit"]) == ("plant", False)
            values = [json.dumps(row).encode() for row in as_body(frame)]
            records = [SimpleNamespace(value=value) for value in values]
            self._parts = [{0: records[:20]}, {}, {0: records[20:30], 1: records[30:]}]

        def poll(self, milliseconds, max_records):
            if not self._parts:
                raise Over
            return self._parts.pop(0)

        def commit(self):
            committed.append(watch.counts["accepted"])

    def open_url(url, body, timeout):
        sent.append(len(body))
        if failures:
            failure = failures.pop()
            if isinstance(failure, OSError):
                raise failure
            raise urllib.error.HTTPError(url, failure, "", {}, None)
        path = url.removeprefix("http://127.0.0.1:8080")
        status, _, told = asyncio.run(answer(app, *request("POST", path, body)))
        assert status == 200
        return closing(io.BytesIO(told))

    kafka = ModuleType("kafka")
    kafka.KafkaConsumer = Consumer
    monkeypatch.setitem(sys.modules, "kafka", kafka)
    monkeypatch.setattr(urllib.request, "urlopen", open_url)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(Over):
        exec(compile(KAFKA, str(PAGE), "exec"), {"__name__": "loop"})
    assert committed == [20, 60]
    assert len(sent) == 2 + 3
    assert watch.find("machine").n_readings == 60


def test_numbers_and_names_are_those_of_the_code(watch):
    text = PAGE.read_text()
    for number in (_http._MOST_WAITING, _state._ALARMS_KEPT, _state._EVENTS_KEPT):
        assert f"{number:,}" in text
    for seconds in (_http._PATIENCE, _outputs._TIMEOUT):
        assert f"{seconds} seconds" in text
    watch.take([*as_readings(plant(5)), Rejected("malformed", "?")])
    told = metrics(watch, 0, {503: 1})
    for name in re.findall(r"tsanomaly_\w+", text):
        assert name in told
