# SPDX-License-Identifier: MIT
"""The same readings in files of every kind, from the command line: the same scores."""

import io

import numpy as np
import pandas as pd
import pytest

from tsanomaly._cli import main

N_ROWS = 200
NAMES = ["温度", "压力", "fault_relay"]
TIMES = pd.date_range("2024-03-20 10:00", periods=N_ROWS, freq="1min", name="时间")


def make_readings():
    rng = np.random.default_rng(0)
    values = np.column_stack(
        [
            20 + np.sin(np.arange(N_ROWS) / 9) + 0.1 * rng.normal(size=N_ROWS),
            1000 + 5 * rng.normal(size=N_ROWS),
            rng.random(N_ROWS) < 0.5,
        ]
    ).round(3)
    values[170:175, 1] += 80
    frame = pd.DataFrame(values, TIMES, NAMES)
    return frame.astype({"fault_relay": int})


READINGS = make_readings()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model, and what it says of the readings in a plain file."""
    folder = tmp_path_factory.mktemp("kinds")
    file, output = str(folder / "plain.csv"), ["--output-dir", str(folder)]
    READINGS.to_csv(file)
    options = ["--no-plots", *output]
    assert main(["train", file, "--detector", "pca", *options]) == 0
    model = str(folder / "model.skops")
    assert main(["detect", model, file, *options]) == 0
    table = pd.read_csv(folder / "predictions.csv", index_col=0, parse_dates=True)
    assert table.index.tolist() == TIMES.tolist()
    assert table["flag"][170:175].all()
    return model, table


def as_text(cells, header, sep=",", encoding="utf-8"):
    """Bytes of a table, from what a function makes of time and readings of a row."""
    rows = zip(TIMES, *READINGS.T.to_numpy(), strict=True)
    lines = [sep.join(header), *(sep.join(map(str, cells(*row))) for row in rows)]
    return ("\r\n".join(lines) + "\r\n").encode(encoding)


def long_table():
    cells = READINGS.melt(ignore_index=False, var_name="tag", value_name="value")
    return cells.sort_index(kind="stable").to_csv().encode()


def quality_columns():
    header = ["时间", "温度", "温度_Quality", "压力", "压力_Quality", "fault_relay"]
    return as_text(lambda t, a, b, c: (t, a, "Good", b, "Good", c), header)


def a_time_for_each_tag():
    header = [cell for i, name in enumerate(NAMES, 1) for cell in (f"Time {i}", name)]
    return as_text(lambda t, a, b, c: (t, a, t, b, t, c), header)


def in_days_of_excel():
    def days(time):
        return (time - pd.Timestamp("1899-12-30")) / pd.Timedelta("1D")

    header = ["时间", *NAMES]

    def cells(t, *row):
        return (f"{cell:.9f}".replace(".", ",") for cell in (days(t), *row))

    return as_text(cells, header, ";")


def in_ticks_of_windows():
    def ticks(time):
        epoch = pd.Timestamp("1970-01-01")  # 11,644,473,600 seconds after that of 1601
        return (time - epoch) // pd.Timedelta("1us") * 10 + 11_644_473_600 * 10**7

    return as_text(lambda t, *row: (ticks(t), *row), ["timestamp", *NAMES])


def in_milliseconds():
    return as_text(lambda t, *row: (t.value // 10**6, *row), ["timestamp", *NAMES])


def in_milliseconds_since_the_start():
    cells = lambda t, *row: ((t - TIMES[0]).value // 10**6, *row)  # noqa: E731
    return as_text(cells, ["Time [ms]", *NAMES])


def of_a_historian():
    def cells(t, *row):
        numbers = (f"{value:.3f}".replace(".", ",") for value in row)
        return f"{t:%d.%m.%Y %H:%M:%S}", *numbers

    return as_text(cells, ["时间", *NAMES], ";", "utf-8-sig")


def with_a_footer():
    return READINGS.to_csv().encode() + b"Total,1,2,3\n"


def with_states():
    cells = lambda t, a, b, c: (t, a, b, ("OFF", "ON")[int(c)])  # noqa: E731
    return as_text(cells, ["时间", *NAMES])


def between_spaces():
    cells = lambda t, *row: (t.isoformat(), *row)  # noqa: E731
    return as_text(cells, ["时间", *NAMES], "   ")


def of_a_workbook():
    stream = io.BytesIO()
    READINGS.to_excel(stream)
    return stream.getvalue()


def of_parquet():
    stream = io.BytesIO()
    READINGS.to_parquet(stream)
    return stream.getvalue()


# What is said of the relay, a channel, whatever holds it.
LIKE_LABELS = "'fault_relay'. If they are labels, pass --label fault_relay; if they are"

# Content, the name of the file, and words of the messages.
KINDS = {
    "long table": (long_table, "a.csv", ["long format", "--long none"]),
    "quality": (quality_columns, "a.csv", ["quality of readings", "--quality none"]),
    "times": (a_time_for_each_tag, "a.csv", ["merged by time"]),
    "excel serial": (in_days_of_excel, "a.csv", ["--date-format excel"]),
    "filetime": (in_ticks_of_windows, "a.csv", []),
    "ms": (in_milliseconds, "a.csv", []),
    "relative ms": (in_milliseconds_since_the_start, "a.csv", ["--date-format ms"]),
    "historian": (of_a_historian, "泵 1.csv", []),
    "footer": (with_a_footer, "a.csv", ["'Total,1,2,3'"]),
    "states": (with_states, "a.csv", ["'ON' is 1 and 'OFF' is 0"]),
    "spaces": (between_spaces, "a.txt", []),
    "workbook": (of_a_workbook, "a.xlsx", []),
    "parquet": (of_parquet, "a.parquet", []),
}


def detect(trained, *files):
    """Scores of some files."""
    assert main(["detect", trained[0], *map(str, files), "--no-plots"]) == 0
    return pd.read_csv("tsanomaly-results/predictions.csv", index_col=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_scores(kind, trained, folder, capsys):
    make, name, words = KINDS[kind]
    file = folder.parent / name
    file.write_bytes(make())
    table = detect(trained, file)
    said = capsys.readouterr().err.splitlines()
    if kind not in ("long table", "states"):  # neither of them can be labels
        assert any(LIKE_LABELS in line for line in said)
    for word in words:
        assert any(word in line for line in said)
    if not words:
        assert all(LIKE_LABELS in line for line in said)
    np.testing.assert_allclose(table["score"], trained[1]["score"], rtol=1e-6)
    assert table["flag"].tolist() == trained[1]["flag"].tolist()
    if kind != "relative ms":
        assert pd.to_datetime(table.index).tolist() == TIMES.tolist()


def test_a_line_that_was_cut(trained, folder, capsys):
    file = folder.parent / "cut.csv"
    file.write_bytes(READINGS.to_csv().encode()[:-12])
    table = detect(trained, file)
    assert "cut" in capsys.readouterr().err
    assert len(table) == N_ROWS - 1
    np.testing.assert_allclose(table["score"], trained[1]["score"][:-1], rtol=1e-6)


def test_a_folder_of_different_kinds(trained, folder, capsys):
    parts = folder.parent / "parts"
    parts.mkdir()
    READINGS[:80].to_csv(parts / "1.csv", sep=";")
    READINGS[80:].to_parquet(parts / "2.parquet")
    table = detect(trained, parts)
    said = capsys.readouterr().err.splitlines()
    assert all(LIKE_LABELS in line for line in said)
    np.testing.assert_allclose(table["score"], trained[1]["score"], rtol=1e-6)


@pytest.mark.parametrize("kind", ["historian", "workbook"])
def test_the_standard_input(kind, trained, folder, monkeypatch):
    stream = io.BytesIO(KINDS[kind][0]())
    monkeypatch.setattr("sys.stdin", type("Pipe", (), {"buffer": stream}))
    table = detect(trained, "-")
    np.testing.assert_allclose(table["score"], trained[1]["score"], rtol=1e-6)


@pytest.mark.parametrize("names", [["M1", "M2"], [7, 8]])
def test_machines_in_one_file(names, trained, folder, capsys):
    """Each has the scores that it has alone; without the option, there is a word."""
    fleet = pd.concat([READINGS.assign(machine_id=name) for name in names])
    fleet.sort_index(kind="stable").to_csv("fleet.csv")
    train = ["train", "fleet.csv", "--detector", "pca", "--no-plots"]
    assert main(train) == int(isinstance(names[0], str))
    assert "--by machine_id" in capsys.readouterr().err
    assert main([*train, "--by", "machine_id"]) == 0
    assert main(["detect", "tsanomaly-results/model.skops", "fleet.csv"]) == 0
    table = pd.read_csv("tsanomaly-results/predictions.csv")
    for _, part in table.groupby("machine_id"):
        np.testing.assert_allclose(part["score"], trained[1]["score"], rtol=1e-6)


def test_channels_with_names_of_labels(trained, capsys):
    """The relay is a channel of the model, and `info` says so."""
    assert main(["info", trained[0]]) == 0
    assert f"channels: {', '.join(NAMES)}" in capsys.readouterr().out
