# SPDX-License-Identifier: MIT
"""Models and readings as input of the commands: from pipes, and invalid ones."""

import os
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tsanomaly
from tests.helpers import tiny_detector
from tsanomaly import StreamingDetector, _saving
from tsanomaly._cli import main
from tsanomaly._saving import load_described

CLASSIFIER = LogisticRegression()


@pytest.fixture
def readings(plant):
    return pd.read_csv(plant, index_col="timestamp", parse_dates=True)


@pytest.fixture
def holding(model, monkeypatch):
    """A function that has the file of the model hold another estimator."""

    def holding(estimator):
        _, manifest = load_described(model)
        monkeypatch.setattr(_saving, "load_described", lambda _: (estimator, manifest))
        return model

    return holding


@contextmanager
def piped(file):
    """A path that can be read once, as the shell makes of ``<(cat file)``."""
    ours, theirs = os.pipe()

    def feed():
        with open(theirs, "wb") as pipe:
            pipe.write(Path(file).read_bytes())

    thread = Thread(target=feed)
    thread.start()
    try:
        yield f"/dev/fd/{ours}"
    finally:
        os.close(ours)
        thread.join()


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="pipes have no names")
@pytest.mark.parametrize(
    "command",
    ["explore", "train", "compare", "detect", "evaluate", "explain", "report"],
)
def test_every_file_is_read_once(command, model, plant, folder, tmp_path):
    """The results are those of files that are on a disk."""
    files = [plant] if command in ("explore", "train", "compare") else [model, plant]
    options = {
        "train": ["--detector", "pca"],
        "compare": ["--detectors", "pca"],
        "report": ["--title", "of a pump"],  # which otherwise names the file
    }
    options = [*options.get(command, []), "--no-plots"]
    assert main([command, *files, *options, "--output-dir", "files"]) == 0
    with piped(model) as model_pipe, piped(plant) as plant_pipe:
        paths = [{model: model_pipe, plant: plant_pipe}[file] for file in files]
        assert main([command, *paths, *options, "--output-dir", "pipes"]) == 0
        for name in (model_pipe, plant_pipe):  # what no command has read
            with open(name, "rb") as rest:
                rest.read()
    for file in Path("files").glob("*.csv"):
        if file.name == "comparison.csv":  # holds times of fits
            continue
        assert Path("pipes", file.name).read_bytes() == file.read_bytes()
    if command == "report":
        page = Path("pipes", "report.html").read_text()
        for path, file in zip(paths, files, strict=True):
            page = page.replace(f">{path}<", f">{file}<")
        assert page == Path("files", "report.html").read_text()


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="pipes have no names")
def test_a_broken_model_from_a_pipe_goes_by_its_name(plant, capsys):
    for command in ("detect", "report"):
        with piped(plant) as path:
            assert main([command, path, plant, "--no-plots"]) == 1
        assert f"{path} is not a model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "estimator",
    [
        CLASSIFIER,
        make_pipeline(StandardScaler(), CLASSIFIER),
        make_pipeline(
            StandardScaler(), GridSearchCV(CLASSIFIER, {"C": [1.0, 2.0]}, cv=2)
        ),
    ],
    ids=["alone", "pipeline", "search"],
)
@pytest.mark.parametrize("command", ["detect", "evaluate", "explain", "report"])
def test_a_classifier_is_no_detector(
    command, estimator, plant, readings, holding, capsys
):
    X, y = readings.drop(columns="anomaly"), readings["anomaly"]
    model = holding(estimator.fit(X, y))
    assert main([command, model, plant, "--output-dir", "new"]) == 1
    message = capsys.readouterr().err
    assert message.startswith(
        f"tsanomaly {command}: error: {model} contains no detector"
    )
    assert "LogisticRegression" in message
    assert "is a classifier" in message
    assert not Path("new").exists()


@pytest.mark.parametrize("wrong", ["scaler", "stream"])
def test_what_else_is_no_detector(wrong, plant, readings, holding, capsys):
    X = readings.drop(columns="anomaly")
    made = {
        "scaler": lambda: StandardScaler().fit(X),
        "stream": lambda: StreamingDetector(IsolationForest(n_estimators=5).fit(X)),
    }[wrong]()
    assert main(["detect", holding(made), plant]) == 1
    message = capsys.readouterr().err
    assert "contains no detector" in message
    assert type(made).__name__ in message


def test_columns_go_by_position_where_a_model_knows_no_names(
    plant, readings, folder, capsys
):
    X = readings.drop(columns="anomaly")
    forest = make_pipeline(StandardScaler(), IsolationForest(random_state=0))
    tsanomaly.save(forest.fit(X.to_numpy()), "unnamed.skops")
    assert main(["detect", "unnamed.skops", plant, "--no-plots"]) == 0
    warning, *others = capsys.readouterr().err.splitlines()
    assert warning.startswith("tsanomaly detect: warning: unnamed.skops was trained on")
    assert "'sensor_1', 'sensor_2', 'sensor_3', 'sensor_4'" in warning
    assert others == []
    found = pd.read_csv(folder / "predictions.csv")["flag"] == 1
    assert (found == (forest.predict(X.to_numpy()) == -1)).all()
    drop = ["--drop", "sensor_2", "--no-plots", "--output-dir", "new"]
    assert main(["detect", "unnamed.skops", plant, *drop]) == 1
    message = capsys.readouterr().err
    assert "4 channels" in message
    assert "has 3: 'sensor_1', 'sensor_3', 'sensor_4'" in message
    assert "--drop" in message
    # One that knows them says nothing.
    tsanomaly.save(forest.fit(X), "named.skops")
    assert main(["detect", "named.skops", plant, "--no-plots"]) == 0
    assert capsys.readouterr().err == ""


def test_many_columns_are_counted(readings, capsys):
    X = pd.concat([readings.drop(columns="anomaly")] * 8, axis=1)
    X.columns = [f"channel_{number:02}" for number in range(32)]
    X.to_csv("wide.csv")
    forest = IsolationForest(n_estimators=5, random_state=0).fit(X.to_numpy())
    tsanomaly.save(forest, "unnamed.skops")
    assert main(["detect", "unnamed.skops", "wide.csv", "--no-plots"]) == 0
    assert "'channel_19' and 12 more" in capsys.readouterr().err


class Forgetful(IsolationForest):
    """Has no score for some rows."""

    def score_samples(self, X):
        scores = super().score_samples(X)
        scores[5:7] = np.nan
        return scores


def spoilt(part, X):
    """A fitted model, in which a number is NaN."""
    if part == "scores":
        return Forgetful(n_estimators=5).fit(X)
    if part == "network":
        detector = tiny_detector().fit(X)
        detector.weights_[0][0, 0] = np.nan
        return detector
    pca = tsanomaly.ReconstructionError(PCA(2)), tsanomaly.ReconstructionThreshold()
    detector = make_pipeline(*pca).fit(X)
    detector[-1].offset_ = np.nan
    return detector


@pytest.mark.parametrize("part", ["network", "threshold", "scores"])
@pytest.mark.parametrize("command", ["detect", "evaluate"])
def test_a_model_that_gives_no_scores(part, command, plant, readings, holding, capsys):
    """Nothing would be flagged, and nobody would know why."""
    model = holding(spoilt(part, readings.drop(columns="anomaly")))
    assert main([command, model, plant, "--no-plots"]) == 1
    message = capsys.readouterr().err
    assert "NaN" in message
    assert "another copy" in message


def test_infinite_readings_are_missing(folder, rng, capsys):
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
    frame.index = pd.date_range("2024-01-01", periods=60, freq="1min", name="time")
    frame.iloc[[3, 50], 1] = [np.inf, -np.inf]
    frame.to_csv("odd.csv")
    assert main(["explore", "odd.csv"]) == 0
    said = capsys.readouterr()
    assert "infinite readings, which are treated as missing: 'b' (2)" in said.err
    assert "invalid value" not in said.err
    assert "2 readings missing" in said.out


def test_a_channel_without_readings_is_to_be_left_out(folder, rng, capsys):
    """Nothing can be filled in from it."""
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"]).assign(c=np.nan)
    frame.index = pd.date_range("2024-01-01", periods=60, freq="1min", name="time")
    frame.to_csv("dead.csv")
    assert main(["train", "dead.csv", "--detector", "pca"]) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert "no reading with --drop c." in message
    assert "--fill" not in message
