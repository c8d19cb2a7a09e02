# SPDX-License-Identifier: MIT
"""The commands, each as a user types it."""

import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode, b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import tsanomaly
from tsanomaly import fit_cross_fitted
from tsanomaly._backend import import_keras
from tsanomaly._cli import _commands, _pictures, main
from tsanomaly._cli._parser import DETECTORS
from tsanomaly._parameter_error import Parameter, ParameterError

pytestmark = pytest.mark.network

TINY = ["--window-size", "10", "--units", "4", "--epochs", "1"]
PNG = b"\x89PNG\r\n\x1a\n"


class Page(HTMLParser):
    """What a page refers to, and its cells by section."""

    def __init__(self, text):
        super().__init__()
        self.references, self.cells, self.section = [], {}, None
        self.tags, self.in_cell = [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.references += [
            value
            for name, value in attributes.items()
            if name in ("src", "href", "srcset", "data", "action", "poster")
        ]
        if tag == "section":
            self.section = attributes.get("id", "unnamed")
        if tag == "td":
            self.cells.setdefault(self.section, []).append("")
            self.in_cell = True

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag != "td"

    def handle_data(self, data):
        if self.in_cell:
            self.cells[self.section][-1] += data


def is_png(file):
    return file.read_bytes().startswith(PNG)


def test_from_simulated_readings_to_a_report(folder, capsys):
    """The installed command; in processes of its own where a network is first used."""
    command = shutil.which("tsanomaly", path=str(Path(sys.executable).parent))
    assert command is not None
    silent = import_keras().backend.backend() != "tensorflow"  # which talks on import

    def run(*arguments):
        done = subprocess.run(
            [command, *map(str, arguments)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr or not silent
        return done.stdout

    def run_here(*arguments):
        assert main(list(map(str, arguments))) == 0
        shown = capsys.readouterr()
        assert not shown.err
        return shown.out

    plant, model = folder / "plant.csv", folder / "model.skops"
    run("generate", "--rows", 600, "--contamination", 0.1)
    labelled = pd.read_csv(plant, parse_dates=["timestamp"])
    assert labelled.shape == (600, 6)
    assert labelled["anomaly"].sum() == 60
    simulated = pd.read_csv(folder / "plant_events.csv")
    assert {"start", "end", "kind", "channel"} <= set(simulated)
    assert is_png(folder / "plant.png")

    assert "600 rows of 4 channels" in run_here("explore", plant)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["rows"] == 600
    assert summary["gaps"] == 0
    assert summary["anomalous_rows"] == 60
    means = labelled.filter(like="sensor").mean()
    for name, values in summary["per_channel"].items():
        assert values["mean"] == pytest.approx(means[name])
    for name in ("series", "correlation", "spectrum"):
        assert is_png(folder / f"{name}.png")

    run("train", plant, *TINY, "--k", 2)
    trained = json.loads((folder / "training.json").read_text())
    assert trained["train_rows"] == 480
    table = pd.read_csv(folder / "predictions.csv")
    assert (table["part"] == "train").sum() == 480
    flagged = table["score"] > trained["threshold"]
    assert (table["flag"] == flagged).all()
    assert trained["threshold"] == tsanomaly.load(model)[-1].threshold_
    for name in ("errors", "history"):
        assert is_png(folder / f"{name}.png")

    run("detect", model, plant)
    found = pd.read_csv(folder / "predictions.csv", parse_dates=["timestamp"])
    assert (found["timestamp"] == labelled["timestamp"]).all()
    np.testing.assert_array_equal(found["score"], table["score"])
    np.testing.assert_array_equal(found["flag"], table["flag"])
    assert set(found["top_channel"]) <= set(labelled.columns[1:-1])
    alarms = pd.read_csv(folder / "alarms.csv", parse_dates=["start", "end"])
    assert len(alarms)
    flagged = found.loc[found["flag"] == 1, "timestamp"]
    assert alarms["start"].isin(flagged).all()
    assert alarms["end"].isin(flagged).all()
    assert alarms["severity"].between(0, 100).all()
    assert is_png(folder / "anomalies.png")

    run_here("evaluate", model, plant, "--train-fraction", 0.5)
    measures = json.loads((folder / "evaluation.json").read_text())
    rest = found["flag"][300:] == 1
    hits = (rest & (labelled["anomaly"][300:] == 1)).sum()
    assert measures["rows"] == 300
    assert measures["true_positives"] == hits
    assert measures["flagged_rows"] == rest.sum()
    assert {"vus_pr", "event_fscore", "false_alarms_per_day"} <= set(measures)
    for name in ("anomalies", "thresholds", "roc", "precision_recall", "confusion"):
        assert is_png(folder / f"{name}.png")

    shown = run_here("explain", model, plant)
    for sentence in alarms["sentence"]:
        assert sentence in shown
    for name in ("contributions", "reconstruction"):
        assert is_png(folder / f"{name}.png")

    run_here("report", model, plant, "--train-fraction", 0.5)
    text = (folder / "report.html").read_text()
    page = Page(text)
    outside = [place for place in page.references if not place.startswith("#")]
    assert outside
    for reference in outside:
        kind, data = reference.split(",")
        assert kind == "data:image/webp;base64"
        assert b64decode(data, validate=True)[8:12] == b"WEBP"
    assert page.tags.count("img") == len(outside)
    assert not {"link", "iframe"} & set(page.tags)
    # The data of the charts, and the one script that the page allows for.
    assert page.tags.count("script") == 2
    script = re.search("<script>(.*?)</script>", text, re.DOTALL)[1]
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'; " in text
    assert f"script-src 'sha256-{digest}'; " in text
    assert "Permission is hereby granted" in script  # the licence of the chart library
    assert "url(" not in text
    assert "@import" not in text
    cells = page.cells["alarms"]
    worst_first = alarms.sort_values("severity", ascending=False, kind="stable")
    assert [cells[place] for place in range(1, len(cells), 8)] == (
        worst_first["sentence"].tolist()
    )
    assert f"{measures['f1']:.4g}" in page.cells["measures"]
    assert list(folder.glob(".tsanomaly*")) == []


def test_the_report_without_labels(model, plant, folder, capsys):
    readings = pd.read_csv(plant).drop(columns="anomaly")
    readings = readings.rename(columns={"sensor_1": "<b>&1"})
    readings.to_csv("unlabelled.csv", index=False)
    assert main(["train", "unlabelled.csv", "--detector", "pca", "--no-plots"]) == 0
    arguments = ["report", model, "unlabelled.csv", "--title", "Pump <3>"]
    assert main([*arguments, "--no-plots"]) == 0
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert not {"img", "svg", "noscript"} & set(page.tags)
    assert "chart-data" not in text
    assert "b" not in page.tags[page.tags.index("table") :]
    assert "Pump &lt;3&gt;" in text
    assert "measures" not in page.cells


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_detector_trains_a_model_that_loads(detector, plant, folder, capsys):
    has_network = detector in ("lstm", "ensemble", "hybrid")
    options = TINY if has_network else ["--window-size", "5"]
    options += ["--columns", "sensor_3", "sensor_1", "--scaler", "robust"]
    command = ["train", plant, "--detector", detector, *options]
    assert main([*command, "--no-plots", "--quantile", "0.9"]) == 0
    model = tsanomaly.load(folder / "model.skops")
    assert model.feature_names_in_.tolist() == ["sensor_3", "sensor_1"]
    frame = pd.read_csv(plant, index_col="timestamp", parse_dates=True)
    scores = pd.read_csv(folder / "predictions.csv")["score"]
    X = frame[["sensor_3", "sensor_1"]]
    np.testing.assert_allclose(-model.score_samples(X), scores, rtol=1e-12)
    assert main(["detect", str(folder / "model.skops"), plant, "--no-plots"]) == 0
    found = pd.read_csv(folder / "predictions.csv")
    top = found["top_channel"][found["flag"] == 1]
    assert set(top) <= {"sensor_1", "sensor_3"}
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_detector_takes_a_gap(detector, plant, folder, capsys):
    frame = pd.read_csv(plant, index_col="timestamp", parse_dates=True)
    frame.drop(frame.index[200:300]).to_csv("gap.csv")
    options = TINY if detector in ("lstm", "ensemble", "hybrid") else []
    train = ["train", "gap.csv", "--detector", detector, *options]
    assert main([*train, "--columns", "sensor_1", "sensor_2", "--no-plots"]) == 0
    shown = capsys.readouterr()
    assert "1 gap of more than 10 min" in shown.out
    scores = pd.read_csv(folder / "predictions.csv")["score"]
    assert len(scores) == 500
    assert scores.notna().all()


def test_a_model_made_in_python(plant, folder, capsys):
    frame = pd.read_csv(plant, index_col="timestamp", parse_dates=True)
    X = frame.drop(columns="anomaly")
    forest = make_pipeline(StandardScaler(), IsolationForest(random_state=0)).fit(X)
    tsanomaly.save(forest, "forest.skops")
    assert main(["detect", "forest.skops", plant, "--no-plots"]) == 0
    found = pd.read_csv(folder / "predictions.csv")
    assert ((found["flag"] == 1) == (forest.predict(X) == -1)).all()
    assert main(["detect", "forest.skops", plant, "--quantile", "0.9"]) == 1
    assert "--threshold" in capsys.readouterr().err


def test_another_threshold_equals_that_of_another_training(model, plant, folder):
    detect = ["detect", model, plant, "--no-plots"]
    fitted = tsanomaly.load(model)
    frame = pd.read_csv(plant, index_col="timestamp", parse_dates=True)
    X = frame.drop(columns="anomaly")
    for option, value, wanted in (
        ("--quantile", 0.5, {"method": "quantile", "quantile": 0.5}),
        ("--k", 0.1, {"method": "sigma", "k": 0.1}),
    ):
        assert main([*detect, option, str(value)]) == 0
        again = clone(fitted)
        again[-1].set_params(**wanted, false_alarms=None, per=None)
        flags = fit_cross_fitted(again, X[:480]).predict(X) == -1
        found = pd.read_csv(folder / "predictions.csv")["flag"] == 1
        assert flags.any()
        assert (found == flags).all()
    assert main([*detect, "--threshold", "-1"]) == 0
    flags = pd.read_csv(folder / "predictions.csv")["flag"]
    assert (flags[9:] == 1).all()
    assert (flags[:9] == 0).all()  # in windows that are padded


def test_a_budget_in_time_is_one_in_rows(plant, folder):
    """By the step of the file: it is one of the last step of a pipeline."""
    thresholds = []
    for per in ("2h", "120"):
        options = ["--detector", "pca", "--false-alarms", "1", "--per", per]
        assert main(["train", plant, "--no-plots", *options]) == 0
        last = tsanomaly.load(folder / "model.skops")[-1]
        assert (last.false_alarms, last.per) == (1, 120)
        thresholds.append(last.threshold_)
    assert thresholds[0] == thresholds[1]
    options = ["--detectors", "pca", "--false-alarms", "1", "--per", "2h"]
    assert main(["compare", plant, "--no-plots", *options]) == 0


def test_compare(plant, folder, capsys):
    options = ["--detectors", "pca", "iforest", "--train-fraction", "0.5", "--json"]
    assert main(["compare", plant, *options]) == 0
    result = json.loads(capsys.readouterr().out)
    names = [row["detector"] for row in result["detectors"]]
    assert names[:3] == ["pca", "iforest", "random scores"]
    table = pd.read_csv(folder / "comparison.csv", index_col="detector")
    assert table.index.tolist() == names
    assert is_png(folder / "comparison.png")
    assert main(["compare", plant, "--detectors", "pca", "--no-plots"]) == 0
    assert "tsanomaly evaluate counts alarms" in capsys.readouterr().out


def test_many_channels(plant, folder, monkeypatch, capsys):
    """Pictures show some; all would be higher than a page."""
    monkeypatch.setattr(_pictures, "_N_DRAWN_READINGS", 3)
    assert main(["explore", plant]) == 0
    shown = "show the first 3 of 4 channels. Choose others with --columns."
    assert shown in capsys.readouterr().err
    assert main(["explore", plant, "--columns", "sensor_1", "sensor_4"]) == 0
    assert capsys.readouterr().err == ""


def test_a_warning_of_several_pictures_is_said_once(plant, folder, monkeypatch, capsys):
    monkeypatch.setattr(
        "tsanomaly.plotting._text._cover", lambda characters, *_: ((), characters)
    )
    readings = pd.read_csv(plant).rename(columns={"sensor_1": "温度"})
    readings.to_csv("named.csv", index=False)
    assert main(["explore", "named.csv"]) == 0
    assert capsys.readouterr().err.count("No installed font") == 1


def test_thousands_of_channels(folder, capsys):
    """Their correlations, of which there are millions, are not computed."""
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(12, 1001))).add_prefix("channel_")
    wide.to_csv("wide.csv", index=False)
    options = ["--no-plots", "--timestamp", "none"]
    assert main(["explore", "wide.csv", *options]) == 0
    assert "not computed for more than 1,000 channels" in capsys.readouterr().out
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["strong_correlations"] is None
    train = ["train", "wide.csv", "--detector", "pca", "--train-fraction", "1"]
    assert main([*train, "--window-size", "2", *options]) == 0
    model = str(folder / "model.skops")
    assert main(["report", model, "wide.csv", *options]) == 0


def test_a_column_named_twice(plant, folder):
    options = ["--columns", "sensor_1", "sensor_2", "sensor_1", "--detector", "pca"]
    assert main(["train", plant, *options, "--no-plots"]) == 0
    model = tsanomaly.load(folder / "model.skops")
    assert model.feature_names_in_.tolist() == ["sensor_1", "sensor_2"]


def test_a_model_of_unknown_types(plant, folder, capsys):
    frame = pd.read_csv(plant, index_col="timestamp", parse_dates=True)
    X = frame.drop(columns="anomaly")
    steps = FunctionTransformer(np.fix), IsolationForest(random_state=0)
    tsanomaly.save(make_pipeline(*steps).fit(X), "own.skops")
    assert main(["detect", "own.skops", plant, "--no-plots"]) == 1
    message = capsys.readouterr().err
    assert "fix" in message
    assert "trusted=" in message


def test_columns_in_another_order(model, plant, folder):
    predictions = []
    readings = pd.read_csv(plant)
    readings[readings.columns[::-1]].to_csv("reversed.csv", index=False)
    for file in (plant, "reversed.csv"):
        assert main(["detect", model, file, "--no-plots"]) == 0
        predictions.append(pd.read_csv(folder / "predictions.csv"))
    # Equal but for rounding: sums depend on the order in memory.
    pd.testing.assert_frame_equal(*predictions, rtol=1e-12)


def test_fill(plant, folder):
    readings = pd.read_csv(plant)
    readings.loc[10:12, "sensor_2"] = readings.loc[9, "sensor_2"]
    readings.loc[:1, "sensor_1"] = readings.loc[2, "sensor_1"]
    readings.loc[20:22, "sensor_1":"sensor_4"] = np.nan
    readings.to_csv("filled.csv", index=False)
    readings.loc[10:12, "sensor_2"] = np.nan
    readings.loc[:1, "sensor_1"] = np.nan
    readings.to_csv("partly.csv", index=False)
    results = []
    for file in ("filled.csv", "partly.csv"):
        options = ["--detector", "pca", "--fill", "previous", "--no-plots"]
        assert main(["train", file, *options]) == 0
        results.append(pd.read_csv(folder / "predictions.csv"))
    pd.testing.assert_frame_equal(*results, rtol=1e-9)
    assert results[0]["score"].isna().sum() == 3


def test_labels_the_other_way_round(model, plant, capsys):
    readings = pd.read_csv(plant)
    readings["anomaly"] = 1 - readings["anomaly"]
    readings.to_csv("swapped.csv", index=False)
    assert main(["evaluate", model, "swapped.csv", "--no-plots"]) == 0
    warning = capsys.readouterr().err
    assert "90%" in warning
    assert "swapped.csv" in warning


def test_scores_the_other_way_round(model, plant, capsys):
    """Of labels that are reversed in part, so that most rows are normal by them."""
    readings = pd.read_csv(plant)
    scores = -tsanomaly.load(model).score_samples(readings.iloc[:, 1:5])
    for name, order in {"high.csv": -scores, "low.csv": scores}.items():
        for n_rows in (60, 10):
            labels = np.zeros(len(readings), dtype=int)
            labels[np.argsort(order)[:n_rows]] = 1
            readings.assign(anomaly=labels).to_csv(name, index=False)
            assert main(["evaluate", model, name, "--no-plots"]) == 0
            warning = capsys.readouterr().err
            is_reversed = name == "low.csv" and n_rows == 60
            assert ("most rows labelled anomalous have lower" in warning) == is_reversed
            assert ("swap them" in warning) == is_reversed


def test_date_and_time_of_day_apart(plant, folder):
    readings = pd.read_csv(plant, parse_dates=["timestamp"])
    times = readings.pop("timestamp")
    readings.insert(0, "clock", times.dt.strftime("%H:%M:%S"))
    readings.insert(0, "day", times.dt.strftime("%Y-%m-%d"))
    readings.to_csv("apart.csv", index=False)
    options = ["--timestamp", "day", "--timestamp", "clock", "--no-plots"]
    assert main(["explore", "apart.csv", *options]) == 0
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["start"], summary["end"]) == (str(times.min()), str(times.max()))


class Said:
    """What a command says while it runs."""

    def __init__(self):
        self.steps, self.kept = [], []

    def __call__(self, text):
        self.steps.append(text)

    def keep(self, text):
        self.kept.append(text)


def test_commands_are_functions_of_keywords(results, tmp_path):
    """Without argparse, and with the defaults of the options."""
    progress = Said()
    result, text = _commands.train(
        results / "plant.csv",
        read_params={"label": None, "drop": "anomaly"},
        row_params={},
        network_params={},
        threshold_params={"method": "quantile"},
        detector="iforest",
        output_dir=tmp_path / "new",
        plots=False,
        progress=progress,
    )
    assert result["train_rows"] == 480
    assert "iforest trained on 480 rows" in text
    assert all(Path(file).is_file() for file in result["files"])
    assert any("training" in step for step in progress.steps)
    [plan] = progress.kept
    assert len(plan.splitlines()) == 3
    with pytest.raises(ParameterError) as caught:
        _commands.evaluate(
            tmp_path / "new" / "model.skops",
            results / "plant.csv",
            read_params={"label": None},
            row_params={},
            alarm_params={},
            progress=progress,
        )
    names = [part.name for part in caught.value.args if isinstance(part, Parameter)]
    assert names == ["label"]
