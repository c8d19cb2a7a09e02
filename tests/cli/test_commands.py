# SPDX-License-Identifier: MIT
"""The commands, each as a user types it."""

import json
import os
import pickle
import shlex
import shutil
import signal
import subprocess
import sys
from base64 import b64decode
from contextlib import suppress
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
from tsanomaly import _commands
from tsanomaly._backend import import_keras
from tsanomaly._cli import main

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
        self.in_cell = tag == "td"

    def handle_endtag(self, tag):
        self.in_cell = False

    def handle_data(self, data):
        if self.in_cell:
            self.cells[self.section][-1] += data


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "tsanomaly-results"


@pytest.fixture
def plant(folder, capsys):
    """A plant with anomalies in the rows after the training rows, too."""
    options = ["--rows", "600", "--contamination", "0.1", "--no-plots"]
    assert main(["generate", *options]) == 0
    capsys.readouterr()
    return str(folder / "plant.csv")


@pytest.fixture
def model(plant, folder, capsys):
    assert main(["train", plant, "--detector", "pca", "--no-plots"]) == 0
    capsys.readouterr()
    return str(folder / "model.skops")


def is_png(file):
    return file.read_bytes().startswith(PNG)


def test_from_simulated_readings_to_a_report(folder):
    """The installed command, in processes of its own."""
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

    plant, model = folder / "plant.csv", folder / "model.skops"
    run("generate", "--rows", 600, "--contamination", 0.1)
    labelled = pd.read_csv(plant, parse_dates=["timestamp"])
    assert labelled.shape == (600, 6)
    assert labelled["anomaly"].sum() == 60
    simulated = pd.read_csv(folder / "plant_events.csv")
    assert {"start", "end", "kind", "channel"} <= set(simulated)
    assert is_png(folder / "plant.png")

    assert "600 rows of 4 channels" in run("explore", plant)
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
    errors = table["score"][:480]
    assert trained["threshold"] == pytest.approx(errors.mean() + 2 * errors.std(ddof=0))
    for name in ("errors", "history"):
        assert is_png(folder / f"{name}.png")

    run("detect", model, plant)
    found = pd.read_csv(folder / "predictions.csv", parse_dates=["timestamp"])
    assert (found["timestamp"] == labelled["timestamp"]).all()
    np.testing.assert_array_equal(found["score"], table["score"])
    np.testing.assert_array_equal(found["flag"], table["flag"])
    assert set(found["top_channel"]) <= set(labelled.columns[1:-1])
    events = pd.read_csv(folder / "events.csv", parse_dates=["start", "end"])
    covered = np.zeros(600, dtype=bool)
    for event in events.itertuples():
        covered |= found["timestamp"].between(event.start, event.end)
    assert (covered == (found["flag"] == 1)).all()
    assert is_png(folder / "anomalies.png")

    run("evaluate", model, plant, "--train-fraction", 0.5)
    measures = json.loads((folder / "evaluation.json").read_text())
    rest = found["flag"][300:] == 1
    hits = (rest & (labelled["anomaly"][300:] == 1)).sum()
    assert measures["rows"] == 300
    assert measures["true_positives"] == hits
    assert measures["flagged_rows"] == rest.sum()
    assert {"vus_pr", "event_fscore", "false_alarms_per_day"} <= set(measures)
    for name in ("anomalies", "thresholds", "roc", "precision_recall", "confusion"):
        assert is_png(folder / f"{name}.png")

    shown = run("explain", model, plant)
    for sentence in events["sentence"]:
        assert sentence in shown
    for name in ("contributions", "reconstruction"):
        assert is_png(folder / f"{name}.png")

    run("report", model, plant, "--train-fraction", 0.5)
    page = Page((folder / "report.html").read_text())
    assert page.references
    for reference in page.references:
        kind, data = reference.split(",")
        assert kind == "data:image/png;base64"
        assert b64decode(data, validate=True).startswith(PNG)
    assert page.tags.count("img") == len(page.references)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "url(" not in (folder / "report.html").read_text()
    assert "@import" not in (folder / "report.html").read_text()
    cells = page.cells["events"]
    assert [cells[place] for place in range(1, len(cells), 6)] == (
        events["sentence"].tolist()
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
    assert "img" not in page.tags
    assert "b" not in page.tags[page.tags.index("table") :]
    assert "Pump &lt;3&gt;" in text
    assert "measures" not in page.cells


@pytest.mark.parametrize("detector", ["lstm", "hybrid", "iforest", "lof", "pca"])
def test_every_detector_trains_a_model_that_loads(detector, plant, folder, capsys):
    options = TINY if detector in ("lstm", "hybrid") else ["--window-size", "5"]
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


def test_a_model_made_in_python(plant, folder, capsys):
    frame = pd.read_csv(plant, index_col="timestamp", parse_dates=True)
    X = frame.drop(columns="anomaly")
    forest = make_pipeline(StandardScaler(), IsolationForest(random_state=0)).fit(X)
    tsanomaly.save(forest, "forest.skops")
    assert main(["detect", "forest.skops", plant, "--no-plots"]) == 0
    found = pd.read_csv(folder / "predictions.csv")
    assert ((found["flag"] == 1) == (forest.predict(X) == -1)).all()
    assert main(["detect", "forest.skops", plant, "--quantile", "0.9"]) == 1
    assert "Pass --threshold" in capsys.readouterr().err


def test_another_threshold_equals_that_of_another_training(model, plant, folder):
    detect = ["detect", model, plant, "--no-plots"]
    fitted = tsanomaly.load(model)
    frame = pd.read_csv(plant, index_col="timestamp", parse_dates=True)
    X = frame.drop(columns="anomaly")
    for option, value, wanted in (
        ("--quantile", 0.9, {"method": "quantile", "quantile": 0.9}),
        ("--k", 1.5, {"method": "sigma", "k": 1.5}),
    ):
        assert main([*detect, option, str(value)]) == 0
        again = clone(fitted)
        again[-1].set_params(**wanted)
        flags = again.fit(X[:480]).predict(X) == -1
        found = pd.read_csv(folder / "predictions.csv")["flag"] == 1
        assert flags.any()
        assert (found == flags).all()
    assert main([*detect, "--threshold", "-1"]) == 0
    assert (pd.read_csv(folder / "predictions.csv")["flag"] == 1).all()


def test_compare(plant, folder, capsys):
    options = ["--detectors", "pca", "iforest", "--train-fraction", "0.5", "--json"]
    assert main(["compare", plant, *options]) == 0
    result = json.loads(capsys.readouterr().out)
    names = [row["detector"] for row in result["detectors"]]
    assert names[:3] == ["pca", "iforest", "random scores"]
    table = pd.read_csv(folder / "comparison.csv", index_col="detector")
    assert table.index.tolist() == names
    assert is_png(folder / "comparison.png")


@pytest.mark.parametrize(
    "command",
    ["generate", "explore", "train", "detect", "evaluate", "explain", "report"],
)
def test_json_is_all_that_is_printed(command, model, plant, capsys):
    files = {
        "generate": [],
        "explore": [plant],
        "train": [plant, "--detector", "pca"],
    }.get(command, [model, plant])
    assert main([command, *files, "--no-plots", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert all(Path(file).is_file() for file in result["files"])


def examples():
    """The lines of examples, by command."""
    names = ["generate", "explore", "train", "detect", "evaluate", "compare"]
    return [*names, "explain", "report"]


@pytest.mark.parametrize("command", examples())
def test_the_examples_of_the_help_run(command, folder, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    lines = shown[shown.index("example:") :].splitlines()[1:]
    lines = [line.strip() for line in lines if line.strip()]
    assert lines[-1].startswith(f"tsanomaly {command}")
    for line in lines:
        assert main(line.split()[1:]) == 0


def test_examples_are_of_all_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for command in [*examples(), "demo"]:
        assert f"\n    {command} " in shown
    assert set(examples()) == set(_commands.__all__)


def test_as_a_process(plant, folder):
    command = [sys.executable, "-m", "tsanomaly", "train", plant, "--detector", "pca"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "threshold" in done.stdout
    assert done.stderr == ""  # no progress without a terminal
    assert is_png(folder / "errors.png")


@pytest.mark.parametrize(
    "options",
    [
        ["train", "x.csv", "--detector", "pca", "--units", "4"],
        ["train", "x.csv", "--quantile", "0.9", "--k", "3"],
        ["train", "x.csv", "--threshold-method", "sigma", "--quantile", "0.9"],
        ["train", "x.csv", "--quantile", "1.5"],
        ["train", "x.csv", "--epochs", "0"],
        ["detect", "m.skops", "x.csv", "--quantile", "0.9", "--k", "3"],
        ["detect", "m.skops", "x.csv", "--threshold", "1", "--k", "3"],
        ["compare", "x.csv", "--detectors", "pca", "lof", "--epochs", "3"],
    ],
)
def test_wrong_usage(options, folder, capsys):
    with pytest.raises(SystemExit) as stop:
        main(options)
    assert stop.value.code == 2
    assert f"usage: tsanomaly {options[0]}" in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["train", "nothing.csv"], "There is no file nothing.csv"),
        (["train", "tsanomaly-results"], "is a folder"),
        (["detect", "nothing.skops", "{plant}"], "There is no file nothing.skops"),
        (["detect", "tsanomaly-results", "{plant}"], "is a folder"),
        (["detect", "model.pkl", "{plant}"], "looks like a pickle"),
        (["detect", "{model}", "renamed.csv"], "rename the columns"),
        (["detect", "{model}", "partly.csv"], "'sensor_2' (3). The first is row 11 "),
        (["train", "partly.csv", "--detector", "lof"], "leave the sensor out with"),
        (["train", "{plant}", "--timestamp", "t"], "--timestamp 't' is not among"),
        (["explore", "{plant}", "--date-format", "%d"], "--date-format"),
        (["explore", "{plant}", "--output-dir", "renamed.csv"], "--output-dir"),
        (["explore", "{plant}", "--output-dir", "renamed.csv/x"], "--output-dir"),
        (["train", "tiny.csv", "--detector", "pca"], "raise --train-fraction"),
        (["train", "{plant}", "--window-size", "500"], "lower --window-size"),
        (["generate", "--freq", "fortnight"], "--freq fortnight"),
        (["generate", "--freq=0min"], "--freq 0min is no time"),
        (["generate", "--freq=-1min"], "--freq -1min is no time"),
        (["generate", "--kinds", "rust"], "'rust'"),
        (["train", "{plant}", "--columns", "sensor_9"], "no sensor 'sensor_9'"),
        (["detect", "{plant}", "{plant}"], "not a model"),
        (["evaluate", "{model}", "{plant}", "--label", "none"], "no labels"),
        (["compare", "{plant}", "--train-fraction", "1"], "No row is left"),
    ],
)
def test_failures(options, message, model, plant, capsys):
    readings = pd.read_csv(plant)
    readings.rename(columns={"sensor_1": "flow"}).to_csv("renamed.csv", index=False)
    readings.head(5).to_csv("tiny.csv", index=False)
    readings.loc[10:12, "sensor_2"] = np.nan
    readings.to_csv("partly.csv", index=False)
    Path("model.pkl").write_bytes(pickle.dumps(readings))
    options = [option.format(model=model, plant=plant) for option in options]
    assert main(options) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"tsanomaly {options[0]}: error: ")
    assert message in shown
    assert "Traceback" not in shown
    assert main([*options, "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["explore", "train", "compare"])
def test_a_failed_reading_makes_no_folder(command, plant):
    Path("words.csv").write_text("one\ntwo\nthree\n")
    for file in ("nothing.csv", "words.csv"):
        assert main([command, file, "--output-dir", "new"]) == 1
    assert not Path("new").exists()


@pytest.mark.parametrize("command", ["detect", "evaluate", "explain", "report"])
def test_a_failed_model_makes_no_folder(command, model, plant):
    for file in ("nothing.skops", plant):
        assert main([command, file, plant, "--output-dir", "new"]) == 1
    assert main([command, model, "nothing.csv", "--output-dir", "new"]) == 1
    assert main(["generate", "--kinds", "rust", "--output-dir", "new"]) == 1
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("no\nkernel"), "RuntimeError: no kernel. Pass --verbose"),
        (KeyError("flow"), "KeyError: 'flow'. Pass --verbose"),
        (MemoryError(), "There is not enough memory. Pass fewer rows"),
        (ValueError("two\n  lines"), "two lines"),
    ],
)
def test_errors_of_libraries_are_one_line(error, message, plant, monkeypatch, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr("tsanomaly._commands.summarise", fail)
    assert main(["explore", plant]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"tsanomaly explore: error: {message}")
    assert shown.count("\n") == 1
    assert main(["explore", plant, "-v"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_programming_error_keeps_its_traceback(plant, monkeypatch):
    monkeypatch.setattr("tsanomaly._commands.summarise", None)
    with pytest.raises(TypeError):
        main(["explore", plant])


def test_a_closed_pipe_is_no_failure(plant):
    """The reader has gone before anything is written."""
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "tsanomaly", "explore", plant, "--no-plots"]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


def test_interruption_leaves_what_was_there(model, plant, folder, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = {file: file.read_bytes() for file in folder.iterdir()}
    monkeypatch.setattr("tsanomaly._saving._atomic_write.os.fsync", interrupt)
    assert main(["detect", model, plant, "--threshold", "0"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize("command", ["train", "detect"])
def test_ctrl_c_leaves_no_half_written_file(command, plant, folder):
    """A process on a terminal, stopped where it says that it is at work."""
    assert main(["train", plant, "--detector", "iforest", "--no-plots"]) == 0
    model = str(folder / "model.skops")
    options, awaited = {
        "train": ([plant, "--epochs", "100000"], "training"),
        "detect": ([model, plant, "--threshold", "0"], " 2 of 40"),
    }[command]
    before = {file: file.read_bytes() for file in folder.iterdir()}
    ours, theirs = os.openpty()
    # As on a terminal, also where a shell that runs tests in the background has its
    # processes ignore the signal.
    program = (
        "import signal, sys; from tsanomaly._cli import main;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, command, *options],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        shown = ""
        while awaited not in shown:
            shown += os.read(ours, 1000).decode()
        process.send_signal(signal.SIGINT)
        # A terminal that is not read fills up, and what writes to it waits.
        with suppress(OSError):  # on Linux, once the other end is closed
            while os.read(ours, 1000):
                pass
        assert process.wait(60) == 130
    finally:
        process.kill()
        os.close(ours)
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_a_column_named_twice(plant, folder):
    options = ["--columns", "sensor_1", "sensor_2", "sensor_1", "--detector", "pca"]
    assert main(["train", plant, *options, "--no-plots"]) == 0
    model = tsanomaly.load(folder / "model.skops")
    assert model.feature_names_in_.tolist() == ["sensor_1", "sensor_2"]


def test_a_model_of_unknown_types(plant, folder, capsys):
    frame = pd.read_csv(plant, index_col="timestamp", parse_dates=True)
    X = frame.drop(columns="anomaly")
    steps = FunctionTransformer(np.nan_to_num), IsolationForest(random_state=0)
    tsanomaly.save(make_pipeline(*steps).fit(X), "own.skops")
    assert main(["detect", "own.skops", plant, "--no-plots"]) == 1
    message = capsys.readouterr().err
    assert "nan_to_num" in message
    assert "use tsanomaly.load with trusted=[...] in Python" in message


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
        options = ["--detector", "pca", "--fill", "--no-plots"]
        assert main(["train", file, *options]) == 0
        results.append(pd.read_csv(folder / "predictions.csv"))
    pd.testing.assert_frame_equal(*results, rtol=1e-9)
    assert results[0]["score"].isna().sum() == 3


def test_labels_the_other_way_round(model, plant, capsys):
    readings = pd.read_csv(plant)
    readings["anomaly"] = 1 - readings["anomaly"]
    readings.to_csv("swapped.csv", index=False)
    assert main(["evaluate", model, "swapped.csv", "--no-plots"]) == 0
    assert "90% of the rows of swapped.csv are labelled" in capsys.readouterr().err


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


@pytest.mark.parametrize("detector", ["lstm", "hybrid"])
def test_bars_show_how_far_a_network_is(detector, plant, folder, monkeypatch):
    terminal, output = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", output)
    command = ["train", plant, "--detector", detector, *TINY, "--no-plots"]
    assert main(command) == 0
    training = f"training {detector} on 480 rows"
    assert f"{training} {'░' * 20} 0 of 1 epochs" in terminal.text
    assert f"{training} {'█' * 20} 1 of 1 epochs" in terminal.text
    assert "\b" not in output.text  # no bars of Keras among the results
    terminal.text = ""
    model = str(folder / "model.skops")
    assert main(["detect", model, plant, "--threshold", "0", "--no-plots"]) == 0
    if detector == "lstm":
        # 64 rows at a time.
        assert f"scoring 600 rows {'█' * 2}{'░' * 18} 64 of 600 rows" in terminal.text
        assert f"explaining 600 rows {'█' * 20} 600 of 600 rows" in terminal.text
    else:
        assert "scoring 600 rows █" in terminal.text
    assert terminal.text.endswith("\r\x1b[K")


class Terminal:
    """A stream that says it is one."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        """Nothing is held back."""


def test_progress_is_erased_on_a_terminal(plant, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["explore", plant, "--no-plots"]) == 0
    assert "reading" in terminal.text
    assert terminal.text.endswith("\r\x1b[K")


# NumPy warns of what Keras does on PyTorch, in lines that are no bars.
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_progress_keeps_to_one_line_of_a_narrow_terminal(plant, monkeypatch):
    terminal = Terminal()
    terminal.fileno = lambda: 2
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(
        "tsanomaly._cli.os.get_terminal_size", lambda _: os.terminal_size((40, 24))
    )
    assert main(["train", plant, "--detector", "lstm", *TINY, "--no-plots"]) == 0
    lines = terminal.text.split("\r\x1b[K")
    assert max(map(len, lines)) == 39
    assert f"tr {'█' * 20} 1 of 1 epochs …" in lines
    assert lines[-1] == ""


def test_a_bar_shows_how_far_channels_are_explained(plant, folder, monkeypatch):
    options = ["--detector", "iforest", "--no-plots"]
    assert main(["train", plant, *options]) == 0
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    model = str(folder / "model.skops")
    assert main(["detect", model, plant, "--no-plots", "--quantile", "0.9"]) == 0
    # Each of the ten rows of a window is a column of four channels.
    assert f"{'░' * 20} 0 of 40 columns" in terminal.text
    assert f"{'█' * 15}{'░' * 5} 30 of 40 columns" in terminal.text
    assert terminal.text.endswith("\r\x1b[K")


def test_verbose_says_how_the_file_is_read(plant, capsys):
    assert main(["explore", plant, "--no-plots", "-v"]) == 0
    assert "timestamp" in capsys.readouterr().err


def test_warnings_are_lines(plant, capsys):
    readings = pd.read_csv(plant)
    pd.concat([readings[:300], readings[310:]]).to_csv("gap.csv", index=False)
    assert main(["explore", "gap.csv", "--no-plots", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["gaps"] == 1
    assert printed.err.startswith("tsanomaly explore: warning: ")


def test_the_help_is_light():
    code = (
        "import sys; from tsanomaly._cli import _parse\n"
        "_parse(['explore', 'x.csv'])\n"
        "print({'keras', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


PAGE = Path(__file__).parents[1] / "docs" / "command_line.md"


def lines_of_the_page():
    """The command lines that the page shows, in order."""
    fenced = PAGE.read_text(encoding="utf-8").split("```")[1::2]
    lines = [line for block in fenced for line in block.splitlines() if line]
    return [line.split("#")[0].strip() for line in lines]


@pytest.mark.slow
def test_the_page_runs_as_printed(folder, monkeypatch):
    """All of its lines, in order, with a network that trains in a moment."""
    from tsanomaly import LSTMAutoencoderDetector

    fit = LSTMAutoencoderDetector.fit

    def fit_shortly(self, X, y=None):
        self.set_params(epochs=1, windows_per_epoch=64)
        return fit(self, X, y)

    monkeypatch.setattr(LSTMAutoencoderDetector, "fit", fit_shortly)
    lines = lines_of_the_page()
    assert len(lines) > 12
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "tsanomaly"
        assert main(arguments) == 0, line
    jobs = {line.split()[1] for line in lines}
    assert jobs == set(_commands.__all__)
    assert is_png(Path("plots", "anomalies.png"))
