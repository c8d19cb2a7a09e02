# SPDX-License-Identifier: MIT
"""Files as found in plants, from the command line."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsanomaly._cli import main

CASES = Path(__file__).parents[3] / "shared" / "cases"
FILES = CASES / "files"

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")

# What `explore` says of each file: rows, channels, and words in its messages.
READ = {
    "units_row.csv": (20, ["Temp", "Press"], []),
    "bad_words.csv": (30, ["TI101.PV", "FI202.PV"], ["'Bad' (1)", "--na-values"]),
    "long_two_sensors.csv": (200, ["sensor.temp", "sensor.power"], ["--long none"]),
    "long_tags.csv": (10, ["T0", "T1", "T2"], ["long format", "--long none"]),
    "dead_sensor.csv": (600, ["temp", "p", "empty"], ["'empty'", "--drop empty"]),
    "label_like_names.csv": (
        600,
        ["temp", "label_printer_on", "fault_relay"],
        ["--label none"],
    ),
    "dollar_names.csv": (1500, ["$PT_01$", "A$_$B", "c%^$ $"], []),
    "banner_repeated.csv": (
        40,
        ["FIT101", "LIT101", "MV101", "P101"],
        ["column 'Normal/Attack' is used as labels"],
    ),
    "two_rates.csv": (3000, ["fast", "slow"], ["'slow' (1 row in 60)", "--resample"]),
    "shifts.csv": (2880, ["temp", "p"], ["16 h"]),
    "footer.csv": (20, ["a", "b"], ["'Total,190,380'"]),
    "cut_last_line.csv": (20, ["a", "b"], ["cut"]),
    "same_name_twice.csv": (20, ["Temp", "Temp (2)"], ["more than once"]),
    "time_per_tag.csv": (39, ["T1", "T2"], ["merged by time"]),
    "quality_columns.csv": (20, ["TI1", "PI1"], ["'TI1_Quality'", "--quality none"]),
    "on_off.csv": (6, ["Temp", "Pump"], ["'ON' is 1 and 'OFF' is 0"]),
    "excel_serial.csv": (4, ["T1"], ["--date-format excel"]),
    "small.parquet": (20, ["T1", "T2"], []),
    "cyclic_train.csv": (4000, ["pos", "torque"], []),
}


@needs_cases
@pytest.mark.parametrize("name", READ)
def test_files_that_are_read(name, folder, capsys):
    assert main(["explore", str(FILES / name), "--no-plots"]) == 0
    n_rows, channels, words = READ[name]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["rows"] == n_rows
    assert list(summary["per_channel"]) == channels
    said = capsys.readouterr()
    for word in words:
        assert word in said.out + said.err
    if not words:
        assert said.err == ""


@needs_cases
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("below_limit.csv", ["'<0.05'", "--na-values"]),
        ("fleet_text_ids.csv", ["'M1'", "--by machine_id"]),
    ],
)
def test_files_that_need_an_option(name, words, folder, capsys):
    assert main(["explore", str(FILES / name), "--no-plots"]) == 1
    error = capsys.readouterr().err
    for word in words:
        assert word in error


@needs_cases
def test_a_press(folder):
    """The fault is found, and the first rows of the file are no alarm."""
    train = ["train", str(FILES / "cyclic_train.csv"), "--detector", "autoregression"]
    assert main([*train, "--no-plots"]) == 0
    model = str(folder / "model.skops")
    assert main(["detect", model, str(FILES / "cyclic_fault.csv"), "--no-plots"]) == 0
    [alarm] = pd.read_csv(folder / "alarms.csv").to_dict("records")
    assert alarm["start"] <= "2024-01-01 01:16:40" <= alarm["end"]
    assert alarm["channels"].startswith("pos")


@needs_cases
def test_shifts_begin_without_an_alarm(folder):
    file = str(FILES / "shifts.csv")
    train = ["train", file, "--detector", "autoregression", "--no-plots"]
    assert main(train) == 0
    assert main(["detect", str(folder / "model.skops"), file, "--no-plots"]) == 0
    assert len(pd.read_csv(folder / "alarms.csv")) <= 1


@needs_cases
def test_sensors_of_two_rates(folder):
    file = str(FILES / "two_rates.csv")
    train = ["train", file, "--detector", "autoregression", "--no-plots"]
    for options in ([], ["--fill", "previous"]):
        assert main([*train, *options]) == 0
        flags = pd.read_csv(folder / "predictions.csv")["flag"]
        assert flags.mean() < 0.02


def as_a_historian(frame, path):
    """Semicolons, decimal commas, a byte order mark, and words for bad readings."""
    words = np.array(["Bad", "I/O Timeout", "No Data"])
    lines = [";".join(["时间", *frame.columns])]
    for number, (time, row) in enumerate(
        zip(frame.index, frame.to_numpy(), strict=True)
    ):
        cells = [
            words[number % 3] if np.isnan(value) else f"{value:.4f}".replace(".", ",")
            for value in row
        ]
        lines.append(";".join([f"{time:%d.%m.%Y %H:%M:%S}", *cells]))
    path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8-sig")
    return str(path)


@pytest.fixture
def pump(folder, rng):
    """Training and test rows of a pump with Chinese tags; the bearing heats up."""
    times = pd.date_range("2024-01-01", periods=3000, freq="5min", name="time")
    load = np.sin(np.arange(3000) / 46) + 0.1 * rng.normal(size=3000)
    values = np.column_stack([load, 3 * load, 50 + 5 * load])
    values += 0.1 * rng.normal(size=values.shape)
    frame = pd.DataFrame(values, times, ["流量", "电流 [A]", "轴承温度"])
    frame.iloc[2600:2700, 2] += np.linspace(0, 8, 100)
    frame = frame.mask(rng.random(frame.shape) < 0.01)
    files = [as_a_historian(frame[:2000], folder.parent / "泵_训练.csv")]
    files.append(as_a_historian(frame[2000:], folder.parent / "泵_新.csv"))
    labels = np.zeros(1000, dtype=int)
    labels[600:700] = 1
    labelled = frame[2000:].assign(label=labels)
    files.append(as_a_historian(labelled, folder.parent / "泵_标.csv"))
    return files


def run_chain(train, new, labelled, folder, capsys, *options):
    """Every command; what they warned of, and the alarms."""
    model, fraction = str(folder / "model.skops"), ["--train-fraction", "1"]
    commands = [
        ["explore", train],
        ["train", train, *fraction, *options],
        ["evaluate", model, labelled],
        ["explain", model, new],
        ["report", model, new],
        ["detect", model, new],
    ]
    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        for command in commands:
            assert main(command) == 0
            said += capsys.readouterr().err.splitlines()
    return said, pd.read_csv(folder / "alarms.csv")


def test_a_file_of_a_historian(pump, folder, capsys):
    """The only warnings are about the words, and the fault is the worst alarm."""
    train, new, labelled = pump
    options = ["--detector", "autoregression"]
    said, alarms = run_chain(train, new, labelled, folder, capsys, *options)
    # Whether a font has the characters of the tags depends on the machine.
    said = [line for line in said if "No installed font has" not in line]
    assert said
    assert all("read as missing readings: " in line for line in said)
    worst = alarms.loc[alarms["severity"].idxmax()]
    fault = ("2024-01-10 00:40:00", "2024-01-10 08:55:00")
    assert worst["start"] <= fault[1]
    assert worst["end"] >= fault[0]
    assert worst["channels"].startswith("轴承温度")
    assert len(alarms) <= 3
    assert "轴承温度" in (folder / "report.html").read_text()


@needs_cases
@pytest.mark.slow
def test_the_plant_of_a_historian(folder, capsys, monkeypatch):
    """With the detector that is the default."""
    monkeypatch.syspath_prepend(CASES)
    import pumps

    frame, y, _ = pumps.historian()
    tags = ["压力", "流量", "轴承温度", "电流", "振动", "液位", "阀门"]
    frame.columns = tags
    days = pd.Timedelta(days=pumps.HISTORIAN_TRAIN_DAYS)
    in_training = frame.index < frame.index[0] + days
    files = [
        as_a_historian(part, folder.parent / name)
        for name, part in {
            "泵_训练.csv": frame[in_training],
            "泵_新.csv": frame[~in_training],
            "泵_标.csv": frame[~in_training].assign(label=y[~in_training]),
        }.items()
    ]
    said, alarms = run_chain(*files, folder, capsys)
    about_data = ("read as missing readings", "steps differ", "read as channels")
    assert all(any(words in line for words in about_data) for line in said)
    worst = alarms.loc[alarms["severity"].idxmax()]
    fault = y.index[y == 1]
    start = pd.Timestamp(worst["start"])
    assert fault[0] <= start <= fault[0] + pd.Timedelta("2h")
    assert worst["channels"].split("; ")[0] in ("轴承温度", "振动")
    assert len(alarms) <= 4
    del sys.modules["pumps"]
