# SPDX-License-Identifier: MIT
"""A watch beside the programs that plants run: an MQTT broker, and Prometheus.

Debian's packages of the same names hold them; `.ci/run --full` installs those.
"""

import json
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pandas as pd
import pytest

from tests.cli.live import (
    PROGRAM,
    RULES,
    ask,
    free_port,
    is_listening,
    lines_of,
    running,
    wait_for,
)
from tests.cli.test_watch import check_events

MONITORING = Path(__file__).parents[2] / "examples" / "monitoring"

# Where Debian has servers, which only the path of root holds.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
MOSQUITTO, PROMETHEUS = (
    shutil.which(name, path=_PATH) for name in ("mosquitto", "prometheus")
)

pytestmark = pytest.mark.slow


def records(plant):
    """Readings as a program would send them."""
    rows = pd.read_csv(plant).drop(columns="anomaly").to_dict("records")
    return [json.dumps(row) for row in rows]


class Plant:
    """A client that sends readings, and one that is told of alarms."""

    def __init__(self, port):
        paho = pytest.importorskip("paho.mqtt.client")
        self.told = []
        self._clients = []
        for name in ("sender", "receiver"):
            version = paho.CallbackAPIVersion.VERSION2
            client = paho.Client(version, client_id=name, clean_session=False)
            client.reconnect_delay_set(0.2, 0.5)
            if name == "receiver":
                client.on_message = self._note
                client.on_connect = lambda client, *_: client.subscribe("alarms", 1)
            client.connect("127.0.0.1", port)
            client.loop_start()
            self._clients.append(client)

    def _note(self, _client, _data, message):
        self.told.append(json.loads(message.payload))

    def send(self, bodies):
        """Publish readings, and wait until the broker has them."""
        sent = [self._clients[0].publish("plant/1", body, qos=1) for body in bodies]
        for message in sent:
            message.wait_for_publish(60)
            assert message.is_published()

    def are_connected(self):
        """Whether both have found the broker."""
        return all(client.is_connected() for client in self._clients)

    def close(self):
        """Leave the broker."""
        for client in self._clients:
            client.disconnect()
            client.loop_stop()


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_neither_a_broker_nor_a_watch_that_restarts_loses_any(
    eager_model, plant, folder, capsys
):
    port, http = free_port(), free_port()
    config = folder / "broker.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"
        f"persistence true\npersistence_location {folder}/\nautosave_interval 1\n"
        "autosave_on_changes true\nmax_queued_messages 0\n"
    )
    broker = [MOSQUITTO, "-c", str(config)]
    output = folder / "events.jsonl"
    address = f"mqtt://127.0.0.1:{port}"
    watch = [*PROGRAM, "watch", eager_model, "--listen", str(http), *RULES]
    watch += ["--from", f"{address}/plant/+", "--state", str(folder / "watch.state")]
    watch += ["--to", str(output), "--to", f"{address}/alarms"]
    bodies = records(plant)

    def n_taken():
        machines = ask(http, "GET", "/machines")
        return machines[0]["readings"] if machines else 0

    with ExitStack() as stack:
        stop_broker = start(stack, broker, port)
        sides = Plant(port)
        stack.callback(sides.close)
        first = stack.enter_context(running(watch))
        # Before it has subscribed for the first time, the broker keeps nothing for it.
        wait_for(lambda: sides.send(bodies[:1]) or n_taken() == 1)
        sides.send(bodies[1:250])
        first.kill()
        first.wait()
        sides.send(bodies[250:300])  # while nobody watches
        stack.enter_context(running(watch))
        wait_for(lambda: is_listening(http) and n_taken() == 300)
        # The broker goes, and comes back, while it is watched.
        stop_broker()
        stop_broker = start(stack, broker, port)
        wait_for(sides.are_connected)
        sides.send(bodies[300:])
        wait_for(lambda: n_taken() == 600)
        events = lines_of(output.read_text())
        wait_for(lambda: len({e["event"] for e in sides.told}) == len(events))
    sent_once = {event["event"]: event for event in sides.told}
    assert [sent_once[event["event"]] for event in events] == events
    check_events(events, eager_model, plant, capsys)


def start(stack, broker, port):
    """Start a broker, and return what stops it."""
    process = stack.enter_context(running(broker))
    wait_for(lambda: is_listening(port))

    def stop():
        process.terminate()
        process.wait(20)

    return stop


def query(port, expression):
    """What Prometheus answers."""
    address = f"http://127.0.0.1:{port}/api/v1/query?{urlencode({'query': expression})}"
    with urlopen(address, timeout=10) as answer:
        told = json.load(answer)
    assert told["status"] == "success"
    return told["data"]["result"]


@pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed")
def test_prometheus_scrapes_what_the_dashboard_shows(eager_model, plant, folder):
    http, port = free_port(), free_port()
    config = folder / "prometheus.yml"
    given = (MONITORING / "prometheus.yml").read_text()
    assert "watch:8080" in given
    given = given.replace("watch:8080", f"127.0.0.1:{http}").replace("15s", "1s")
    config.write_text(given)
    prometheus = [PROMETHEUS, f"--config.file={config}"]
    prometheus += [f"--storage.tsdb.path={folder / 'tsdb'}"]
    prometheus += [f"--web.listen-address=127.0.0.1:{port}"]
    watch = [*PROGRAM, "watch", eager_model, "--listen", str(http), *RULES]
    watch += ["--to", str(folder / "events.jsonl")]
    bodies = records(plant)
    with running(watch), running(prometheus):
        for part in (bodies[:300], ["{}"], bodies[300:]):
            ask(http, "POST", "/readings", "\n".join(part))

        def n_readings():
            return [
                float(found["value"][1])
                for found in query(port, "sum(tsanomaly_readings_total)")
            ]

        wait_for(lambda: is_listening(port))
        wait_for(lambda: n_readings() == [600.0])
        assert query(port, 'up{job="tsanomaly"}')[0]["value"][1] == "1"
        raised = [
            e
            for e in lines_of((folder / "events.jsonl").read_text())
            if e["type"] == "raised"
        ]
        ((_, n_raised),) = [
            f["value"] for f in query(port, "sum(tsanomaly_alarms_total)")
        ]
        assert float(n_raised) == len(raised) > 2
        dashboard = (MONITORING / "grafana/dashboards/tsanomaly.json").read_text()
        panels = json.loads(dashboard)["panels"]
        shown = {target["expr"] for panel in panels for target in panel["targets"]}
        for expression in shown:
            expression = expression.replace("$machine", ".*")
            # Rates need two scrapes.
            wait_for(lambda expression=expression: query(port, expression), 30)
