# SPDX-License-Identifier: MIT
import gzip
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from tests.helpers import SHARED_DATA, needs_shared_data
from tsanomaly.datasets import load_nab, load_skab, load_smd
from tsanomaly.datasets._packaged import DATA

PACKAGED = {
    # name: rows, label windows, duplicate times
    "ec2_cpu_utilization_24ae8d": (4032, 2, 0),
    "ec2_cpu_utilization_c6585a": (4032, 0, 0),
    "ec2_network_in_5abac7": (4730, 2, 11),
    "rds_cpu_utilization_cc0c53": (4032, 2, 0),
}


@pytest.mark.parametrize("name", PACKAGED)
def test_nab(name):
    n_rows, n_events, n_duplicates = PACKAGED[name]
    data = load_nab(f"realAWSCloudwatch/{name}")
    assert data.frame.shape == (n_rows, 1)
    assert isinstance(data.frame.index, pd.DatetimeIndex)
    assert data.frame.index.duplicated().sum() == n_duplicates
    assert data.target.shape == data.train_mask.shape == (n_rows,)
    assert data.train_mask.sum() == int(0.15 * n_rows)
    assert not data.target[data.train_mask].any()
    assert len(data.events) == n_events
    assert data.events.dtypes.map(lambda t: t.kind).tolist() == ["M", "M"]
    for start, end in data.events.itertuples(index=False):
        inside = (data.frame.index >= start) & (data.frame.index <= end)
        assert data.target[inside].all()
        assert data.frame.index[inside][[0, -1]].tolist() == [start, end]
    assert "MIT" in data.DESCR


@pytest.mark.parametrize("load", [load_nab, load_skab, load_smd])
@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/x", "..\\x", "\\x", "C:x", "//server/share/x"]
)
def test_names_that_lead_out_of_the_folder(load, name, tmp_path):
    with pytest.raises(ValueError, match="points outside the folder") as raised:
        load(name, path=tmp_path)
    assert f"name={name!r}" in str(raised.value)


TIMES = [f"2014-02-26 13:{minute:02}:00" for minute in range(0, 60, 5)]


def write_nab(root, rows=None, windows=(), header="timestamp,value"):
    (root / "data" / "some").mkdir(parents=True)
    (root / "labels").mkdir()
    rows = [f"{time},{i}" for i, time in enumerate(TIMES)] if rows is None else rows
    text = "\n".join([header, *rows]) + "\n"
    (root / "data" / "some" / "series.csv").write_text(text)
    labels = root / "labels" / "combined_windows.json"
    labels.write_text(json.dumps({"some/series.csv": windows}))
    return labels


def test_nab_times_with_and_without_fractions(tmp_path):
    times = [*TIMES[:6], *(f"{time}.000000" for time in TIMES[6:])]
    windows = [[TIMES[2], f"{TIMES[3]}.000000"], [f"{TIMES[7]}.000000", TIMES[7]]]
    write_nab(tmp_path, [f"{time},1" for time in times], windows)
    data = load_nab("some/series", path=tmp_path)
    assert data.frame.index.tolist() == [pd.Timestamp(time) for time in TIMES]
    np.testing.assert_array_equal(np.flatnonzero(data.target), [2, 3, 7])
    assert data.frame["value"].dtype == np.float64
    assert data.events["end"].tolist() == [pd.Timestamp(TIMES[i]) for i in (3, 7)]


def test_nab_windows_that_overlap(tmp_path):
    pairs = [(8, 9), (1, 6), (2, 3), (5, 4)]
    write_nab(tmp_path, windows=[[TIMES[start], TIMES[end]] for start, end in pairs])
    target = load_nab("some/series", path=tmp_path).target
    np.testing.assert_array_equal(np.flatnonzero(target), [1, 2, 3, 4, 5, 6, 8, 9])


def test_nab_keeps_the_order_of_the_file(tmp_path):
    write_nab(tmp_path, [f"{TIMES[i]},{i}" for i in (1, 0, 0, 2)])
    frame = load_nab("some/series", path=tmp_path).frame
    assert frame["value"].tolist() == [1, 0, 0, 2]


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (None, "time,value", r"lacks the columns \['timestamp'\]; it has"),
        (None, "timestamp,reading", r"lacks the columns \['value'\]"),
        ([f"{TIMES[0]},high"], "timestamp,value", "contains text among its numbers"),
        ([f"{TIMES[0]},1", TIMES[1]], "timestamp,value", "not finite in data row 1"),
        (["yesterday,1"], "timestamp,value", "contains a time that cannot be parsed"),
        ([",1"], "timestamp,value", "row without a time"),
        (["1,2,3", "1,2,3,4"], "timestamp,value", r"series.csv' cannot be read"),
        ([f"7,{TIMES[0]},1"], "timestamp,value", "more fields than its header"),
    ],
)
def test_nab_files_that_are_not_as_their_source(tmp_path, rows, header, message):
    write_nab(tmp_path, rows, header=header)
    with pytest.raises(ValueError, match=message) as raised:
        load_nab("some/series", path=tmp_path)
    assert "series.csv" in str(raised.value)


def test_nab_labels_that_are_missing(tmp_path):
    labels = write_nab(tmp_path)
    labels.write_text("{}")
    with pytest.raises(ValueError, match=r"no entry in .*combined_windows.json"):
        load_nab("some/series", path=tmp_path)
    for text in ("[1]", "null"):
        labels.write_text(text)
        with pytest.raises(ValueError, match=r"no entry in .*combined_windows.json"):
            load_nab("some/series", path=tmp_path)
    for windows in ("[1]", '[["2014-01-01"]]', "{}", "[[1, 2]]", "null"):
        labels.write_text(f'{{"some/series.csv": {windows}}}')
        with pytest.raises(ValueError, match=r"combined_windows.json' .*list"):
            load_nab("some/series", path=tmp_path)
    for text in ('{"some', "[" * 200_000):
        labels.write_text(text)
        with pytest.raises(ValueError, match=r"combined_windows.json' is not JSON"):
            load_nab("some/series", path=tmp_path)
    labels.unlink()
    with pytest.raises(FileNotFoundError, match=r"holds 'labels' beside 'data'"):
        load_nab("some/series", path=tmp_path)


def test_smd():
    data = load_smd()
    assert data.frame.shape == (47387, 38)
    assert data.frame.columns[[0, -1]].tolist() == ["ch_01", "ch_38"]
    assert set(data.frame.dtypes) == {np.dtype(np.float64)}
    assert data.train_mask.sum() == 23693
    assert not data.target[data.train_mask].any()
    assert data.target.sum() == 1170
    covered = np.zeros(len(data.frame), dtype=int)
    for event in data.events.itertuples():
        covered[event.start : event.end + 1] = 1
        assert set(event.channels) <= set(data.frame.columns)
        assert event.channels
    np.testing.assert_array_equal(covered, data.target)


def smd_text(table):
    """A table as the source writes it."""
    return "".join(",".join(f"{v:.6f}" for v in row) + "\n" for row in table)


def write_smd(root, train, test, labels, causes, name="machine-9-9"):
    texts = {
        "train": smd_text(train),
        "test": smd_text(test),
        "test_label": "".join(f"{label}\n" for label in labels),
        "interpretation_label": causes,
    }
    for folder, text in texts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / f"{name}.txt").write_text(text)


@pytest.fixture
def small_smd(tmp_path, rng):
    """A small machine in the source's layout, events in rows 2-3 and 5-8."""
    labels = [0, 0, 1, 1, 0, 1, 1, 1, 1, 0]
    causes = "5-7:3,1\n2-4:2\n7-9:1,2\n8-9:1\n0-1:3\n\n"
    write_smd(tmp_path, rng.random((6, 3)), rng.random((10, 3)), labels, causes)
    return tmp_path


def test_smd_text(small_smd):
    data = load_smd("machine-9-9", path=small_smd)
    assert data.frame.shape == (16, 3)
    assert data.frame.columns.tolist() == ["ch_01", "ch_02", "ch_03"]
    assert data.train_mask.tolist() == [True] * 6 + [False] * 10
    np.testing.assert_array_equal(np.flatnonzero(data.target), [8, 9, 11, 12, 13, 14])
    assert data.events["start"].tolist() == [8, 11]
    assert data.events["end"].tolist() == [9, 14]
    # two lines that touch, or lie within each other, make one event of the labels
    assert data.events["channels"].tolist() == [["ch_02"], ["ch_03", "ch_01", "ch_02"]]


def test_both_layouts_of_smd_hold_the_same(tmp_path):
    data = load_smd()
    train, test = (data.frame[mask] for mask in (data.train_mask, ~data.train_mask))
    causes = "".join(
        f"{event.start - len(train)}-{event.end + 1 - len(train)}:"
        + ",".join(str(int(channel[3:])) for channel in event.channels)
        + "\n"
        for event in data.events.itertuples()
    )
    labels = data.target[~data.train_mask]
    folder = tmp_path / "ServerMachineDataset"
    write_smd(folder, train.to_numpy(), test.to_numpy(), labels, causes, "machine-2-1")
    for path in (tmp_path, folder):
        text = load_smd(path=path)
        pd.testing.assert_frame_equal(text.frame, data.frame, check_exact=True)
        pd.testing.assert_frame_equal(text.events, data.events)
        np.testing.assert_array_equal(text.target, data.target)
        np.testing.assert_array_equal(text.train_mask, data.train_mask)


def test_smd_layouts_side_by_side(small_smd):
    for file in (DATA / "smd").rglob("*machine-2-1*"):
        copy = small_smd / file.relative_to(DATA / "smd")
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(file, copy)
    assert load_smd("machine-2-1", path=small_smd).frame.shape == (47387, 38)
    assert load_smd("machine-9-9", path=small_smd).frame.shape == (16, 3)
    with pytest.raises(
        FileNotFoundError, match=r"train.machine-1-1.txt.*'machine-2-1', 'machine-9-9'"
    ):
        load_smd("machine-1-1", path=small_smd)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2-4;2", r"Line 2 of .*machine-9-9.txt' is '2-4;2', but 'start-end:channels'"),
        ("2-4:", "start-end:channels"),
        ("2-4:4", "10 rows and 3 channels"),
        ("2-4:0", "10 rows and 3 channels"),
        ("9-11:1", "10 rows and 3 channels"),
        (f"{'1' * 5000}-2:1", "start-end:channels"),
        ("4-4:1", "10 rows and 3 channels"),
    ],
)
def test_smd_interpretation_that_is_wrong(small_smd, line, message):
    file = small_smd / "interpretation_label" / "machine-9-9.txt"
    file.write_text(f"5-9:1\n{line}\n")
    with pytest.raises(ValueError, match=message):
        load_smd("machine-9-9", path=small_smd)


def test_smd_events_with_many_causes(tmp_path):
    """As many lines for every event: their product would take minutes."""
    n_events = 5000
    causes = "".join(f"{i}-{2 * n_events}:{1 + i % 3}\n" for i in range(n_events))
    table = np.zeros((2 * n_events, 3))
    write_smd(tmp_path, table[:1], table, [0, 1] * n_events, causes)
    channels = load_smd("machine-9-9", path=tmp_path).events["channels"]
    assert channels.str.len().tolist() == [2, *[3] * (n_events - 1)]
    assert channels[0] == ["ch_01", "ch_02"]
    assert channels[1] == ["ch_01", "ch_02", "ch_03"]


@pytest.mark.parametrize(
    ("part", "text", "message"),
    [
        ("test_label", "0\n1\n", r"2 labels for the 10 rows of the test part"),
        ("test_label", "0\n2\n" * 5, r"labels other than 0 and 1: \[0, 2\]"),
        ("test_label", "", "cannot be read"),
        ("test", "0.1,0.2\n" * 10, "3 channels in its training part, but 2"),
        (
            "train",
            "0.1,0.2,0.3\n0.1,0.2\n",
            "has a value that is not finite in data row 1",
        ),
        ("train", "0.1,0.2,x\n", "contains text among its numbers"),
    ],
)
def test_smd_files_that_do_not_fit(small_smd, part, text, message):
    (small_smd / part / "machine-9-9.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_smd("machine-9-9", path=small_smd)


@pytest.mark.parametrize("part", ["test", "test_label", "interpretation_label"])
def test_smd_files_that_are_missing(small_smd, part):
    (small_smd / part / "machine-9-9.txt").unlink()
    with pytest.raises(FileNotFoundError, match=rf"{part}.*belongs to the series"):
        load_smd("machine-9-9", path=small_smd)


def test_smd_csv_that_is_wrong(tmp_path):
    (tmp_path / "interpretation_label").mkdir()
    (tmp_path / "interpretation_label" / "machine-9-9.txt").write_text("")
    table = pd.DataFrame({"ch_01": [0.1, 0.2], "is_anomaly": [0, 1]})
    for part in ("train", "test"):
        table.to_csv(tmp_path / f"machine-9-9_{part}.csv.gz", index=False)
    file = tmp_path / "machine-9-9_test.csv.gz"
    assert load_smd("machine-9-9", path=tmp_path).events["channels"].tolist() == [[]]
    table.drop(columns="is_anomaly").to_csv(file, index=False)
    with pytest.raises(ValueError, match=r"lacks the columns \['is_anomaly'\]"):
        load_smd("machine-9-9", path=tmp_path)
    file.write_bytes(gzip.compress(b"ch_01,is_anomaly\n0.1,0\n")[:-12])
    with pytest.raises(ValueError, match=r"machine-9-9_test.csv.gz' cannot be read"):
        load_smd("machine-9-9", path=tmp_path)
    file.write_bytes(gzip.compress(b"0,0\n" * 250_000) * 150)
    with pytest.raises(ValueError, match=r"read: more than 100,000,000 bytes"):
        load_smd("machine-9-9", path=tmp_path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"machine-9-9_test.csv.gz"):
        load_smd("machine-9-9", path=tmp_path)


SENSORS = (
    "Accelerometer1RMS;Accelerometer2RMS;Current;Pressure;Temperature;Thermocouple;"
    "Voltage;Volume Flow RateRMS"
)


def write_skab(root, name, n_rows=500, labels=True):
    times = pd.date_range("2020-03-09 10:14:33", periods=n_rows, freq="s")
    header = f"datetime;{SENSORS}"
    rows = [f"{time};" + ";".join(["0.5"] * 8) for time in times]
    if labels:
        header += ";anomaly;changepoint"
        rows = [
            f"{row};{float(410 <= i < 420)};{float(i in (410, 420))}"
            for i, row in enumerate(rows)
        ]
    file = root / f"{name}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes("\r\n".join([header, *rows, ""]).encode())
    return file


def test_skab(tmp_path):
    write_skab(tmp_path, "data/valve1/0")
    for path in (tmp_path, str(tmp_path / "data")):
        data = load_skab("valve1/0", path=path)
        assert data.frame.columns.tolist() == SENSORS.split(";")
        assert isinstance(data.frame.index, pd.DatetimeIndex)
        np.testing.assert_array_equal(np.flatnonzero(data.target), range(410, 420))
        np.testing.assert_array_equal(np.flatnonzero(data.changepoints), [410, 420])
        np.testing.assert_array_equal(np.flatnonzero(data.train_mask), range(400))
        assert data.events["start"].tolist() == [data.frame.index[410]]
        assert data.events["end"].tolist() == [data.frame.index[419]]
        assert "GPL-3.0" in data.DESCR


def test_skab_normal_run(tmp_path):
    write_skab(tmp_path, "anomaly-free/anomaly-free", labels=False)
    for name in ("anomaly-free", "anomaly-free/anomaly-free"):
        data = load_skab(name, path=tmp_path)
        assert data.frame.shape == (500, 8)
        assert data.target is data.events is data.changepoints is None
        assert data.train_mask.shape == (500,)
        assert data.train_mask.all()


def test_skab_errors(tmp_path):
    with pytest.raises(TypeError, match="path"):
        load_skab("valve1/0")
    with pytest.raises(FileNotFoundError, match=r"contains no series; fetch_skab"):
        load_skab("valve1/0", path=tmp_path)
    file = write_skab(tmp_path, "valve1/3", labels=False)
    with pytest.raises(FileNotFoundError, match=r"series there are \['valve1/3'\]"):
        load_skab("valve1/0", path=tmp_path)
    with pytest.raises(ValueError, match=r"lacks the columns \['anomaly', 'changep"):
        load_skab("valve1/3", path=tmp_path)
    file.write_text(file.read_text().replace(";", ","))
    with pytest.raises(ValueError, match=r"lacks the columns \['datetime', 'Accel"):
        load_skab("valve1/3", path=tmp_path)
    file = write_skab(tmp_path, "valve1/3")
    text = file.read_text()
    for cut, message in ((15, "not finite in data row 499"), (5, "labels other")):
        file.write_text(text[:-cut])
        with pytest.raises(ValueError, match=rf"3.csv' .*{message}"):
            load_skab("valve1/3", path=tmp_path)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"ec2_cpu_utilization_24ae8d.*path=.*fetch_nab"
    ):
        load_nab("realAWSCloudwatch/nothing")
    with pytest.raises(FileNotFoundError, match=r"machine-2-1.*path=.*fetch_smd"):
        load_smd("machine-9-9")
    with pytest.raises(
        FileNotFoundError, match="folder described in the documentation"
    ):
        load_nab(path=tmp_path)
    with pytest.raises(
        FileNotFoundError, match="folder described in the documentation"
    ):
        load_smd(path=str(tmp_path))
    write_smd(tmp_path, [[0]], [[0]], [0], "")
    with pytest.raises(FileNotFoundError, match=r"series there are \['machine-9-9'\]"):
        load_smd("machine-1-1", path=tmp_path)


@needs_shared_data
def test_roots_of_the_full_sets(tmp_path):
    full = load_nab(path=SHARED_DATA / "nab")
    pd.testing.assert_frame_equal(full.frame, load_nab().frame)
    series = load_nab("realAWSCloudwatch/grok_asg_anomaly", path=SHARED_DATA / "nab")
    assert len(series.events) == 3
    machine = load_smd("machine-1-6", path=SHARED_DATA / "smd")
    assert machine.target.mean() * 2 == pytest.approx(0.1565, abs=1e-3)
    assert len(machine.events) == 30
    assert all(machine.events["channels"])
    valve = load_skab("valve1/0", path=SHARED_DATA / "skab")
    assert valve.frame.shape == (1147, 8)
    assert valve.target.mean() == pytest.approx(0.3496, abs=1e-4)
    assert len(valve.events) == 1
    assert 2 <= valve.changepoints.sum() <= 4
    assert not valve.target[valve.train_mask].any()
    shutil.copytree(SHARED_DATA / "skab", tmp_path / "data")
    normal = load_skab("anomaly-free", path=tmp_path)
    assert normal.frame.shape == (9405, 8)
