# SPDX-License-Identifier: MIT
"""Descriptions of model files, without loading the model."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import tsanomaly
from tests.helpers import wave
from tests.saving.helpers import content_of
from tests.saving.models import MODELS, Shift, network, small_forest
from tsanomaly import (
    AutoregressiveDetector,
    FleetDetector,
    ModelFileError,
    ReconstructionError,
    ReconstructionThreshold,
    StreamingDetector,
    describe,
    save,
)
from tsanomaly.metrics import make_anomaly_scorer


def described(model, path):
    save(model, path)
    return describe(path)


def test_a_pipeline(frame, path):
    model = make_pipeline(
        StandardScaler(), network(), ReconstructionThreshold(quantile=0.9)
    )
    found = described(model.fit(frame), path)
    assert found["format"] == 6
    assert found["versions"]["tsanomaly"] == tsanomaly.__version__
    assert [step["class"] for step in found["steps"]] == [
        "sklearn.preprocessing.StandardScaler",
        "tsanomaly.LSTMAutoencoderDetector",
        "tsanomaly.ReconstructionThreshold",
    ]
    assert [step["name"] for step in found["steps"]] == [*model.named_steps]
    assert found["steps"][2]["params"]["quantile"] == 0.9
    assert found["steps"][1]["params"]["units"] == "(3,)"
    assert found["channels"] == ["ch_0", "ch_1"]
    assert found["n_channels"] == 2
    assert found["n_training_rows"] == len(frame)
    assert found["threshold"] == model[-1].threshold_
    assert found["n_machines"] is None
    assert found["trusted"] == []


@pytest.mark.parametrize("name", MODELS)
def test_what_is_in_a_file(name, frame, labels, path):
    """Two texts and arrays of numbers, described in JSON, and nothing to trust."""
    found = described(MODELS[name].fit(frame, labels), path)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["steps"]
    assert found["trusted"] == []
    members = content_of(path).keys() - {"model.json", "tsanomaly.json"}
    assert all(Path(name).suffix == ".npy" for name in members)


@pytest.mark.parametrize(
    "model",
    [
        network(),
        small_forest(),
        LocalOutlierFactor(novelty=True),
        KernelDensity(),
        make_pipeline(StandardScaler(), small_forest()),
        FrozenEstimator(small_forest().fit(wave(120))),
    ],
    ids=lambda model: type(model).__name__,
)
def test_training_rows(model, frame, path):
    assert described(model.fit(frame, None), path)["n_training_rows"] == 120


def test_training_rows_where_readings_are_missing(frame, path):
    """Breaks do not count; rows that lack some readings do, whatever a scaler says."""
    frame = frame.copy()
    frame.iloc[50:53] = np.nan
    for channel in range(frame.shape[1]):
        frame.iloc[10 * channel : 10 * channel + 5, channel] = np.nan
    model = make_pipeline(
        StandardScaler(), AutoregressiveDetector(lags=1, window_size=5)
    )
    assert np.max(model.fit(frame)[0].n_samples_seen_) == 112
    assert described(model, path)["n_training_rows"] == 117


def test_thresholds(frame, path):
    errors = np.abs(frame)
    each = ReconstructionThreshold(channels="each").fit(errors)
    assert described(each, path)["threshold"] == each.threshold_.tolist()
    forest = small_forest().fit(frame)
    assert described(forest, path)["threshold"] == -forest.offset_
    assert described(StandardScaler().fit(frame), path)["threshold"] is None


def test_a_search(frame, labels, path):
    search = GridSearchCV(
        make_pipeline(ReconstructionError(PCA(1)), ReconstructionThreshold()),
        {"reconstructionthreshold__quantile": [0.9, 0.95]},
        scoring=make_anomaly_scorer("f1"),
        cv=2,
    ).fit(frame, labels)
    found = described(search, path)
    best = search.best_params_["reconstructionthreshold__quantile"]
    assert found["steps"][-1]["params"]["quantile"] == best
    assert found["steps"][0]["params"]["transformer"].startswith("PCA(")


def test_a_stream_and_a_fleet(frame, path):
    model = make_pipeline(StandardScaler(), small_forest()).fit(frame)
    found = described(StreamingDetector(model).warm_up(frame), path)
    assert [step["name"] for step in found["steps"]] == [*model.named_steps]
    rows = pd.concat([frame.assign(pump=name) for name in "abc"])
    fleet = FleetDetector(small_forest(), by="pump", min_rows=50).fit(rows)
    found = described(fleet, path)
    assert found["n_machines"] == 3
    assert found["steps"][0]["class"] == "tsanomaly.FleetDetector"
    # A fleet inside of another object, whose detectors are not files in the file.
    thresholds = [-forest.offset_ for forest in fleet.detectors_.values()]
    frozen = described(FrozenEstimator(fleet), path)
    for description in (found, frozen):
        assert description["threshold"]["max"] == max(thresholds)


def test_what_is_to_be_trusted(frame, path):
    function = FunctionTransformer(np.cumsum, kw_args={"axis": 0})
    model = make_pipeline(Shift(), function, IsolationForest())
    found = described(model.fit(frame), path)
    assert found["trusted"] == ["numpy.cumsum", f"{Shift.__module__}.Shift"]
    assert found["steps"][0]["class"] == f"{Shift.__module__}.Shift"
    assert found["steps"][1]["params"]["func"] == "numpy.cumsum"


def test_nothing_is_imported(frame, path, tmp_path, monkeypatch):
    save(make_pipeline(Shift(), small_forest()).fit(frame), path)
    content = path.read_bytes()
    monkeypatch.delitem(sys.modules, Shift.__module__)
    describe(path)
    assert Shift.__module__ not in sys.modules
    assert path.read_bytes() == content


def test_damaged(saved):
    saved.write_bytes(saved.read_bytes()[:-40])
    with pytest.raises(ModelFileError, match="damaged"):
        describe(saved)
    saved.write_bytes(b"x")
    with pytest.raises(ModelFileError, match="not a model"):
        describe(saved)


def test_the_members_are_named_in_the_manifest(saved):
    members = content_of(saved)
    manifest = json.loads(members.pop("tsanomaly.json"))
    assert manifest["members"].keys() == members.keys()
