# SPDX-License-Identifier: MIT
"""Preparation of readings for a detector."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import tsanomaly
from tsanomaly._cli import main
from tsanomaly._cli._prepare import prepare, warn_of_sparse
from tsanomaly._parameter_error import ParameterError

DAY = pd.date_range("2024-01-01 06:00", periods=60, freq="1min", name="time")
SHIFTS = DAY.append([DAY + pd.Timedelta(days=1), DAY + pd.Timedelta(days=2)])


def frame_at(times, n_channels=2):
    values = np.arange(len(times) * n_channels, dtype=float).reshape(len(times), -1)
    columns = [f"s{i}" for i in range(n_channels)]
    return pd.DataFrame(values, index=times, columns=columns)


def test_rows_on_both_sides_of_a_gap_are_no_neighbors():
    frame = frame_at(SHIFTS)
    labels = np.zeros(len(frame), dtype=int)
    labels[60] = 1
    prepared = prepare(frame, labels)
    breaks = prepared.frame.isna().all(axis=1).to_numpy()
    assert np.flatnonzero(breaks).tolist() == [60, 121]
    pd.testing.assert_frame_equal(
        prepared.frame.iloc[prepared.rows], frame, check_freq=False
    )
    assert np.flatnonzero(prepared.labels).tolist() == [61]
    assert prepared.notes == ("2 gaps of more than 10 min in time",)


@pytest.mark.parametrize("max_gap", [None, "2D"])
def test_gaps_that_are_none(max_gap):
    frame = frame_at(SHIFTS)
    prepared = prepare(frame, None, max_gap=max_gap)
    pd.testing.assert_frame_equal(prepared.frame, frame)
    assert prepared.notes == ()


def test_a_gap_that_is_chosen():
    times = DAY.delete([5, 6, 20])
    frame = frame_at(times)
    assert len(prepare(frame, None).frame) == 57
    assert len(prepare(frame, None, max_gap="90s").frame) == 59
    assert len(prepare(frame, None, max_gap="2min").frame) == 58


def test_times_that_are_irregular_have_no_gaps():
    steps = np.random.default_rng(0).exponential(60, 5000)
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(steps.cumsum(), unit="s")
    assert len(prepare(frame_at(times), None).frame) == 5000


def test_rows_without_times_have_no_gaps():
    frame = frame_at(pd.RangeIndex(9))
    assert prepare(frame, None).frame is frame
    for keywords in ({"max_gap": "1min"}, {"resample": "1min"}):
        with pytest.raises(ParameterError, match="needs times"):
            prepare(frame, None, **keywords)


def test_a_grid():
    """Labels count for the row that comes after them."""
    frame = frame_at(DAY)
    frame.iloc[:, 1] = np.where(np.arange(60) % 10 == 0, 5.0, np.nan)
    labels = np.zeros(60, dtype=int)
    labels[[11, 40]] = 1
    prepared = prepare(frame, labels, resample="10min")
    assert prepared.frame.index.tolist() == DAY[::10].tolist()
    assert prepared.frame["s0"].tolist() == frame["s0"][::10].tolist()
    assert prepared.frame["s1"].tolist() == [5.0] * 6
    assert prepared.labels.tolist() == [0, 0, 1, 0, 1, 0]
    assert prepared.notes == ("a grid of 6 rows, one every 10min",)


def test_a_grid_has_gaps_where_readings_are_too_old():
    frame = frame_at(SHIFTS[:120])
    auto, short, none = (
        prepare(frame, None, resample="10min", max_gap=max_gap).frame
        for max_gap in ("auto", "1min", None)
    )
    n_known = [int((~f.isna().all(axis=1)).sum()) for f in (auto, short, none)]
    assert n_known[1] < n_known[0] < n_known[2] == len(none)
    assert n_known[1] == 13  # one is a minute old


def test_readings_are_filled_between_breaks_only():
    frame = frame_at(SHIFTS, 1).assign(slow=np.nan)
    frame.iloc[[3, 7, 70], 1] = [1.0, 5.0, 9.0]
    filled = prepare(frame, None, fill="previous")
    slow = filled.frame["slow"].to_numpy()
    assert (slow[:7] == 1).all()  # those before the first are filled backwards
    assert (slow[7:60] == 5).all()
    assert np.isnan(slow[[60, 121]]).all()
    assert (slow[61:121] == 9).all()
    assert np.isnan(slow[122:]).all()  # there is no reading in that stretch
    assert "117 missing readings filled in" in filled.notes
    between = prepare(frame, None, fill="interpolate").frame["slow"]
    assert between[3:8].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("fill", "limit", "expected"),
    [
        ("previous", None, [1, 1, 2, 2, 2, 2, 2, 7, 7]),
        ("previous", 2, [1, 1, 2, 2, 2, None, None, 7, 7]),
        ("interpolate", None, [1, 1, 2, 3, 4, 5, 6, 7, 7]),
        ("interpolate", 3, [1, 1, 2, None, None, None, None, 7, 7]),
        ("interpolate", 4, [1, 1, 2, 3, 4, 5, 6, 7, 7]),
    ],
)
def test_limits_of_filling(fill, limit, expected):
    """None of them lets a later reading count for rows of a gap."""
    nan = np.nan
    frame = pd.DataFrame({"a": [nan, 1, 2, nan, nan, nan, nan, 7, nan]}, DAY[:9])
    filled = prepare(frame.assign(b=1.0), None, fill=fill, fill_limit=limit).frame["a"]
    np.testing.assert_array_equal(filled, np.array(expected, dtype=float))


def test_interpolation_goes_by_time():
    times = DAY[[0, 1, 9, 10]]
    frame = pd.DataFrame({"a": [0.0, np.nan, np.nan, 10.0]}, index=times)
    filled = prepare(frame.assign(b=1.0), None, fill="interpolate", max_gap=None)
    np.testing.assert_allclose(filled.frame["a"], [0, 1, 9, 10])


def test_sensors_of_another_rate_are_named():
    frame = frame_at(DAY)
    frame.iloc[:, 1] = np.where(np.arange(60) % 10 == 0, 5.0, np.nan)
    with pytest.warns(UserWarning, match=r"'s1' \(1 row in 10\).*resample.*10min"):
        prepare(frame, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_sparse(frame_at(DAY))
        prepare(frame, None, fill="previous")
        prepare(frame, None, resample="10min")


@pytest.mark.parametrize("silent", [slice(20, None), slice(0, 40), slice(10, 50)])
def test_sensors_that_fell_silent_are_no_slow_ones(silent):
    frame = frame_at(DAY)
    frame.iloc[silent, 1] = np.nan
    sentence = r"^'s1' \(1 row in 3\) has readings in few of the rows, with long gaps, "
    with pytest.warns(UserWarning, match=sentence) as said:
        prepare(frame, None)
    assert len(said) == 1
    assert "--resample" not in str(said[0].message)
    frame.iloc[:, 1] = np.nan
    frame.iloc[7, 1] = 1  # or 1 row in 60
    with pytest.warns(UserWarning, match=r"^'s1' \(1 row in 60\).*Forward-fill"):
        prepare(frame, None)


@pytest.fixture
def shifts(folder, rng):
    """A file of three days of 60 rows each, with labels."""
    frame = frame_at(SHIFTS)
    frame[:] = rng.normal(size=frame.shape)
    frame["label"] = 0
    frame.iloc[-3:, -1] = 1
    frame.to_csv("shifts.csv")
    return "shifts.csv"


def test_results_have_the_rows_of_the_file(shifts, folder, capsys):
    train = ["train", shifts, "--detector", "pca", "--window-size", "3"]
    assert main(train) == 0
    shown = capsys.readouterr().out
    assert "2 gaps of more than 10 min" in shown
    assert "column 'label' is used as labels (3 anomalous rows)" in shown
    for command in ("detect", "evaluate"):
        model = str(folder / "model.skops")
        assert main([command, model, shifts]) == 0
        assert "2 gaps" in capsys.readouterr().out
    table = pd.read_csv(folder / "predictions.csv", index_col="time", parse_dates=True)
    assert table.index.tolist() == SHIFTS.tolist()
    assert table["score"].notna().all()
    assert json.loads((folder / "evaluation.json").read_text())["rows"] == 180


def test_reports_count_what_was_missing_before_it_was_filled(shifts, folder, capsys):
    frame = pd.read_csv(shifts)
    frame.loc[10:20, "s1"] = np.nan
    frame.to_csv("partly.csv", index=False)
    fill = ["partly.csv", "--fill", "previous", "--no-plots"]
    assert main(["train", *fill, "--detector", "pca"]) == 0
    assert "11 missing readings filled in" in capsys.readouterr().out
    assert main(["report", str(folder / "model.skops"), *fill]) == 0
    page = (folder / "report.html").read_text()
    assert "11 readings missing" in page
    assert "11 missing readings filled in" in page


def test_sensors_without_a_reading_to_learn_from(shifts, folder, capsys):
    frame = pd.read_csv(shifts)
    frame["s1"] = frame["s1"].where(frame.index > 150)
    frame.to_csv("late.csv", index=False)
    command = ["train", "late.csv", "--detector", "autoregression", "--window-size"]
    assert main([*command, "5", "--no-plots"]) == 0
    shown = capsys.readouterr()
    assert "without any reading to learn from: 's1'" in shown.out
    assert "'s1': no reading in the rows to train on" in shown.err
    assert "--train-fraction" in shown.err
    assert "divide" not in shown.err
    model = tsanomaly.load(folder / "model.skops")
    assert model.feature_names_in_.tolist() == ["s0"]


def test_a_file_without_any_reading(shifts, folder, capsys):
    frame = pd.read_csv(shifts).assign(s0=np.nan, s1=np.nan)
    frame.to_csv("empty.csv", index=False)
    assert main(["train", "empty.csv", "--no-plots"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "'s0', 's1'" in error
    assert "--na-values" in error


@pytest.mark.parametrize("command", ["explore", "train"])
def test_files_and_folders_of_one_machine(command, shifts, folder, capsys):
    frame = pd.read_csv(shifts)
    parts = folder.parent / "parts"
    parts.mkdir()
    for number, rows in enumerate((slice(0, 60), slice(60, 120), slice(120, None))):
        frame[rows].to_csv(parts / f"day{number}.csv", index=False)
    options = [] if command == "explore" else ["--detector", "pca"]
    said = []
    for files in ([shifts], [str(parts)], sorted(map(str, parts.iterdir()))):
        assert main([command, *files, *options, "--no-plots"]) == 0
        said.append(capsys.readouterr().out.splitlines()[0])
    assert len(set(said)) == 1


def test_the_standard_input(shifts, folder, capsys, monkeypatch):
    with open(shifts, "rb") as file:
        monkeypatch.setattr("sys.stdin", type("Pipe", (), {"buffer": file}))
        assert main(["train", "-", "--detector", "pca", "--no-plots"]) == 0
    assert "trained on 144 rows" in capsys.readouterr().out


def test_tables_for_spreadsheets(shifts, folder):
    train = ["train", shifts, "--detector", "pca", "--no-plots"]
    starts = []
    for options in ([], ["--bom"]):
        assert main([*train, *options]) == 0
        starts.append((folder / "predictions.csv").read_bytes()[:4])
    assert starts == [b"time", b"\xef\xbb\xbft"]
