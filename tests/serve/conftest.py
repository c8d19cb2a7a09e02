# SPDX-License-Identifier: MIT
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import wave
from tsanomaly import (
    FleetDetector,
    ReconstructionError,
    ReconstructionThreshold,
    WindowTransformer,
)
from tsanomaly._serve._readings import MACHINE, Reading
from tsanomaly._serve._watch import Watch

CHANNELS = ["flow", "pressure"]


def small_pipeline():
    return make_pipeline(
        StandardScaler(),
        WindowTransformer(3),
        ReconstructionError(PCA(2)),
        ReconstructionThreshold(quantile=0.999),
    )


def plant(n_rows=400, faults=((100, 110), (300, 304))):
    """Readings, one per minute, with faults of the pressure."""
    X = wave(n_rows)
    for start, end in faults:
        X[start:end, 1] += 6
    times = pd.date_range("2024-01-01", periods=n_rows, freq="min", name="time")
    return pd.DataFrame(X, columns=CHANNELS, index=times)


def as_readings(frame, machine=MACHINE):
    """Convert rows of a frame to readings of a watch."""
    return [
        Reading(machine, np.datetime64(time), row.tolist())
        for time, row in zip(
            frame.index.to_numpy(), frame.to_numpy(dtype=float), strict=True
        )
    ]


@pytest.fixture(scope="session")
def detector():
    """A detector of one machine, shared: do not change it."""
    return small_pipeline().fit(plant(faults=()))


@pytest.fixture(scope="session")
def fleet():
    """A fleet of two machines, without a fallback."""
    frames = [plant(faults=()).assign(machine_id=name) for name in (1, 2)]
    fleet = FleetDetector(small_pipeline(), fallback=None)
    return fleet.fit(pd.concat(frames))


@pytest.fixture
def watch(detector):
    """A watch without a state file, whose clock does not advance."""
    watch = Watch(detector, clock=lambda: 1.8e9)
    yield watch
    watch.close()
