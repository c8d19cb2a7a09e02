# SPDX-License-Identifier: MIT
"""Events are delivered in order and once, and wait for unreachable receivers."""

import json
import os
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tsanomaly._parameter_error import ParameterError
from tsanomaly._serve._outputs import (
    Deliveries,
    FileOutput,
    LinesOutput,
    WebhookOutput,
)
from tsanomaly._serve._state import State


@pytest.fixture
def state():
    state = State(None, "model")
    yield state
    state.close()


def add(state, *alarms):
    with state.writing():
        for alarm in alarms:
            state.add_event({"type": "raised", "alarm": alarm})


def alarms(path):
    return [json.loads(text)["alarm"] for text in path.read_text().splitlines()]


def test_lines_are_printed_once(state):
    lines = []
    deliveries = Deliveries(state, [LinesOutput(lines.append)], pytest.fail)
    add(state, 1, 2)
    deliveries.tell()
    deliveries.tell()
    assert [json.loads(text)["event"] for text in lines] == [1, 2]
    assert deliveries.n_waiting() == {"the output of lines": 0}


def test_a_new_place_gets_what_comes_from_then_on(state, tmp_path):
    add(state, 1)
    deliveries = Deliveries(state, [FileOutput(tmp_path / "a.jsonl")], pytest.fail)
    add(state, 2)
    deliveries.tell()
    assert alarms(tmp_path / "a.jsonl") == [2]


def test_a_file_is_gone_on_with_whatever_a_kill_left(state, tmp_path):
    path = tmp_path / "a.jsonl"
    deliveries = Deliveries(state, [FileOutput(path)], pytest.fail)
    add(state, 1, 2)
    deliveries.tell()
    # Written, but not noted; and a line that was cut.
    output = FileOutput(path)
    state.set_told(output.name, 1)
    with open(path, "a") as file:
        file.write('{"event": 3, "wat')
    add(state, 3)
    Deliveries(state, [output], pytest.fail).tell()
    assert alarms(path) == [1, 2, 3]


def test_a_file_of_another_watch_is_added_to(state, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"event": 99, "watch": "another", "alarm": 0}\n')
    deliveries = Deliveries(state, [FileOutput(path)], pytest.fail)
    add(state, 1)
    deliveries.tell()
    assert alarms(path) == [0, 1]


def test_threads_that_tell_at_once_tell_once(state):
    lines = []

    def slowly(text):
        time.sleep(0.01)
        lines.append(json.loads(text)["event"])

    deliveries = Deliveries(state, [LinesOutput(slowly)], pytest.fail)
    add(state, 1, 2)
    threads = [threading.Thread(target=deliveries.tell) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines == [1, 2]


def test_what_cannot_be_written_is_warned_of_once_and_waits(
    state, tmp_path, monkeypatch
):
    path, said = tmp_path / "a.jsonl", []
    deliveries = Deliveries(state, [FileOutput(path)], said.append)
    add(state, 1)
    deliveries.tell()

    def fail(_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        add(state, 2)
        deliveries.tell()
        deliveries.tell()
        assert alarms(path) == [1]  # nothing of what is written again
    assert len(said) == 1
    assert "disk full" in said[0]
    deliveries.tell()
    assert alarms(path) == [1, 2]


def test_what_could_not_be_noted_is_not_sent_again(state, monkeypatch):
    lines, said = [], []
    deliveries = Deliveries(state, [LinesOutput(lines.append)], said.append)

    def fail(*_):
        raise OSError("disk full")

    add(state, 1)
    with monkeypatch.context() as patch:
        patch.setattr(state, "set_told", fail)
        deliveries.tell()
    deliveries.tell()
    assert (len(lines), len(said)) == (1, 1)


@pytest.mark.parametrize("text", [b"a\nb", b"\0" * 100, b'{"other": 1}'])
def test_a_file_of_something_else_is_left_alone(text, state, tmp_path):
    path = tmp_path / "model.skops"
    path.write_bytes(text)
    with pytest.raises(ParameterError, match="not an event"):
        Deliveries(state, [FileOutput(path)], pytest.fail)
    assert path.read_bytes() == text


@contextmanager
def receiver(answers):
    """A server that answers with one status after the other, then with 200."""
    got, is_done = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = answers.pop(0) if answers else 200
            if status == 200:
                got.extend(event["alarm"] for event in body["events"])
                is_done.set()
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", got, is_done
    finally:
        server.shutdown()
        server.server_close()


def test_a_webhook_that_fails_is_tried_again(state):
    said = []
    with receiver([500, 503]) as (url, got, is_done):
        deliveries = Deliveries(state, [WebhookOutput(url)], said.append, 0.01)
        add(state, 1, 2)
        deliveries.tell()
        assert is_done.wait(10)
        deliveries.close()
    assert got == [1, 2]
    assert len(said) == 1
    assert "answers 500" in said[0]


def test_what_a_webhook_did_not_take_waits_for_the_next_process(state):
    with receiver([500] * 1000) as (url, got, _):
        deliveries = Deliveries(state, [WebhookOutput(url)], lambda _: None, 0.01)
        add(state, 1)
        deliveries.tell()
        deliveries.close()
        assert got == []
        name, place = WebhookOutput(url).name, WebhookOutput(url).place
        assert deliveries.n_waiting() == {place: 1}
        with receiver([]) as (other, got, is_done):
            output = WebhookOutput(other)
            output.name = name  # as if it were back
            again = Deliveries(state, [output], pytest.fail)
            assert is_done.wait(10)
            again.close()
    assert got == [1]


def test_a_redirection_is_an_error_and_secrets_are_not_told(state):
    said = []
    with receiver([301]) as (url, got, is_done):
        output = WebhookOutput(f"{url}/secret")
        deliveries = Deliveries(state, [output], said.append, 0.01)
        add(state, 1)
        deliveries.tell()
        assert is_done.wait(10)
        deliveries.close()
    assert got == [1]
    assert len(said) == 1
    assert "answers 301" in said[0]
    assert "secret" not in said[0] + output.name


@pytest.mark.parametrize(
    "url", ["https:///secret", "https://me:secret@host/", "https://host/a secret"]
)
def test_addresses_that_no_webhook_can_have(url):
    with pytest.raises(ParameterError, match="Pass") as wrong:
        WebhookOutput(url)
    assert "secret" not in str(wrong.value)
