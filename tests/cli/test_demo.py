# SPDX-License-Identifier: MIT
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tsanomaly import datasets
from tsanomaly._cli import main
from tsanomaly._cli._demo import format_table


@pytest.fixture(autouse=True)
def short_demo(shorten_training, monkeypatch):
    """The demo on parts of its series, with small networks."""
    shorten_training(window_size=10, units=(3,))

    def shortened(load):
        def load_part(name):
            data = load(name)
            event = np.argmax(data.target * ~data.train_mask)
            train = np.flatnonzero(data.train_mask)[:300]
            test = np.flatnonzero(~data.train_mask)
            kept = np.append(train, test[np.abs(test - event) < 200])
            data.frame = data.frame.iloc[kept, :6]  # more than are drawn
            data.target, data.train_mask = data.target[kept], data.train_mask[kept]
            return data

        return load_part

    for name in ("load_nab", "load_smd"):
        monkeypatch.setattr(datasets, name, shortened(getattr(datasets, name)))


def test_demo(tmp_path, capsys):
    assert main(["demo", "--output-dir", str(tmp_path / "a" / "b")]) == 0
    printed = capsys.readouterr().out
    assert plt.get_fignums() == []
    folder = tmp_path / "a" / "b"
    assert str(folder) in printed
    assert "[ 1/16]" in printed
    table = pd.read_csv(folder / "results.csv")
    assert table.columns.tolist() == [
        "series",
        "detector",
        "precision",
        "recall",
        "f1",
        "roc_auc",
        "average_precision",
        "fit_seconds",
        "score_seconds",
    ]
    assert len(table) == 4 * 4
    assert np.isfinite(table.drop(columns=["series", "detector"])).all(axis=None)
    for line in format_table(table).splitlines():
        assert line in printed
    for name in table["series"].unique():
        predictions = pd.read_csv(folder / f"{name}.csv", index_col=0)
        assert {"label", "LOF_score", "LSTM_autoencoder_flag"} <= set(predictions)
        found = table[(table.series == name) & (table.detector == "PCA")].iloc[0]
        flagged = predictions["PCA_flag"] == 1
        if flagged.any():
            precision = predictions["label"][flagged].mean()
            assert found["precision"] == pytest.approx(precision)
        assert (flagged == (predictions["PCA_score"] > 0)).all()
        assert (folder / f"{name}.png").stat().st_size > 10_000


def test_json_is_all_that_is_printed(tmp_path, capsys):
    assert main(["demo", "--json", "--output-dir", str(tmp_path)]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 16


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert main(["demo", "--output-dir", str(blocked)]) == 1
    assert "--output-dir" in capsys.readouterr().err


def test_a_failure_in_the_middle_leaves_what_was_there(monkeypatch, tmp_path, capsys):
    """After the first series, whose results are not shown beside older ones."""
    (tmp_path / "results.csv").write_text("old")
    savefig, calls = Figure.savefig, []

    def fail(self, *args, **kwargs):
        calls.append(self)
        if len(calls) == 2:
            raise MemoryError
        savefig(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", fail)
    assert main(["demo", "--output-dir", str(tmp_path)]) == 1
    assert "memory" in capsys.readouterr().err
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_interruption(monkeypatch, tmp_path, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "load_nab", interrupt)
    assert main(["demo", "--output-dir", str(tmp_path)]) == 130
    assert "interrupted" in capsys.readouterr().err
