# SPDX-License-Identifier: MIT
"""A watch over HTTP: answers, limits, tokens and invalid requests."""

import asyncio
import json
import random
import re
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.serve.conftest import as_readings, plant
from tsanomaly import AutoregressiveDetector
from tsanomaly._serve._http import Application
from tsanomaly._serve._watch import Watch

TOKEN = "0123456789abcdef"


def request(method, path, body=b"", *, host="127.0.0.1:8080", chunks=1, **headers):
    """A scope and the messages of a request."""
    path, _, query = path.partition("?")
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    pairs = [(b"host", host.encode())]
    pairs += [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": pairs,
    }
    size = -(-len(body) // chunks) or 1
    parts = [body[i : i + size] for i in range(0, len(body), size)] or [b""]
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
        for number, part in enumerate(parts)
    ]
    return scope, messages


async def answer(app, scope, messages):
    """Status, headers and body of the answer to a request."""
    messages, sent = list(messages), []

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    if not sent:
        return None
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def ask(app, *arguments, **headers):
    """Ask, and return the status and what JSON holds."""
    status, _, body = asyncio.run(answer(app, *request(*arguments, **headers)))
    return status, json.loads(body)


def as_body(frame):
    return [
        {"time": time.isoformat(), **row}
        for time, row in zip(frame.index, frame.to_dict("records"), strict=True)
    ]


@pytest.fixture
def app(watch):
    return Application(watch, lambda: None)


def test_readings_are_scored_and_alarms_acknowledged(app, watch, detector):
    frame = plant()
    assert ask(app, "POST", "/readings", as_body(frame)) == (
        200,
        {
            "accepted": 400,
            "rejected": 0,
            "flagged": int((detector.predict(frame) == -1).sum()),
            "errors": [],
        },
    )
    status, alarms = ask(app, "GET", "/alarms?last=1")
    assert (status, [alarm["alarm"] for alarm in alarms]) == (200, [2])
    assert ask(app, "POST", "/alarms/2/acknowledge", {"by": "Ann"})[0] == 200
    assert watch.state.alarm(2)["acknowledged_by"] == "Ann"
    ((_, machines),) = [ask(app, "GET", "/machines")]
    assert machines[0]["readings"] == 400
    _, recent = ask(app, "GET", "/machines/machine/readings?last=5")
    expected = -detector.score_samples(frame)[-5:]
    np.testing.assert_allclose(recent["errors"], expected, rtol=1e-5)
    np.testing.assert_allclose(recent["readings"], frame[-5:])


def test_csv_comes_in_chunks(app):
    body = plant(30).to_csv().encode()
    status, found = ask(app, "POST", "/readings", body, chunks=7)
    assert (status, found["accepted"]) == (200, 30)


def test_what_is_wrong_with_a_reading_is_said_by_its_place(app):
    body = as_body(plant(3))
    body[1]["flow"] = "high"
    status, found = ask(app, "POST", "/readings", [*body, body[0]])
    assert (status, found["accepted"], found["rejected"]) == (200, 2, 2)
    reasons = [(wrong["reading"], wrong["reason"]) for wrong in found["errors"]]
    assert reasons == [(1, "malformed"), (3, "duplicate")]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/readings", b"", 400),
        ("POST", "/readings", b"[" * 100_000, 400),
        ("POST", "/readings", b"x" * 2_000, 413),
        ("GET", "/readings", b"", 405),
        ("DELETE", "/alarms/1/acknowledge", b"", 405),
        ("POST", "/alarms/1/acknowledge", b"", 404),
        ("POST", "/alarms/x/acknowledge", b"", 404),
        ("POST", f"/alarms/{10**19}/acknowledge", b"", 404),
        ("POST", f"/alarms/{'9' * 5_000}/acknowledge", b"", 404),
        ("POST", "/alarms/1/acknowledge", json.dumps({"by": "x" * 201}).encode(), 400),
        (
            "POST",
            "/machines/pump/accept-new-normal",
            b'{"readings": 1%s}' % (b"0" * 19),
            400,
        ),
        ("POST", "/alarms/1/acknowledge", b"[]", 400),
        ("POST", "/machines/pump/accept-new-normal", b"", 404),
        ("POST", "/machines/pump/accept-new-normal", b'{"readings": 0}', 400),
        ("GET", "/machines/..%2f..%2fetc/readings", b"", 404),
        ("GET", "/nothing", b"", 404),
        ("GET", "/alarms?last=many", b"", 400),
    ],
)
def test_requests_that_cannot_be_met(method, path, body, status, watch):
    app = Application(watch, lambda: None, largest_body=1_999)
    if len(body) == 100_000:
        app = Application(watch, lambda: None)
    found, told = ask(app, method, path, body)
    assert found == status
    assert told["error"]


def test_whoever_changes_something_brings_the_token(watch):
    app = Application(watch, lambda: None, TOKEN, is_local=False)
    body = as_body(plant(3))
    host = "plant.example:8080"
    assert ask(app, "POST", "/readings", body, host=host)[0] == 401
    wrong = {"authorization": "Bearer nothing"}
    assert ask(app, "POST", "/readings", body, host=host, **wrong)[0] == 401
    right = {"authorization": f"Bearer {TOKEN}"}
    assert ask(app, "POST", "/readings", body, host=host, **right)[0] == 200
    assert ask(app, "GET", "/alarms", host=host)[0] == 200


def test_without_a_token_pages_of_others_are_refused(app):
    origin = {"origin": "http://evil.example"}
    assert ask(app, "POST", "/readings", [], **origin)[0] == 403
    assert ask(app, "GET", "/alarms", host="evil.example:8080")[0] == 403
    own = {"origin": "http://127.0.0.1:8080"}
    assert ask(app, "POST", "/readings", as_body(plant(1)), **own)[0] == 200


def test_a_token_does_not_open_this_machine_to_other_names(watch):
    app = Application(watch, lambda: None, TOKEN)
    headers = {"authorization": f"Bearer {TOKEN}", "origin": "https://plant.example"}
    assert ask(app, "GET", "/alarms", host="evil.example:8080")[0] == 403
    # As a proxy sends it on.
    assert ask(app, "POST", "/readings", as_body(plant(3)), **headers)[0] == 200


@pytest.mark.parametrize(
    "body", [b"[1,1,1,1]", b"time,flow,pressure\nx\nx\nx\nx", b"{}\n{}\n{}\n{}"]
)
def test_more_readings_than_can_wait_are_refused(body, watch):
    app = Application(watch, lambda: None, most_waiting=3)
    status, told = ask(app, "POST", "/readings", body)
    assert (status, told["error"]) == (
        413,
        "A body may have at most 3 readings. Send fewer at once.",
    )


def test_errors_of_each_request_are_its_own_and_not_too_many(app):
    async def ask_both():
        asked = [request("POST", "/readings", [1] * n) for n in (150, 2)]
        return await asyncio.gather(*(answer(app, *each) for each in asked))

    told = [json.loads(body) for _, _, body in asyncio.run(ask_both())]
    assert [found["rejected"] for found in told] == [150, 2]
    assert len(told[0]["errors"]) == 100
    assert [wrong["reading"] for wrong in told[1]["errors"]] == [0, 1]


def test_whatever_goes_wrong_is_answered_and_counted(app, watch, monkeypatch):
    def fail(*_):
        raise OverflowError

    monkeypatch.setattr(watch.state, "alarms", fail)
    status, told = ask(app, "GET", "/alarms")
    assert (status, told["error"][-15:]) == (500, " OverflowError.")
    assert app.counts == {500: 1}


def test_events_that_cannot_be_told_are_no_fault_of_readings(watch):
    def fail():
        raise OSError("disk full")

    app = Application(watch, fail)
    status, told = ask(app, "POST", "/readings", as_body(plant()))
    assert (status, told["accepted"]) == (200, 400)
    assert ask(app, "POST", "/alarms/1/acknowledge")[0] == 200


def test_too_much_is_refused_until_it_is_scored(watch, monkeypatch):
    app, may_go = Application(watch, lambda: None, most_waiting=10), threading.Event()
    take = watch.take

    def wait(*arguments):
        may_go.wait(10)
        return take(*arguments)

    monkeypatch.setattr(watch, "take", wait)
    frame = plant(30)

    async def ask_thrice():
        first = asyncio.create_task(
            answer(app, *request("POST", "/readings", as_body(frame[:10])))
        )
        while not app._n_waiting:
            await asyncio.sleep(0.01)
        second = await answer(app, *request("POST", "/readings", as_body(frame[10:20])))
        may_go.set()
        await first
        third = await answer(app, *request("POST", "/readings", as_body(frame[10:20])))
        return second, third

    second, third = asyncio.run(ask_thrice())
    assert second[0] == 429
    assert second[1][b"retry-after"] == b"1"
    assert json.loads(third[2])["accepted"] == 10


def test_readings_that_cannot_be_kept_are_not_acknowledged(app, watch, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(watch.state, "set_machine", fail)
        status, told = ask(app, "POST", "/readings", as_body(plant(5)))
    assert status == 503
    assert "disk full" in told["error"]
    status, told = ask(app, "POST", "/readings", as_body(plant(5)))
    assert (status, told["accepted"]) == (200, 5)


def test_a_level_becomes_the_new_normal(tmp_path):
    detector = AutoregressiveDetector(window_size=3, random_state=0)
    detector.fit(plant(faults=()))
    frame = plant(300, faults=())
    frame.iloc[100:, 1] += 8
    watch = Watch(detector, state=tmp_path / "watch.state")
    app = Application(watch, lambda: None)
    path = "/machines/machine/accept-new-normal"
    ask(app, "POST", "/readings", as_body(frame[:90]))
    status, told = ask(app, "POST", path)
    assert status == 409
    assert "how many readings" in told["error"]
    ask(app, "POST", "/readings", as_body(frame[90:200]))
    (alarm,) = watch.state.alarms(9)
    assert alarm["state"] == "active"
    status, told = ask(app, "POST", path)
    assert (status, told["readings"]) == (200, 100)
    assert watch.state.alarm(1)["state"] == "cleared"
    # The error of the last reading was that on the former level.
    _, [told] = ask(app, "GET", "/machines")
    assert told["error"] is None
    watch.close()
    # After a restart, too.
    watch = Watch(detector, state=tmp_path / "watch.state")
    app = Application(watch, lambda: None)
    _, [told] = ask(app, "GET", "/machines")
    assert told["error"] is None
    outcome = watch.take(as_readings(frame[200:]))
    _, [told] = ask(app, "GET", "/machines")
    assert told["error"] == -outcome.scores[-1]
    assert outcome.flags.mean() < 0.1
    assert not outcome.events


def test_metrics(app, watch):
    ask(app, "POST", "/readings", [*as_body(plant()), {}])
    status, headers, body = asyncio.run(answer(app, *request("GET", "/metrics")))
    assert (status, headers[b"content-type"][:10]) == (200, b"text/plain")
    lines = body.decode().splitlines()
    assert 'tsanomaly_readings_total{machine="machine"} 400' in lines
    assert 'tsanomaly_rejected_total{reason="malformed"} 1' in lines
    assert 'tsanomaly_alarms_total{machine="machine",channel="pressure"} 2' in lines
    assert lines.count("# TYPE tsanomaly_missing_total counter") == 1
    assert any(line.startswith("tsanomaly_lag_seconds{") for line in lines)
    values = [line.rpartition(" ")[2] for line in lines if not line.startswith("#")]
    assert all(map(np.isfinite, map(float, values)))  # raises if it is no number


def test_names_in_metrics_are_escaped(detector):
    watch = Watch(detector, by="pump")
    watch.take(as_readings(plant(3), 'a"b\\c'))
    app = Application(watch, lambda: None)
    body = asyncio.run(answer(app, *request("GET", "/metrics")))[2].decode()
    assert r'{machine="a\"b\\c"} 3' in body


def test_the_page_loads_nothing_from_elsewhere(app):
    status, headers, body = asyncio.run(answer(app, *request("GET", "/")))
    assert status == 200
    assert b"default-src 'none'" in headers[b"content-security-policy"]
    text = body.decode().replace("http://www.w3.org/2000/svg", "")
    assert "://" not in text
    assert "innerHTML" not in text


def test_the_page_waits_for_an_answer_before_it_asks_again(app):
    body = asyncio.run(answer(app, *request("GET", "/")))[2].decode()
    assert "setInterval" not in body
    assert "await refresh();\n  setTimeout(poll" in body


def test_health(app):
    assert ask(app, "GET", "/healthz") == (200, {"status": "ok", "waiting": 0})


def mutated(chance, body):
    """A body with some of its bytes changed, left out or repeated."""
    body = bytearray(body)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(body))
        match chance.randrange(3):
            case 0:
                body[place] = chance.randrange(256)
            case 1:
                del body[place : place + chance.randrange(1, 20)]
            case 2:
                new = (b"[", b"{", b"\n", b"null", b"1e999")
                body[place:place] = chance.choice(new)
        if not body:
            return b""
    return bytes(body)


def test_malformed_requests_are_answered(app):
    chance = random.Random(0)
    bodies = [json.dumps(as_body(plant(2))).encode(), plant(2).to_csv().encode()]
    paths = ["/readings", "/alarms/1/acknowledge", "/machines/%00/readings", "/%ff%fe"]

    async def ask_all():
        found = Counter()
        for _ in range(10_000):
            body = mutated(chance, chance.choice(bodies))
            path = chance.choice([paths[0], chance.choice(paths)])
            status, *_ = await answer(app, *request("POST", path, body))
            found[status] += 1
        return found

    found = asyncio.run(ask_all())
    assert set(found) <= {200, 400, 404, 405}
    assert found[400] > 1_000
    assert ask(app, "GET", "/healthz")[0] == 200


def test_the_dashboard_asks_for_metrics_that_there_are(app):
    ask(app, "POST", "/readings", [*as_body(plant()), {}])
    body = asyncio.run(answer(app, *request("GET", "/metrics")))[2].decode()
    known = set(re.findall(r"^# TYPE (\w+)", body, flags=re.MULTILINE))
    folder = Path(__file__).parents[2] / "examples" / "monitoring" / "grafana"
    text = (folder / "dashboards" / "tsanomaly.json").read_text()
    panels = json.loads(text)["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    named = {name for text in asked for name in re.findall(r"tsanomaly_\w+", text)}
    assert len(named) > 9
    assert named <= known


def test_machines_share_a_model_and_nothing_else(detector, tmp_path):
    """Their readings take turns, in each request, also across a restart."""
    faults = {"pump 1": ((100, 110),), "pump 2": (), "pump 3": ((150, 160), (300, 304))}
    frames = {name: plant(faults=of_pump) for name, of_pump in faults.items()}
    bodies = {name: as_body(frame) for name, frame in frames.items()}
    rows = [
        {"pump": name, **bodies[name][row]} for row in range(400) for name in frames
    ]
    found = {name: [] for name in frames}
    for part in (rows[:601], rows[601:]):  # the restart is between two pumps
        watch = Watch(detector, by="pump", state=tmp_path / "state")
        app = Application(watch, lambda: None)
        for start in range(0, len(part), 77):
            body = part[start : start + 77]
            status, told = ask(app, "POST", "/readings", body)
            assert (status, told["accepted"]) == (200, len(body))
            for name in frames:
                path = f"/machines/{name.replace(' ', '%20')}/readings"
                n_new = sum(row["pump"] == name for row in body)
                _, recent = ask(app, "GET", f"{path}?last={n_new}")
                found[name] += recent["errors"]
        _, alarms = ask(app, "GET", "/alarms?last=10")
        _, _, metrics = asyncio.run(answer(app, *request("GET", "/metrics")))
        watch.close()
    for name, frame in frames.items():
        expected = -detector.score_samples(frame)
        np.testing.assert_allclose(found[name], expected, rtol=1e-5)
        of_pump = [alarm for alarm in alarms if alarm["machine"] == name]
        assert len(of_pump) == len(faults[name])
        assert f'tsanomaly_readings_total{{machine="{name}"}} 400' in metrics.decode()
