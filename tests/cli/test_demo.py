# SPDX-License-Identifier: MIT
import json

import numpy as np
import pandas as pd
import pytest

from tsanomaly import datasets
from tsanomaly._cli import main
from tsanomaly._cli._demo import format_table, run_demo


@pytest.fixture(autouse=True)
def short_demo(short_training, monkeypatch):
    """The demo on a part of the machine."""
    machine = datasets.load_smd("machine-2-1")
    kept = np.r_[22_700:25_700, 31_550:31_700]  # with an event
    machine.frame = machine.frame.iloc[kept]
    machine.target, machine.train_mask = machine.target[kept], machine.train_mask[kept]
    monkeypatch.setattr(datasets, "load_smd", lambda name: machine)


def test_demo(tmp_path, capsys):
    assert main(["demo", "--output-dir", str(tmp_path / "a" / "b")]) == 0
    printed = capsys.readouterr().out
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


def test_its_progress_leaves_json_and_pyplot_alone(tmp_path, capsys):
    import matplotlib.pyplot as plt

    lines = []
    run_demo(tmp_path, progress=lines.append)
    assert len(lines) == 16
    assert plt.get_fignums() == []
    assert main(["demo", "--json", "--output-dir", str(tmp_path)]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 16


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert main(["demo", "--output-dir", str(blocked)]) == 1
    assert "--output-dir" in capsys.readouterr().err


def test_interruption(monkeypatch, tmp_path, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "load_nab", interrupt)
    assert main(["demo", "--output-dir", str(tmp_path)]) == 130
    assert "interrupted" in capsys.readouterr().err
