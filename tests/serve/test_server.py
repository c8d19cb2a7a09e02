# SPDX-License-Identifier: MIT
"""What serving needs, and what is said where it is not there."""

import socket
import sys

import pytest

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
        with pytest.raises(OSError, match=f"Port {port} of 127.0.0.1 cannot be taken"):
            serve(None, "127.0.0.1", port)


def test_a_source_that_fails_ends_the_server():
    pytest.importorskip("uvicorn")

    def fail():
        raise OSError("the disk is gone")

    async def application(scope, receive, send):
        """Nothing is asked."""

    with pytest.raises(OSError, match="the disk is gone"):
        serve(application, "127.0.0.1", 0, fail)
