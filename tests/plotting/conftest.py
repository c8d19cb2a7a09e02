# SPDX-License-Identifier: MIT
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from tests.helpers import wave


@pytest.fixture(autouse=True)
def close_figures():
    """Close all figures after a test."""
    yield
    plt.close("all")


@pytest.fixture
def frame():
    """Two channels and 100 rows, one per minute, with three outliers."""
    frame = pd.DataFrame(wave(100), columns=["flow", "pressure"])
    frame.index = pd.date_range("2024-01-01", periods=100, freq="min")
    frame.iloc[60:63] += 8
    return frame
