# SPDX-License-Identifier: MIT
"""A small model and its file."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    StandardScaler,
)

from tests.helpers import wave
from tests.saving.models import small_forest
from tsanomaly import (
    save,
)


@pytest.fixture(scope="module")
def frame():
    times = pd.date_range("2024-01-01", periods=120, freq="5min")
    return pd.DataFrame(wave(120), index=times, columns=["ch_0", "ch_1"])


@pytest.fixture(scope="module")
def labels():
    return np.isin(np.arange(120), [*range(30, 35), *range(70, 80), 100]).astype(int)


@pytest.fixture(scope="module")
def model(frame):
    """A small model of several arrays."""
    return make_pipeline(StandardScaler(), small_forest()).fit(frame)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.skops"


@pytest.fixture
def saved(model, path):
    """The file of the small model."""
    save(model, path)
    return path
