# SPDX-License-Identifier: MIT
import shutil

import pytest

from tsanomaly import LSTMAutoencoderDetector, Training
from tsanomaly._cli import _tuning, main

# Methods that train a network, alone and as a step of a pipeline.
_FITTING = ("fit", "fit_transform", "fit_predict")


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
def shorten_training(monkeypatch):
    """A function that gives parameters to all networks that are fitted from then on."""
    methods = {name: getattr(LSTMAutoencoderDetector, name) for name in _FITTING}

    def shorten_training(**parameters):
        def make_short(fit):
            def fit_shortly(self, X, y=None):
                training = Training(windows_per_epoch=64)
                self.set_params(epochs=1, training=training, **parameters)
                return fit(self, X, y)

            return fit_shortly

        for name, fit in methods.items():
            monkeypatch.setattr(LSTMAutoencoderDetector, name, make_short(fit))

    return shorten_training


@pytest.fixture
def short_search(monkeypatch):
    """Make ``tune`` try two lengths of windows with two thresholds each."""
    monkeypatch.setattr(_tuning, "_OF_STOCK", {"window__window_size": [3, 10]})
    monkeypatch.setattr(_tuning, "_PER", [100, 1_000])
