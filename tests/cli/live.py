# SPDX-License-Identifier: MIT
"""Helpers of tests that watch machines live."""

import http.client
import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

RULES = ["--trigger", "0.5", "--off-delay", "5"]
CODE = "import sys; from tsanomaly._cli import main; sys.exit(main())"
PROGRAM = [sys.executable, "-c", CODE]
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def lines_of(text):
    """Parse lines of JSON."""
    return [json.loads(line) for line in text.splitlines()]


def ask(port, method, path, body=None):
    """Send a request until there is an answer, and return the answer."""
    end = time.monotonic() + 100
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            told = json.loads(answer.read())
            if answer.status == 200:
                return told
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError("nobody answers")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def wait_for(condition, seconds=100):
    """Wait until a condition holds, and return its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it does not happen")


def is_listening(port):
    """Whether a port accepts connections."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def running(command, **options):
    """Run a program until the end of the block."""
    process = subprocess.Popen(command, **QUIET, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
