# SPDX-License-Identifier: MIT
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import tiny_detector
from tsanomaly import FleetDetector, compare_detectors
from tsanomaly._progress import (
    anybody_listens,
    counting,
    listening,
    showing_bars,
    tell,
)

pytestmark = pytest.mark.network


@pytest.fixture
def told():
    """What was told while listening."""
    said = []
    with listening(lambda *step: said.append(step)):
        yield said


def test_steps_keep_what_is_within_to_themselves(told):
    with counting(2, "steps") as tell_done:
        tell(5, 7, "rows")
        tell_done(1)
        tell_done(2)
    tell(7, 7, "rows")
    assert told == [(done, 2, "steps") for done in range(3)] + [(7, 7, "rows")]


def test_nobody_has_to_listen():
    said = []
    with pytest.raises(KeyError), listening(lambda *step: said.append(step)):
        raise KeyError
    tell(1, 2, "rows")
    assert said == []


def test_a_network_tells_through_a_pipeline(told, series):
    detector = make_pipeline(StandardScaler(), tiny_detector(epochs=2)).fit(series)
    epochs = [step for step in told if step[2] == "epochs"]
    assert epochs == [(done, 2, "epochs") for done in range(3)]
    told.clear()
    detector.score_samples(series)
    assert told == [(done, 200, "rows") for done in (200,)]  # by the linear map


def test_scores_do_not_depend_on_who_listens(series, fitted):
    alone = fitted.score_samples(series)
    with listening(lambda *step: None):
        np.testing.assert_array_equal(fitted.score_samples(series), alone)


def test_a_comparison_tells_of_detectors(told, series):
    y = np.arange(200) > 190
    detectors = {"network": tiny_detector(), "forest": IsolationForest(random_state=0)}
    compare_detectors(detectors, series, series, y, baselines=False)
    assert told == [(done, 2, "detectors") for done in range(3)]


def test_a_fleet_tells_of_models(told, series):
    frame = pd.DataFrame(series).assign(machine_id=np.repeat(["a", "b"], 100))
    fleet = FleetDetector(IsolationForest(random_state=0), min_rows=50).fit(frame)
    assert told == [(done, 3, "models") for done in range(4)]  # and the fallback
    told.clear()
    fleet.predict(frame)
    assert told == [(done, 2, "models") for done in range(3)]


def test_nothing_to_count_is_not_told(told):
    with counting(0, "models"):
        assert not anybody_listens()
    assert anybody_listens()
    assert told == []


def test_bars_are_listeners(told, capsys):
    with showing_bars(True, "progress=True"):
        for done in range(3):
            tell(done, 2, "epochs")
        tell(7, 9, "rows")
        tell(3, 9, "rows")  # of another run
    shown = capsys.readouterr().err
    for end in ("2/2", "7/9", "3/9"):
        assert end in shown
    assert len(told) == 5  # who listened before hears it, too
    with showing_bars(False, "progress=True"):
        tell(1, 2, "epochs")
    assert capsys.readouterr().err == ""


def test_bars_need_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match="pip install tqdm"):
        showing_bars(True, "progress=True").__enter__()


def test_on_another_trainer(told, series, monkeypatch):
    """Keras' own loop, as on other backends."""
    monkeypatch.setattr("tsanomaly._network.Network._runs_on_jax", lambda self: False)
    tiny_detector(epochs=2, units=(2,)).fit(series)
    epochs = [step for step in told if step[2] == "epochs"]
    assert epochs == [(done, 2, "epochs") for done in range(3)]
