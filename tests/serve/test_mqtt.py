# SPDX-License-Identifier: MIT
"""MQTT, against a broker of a few lines that keeps what was not acknowledged."""

import json
import socket
import struct
import threading
from contextlib import suppress

import pytest

from tests.serve.conftest import CHANNELS
from tsanomaly._parameter_error import ParameterError
from tsanomaly._serve._mqtt import MqttOutput, MqttSource
from tsanomaly._serve._readings import ReadingFormat

pytest.importorskip("paho.mqtt.client")

FORM = ReadingFormat(CHANNELS)


class Broker:
    """As much of MQTT 3.1.1 as is needed for one topic and one client at a time."""

    def __init__(self, waiting=(), acknowledges=True, connects=0, grants=1):
        self.waiting = dict(enumerate(waiting, 1))  # by the number of the message
        self.published = []
        self.subscribed = []
        self.clients = []
        self._acknowledges = acknowledges
        self._connects, self._grants = bytes([connects]), bytes([grants])
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Which a thread that waits for the next connection would keep open.
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(
                target=self._serve, args=(connection,), daemon=True
            ).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            while head := stream.read(1):
                body = stream.read(_length(stream))
                answer = self._answer(head[0], body)
                for part in answer:
                    connection.sendall(part)

    def _answer(self, head, body):
        match head >> 4:
            case 1:  # CONNECT
                (size,) = struct.unpack(">H", body[10:12])
                self.clients.append((body[12 : 12 + size].decode(), body[7] & 2))
                yield b"\x20\x02\x00" + self._connects
            case 8:  # SUBSCRIBE
                (size,) = struct.unpack(">H", body[2:4])
                self.subscribed.append(body[4 : 4 + size].decode())
                yield b"\x90\x03" + body[:2] + self._grants
                for number, payload in list(self.waiting.items()):
                    packet = struct.pack(">H", 1) + b"t" + struct.pack(">H", number)
                    packet += payload
                    yield bytes([0x32, *_as_length(len(packet))]) + packet
            case 3:  # PUBLISH
                (size,) = struct.unpack(">H", body[:2])
                self.published.append(json.loads(body[4 + size :]))
                if self._acknowledges:
                    yield b"\x40\x02" + body[2 + size : 4 + size]
            case 4:  # PUBACK
                del self.waiting[struct.unpack(">H", body[:2])[0]]
            case 12:  # PINGREQ
                yield b"\xd0\x00"


def _length(stream):
    value, shift = 0, 0
    while True:
        (byte,) = stream.read(1)
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value


def _as_length(value):
    while value > 127:
        yield value & 127 | 128
        value >>= 7
    yield value


def wait_for(condition):
    done = threading.Event()
    for _ in range(500):
        if condition():
            return
        done.wait(0.01)
    raise AssertionError("it does not happen")


def test_messages_are_acknowledged_after_their_readings_are_taken():
    good = json.dumps({"time": "2024-01-01", "flow": 1, "pressure": 2}).encode()
    with Broker([good, b"broken"]) as broker:
        batches = MqttSource(f"mqtt://127.0.0.1:{broker.port}/plant/+", FORM).batches()
        found = []
        while len(found) < 2:
            found += next(batches)[0]
            assert len(broker.waiting) >= 2 - len(found) + 1
        assert found[0].values == [1.0, 2.0]
        assert found[1].reason == "malformed"
        assert broker.subscribed == ["plant/+"]
        # The next look acknowledges what was taken.
        threading.Thread(target=next, args=(batches, None), daemon=True).start()
        wait_for(lambda: not broker.waiting)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"connects": 5}, "rejects the connection: .* the user and the password"),
        ({"grants": 0x80}, "rejects the topic 't': .* Give the user access"),
    ],
)
def test_what_a_broker_refuses_is_said(answers, said):
    with Broker(**answers) as broker:
        source = MqttSource(f"mqtt://127.0.0.1:{broker.port}/t", FORM)
        with pytest.raises(OSError, match=said):
            next(source.batches())


def test_each_watch_has_a_name_of_its_own():
    good = json.dumps({"time": "2024-01-01", "flow": 1, "pressure": 2}).encode()
    with Broker([good]) as broker:
        for watch in ("a", "b", "a", None):
            url = f"mqtt://127.0.0.1:{broker.port}/t"
            batches = MqttSource(url, FORM, watch).batches()
            next(batches)
            batches.close()
    names, is_forgotten = zip(*broker.clients, strict=True)
    assert names[0] == names[2] != names[1]
    assert [bool(flag) for flag in is_forgotten] == [False, False, False, True]
    assert max(map(len, names)) <= 23


def test_events_are_published():
    with Broker() as broker:
        output = MqttOutput(f"mqtt://127.0.0.1:{broker.port}/alarms")
        output.send([{"event": 1}, {"event": 2}])
        assert broker.published == [{"event": 1}, {"event": 2}]


def test_events_that_nobody_acknowledges_were_not_sent(monkeypatch):
    monkeypatch.setattr("tsanomaly._serve._mqtt._TIMEOUT", 0.1)
    with Broker(acknowledges=False) as broker:
        output = MqttOutput(f"mqtt://127.0.0.1:{broker.port}/alarms")
        with pytest.raises(OSError, match="does not acknowledge"):
            output.send([{"event": 1}])


def test_a_broker_that_is_not_there_is_named():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(OSError, match=f"The broker 127.0.0.1:{port} cannot be reached"):
        next(MqttSource(f"mqtt://127.0.0.1:{port}/t", FORM).batches())


@pytest.mark.parametrize(
    "url", ["mqtt://", "mqtt://host", "mqtt://host/", "ftp://host/t", "mqtt://h:x/t"]
)
def test_what_is_no_address(url):
    with pytest.raises(ParameterError, match="is not an MQTT address"):
        MqttSource(url, FORM)


def test_wildcards_of_a_topic():
    assert MqttSource("mqtt://host/plant/#", FORM)._address.topic == "plant/#"
