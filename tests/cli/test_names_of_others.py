# SPDX-License-Identifier: MIT
"""Commands on files with malicious column names."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.test_terminal import Terminal
from tsanomaly._cli import main

NAMES = [
    "\x1b[2J\x1b]0;title\x07flow",
    "level\ntsanomaly: all is well",
    "\u202e=cmd|' /C calc'!A0",
    "=1+1;@SUM(1)",
]
TIMES = "=time\x1b[31m"

# What a terminal may obey: all control characters but the end of a line, and what
# changes the direction of text.
OBEYED = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)


FILE = "\x1b[8mpump\n3.csv"


@pytest.fixture(scope="module")
def trained(results, tmp_path_factory):
    """A folder with readings under such names, and a model that is trained on them."""
    folder = tmp_path_factory.mktemp("named")
    readings = pd.read_csv(results / "plant.csv")
    readings.columns = [TIMES, *NAMES, "anomaly"]
    readings.to_csv(folder / FILE, index=False)
    options = ["--timestamp", TIMES, "--no-plots"]
    train = ["train", str(folder / FILE), "--detector", "pca", *options]
    assert main([*train, "--output-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def named(trained, folder):
    """The two files in the current folder."""
    for name in (FILE, "model.skops"):
        shutil.copy(trained / name, name)
    return FILE, "model.skops"


COMMANDS = {
    "explore": ["{csv}"],
    "train": ["{csv}", "--detector", "pca"],
    "detect": ["{model}", "{csv}", "--quantile", "0.9"],
    "evaluate": ["{model}", "{csv}"],
    "explain": ["{model}", "{csv}", "--quantile", "0.9", "--channels", "4"],
    "report": ["{model}", "{csv}", "--quantile", "0.9"],
    "compare": ["{csv}", "--detectors", "pca"],
}


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_that_a_terminal_obeys_is_shown(
    command, as_json, named, monkeypatch, capsys
):
    """In results, on the line of progress, in warnings and in what -v shows."""
    csv, model = named
    capsys.readouterr()
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    options = [option.format(csv=csv, model=model) for option in COMMANDS[command]]
    options += ["--timestamp", TIMES, "--no-plots", "-v", *["--json"] * as_json]
    assert main([command, *options]) == 0
    shown = capsys.readouterr().out
    assert not OBEYED.search(shown)
    if as_json:
        json.loads(shown)
    assert r"\x1b[8mpump\n3.csv" in terminal.text
    assert not OBEYED.search(terminal.text.replace("\r\x1b[K", ""))
    # A name is not a line of its own.
    for line in (shown + terminal.text).splitlines():
        assert not line.startswith("tsanomaly: all is well")


@pytest.mark.parametrize("as_json", [False, True])
def test_nor_by_what_is_in_a_model_file(as_json, named, capsys):
    capsys.readouterr()
    assert main(["info", named[1], *["--json"] * as_json]) == 0
    shown = capsys.readouterr().out
    assert not OBEYED.search(shown)
    assert "all is well" in shown
    for line in shown.splitlines():
        assert not line.startswith("tsanomaly: all is well")


@pytest.mark.parametrize(
    "options",
    [
        ["explore", "\x1b[8mnothing\n.csv"],
        ["explore", "{csv}", "--columns", "\x1b[2J"],
        ["explore", "{csv}", "--label", NAMES[0]],
        ["explore", "{csv}", "--timestamp", NAMES[1]],
        ["explore", "{csv}", "--output-dir", "{csv}"],
        ["train", "gaps.csv", "--detector", "pca", "--timestamp", TIMES],
        ["detect", "{csv}", "{csv}"],
        ["detect", "{model}", "renamed.csv"],
    ],
)
def test_nor_by_an_error(options, named, capsys):
    readings = pd.read_csv(named[0])
    readings.rename(columns={NAMES[0]: "\x1b[1m"}).to_csv("renamed.csv", index=False)
    readings.loc[3, NAMES[0]] = None
    readings.to_csv("gaps.csv", index=False)
    options = [option.format(csv=named[0], model=named[1]) for option in options]
    capsys.readouterr()
    for verbose in ([], ["-v"]):
        assert main([*options, *verbose]) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert not OBEYED.search(shown.err)
        assert shown.err.splitlines()[-1].startswith(f"tsanomaly {options[0]}: error: ")


def test_nor_by_a_programming_error(results):
    """Which keeps its traceback."""
    code = (
        "import sys\n"
        "from tsanomaly import datasets\n"
        "from tsanomaly._cli import main\n"
        "def fail(*_, **__): raise TypeError('\\x1b[2J')\n"
        "datasets.read_sensor_file = fail\n"
        "sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "explore", str(results / "plant.csv")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("TypeError: \\x1b[2J\n")


def test_nor_by_wrong_usage(capsys):
    """What a shell makes of ``*`` in a folder of others."""
    with pytest.raises(SystemExit):
        main(["generate", "a.csv", "\x1b]0;title\x07\nb.csv"])
    assert not OBEYED.search(capsys.readouterr().err)


def test_no_table_holds_a_formula(named, folder):
    csv_file, model = named
    options = ["--timestamp", TIMES, "--no-plots", "--output-dir", "results"]
    assert main(["detect", model, csv_file, "--quantile", "0.5", *options]) == 0
    for name in ("predictions.csv", "alarms.csv"):
        text = Path("results", name).read_text()
        table = pd.read_csv(Path("results", name))
        for delimiter in ",;":
            for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter):
                for cell in row:
                    sign = cell.lstrip(' "')[:1]
                    assert sign not in {"=", "+", "@"} or not sign
        assert len(table)
    table = pd.read_csv("results/predictions.csv")
    assert table.columns[0] == f"'{TIMES}"
    assert {f"'{NAMES[3]}".replace(";@", ";'@"), NAMES[0]} & set(table["top_channel"])
    assert table["score"].dtype.kind == "f"


def test_names_are_drawn_as_they_are(results, folder):
    """Matplotlib takes text between dollar signs for a formula."""
    readings = pd.read_csv(results / "plant.csv")
    readings.columns = ["timestamp", r"$\frac{$", "cost ($/h)", "$x_1$", "$", "anomaly"]
    readings.to_csv("costs.csv", index=False)
    assert main(["explore", "costs.csv"]) == 0
    assert main(["train", "costs.csv", "--detector", "pca"]) == 0
    model = str(folder / "model.skops")
    for command in ("detect", "explain", "report"):
        assert main([command, model, "costs.csv", "--quantile", "0.9"]) == 0


def test_a_step_is_not_taken_for_another_line_of_the_report(results, folder):
    """Steps of a pipeline are named by whoever made it."""
    from sklearn.ensemble import IsolationForest
    from sklearn.pipeline import Pipeline

    import tsanomaly

    readings = pd.read_csv(results / "plant.csv", index_col=0)
    X = readings.drop(columns="anomaly")
    forest = IsolationForest(n_estimators=5, random_state=0)
    model = Pipeline([("model written", forest)]).fit(X)
    tsanomaly.save(model, "forest.skops")
    plant = os.fspath(results / "plant.csv")
    assert main(["report", "forest.skops", plant, "--no-plots"]) == 0
    page = (folder / "report.html").read_text()
    assert page.count("model written") == 2
    assert re.search(r"model written</td><td class=\"code\">20\d\d-", page)
