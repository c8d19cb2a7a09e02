# SPDX-License-Identifier: MIT
import pytest

from tsanomaly import LSTMAutoencoderDetector
from tsanomaly._cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where results go; the current folder is that around it."""
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
    """A model that is trained on the plant."""
    assert main(["train", plant, "--detector", "pca", "--no-plots"]) == 0
    capsys.readouterr()
    return str(folder / "model.skops")


@pytest.fixture
def short_training(monkeypatch):
    """Networks of any size train in a moment."""
    fit = LSTMAutoencoderDetector.fit

    def fit_shortly(self, X, y=None):
        self.set_params(
            window_size=10, units=(3,), latent_dim=2, epochs=1, windows_per_epoch=64
        )
        return fit(self, X, y)

    monkeypatch.setattr(LSTMAutoencoderDetector, "fit", fit_shortly)
