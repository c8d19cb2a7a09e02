# SPDX-License-Identifier: MIT
"""Readings and events over MQTT, with acknowledgements at every step."""

import json
import queue
import ssl
import threading
from contextlib import suppress
from hashlib import sha256
from urllib.parse import unquote, urlsplit

from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._serve._readings import Rejected, read_body

__all__ = ["MqttOutput", "MqttSource"]

_INSTALL = "'pip install \".[mqtt]\"' in a checkout of tsanomaly"

_PORTS = {"mqtt": 1883, "mqtts": 8883}

# Seconds to wait for a broker, and maximum number of messages per batch.
_TIMEOUT, _MOST_AT_ONCE = 10, 1_000

# Maximum number of waiting messages; the broker keeps the others.
_MOST_WAITING = 10_000


class MqttSource:
    """Readings in messages on a topic, which may contain MQTT wildcards.

    The broker keeps messages (QoS 1) until they are acknowledged, which happens once
    the watch has saved their results.

    Parameters
    ----------
    url : str
        ``mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC``; ``mqtts`` with TLS.
    form : ReadingFormat
    watch : str or None, default=None
        Identifies the watch to the broker, also after a restart. With None, the broker
        keeps no messages while the watch is away.
    """

    def __init__(self, url, form, watch=None):
        self._address = _Address(url, "source")
        self._form = form
        self._watch = watch

    def batches(self):
        """Yield readings as they arrive, without end.

        Yields
        ------
        readings : list of Reading or Rejected
        position : None
            None: the broker keeps the position.
        """
        messages, is_over = queue.Queue(_MOST_WAITING), threading.Event()
        client = self._address.client(
            self._address.client_id(self._watch),
            manual_ack=True,
            clean_session=self._watch is None,
        )
        client.max_inflight_messages_set(_MOST_AT_ONCE)
        broker = f"The broker {self._address.host}:{self._address.port}"

        def put(message):
            while not is_over.is_set():
                with suppress(queue.Full):
                    messages.put(message, timeout=0.1)
                    return

        def subscribe(client, _data, _flags, reason, _properties):
            if reason.is_failure:
                put(
                    OSError(
                        f"{broker} rejects the connection: {reason}. Check the user "
                        "and the password in the address."
                    )
                )
                return
            client.subscribe(self._address.topic, qos=1)

        def check(_client, _data, _number, reasons, _properties):
            if reasons[0].is_failure:
                put(
                    OSError(
                        f"{broker} rejects the topic {self._address.topic!r}: "
                        f"{reasons[0]}. Give the user access to it, or correct the "
                        "topic."
                    )
                )

        client.on_connect = subscribe
        client.on_subscribe = check
        client.on_message = lambda _client, _data, message: put(message)
        self._address.connect(client)
        client.loop_start()
        try:
            while True:
                some = _all_of(messages)
                yield [reading for m in some for reading in self._read(m.payload)], None
                for message in some:
                    client.ack(message.mid, message.qos)
        finally:
            is_over.set()
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
        As in `MqttSource`.
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
        """Return the number of the last event that is known to have arrived."""

    def send(self, events):
        """Send events.

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
            # A new client tries again, without the messages that this one still holds.
            client, self._client = self._client, None
            with suppress(Exception):
                client.disconnect()
                client.loop_stop()
            raise


class _Address:
    """A parsed MQTT address."""

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
                " is not an MQTT address. Pass mqtt://HOST[:PORT]/TOPIC, or mqtts:// "
                "for TLS.",
            )
        self.host, self.port = parts.hostname, port or _PORTS[parts.scheme]
        self._is_secret = parts.scheme == "mqtts"
        self._user = parts.username and unquote(parts.username)
        self._password = parts.password and unquote(parts.password)

    def client_id(self, watch):
        """Return a unique client name; brokers disconnect one of two equal names."""
        if watch is None:
            return ""  # the broker chooses
        place = f"{self.host}:{self.port}/{self.topic} {watch}"
        # At most 23 characters, which every broker accepts.
        return f"tsanomaly-{sha256(place.encode()).hexdigest()[:12]}"

    def client(self, name, **options):
        """Return a client that is not connected yet."""
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
        """Connect a client, which reconnects by itself from then on."""
        try:
            client.connect(self.host, self.port)
        except OSError as error:
            raise OSError(
                error.errno,
                f"The broker {self.host}:{self.port} cannot be reached: "
                f"{error.strerror or error}. Start it, or correct the address",
            ) from error


def _all_of(messages):
    """Wait for a message, and return all that have arrived; raise errors."""
    found = [messages.get()]
    with suppress(queue.Empty):
        while len(found) < _MOST_AT_ONCE:
            found.append(messages.get_nowait())
    for message in found:
        if isinstance(message, OSError):
            raise message
    return found
