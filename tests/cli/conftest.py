# SPDX-License-Identifier: MIT
import shutil

import pytest

from tsanomaly._cli import _tuning, main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where results go; the current folder is that around it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "tsanomaly-results"


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """A plant, with anomalies in the rows after the training rows, too; and a model."""
    folder = tmp_path_factory.mktemp("plant")
    plant, output = str(folder / "plant.csv"), ["--output-dir", str(folder)]
    options = ["--rows", "600", "--contamination", "0.1", "--no-plots"]
    assert main(["generate", *options, *output]) == 0
    train = ["train", plant, "--detector", "pca", "--no-plots"]
    assert main([*train, *output]) == 0
    return folder


@pytest.fixture
def plant(results, folder):
    """The readings of the plant, among the results."""
    folder.mkdir()
    return str(shutil.copy(results / "plant.csv", folder))


@pytest.fixture
def model(results, plant, folder):
    """A model that is trained on the plant, among the results."""
    return str(shutil.copy(results / "model.skops", folder))


@pytest.fixture
def short_search(monkeypatch):
    """Make ``tune`` try two lengths of windows with two thresholds each."""
    monkeypatch.setattr(_tuning, "_OF_STOCK", {"window__window_size": [3, 10]})
    monkeypatch.setattr(_tuning, "_PER", [100, 1_000])
