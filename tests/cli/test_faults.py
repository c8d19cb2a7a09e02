# SPDX-License-Identifier: MIT
"""Detectors compared and tuned on a plant without labels."""

import json

import numpy as np
import pandas as pd
import pytest

import tsanomaly
from tsanomaly._cli import main
from tsanomaly._cli._faults import inject_faults
from tsanomaly._cli._models import build
from tsanomaly._cli._parser import DEFAULT_BUDGET, DETECTORS
from tsanomaly._cli._tuning import parameters_to_try
from tsanomaly._parameter_error import ParameterError


@pytest.fixture
def unlabelled(folder, rng):
    """Two sensors that follow each other."""
    time = np.arange(1200)
    wave = np.sin(time / 9)
    values = np.column_stack([wave, 2 * wave]) + 0.05 * rng.normal(size=(1200, 2))
    times = pd.date_range("2024-01-01", periods=1200, freq="1min", name="time")
    pd.DataFrame(values, times, ["a", "b"]).to_csv("plant.csv")
    return "plant.csv"


def test_detectors_compared_by_faults(unlabelled, folder, capsys):
    options = ["--detectors", "autoregression", "iforest", "--train-fraction", "0.5"]
    assert main(["compare", unlabelled, *options]) == 0
    shown = capsys.readouterr()
    assert "there are no labels, so faults were injected into copies" in shown.out
    assert shown.err == ""
    table = pd.read_csv(folder / "comparison.csv", index_col="detector")
    assert not (folder / "comparison.png").exists()
    kinds = ["spike", "stuck", "drift", "level_shift", "noise_burst"]
    assert set(kinds) < set(table.columns)
    assert "correlation_break" in table
    # Relations of rows to those before show a stuck sensor, rows alone do not.
    assert table.loc["autoregression", "stuck"] >= 9
    assert (table["false_alarms"] < 10).all()
    assert (table[kinds] <= 12).all(axis=None)


def test_faults_need_room(unlabelled):
    frame = pd.read_csv(unlabelled, index_col="time", parse_dates=True)
    _, y, events = inject_faults(frame, None, 0)
    assert events["kind"].nunique() == 6
    assert 0.1 < y.mean() < 0.25
    with pytest.raises(ParameterError, match="too few to inject faults"):
        inject_faults(0 * frame, None, 0)  # there, a stuck sensor is none


def test_a_failure_is_told_and_the_others_go_on(unlabelled, folder, capsys):
    options = ["--detectors", "autoregression", "iforest", "--train-fraction", "0.02"]
    assert main(["compare", unlabelled, *options]) == 0
    assert "autoregression failed: " in capsys.readouterr().out


@pytest.mark.parametrize("labelled", [False, True])
def test_tune(labelled, unlabelled, folder, short_search, capsys):
    frame = pd.read_csv(unlabelled)
    if labelled:
        frame["anomaly"] = 0
        frame.loc[900:920, "anomaly"] = 1
        frame.loc[900:920, "b"] *= -1
    frame.to_csv("tune.csv", index=False)
    options = ["--detector", "pca", "--minutes", "0.05"]
    assert main(["tune", "tune.csv", *options]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    judged_by = (
        "the labels of the last 600 rows" if labelled else "faults injected into"
    )
    assert judged_by in shown.out
    learned = "1,200 rows, 21 of which are labelled anomalous, and learned as normal"
    assert (learned in shown.out) is labelled
    table = pd.read_csv(folder / "tuning.csv")
    assert table["event_fscore"].between(0, 1).all()
    assert (table["rows"] <= 600).all()
    result = json.loads((folder / "tuning.json").read_text())
    assert result["judged_by_faults"] is not labelled
    model = tsanomaly.load(folder / "model.skops")
    best = table.iloc[0]
    assert model["window"].window_size == best["window__window_size"]
    assert model["threshold"].per == best["threshold__per"]
    assert len(
        model["threshold"].score_samples(model[:-1].transform(frame[["a", "b"]]))
    )


def test_tuning_needs_anomalies_to_judge_by(unlabelled, capsys):
    frame = pd.read_csv(unlabelled).assign(anomaly=0)
    frame.loc[5, "anomaly"] = 1
    frame.to_csv("early.csv", index=False)
    assert main(["tune", "early.csv", "--detector", "pca"]) == 1
    assert "--drop" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "status"), [([], 0), (["--fail-on-alarm"], 3)])
def test_the_status_tells_of_alarms(options, status, unlabelled, folder):
    assert main(["train", unlabelled, "--detector", "pca", "--no-plots"]) == 0
    frame = pd.read_csv(unlabelled)
    frame.loc[1000:1010, "a"] += 20
    frame.to_csv("faulty.csv", index=False)
    model = str(folder / "model.skops")
    assert main(["detect", model, "faulty.csv", "--no-plots", *options]) == status


@pytest.mark.parametrize("detector", DETECTORS)
def test_what_is_tuned_is_a_parameter_of_the_model(detector):
    model = build(
        detector,
        network_params={},
        threshold_params={"method": "quantile", **DEFAULT_BUDGET},
        window_size=None,
        missing="ignore",
        scaler="standard",
        random_state=0,
    )
    grid = parameters_to_try(detector)
    assert grid.keys() <= model.get_params().keys()
    assert any("window" in name for name in grid)
