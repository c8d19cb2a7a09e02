# SPDX-License-Identifier: MIT
import shutil

import pandas as pd
import pytest

from tsanomaly._cli import _tuning, main

LONG_NAME = f"press{'_in_between' * 6}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folder of the results, inside the current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "tsanomaly-results"


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """Results with a plant, with anomalies after the training rows, and a model."""
    folder = tmp_path_factory.mktemp("plant")
    plant, output = str(folder / "plant.csv"), ["--output-dir", str(folder)]
    options = ["--rows", "600", "--contamination", "0.1", "--no-plots"]
    assert main(["generate", *options, *output]) == 0
    train = ["train", plant, "--detector", "pca", "--no-plots"]
    assert main([*train, *output]) == 0
    return folder


@pytest.fixture
def plant(results, folder):
    """File of the readings of the plant, among the results."""
    folder.mkdir()
    return str(shutil.copy(results / "plant.csv", folder))


@pytest.fixture
def model(results, plant, folder):
    """File of a model that is trained on the plant, among the results."""
    return str(shutil.copy(results / "model.skops", folder))


@pytest.fixture
def short_search(monkeypatch):
    """Make ``tune`` try two window lengths with two thresholds each."""
    monkeypatch.setattr(_tuning, "_OF_STOCK", {"window__window_size": [3, 10]})
    of_networks = {"window_size": [(4, 10), (8, 20)]}
    monkeypatch.setitem(_tuning._WINDOWS, "lstm", of_networks)
    monkeypatch.setattr(_tuning, "_PER", [100, 1_000])


@pytest.fixture(scope="session")
def eager_results(results, tmp_path_factory):
    """Results of training on the plant, with a low threshold that causes alarms."""
    folder = tmp_path_factory.mktemp("eager")
    options = ["--detector", "pca", "--quantile", "0.5", "--no-plots"]
    train = ["train", str(results / "plant.csv"), *options]
    assert main([*train, "--output-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def eager_model(eager_results, plant, folder):
    """A model with a threshold so low that there are alarms, and its other files."""
    shutil.copytree(eager_results, folder, dirs_exist_ok=True)
    return str(folder / "model.skops")


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """A report with all its pictures, and names that are hard to lay out."""
    folder = tmp_path_factory.mktemp("report")
    results = ["--output-dir", str(folder)]
    options = ["--rows", "600", "--contamination", "0.1", "--no-plots"]
    assert main(["generate", *options, *results]) == 0
    readings = pd.read_csv(folder / "plant.csv")
    readings = readings.rename(columns={"sensor_2": LONG_NAME})
    # A name without spaces, wider than a phone.
    file = folder / f"pump_station_3{'_readings' * 8}.csv"
    readings.to_csv(file, index=False)
    train = ["train", str(file), "--detector", "pca", "--no-plots"]
    assert main([*train, *results]) == 0
    model = str(folder / "model.skops")
    options = ["--quantile", "0.7", "--off-delay", "5", "--trigger", "0"]
    assert main(["report", model, str(file), *options, *results]) == 0
    return (folder / "report.html").read_text()
