# SPDX-License-Identifier: MIT
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tsanomaly import __version__, _demo
from tsanomaly._cli import main
from tsanomaly._demo import format_table, run_demo


@pytest.fixture
def short_demo(monkeypatch):
    """The demo on one short series, with a network that trains in a moment."""
    detectors = _demo._detectors()
    lstm = detectors["LSTM autoencoder"]
    lstm.set_params(
        lstmautoencoderdetector__units=(3,),
        lstmautoencoderdetector__window_size=10,
        lstmautoencoderdetector__epochs=2,
        lstmautoencoderdetector__windows_per_epoch=100,
    )
    monkeypatch.setattr(_demo, "_NAB", ("ec2_cpu_utilization_24ae8d",))
    monkeypatch.setattr(_demo, "_SMD", "machine-2-1")
    monkeypatch.setattr(_demo, "_detectors", lambda: detectors)
    from tsanomaly import datasets

    def shortened():
        machine = load_smd()
        kept = np.r_[22_700:25_700]
        kept = np.append(kept, np.arange(31_550, 31_700))  # an event
        for key in ("frame", "target", "train_mask"):
            machine[key] = (
                machine[key][kept] if key != "frame" else machine.frame.iloc[kept]
            )
        return machine

    load_smd = datasets.load_smd
    monkeypatch.setattr(datasets, "load_smd", lambda name: shortened())


def test_demo(short_demo, tmp_path, capsys):
    assert main(["demo", "--output-dir", str(tmp_path / "a" / "b")]) == 0
    printed = capsys.readouterr().out
    folder = tmp_path / "a" / "b"
    assert str(folder) in printed
    assert "[ 1/8]" in printed
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
    assert len(table) == 2 * 4
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


def test_demo_reports_progress_and_leaves_pyplot_alone(short_demo, tmp_path):
    import matplotlib.pyplot as plt

    lines = []
    run_demo(tmp_path, progress=lines.append)
    assert len(lines) == 8
    assert plt.get_fignums() == []


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert main(["demo", "--output-dir", str(blocked)]) == 1
    assert "tsanomaly demo: error:" in capsys.readouterr().err


def test_interruption(monkeypatch, tmp_path, capsys):
    def interrupt(folder, *, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(_demo, "run_demo", interrupt)
    assert main(["demo", "--output-dir", str(tmp_path)]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["demo", "--colour"]])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: tsanomaly" in capsys.readouterr().err


def test_as_a_module():
    shown = subprocess.run(
        [sys.executable, "-m", "tsanomaly", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == f"tsanomaly {__version__}"
