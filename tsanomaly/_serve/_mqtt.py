# SPDX-License-Identifier: MIT
"""Readings and events over MQTT, with acknowledgements at every step."""

import json
import queue
import ssl
from contextlib import suppress
from hashlib import sha256
from urllib.parse import unquote, urlsplit

from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._serve._readings import Rejected, read_body

__all__ = ["MqttOutput", "MqttSource"]

_INSTALL = "'pip install \".[mqtt]\"' in a checkout of tsanomaly"

_PORTS = {"mqtt": 1883, "mqtts": 8883}

# Seconds to wait for a broker, and messages that are taken together, at most.
_TIMEOUT, _MOST_AT_ONCE = 10, 1_000


class MqttSource:
    """Readings in messages on a topic, which may hold the wildcards of MQTT.

    The broker keeps messages (QoS 1) until they are acknowledged, which they are when
    the watch has written what follows from them.

    Parameters
    ----------
    url : str
        ``mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC``; ``mqtts`` with TLS.
    form : ReadingFormat
    """

    def __init__(self, url, form):
        self._address = _Address(url, "source")
        self._form = form

    def batches(self):
        """Readings as they arrive, without an end.

        Yields
        ------
        readings : list of Reading or Rejected
        position : None
            The broker knows it.
        """
        messages = queue.Queue()
        # The same name after a restart, by which the broker keeps what came meanwhile.
        client = self._address.client(
            f"tsanomaly-{self._address.digest}", manual_ack=True, clean_session=False
        )
        client.max_inflight_messages_set(_MOST_AT_ONCE)

        def subscribe(client, *_):
            client.subscribe(self._address.topic, qos=1)

        client.on_connect = subscribe
        client.on_message = lambda _client, _data, message: messages.put(message)
        self._address.connect(client)
        client.loop_start()
        try:
            while True:
                some = _all_of(messages)
                yield [reading for m in some for reading in self._read(m.payload)], None
                for message in some:
                    client.ack(message.mid, message.qos)
        finally:
            client.disconnect()
            client.loop_stop()

    def _read(self, payload):
        try:
            return read_body(payload, self._form)
        except ValueError as error:
            return [Rejected("malformed", str(error))]


class MqttOutput:
    """Events as messages on a topic, one JSON object each, with QoS 1.

    Parameters
    ----------
    url : str
        As of `MqttSource`.
    """

    waits = True

    def __init__(self, url):
        self._address = _Address(url, "outputs")
        self.name = f"mqtt {self._address.host}:{self._address.port}/"
        self.name += self._address.topic
        self.place = self.name
        self._client = None
        self._address.client("")  # raises if it cannot be made

    def last(self, watch):
        """Number of the last event that is known to have arrived."""

    def send(self, events):
        """Hand events over.

        Raises
        ------
        OSError
            If the broker does not acknowledge one.
        """
        if self._client is None:
            client = self._address.client("")
            self._address.connect(client)
            client.loop_start()
            self._client = client
        try:
            sent = [
                self._client.publish(
                    self._address.topic, json.dumps(event, allow_nan=False), qos=1
                )
                for event in events
            ]
            for message in sent:
                message.wait_for_publish(_TIMEOUT)
                if not message.is_published():
                    raise OSError("the broker does not acknowledge them")
        except BaseException:
            # Another client tries again, which does not send what this one holds.
            client, self._client = self._client, None
            with suppress(Exception):
                client.disconnect()
                client.loop_stop()
            raise


class _Address:
    """Where a topic is, and how to get there."""

    def __init__(self, url, parameter):
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        self.topic = unquote(parts.path[1:] + (f"#{parts.fragment}" * ("#" in url)))
        if (
            parts.scheme not in _PORTS
            or not (parts.hostname and self.topic)
            or (port is not None and port <= 0)
        ):
            raise ParameterError(
                Parameter(parameter, url),
                " is no address that readings or alarms can come from or go to. Pass "
                "mqtt://HOST[:PORT]/TOPIC, or mqtts:// with TLS.",
            )
        self.host, self.port = parts.hostname, port or _PORTS[parts.scheme]
        self._is_secret = parts.scheme == "mqtts"
        self._user = parts.username and unquote(parts.username)
        self._password = parts.password and unquote(parts.password)
        place = f"{self.host}:{self.port}/{self.topic}"
        self.digest = sha256(place.encode()).hexdigest()[:12]

    def client(self, name, **options):
        """A client that is not connected yet."""
        try:
            from paho.mqtt.client import CallbackAPIVersion, Client
        except ImportError as error:
            raise ImportError(f"MQTT needs paho-mqtt: {_INSTALL}.") from error
        client = Client(CallbackAPIVersion.VERSION2, client_id=name, **options)
        if self._user is not None:
            client.username_pw_set(self._user, self._password)
        if self._is_secret:
            client.tls_set_context(ssl.create_default_context())
        return client

    def connect(self, client):
        """Connect a client, which comes back by itself from then on."""
        try:
            client.connect(self.host, self.port)
        except OSError as error:
            raise OSError(
                error.errno,
                f"The broker {self.host}:{self.port} cannot be reached: "
                f"{error.strerror or error}. Start it, or correct the address",
            ) from error


def _all_of(messages):
    """The next message, and those that are there by then."""
    found = [messages.get()]
    with suppress(queue.Empty):
        while len(found) < _MOST_AT_ONCE:
            found.append(messages.get_nowait())
    return found
