# SPDX-License-Identifier: MIT
import re
import warnings

import pytest

from tests.datasets.reading.helpers import marked
from tsanomaly.datasets import read_sensor_csv


@pytest.fixture
def write(tmp_path):
    """Return a function that writes text or bytes, and returns the path."""

    def write(content, encoding="utf-8"):
        path = tmp_path / "pump.csv"
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode(encoding)
        )
        return path

    return write


@pytest.fixture
def read(write):
    """Return a function that writes a file and reads it without a warning."""

    def read(content, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return read_sensor_csv(write(content), **options)

    return read


@pytest.fixture
def warned(write):
    """Return a function that reads a file, and returns its contents and warnings.

    In the messages, parameters are in angle brackets: <sep>, <decimal=','>.
    """

    def warned(content, **options):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = read_sensor_csv(write(content), **options)
        return result, [marked(warning.message) for warning in caught]

    return warned


@pytest.fixture
def fails(write):
    """Return a function that checks that a file is refused, with all given patterns.

    In the message, parameters are in angle brackets: <sep>, <decimal=','>.
    """

    def fails(content, *patterns, **options):
        path = write(content)
        with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
            read_sensor_csv(path, **options)
        message = marked(caught.value)
        for pattern in patterns:
            assert re.search(pattern, message), message

    return fails
