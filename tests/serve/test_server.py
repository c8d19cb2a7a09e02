# SPDX-License-Identifier: MIT
"""Requirements of the server, and errors if they are missing."""

import asyncio
import socket
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack, suppress

import pytest

from tsanomaly._serve import _server
from tsanomaly._serve._mqtt import MqttOutput
from tsanomaly._serve._server import serve


def test_packages_that_are_missing_are_named(monkeypatch):
    for name in ("uvicorn", "paho.mqtt.client"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"needs uvicorn: 'pip install \"\.\[serve\]"):
        serve(None, "127.0.0.1", 0)
    with pytest.raises(
        ImportError, match=r"needs paho-mqtt: 'pip install \"\.\[mqtt\]"
    ):
        MqttOutput("mqtt://host/topic")


def test_a_port_that_is_taken_is_named():
    pytest.importorskip("uvicorn")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(OSError, match=f"Port {port} of 127.0.0.1 cannot be used"):
            serve(None, "127.0.0.1", port)


def test_a_source_that_fails_ends_the_server():
    pytest.importorskip("uvicorn")

    def fail():
        raise OSError("the disk is gone")

    async def application(scope, receive, send):
        """Nothing is asked."""

    with pytest.raises(OSError, match="the disk is gone"):
        serve(application, "127.0.0.1", 0, fail)


def test_connections_that_ask_for_nothing_are_closed(monkeypatch):
    """They would keep others out; one whose answer takes long is none of them."""
    pytest.importorskip("uvicorn")
    monkeypatch.setattr(_server, "_PATIENCE", 0.2)
    # As many as that are answered at once.
    monkeypatch.setattr(_server, "_MOST_CONNECTIONS", 5)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    is_over = threading.Event()

    async def application(scope, receive, send):
        await asyncio.sleep(1)  # longer than patience with those who ask for nothing
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answered"})

    def look():
        with ExitStack() as stack:
            silent = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
                for _ in range(5)
            ]
            silent[0].sendall(b"POST /readings HTTP/1.1\r\nHost: ")
            for connection in silent:
                assert connection.recv(1) == b""
        address = f"http://127.0.0.1:{port}/"
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.read() == b"answered"

    def background():
        try:
            for _ in range(200):
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.05)
            look()
            is_over.set()
        finally:
            raise OSError("it is over")

    with pytest.raises(OSError, match="it is over"):
        serve(application, "127.0.0.1", port, background)
    assert is_over.is_set()
